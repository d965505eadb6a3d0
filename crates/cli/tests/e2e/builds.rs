//! Builds that want more than they may have: they fail and say why, and nobody else notices.

use std::time::Duration;

use preview_simulator::{Change, Mimic, Pull};
use serde_json::json;
use tokio::time::{Instant, interval};

use crate::engine::{Engine, GROUPS};
use crate::rig::{Rig, Setup, running, runs, slow_build};

/// Visits and deliveries, as many of each, one pair after the other.
const PACE: Duration = Duration::from_millis(20);
/// The least that is measured each time.
const SAMPLES: usize = 100;
/// What other tests on the same two cores may add to a median, beside twice the usual time.
const NOISE: Duration = Duration::from_millis(10);

/// An installation on an engine of its own, whose builds may have little.
async fn on_own_engine(limits: &[(&str, &str)]) -> (Rig, Engine) {
    let engine = Engine::start().await;
    let setup = engine.settings().into_iter().fold(Setup::new(), |setup, (name, value)| setup.set(name, value));
    let setup = limits.iter().fold(setup, |setup, (name, value)| setup.set(name, value));
    (setup.start().await, engine)
}

/// A pull request whose build runs the mimic, and tells it this.
async fn open_building(rig: &Rig, told: &str) -> Pull {
    let dockerfile = format!("FROM scratch\nCOPY mimic VERSION /\nENV {told}\nRUN [\"/mimic\"]\n");
    rig.open_with([Mimic::new(told).files(), vec![Change::write("Dockerfile", dockerfile)]].concat()).await
}

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

impl Engine {
    /// What a service is told of it.
    pub(crate) fn settings(&self) -> [(&'static str, String); 2] {
        [("DOCKER_HOST", self.host()), ("BUILD_CGROUP", format!("{}/buildkit", self.group))]
    }

    /// A limit of its builds, as the kernel has it: `pids`, `pids.max`. Version 2 of control groups knows no kinds of them.
    fn of_builds(&self, kind: &str, file: &str) -> String {
        let unified = std::path::Path::new(GROUPS).join("cgroup.controllers").exists();
        let kind = if unified { String::new() } else { format!("/{kind}") };
        let path = format!("{GROUPS}{kind}{}/buildkit/{file}", self.group);
        std::fs::read_to_string(&path).unwrap_or_else(|error| panic!("{path}: {error}")).trim().to_owned()
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn builds_that_want_too_much_fail_with_their_cause_and_nobody_else_notices() {
    let limits = [("BUILD_MEMORY_MB", "512"), ("BUILD_PROCESSES", "300"), ("BUILD_CPUS", "1.5")];
    let (rig, engine) = on_own_engine(&limits).await;
    let (calm, _) = rig.up("calm").await;
    let usual = measure(&rig, &calm, async {}).await;

    let hungry = open_building(&rig, "MIMIC_EAT_MB=8192").await;
    let during_hunger = measure(&rig, &calm, async {
        rig.until_comment(&hungry, "wanted more than 512 MB of memory").await;
    });
    let during_hunger = during_hunger.await;
    let bomb = open_building(&rig, "MIMIC_MULTIPLY=1").await;
    let during_bomb = measure(&rig, &calm, async {
        rig.until_comment(&bomb, "wanted more than 300 processes at once").await;
    });
    let during_bomb = during_bomb.await;
    // What else the machine does comes and goes: usual is the slower of before and after.
    let usual = usual.slower(measure(&rig, &calm, async {}).await);

    for during in [during_hunger, during_bomb] {
        assert!(during.visit <= usual.visit * 2 + NOISE, "a visit: {during:?}, usually {usual:?}");
        assert!(during.delivery <= usual.delivery * 2 + NOISE, "a delivery: {during:?}, usually {usual:?}");
    }
    rig.until("the processes are gone", async || (engine.of_builds("pids", "pids.current") == "0").then_some(())).await;
    assert_eq!(engine.of_builds("pids", "pids.max"), "max", "nothing is limited while nothing of ours is built");
    assert_eq!(rig.ask_api("/health").await["checks"]["builds"], json!({"ok": true}));
    rig.finish().await;
}

/// A build that prints a line a second without end, and the command that runs meanwhile.
fn endless_build(version: &str) -> (Vec<Change>, String) {
    let (mut changes, sleep) = slow_build(version, 1);
    let script = format!("while :; do echo still at it; {sleep}; done");
    changes.push(Change::write("Dockerfile", format!("FROM debian:bookworm-slim\nRUN {script}\n")));
    (changes, format!("/bin/sh -c {script}"))
}

#[tokio::test(flavor = "multi_thread")]
async fn builds_that_last_too_long_or_say_nothing_are_ended_with_all_that_runs_for_them() {
    let rig = Setup::new().set("BUILD_TIMEOUT_SECONDS", 12).set("BUILD_SILENCE_SECONDS", 5).start().await;
    let builds = [
        (slow_build("silent", 600), "printed nothing for 5s", "BUILD_SILENCE_SECONDS"),
        (endless_build("endless"), "took longer than 12s", "BUILD_TIMEOUT_SECONDS"),
    ];
    for ((changes, command), cause, remedy) in builds {
        let pull = rig.open_with(changes).await;
        rig.until("it is being built", async || runs(&command).then_some(())).await;
        let comment = rig.until_comment(&pull, cause).await;
        assert!(comment.body.contains(&remedy.replace('_', "\\_")), "{}", comment.body);
        rig.until("nothing of it runs", async || (!runs(&command)).then_some(())).await;
    }
    rig.finish().await;
}

/// How many of five builds run at the same time, at most.
async fn most_at_a_time(setup: Setup) -> usize {
    let rig = setup.set("MAX_CONCURRENT_BUILDS", 2).start().await;
    let (mut pulls, mut commands) = (Vec::new(), Vec::new());
    for n in 0..5 {
        let (changes, command) = slow_build(&format!("version {n}"), 3);
        pulls.push(rig.open_with(changes).await);
        commands.push(command);
    }
    let mut most = 0;
    rig.until("all are built", || {
        most = most.max(commands.iter().map(|command| running(command)).sum());
        let ledger = rig.ledger();
        let all = pulls.iter().all(|pull| ledger["deployments"][rig.id(pull)]["status"] == "running");
        std::future::ready(all.then_some(()))
    })
    .await;
    rig.finish().await;
    most
}

#[tokio::test(flavor = "multi_thread")]
async fn so_many_builds_run_at_a_time_and_one_where_they_are_held_together() {
    // Below a file there is no group, so that nothing holds builds.
    assert_eq!(most_at_a_time(Setup::new().set("BUILD_CGROUP", "/docker/cgroup.procs/builds")).await, 2);
    assert_eq!(most_at_a_time(Setup::new()).await, 1);
}
