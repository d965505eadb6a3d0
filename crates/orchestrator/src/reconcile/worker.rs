//! One worker per pull request, alive while it has something to do.

use std::collections::{BTreeSet, HashMap};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use preview_core::deployment::Status;
use preview_core::ids::{PullKey, RepoId};
use preview_core::plan::{Action, Target, plan};
use tokio::sync::Notify;
use tokio::task::JoinSet;
use tracing::Instrument;

use super::Reconciler;
use super::attempt::Work;
use super::decide::Decision;
use crate::mishap::contained;
use crate::needs::Fault;

/// Plans that one waking may take before something is wrong: an update takes two.
const MOST_PASSES: usize = 12;

/// The workers that live.
#[derive(Default)]
pub(super) struct Workers {
    live: Mutex<HashMap<PullKey, Arc<Bell>>>,
    tasks: Mutex<JoinSet<()>>,
    /// For whom something is left undone after all tries. The ledger does not always tell: it has the new head from the first
    /// look on, so that no list differs from it any more.
    undone: Mutex<BTreeSet<PullKey>>,
}

/// How a worker is woken. It counts, so that a waking that comes while the worker is about to end is not lost.
#[derive(Default)]
pub(super) struct Bell {
    rings: AtomicU64,
    rung: Notify,
    /// Whether a failure that was not the pull request's own is to be tried again.
    retry: AtomicBool,
    /// Whether the worker only waits, so that nothing is lost by cutting it off.
    resting: AtomicBool,
}

impl Bell {
    fn ring(&self) {
        self.rings.fetch_add(1, Ordering::SeqCst);
        self.rung.notify_one();
    }

    /// Waits for something that may take long and leaves nothing undone.
    async fn rest<T>(&self, wait: impl Future<Output = T>) -> T {
        self.resting.store(true, Ordering::SeqCst);
        let waited = wait.await;
        self.resting.store(false, Ordering::SeqCst);
        waited
    }

    fn count(&self) -> u64 {
        self.rings.load(Ordering::SeqCst)
    }
}

impl Workers {
    fn live(&self) -> MutexGuard<'_, HashMap<PullKey, Arc<Bell>>> {
        self.live.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn undone(&self) -> MutexGuard<'_, BTreeSet<PullKey>> {
        self.undone.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Takes out for whom something is left undone, but for repositories that `not` holds for.
    pub(super) fn take_undone(&self, not: impl Fn(RepoId) -> bool) -> BTreeSet<PullKey> {
        let (kept, taken) = std::mem::take(&mut *self.undone()).into_iter().partition(|key| not(key.repo));
        self.undone().extend::<BTreeSet<PullKey>>(kept);
        taken
    }

    /// How many live.
    pub(super) fn count(&self) -> usize {
        self.live().len()
    }

    /// Whom they work for.
    pub(super) fn keys(&self) -> Vec<PullKey> {
        self.live().keys().copied().collect()
    }

    /// Whether one works for this pull request.
    pub(super) fn works_for(&self, key: PullKey) -> bool {
        self.live().contains_key(&key)
    }

    /// Ends the worker's life unless it was woken since it last looked.
    fn end(&self, key: PullKey, bell: &Bell, seen: u64) -> bool {
        let mut live = self.live();
        let quiet = bell.count() == seen;
        if quiet {
            live.remove(&key);
        }
        quiet
    }

    /// For whom one is in the middle of something.
    fn busy(&self) -> Vec<PullKey> {
        let live = self.live();
        live.iter().filter(|(_, bell)| !bell.resting.load(Ordering::SeqCst)).map(|(key, _)| *key).collect()
    }

    /// Cuts all of them off and waits until they have ended.
    pub(super) async fn shutdown(&self) {
        self.take().shutdown().await;
    }

