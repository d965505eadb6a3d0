//! Records in a zone at DigitalOcean, by which the authority is shown whose all names of a domain are.
//!
//! Source: <https://docs.digitalocean.com/reference/api/api-reference/#tag/Domain-Records>

use std::time::Duration;

use reqwest::{Method, StatusCode};
use secrecy::{ExposeSecret, SecretString};
use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::{Value, json};

use crate::settings::DigitalOcean;

/// What one request may take.
const LIMIT: Duration = Duration::from_secs(30);
/// Most zones that one page has.
const PER_PAGE: usize = 200;
/// Seconds for which others may keep a record: as few as may be.
const TTL: u32 = 30;

/// The zones of one account.
#[derive(Debug, Clone)]
pub(super) struct Zones {
    http: reqwest::Client,
    api: String,
    token: SecretString,
}

/// A record that was made, to be deleted again.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Record {
    zone: String,
    id: u64,
}

#[derive(Deserialize)]
struct Zone {
    name: String,
}

impl Zones {
    pub(super) fn new(settings: &DigitalOcean) -> Result<Self, reqwest::Error> {
        let http = reqwest::Client::builder().timeout(LIMIT).build()?;
        Ok(Self { http, api: settings.api.as_str().to_owned(), token: settings.token.clone() })
    }

    /// Makes the record by which the authority is shown whose the domain is (RFC 8555, section 8.4).
    pub(super) async fn add(&self, domain: &str, value: &str) -> Result<Record, String> {
        #[derive(Deserialize)]
        struct Made {
            domain_record: Id,
        }
        #[derive(Deserialize)]
        struct Id {
            id: u64,
        }
        let full = format!("_acme-challenge.{domain}");
        let zone = self.of(&full).await?;
        let name = full.strip_suffix(&zone).and_then(|name| name.strip_suffix('.')).unwrap_or(&full);
        let record = json!({"type": "TXT", "name": name, "data": value, "ttl": TTL});
        let made: Made = self.ask(Method::POST, &format!("/v2/domains/{zone}/records"), Some(record)).await?;
        Ok(Record { zone, id: made.domain_record.id })
    }

    /// Deletes a record.
    pub(super) async fn remove(&self, Record { zone, id }: Record) -> Result<(), String> {
        self.send(Method::DELETE, &format!("/v2/domains/{zone}/records/{id}"), None).await.map(drop)
    }

    /// The zone of the account that a name belongs to: of several, the nearest.
    async fn of(&self, full: &str) -> Result<String, String> {
        #[derive(Deserialize)]
        struct Page {
            domains: Vec<Zone>,
        }
        let mut found: Option<String> = None;
        for page in 1.. {
            let path = format!("/v2/domains?per_page={PER_PAGE}&page={page}");
            let Page { domains } = self.ask(Method::GET, &path, None).await?;
            let more = domains.len() == PER_PAGE;
            let fits = |zone: &Zone| full.strip_suffix(&zone.name).is_some_and(|front| front.ends_with('.'));
            let fitting = domains.into_iter().filter(fits).map(|zone| zone.name).chain(found);
            found = fitting.max_by_key(String::len);
            if !more {
                break;
            }
        }
        found.ok_or_else(|| format!("DigitalOcean's account has no zone for {full}: add the domain there"))
    }

    async fn ask<T: DeserializeOwned>(&self, method: Method, path: &str, body: Option<Value>) -> Result<T, String> {
        let answer = self.send(method, path, body).await?;
        answer.json().await.map_err(|error| format!("DigitalOcean's answer is not understood: {}", error.without_url()))
    }

    async fn send(&self, method: Method, path: &str, body: Option<Value>) -> Result<reqwest::Response, String> {
        let request = self.http.request(method, format!("{}{path}", self.api)).bearer_auth(self.token.expose_secret());
        let request = body.iter().fold(request, |request, body| request.json(body));
        let answer = request.send().await;
        let answer = answer.map_err(|error| format!("DigitalOcean does not answer: {}", error.without_url()))?;
        match answer.status() {
            status if status.is_success() => Ok(answer),
            StatusCode::UNAUTHORIZED => Err("DigitalOcean does not accept the token: make a new one".to_owned()),
            StatusCode::FORBIDDEN => {
                Err("DigitalOcean's token may not do this: it needs to read domains, and to create and delete their \
                     records"
                    .to_owned())
            }
            status => Err(format!("DigitalOcean refused: {status}")),
        }
    }
}
