//! GitHub's webhooks: each repository gets one that leads to the server, as it should be, and no second one.
//!
//! Source: <https://docs.github.com/en/rest/repos/webhooks>

use std::time::Duration;

use preview_core::ids::RepoName;
use preview_orchestrator::settings::BaseUrl;
use reqwest::Method;
use reqwest::header::{ACCEPT, HeaderMap, HeaderName, HeaderValue};
use secrecy::{ExposeSecret, SecretString};
use serde::Deserialize;
use serde_json::{Value, json};
use tokio::time::Instant;

use super::api::{Api, ApiError};
use crate::error::{Failure, Kind};

/// What the service needs to hear of, and no more.
const EVENTS: [&str; 2] = ["issue_comment", "pull_request"];
/// How long GitHub and the server may take for a ping.
const PATIENCE: Duration = Duration::from_secs(60);
/// Between two looks for its delivery.
const PAUSE: Duration = Duration::from_millis(500);

/// A connection that may manage webhooks.
pub(crate) struct Client(Api);

/// A repository as far as it matters here.
#[derive(Debug, Deserialize)]
pub(crate) struct Repository {
    pub(crate) full_name: RepoName,
    pub(crate) private: bool,
    archived: bool,
}

#[derive(Debug, Deserialize)]
struct Hook {
    id: u64,
    config: HookConfig,
}

#[derive(Debug, Deserialize)]
struct HookConfig {
    url: Option<String>,
}

#[derive(Debug, Deserialize)]
struct Delivery {
    id: u64,
    event: String,
    status: String,
    status_code: u16,
}

/// What became of a webhook.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Became {
    Made,
    Repaired,
}

impl Repository {
    fn is_open(&self) -> Result<(), Failure> {
        if !self.archived {
            return Ok(());
        }
        let failure = Failure::new(format!("{} is archived: it has no more pull requests", self.full_name));
        Err(failure.kind(Kind::Settings).hint(
            "leave it out (`repositories` in config.yml, --repo), or unarchive it on GitHub, at the end of its settings",
        ))
    }
}

impl Client {
    pub(crate) fn new(base: BaseUrl, token: &SecretString) -> Result<Self, Failure> {
        let headers = HeaderMap::from_iter([
            (ACCEPT, HeaderValue::from_static("application/vnd.github+json")),
            (HeaderName::from_static("x-github-api-version"), HeaderValue::from_static("2022-11-28")),
        ]);
        Ok(Self(Api::new("GitHub", base, token, headers)?))
    }

    /// The repository, if the token sees it and pull requests can be read.
    pub(crate) async fn repository(&self, repo: &RepoName) -> Result<Repository, Failure> {
        let found: Repository = match self.0.get(&format!("/repos/{repo}")).await {
            Ok(found) => found,
            Err(error) => {
                let missing =
                    format!("GitHub does not show {repo} to this token: it is not there, or the token may not see it");
                return Err(self
                    .refused(repo, error, &missing, "name it as owner/name, and give the token access to it")
                    .await);
            }
        };
        found.is_open()?;
        let pulls = self.0.get::<Value>(&format!("/repos/{repo}/pulls?per_page=1")).await;
        pulls.map_err(|error| {
            let missing = format!("the token may not read the pull requests of {repo}");
            told(error, &missing, "give it these permissions: contents read, pull requests and commit statuses write")
        })?;
        Ok(found)
    }

    /// Refuses a repository that is archived: GitHub lets nobody change its webhooks, and it has nothing more to tell.
    pub(crate) async fn is_open(&self, repo: &RepoName) -> Result<(), Failure> {
        match self.0.get::<Repository>(&format!("/repos/{repo}")).await {
            Ok(found) => found.is_open(),
            Err(error) => {
                let missing = format!("the token may not see {repo}");
                Err(self.refused(repo, error, &missing, "give it access to this repository").await)
            }
        }
    }

