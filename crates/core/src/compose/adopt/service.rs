//! One service of the file.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use crate::repo_config::{ContainerPort, EnvName, EnvVars, InvalidValue, RelativePath};
use crate::yaml::{Node, Place, Value};

use super::super::own::{
    BuildSettings, Condition, EnvFile, Health, MAX_ENV_FILES, Origin, OwnContainer, OwnMount, OwnName, Unfit,
    VolumeName,
};
use super::values::{container_port, short_mount};
use super::{Reader, below};

/// The longest that a container may take to stop.
const LONGEST_STOP: Duration = Duration::from_secs(30);
/// The longest time between two checks, and for one.
const LONGEST_CHECK: Duration = Duration::from_secs(60);
/// The longest that failing checks don't count.
const LONGEST_START: Duration = Duration::from_secs(120);
/// Arguments that every step is given and none is known by in the build cache: what a stranger's build gets by its own proxy would be
/// there for everybody whose steps read the same.
///
/// Source: <https://docs.docker.com/reference/dockerfile/#predefined-args>
const PROXIES: [&str; 5] = ["HTTP_PROXY", "HTTPS_PROXY", "FTP_PROXY", "NO_PROXY", "ALL_PROXY"];
/// Most bytes of build arguments: they stand on a command line, which the kernel bounds.
const MAX_ARGUMENTS: usize = 32 * 1024;
/// Most mounts of a service.
pub(super) const MAX_MOUNTS: usize = 16;

/// A service as far as it is read: what it is to the others isn't known yet.
pub(super) struct Draft {
    pub(super) place: Place,
    pub(super) origin: Option<Origin>,
    pub(super) runtime: OwnContainer,
    pub(super) health: Option<Health>,
    /// Where it says whom it waits for.
    pub(super) waiting_place: Place,
    published: Vec<ContainerPort>,
    exposed: Vec<ContainerPort>,
}

impl Draft {
    /// Where it listens, as far as it says.
    pub(super) fn port(&self) -> Option<ContainerPort> {
        self.published.iter().chain(&self.exposed).copied().next()
    }

    pub(super) fn publishes(&self) -> bool {
        !self.published.is_empty()
    }
}

impl Reader {
    pub(super) fn service(&mut self, path: &str, place: Place, node: &Node, volumes: &BTreeSet<VolumeName>) -> Draft {
        let (runtime, health) = (OwnContainer::default(), None);
        let mut draft = Draft {
            place,
            origin: None,
            runtime,
            health,
            waiting_place: place,
            published: Vec::new(),
            exposed: Vec::new(),
        };
        let entries = self.entries("services.*", path, node);
        let built = entries.iter().any(|(_, key, _)| key.text == "build");
        for (path, key, node) in entries {
            match key.text.as_str() {
                // What is built is named by the server.
                "image" if built => {}
                "image" => draft.origin = self.value(&path, node).map(Origin::Image),
                "build" => draft.origin = self.build(&path, node).map(Origin::Build),
                "healthcheck" => draft.health = self.health(&path, node),
                "expose" => draft.exposed = self.exposed(&path, node),
                "ports" => draft.published = self.ports(&path, node),
                "networks" => self.memberships(&path, node),
                "deploy" => self.deploy(&path, node),
                "volumes" => draft.runtime.mounts = self.mounts(&path, node, volumes),
                "depends_on" => {
                    draft.waiting_place = key.place;
                    draft.runtime.waits_for = self.waits_for(&path, node);
                }
                "env_file" => draft.runtime.env_files = self.env_files(&path, node),
                "environment" => draft.runtime.env = self.variables(&path, node),
                "command" => draft.runtime.command = self.command(&path, node),
                "entrypoint" => draft.runtime.entrypoint = self.command(&path, node),
                "read_only" => draft.runtime.read_only = self.boolean(&path, node).unwrap_or_default(),
                "stop_grace_period" => {
                    draft.runtime.stop_grace = self.duration(&path, node, Duration::ZERO, LONGEST_STOP);
                }
                "stop_signal" => draft.runtime.stop_signal = self.value(&path, node),
                "user" => draft.runtime.user = self.value(&path, node),
                "working_dir" => draft.runtime.working_dir = self.value(&path, node),
                _ => self.unknown(key, &path),
            }
        }
        draft
    }

