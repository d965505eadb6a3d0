//! What a preview said: its last lines as text, or, followed, each line as a server-sent event.

use std::convert::Infallible;
use std::io::{self, SeekFrom};
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use axum::extract::rejection::QueryRejection;
use axum::extract::{Query, State};
use axum::response::sse::{Event, KeepAlive, Sse};
use axum::response::{IntoResponse, Response};
use futures_util::stream::{self, BoxStream, StreamExt};
use http::StatusCode;
use http::header::{HeaderValue, RETRY_AFTER};
use preview_core::compose::Task;
use preview_core::deployment::{Deployment, Stage};
use preview_core::framework::Framework;
use preview_core::ids::{DeploymentId, Slot};
use preview_core::mask::Mask;
use preview_core::plain_text::clean;
use serde::Deserialize;
use tokio::io::{AsyncReadExt, AsyncSeekExt};

use super::api::{Api, Named};
use super::problem::Problem;
use crate::folders::{LOG_SIZE, Log};
use crate::needs::{Fault, Part};

/// Most lines that can be asked for.
const MOST_LINES: usize = 10_000;
/// Between two looks at a file that is being written.
const LOOK: Duration = Duration::from_millis(250);
/// Those who follow a log at one time.
pub(super) const FOLLOWERS: usize = 32;

/// Which log, and how.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Wanted {
    #[serde(default)]
    stream: Stream,
    #[serde(default)]
    follow: bool,
    #[serde(default = "some_lines")]
    lines: usize,
    /// Which service, for the stream `service`.
    name: Option<String>,
}

#[derive(Debug, Clone, Copy, Default, Deserialize)]
#[serde(rename_all = "lowercase")]
enum Stream {
    Build,
    #[default]
    App,
    Db,
    Service,
    Migrate,
    Seed,
}

/// Where a log comes from.
#[derive(Debug, Clone, Copy)]
enum Origin {
    /// A file that an attempt writes.
    Kept(Log),
    App,
    Part(Part),
}

impl Wanted {
    fn origin(&self, record: &Deployment) -> Result<Origin, Problem> {
        match (self.stream, &self.name) {
            (Stream::Build, None) => Ok(Origin::Kept(Log::Build)),
            (Stream::Migrate, None) => Ok(Origin::Kept(Log::Task(Task::Migrate))),
            (Stream::Seed, None) => Ok(Origin::Kept(Log::Task(Task::Seed))),
            (Stream::App, None) => Ok(Origin::App),
            (Stream::Db, None) => Ok(Origin::Part(Part::Database)),
            (Stream::Service, Some(name)) => service(record, name).map(Origin::Part),
            (Stream::Service, None) => Err(bad("`stream=service` needs the `name` of a service")),
            (_, Some(_)) => Err(bad("`name` has a meaning with `stream=service` alone")),
        }
    }
}

fn bad(why: impl Into<String>) -> Problem {
    Problem::new(StatusCode::BAD_REQUEST, why)
}

/// The part that people mean by a service's name: where the repository has a Compose file of its own, a service of that; else a
/// backing service, of which the main database goes by its own name too.
fn service(record: &Deployment, name: &str) -> Result<Part, Problem> {
    let no_name = || bad("no service has such a name");
    if record.framework.as_deref() == Some(Framework::Compose.as_str()) {
        return name.parse().map(Part::Own).map_err(|_| no_name());
    }
    if record.db_type.as_deref() == Some(name) {
        return Ok(Part::Database);
    }
    name.parse().map(Part::Extra).map_err(|_| no_name())
}

fn some_lines() -> usize {
    200
}

/// `GET /api/previews/{id}/logs?stream=build|app|db|migrate|seed|service&name=redis&follow=true&lines=200`
pub(super) async fn logs(
    State(api): State<Arc<Api>>,
    Named(id): Named,
    wanted: Result<Query<Wanted>, QueryRejection>,
) -> Result<Response, Problem> {
    let Query(wanted) = wanted.map_err(|why| bad(why.body_text()))?;
    let record = api.record(&id)?;
    let from = wanted.origin(&record)?;
    let lines = wanted.lines.min(MOST_LINES);
    if wanted.follow {
        follow(api, &record, from, lines).await
    } else {
        let mask = api.reconciler.mask(&id);
        let said = last_lines(&api, &record, from, lines).await?;
        Ok(into_text(said.into_iter().map(|line| without_secrets(&mask, &line)).collect()))
    }
}

/// A line as it may be shown. Whoever reads it may leave out what a terminal would not show, so secrets are looked for in
/// what is left then too.
fn without_secrets(mask: &Mask, line: &str) -> String {
    let plain = clean(line);
    let masked = mask.over(&plain);
    if masked == plain { mask.over(line) } else { masked }
}

fn into_text(lines: Vec<String>) -> Response {
    lines.into_iter().map(|line| line + "\n").collect::<String>().into_response()
}

async fn last_lines(api: &Api, record: &Deployment, from: Origin, lines: usize) -> Result<Vec<String>, Problem> {
    let from_engine = async |part| api.engine.logs(&record.id, part, lines).await.map_err(|fault| engine_fault(&fault));
    match from {
        Origin::Kept(log) => kept(api, &record.id, log, lines).await,
        Origin::Part(part) => from_engine(part).await,
        Origin::App => {
            let said = from_engine(Part::App(app_slot(record))).await?;
            // Of an app whose container is gone there is still what was kept when it failed.
            if said.is_empty() { kept(api, &record.id, Log::App, lines).await } else { Ok(said) }
        }
    }
}

