//! What the operator says.

use crate::doctor::{Check, Facts, Judgement};

pub(super) const CHECKS: [Check<Facts>; 2] = [
    Check {
        name: "settings",
        looks_at: "the service's settings",
        judge: settings,
        remedy: "correct them (docs/CONFIGURATION.md has them all) and restart the service",
    },
    Check {
        name: "misspelt",
        looks_at: "variables that are nearly settings",
        judge: misspelt,
        remedy: "write them as the setting is called",
    },
];

fn settings(facts: &Facts) -> Judgement {
    match &facts.mistakes {
        Err(why) => Judgement::unknown(why),
        Ok(mistakes) if mistakes.is_empty() => Judgement::ok("fine"),
        Ok(mistakes) => Judgement::problem(mistakes.join("; ")),
    }
}

fn misspelt(facts: &Facts) -> Judgement {
    if facts.misspelt.is_empty() { Judgement::ok("none") } else { Judgement::warning(facts.misspelt.join("; ")) }
}
