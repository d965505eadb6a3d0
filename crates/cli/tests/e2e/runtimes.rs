//! A stronger runtime for strangers' code: gVisor's `runsc`, a kernel of its own between the app and the host's.

use std::path::PathBuf;

use preview_simulator::{Mimic, NewPull, Permission, Pull};
use serde_json::{Value, json};

use crate::engine::Engine;
use crate::rig::{Rig, Setup};

/// What gVisor's kernel says of itself, whatever its release.
const GVISOR: &str = "Linux version 4.4.0 #1 SMP Sun Jan 10 15:06:54 PST 2016";

impl Engine {
    /// Starts one that knows a further runtime, by its daemon.json.
    async fn start_with_runtime(name: &str, about: Value) -> Self {
        let engine = Self::prepare().await;
        let config = json!({"runtimes": {name: about}});
        std::fs::write(engine.path("daemon.json"), config.to_string()).unwrap();
        engine.started().await
    }
}

/// The `runsc` of this machine.
fn runsc() -> PathBuf {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let found = std::env::split_paths(&path).map(|folder| folder.join("runsc")).find(|program| program.is_file());
    found.expect("gVisor's `runsc` is missing: `scripts/ground up tests` installs the package of that name")
}

/// The kernel that an app sees.
async fn kernel(rig: &Rig, pull: &Pull) -> String {
    let answer = rig.http.get(format!("{}read?path=/proc/version", rig.url(pull))).send().await.unwrap();
    answer.text().await.unwrap().trim().to_owned()
}

async fn runtime(rig: &Rig, pull: &Pull, service: &str) -> String {
    rig.container(&rig.id(pull), service).await["HostConfig"]["Runtime"].as_str().unwrap().to_owned()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_strangers_app_has_gvisors_kernel_and_a_members_the_hosts() {
    // `--network=host` is the container's own network, by the host's kernel: with a network of their own, releases up to 2024 take each
    // container on a kernel from 6.11 on for the host, and refuse.
    //
    // Source: <https://github.com/google/gvisor/issues/10704>
    let about = json!({"path": runsc(), "runtimeArgs": ["--network=host"]});
    let engine = Engine::start_with_runtime("runsc", about).await;
    let setup = engine.settings().into_iter().fold(Setup::new(), |setup, (name, value)| setup.set(name, value));
    let rig = setup.set("UNTRUSTED_RUNTIME", "runsc").start().await;
    rig.repo().set_permission("carol", Permission::Write);
    let host = std::fs::read_to_string("/proc/version").unwrap();
    assert_ne!(host.trim(), GVISOR);

    let (member, _) = rig.up("a member's").await;
    assert_eq!(kernel(&rig, &member).await, host.trim());
    assert_eq!(runtime(&rig, &member, "app-a").await, "runc");

    let new = NewPull::new("patch", Mimic::new("a stranger's").files()).author("mallory").from_fork();
    let pull = rig.repo().open_pull(new).await.unwrap();
    let line = format!("/preview deploy {}", pull.head());
    rig.until_comment(&pull, &line).await;
    pull.comment("carol", &line);
    rig.until_answers(&rig.url(&pull), "a stranger's").await;
    assert_eq!(kernel(&rig, &pull).await, GVISOR);
    assert_eq!(runtime(&rig, &pull, "app-a").await, "runsc");

    // Pushed and approved again, it is replaced as any other.
    let pushed = pull.push(Mimic::new("changed").files()).await.unwrap();
    rig.until_gone(&rig.url(&pull)).await;
    pull.comment("carol", &format!("/preview deploy {pushed}"));
    rig.until_answers(&rig.url(&pull), "changed").await;
    assert_eq!(kernel(&rig, &pull).await, GVISOR);
    rig.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_runtime_that_the_engine_does_not_know_is_told_at_the_start() {
    let mut rig = Setup::new().set("UNTRUSTED_RUNTIME", "no-such-runtime").prepare().await;
    rig.launch_service();
    let told = "UNTRUSTED_RUNTIME is `no-such-runtime`, which this engine does not know";
    rig.until("it is told", async || rig.log().contains(told).then_some(())).await;
    rig.until("the service has ended", async || rig.log().contains("--- the service ended: ").then_some(())).await;
}
