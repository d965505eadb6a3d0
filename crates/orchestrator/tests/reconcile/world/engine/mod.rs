//! A container engine: images, containers, networks and volumes of each deployment. What the service may ask of it is in `calls`.

mod calls;

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use preview_core::compose::own::OwnName;
use preview_core::compose::{DatabasePassword, KeptBy, LABEL_COMMIT, ServiceName, Task, commit_of_tag, kept_by};
use preview_core::ids::{CommitSha, DeploymentId, HostPort, Slot};
use preview_orchestrator::needs::{Container, ContainerState, Ending, EngineView, Errand, Fault, Part, Probe};
use serde_json::Value;
use tokio::sync::broadcast;
use tokio::time::Instant;

use super::planted::Planted;
use super::{App, Migration, Root, Run, World};

/// Everything of one deployment.
#[derive(Default)]
pub(crate) struct Stock {
    pub(crate) apps: BTreeMap<Slot, Running>,
    pub(crate) database: Option<HostPort>,
    /// The backing services that are up, by their names, the database among them.
    pub(crate) backing: BTreeMap<String, Service>,
    /// Services beside the app, and the images that they run.
    pub(crate) services: BTreeMap<OwnName, String>,
    pub(crate) volumes: BTreeSet<String>,
    /// What is in the database.
    pub(crate) rows: Rows,
    /// One-off containers, running or not, and whose they are.
    tasks: BTreeMap<Task, CommitSha>,
    /// The password that the volumes were made with.
    key: Option<String>,
    pub(crate) network: Option<String>,
    pub(crate) images: BTreeSet<CommitSha>,
    /// Whether a removal of volumes was forgotten already, where that is planted.
    spared: bool,
}

/// A container of a backing service.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Service {
    image: String,
    volume: Option<String>,
}

/// What is in a database; it goes with its volume.
#[derive(Default)]
pub(crate) struct Rows {
    begun_for: Option<CommitSha>,
    migrated: BTreeSet<CommitSha>,
    pub(crate) migrations: usize,
    /// Which loading of a seed began.
    seed_began: Option<usize>,
    pub(crate) seeded: bool,
}

/// A container of an app.
pub(crate) struct Running {
    pub(crate) commit: CommitSha,
    pub(crate) port: HostPort,
    pub(crate) started: Instant,
    /// Whether it has ended for good, whatever its commit would do.
    pub(crate) broken: bool,
    /// The services that it can't do without, with their images.
    needs: BTreeMap<String, String>,
    /// What it may use of CPU, in thousandths.
    pub(crate) cpu: u32,
    /// The limit that it was made with.
    lasting: u32,
}

impl Running {
    /// Which of the services that it can't do without is away, or is another.
    pub(crate) fn lacks(&self, stock: &Stock) -> Option<String> {
        let there = |name: &String, image: &String| stock.backing.get(name).is_some_and(|up| up.image == *image);
        self.needs.iter().find(|(name, image)| !there(name, image)).map(|(name, _)| name.clone())
    }

    fn run(&self, world: &World) -> Run {
        if self.broken { Run::Exits(1) } else { world.app(&self.commit).run }
    }

    pub(crate) fn answers(&self, world: &World) -> bool {
        match self.run(world) {
            Run::Healthy(after) => self.started.elapsed() >= Duration::from_secs(after),
            Run::NamesNoPath(_) | Run::RefusesHost(_) => true,
            Run::Exits(_) | Run::Silent | Run::Answers(_) => false,
        }
    }

