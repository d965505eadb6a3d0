//! Making a story that fails as short as it can be, and saying how to tell it again.

use std::collections::BTreeSet;

use super::script::Script;
use super::{Failure, tell};

/// Leaves out steps, many at once and then one by one, while the rest still fails.
pub(super) fn shrink(script: &Script, fails: &dyn Fn(&Script) -> bool) -> Script {
    let mut shortest = script.clone();
    let mut size = shortest.beats.len().div_ceil(2);
    while size > 0 {
        let mut shorter = false;
        for from in (0..shortest.beats.len()).step_by(size).rev() {
            let without: BTreeSet<usize> = shortest.places.iter().skip(from).take(size).copied().collect();
            let attempt = shortest.only(|place| !without.contains(&place));
            if attempt.beats.len() < shortest.beats.len() && fails(&attempt) {
                (shortest, shorter) = (attempt, true);
            }
        }
        if !shorter {
            size /= 2;
        }
    }
    shortest
}

/// What tells this very story again.
pub(super) fn command(script: &Script) -> String {
    let steps: Vec<String> = script.places.iter().map(usize::to_string).collect();
    let test = "cargo test -p preview-orchestrator --test reconcile every_story_ends_well";
    format!("STORY={} STEPS={} {test}", script.seed, steps.join(","))
}

/// The story at its shortest, what is wrong with it, and how to tell it again.
pub(super) fn report(failure: &Failure) -> String {
    let shortest = shrink(&failure.script, &|script| tell(script, None).is_err());
    let problems = tell(&shortest, None).err().unwrap_or_else(|| failure.problems.clone());
    format!(
        "story {} ended badly, and so does what is left of it:\n\n{shortest}\n\n{}\n\ntell it again:\n  {}\n",
        failure.script.seed,
        problems.join("\n"),
        command(&shortest)
    )
}
