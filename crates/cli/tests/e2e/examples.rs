//! The applications of `examples/`, each through the whole pipeline: opened, its database used, a push that changes its source
//! alone, closed. Some of them also in other forms: by package managers other than their own, with a tool that migrates.
//!
//! `EXAMPLES=all` deploys each of them (`EXAMPLES=django`: those alone whose name in the table contains that), and `EXAMPLES_TABLE=FILE`
//! has the times written as a table. Another example is another line of [`EXAMPLES`].

use std::collections::BTreeSet;
use std::fmt::Write as _;
use std::time::{Duration, Instant};

use preview_simulator::{Change, Pull};
use serde_json::{Value, json};

use crate::page;
use crate::rig::{Rig, Setup, TOKEN, tell};
use crate::variants::{
    self, BUNDLER, BUNDLER_MYSQL, COMPOSER, DIESEL, DRIZZLE, KNEX, PIPENV, PNPM, POETRY, SEQUELIZE, SQLX, SQLX_CLI,
    TYPEORM, Tree, UV, Variant, YARN, YARN_1,
};

/// The sentence that every example shows.
const MAIN: &str = "Hello from the main branch";
/// How long a first build may take, all dependencies compiled.
const LONGEST_BUILD: Duration = Duration::from_secs(1_500);

/// An example, and how it shows what it is for.
#[derive(Debug)]
struct Example {
    /// Its folder.
    folder: &'static str,
    /// What is different from it.
    variant: Option<&'static Variant>,
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
    /// What is found by following what its page names, by a part of its address.
    names: &'static [&'static str],
    /// Whether its page has a form that leaves a note.
    form: bool,
    /// Whether its preview has a host of its own.
    own_host: bool,
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

