//! What a neighbour notices of somebody else's build: how long its visitors, and GitHub with its deliveries, wait meanwhile.

use std::time::Duration;

use preview_simulator::Pull;
use tokio::time::{Instant, interval};

use crate::rig::{Rig, tell};

/// Visits and deliveries, as many of each, one pair after the other.
const PACE: Duration = Duration::from_millis(20);
/// The least that is measured each time.
const SAMPLES: usize = 100;
/// What other tests on the same two cores may add to a median, beside twice the usual time.
const NOISE: Duration = Duration::from_millis(10);
/// How often a measurement is repeated that was not calm.
const ATTEMPTS: usize = 3;

/// How long visitors of a preview and GitHub with its deliveries waited, in the middle.
#[derive(Debug, Clone, Copy)]
struct Medians {
    visit: Duration,
    delivery: Duration,
}

impl Medians {
    fn slower(self, other: Self) -> Self {
        Self { visit: self.visit.max(other.visit), delivery: self.delivery.max(other.delivery) }
    }
}

/// Visits a preview and delivers, one after the other, until so many were seen and this is over.
async fn measure(rig: &Rig, calm: &Pull, until: impl Future<Output = ()>) -> Medians {
    let url = rig.url(calm);
    let (mut visits, mut deliveries) = (Vec::new(), Vec::new());
    let mut ticks = interval(PACE);
    let over = std::cell::Cell::new(false);
    let watch = async {
        until.await;
        over.set(true);
    };
    let sample = async {
        while visits.len() < SAMPLES || !over.get() {
            ticks.tick().await;
            let begun = Instant::now();
            assert_eq!(rig.http.get(&url).send().await.unwrap().status(), 200);
            visits.push(begun.elapsed());
            let delivery = rig.delivery(calm, "labeled");
            let begun = Instant::now();
            assert_eq!(delivery.send().await.unwrap().status(), 202);
            deliveries.push(begun.elapsed());
        }
    };
    tokio::join!(watch, sample);
    Medians { visit: median(visits), delivery: median(deliveries) }
}

fn median(mut times: Vec<Duration>) -> Duration {
    times.sort();
    times[times.len() / 2]
}

/// While this goes on, visitors and GitHub wait at most twice as long as usual.
async fn stays_unnoticed(rig: &Rig, calm: &Pull, what: &str, greedy: impl Future<Output = ()>) -> Result<(), String> {
    let before = measure(rig, calm, async {}).await;
    let during = measure(rig, calm, greedy).await;
    let usual = before.slower(measure(rig, calm, async {}).await);
    let seen = format!("while {what} was built: {during:?}, usually {usual:?}");
    tell(&seen);
    let unnoticed = during.visit <= usual.visit * 2 + NOISE && during.delivery <= usual.delivery * 2 + NOISE;
    if unnoticed { Ok(()) } else { Err(seen) }
}

/// Has this built, from its pull request until it is known what became of it, and nobody else notices. What other tests do on the
/// same two cores comes and goes: what is noticed each time is the build.
pub(crate) async fn assert_unnoticed(rig: &Rig, calm: &Pull, what: &str, greedy: impl AsyncFn()) {
    let mut noticed = Ok(());
    for _ in 0..ATTEMPTS {
        noticed = stays_unnoticed(rig, calm, what, greedy()).await;
        if noticed.is_ok() {
            break;
        }
    }
    noticed.unwrap();
}