    /// What a repository is called now; `None` where GitHub shows none of this name.
    pub(crate) async fn called_now(&self, repo: &RepoName) -> Result<Option<RepoName>, Failure> {
        match self.0.find::<Repository>(&format!("/repos/{repo}")).await {
            Ok(found) => Ok(Some(found.full_name)),
            Err(error) if error.status() == Some(404) => Ok(None),
            Err(error) => {
                Err(told(error, &format!("the token may not see {repo}"), "give it access to this repository"))
            }
        }
    }

    /// Whether the token may see the repository's webhooks; whether it may write them shows when it does.
    pub(crate) async fn may_manage(&self, repo: &RepoName) -> Result<(), Failure> {
        self.hooks(repo).await.map(drop)
    }

    /// Makes the webhook, or makes it again what it should be: the one with this number, else one that leads there.
    pub(crate) async fn ensure(
        &self,
        repo: &RepoName,
        known: Option<u64>,
        url: &str,
        secret: &SecretString,
    ) -> Result<(u64, Became), Failure> {
        let hooks = self.hooks(repo).await?;
        let leads = |hook: &&Hook| hook.config.url.as_deref() == Some(url);
        let found = hooks.iter().find(|hook| known == Some(hook.id)).or_else(|| hooks.iter().find(leads));
        let config = json!({
            "url": url, "content_type": "json", "insecure_ssl": "0", "secret": secret.expose_secret(),
        });
        let mut wanted = json!({"config": config, "events": EVENTS, "active": true});
        let refused = |error| {
            let missing = format!("the token may not change the webhooks of {repo}");
            told(error, &missing, "give it the permission webhooks write")
        };
        let Some(hook) = found else {
            wanted["name"] = "web".into();
            let made =
                self.0.change(Method::POST, &format!("/repos/{repo}/hooks"), Some(&wanted)).await.map_err(refused)?;
            let id = made["id"].as_u64().ok_or_else(|| Failure::new("GitHub did not say which webhook it has made"))?;
            return Ok((id, Became::Made));
        };
        // Others that lead to the same place would have every delivery come twice.
        for other in hooks.iter().filter(leads).filter(|other| other.id != hook.id) {
            self.remove(repo, other.id).await?;
        }
        let path = format!("/repos/{repo}/hooks/{}", hook.id);
        self.0.change(Method::PATCH, &path, Some(&wanted)).await.map_err(refused)?;
        Ok((hook.id, Became::Repaired))
    }

    /// The numbers of the webhooks that lead there.
    pub(crate) async fn leading_to(&self, repo: &RepoName, url: &str) -> Result<Vec<u64>, Failure> {
        let hooks = self.hooks(repo).await?;
        Ok(hooks.iter().filter(|hook| hook.config.url.as_deref() == Some(url)).map(|hook| hook.id).collect())
    }

    /// Removes a webhook; it may be gone already. Where GitHub does not let us, that is [`Kind::Refused`].
    pub(crate) async fn remove(&self, repo: &RepoName, id: u64) -> Result<(), Failure> {
        match self.0.change(Method::DELETE, &format!("/repos/{repo}/hooks/{id}"), None).await {
            Ok(_) => Ok(()),
            Err(error) if error.status() == Some(404) => Ok(()),
            Err(error) => {
                let is_refused = error.status() == Some(403);
                let missing = format!("the token may not remove the webhook of {repo}");
                let failure = told(error, &missing, "give it the permission webhooks write");
                Err(if is_refused { failure.kind(Kind::Refused) } else { failure })
            }
        }
    }

