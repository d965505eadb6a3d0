//! Starting the simulated GitHub, its doors, and what tests ask of it as a whole.

use std::net::{Ipv4Addr, SocketAddr};
use std::path::PathBuf;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use axum::Router;
use axum::extract::{Request as HttpRequest, State as Extract};
use axum::middleware::{self, Next};
use axum::response::Response;
use http::header::IF_NONE_MATCH;
use hyper::body::Incoming;
use hyper_util::rt::{TokioIo, TokioTimer};
use jiff::Timestamp;
use preview_core::ids::RepoId;
use rand::RngExt;
use tempfile::TempDir;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio::task::{JoinHandle, JoinSet};
use tower::ServiceExt;

use crate::app::App;
use crate::error::{Error, Result};
use crate::faults::{Fault, FaultGuard, HangUp, Matching};
use crate::git::Bare;
use crate::shapes::Urls;
use crate::state::{Deliveries, FIRST_ID, Outcome, Request, State, Surface};
use crate::{git_http, post, rest};

/// What the REST API's paths begin with, as on GitHub Enterprise Server.
const API: &str = "/api/v3";

/// How a simulated GitHub is to be.
#[derive(Debug, Clone)]
pub struct Options {
    /// The port on 127.0.0.1; 0 for any that is free.
    pub port: u16,
    /// The token that it accepts.
    pub token: String,
    /// What hooks made by [`crate::Repo::add_hook`] sign with.
    pub webhook_secret: String,
    /// The account that the token belongs to.
    pub bot_login: String,
    /// Requests that the token may make in an hour.
    pub hourly_limit: u32,
    /// The number of the first thing that gets one. GitHub never gives one twice: neither does who starts from another each time.
    pub first_id: u64,
    /// How long it waits for the answer to a delivery; GitHub waits 10 s.
    pub delivery_timeout: Duration,
    /// The App that the product signs in as; then no other token is accepted, and `bot_login` is the App's.
    pub app: Option<App>,
    /// A person's token that may look at repositories and manage their webhooks, and nothing else.
    pub hooks_token: Option<String>,
    /// Where deliveries to these hosts go, instead of where the system's names lead.
    pub hosts: Vec<(String, SocketAddr)>,
    /// By whom encrypted receivers are trusted, instead of the system's authorities.
    pub authorities: Vec<reqwest::Certificate>,
    /// Where the folder of its repositories is made, which goes when it ends.
    pub folder: PathBuf,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            port: 0,
            token: format!("ghp_{}", random_digits()),
            webhook_secret: random_digits(),
            bot_login: "preview-bot".to_owned(),
            hourly_limit: 5000,
            first_id: FIRST_ID,
            delivery_timeout: Duration::from_secs(10),
            app: None,
            hooks_token: None,
            hosts: Vec::new(),
            authorities: Vec::new(),
            folder: std::env::temp_dir(),
        }
    }
}

fn random_digits() -> String {
    let mut bytes = [0; 18];
    rand::rng().fill(&mut bytes);
    hex::encode(bytes)
}

/// What the doors, the post and the people share.
pub(crate) struct Shared {
    pub(crate) options: Options,
    state: Mutex<State>,
    changed: watch::Sender<()>,
    folder: TempDir,
    /// One change of a repository at a time, so that references and state move together.
    pub(crate) pushing: tokio::sync::Mutex<()>,
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn read<T>(&self, look: impl FnOnce(&State) -> T) -> T {
        look(&self.lock())
    }

    /// Changes the state and wakes whoever waits for something.
    pub(crate) fn write<T>(&self, change: impl FnOnce(&mut State) -> T) -> T {
        let result = change(&mut self.lock());
        self.changed.send_replace(());
        result
    }

    /// Changes what nobody waits for.
    pub(crate) fn write_quietly<T>(&self, change: impl FnOnce(&mut State) -> T) -> T {
        change(&mut self.lock())
    }

