//! One request to GitHub and its answer.

use std::time::Duration;

use preview_core::ids::RepoId;
use reqwest::header::{ACCEPT, ETAG, HeaderMap, HeaderName, HeaderValue, IF_NONE_MATCH, LOCATION};
use reqwest::{Method, StatusCode, Url, redirect};
use secrecy::{ExposeSecret, SecretString};
use serde::Serialize;
use serde::de::DeserializeOwned;
use tokio::sync::Semaphore;

use super::app::App;
use super::gate::Gate;
use super::pace::{Cost, Purse};
use super::rights::{Right, Rights};
use super::{Credentials, GitHubSettings};
use crate::needs::Fault;

const CONNECT_LIMIT: Duration = Duration::from_secs(10);
/// For the whole of one request, its answer's body included.
const REQUEST_LIMIT: Duration = Duration::from_secs(20);
/// Redirects followed for one read.
const REDIRECTS: usize = 5;
/// Requests under way at the same time. GitHub's secondary limit is 100 for all that one user runs.
const AT_ONCE: usize = 10;
/// Longest answer about one thing, in bytes.
const ONE_LIMIT: usize = 8 << 20;
/// Longest page of a list, in bytes. A hundred pull requests whose descriptions have the greatest length that GitHub allows
/// (65,536 characters, in JSON up to six bytes each) must not make a repository unreadable.
const PAGE_LIMIT: usize = 48 << 20;
/// Source: <https://docs.github.com/en/rest/about-the-rest-api/api-versions>
const VERSION: (&str, &str) = ("x-github-api-version", "2022-11-28");

/// Why there can be no client.
#[derive(Debug, thiserror::Error)]
pub enum BadSettings {
    /// The API's address is none.
    #[error(
        "GITHUB_API_URL is not a web address without user, query and fragment: write it like https://api.github.com"
    )]
    Url,
    /// The token has characters that no token has.
    #[error("GITHUB_TOKEN has characters that cannot be sent (a line break at its end?): copy it again")]
    Token,
    /// The HTTP client could not be made.
    #[error("the HTTP client could not be set up (are there certificate authorities on this machine?)")]
    Client(#[source] reqwest::Error),
}

/// Whose tokens requests bear.
enum Bearer {
    Token(SecretString),
    App(Box<App>),
}

pub(super) struct Api {
    http: reqwest::Client,
    bearer: Bearer,
    base: Url,
    pub(super) gate: Gate,
    pub(super) rights: Rights,
    points: Purse,
    places: Semaphore,
}

impl Api {
    pub(super) fn new(settings: &GitHubSettings) -> Result<Self, BadSettings> {
        let base = base_url(&settings.api_url).ok_or(BadSettings::Url)?;
        let bearer = match &settings.credentials {
            Credentials::Token(token) if HeaderValue::from_str(token.expose_secret()).is_err() => {
                return Err(BadSettings::Token);
            }
            Credentials::Token(token) => Bearer::Token(token.clone()),
            Credentials::App(app) => Bearer::App(Box::new(App::new(app.clone()))),
        };
        let headers = HeaderMap::from_iter([
            (ACCEPT, HeaderValue::from_static("application/vnd.github+json")),
            (HeaderName::from_static(VERSION.0), HeaderValue::from_static(VERSION.1)),
        ]);
        let mut builder = reqwest::Client::builder()
            .user_agent(concat!("preview-deployer/", env!("CARGO_PKG_VERSION")))
            .default_headers(headers)
            .connect_timeout(CONNECT_LIMIT)
            .timeout(REQUEST_LIMIT)
            .redirect(redirect::Policy::none());
        if is_loopback(&base) {
            builder = builder.no_proxy();
        }
        let http = builder.build().map_err(BadSettings::Client)?;
        let (gate, rights) = (Gate::default(), Rights::default());
        let (points, places) = (Purse::new(settings.pace.points), Semaphore::new(AT_ONCE));
        Ok(Self { http, bearer, base, gate, rights, points, places })
    }

    /// An address below the API's own. `path` is made of numbers and parsed names, never of other text.
    pub(super) fn url(&self, path: &str) -> Url {
        let mut url = self.base.clone();
        url.set_path(&format!("{}{path}", self.base.path().trim_end_matches('/')));
        url
    }