    /// What it answers for this path to whoever names this host.
    pub(crate) fn answer(&self, world: &World, path: &str, host: &str) -> Probe {
        let status = match self.run(world) {
            Run::NamesNoPath(Root { well_after: Some(after), .. })
                if path == "/" && self.started.elapsed() >= Duration::from_secs(after) =>
            {
                200
            }
            Run::NamesNoPath(root) if path == "/" => root.status,
            Run::NamesNoPath(root) => root.usual.filter(|(usual, _)| *usual == path).map_or(404, |(_, status)| status),
            Run::Answers(status) => status,
            Run::RefusesHost(status) if host != "localhost" => status,
            _ if self.answers(world) => 200,
            _ => return Probe::NoAnswer,
        };
        if status == 200 { Probe::Healthy } else { Probe::Status(status) }
    }

    fn state(&self, world: &World) -> ContainerState {
        match self.run(world) {
            Run::Exits(exit_code) if self.broken || self.started.elapsed() >= Duration::from_secs(1) => {
                ContainerState::Restarting { exit_code, out_of_memory: false }
            }
            _ => ContainerState::Running { healthy: None },
        }
    }
}

impl Stock {
    fn is_empty(&self) -> bool {
        let Self {
            apps: _,
            database: _,
            backing: _,
            services: _,
            tasks: _,
            volumes,
            network,
            images,
            rows: _,
            key: _,
            spared: _,
        } = self;
        !self.has_containers() && volumes.is_empty() && network.is_none() && images.is_empty()
    }

    /// Why a version must not have visitors with what is in the database.
    pub(crate) fn unfit_for(&self, app: &App, commit: &CommitSha) -> Option<String> {
        if app.migration.is_some() && !self.rows.migrated.contains(commit) {
            return Some("it has not migrated".into());
        }
        if app.resets && self.rows.begun_for.as_ref() != Some(commit) {
            return Some(format!("its database was begun for {:?}", self.rows.begun_for));
        }
        let half = self.rows.seed_began.is_some() && !self.rows.seeded;
        (app.database.is_some() && half).then(|| "its database is filled by half".into())
    }

    fn has_containers(&self) -> bool {
        !(self.apps.is_empty() && self.backing.is_empty() && self.services.is_empty() && self.tasks.is_empty())
    }

    fn view(&self, world: &World) -> EngineView {
        let task = |(task, commit): (&Task, &CommitSha)| {
            container(Part::Task(*task), Some(commit.clone()), ContainerState::Running { healthy: None })
        };
        let app = |(slot, running): (&Slot, &Running)| {
            container(Part::App(*slot), Some(running.commit.clone()), running.state(world))
        };
        let backing = self.backing.keys().map(|name| {
            let part = name.parse().map_or(Part::Database, Part::Extra);
            container(part, None, ContainerState::Running { healthy: None })
        });
        let services = self.services.keys();
        let services =
            services.map(|name| container(Part::Own(*name), None, ContainerState::Running { healthy: None }));
        let tasks = self.tasks.iter().map(task);
        EngineView {
            containers: self.apps.iter().map(app).chain(backing).chain(services).chain(tasks).collect(),
            volumes: self.volumes.iter().cloned().collect(),
            networks: self.network.iter().cloned().collect(),
            images: self.images.iter().cloned().collect(),
        }
    }
}

fn container(part: Part, commit: Option<CommitSha>, state: ContainerState) -> Container {
    let restarts = u64::from(matches!(state, ContainerState::Restarting { .. }));
    Container { id: format!("{part:?}"), part, commit, state, restarts }
}

impl World {
    fn stock(&mut self, id: &DeploymentId) -> &mut Stock {
        self.engine.entry(id.clone()).or_default()
    }

    /// Forgets what has become empty.
    fn tidy(&mut self) {
        for (id, stock) in &mut self.engine {
            // The password opens nothing of a repository's own services.
            if stock.backing.is_empty() && stock.volumes.iter().all(|volume| kept_by(id, volume) == KeptBy::Own) {
                stock.key = None;
            }
        }
        self.engine.retain(|_, stock| !stock.is_empty());
    }

    /// Somebody removes all images, by hand.
    pub(crate) fn prune_images(&mut self) {
        self.engine.values_mut().for_each(|stock| stock.images.clear());
        self.tidy();
    }

