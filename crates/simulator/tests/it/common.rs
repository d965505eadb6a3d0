//! A client and a webhook receiver for the tests.

use std::path::Path;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use axum::Router;
use axum::extract::{Request, State};
use bytes::Bytes;
use http::header::HeaderMap;
use http_body_util::{BodyExt, Full};
use hyper_util::client::legacy::Client;
use hyper_util::rt::TokioExecutor;
use preview_exec::{ExecError, Output, Program};
use preview_simulator::{GitHub, Options, Repo};
use serde_json::Value;
use tokio::net::TcpListener;
use tokio::task::JoinHandle;

pub(crate) const SOON: Duration = Duration::from_secs(20);

pub(crate) async fn github() -> GitHub {
    GitHub::start(Options::default()).await.unwrap()
}

pub(crate) struct Answer {
    pub(crate) status: u16,
    pub(crate) headers: HeaderMap,
    pub(crate) body: Bytes,
}

impl Answer {
    pub(crate) fn json(&self) -> Value {
        serde_json::from_slice(&self.body).unwrap_or_else(|_| panic!("not JSON: {:?}", self.body))
    }

    pub(crate) fn header(&self, name: &str) -> &str {
        self.headers.get(name).map_or("", |value| value.to_str().unwrap())
    }
}

/// A request with these headers and nothing else.
pub(crate) async fn raw(method: &str, url: &str, headers: &[(&str, &str)], body: &[u8]) -> Result<Answer, String> {
    let mut request = http::Request::builder().method(method).uri(url);
    for (name, value) in headers {
        request = request.header(*name, *value);
    }
    let request = request.body(Full::new(Bytes::copy_from_slice(body))).unwrap();
    let client: Client<_, Full<Bytes>> = Client::builder(TokioExecutor::new()).build_http();
    let (parts, body) = client.request(request).await.map_err(|error| error.to_string())?.into_parts();
    let body = body.collect().await.map_err(|error| error.to_string())?.to_bytes();
    Ok(Answer { status: parts.status.as_u16(), headers: parts.headers, body })
}

/// A request as the product makes it; `path` begins with a slash, or is a whole address.
pub(crate) async fn api(github: &GitHub, method: &str, path: &str, body: Value) -> Answer {
    let url = if path.starts_with('/') { format!("{}{path}", github.api_url()) } else { path.to_owned() };
    let token = format!("Bearer {}", github.token());
    let headers = [("authorization", token.as_str()), ("user-agent", "test")];
    let body = if body.is_null() { Vec::new() } else { body.to_string().into_bytes() };
    raw(method, &url, &headers, &body).await.unwrap()
}

pub(crate) async fn get(github: &GitHub, path: &str) -> Answer {
    api(github, "GET", path, Value::Null).await
}

/// Git as a client, with these credentials in its configuration.
pub(crate) async fn git(dir: &Path, token: Option<&str>, args: &[&str]) -> Result<Output, ExecError> {
    let mut program = Program::new("git")
        .env("HOME", dir)
        .env("GIT_CONFIG_NOSYSTEM", "1")
        .env("GIT_TERMINAL_PROMPT", "0")
        .env("GIT_AUTHOR_NAME", "t")
        .env("GIT_AUTHOR_EMAIL", "t@example.org")
        .env("GIT_COMMITTER_NAME", "t")
        .env("GIT_COMMITTER_EMAIL", "t@example.org")
        .dir(dir);
    if let Some(token) = token {
        use base64::Engine;
        let credentials = base64::engine::general_purpose::STANDARD.encode(format!("x-access-token:{token}"));
        program = program.arg("-c").arg(format!("http.extraHeader=Authorization: Basic {credentials}"));
    }
    program.args(args).run().await
}

/// What a webhook receiver got.
#[derive(Clone, Debug)]
pub(crate) struct Got {
    pub(crate) headers: HeaderMap,
    pub(crate) body: Bytes,
}

impl Got {
    pub(crate) fn header(&self, name: &str) -> &str {
        self.headers.get(name).map_or("", |value| value.to_str().unwrap())
    }

    pub(crate) fn json(&self) -> Value {
        serde_json::from_slice(&self.body).unwrap()
    }

    /// `pull_request.opened`, `push`.
    pub(crate) fn name(&self) -> String {
        let action = self.json()["action"].as_str().map(|action| format!(".{action}")).unwrap_or_default();
        format!("{}{action}", self.header("x-github-event"))
    }
}

type Received = Arc<Mutex<Vec<Got>>>;

/// Answers 202 to everything and remembers it.
pub(crate) struct Receiver {
    pub(crate) url: String,
    got: Received,
    task: JoinHandle<()>,
}

impl Drop for Receiver {
    fn drop(&mut self) {
        self.task.abort();
    }
}

impl Receiver {
    pub(crate) async fn start() -> Self {
        let got = Received::default();
        let router = Router::new().fallback(receive).with_state(got.clone());
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}/hook", listener.local_addr().unwrap());
        let task = tokio::spawn(async move { axum::serve(listener, router).await.unwrap() });
        Self { url, got, task }
    }

    /// What came since the last call, once every delivery has ended; pings left out.
    pub(crate) async fn take(&self, github: &GitHub) -> Vec<Got> {
        github.deliveries_done(SOON).await.unwrap();
        let got = std::mem::take(&mut *self.got.lock().unwrap());
        got.into_iter().filter(|got| got.header("x-github-event") != "ping").collect()
    }

    pub(crate) async fn take_names(&self, github: &GitHub) -> Vec<String> {
        self.take(github).await.iter().map(Got::name).collect()
    }
}

async fn receive(State(got): State<Received>, request: Request) -> http::StatusCode {
    let (parts, body) = request.into_parts();
    let body = body.collect().await.unwrap().to_bytes();
    got.lock().unwrap().push(Got { headers: parts.headers, body });
    http::StatusCode::ACCEPTED
}

/// A repository with one file and a hook to a receiver.
pub(crate) async fn hooked(github: &GitHub) -> (Repo, Receiver) {
    let repo = github.create_repo("my-org/app", [preview_simulator::Change::write("VERSION", "1")]).await.unwrap();
    let receiver = Receiver::start().await;
    repo.add_hook(&receiver.url);
    (repo, receiver)
}
