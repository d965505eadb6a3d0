//! Whose turn it is to be told: failures first, then whoever waits longest; what was written a moment ago waits, and so does
//! what could not be written.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::time::Duration;

use preview_core::ids::DeploymentId;
use tokio::time::Instant;

/// Comments an hour that ask for a fork's approval.
const MOST_ASKED: usize = 30;
const HOUR: Duration = Duration::from_secs(3600);
/// The longest rest of a comment that could not be written: an hour without GitHub must not cost it another one.
const LONGEST_REST: Duration = Duration::from_secs(300);

/// Who is to be told, and when.
#[derive(Default)]
pub(super) struct Turns {
    /// Those of which there is news, and since when.
    changed: BTreeMap<DeploymentId, Instant>,
    /// Not before this: a comment that was edited a moment ago, and one that could not be written.
    rests: BTreeMap<DeploymentId, Instant>,
    /// How often it could not be written, one after the other.
    failing: BTreeMap<DeploymentId, u32>,
    /// Whether the last that was tried could not be written.
    stuck: bool,
    /// When strangers' pull requests were written on in the last hour: whoever opens five hundred of them must not use up
    /// what GitHub lets us write.
    asked: VecDeque<Instant>,
    /// Nothing before this: GitHub asked for a pause, or seems to be ill.
    pause: Option<Instant>,
}

/// What to write next, or when to look again.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Next {
    Tell(DeploymentId),
    At(Option<Instant>),
}

impl Turns {
    /// There is news of it. Later news keeps the place of the first.
    pub(super) fn add(&mut self, id: &DeploymentId, now: Instant) {
        self.changed.entry(id.clone()).or_insert(now);
    }

    /// Nothing more is to be told of it.
    pub(super) fn forget(&mut self, id: &DeploymentId) {
        self.changed.remove(id);
        self.rests.remove(id);
        self.failing.remove(id);
    }

    /// How many wait to be told.
    pub(super) fn waiting(&self) -> usize {
        self.changed.len()
    }

    /// Whoever is told next is no longer among those who wait.
    pub(super) fn next(
        &mut self,
        now: Instant,
        failed: &BTreeSet<DeploymentId>,
        asking: &BTreeSet<DeploymentId>,
    ) -> Next {
        if let Some(pause) = self.pause.filter(|pause| *pause > now) {
            return Next::At(Some(pause));
        }
        self.pause = None;
        let next_ask = self.next_ask(now);
        let due = |id: &DeploymentId| {
            let due = self.rests.get(id).copied().unwrap_or(now);
            if asking.contains(id) { due.max(next_ask) } else { due }
        };
        let may_be_told = self.changed.iter().filter(|(id, _)| due(id) <= now);
        let first = may_be_told.min_by_key(|(id, since)| (!failed.contains(*id), asking.contains(*id), **since));
        let Some(id) = first.map(|(id, _)| id.clone()) else {
            return Next::At(self.changed.keys().map(due).min());
        };
        self.changed.remove(&id);
        Next::Tell(id)
    }

    /// It is being written, and not again within `gap`.
    pub(super) fn note_writing(&mut self, id: &DeploymentId, now: Instant, gap: Duration) {
        self.rests.insert(id.clone(), now + gap);
    }

    /// A comment that asks for approval was written. What GitHub did not take is no part of what it lets us write.
    pub(super) fn note_asked(&mut self, now: Instant) {
        while self.asked.front().is_some_and(|oldest| *oldest + HOUR <= now) {
            self.asked.pop_front();
        }
        self.asked.push_back(now);
    }

    /// It was written, or says so already.
    pub(super) fn note_success(&mut self, id: &DeploymentId) {
        self.failing.remove(id);
        self.stuck = false;
    }

    /// It could not be written. One such comment rests longer each time and keeps nobody else from being told; when the one
    /// before failed too, or GitHub says so, it is GitHub that needs the rest.
    pub(super) fn note_failure(
        &mut self,
        id: &DeploymentId,
        now: Instant,
        asked_to_wait: Option<Duration>,
        backoff: impl Fn(u32) -> Duration,
    ) {
        let tries = self.failing.entry(id.clone()).or_default();
        *tries += 1;
        self.rests.insert(id.clone(), now + backoff(*tries).min(LONGEST_REST));
        if asked_to_wait.is_some() || self.stuck {
            self.pause = Some(now + asked_to_wait.unwrap_or_default().max(backoff(1)));
        }
        self.stuck = true;
        self.add(id, now);
    }

