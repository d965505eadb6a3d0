//! Builds that want more than they may have: they fail and say why, and nobody else notices.

use std::path::Path;

use preview_simulator::{Change, Mimic, Pull};
use serde_json::json;

use crate::calm::assert_unnoticed;
use crate::engine::{Engine, GROUPS, is_unified};
use crate::rig::{Rig, Setup, running, runs, slow_build};

/// With the `systemd` driver each step has a control group of its own, whose name begins so. That driver takes a systemd, which
/// a test has not; but the builder is told no more than this parent of all its groups, and can be told so without.
const APART: &str = "system.slice:docker:";

impl Engine {
    /// Where its builds' steps have their groups: beneath one, or with names that begin so.
    fn steps(&self) -> String {
        match self.parent.as_str() {
            // A relative name: runc's own group is what it is relative to, or on version 2 the one above.
            APART if is_unified() => format!("{}/{APART}", self.group),
            APART => format!("{}/engine/{APART}", self.group),
            parent => format!("{parent}/buildkit"),
        }
    }

    /// What a service is told of it.
    pub(crate) fn settings(&self) -> [(&'static str, String); 2] {
        [("DOCKER_HOST", self.host()), ("BUILD_CGROUP", self.steps())]
    }

    /// What the kernel says of its builds, of each group that their steps have now: `pids`, `pids.max`.
    fn of_builds(&self, kind: &str, file: &str) -> Vec<String> {
        let kind = if is_unified() { "" } else { kind };
        let steps = self.steps();
        let (above, begin) = steps.rsplit_once('/').unwrap();
        let groups = std::fs::read_dir(Path::new(GROUPS).join(kind).join(above.trim_start_matches('/')));
        let groups = groups.into_iter().flatten().flatten();
        // What has no more than the beginning for its name is what the containers are in.
        let groups = groups.filter(|group| {
            let name = group.file_name();
            name != APART && name.to_string_lossy().starts_with(begin)
        });
        // A step may end at any time.
        let said = groups.filter_map(|group| std::fs::read_to_string(group.path().join(file)).ok());
        said.map(|said| said.trim().to_owned()).collect()
    }
}

/// An installation on such an engine, whose builds may have little.
async fn held_on(engine: &Engine) -> Rig {
    let limits = [("BUILD_MEMORY_MB", "512"), ("BUILD_PROCESSES", "300"), ("BUILD_CPUS", "1.5")];
    let setup = engine.settings().into_iter().fold(Setup::new(), |setup, (name, value)| setup.set(name, value));
    limits.into_iter().fold(setup, |setup, (name, value)| setup.set(name, value)).start().await
}

/// A pull request whose build runs the mimic, and tells it this.
async fn open_building(rig: &Rig, told: &str) -> Pull {
    let dockerfile = format!("FROM scratch\nCOPY mimic VERSION /\nENV {told}\nRUN [\"/mimic\"]\n");
    rig.open_with([Mimic::new(told).files(), vec![Change::write("Dockerfile", dockerfile)]].concat()).await
}

#[tokio::test(flavor = "multi_thread")]
async fn builds_that_want_too_much_fail_with_their_cause_and_nobody_else_notices() {
    let engine = Engine::start().await;
    let rig = held_on(&engine).await;
    let (calm, _) = rig.up("calm").await;

    let greedy = [
        ("MIMIC_EAT_MB=8192", "wanted more than 512 MB of memory"),
        ("MIMIC_MULTIPLY=1", "wanted more than 300 processes at once"),
    ];
    for (told, cause) in greedy {
        let greedy = async || {
            let greedy = open_building(&rig, told).await;
            rig.until_comment(&greedy, cause).await;
        };
        assert_unnoticed(&rig, &calm, told, greedy).await;
    }
    rig.until("the processes are gone", async || (engine.of_builds("pids", "pids.current") == ["0"]).then_some(()))
        .await;
    assert_eq!(engine.of_builds("pids", "pids.max"), ["max"], "nothing is limited while nothing of ours is built");
    assert_eq!(rig.ask_api("/health").await["checks"]["builds"], json!({"ok": true}));
    rig.finish().await;
}

/// A build of these stages, which run side by side, each as the mimic does what it is told.
async fn open_building_side_by_side(rig: &Rig, told: [&str; 2]) -> Pull {
    let [one, two] = told.map(|told| format!("FROM scratch\nCOPY mimic VERSION /\nENV {told}\nRUN [\"/mimic\"]\n"));
    let one = one.replacen("FROM scratch", "FROM scratch AS one", 1);
    let dockerfile = format!("{one}{two}COPY --from=one /VERSION /one\n");
    rig.open_with([Mimic::new(told.concat()).files(), vec![Change::write("Dockerfile", dockerfile)]].concat()).await
}

#[tokio::test(flavor = "multi_thread")]
async fn builds_are_held_where_each_step_has_a_group_of_its_own() {
    let mut engine = Engine::prepare().await;
    engine.parent = APART.to_owned();
    let engine = engine.started().await;
    let rig = held_on(&engine).await;
    let (calm, _) = rig.up("calm").await;
    assert_eq!(rig.ask_api("/health").await["checks"]["builds"], json!({"ok": true}));

    let held = open_building(&rig, "MIMIC_EAT_MB=1").await;
    rig.until("its step is held", async || (engine.of_builds("cpu", "cpu.cfs_quota_us") == ["150000"]).then_some(()))
        .await;
    assert_eq!(engine.of_builds("pids", "pids.max"), ["300"]);
    assert_eq!(engine.of_builds("memory", "memory.limit_in_bytes"), [(512 << 20).to_string()]);
    held.close().unwrap();
    let ended = async || engine.of_builds("pids", "pids.max").is_empty().then_some(());
    rig.until("its step has ended", ended).await;

    let hungry = open_building(&rig, "MIMIC_EAT_MB=8192").await;
    let told = rig.until_comment(&hungry, "wanted more than 512 MB of memory").await;
    assert!(told.body.contains("the build was killed"), "by the kernel, at its step's limit: {}", told.body);
    let both = open_building_side_by_side(&rig, ["MIMIC_EAT_MB=400", "MIMIC_EAT_MB=401"]).await;
    let told = rig.until_comment(&both, "wanted more than 512 MB of memory").await;
    assert!(told.body.contains("was stopped"), "neither wanted too much: {}", told.body);
    let bomb = open_building(&rig, "MIMIC_MULTIPLY=1").await;
    rig.until_comment(&bomb, "wanted more than 300 processes at once").await;

    rig.until("no step is left", ended).await;
    assert_eq!(rig.http.get(rig.url(&calm)).send().await.unwrap().status(), 200);
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