    fn build(&mut self, path: &str, node: &Node) -> Option<BuildSettings> {
        let whole: RelativePath = ".".parse().ok()?;
        let usual: RelativePath = "Dockerfile".parse().ok()?;
        let mut build = BuildSettings { context: whole, dockerfile: usual, target: None, args: EnvVars::default() };
        if let Value::Text(_) = node.value {
            build.context = self.inside(path, node)?;
            return Some(build);
        }
        for (path, key, node) in self.entries("services.*.build", path, node) {
            match key.text.as_str() {
                "context" => build.context = self.inside(&path, node)?,
                "dockerfile" => build.dockerfile = self.inside(&path, node)?,
                "target" => build.target = self.value(&path, node),
                "args" => build.args = self.arguments(&path, node),
                _ => self.unknown(key, &path),
            }
        }
        Some(build)
    }

    /// A path of the repository.
    fn inside(&mut self, path: &str, node: &Node) -> Option<RelativePath> {
        let unfit = Unfit(
            "this must be a path inside the repository: relative, without `..`, in letters, digits and `. _ - + @ /`",
            "put what it needs into the repository and name it from there",
        );
        self.made(path, node, |text| text.parse().map_err(|_: InvalidValue| unfit))
    }

    fn arguments(&mut self, path: &str, node: &Node) -> EnvVars {
        let arguments = self.variables(path, node);
        let steers = |name: &str| {
            let name = name.to_ascii_uppercase();
            ["BUILDKIT_", "BUILDX_", "DOCKER_"].iter().any(|prefix| name.starts_with(prefix))
        };
        if let Some((name, _)) = arguments.iter().find(|(name, _)| steers(name)) {
            let reason = "this argument steers the builder itself";
            self.refuse(node.place, &below(path, name), reason, "remove it");
        }
        let is_proxy = |name: &str| PROXIES.iter().any(|proxy| proxy.eq_ignore_ascii_case(name));
        if let Some((name, _)) = arguments.iter().find(|(name, _)| is_proxy(name)) {
            let reason = "a proxy changes what a step gets, and not whom the builder gives the step's result to";
            self.refuse(node.place, &below(path, name), reason, "remove it, or let the Dockerfile set it with `ENV`");
        }
        let length: usize = arguments.iter().map(|(name, value)| name.len() + value.len()).sum();
        if length > MAX_ARGUMENTS {
            let reason = format!("there are more than {MAX_ARGUMENTS} bytes of arguments");
            self.refuse(node.place, path, reason, "put what is long into a file of the repository");
        }
        arguments
    }

    /// Variables in either of Compose's two forms.
    fn variables(&mut self, path: &str, node: &Node) -> EnvVars {
        const NAME: Unfit = Unfit("a variable is named in letters, digits and `_`", "rename it");
        const UNSET: Unfit =
            Unfit("a variable without a value would be the server's", "give it a value, even an empty one: `\"\"`");
        let mut found = EnvVars::default();
        let mut add = |reader: &mut Self, place: Place, path: &str, name: &str, value: Option<String>| {
            let name = reader.fitting(place, path, name.parse::<EnvName>().map_err(|_| NAME));
            if let (Some(name), Some(value)) = (name, value) {
                found.insert(name, value);
            }
        };
        if let Value::Map(entries) = &node.value {
            for (key, node) in entries {
                let path = below(path, &key.text);
                let value = match &node.value {
                    Value::Null => self.fitting(node.place, &path, Err(UNSET)),
                    _ => self.text(&path, node),
                };
                add(self, key.place, &path, &key.text, value);
            }
            return found;
        }
        for item in self.list(path, node) {
            let Some(pair) = self.text(path, item) else { continue };
            match pair.split_once('=') {
                Some((name, value)) => add(self, item.place, path, name, Some(value.to_owned())),
                None => self.unfit(item.place, path, UNSET),
            }
        }
        found
    }

