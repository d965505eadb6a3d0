//! The applications of `examples/`, as they are on GitHub, and the commits that the demo makes of them.

use preview_simulator::Change;

/// The sentence that every example shows.
const MAIN: &str = "Hello from the main branch";

/// An example.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum App {
    /// A guest book: NestJS with PostgreSQL.
    NestjsPostgres,
    /// One page: Go, no database.
    GoHello,
}

/// A commit that can be pushed to an example.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Commit {
    /// The pull request's first: another sentence.
    First,
    /// Yet another sentence.
    Second,
    /// Doesn't compile.
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
    /// The repository's name.
    pub(super) fn repository(self) -> &'static str {
        match self {
            Self::NestjsPostgres => "guest-book",
            Self::GoHello => "hello",
        }
    }

    /// What it is made of.
    pub(super) fn title(self) -> &'static str {
        match self {
            Self::NestjsPostgres => "a NestJS app with PostgreSQL",
            Self::GoHello => "a Go app",
        }
    }

    /// Whether it keeps notes, at `api/notes`.
    pub(super) fn keeps_notes(self) -> bool {
        self == Self::NestjsPostgres
    }

    /// All its files.
    pub(super) fn files(self) -> Vec<Change> {
        self.embedded().iter().map(|(path, text)| Change::write(*path, *text)).collect()
    }

    /// What a commit changes.
    pub(super) fn change(self, commit: Commit) -> Change {
        let (path, text) = match (self, commit) {
            (Self::NestjsPostgres, Commit::Broken) => {
                ("src/greeting.ts", format!("export const GREETING: number = '{}';\n", commit.sentence()))
            }
            (Self::NestjsPostgres, _) => (
                "src/greeting.ts",
                include_str!("../../../../../examples/nestjs-postgres/src/greeting.ts")
                    .replace(MAIN, commit.sentence()),
            ),
            (Self::GoHello, _) => {
                let text =
                    include_str!("../../../../../examples/go-hello/greeting.go").replace(MAIN, commit.sentence());
                // A text that never ends.
                let text = if commit == Commit::Broken {
                    text.trim_end().trim_end_matches('"').to_owned() + "\n"
                } else {
                    text
                };
                ("greeting.go", text)
            }
        };
        Change::write(path, text)
    }

    fn embedded(self) -> &'static [(&'static str, &'static str)] {
        match self {
            Self::NestjsPostgres => NESTJS_POSTGRES,
            Self::GoHello => GO_HELLO,
        }
    }
}

/// Files of an example, embedded, so that an installed binary has them too.
macro_rules! example {
    ($folder:literal: $($path:literal),+ $(,)?) => {
        &[$(($path, include_str!(concat!("../../../../../examples/", $folder, "/", $path)))),+]
    };
}

const NESTJS_POSTGRES: &[(&str, &str)] = example!("nestjs-postgres":
    ".dockerignore",
    ".gitignore",
    "README.md",
    "nest-cli.json",
    "package-lock.json",
    "package.json",
    "preview-config.yml",
    "src/app.module.ts",
    "src/database.ts",
    "src/greeting.ts",
    "src/guest-book.ts",
    "src/health.controller.ts",
    "src/main.ts",
    "src/notes.controller.ts",
    "src/page.controller.ts",
    "src/page.ts",
    "tsconfig.build.json",
    "tsconfig.json",
);

const GO_HELLO: &[(&str, &str)] = example!("go-hello":
    ".gitignore",
    "README.md",
    "go.mod",
    "greeting.go",
    "main.go",
    "page.html",
    "preview-config.yml",
);

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;

    /// Paths of an example as it is in this repository, without what building it there leaves behind.
    fn on_disk(folder: &str) -> Vec<String> {
        let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../examples").join(folder);
        let changes = Change::folder(&root).unwrap();
        let paths = changes.into_iter().filter_map(|change| match change {
            Change::Write { path, .. } if !path.starts_with("dist/") => Some(path),
            _ => None,
        });
        let mut paths: Vec<_> = paths.collect();
        paths.sort();
        paths
    }

    #[test]
    fn every_file_of_the_examples_is_embedded() {
        for (app, folder) in [(App::NestjsPostgres, "nestjs-postgres"), (App::GoHello, "go-hello")] {
            let mut embedded: Vec<&str> = app.embedded().iter().map(|(path, _)| *path).collect();
            embedded.sort_unstable();
            assert_eq!(embedded, on_disk(folder), "{folder}");
        }
    }

    #[test]
    fn every_commit_changes_the_sentence() {
        for app in [App::NestjsPostgres, App::GoHello] {
            for commit in [Commit::First, Commit::Second, Commit::Broken] {
                let Change::Write { path, bytes, .. } = app.change(commit) else { panic!("{app:?} {commit:?}") };
                let text = String::from_utf8(bytes).unwrap();
                assert!(text.contains(commit.sentence()), "{path}: {text}");
            }
        }
    }
}
