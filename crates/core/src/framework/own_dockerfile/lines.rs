//! A Dockerfile's lines, joined into instructions as BuildKit joins them.
//!
//! Frontends of different ages join them differently, so they are read in every dialect. What no dialect reads as some frontend would is
//! refused: a carriage return within a line, and a document of which it can't be told where it ends.

use std::cell::OnceCell;
use std::collections::HashMap;

use super::DockerfileError;
use super::heredocs::{Heredocs, Loose, heredocs};

/// Every instruction of the reference.
const INSTRUCTIONS: [&str; 18] = [
    "ADD",
    "ARG",
    "CMD",
    "COPY",
    "ENTRYPOINT",
    "ENV",
    "EXPOSE",
    "FROM",
    "HEALTHCHECK",
    "LABEL",
    "MAINTAINER",
    "ONBUILD",
    "RUN",
    "SHELL",
    "STOPSIGNAL",
    "USER",
    "VOLUME",
    "WORKDIR",
];

/// In what frontends of different ages differ.
#[derive(Clone, Copy)]
pub(super) struct Dialect {
    /// What begins a document that isn't instructions.
    heredocs: Heredocs,
    /// An escaped escape character at the end of a line continues it too.
    escaped_escape_continues: bool,
}

impl Dialect {
    /// All there are; the newest frontends' first.
    pub(super) const ALL: [Self; 6] = [
        Self { heredocs: Heredocs::Spaced, escaped_escape_continues: false },
        Self { heredocs: Heredocs::Tight, escaped_escape_continues: false },
        Self { heredocs: Heredocs::Spaced, escaped_escape_continues: true },
        Self { heredocs: Heredocs::Tight, escaped_escape_continues: true },
        Self { heredocs: Heredocs::None, escaped_escape_continues: false },
        Self { heredocs: Heredocs::None, escaped_escape_continues: true },
    ];
}

/// An instruction with its continued lines joined.
#[derive(PartialEq, Eq)]
pub(super) struct Instruction {
    /// In capitals.
    pub(super) name: String,
    pub(super) arguments: String,
    /// Where it begins, from 1.
    pub(super) line: usize,
}

impl Instruction {
    /// Whether there is such an instruction.
    pub(super) fn is_known(&self) -> bool {
        is_instruction(&self.name)
    }
}

/// Whether there is an instruction of this name, in capitals.
pub(super) fn is_instruction(name: &str) -> bool {
    INSTRUCTIONS.contains(&name)
}

/// Whether a frontend that reads them so can build them: it refuses all of a file for one word that it doesn't know.
pub(super) fn all_known(instructions: &[Instruction]) -> bool {
    instructions.iter().all(Instruction::is_known)
}

/// An instruction's name in capitals, and its arguments. Other blanks than these BuildKit takes for a part of the name.
pub(super) fn split_name(instruction: &str) -> (String, String) {
    let blanks = ['\t', '\u{B}', '\u{C}', '\r', ' '];
    let (name, arguments) = instruction.split_once(blanks).unwrap_or((instruction, ""));
    (in_capitals(name), arguments.trim().to_owned())
}

/// A name as BuildKit compares it: two letters beside those of ASCII count as `i` and `k` to it.
fn in_capitals(name: &str) -> String {
    let capital = |c: char| match c {
        '\u{130}' => 'I',
        '\u{212A}' => 'K',
        other => other.to_ascii_uppercase(),
    };
    name.chars().map(capital).collect()
}

/// The lines of a text, and where each stands last: so that nobody looks twice for what isn't there.
pub(super) struct Lines<'a> {
    all: Vec<&'a str>,
    plain: HashMap<&'a str, usize>,
    untabbed: HashMap<&'a str, usize>,
    loose: OnceCell<Loose>,
}

