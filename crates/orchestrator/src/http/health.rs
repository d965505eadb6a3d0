//! `GET /health`: whether we can do our work. Anybody may ask; only a token gets to know more than yes or no.

use std::collections::HashMap;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use axum::extract::State;
use axum::response::{IntoResponse, Response};
use axum::{Extension, Json};
use http::StatusCode;
use preview_core::capacity::{Disk, DiskUse, Files, Measure, disk_floor};
use preview_core::deployment::Status;
use preview_core::ids::RepoName;
use serde::Serialize;
use tokio::time::Instant;

use super::Trouble;
use super::askers::Asker;
use crate::disk_space::disk_space;
use crate::ledger::Ledger;
use crate::needs::{ContainerEngine, Fault, Router};
use crate::reconcile::{DiskShare, Overview, Reconciler};

/// How long Docker and the router may take to answer.
const PATIENCE: Duration = Duration::from_secs(2);
/// How long an answer of theirs is good for: asking us often does not ask them often.
const GOOD_FOR: Duration = Duration::from_secs(1);

/// What finding out needs.
pub(super) struct Pulse {
    pub(super) reconciler: Reconciler,
    pub(super) ledger: Ledger,
    pub(super) engine: Arc<dyn ContainerEngine>,
    pub(super) router: Arc<dyn Router>,
    pub(super) github: Trouble,
    pub(super) builds: Trouble,
    pub(super) walls: Trouble,
    pub(super) certificates: Trouble,
    pub(super) known_holes: Vec<String>,
    pub(super) disks: Vec<(&'static str, PathBuf)>,
    pub(super) last: tokio::sync::Mutex<Option<(Instant, Checks)>>,
}

/// One thing that we depend on.
#[derive(Debug, Clone, Serialize)]
pub(super) struct Check {
    ok: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    detail: Option<String>,
}

/// Everything that we depend on. Without the first two we can't do our work; without the others, less of it.
#[derive(Debug, Clone, Serialize)]
pub(super) struct Checks {
    docker: Check,
    ledger: Check,
    router: Check,
    github: Check,
    builds: Check,
    walls: Check,
    certificates: Check,
    disk: Check,
}

#[derive(Serialize)]
struct Answer {
    status: &'static str,
    #[serde(flatten)]
    details: Option<Details>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Details {
    version: &'static str,
    uptime_seconds: u64,
    checks: Checks,
    deployments: HashMap<Status, usize>,
    queues: Queues,
    repairs: u64,
    disk: Option<Share>,
    unknown_repositories: Vec<RepoName>,
    known_holes: Vec<String>,
}

/// What our things take on the disk, as last added up. Bytes.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Share {
    budget: u64,
    previews: u64,
    build_cache: u64,
    mirrors: u64,
}

impl From<DiskShare> for Share {
    fn from(DiskShare { used, budget }: DiskShare) -> Self {
        let DiskUse { previews, build_cache, mirrors } = used;
        Self { budget, previews, build_cache, mirrors }
    }
}

#[derive(Serialize)]
struct Queues {
    pending: usize,
    waiting: usize,
    builds: usize,
    reports: usize,
    workers: usize,
}

impl Check {
    fn fine(detail: Option<String>) -> Self {
        Self { ok: true, detail }
    }

    fn trouble(detail: Option<String>) -> Self {
        Self { ok: detail.is_none(), detail }
    }

    async fn asked(answer: impl Future<Output = Result<Option<String>, Fault>>) -> Self {
        match tokio::time::timeout(PATIENCE, answer).await {
            Ok(Ok(detail)) => Self::fine(detail),
            Ok(Err(fault)) => Self::trouble(Some(fault.to_string())),
            Err(_) => Self::trouble(Some(format!("no answer within {} s", PATIENCE.as_secs()))),
        }
    }
}

impl Pulse {
    async fn checks(&self) -> Checks {
        let mut last = self.last.lock().await;
        if let Some((at, checks)) = last.as_ref()
            && at.elapsed() < GOOD_FOR
        {
            return checks.clone();
        }
        let (docker, router, disk) = tokio::join!(
            Check::asked(async { self.engine.ping().await.map(Some) }),
            Check::asked(async { self.router.ping().await.map(|()| None) }),
            self.disk(),
        );
        let ledger = Check::trouble(self.ledger.trouble());
        let told = [&self.github, &self.builds, &self.walls, &self.certificates];
        let [github, builds, walls, certificates] = told.map(|told| Check::trouble(told()));
        let checks = Checks { docker, ledger, router, github, builds, walls, certificates, disk };
        *last = Some((Instant::now(), checks.clone()));
        checks
    }

    /// Whether a disk that must not fill does.
    async fn disk(&self) -> Check {
        let engine = tokio::time::timeout(PATIENCE, self.engine.room()).await.ok().and_then(Result::ok);
        let engine = engine.into_iter().flat_map(|room| {
            let floor = gb(disk_floor(room.disk_total));
            let files = room.files.map(Files::floor).unwrap_or_default();
            filling_up("Docker's data", room.disk()).map(move |(measure, told)| match measure {
                Measure::Bytes => format!("{told}; new builds wait below {floor:.1} GB"),
                Measure::Files => format!("{told}; new builds wait below {files}"),
            })
        });
        let ours = self.disks.iter().filter_map(|(what, folder)| Some((*what, disk_space(folder).ok()?)));
        let ours = ours.flat_map(|(what, disk)| filling_up(what, disk).map(|(_, told)| told));
        let told: Vec<String> = engine.chain(ours).collect();
        Check::trouble((!told.is_empty()).then(|| told.join(". ")))
    }

    fn details(&self, checks: Checks) -> Details {
        let Overview {
            uptime,
            deployments,
            pending,
            waiting,
            builds,
            reports,
            workers,
            repairs,
            disk,
            unknown_repositories,
        } = self.reconciler.overview();
        Details {
            version: env!("CARGO_PKG_VERSION"),
            uptime_seconds: uptime.as_secs(),
            checks,
            deployments,
            queues: Queues { pending, waiting, builds, reports, workers },
            repairs,
            disk: disk.map(Share::from),
            unknown_repositories,
            known_holes: self.known_holes.clone(),
        }
    }
}

/// What a disk is about to have no more of, in words; nothing of one that has enough.
fn filling_up(what: &str, disk: Disk) -> impl Iterator<Item = (Measure, String)> {
    let bytes = format!("the disk with {what} is {} % full, {:.1} GB are free", disk.percent_taken(), gb(disk.free));
    let files = disk.files.map(|files| {
        let taken = files.percent_taken();
        format!("the disk with {what} has {taken} % of its files, {} more can be made", files.free)
    });
    let told = [(Measure::Bytes, Some(bytes)), (Measure::Files, files)];
    told.into_iter()
        .filter(move |(measure, _)| disk.fills_by(*measure))
        .filter_map(|(measure, told)| Some((measure, told?)))
}

fn gb(bytes: u64) -> f64 {
    bytes as f64 / 1e9
}

/// `GET /health`
pub(super) async fn health(State(pulse): State<Arc<Pulse>>, Extension(asker): Extension<Asker>) -> Response {
    let checks = pulse.checks().await;
    let (code, status) = if checks.docker.ok && checks.ledger.ok {
        (StatusCode::OK, "ok")
    } else {
        (StatusCode::SERVICE_UNAVAILABLE, "unavailable")
    };
    let details = asker.scope.is_some().then(|| pulse.details(checks));
    (code, Json(Answer { status, details })).into_response()
}
