//! What the service asks of the engine: each call takes its time, and may meet trouble.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use async_trait::async_trait;
use futures_util::StreamExt;
use futures_util::stream::{self, BoxStream};
use preview_core::backing::Backing;
use preview_core::capacity::{DiskUse, Measure, Room};
use preview_core::compose::{DatabasePassword, KeptBy, Stack, commit_of_tag, kept_by};
use preview_core::framework::own_dockerfile::ImageFacts;
use preview_core::ids::{CommitSha, DeploymentId, Slot};
use preview_orchestrator::needs::{
    BuildJob, Built, ContainerEngine, DeploymentLock, Ending, EngineEvent, EngineView, Errand, Fault, Filled, LineSink,
    Looked, Part, Volumes,
};
use tokio_stream::wrappers::BroadcastStream;

use super::super::planted::Planted;
use super::super::trouble::Call;
use super::super::{Build, Ended, Fakes, HANG, World};
use super::{Rows, base_images};

/// A build under way; one that is dropped was cut off.
struct Building<'a> {
    fakes: &'a Fakes,
    place: usize,
    deployment: DeploymentId,
}

impl<'a> Building<'a> {
    fn begin(fakes: &'a Fakes, job: &BuildJob) -> Self {
        let mut world = fakes.world();
        let place = world.builds.len();
        world.builds.push((job.commit.clone(), Ended::NotYet));
        let under_way = world.builds.iter().filter(|(_, ended)| *ended == Ended::NotYet).count();
        if under_way > world.most_builds {
            world.violation(format!("{under_way} builds at once"));
        }
        if !world.building.insert(job.deployment.clone()) {
            world.violation(format!("two builds of {} at once", job.deployment));
        }
        Self { fakes, place, deployment: job.deployment.clone() }
    }

    fn end(self, ended: Ended) {
        self.fakes.world().builds[self.place].1 = ended;
    }
}

impl Drop for Building<'_> {
    fn drop(&mut self) {
        let mut world = self.fakes.world();
        world.building.remove(&self.deployment);
        let ended = &mut world.builds[self.place].1;
        if *ended == Ended::NotYet {
            *ended = Ended::CutOff;
        }
    }
}

const LOOK: Duration = Duration::from_millis(10);
const REMOVE: Duration = Duration::from_millis(300);

impl Fakes {
    /// `anew`: services that are up and are not as the stack says are made anew.
    async fn bring_up(&self, stack: &Stack, dir: PathBuf, parts: &[Part], anew: bool) -> Result<(), Fault> {
        let id: DeploymentId = stack.name().parse().unwrap();
        let subnet = stack.network().subnet.to_string();
        let stack = serde_json::to_value(stack).unwrap();
        std::fs::write(dir.join("compose.yml"), stack.to_string())
            .map_err(|error| Fault::passing(error.to_string()))?;
        // Networks come first and containers later: whoever is cut off in between leaves a half.
        self.call(Call::Start, LOOK, |world| {
            world.lay_ground(&id, &subnet);
            Ok(())
        })
        .await?;
        let parts = parts.to_owned();
        let up = move |world: &mut World| {
            for part in &parts {
                match *part {
                    Part::App(slot) => {
                        // Compose starts what it waits for and isn't up.
                        let app = &stack["services"][format!("app-{slot}")];
                        for (name, _) in app["depends_on"].as_object().into_iter().flatten() {
                            world.start_backing(&id, name, &stack)?;
                        }
                        world.start_app(&id, slot, &stack)?;
                    }
                    Part::Database => world.start_backing(&id, "db", &stack)?,
                    Part::Extra(extra) => world.start_backing(&id, extra.as_str(), &stack)?,
                    Part::Own(name) => world.start_service(&id, name, &stack, anew)?,
                    Part::Task(_) => unreachable!("one-off containers are not merely started"),
                    Part::Other => unreachable!("nobody asks for what has no name"),
                }
            }
            Ok(())
        };
        self.call(Call::Start, Duration::from_millis(500), up).await
    }
}

#[async_trait]
impl ContainerEngine for Fakes {
    async fn look_at(&self, image: &str, _: bool, _: LineSink<'_>) -> Result<Looked, Fault> {
        let look = |world: &mut World| {
            let put_aside = world.apps.values().filter_map(|app| app.put_aside).map(str::to_owned).collect();
            Ok(ImageFacts { put_aside, ..ImageFacts::default() })
        };
        let facts = self.call(Call::LookAt, LOOK, look).await?;
        let facts = if image == "org/base" { facts } else { ImageFacts::default() };
        Ok(Looked { facts, kept: Box::new(()) })
    }

