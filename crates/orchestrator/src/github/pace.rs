//! How fast we go when nobody has to tell us: GitHub's published limits, kept before they are met.
//!
//! Sources: <https://docs.github.com/en/rest/using-the-rest-api/rate-limits-for-the-rest-api#about-secondary-rate-limits>,
//! <https://docs.github.com/en/rest/using-the-rest-api/best-practices-for-using-the-rest-api#pause-between-mutative-requests>

use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use tokio::time::Instant;

/// What may be spent: so much at once, and then one each so long.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Budget {
    /// At once, after a rest.
    pub at_once: u32,
    /// For one to come back.
    pub each: Duration,
}

/// How fast requests may follow each other.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Pace {
    /// Shortest time from the end of one write to the beginning of the next.
    pub between_writes: Duration,
    /// Writes; `None` for as many as there is time for.
    pub writes: Option<Budget>,
    /// Points of all requests; `None` for as many as there is time for.
    pub points: Option<Budget>,
}

impl Pace {
    /// GitHub Enterprise Server has no limits of its own unless its administrator sets some, and then its answers tell.
    pub const ENTERPRISE: Self = Self { between_writes: Duration::from_secs(1), writes: None, points: None };

    /// github.com: content may be written 500 times in an hour (here 480), and 900 points may be spent in a minute.
    pub const GITHUB_COM: Self = Self {
        writes: Some(Budget { at_once: 80, each: Duration::from_secs(9) }),
        points: Some(Budget { at_once: 300, each: Duration::from_millis(100) }),
        ..Self::ENTERPRISE
    };
}

/// The points that a request costs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Cost {
    Read,
    Write,
}

impl Cost {
    fn points(self) -> u32 {
        match self {
            Self::Read => 1,
            Self::Write => 5,
        }
    }
}

/// What is left of a budget.
pub(super) struct Purse {
    budget: Option<Budget>,
    /// When all that was spent will have come back.
    full: Mutex<Option<Instant>>,
}

impl Purse {
    pub(super) fn new(budget: Option<Budget>) -> Self {
        Self { budget, full: Mutex::new(None) }
    }

    /// Spends one; gives from when on it counts.
    pub(super) fn spend(&self) -> Instant {
        self.look(1, true)
    }

    /// When one more could be spent.
    pub(super) fn next(&self) -> Instant {
        self.look(1, false)
    }

    /// Waits until a request of this cost may go out.
    pub(super) async fn pay(&self, cost: Cost) {
        tokio::time::sleep_until(self.look(cost.points(), true)).await;
    }

    fn look(&self, cost: u32, spend: bool) -> Instant {
        let now = Instant::now();
        let Some(budget) = self.budget else { return now };
        let mut full = self.full.lock().unwrap_or_else(PoisonError::into_inner);
        let after = full.map_or(now, |full| full.max(now)) + budget.each * cost;
        if spend {
            *full = Some(after);
        }
        after.checked_sub(budget.each * budget.at_once).map_or(now, |from| from.max(now))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// When each of so many spendings counts, asked for one after the other.
    async fn spent(budget: Option<Budget>, many: usize) -> Vec<Duration> {
        let (purse, begun) = (Purse::new(budget), Instant::now());
        let mut times = Vec::new();
        for _ in 0..many {
            tokio::time::sleep_until(purse.spend()).await;
            times.push(begun.elapsed());
        }
        times
    }

    #[tokio::test(start_paused = true)]
    async fn in_no_hour_more_is_written_than_github_allows() {
        let times = spent(Pace::GITHUB_COM.writes, 2000).await;
        assert_eq!((times[79], times[80]), (Duration::ZERO, Duration::from_secs(9)));
        let hour = Duration::from_secs(3600);
        assert!(times.windows(501).all(|window| window[500] - window[0] > hour));
        assert_eq!(spent(None, 1000).await[999], Duration::ZERO);
    }

    #[tokio::test(start_paused = true)]
    async fn in_no_minute_more_points_are_spent_than_github_allows() {
        let (purse, begun) = (Purse::new(Pace::GITHUB_COM.points), Instant::now());
        let mut spent = Vec::new();
        for request in 0..1000 {
            let cost = if request % 3 == 0 { Cost::Write } else { Cost::Read };
            purse.pay(cost).await;
            spent.push((begun.elapsed(), cost.points()));
        }
        for (since, _) in &spent {
            let within = spent.iter().filter(|(at, _)| at >= since && *at - *since < Duration::from_secs(60));
            assert!(within.map(|(_, points)| points).sum::<u32>() <= 900);
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_rest_gives_back_and_looking_costs_nothing() {
        let purse = Purse::new(Some(Budget { at_once: 1, each: Duration::from_secs(9) }));
        let now = Instant::now();
        assert_eq!((purse.next(), purse.next(), purse.spend()), (now, now, now));
        assert_eq!(purse.next(), now + Duration::from_secs(9));
        tokio::time::advance(Duration::from_secs(60)).await;
        assert_eq!(purse.spend(), Instant::now());
    }
}
