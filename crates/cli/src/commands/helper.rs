//! `preview helper`
//!
//! The service runs without any right of root's. The few things that take root are asked of this helper, over a socket that only the
//! service's user may open; systemd starts one helper for each question (`preview-helper.socket`). It takes a verb of a fixed
//! list and nothing else: no argument, no path and no setting comes from whoever asks.

use std::io;
use std::os::fd::AsFd;
use std::os::unix::net::UnixStream as StdStream;
use std::path::{Path, PathBuf};
use std::time::Duration;

use clap::{Args, ValueEnum};
use preview_exec::{ExecError, Limits, Program};
use preview_orchestrator::docker::hand_over_builder_group;
use preview_orchestrator::service::firewall_plan;
use preview_orchestrator::settings::Settings;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWriteExt};
use tokio::net::UnixStream;
use tokio::time::timeout;

use crate::error::Failure;
use crate::flags::JsonFailures;
use crate::settings;

/// Longer than any verb.
const LONGEST_QUESTION: u64 = 64;
/// What `nginx -t` says of a broken file is a few lines.
const LONGEST_ANSWER: u64 = 64 << 10;
/// How long whoever asks may take to say what.
const ASKING: Duration = Duration::from_secs(5);
/// How long the answer may take; what is done ends earlier by itself.
const ANSWERING: Duration = Duration::from_secs(60);
/// The first word of an answer when it was done.
const DONE: &str = "done";
/// And when it was not; why follows.
const FAILED: &str = "failed";

/// Asks the helper for one of the few things that take root, or answers as the helper
///
/// The service uses it: NGINX_TEST_COMMAND, NGINX_RELOAD_COMMAND and FIREWALL_COMMAND name it on servers.
#[derive(Debug, Args)]
pub(crate) struct Helper {
    /// What to ask for
    #[arg(value_enum)]
    verb: Verb,
    /// The socket at which the helper is asked
    #[arg(long, value_name = "PATH", default_value = "/run/preview-deployer/helper.sock")]
    socket: PathBuf,
    #[command(flatten)]
    failures: JsonFailures,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Verb {
    /// Test nginx's configuration
    NginxTest,
    /// Have nginx read its configuration again
    NginxReload,
    /// Set the firewall around previews and builds
    Firewall,
    /// Give the files that limit builds to the user that asks
    BuildGroup,
    /// Answer the question that comes over standard input, as root: for systemd
    Serve,
}

impl Helper {
    pub(crate) async fn run(self) -> Result<(), Failure> {
        match self.verb {
            Verb::Serve => serve().await,
            verb => ask(verb, &self.socket).await,
        }
    }
}

/// A verb as it is written.
fn word(verb: Verb) -> String {
    // Each verb has a name: none is skipped.
    verb.to_possible_value().map(|value| value.get_name().to_owned()).unwrap_or_default()
}

/// The verb that was asked for; serving is nothing to ask for.
fn verb(question: &str) -> Option<Verb> {
    Verb::from_str(question.trim_end_matches('\n'), false).ok().filter(|verb| *verb != Verb::Serve)
}

async fn ask(verb: Verb, socket: &Path) -> Result<(), Failure> {
    let unreachable = |error: &io::Error| {
        Failure::new("the helper does not answer").because(error).hint(
            "`systemctl status preview-helper.socket` tells whether it is there, and only the service's user may ask",
        )
    };
    let mut stream = UnixStream::connect(socket).await.map_err(|error| unreachable(&error))?;
    let asked = async {
        stream.write_all(format!("{}\n", word(verb)).as_bytes()).await?;
        stream.shutdown().await?;
        text(&mut stream, LONGEST_ANSWER).await
    };
    let answer = timeout(ANSWERING, asked).await.unwrap_or_else(|_| Err(io::ErrorKind::TimedOut.into()));
    let answer = answer.map_err(|error| unreachable(&error))?;
    match answer.split_once('\n').unwrap_or((&answer, "")) {
        (DONE, _) => Ok(()),
        (_, why) => {
            let mut failure = Failure::new(format!("{} failed", word(verb)));
            failure.causes = why.lines().filter(|line| !line.trim().is_empty()).map(str::to_owned).collect();
            Err(failure)
        }
    }
}

/// Answers one question.
async fn serve() -> Result<(), Failure> {
    let socket = StdStream::from(std::io::stdin().as_fd().try_clone_to_owned()?);
    socket.set_nonblocking(true)?;
    let mut stream = UnixStream::from_std(socket)?;
    let asks = stream.peer_cred()?.uid();
    let question = timeout(ASKING, text(&mut stream, LONGEST_QUESTION)).await??;
    let done = match verb(&question) {
        Some(verb) => perform(verb, asks).await,
        None => Err(Failure::new("that is nothing that the helper does")),
    };
    let answer = match done {
        Ok(()) => format!("{DONE}\n"),
        Err(failure) => format!("{FAILED}\n{}\n{}\n", failure.what, failure.causes.join("\n")),
    };
    stream.write_all(answer.as_bytes()).await?;
    stream.shutdown().await?;
    Ok(())
}

async fn text(from: &mut (impl AsyncRead + Unpin), at_most: u64) -> io::Result<String> {
    let mut bytes = Vec::new();
    from.take(at_most).read_to_end(&mut bytes).await?;
    Ok(String::from_utf8_lossy(&bytes).into_owned())
}

async fn perform(verb: Verb, asks: u32) -> Result<(), Failure> {
    match verb {
        Verb::NginxTest => nginx(&["-t"]).await,
        Verb::NginxReload => nginx(&["-s", "reload"]).await,
        Verb::Firewall => Ok(firewall_plan(&own_settings()?).await?.put_up().await?),
        Verb::BuildGroup => Ok(hand_over_builder_group(own_settings()?.build_group.as_deref(), asks)?),
        Verb::Serve => Err(Failure::new("the helper does not serve itself")),
    }
}

/// The helper's own, which are the service's: systemd gives both the same file.
fn own_settings() -> Result<Settings, Failure> {
    Settings::read(&settings::variables()?).map_err(settings::wrong)
}

/// What nginx says of a failure is told line by line: the service reads which file is at fault.
async fn nginx(args: &[&str]) -> Result<(), Failure> {
    let ran = Program::new("nginx").args(args).limits(Limits::seconds(25)).run().await;
    ran.map(drop).map_err(|error| match &error {
        ExecError::Failed { output, .. } => {
            let mut failure = Failure::new(format!("nginx {} failed", args.join(" ")));
            failure.causes = output.stderr.lines().map(str::to_owned).collect();
            failure
        }
        _ => Failure::from(error),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_verbs_of_the_list_are_understood() {
        for known in ["nginx-test", "nginx-reload", "firewall", "build-group"] {
            assert_eq!(verb(&format!("{known}\n")).map(word).as_deref(), Some(known));
        }
        for unknown in
            ["serve\n", "", "nginx-test -c /tmp/x\n", "NGINX-TEST\n", "nginx-test\nfirewall\n", "nginx-test\0"]
        {
            assert_eq!(verb(unknown), None, "{unknown:?}");
        }
    }
}
