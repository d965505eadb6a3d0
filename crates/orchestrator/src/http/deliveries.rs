//! The last deliveries and what became of each: for whoever wonders why a push did nothing. In memory alone; GitHub keeps
//! its own list.

use std::collections::VecDeque;
use std::sync::{Mutex, PoisonError};

use jiff::Timestamp;
use preview_core::ids::{PrNumber, PullKey, RepoId};
use serde::Serialize;

/// How many are kept of those that GitHub signed, and of those that anybody may have sent: nobody without the secret can
/// push the others out.
const SIGNED: usize = 450;
const UNSIGNED: usize = 50;
/// Characters kept of any text.
const LONGEST: usize = 200;

/// What was done with a delivery.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub(super) enum Decision {
    /// Written down; the pull request is looked at.
    Accepted,
    /// It changes nothing.
    Ignored,
    /// It was not what it should be, or could not be taken.
    Refused,
}

/// One delivery.
#[derive(Debug, Clone, Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Entry {
    pub(super) at: Timestamp,
    pub(super) guid: Option<String>,
    pub(super) event: Option<String>,
    pub(super) action: Option<String>,
    pub(super) repository: Option<String>,
    pub(super) repository_id: Option<RepoId>,
    pub(super) pr_number: Option<PrNumber>,
    /// Whether it bore the right signature.
    pub(super) signed: bool,
    pub(super) decision: Decision,
    pub(super) reason: String,
}

/// The last of them.
#[derive(Debug, Default)]
pub(super) struct Deliveries {
    rings: Mutex<Rings>,
}

#[derive(Debug, Default)]
struct Rings {
    signed: VecDeque<Entry>,
    unsigned: VecDeque<Entry>,
}

impl Deliveries {
    /// Adds one; the oldest of its kind goes when there are too many.
    pub(super) fn note(&self, mut entry: Entry) {
        for text in [&mut entry.guid, &mut entry.event, &mut entry.action, &mut entry.repository].into_iter().flatten()
        {
            cut(text);
        }
        cut(&mut entry.reason);
        let mut rings = self.rings.lock().unwrap_or_else(PoisonError::into_inner);
        let (ring, most) = if entry.signed { (&mut rings.signed, SIGNED) } else { (&mut rings.unsigned, UNSIGNED) };
        if ring.len() == most {
            ring.pop_front();
        }
        ring.push_back(entry);
    }

    /// The last so many about a pull request that GitHub signed, the newest first.
    pub(super) fn about(&self, key: PullKey, most: usize) -> Vec<Entry> {
        let rings = self.rings.lock().unwrap_or_else(PoisonError::into_inner);
        let about = |entry: &&Entry| (entry.repository_id, entry.pr_number) == (Some(key.repo), Some(key.number));
        rings.signed.iter().rev().filter(about).take(most).cloned().collect()
    }

    /// All that are kept, the newest first.
    pub(super) fn newest_first(&self) -> Vec<Entry> {
        let rings = self.rings.lock().unwrap_or_else(PoisonError::into_inner);
        let mut all: Vec<Entry> = rings.signed.iter().chain(&rings.unsigned).rev().cloned().collect();
        all.sort_by_key(|entry| std::cmp::Reverse(entry.at));
        all
    }
}

fn cut(text: &mut String) {
    if let Some((end, _)) = text.char_indices().nth(LONGEST) {
        text.truncate(end);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn entry(second: i64, signed: bool) -> Entry {
        Entry {
            at: Timestamp::from_second(second).unwrap(),
            guid: Some("é".repeat(1000)),
            event: None,
            action: None,
            repository: None,
            repository_id: None,
            pr_number: None,
            signed,
            decision: Decision::Ignored,
            reason: String::new(),
        }
    }

    #[test]
    fn the_newest_stay_and_strangers_push_out_nobody() {
        let deliveries = Deliveries::default();
        deliveries.note(entry(0, true));
        (1..=1000).for_each(|second| deliveries.note(entry(second, false)));
        let kept = deliveries.newest_first();
        assert_eq!(kept.len(), UNSIGNED + 1);
        assert_eq!(kept.first().unwrap().at, Timestamp::from_second(1000).unwrap());
        assert!(kept.last().unwrap().signed);
        (1..=1000).for_each(|second| deliveries.note(entry(second, true)));
        assert_eq!(deliveries.newest_first().len(), SIGNED + UNSIGNED);
    }

    #[test]
    fn texts_are_cut() {
        let deliveries = Deliveries::default();
        deliveries.note(entry(0, true));
        let kept = deliveries.newest_first();
        assert_eq!(kept[0].guid.as_ref().unwrap().chars().count(), LONGEST);
    }
}
