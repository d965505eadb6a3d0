//! A build that tries to get out and to take everything: contained, and its neighbour notices nothing.
//!
//! Its network and its engine are the test's own, so that the firewall stands and a disk may be filled. Whatever a build must not
//! reach is really there, and is reached from beside it.

use std::cell::Cell;
use std::net::{SocketAddr, TcpListener};
use std::time::Duration;

use preview_exec::{Limits, Program};
use preview_simulator::{Change, Mimic, Pull};
use rustix::fs::statvfs;
use tokio::net::TcpStream;

use crate::calm::assert_unnoticed;
use crate::engine::Engine;
use crate::isolation::WITH_POSTGRES;
use crate::network::{self, Outside};
use crate::prisoner::places;
use crate::rig::{Rig, RouterKind, Setup, TOKEN, tell, unique_owner};
use crate::walls::addresses;

/// An image with a shell, which the builds begin with.
const SHELL: &str = "debian:bookworm-slim";
/// What a step of a build tries.
const ESCAPE: &str = include_str!("escape.sh");
/// What of that may work.
const OWN: [&str; 2] = ["a file of its own", "a device that everybody has"];
/// The capabilities that Docker gives to any container. A step has no other to gain.
///
/// Source: <https://docs.docker.com/engine/containers/run/#runtime-privilege-and-linux-capabilities>
const USUAL: u64 = 0xa804_25fb;
/// Where engines listen that do so on a network.
const ENGINES: [u16; 2] = [2375, 2376];
/// Of the engine's disk. Two gigabytes have to be free, and a build is stopped when one is.
const DISK_MB: u32 = 3200;
const GB: u64 = 1_000_000_000;
/// How long it may take until a build has been stopped as often as it is tried again.
const STOPPED_EACH_TIME: Duration = Duration::from_secs(180);

/// An installation behind nginx, which previews and builds could reach at every address of this machine but for the firewall.
async fn start_on(engine: &Engine) -> Rig {
    let setup = Setup::new().router(RouterKind::Nginx).set("ORCHESTRATOR_HOST", "0.0.0.0");
    // What is written to this disk, which lies in memory, counts as the memory of whoever writes.
    let setup = setup.set("BUILD_MEMORY_MB", 8192).set("BUILD_CPUS", 1).set("HEALTH_TIMEOUT_SECONDS", 60);
    let setup = engine.settings().into_iter().fold(setup, |setup, (name, value)| setup.set(name, value));
    let mut rig = setup.prepare().await;
    rig.set("FIREWALL", "all");
    let previews = rig.setting("NGINX_CONFIG_DIR");
    let everywhere = format!("server {{ listen 80; include {previews}/*.conf; }}");
    std::fs::write(rig.nginx.as_ref().unwrap().foreign_file(), everywhere).unwrap();
    rig.start_service().await;
    rig
}

/// A pull request whose build runs this.
async fn open_running(rig: &Rig, version: &str, steps: &str) -> Pull {
    let dockerfile =
        format!("FROM {SHELL}\nCOPY escape.sh mimic VERSION /\n{steps}\nENV PORT=3000\nENTRYPOINT [\"/mimic\"]\n");
    let more = vec![Change::write("Dockerfile", dockerfile), Change::write("escape.sh", ESCAPE)];
    rig.open_with([Mimic::new(version).files(), more].concat()).await
}

/// The log of a preview's build, as the API gives it.
async fn build_log(rig: &Rig, pull: &Pull) -> String {
    let url = format!("{}/api/previews/{}/logs?stream=build", rig.api, rig.id(pull));
    rig.http.get(url).bearer_auth(TOKEN).send().await.unwrap().text().await.unwrap()
}

/// This machine's addresses: that in builds' network, that in the neighbour's, and that on the wire.
async fn hosts(rig: &Rig, engine: &Engine, neighbour: &Pull) -> [String; 3] {
    let (theirs, _) = addresses(rig, neighbour).await;
    [engine.gateway.clone(), theirs, Outside::OURS.to_owned()]
}