    fn view(&self, id: &DeploymentId) -> EngineView {
        let mut view = self.engine.get(id).map(|stock| stock.view(self)).unwrap_or_default();
        if self.planted == Some(Planted::LeftoverSubnet) {
            view.networks.clear();
        }
        view
    }

    fn ports_in_use(&self) -> BTreeSet<HostPort> {
        let of = |stock: &Stock| stock.apps.values().map(|app| app.port).chain(stock.database).collect::<Vec<_>>();
        self.engine.values().flat_map(of).collect()
    }

    /// What `docker compose up` needs before it can start a container.
    fn lay_ground(&mut self, id: &DeploymentId, subnet: &str) {
        let elsewhere =
            self.engine.iter().find(|(other, stock)| *other != id && stock.network.as_deref() == Some(subnet));
        if let Some((other, _)) = elsewhere.filter(|_| !self.tampered) {
            let other = other.clone();
            self.violation(format!("{id} and {other} have the same network {subnet}"));
        }
        self.stock(id).network = Some(subnet.to_owned());
    }

    fn claim(&mut self, id: &DeploymentId, port: HostPort) -> Result<(), Fault> {
        if self.ports_in_use().contains(&port) {
            if !self.tampered {
                self.violation(format!("{id} got port {port}, which is in use"));
            }
            return Err(Fault::passing(format!("port {port} is already allocated")));
        }
        // Nobody who lost the ledger knows which ports were just given back.
        let rests = self
            .freed
            .get(&port)
            .filter(|(by, at)| !self.tampered && by != id && at.elapsed() < Duration::from_secs(60));
        if let Some((by, _)) = rests {
            let by = by.clone();
            self.violation(format!("{id} got port {port} too soon after {by}"));
        }
        Ok(())
    }

    fn start_app(&mut self, id: &DeploymentId, slot: Slot, stack: &Value) -> Result<(), Fault> {
        let service = &stack["services"][format!("app-{slot}")];
        let commit: CommitSha = text(&service["labels"][LABEL_COMMIT]).parse().unwrap();
        let port = host_port(service);
        let same = |app: &Running| app.commit == commit && app.port == port;
        if self.stock(id).apps.get(&slot).is_some_and(same) {
            return Ok(());
        }
        if !self.stock(id).images.contains(&commit) {
            return Err(Fault::passing(format!("there is no image of {commit}")));
        }
        self.stock(id).apps.remove(&slot);
        self.claim(id, port)?;
        // What keeps data opens with the password that it was made with.
        let variables = service["environment"].as_object().into_iter().flatten();
        let passwords: BTreeSet<&str> =
            variables.filter(|(name, _)| name.ends_with("_PASSWORD")).filter_map(|(_, value)| value.as_str()).collect();
        let broken = passwords.iter().any(|password| Some(*password) != self.stock(id).key.as_deref());
        let needs = service["depends_on"].as_object().into_iter().flatten();
        let needs = needs.map(|(name, _)| (name.clone(), text(&stack["services"][name]["image"]))).collect();
        let lasting = (service["cpus"].as_f64().unwrap() * 1000.0).round() as u32;
        let app = Running { commit, port, started: Instant::now(), broken, needs, cpu: lasting, lasting };
        if let Some(away) = app.lacks(self.stock(id)) {
            self.violation(format!("{id}: the app was started while its {away} is away"));
        }
        self.stock(id).apps.insert(slot, app);
        self.tell(id, "start");
        Ok(())
    }