/// What most have in common.
const PLAIN: Example = Example {
    folder: "",
    variant: None,
    title: "",
    greeting: "",
    manifest: None,
    installing: "",
    never_again: &[],
    keeps: Keeps::Nothing,
    pages: &[],
    names: &[],
    form: false,
    own_host: false,
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

const BY_PIP: Example = Example {
    manifest: Some(("requirements.txt", "#")),
    installing: "Successfully installed",
    never_again: &["Collecting ", "Downloading ", "Using cached ", "Successfully installed"],
    keeps: Keeps::Notes,
    ..PLAIN
};
const FASTAPI: Example =
    Example { folder: "fastapi-postgres", title: "FastAPI with PostgreSQL", greeting: "app/greeting.py", ..BY_PIP };
const FLASK: Example =
    Example { folder: "flask-postgres", title: "Flask with PostgreSQL", greeting: "greeting.py", ..BY_PIP };
const EXPRESS: Example =
    Example { folder: "express-mysql", title: "Node.js with MySQL and Redis", keeps: Keeps::Notes, ..BY_NPM };
const RUST: Example = Example {
    folder: "rust-axum-postgres",
    title: "Rust with PostgreSQL",
    greeting: "src/greeting.rs",
    manifest: Some(("Cargo.toml", "#")),
    installing: "Compiling guest-book",
    never_again: &["Downloaded ", "Downloading ", "Compiling tokio"],
    keeps: Keeps::Notes,
    ..PLAIN
};
const RAILS: Example = Example {
    folder: "rails-postgres",
    variant: Some(&BUNDLER),
    title: "Rails with PostgreSQL",
    greeting: "app/models/greeting.rb",
    manifest: Some(("Gemfile", "#")),
    installing: "Installing bcrypt 3.1.20 with native extensions",
    never_again: &["Fetching ", "Installing "],
    keeps: Keeps::Notes,
    // By a compiled extension.
    pages: &[("", "<small>$2a$04$")],
    // What style sheets name, those in a folder too, and a script.
    names: &[
        "api/notes",
        "assets/application-",
        "assets/admin/pages-",
        "assets/paper-",
        "assets/admin/dots-",
        "assets/sign-",
        "assets/stamp-",
    ],
    form: true,
    ..PLAIN
};

const EXAMPLES: &[Example] = &[
    Example {
        // The documentation finds its description under the preview's path.
        pages: &[("docs", "/pr-1/openapi.json"), ("openapi.json", "Guest book")],
        quick: true,
        ..FASTAPI
    },
    Example {
        variant: Some(&UV),
        manifest: Some(("pyproject.toml", "#")),
        installing: "uv sync",
        never_again: &["Prepared ", "Installed ", "Collecting "],
        ..FASTAPI
    },
    FLASK,
    Example {
        variant: Some(&POETRY),
        manifest: Some(("pyproject.toml", "#")),
        installing: "Installing flask",
        never_again: &["Installing ", "Collecting "],
        ..FLASK
    },
    Example {
        variant: Some(&PIPENV),
        title: "Flask with MySQL",
        manifest: Some(("Pipfile", "#")),
        installing: "Pipfile.lock is up-to-date",
        never_again: &["Pipfile.lock is up-to-date", "Collecting "],
        ..FLASK
    },
    Example {
        folder: "django-postgres",
        title: "Django with PostgreSQL",
        greeting: "notes/greeting.py",
        installing: "static files copied",
        pages: &[("admin/login/", "/pr-1/static/admin/css/base.")],
        ..BY_PIP
    },
    RUST,
    Example {
        variant: Some(&SQLX),
        never_again: &["Downloaded ", "Downloading ", "Compiling tokio", "Compiling sqlx"],
        ..RUST
    },
    Example {
        variant: Some(&SQLX_CLI),
        // The tool's own compiling is part of the first build alone too.
        never_again: &["Downloaded ", "Downloading ", "Compiling tokio", "Compiling sqlx", "Installing sqlx-cli"],
        ..RUST
    },
    Example {
        variant: Some(&DIESEL),
        never_again: &["Downloaded ", "Downloading ", "Compiling tokio", "Compiling diesel"],
        ..RUST
    },
    NESTJS,
    Example {
        variant: Some(&PNPM),
        installing: "pnpm install --frozen-lockfile",
        never_again: &["Progress: resolved", "Packages: +"],
        ..NESTJS
    },
    Example {
        variant: Some(&YARN),
        installing: "yarn install --immutable",
        never_again: &["Fetch step", "Link step"],
        ..NESTJS
    },
    Example {
        variant: Some(&YARN_1),
        installing: "yarn install --frozen-lockfile",
        never_again: &["Fetching packages", "Linking dependencies"],
        ..NESTJS
    },
    Example { variant: Some(&TYPEORM), ..NESTJS },
    EXPRESS,
    Example { variant: Some(&KNEX), ..EXPRESS },
    Example { variant: Some(&SEQUELIZE), title: "Node.js with MySQL", ..EXPRESS },
    Example {
        folder: "laravel-mysql",
        variant: Some(&COMPOSER),
        title: "Laravel with MySQL",
        greeting: "config/greeting.php",
        installing: "composer install",
        never_again: &["Installing laravel/framework", "Setting up php"],
        keeps: Keeps::Notes,
        // By a migration, with the key and the address that the app has.
        pages: &[("", "sealed at http://127.0.0.1")],
        ..PLAIN
    },
    RAILS,
    Example { own_host: true, ..RAILS },
    Example { variant: Some(&BUNDLER_MYSQL), title: "Rails with MySQL", ..RAILS },
    Example { folder: "fastify-redis", title: "Node.js with Redis", keeps: Keeps::Notes, ..BY_NPM },
    Example { folder: "workspace-api", greeting: "packages/greeting/src/greeting.ts", ..BY_NPM },
    Example {
        folder: "workspace-postgres",
        title: "Node.js with PostgreSQL",
        greeting: "apps/api/greeting.js",
        keeps: Keeps::Notes,
        ..BY_NPM
    },
    Example { folder: "express-notes", ..BY_NPM },
    Example {
        folder: "express-notes",
        variant: Some(&DRIZZLE),
        title: "Node.js with PostgreSQL",
        keeps: Keeps::Notes,
        ..BY_NPM
    },
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
    Example {
        folder: "own-dockerfile",
        title: "the repository's own Dockerfile with PostgreSQL",
        greeting: "guestbook/greeting.py",
        ..BY_PIP
    },
    Example {
        folder: "own-compose",
        title: "the repository's own Compose file with `db` and `worker`",
        keeps: Keeps::Notes,
        // By its second service, of the one note that is there then.
        pages: &[("", "words that the worker has counted: 1")],
        quick: true,
        ..BY_NPM
    },
];

impl Example {
    /// What it is called in the table.
    fn name(&self) -> String {
        let variant = self.variant.map(|variant| format!(" {}", variant.name)).unwrap_or_default();
        let host = if self.own_host { ", on a host of its own" } else { "" };
        format!("`{}`{variant}{host}", self.folder)
    }

    /// The changes that make a pull request of it: what is different from the example, and a sentence of its own.
    fn changes(&self, tree: &Tree, sentence: &str) -> Vec<Change> {
        let example = variants::read(&variants::example_folder(self.folder));
        let removed = example.keys().filter(|path| !tree.contains_key(*path)).map(Change::delete);
        let written = tree.iter().filter(|(path, bytes)| example.get(*path) != Some(bytes));
        let written = written.map(|(path, bytes)| Change::write(path, bytes.clone()));
        removed.chain(written).chain([self.says(tree, sentence)]).chain(self.afresh(tree)).collect()
    }

    /// Another sentence.
    fn says(&self, tree: &Tree, sentence: &str) -> Change {
        let text = text(tree, self.greeting);
        assert!(text.contains(MAIN), "{}: {text}", self.greeting);
        Change::write(self.greeting, text.replace(MAIN, sentence))
    }

    /// Has the dependencies installed anew, whatever earlier builds on this machine have left.
    fn afresh(&self, tree: &Tree) -> Option<Change> {
        let (path, comment) = self.manifest?;
        Some(Change::write(path, format!("{}\n{comment} {}\n", text(tree, path), crate::rig::unique_owner())))
    }
}

fn text<'a>(tree: &'a Tree, path: &str) -> &'a str {
    std::str::from_utf8(&tree[path]).unwrap()
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