    async fn build(&self, job: &BuildJob, log: LineSink<'_>, _: &DeploymentLock) -> Result<Built, Fault> {
        let building = Building::begin(self, job);
        let app = self.world().app(&job.commit);
        log("step 1 of 1");
        let time = if app.build == Build::Hangs { HANG } else { Duration::from_secs(20) };
        let job = job.clone();
        self.world().check_approved(&job.commit, "a build");
        let built = self.call(Call::Build, time, move |world| match app.build {
            Build::Elsewhere(asked) if world.builds.iter().filter(|(of, _)| *of == job.commit).count() < asked => {
                assert_eq!(job.dockerfile, format!("FROM org/app:{}\n", job.commit));
                Err(Fault::author("`FROM org/app` failed: the image is not in its registry").image_absent())
            }
            Build::Works | Build::Elsewhere(_) => {
                world.stock(&job.deployment).images.insert(job.commit.clone());
                Ok(Built { user: "node".into(), command: vec!["node".into()], bases: base_images(&job.commit) })
            }
            Build::Fails => Err(Fault::author("the build failed").tail(["error: no such file".to_owned()])),
            Build::Hangs => Err(Fault::author("the build said nothing for too long")),
        });
        let built = built.await;
        building.end(if built.is_ok() { Ended::Built } else { Ended::Failed });
        built
    }

    async fn start(&self, stack: &Stack, dir: PathBuf, parts: &[Part], _: &DeploymentLock) -> Result<(), Fault> {
        self.bring_up(stack, dir, parts, false).await
    }

    async fn replace(&self, stack: &Stack, dir: PathBuf, parts: &[Part], _: &DeploymentLock) -> Result<(), Fault> {
        self.bring_up(stack, dir, parts, true).await
    }

    async fn run(
        &self,
        errand: &Errand,
        stack: &Stack,
        _: PathBuf,
        log: LineSink<'_>,
        _: &DeploymentLock,
    ) -> Result<Ending, Fault> {
        let stack = serde_json::to_value(stack).unwrap();
        let wanted = errand.clone();
        self.call(Call::BeginTask, LOOK, move |world| world.begin_task(&wanted, &stack)).await?;
        log("the migration's own words");
        let wanted = errand.clone();
        self.call(Call::AwaitTask, Duration::from_secs(8), move |world| world.end_task(&wanted)).await
    }

    async fn load(&self, errand: &Errand, _: &[String], text: &str, _: LineSink<'_>) -> Result<Ending, Fault> {
        assert_eq!(text, "select 1;\n");
        let nth = self.world().calls.len();
        for whole in [false, true] {
            let id = errand.deployment.clone();
            self.call(Call::Load, Duration::from_secs(1), move |world| world.load(&id, nth, whole)).await?;
        }
        Ok(Ending::Exited { code: 0, out_of_memory: false })
    }

    async fn limit_cpu(&self, id: &DeploymentId, part: Part, millis: u32) -> Result<(), Fault> {
        let id = id.clone();
        let limit = move |world: &mut World| {
            if let Part::App(slot) = part
                && let Some(app) = world.engine.get_mut(&id).and_then(|stock| stock.apps.get_mut(&slot))
            {
                app.cpu = millis;
            }
            Ok(())
        };
        self.call(Call::LimitCpu, LOOK, limit).await
    }

    async fn observe(&self, id: &DeploymentId) -> Result<EngineView, Fault> {
        let id = id.clone();
        self.call(Call::Observe, LOOK, move |world| Ok(world.view(&id))).await
    }

    async fn observe_all(&self) -> Result<Vec<(DeploymentId, EngineView)>, Fault> {
        let all = |world: &mut World| {
            let views = world.engine.keys().map(|id| (id.clone(), world.view(id)));
            Ok(views.filter(|(_, view)| !view.is_empty()).collect())
        };
        self.call(Call::ObserveAll, LOOK, all).await
    }

    async fn remove_part(&self, id: &DeploymentId, part: Part) -> Result<(), Fault> {
        let id = id.clone();
        let remove = move |world: &mut World| {
            match part {
                Part::App(slot) => world.remove_app(&id, slot),
                Part::Database => world.remove_database(&id),
                Part::Extra(extra) => world.remove_backing(&id, extra.as_str()),
                Part::Task(task) => {
                    world.stock(&id).tasks.remove(&task);
                    world.tidy();
                }
                Part::Own(name) => {
                    world.stock(&id).services.remove(&name);
                    world.tidy();
                }
                Part::Other => {}
            }
            world.tidy();
            Ok(())
        };
        self.call(Call::RemovePart, REMOVE, remove).await
    }

    async fn remove_containers(&self, id: &DeploymentId) -> Result<(), Fault> {
        let id = id.clone();
        let remove = move |world: &mut World| {
            [Slot::A, Slot::B].into_iter().for_each(|slot| world.remove_app(&id, slot));
            world.remove_beside(&id);
            Backing::ALL.into_iter().for_each(|extra| world.remove_backing(&id, extra.as_str()));
            world.stock(&id).tasks.clear();
            world.tidy();
            Ok(())
        };
        self.call(Call::RemoveContainers, REMOVE, remove).await
    }