    /// What is up already stays as it is, though it be another than the stack's.
    fn start_backing(&mut self, id: &DeploymentId, name: &str, stack: &Value) -> Result<(), Fault> {
        let says = &stack["services"][name];
        let variables = says["environment"].as_object().into_iter().flatten();
        let lines: Vec<String> = variables.map(|(name, value)| format!("{name}={}", text(value))).collect();
        let password = DatabasePassword::from_environment(&lines).unwrap().expose().to_owned();
        let volume = says["volumes"][0]["source"].as_str().map(|volume| format!("{id}_{volume}"));
        let port = says["ports"].is_array().then(|| host_port(says));
        let is_new = volume.as_ref().is_some_and(|volume| !self.stock(id).volumes.contains(volume));
        if port.is_some() && is_new {
            let services = stack["services"].as_object().into_iter().flatten();
            let commit = services.filter_map(|(_, service)| service["labels"][LABEL_COMMIT].as_str()).next();
            let begun_for = commit.map(|commit| commit.parse().unwrap());
            self.stock(id).rows = Rows { begun_for, ..Rows::default() };
        }
        if let Some(port) = port.filter(|port| self.stock(id).database != Some(*port)) {
            self.claim(id, port)?;
            self.stock(id).database = Some(port);
        }
        if self.stock(id).backing.contains_key(name) {
            return Ok(());
        }
        let stock = self.stock(id);
        stock.volumes.extend(volume.clone());
        stock.key.get_or_insert(password);
        stock.backing.insert(name.to_owned(), Service { image: text(&says["image"]), volume });
        Ok(())
    }

    /// Starts a one-off container, unless it is one that somebody else started who was killed.
    fn begin_task(&mut self, errand: &Errand, stack: &Value) -> Result<(), Fault> {
        let (id, task) = (&errand.deployment, errand.task);
        if self.stock(id).tasks.keys().any(|other| *other != task) {
            self.violation(format!("{id} has two one-off containers at once"));
        }
        if self.stock(id).tasks.get(&task) == Some(&errand.commit) {
            return Ok(());
        }
        let service = &stack["services"][task.as_str()];
        assert_eq!(service["labels"][LABEL_COMMIT], errand.commit.as_str());
        if self.stock(id).database.is_none() {
            self.start_backing(id, "db", stack)?;
        }
        self.check_approved(&errand.commit, "a one-off container");
        self.stock(id).tasks.insert(task, errand.commit.clone());
        Ok(())
    }

    fn end_task(&mut self, errand: &Errand) -> Result<Ending, Fault> {
        let fails = self.app(&errand.commit).migration == Some(Migration::Fails);
        let stock = self.stock(&errand.deployment);
        if stock.tasks.remove(&errand.task).is_none() {
            return Err(Fault::passing("a one-off container was removed by somebody else"));
        }
        if !fails {
            stock.rows.migrations += 1;
            stock.rows.migrated.insert(errand.commit.clone());
        }
        Ok(Ending::Exited { code: fails.into(), out_of_memory: false })
    }

    /// The first half of a seed, or the second, of the so-many-th loading.
    fn load(&mut self, id: &DeploymentId, nth: usize, whole: bool) -> Result<Ending, Fault> {
        let stock = self.stock(id);
        if stock.database.is_none() {
            return Err(Fault::passing("the database is not up"));
        }
        // An older ledger knows less of the database than it says.
        if stock.rows.seed_began.is_some_and(|other| other != nth) && !self.tampered {
            self.violation(format!("the seed of {id} is loaded into a database that has it"));
        }
        let rows = &mut self.stock(id).rows;
        (rows.seed_began, rows.seeded) = (Some(nth), whole);
        Ok(Ending::Exited { code: 0, out_of_memory: false })
    }

    /// A service that is up stays as it is, unless it is to be that of the stack.
    fn start_service(&mut self, id: &DeploymentId, name: OwnName, stack: &Value, anew: bool) -> Result<(), Fault> {
        let image = text(&stack["services"][ServiceName::Own(name).to_string()]["image"]);
        if self.stock(id).services.contains_key(&name) && !anew {
            return Ok(());
        }
        let built_of = image.rsplit(':').next().and_then(commit_of_tag);
        if built_of.is_some_and(|commit| !self.stock(id).images.contains(&commit)) {
            return Err(Fault::passing(format!("there is no image {image}")));
        }
        let volumes = stack["volumes"].as_object().into_iter().flatten().map(|(name, _)| format!("{id}_{name}"));
        self.stock(id).volumes.extend(volumes);
        self.stock(id).services.insert(name, image);
        Ok(())
    }

