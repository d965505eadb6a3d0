//! The applications of `examples/`, as they are on GitHub, and the commits that the demo makes of them.

use std::sync::LazyLock;

use clap::ValueEnum;
use clap::builder::PossibleValue;
use preview_simulator::Change;

/// The sentence that every example shows.
const MAIN: &str = "Hello from the main branch";

/// Every file of `examples/`, by its path in the repository (`build.rs` puts them in).
static FILES: &[(&str, &[u8])] = include!(concat!(env!("OUT_DIR"), "/examples.rs"));

/// An example.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct App {
    /// Its folder, which is also how it is asked for.
    folder: &'static str,
    /// The repository's name.
    pub(super) repository: &'static str,
    /// What it is made of, behind `a pull request in …,`.
    pub(super) title: &'static str,
    /// The file with the sentence.
    greeting: &'static str,
    /// Whether it keeps notes, at `api/notes`, over an update.
    pub(super) keeps_notes: bool,
    /// Whether a mistake in its source fails its build; else it doesn't run.
    pub(super) is_compiled: bool,
}

/// All there are. The first two are shown when nobody says which.
static APPS: [App; 15] = [
    App {
        folder: "nestjs-postgres",
        repository: "guest-book",
        title: "a NestJS app with PostgreSQL",
        greeting: "src/greeting.ts",
        keeps_notes: true,
        is_compiled: true,
    },
    App {
        folder: "go-hello",
        repository: "hello",
        title: "a Go app",
        greeting: "greeting.go",
        keeps_notes: false,
        is_compiled: true,
    },
    App {
        folder: "go-cmd",
        repository: "visitors",
        title: "a Go app with PostgreSQL",
        greeting: "cmd/guestbook/greeting.go",
        keeps_notes: false,
        is_compiled: true,
    },
    App {
        folder: "express-notes",
        repository: "notes",
        title: "an Express app",
        greeting: "greeting.js",
        keeps_notes: false,
        is_compiled: false,
    },
    App {
        folder: "express-mysql",
        repository: "notes",
        title: "an Express app with MySQL and Redis",
        greeting: "greeting.js",
        keeps_notes: true,
        is_compiled: false,
    },
    App {
        folder: "fastify-redis",
        repository: "notes",
        title: "a Fastify app with Redis",
        greeting: "greeting.js",
        keeps_notes: true,
        is_compiled: false,
    },
    App {
        folder: "workspace-api",
        repository: "monorepo",
        title: "a server in a workspace of npm",
        greeting: "packages/greeting/src/greeting.ts",
        keeps_notes: false,
        is_compiled: true,
    },
    App {
        folder: "workspace-postgres",
        repository: "monorepo",
        title: "one of two servers in a workspace of npm, with PostgreSQL",
        greeting: "apps/api/greeting.js",
        keeps_notes: true,
        is_compiled: false,
    },
    App {
        folder: "fastapi-postgres",
        repository: "guest-book",
        title: "a FastAPI app with PostgreSQL",
        greeting: "app/greeting.py",
        keeps_notes: true,
        is_compiled: false,
    },
    App {
        folder: "flask-postgres",
        repository: "guest-book",
        title: "a Flask app with PostgreSQL",
        greeting: "greeting.py",
        keeps_notes: true,
        is_compiled: false,
    },
    App {
        folder: "django-postgres",
        repository: "guest-book",
        title: "a Django app with PostgreSQL",
        greeting: "notes/greeting.py",
        keeps_notes: true,
        is_compiled: false,
    },
    App {
        folder: "rust-axum-postgres",
        repository: "guest-book",
        title: "a Rust app with PostgreSQL",
        greeting: "src/greeting.rs",
        keeps_notes: true,
        is_compiled: true,
    },
    App {
        folder: "laravel-mysql",
        repository: "guest-book",
        title: "a Laravel app with MySQL",
        greeting: "config/greeting.php",
        keeps_notes: true,
        is_compiled: false,
    },
    App {
        folder: "own-dockerfile",
        repository: "guest-book",
        title: "an aiohttp app with PostgreSQL, by its own Dockerfile",
        greeting: "guestbook/greeting.py",
        keeps_notes: true,
        is_compiled: false,
    },
    App {
        folder: "own-compose",
        repository: "guest-book",
        title: "an app with a worker and PostgreSQL, by its own Compose file",
        greeting: "greeting.js",
        keeps_notes: true,
        is_compiled: false,
    },
];

/// Which examples.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Choice {
    /// The whole story of the first, then the second's beginning.
    All,
    /// One of them.
    One(&'static App),
}