    fn env_files(&mut self, path: &str, node: &Node) -> Vec<EnvFile> {
        let items = match node.value {
            Value::Map(_) => std::slice::from_ref(node),
            _ => self.list(path, node),
        };
        if items.len() > MAX_ENV_FILES {
            let reason = format!("there are more than {MAX_ENV_FILES} files");
            self.refuse(node.place, path, reason, "let one file hold more");
            return Vec::new();
        }
        let mut files = Vec::new();
        for item in items {
            let (mut file, mut required) = (None, true);
            if let Value::Map(_) = item.value {
                for (path, key, node) in self.entries("services.*.env_file.[]", path, item) {
                    match key.text.as_str() {
                        "path" => file = self.inside(&path, node),
                        "required" => required = self.boolean(&path, node).unwrap_or(true),
                        _ => self.unknown(key, &path),
                    }
                }
            } else {
                file = self.inside(path, item);
            }
            files.extend(file.map(|path| EnvFile { path, required }));
        }
        files
    }

    fn waits_for(&mut self, path: &str, node: &Node) -> BTreeMap<OwnName, Condition> {
        let mut others = BTreeMap::new();
        if let Value::Map(entries) = &node.value {
            for (key, node) in entries {
                let path = below(path, &key.text);
                let condition = self.condition(&path, node);
                if let Some(name) = self.fitting(key.place, &path, key.text.parse()) {
                    others.insert(name, condition);
                }
            }
            return others;
        }
        for item in self.list(path, node) {
            others.extend(self.value(path, item).map(|name| (name, Condition::Started)));
        }
        others
    }

    fn condition(&mut self, path: &str, node: &Node) -> Condition {
        let mut condition = Condition::Started;
        for (path, key, node) in self.entries("services.*.depends_on.*", path, node) {
            match key.text.as_str() {
                "condition" => {
                    let made = self.made(&path, node, |text| match text {
                        "service_started" => Ok(Condition::Started),
                        "service_healthy" => Ok(Condition::Healthy),
                        _ => Err(Unfit(
                            "a service can be waited for until it has started or is healthy",
                            "do what comes before in the app's entrypoint",
                        )),
                    });
                    condition = made.unwrap_or(condition);
                }
                "required" => drop(self.boolean(&path, node)),
                _ => self.unknown(key, &path),
            }
        }
        condition
    }

    fn health(&mut self, path: &str, node: &Node) -> Option<Health> {
        let mut health = Health {
            test: Vec::new(),
            interval: Duration::from_secs(10),
            timeout: Duration::from_secs(30),
            start_period: Duration::ZERO,
            retries: 3,
        };
        let second = Duration::from_secs(1);
        let mut disabled = false;
        for (path, key, node) in self.entries("services.*.healthcheck", path, node) {
            match key.text.as_str() {
                "disable" => disabled = self.boolean(&path, node).unwrap_or_default(),
                "test" => health.test = self.test(&path, node),
                "interval" => {
                    let least = Health::SHORTEST_INTERVAL;
                    health.interval = self.duration(&path, node, least, LONGEST_CHECK).unwrap_or(health.interval);
                }
                "timeout" => {
                    health.timeout = self.duration(&path, node, second, LONGEST_CHECK).unwrap_or(health.timeout);
                }
                "start_period" => {
                    health.start_period = self.duration(&path, node, Duration::ZERO, LONGEST_START).unwrap_or_default();
                }
                "retries" => {
                    let number = Unfit("this must be a number", "write one from 1 to 20");
                    let retries = self.made(&path, node, |text| text.parse::<u32>().map_err(|_| number));
                    health.retries = retries.unwrap_or(health.retries).clamp(1, 20);
                }
                _ => self.unknown(key, &path),
            }
        }
        (!disabled && !health.test.is_empty()).then_some(health)
    }

    /// The check's command, or nothing for `NONE`.
    fn test(&mut self, path: &str, node: &Node) -> Vec<String> {
        if let Value::Text(_) = node.value {
            return self.text(path, node).map(|line| vec!["CMD-SHELL".to_owned(), line]).unwrap_or_default();
        }
        let words = self.words(path, node);
        match words.first().map(String::as_str) {
            Some("CMD" | "CMD-SHELL") if words.len() > 1 => words,
            Some("NONE") if words.len() == 1 => Vec::new(),
            _ => {
                let unfit = Unfit("a check begins with `CMD`, `CMD-SHELL` or `NONE`", "see the Compose file reference");
                self.unfit(node.place, path, unfit);
                Vec::new()
            }
        }
    }

