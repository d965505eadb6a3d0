//! How many requests of strangers are answered: a bucket for each source, which fills again as time passes.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use tokio::time::Instant;

use super::Source;

/// Requests that a source may make at once.
const BURST: f64 = 200.0;
/// Requests that come back in a second.
const PER_SECOND: f64 = 50.0;
/// Sources that are told apart; all beyond share one bucket. A bucket takes some 50 bytes.
const SOURCES: usize = 4096;
/// Between two looks for buckets that are full again, and need not be remembered.
const SWEEP: Duration = Duration::from_secs(1);

/// What strangers may ask for, in bounded memory.
#[derive(Default)]
pub(crate) struct Allowance(Mutex<Buckets>);

#[derive(Default)]
struct Buckets {
    known: HashMap<Source, Bucket>,
    others: Option<Bucket>,
    swept: Option<Instant>,
}

#[derive(Clone, Copy)]
struct Bucket {
    left: f64,
    at: Instant,
}

impl Allowance {
    /// Takes one request from what the source has left; with nothing left, the error says how long to wait.
    pub(crate) fn spend(&self, source: Source) -> Result<(), Duration> {
        let now = Instant::now();
        let mut buckets = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        buckets.of(source, now).spend(now)
    }
}

impl Buckets {
    fn of(&mut self, source: Source, now: Instant) -> &mut Bucket {
        if self.known.len() >= SOURCES && self.swept.is_none_or(|swept| now - swept >= SWEEP) {
            self.known.retain(|_, bucket| bucket.level(now) < BURST);
            self.swept = Some(now);
        }
        if self.known.len() >= SOURCES && !self.known.contains_key(&source) {
            return self.others.get_or_insert(Bucket::full(now));
        }
        self.known.entry(source).or_insert(Bucket::full(now))
    }
}

impl Bucket {
    fn full(now: Instant) -> Self {
        Self { left: BURST, at: now }
    }

    fn level(&self, now: Instant) -> f64 {
        ((now - self.at).as_secs_f64() * PER_SECOND + self.left).min(BURST)
    }

    fn spend(&mut self, now: Instant) -> Result<(), Duration> {
        *self = Self { left: self.level(now), at: now };
        if self.left < 1.0 {
            return Err(Duration::from_secs_f64((1.0 - self.left) / PER_SECOND));
        }
        self.left -= 1.0;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use std::net::{IpAddr, Ipv4Addr};

    use super::*;

    fn source(number: u32) -> Source {
        IpAddr::from(Ipv4Addr::from_bits(number)).into()
    }

    /// How many of so many requests are let through.
    fn passed(allowance: &Allowance, number: u32, of: usize) -> usize {
        (0..of).filter(|_| allowance.spend(source(number)).is_ok()).count()
    }

    #[tokio::test(start_paused = true)]
    async fn a_source_that_floods_is_held_back_and_others_are_not() {
        let allowance = Allowance::default();
        assert_eq!(passed(&allowance, 1, 1000), BURST as usize);
        assert_eq!(passed(&allowance, 2, 50), 50);
        let wait = allowance.spend(source(1)).unwrap_err();
        tokio::time::advance(wait + Duration::from_millis(1)).await;
        assert_eq!(passed(&allowance, 1, 10), 1, "after the time that was told there is one");
        tokio::time::advance(Duration::from_secs(3600)).await;
        assert_eq!(passed(&allowance, 1, 1000), BURST as usize, "what was not used does not pile up");
    }

    #[tokio::test(start_paused = true)]
    async fn any_number_of_sources_takes_bounded_memory_and_those_beyond_share() {
        let allowance = Allowance::default();
        let passed_of_all = (0..100_000).filter(|number| allowance.spend(source(*number)).is_ok()).count();
        assert_eq!(passed_of_all, SOURCES + BURST as usize);
        assert_eq!(allowance.0.lock().unwrap().known.len(), SOURCES);
        tokio::time::advance(Duration::from_secs(60)).await;
        assert!(allowance.spend(source(200_000)).is_ok());
        assert_eq!(allowance.0.lock().unwrap().known.len(), 1, "full buckets are forgotten");
    }
}
