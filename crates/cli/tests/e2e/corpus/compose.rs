//! Compose files that mean harm, each pushed to a pull request of the real service: refused in the words of the rules before
//! anything is started for it, or up without anything of what it wanted.
//!
//! The files are those of `crates/core/src/hostile-compose.json`; a dozen, when nobody asks for all.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::os::fd::OwnedFd;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use futures_util::future::join_all;
use jiff::Timestamp;
use preview_core::compose::adopt::adopt;
use preview_core::compose::own::FILE_NAME;
use preview_simulator::{Change, Mimic, NewPull, Pull, Repo};
use rustix::fs::inotify;
use rustix::io::Errno;
use serde::Deserialize;
use serde_json::{Value, json};

use super::{all_is_wanted, note, settled};
use crate::hostile::all_that_is_told;
use crate::rig::{Rig, Setup, unique_owner};

/// One of each kind, by its line.
const SOME: [&str; 14] = [
    "privileged: true",
    "devices: [/dev/kmsg]",
    "network_mode: host",
    "volumes: [/:/host]",
    "volumes: [/var/run/docker.sock]",
    "extends: {file: /etc/passwd, service: app}",
    "env_file: [../../.env]",
    "environment: {TOKEN: '${GITHUB_TOKEN}'}",
    "ports: ['0.0.0.0:22:3000']",
    "labels: {preview-deployer.deployment: evil, com.docker.compose.project: evil}",
    "{additional_contexts: {host: /}}",
    "include: ['oci://registry.example.com/evil:latest']",
    "volumes: {data: {driver: local, driver_opts: {type: none, o: bind, device: /}}}",
    "{image: '169.254.169.254/latest/meta-data'}",
];
/// What stands in files beside the checkouts, and is to be told nowhere.
const CANARY: &str = "canary-of-the-host";
/// How long a refusal may take, counted from the files of the commit.
const AT_ONCE: Duration = Duration::from_secs(1);

/// Lines that mean harm, as the rules' own tests read them.
#[derive(Deserialize)]
struct Place {
    file: String,
    lines: Vec<(String, Option<String>)>,
}

/// A file that means harm: the key that it is refused by, or none of what it wants is taken, which all holds the word `evil`.
struct Hostile {
    line: String,
    text: String,
    refused: Option<String>,
}

fn chosen() -> Vec<Hostile> {
    let text = include_str!("../../../../core/src/hostile-compose.json");
    let places: BTreeMap<String, Place> = serde_json::from_str(text).unwrap();
    let of = |Place { file, lines }: Place| {
        let hostile = move |(line, refused): (String, _)| Hostile { text: file.replace("HERE", &line), line, refused };
        lines.into_iter().map(hostile)
    };
    let all: Vec<Hostile> = places.into_values().flat_map(of).collect();
    assert!(all.len() >= 80, "{}", all.len());
    if all_is_wanted() {
        return all;
    }
    let some: Vec<Hostile> = all.into_iter().filter(|hostile| SOME.contains(&&*hostile.line)).collect();
    assert_eq!(some.len(), SOME.len(), "each is a file of the corpus");
    some
}

// ----------------------------------------------------------------------------------------------------------- watching

/// Files beside the checkouts, where paths of hostile files lead, and whoever touches them.
struct Canaries {
    files: Vec<PathBuf>,
    touched: OwnedFd,
}

impl Canaries {
    fn plant(rig: &Rig) -> Self {
        let files = ["deployments/.env", "deployments/other.yml", "secret"].map(|name| rig.dir.path().join(name));
        let touched = inotify::init(inotify::CreateFlags::NONBLOCK | inotify::CreateFlags::CLOEXEC).unwrap();
        for file in &files {
            fs::create_dir_all(file.parent().unwrap()).unwrap();
            fs::write(file, format!("A={CANARY}\n")).unwrap();
            inotify::add_watch(&touched, file, inotify::WatchFlags::ALL_EVENTS).unwrap();
        }
        let canaries = Self { files: files.to_vec(), touched };
        // Else the watch would be worth nothing.
        fs::read(&canaries.files[0]).unwrap();
        assert!(canaries.were_touched());
        canaries
    }

    /// Whether somebody has opened, read or changed one since this was asked last.
    fn were_touched(&self) -> bool {
        match rustix::io::read(&self.touched, &mut [0; 4096]) {
            Ok(_) => true,
            Err(error) => {
                assert_eq!(error, Errno::WOULDBLOCK);
                false
            }
        }
    }

