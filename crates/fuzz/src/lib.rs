//! Properties of whatever reads hostile text, tried on as many made-up cases as there is time for.
//!
//! A target lives beside the code that it tries, in a test module named `fuzz`, and calls [`holds`]: so
//! `cargo test --workspace fuzz::` runs them all, and `scripts/soak fuzz` runs them at length. What a target finds becomes
//! an ordinary test beside it.
//!
//! | variable | meaning |
//! | --- | --- |
//! | `FUZZ_CASES` | cases per target, [`CASES`] without it |
//! | `FUZZ_SEED` | the number that a failure printed: the same cases again. New ones each time where `FUZZ_CASES` is set, else always the same |
//! | `FUZZ_TABLE` | a file that gets a line of results per target |

use std::fmt::Debug;
use std::io::Write as _;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};

use proptest::strategy::Strategy;
use proptest::test_runner::{Config, RngSeed, TestCaseError, TestCaseResult, TestRunner};

pub use documents::{mutated, mutated_bytes, pieces};

mod documents;

/// Cases per target where nothing else is said: all targets together take some seconds.
pub const CASES: u32 = 2_000;
/// Where no number of cases is asked for, they are the same each time: what passed yesterday fails today for a change alone. Who
/// looks for something new says how long.
const SEED: u32 = 20_260_129;
/// Longest that one case may compute.
const PATIENCE: Duration = Duration::from_secs(1);
/// A case that takes longer by the clock on the wall never ends: a busy machine alone doesn't slow one down that much.
const FOREVER: Duration = Duration::from_secs(60);

/// Tries the property on cases of the strategy, on one per `cost` of those that [`CASES`] says: a target whose cases take
/// ten times as long as others' gets a tenth. A case must hold, must not panic, and must end within a second.
///
/// # Panics
/// With the smallest case found for which it doesn't hold.
pub fn holds<S: Strategy>(target: &str, cost: u32, strategy: S, property: impl Fn(S::Value) -> TestCaseResult)
where
    S::Value: Debug,
{
    let cases = (number("FUZZ_CASES").unwrap_or(CASES) / cost).max(1);
    tried(target, cases, PATIENCE, strategy, property);
}

fn tried<S: Strategy>(
    target: &str,
    cases: u32,
    patience: Duration,
    strategy: S,
    property: impl Fn(S::Value) -> TestCaseResult,
) where
    S::Value: Debug,
{
    let seed = number("FUZZ_SEED").unwrap_or_else(|| if number("FUZZ_CASES").is_some() { fresh_seed() } else { SEED });
    let config = Config {
        cases,
        failure_persistence: None,
        max_shrink_time: 20_000,
        rng_seed: RngSeed::Fixed(seed.into()),
        ..Config::default()
    };
    let watch = Watch::over(target, seed);
    let slowest = std::cell::Cell::new(Duration::ZERO);
    let begun = Instant::now();
    let result = TestRunner::new(config).run(&strategy, |case| {
        watch.next();
        let before = computed();
        property(case)?;
        let took = computed().saturating_sub(before);
        slowest.set(slowest.get().max(took));
        if took > patience { Err(TestCaseError::fail(format!("it took {took:?}"))) } else { Ok(()) }
    });
    if let Err(error) = result {
        panic!("{target}, FUZZ_SEED={seed}: {error}");
    }
    report(target, cases, begun.elapsed(), slowest.get());
}

/// Ends the test run when a case never ends; a test can't be stopped from outside, and would say nothing.
struct Watch(Arc<AtomicU32>);

impl Watch {
    fn over(target: &str, seed: u32) -> Self {
        let case = Arc::new(AtomicU32::new(0));
        let (seen, target) = (Arc::downgrade(&case), target.to_owned());
        std::thread::spawn(move || {
            let mut last = 0;
            while let Some(now) = seen.upgrade().map(|case| case.load(Ordering::Relaxed)) {
                if now == last && now != 0 {
                    let _ = writeln!(std::io::stderr(), "{target}, FUZZ_SEED={seed}: case {now} does not end");
                    std::process::abort();
                }
                last = now;
                std::thread::sleep(FOREVER);
            }
        });
        Self(case)
    }

    fn next(&self) {
        self.0.fetch_add(1, Ordering::Relaxed);
    }
}

/// Time that this thread has computed: other programs on the machine don't count.
fn computed() -> Duration {
    let time = rustix::time::clock_gettime(rustix::time::ClockId::ThreadCPUTime);
    Duration::new(time.tv_sec.try_into().unwrap_or(0), time.tv_nsec.try_into().unwrap_or(0))
}

fn number(variable: &str) -> Option<u32> {
    let text = std::env::var(variable).ok()?;
    Some(text.parse().unwrap_or_else(|_| panic!("{variable} must be a number, and is {text:?}")))
}

fn fresh_seed() -> u32 {
    let now = std::time::UNIX_EPOCH.elapsed().unwrap_or_default();
    now.subsec_nanos() ^ std::process::id().rotate_left(16)
}

/// A row of the table in docs/RELIABILITY.md.
fn report(target: &str, cases: u32, took: Duration, slowest: Duration) {
    let Some(path) = std::env::var_os("FUZZ_TABLE") else { return };
    let row = format!("| {target} | {cases} | {} | {:.1} |\n", took.as_secs(), slowest.as_secs_f64() * 1e3);
    let file = std::fs::OpenOptions::new().create(true).append(true).open(path);
    // One write: targets of several processes append to the same file.
    file.and_then(|mut file| file.write_all(row.as_bytes())).expect("FUZZ_TABLE must be a file that can be written");
}

#[cfg(test)]
mod tests {
    use std::cell::Cell;
    use std::panic::{AssertUnwindSafe, catch_unwind};

    use proptest::prelude::*;

    use super::*;

    fn panicked(run: impl FnOnce()) -> String {
        let payload = catch_unwind(AssertUnwindSafe(run)).unwrap_err();
        payload.downcast_ref::<String>().cloned().unwrap_or_default()
    }

    fn message(property: impl Fn(String) -> TestCaseResult) -> String {
        panicked(|| holds("an example", 1, mutated(["good"], ["bad"]), property))
    }

    #[test]
    fn what_does_not_hold_is_told_with_its_smallest_case() {
        let told = message(|text| {
            prop_assert!(!text.contains("bad"));
            Ok(())
        });
        assert!(told.contains("an example, FUZZ_SEED=") && told.contains("bad"), "{told}");
        assert!(message(|_| panic!("oh")).contains("oh"));
    }

    #[test]
    fn a_case_that_takes_too_long_does_not_hold() {
        let slow = |_| {
            let begun = computed();
            while computed() - begun < Duration::from_millis(2) {}
            Ok(())
        };
        let told = panicked(|| tried("an example", 1, Duration::from_millis(1), Just(0), slow));
        assert!(told.contains("it took"), "{told}");
    }

    #[test]
    fn some_cases_are_good_documents_and_most_are_not() {
        let (good, bad) = (Cell::new(0), Cell::new(0));
        holds("good and bad", 1, mutated(["good"], ["bad"]), |text| {
            let count = if text == "good" { &good } else { &bad };
            count.set(count.get() + 1);
            Ok(())
        });
        assert!(good.get() > 0 && bad.get() > good.get(), "{good:?} {bad:?}");
    }
}
