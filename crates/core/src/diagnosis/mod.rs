//! Why did it fail, and what helps? From what is known of a failure to a cause in one line, and what to try.
//!
//! Evidence is of two kinds. Facts come from the engine and the kernel: an exit code, a kill for want of memory, an answer's
//! status, the ports that something listens on. They are asked first (`app`). A log is what a pull request's own code
//! says: hostile text, in which a table of `rules` looks for the words of known tools. It may mislead its own author and nobody else:
//! whose fault a failure is, and whether to try again, is never decided here.
//!
//! A new rule is an entry in `rules` and a log that was really written, in `fixtures/PHASE/RULE/TOOL.log`.

use crate::plain_text::clean;

mod app;
mod listening;
mod names;
mod rule;
mod rules;

pub use app::{Illness, Symptom};
pub use listening::listening;

/// The name of the rule that tells of an image which its registry doesn't have, or gives to nobody.
pub const NO_IMAGE: &str = rules::NO_IMAGE;

/// How many of a log's last lines are looked at, and how much of each.
const LINES: usize = 400;
const LINE_CHARS: usize = 1_000;

/// Whose words a log is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Phase {
    /// BuildKit's, Compose's or the engine's own.
    Engine,
    /// Of a step of a build.
    Build,
    /// Of an app, or of a program that is run before it.
    Run,
}

/// What is the matter.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Diagnosis {
    /// The rule's name.
    pub rule: &'static str,
    /// In one line, as the end of a sentence.
    pub cause: String,
    /// What to try, in whole sentences.
    pub advice: String,
}

/// What a log tells of the failure that it ends with; `None` where no rule knows.
pub fn of_log<'a>(phase: Phase, log: impl IntoIterator<Item = &'a str>) -> Option<Diagnosis> {
    rules::first(phase, &readable(log))
}

/// The end of a log as it is looked at: no colours, no endless lines.
fn readable<'a>(log: impl IntoIterator<Item = &'a str>) -> Vec<String> {
    let mut lines: Vec<String> = log.into_iter().map(|line| clean(line).chars().take(LINE_CHARS).collect()).collect();
    lines.split_off(lines.len().saturating_sub(LINES))
}

#[cfg(test)]
mod tests;