    /// Whether the app at this port still hurries.
    pub(crate) fn hurries(&self, id: &DeploymentId, port: HostPort) -> bool {
        let apps = self.engine.get(id).into_iter().flat_map(|stock| stock.apps.values());
        apps.filter(|app| app.port == port).any(|app| app.cpu != app.lasting)
    }

    /// Whatever hurries is held from now on: a ledger of before it began knows nothing of that.
    pub(crate) fn end_hurry(&mut self) {
        let apps = self.engine.values_mut().flat_map(|stock| stock.apps.values_mut());
        apps.for_each(|app| app.cpu = app.lasting);
    }

    /// Somebody else takes a slot's container away.
    pub(crate) fn steal_app(&mut self, id: &DeploymentId, slot: Slot) {
        if let Some(app) = self.stock(id).apps.remove(&slot) {
            self.undrained.remove(&app.port);
            self.tell(id, "destroy");
        }
        self.tidy();
    }

    fn remove_app(&mut self, id: &DeploymentId, slot: Slot) {
        let Some(app) = self.stock(id).apps.remove(&slot) else { return self.tidy() };
        // Nobody who lost the ledger knows that visitors went there.
        let visited = |since: Instant| since.elapsed() < Duration::from_secs(30) && !self.tampered;
        if self.undrained.remove(&app.port).is_some_and(visited) && self.routes.get(id).is_some() {
            self.violation(format!("{id}: slot {slot} was removed before its visitors were served"));
        }
        if self.routes.get(id) == Some(app.port) && self.must_serve.contains(id) {
            self.violation(format!("{id}: slot {slot} was removed while it served"));
        }
        self.freed.insert(app.port, (id.clone(), Instant::now()));
        self.tell(id, "destroy");
        self.tidy();
    }

    /// The engine goes away and comes back, and what has visitors gets up anew. (An app that is just getting up would miss
    /// its time by it, rightly.)
    pub(crate) fn restart_engine(&mut self) {
        let now = Instant::now();
        let visited: Vec<HostPort> = self.routes.iter().map(|route| route.port).collect();
        let apps = self.engine.values_mut().flat_map(|stock| stock.apps.values_mut());
        apps.filter(|app| visited.contains(&app.port)).for_each(|app| app.started = now);
        // Whoever listened hears the end.
        self.events = broadcast::channel(1000).0;
    }

    /// What runs beside the app goes.
    pub(crate) fn remove_beside(&mut self, id: &DeploymentId) {
        self.stock(id).services.clear();
        self.remove_database(id);
    }

    fn remove_database(&mut self, id: &DeploymentId) {
        self.remove_backing(id, "db");
    }

    pub(crate) fn remove_backing(&mut self, id: &DeploymentId, name: &str) {
        let port = self.stock(id).database.take_if(|_| name == "db");
        self.stock(id).backing.remove(name);
        self.freed.extend(port.map(|port| (port, (id.clone(), Instant::now()))));
        self.tidy();
    }
}

fn text(value: &Value) -> String {
    value.as_str().unwrap().to_owned()
}

/// The host's side of `127.0.0.1:8000:3000`.
fn host_port(service: &Value) -> HostPort {
    let ports = text(&service["ports"][0]);
    HostPort::new(ports.split(':').nth(1).unwrap().parse().unwrap()).unwrap()
}

/// What an image of this commit was built from: a tag that moves from commit to commit.
pub(crate) fn base_images(commit: &CommitSha) -> BTreeMap<String, String> {
    [("node:22-bookworm-slim".to_owned(), format!("sha256:{commit}"))].into()
}
