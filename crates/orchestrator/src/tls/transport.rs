//! How the ACME client's requests travel: by the HTTP client that everything else here uses, with its trust and its limits.

use std::future::Future;
use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use bytes::Bytes;
use http::{Request, Response};
use http_body_util::{BodyExt, Full};
use instant_acme::{BodyWrapper, BytesResponse, Error, HttpClient};
use reqwest::header::RETRY_AFTER;

/// What one request may take.
const LIMIT: Duration = Duration::from_secs(30);
/// The authority asks for a user agent (RFC 8555, section 6.1).
const AGENT: &str = concat!("preview-deployer/", env!("CARGO_PKG_VERSION"));

/// A client for one authority. Clones share it.
#[derive(Debug, Clone)]
pub(super) struct Transport {
    http: reqwest::Client,
    /// What the last refusal said of when to come back.
    wait: Arc<Mutex<Option<Duration>>>,
}

impl Transport {
    /// A client that trusts these besides the system's authorities.
    pub(super) fn new(authorities: &[reqwest::Certificate]) -> Result<Self, reqwest::Error> {
        let http = reqwest::Client::builder().user_agent(AGENT).timeout(LIMIT);
        let http = http.tls_certs_merge(authorities.iter().cloned()).build()?;
        Ok(Self { http, wait: Arc::default() })
    }

    /// For how long the authority asked not to be asked, since this was last asked for.
    pub(super) fn asked_to_wait(&self) -> Option<Duration> {
        self.wait.lock().unwrap_or_else(PoisonError::into_inner).take()
    }

    async fn send(self, request: Request<BodyWrapper<Bytes>>) -> Result<BytesResponse, Error> {
        let (head, body) = request.into_parts();
        let body = body.collect().await.map(|body| body.to_bytes()).unwrap_or_default();
        let asked = self.http.request(head.method, head.uri.to_string()).headers(head.headers).body(body);
        let other = |error: reqwest::Error| Error::Other(Box::new(error));
        let answer = asked.send().await.map_err(other)?;
        if !answer.status().is_success() {
            let seconds = answer.headers().get(RETRY_AFTER).and_then(|value| value.to_str().ok()?.parse().ok());
            *self.wait.lock().unwrap_or_else(PoisonError::into_inner) = seconds.map(Duration::from_secs);
        }
        let mut read = Response::builder().status(answer.status());
        if let Some(headers) = read.headers_mut() {
            headers.clone_from(answer.headers());
        }
        Ok(BytesResponse::from(read.body(Full::new(answer.bytes().await.map_err(other)?))?))
    }
}

impl HttpClient for Transport {
    fn request(
        &self,
        request: Request<BodyWrapper<Bytes>>,
    ) -> Pin<Box<dyn Future<Output = Result<BytesResponse, Error>> + Send>> {
        Box::pin(self.clone().send(request))
    }
}
