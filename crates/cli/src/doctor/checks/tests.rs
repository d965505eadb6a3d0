//! Each check, made to say that something is wrong by one change to a server on which everything is right.

use std::collections::BTreeSet;

use jiff::{SignedDuration, Timestamp};
use preview_core::capacity::{Disk, Files};

use super::all;
use crate::dns::Record;
use crate::doctor::facts::{
    Answers, Delivery, Docker, Domain, Facts, GitHub, Health, Hook, Ledger, Memory, Nginx, Service, Socket,
};
use crate::doctor::{Finding, Verdict};

const GB: u64 = 1_000_000_000;

/// A disk's files, of which so many in a hundred are left.
const fn left(percent: u64) -> Option<Files> {
    Some(Files { free: percent * 10_000, total: 1_000_000 })
}

fn hook() -> Hook {
    Hook {
        url: "http://previews.example.com/webhook/github".to_owned(),
        active: true,
        json: true,
        events: vec!["pull_request".to_owned(), "issue_comment".to_owned()],
        last: Some(202),
    }
}

/// A server without a fault.
fn fine() -> Facts {
    let address = vec!["203.0.113.7".parse().unwrap()];
    let record = |name: &str| Record { name: name.to_owned(), server: address.clone(), found: Ok(address.clone()) };
    Facts {
        base_url: Some("http://previews.example.com".to_owned()),
        mistakes: Ok(Vec::new()),
        misspelt: Vec::new(),
        docker: Docker {
            socket: Socket::Opens,
            engine: Ok("20.10.24+dfsg1".to_owned()),
            compose: Ok("2.26.1-4".to_owned()),
            buildx: Ok("v0.13.1".to_owned()),
        },
        disks: vec![("ledger", Ok(Disk { free: 30 * GB, total: 50 * GB, files: left(60) }))],
        memory: Ok(Memory { total: 4 << 30, available: 2 << 30, container: 512 << 20 }),
        clock: Ok(SignedDuration::from_secs(1)),
        nginx: Ok(Some(Nginx {
            config_dir: "/etc/nginx/preview-configs".to_owned(),
            test: Ok(None),
            included: Ok(true),
        })),
        helper: Some(Ok(())),
        ledger: Ok(Ledger { path: "/opt/preview-deployer/deployments.json".to_owned(), read: Ok(3), writable: true }),
        unit: Ok("active".to_owned()),
        service: Service::Answers(Health {
            version: "0.1.0".to_owned(),
            troubles: Vec::new(),
            known_holes: Vec::new(),
        }),
        taken_ports: Vec::new(),
        github: Ok(GitHub {
            status: 200,
            ends: Some(Timestamp::now() + SignedDuration::from_hours(24 * 60)),
            scopes: None,
            quota: Some((5000, 4000)),
        }),
        repositories: vec![("my-org/my-app".to_owned(), Ok(200))],
        webhooks_are_on: true,
        hooks: vec![("my-org/my-app".to_owned(), Ok(vec![hook()]))],
        deliveries: Ok(vec![Delivery { signed: true, wrong_signature: false }]),
        at_base_url: Ok(Answers::Us),
        base_record: Some(record("previews.example.com")),
        domain: Ok(Some(Domain {
            own: record("previews.example.com"),
            wildcard: record("*.previews.example.com"),
            at_wildcard: Ok(Answers::Us),
        })),
    }
}

fn found(facts: &Facts) -> Vec<Finding> {
    all().iter().map(|check| check.examine(facts)).collect()
}

/// What a check says after something was changed.
fn says(name: &str, change: impl FnOnce(&mut Facts)) -> Finding {
    let mut facts = fine();
    change(&mut facts);
    found(&facts).into_iter().find(|finding| finding.name == name).unwrap_or_else(|| panic!("no check {name}"))
}

fn trouble(facts: &mut Facts, check: &str, why: &str) {
    if let Service::Answers(health) = &mut facts.service {
        health.troubles.push((check.to_owned(), why.to_owned()));
    }
}

