//! Who waits for something that there is too little of: a place for a preview, a build.
//!
//! Repositories take turns, and within one whoever has waited longest is next, so that one repository's twenty pull requests
//! don't starve another's one. How much there is stands elsewhere; here is only the queue, and it is left by dropping one's
//! ticket, so that a worker that is cancelled or fails never blocks those behind it. Whose turn it is lives in memory:
//! after a restart the repository that has waited longest begins.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use jiff::Timestamp;
use preview_core::ids::{DeploymentId, RepoId};
use tokio::sync::Notify;

/// How often the next in turn looks for what gives no sign when it comes free (a port that rests).
const LOOK_AGAIN: Duration = Duration::from_secs(2);

/// The queue.
#[derive(Debug, Default)]
pub(super) struct Queue {
    line: Mutex<Line>,
    moved: Notify,
}

#[derive(Debug, Default)]
struct Line {
    /// Only repositories of which somebody waits.
    waiting: BTreeMap<RepoId, BTreeSet<Stand>>,
    /// In which turn a repository was served last.
    served: BTreeMap<RepoId, u64>,
    turn: u64,
}

/// Within one repository: since when, and who.
type Stand = (Timestamp, DeploymentId);

/// A stand in the queue.
pub(super) struct Ticket {
    queue: Arc<Queue>,
    repo: RepoId,
    stand: Stand,
}

impl Line {
    /// Repositories that were served longer ago come first, those never served before all, by who has waited longest.
    fn order(&self, repo: RepoId) -> (u64, Option<&Stand>) {
        let first = self.waiting.get(&repo).and_then(BTreeSet::first);
        (self.served.get(&repo).copied().unwrap_or_default(), first)
    }

    /// How many get their turn before this one.
    fn before(&self, repo: RepoId, stand: &Stand) -> usize {
        let rank = self.waiting.get(&repo).map_or(0, |own| own.range(..stand).count());
        let order = self.order(repo);
        let others = self.waiting.iter().filter(|(other, _)| **other != repo);
        let first = others.map(|(other, theirs)| theirs.len().min(rank + usize::from(self.order(*other) < order)));
        rank + first.sum::<usize>()
    }

    fn leave(&mut self, repo: RepoId, stand: &Stand) {
        if let Some(own) = self.waiting.get_mut(&repo) {
            own.remove(stand);
        }
        self.waiting.retain(|_, own| !own.is_empty());
    }
}

impl Queue {
    /// Takes a stand.
    pub(super) fn join(self: &Arc<Self>, repo: RepoId, id: &DeploymentId, since: Timestamp) -> Ticket {
        let stand = (since, id.clone());
        self.with(|line| line.waiting.entry(repo).or_default().insert(stand.clone()));
        Ticket { queue: self.clone(), repo, stand }
    }

    /// Tells those who wait that something was given back.
    pub(super) fn moved(&self) {
        self.moved.notify_waiters();
    }

    /// How many wait.
    pub(super) fn waiting(&self) -> usize {
        self.with(|line| line.waiting.values().map(BTreeSet::len).sum())
    }

    /// How many get their turn before a deployment, if it waits.
    pub(super) fn ahead_of(&self, repo: RepoId, id: &DeploymentId) -> Option<usize> {
        self.with(|line| {
            let stand = line.waiting.get(&repo)?.iter().find(|(_, waiter)| waiter == id)?;
            Some(line.before(repo, stand))
        })
    }

