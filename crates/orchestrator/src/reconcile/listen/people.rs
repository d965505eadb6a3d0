//! Who has asked for how much lately: in memory, for an hour, and for so many people at most.

use std::collections::{BTreeMap, VecDeque};
use std::time::Duration;

use tokio::time::Instant;

const HOUR: Duration = Duration::from_secs(3600);
/// Commands an hour of one person.
pub(super) const MOST_COMMANDS: usize = 20;
/// How often an hour GitHub is asked about somebody who turns out to have no say.
pub(super) const MOST_REFUSALS: usize = 3;
/// People remembered; beyond it the one who was quiet for longest is forgotten.
const MOST_PEOPLE: usize = 1000;

/// People who gave commands in the last hour.
#[derive(Debug, Default)]
pub(super) struct People(BTreeMap<u64, Lately>);

#[derive(Debug, Default)]
struct Lately {
    commands: VecDeque<Instant>,
    refusals: VecDeque<Instant>,
    /// When a command of theirs was last marked as refused.
    told: Option<Instant>,
}

impl People {
    /// Counts a command. `false`: that is one too many.
    pub(super) fn admits(&mut self, person: u64, now: Instant) -> bool {
        let lately = self.lately(person, now);
        let admitted = lately.commands.len() < MOST_COMMANDS && lately.refusals.len() < MOST_REFUSALS;
        if admitted {
            lately.commands.push_back(now);
        }
        admitted
    }

    /// Counts that somebody has no say.
    pub(super) fn refuse(&mut self, person: u64, now: Instant) {
        self.lately(person, now).refusals.push_back(now);
    }

    /// Whether they are to be told that they may not: once an hour.
    pub(super) fn is_to_be_told(&mut self, person: u64, now: Instant) -> bool {
        let lately = self.lately(person, now);
        let due = lately.told.is_none_or(|told| told + HOUR <= now);
        if due {
            lately.told = Some(now);
        }
        due
    }

    fn lately(&mut self, person: u64, now: Instant) -> &mut Lately {
        if self.0.len() >= MOST_PEOPLE && !self.0.contains_key(&person) {
            let quiet = self.0.iter().min_by_key(|(_, lately)| lately.commands.back().copied());
            if let Some(quiet) = quiet.map(|(person, _)| *person) {
                self.0.remove(&quiet);
            }
        }
        let lately = self.0.entry(person).or_default();
        for times in [&mut lately.commands, &mut lately.refusals] {
            while times.front().is_some_and(|time| *time + HOUR <= now) {
                times.pop_front();
            }
        }
        lately
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_person_has_so_many_commands_an_hour_and_others_have_theirs() {
        let (mut people, now) = (People::default(), Instant::now());
        let admitted = (0..100).filter(|_| people.admits(1, now)).count();
        assert_eq!(admitted, MOST_COMMANDS);
        assert!(people.admits(2, now));
        assert!(people.is_to_be_told(1, now) && !people.is_to_be_told(1, now));
        let later = now + HOUR;
        assert!(people.admits(1, later) && people.is_to_be_told(1, later));
    }

    #[test]
    fn who_has_no_say_is_asked_about_a_few_times_and_memory_is_bounded() {
        let (mut people, now) = (People::default(), Instant::now());
        for _ in 0..MOST_REFUSALS {
            assert!(people.admits(1, now));
            people.refuse(1, now);
        }
        assert!(!people.admits(1, now));
        for person in 0..10 * MOST_PEOPLE as u64 {
            people.admits(person, now);
        }
        assert_eq!(people.0.len(), MOST_PEOPLE);
    }
}