    /// When the next stranger's pull request may be written on.
    fn next_ask(&self, now: Instant) -> Instant {
        let oldest = self.asked.len().checked_sub(MOST_ASKED).and_then(|place| self.asked.get(place));
        oldest.map_or(now, |oldest| *oldest + HOUR)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: Duration = Duration::from_secs(1);
    const GAP: Duration = Duration::from_secs(5);

    fn id(name: &str) -> DeploymentId {
        name.parse().unwrap()
    }

    fn turns(names: &[&str]) -> Turns {
        let mut turns = Turns::default();
        names.iter().for_each(|name| turns.add(&id(name), Instant::now()));
        turns
    }

    fn next(turns: &mut Turns, now: Instant) -> Next {
        turns.next(now, &BTreeSet::new(), &BTreeSet::new())
    }

    fn backoff(tries: u32) -> Duration {
        SECOND * 4u32.pow(tries)
    }

    #[test]
    fn failures_first_then_the_rest_and_nobody_twice() {
        let (mut turns, now) = (turns(&["app-1", "app-2", "app-3"]), Instant::now());
        let failed = BTreeSet::from([id("app-2")]);
        let order: Vec<Next> = (0..4).map(|_| turns.next(now, &failed, &BTreeSet::new())).collect();
        let tell = |name| Next::Tell(id(name));
        assert_eq!(order, [tell("app-2"), tell("app-1"), tell("app-3"), Next::At(None)]);
    }

    #[test]
    fn what_was_written_a_moment_ago_waits() {
        let (mut turns, now) = (turns(&["app-1"]), Instant::now());
        turns.note_writing(&id("app-1"), now, GAP);
        assert_eq!(next(&mut turns, now + SECOND), Next::At(Some(now + GAP)));
        assert_eq!(next(&mut turns, now + GAP), Next::Tell(id("app-1")));
    }

    #[test]
    fn one_that_cannot_be_written_keeps_nobody_else_from_being_told() {
        let (mut turns, mut now) = (turns(&["app-1"]), Instant::now());
        let mut tries = Vec::new();
        for _ in 0..300 {
            turns.add(&id("app-2"), now);
            while let Next::Tell(told) = next(&mut turns, now) {
                turns.note_writing(&told, now, GAP);
                if told == id("app-1") {
                    turns.note_failure(&told, now, None, backoff);
                    tries.push(now);
                } else {
                    turns.note_success(&told);
                }
            }
            assert!(turns.rests[&id("app-2")] >= now, "the other was told within {GAP:?}");
            now += SECOND;
        }
        let waits: Vec<u64> = tries.windows(2).map(|pair| (pair[1] - pair[0]).as_secs()).collect();
        assert_eq!(waits, [4, 16, 64]);
    }

    #[test]
    fn two_failures_in_a_row_are_githubs_and_a_success_ends_that() {
        let (mut turns, now) = (turns(&["app-1", "app-2", "app-3"]), Instant::now());
        for name in ["app-1", "app-2"] {
            assert_eq!(next(&mut turns, now), Next::Tell(id(name)));
            turns.note_failure(&id(name), now, None, backoff);
        }
        assert_eq!(next(&mut turns, now), Next::At(Some(now + 4 * SECOND)));
        let later = now + 4 * SECOND;
        assert_eq!(next(&mut turns, later), Next::Tell(id("app-3")), "it waits longest");
        turns.note_success(&id("app-3"));
        assert_eq!(next(&mut turns, later), Next::Tell(id("app-1")));
        turns.note_failure(&id("app-1"), later, None, backoff);
        assert_eq!(next(&mut turns, later), Next::Tell(id("app-2")));
    }

    /// GitHub takes a write each nine seconds; so many previews whose place in the queue changes all the time would keep it busy.
    #[test]
    fn who_was_never_told_waits_no_longer_than_those_who_change_again_and_again() {
        let (mut turns, mut now) = (Turns::default(), Instant::now());
        let busy: Vec<DeploymentId> = (1..=9).map(|n| id(&format!("app-{n}"))).collect();
        let tell = |turns: &mut Turns, now| {
            let Next::Tell(told) = next(turns, now) else { panic!("there is news") };
            turns.note_writing(&told, now, GAP);
            turns.note_success(&told);
            told
        };
        let mut told = Vec::new();
        for write in 0..30 {
            busy.iter().for_each(|id| turns.add(id, now));
            if write == 10 {
                turns.add(&id("quiet-1"), now);
            }
            told.push(tell(&mut turns, now));
            now += 9 * SECOND;
        }
        let quiet = told.iter().position(|told| *told == id("quiet-1"));
        assert!(quiet.is_some_and(|place| place <= 20), "{quiet:?}");
    }

    #[test]
    fn what_github_did_not_take_for_hours_is_tried_again_within_minutes() {
        let (mut turns, begun) = (turns(&["app-1"]), Instant::now());
        let (mut now, mut tried) = (begun, begun);
        while now < begun + 3 * HOUR {
            match next(&mut turns, now) {
                Next::Tell(told) => {
                    assert!(now - tried <= LONGEST_REST, "{:?} after the last try", now - tried);
                    tried = now;
                    turns.note_failure(&told, now, None, |tries| backoff(tries.min(6)));
                }
                Next::At(when) => now = when.unwrap(),
            }
        }
    }

    #[test]
    fn a_pause_that_github_asks_for_is_everybodys() {
        let (mut turns, now) = (turns(&["app-1", "app-2"]), Instant::now());
        turns.note_failure(&id("app-1"), now, Some(60 * SECOND), backoff);
        assert_eq!(next(&mut turns, now), Next::At(Some(now + 60 * SECOND)));
    }

    #[test]
    fn so_many_questions_an_hour_and_the_rest_is_told_meanwhile() {
        let now = Instant::now();
        let mut turns = Turns::default();
        let asking: BTreeSet<DeploymentId> = (1..=MOST_ASKED + 1).map(|n| id(&format!("app-{n}"))).collect();
        asking.iter().for_each(|id| turns.add(id, now));
        for _ in 0..MOST_ASKED {
            let Next::Tell(asked) = turns.next(now, &BTreeSet::new(), &asking) else { panic!("still below the limit") };
            turns.note_writing(&asked, now, GAP);
            turns.note_asked(now);
        }
        assert_eq!(turns.next(now, &BTreeSet::new(), &asking), Next::At(Some(now + HOUR)));
        turns.add(&id("other-1"), now);
        assert_eq!(turns.next(now, &BTreeSet::new(), &asking), Next::Tell(id("other-1")));
    }
}