    fn remove(&self) {
        self.files.iter().for_each(|file| fs::remove_file(file).unwrap());
    }
}

/// Has the service's Compose and Buildx write down how they are called, before they are what they always were.
fn write_down_calls(rig: &mut Rig) -> PathBuf {
    let (home, calls) = (rig.dir.path().join("home"), rig.dir.path().join("docker-calls"));
    let plugins = home.join(".docker/cli-plugins");
    fs::create_dir_all(&plugins).unwrap();
    for word in ["compose", "buildx"] {
        let script = format!("#!/bin/sh\necho \"$*\" >>'{}'\nexec docker {word} \"$@\"\n", calls.display());
        let plugin = plugins.join(format!("docker-{word}"));
        fs::write(&plugin, script).unwrap();
        fs::set_permissions(&plugin, fs::Permissions::from_mode(0o755)).unwrap();
    }
    rig.set("HOME", home.display());
    calls
}

/// How long each refusal took from the files of the commit on, as the service's log tells.
fn times(log: &str) -> Vec<Duration> {
    let (mut since, mut times) = (BTreeMap::new(), Vec::new());
    for line in log.lines().filter_map(|line| serde_json::from_str::<Value>(line).ok()) {
        let when = || line["timestamp"].as_str().unwrap().parse::<Timestamp>().unwrap();
        let pull = line["span"]["pull"].as_str().map(str::to_owned);
        match (line["message"].as_str(), line["action"].as_str()) {
            (Some("performed"), Some("Checkout")) => drop(since.insert(pull, when())),
            (Some("the attempt failed"), _) => {
                let took = when().duration_since(since.remove(&pull).expect("it was checked out"));
                times.push(took.unsigned_abs());
            }
            _ => {}
        }
    }
    times
}

// ------------------------------------------------------------------------------------------------------------- pushing

/// A mimic's pull request with this Compose file: pushed to it, once it is open.
async fn push(repo: &Repo, opened: Option<Pull>, text: &str) -> Pull {
    let compose = Change::write(FILE_NAME, text);
    if let Some(pull) = opened {
        pull.push([compose]).await.unwrap();
        return pull;
    }
    let files = Mimic::new("hostile").config("app_port: 3000\nhealth_check_path: /health\n").files();
    let files = files.into_iter().chain([compose, Change::symlink("link", "../..")]).collect::<Vec<_>>();
    repo.open_pull(NewPull::new("hostile", files)).await.unwrap()
}

/// Pushes these files one after the other; each is refused in the words of the rules.
async fn refuse(rig: &Rig, repo: &Repo, files: &[&Hostile]) -> Option<Pull> {
    let mut opened: Option<Pull> = None;
    for Hostile { text, refused, .. } in files {
        let pull = push(repo, opened, text).await;
        let record = settled(rig, &pull).await;
        let failure = &record["attempt"]["failure"];
        let refusals = adopt(text).unwrap_err();
        assert_eq!((&failure["step"], &failure["blame"]), (&json!("detect"), &json!("author")), "{text}\n{record}");
        assert_eq!(failure["cause"], refusals.to_string(), "{text}");
        let keys: Vec<_> = refusals.refusals.iter().map(|refusal| refusal.key.as_str()).collect();
        assert!(keys.contains(&refused.as_deref().unwrap()), "{text}\n{keys:?}");
        opened = Some(pull);
    }
    opened
}

/// Pushes these files one after the other; each comes up, without anything of what it wanted.
async fn take(rig: &Rig, repo: &Repo, files: &[&Hostile]) {
    let mut opened: Option<Pull> = None;
    for Hostile { text, .. } in files {
        let pull = push(repo, opened, text).await;
        let record = settled(rig, &pull).await;
        assert_eq!(record["serving"]["commitSha"], pull.head().as_str(), "{text}\n{record}");
        assert_harmless(rig, &pull, text).await;
        opened = Some(pull);
    }
}

