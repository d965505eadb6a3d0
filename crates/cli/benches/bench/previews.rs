//! From a delivery to the preview, against plain Compose, in turn.

use std::path::{Path, PathBuf};
use std::time::Instant;

use jiff::Timestamp;
use preview_core::framework::MemoryFiles;
use preview_simulator::{Change, Deliveries, Mimic, NewPull, Pull};

use crate::installation::{Installation, until, until_answers};
use crate::plain::{Recipe, bring_up};
use crate::report::{Report, median};

/// An application to be brought up again and again.
struct Subject {
    name: &'static str,
    app: App,
    rounds: usize,
    most: f64,
}

/// Where its files are, and which of them changes.
enum App {
    Mimic,
    Example { folder: &'static str, greeting: &'static str },
}

const SUBJECTS: [Subject; 3] = [
    Subject { name: "a program in an empty image", app: App::Mimic, rounds: 9, most: 1.1 },
    Subject {
        name: "a small Go app",
        app: App::Example { folder: "go-hello", greeting: "greeting.go" },
        rounds: 7,
        most: 1.1,
    },
    Subject {
        name: "NestJS with PostgreSQL",
        app: App::Example { folder: "nestjs-postgres", greeting: "src/greeting.ts" },
        rounds: 8,
        most: 0.9,
    },
];
/// What the examples greet with.
pub(crate) const GREETING: &str = "Hello from the main branch";

pub(crate) async fn measure(report: &mut Report) {
    for subject in &SUBJECTS {
        compare(subject, report).await;
    }
}

async fn compare(subject: &Subject, report: &mut Report) {
    let files = subject.app.files().await;
    let recipe = Recipe::of(&texts(&files));
    let installation = Installation::start("app", files).await;
    let (mut ours, mut plain) = (Vec::new(), Vec::new());
    // The first round warms the caches of both.
    for round in 0..=subject.rounds {
        let ours_first = round % 2 == 0;
        let mut times = [0.0; 2];
        for turn in 0..2 {
            // Never built before: the engine's cache knows the trees of earlier runs too.
            let greeting = format!("Hello {turn} of round {round} of run {}", Timestamp::now());
            let changes = subject.app.changes(&greeting);
            if (turn == 0) == ours_first {
                times[0] =
                    by_delivery(subject, &installation, changes, &greeting, (round == 1).then_some(&mut *report)).await;
            } else {
                installation.repo.push("by-hand", changes, "alice").await.unwrap();
                times[1] = bring_up(&installation, &recipe, "by-hand", &greeting).await;
            }
        }
        if round > 0 {
            ours.push(times[0]);
            plain.push(times[1]);
        }
    }
    installation.stop().await;
    let ratios: Vec<f64> = ours.iter().zip(&plain).map(|(ours, plain)| ours / plain).collect();
    let (ours, plain) = (median(&ours), median(&plain));
    let how = format!("{ours:.2} s against {plain:.2} s by hand, medians of {} rounds in turn", subject.rounds);
    report.row(&format!("Time to preview, {}", subject.name), (median(&ratios), ""), Some(subject.most), how);
}

/// Opens a pull request and closes it again. Gives the seconds from the delivery to the first answer.
async fn by_delivery(
    subject: &Subject,
    installation: &Installation,
    changes: Vec<Change>,
    greeting: &str,
    report: Option<&mut Report>,
) -> f64 {
    installation.github.deliver(Deliveries::Held);
    let pull = installation.repo.open_pull(NewPull::new("feature", changes)).await.unwrap();
    installation.github.deliver(Deliveries::Normal);
    let begun = Instant::now();
    installation.github.release();
    until_answers(&installation.http, &installation.url(&pull), greeting).await;
    let took = begun.elapsed().as_secs_f64();
    if let Some(report) = report
        && subject.app.runs_build_steps()
    {
        rebuild(subject, installation, &pull, report).await;
    }
    pull.close().unwrap();
    installation.until_empty().await;
    took
}

/// Pushes the same tree as another commit, and counts the steps that were run for it.
async fn rebuild(subject: &Subject, installation: &Installation, pull: &Pull, report: &mut Report) {
    assert!(build_steps(installation) > 0, "the build of a changed tree ran no step that could be counted");
    let same = pull.push(Vec::new()).await.unwrap();
    until("the same tree is served as another commit", || {
        let ledger: serde_json::Value = serde_json::from_str(&installation.ledger()).unwrap_or_default();
        let mut records = ledger["deployments"].as_object().into_iter().flat_map(serde_json::Map::values);
        records.any(|record| record["serving"]["commitSha"] == same.as_str() && record["attempt"]["step"] == "done")
    })
    .await;
    let what = format!("Build steps run for an unchanged tree, {}", subject.name);
    let how = "a new commit with the same files".to_owned();
    report.row(&what, (build_steps(installation) as f64, ""), Some(0.0), how);
}

/// How many `RUN` steps the newest build's log tells of that did not come from the cache.
fn build_steps(installation: &Installation) -> usize {
    let folders = std::fs::read_dir(installation.dir.path().join("logs")).unwrap();
    let logs = folders.filter_map(|folder| std::fs::read_to_string(folder.ok()?.path().join("build.log")).ok());
    let log: String = logs.collect();
    let steps = log.lines().filter_map(|line| line.split_once(' ').filter(|(_, rest)| rest.contains("] RUN ")));
    steps.filter(|(step, _)| log.lines().any(|line| line.starts_with(&format!("{step} DONE")))).count()
}

impl App {
    async fn files(&self) -> Vec<Change> {
        match self {
            Self::Mimic => Mimic::new("main").repository().await.unwrap(),
            Self::Example { folder, .. } => Change::folder(&example(folder)).unwrap(),
        }
    }

    /// Another greeting, so that something has to be built.
    fn changes(&self, greeting: &str) -> Vec<Change> {
        match self {
            Self::Mimic => Mimic::new(greeting).files(),
            Self::Example { folder, greeting: file } => {
                let text = std::fs::read_to_string(example(folder).join(file)).unwrap();
                vec![Change::write(*file, text.replace(GREETING, greeting))]
            }
        }
    }

    /// Whether its Dockerfile has any.
    fn runs_build_steps(&self) -> bool {
        !matches!(self, Self::Mimic)
    }
}

pub(crate) fn example(folder: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../examples").join(folder)
}

/// The files that are texts: all that detection reads.
fn texts(files: &[Change]) -> MemoryFiles {
    MemoryFiles::new(files.iter().filter_map(|change| match change {
        Change::Write { path, bytes, .. } => Some((path.clone(), String::from_utf8(bytes.clone()).ok()?)),
        _ => None,
    }))
}