fn token(facts: &mut Facts) -> &mut GitHub {
    facts.github.as_mut().unwrap()
}

fn nginx(facts: &mut Facts) -> &mut Nginx {
    facts.nginx.as_mut().unwrap().as_mut().unwrap()
}

fn domain(facts: &mut Facts) -> &mut Domain {
    facts.domain.as_mut().unwrap().as_mut().unwrap()
}

fn our_hook(facts: &mut Facts) -> &mut Hook {
    &mut facts.hooks[0].1.as_mut().unwrap()[0]
}

/// A change to a server, and how a check judges it.
type Case = (&'static str, Verdict, fn(&mut Facts));

const CASES: &[Case] = &[
    ("settings", Verdict::Problem, |f| f.mistakes = Ok(vec!["ALLOWED_REPOS is missing".to_owned()])),
    ("settings", Verdict::Unknown, |f| f.mistakes = Err("only root may".to_owned())),
    ("misspelt", Verdict::Warning, |f| f.misspelt = vec!["CLEANUP_TTL_DAY is no setting".to_owned()]),
    ("disk", Verdict::Problem, |f| f.disks[0].1 = Ok(Disk { free: GB, total: 50 * GB, files: left(60) })),
    ("disk", Verdict::Warning, |f| f.disks[0].1 = Ok(Disk { free: 8 * GB, total: 50 * GB, files: left(60) })),
    ("disk", Verdict::Problem, |f| f.disks[0].1 = Ok(Disk { free: 30 * GB, total: 50 * GB, files: left(9) })),
    ("disk", Verdict::Warning, |f| f.disks[0].1 = Ok(Disk { free: 30 * GB, total: 50 * GB, files: left(15) })),
    ("disk", Verdict::Ok, |f| f.disks[0].1 = Ok(Disk { free: 30 * GB, total: 50 * GB, files: None })),
    ("disk", Verdict::Unknown, |f| f.disks[0].1 = Err("no such folder".to_owned())),
    ("memory", Verdict::Problem, |f| f.memory.as_mut().unwrap().total = 1 << 30),
    ("memory", Verdict::Warning, |f| f.memory.as_mut().unwrap().available = 100 << 20),
    ("clock", Verdict::Problem, |f| f.clock = Ok(SignedDuration::from_secs(-600))),
    ("docker", Verdict::Problem, |f| f.docker.socket = Socket::Closed("No such file".to_owned())),
    ("docker", Verdict::Problem, |f| f.docker.socket = Socket::Forbidden),
    ("docker-version", Verdict::Problem, |f| f.docker.engine = Ok("19.03.15".to_owned())),
    ("docker-version", Verdict::Unknown, |f| f.docker.engine = Err("no answer".to_owned())),
    ("compose", Verdict::Problem, |f| f.docker.compose = Err("docker: 'compose' is not a docker command".to_owned())),
    ("compose", Verdict::Problem, |f| f.docker.compose = Ok("1.29.2".to_owned())),
    ("buildx", Verdict::Problem, |f| f.docker.buildx = Err("docker: 'buildx' is not a docker command".to_owned())),
    ("build-limits", Verdict::Warning, |f| trouble(f, "builds", "the engine has the systemd driver")),
    ("known-holes", Verdict::Warning, |f| {
        if let Service::Answers(health) = &mut f.service {
            health.known_holes = vec!["git 2.39.1 has CVE-2024-32002".to_owned()];
        }
    }),
    ("unit", Verdict::Problem, |f| {
        f.unit = Ok("failed".to_owned());
        f.service = Service::Silent("no answer".to_owned());
    }),
    ("unit", Verdict::Warning, |f| f.unit = Ok("inactive".to_owned())),
    ("service", Verdict::Problem, |f| f.service = Service::Silent("no answer".to_owned())),
    ("service", Verdict::Problem, |f| f.service = Service::Stranger("another program".to_owned())),
    ("health", Verdict::Problem, |f| trouble(f, "router", "no answer within 2 s")),
    ("ports", Verdict::Problem, |f| f.taken_ports = vec![("ORCHESTRATOR_PORT", 3000)]),
    ("ledger", Verdict::Problem, |f| f.ledger.as_mut().unwrap().read = Err("invalid data".to_owned())),
    ("ledger", Verdict::Problem, |f| f.ledger.as_mut().unwrap().writable = false),
    ("ledger", Verdict::Problem, |f| trouble(f, "ledger", "no space left")),
    ("helper", Verdict::Problem, |f| f.helper = Some(Err("it does not open".to_owned()))),
    ("firewall", Verdict::Problem, |f| trouble(f, "walls", "previews are not kept from this machine")),
    ("certificates", Verdict::Problem, |f| trouble(f, "certificates", "there is no certificate for a.example.com")),
    ("nginx-config", Verdict::Problem, |f| nginx(f).test = Ok(Some("[emerg] unknown".to_owned()))),
    ("nginx-include", Verdict::Problem, |f| nginx(f).included = Ok(false)),
    ("token", Verdict::Problem, |f| token(f).status = 401),
    ("token", Verdict::Warning, |f| token(f).ends = Some(Timestamp::now() + SignedDuration::from_hours(5))),
    ("token", Verdict::Unknown, |f| f.github = Err("GitHub does not answer".to_owned())),
    ("token-rights", Verdict::Problem, |f| trouble(f, "github", "The token may not write commit statuses")),
    ("token-rights", Verdict::Problem, |f| token(f).scopes = Some(vec!["gist".to_owned()])),
    ("token-rights", Verdict::Warning, |f| {
        token(f).scopes = Some(vec!["repo".to_owned(), "admin:org".to_owned()]);
    }),
    ("rate-limit", Verdict::Problem, |f| token(f).quota = Some((5000, 0))),
    ("rate-limit", Verdict::Warning, |f| token(f).quota = Some((5000, 100))),
    ("repositories", Verdict::Problem, |f| f.repositories[0].1 = Ok(404)),
    ("repositories", Verdict::Unknown, |f| f.repositories[0].1 = Err("no answer".to_owned())),
    ("webhooks", Verdict::Problem, |f| f.hooks[0].1 = Ok(Vec::new())),
    ("webhooks", Verdict::Problem, |f| our_hook(f).url = "https://ci.example.com/hook".to_owned()),
    ("webhooks", Verdict::Problem, |f| our_hook(f).active = false),
    ("webhooks", Verdict::Problem, |f| our_hook(f).json = false),
    ("webhooks", Verdict::Problem, |f| our_hook(f).last = Some(401)),
    ("webhooks", Verdict::Problem, |f| our_hook(f).events = vec!["push".to_owned()]),
    ("webhooks", Verdict::Warning, |f| our_hook(f).events = vec!["pull_request".to_owned()]),
    ("webhooks", Verdict::Unknown, |f| f.hooks[0].1 = Err("the token may not look".to_owned())),
    ("webhook-secret", Verdict::Problem, |f| {
        f.deliveries = Ok(vec![Delivery { signed: false, wrong_signature: true }]);
    }),
    ("webhook-secret", Verdict::Warning, |f| {
        f.deliveries.as_mut().unwrap().insert(0, Delivery { signed: false, wrong_signature: true });
    }),
    ("webhook-secret", Verdict::Ok, |f| f.deliveries = Ok(Vec::new())),
    ("base-url", Verdict::Problem, |f| f.at_base_url = Ok(Answers::Somebody(200))),
    ("base-url", Verdict::Warning, |f| f.at_base_url = Err("connection refused".to_owned())),
    ("domain", Verdict::Problem, |f| domain(f).own.found = Err("no such name".to_owned())),
    ("wildcard", Verdict::Problem, |f| domain(f).wildcard.found = Err("no such name".to_owned())),
    ("wildcard", Verdict::Problem, |f| domain(f).at_wildcard = Ok(Answers::Somebody(200))),
    ("wildcard", Verdict::Warning, |f| domain(f).at_wildcard = Err("refused".to_owned())),
];

#[test]
fn on_a_server_without_a_fault_every_check_is_content() {
    let findings = found(&fine());
    for finding in &findings {
        assert_eq!((finding.verdict, &finding.remedy), (Verdict::Ok, &None), "{finding:?}");
    }
    let names: BTreeSet<&str> = findings.iter().map(|finding| finding.name.as_str()).collect();
    assert!(names.len() == findings.len() && names.len() >= 20, "{names:?}");
}

#[test]
fn each_mistake_is_found_and_comes_with_a_remedy() {
    let mut wrong = BTreeSet::new();
    for (index, (name, verdict, change)) in CASES.iter().enumerate() {
        let finding = says(name, change);
        assert_eq!(finding.verdict, *verdict, "case {index}: {finding:?}");
        assert_eq!(finding.remedy.is_some(), matches!(verdict, Verdict::Warning | Verdict::Problem), "{finding:?}");
        if finding.remedy.is_some() {
            wrong.insert(*name);
        }
    }
    for check in all() {
        assert!(wrong.contains(check.name), "{} is never anything but fine in a test", check.name);
    }
}

#[test]
fn a_name_that_leads_elsewhere_is_told_by_the_record_that_is_wanted() {
    let remedy = |name: &str, change: fn(&mut Facts)| says(name, change).remedy.unwrap();
    assert_eq!(
        remedy("domain", |f| domain(f).own.found = Err("no such name".to_owned())),
        "add the DNS record `previews.example.com A 203.0.113.7`; seen from here, the name has no address (no such name)"
    );
    for (told, name) in [
        (
            remedy("wildcard", |f| {
                domain(f).wildcard.found = Ok(vec!["198.51.100.1".parse().unwrap()]);
                domain(f).at_wildcard = Ok(Answers::Somebody(200));
            }),
            "*.previews.example.com",
        ),
        (
            remedy("base-url", |f| {
                f.base_record.as_mut().unwrap().found = Ok(vec!["198.51.100.1".parse().unwrap()]);
                f.at_base_url = Ok(Answers::Somebody(200));
            }),
            "previews.example.com",
        ),
    ] {
        let line =
            format!("let the DNS record be `{name} A 203.0.113.7`; seen from here, the name leads to 198.51.100.1");
        assert!(told.ends_with(&line), "{told}");
    }
}

#[test]
fn what_does_not_concern_an_installation_is_fine() {
    let without = |facts: &mut Facts| {
        (facts.nginx, facts.helper, facts.domain, facts.webhooks_are_on) = (Ok(None), None, Ok(None), false);
        facts.hooks.clear();
        facts.deliveries = Err("nobody was asked".to_owned());
    };
    for name in ["nginx-config", "nginx-include", "helper", "domain", "wildcard", "webhooks", "webhook-secret"] {
        assert_eq!(says(name, without).verdict, Verdict::Ok, "{name}");
    }
}

#[test]
fn without_settings_nothing_that_depends_on_them_is_called_fine() {
    let unread = || "the settings could not be read".to_owned();
    let change = |facts: &mut Facts| {
        (facts.nginx, facts.domain, facts.base_url) = (Err(unread()), Err(unread()), None);
        (facts.github, facts.at_base_url, facts.clock) = (Err(unread()), Err(unread()), Err(unread()));
        facts.repositories.clear();
        facts.hooks.clear();
    };
    for name in [
        "nginx-config",
        "nginx-include",
        "domain",
        "wildcard",
        "base-url",
        "token",
        "token-rights",
        "rate-limit",
        "repositories",
        "webhooks",
        "clock",
    ] {
        assert_eq!(says(name, change).verdict, Verdict::Unknown, "{name}");
    }
}

#[test]
fn a_service_that_is_down_hides_nothing_as_fine() {
    let down = |facts: &mut Facts| facts.service = Service::Silent("no answer".to_owned());
    for name in ["build-limits", "known-holes", "health", "firewall"] {
        assert_eq!(says(name, down).verdict, Verdict::Unknown, "{name}");
    }
}
