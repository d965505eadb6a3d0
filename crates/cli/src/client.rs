//! Asking the running service, on this machine.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::path::Path;
use std::time::Duration;

use clap::Args;
use preview_orchestrator::settings::{Paths, Settings, environment};
use reqwest::{Method, Response, StatusCode};
use secrecy::{ExposeSecret, SecretString};
use serde::de::DeserializeOwned;

use crate::error::{Failure, Kind};

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
        let settings = Settings::read_for_client(&variables);
        let (http, paths) = settings.map_err(|mistakes| Failure::from(mistakes).kind(Kind::Settings))?;
        let api = self.api.clone().unwrap_or_else(|| format!("http://{}", reachable(http.listen)));
        let token = http.token.map_or_else(|| kept_token(&paths), Ok)?;
        // A proxy between us and our own machine would get to see the token.
        let http = reqwest::Client::builder().no_proxy().connect_timeout(Duration::from_secs(5)).build()?;
        Ok(Client { http, api: api.trim_end_matches('/').to_owned(), token })
    }
}

/// A service that listens everywhere is reached on this machine.
fn reachable(listen: SocketAddr) -> SocketAddr {
    let here: IpAddr = if listen.is_ipv4() { Ipv4Addr::LOCALHOST.into() } else { Ipv6Addr::LOCALHOST.into() };
    let ip = if listen.ip().is_unspecified() { here } else { listen.ip() };
    SocketAddr::new(ip, listen.port())
}

/// The token that the service made at its first start.
fn kept_token(paths: &Paths) -> Result<SecretString, Failure> {
    let path = paths.api_token();
    let read = std::fs::read_to_string(&path).map_err(|error| {
        Failure::new(format!("the service's token could not be read from {}", path.display()))
            .because(&error)
            .hint("run this on the service's machine as its user, or give the token in API_TOKEN")
    });
    Ok(read?.trim().into())
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

#[cfg(test)]
mod tests {
    use super::reachable;

    #[test]
    fn a_service_that_listens_everywhere_is_reached_here() {
        for (listens, reached) in
            [("0.0.0.0:3000", "127.0.0.1:3000"), ("[::]:3000", "[::1]:3000"), ("10.0.0.5:3000", "10.0.0.5:3000")]
        {
            assert_eq!(reachable(listens.parse().unwrap()).to_string(), reached);
        }
    }
}
