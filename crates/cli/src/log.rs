//! The service's log: what is written, and how a line of it looks.

use std::io::{self, IsTerminal, Write};

use preview_orchestrator::secrets::Known;
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

/// Logs to standard output: text for a person, else a JSON object a line; what is known to be secret is blotted out.
pub(crate) fn start(log: Log, known: Known) {
    let text = log.format.map_or_else(|| std::io::stdout().is_terminal(), |format| format == LogFormat::Text);
    let lines = fmt::layer().with_ansi(ui::is_colourful());
    let lines = lines.with_writer(move || Masked { known: known.clone(), to: io::stdout() });
    let lines = if text { lines.boxed() } else { lines.json().flatten_event(true).with_span_list(false).boxed() };
    tracing_subscriber::registry().with(at_least(log.level)).with(lines).init();
}

/// A log without secrets. It is written to once an event, which is one line: what others wrote in several would look like ours.
struct Masked<W> {
    known: Known,
    to: W,
}

impl<W: Write> Write for Masked<W> {
    fn write(&mut self, line: &[u8]) -> io::Result<usize> {
        let shown = self.known.mask_of_all().over(&String::from_utf8_lossy(line));
        let (event, end) = shown.strip_suffix('\n').map_or((&*shown, ""), |event| (event, "\n"));
        self.to.write_all(format!("{}{end}", event.replace('\n', "\\n").replace('\r', "\\r")).as_bytes())?;
        Ok(line.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        self.to.flush()
    }
}

#[cfg(test)]
mod tests {
    use std::sync::{Arc, Mutex};

    use preview_orchestrator::secrets::Whose;

    use super::*;

    /// What was written, for a test to look at.
    #[derive(Clone, Default)]
    struct Paper(Arc<Mutex<Vec<u8>>>);

    impl Write for Paper {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            self.0.lock().unwrap().write(bytes)
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    #[test]
    fn no_field_no_message_and_no_error_says_a_secret() {
        let (known, paper) = (Known::default(), Paper::default());
        for secret in ["pass\"word\\one", "two-lines-first\ntwo-lines-second"] {
            known.learn(Whose::Service, secret);
        }
        for json in [false, true] {
            let to = paper.clone();
            let known = known.clone();
            let lines =
                fmt::layer().with_ansi(false).with_writer(move || Masked { known: known.clone(), to: to.clone() });
            let lines = if json { lines.json().flatten_event(true).boxed() } else { lines.boxed() };
            tracing::subscriber::with_default(tracing_subscriber::registry().with(lines), || {
                let odd = "pass\"word\\one";
                tracing::info!(odd, shown = %odd, debugged = ?odd, "it is {odd}");
                let _span = tracing::info_span!("request", odd).entered();
                tracing::error!(error = ?io::Error::other("two-lines-first\ntwo-lines-second"), "lines");
            });
        }
        let written = String::from_utf8(paper.0.lock().unwrap().clone()).unwrap();
        assert!(!written.contains("word") && !written.contains("two-lines"), "{written}");
        assert!(written.matches("[secret]").count() >= 12 && written.contains("it is [secret]"), "{written}");
    }

    #[test]
    fn what_others_say_in_several_lines_is_one_of_ours() {
        let paper = Paper::default();
        let to = paper.clone();
        let lines = fmt::layer().with_writer(move || Masked { known: Known::default(), to: to.clone() });
        tracing::subscriber::with_default(tracing_subscriber::registry().with(lines), || {
            tracing::info!(cause = %"x\n2026-01-01T00:00:00Z ERROR forged\r\n", "failed");
            tracing::info!("next");
        });
        let written = String::from_utf8(paper.0.lock().unwrap().clone()).unwrap();
        assert_eq!(written.lines().count(), 2, "{written}");
        assert!(written.contains(r"x\n2026") && !written.contains(['\r']), "{written}");
    }

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
