//! Our model of a Compose project, and its text.
//!
//! Serialised field by field as the Compose specification names them. `Debug` shows the names of variables and not their values.
//!
//! Source: <https://docs.docker.com/reference/compose-file/>

use std::collections::BTreeMap;
use std::fmt;
use std::time::Duration;

use serde::{Serialize, Serializer};
use serde_json::Value;

use crate::ids::HostPort;
use crate::repo_config::{AppCommand, ContainerPort};
use crate::subnets::Subnet;

use super::own::{Command, Health, OwnContainer};
use crate::walls::bridge_name;

use super::{LABEL_DEPLOYMENT, LABEL_INSTANCE, LABEL_SERVICE, Limits, ServiceName, StackSpec};

/// Labels of a container, a network or a volume.
pub type Labels = BTreeMap<&'static str, String>;

/// The network that all services of a project join unless told otherwise.
const NETWORK: &str = "default";
/// The condition that a health check succeeds.
const HEALTHY: &str = "service_healthy";

/// A Compose project.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Stack {
    name: String,
    services: BTreeMap<String, Service>,
    networks: BTreeMap<&'static str, External>,
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    volumes: BTreeMap<String, Volume>,
    #[serde(skip)]
    network: Network,
}

/// The deployment's network. Compose is told that it is there already: it is made while the image is still being built.
#[derive(Debug, Clone, PartialEq)]
pub struct Network {
    /// Its name, the deployment's id.
    pub name: String,
    /// Its addresses.
    pub subnet: Subnet,
    /// The name of its interface on the host, by which the firewall knows whose it is.
    pub bridge: String,
    /// What it is found by.
    pub labels: Labels,
}

/// A network as the file names it: Compose makes none.
///
/// Source: <https://docs.docker.com/reference/compose-file/networks/#external>
#[derive(Debug, Clone, PartialEq, Serialize)]
struct External {
    name: String,
    external: bool,
}

/// A named volume of the project.
#[derive(Debug, Clone, PartialEq, Serialize)]
struct Volume {
    labels: Labels,
}

/// A container of the project.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub(super) struct Service {
    image: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    pull_policy: Option<&'static str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    user: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    entrypoint: Option<Command>,
    #[serde(skip_serializing_if = "Option::is_none")]
    command: Option<Command>,
    #[serde(skip_serializing_if = "Option::is_none")]
    working_dir: Option<String>,
    environment: Environment,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    ports: Vec<String>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    volumes: Vec<Mount>,
    networks: BTreeMap<&'static str, Membership>,
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    depends_on: BTreeMap<String, Dependency>,
    #[serde(skip_serializing_if = "Option::is_none")]
    healthcheck: Option<HealthCheck>,
    labels: Labels,
    restart: &'static str,
    init: bool,
    ipc: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    runtime: Option<String>,
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    read_only: bool,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    tmpfs: Vec<&'static str>,
    stop_grace_period: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    stop_signal: Option<String>,
    cpus: f64,
    mem_limit: Megabytes,
    memswap_limit: Megabytes,
    pids_limit: u32,
    cap_drop: [&'static str; 1],
    security_opt: [&'static str; 1],
    logging: Logging,
}

/// An amount of memory, written as Compose reads it.
#[derive(Debug, Clone, Copy, PartialEq)]
struct Megabytes(u32);

impl Serialize for Megabytes {
    fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        to.collect_str(&format_args!("{}m", self.0))
    }
}

#[derive(Clone, Default, PartialEq, Serialize)]
#[serde(transparent)]
struct Environment(BTreeMap<String, String>);

impl fmt::Debug for Environment {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_set().entries(self.0.keys()).finish()
    }
}

/// Where a volume of the project appears in a container. `type: volume` can't name a folder of the host.
#[derive(Debug, Clone, PartialEq, Serialize)]
struct Mount {
    r#type: &'static str,
    source: String,
    target: String,
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    read_only: bool,
}

#[derive(Debug, Clone, Default, PartialEq, Serialize)]
struct Membership {
    #[serde(skip_serializing_if = "Vec::is_empty")]
    aliases: Vec<String>,
}

#[derive(Debug, Clone, PartialEq, Serialize)]
struct Dependency {
    condition: &'static str,
}

#[derive(Debug, Clone, PartialEq, Serialize)]
struct Logging {
    driver: &'static str,
    options: BTreeMap<&'static str, &'static str>,
}

/// How the engine learns that a backing service is ready.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub(super) struct HealthCheck {
    test: Vec<String>,
    #[serde(flatten)]
    pace: Option<Pace>,
}

/// How often and how long a check is made.
#[derive(Debug, Clone, PartialEq, Serialize)]
struct Pace {
    interval: String,
    timeout: String,
    start_period: String,
    retries: u32,
}

/// A duration as Compose reads it.
fn milliseconds(duration: Duration) -> String {
    format!("{}ms", duration.as_millis())
}