    /// Cuts all of them off when it is dropped.
    pub(super) fn cut_off_on_drop(&self) -> impl Drop {
        struct CutOff<'a>(&'a Workers);
        impl Drop for CutOff<'_> {
            fn drop(&mut self) {
                drop(self.0.take());
            }
        }
        CutOff(self)
    }

    fn take(&self) -> JoinSet<()> {
        std::mem::take(&mut *self.tasks.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

/// What became of one plan.
enum Pass {
    /// There was nothing to do.
    Idle,
    /// It was performed, or its failure written down.
    Performed,
    /// It was cut off, because something newer is wanted.
    Cut,
}

/// How a waking ended.
enum Outcome {
    /// All is as it should be.
    Settled,
    /// Something outside did not work; not worth a try before this long.
    Later(Duration),
}

impl Reconciler {
    /// Has this pull request looked at, soon.
    pub(super) fn wake(&self, key: PullKey) {
        self.rouse(key, false);
    }

    /// As [`Reconciler::wake`], trying again what failed for a passing reason.
    pub(super) fn wake_to_retry(&self, key: PullKey) {
        self.rouse(key, true);
    }

    fn rouse(&self, key: PullKey, retry: bool) {
        if self.inner.stop.is_cancelled() {
            return;
        }
        let workers = &self.inner.workers;
        let mut live = workers.live();
        let fresh = !live.contains_key(&key);
        let bell = live.entry(key).or_default().clone();
        bell.retry.fetch_or(retry, Ordering::SeqCst);
        // Before the worker may end: it looks at the count with the same lock held.
        bell.ring();
        drop(live);
        if fresh {
            let span = tracing::info_span!(parent: None, "worker", pull = %key);
            let work = self.clone().work(key, bell).instrument(span);
            let mut tasks = workers.tasks.lock().unwrap_or_else(PoisonError::into_inner);
            while tasks.try_join_next().is_some() {}
            tasks.spawn(work);
        }
    }

    async fn work(self, key: PullKey, bell: Arc<Bell>) {
        let mut failures = 0;
        loop {
            let mut seen = bell.count();
            let round = async {
                bell.rest(self.until_decidable(key, &bell.rung)).await;
                seen = bell.count();
                Ok(self.look_after(key, &bell).await)
            };
            let outcome = contained(round).await;
            match outcome.unwrap_or_else(|fault| self.later("could not look after the pull request", &fault)) {
                Outcome::Settled => {
                    failures = 0;
                    self.inner.workers.undone().remove(&key);
                }
                Outcome::Later(at_least) if failures < self.retries() => {
                    let wait = self.backoff(failures).max(at_least);
                    failures += 1;
                    tracing::debug!(seconds = wait.as_secs_f32(), failures, "trying again later");
                    let _woken = bell.rest(tokio::time::timeout(wait, bell.rung.notified())).await;
                    continue;
                }
                // The next resync wakes us again.
                Outcome::Later(_) => {
                    failures = 0;
                    self.inner.workers.undone().insert(key);
                }
            }
            if self.inner.workers.end(key, &bell, seen) {
                return;
            }
        }
    }

    /// Lets workers come to the end of what they are doing, at most so long. Who only waits is not waited for.
    pub(super) async fn let_finish(&self, at_most: Duration) {
        let finished = async {
            while self.is_at_something() {
                tokio::time::sleep(Duration::from_millis(20)).await;
            }
        };
        if tokio::time::timeout(at_most, finished).await.is_err() {
            tracing::info!(seconds = at_most.as_secs(), "what takes longer is left to the next start");
        }
    }

    fn is_at_something(&self) -> bool {
        let busy = self.inner.workers.busy();
        self.inner.ledger.read(|state| {
            let record = |key: &PullKey| state.id_of(*key).and_then(|id| state.deployments.get(&id));
            busy.iter().any(|key| record(key).is_none_or(|record| record.status() != Status::Queued))
        })
    }

    /// Decides, plans and performs until nothing is left to do.
    async fn look_after(&self, key: PullKey, bell: &Bell) -> Outcome {
        let mut work = Work::new(key);
        let mut passes = 0;
        while passes < MOST_PASSES {
            let retry = bell.retry.swap(false, Ordering::SeqCst);
            let decision = match self.decide(key, retry).await {
                Ok(decision) => decision,
                Err(fault) => return self.later("could not learn what the pull request should be", &fault),
            };
            match self.pass(&mut work, &decision, bell).await {
                Ok(Pass::Performed) => passes += 1,
                // As often as somebody pushes meanwhile: there is news, which is no lack of an end.
                Ok(Pass::Cut) => passes = 0,
                Ok(Pass::Idle) => match self.conclude(key, &decision).await {
                    Ok(true) => return Outcome::Settled,
                    // There is news here, too.
                    Ok(false) => passes = 0,
                    Err(fault) => return self.later("could not write down what was decided", &fault),
                },
                Err(fault) => return self.later("could not bring the preview to what it should be", &fault),
            }
        }
        tracing::error!(pull = %key, "the plan does not come to an end; this is a bug, please report it with this log");
        Outcome::Later(self.inner.config.resync_interval)
    }

    fn later(&self, what: &str, fault: &Fault) -> Outcome {
        fault.log(what);
        Outcome::Later(fault.retry_after.unwrap_or_default())
    }

    /// Makes one plan and performs it.
    async fn pass(&self, work: &mut Work, decision: &Decision, bell: &Bell) -> Result<Pass, Fault> {
        let Some(target) = decision.target() else { return Ok(Pass::Idle) };
        let Some(id) = &decision.id else { return Ok(Pass::Idle) };
        let seen = self.observe(id).await?;
        let record = self.inner.ledger.read(|state| state.deployments.get(id).cloned());
        let actions = plan(&target, record.as_ref(), &seen);
        if actions.is_empty() {
            return Ok(Pass::Idle);
        }
        tracing::debug!(?actions, "planned");
        if let (None, Target::Nothing(reason)) = (&record, &target) {
            self.count_repair(id, "something was left over of a pull request that has no preview").await?;
            if let Some(pull) =
                decision.pull.as_ref().filter(|_| seen.containers() && decision.desired.removal().is_some())
            {
                self.take_up(id, decision.key, pull, *reason).await?;
                return Ok(Pass::Performed);
            }
        }
        self.perform_all(work, decision, &target, &actions, bell).await
    }

    async fn perform_all(
        &self,
        work: &mut Work,
        decision: &Decision,
        target: &Target,
        actions: &[Action],
        bell: &Bell,
    ) -> Result<Pass, Fault> {
        for action in actions {
            let performed = if action.may_be_cut() {
                tokio::select! {
                    biased;
                    performed = self.perform(work, decision, action) => performed,
                    () = self.until_wished_otherwise(decision, target, bell) => {
                        tracing::info!(?action, "cut off: something newer is wanted");
                        work.cut();
                        return Ok(Pass::Cut);
                    }
                }
            } else {
                self.perform(work, decision, action).await
            };
            match performed {
                Ok(()) if work.begins_anew() => break,
                Ok(()) => {}
                Err(fault) if work.is_trying() => {
                    self.record_failure(work, action, fault).await?;
                    break;
                }
                Err(fault) => return Err(fault),
            }
        }
        Ok(Pass::Performed)
    }

    /// Returns when GitHub, asked again after a ring of the bell, wants something else than what is being done.
    async fn until_wished_otherwise(&self, decision: &Decision, target: &Target, bell: &Bell) {
        loop {
            bell.rung.notified().await;
            match self.decide(decision.key, false).await {
                Ok(newer) if newer.target().is_some_and(|newer| differs(&newer, target)) => {
                    bell.ring();
                    return;
                }
                Ok(_) => {}
                Err(fault) => fault.log("could not learn whether something newer is wanted"),
            }
        }
    }
}

/// A second wish for the same commit cuts nothing off, unless a person asks for it anew.
fn differs(newer: &Target, current: &Target) -> bool {
    match (newer, current) {
        (Target::Commit { commit: newer, .. }, Target::Commit { commit, .. }) => newer != commit,
        (newer, current) => newer != current,
    }
}
