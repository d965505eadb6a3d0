//! What an installation is known by and opens with: its name, its tokens, the previews' login. What nobody gave it is made at the
//! first start, and kept in private files.

use std::io::{self, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;

use preview_core::ids::InstanceId;
use secrecy::{ExposeSecret, SecretString};

use super::StartError;
use crate::git;
use crate::router::Login;
use crate::secrets::{Known, Whose};
use crate::settings::{Challenge, INSTANCE, Identity, Settings};

/// This installation's own name, made at its first start. Under another, nothing that runs would be ours any more.
pub(super) fn instance(state: &Path) -> Result<InstanceId, StartError> {
    let path = state.join(INSTANCE);
    let text = kept(&path, || InstanceId::from_bytes(rand::random()).to_string())?;
    text.parse().map_err(|_| {
        let why = "it should hold this installation's name, 12 hexadecimal digits: write that into it, which containers of previews carry \
                   as the label `preview-deployer.instance`, or remove the file if there are none";
        StartError::File { path, source: io::Error::new(io::ErrorKind::InvalidData, why) }
    })
}

/// A text that is made once and kept in a private file.
fn kept(path: &Path, make: impl FnOnce() -> String) -> Result<String, StartError> {
    let error = |source| StartError::File { path: path.to_owned(), source };
    match std::fs::read_to_string(path) {
        Ok(text) if !text.trim().is_empty() => return Ok(text.trim().to_owned()),
        Ok(_) => {}
        Err(source) if source.kind() == io::ErrorKind::NotFound => {}
        Err(source) => return Err(error(source)),
    }
    let text = make();
    let mut options = std::fs::OpenOptions::new();
    let file = options.create(true).truncate(true).write(true).mode(0o600).open(path);
    file.and_then(|mut file| writeln!(file, "{text}").and_then(|()| file.sync_all())).map_err(error)?;
    Ok(text)
}

fn random_token() -> String {
    hex::encode(rand::random::<[u8; 32]>())
}

/// The API's token, made at the first start unless it was given.
pub(super) fn api_token(settings: &Settings) -> Result<SecretString, StartError> {
    match &settings.http.token {
        Some(token) => Ok(token.clone()),
        None => Ok(kept(&settings.paths.api_token(), random_token)?.into()),
    }
}

/// What visitors of previews have to know; the password is made at the first start unless it was given.
pub(super) fn login(settings: &Settings, known: &Known) -> Result<Option<Login>, StartError> {
    let Some(login) = &settings.login else { return Ok(None) };
    let password = match &login.password {
        Some(password) => password.clone(),
        None => kept(&settings.paths.preview_password(), random_token)?.into(),
    };
    known.learn(Whose::Service, password.expose_secret());
    Ok(Some(Login::new(&login.user, password)))
}

/// The service's own secrets, in every spelling in which it sends them.
pub(super) fn learn_own(known: &Known, settings: &Settings, api_token: &SecretString) {
    // A GitHub App's tokens are learned as they come.
    let token = match &settings.github.identity {
        Identity::Token(token) => Some(token),
        Identity::App { .. } => None,
    };
    let login = token.map(git::login);
    let zones = settings.tls.as_ref().and_then(|tls| match &tls.challenge {
        Challenge::Dns(zones) => Some(&zones.token),
        Challenge::Http => None,
    });
    let (read_token, secret) = (settings.http.read_token.as_ref(), settings.webhooks.secret.as_ref());
    let own = [token, login.as_ref(), Some(api_token), read_token, secret, zones];
    own.into_iter().flatten().for_each(|secret| known.learn(Whose::Service, secret.expose_secret()));
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_installations_name_is_kept_and_a_damaged_one_is_not_replaced() {
        let dir = tempfile::tempdir().unwrap();
        let name = instance(dir.path()).unwrap();
        assert_eq!(instance(dir.path()).unwrap(), name);
        std::fs::write(dir.path().join(INSTANCE), &name.as_str()[..7]).unwrap();
        let error = instance(dir.path()).unwrap_err();
        assert!(matches!(error, StartError::File { .. }), "{error}");
    }
}
