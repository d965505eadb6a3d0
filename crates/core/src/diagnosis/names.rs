//! Names found in logs: what kind of thing they are, and whether they may be repeated.
//!
//! A log is hostile text. Of a line, a cause repeats at most one word, of few characters and no surprising ones; what isn't such a
//! word is left out, and the sentence says "a module" where it would have said which.

use crate::repo_config::{ContainerPort, EnvName};

/// Longest name that is repeated, in characters.
const LONGEST: usize = 80;

/// What a rule's line may name.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    /// A module of a language, by the name by which it is asked for.
    Module,
    /// A package of a registry.
    Package,
    /// A file or folder, by its path.
    File,
    /// A library of the system's, by the name of its file.
    Library,
    /// A script of `package.json`.
    Script,
    /// A program.
    Command,
    /// A variable of the environment.
    Variable,
    /// A host.
    Host,
    /// A port.
    Port,
    /// A table of a database.
    Table,
    /// A migration of a database.
    Migration,
}

/// What becomes of a word that stands where a name should.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Word {
    /// It is such a name.
    Is(String),
    /// It is something else altogether: the line is about something else too.
    IsNot,
    /// It may be one, and isn't repeated.
    Unspeakable,
}

impl Kind {
    /// The name as part of a sentence.
    pub(super) fn with(self, name: Option<&str>) -> String {
        match name {
            Some(name) => format!("the {} `{name}`", self.noun()),
            None => format!("a {}", self.noun()),
        }
    }

    fn noun(self) -> &'static str {
        match self {
            Self::Module => "module",
            Self::Package => "package",
            Self::File => "file",
            Self::Library => "library",
            Self::Script => "script",
            Self::Command => "program",
            Self::Variable => "variable",
            Self::Host => "host",
            Self::Port => "port",
            Self::Table => "table",
            Self::Migration => "migration",
        }
    }

    /// What this word is.
    pub(super) fn of(self, word: &str) -> Word {
        let word = word.trim().trim_matches(['"', '\'', '`', ',', ';', ':']);
        let word = word.trim_end_matches('.');
        let is_path = word.starts_with('/') || word.starts_with('.');
        match self {
            Self::Module if is_path => return Word::IsNot,
            Self::File if !is_path && !word.contains('.') => return Word::IsNot,
            Self::Port if word.parse::<ContainerPort>().is_err() => return Word::Unspeakable,
            Self::Variable if word.parse::<EnvName>().is_err() => return Word::Unspeakable,
            _ => {}
        }
        let plain = |c: char| c.is_ascii_alphanumeric() || "@/._:+=-".contains(c);
        let speakable = !word.is_empty() && word.len() <= LONGEST && word.chars().all(plain);
        if speakable { Word::Is(word.to_owned()) } else { Word::Unspeakable }
    }
}