    fn exposed(&mut self, path: &str, node: &Node) -> Vec<ContainerPort> {
        self.list(path, node).iter().filter_map(|item| self.made(path, item, container_port).flatten()).collect()
    }

    fn ports(&mut self, path: &str, node: &Node) -> Vec<ContainerPort> {
        let mut ports = Vec::new();
        for item in self.list(path, node) {
            if !matches!(item.value, Value::Map(_)) {
                ports.extend(self.made(path, item, container_port).flatten());
                continue;
            }
            let (mut port, mut tcp) = (None, true);
            for (path, key, node) in self.entries("services.*.ports.[]", path, item) {
                match key.text.as_str() {
                    "target" => port = self.made(&path, node, container_port).flatten(),
                    "protocol" => tcp = self.text(&path, node).is_some_and(|protocol| protocol == "tcp"),
                    _ => self.unknown(key, &path),
                }
            }
            ports.extend(port.filter(|_| tcp));
        }
        ports
    }

    fn mounts(&mut self, path: &str, node: &Node, volumes: &BTreeSet<VolumeName>) -> Vec<OwnMount> {
        let items = self.list(path, node);
        if items.len() > MAX_MOUNTS {
            let reason = format!("there are more than {MAX_MOUNTS} mounts");
            self.refuse(node.place, path, reason, "let one volume hold more");
            return Vec::new();
        }
        let mut mounts = Vec::new();
        for item in items {
            let mount = match item.value {
                Value::Map(_) => self.long_mount(path, item),
                _ => self.made(path, item, short_mount),
            };
            let Some(mount) = mount else { continue };
            if !volumes.contains(&mount.volume) {
                let remedy = "name it under the file's `volumes`";
                self.refuse(item.place, path, "this volume is not declared in the file", remedy);
            }
            mounts.push(mount);
        }
        mounts
    }

    fn long_mount(&mut self, path: &str, node: &Node) -> Option<OwnMount> {
        let (mut kind, mut source, mut target, mut read_only) = (None, None, None, false);
        for (path, key, node) in self.entries("services.*.volumes.[]", path, node) {
            match key.text.as_str() {
                "type" => {
                    let unfit = Unfit(
                        "only named volumes can be mounted",
                        "copy files in the Dockerfile, or use `type: volume`",
                    );
                    kind = self.made(&path, node, |text| if text == "volume" { Ok(()) } else { Err(unfit) });
                }
                "source" => source = self.value(&path, node),
                "target" => target = self.value(&path, node),
                "read_only" => read_only = self.boolean(&path, node)?,
                _ => self.unknown(key, &path),
            }
        }
        match (kind, source, target) {
            (Some(()), Some(volume), Some(target)) => Some(OwnMount { volume, target, read_only }),
            _ => {
                let unfit = Unfit("a mount has a `type`, a `source` and a `target`", "write `name:/path`");
                self.fitting(node.place, path, Err(unfit))
            }
        }
    }

    /// Networks of the file that the service names: all are the one network of the preview.
    fn memberships(&mut self, path: &str, node: &Node) {
        if let Value::Map(entries) = &node.value {
            for (key, node) in entries {
                for (path, key, _) in self.entries("services.*.networks.*", &below(path, &key.text), node) {
                    self.unknown(key, &path);
                }
            }
            return;
        }
        for item in self.list(path, node) {
            self.text(path, item);
        }
    }

    /// Limits are ours; devices are refused wherever they are asked for.
    fn deploy(&mut self, path: &str, node: &Node) {
        for (path, _, node) in self.entries("services.*.deploy", path, node) {
            for (path, _, node) in self.entries("services.*.deploy.resources", &path, node) {
                for (path, key, _) in self.entries("services.*.deploy.resources.reservations", &path, node) {
                    self.unknown(key, &path);
                }
            }
        }
    }
}
