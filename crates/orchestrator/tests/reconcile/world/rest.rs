//! The router, git, the apps' health, the clock and the disk.

use std::collections::BTreeSet;
use std::io;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use jiff::Timestamp;
use preview_core::backing::Database;
use preview_core::framework::MemoryFiles;
use preview_core::ids::{HostPort, PullKey, RepoId};
use preview_core::route::RouteTable;
use preview_core::subnets::Subnet;
use preview_orchestrator::ledger::{State, Storage};
use preview_orchestrator::needs::{
    Checkout, Clock, DeploymentLock, Fault, Host, Probe, Prober, Router, Source, Visitor, Want,
};

use tokio::time::Instant;

use super::planted::Planted;
use super::trouble::{Call, Trouble};
use super::{App, Build, Fakes, Run, World, leads_inside, panic_quietly};

#[async_trait]
impl Router for Fakes {
    async fn apply(&self, table: &RouteTable) -> Result<(), Fault> {
        let table = table.clone();
        let apply = move |world: &mut World| {
            if let Some(route) = table.iter().find(|route| world.hurries(&route.deployment, route.port)) {
                world.violation(format!("{} gets visitors while it hurries", route.deployment));
            }
            let before = std::mem::replace(&mut world.routes, table.clone());
            if world.planted == Some(Planted::LastingRoute) {
                let gone = before.iter().filter(|route| table.get(&route.deployment).is_none());
                world.routes = table.iter().chain(gone).collect();
            }
            for route in &before {
                if world.routes.get(&route.deployment) != Some(route.port) {
                    world.undrained.insert(route.port, Instant::now());
                }
            }
            Ok(())
        };
        self.call(Call::Apply, Duration::from_millis(50), apply).await
    }

    async fn observe(&self) -> Result<RouteTable, Fault> {
        self.call(Call::ObserveRoutes, Duration::from_millis(5), |world| Ok(world.routes.clone())).await
    }

    async fn drain(&self, port: HostPort, at_most: Duration) {
        if self.world().planted == Some(Planted::NoDrain) {
            return;
        }
        let drained = move |world: &mut World| {
            world.undrained.remove(&port);
            Ok(())
        };
        // Whatever goes wrong with it, it ends.
        let wait = self.call(Call::Drain, Duration::from_secs(3), drained);
        if tokio::time::timeout(at_most, wait).await.is_err() {
            self.survive().await;
        }
        self.world().undrained.remove(&port);
    }

    async fn ping(&self) -> Result<(), Fault> {
        Ok(())
    }
}

#[async_trait]
impl Source for Fakes {
    async fn checkout(&self, want: &Want, into: PathBuf, _: &DeploymentLock) -> Result<Checkout, Fault> {
        let (repo, number, commit) = (want.repo, want.number, want.commit.clone());
        let fetch = move |world: &mut World| {
            world.mirrors.insert(repo);
            let real = world.checked_out(PullKey { repo, number }, &commit);
            world.check_approved(&real, "a checkout");
            let files = files(&world.app(&commit));
            std::fs::create_dir_all(&into).map_err(|error| Fault::passing(error.to_string()))?;
            Ok(Checkout { dir: into.clone(), files: Arc::new(files) })
        };
        self.call(Call::Checkout, Duration::from_secs(1), fetch).await
    }

    async fn tidy(&self, served: Option<&BTreeSet<RepoId>>) -> Result<u64, Fault> {
        let served = served.cloned();
        let tidy = move |world: &mut World| {
            world.mirrors.retain(|repo| served.as_ref().is_none_or(|served| served.contains(repo)));
            Ok(world.disk_use.mirrors)
        };
        self.call(Call::TidyMirrors, Duration::from_secs(1), tidy).await
    }
}

/// A service beside the app, built of the same commit, and with a volume of its own.
const COMPOSE_FILE: &str = "\
services:
  app:
    build: .
    ports: ['3000']
  store:
    build: .
    volumes: ['data:/data']
volumes:
  data:
";

