//! Asking the running service.

use std::time::Duration;

use clap::Args;
use preview_orchestrator::settings::{Access, BaseUrl, Token};
use reqwest::redirect::Policy;
use reqwest::{Method, Response, StatusCode};
use secrecy::{ExposeSecret, SecretString};
use serde::de::DeserializeOwned;
use serde_json::Value;

use crate::error::{Failure, Kind, root};
use crate::server::Place;
use crate::{settings, ui};

/// Where the service is.
#[derive(Debug, Args)]
pub(crate) struct Service {
    #[command(flatten)]
    pub(crate) place: Place,
    /// Address of the service's API [default: from ORCHESTRATOR_HOST and ORCHESTRATOR_PORT, else http://127.0.0.1:3000]
    #[arg(long, value_name = "URL", value_parser = BaseUrl::of_server, conflicts_with = "server")]
    pub(crate) api: Option<BaseUrl>,
}

/// A connection to the service.
pub(crate) struct Client {
    http: reqwest::Client,
    api: BaseUrl,
    token: SecretString,
}

/// How long it may take to reach the service.
const REACH: Duration = Duration::from_secs(5);
/// How long the service may take for an answer; an audit asks GitHub.
const PATIENCE: Duration = Duration::from_secs(60);

/// And to say how it is: it gives Docker and the router two seconds.
const HEALTH: Duration = Duration::from_secs(10);

/// What helps whoever is not on the service's machine.
pub(crate) const FROM_ELSEWHERE: &str =
    "from elsewhere, name the server: `--server user@host`; after `preview init` that is not needed";
/// What helps where somebody else answers.
const WHERE: &str = "--api, or ORCHESTRATOR_PORT, says where the service is";

impl Service {
    /// Finds address and token where the service itself finds them: environment, `.env`, and the token's file.
    pub(crate) fn connect(&self) -> Result<Client, Failure> {
        Client::new(Access::read(&settings::variables()?, self.api.clone()).map_err(settings::wrong)?)
    }
}

impl Client {
    /// For a service that is known to be there.
    pub(crate) fn new(access: Access) -> Result<Self, Failure> {
        preview_orchestrator::github::install_tls();
        // The token goes to the service alone: to no proxy, and to nobody whom an answer names.
        let http = reqwest::Client::builder().connect_timeout(REACH).no_proxy().redirect(Policy::none()).build()?;
        Ok(Self { http, api: access.api, token: token(access.token)? })
    }
}

fn token(token: Token) -> Result<SecretString, Failure> {
    let path = match token {
        Token::Given(token) => return Ok(token),
        Token::Kept(path) => path,
    };
    let text = std::fs::read_to_string(&path).map_err(|error| {
        Failure::new(format!("the service's token could not be read from {}", path.display()))
            .because(&error)
            .hint("run this on the service's machine as its user, or give the token in API_TOKEN")
            .hint(FROM_ELSEWHERE)
    })?;
    Ok(text.trim().to_owned().into())
}

impl Client {
    /// Asks, and gives the answer if it is a good one.
    pub(crate) async fn ask(&self, method: Method, path: &str) -> Result<Response, Failure> {
        self.send(method, path, Some(PATIENCE)).await
    }

    /// Asks for what goes on as long as somebody reads it.
    pub(crate) async fn follow(&self, path: &str) -> Result<Response, Failure> {
        self.send(Method::GET, path, None).await
    }

    /// Asks for JSON.
    pub(crate) async fn json<T: DeserializeOwned>(&self, path: &str) -> Result<T, Failure> {
        self.answer(Method::GET, path).await
    }

    /// Asks, and reads the JSON of the answer.
    pub(crate) async fn answer<T: DeserializeOwned>(&self, method: Method, path: &str) -> Result<T, Failure> {
        let answer = self.ask(method, path).await?;
        answer.json().await.map_err(|error| self.stranger(&root(&error).to_string()))
    }

    /// Asks for the list of this name.
    pub(crate) async fn list(&self, path: &str, name: &str) -> Result<Vec<Value>, Failure> {
        match self.json::<Value>(path).await?.get_mut(name).map(Value::take) {
            Some(Value::Array(list)) => Ok(list),
            _ => Err(self.stranger(&format!("it has no {name}"))),
        }
    }

    fn stranger(&self, why: &str) -> Failure {
        let what = format!("what answers at {} is not the service, or of another version", self.api);
        let mut failure = Failure::new(what);
        failure.causes.push(why.to_owned());
        failure.hint(WHERE)
    }

    /// What the service says of itself, whether it can do its work or not.
    pub(crate) async fn health(&self) -> Result<Value, Failure> {
        let answer = self.reach(Method::GET, "/health", Some(HEALTH)).await?;
        Ok(answer.json().await.unwrap_or_default())
    }

    async fn send(&self, method: Method, path: &str, limit: Option<Duration>) -> Result<Response, Failure> {
        let answer = self.reach(method, path, limit).await?;
        if answer.status().is_success() { Ok(answer) } else { Err(refused(answer).await) }
    }

    async fn reach(&self, method: Method, path: &str, limit: Option<Duration>) -> Result<Response, Failure> {
        let url = format!("{}{path}", self.api);
        let mut request = self.http.request(method, url).bearer_auth(self.token.expose_secret());
        if let Some(limit) = limit {
            request = request.timeout(limit);
        }
        let answered = ui::waiting("waiting for the service", request.send()).await;
        answered.map_err(|error| {
            let mut failure = Failure::new(format!("the service does not answer at {}", self.api));
            failure.causes.push(root(&error).to_string());
            failure.hint("is it running? `systemctl status preview-orchestrator`, or start it with `preview serve`")
        })
    }
}

/// What an error answer says: the `detail` of its problem document (RFC 9457), or its status.
async fn refused(answer: Response) -> Failure {
    let status = answer.status();
    let problem: Value = answer.json().await.unwrap_or_default();
    let told = problem["detail"].as_str().map(ui::harmless);
    let failure = Failure::new(told.unwrap_or_else(|| format!("the service answered {status}")));
    match status {
        StatusCode::UNAUTHORIZED => failure.hint("run this as the service's user, or give its token in API_TOKEN"),
        StatusCode::NOT_FOUND => failure.kind(Kind::Absent).hint("`preview list` shows all previews"),
        _ if status.is_redirection() => failure.hint(WHERE),
        _ if status.is_server_error() => failure.hint("`journalctl -u preview-orchestrator` says why"),
        _ => failure,
    }
}
