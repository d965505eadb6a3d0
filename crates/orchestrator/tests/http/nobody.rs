//! An outside in which nothing works, but for the few things that answering asks of it.

use std::collections::BTreeSet;
use std::path::PathBuf;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Mutex, MutexGuard};
use std::time::Duration;

use async_trait::async_trait;
use futures_util::stream::{self, BoxStream, StreamExt};
use jiff::Timestamp;
use preview_core::capacity::{DiskUse, Room};
use preview_core::compose::{DatabasePassword, Stack};
use preview_core::desired::Pull;
use preview_core::ids::{CommentId, CommitSha, DeploymentId, HostPort, PullKey, RepoId, RepoName};
use preview_core::route::RouteTable;
use preview_core::subnets::Subnet;
use preview_orchestrator::ledger::Mark;
use preview_orchestrator::needs::{
    BuildJob, Built, Checkout, Clock, CommitStatus, ContainerEngine, DeploymentLock, Ending, EngineEvent, EngineView,
    Errand, Fault, Filled, Forge, Host, LineSink, Looked, Part, Person, Probe, Prober, PullAnswer, Remarks, Repository,
    Router, Source, Visitor, Volumes, Want, Written,
};
use tokio::sync::mpsc;

use crate::house::ALLOWED;

/// How Docker answers when it is asked whether it is there.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Mood {
    Fine,
    Gone,
    Silent,
}

pub(crate) struct Nobody {
    docker: Mutex<Mood>,
    pub(crate) pings: AtomicUsize,
    /// What there is to give; with none, nobody knows.
    pub(crate) room: Mutex<Option<Room>>,
    /// What parts said, and what those who follow one get to hear.
    pub(crate) said: Mutex<Vec<(Part, String)>>,
    pub(crate) to_come: Mutex<Option<mpsc::UnboundedReceiver<String>>>,
}

impl Nobody {
    pub(crate) fn new() -> Self {
        let (docker, said, to_come) = (Mutex::new(Mood::Fine), Mutex::default(), Mutex::default());
        Self { docker, pings: AtomicUsize::new(0), room: Mutex::default(), said, to_come }
    }

    pub(crate) fn docker(&self) -> MutexGuard<'_, Mood> {
        self.docker.lock().unwrap()
    }

    fn lines(&self, part: Part, lines: usize) -> Vec<String> {
        let said = self.said.lock().unwrap();
        let mine: Vec<String> = said.iter().filter(|(of, _)| *of == part).map(|(_, line)| line.clone()).collect();
        mine[mine.len().saturating_sub(lines)..].to_vec()
    }
}

fn nobody<T>() -> Result<T, Fault> {
    Err(Fault::passing("nobody is there: /var/run/secret-path"))
}