impl Choice {
    /// In the order of the story.
    pub(super) fn apps(self) -> Vec<&'static App> {
        match self {
            Self::All => APPS.iter().take(2).collect(),
            Self::One(app) => vec![app],
        }
    }
}

impl ValueEnum for Choice {
    fn value_variants<'a>() -> &'a [Self] {
        static CHOICES: LazyLock<Vec<Choice>> =
            LazyLock::new(|| [Choice::All].into_iter().chain(APPS.iter().map(Choice::One)).collect());
        &CHOICES
    }

    fn to_possible_value(&self) -> Option<PossibleValue> {
        Some(match self {
            Self::All => PossibleValue::new("all").help("The whole story of the first, then the second's beginning"),
            Self::One(app) => PossibleValue::new(app.folder).help(app.title),
        })
    }
}

/// A commit that can be pushed to an example.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Commit {
    /// The pull request's first: another sentence.
    First,
    /// Yet another sentence.
    Second,
    /// A sentence that never ends: in no language a program.
    Broken,
}

impl Commit {
    /// The sentence that the page shows with it.
    pub(super) fn sentence(self) -> &'static str {
        match self {
            Self::First => "Hello from a pull request",
            Self::Second => "Hello from its second commit",
            Self::Broken => "Hello from nowhere",
        }
    }
}

impl App {
    /// All its files.
    pub(super) fn files(&self) -> Vec<Change> {
        self.embedded().map(|(path, content)| Change::write(path, content)).collect()
    }

    /// What a commit changes.
    pub(super) fn change(&self, commit: Commit) -> Change {
        let file = self.embedded().find(|(path, _)| *path == self.greeting);
        let text = file.map(|(_, content)| String::from_utf8_lossy(content)).unwrap_or_default();
        let text = text.replace(MAIN, commit.sentence());
        let text = match text.rfind(['"', '\'']).filter(|_| commit == Commit::Broken) {
            Some(end) => format!("{}\n", &text[..end]),
            None => text,
        };
        Change::write(self.greeting, text)
    }

    /// What a commit is told by that is broken.
    pub(super) fn how_broken(&self) -> &'static str {
        if self.is_compiled { "does not compile" } else { "does not run" }
    }

    fn embedded(&self) -> impl Iterator<Item = (&'static str, &'static [u8])> {
        let within = |path: &'static str| path.strip_prefix("examples/")?.strip_prefix(self.folder)?.strip_prefix('/');
        FILES.iter().filter_map(move |(path, content)| Some((within(path)?, *content)))
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;

    fn examples() -> std::path::PathBuf {
        Path::new(env!("CARGO_MANIFEST_DIR")).join("../../examples")
    }

    #[test]
    fn every_example_can_be_asked_for() {
        let folders = std::fs::read_dir(examples()).unwrap().map(|entry| entry.unwrap());
        let folders = folders.filter(|entry| entry.file_type().unwrap().is_dir());
        let mut folders: Vec<_> = folders.map(|entry| entry.file_name().into_string().unwrap()).collect();
        let mut asked: Vec<&str> = APPS.iter().map(|app| app.folder).collect();
        folders.sort();
        asked.sort_unstable();
        assert_eq!(asked, folders);
        let story: Vec<&str> = Choice::All.apps().iter().map(|app| app.folder).collect();
        assert_eq!(story, ["nestjs-postgres", "go-hello"]);
    }

    #[test]
    fn every_file_of_the_examples_is_embedded() {
        for app in &APPS {
            // Without what building it there leaves behind.
            let built =
                |path: &str| path.split('/').any(|part| ["dist", "target", "__pycache__", ".venv"].contains(&part));
            let changes = Change::folder(&examples().join(app.folder)).unwrap();
            let on_disk = changes.into_iter().filter_map(|change| match change {
                Change::Write { path, bytes, .. } if !built(&path) => Some((path, bytes)),
                _ => None,
            });
            let mut on_disk: Vec<_> = on_disk.collect();
            on_disk.sort();
            let embedded: Vec<_> = app.embedded().map(|(path, bytes)| (path.to_owned(), bytes.to_vec())).collect();
            assert!(!embedded.is_empty() && embedded == on_disk, "{}", app.folder);
        }
    }

    #[test]
    fn every_commit_changes_the_sentence() {
        for app in &APPS {
            for commit in [Commit::First, Commit::Second, Commit::Broken] {
                let Change::Write { path, bytes, .. } = app.change(commit) else { panic!("{app:?} {commit:?}") };
                let text = String::from_utf8(bytes).unwrap();
                assert!(text.contains(commit.sentence()), "{path}: {text}");
                let quotes = text.matches(['"', '\'']).count();
                assert_eq!(quotes % 2 == 1, commit == Commit::Broken, "{path}: {text}");
            }
        }
    }
}
