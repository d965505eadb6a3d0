//! The token with which the server makes records in its zone, where a certificate authority is shown by one whose the names are
//! (`ACME_CHALLENGE=dns-01`). It is in a file here, or is kept with the other secrets; the server gets it as a file of its own.

use std::path::Path;

use secrecy::SecretString;

use super::digitalocean::Client;
use super::ready::gets_certificates;
use crate::error::{Failure, Kind};
use crate::installation::Config;
use crate::installation::secrets::{SecretName, Secrets, checked};
use crate::ui;

/// The setting that names the file.
pub(crate) const TOKEN_FILE: &str = "DIGITALOCEAN_TOKEN_FILE";

/// Whether names are shown by records of the zone.
pub(crate) fn are_made(config: &Config) -> bool {
    gets_certificates(config) && config.settings.get("ACME_CHALLENGE").is_some_and(|challenge| challenge == "dns-01")
}

/// The file that the settings name, on this machine.
pub(crate) fn file(config: &Config) -> Option<&Path> {
    config.settings.get(TOKEN_FILE).filter(|file| !file.is_empty()).map(Path::new)
}

/// Whether this token is taken, and sees a zone that the records can be made in.
pub(crate) async fn sees_zone(config: &Config, token: &SecretString) -> Result<(), Failure> {
    // Without a domain there is no such record, which the settings' own rules say.
    let Some(domain) = &config.domain else { return Ok(()) };
    let client = Client::new(token)?;
    ui::waiting("asking DigitalOcean", client.has_zone_of(domain)).await.map_err(|mut failure| {
        // Beside it there may be the one that makes servers.
        failure.causes.push(format!("it was asked with {}", SecretName::Records.what()));
        failure
    })
}

/// The token, where the server needs one: from the file that the settings name, else as it is known here.
pub(crate) async fn token(config: &Config, secrets: &Secrets) -> Result<Option<SecretString>, Failure> {
    if !are_made(config) {
        return Ok(None);
    }
    let Some(file) = file(config) else {
        let known = secrets.required(SecretName::Records).await;
        return known.map(Some).map_err(|failure| {
            failure.hint(format!("or name a file with it, which only you may read, as {TOKEN_FILE} in config.yml"))
        });
    };
    let text = std::fs::read_to_string(file).map_err(|error| {
        Failure::new(format!("{}, {}, could not be read", SecretName::Records.what(), file.display()))
            .because(&error)
            .kind(Kind::Settings)
            .hint(format!("{TOKEN_FILE} in config.yml is a file of this machine; the server gets a copy"))
    })?;
    let token = checked(SecretName::Records, &text);
    token.map(Some).map_err(|failure| failure.hint(format!("it was read from {}", file.display())))
}
