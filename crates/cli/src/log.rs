//! The service's log: what is written, and how a line of it looks.

use std::io::IsTerminal;

use preview_orchestrator::settings::{Log, LogFormat};
use tracing::Level;
use tracing_subscriber::filter::Targets;
use tracing_subscriber::fmt;
use tracing_subscriber::prelude::*;

use crate::ui;

/// Whoever tells whole messages below *info*: passwords of previews' databases are among them.
const TALKATIVE: [&str; 6] = ["bollard", "h2", "hyper", "hyper_util", "reqwest", "rustls"];

/// Lets through what is at least this important; of others' libraries never less than *info*.
pub(crate) fn at_least(level: Level) -> Targets {
    let quiet = level.min(Level::INFO);
    Targets::new().with_default(level).with_targets(TALKATIVE.map(|library| (library, quiet)))
}

/// Logs to standard output: text for a person, else a JSON object a line.
pub(crate) fn start(log: Log) {
    let text = log.format.map_or_else(|| std::io::stdout().is_terminal(), |format| format == LogFormat::Text);
    let lines = fmt::layer().with_ansi(ui::is_colourful());
    let lines = if text { lines.boxed() } else { lines.json().flatten_event(true).with_span_list(false).boxed() };
    tracing_subscriber::registry().with(at_least(log.level)).with(lines).init();
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn libraries_keep_what_they_carry_to_themselves() {
        let all = at_least(Level::TRACE);
        assert!(all.would_enable("preview_orchestrator::docker", &Level::TRACE));
        for library in ["bollard::docker", "hyper::proto::h1", "hyper_util::client", "reqwest::connect"] {
            assert!(!all.would_enable(library, &Level::DEBUG), "{library}");
            assert!(all.would_enable(library, &Level::INFO), "{library}");
        }
    }

    #[test]
    fn who_wants_errors_alone_gets_no_more_from_libraries() {
        let few = at_least(Level::ERROR);
        assert!(!few.would_enable("bollard", &Level::INFO));
        assert!(few.would_enable("bollard", &Level::ERROR));
    }
}
