//! What is done once: in a one-off container that is waited for, or by a program in the database's container.

use std::path::PathBuf;
use std::time::Duration;

use bollard::container::LogOutput;
use bollard::exec::{CreateExecOptions, StartExecOptions, StartExecResults};
use bollard::query_parameters::LogsOptions;
use futures_util::stream::{Stream, StreamExt};
use preview_core::compose::Stack;
use tokio::io::AsyncWriteExt;
use tokio::time::{Instant, sleep, timeout_at};

use crate::needs::{Container, ContainerState, DeploymentLock, Ending, Errand, Fault, LineSink, Part};

use super::Engine;
use super::api::ask;
use super::start::Existing;
use super::watch::into_lines;

/// Between two looks at what has ended, or is about to.
const PAUSE: Duration = Duration::from_millis(50);
/// How long the last lines of what has ended are waited for.
const LAST_LINES: Duration = Duration::from_secs(5);
/// The exit code of what `timeout` had to kill.
const KILLED: i64 = 137;

impl Engine {
    pub(super) async fn run_errand(
        &self,
        errand: &Errand,
        stack: &Stack,
        dir: PathBuf,
        log: LineSink<'_>,
        hold: &DeploymentLock,
    ) -> Result<Ending, Fault> {
        let (id, part) = (&errand.deployment, Part::Task(errand.task));
        if !self.containers_of(id, part).await?.iter().any(|container| goes_on(container, errand)) {
            self.start_parts(stack, &dir, &[part], Existing::Stay, hold).await?;
        }
        let ended = self.wait_for_end(errand, log).await?;
        self.remove_container_of(id, part).await?;
        Ok(ended)
    }

    /// Hands on what the container writes until it has ended. The engine is asked again where its answer breaks off.
    async fn wait_for_end(&self, errand: &Errand, log: LineSink<'_>) -> Result<Ending, Fault> {
        let deadline = Instant::now() + errand.limit;
        let mut told = 0;
        loop {
            let Some(container) = self.containers_of(&errand.deployment, Part::Task(errand.task)).await?.pop() else {
                return Err(Fault::passing("a one-off container was removed by somebody else"));
            };
            let ended = match container.state {
                ContainerState::Exited { exit_code: code, out_of_memory } => {
                    Some(Ending::Exited { code, out_of_memory })
                }
                _ => (Instant::now() >= deadline).then_some(Ending::TooLong),
            };
            let until = if ended.is_some() { Instant::now() + LAST_LINES } else { deadline };
            let output = self.docker.logs(&container.id, Some(all_lines(ended.is_none())));
            let _told = timeout_at(until, hand_on(output, &mut told, log)).await;
            match ended {
                Some(ended) => return Ok(ended),
                None => sleep(PAUSE).await,
            }
        }
    }

    pub(super) async fn load_into_database(
        &self,
        errand: &Errand,
        client: &[String],
        text: &str,
        log: LineSink<'_>,
    ) -> Result<Ending, Fault> {
        let id = &errand.deployment;
        let ready = self.database_is_ready(id).await?;
        let database = self.containers_of(id, Part::Database).await?.pop().filter(|_| ready);
        let database = database.ok_or_else(|| Fault::passing("the database is not up"))?;
        // A client ends with its input. One that hangs all the same is ended in there: nobody else can.
        let stop = ["timeout", "-s", "KILL", &errand.limit.as_secs().to_string()].map(str::to_owned);
        let options = CreateExecOptions {
            attach_stdin: Some(true),
            attach_stdout: Some(true),
            attach_stderr: Some(true),
            cmd: Some(stop.into_iter().chain(client.iter().cloned()).collect()),
            ..Default::default()
        };
        let exec = ask("run the database's client", self.docker.create_exec(&database.id, options)).await?.id;
        let start = self.docker.start_exec(&exec, Some(StartExecOptions::default()));
        let StartExecResults::Attached { output, mut input } = ask("run the database's client", start).await? else {
            return Err(Fault::passing("Docker did not give the database's client its input"));
        };
        let feed = async {
            // One that ends at the first mistake reads no further; its exit code says so.
            let _written = input.write_all(text.as_bytes()).await;
            let _closed = input.shutdown().await;
        };
        let mut told = 0;
        let deadline = Instant::now() + errand.limit + LAST_LINES;
        let both = async { tokio::join!(feed, hand_on(output, &mut told, log)) };
        match timeout_at(deadline, both).await {
            Ok(_) => self.exit_of(&exec, deadline).await,
            Err(_) => Ok(Ending::TooLong),
        }
    }

    async fn exit_of(&self, exec: &str, deadline: Instant) -> Result<Ending, Fault> {
        loop {
            let found = ask("look at the database's client", self.docker.inspect_exec(exec)).await?;
            match found.exit_code.filter(|_| found.running != Some(true)) {
                Some(KILLED) => return Ok(Ending::TooLong),
                Some(code) => return Ok(Ending::Exited { code, out_of_memory: false }),
                None if Instant::now() >= deadline => return Ok(Ending::TooLong),
                None => sleep(PAUSE).await,
            }
        }
    }
}

fn all_lines(follow: bool) -> LogsOptions {
    LogsOptions { stdout: true, stderr: true, follow, tail: "all".to_owned(), ..Default::default() }
}

/// Whether it is the container of this errand, started by somebody who was killed meanwhile. One that was made and never started is
/// none.
fn goes_on(container: &Container, errand: &Errand) -> bool {
    let begun = matches!(container.state, ContainerState::Running { .. } | ContainerState::Exited { .. });
    begun && container.commit.as_ref() == Some(&errand.commit)
}

/// Hands on the lines that have not been told yet, until there are no more.
async fn hand_on<E>(output: impl Stream<Item = Result<LogOutput, E>> + Send, told: &mut usize, log: LineSink<'_>) {
    let mut output = Box::pin(output);
    let mut seen = 0;
    while let Some(Ok(piece)) = output.next().await {
        for line in into_lines(piece) {
            seen += 1;
            if seen > *told {
                *told = seen;
                log(&line);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use futures_util::stream;

    use super::*;

    #[tokio::test]
    async fn what_has_been_told_is_not_told_again() {
        let piece = |text: &str| Ok::<_, ()>(LogOutput::StdOut { message: text.to_owned().into() });
        let (mut told, mut lines) = (0, Vec::new());
        let mut log = |line: &str| lines.push(line.to_owned());
        hand_on(stream::iter([piece("one\n"), piece("two\n"), Err(())]), &mut told, &mut log).await;
        hand_on(stream::iter([piece("one\n"), piece("two\nthree\n")]), &mut told, &mut log).await;
        assert_eq!(lines, ["one", "two", "three"]);
    }
}
