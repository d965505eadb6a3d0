//! The applications of `examples/`, each through the whole pipeline: opened, its database used, a push that changes its source
//! alone, closed. That of NestJS is also deployed by package managers other than its own.
//!
//! `EXAMPLES=all` deploys each of them (`EXAMPLES=django`: those alone whose folder's name contains that), and `EXAMPLES_TABLE=FILE`
//! has the times written as a table. Another example is another line of [`EXAMPLES`].

use std::fmt::Write as _;
use std::path::Path;
use std::time::{Duration, Instant};

use preview_exec::{Limits, Program};
use preview_simulator::{Change, Pull};
use serde_json::{Value, json};

use crate::rig::{Rig, Setup, TOKEN, tell};

/// The sentence that every example shows.
const MAIN: &str = "Hello from the main branch";
/// How long a first build may take, all dependencies compiled.
const LONGEST_BUILD: Duration = Duration::from_secs(1_500);

/// An example, and how it shows what it is for.
#[derive(Debug)]
struct Example {
    /// Its folder.
    folder: &'static str,
    /// Another package manager than its own.
    lock: Option<&'static Lock>,
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
    /// What shows that its database is used, and stays over an update.
    keeps: Keeps,
    /// Further pages, with what they contain.
    pages: &'static [(&'static str, &'static str)],
    /// Whether it is deployed when nobody asks for all.
    quick: bool,
}

