//! Keeping an eye on what serves: an app that ends is restarted by Docker; one that stays down changes its comment.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use futures_util::StreamExt;
use futures_util::stream;
use preview_core::deployment::{Deployment, Serving};
use preview_core::ids::DeploymentId;
use tokio::time::Instant;

use super::Reconciler;
use crate::folders::Log;
use crate::needs::{ContainerState, Fault, Part, Probe};

/// Between two looks at everything that serves.
const SLOW: Duration = Duration::from_secs(30);
/// Between two looks at what was seen away.
const FAST: Duration = Duration::from_secs(2);
/// How long an app may be away before it counts as down: Docker's own restarts take seconds.
const AWAY: Duration = Duration::from_secs(10);
/// Further restarts by then that show that it will not stay.
const MANY: u64 = 2;
/// How long one question may take.
const ASK: Duration = Duration::from_secs(5);
/// Lines of its output that are kept of an app that went down.
const KEPT: usize = 2000;
/// How many are looked at side by side: one that takes its time to answer holds up nobody's look.
const LOOKS: usize = 8;
/// Events that are taken as one: what happened to the same preview meanwhile is worth one look.
const EVENTS: usize = 256;

/// An app that was seen away: what is remembered of it until it is well again.
struct Trouble {
    since: Instant,
    /// How often the engine had restarted it by then.
    restarts: u64,
    /// Since when it has been up, and how often it had been restarted by then.
    calm: Option<(Instant, u64)>,
}

/// How an app in trouble is.
#[derive(Debug, PartialEq, Eq)]
enum Verdict {
    /// It answers again, and stays.
    Well,
    /// Too early to say.
    Unsure,
    /// It stays away, or ends again and again.
    Down,
}

impl Trouble {
    fn look(&mut self, up: bool, restarts: u64, now: Instant) -> Verdict {
        let long = now - self.since >= AWAY;
        if !up {
            self.calm = None;
            return if long { Verdict::Down } else { Verdict::Unsure };
        }
        let calm = self.calm.filter(|(_, counted)| *counted == restarts).unwrap_or((now, restarts));
        self.calm = Some(calm);
        if now - calm.0 >= AWAY {
            Verdict::Well
        } else if long && restarts.saturating_sub(self.restarts) >= MANY {
            Verdict::Down
        } else {
            Verdict::Unsure
        }
    }
}

type Troubles = BTreeMap<DeploymentId, Trouble>;

impl Reconciler {
    /// Watches for ever: events, and a slow poll for what events missed. However many events there are, the polls go on: what one
    /// preview does again and again must not hide another.
    pub(super) async fn keep_watching(self) {
        let mut troubles = Troubles::new();
        loop {
            let mut events = self.inner.out.engine.events().await.ready_chunks(EVENTS);
            let (mut slow, mut fast) = (Instant::now(), Instant::now());
            loop {
                let next = if troubles.is_empty() { slow } else { slow.min(fast) };
                tokio::select! {
                    biased;
                    () = tokio::time::sleep_until(next) => {
                        let all = next == slow;
                        let these = if all { self.serving() } else { troubles.keys().cloned().collect() };
                        self.look_at(these, &mut troubles).await;
                        fast = Instant::now() + FAST;
                        if all {
                            slow = Instant::now() + SLOW;
                        }
                    }
                    events = events.next() => match events {
                        Some(events) => {
                            let these = events.into_iter().map(|event| event.deployment).collect();
                            self.look_at(these, &mut troubles).await;
                        }
                        None => break,
                    },
                }
            }
            // The engine went away; it is asked again soon.
            tokio::time::sleep(FAST).await;
        }
    }

    fn serving(&self) -> BTreeSet<DeploymentId> {
        self.inner.ledger.read(|state| {
            let serving = state.deployments.values().filter(|d| d.serving.is_some() && d.removing.is_none());
            serving.map(|d| d.id.clone()).collect()
        })
    }

    async fn look_at(&self, these: BTreeSet<DeploymentId>, troubles: &mut Troubles) {
        let looks = these.into_iter().map(|id| async move { (self.see(&id).await, id) });
        let mut seen = stream::iter(looks).buffer_unordered(LOOKS);
        while let Some((seen, id)) = seen.next().await {
            match seen {
                Ok(Some((serving, up, restarts))) => self.judge(&id, &serving, (up, restarts), troubles).await,
                Ok(None) => drop(troubles.remove(&id)),
                Err(fault) => tracing::debug!(deployment = %id, cause = %fault, "could not look at a preview"),
            }
        }
    }