    /// An address below a repository's own, by number.
    pub(super) fn repo_url(&self, repo: RepoId, path: &str) -> Url {
        self.url(&format!("/repositories/{repo}{path}"))
    }

    /// Whether the token may be sent there.
    pub(super) fn is_ours(&self, url: &Url) -> bool {
        url.origin() == self.base.origin()
    }

    /// Reads one thing, following redirects that stay with GitHub.
    pub(super) async fn get(&self, right: &Right, url: Url) -> Result<Answer, Fault> {
        let mut url = url;
        for _ in 0..=REDIRECTS {
            let answer = self.send(right, Cost::Read, self.http.get(url.clone()), ONE_LIMIT).await?;
            if !answer.is_redirect() {
                return Ok(answer);
            }
            url = self.redirected(&answer, &url)?;
        }
        Err(circle())
    }

    /// Where an answer leads, as long as that is GitHub too.
    fn redirected(&self, answer: &Answer, from: &Url) -> Result<Url, Fault> {
        answer.target(from).filter(|target| self.is_ours(target)).ok_or_else(|| {
            Fault::passing("GitHub's answer leads to another server")
                .advise("Set GITHUB_API_URL to the address that GitHub itself uses.")
        })
    }

    /// Reads one page of a list; with an ETag, 304 is an answer too.
    pub(super) async fn get_page(&self, right: &Right, url: &Url, etag: Option<&HeaderValue>) -> Result<Answer, Fault> {
        let mut request = self.http.get(url.clone());
        if let Some(etag) = etag {
            request = request.header(IF_NONE_MATCH, etag);
        }
        self.send(right, Cost::Read, request, PAGE_LIMIT).await
    }

    /// Changes something. Whoever calls it holds the turn.
    pub(super) async fn write(
        &self,
        right: &Right,
        method: Method,
        url: Url,
        body: &impl Serialize,
    ) -> Result<Answer, Fault> {
        self.send(right, Cost::Write, self.http.request(method, url).json(body), ONE_LIMIT).await
    }

    async fn send(
        &self,
        right: &Right,
        cost: Cost,
        request: reqwest::RequestBuilder,
        limit: usize,
    ) -> Result<Answer, Fault> {
        // The semaphore is never closed.
        let _place = self.places.acquire().await.ok();
        // What will be refused is not worth waiting for; what was refused meanwhile is not worth sending.
        self.gate.pass()?;
        self.rights.pass(right)?;
        self.points.pay(cost).await;
        let token = self.token().await?;
        let answer = self.send_as(&token, request, limit).await?;
        self.rights.judge(right, &answer)?;
        Ok(answer)
    }

    async fn send_as(
        &self,
        token: &SecretString,
        request: reqwest::RequestBuilder,
        limit: usize,
    ) -> Result<Answer, Fault> {
        let pass = self.gate.pass()?;
        let response = request.bearer_auth(token.expose_secret()).send().await.map_err(broken)?;
        let answer = Answer::read(response, limit).await?;
        if let (Bearer::App(app), StatusCode::UNAUTHORIZED) = (&self.bearer, answer.status) {
            app.forget();
        }
        self.gate.judge(pass, &answer)?;
        Ok(answer)
    }

    /// The token that requests bear, and git too.
    pub(super) async fn token(&self) -> Result<SecretString, Fault> {
        match &self.bearer {
            Bearer::Token(token) => Ok(token.clone()),
            Bearer::App(app) => app.token(self).await,
        }
    }

    /// The name of the user as whom an App writes, if we are one.
    pub(super) async fn app_login(&self) -> Result<Option<String>, Fault> {
        match &self.bearer {
            Bearer::Token(_) => Ok(None),
            Bearer::App(app) => app.login(self).await.map(Some),
        }
    }