    /// Has GitHub send a ping, and waits until the server has answered it well.
    pub(crate) async fn test(&self, repo: &RepoName, id: u64) -> Result<(), Failure> {
        let path = format!("/repos/{repo}/hooks/{id}");
        let failed = |error| told(error, &format!("the webhook of {repo} is gone"), "run `preview setup` again");
        let newest = self.deliveries(&path).await.map_err(failed)?.iter().map(|delivery| delivery.id).max();
        self.0.change(Method::POST, &format!("{path}/pings"), None).await.map_err(failed)?;
        let end = Instant::now() + PATIENCE;
        loop {
            let is_ours = |delivery: &&Delivery| delivery.event == "ping" && Some(delivery.id) > newest;
            if let Some(delivery) = self.deliveries(&path).await.map_err(failed)?.iter().find(is_ours) {
                return answered(repo, delivery);
            }
            if Instant::now() > end {
                let failure =
                    Failure::new(format!("GitHub has delivered no ping of {repo} for {} s", PATIENCE.as_secs()));
                return Err(
                    failure.hint("https://www.githubstatus.com says whether deliveries are late; try again then")
                );
            }
            tokio::time::sleep(PAUSE).await;
        }
    }

    async fn deliveries(&self, hook: &str) -> Result<Vec<Delivery>, ApiError> {
        self.0.get(&format!("{hook}/deliveries?per_page=10")).await
    }

    async fn hooks(&self, repo: &RepoName) -> Result<Vec<Hook>, Failure> {
        let error = match self.0.list(&format!("/repos/{repo}/hooks?per_page=100")).await {
            Ok(hooks) => return Ok(hooks),
            Err(error) => error,
        };
        let missing = format!("the token may not see the webhooks of {repo}");
        let remedy = "give it the permission webhooks write, or a token of its own in GITHUB_HOOKS_TOKEN";
        Err(self.refused(repo, error, &missing, remedy).await)
    }

    /// What a refusal means for the person, who may have written a name that the repository had before.
    async fn refused(&self, repo: &RepoName, error: ApiError, missing: &str, remedy: &str) -> Failure {
        if !matches!(error, ApiError::Moved { .. }) {
            return told(error, missing, remedy);
        }
        let failure = Failure::new(format!("{repo} has another name on GitHub now")).kind(Kind::Settings);
        match self.called_now(repo).await {
            Ok(Some(name)) => failure.hint(format!("it is {name}: write that instead, in config.yml or as --repo")),
            _ => failure.hint("its old address in the browser leads to it: write the name that is there"),
        }
    }
}

/// What the answer to a ping means.
fn answered(repo: &RepoName, delivery: &Delivery) -> Result<(), Failure> {
    let failure = Failure::new(format!("the test delivery of {repo} was not taken"));
    let with = |mut failure: Failure, cause: String| {
        failure.causes.push(cause);
        failure
    };
    let status = crate::ui::harmless(&delivery.status);
    match delivery.status_code {
        200..300 => Ok(()),
        0 => Err(with(failure, format!("GitHub could not reach the server: {status}")).hint(
            "port 80, or 443 with TLS, has to be open to the internet; is there another firewall in front of it?",
        )),
        403 => Err(with(
            failure,
            "the server takes no deliveries of this repository: it is not in its ALLOWED_REPOS".to_owned(),
        )
        .hint("`preview upgrade` brings the list of repositories to the server")),
        401 => Err(with(failure, "the server does not accept the webhook's secret".to_owned())
            .hint("`preview upgrade` brings the secret that is known here to the server")),
        code @ (502..=504) => Err(with(failure, format!("nginx answered {code}: the service does not run"))
            .hint("on the server, `journalctl -u preview-orchestrator` says why")),
        code => Err(with(failure, format!("the server answered {code} {status}"))
            .hint("does something else answer at this address?")),
    }
}

/// What a refusal of GitHub's means for the person: one of rights in our words, anything else in its own.
fn told(error: ApiError, missing: &str, remedy: &str) -> Failure {
    match error.status() {
        Some(401) => {
            Failure::from(error).kind(Kind::Token).hint("its token is wrong or has expired: make a new one on GitHub")
        }
        // What a token may not see, GitHub says is not there.
        Some(403 | 404) => Failure::new(missing).because(&error).hint(remedy),
        _ => error.told(),
    }
}
