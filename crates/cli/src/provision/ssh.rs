//! Commands on the server, over the system's own `ssh`: a fixed script on its standard input, nothing in its arguments.

use std::time::Duration;

use preview_exec::{ExecError, Limits, Output, Program};
use tokio::time::Instant;

use crate::error::Failure;
use crate::installation::{Config, Destination, Home, Server};
use crate::ui;

/// The exit status by which ssh tells its own failures.
const SSH_FAILED: i32 = 255;
/// How long a machine that was just made may take to let us in.
const NEW_MACHINE: Duration = Duration::from_secs(300);
/// How long one that is there already may take.
const OLD_MACHINE: Duration = Duration::from_secs(20);
/// Between two tries.
const PAUSE: Duration = Duration::from_secs(3);

/// Waits until the machine has finished setting itself up: its package manager is busy until then.
const READY: &str = "if command -v cloud-init >/dev/null; then cloud-init status --wait >/dev/null 2>&1; fi\nid -u\n";

/// The way to the server.
#[derive(Debug, Clone)]
pub(crate) struct Ssh {
    to: Destination,
    options: Vec<String>,
    patience: Duration,
}

impl Ssh {
    pub(crate) fn new(config: &Config, home: &Home, to: Destination) -> Self {
        let patience = match config.server {
            Server::Host(_) => OLD_MACHINE,
            Server::DigitalOcean(_) => NEW_MACHINE,
        };
        Self { to, options: config.ssh_options(home), patience }
    }

    pub(crate) fn to(&self) -> &Destination {
        &self.to
    }

    /// Runs a script as root.
    pub(crate) async fn root(&self, script: &str, limits: Limits) -> Result<Output, ExecError> {
        let program = Program::new("ssh").args(&self.options).args(["-p", &self.to.port().to_string()]);
        let shell: &[&str] = if self.to.user() == "root" { &["sh", "-s"] } else { &["sudo", "-n", "sh", "-s"] };
        let program = program.arg("--").arg(self.to.login()).args(shell).stdin(script).limits(limits);
        program.inherit_env("HOME").inherit_env("SSH_AUTH_SOCK").run().await
    }

    /// Waits until the machine lets us in and is ready. What only the person can change is told at once.
    pub(crate) async fn wait(&self) -> Result<(), Failure> {
        let end = Instant::now() + self.patience;
        loop {
            let error = match self.root(READY, Limits::seconds(600)).await {
                Ok(_) => return Ok(()),
                Err(error) => error,
            };
            if !self.is_passing(&error) || Instant::now() + PAUSE > end {
                return Err(self.unreachable(&error));
            }
            tokio::time::sleep(PAUSE).await;
        }
    }

    /// Whether a later try may go better: a machine that is still starting refuses, and one that is new does not know the key yet.
    fn is_passing(&self, error: &ExecError) -> bool {
        let ExecError::Failed { output, .. } = error else { return false };
        let said = |words: &str| output.stderr.contains(words);
        let for_good = said("ost key verification failed") || said("Permission denied") && self.patience == OLD_MACHINE;
        output.status.code() == Some(SSH_FAILED) && !for_good
    }

    fn unreachable(&self, error: &ExecError) -> Failure {
        if let ExecError::TooLong { limit, .. } | ExecError::Silent { limit, .. } = error {
            let what = format!("{} still sets itself up, after {} min", self.to, limit.as_secs() / 60);
            return Failure::new(what).hint("on it, `cloud-init status --long` says what it is at; then try again");
        }
        let said = error.stderr().to_owned();
        let mut failure = Failure::new(format!("the server does not let us in as {}", self.to));
        failure.causes = said.lines().rev().take(3).map(ui::harmless).filter(|line| !line.is_empty()).collect();
        failure.causes.reverse();
        let elsewhere = format!("is it running, and may port {} be reached from here?", self.to.port());
        let hint = match () {
            () if matches!(error, ExecError::Missing { .. }) => "install an SSH client (openssh-client)",
            () if said.contains("Permission denied") => {
                "does `ssh_key` of the configuration open it? A key with a passphrase has to be in the agent: ssh-add"
            }
            () if said.contains("ost key verification failed") || said.contains("IDENTIFICATION HAS CHANGED") => {
                "another machine answers there, or it was set up anew: if you know why, remove its line from known_hosts"
            }
            () if said.contains("password is required") || said.contains("sudo:") => {
                "its user has to be root, or to use sudo without a password"
            }
            () => &elsewhere,
        };
        failure.hint(hint)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_machine_that_never_ends_setting_itself_up_is_not_said_to_keep_us_out() {
        let to: Destination = "root@203.0.113.7".parse().unwrap();
        let ssh = Ssh { to, options: Vec::new(), patience: NEW_MACHINE };
        let limit = Duration::from_secs(600);
        let error = ExecError::TooLong { program: "ssh".to_owned(), limit, stderr: String::new() };
        let Failure { what, hints, .. } = ssh.unreachable(&error);
        assert_eq!(what, "root@203.0.113.7 still sets itself up, after 10 min");
        assert!(hints[0].contains("cloud-init status --long"), "{hints:?}");
    }
}
