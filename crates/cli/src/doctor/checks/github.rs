//! GitHub: the token, what it may see, and what is delivered.

use jiff::{SignedDuration, Timestamp};

use crate::doctor::facts::{GitHub, Hook};
use crate::doctor::{Check, Facts, Judgement};

pub(super) const CHECKS: [Check<Facts>; 6] = [
    Check {
        name: "token",
        looks_at: "GITHUB_TOKEN",
        judge: token,
        remedy: "make a fine-grained token (contents: read; pull requests and commit statuses: write), set GITHUB_TOKEN, restart the service",
    },
    Check {
        name: "token-rights",
        looks_at: "what the token may do",
        judge: rights,
        remedy: "make a fine-grained token for these repositories alone: contents read, pull requests and commit statuses write",
    },
    Check {
        name: "rate-limit",
        looks_at: "GitHub's limit of requests",
        judge: quota,
        remedy: "nothing is lost, comments come later; does another program use the same token?",
    },
    Check {
        name: "repositories",
        looks_at: "the repositories of ALLOWED_REPOS",
        judge: repositories,
        remedy: "correct the name in ALLOWED_REPOS, or give the token that repository",
    },
    Check {
        name: "webhooks",
        looks_at: "the webhook of each repository",
        judge: webhooks,
        remedy: "docs/SERVER.md says what the webhook looks like; GitHub's Recent Deliveries shows answers",
    },
    Check {
        name: "webhook-secret",
        looks_at: "signatures of the last deliveries",
        judge: signatures,
        remedy: "set the same secret in the webhook and in GITHUB_WEBHOOK_SECRET, and restart the service",
    },
];

/// How long before its end a token's end is spoken of.
const SOON: SignedDuration = SignedDuration::from_hours(7 * 24);
/// Where deliveries go.
const PATH: &str = "/webhook/github";

fn token(facts: &Facts) -> Judgement {
    let GitHub { status, ends, .. } = match &facts.github {
        Err(why) => return Judgement::unknown(why),
        Ok(github) => github,
    };
    let left = ends.map(|end| end.duration_since(Timestamp::now()));
    match (status, ends.zip(left)) {
        (401, _) => Judgement::problem("GitHub does not know it: it expired, was revoked, or is misspelt"),
        (200, Some((end, left))) if left < SOON => Judgement::warning(format!("it expires at {end}")),
        (200, Some((end, _))) => Judgement::ok(format!("good until {end}")),
        (200, None) => Judgement::ok("GitHub takes it, and names no end"),
        (other, _) => Judgement::problem(format!("GitHub answers {other}")),
    }
}

/// A classic token names its scopes. A fine-grained one doesn't: what it lacks the service has found out.
fn rights(facts: &Facts) -> Judgement {
    if let Ok(Some(why)) = facts.service.trouble("github") {
        return Judgement::problem(why);
    }
    let scopes = match &facts.github {
        Err(why) => return Judgement::unknown(why),
        Ok(GitHub { status: 401, .. }) => return Judgement::unknown("GitHub does not know the token"),
        Ok(github) => &github.scopes,
    };
    let Some(scopes) = scopes else { return Judgement::ok("nothing that the service needed was refused") };
    let has = |scope: &str| scopes.iter().any(|known| known == scope);
    if !has("repo") && !has("public_repo") {
        return Judgement::problem(format!(
            "a classic token without `repo` or `public_repo` (it has: {})",
            scopes.join(", ")
        ));
    }
    let more: Vec<&str> = scopes.iter().map(String::as_str).filter(|scope| !scope.ends_with("repo")).collect();
    let over = if more.is_empty() { "every repository of its owner".to_owned() } else { more.join(", ") };
    Judgement::warning(format!("a classic token, which may do more than is needed: {over}"))
}

fn quota(facts: &Facts) -> Judgement {
    match &facts.github {
        Err(why) => Judgement::unknown(why),
        Ok(github) => match github.quota {
            None => Judgement::unknown("GitHub names none"),
            Some((limit, 0)) => Judgement::problem(format!("all {limit} requests of this hour are used")),
            Some((limit, left)) if left < limit / 10 => {
                Judgement::warning(format!("{left} of {limit} are left this hour"))
            }
            Some((limit, left)) => Judgement::ok(format!("{left} of {limit} are left this hour")),
        },
    }
}

