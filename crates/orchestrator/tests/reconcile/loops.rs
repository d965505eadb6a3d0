//! Every call of a story broken, in every way: whatever fails, hangs or dies when, the end is as it should be.

#![expect(clippy::print_stderr, reason = "a test's own output, shown when it fails")]

use std::time::Duration;

use preview_core::desired::SetAsideReason;
use preview_orchestrator::ledger::Reason;
use preview_orchestrator::reconcile::Pace;

use crate::check::Expect;
use crate::house::{House, broken_build, good, that_migrates, that_runs, with_database, with_service};
use crate::world::trouble::{Rule, Trouble};
use crate::world::{App, Migration, Run};

/// Something that happens, from a quiet beginning to a quiet end.
#[derive(Debug, Clone, Copy)]
enum Story {
    Deploy,
    Update,
    BrokenUpdate,
    UnhealthyUpdate,
    Redeploy,
    Migration,
    FailedMigration,
    EmptyDatabase,
    Removal,
    Stop,
    Loss,
    /// The service beside the app is replaced.
    Service,
    /// It is named no more.
    NoService,
    /// There is no memory for two versions at once.
    InPlace,
}

impl Story {
    const ALL: [Self; 14] = [
        Self::Deploy,
        Self::Update,
        Self::BrokenUpdate,
        Self::UnhealthyUpdate,
        Self::Redeploy,
        Self::Migration,
        Self::FailedMigration,
        Self::EmptyDatabase,
        Self::Removal,
        Self::Stop,
        Self::Loss,
        Self::Service,
        Self::NoService,
        Self::InPlace,
    ];

    /// Tells it, with this trouble. Gives how many calls it took.
    async fn told(self, rule: Option<Rule>) -> usize {
        // Each look at the memory is a call to be broken; of all those in ten minutes none is another.
        let patience = if matches!(self, Self::InPlace) { Duration::from_secs(10) } else { Pace::default().memory };
        let mut house = House::with(|config| config.pace.memory = patience).await;
        if matches!(self, Self::Deploy) {
            begin(&house, rule);
            house.open(with_database()).await;
            return end(house).await;
        }
        if matches!(self, Self::Migration) {
            begin(&house, rule);
            house.open(that_migrates(Migration::Works)).await;
            return end(house).await;
        }
        let beside = matches!(self, Self::Service | Self::NoService | Self::InPlace);
        let pull = house.open(if beside { with_service() } else { with_database() }).await;
        house.settle().await;
        house.keep_watch(pull);
        begin(&house, rule);
        match self {
            Self::Deploy | Self::Migration => {}
            Self::FailedMigration => drop(house.push(pull, that_migrates(Migration::Fails)).await),
            Self::EmptyDatabase => {
                house.world().must_serve.clear();
                house.push(pull, App { resets: true, ..that_migrates(Migration::Works) }).await;
            }
            Self::Update => drop(house.push(pull, with_database()).await),
            Self::BrokenUpdate => drop(house.push(pull, broken_build()).await),
            Self::UnhealthyUpdate => drop(house.push(pull, that_runs(Run::Silent)).await),
            Self::Redeploy => house.command(pull, Reason::Redeploy).await,
            Self::Service => drop(house.push(pull, with_service()).await),
            Self::NoService => drop(house.push(pull, good()).await),
            Self::InPlace => {
                house.world().must_serve.clear();
                house.world().fits = Some(1);
                house.push(pull, with_service()).await;
            }
            Self::Removal => house.close(pull).await,
            Self::Stop => {
                house.world().must_serve.clear();
                house.expect(pull, Expect::Aside(SetAsideReason::Stopped));
                house.command(pull, Reason::Stop).await;
            }
            Self::Loss => {
                let id = house.id(pull);
                let mut world = house.world();
                world.must_serve.clear();
                world.tampered = true;
                world.engine.remove(&id);
            }
        }
        end(house).await
    }
}

fn begin(house: &House, rule: Option<Rule>) {
    let mut world = house.world();
    world.mark();
    world.rules.extend(rule);
}

async fn end(mut house: House) -> usize {
    house.settle().await;
    let calls = house.world().calls();
    house.kill().await;
    calls
}

async fn break_every_call(trouble: Trouble) {
    for story in Story::ALL {
        let calls = story.told(None).await;
        for nth in 0..calls {
            // Shown when it fails: this very case can be told alone.
            eprintln!("{story:?} with {trouble:?} at call {nth}");
            story.told(Some(Rule::nth(nth, trouble))).await;
        }
    }
}

#[tokio::test(start_paused = true)]
async fn every_call_fails() {
    break_every_call(Trouble::FailsBefore).await;
}

#[tokio::test(start_paused = true)]
async fn every_call_happens_and_is_said_to_have_failed() {
    break_every_call(Trouble::FailsAfter).await;
}

#[tokio::test(start_paused = true)]
async fn every_call_hangs() {
    break_every_call(Trouble::HangsBefore).await;
}

#[tokio::test(start_paused = true)]
async fn every_call_happens_and_hangs() {
    break_every_call(Trouble::HangsAfter).await;
}

#[tokio::test(start_paused = true)]
async fn every_call_panics() {
    break_every_call(Trouble::Panics).await;
}

#[tokio::test(start_paused = true)]
async fn killed_before_every_call() {
    break_every_call(Trouble::CrashBefore).await;
}

#[tokio::test(start_paused = true)]
async fn killed_after_every_call() {
    break_every_call(Trouble::CrashAfter).await;
}