impl<'a> Lines<'a> {
    /// Refuses what isn't the same lines to everybody: BuildKit takes all carriage returns off a line's end, others one.
    pub(super) fn of(text: &'a str) -> Result<Self, DockerfileError> {
        let all: Vec<&str> = text.lines().collect();
        if let Some(index) = all.iter().position(|line| line.contains('\r')) {
            return Err(DockerfileError::LineEnd(index + 1));
        }
        let numbered = || all.iter().copied().enumerate();
        Ok(Self {
            plain: numbered().map(|(index, line)| (line, index)).collect(),
            untabbed: numbered().map(|(index, line)| (line.trim_start_matches('\t'), index)).collect(),
            all,
            loose: OnceCell::new(),
        })
    }

    /// The first line behind an instruction's documents, which begin at `at`; `None` where that can't be told. A document without an end
    /// isn't one.
    fn behind_heredocs(&self, instruction: &Instruction, spaced: bool, mut at: usize) -> Option<usize> {
        let Ok(documents) = heredocs(instruction, spaced) else {
            // Nothing is built where none of them ends.
            let loose = self.loose.get_or_init(|| Loose::of(&self.all));
            return (!loose.may_end(&instruction.arguments, at)).then_some(at);
        };
        for document in documents {
            let last = if document.tabs { &self.untabbed } else { &self.plain };
            if last.get(document.name).is_none_or(|last| *last < at) {
                return Some(at);
            }
            let ends = |line: &&str| match document.tabs {
                true => line.trim_start_matches('\t') == document.name,
                false => **line == *document.name,
            };
            at += self.all[at..].iter().position(ends).map_or(0, |body| body + 1);
        }
        Some(at)
    }
}

/// The instructions of a text.
pub(super) fn instructions(
    lines: &Lines<'_>,
    escape: char,
    dialect: Dialect,
) -> Result<Vec<Instruction>, DockerfileError> {
    let mut found = Vec::new();
    let mut at = 0;
    while at < lines.all.len() {
        let line = at + 1;
        let logical;
        (logical, at) = logical_line(&lines.all, at, escape, dialect);
        let logical = logical.trim();
        if logical.is_empty() {
            continue;
        }
        let (name, arguments) = split_name(logical);
        let instruction = Instruction { name, arguments, line };
        if dialect.heredocs != Heredocs::None
            && instruction.arguments.contains("<<")
            && may_have_documents(&instruction)
        {
            let behind = lines.behind_heredocs(&instruction, dialect.heredocs == Heredocs::Spaced, at);
            at = behind.ok_or(DockerfileError::Heredoc(line))?;
        }
        found.push(instruction);
    }
    Ok(found)
}

fn may_have_documents(instruction: &Instruction) -> bool {
    let may = |name: &str| ["RUN", "COPY", "ADD"].contains(&name);
    may(&instruction.name) || instruction.name == "ONBUILD" && may(&instruction.in_effect().0)
}

/// The line at `at` with all that continue it, and the first one behind.
fn logical_line(lines: &[&str], mut at: usize, escape: char, dialect: Dialect) -> (String, usize) {
    let mut logical = String::new();
    let mut goes_on = true;
    while goes_on && at < lines.len() {
        // Within a continued instruction, comments and blank lines are dropped.
        let trimmed = lines[at].trim_start();
        if !trimmed.is_empty() && !trimmed.starts_with('#') {
            let (part, continued) = continuation(lines[at], escape, dialect);
            logical.push_str(part);
            goes_on = continued;
        } else if logical.is_empty() {
            goes_on = false;
        }
        at += 1;
    }
    (logical, at)
}

/// A line without the mark that the next one continues it, and whether it has that mark.
fn continuation(line: &str, escape: char, dialect: Dialect) -> (&str, bool) {
    let Some(part) = line.trim_end_matches([' ', '\t']).strip_suffix(escape) else { return (line, false) };
    if part.ends_with(escape) && !dialect.escaped_escape_continues { (line, false) } else { (part, true) }
}