impl HealthCheck {
    /// Ready when the shell command `probe` succeeds.
    ///
    /// The engine knows one interval for a container's whole life (`start_interval` came with engine 25), and starting a probe
    /// each second in forty databases would cost a small server its CPU. So the first check waits inside the container
    /// until the service is ready and is answered within 0.2 s of that; each later one begins with half a minute's
    /// sleep. /dev/shm, new with each start of the container, remembers which it is.
    pub(super) fn by_probe(probe: &str) -> Self {
        const SEEN: &str = "/dev/shm/preview-ready";
        let script = format!("[ ! -e {SEEN} ] || sleep 30; until {probe}; do sleep 0.2; done; : > {SEEN}");
        let [interval, timeout, start_period] = ["1s", "60s", "60s"].map(str::to_owned);
        let pace = Pace { interval, timeout, start_period, retries: 3 };
        Self { test: vec!["CMD-SHELL".to_owned(), script], pace: Some(pace) }
    }

    /// As a repository's own file says it.
    pub(super) fn own(health: &Health) -> Self {
        let pace = Pace {
            interval: milliseconds(health.interval),
            timeout: milliseconds(health.timeout),
            start_period: milliseconds(health.start_period),
            retries: health.retries,
        };
        Self { test: health.test.clone(), pace: Some(pace) }
    }

    /// None, whatever the image says: it may want to be asked each millisecond.
    pub(super) fn none() -> Self {
        Self { test: vec!["NONE".to_owned()], pace: None }
    }
}

impl Service {
    /// A container with what every container has: labels, limits, no capability, capped logs, the deployment's network.
    pub(super) fn new(spec: &StackSpec, name: ServiceName, image: String) -> Self {
        let memory = Megabytes(spec.limits.memory_mb);
        let mut labels = labels(spec);
        labels.insert(LABEL_SERVICE, name.to_string());
        Self {
            image,
            pull_policy: None,
            user: None,
            entrypoint: None,
            command: None,
            working_dir: None,
            environment: Environment::default(),
            ports: Vec::new(),
            volumes: Vec::new(),
            networks: BTreeMap::from([(NETWORK, Membership::default())]),
            depends_on: BTreeMap::new(),
            healthcheck: None,
            labels,
            restart: "unless-stopped",
            init: true,
            // An engine can be told to share by default.
            ipc: "private",
            runtime: spec.runtime.as_ref().map(ToString::to_string),
            read_only: false,
            tmpfs: Vec::new(),
            stop_grace_period: "10s".to_owned(),
            stop_signal: None,
            cpus: f64::from(spec.limits.cpu_millis) / 1000.0,
            mem_limit: memory,
            memswap_limit: memory,
            pids_limit: 256,
            cap_drop: ["ALL"],
            security_opt: ["no-new-privileges:true"],
            logging: Logging { driver: "json-file", options: BTreeMap::from([("max-size", "10m"), ("max-file", "1")]) },
        }
    }

    /// What it may use instead of what every container may.
    pub(super) fn limit(&mut self, limits: Limits) {
        let memory = Megabytes(limits.memory_mb);
        self.cpus = f64::from(limits.cpu_millis) / 1000.0;
        (self.mem_limit, self.memswap_limit) = (memory, memory);
    }

    /// Ends for good when its process ends.
    pub(super) fn once(&mut self) {
        self.restart = "no";
    }

    /// Starts this, whatever the image says: an entrypoint leaves nothing of the image's command.
    pub(super) fn start(&mut self, command: &AppCommand) {
        self.entrypoint = Some(Command::Words(command.as_words().to_vec()));
        self.command = None;
    }

    pub(super) fn never_pull(&mut self) {
        self.pull_policy = Some("never");
    }

    pub(super) fn user(&mut self, user: &str) {
        self.user = Some(user.to_owned());
    }

    pub(super) fn command(&mut self, words: &[&str]) {
        self.command = Some(Command::Words(words.iter().map(|word| (*word).to_owned()).collect()));
    }

    /// Sets a variable; the last word counts.
    pub(super) fn env(&mut self, name: &str, value: &str) {
        self.environment.0.insert(name.to_owned(), value.to_owned());
    }

    pub(super) fn label(&mut self, label: &'static str, value: &str) {
        self.labels.insert(label, value.to_owned());
    }

    /// Publishes a port on the loopback address, the only one that there is a way to publish on.
    pub(super) fn publish(&mut self, host: HostPort, container: ContainerPort) {
        self.ports.push(format!("127.0.0.1:{host}:{container}"));
    }

