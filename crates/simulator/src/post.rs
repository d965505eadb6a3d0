//! The postman: sends deliveries one after the other, each once, and writes down what came back.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use futures_util::StreamExt;
use jiff::Timestamp;
use preview_core::causes::with_causes;
use reqwest::redirect::Policy;
use reqwest::{Certificate, Client};
use tokio::time::Instant;

use crate::server::Shared;
use crate::state::{Delivery, Next, Outcome};

/// As much of a receiver's answer as is read.
const LARGEST_ANSWER: usize = 64 << 10;

/// A client that finds these hosts there, and trusts these authorities, or without any the system's. It follows no redirects.
pub(crate) fn client(hosts: &[(String, SocketAddr)], authorities: &[Certificate]) -> reqwest::Result<Client> {
    // A second installation in the same process is refused and not needed.
    let _ = rustls::crypto::ring::default_provider().install_default();
    let client = Client::builder().no_proxy().redirect(Policy::none());
    let client = hosts.iter().fold(client, |client, (host, address)| client.resolve(host, *address));
    match authorities {
        [] => client,
        these => client.tls_certs_only(these.iter().cloned()),
    }
    .build()
}

/// Sends what is due until it is aborted.
pub(crate) async fn carry(shared: Arc<Shared>, client: Client) {
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

async fn send(client: &Client, delivery: &Delivery, limit: Duration) -> Outcome {
    let begun = Instant::now();
    match tokio::time::timeout(limit, exchange(client, delivery)).await {
        Ok(Ok((status, headers, body))) => Outcome::Answered { status, headers, body, took: begun.elapsed() },
        Ok(Err(reason)) => Outcome::Failed { reason, took: begun.elapsed() },
        Err(_) => Outcome::Failed { reason: "timed out".to_owned(), took: begun.elapsed() },
    }
}

type Answer = (u16, Vec<(String, String)>, String);

async fn exchange(client: &Client, delivery: &Delivery) -> Result<Answer, String> {
    let mut request = client.post(&delivery.url).body(delivery.body.clone());
    for (name, value) in &delivery.headers {
        request = request.header(name, value);
    }
    let answer = request.send().await.map_err(told)?;
    let status = answer.status().as_u16();
    let text = |value: &http::HeaderValue| String::from_utf8_lossy(value.as_bytes()).into_owned();
    let headers = answer.headers().iter().map(|(name, value)| (name.to_string(), text(value))).collect();
    let mut parts = answer.bytes_stream();
    let mut body = Vec::new();
    while let Some(part) = parts.next().await {
        body.extend_from_slice(&part.map_err(told)?);
        if body.len() > LARGEST_ANSWER {
            return Err("the answer is too long".to_owned());
        }
    }
    Ok((status, headers, String::from_utf8_lossy(&body).into_owned()))
}

fn told(error: reqwest::Error) -> String {
    with_causes(&error.without_url())
}
