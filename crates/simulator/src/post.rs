//! The postman: sends deliveries one after the other, each once, and writes down what came back.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http::Request;
use http_body_util::{BodyExt, Full, Limited};
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::TokioExecutor;
use jiff::Timestamp;
use preview_core::causes::with_causes;
use tokio::time::Instant;

use crate::server::Shared;
use crate::state::{Delivery, Next, Outcome};

/// As much of a receiver's answer as is kept.
const LARGEST_ANSWER: usize = 64 << 10;

type Http = Client<HttpConnector, Full<Bytes>>;

/// Sends what is due until it is aborted.
pub(crate) async fn carry(shared: Arc<Shared>) {
    let client: Http = Client::builder(TokioExecutor::new()).build_http();
    let mut changes = shared.changes();
    loop {
        // Seen before the look, so that a change after it is not missed.
        changes.mark_unchanged();
        match shared.write_quietly(|state| state.post.next()) {
            Next::Send(delivery) => {
                let outcome = send(&client, &delivery, shared.options.delivery_timeout).await;
                shared.write(|state| state.post.ended(delivery.id, Timestamp::now(), outcome));
            }
            Next::WaitUntil(due) => {
                tokio::select! {
                    () = tokio::time::sleep_until(due) => {}
                    _ = changes.changed() => {}
                }
            }
            // The sender is in `shared`, which we hold: this waits for a change.
            Next::Nothing => drop(changes.changed().await),
        }
    }
}

async fn send(client: &Http, delivery: &Delivery, limit: Duration) -> Outcome {
    let begun = Instant::now();
    match tokio::time::timeout(limit, exchange(client, delivery)).await {
        Ok(Ok((status, headers, body))) => Outcome::Answered { status, headers, body, took: begun.elapsed() },
        Ok(Err(reason)) => Outcome::Failed { reason, took: begun.elapsed() },
        Err(_) => Outcome::Failed { reason: "timed out".to_owned(), took: begun.elapsed() },
    }
}

type Answer = (u16, Vec<(String, String)>, String);

async fn exchange(client: &Http, delivery: &Delivery) -> Result<Answer, String> {
    let mut request = Request::post(&delivery.url);
    for (name, value) in &delivery.headers {
        request = request.header(name, value);
    }
    let request = request.body(Full::new(delivery.body.clone())).map_err(|error| error.to_string())?;
    let (parts, body) = client.request(request).await.map_err(|error| with_causes(&error))?.into_parts();
    let text = |value: &http::HeaderValue| String::from_utf8_lossy(value.as_bytes()).into_owned();
    let headers = parts.headers.iter().map(|(name, value)| (name.to_string(), text(value))).collect();
    let bytes = Limited::new(body, LARGEST_ANSWER).collect().await.map_err(|error| error.to_string())?.to_bytes();
    Ok((parts.status.as_u16(), headers, String::from_utf8_lossy(&bytes).into_owned()))
}