/// Services of this machine at each of its addresses, and what is beyond it.
fn services(rig: &Rig, hosts: &[String]) -> Vec<String> {
    let api = rig.setting("ORCHESTRATOR_PORT").parse().unwrap();
    let ports: Vec<u16> = ENGINES.into_iter().chain([api, 80]).collect();
    let here = hosts.iter().flat_map(|host| ports.iter().map(move |port| format!("{host}:{port}")));
    here.chain([Outside::METADATA, Outside::PRIVATE].map(str::to_owned)).collect()
}

/// Somebody answers there.
async fn assert_reached_from_here(places: &[String]) {
    for place in places {
        TcpStream::connect(place).await.unwrap_or_else(|error| panic!("{place}: {error}"));
    }
}

/// What got through of all that a step says in the build's log it has tried: files, devices and such, and places that answered.
fn got_through(log: &str) -> Vec<&str> {
    let tried = |line: &'_ str| -> Option<(usize, usize)> {
        let begin = line.find("tried ").map(|at| at + "tried ".len());
        let worked = begin.zip(line.strip_suffix(": got through").map(str::len));
        let reached = line.find("reach ").map(|at| at + "reach ".len());
        worked.or(reached.zip(line.strip_suffix(" open").map(str::len)))
    };
    log.lines().filter_map(|line| tried(line).map(|(begin, end)| &line[begin..end])).collect()
}

/// A build tries all that there is to try, says how each try ended, and becomes a preview like any other.
async fn assert_stays_inside(rig: &Rig, engine: &Engine, neighbour: &Pull) {
    let id = rig.id(neighbour);
    let hosts = hosts(rig, engine, neighbour).await;
    let published = rig.record(&id);
    let published =
        hosts.iter().flat_map(|host| ["appPort", "dbPort"].map(|port| format!("{host}:{}", published[port])));
    let (services, theirs) = (services(rig, &hosts), places(rig, &id).await);
    assert_reached_from_here(&services).await;
    let by_address = |place: &&String| place.parse::<SocketAddr>().is_ok();
    let within = theirs.iter().filter(by_address).filter(|place| place.ends_with(":3000") || place.ends_with(":5432"));
    assert_reached_from_here(&within.cloned().collect::<Vec<_>>()).await;
    let closed = [services, theirs, published.collect()].concat();
    let words = closed.iter().map(String::as_str).chain([Outside::INTERNET]);
    let words: Vec<String> = words.map(|place| format!("\"{place}\"")).collect();
    let steps = format!("RUN bash /escape.sh\nRUN [\"/mimic\", \"reach\", {}]", words.join(", "));
    let pull = open_running(rig, "escaped", &steps).await;
    rig.until_answers(&rig.url(&pull), "escaped").await;

    let log = build_log(rig, &pull).await;
    let allowed: Vec<&str> = OWN.into_iter().chain([Outside::INTERNET]).collect();
    let more: Vec<&str> = got_through(&log).into_iter().filter(|tried| !allowed.contains(tried)).collect();
    assert!(more.is_empty(), "got through: {more:?}\n{log}");
    assert_eq!(got_through(&log), allowed, "what it may do works");
    for place in &closed {
        assert!(log.contains(&format!("reach {place} closed")), "{place}: {log}");
    }
    let state = |name: &str| log.lines().find_map(|line| Some(line.split_once(name)?.1.trim().to_owned()));
    let rights = u64::from_str_radix(&state("CapBnd:").expect("it came to its end"), 16).unwrap();
    assert_eq!(rights & !USUAL, 0, "more than the usual capabilities: {rights:x}");
    assert_eq!(state("Seccomp:").as_deref(), Some("2"), "the engine's default filter");
}

