//! Where visitors come from: the previews' address, and names below a domain.

use crate::doctor::facts::Answers;
use crate::doctor::{Check, Facts, Judgement};

pub(super) const CHECKS: [Check<Facts>; 3] = [
    Check {
        name: "base-url",
        looks_at: "what answers at PREVIEW_BASE_URL",
        judge: base_url,
        remedy: "let PREVIEW_BASE_URL, its DNS record and the web server behind it lead to this server's router",
    },
    Check {
        name: "domain",
        looks_at: "the address of PREVIEW_DOMAIN",
        judge: domain,
        remedy: "add an A record for it that names this server",
    },
    Check {
        name: "wildcard",
        looks_at: "addresses of names below PREVIEW_DOMAIN",
        judge: wildcard,
        remedy: "add an A record for `*.` and the domain that names this server",
    },
];

const NONE: &str = "PREVIEW_DOMAIN is not set";

fn base_url(facts: &Facts) -> Judgement {
    let judged = match &facts.at_base_url {
        // From here it may not be reachable although it is from outside.
        Err(why) if facts.base_url.is_some() => Judgement::warning(format!("nobody answers, seen from here: {why}")),
        Err(why) => return Judgement::unknown(why),
        Ok(Answers::Us) => return Judgement::ok("this installation"),
        Ok(Answers::Somebody(status)) => Judgement::problem(format!("something else, with status {status}")),
    };
    judged.record(facts.base_record.as_ref())
}

fn domain(facts: &Facts) -> Judgement {
    let own = match &facts.domain {
        Err(why) => return Judgement::unknown(why),
        Ok(None) => return Judgement::ok(NONE),
        Ok(Some(domain)) => &domain.own,
    };
    match &own.found {
        Err(why) => Judgement::problem(format!("{} has none: {why}", own.name)).record(Some(own)),
        Ok(addresses) => Judgement::ok(list(addresses)),
    }
}

fn wildcard(facts: &Facts) -> Judgement {
    let domain = match &facts.domain {
        Err(why) => return Judgement::unknown(why),
        Ok(None) => return Judgement::ok(NONE),
        Ok(Some(domain)) => domain,
    };
    let judged = match (&domain.wildcard.found, &domain.at_wildcard) {
        (Err(why), _) => Judgement::problem(format!("names below {} have none: {why}", domain.own.name)),
        (Ok(addresses), Ok(Answers::Somebody(status))) => {
            Judgement::problem(format!("{}, where something else answers, with status {status}", list(addresses)))
        }
        (Ok(addresses), Err(why)) => {
            Judgement::warning(format!("{}, where nobody answers, seen from here: {why}", list(addresses)))
        }
        (Ok(addresses), Ok(Answers::Us)) => return Judgement::ok(list(addresses)),
    };
    judged.record(Some(&domain.wildcard))
}

fn list(addresses: &[std::net::IpAddr]) -> String {
    addresses.iter().map(ToString::to_string).collect::<Vec<_>>().join(", ")
}