    fn with<T>(&self, look: impl FnOnce(&mut Line) -> T) -> T {
        look(&mut self.line.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

impl Ticket {
    /// How many get their turn before us.
    pub(super) fn before(&self) -> usize {
        self.queue.with(|line| line.before(self.repo, &self.stand))
    }

    /// Leaves the queue with what was waited for: it is the other repositories' turn now.
    pub(super) fn served(self) {
        self.queue.with(|line| {
            line.turn += 1;
            line.served.insert(self.repo, line.turn);
        });
    }

    /// Registers for the queue's next move. To be asked for before looking whether there is room, so that a move in between
    /// is not missed.
    pub(super) fn next_move(&self) -> impl Future<Output = ()> + '_ {
        let mut moved = Box::pin(self.queue.moved.notified());
        moved.as_mut().enable();
        async move {
            if self.before() > 0 {
                return moved.await;
            }
            tokio::select! {
                biased;
                () = moved => {}
                () = tokio::time::sleep(LOOK_AGAIN) => {}
            }
        }
    }
}

impl Drop for Ticket {
    fn drop(&mut self) {
        self.queue.with(|line| line.leave(self.repo, &self.stand));
        self.queue.moved();
    }
}

#[cfg(test)]
mod tests {
    use preview_core::ids::PrNumber;

    use super::*;

    const BUSY: RepoId = RepoId(1);
    const QUIET: RepoId = RepoId(2);

    fn id(repo: RepoId, number: u64) -> DeploymentId {
        DeploymentId::new(format!("repo-{repo}").parse().unwrap(), PrNumber::new(number).unwrap())
    }

    /// Joins with numbers in the order of their coming.
    fn join(queue: &Arc<Queue>, repo: RepoId, numbers: impl IntoIterator<Item = u64>) -> Vec<Ticket> {
        let since = |number| Timestamp::from_second(i64::try_from(number).unwrap()).unwrap();
        numbers.into_iter().map(|number| queue.join(repo, &id(repo, number), since(number))).collect()
    }

    /// Serves everybody in turn, and gives their numbers.
    fn serve_all(mut tickets: Vec<Ticket>) -> Vec<u64> {
        let mut order = Vec::new();
        while !tickets.is_empty() {
            let next = tickets.iter().position(|ticket| ticket.before() == 0).expect("somebody is next");
            let ticket = tickets.swap_remove(next);
            order.push(ticket.stand.1.number().get());
            ticket.served();
        }
        order
    }

    #[test]
    fn one_repositorys_many_let_the_one_of_another_through() {
        let queue = Arc::default();
        let mut tickets = join(&queue, BUSY, 1..=20);
        tickets.extend(join(&queue, QUIET, [30]));
        assert_eq!(queue.ahead_of(QUIET, &id(QUIET, 30)), Some(1));
        assert_eq!(queue.ahead_of(BUSY, &id(BUSY, 2)), Some(2));
        assert_eq!((queue.waiting(), queue.ahead_of(QUIET, &id(QUIET, 31))), (21, None));
        let order = serve_all(tickets);
        assert_eq!(order[..3], [1, 30, 2]);
        assert_eq!(queue.waiting(), 0);
    }

    #[test]
    fn they_take_turns_also_where_one_keeps_coming_back() {
        let queue = Arc::default();
        let mut busy = join(&queue, BUSY, 1..=3);
        // The quiet one comes anew each time that it was served, and gets every other turn all the same.
        let mut order = Vec::new();
        for round in 0..3 {
            let mut quiet = join(&queue, QUIET, [10 + round]);
            for _ in 0..2 {
                let (whose, next) = if quiet.first().is_some_and(|ticket| ticket.before() == 0) {
                    (QUIET, quiet.remove(0))
                } else {
                    (BUSY, busy.remove(0))
                };
                assert_eq!(next.before(), 0);
                order.push(whose);
                next.served();
            }
        }
        assert_eq!(order, [BUSY, QUIET, BUSY, QUIET, BUSY, QUIET]);
    }

    #[test]
    fn positions_are_a_permutation_and_the_order_of_service() {
        let queue = Arc::default();
        let mut tickets = join(&queue, BUSY, [5, 1, 9]);
        tickets.extend(join(&queue, QUIET, [2, 3]));
        tickets.extend(join(&queue, RepoId(3), [4]));
        let mut expected: Vec<(usize, u64)> =
            tickets.iter().map(|ticket| (ticket.before(), ticket.stand.1.number().get())).collect();
        expected.sort_unstable();
        assert_eq!(expected.iter().map(|(before, _)| *before).collect::<Vec<_>>(), [0, 1, 2, 3, 4, 5]);
        assert_eq!(serve_all(tickets), expected.into_iter().map(|(_, number)| number).collect::<Vec<_>>());
    }

    #[tokio::test(start_paused = true)]
    async fn who_leaves_makes_the_next_one_look() {
        let queue = Arc::default();
        let mut tickets = join(&queue, BUSY, [1, 2]);
        let (second, first) = (tickets.pop().unwrap(), tickets.pop().unwrap());
        let moved = second.next_move();
        assert_eq!(second.before(), 1);
        drop(first);
        tokio::time::timeout(Duration::from_millis(1), moved).await.unwrap();
        assert_eq!(second.before(), 0);
    }
}