/// Nothing that the engine knows of this preview is what the file wanted.
async fn assert_harmless(rig: &Rig, pull: &Pull, text: &str) {
    let id = rig.id(pull);
    let containers = rig.containers(&id).await;
    assert!(!containers.is_empty(), "{text}");
    for name in containers {
        let container = rig.inspect("container", &name).await;
        let host = &container["HostConfig"];
        assert!(!container.to_string().contains("evil"), "{text}\n{container}");
        assert_eq!(container["Config"]["Labels"]["com.docker.compose.project"], *id, "{text}");
        assert_eq!((&host["Privileged"], &host["CapDrop"]), (&json!(false), &json!(["ALL"])), "{text}");
        assert_eq!((&host["Binds"], &host["CapAdd"]), (&Value::Null, &Value::Null), "{text}");
        let networks = container["NetworkSettings"]["Networks"].as_object().unwrap();
        assert_eq!(networks.keys().collect::<Vec<_>>(), [&id], "{text}");
        let ports = host["PortBindings"].as_object().unwrap().values().flat_map(|ports| ports.as_array().unwrap());
        assert!(ports.clone().all(|port| port["HostIp"] == "127.0.0.1"), "{text}\n{host}");
        assert!(container["Mounts"].as_array().unwrap().iter().all(|mount| mount["Type"] == "volume"), "{text}");
    }
    let network = rig.inspect("network", &id).await;
    assert!(!network.to_string().contains("evil"), "{text}\n{network}");
}

/// So many repositories' worth of these files.
fn lanes(files: &[Hostile], many: usize) -> Vec<Vec<&Hostile>> {
    (0..many).map(|lane| files.iter().skip(lane).step_by(many).collect()).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn every_hostile_file_is_refused_before_docker_hears_of_it_or_harmless() {
    let (refused, harmless): (Vec<_>, Vec<_>) = chosen().into_iter().partition(|file| file.refused.is_some());
    let repos = (0..4).map(|_| format!("{}/app", unique_owner()));
    let mut rig = Setup::new().repos(repos).set("MAX_CONCURRENT_BUILDS", 2).prepare().await;
    let calls = write_down_calls(&mut rig);
    let canaries = Canaries::plant(&rig);
    rig.start_service().await;
    let begun = Instant::now();
    let repos: Vec<Repo> = rig.repos.iter().map(|name| rig.github.repo(name).unwrap()).collect();
    let refusing = lanes(&refused, 2);
    let refusing = join_all(refusing.iter().zip(&repos[..2]).map(|(lane, repo)| refuse(&rig, repo, lane)));
    let taking = lanes(&harmless, 2);
    let taking = join_all(taking.iter().zip(&repos[2..]).map(|(lane, repo)| take(&rig, repo, lane)));
    let (pulls, _) = tokio::join!(refusing, taking);

    let pulls: Vec<Pull> = pulls.into_iter().flatten().collect();
    let times = times(&rig.log());
    let slowest = times.iter().max().unwrap();
    assert!(times.len() == refused.len() && *slowest < AT_ONCE, "{} of {}: {times:?}", times.len(), refused.len());
    assert_never_started(&rig, &pulls, &calls).await;
    assert!(!canaries.were_touched(), "a file of the host was opened");
    for pull in &pulls {
        rig.until_comment(pull, "is refused").await;
        let told = all_that_is_told(&rig, pull).await;
        assert!(!told.contains(CANARY), "{told}");
    }
    assert!(!rig.log().contains(CANARY));
    canaries.remove();
    note(&format!(
        "{} hostile Compose files were refused before any `docker` was started for them, the slowest {} ms after its \
         checkout; {} came up without what they wanted: {} s.",
        refused.len(),
        slowest.as_millis(),
        harmless.len(),
        begun.elapsed().as_secs()
    ));
    rig.finish().await;
}

/// No call of Compose or Buildx names one of these pull requests, while others are named; and the engine has nothing of theirs.
async fn assert_never_started(rig: &Rig, pulls: &[Pull], calls: &Path) {
    let calls = fs::read_to_string(calls).unwrap();
    let named = |pull: &Pull| calls.lines().filter(|call| call.contains(&rig.id(pull))).collect::<BTreeSet<_>>();
    for pull in pulls {
        assert_eq!(named(pull), BTreeSet::new());
        assert_eq!(rig.containers(&rig.id(pull)).await, [""; 0]);
    }
    let owner = rig.github.repo(&rig.repos[2]).unwrap().name().owner().to_owned();
    assert!(calls.contains(&owner), "what comes up is named: {calls}");
}
