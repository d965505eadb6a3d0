//! One request to somebody's REST API and its answer.
//!
//! Requests that failed on the way, or were too many, are sent again where that can't do harm, after the pause that was asked for.

use std::time::Duration;

use jiff::Timestamp;
use preview_orchestrator::settings::BaseUrl;
use reqwest::header::{AUTHORIZATION, HeaderMap, HeaderValue, LINK, LOCATION};
use reqwest::redirect::Policy;
use reqwest::{Method, Response, StatusCode};
use secrecy::{ExposeSecret, SecretString};
use serde::de::DeserializeOwned;
use serde_json::Value;

use crate::error::Failure;
use crate::ui;

const CONNECT_LIMIT: Duration = Duration::from_secs(10);
const REQUEST_LIMIT: Duration = Duration::from_secs(30);
/// How often a request is sent.
const TRIES: u32 = 3;
/// The longest pause that we keep somebody waiting for.
const LONGEST_PAUSE: Duration = Duration::from_secs(60);
/// Pages of one list.
const PAGES: usize = 100;

/// A connection to one service.
#[derive(Debug, Clone)]
pub(crate) struct Api {
    /// Whose it is, as a person calls it.
    whose: &'static str,
    base: BaseUrl,
    http: reqwest::Client,
}

/// Why there is no good answer.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ApiError {
    /// Nobody answered.
    #[error("{whose} could not be reached at {base}: {why}")]
    Unreachable { whose: &'static str, base: BaseUrl, why: String },
    /// It answered with a refusal or a failure of its own.
    #[error("{whose} answered {}{}", .status.as_u16(), said(.message))]
    Refused { whose: &'static str, status: StatusCode, message: String },
    /// It has another address now. Nobody is sent there unasked: it may be another thing's own.
    #[error("{whose} has it at another address now")]
    Moved { whose: &'static str, to: String },
    /// It asked for a pause that is longer than we wait.
    #[error("{whose} wants fewer requests, and a pause of {} s", .pause.as_secs())]
    Limited { whose: &'static str, pause: Duration },
    /// What it answered is something else.
    #[error("{whose} answered something that is not understood")]
    Odd { whose: &'static str, source: reqwest::Error },
}

fn said(message: &str) -> String {
    if message.is_empty() { String::new() } else { format!(": {message}") }
}

impl ApiError {
    /// It as it stands, with what helps where nobody answered.
    pub(crate) fn told(self) -> Failure {
        let is_unreachable = matches!(self, Self::Unreachable { .. });
        let failure = Failure::from(self);
        if is_unreachable { failure.hint("is this machine online? Trying again does no harm") } else { failure }
    }

    /// The status of a refusal.
    pub(crate) fn status(&self) -> Option<u16> {
        match self {
            Self::Refused { status, .. } => Some(status.as_u16()),
            _ => None,
        }
    }
}

impl Api {
    /// A client that shows this token to that service alone.
    pub(crate) fn new(
        whose: &'static str,
        base: BaseUrl,
        token: &SecretString,
        more: HeaderMap,
    ) -> Result<Self, Failure> {
        preview_orchestrator::github::install_tls();
        let unusable = |_| Failure::new(format!("the token for {whose} has characters that no token has"));
        let mut bearer = HeaderValue::from_str(&format!("Bearer {}", token.expose_secret())).map_err(unusable)?;
        bearer.set_sensitive(true);
        let mut headers = more;
        headers.insert(AUTHORIZATION, bearer);
        let mut http = reqwest::Client::builder()
            .user_agent(concat!("preview-deployer/", env!("CARGO_PKG_VERSION")))
            .default_headers(headers)
            .connect_timeout(CONNECT_LIMIT)
            .timeout(REQUEST_LIMIT)
            .redirect(Policy::none());
        if !base.is_https() {
            // Only what is near is asked without encryption, and no proxy may listen.
            http = http.no_proxy();
        }
        Ok(Self { whose, base, http: http.build()? })
    }

    /// Reads one thing.
    pub(crate) async fn get<T: DeserializeOwned>(&self, path: &str) -> Result<T, ApiError> {
        self.read(self.send(Method::GET, &self.url(path), None).await?).await
    }

    /// Reads one thing, wherever it is by now.
    pub(crate) async fn find<T: DeserializeOwned>(&self, path: &str) -> Result<T, ApiError> {
        match self.send(Method::GET, &self.url(path), None).await {
            Err(ApiError::Moved { to, .. }) if self.is_ours(&to) => {
                self.read(self.send(Method::GET, &to, None).await?).await
            }
            answer => self.read(answer?).await,
        }
    }

    /// Reads a list of which further pages are told in the header `Link`.
    pub(crate) async fn list<T: DeserializeOwned>(&self, path: &str) -> Result<Vec<T>, ApiError> {
        let mut url = self.url(path);
        let mut all = Vec::new();
        for _ in 0..PAGES {
            let answer = self.send(Method::GET, &url, None).await?;
            let next = answer.headers().get(LINK).and_then(|links| next_of(links.to_str().ok()?));
            all.extend(self.read::<Vec<T>>(answer).await?);
            match next.filter(|next| self.is_ours(next)) {
                Some(next) => url = next,
                None => break,
            }
        }
        Ok(all)
    }

    /// Changes something, and gives what is answered, if anything.
    pub(crate) async fn change(&self, method: Method, path: &str, body: Option<&Value>) -> Result<Value, ApiError> {
        let answer = self.send(method, &self.url(path), body).await?;
        if answer.status() == StatusCode::NO_CONTENT {
            return Ok(Value::Null);
        }
        self.read(answer).await
    }

    fn url(&self, path: &str) -> String {
        format!("{}{path}", self.base)
    }

    /// Whether the token may be sent there.
    fn is_ours(&self, url: &str) -> bool {
        url.strip_prefix(self.base.as_str()).is_some_and(|path| path.starts_with('/'))
    }

    async fn read<T: DeserializeOwned>(&self, answer: Response) -> Result<T, ApiError> {
        answer.json().await.map_err(|source| ApiError::Odd { whose: self.whose, source: source.without_url() })
    }

    /// Sends a request until it is answered. What makes something new is sent once: it may have been done though no answer came.
    async fn send(&self, method: Method, url: &str, body: Option<&Value>) -> Result<Response, ApiError> {
        let mut tried = 0;
        loop {
            tried += 1;
            let mut request = self.http.request(method.clone(), url);
            if let Some(body) = body {
                request = request.json(body);
            }
            let (pause, error) = match request.send().await {
                Ok(answer) if answer.status().is_success() => return Ok(answer),
                Ok(answer) => (pause(&answer), self.refused(answer).await),
                Err(error) => (None, self.unreachable(error)),
            };
            let passing = match &error {
                ApiError::Refused { status, .. } => status.is_server_error() && method != Method::POST,
                ApiError::Unreachable { .. } => method != Method::POST,
                ApiError::Moved { .. } | ApiError::Limited { .. } | ApiError::Odd { .. } => false,
            };
            let pause = match pause {
                Some(pause) if pause > LONGEST_PAUSE => return Err(ApiError::Limited { whose: self.whose, pause }),
                // A limit is told before anything is done.
                Some(pause) => pause,
                None if passing => Duration::from_millis(250 << tried),
                None => return Err(error),
            };
            if tried == TRIES {
                return Err(error);
            }
            tokio::time::sleep(pause).await;
        }
    }

    fn unreachable(&self, error: reqwest::Error) -> ApiError {
        let error = error.without_url();
        let why = match () {
            () if error.is_timeout() => "it does not answer in time".to_owned(),
            () => std::iter::successors(std::error::Error::source(&error), |error| error.source())
                .last()
                .map_or_else(|| error.to_string(), ToString::to_string),
        };
        ApiError::Unreachable { whose: self.whose, base: self.base.clone(), why }
    }

    /// What a refusal says. Both services put it into `message`, GitHub its details into `errors`.
    async fn refused(&self, answer: Response) -> ApiError {
        let status = answer.status();
        let to = answer.headers().get(LOCATION).and_then(|to| Some(to.to_str().ok()?.to_owned()));
        if let Some(to) = to.filter(|_| status.is_redirection()) {
            return ApiError::Moved { whose: self.whose, to };
        }
        let body: Value = answer.json().await.unwrap_or_default();
        let details = body["errors"].as_array().into_iter().flatten().filter_map(|error| error["message"].as_str());
        let words: Vec<&str> = body["message"].as_str().into_iter().chain(details).collect();
        ApiError::Refused { whose: self.whose, status, message: ui::harmless(&words.join("; ")) }
    }
}

/// How long a service that limits us wants us to wait.
///
/// Sources: <https://docs.digitalocean.com/reference/api/api-reference/#section/Introduction/Rate-Limit> (`retry-after`,
/// `ratelimit-reset`), <https://docs.github.com/en/rest/using-the-rest-api/rate-limits-for-the-rest-api>
fn pause(answer: &Response) -> Option<Duration> {
    let number = |name: &str| answer.headers().get(name)?.to_str().ok()?.trim().parse::<i64>().ok();
    let seconds = |seconds: i64| Duration::from_secs(u64::try_from(seconds).unwrap_or_default());
    let spent = number("x-ratelimit-remaining") == Some(0);
    match answer.status() {
        StatusCode::TOO_MANY_REQUESTS => {}
        StatusCode::FORBIDDEN if spent || number("retry-after").is_some() => {}
        _ => return None,
    }
    let until = |reset: i64| seconds(reset - Timestamp::now().as_second() + 1);
    let reset = || number("ratelimit-reset").or_else(|| number("x-ratelimit-reset")).map(until);
    Some(number("retry-after").map(seconds).or_else(reset).unwrap_or(Duration::from_secs(1)))
}

/// The address of the next page (RFC 8288).
fn next_of(links: &str) -> Option<String> {
    let next = links.split(',').find(|link| link.contains("rel=\"next\""))?;
    Some(next.split_once('<')?.1.split_once('>')?.0.to_owned())
}