    async fn remove_volumes(&self, id: &DeploymentId, which: Volumes) -> Result<(), Fault> {
        let id = id.clone();
        let remove = move |world: &mut World| {
            let stock = world.stock(&id);
            let meant = |volume: &String| which.has(&id, volume);
            let in_use = stock.backing.values().filter_map(|service| service.volume.as_ref()).any(meant);
            if in_use || which == Volumes::All && !stock.services.is_empty() {
                return Err(Fault::passing("the volume is in use"));
            }
            let spared = std::mem::replace(&mut stock.spared, true);
            if spared || world.planted != Some(Planted::MissedCleanup) {
                let stock = world.stock(&id);
                stock.volumes.retain(|volume| !meant(volume));
                let of_database = |volume: &String| matches!(kept_by(&id, volume), KeptBy::Database(_));
                if !stock.volumes.iter().any(of_database) {
                    stock.rows = Rows::default();
                }
            }
            world.tidy();
            Ok(())
        };
        self.call(Call::RemoveVolumes, REMOVE, remove).await
    }

    async fn remove_networks(&self, id: &DeploymentId) -> Result<(), Fault> {
        let id = id.clone();
        let remove = move |world: &mut World| {
            if world.planted == Some(Planted::LeftoverSubnet) {
                return Ok(());
            }
            let stock = world.stock(&id);
            if stock.has_containers() {
                return Err(Fault::passing("the network has active endpoints"));
            }
            stock.network = None;
            world.tidy();
            Ok(())
        };
        self.call(Call::RemoveNetworks, REMOVE, remove).await
    }

    async fn remove_images(&self, id: &DeploymentId, keep: &[CommitSha]) -> Result<(), Fault> {
        let (id, keep) = (id.clone(), keep.to_vec());
        let remove = move |world: &mut World| {
            let stock = world.stock(&id);
            let services = stock.services.values().filter_map(|image| commit_of_tag(image.rsplit(':').next()?));
            let used: Vec<CommitSha> = stock.apps.values().map(|app| app.commit.clone()).chain(services).collect();
            stock.images.retain(|image| keep.contains(image) || used.contains(image));
            world.tidy();
            Ok(())
        };
        self.call(Call::RemoveImages, REMOVE, remove).await
    }

    async fn database_password(&self, id: &DeploymentId) -> Result<Option<DatabasePassword>, Fault> {
        let id = id.clone();
        let read = move |world: &mut World| {
            let stock = world.engine.get(&id).filter(|stock| !stock.backing.is_empty());
            Ok(stock.and_then(|stock| stock.key.as_ref()?.parse().ok()))
        };
        self.call(Call::Observe, LOOK, read).await
    }

    async fn listening(&self, _: &DeploymentId, _: Part) -> Option<Vec<SocketAddr>> {
        // Where that can't be told, the app's log may tell.
        None
    }

    async fn logs(&self, id: &DeploymentId, part: Part, _: usize) -> Result<Vec<String>, Fault> {
        let id = id.clone();
        let read = move |world: &mut World| {
            let Part::App(slot) = part else { return Ok(Vec::new()) };
            let app = world.engine.get(&id).and_then(|stock| stock.apps.get(&slot));
            Ok(app.map(|app| format!("the app's own words, of {}", app.commit.short())).into_iter().collect())
        };
        self.call(Call::Logs, LOOK, read).await
    }

    async fn follow(&self, _: &DeploymentId, _: Part, _: usize) -> BoxStream<'static, String> {
        stream::empty().boxed()
    }

    async fn events(&self) -> BoxStream<'static, EngineEvent> {
        self.survive().await;
        let events = BroadcastStream::new(self.world().events.subscribe());
        events.filter_map(async |event| event.ok()).boxed()
    }

    async fn disk_use(&self) -> Result<DiskUse, Fault> {
        self.call(Call::DiskUse, LOOK, |world| Ok(world.disk_use)).await
    }

    async fn filled(&self, limit: u64) -> Result<Vec<Filled>, Fault> {
        let written = self.world().written.clone();
        Ok(written.into_iter().filter(|filled| filled.by == Measure::Files || filled.amount > limit).collect())
    }

    async fn halt(&self, id: &DeploymentId, part: Part) -> Result<(), Fault> {
        let mut world = self.world();
        world.written.retain(|filled| (&filled.deployment, filled.part) != (id, part));
        world.halted.push((id.clone(), part));
        Ok(())
    }

    async fn tidy(&self, build_cache: Option<u64>) -> Result<(), Fault> {
        let tidy = move |world: &mut World| {
            let gone = build_cache.map_or(0, |kept| world.disk_use.build_cache.saturating_sub(kept));
            world.disk_use.build_cache -= gone;
            world.room.disk_free += gone;
            Ok(())
        };
        self.call(Call::Tidy, REMOVE, tidy).await
    }

    async fn room(&self) -> Result<Room, Fault> {
        self.call(Call::Room, LOOK, |world| Ok(world.room())).await
    }

    async fn ping(&self) -> Result<String, Fault> {
        Ok("a model of an engine".into())
    }
}