/// How long it took until the page was there.
struct Times {
    first: Duration,
    update: Duration,
}

async fn deploy(example: &Example) -> Times {
    let folder = variants::example_folder(example.folder);
    let setup = Setup::new().folder(folder.clone()).set("HEALTH_TIMEOUT_SECONDS", 120);
    let rig = if example.own_host { setup.domain("previews.localhost") } else { setup }.start().await;
    let mut tree = variants::read(&folder);
    if let Some(variant) = example.variant {
        tree = variant.of(tree).await;
    }
    let changes = example.changes(&tree, "Hello one");
    let begun = Instant::now();
    let pull = rig.open_with(changes).await;
    until_shown(&rig, &pull, "Hello one").await;
    let first = begun.elapsed();
    example.keeps.check(&rig, &pull, "first", &[]).await;
    for (path, wanted) in example.pages {
        rig.until_answers(&format!("{}{path}", rig.url(&pull)), wanted).await;
    }
    let reached =
        if example.names.is_empty() { BTreeSet::new() } else { page::reached(&rig.http, &rig.url(&pull)).await };
    for part in example.names {
        assert!(reached.iter().any(|address| address.contains(part)), "{part}: {reached:?}");
    }
    let mut before = vec!["first"];
    if example.form {
        page::send_form(&rig.http, &rig.url(&pull), "by form").await;
        before.insert(0, "by form");
    }
    rig.until_comment(&pull, example.title).await;
    let log = self::log(&rig, &pull, "build").await;
    assert!(log.contains(example.installing), "{log}");
    if let Some(migrated) = example.variant.and_then(|variant| variant.migrated) {
        let log = self::log(&rig, &pull, "migrate").await;
        assert!(log.contains(migrated), "{log}");
    }

    let begun = Instant::now();
    pull.push(vec![example.says(&tree, "Hello two")]).await.unwrap();
    until_shown(&rig, &pull, "Hello two").await;
    let update = begun.elapsed();
    example.keeps.check(&rig, &pull, "second", &before).await;
    let log = self::log(&rig, &pull, "build").await;
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

/// What the newest build or migration has said.
async fn log(rig: &Rig, pull: &Pull, stream: &str) -> String {
    let url = format!("{}/api/previews/{}/logs?stream={stream}&lines=2000", rig.api, rig.id(pull));
    rig.http.get(url).bearer_auth(TOKEN).send().await.unwrap().text().await.unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn examples_are_deployed_updated_and_removed() {
    let wanted = std::env::var("EXAMPLES").ok();
    let chosen = |example: &&Example| match wanted.as_deref() {
        None => example.quick,
        Some("all") => true,
        Some(word) => example.name().contains(word),
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
