//! The nginx that runs: testing its configuration, telling it to read that again, asking what it runs.

use std::fmt;
use std::path::{Path, PathBuf};
use std::str::FromStr;
use std::time::Duration;

use http::header;
use preview_exec::{ExecError, Limits, Program};
use tokio::time::{Instant, sleep};

use super::text::{GENERATION_PATH, LOGIN_PATH};
use crate::needs::Fault;
use crate::router::login::Login;

/// What a question over HTTP may take.
const ASK: Duration = Duration::from_secs(2);
/// How long a reload may take until new workers answer.
const TAKE_UP: Duration = Duration::from_secs(15);
/// nginx lets old workers accept for 100 ms after it has started new ones (`ngx_reconfigure`), so that one new answer proves
/// little: for so long only new ones must have come.
const SETTLED: Duration = Duration::from_millis(150);

/// A program and its arguments, split at white space; no shell reads it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CommandLine(Vec<String>);

/// A command line without a program.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("the command is empty: write a program and its arguments, as in `sudo nginx -t`")]
pub struct EmptyCommand;

impl FromStr for CommandLine {
    type Err = EmptyCommand;
    fn from_str(text: &str) -> Result<Self, EmptyCommand> {
        let words: Vec<String> = text.split_whitespace().map(str::to_owned).collect();
        if words.is_empty() { Err(EmptyCommand) } else { Ok(Self(words)) }
    }
}

impl fmt::Display for CommandLine {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0.join(" "))
    }
}

impl CommandLine {
    /// Runs it to its end, for half a minute at most.
    pub(crate) async fn run(&self) -> Result<(), ExecError> {
        Program::new(&self.0[0]).args(&self.0[1..]).limits(Limits::seconds(30)).run().await.map(drop)
    }
}

/// How to reach the nginx that runs.
#[derive(Debug)]
pub(super) struct Server {
    pub(super) test_command: CommandLine,
    pub(super) reload_command: CommandLine,
    pub(super) probe_url: String,
    pub(super) http: reqwest::Client,
}

/// Why nginx doesn't accept a configuration.
#[derive(Debug)]
pub(super) enum Refusal {
    /// It says what is wrong, and in which file where it names one.
    Configuration {
        /// What nginx said, in one line.
        said: String,
        /// The file at fault.
        file: Option<PathBuf>,
    },
    /// The test itself could not be run.
    Untested(String),
}

impl Server {
    /// Lets nginx test the configuration on disk.
    pub(super) async fn test(&self) -> Result<(), Refusal> {
        match self.test_command.run().await {
            Ok(()) => Ok(()),
            Err(error) => Err(read_refusal(error.stderr()).unwrap_or_else(|| Refusal::Untested(error.to_string()))),
        }
    }

    /// Tells nginx to read its configuration again, and waits until visitors get nothing older than this generation.
    pub(super) async fn reload(&self, generation: u64) -> Result<(), Fault> {
        self.reload_command.run().await.map_err(|error| {
            Fault::passing(format!("nginx could not be told to read its configuration again: {error}"))
                .advise(format!("run `{}` on the server as the service's user", self.reload_command))
        })?;
        let began = Instant::now();
        let mut pause = Duration::from_millis(5);
        let mut new_since = None;
        while began.elapsed() < TAKE_UP {
            match self.generation().await {
                Ok(Some(answered)) if answered == generation => {
                    let since = *new_since.get_or_insert_with(Instant::now);
                    if since.elapsed() >= SETTLED {
                        return Ok(());
                    }
                    pause = Duration::from_millis(10);
                }
                _ => {
                    new_since = None;
                    pause = (pause * 2).min(Duration::from_millis(100));
                }
            }
            sleep(pause).await;
        }
        Err(Fault::passing(format!("nginx still runs its former configuration {} s after a reload", TAKE_UP.as_secs()))
            .advise(
                "nginx's error log says why; the probe URL must lead to the server block that includes the previews",
            ))
    }

