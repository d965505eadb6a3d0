//! From a push to the preview, against plain Compose, in turn.

use std::path::{Path, PathBuf};
use std::time::Instant;

use preview_core::framework::MemoryFiles;
use preview_simulator::{Change, NewPull, Pull};

use crate::installation::{Installation, until, until_answers};
use crate::plain::{Recipe, bring_up};
use crate::report::{Report, median};

/// An example to be brought up again and again.
struct Example {
    folder: &'static str,
    name: &'static str,
    greeting_file: &'static str,
    rounds: usize,
    wanted: &'static str,
}

const EXAMPLES: [Example; 2] = [
    Example { folder: "go-hello", name: "a small Go app", greeting_file: "greeting.go", rounds: 7, wanted: "1.1" },
    Example {
        folder: "nestjs-postgres",
        name: "NestJS with PostgreSQL",
        greeting_file: "src/greeting.ts",
        rounds: 5,
        wanted: "0.9",
    },
];
const GREETING: &str = "Hello from the main branch";

impl Example {
    fn path(&self) -> PathBuf {
        Path::new(env!("CARGO_MANIFEST_DIR")).join("../../examples").join(self.folder)
    }

    /// The greeting changed, so that something has to be built.
    fn change(&self, greeting: &str) -> Vec<Change> {
        let text = std::fs::read_to_string(self.path().join(self.greeting_file)).unwrap();
        vec![Change::write(self.greeting_file, text.replace(GREETING, greeting))]
    }

    fn files(&self) -> MemoryFiles {
        let changes = Change::folder(&self.path()).unwrap();
        MemoryFiles::new(changes.into_iter().filter_map(|change| match change {
            Change::Write { path, bytes, .. } => Some((path, String::from_utf8(bytes).ok()?)),
            _ => None,
        }))
    }
}

pub(crate) async fn measure(report: &mut Report) {
    for example in &EXAMPLES {
        compare(example, report).await;
    }
}

async fn compare(example: &Example, report: &mut Report) {
    let installation = Installation::start(example.folder, Change::folder(&example.path()).unwrap()).await;
    let recipe = Recipe::of(&example.files());
    let (mut ours, mut plain) = (Vec::new(), Vec::new());
    // The first round warms the caches of both.
    for round in 0..=example.rounds {
        let (first, second) = (format!("Hello from round {round}"), format!("Hello again from round {round}"));
        let begun = Instant::now();
        let new = NewPull::new("feature", example.change(&first));
        let pull = installation.repo.open_pull(new).await.unwrap();
        until_answers(&installation.http, &installation.url(&pull), &first).await;
        let our_time = begun.elapsed().as_secs_f64();
        if round == 1 {
            rebuild(example, &installation, &pull, report).await;
        }
        pull.push(example.change(&second)).await.unwrap();
        until_answers(&installation.http, &installation.url(&pull), &second).await;
        close(&installation, &pull).await;
        // As much of a change again, now by hand; what was built for ours does not serve it.
        let third = format!("Hello by hand from round {round}");
        installation.repo.push("by-hand", example.change(&third), "alice").await.unwrap();
        let plain_time = bring_up(&installation, &recipe, "by-hand", &third).await;
        if round > 0 {
            ours.push(our_time);
            plain.push(plain_time);
        }
    }
    installation.end().await;
    let ratios: Vec<f64> = ours.iter().zip(&plain).map(|(ours, plain)| ours / plain).collect();
    let how = format!(
        "{:.2} s against {:.2} s of `git clone && docker compose up -d --build`, medians of {} rounds in turn",
        median(&ours),
        median(&plain),
        ours.len()
    );
    report.row(&format!("Time to preview, {}", example.name), format!("{:.2}", median(&ratios)), example.wanted, how);
}

/// Pushes the same tree as another commit, and counts the steps that were run for it.
async fn rebuild(example: &Example, installation: &Installation, pull: &Pull, report: &mut Report) {
    let same = pull.push(Vec::new()).await.unwrap();
    until(|| {
        let ledger: serde_json::Value = serde_json::from_str(&installation.ledger()).unwrap_or_default();
        let mut records = ledger["deployments"].as_object().into_iter().flat_map(serde_json::Map::values);
        records.any(|record| record["serving"]["commitSha"] == same.as_str() && record["attempt"]["step"] == "done")
    })
    .await;
    let logs = installation.dir.path().join("deployments");
    let folder = std::fs::read_dir(logs).unwrap().next().unwrap().unwrap().path();
    let log = std::fs::read_to_string(folder.join("logs/build.log")).unwrap();
    let what = format!("Build steps run for an unchanged tree, {}", example.name);
    report.row(&what, steps_run(&log).to_string(), "0", "a new commit with the same files".to_owned());
}

/// How many `RUN` steps a build's log tells of that did not come from the cache.
fn steps_run(log: &str) -> usize {
    let steps = log.lines().filter_map(|line| line.split_once(' ').filter(|(_, rest)| rest.contains("] RUN ")));
    steps.filter(|(step, _)| log.lines().any(|line| line.starts_with(&format!("{step} DONE")))).count()
}

async fn close(installation: &Installation, pull: &Pull) {
    pull.close().unwrap();
    until(|| installation.ledger().contains("\"deployments\": {}")).await;
}
