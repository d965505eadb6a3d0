//! The applications of `examples/`, each through the whole pipeline: opened, its database used, a push that changes its source
//! alone, closed.
//!
//! `EXAMPLES=all` deploys each of them (`EXAMPLES=django`: those alone whose folder's name contains that), and `EXAMPLES_TABLE=FILE`
//! has the times written as a table. Another example is another line of [`EXAMPLES`].

use std::fmt::Write as _;
use std::path::Path;
use std::time::{Duration, Instant};

use preview_simulator::{Change, Pull};
use serde_json::{Value, json};

use crate::rig::{Rig, Setup, TOKEN, tell};

/// The sentence that every example shows.
const MAIN: &str = "Hello from the main branch";
/// How long a first build may take, all dependencies compiled.
const LONGEST_BUILD: Duration = Duration::from_secs(1_500);

/// An example that keeps notes in its database, at `api/notes`.
#[derive(Debug)]
struct Example {
    /// Its folder.
    folder: &'static str,
    /// What the comment calls it.
    title: &'static str,
    /// The file with the sentence.
    greeting: &'static str,
    /// The file whose change has the dependencies installed anew, and what begins a comment in it.
    manifest: Option<(&'static str, &'static str)>,
    /// What the log of a first build says.
    installing: &'static str,
    /// What the log of a build says that fetches or installs a dependency.
    never_again: &'static [&'static str],
    /// Further pages, with what they contain.
    pages: &'static [(&'static str, &'static str)],
    /// Whether it is deployed when nobody asks for all.
    quick: bool,
}

const PIP: &[&str] = &["Collecting ", "Downloading ", "Using cached ", "Successfully installed"];

const EXAMPLES: &[Example] = &[
    Example {
        folder: "fastapi-postgres",
        title: "FastAPI with PostgreSQL",
        greeting: "app/greeting.py",
        manifest: Some(("requirements.txt", "#")),
        installing: "Successfully installed",
        never_again: PIP,
        // The documentation finds its description under the preview's path.
        pages: &[("docs", "/pr-1/openapi.json"), ("openapi.json", "Guest book")],
        quick: true,
    },
    Example {
        folder: "flask-postgres",
        title: "Flask with PostgreSQL",
        greeting: "greeting.py",
        manifest: Some(("requirements.txt", "#")),
        installing: "Successfully installed",
        never_again: PIP,
        pages: &[],
        quick: false,
    },
    Example {
        folder: "django-postgres",
        title: "Django with PostgreSQL",
        greeting: "notes/greeting.py",
        manifest: Some(("requirements.txt", "#")),
        installing: "static files copied",
        never_again: PIP,
        pages: &[("admin/login/", "/pr-1/static/admin/css/base.")],
        quick: false,
    },
    Example {
        folder: "rust-axum-postgres",
        title: "Rust with PostgreSQL",
        greeting: "src/greeting.rs",
        manifest: None,
        installing: "Compiling guest-book",
        never_again: &["Downloaded ", "Downloading ", "Compiling tokio"],
        pages: &[],
        quick: false,
    },
    Example {
        folder: "nestjs-postgres",
        title: "NestJS with PostgreSQL",
        greeting: "src/greeting.ts",
        manifest: None,
        installing: "npm run build",
        never_again: &["added "],
        pages: &[],
        quick: false,
    },
];

impl Example {
    fn read(&self, path: &str) -> String {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../examples").join(self.folder);
        std::fs::read_to_string(folder.join(path)).unwrap()
    }

    /// Another sentence.
    fn says(&self, sentence: &str) -> Change {
        let text = self.read(self.greeting);
        assert!(text.contains(MAIN), "{}: {text}", self.greeting);
        Change::write(self.greeting, text.replace(MAIN, sentence))
    }

    /// Has the dependencies installed anew, whatever earlier builds on this machine have left.
    fn afresh(&self) -> Option<Change> {
        let (path, comment) = self.manifest?;
        Some(Change::write(path, format!("{}\n{comment} {}\n", self.read(path), crate::rig::unique_owner())))
    }
}

/// How long it took until the page was there.
struct Times {
    first: Duration,
    update: Duration,
}

