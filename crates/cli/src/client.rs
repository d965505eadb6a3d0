//! Asking the running service, on this machine.

use std::path::{Path, PathBuf};
use std::time::Duration;

use clap::Args;
use preview_orchestrator::settings::{Variables, environment};
use reqwest::{Method, Response, StatusCode};
use secrecy::{ExposeSecret, SecretString};
use serde::de::DeserializeOwned;

use crate::error::Failure;

/// Where the service is.
#[derive(Debug, Args)]
pub(crate) struct Service {
    /// Address of the service's API [default: from ORCHESTRATOR_HOST and ORCHESTRATOR_PORT, else http://127.0.0.1:3000]
    #[arg(long, value_name = "URL")]
    api: Option<String>,
}

/// A connection to the service.
pub(crate) struct Client {
    http: reqwest::Client,
    api: String,
    token: SecretString,
}

/// How long the service may take for an answer; an audit asks GitHub.
const PATIENCE: Duration = Duration::from_secs(60);

impl Service {
    /// Finds address and token where the service itself finds them: environment, `.env`, and the token's file.
    pub(crate) fn connect(&self) -> Result<Client, Failure> {
        preview_orchestrator::github::install_tls();
        let variables = environment(Path::new(".env"))?;
        let given = |name: &str| variables.get(name).filter(|value| !value.is_empty());
        let host = given("ORCHESTRATOR_HOST").map_or("127.0.0.1", String::as_str);
        let port = given("ORCHESTRATOR_PORT").map_or("3000", String::as_str);
        let api = self.api.clone().unwrap_or_else(|| format!("http://{host}:{port}"));
        let token = match given("API_TOKEN") {
            Some(token) => token.clone(),
            None => kept_token(&variables)?,
        };
        let http = reqwest::Client::builder().connect_timeout(Duration::from_secs(5)).build()?;
        Ok(Client { http, api: api.trim_end_matches('/').to_owned(), token: token.into() })
    }
}

/// The token that the service made at its first start, in the file beside its ledger.
fn kept_token(variables: &Variables) -> Result<String, Failure> {
    let ledger = variables.get("DEPLOYMENTS_DB").map_or("/opt/preview-deployer/deployments.json", String::as_str);
    let path: PathBuf = Path::new(ledger).with_file_name("api-token");
    let read = std::fs::read_to_string(&path).map_err(|error| {
        Failure::new(format!("the service's token could not be read from {}", path.display()))
            .because(&error)
            .hint("run this on the service's machine as its user, or give the token in API_TOKEN")
    });
    Ok(read?.trim().to_owned())
}

impl Client {
    /// Asks, and gives the answer if it is a good one.
    pub(crate) async fn ask(&self, method: Method, path: &str) -> Result<Response, Failure> {
        self.send(method, path, Some(PATIENCE)).await
    }

    /// As [`Client::ask`], for an answer that goes on as long as somebody reads it.
    pub(crate) async fn follow(&self, path: &str) -> Result<Response, Failure> {
        self.send(Method::GET, path, None).await
    }

    /// Asks for JSON.
    pub(crate) async fn json<T: DeserializeOwned>(&self, path: &str) -> Result<T, Failure> {
        Ok(self.ask(Method::GET, path).await?.json().await?)
    }

    async fn send(&self, method: Method, path: &str, limit: Option<Duration>) -> Result<Response, Failure> {
        let mut request =
            self.http.request(method, format!("{}{path}", self.api)).bearer_auth(self.token.expose_secret());
        if let Some(limit) = limit {
            request = request.timeout(limit);
        }
        let answer = request.send().await.map_err(|error| {
            Failure::new(format!("the service does not answer at {}", self.api))
                .because(&error.without_url())
                .hint("is it running? `systemctl status preview-orchestrator`, or start it with `preview serve`")
        })?;
        match answer.status() {
            status if status.is_success() => Ok(answer),
            StatusCode::UNAUTHORIZED => Err(Failure::new("the service refused the token")
                .hint("run this as the service's user, or give the token in API_TOKEN")),
            status => Err(Failure::new(told(status, &answer.text().await.unwrap_or_default()))),
        }
    }
}

/// What an error answer says: the `detail` of its problem document (RFC 9457), or its status.
fn told(status: StatusCode, body: &str) -> String {
    let problem: Option<serde_json::Value> = serde_json::from_str(body).ok();
    let detail = problem.as_ref().and_then(|problem| problem["detail"].as_str());
    detail.map_or_else(|| format!("the service answered {status}"), crate::ui::harmless)
}