fn engine_fault(fault: &Fault) -> Problem {
    Problem::ours(StatusCode::SERVICE_UNAVAILABLE, fault)
}

/// The slot whose app people mean: the one that answers, else the one that is being tried.
fn app_slot(record: &Deployment) -> Slot {
    let serving = record.serving.as_ref().map(|serving| serving.slot);
    serving.or(record.attempt.as_ref().map(|attempt| attempt.slot)).unwrap_or(Slot::A)
}

async fn kept(api: &Api, id: &DeploymentId, log: Log, lines: usize) -> Result<Vec<String>, Problem> {
    let (folders, id) = (api.folders.clone(), id.clone());
    let read = tokio::task::spawn_blocking(move || folders.tail(&id, log, lines)).await;
    read.map_err(io::Error::other)
        .flatten()
        .map_err(|error| Problem::ours(StatusCode::INTERNAL_SERVER_ERROR, format_args!("a log was not read: {error}")))
}

/// Each line is an event; when there is nothing more to come, an event `end`. A stream that ends without it was cut off.
async fn follow(api: Arc<Api>, record: &Deployment, from: Origin, lines: usize) -> Result<Response, Problem> {
    let Ok(place) = api.followers.clone().try_acquire_owned() else {
        let problem = Problem::new(StatusCode::TOO_MANY_REQUESTS, "too many logs are being followed already");
        return Err(problem.header(RETRY_AFTER, HeaderValue::from_static("10")));
    };
    let id = &record.id;
    let shutdown = api.shutdown.clone();
    let mask = api.reconciler.mask(id);
    let lines = match from {
        Origin::Kept(log) => follow_kept(api, id.clone(), log, lines),
        Origin::App => api.engine.follow(id, Part::App(app_slot(record)), lines).await,
        Origin::Part(part) => api.engine.follow(id, part, lines).await,
    };
    let events = lines
        .map(move |line| Event::default().data(without_secrets(&mask, &line)))
        .chain(stream::once(async { Event::default().event("end").data("") }))
        .map(move |event| {
            let _held = &place;
            Ok::<_, Infallible>(event)
        })
        .take_until(shutdown.cancelled_owned());
    Ok(Sse::new(events).keep_alive(KeepAlive::default()).into_response())
}

/// The lines of a log that an attempt writes, until that has ended or its preview is gone.
fn follow_kept(api: Arc<Api>, id: DeploymentId, log: Log, lines: usize) -> BoxStream<'static, String> {
    let tail = Tail::new(api.folders.log(&id, log));
    let batches = stream::unfold((api, id, tail), async |(api, id, mut tail)| {
        loop {
            // Asked before reading: what was written until the end is read after it.
            let ended = api.ledger.read(|state| state.deployments.get(&id).is_none_or(has_ended));
            match tail.more(ended).await {
                Ok(batch) if !batch.is_empty() => return Some((batch, (api, id, tail))),
                Ok(_) if ended => return None,
                Ok(_) => tokio::time::sleep(LOOK).await,
                Err(error) => {
                    tracing::warn!(deployment = %id, %error, "a log could not be followed");
                    return None;
                }
            }
        }
    });
    let mut skip_first = true;
    let batches = batches.map(move |mut batch| {
        if std::mem::take(&mut skip_first) {
            batch.drain(..batch.len().saturating_sub(lines));
        }
        stream::iter(batch)
    });
    batches.flatten().boxed()
}

fn has_ended(record: &Deployment) -> bool {
    match record.attempt.as_ref().map(|attempt| &attempt.stage) {
        Some(Stage::Queued(_) | Stage::Running(_)) => false,
        Some(Stage::Failed(_) | Stage::Done) | None => true,
    }
}

/// A file that is being written, as far as it has been read.
struct Tail {
    path: PathBuf,
    position: u64,
    /// A line whose end is still to come.
    begun: Vec<u8>,
}

impl Tail {
    fn new(path: PathBuf) -> Self {
        Self { path, position: 0, begun: Vec::new() }
    }

    /// The lines that were written since; `all` gives also one without an end. A file that became shorter is a new one.
    async fn more(&mut self, all: bool) -> io::Result<Vec<String>> {
        let mut file = match tokio::fs::File::open(&self.path).await {
            Ok(file) => file,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
            Err(error) => return Err(error),
        };
        if file.metadata().await?.len() < self.position {
            self.position = 0;
            self.begun.clear();
        }
        file.seek(SeekFrom::Start(self.position)).await?;
        self.position += file.take(LOG_SIZE).read_to_end(&mut self.begun).await? as u64;
        let whole =
            if all { self.begun.len() } else { self.begun.iter().rposition(|b| *b == b'\n').map_or(0, |end| end + 1) };
        let lines: Vec<u8> = self.begun.drain(..whole).collect();
        Ok(String::from_utf8_lossy(&lines).lines().map(str::to_owned).collect())
    }
}
