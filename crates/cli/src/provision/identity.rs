//! Who the server is to GitHub: whoever a token belongs to, or a GitHub App. The App's number and the file with its key stand in
//! config.yml under `settings`, by the service's own names; the key goes to the server as a file, by way of nothing that is shown.

use std::path::{Path, PathBuf};

use preview_core::ids::RepoName;
use preview_orchestrator::github::{AppCredentials, AppKey, Credentials, GitHub, GitHubSettings};
use preview_orchestrator::needs::{Fault, Tokens};
use preview_orchestrator::secrets::Known;
use secrecy::SecretString;

use super::ready::github_api;
use crate::error::{Failure, Kind};
use crate::installation::Config;
use crate::installation::secrets::{SecretName, Secrets};

/// The settings that make it an App.
pub(crate) const APP_ID: &str = "GITHUB_APP_ID";
pub(crate) const APP_KEY_FILE: &str = "GITHUB_APP_PRIVATE_KEY_FILE";

/// Who the server is to GitHub.
#[derive(Debug, Clone)]
pub(crate) enum Identity {
    /// Whoever this token belongs to.
    Token(SecretString),
    /// An App, whose key is in this file here.
    App(PathBuf),
}

impl Identity {
    /// An App where the settings name its key, else the token that is known.
    pub(crate) async fn find(config: &Config, secrets: &Secrets) -> Result<Self, Failure> {
        match config.settings.get(APP_KEY_FILE) {
            Some(file) => Ok(Self::App(PathBuf::from(file))),
            None => secrets.required(SecretName::GitHub).await.map(Self::Token),
        }
    }
}

/// A token of the App that the settings name, as GitHub gives it for these repositories; `None` where they name none.
pub(crate) async fn app_token(config: &Config) -> Result<Option<SecretString>, Failure> {
    let (id, file) = match (config.settings.get(APP_ID), config.settings.get(APP_KEY_FILE)) {
        (None, None) => return Ok(None),
        (Some(id), Some(file)) => (id, Path::new(file)),
        _ => return Err(wrong(format!("{APP_ID} and {APP_KEY_FILE} belong together: one of them is not set"))),
    };
    let id = id.parse().map_err(|_| wrong(format!("{APP_ID} is the App's number, which {id} is not")))?;
    let text = std::fs::read_to_string(file)
        .map_err(|error| wrong(format!("the App's key {} could not be read", file.display())).because(&error))?;
    let key = AppKey::from_pem(&text).map_err(|error| wrong(format!("{}: {error}", file.display())))?;
    let Some(repository) = config.repositories.first().cloned() else { return Ok(None) };
    ask(config, id, key, repository).await.map(Some)
}

async fn ask(config: &Config, id: u64, key: AppKey, repository: RepoName) -> Result<SecretString, Failure> {
    let credentials = Credentials::App(AppCredentials { id, key, repository, known: Known::default() });
    let api = github_api(&config.settings)?;
    let client = GitHub::new(GitHubSettings::new(api.as_str(), credentials))?;
    client.token().await.map_err(|Fault { cause, advice, .. }| {
        let mut failure = Failure::new("GitHub gives no token for the GitHub App");
        failure.causes.push(crate::ui::harmless(&cause));
        failure.hint(advice.unwrap_or_else(|| "are its number and its key of one App?".to_owned()))
    })
}

fn wrong(what: String) -> Failure {
    Failure::new(what).kind(Kind::Settings).hint("an App's page on GitHub shows its number, and makes its private keys")
}