    /// Asks something in the App's own name, which its signed token tells.
    pub(super) async fn ask_as_app(&self, method: Method, url: Url, token: &SecretString) -> Result<Answer, Fault> {
        let mut url = url;
        for _ in 0..=REDIRECTS {
            let answer = self.send_as(token, self.http.request(method.clone(), url.clone()), ONE_LIMIT).await?;
            if !answer.is_redirect() {
                return Ok(answer);
            }
            url = self.redirected(&answer, &url)?;
        }
        Err(circle())
    }
}

fn circle() -> Fault {
    Fault::passing("GitHub's answers lead in a circle")
}

fn base_url(text: &str) -> Option<Url> {
    let url = Url::parse(text.trim()).ok()?;
    let web = matches!(url.scheme(), "http" | "https") && url.has_host();
    let bare = url.username().is_empty() && url.password().is_none();
    (web && bare && url.query().is_none() && url.fragment().is_none()).then_some(url)
}

fn is_loopback(url: &Url) -> bool {
    let host = url.host_str().unwrap_or_default().trim_matches(['[', ']']);
    host == "localhost" || host.parse::<std::net::IpAddr>().is_ok_and(|ip| ip.is_loopback())
}

/// What went wrong on the way. The details are for the log; the comment needs none.
fn broken(error: reqwest::Error) -> Fault {
    let error = error.without_url();
    let cause = if error.is_timeout() {
        "GitHub did not answer in time"
    } else if error.is_connect() {
        "GitHub could not be reached"
    } else {
        "the connection to GitHub broke"
    };
    tracing::debug!(error = &error as &dyn std::error::Error, "{cause}");
    Fault::passing(cause)
}

/// An answer that is no fault of the connection, the limits or the token: 2xx, 3xx, 404, a refusal …
pub(super) struct Answer {
    pub(super) status: StatusCode,
    pub(super) headers: HeaderMap,
    body: Vec<u8>,
}

impl Answer {
    async fn read(mut response: reqwest::Response, limit: usize) -> Result<Self, Fault> {
        let (status, headers) = (response.status(), response.headers().clone());
        let mut body = Vec::new();
        while let Some(chunk) = response.chunk().await.map_err(broken)? {
            if body.len() + chunk.len() > limit {
                return Err(Fault::passing("GitHub's answer is too long to be read"));
            }
            body.extend_from_slice(&chunk);
        }
        Ok(Self { status, headers, body })
    }

    /// The body; an answer of another shape than GitHub documents is a fault.
    pub(super) fn json<T: DeserializeOwned>(&self) -> Result<T, Fault> {
        serde_json::from_slice(&self.body).map_err(|error| {
            tracing::warn!(%error, status = self.status.as_u16(), "GitHub's answer has an unknown shape");
            Fault::passing("GitHub's answer could not be understood")
        })
    }

    /// GitHub's own words about what is wrong, in one short line.
    pub(super) fn message(&self) -> String {
        #[derive(serde::Deserialize)]
        struct Error {
            message: String,
        }
        let message = serde_json::from_slice::<Error>(&self.body).map(|error| error.message).unwrap_or_default();
        message.chars().filter(|c| !c.is_control()).take(200).collect()
    }

    /// The status and GitHub's words.
    pub(super) fn told(&self) -> String {
        let (code, message) = (self.status.as_u16(), self.message());
        if message.is_empty() {
            format!("GitHub answered {code}")
        } else {
            format!("GitHub answered {code}: {message}")
        }
    }

    /// A fault for an answer that should not come at this place.
    pub(super) fn unexpected(&self) -> Fault {
        let fault = Fault::passing(self.told());
        match self.status.as_u16() {
            403 | 404 => fault.advise("Check that the token of this server may still read the repository."),
            _ => fault,
        }
    }

    pub(super) fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name)?.to_str().ok()
    }

    pub(super) fn number(&self, name: &str) -> Option<i64> {
        self.header(name)?.trim().parse().ok()
    }

    pub(super) fn etag(&self) -> Option<HeaderValue> {
        self.headers.get(ETAG).cloned()
    }

    fn is_redirect(&self) -> bool {
        matches!(self.status.as_u16(), 301 | 302 | 307 | 308)
    }

    fn target(&self, from: &Url) -> Option<Url> {
        from.join(self.headers.get(LOCATION)?.to_str().ok()?).ok()
    }
}
