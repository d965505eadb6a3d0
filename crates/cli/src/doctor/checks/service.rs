//! The service itself: its unit, its ports, its ledger, what it says of itself.

use crate::doctor::facts::Service;
use crate::doctor::{Check, Facts, Judgement};

pub(super) const CHECKS: [Check<Facts>; 8] = [
    Check {
        name: "unit",
        looks_at: "the unit preview-orchestrator",
        judge: unit,
        remedy: "`systemctl enable --now preview-orchestrator`; `journalctl -u preview-orchestrator` says why it ended",
    },
    Check {
        name: "service",
        looks_at: "whether the service answers",
        judge: service,
        remedy: "`journalctl -u preview-orchestrator` says why it does not run; `preview serve --check` names wrong settings",
    },
    Check {
        name: "health",
        looks_at: "what the service says of itself",
        judge: health,
        remedy: "the other findings and the service's log say more",
    },
    Check {
        name: "ports",
        looks_at: "the service's own ports",
        judge: ports,
        remedy: "`ss -ltnp` shows who listens there: stop that, or give the service another port",
    },
    Check {
        name: "ledger",
        looks_at: "the ledger",
        judge: ledger,
        remedy: "give the file and its folder to the service's user; a damaged one is replaced from its .bak at the next start",
    },
    Check {
        name: "helper",
        looks_at: "the socket of the helper",
        judge: helper,
        remedy: "`systemctl enable --now preview-helper.socket`; docs/SERVER.md says what it is for",
    },
    Check {
        name: "firewall",
        looks_at: "the rules around previews and builds",
        judge: firewall,
        remedy: "`preview firewall set` as root sets them; docs/OPERATIONS.md, \"The firewall\"",
    },
    Check {
        name: "certificates",
        looks_at: "whether certificates could be got and renewed",
        judge: certificates,
        remedy: "the authority must reach the name on port 80, or find its record in the zone; docs/OPERATIONS.md, \"Certificates\"",
    },
];

/// Checks of `/health` that have a check of their own here.
const ELSEWHERE: [&str; 6] = ["docker", "builds", "disk", "walls", "ledger", "certificates"];

fn unit(facts: &Facts) -> Judgement {
    match &facts.unit {
        Err(why) => Judgement::unknown(why),
        Ok(state) if state == "active" => Judgement::ok("active"),
        // Run by hand, or by something else than systemd.
        Ok(state) if matches!(facts.service, Service::Answers(_)) => {
            Judgement::warning(format!("{state}, and yet a service answers: who starts it after a restart?"))
        }
        Ok(state) => Judgement::problem(state),
    }
}

fn service(facts: &Facts) -> Judgement {
    match &facts.service {
        Service::Answers(health) => Judgement::ok(format!("version {}", health.version)),
        Service::Silent(why) => Judgement::problem(why),
        Service::Stranger(why) => Judgement::problem(why),
    }
}

fn health(facts: &Facts) -> Judgement {
    let Service::Answers(health) = &facts.service else { return Judgement::unknown("the service does not answer") };
    let troubles = health.troubles.iter().filter(|(name, _)| !ELSEWHERE.contains(&name.as_str()));
    let told: Vec<String> = troubles.map(|(name, why)| format!("{name}: {why}")).collect();
    if told.is_empty() { Judgement::ok("all checks are fine") } else { Judgement::problem(told.join("; ")) }
}

fn ports(facts: &Facts) -> Judgement {
    let told = |(setting, port): &(&str, u16)| format!("port {port} ({setting}) is taken by another program");
    match facts.taken_ports.as_slice() {
        [] => Judgement::ok("free, or the service's"),
        taken => Judgement::problem(taken.iter().map(told).collect::<Vec<_>>().join("; ")),
    }
}

fn ledger(facts: &Facts) -> Judgement {
    match (&facts.ledger, facts.service.trouble("ledger")) {
        (_, Ok(Some(why))) => Judgement::problem(why),
        (Err(why), _) => Judgement::unknown(why),
        (Ok(ledger), _) => match &ledger.read {
            Err(why) => Judgement::problem(format!("{} can't be read: {why}", ledger.path)),
            Ok(_) if !ledger.writable => Judgement::problem(format!("{} can't be written", ledger.path)),
            Ok(deployments) => Judgement::ok(format!("{deployments} deployments")),
        },
    }
}

fn helper(facts: &Facts) -> Judgement {
    match &facts.helper {
        None => Judgement::ok("no setting names it"),
        Some(Ok(())) => Judgement::ok("it takes questions"),
        Some(Err(why)) => Judgement::problem(why),
    }
}

fn firewall(facts: &Facts) -> Judgement {
    match facts.service.trouble("walls") {
        Err(why) => Judgement::unknown(why),
        Ok(None) => Judgement::ok("they stand"),
        Ok(Some(why)) => Judgement::problem(why),
    }
}

fn certificates(facts: &Facts) -> Judgement {
    match facts.service.trouble("certificates") {
        Err(why) => Judgement::unknown(why),
        Ok(None) => Judgement::ok("none that is wanted is missing"),
        Ok(Some(why)) => Judgement::problem(why),
    }
}