    /// Whether this token counts now.
    pub(crate) fn accepts(&self, token: &str) -> bool {
        match self.options.app {
            None => token == self.options.token,
            Some(_) => self.read(|state| {
                let now = Timestamp::now();
                state.installation_tokens.iter().any(|known| known.token == token && known.expires_at > now)
            }),
        }
    }

    pub(crate) fn changes(&self) -> watch::Receiver<()> {
        self.changed.subscribe()
    }

    pub(crate) fn home(&self) -> PathBuf {
        self.folder.path().to_owned()
    }

    pub(crate) fn bare_name(repo: RepoId) -> String {
        format!("{repo}.git")
    }

    pub(crate) fn bare(&self, repo: RepoId) -> Bare {
        Bare::at(self.folder.path().join(Self::bare_name(repo)))
    }
}

/// A running model of GitHub. It stops, and its repositories go, when this is dropped.
pub struct GitHub {
    pub(crate) shared: Arc<Shared>,
    tasks: Vec<JoinHandle<()>>,
}

impl Drop for GitHub {
    fn drop(&mut self) {
        self.tasks.iter().for_each(JoinHandle::abort);
    }
}

impl GitHub {
    /// Opens its port and begins to answer.
    pub async fn start(mut options: Options) -> Result<Self> {
        if let Some(app) = &options.app {
            options.bot_login = format!("{}[bot]", app.slug);
        }
        let address = SocketAddr::from((Ipv4Addr::LOCALHOST, options.port));
        let listener = TcpListener::bind(address).await.map_err(Error::Listen)?;
        let server = format!("http://{}", listener.local_addr().map_err(Error::Listen)?);
        let urls = Urls { api: format!("{server}{API}"), server };
        let folder = TempDir::with_prefix_in("preview-simulator-", &options.folder);
        let postman = post::client(&options.hosts, &options.authorities)?;
        let shared = Arc::new(Shared {
            state: Mutex::new(State::new(urls, &options)),
            changed: watch::Sender::new(()),
            folder: folder.map_err(|source| Error::File { path: options.folder.clone(), source })?,
            pushing: tokio::sync::Mutex::new(()),
            options,
        });
        let doors = Router::new()
            .nest(API, rest::router(&shared))
            .fallback(git_http::serve)
            .layer(middleware::from_fn_with_state(shared.clone(), gate))
            .with_state(shared.clone());
        let tasks = vec![tokio::spawn(accept(listener, doors)), tokio::spawn(post::carry(shared.clone(), postman))];
        Ok(Self { shared, tasks })
    }

    /// The REST API's address, without a slash at its end.
    pub fn api_url(&self) -> String {
        self.shared.read(|state| state.urls.api.clone())
    }

    /// What clone addresses and pages begin with, without a slash at its end.
    pub fn server_url(&self) -> String {
        self.shared.read(|state| state.urls.server.clone())
    }

    /// The token that it accepts.
    pub fn token(&self) -> &str {
        &self.shared.options.token
    }

    /// What the hooks that people make here sign with.
    pub fn webhook_secret(&self) -> &str {
        &self.shared.options.webhook_secret
    }

    /// The account that the token belongs to.
    pub fn bot_login(&self) -> &str {
        &self.shared.options.bot_login
    }

    /// Looks at everything that it knows.
    pub fn look<T>(&self, look: impl FnOnce(&State) -> T) -> T {
        self.shared.read(look)
    }

    /// Waits until this gives something; `what` is for the message when it never does.
    pub async fn wait_for<T>(
        &self,
        what: &str,
        limit: Duration,
        mut look: impl FnMut(&State) -> Option<T>,
    ) -> Result<T> {
        let mut changes = self.shared.changes();
        let found = async {
            loop {
                if let Some(found) = self.shared.read(&mut look) {
                    return found;
                }
                // Its sender lives in `self`, so the next change or the limit ends this.
                let _ = changes.changed().await;
            }
        };
        let found = tokio::time::timeout(limit, found).await;
        found.map_err(|_| Error::TimedOut { what: what.to_owned(), limit, seen: self.look(State::summary) })
    }

