//! `preview logs`

use clap::Args;
use preview_core::compose::own::OwnName;
use preview_core::ids::DeploymentId;
use reqwest::{Method, Response};
use serde_json::json;

use crate::client::Service;
use crate::error::Failure;
use crate::ui;

/// Shows what a preview's app, build, database, migration or another of its services wrote
#[derive(Debug, Args)]
#[command(
    after_help = "Examples:\n  preview logs my-org-my-app-12 -f\n  preview logs my-org-my-app-12 --build -n 1000"
)]
pub(crate) struct Logs {
    /// The preview, as `preview list` shows it (my-org-my-app-12)
    preview: DeploymentId,
    /// The newest build instead of the app
    #[arg(long, group = "stream")]
    build: bool,
    /// The database instead of the app
    #[arg(long, group = "stream")]
    db: bool,
    /// The newest migration instead of the app
    #[arg(long, group = "stream")]
    migrate: bool,
    /// What filled the database instead of the app
    #[arg(long, group = "stream")]
    seed: bool,
    /// This service instead of the app: one of `extra_services`, or of the repository's own Compose file
    #[arg(long = "service", value_name = "NAME", value_parser = service_name, group = "stream")]
    of: Option<String>,
    /// Go on as it comes, until Ctrl-C
    #[arg(short, long)]
    follow: bool,
    /// How many of the last lines
    #[arg(short = 'n', long, default_value = "200", value_parser = count)]
    lines: u32,
    /// Print JSON, an object a line: `{"line": "…", "source": "app"}`
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    pub(crate) service: Service,
}

fn count(text: &str) -> Result<u32, &'static str> {
    text.parse().map_err(|_| "expected a whole number, like 200")
}

/// A name as services have them, which needs no escaping in an address.
fn service_name(text: &str) -> Result<String, String> {
    let name: OwnName = text.parse().map_err(|_| "no service has such a name".to_owned())?;
    Ok(name.to_string())
}

impl Logs {
    pub(crate) async fn run(self) -> Result<(), Failure> {
        let streams: [(bool, &str); 4] =
            [(self.build, "build"), (self.db, "db"), (self.migrate, "migrate"), (self.seed, "seed")];
        let (source, stream) = match (&self.of, streams.into_iter().find(|(wanted, _)| *wanted)) {
            (Some(name), _) => (name.as_str(), format!("service&name={name}")),
            (None, Some((_, stream))) => (stream, stream.to_owned()),
            (None, None) => ("app", "app".to_owned()),
        };
        let printer = Printer { source: source.to_owned(), json: self.json };
        let path = format!("/api/previews/{}/logs?stream={stream}&lines={}", self.preview, self.lines);
        let client = self.service.connect()?;
        if self.follow {
            return follow(client.follow(&format!("{path}&follow=true")).await?, &printer).await;
        }
        let text = client.ask(Method::GET, &path).await?.text().await?;
        for line in text.lines() {
            if !printer.is_read(line) {
                break;
            }
        }
        Ok(())
    }

    /// Whether it goes on for as long as somebody reads it.
    pub(crate) fn goes_on(&self) -> bool {
        self.follow
    }
}

/// How lines are printed.
struct Printer {
    /// What they are of.
    source: String,
    json: bool,
}

impl Printer {
    /// Prints a line; tells whether anybody still reads them.
    fn is_read(&self, line: &str) -> bool {
        let line = ui::harmless(line);
        match self.json {
            true => ui::is_read(json!({"source": self.source, "line": line}).to_string()),
            false => ui::is_read(line),
        }
    }
}

/// Prints each line as it comes, until the service says that there is no more, or nobody reads us.
async fn follow(mut answer: Response, printer: &Printer) -> Result<(), Failure> {
    let mut events = Events::default();
    while let Ok(Some(bytes)) = answer.chunk().await {
        for event in events.read(&bytes) {
            let read = match event {
                Event::Line(text) => printer.is_read(&text),
                Event::End => false,
            };
            if !read {
                return Ok(());
            }
        }
    }
    Err(Failure::new("the log was cut off: the service has stopped, or does not answer any more")
        .hint("once it is back, the same command goes on"))
}

/// What a followed log tells.
#[derive(Debug, PartialEq, Eq)]
enum Event {
    Line(String),
    /// The app or build has ended.
    End,
}

/// Server-sent events, as far as the service uses them: each is one line of data or the event `end`.
///
/// Source: <https://html.spec.whatwg.org/multipage/server-sent-events.html>, "Interpreting an event stream"
#[derive(Default)]
struct Events {
    /// A line whose end is still to come.
    begun: Vec<u8>,
}

impl Events {
    fn read(&mut self, bytes: &[u8]) -> Vec<Event> {
        self.begun.extend_from_slice(bytes);
        let whole = self.begun.iter().rposition(|byte| *byte == b'\n').map_or(0, |end| end + 1);
        let lines: Vec<u8> = self.begun.drain(..whole).collect();
        let value = |line: &str, field: &str| {
            let value = line.strip_prefix(field)?.strip_prefix(':')?;
            Some(value.strip_prefix(' ').unwrap_or(value).to_owned())
        };
        let event = |line: &str| match value(line, "event") {
            Some(name) if name == "end" => Some(Event::End),
            _ => value(line, "data").map(Event::Line),
        };
        String::from_utf8_lossy(&lines).lines().filter_map(event).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn events_are_read_wherever_the_network_cuts_them() {
        let text = ":\n\ndata: one\n\ndata:two ü\n\ndata:  indented\n\ndata: \n\nevent: end\ndata: \n\n";
        let line = |text: &str| Event::Line(text.to_owned());
        let wanted = [line("one"), line("two ü"), line(" indented"), line(""), Event::End, line("")];
        for size in 1..=text.len() {
            let mut events = Events::default();
            let read: Vec<_> = text.as_bytes().chunks(size).flat_map(|bytes| events.read(bytes)).collect();
            assert_eq!(read, wanted, "in pieces of {size}");
        }
    }
}
