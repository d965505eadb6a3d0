//! Every single call that a first deployment makes, broken in every way: it must come out as if nothing had been.

use crate::house::{House, good};
use crate::world::trouble::{Rule, Trouble};

async fn break_every_call_by(trouble: Trouble) {
    let mut house = House::new().await;
    house.world().mark();
    house.open(good()).await;
    house.settle().await;
    let calls = house.world().calls();
    house.kill().await;
    assert!(calls >= 8, "a deployment makes {calls} calls");
    for nth in 0..calls {
        let mut house = House::new().await;
        house.world().mark();
        house.world().rules.push(Rule::nth(nth, trouble));
        house.open(good()).await;
        house.settle().await;
        house.kill().await;
    }
}

#[tokio::test(start_paused = true)]
async fn whatever_fails() {
    break_every_call_by(Trouble::FailsBefore).await;
}

#[tokio::test(start_paused = true)]
async fn whatever_happens_and_is_said_to_have_failed() {
    break_every_call_by(Trouble::FailsAfter).await;
}

#[tokio::test(start_paused = true)]
async fn whatever_hangs() {
    break_every_call_by(Trouble::HangsBefore).await;
}

#[tokio::test(start_paused = true)]
async fn whatever_happens_and_hangs() {
    break_every_call_by(Trouble::HangsAfter).await;
}

#[tokio::test(start_paused = true)]
async fn killed_before_any_call() {
    break_every_call_by(Trouble::CrashBefore).await;
}
