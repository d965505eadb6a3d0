//! What one entry of the table of causes is, and how a log is looked through for it.

use super::names::{Kind, Word};
use super::{Diagnosis, Phase};

use Sign::{Above, Below, Names, NamesBeside, Says};

/// One cause.
#[derive(Debug)]
pub(super) struct Rule {
    /// Its name: the folder of its logs, and nothing that people see.
    pub(super) name: &'static str,
    /// In whose words it is looked for.
    pub(super) phases: &'static [Phase],
    /// What shows it.
    pub(super) signs: &'static [Sign],
    /// What its lines name, in place of `{}`.
    pub(super) kind: Kind,
    /// The end of a sentence; `{}` becomes "the module `x`", or "a module" where the line names none that may be repeated.
    pub(super) cause: &'static str,
    /// What to try.
    pub(super) advice: &'static str,
}

/// What a line has to look like.
#[derive(Debug, Clone, Copy)]
pub(super) enum Sign {
    /// All of these words stand in it, in any order.
    Says(&'static [&'static str]),
    /// It names something, between these two; without the second, the name goes to the next space or the line's end.
    Names(&'static str, &'static str),
    /// As `Names`, where these words stand in the log too.
    NamesBeside(&'static str, &'static str, &'static str),
    /// The line below one that says this names something, up to these words.
    Below(&'static str, &'static str),
    /// The line above one that says this is a name.
    Above(&'static str),
}

impl Rule {
    /// What it says of a log, if any of its signs is there.
    pub(super) fn of(&self, log: &[String]) -> Option<Diagnosis> {
        let words = self.signs.iter().filter_map(|sign| sign.last(log, self.kind)).max_by_key(|(line, _)| *line);
        words.map(|(_, name)| Diagnosis {
            rule: self.name,
            cause: self.cause.replace("{}", &self.kind.with(name.as_deref())),
            advice: self.advice.to_owned(),
        })
    }
}

impl Sign {
    /// The last line that fits, and what it names.
    fn last(self, log: &[String], kind: Kind) -> Option<(usize, Option<String>)> {
        if let NamesBeside(_, _, beside) = self
            && !log.iter().any(|line| line.contains(beside))
        {
            return None;
        }
        (0..log.len()).rev().find_map(|at| {
            let word = match self {
                Says(all) => return all.iter().all(|word| log[at].contains(word)).then_some((at, None)),
                Names(before, after) | NamesBeside(before, after, _) => between(&log[at], before, after)?,
                Below(says, after) => between(log.get(at + 1).filter(|_| log[at].contains(says))?, "", after)?,
                Above(says) => log.get(at.checked_sub(1)?).filter(|_| log[at].contains(says))?,
            };
            match kind.of(word) {
                Word::Is(name) => Some((at, Some(name))),
                Word::Unspeakable => Some((at, None)),
                Word::IsNot => None,
            }
        })
    }
}

/// What stands between the two; without the second, up to the next space.
fn between<'a>(line: &'a str, before: &str, after: &str) -> Option<&'a str> {
    let (_, rest) = line.split_once(before)?;
    if after.is_empty() {
        return Some(rest.split_whitespace().next().unwrap_or_default());
    }
    rest.split_once(after).map(|(name, _)| name)
}
