//! The example applications, carried in the binary so that the demo works wherever it is installed.

use clap::ValueEnum;
use preview_simulator::Change;

/// An example application.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(super) enum App {
    /// NestJS with PostgreSQL.
    NestjsPostgres,
    /// Go, without a database.
    GoHello,
}

/// A file's path in its repository, and its bytes.
type File = (&'static str, &'static [u8]);

macro_rules! files {
    ($folder:literal: $($path:literal),* $(,)?) => {
        &[$(($path, include_bytes!(concat!("../../../../../examples/", $folder, "/", $path)))),*]
    };
}

const NESTJS: &[File] = files!("nestjs-postgres":
    ".dockerignore", ".gitignore", "README.md", "nest-cli.json", "package-lock.json", "package.json", "preview-config.yml",
    "tsconfig.build.json", "tsconfig.json", "src/app.module.ts", "src/database.ts", "src/greeting.ts", "src/guest-book.ts",
    "src/health.controller.ts", "src/main.ts", "src/notes.controller.ts", "src/page.controller.ts", "src/page.ts",
);
const GO: &[File] = files!("go-hello": ".gitignore", "README.md", "go.mod", "greeting.go", "main.go", "page.html", "preview-config.yml");

/// What the page says before anybody changes it.
pub(super) const GREETING: &str = "Hello from the main branch";
/// What it says after the demo's second push.
pub(super) const CHANGED: &str = "Hello from the second push";

impl App {
    /// Its folder's name, which is its repository's name too.
    pub(super) fn name(self) -> &'static str {
        match self {
            Self::NestjsPostgres => "nestjs-postgres",
            Self::GoHello => "go-hello",
        }
    }

    /// What people call it.
    pub(super) fn title(self) -> &'static str {
        match self {
            Self::NestjsPostgres => "a NestJS application with PostgreSQL",
            Self::GoHello => "a Go application",
        }
    }

    fn files(self) -> &'static [File] {
        match self {
            Self::NestjsPostgres => NESTJS,
            Self::GoHello => GO,
        }
    }

    /// Everything in its repository.
    pub(super) fn source(self) -> Vec<Change> {
        self.files().iter().map(|(path, bytes)| Change::write(*path, *bytes)).collect()
    }

    /// A change that the page shows.
    pub(super) fn visible_change(self, greeting: &str) -> [Change; 1] {
        let path = self.greeting_file();
        let file = self.files().iter().find(|(known, _)| *known == path);
        let text = String::from_utf8_lossy(file.map_or(&[], |(_, bytes)| bytes));
        [Change::write(path, text.replace(GREETING, greeting))]
    }

    /// A change that does not compile.
    pub(super) fn broken_change(self) -> [Change; 1] {
        let text = match self {
            Self::NestjsPostgres => "export const GREETING: number = 'not a number';\n",
            Self::GoHello => "package main\n\nconst greeting = \"not closed\n",
        };
        [Change::write(self.greeting_file(), text)]
    }

    fn greeting_file(self) -> &'static str {
        match self {
            Self::NestjsPostgres => "src/greeting.ts",
            Self::GoHello => "greeting.go",
        }
    }
}