    /// The next `times` requests that match are answered so. Faults that match the same request come in the order of the wishes.
    pub fn fail_next(&self, matching: Matching, times: usize, fault: Fault) {
        if times > 0 {
            self.shared.write(|state| state.log.faults.add(matching, Some(times), fault));
        }
    }

    /// All requests that match are answered so, until the guard is dropped.
    pub fn fail_while(&self, matching: Matching, fault: Fault) -> FaultGuard {
        let id = self.shared.write(|state| state.log.faults.add(matching, None, fault));
        FaultGuard { shared: self.shared.clone(), id }
    }

    /// What happens to deliveries from now on. What was held before stays held.
    pub fn deliver(&self, how: Deliveries) {
        self.shared.write(|state| state.post.mode = how);
    }

    /// Sends everything that was held or is being collected, in its order.
    pub fn release(&self) {
        self.shared.write(|state| state.post.release());
    }

    /// Presses *Redeliver* on an event: the same GUID and body once more.
    pub fn redeliver(&self, guid: &str) -> Result<()> {
        let again = |state: &mut State| state.post.by_guid(guid).and_then(|id| state.redeliver(id));
        self.shared.write(again).ok_or_else(|| Error::Missing(format!("delivery {guid}")))
    }

    /// Waits until no delivery is on its way. Held ones are; lost ones are not.
    pub async fn deliveries_done(&self, limit: Duration) -> Result<()> {
        let all_ended = |state: &State| state.deliveries().all(|d| d.outcome != Outcome::Waiting).then_some(());
        self.wait_for("all deliveries to be answered", limit, all_ended).await
    }

    /// Leaves the token this many requests until the hour is over.
    pub fn set_remaining_requests(&self, remaining: u32) {
        self.shared.write(|state| state.quota.leave(remaining, Timestamp::now()));
    }
}

/// Accepts connections until it is aborted, which ends them all.
async fn accept(listener: TcpListener, doors: Router) {
    let mut connections = JoinSet::new();
    loop {
        tokio::select! {
            Ok((stream, _)) = listener.accept() => {
                connections.spawn(serve(stream, doors.clone()));
            }
            Some(_) = connections.join_next() => {}
        }
    }
}

async fn serve(stream: TcpStream, doors: Router) {
    let answer = hyper::service::service_fn(move |request: hyper::Request<Incoming>| {
        let doors = doors.clone();
        async move {
            let response = doors.oneshot(request).await.unwrap_or_else(|never| match never {});
            match response.extensions().get::<HangUp>() {
                Some(HangUp) => Err("hung up on demand"),
                None => Ok(response),
            }
        }
    });
    let mut http = hyper::server::conn::http1::Builder::new();
    let served = http.timer(TokioTimer::new()).serve_connection(TokioIo::new(stream), answer).await;
    if let Err(error) = served {
        tracing::debug!(%error, "a connection to the simulated GitHub ended early");
    }
}

/// Every request passes here: it is written down, and gets its fault if one waits for it.
async fn gate(Extract(shared): Extract<Arc<Shared>>, mut request: HttpRequest, next: Next) -> Response {
    let path = request.uri().path_and_query().map_or("/", |path| path.as_str());
    let (surface, path) = match path.strip_prefix(API) {
        Some(rest) => (Surface::Api, rest),
        None => (Surface::Git, path),
    };
    let seen = Request {
        surface,
        method: request.method().clone(),
        path: path.to_owned(),
        status: None,
        at: Timestamp::now(),
    };
    let (number, fault) = shared.write(|state| {
        let fault = state.log.faults.take(&seen);
        (state.log.begin(seen), fault)
    });
    if fault.as_ref().is_some_and(Fault::needs_body) {
        request.headers_mut().remove(IF_NONE_MATCH);
    }
    let right = next.run(request);
    let response = match fault {
        None => right.await,
        Some(fault) => fault.spoil(&shared, right).await,
    };
    shared.write(|state| state.log.end(number, response.status().as_u16()));
    response
}