    pub(super) fn mount(&mut self, volume: &str, target: &str, read_only: bool) {
        let (source, target) = (volume.to_owned(), target.to_owned());
        self.volumes.push(Mount { r#type: "volume", source, target, read_only });
    }

    /// Runs as a repository's own file says.
    pub(super) fn run_as(&mut self, own: &OwnContainer) {
        self.command = own.command.clone();
        self.entrypoint = own.entrypoint.clone();
        self.run_beside(own);
    }

    /// As [`Service::run_as`], but for what is started.
    pub(super) fn run_beside(&mut self, own: &OwnContainer) {
        self.working_dir = own.working_dir.as_ref().map(|dir| dir.as_str().to_owned());
        self.stop_signal = own.stop_signal.as_ref().map(|signal| signal.as_str().to_owned());
        if let Some(grace) = own.stop_grace {
            self.stop_grace_period = milliseconds(grace);
        }
        if let Some(user) = &own.user {
            self.user(user.as_str());
        }
        if own.read_only && !self.read_only {
            self.read_only();
        }
    }

    /// Nothing can be written but the volumes and a bounded /tmp, which counts as memory.
    pub(super) fn read_only(&mut self) {
        self.read_only = true;
        self.tmpfs.push("/tmp:size=64m,mode=1777");
    }

    /// A folder in memory, over what the image has there.
    pub(super) fn in_memory(&mut self, folder: &'static str) {
        self.tmpfs.push(folder);
    }

    /// Another name for it on the deployment's network, beside the service's own.
    pub(super) fn alias(&mut self, alias: &str) {
        self.networks.entry(NETWORK).or_default().aliases.push(alias.to_owned());
    }

    pub(super) fn health(&mut self, check: HealthCheck) {
        self.healthcheck = Some(check);
    }

    /// Starts only when the other is healthy.
    pub(super) fn wait_for(&mut self, other: ServiceName) {
        self.depends_on.insert(other.to_string(), Dependency { condition: HEALTHY });
    }

    /// Starts only when the other has been started.
    pub(super) fn start_after(&mut self, other: ServiceName) {
        self.depends_on.insert(other.to_string(), Dependency { condition: "service_started" });
    }
}

impl Stack {
    /// A project without services: its name and its network.
    pub(super) fn new(spec: &StackSpec) -> Self {
        let name = spec.deployment.to_string();
        let bridge = bridge_name(&spec.instance, spec.trust, spec.subnet);
        let external = External { name: name.clone(), external: true };
        Self {
            services: BTreeMap::new(),
            networks: BTreeMap::from([(NETWORK, external)]),
            volumes: BTreeMap::new(),
            network: Network { name: name.clone(), subnet: spec.subnet, bridge, labels: labels(spec) },
            name,
        }
    }

    pub(super) fn add_service(&mut self, name: ServiceName, service: Service) {
        self.services.insert(name.to_string(), service);
    }

    /// Adds a volume with the network's labels: the deployment's.
    pub(super) fn add_volume(&mut self, name: String) {
        let labels = self.network.labels.clone();
        self.volumes.insert(name, Volume { labels });
    }

    /// The project's name: the deployment's id.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The network that has to be there before any of it starts.
    pub fn network(&self) -> &Network {
        &self.network
    }

    /// The services' names, as `docker compose` takes them.
    pub fn service_names(&self) -> impl Iterator<Item = &str> {
        self.services.keys().map(String::as_str)
    }

    /// Whether a service of this name stands in the file.
    pub fn has(&self, name: ServiceName) -> bool {
        self.services.contains_key(&name.to_string())
    }

    /// Its services, each with the memory that it may use at most, in megabytes.
    pub fn memory(&self) -> impl Iterator<Item = (ServiceName, u32)> {
        self.services.iter().filter_map(|(name, service)| Some((name.parse().ok()?, service.mem_limit.0)))
    }

    /// Which services have to be healthy before this one starts.
    pub fn awaited_by(&self, name: ServiceName) -> impl Iterator<Item = ServiceName> {
        let waits = self.services.get(&name.to_string()).into_iter().flat_map(|service| &service.depends_on);
        waits.filter(|(_, dependency)| dependency.condition == HEALTHY).filter_map(|(name, _)| name.parse().ok())
    }

    /// The file for `docker compose`. It holds secrets.
    ///
    /// Compose replaces `$NAME` in every value of a file, so every `$` of every value is doubled, in one place that no
    /// value gets around.
    pub fn to_yaml(&self) -> String {
        let mut value = serde_json::to_value(self).expect("a stack is made of text, numbers and maps with text keys");
        double_dollars(&mut value);
        let options = serde_saphyr::ser_options! { prefer_block_scalars: false };
        serde_saphyr::to_string_with_options(&value, options).expect("every JSON value is a YAML value")
    }
}

fn labels(spec: &StackSpec) -> Labels {
    BTreeMap::from([(LABEL_DEPLOYMENT, spec.deployment.to_string()), (LABEL_INSTANCE, spec.instance.to_string())])
}

fn double_dollars(value: &mut Value) {
    match value {
        Value::String(text) => *text = text.replace('$', "$$"),
        Value::Array(items) => items.iter_mut().for_each(double_dollars),
        Value::Object(entries) => entries.values_mut().for_each(double_dollars),
        Value::Null | Value::Bool(_) | Value::Number(_) => {}
    }
}
