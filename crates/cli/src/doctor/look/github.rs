//! GitHub, asked with the service's own token: what it is good for, which repositories it sees, and their webhooks.

use std::time::Duration;

use jiff::{SignedDuration, Timestamp};
use preview_core::causes::with_causes;
use preview_core::ids::RepoName;
use preview_orchestrator::github::token_end;
use preview_orchestrator::settings::{Identity, Settings};
use reqwest::{Client, Response};
use secrecy::ExposeSecret;
use serde_json::Value;

use super::Known;
use crate::doctor::facts::{GitHub, Hook, Look};

/// How long an answer may take.
const PATIENCE: Duration = Duration::from_secs(15);
/// Only so many repositories are asked for: the answer is the same for most.
const MOST: usize = 50;

/// What repositories there are, by name, and their webhooks.
type Repositories = (Vec<(String, Look<u16>)>, Vec<(String, Look<Vec<Hook>>)>);

async fn get(settings: &Settings, path: &str) -> Look<Response> {
    let Identity::Token(token) = &settings.github.identity else {
        return Err("the service signs in as a GitHub App; its own checks tell how that goes".to_owned());
    };
    let http = Client::builder().timeout(PATIENCE).redirect(reqwest::redirect::Policy::none());
    let http = http.user_agent(concat!("preview-deployer/", env!("CARGO_PKG_VERSION"))).build();
    let request = http.map_err(|error| with_causes(&error))?.get(format!("{}{path}", settings.github.api));
    let request = request.bearer_auth(token.expose_secret());
    let answer = request.header("accept", "application/vnd.github+json").send().await;
    answer.map_err(|error| format!("GitHub does not answer: {}", with_causes(&error.without_url())))
}

/// What GitHub makes of the token, and how far our clock is from GitHub's. Asking costs nothing of the limit.
///
/// Sources: <https://docs.github.com/en/rest/rate-limit/rate-limit>,
/// <https://docs.github.com/en/apps/oauth-apps/building-oauth-apps/scopes-for-oauth-apps> (`X-OAuth-Scopes`)
pub(super) async fn token(settings: Known<'_>) -> (Look<GitHub>, Look<SignedDuration>) {
    let answer = match settings {
        Ok(settings) => get(settings, "/rate_limit").await,
        Err(why) => Err(why.to_owned()),
    };
    let answer = match answer {
        Ok(answer) => answer,
        Err(why) => return (Err(why.clone()), Err(why)),
    };
    let header = |name: &str| answer.headers().get(name).and_then(|value| value.to_str().ok()).map(str::to_owned);
    let ends = header("github-authentication-token-expiration").and_then(|end| token_end(&end));
    let scopes = header("x-oauth-scopes").map(|list| scopes(&list));
    let clock = header("date").and_then(|date| ahead_of(&date)).ok_or_else(|| "GitHub told no time".to_owned());
    let status = answer.status().as_u16();
    let body: Value = answer.json().await.unwrap_or_default();
    let number = |name: &str| body["resources"]["core"][name].as_u64();
    let quota = number("limit").zip(number("remaining"));
    (Ok(GitHub { status, ends, scopes, quota }), clock)
}

fn scopes(list: &str) -> Vec<String> {
    list.split(',').map(str::trim).filter(|scope| !scope.is_empty()).map(str::to_owned).collect()
}

/// How far we are ahead of a time as HTTP writes it.
fn ahead_of(date: &str) -> Option<SignedDuration> {
    let theirs: Timestamp = jiff::fmt::rfc2822::DateTimeParser::new().parse_timestamp(date).ok()?;
    Some(Timestamp::now().duration_since(theirs))
}

/// Which of the repositories the token sees, and their webhooks.
pub(super) async fn repositories(settings: Known<'_>) -> Repositories {
    let Ok(settings) = settings else { return (Vec::new(), Vec::new()) };
    let (mut seen, mut hooks) = (Vec::new(), Vec::new());
    for name in settings.github.repositories.iter().take(MOST) {
        let answer = get(settings, &format!("/repos/{name}")).await.map(|answer| answer.status().as_u16());
        let found = answer == Ok(200);
        seen.push((name.to_string(), answer));
        // One that is not there has no webhook to speak of.
        if found && settings.webhooks.secret.is_some() {
            hooks.push((name.to_string(), hooks_of(settings, name).await));
        }
    }
    (seen, hooks)
}

async fn hooks_of(settings: &Settings, name: &RepoName) -> Look<Vec<Hook>> {
    let answer = get(settings, &format!("/repos/{name}/hooks?per_page=100")).await?;
    match answer.status().as_u16() {
        200 => {
            let listed: Vec<Value> = answer.json().await.map_err(|error| with_causes(&error.without_url()))?;
            Ok(listed.iter().map(hook).collect())
        }
        403 | 404 => Err("the token may not look at webhooks, and need not".to_owned()),
        status => Err(format!("GitHub answers {status} for the webhooks of {name}")),
    }
}

/// Source: <https://docs.github.com/en/rest/repos/webhooks#list-repository-webhooks>
fn hook(value: &Value) -> Hook {
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    Hook {
        url: text(&value["config"]["url"]),
        active: value["active"] == true,
        json: value["config"]["content_type"] == "json",
        events: value["events"].as_array().into_iter().flatten().map(text).collect(),
        last: value["last_response"]["code"].as_u64().and_then(|code| u16::try_from(code).ok()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn headers_are_understood() {
        assert_eq!(scopes("repo, admin:org"), ["repo", "admin:org"]);
        assert_eq!(scopes(""), [""; 0]);
        let long_ago = ahead_of("Thu, 29 Jan 2026 10:00:00 GMT").unwrap();
        assert!(long_ago.as_hours() > 24, "{long_ago}");
        assert_eq!(ahead_of("soon"), None);
    }
}
