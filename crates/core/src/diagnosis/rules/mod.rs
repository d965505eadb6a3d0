//! What logs say, one entry a cause: the words of known tools, what they mean, what helps.
//!
//! The first rule that any line fits is the answer, so the more exact ones come first, and the chapters stand in the order in which they
//! are asked. Of several lines that fit a rule the last counts: an app that is started again and again says it again and again.

mod databases;
mod engine;
mod machine;
mod missing;
mod networks;
mod packages;
mod releases;

use super::names::Kind;
use super::rule::{Rule, Sign};
use super::{Diagnosis, Phase};

pub(super) use engine::NO_IMAGE;

/// The rules by what they are about.
const CHAPTERS: [&[Rule]; 7] = [
    machine::RULES,
    missing::RULES,
    databases::RULES,
    releases::RULES,
    networks::RULES,
    packages::RULES,
    engine::RULES,
];

/// All rules, in the order in which they are asked.
pub(super) fn all() -> impl Iterator<Item = &'static Rule> {
    CHAPTERS.into_iter().flatten()
}

/// The first rule that a log fits.
pub(super) fn first(phase: Phase, log: &[String]) -> Option<Diagnosis> {
    all().filter(|rule| rule.phases.contains(&phase)).find_map(|rule| rule.of(log))
}