/// What an example writes into its database.
#[derive(Debug, Clone, Copy)]
enum Keeps {
    /// Notes, at `api/notes`.
    Notes,
    /// The number of its visitors, which its page shows behind these words.
    Visits(&'static str),
    /// It has none.
    Nothing,
}

/// The lock file of another package manager.
#[derive(Debug)]
struct Lock {
    /// What it is called in the table.
    manager: &'static str,
    file: &'static str,
    /// The line for a shell that makes it, of npm's or of `package.json`.
    made_by: &'static str,
}

const PNPM: Lock = Lock { manager: "pnpm", file: "pnpm-lock.yaml", made_by: "npx -y pnpm@10 import" };
const YARN: Lock = Lock {
    manager: "Yarn",
    file: "yarn.lock",
    made_by: "touch yarn.lock && npx -y @yarnpkg/cli-dist@4 install --mode=update-lockfile",
};
const YARN_1: Lock = Lock {
    manager: "Yarn 1",
    file: "yarn.lock",
    made_by: "npx -y yarn@1 install --ignore-scripts --modules-folder=/tmp/modules",
};

const PIP: &[&str] = &["Collecting ", "Downloading ", "Using cached ", "Successfully installed"];

/// What most have in common.
const PLAIN: Example = Example {
    folder: "",
    lock: None,
    title: "",
    greeting: "",
    manifest: None,
    installing: "",
    never_again: &[],
    keeps: Keeps::Nothing,
    pages: &[],
    quick: false,
};
const BY_NPM: Example =
    Example { title: "Node.js", greeting: "greeting.js", installing: "npm ci", never_again: &["added "], ..PLAIN };
const NESTJS: Example = Example {
    folder: "nestjs-postgres",
    title: "NestJS with PostgreSQL",
    greeting: "src/greeting.ts",
    installing: "npm run build",
    keeps: Keeps::Notes,
    ..BY_NPM
};

const EXAMPLES: &[Example] = &[
    Example {
        folder: "fastapi-postgres",
        title: "FastAPI with PostgreSQL",
        greeting: "app/greeting.py",
        manifest: Some(("requirements.txt", "#")),
        installing: "Successfully installed",
        never_again: PIP,
        // The documentation finds its description under the preview's path.
        keeps: Keeps::Notes,
        pages: &[("docs", "/pr-1/openapi.json"), ("openapi.json", "Guest book")],
        quick: true,
        ..PLAIN
    },
    Example {
        folder: "flask-postgres",
        title: "Flask with PostgreSQL",
        greeting: "greeting.py",
        manifest: Some(("requirements.txt", "#")),
        installing: "Successfully installed",
        never_again: PIP,
        keeps: Keeps::Notes,
        ..PLAIN
    },
    Example {
        folder: "django-postgres",
        title: "Django with PostgreSQL",
        greeting: "notes/greeting.py",
        manifest: Some(("requirements.txt", "#")),
        installing: "static files copied",
        never_again: PIP,
        keeps: Keeps::Notes,
        pages: &[("admin/login/", "/pr-1/static/admin/css/base.")],
        ..PLAIN
    },
    Example {
        folder: "rust-axum-postgres",
        title: "Rust with PostgreSQL",
        greeting: "src/greeting.rs",
        installing: "Compiling guest-book",
        never_again: &["Downloaded ", "Downloading ", "Compiling tokio"],
        keeps: Keeps::Notes,
        ..PLAIN
    },
    NESTJS,
    Example {
        lock: Some(&PNPM),
        installing: "pnpm install --frozen-lockfile",
        never_again: &["Progress: resolved", "Packages: +"],
        ..NESTJS
    },
    Example {
        lock: Some(&YARN),
        installing: "yarn install --immutable",
        never_again: &["Fetch step", "Link step"],
        ..NESTJS
    },
    Example {
        lock: Some(&YARN_1),
        installing: "yarn install --frozen-lockfile",
        never_again: &["Fetching packages", "Linking dependencies"],
        ..NESTJS
    },
    Example { folder: "express-mysql", title: "Node.js with MySQL and Redis", keeps: Keeps::Notes, ..BY_NPM },
    Example { folder: "fastify-redis", title: "Node.js with Redis", keeps: Keeps::Notes, ..BY_NPM },
    Example { folder: "workspace-api", greeting: "packages/greeting/src/greeting.ts", ..BY_NPM },
    Example { folder: "express-notes", ..BY_NPM },
    Example {
        folder: "go-cmd",
        title: "Go with PostgreSQL",
        greeting: "cmd/guestbook/greeting.go",
        installing: "go build",
        never_again: &["go: downloading"],
        keeps: Keeps::Visits("You are visitor "),
        ..PLAIN
    },
    Example {
        folder: "go-hello",
        title: "Go",
        greeting: "greeting.go",
        installing: "go build",
        never_again: &["go: downloading"],
        ..PLAIN
    },
];

impl Example {
    /// What it is called in the table.
    fn name(&self) -> String {
        let manager = self.lock.map(|lock| format!(" by {}", lock.manager)).unwrap_or_default();
        format!("`{}`{manager}", self.folder)
    }

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

impl Keeps {
    /// Uses the database. Whoever asks again finds what was there before.
    async fn check(self, rig: &Rig, pull: &Pull, message: &str, before: &[&str]) {
        match self {
            Self::Notes => {
                let mut notes = leave_note(rig, pull, message).await;
                notes.sort();
                assert_eq!(notes, [before, &[message]].concat(), "the notes of earlier versions are there");
            }
            Self::Visits(words) => {
                let page = rig.http.get(rig.url(pull)).send().await.unwrap().text().await.unwrap();
                let number = page.split_once(words).and_then(|(_, rest)| rest.split('.').next()?.parse::<usize>().ok());
                // The page was asked for at least once to learn that it is there, by each version.
                assert!(number.is_some_and(|number| number > 2 * before.len() + 1), "{page}");
            }
            Self::Nothing => {}
        }
    }
}

impl Lock {
    /// Puts it in the place of npm's.
    async fn changes(&self, example: &Example) -> Vec<Change> {
        let folder = tempfile::tempdir().unwrap();
        for file in ["package.json", "package-lock.json"] {
            std::fs::write(folder.path().join(file), example.read(file)).unwrap();
        }
        let user = format!("{}:{}", rustix::process::getuid().as_raw(), rustix::process::getgid().as_raw());
        let docker = Program::new("docker").args(["run", "--rm", "--user", &user, "--env", "HOME=/tmp"]);
        let docker = docker.args(["--volume", &format!("{}:/app", folder.path().display()), "--workdir", "/app"]);
        let docker = docker.args(["node:22-bookworm-slim", "sh", "-c", self.made_by]);
        docker.inherit_env("HOME").limits(Limits::seconds(300)).run().await.unwrap();
        let text = std::fs::read_to_string(folder.path().join(self.file)).unwrap();
        vec![Change::delete("package-lock.json"), Change::write(self.file, text)]
    }
}

/// How long it took until the page was there.
struct Times {
    first: Duration,
    update: Duration,
}

async fn deploy(example: &Example) -> Times {
    let rig = Setup::new().example(example.folder).set("HEALTH_TIMEOUT_SECONDS", 120).start().await;
    let mut changes: Vec<Change> = [Some(example.says("Hello one")), example.afresh()].into_iter().flatten().collect();
    if let Some(lock) = example.lock {
        changes.extend(lock.changes(example).await);
    }
    let begun = Instant::now();
    let pull = rig.open_with(changes).await;
    until_shown(&rig, &pull, "Hello one").await;
    let first = begun.elapsed();
    example.keeps.check(&rig, &pull, "first", &[]).await;
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
    example.keeps.check(&rig, &pull, "second", &["first"]).await;
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
        tell(&format!("{}: {:.1} s, an update {:.1} s", example.name(), first.as_secs_f32(), update.as_secs_f32()));
        rows.push((example.name(), first, update));
    }
    if let Some(file) = std::env::var_os("EXAMPLES_TABLE") {
        std::fs::write(file, table(&rows)).unwrap();
    }
}

/// The times, as Markdown.
fn table(rows: &[(String, Duration, Duration)]) -> String {
    let mut text = String::from("| example | first preview, s | a push of source alone, s |\n| --- | ---: | ---: |\n");
    for (name, first, update) in rows {
        writeln!(text, "| {name} | {:.1} | {:.1} |", first.as_secs_f32(), update.as_secs_f32()).unwrap();
    }
    text
}
