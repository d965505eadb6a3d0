//! Output of containers, and what happens to them.

use std::collections::HashMap;
use std::time::SystemTime;

use bollard::container::LogOutput;
use bollard::models::EventMessage;
use bollard::query_parameters::{EventsOptions, LogsOptions};
use futures_util::future;
use futures_util::stream::{self, BoxStream, StreamExt, TryStreamExt};
use preview_core::compose::LABEL_INSTANCE;
use preview_core::ids::DeploymentId;

use crate::needs::{EngineEvent, Fault, Part};

use super::Engine;
use super::api::ask;
use super::observe::owner;

/// What can change how a container is. Left out are the events of every health probe (`exec_…`).
const ACTIONS: [&str; 8] = ["create", "start", "restart", "die", "oom", "stop", "destroy", "health_status"];

impl Engine {
    pub(super) async fn last_lines(&self, id: &DeploymentId, part: Part, lines: usize) -> Result<Vec<String>, Fault> {
        let Some(container) = self.containers_of(id, part).await?.pop() else { return Ok(Vec::new()) };
        let output = self.docker.logs(&container.id, Some(log_options(lines, false)));
        let output = match ask("read a container's log", output.map_ok(into_lines).try_collect::<Vec<_>>()).await {
            Ok(output) => output,
            Err(refused) if refused.gone() => return Ok(Vec::new()),
            Err(refused) => return Err(refused.into()),
        };
        let mut output: Vec<String> = output.into_iter().flatten().collect();
        Ok(output.split_off(output.len().saturating_sub(lines)))
    }

    pub(super) async fn lines_from(&self, id: &DeploymentId, part: Part, lines: usize) -> BoxStream<'static, String> {
        let container = self.containers_of(id, part).await.ok().and_then(|mut found| found.pop());
        let Some(container) = container else { return stream::empty().boxed() };
        let output = self.docker.logs(&container.id, Some(log_options(lines, true)));
        until_error(output).flat_map(|output| stream::iter(into_lines(output))).boxed()
    }

    pub(super) fn container_events(&self) -> BoxStream<'static, EngineEvent> {
        let filters = HashMap::from([
            ("type".to_owned(), vec!["container".to_owned()]),
            ("label".to_owned(), vec![format!("{LABEL_INSTANCE}={}", self.options.instance)]),
            ("event".to_owned(), ACTIONS.map(str::to_owned).to_vec()),
        ]);
        // The engine is asked when the stream is first polled; what happens until then is told afterwards.
        let options = EventsOptions { since: Some(now()), filters: Some(filters), ..Default::default() };
        let events = self.docker.events(Some(options));
        until_error(events).filter_map(|event| future::ready(engine_event(event))).boxed()
    }
}

/// The time as the engine takes it: seconds and nanoseconds since 1970.
fn now() -> String {
    let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
    format!("{}.{:09}", now.as_secs(), now.subsec_nanos())
}

/// The stream up to its first error, which is the engine going away.
fn until_error<T, E>(stream: impl stream::Stream<Item = Result<T, E>>) -> impl stream::Stream<Item = T> {
    stream.map(Result::ok).take_while(|item| future::ready(item.is_some())).filter_map(future::ready)
}

fn engine_event(event: EventMessage) -> Option<EngineEvent> {
    let deployment = owner(&event.actor?.attributes?)?;
    Some(EngineEvent { deployment, action: event.action? })
}

fn log_options(lines: usize, follow: bool) -> LogsOptions {
    LogsOptions { stdout: true, stderr: true, follow, tail: lines.to_string(), ..Default::default() }
}

/// The engine hands over a line at a time, long ones in several pieces.
pub(super) fn into_lines(output: LogOutput) -> Vec<String> {
    let text = String::from_utf8_lossy(&output.into_bytes()).into_owned();
    text.trim_end_matches('\n').split('\n').map(|line| line.trim_end_matches('\r').to_owned()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn output_becomes_lines() {
        let lines = |text: &str| into_lines(LogOutput::StdOut { message: text.to_owned().into() });
        assert_eq!(lines("one\n"), ["one"]);
        assert_eq!(lines("one\r\ntwo\n"), ["one", "two"]);
        assert_eq!(lines("\n"), [""]);
    }
}