async fn deploy(example: &Example) -> Times {
    let rig = Setup::new().example(example.folder).set("HEALTH_TIMEOUT_SECONDS", 120).start().await;
    let begun = Instant::now();
    let pull = rig.open_with([Some(example.says("Hello one")), example.afresh()].into_iter().flatten().collect()).await;
    until_shown(&rig, &pull, "Hello one").await;
    let first = begun.elapsed();
    assert_eq!(leave_note(&rig, &pull, "first").await, ["first"]);
    for (path, wanted) in example.pages {
        let page = rig.http.get(format!("{}{path}", rig.url(&pull))).send().await.unwrap();
        assert_eq!(page.status(), 200, "{path}");
        let text = page.text().await.unwrap();
        assert!(text.contains(wanted), "{path}: {text}");
    }
    rig.until_comment(&pull, example.title).await;
    let log = build_log(&rig, &pull).await;
    assert!(log.contains(example.installing), "{log}");

    let begun = Instant::now();
    pull.push(vec![example.says("Hello two")]).await.unwrap();
    until_shown(&rig, &pull, "Hello two").await;
    let update = begun.elapsed();
    let mut notes = leave_note(&rig, &pull, "second").await;
    notes.sort();
    assert_eq!(notes, ["first", "second"], "the database is the same");
    let log = build_log(&rig, &pull).await;
    assert!(log.contains("CACHED"), "{log}");
    for mark in example.never_again {
        assert!(!log.contains(mark), "a push of source alone installs: {mark}\n{log}");
    }

    pull.close().unwrap();
    rig.until_gone(&rig.url(&pull)).await;
    rig.finish().await;
    Times { first, update }
}

/// Waits until the page shows a sentence; a preview that failed ends the waiting.
async fn until_shown(rig: &Rig, pull: &Pull, sentence: &str) {
    let url = rig.url(pull);
    rig.until_within(LONGEST_BUILD, &format!("the page shows {sentence:?}"), async || {
        if let Some(failed) = pull.bot_comments().into_iter().find(|comment| comment.body.contains("🔴")) {
            panic!("{}", failed.body);
        }
        let answer = rig.http.get(&url).send().await.ok().filter(|answer| answer.status().is_success())?;
        answer.text().await.ok().filter(|text| text.contains(sentence)).map(drop)
    })
    .await;
}

/// Leaves a note, and gives what all notes say.
async fn leave_note(rig: &Rig, pull: &Pull, message: &str) -> Vec<String> {
    let notes = format!("{}api/notes", rig.url(pull));
    let note = json!({"message": message}).to_string();
    let post = rig.http.post(&notes).header("content-type", "application/json").body(note).send().await.unwrap();
    assert_eq!(post.status(), 201);
    let notes: Vec<Value> = rig.http.get(&notes).send().await.unwrap().json().await.unwrap();
    notes.iter().map(|note| note["message"].as_str().unwrap().to_owned()).collect()
}

/// What the newest build has said.
async fn build_log(rig: &Rig, pull: &Pull) -> String {
    let url = format!("{}/api/previews/{}/logs?stream=build&lines=2000", rig.api, rig.id(pull));
    rig.http.get(url).bearer_auth(TOKEN).send().await.unwrap().text().await.unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn examples_are_deployed_updated_and_removed() {
    let wanted = std::env::var("EXAMPLES").ok();
    let chosen = |example: &&Example| match wanted.as_deref() {
        None => example.quick,
        Some("all") => true,
        Some(word) => example.folder.contains(word),
    };
    let chosen: Vec<&Example> = EXAMPLES.iter().filter(chosen).collect();
    assert!(!chosen.is_empty(), "{wanted:?} is none of the examples");
    let mut rows = Vec::new();
    for example in chosen {
        let Times { first, update } = deploy(example).await;
        tell(&format!("{}: {:.1} s, an update {:.1} s", example.folder, first.as_secs_f32(), update.as_secs_f32()));
        rows.push((example.folder, first, update));
    }
    if let Some(file) = std::env::var_os("EXAMPLES_TABLE") {
        std::fs::write(file, table(&rows)).unwrap();
    }
}

/// The times, as Markdown.
fn table(rows: &[(&str, Duration, Duration)]) -> String {
    let mut text = String::from("| example | first preview, s | a push of source alone, s |\n| --- | ---: | ---: |\n");
    for (folder, first, update) in rows {
        writeln!(text, "| `{folder}` | {:.1} | {:.1} |", first.as_secs_f32(), update.as_secs_f32()).unwrap();
    }
    text
}