    /// What serves, whether it is up, and how often the engine restarted it; `None` where nothing serves, or what was stopped by us.
    async fn see(&self, id: &DeploymentId) -> Result<Option<(Serving, bool, u64)>, Fault> {
        let record = self.inner.ledger.read(|state| state.deployments.get(id).cloned());
        let Some((record, serving)) = record.and_then(|record| record.serving.clone().map(|s| (record, s))) else {
            return Ok(None);
        };
        if serving.filled.is_some() {
            return Ok(None);
        }
        let (up, restarts) = self.is_up(&record, &serving).await?;
        Ok(Some((serving, up, restarts)))
    }

    async fn judge(&self, id: &DeploymentId, serving: &Serving, (up, restarts): (bool, u64), troubles: &mut Troubles) {
        if up && !serving.down && !troubles.contains_key(id) {
            return;
        }
        let now = Instant::now();
        // Of one that went down before we were restarted it is not known how often it has ended.
        let counted = if serving.down { 0 } else { restarts };
        let trouble = troubles.entry(id.clone()).or_insert(Trouble { since: now, restarts: counted, calm: None });
        let down = match trouble.look(up, restarts, now) {
            Verdict::Unsure => return,
            Verdict::Down => true,
            Verdict::Well => {
                troubles.remove(id);
                false
            }
        };
        if down != serving.down {
            self.note_down(id, serving, down).await;
        }
    }

    /// Whether the app that serves is up, and how often the engine restarted it. A container that is gone altogether is its
    /// worker's to bring back.
    async fn is_up(&self, record: &Deployment, serving: &Serving) -> Result<(bool, u64), Fault> {
        let view = self.inner.out.engine.observe(&record.id).await?;
        let Some(container) = view.part(Part::App(serving.slot)) else {
            self.wake(record.key());
            return Ok((false, 0));
        };
        if !matches!(container.state, ContainerState::Running { .. }) {
            return Ok((false, container.restarts));
        }
        // Any answer will do: whether it is healthy was asked before it got visitors.
        let probe = self.inner.out.prober.probe(serving.app_port, "/", ASK).await;
        Ok((!matches!(probe, Probe::NoAnswer), container.restarts))
    }

    async fn note_down(&self, id: &DeploymentId, serving: &Serving, down: bool) {
        if down {
            tracing::warn!(deployment = %id, "the app has ended and does not come back");
            let lines = self.inner.out.engine.logs(id, Part::App(serving.slot), KEPT).await.unwrap_or_default();
            if let Ok(mut log) = self.inner.folders.start_log(id, Log::App) {
                lines.iter().for_each(|line| log.line(line));
            }
        }
        let slot = serving.slot;
        let change = |state: &mut crate::ledger::State| {
            let record = state.deployments.get_mut(id)?;
            let serving = record.serving.as_mut().filter(|serving| serving.slot == slot)?;
            serving.down = down;
            Some(())
        };
        match self.inner.ledger.change(change).await {
            Ok(_) => self.report(id),
            Err(error) => tracing::warn!(deployment = %id, %error, "could not write down that an app is down"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What is said of an app at each look: seconds, whether it is up, how often it was restarted.
    fn verdicts(looks: &[(u64, bool, u64)]) -> Vec<Verdict> {
        let begun = Instant::now();
        let mut trouble = Trouble { since: begun, restarts: looks[0].2, calm: None };
        let look = |(second, up, restarts): &(u64, bool, u64)| {
            trouble.look(*up, *restarts, begun + Duration::from_secs(*second))
        };
        looks.iter().map(look).collect()
    }

    #[test]
    fn one_that_stays_away_is_down_until_it_stays_up() {
        use Verdict::{Down, Unsure, Well};
        let looks = [(0, false, 4), (9, false, 4), (10, false, 4), (11, true, 0), (21, true, 0)];
        assert_eq!(verdicts(&looks), [Unsure, Unsure, Down, Unsure, Well]);
    }

    #[test]
    fn one_restart_is_no_news() {
        use Verdict::{Unsure, Well};
        let looks = [(0, false, 1), (1, true, 1), (10, true, 1), (11, true, 1)];
        assert_eq!(verdicts(&looks), [Unsure, Unsure, Unsure, Well]);
    }

    #[test]
    fn one_that_ends_again_and_again_is_down_until_it_stays() {
        use Verdict::{Down, Unsure, Well};
        let looks =
            [(0, false, 0), (1, true, 1), (3, true, 2), (6, true, 3), (9, true, 4), (11, true, 4), (19, true, 4)];
        assert_eq!(verdicts(&looks), [Unsure, Unsure, Unsure, Unsure, Unsure, Down, Well]);
    }
}