fn repositories(facts: &Facts) -> Judgement {
    let out: Vec<String> = facts
        .repositories
        .iter()
        .filter_map(|(name, answer)| {
            let why = match answer {
                Ok(200) => return None,
                Ok(404) => "GitHub shows the token no such repository".to_owned(),
                Ok(301) => "it has another name now".to_owned(),
                Ok(status) => format!("GitHub answers {status}"),
                Err(_) => return None,
            };
            Some(format!("{name}: {why}"))
        })
        .collect();
    let unseen = facts.repositories.iter().find_map(|(_, answer)| answer.as_ref().err());
    match (out.is_empty(), unseen) {
        (false, _) => Judgement::problem(out.join("; ")),
        (true, Some(why)) => Judgement::unknown(why),
        (true, None) if facts.repositories.is_empty() => Judgement::unknown("the settings could not be read"),
        (true, None) => Judgement::ok(format!("the token sees all {}", facts.repositories.len())),
    }
}

fn webhooks(facts: &Facts) -> Judgement {
    if !facts.webhooks_are_on {
        return Judgement::ok("WEBHOOKS is off: changes are found by polling");
    }
    let seen = facts.hooks.iter().filter_map(|(name, hooks)| Some((name, hooks.as_ref().ok()?)));
    let troubles: Vec<(bool, String)> = seen
        .filter_map(|(name, hooks)| {
            let (grave, why) = trouble(hooks, facts.base_url.as_deref())?;
            Some((grave, format!("{name}: {why}")))
        })
        .collect();
    let told = troubles.iter().map(|(_, why)| why.as_str()).collect::<Vec<_>>().join("; ");
    let unseen = facts.hooks.iter().find_map(|(_, hooks)| hooks.as_ref().err());
    match (troubles.is_empty(), unseen) {
        (false, _) if troubles.iter().any(|(grave, _)| *grave) => Judgement::problem(told),
        (false, _) => Judgement::warning(told),
        (true, Some(why)) => Judgement::unknown(why),
        (true, None) if facts.hooks.is_empty() => Judgement::unknown("the settings could not be read"),
        (true, None) => Judgement::ok("each has one that delivers"),
    }
}

/// What is wrong with the hook among these that is ours, and whether nothing arrives for it.
fn trouble(hooks: &[Hook], base_url: Option<&str>) -> Option<(bool, String)> {
    let to_us = |hook: &&Hook| hook.url.ends_with(PATH);
    let here = |hook: &&Hook| to_us(hook) && base_url.is_some_and(|base| host(base) == host(&hook.url));
    let Some(hook) = hooks.iter().find(here).or_else(|| hooks.iter().find(to_us)) else {
        return Some((true, format!("it has no webhook that leads to {PATH}")));
    };
    let has = |event: &str| hook.events.iter().any(|known| known == event || known == "*");
    if !hook.active {
        return Some((true, "its webhook is switched off".to_owned()));
    }
    if !has("pull_request") {
        return Some((true, "its webhook does not deliver the event Pull requests".to_owned()));
    }
    if !hook.json {
        return Some((true, "its webhook's content type is not application/json".to_owned()));
    }
    if let Some(status) = hook.last.filter(|status| !(200..300).contains(status)) {
        return Some((true, format!("its last delivery was answered {status}")));
    }
    (!has("issue_comment"))
        .then(|| (false, "its webhook does not deliver Issue comments: commands wait for the next look".to_owned()))
}

/// Host and port of an address.
fn host(url: &str) -> Option<&str> {
    url.split_once("://")?.1.split('/').next()
}

fn signatures(facts: &Facts) -> Judgement {
    if !facts.webhooks_are_on {
        return Judgement::ok("WEBHOOKS is off");
    }
    let deliveries = match &facts.deliveries {
        Err(why) => return Judgement::unknown(why),
        Ok(deliveries) => deliveries,
    };
    let newest: Vec<_> = deliveries.iter().take_while(|delivery| !delivery.signed).collect();
    let wrong = newest.iter().filter(|delivery| delivery.wrong_signature).count();
    let signed = deliveries.iter().any(|delivery| delivery.signed);
    match (wrong, signed) {
        (0, true) => Judgement::ok("the last ones are good"),
        (0, false) => Judgement::ok("none has arrived since the service started"),
        // Anybody may send something with a wrong signature; GitHub's own would not stand beside it.
        (wrong, true) => {
            Judgement::warning(format!("the last {wrong} had none or a wrong one; earlier ones were good"))
        }
        (wrong, false) => Judgement::problem(format!("all {wrong} that arrived had none or a wrong one")),
    }
}
