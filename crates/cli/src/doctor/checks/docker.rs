//! The engine, its tools, and what holds builds.

use crate::doctor::facts::{Look, Service, Socket};
use crate::doctor::{Check, Facts, Judgement};

pub(super) const CHECKS: [Check<Facts>; 6] = [
    Check {
        name: "docker",
        looks_at: "Docker's socket",
        judge: socket,
        remedy: "start it: `systemctl enable --now docker`",
    },
    Check {
        name: "docker-version",
        looks_at: "Docker Engine's version",
        judge: engine,
        remedy: "update Docker Engine to 20.10 or newer",
    },
    Check {
        name: "compose",
        looks_at: "Docker Compose",
        judge: compose,
        remedy: "install Compose v2: `apt-get install docker-compose-v2`, `docker-compose` or `docker-compose-plugin`",
    },
    Check {
        name: "buildx",
        looks_at: "Docker's buildx",
        judge: buildx,
        remedy: "install it: `apt-get install docker-buildx` or `docker-buildx-plugin`",
    },
    Check {
        name: "build-limits",
        looks_at: "what holds builds within limits",
        judge: build_limits,
        remedy: "docs/OPERATIONS.md, \"What builds may use\": mostly `\"exec-opts\": [\"native.cgroupdriver=cgroupfs\"]` in daemon.json",
    },
    Check {
        name: "known-holes",
        looks_at: "versions with known holes",
        judge: known_holes,
        remedy: "update what is named, then restart the service",
    },
];

fn socket(facts: &Facts) -> Judgement {
    match &facts.docker.socket {
        Socket::Opens => Judgement::ok("an engine answers"),
        Socket::Forbidden => {
            let remedy =
                "the service's user has to be in the group `docker`: `usermod --append --groups docker preview`";
            Judgement::problem("this user may not use it").remedy(remedy)
        }
        Socket::Closed(why) => Judgement::problem(format!("no engine answers: {why}")),
    }
}

/// Major and minor of what begins like a version, with or without a `v`.
fn release(version: &str) -> Option<(u32, u32)> {
    let mut numbers = version.trim_start_matches('v').split(|c: char| !c.is_ascii_digit());
    Some((numbers.next()?.parse().ok()?, numbers.next()?.parse().ok()?))
}

fn engine(facts: &Facts) -> Judgement {
    at_least(&facts.docker.engine, (20, 10))
}

fn compose(facts: &Facts) -> Judgement {
    tool(facts, &facts.docker.compose, (2, 0))
}

fn buildx(facts: &Facts) -> Judgement {
    tool(facts, &facts.docker.buildx, (0, 8))
}

/// A plugin that does not run is not there.
fn tool(facts: &Facts, version: &Look<String>, least: (u32, u32)) -> Judgement {
    match version {
        Err(why) if facts.docker.socket == Socket::Opens => Judgement::problem(format!("it is missing: {why}")),
        version => at_least(version, least),
    }
}

fn at_least(version: &Look<String>, (major, minor): (u32, u32)) -> Judgement {
    match version {
        Err(why) => Judgement::unknown(why),
        Ok(version) => match release(version) {
            None => Judgement::unknown(format!("`{version}` is no version that is understood")),
            Some(release) if release < (major, minor) => {
                Judgement::problem(format!("{version} is too old: {major}.{minor} is the least"))
            }
            Some(_) => Judgement::ok(version),
        },
    }
}

fn build_limits(facts: &Facts) -> Judgement {
    match facts.service.trouble("builds") {
        Err(why) => Judgement::unknown(why),
        Ok(None) => Judgement::ok("memory, processors and processes"),
        Ok(Some(why)) => Judgement::warning(why),
    }
}

fn known_holes(facts: &Facts) -> Judgement {
    match &facts.service {
        Service::Answers(health) if health.known_holes.is_empty() => Judgement::ok("none"),
        Service::Answers(health) => Judgement::warning(health.known_holes.join("; ")),
        _ => Judgement::unknown("the service does not answer"),
    }
}
