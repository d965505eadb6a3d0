//! What the operator said: the environment and `.env`, or on a server the file that systemd gives to the service.

use std::path::{Path, PathBuf};

use preview_core::causes::with_causes;
use preview_orchestrator::settings::{Settings, Variables, VaultPaths, environment, look_alikes};

use crate::doctor::facts::Look;

/// Where the roles put the service's environment.
const FILE: &str = "/etc/preview-deployer/environment";
/// The setting without which nobody runs a service.
const NEEDED: &str = "ALLOWED_REPOS";

/// The settings, as far as they can be read.
pub(super) struct Said {
    pub(super) variables: Variables,
    pub(super) mistakes: Look<Vec<String>>,
    pub(super) settings: Result<Settings, String>,
}

impl Said {
    pub(super) fn find() -> Self {
        let (variables, unread) = variables();
        let read = Settings::read(&variables);
        let mistakes = match (&read, unread) {
            (_, Some(why)) => Err(why),
            (Ok(_), None) => Ok(Vec::new()),
            (Err(mistakes), None) => Ok(mistakes.0.iter().map(ToString::to_string).collect()),
        };
        let settings = read.map_err(|_| match &mistakes {
            Err(_) => "the settings could not be read".to_owned(),
            Ok(_) => "the settings are not right".to_owned(),
        });
        Self { variables, mistakes, settings }
    }

    pub(super) fn misspelt(&self) -> Vec<String> {
        look_alikes(&self.variables)
    }

    /// The engine's address.
    pub(super) fn docker_host(&self) -> String {
        let given = self.variables.get("DOCKER_HOST").filter(|host| !host.is_empty());
        given.cloned().unwrap_or_else(|| "unix:///var/run/docker.sock".to_owned())
    }

    /// The ledger's file.
    pub(super) fn ledger(&self) -> Result<PathBuf, String> {
        VaultPaths::read(&self.variables).map(|paths| paths.ledger).map_err(|mistakes| mistakes.to_string())
    }

    /// Folders whose disks must not fill, by what is in them.
    pub(super) fn paths(&self) -> Vec<(&'static str, PathBuf)> {
        let ledger = self.ledger().ok().and_then(|ledger| ledger.parent().map(Path::to_owned));
        let previews = self.settings.as_ref().ok().map(|settings| settings.paths.deployments.clone());
        let docker = Path::new("/var/lib/docker").to_owned();
        let known = [("ledger", ledger), ("previews", previews), ("Docker", Some(docker))];
        known.into_iter().filter_map(|(what, path)| Some((what, path?))).collect()
    }
}

/// Variables, and why those of the service could not be read.
fn variables() -> (Variables, Option<String>) {
    let own = match environment(Path::new(".env")) {
        Ok(own) => own,
        Err(error) => return (Variables::new(), Some(with_causes(&error))),
    };
    if own.contains_key(NEEDED) {
        return (own, None);
    }
    match std::fs::read_to_string(FILE) {
        Ok(text) => (text.lines().filter_map(assignment).chain(own).collect(), None),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
            let why = format!(
                "neither a variable {NEEDED}, nor a file .env, nor {FILE} is here; `--server` looks at a server"
            );
            (own, Some(why))
        }
        Err(error) => (own, Some(format!("{FILE} can't be read ({error}): run it as root"))),
    }
}

/// A line of systemd's: `NAME=value`, or `NAME="value"` with backslashes in front of quotes and backslashes.
///
/// Source: systemd.exec(5), `EnvironmentFile=`
fn assignment(line: &str) -> Option<(String, String)> {
    let line = line.trim();
    let (name, value) = line.split_once('=').filter(|_| !line.starts_with(['#', ';']))?;
    let quoted = value.strip_prefix('"').and_then(|value| value.strip_suffix('"'));
    let value = match quoted {
        None => value.to_owned(),
        Some(quoted) => {
            let mut text = String::new();
            let mut rest = quoted.chars();
            while let Some(c) = rest.next() {
                text.extend(if c == '\\' { rest.next() } else { Some(c) });
            }
            text
        }
    };
    Some((name.trim().to_owned(), value))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_of_the_service_s_file_are_read_as_systemd_reads_them() {
        let read = |line| assignment(line).map(|(name, value)| format!("{name} is {value}"));
        assert_eq!(read(r#"A="with \"quotes\" and \\ and $x""#).unwrap(), r#"A is with "quotes" and \ and $x"#);
        assert_eq!(read("B=plain").unwrap(), "B is plain");
        assert_eq!(read("# C=comment"), None);
        assert_eq!(read(""), None);
    }
}