    /// Whether nginx lets in who has the password: it answers 500 or 403 to everybody where it can't read the file.
    pub(super) async fn lets_in(&self, login: &Login, file: &str) -> Result<(), Fault> {
        let url = format!("{}{LOGIN_PATH}", self.probe_url.trim_end_matches('/'));
        let request = self.http.get(url).header(header::CONNECTION, "close").timeout(ASK);
        let request =
            login.header().into_iter().fold(request, |request, value| request.header(header::AUTHORIZATION, value));
        match request.send().await.map(|answer| answer.status().as_u16()) {
            Ok(204) => Ok(()),
            answer => {
                let answer = answer.map_or_else(|error| error.without_url().to_string(), |status| status.to_string());
                Err(Fault::passing(format!(
                    "nginx does not let in who has the previews' password (it answers: {answer})"
                ))
                .advise(format!("nginx's workers must be able to read {file}: give its folder their group")))
            }
        }
    }

    /// The generation that nginx answers with; `None` when it answers something else, as it does before our first reload.
    ///
    /// # Errors
    /// When nginx doesn't answer.
    pub(super) async fn generation(&self) -> Result<Option<u64>, Fault> {
        let url = format!("{}{GENERATION_PATH}", self.probe_url.trim_end_matches('/'));
        let unreachable = |error: reqwest::Error| {
            Fault::passing(format!("nginx does not answer at {}: {}", self.probe_url, error.without_url()))
                .advise("is nginx running, and does the probe URL lead to it?")
        };
        // A kept connection would go on asking a worker that is shutting down.
        let request = self.http.get(url).header(header::CONNECTION, "close").timeout(ASK);
        let answer = request.send().await.map_err(unreachable)?;
        if !answer.status().is_success() || answer.content_length().is_none_or(|length| length > 20) {
            return Ok(None);
        }
        Ok(answer.text().await.map_err(unreachable)?.parse().ok())
    }
}

/// Reads what `nginx -t` says: `nginx: [emerg] unknown directive "x" in /etc/nginx/sites-enabled/y:3`.
fn read_refusal(stderr: &str) -> Option<Refusal> {
    let line = stderr.lines().rev().find(|line| line.contains("[emerg]") || line.contains("[crit]"))?;
    let said = line.split_once("] ").map_or(line, |(_, said)| said);
    // Once its error log is open it puts process and thread in front: `32185#32185: unknown directive`.
    let numbers = said.split_once(": ").filter(|(front, _)| front.bytes().all(|b| b.is_ascii_digit() || b == b'#'));
    let said = numbers.map_or(said, |(_, said)| said).trim().to_owned();
    let file = said.rsplit_once(" in ").and_then(|(_, place)| place.rsplit_once(':'));
    let file = file.map(|(file, _)| PathBuf::from(file)).filter(|file| file.is_absolute());
    Some(Refusal::Configuration { said, file })
}

impl Refusal {
    /// Whether the file at fault is in this folder.
    pub(super) fn is_within(&self, folder: &Path) -> bool {
        matches!(self, Self::Configuration { file: Some(file), .. } if file.starts_with(folder))
    }
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Configuration { said, .. } | Self::Untested(said) => f.write_str(said),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_nginx_says_names_the_file() {
        let text = "nginx: [warn] x in /a:1\nnginx: [emerg] unknown directive \"foo\" in /etc/nginx/sites/y z:3\n\
                    nginx: configuration file /etc/nginx/nginx.conf test failed\n";
        let Some(Refusal::Configuration { said, file }) = read_refusal(text) else { panic!("not read") };
        assert_eq!(said, "unknown directive \"foo\" in /etc/nginx/sites/y z:3");
        assert_eq!(file.as_deref(), Some(Path::new("/etc/nginx/sites/y z")));
        let text = "2026/11/23 23:05:01 [emerg] 32185#32185: unknown directive \"foo\" in /y:1\n";
        let Some(Refusal::Configuration { said, .. }) = read_refusal(text) else { panic!("not read") };
        assert_eq!(said, "unknown directive \"foo\" in /y:1");
        let text = "nginx: [emerg] bind() to 0.0.0.0:80 failed (98: Address already in use)\n";
        assert!(matches!(read_refusal(text), Some(Refusal::Configuration { file: None, .. })));
        assert!(read_refusal("sudo: a password is required\n").is_none());
    }

    #[test]
    fn a_command_is_words() {
        assert_eq!("  sudo  nginx -t ".parse::<CommandLine>().unwrap().to_string(), "sudo nginx -t");
        assert_eq!(" ".parse::<CommandLine>(), Err(EmptyCommand));
    }
}
