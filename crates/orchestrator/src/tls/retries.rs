//! What has failed, how often, and when it is tried again.
//!
//! An authority counts what fails: Let's Encrypt takes five failed validations of a host in an hour, and then none for a while.
//! Source: <https://letsencrypt.org/docs/rate-limits/>

use std::collections::BTreeMap;
use std::time::Duration;

use jiff::{SignedDuration, Timestamp};
use serde::{Deserialize, Serialize};

use super::authority::Cause;
use super::name::CertName;

/// Each pause is so many times as long as the one before.
const LONGER: u32 = 3;
/// The longest pause.
const LONGEST: Duration = Duration::from_secs(12 * 3600);

/// Names that could not be got a certificate for.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub(super) struct Retries(BTreeMap<String, Failed>);

/// What became of the last tries.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Failed {
    /// How often in a row.
    times: u32,
    /// When it failed last.
    #[serde(default)]
    pub(super) at: Timestamp,
    /// When it is tried again.
    pub(super) next: Timestamp,
    /// Until when the authority itself asked us to wait.
    #[serde(default)]
    asked: Option<Timestamp>,
    /// Why it failed last.
    pub(super) cause: String,
    /// What kind of problem the authority called it.
    #[serde(default)]
    pub(super) problem: Option<String>,
}

impl Retries {
    /// What failed for a name.
    pub(super) fn of(&self, name: &CertName) -> Option<&Failed> {
        self.0.get(name.as_str())
    }

    /// All names with failures.
    pub(super) fn names(&self) -> impl Iterator<Item = CertName> {
        self.0.keys().map(|name| CertName::of_host(name))
    }

    /// Notes a failure: first it is tried again after `first`, then later and later, and not before the authority asks for it.
    pub(super) fn failed(
        &mut self,
        name: &CertName,
        cause: Cause,
        (now, first, asked): (Timestamp, Duration, Option<Duration>),
    ) {
        let times = self.of(name).map_or(0, |failed| failed.times) + 1;
        let pause = first.saturating_mul(LONGER.saturating_pow(times - 1)).min(LONGEST);
        let pause = pause.max(asked.unwrap_or_default());
        // Up to a tenth more, so that many servers don't come back together.
        let pause = pause.mul_f64(1.0 + f64::from(rand::random::<u8>()) / 2550.0);
        let asked = asked.map(|asked| later(now, asked));
        let Cause { told: cause, problem } = cause;
        self.0.insert(name.to_string(), Failed { times, at: now, next: later(now, pause), asked, cause, problem });
    }

    /// Has everything be tried again now, but for what the authority asked to wait with.
    pub(super) fn again(&mut self, now: Timestamp) {
        for failed in self.0.values_mut() {
            failed.next = failed.next.min(failed.asked.map_or(now, |asked| asked.max(now)));
        }
    }

    /// Forgets about a name that has been got one for. Tells whether there was something to forget.
    pub(super) fn succeeded(&mut self, name: &CertName) -> bool {
        self.0.remove(name.as_str()).is_some()
    }

    /// Forgets about names that nobody wants any more. Tells whether there were any.
    pub(super) fn keep(&mut self, wanted: &[CertName]) -> bool {
        let before = self.0.len();
        self.0.retain(|name, _| wanted.iter().any(|wanted| wanted.as_str() == name));
        self.0.len() != before
    }
}

fn later(now: Timestamp, pause: Duration) -> Timestamp {
    let pause = SignedDuration::try_from(pause).unwrap_or(SignedDuration::MAX);
    now.saturating_add(pause).unwrap_or(Timestamp::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pauses_grow_to_an_end_and_obey_the_authority() {
        let name = CertName::of_host("a.example.org");
        let now: Timestamp = "2026-01-29T10:00:00Z".parse().unwrap();
        let mut retries = Retries::default();
        let first = Duration::from_secs(300);
        let mut pause = |asked| {
            retries.failed(&name, "it said no".to_owned().into(), (now, first, asked));
            retries.of(&name).unwrap().next.duration_since(now).as_secs()
        };
        for least in [300, 900, 2700, 8100, 24_300, 43_200, 43_200] {
            let pause = pause(None);
            assert!((least..=least + least / 10 + 1).contains(&pause), "{least}: {pause}");
        }
        assert!(pause(Some(Duration::from_secs(86_400))) >= 86_400);
        assert!(retries.succeeded(&name) && !retries.succeeded(&name));
    }

    #[test]
    fn what_nobody_wants_is_forgotten() {
        let [one, other] = ["a.example.org", "b.example.org"].map(CertName::of_host);
        let mut retries = Retries::default();
        for name in [&one, &other] {
            retries.failed(name, "no".to_owned().into(), (Timestamp::UNIX_EPOCH, Duration::from_secs(1), None));
        }
        assert!(retries.keep(std::slice::from_ref(&one)) && !retries.keep(std::slice::from_ref(&one)));
        assert!(retries.of(&one).is_some() && retries.of(&other).is_none());
    }
}
