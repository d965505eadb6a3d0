//! The second build of a repository against its first: what of the work of building is kept.

use std::path::Path;
use std::time::{Duration, Instant};

use jiff::Timestamp;
use preview_core::ids::CommitSha;
use preview_simulator::{Change, NewPull};
use serde_json::Value;

use crate::installation::{Installation, until_answers};
use crate::previews::{GREETING, example};
use crate::report::{Report, median};

/// What the second build may take of the first.
const MOST: f64 = 0.25;
/// How many pushes of source alone are measured.
const PUSHES: usize = 3;
/// Between two looks at what the ledger says.
const LOOK: Duration = Duration::from_millis(10);
/// Longer than any build takes.
const PATIENCE: Duration = Duration::from_secs(1_500);

/// What is built.
struct Subject {
    name: &'static str,
    /// The example.
    folder: &'static str,
    /// A folder of files that it has instead of its own.
    instead: Option<&'static str>,
    /// The file with its greeting.
    file: &'static str,
    most: Option<f64>,
}

impl Subject {
    const fn new(name: &'static str, folder: &'static str, file: &'static str) -> Self {
        Self { name, folder, instead: None, file, most: Some(MOST) }
    }

    fn files(&self) -> Vec<Change> {
        let mut files = Change::folder(&example(self.folder)).unwrap();
        files.extend(self.instead.iter().flat_map(|folder| {
            let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("benches/bench").join(folder);
            Change::folder(&folder).unwrap()
        }));
        files
    }
}

/// The example of NestJS has none of the tools beside it that `nest new` gives a repository, which are most of what is to be
/// fetched: it is measured with them, and bare.
const SUBJECTS: [Subject; 4] = [
    Subject {
        instead: Some("nest-new"),
        ..Subject::new("NestJS with the packages of `nest new`", "nestjs-postgres", "src/greeting.ts")
    },
    Subject { most: None, ..Subject::new("NestJS with the fewest packages", "nestjs-postgres", "src/greeting.ts") },
    Subject::new("Rust", "rust-axum-postgres", "src/greeting.rs"),
    Subject::new("Django", "django-postgres", "notes/greeting.py"),
];

pub(crate) async fn measure(report: &mut Report) {
    for subject in SUBJECTS {
        let Subject { name, folder, file, most, .. } = subject;
        let text = std::fs::read_to_string(example(folder).join(file)).unwrap();
        // Never built before, not even by another run.
        let run = Timestamp::now();
        let says = |number: usize| format!("Hello {number} of {run}");
        let change = |number| vec![Change::write(file, text.replace(GREETING, &says(number)))];

        let installation = Installation::start("app", subject.files()).await;
        let pull = installation.repo.open_pull(NewPull::new("feature", change(0))).await.unwrap();
        let url = installation.url(&pull);
        let first = build_time(&installation, &pull.head()).await;
        until_answers(&installation.http, &url, &says(0)).await;
        let mut later = Vec::new();
        for number in 1..=PUSHES {
            let commit = pull.push(change(number)).await.unwrap();
            later.push(build_time(&installation, &commit).await);
            until_answers(&installation.http, &url, &says(number)).await;
        }
        pull.close().unwrap();
        installation.until_empty().await;
        installation.stop().await;

        let second = median(&later);
        let how = format!("{second:.2} s, median of {PUSHES}, against {first:.2} s");
        report.row(&format!("Second build, {name}"), (second / first, ""), most, how);
    }
}

/// How long a commit is at the step of its build, in seconds.
async fn build_time(installation: &Installation, commit: &CommitSha) -> f64 {
    step(installation, commit, |step| step == "build").await;
    let begun = Instant::now();
    step(installation, commit, |step| step != "build").await;
    begun.elapsed().as_secs_f64()
}

/// Waits until the attempt at a commit is at a step such as this.
async fn step(installation: &Installation, commit: &CommitSha, fits: impl Fn(&str) -> bool) {
    let begun = Instant::now();
    loop {
        let ledger: Value = serde_json::from_str(&installation.ledger()).unwrap_or_default();
        let mut attempts = ledger["deployments"]
            .as_object()
            .into_iter()
            .flat_map(serde_json::Map::values)
            .map(|record| &record["attempt"]);
        let attempt = attempts.find(|attempt| attempt["commitSha"] == commit.as_str());
        let step = attempt.and_then(|attempt| attempt["step"].as_str());
        assert_ne!(step, Some("failed"), "the build of {commit} failed: {attempt:?}");
        if step.is_some_and(&fits) {
            return;
        }
        assert!(begun.elapsed() < PATIENCE, "{commit} is at {step:?} for {PATIENCE:?}");
        tokio::time::sleep(LOOK).await;
    }
}
