//! What every test of the engine stands on: an installation of its own, deployments, and the proof that nothing is left.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::fs::File;
use std::net::Ipv4Addr;
use std::os::unix::fs::PermissionsExt;
use std::panic::AssertUnwindSafe;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, Instant};

use bollard::models::{ContainerCreateBody, HostConfig};
use bollard::query_parameters::{
    CreateContainerOptions, ListContainersOptions, ListImagesOptions, ListNetworksOptions, ListVolumesOptions,
    RemoveContainerOptions, StartContainerOptions,
};
use bollard::{API_DEFAULT_VERSION, Docker};
use futures_util::FutureExt;
use preview_core::backing::{Backing, Database};
use preview_core::base_images::BaseImages;
use preview_core::compose::{
    AppUser, DatabasePassword, DatabaseSpec, LABEL_INSTANCE, Limits, RootFiles, SlotSpec, Stack, StackSpec, app_image,
    generate,
};
use preview_core::ids::{BranchName, CommitSha, DeploymentId, HostPort, InstanceId, PrNumber, RepoId, Slot};
use preview_core::repo_config::{ContainerPort, EnvVars};
use preview_core::subnets::Subnet;
use preview_core::trust::Trust;
use preview_exec::Program;
use preview_orchestrator::docker::{BuildOptions, Ceilings, Engine, EngineOptions};
use preview_orchestrator::health::HttpProber;
use preview_orchestrator::needs::{
    BuildJob, Built, ContainerEngine, ContainerState, DeploymentLock, EngineView, Fault, Part, Probe, Prober, Volumes,
};
use preview_simulator::free_port;
use tempfile::TempDir;

/// The Dockerfile of an app that serves.
pub(crate) const SERVE: &str = "FROM scratch\nCOPY mimic /mimic\nENTRYPOINT [\"/mimic\"]\nCMD [\"serve\"]\n";
const LIMIT: Duration = Duration::from_secs(30);

pub(crate) fn commit(number: u8) -> CommitSha {
    format!("{number:040x}").parse().unwrap()
}