fn files(app: &App) -> MemoryFiles {
    let names_path = !matches!(app.run, Run::NamesNoPath(_));
    if app.service {
        return MemoryFiles::new([
            ("Dockerfile", "FROM node\nEXPOSE 3000\n"),
            ("docker-compose.preview.yml", COMPOSE_FILE),
            ("preview-config.yml", "health_check_path: /health\n"),
        ]);
    }
    let adds = app.adds_from.map(|host| format!("ADD https://{host}/tool /tool\n")).unwrap_or_default();
    let base = if app.put_aside.is_some() { "org/base" } else { "node" };
    let database = app.database.map_or("none", Database::as_str);
    let extras: Vec<&str> = app.extras.iter().map(|extra| extra.as_str()).collect();
    let extras = extras.join(", ");
    let mut config = format!("database: {database}\nextra_services: [{extras}]\n");
    if matches!(app.build, Build::Elsewhere(_)) {
        config.push_str("image: org/app:{sha}\n");
    }
    let says = [
        (names_path, "health_check_path: /health\n"),
        (app.migration.is_some(), "migrate: up\n"),
        (app.seed, "seed: seed.sql\n"),
        (app.resets, "on_push: reset\n"),
    ];
    says.into_iter().filter(|(so, _)| *so).for_each(|(_, line)| config.push_str(line));
    MemoryFiles::new([
        ("Dockerfile", format!("FROM {base}\n{adds}EXPOSE 3000\n")),
        ("seed.sql", "select 1;\n".to_owned()),
        ("preview-config.yml", config),
    ])
}

#[async_trait]
impl Prober for Fakes {
    async fn probe(&self, port: HostPort, path: &str, limit: Duration) -> Probe {
        self.ask("localhost".to_owned(), port, path, limit).await
    }

    async fn probe_for(&self, visitor: &Visitor, port: HostPort, path: &str, limit: Duration) -> Probe {
        self.ask(visitor.host.clone(), port, path, limit).await
    }
}

impl Fakes {
    /// One question, as to that host.
    async fn ask(&self, host: String, port: HostPort, path: &str, limit: Duration) -> Probe {
        let hangs = {
            let world = self.world();
            world
                .hanging
                .iter()
                .filter_map(|id| world.engine.get(id))
                .any(|stock| stock.apps.values().any(|app| app.port == port))
        };
        if hangs {
            self.take(limit).await;
            return Probe::Slow;
        }
        let path = path.to_owned();
        let ask = move |world: &mut World| {
            let app = world.engine.values().flat_map(|stock| stock.apps.values()).find(|app| app.port == port);
            Ok(app.map_or(Probe::NoAnswer, |app| app.answer(world, &path, &host)))
        };
        let answer = self.call(Call::Probe, Duration::from_millis(5), ask);
        tokio::time::timeout(limit, answer).await.map_or(Probe::Slow, |answer| answer.unwrap_or(Probe::NoAnswer))
    }
}

impl Clock for Fakes {
    fn now(&self) -> Timestamp {
        self.world().now()
    }
}

/// The disk on which the ledger lies.
struct Disk(Arc<Fakes>);

impl Fakes {
    pub(crate) fn disk(self: &Arc<Self>) -> impl Storage {
        Disk(self.clone())
    }
}

impl Storage for Disk {
    fn store(&mut self, state: &State) -> io::Result<()> {
        let Self(fakes) = self;
        let full = || Err(io::Error::from(io::ErrorKind::StorageFull));
        if fakes.is_dead() {
            return full();
        }
        let mut world = fakes.world();
        // A write that hangs is one that fails late; here nothing takes time.
        let (stores, done) = match world.note(Call::Store) {
            None | Some(Trouble::Late(_) | Trouble::Twice) => (true, Ok(())),
            Some(Trouble::FailsBefore | Trouble::HangsBefore) => (false, full()),
            Some(Trouble::FailsAfter | Trouble::HangsAfter) => (true, full()),
            Some(Trouble::Panics) => {
                drop(world);
                panic_quietly()
            }
            Some(Trouble::CrashBefore) => {
                fakes.die();
                (false, full())
            }
            Some(Trouble::CrashAfter) => {
                fakes.die();
                (true, full())
            }
        };
        if stores {
            world.store(state);
        }
        done
    }
}

impl World {
    fn store(&mut self, state: &State) {
        let before = self.stored.replace(state.clone());
        if self.planted == Some(Planted::EarlyAcknowledgement) {
            self.flushed = before;
        }
    }
}

#[async_trait]
impl Host for Fakes {
    fn is_free(&self, _: HostPort) -> bool {
        true
    }

    fn networks(&self) -> Vec<Subnet> {
        Vec::new()
    }

    async fn leads_inside(&self, name: &str) -> bool {
        leads_inside(name)
    }
}