#[async_trait]
impl ContainerEngine for Nobody {
    async fn look_at(&self, _: &str, _: bool, _: LineSink<'_>) -> Result<Looked, Fault> {
        nobody()
    }
    async fn build(&self, _: &BuildJob, _: LineSink<'_>, _: &DeploymentLock) -> Result<Built, Fault> {
        nobody()
    }
    async fn start(&self, _: &Stack, _: PathBuf, _: &[Part], _: &DeploymentLock) -> Result<(), Fault> {
        nobody()
    }
    async fn run(
        &self,
        _: &Errand,
        _: &Stack,
        _: PathBuf,
        _: LineSink<'_>,
        _: &DeploymentLock,
    ) -> Result<Ending, Fault> {
        nobody()
    }
    async fn load(&self, _: &Errand, _: &[String], _: &str, _: LineSink<'_>) -> Result<Ending, Fault> {
        nobody()
    }
    async fn limit_cpu(&self, _: &DeploymentId, _: Part, _: u32) -> Result<(), Fault> {
        nobody()
    }
    async fn observe(&self, _: &DeploymentId) -> Result<EngineView, Fault> {
        nobody()
    }
    async fn observe_all(&self) -> Result<Vec<(DeploymentId, EngineView)>, Fault> {
        nobody()
    }
    async fn database_password(&self, _: &DeploymentId) -> Result<Option<DatabasePassword>, Fault> {
        nobody()
    }
    async fn remove_part(&self, _: &DeploymentId, _: Part) -> Result<(), Fault> {
        nobody()
    }
    async fn remove_containers(&self, _: &DeploymentId) -> Result<(), Fault> {
        nobody()
    }
    async fn replace(&self, _: &Stack, _: PathBuf, _: &[Part], _: &DeploymentLock) -> Result<(), Fault> {
        nobody()
    }
    async fn remove_volumes(&self, _: &DeploymentId, _: Volumes) -> Result<(), Fault> {
        nobody()
    }
    async fn remove_networks(&self, _: &DeploymentId) -> Result<(), Fault> {
        nobody()
    }
    async fn remove_images(&self, _: &DeploymentId, _: &[CommitSha]) -> Result<(), Fault> {
        nobody()
    }
    async fn listening(&self, _: &DeploymentId, _: Part) -> Option<Vec<std::net::SocketAddr>> {
        None
    }
    async fn logs(&self, _: &DeploymentId, part: Part, lines: usize) -> Result<Vec<String>, Fault> {
        match *self.docker() {
            Mood::Fine => Ok(self.lines(part, lines)),
            _ => nobody(),
        }
    }
    async fn follow(&self, _: &DeploymentId, part: Part, lines: usize) -> BoxStream<'static, String> {
        let said = stream::iter(self.lines(part, lines));
        match self.to_come.lock().unwrap().take() {
            Some(to_come) => said.chain(stream::unfold(to_come, async |mut r| Some((r.recv().await?, r)))).boxed(),
            None => said.chain(stream::pending()).boxed(),
        }
    }
    async fn events(&self) -> BoxStream<'static, EngineEvent> {
        stream::pending().boxed()
    }
    async fn disk_use(&self) -> Result<DiskUse, Fault> {
        nobody()
    }
    async fn filled(&self, _: u64) -> Result<Vec<Filled>, Fault> {
        nobody()
    }
    async fn halt(&self, _: &DeploymentId, _: Part) -> Result<(), Fault> {
        nobody()
    }
    async fn tidy(&self, _: Option<u64>) -> Result<(), Fault> {
        nobody()
    }
    async fn room(&self) -> Result<Room, Fault> {
        self.room.lock().unwrap().map_or_else(nobody, Ok)
    }
    async fn ping(&self) -> Result<String, Fault> {
        self.pings.fetch_add(1, Ordering::SeqCst);
        let mood = *self.docker();
        match mood {
            Mood::Fine => Ok("20.10.24".to_owned()),
            Mood::Gone => nobody(),
            Mood::Silent => std::future::pending().await,
        }
    }
}

#[async_trait]
impl Router for Nobody {
    async fn apply(&self, _: &RouteTable) -> Result<(), Fault> {
        nobody()
    }
    async fn observe(&self) -> Result<RouteTable, Fault> {
        nobody()
    }
    async fn drain(&self, _: HostPort, _: Duration) {}
    async fn ping(&self) -> Result<(), Fault> {
        Ok(())
    }
}

#[async_trait]
impl Forge for Nobody {
    async fn repository(&self, name: &RepoName) -> Result<Option<Repository>, Fault> {
        Ok(Some(Repository { id: ALLOWED, name: name.clone() }))
    }
    async fn pull(&self, _: PullKey) -> Result<PullAnswer, Fault> {
        nobody()
    }
    async fn open_pulls(&self, _: RepoId) -> Result<Vec<Pull>, Fault> {
        Ok(Vec::new())
    }
    async fn comment(&self, _: PullKey, _: Option<CommentId>, _: &str) -> Result<Written, Fault> {
        nobody()
    }
    async fn status(&self, _: RepoId, _: &CommitStatus) -> Result<(), Fault> {
        nobody()
    }
    async fn remarks(&self, _: RepoId, _: Option<Timestamp>) -> Result<Remarks, Fault> {
        Ok(Remarks::default())
    }
    async fn may_push(&self, _: RepoId, _: &Person) -> Result<bool, Fault> {
        nobody()
    }
    async fn mark(&self, _: RepoId, _: CommentId, _: Mark) -> Result<(), Fault> {
        nobody()
    }
}

#[async_trait]
impl Source for Nobody {
    async fn checkout(&self, _: &Want, _: PathBuf, _: &DeploymentLock) -> Result<Checkout, Fault> {
        nobody()
    }
    async fn tidy(&self, _: Option<&BTreeSet<RepoId>>) -> Result<u64, Fault> {
        nobody()
    }
}

#[async_trait]
impl Prober for Nobody {
    async fn probe(&self, _: HostPort, _: &str, _: Duration) -> Probe {
        Probe::NoAnswer
    }
    async fn probe_for(&self, _: &Visitor, _: HostPort, _: &str, _: Duration) -> Probe {
        Probe::NoAnswer
    }
}

impl Clock for Nobody {
    fn now(&self) -> Timestamp {
        "2026-01-29T10:00:00Z".parse().unwrap()
    }
}

#[async_trait]
impl Host for Nobody {
    fn is_free(&self, _: HostPort) -> bool {
        false
    }

    fn networks(&self) -> Vec<Subnet> {
        Vec::new()
    }

    async fn leads_inside(&self, _: &str) -> bool {
        false
    }
}
