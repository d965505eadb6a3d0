//! Certificates: where they come from, and how the authority is shown whose the names are.

use std::net::IpAddr;

use secrecy::SecretString;

use super::reader::Reader;
use super::values::{self, BaseUrl};
use super::variables::*;
use super::{Previews, Variable};

/// How certificates are got.
#[derive(Debug, Clone)]
pub struct Tls {
    /// The authority's ACME directory.
    pub directory: BaseUrl,
    /// Whom the authority may write to.
    pub email: Option<String>,
    /// By whom the directory is trusted, besides the system's authorities.
    pub authorities: Vec<reqwest::Certificate>,
    /// How the authority is shown whose the names are.
    pub challenge: Challenge,
    /// Where the router speaks TLS; 0 is any free port.
    pub port: u16,
    /// Where names have to lead, if that is said.
    pub address: Option<IpAddr>,
}

/// How the authority is shown whose a name is.
#[derive(Debug, Clone)]
pub enum Challenge {
    /// An answer on port 80: one certificate for each known host.
    Http,
    /// A record in the zone: one certificate for all hosts below the domain.
    Dns(DigitalOcean),
}

/// Where the records of a zone are made.
#[derive(Debug, Clone)]
pub struct DigitalOcean {
    /// What opens the API.
    pub token: SecretString,
    /// The API.
    pub api: BaseUrl,
}

/// Reads how certificates are got; `Some(None)` where nobody wants any.
pub(super) fn read(reader: &mut Reader<'_>, previews: Option<&Previews>) -> Option<Option<Tls>> {
    let wanted = reader.value(&TLS, values::one_of(&[("off", false), ("acme", true)]));
    let directory = reader.value(&ACME_DIRECTORY, values::server_url);
    let email = reader.option(&ACME_EMAIL, values::email);
    let authorities = reader.option(&ACME_CA_FILE, values::authorities);
    let by_dns = reader.value(&ACME_CHALLENGE, values::one_of(&[("http-01", false), ("dns-01", true)]));
    let token = reader.option(&DIGITALOCEAN_TOKEN, values::bearer);
    let token_file = reader.option(&DIGITALOCEAN_TOKEN_FILE, values::token_file);
    let api = reader.value(&DIGITALOCEAN_API_URL, values::server_url);
    let port = reader.value(&ROUTER_TLS_PORT, values::port);
    if !wanted? {
        return Some(None);
    }
    let previews = previews?;
    let named = has_a_name(reader, previews);
    let token = token?.or(token_file?);
    let challenge = match (by_dns?, token) {
        (false, _) => Some(Challenge::Http),
        (true, Some(token)) => Some(Challenge::Dns(DigitalOcean { token, api: api? })),
        (true, None) => missing(reader, &DIGITALOCEAN_TOKEN),
    };
    let tls = Tls {
        directory: directory?,
        email: email?,
        authorities: authorities?.unwrap_or_default(),
        challenge: challenge?,
        port: port?,
        address: previews.address,
    };
    named.then_some(Some(tls))
}

fn missing<T>(reader: &mut Reader<'_>, variable: &Variable) -> Option<T> {
    reader.mistake(variable, format!("is not set, and ACME_CHALLENGE is `dns-01`: {}", variable.meaning));
    None
}

/// Whether there is a name for a certificate. An address or this machine alone gets none.
fn has_a_name(reader: &mut Reader<'_>, previews: &Previews) -> bool {
    let url = &previews.base_url;
    let is_address = url.host().trim_matches(['[', ']']).parse::<IpAddr>().is_ok();
    if !url.host().contains('.') || is_address {
        reader.mistake(
            &PREVIEW_BASE_URL,
            format!("is `{url}`, and TLS is `acme`: certificates are for names; expected https://previews.example.com"),
        );
        return false;
    }
    if !url.is_https() {
        reader.mistake(&PREVIEW_BASE_URL, format!("is `{url}`, and TLS is `acme`: expected https://{}", url.host()));
        return false;
    }
    true
}
