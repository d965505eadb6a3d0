//! A server that answers as a test says and writes down what it was asked.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use axum::Router;
use axum::body::{Body, Bytes};
use axum::extract::State;
use axum::http::{HeaderMap, Method, Response, Uri};
use serde_json::Value;
use tokio::net::TcpListener;
use tokio::task::JoinHandle;
use tokio::time::Instant;

/// A request as it came.
#[derive(Debug, Clone)]
pub(crate) struct Seen {
    pub(crate) method: Method,
    /// Path and query.
    pub(crate) target: String,
    pub(crate) headers: HeaderMap,
    pub(crate) body: Value,
    pub(crate) began: Instant,
    pub(crate) ended: Instant,
}

impl Seen {
    /// `GET /repositories/1`.
    pub(crate) fn line(&self) -> String {
        format!("{} {}", self.method, self.target)
    }

    /// The page that is asked for.
    pub(crate) fn page(&self) -> usize {
        let pairs = self.target.split_once('?').map_or("", |(_, query)| query).split('&');
        pairs.filter_map(|pair| pair.strip_prefix("page=")).next().map_or(1, |page| page.parse().unwrap())
    }

    pub(crate) fn header(&self, name: &str) -> &str {
        self.headers.get(name).map_or("", |value| value.to_str().unwrap())
    }
}

type Answer = Box<dyn Fn(&Seen) -> Response<Body> + Send + Sync>;

struct Shared {
    answer: Answer,
    delay: Duration,
    seen: Mutex<Vec<Seen>>,
    at_once: AtomicUsize,
    most_at_once: AtomicUsize,
}

pub(crate) struct Server {
    pub(crate) url: String,
    shared: Arc<Shared>,
    task: JoinHandle<()>,
}

impl Server {
    pub(crate) async fn start(answer: impl Fn(&Seen) -> Response<Body> + Send + Sync + 'static) -> Self {
        Self::slow(Duration::ZERO, answer).await
    }

    /// Each answer takes this long.
    pub(crate) async fn slow(
        delay: Duration,
        answer: impl Fn(&Seen) -> Response<Body> + Send + Sync + 'static,
    ) -> Self {
        let shared = Arc::new(Shared {
            answer: Box::new(answer),
            delay,
            seen: Mutex::default(),
            at_once: AtomicUsize::new(0),
            most_at_once: AtomicUsize::new(0),
        });
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let app = Router::new().fallback(handle).with_state(Arc::clone(&shared));
        let task = tokio::spawn(async move { axum::serve(listener, app).await.unwrap() });
        Self { url, shared, task }
    }

    /// Every request so far.
    pub(crate) fn seen(&self) -> Vec<Seen> {
        self.shared.seen.lock().unwrap().clone()
    }

    /// Every request so far, as method and target.
    pub(crate) fn lines(&self) -> Vec<String> {
        self.seen().iter().map(Seen::line).collect()
    }

    pub(crate) fn most_at_once(&self) -> usize {
        self.shared.most_at_once.load(Ordering::SeqCst)
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.task.abort();
    }
}

async fn handle(
    State(shared): State<Arc<Shared>>,
    method: Method,
    uri: Uri,
    headers: HeaderMap,
    body: Bytes,
) -> Response<Body> {
    let now = shared.at_once.fetch_add(1, Ordering::SeqCst) + 1;
    shared.most_at_once.fetch_max(now, Ordering::SeqCst);
    let began = Instant::now();
    tokio::time::sleep(shared.delay).await;
    let body = serde_json::from_slice(&body).unwrap_or(Value::Null);
    let seen = Seen { method, target: uri.to_string(), headers, body, began, ended: Instant::now() };
    let answer = (shared.answer)(&seen);
    shared.seen.lock().unwrap().push(seen);
    shared.at_once.fetch_sub(1, Ordering::SeqCst);
    answer
}

/// A JSON answer with headers.
pub(crate) fn json(status: u16, body: Value, headers: &[(&str, &str)]) -> Response<Body> {
    text(status, &body.to_string(), headers)
}

pub(crate) fn text(status: u16, body: &str, headers: &[(&str, &str)]) -> Response<Body> {
    let builder = headers.iter().fold(Response::builder().status(status), |builder, (k, v)| builder.header(*k, *v));
    builder.body(Body::from(body.to_owned())).unwrap()
}