/// Waits for a condition, within a limit.
pub(crate) async fn eventually(what: &str, mut holds: impl AsyncFnMut() -> bool) {
    let deadline = Instant::now() + LIMIT;
    while !holds().await {
        assert!(Instant::now() < deadline, "not within {LIMIT:?}: {what}");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

/// How many processes of this machine have the word in their command line, other than Buildx which carries it too.
pub(crate) fn processes_with(word: &str) -> usize {
    let processes = std::fs::read_dir("/proc").unwrap().flatten();
    let begins = |entry: std::fs::DirEntry| {
        let line = std::fs::read(entry.path().join("cmdline")).unwrap_or_default();
        String::from_utf8_lossy(&line).starts_with(&format!("/{word}"))
    };
    processes
        .filter(|entry| entry.file_name().as_encoded_bytes()[0].is_ascii_digit())
        .map(begins)
        .filter(|found| *found)
        .count()
}

/// The app that all images are made of, compiled once for all tests.
pub(crate) fn mimic() -> Vec<u8> {
    let folder = PathBuf::from(env!("CARGO_TARGET_TMPDIR"));
    let source = include_str!("mimic.rs");
    let program = folder.join(format!(
        "mimic-{:x}",
        source.bytes().fold(5381_u64, |hash, byte| hash.wrapping_mul(33) ^ u64::from(byte))
    ));
    if !program.exists() {
        let work = tempfile::tempdir_in(&folder).unwrap();
        let (from, to) = (work.path().join("mimic.rs"), work.path().join("mimic"));
        std::fs::write(&from, source).unwrap();
        let rustc = Program::new("rustc").inherit_env("HOME").inherit_env("RUSTUP_HOME").inherit_env("CARGO_HOME");
        let rustc =
            rustc.args(["--edition", "2024", "-O", "-C", "target-feature=+crt-static", "-C", "strip=symbols", "-o"]);
        let rustc = rustc.arg(&to).arg(&from);
        std::thread::scope(|scope| {
            let run =
                || tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap().block_on(rustc.run());
            scope.spawn(run).join().unwrap().unwrap();
        });
        std::fs::rename(to, &program).unwrap();
    }
    std::fs::read(program).unwrap()
}

/// An installation.
pub(crate) struct Ground {
    pub(crate) engine: Engine,
    pub(crate) docker: Docker,
    pub(crate) instance: InstanceId,
    home: TempDir,
    pub(crate) lock: DeploymentLock,
}

/// Runs a test, removes whatever it left, and proves that nothing with its label is there any more.
pub(crate) async fn on_engine(test: impl AsyncFnOnce(&Ground)) {
    on_engine_at(None, test).await;
}

/// The same on an engine that is not the machine's.
pub(crate) async fn on_engine_at(docker_host: Option<String>, test: impl AsyncFnOnce(&Ground)) {
    let ground = Ground::new(docker_host).await;
    let ended = AssertUnwindSafe(test(&ground)).catch_unwind().await;
    let seen = ground.engine.observe_all().await.unwrap();
    futures_util::future::join_all(seen.iter().map(|(id, _)| ground.engine.remove_containers(id))).await;
    for (id, _) in seen {
        ground.remove(&id).await;
    }
    let left = ground.left().await;
    if let Err(panic) = ended {
        std::panic::resume_unwind(panic);
    }
    assert_eq!(left, [""; 0], "left over");
    assert_eq!(ground.build_folders(), 0);
}

impl Ground {
    async fn new(docker_host: Option<String>) -> Self {
        let instance = InstanceId::from_bytes(rand::random());
        let home = tempfile::tempdir().unwrap();
        let options = EngineOptions {
            runtime: None,
            docker_host: docker_host.clone(),
            instance: instance.clone(),
            home: home.path().join("docker"),
            build: BuildOptions {
                group: None,
                ceilings: Ceilings { memory_bytes: 2 << 30, cpus: 1.5, processes: 2048 },
                timeout: Duration::from_secs(120),
                silence: Duration::from_secs(5),
            },
        };
        let engine = Engine::connect(options).await.expect("these tests need a Docker engine");
        let docker = match docker_host {
            Some(host) => Docker::connect_with_unix(&host, 60, API_DEFAULT_VERSION),
            None => Docker::connect_with_socket_defaults(),
        };
        let docker = docker.unwrap().negotiate_version().await.unwrap();
        let lock = Arc::new(File::create(home.path().join("lock")).unwrap().into());
        Self { engine, docker, instance, home, lock }
    }

    pub(crate) async fn view(&self, of: &Deployment) -> EngineView {
        self.engine.observe(&of.id).await.unwrap()
    }

    /// Builds and gives the log.
    pub(crate) async fn build(&self, app: &Deployment, commit: CommitSha, dockerfile: &str) -> Result<String, Fault> {
        let mut log = String::new();
        let job = self.job(app, commit, dockerfile);
        self.engine.build(&job, &mut |line| log.extend([line, "\n"]), &self.lock).await.map(|_| log)
    }

    /// Builds and gives what was built.
    pub(crate) async fn built(&self, app: &Deployment, commit: CommitSha, dockerfile: &str) -> Built {
        self.engine.build(&self.job(app, commit, dockerfile), &mut |_| {}, &self.lock).await.unwrap()
    }

    fn job(&self, app: &Deployment, commit: CommitSha, dockerfile: &str) -> BuildJob {
        BuildJob {
            deployment: app.id.clone(),
            repo: RepoId(1),
            commit,
            context: app.checkout.path().to_owned(),
            dockerfile: dockerfile.to_owned(),
            target: None,
            args: EnvVars::default(),
            pull: false,
            service: None,
            trust: Trust::Member,
        }
    }

    pub(crate) async fn start(&self, app: &Deployment, parts: &[Part]) -> Result<(), Fault> {
        let dir = self.home.path().join(app.id.to_string());
        self.engine.start(&app.stack(), dir.clone(), parts, &self.lock).await?;
        let mode = std::fs::metadata(dir.join("compose.yml")).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o600, "it holds a password");
        Ok(())
    }

    /// Everything of a deployment, in the order of a removal.
    pub(crate) async fn remove(&self, id: &DeploymentId) {
        self.engine.remove_containers(id).await.unwrap();
        self.engine.remove_volumes(id, Volumes::All).await.unwrap();
        self.engine.remove_networks(id).await.unwrap();
        self.engine.remove_images(id, &[]).await.unwrap();
    }

    /// How many folders of builds are there.
    pub(crate) fn build_folders(&self) -> usize {
        std::fs::read_dir(self.home.path().join("docker/builds")).unwrap().count()
    }

    fn by_instance(&self) -> Option<HashMap<String, Vec<String>>> {
        Some(HashMap::from([("label".to_owned(), vec![format!("{LABEL_INSTANCE}={}", self.instance)])]))
    }

    /// Ids of all images with our label, tagged or not.
    pub(crate) async fn images(&self) -> Vec<String> {
        let options = ListImagesOptions { filters: self.by_instance(), ..Default::default() };
        self.docker.list_images(Some(options)).await.unwrap().into_iter().map(|image| image.id).collect()
    }

    /// Whatever has our label, asked of the engine itself.
    async fn left(&self) -> Vec<String> {
        let filters = || self.by_instance();
        let options = ListContainersOptions { all: true, filters: filters(), ..Default::default() };
        let containers = self.docker.list_containers(Some(options)).await.unwrap();
        let volumes = self.docker.list_volumes(Some(ListVolumesOptions { filters: filters() })).await.unwrap();
        let networks = self.docker.list_networks(Some(ListNetworksOptions { filters: filters() })).await.unwrap();
        let mut left: Vec<String> = containers.into_iter().filter_map(|found| found.names).flatten().collect();
        left.extend(volumes.volumes.unwrap_or_default().into_iter().map(|volume| volume.name));
        left.extend(networks.into_iter().filter_map(|network| network.name));
        left.extend(self.images().await);
        left
    }

    pub(crate) async fn database_healthy(&self, of: &Deployment) {
        eventually("the database is healthy", async || {
            let state = self.view(of).await.part(Part::Database).map(|database| database.state.clone());
            state == Some(ContainerState::Running { healthy: Some(true) })
        })
        .await;
    }

    /// A part's address on its deployment's network.
    pub(crate) async fn address_of(&self, of: &Deployment, part: Part) -> String {
        let id = self.view(of).await.part(part).unwrap().id.clone();
        let settings = self.docker.inspect_container(&id, None).await.unwrap().network_settings.unwrap();
        settings.networks.unwrap().into_values().next().unwrap().ip_address.unwrap()
    }

    /// A container that somebody else started, with these labels.
    pub(crate) async fn stranger(&self, image: &str, labels: BTreeMap<&str, String>) -> String {
        let host = HostConfig { network_mode: Some("none".to_owned()), ..Default::default() };
        let made = self.create(image, labels, host).await;
        self.docker.start_container(&made, None::<StartContainerOptions>).await.unwrap();
        made
    }

    /// A container that was made and never started.
    pub(crate) async fn created(&self, image: &str, labels: BTreeMap<&str, String>) -> String {
        self.create(image, labels, HostConfig::default()).await
    }

    /// A container that somebody attached to a deployment's network.
    pub(crate) async fn stranger_on(&self, of: &Deployment) -> String {
        let host = HostConfig { network_mode: Some(of.id.to_string()), ..Default::default() };
        let labels = BTreeMap::from([(LABEL_INSTANCE, "ffffffffffff".to_owned())]);
        let made = self.create(&of.image(&commit(1)), labels, host).await;
        self.docker.start_container(&made, None::<StartContainerOptions>).await.unwrap();
        made
    }

    async fn create(&self, image: &str, labels: BTreeMap<&str, String>, host: HostConfig) -> String {
        let body = ContainerCreateBody {
            image: Some(image.to_owned()),
            cmd: Some(vec!["deaf".to_owned()]),
            labels: Some(labels.into_iter().map(|(key, value)| (key.to_owned(), value)).collect()),
            host_config: Some(host),
            ..Default::default()
        };
        self.docker.create_container(None::<CreateContainerOptions>, body).await.unwrap().id
    }

    pub(crate) async fn force_remove(&self, container: &str) {
        let options = RemoveContainerOptions { force: true, v: true, ..Default::default() };
        self.docker.remove_container(container, Some(options)).await.unwrap();
    }
}

/// A deployment's checkout and what its stack is made of.
pub(crate) struct Deployment {
    pub(crate) id: DeploymentId,
    pub(crate) subnet: Subnet,
    pub(crate) db_port: u16,
    pub(crate) branch: String,
    instance: InstanceId,
    pub(crate) checkout: TempDir,
    slots: BTreeMap<Slot, SlotSpec>,
    env: EnvVars,
    database: Option<Database>,
    extras: BTreeSet<Backing>,
}

impl Deployment {
    pub(crate) fn new(ground: &Ground, name: &str, number: u64) -> Self {
        // Tests run side by side, each in a process of its own.
        let range: Subnet = "10.224.0.0/12".parse().unwrap();
        Self {
            id: DeploymentId::new(name.parse().unwrap(), PrNumber::new(number).unwrap()),
            subnet: range.preview(rand::random::<u32>() % range.previews()).unwrap(),
            db_port: free_port(),
            branch: "feature".to_owned(),
            instance: ground.instance.clone(),
            checkout: tempfile::tempdir().unwrap(),
            slots: BTreeMap::new(),
            env: EnvVars::default(),
            database: None,
            extras: BTreeSet::new(),
        }
    }

    /// Puts a file into the checkout.
    pub(crate) fn put(&mut self, name: &str, bytes: Vec<u8>) {
        let path = self.checkout.path().join(name);
        std::fs::write(&path, bytes).unwrap();
        std::fs::set_permissions(&path, PermissionsExt::from_mode(0o755)).unwrap();
    }

    /// The same files in another folder, with other times.
    pub(crate) fn fresh_checkout(&mut self) {
        let fresh = tempfile::tempdir().unwrap();
        for entry in std::fs::read_dir(self.checkout.path()).unwrap().flatten() {
            let to = fresh.path().join(entry.file_name());
            std::fs::copy(entry.path(), &to).unwrap();
            File::options().write(true).open(&to).unwrap().set_modified(std::time::SystemTime::UNIX_EPOCH).unwrap();
        }
        self.checkout = fresh;
    }

    pub(crate) fn env(&mut self, name: &str, value: &str) {
        self.env.insert(name.parse().unwrap(), value.to_owned());
    }

    pub(crate) fn with_database(&mut self) {
        self.database = Some(Database::Postgres);
    }

    /// Has this database, and one of every kind beside it.
    pub(crate) fn with_everything(&mut self, database: Database) {
        (self.database, self.extras) = (Some(database), Backing::ALL.into());
    }

    /// Puts a commit into a slot, on a free port.
    pub(crate) fn slot(&mut self, slot: Slot, commit: CommitSha, user: AppUser) -> u16 {
        let port = free_port();
        let spec = SlotSpec {
            commit,
            host_port: HostPort::new(port).unwrap(),
            app_port: "3000".parse::<ContainerPort>().unwrap(),
            port_env: None,
            limits: Limits { cpu_millis: 250, memory_mb: 64 },
            start: None,
            user,
            files: RootFiles::OfImage,
            env: self.env.clone(),
            branch: BranchName::new(&self.branch),
            url: "http://localhost/".to_owned(),
            base_path: "/".to_owned(),
        };
        self.slots.insert(slot, spec);
        port
    }

    pub(crate) fn stack(&self) -> Stack {
        let database = self.database.map(|database| DatabaseSpec {
            database,
            scheme: None,
            host_port: HostPort::new(self.db_port).unwrap(),
        });
        generate(&StackSpec {
            deployment: self.id.clone(),
            instance: self.instance.clone(),
            subnet: self.subnet,
            limits: Limits { cpu_millis: 250, memory_mb: 64 },
            runtime: None,
            trust: Trust::Member,
            base_images: BaseImages::public(),
            slots: self.slots.clone(),
            task: None,
            database,
            extras: self.extras.clone(),
            password: Some(DatabasePassword::from_bytes([7; 24])),
            own: None,
        })
    }

    /// The host's address on the deployment's network.
    pub(crate) fn gateway(&self) -> Ipv4Addr {
        let text = self.subnet.to_string();
        let base: Ipv4Addr = text.split_once('/').unwrap().0.parse().unwrap();
        Ipv4Addr::from_bits(base.to_bits() + 1)
    }

    pub(crate) fn image(&self, commit: &CommitSha) -> String {
        app_image(&self.id, commit)
    }

    fn port(&self, slot: Slot) -> HostPort {
        self.slots[&slot].host_port
    }

    pub(crate) async fn probe(&self, slot: Slot) -> Probe {
        HttpProber.probe(self.port(slot), "/", Duration::from_secs(5)).await
    }

    pub(crate) async fn healthy(&self, slot: Slot) {
        eventually("the app answers", async || self.probe(slot).await == Probe::Healthy).await;
    }

    /// The app's answer to a path.
    pub(crate) async fn ask(&self, slot: Slot, path: &str) -> String {
        use tokio::io::{AsyncReadExt, AsyncWriteExt};
        let mut stream = tokio::net::TcpStream::connect((Ipv4Addr::LOCALHOST, self.port(slot).get())).await.unwrap();
        stream.write_all(format!("GET {path} HTTP/1.1\r\nHost: localhost\r\n\r\n").as_bytes()).await.unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).await.unwrap();
        answer.split_once("\r\n\r\n").unwrap().1.to_owned()
    }
}
