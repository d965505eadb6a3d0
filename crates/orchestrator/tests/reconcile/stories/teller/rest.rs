//! The rests of a story: all trouble ends, and the whole world is compared with what should be.

use std::time::Duration;

use jiff::SignedDuration;
use preview_core::desired::{ForkPolicy, Pull, SetAsideReason, WaitReason};
use preview_core::ids::PullKey;

use super::super::script::Told;
use super::{Problems, Teller, Topic, Wish};
use crate::check::Expect;
use crate::house::hours;

/// How long, at most, until everything is as it should be once all trouble has ended: a call that hangs, the tries and the
/// listings after it, and what was held up by it.
const PATIENCE: Duration = Duration::from_secs(45 * 60);
/// As much more until the sweep (hourly) that finds what somebody did behind the service's back, or that sees once more that a
/// preview is too old.
const SWEEP: Duration = Duration::from_secs(105 * 60);
/// By how much a night moves the clock: more than the time to live and any hour by which it was off.
const NIGHT: SignedDuration = SignedDuration::from_hours(60);
/// How long after it everything is at rest, at most.
const MORNING: SignedDuration = SignedDuration::from_hours(5);

impl Teller {
    /// All trouble ends, and everything becomes as it should be.
    pub(super) async fn rest(&mut self) -> Result<(), Problems> {
        let tampered = self.house.world().tampered;
        self.rest_within(if tampered { PATIENCE + SWEEP } else { PATIENCE }).await
    }

    async fn rest_within(&mut self, patience: Duration) -> Result<(), Problems> {
        self.heal().await;
        let end = tokio::time::Instant::now() + patience;
        let mut problems = vec!["it never came to rest".to_owned()];
        while tokio::time::Instant::now() < end {
            self.house.pass(Duration::from_secs(20)).await;
            self.make_place().await;
            self.violations()?;
            if self.house.is_quiet() && !self.is_unheard() {
                problems = self.check().await;
                if problems.is_empty() {
                    self.forgotten = false;
                    let mut world = self.house.world();
                    world.watch_all = true;
                    world.may_go.clear();
                    return Ok(());
                }
            }
        }
        Err(problems)
    }

    async fn heal(&mut self) {
        {
            let mut world = self.house.world();
            world.rules.clear();
            (world.hub.down, world.hub.blinks) = (None, 0);
            world.hub.repos.values_mut().for_each(|repo| repo.listing = None);
            (world.room, world.skew) = (self.room, self.clock);
        }
        self.arrive(|_| true).await;
    }

    async fn check(&mut self) -> Problems {
        let expected = self.topics.iter().map(|topic| (topic.key, self.expect(topic))).collect();
        self.house.expected = expected;
        let mut problems = self.house.check().await;
        let repairs = self.house.read(|state| state.repairs);
        if repairs > 0 && !self.house.world().tampered {
            problems.push(format!("{repairs} repairs, although nobody else had a hand in it"));
        }
        problems
    }

    fn expect(&self, topic: &Topic) -> Expect {
        let pull = self.pull(topic.key);
        match topic.wish {
            Wish::Unknown => Expect::Unknown,
            _ if !pull.open => Expect::Gone,
            Wish::Untouched => Expect::Untouched,
            Wish::Stopped => Expect::Aside(SetAsideReason::Stopped),
            Wish::Expired | Wish::Deployed => match self.waits(&pull) {
                Some(reason) => Expect::Aside(SetAsideReason::Waiting(reason)),
                None if topic.wish == Wish::Expired => Expect::Aside(SetAsideReason::Expired),
                None => self.expect_head(&pull, topic.key),
            },
        }
    }

    /// A head that works serves, and one that doesn't leaves what served before it.
    fn expect_head(&self, pull: &Pull, key: PullKey) -> Expect {
        let head = pull.head.clone();
        let serving = self.house.record(key).and_then(|record| record.serving);
        match serving {
            _ if self.house.world().app(&head).works() => Expect::Serves(head),
            Some(old) => Expect::StillServes { old: old.commit_sha, failed: head },
            None => Expect::Failed(head),
        }
    }

    pub(super) fn waits(&self, pull: &Pull) -> Option<WaitReason> {
        let fork = pull.head_repo != Some(pull.base_repo);
        let key = PullKey { repo: pull.base_repo, number: pull.number };
        let approved = self.topics.iter().find(|topic| topic.key == key).and_then(|topic| topic.approved.as_ref());
        if fork && self.setting.forks == ForkPolicy::Deny {
            Some(WaitReason::Fork)
        } else if pull.draft && !self.setting.drafts {
            Some(WaitReason::Draft)
        } else if pull.by_bot {
            Some(WaitReason::Bot)
        } else if self.setting.label && pull.labels.is_empty() {
            Some(WaitReason::Label)
        } else if fork && self.setting.forks == ForkPolicy::Approve && approved != Some(&pull.head) {
            Some(WaitReason::Approval)
        } else {
            None
        }
    }

    /// Where more are open than there are places, one that waits would wait for ever: the first that serves is closed.
    async fn make_place(&mut self) {
        let (held, waits) = self.house.read(|state| {
            let held = state.deployments.values().filter(|record| record.holds_place()).count();
            (held, state.deployments.values().any(|record| record.queued_since().is_some()))
        });
        if !waits || held < self.setting.places {
            return;
        }
        let serves = |key: PullKey| self.house.record(key).is_some_and(|record| record.serving.is_some());
        let holding = self.topics.iter().position(|topic| self.pull(topic.key).open && serves(topic.key));
        if let Some(pull) = holding {
            self.close(0, pull, Told::Once).await;
        }
    }

    pub(super) async fn night(&mut self) -> Result<(), Problems> {
        self.rest().await?;
        let from = self.house.world().now() + NIGHT;
        for topic in self.topics.clone() {
            let pull = self.pull(topic.key);
            if topic.wish == Wish::Deployed && pull.open && self.waits(&pull).is_none() {
                let wish = topic.kept.wish(from, from + MORNING);
                if wish == Wish::Deployed {
                    continue;
                }
                self.wish(topic.key, wish);
            }
            self.let_go(topic.key);
        }
        self.clock += NIGHT;
        self.house.world().skew = self.clock;
        self.house.pass(hours(2)).await;
        self.rest_within(PATIENCE + SWEEP).await
    }
}