/// A build that says more than anybody wants to keep: it goes on, and little of that is kept.
async fn flood(rig: &Rig) {
    // No other build has this step, so that it runs.
    let version = unique_owner();
    let words = format!("yes '{version} says so' | head -c 200M; head -c 100M /dev/zero | tr '\\0' x");
    let pull = open_running(rig, &version, &format!("RUN {words}\nRUN echo said by {version}")).await;
    rig.until_answers(&rig.url(&pull), &version).await;
    let kept = std::fs::metadata(rig.dir.path().join("logs").join(rig.id(&pull)).join("build.log")).unwrap().len();
    assert!(kept < 11_000_000, "{kept} bytes are kept of the log");
    let log = build_log(rig, &pull).await;
    assert!(log.contains(&format!("said by {version}")), "what is said after the flood is there");
    pull.close().unwrap();
    rig.until_gone(&rig.url(&pull)).await;
}

/// A build that writes until it is stopped, somewhat faster than a disk of today takes it, if not as fast as this one, which lies
/// in memory. It is stopped, its pull request is told, and what it has written goes.
async fn fill(rig: &Rig, engine: &Engine) {
    let free = || {
        let disk = statvfs(engine.disk()).unwrap();
        disk.f_bavail * disk.f_frsize
    };
    rig.until("there is room", async || (free() > 9 * GB / 4).then_some(())).await;
    let version = unique_owner();
    let script = "while :; do head -c 32M /dev/zero >>/fill; sleep 0.05; done";
    let pull = open_running(rig, &version, &format!("RUN : {version}; {script}")).await;
    let least = Cell::new(u64::MAX);
    let told = rig.until_within(STOPPED_EACH_TIME, "it is stopped, and told so", async || {
        least.set(least.get().min(free()));
        let comment = pull.bot_comments().pop()?.body;
        // Tried again, it may have to wait for what it has written itself to be gone.
        (comment.contains("disk was about to be full") || comment.contains("disk is almost full")).then_some(comment)
    });
    let told = told.await;
    let least = least.get();
    tell(&format!("{} MB were free at least: {}", least / 1_000_000, told.lines().next().unwrap_or_default()));
    assert!((1..GB).contains(&least), "{least} bytes were free at least: it was stopped because of that, and in time");
    assert!(rig.log().contains("the server's disk was about to be full while the image was built"));
    pull.close().unwrap();
    rig.until_record(&rig.id(&pull), "gone", |record| record.is_none()).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_build_that_tries_everything_is_contained() {
    if !network::is_own("escape::a_build_that_tries_everything_is_contained").await {
        return;
    }
    let engine = Engine::start_on_disk(DISK_MB).await;
    load(&engine, &[SHELL, "postgres:16-bookworm"]).await;
    let _outside = Outside::connect().await;
    let _engines = ENGINES.map(|port| TcpListener::bind(("0.0.0.0", port)).unwrap());
    let rig = start_on(&engine).await;
    let calm = rig.open(Mimic::new("calm").config(WITH_POSTGRES)).await;
    rig.until_answers(&rig.url(&calm), "calm").await;

    assert_stays_inside(&rig, &engine, &calm).await;
    assert_unnoticed(&rig, &calm, "what floods its log", async || flood(&rig).await).await;
    assert_unnoticed(&rig, &calm, "what fills the disk", async || fill(&rig, &engine).await).await;
    let database = rig.container(&rig.id(&calm), "db").await;
    assert_eq!((&database["State"]["Running"], &database["RestartCount"]), (&true.into(), &0.into()));
    rig.finish().await;
}

/// Gives an engine images of the one that all tests share.
async fn load(engine: &Engine, images: &[&str]) {
    let script = "docker save \"${@:2}\" | docker --host \"$1\" load";
    let bash = Program::new("bash").args(["-o", "pipefail", "-c", script, "bash", &engine.host()]).args(images);
    bash.inherit_env("HOME").limits(Limits::seconds(180)).run().await.unwrap();
}
