//! Every key of the Compose specification, and what becomes of it in a repository's own file.
//!
//! One table. [`adopt`](super::adopt) asks it for each key that it meets, and what isn't in it is refused: a key that the
//! specification gets tomorrow is refused until somebody has thought about it. [`compare`] tells which those are. Beneath a key that is
//! refused or ours nothing is read, so nothing beneath it stands in the table. Keys that begin with `x-` are extensions, which
//! Compose ignores too.
//!
//! Source: <https://github.com/compose-spec/compose-spec/blob/main/schema/compose-spec.json>

use std::collections::BTreeSet;

use serde_json::Value;

/// What becomes of a key.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verdict {
    /// Taken as it is, within limits.
    Allowed,
    /// Taken, and this is made of it.
    Adjusted(&'static str),
    /// Not read, because this is set for every container.
    Ours(&'static str),
    /// The file is refused.
    Refused {
        /// What the key would do.
        reason: &'static str,
        /// What to do instead.
        remedy: &'static str,
    },
}

impl Verdict {
    /// Its name, for a list.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Allowed => "allowed",
            Self::Adjusted(_) => "adjusted",
            Self::Ours(_) => "ours",
            Self::Refused { .. } => "refused",
        }
    }

    /// What there is to say about it, for a list.
    pub fn note(self) -> String {
        match self {
            Self::Allowed => String::new(),
            Self::Adjusted(what) | Self::Ours(what) => what.to_owned(),
            Self::Refused { reason, remedy } => format!("{reason}; {remedy}"),
        }
    }

    /// Whether what stands beneath it is looked at.
    pub(super) fn is_read(self) -> bool {
        matches!(self, Self::Allowed | Self::Adjusted(_))
    }
}

use Verdict::{Adjusted, Allowed, Ours};

const fn refused(reason: &'static str, remedy: &'static str) -> Verdict {
    Verdict::Refused { reason, remedy }
}

/// The extensions' prefix.
pub(super) const EXTENSION: &str = "x-";

const LIMITS: Verdict = Ours("the server's limits hold for every container");
const NETWORK: Verdict = Ours("all services share one network of the preview's own");
const NAMES: Verdict =
    Ours("names are given by the server, so that previews never meet; services find each other by their names");
const LABELS: Verdict = Ours("labels are set by the server");
const REMOVE: &str = "remove it";
const HOST: Verdict = refused("it opens the host to the container", REMOVE);
const RIGHTS: Verdict = refused("it changes what the kernel lets the container do", REMOVE);
const DEVICES: Verdict = refused("it gives devices of the host", REMOVE);
const SHARES: Verdict = refused("how machine time is shared is the server's", REMOVE);
const NAMING: Verdict = refused("how names are resolved is the server's", "reach services by their names");
const FILES: Verdict =
    refused("it takes files or variables of the server", "copy the file in the Dockerfile, or use `environment`");
const HOOK: Verdict = refused("hooks run beside the container's own program", "do it in the image's entrypoint");
const ELSEWHERE: Verdict = refused("it takes in what another file says", "write it out in this file");
const VARIANTS: Verdict = refused("previews run each service once", REMOVE);
const BUILD: Verdict = refused("it changes how the server builds", REMOVE);
const OUTSIDE: Verdict =
    refused("it names what does not belong to this preview", "name it without `external` and `name`");
const DRIVER: Verdict = refused("a driver's options reach the host", REMOVE);
const ADDRESS: Verdict = refused("addresses are given by the server", "reach services by their names");
const PLATFORM: Verdict = refused("the server has one platform", REMOVE);
const PROVIDED: Verdict = refused("it runs a program on the server", "run it as a service with an `image`");

/// The keys at one place of the file; `*` stands for a name that the author chooses, `[]` for an item of a list.
type Level = (&'static str, &'static [(&'static [&'static str], Verdict)]);

const TABLE: &[Level] = &[
    (
        "",
        &[
            (&["services", "volumes"], Allowed),
            (&["networks"], Adjusted("their names are taken for the one network of the preview's own")),
            (&["version"], Ours("Compose reads it no more either")),
            (&["name"], NAMES),
            (&["include"], ELSEWHERE),
            (&["secrets", "configs"], FILES),
            (&["models"], PROVIDED),
        ],
    ),
    (
        "services.*",
        &[
            (&["build", "command", "entrypoint", "environment", "read_only", "stop_signal", "working_dir"], Allowed),
            (
                &["image"],
                Adjusted(
                    "beside `build` it is not read; otherwise it gets the tag `latest` if it has none, and the app's is pulled anew with each commit",
                ),
            ),
            (&["env_file"], Adjusted("read by the server from the repository; values are literal")),
            (&["depends_on"], Adjusted("`app` starts last")),
            (&["healthcheck"], Adjusted("asked each 2 s at most; the app is asked over HTTP instead")),
            (&["expose"], Adjusted("the app's first port is where it is asked")),
            (
                &["ports"],
                Adjusted("the app's first container port is where it is asked; no host port is taken from the file"),
            ),
            (&["stop_grace_period"], Adjusted("30 s at most")),
            (&["user"], Adjusted("any but root")),
            (&["volumes"], Adjusted("named volumes of this file alone")),
            (&["networks"], Adjusted("one network holds them all; names alone")),
            (&["deploy"], Adjusted("limits are the server's")),
            (&["container_name", "hostname", "domainname"], NAMES),
            (&["labels", "annotations"], LABELS),
            (&["restart"], Ours("what ends is started again")),
            (&["init"], Ours("an init process reaps zombies in every container")),
            (&["logging"], Ours("logs are kept by the server, 10 MB of each container")),
            (&["attach", "stdin_open", "tty"], Ours("nobody is attached to a preview's containers")),
            (
                &["pull_policy", "pull_refresh_after"],
                Ours("the app's image is pulled with each commit, others when they are missing"),
            ),
            (&["cap_drop"], Ours("every capability is dropped")),
            (&["develop"], Ours("a preview follows pushes, not files")),
            (
                &[
                    "cpu_count",
                    "cpu_percent",
                    "cpu_shares",
                    "cpus",
                    "mem_limit",
                    "mem_reservation",
                    "mem_swappiness",
                    "memswap_limit",
                    "pids_limit",
                ],
                LIMITS,
            ),
            (&["cpu_period", "cpu_quota", "cpu_rt_period", "cpu_rt_runtime", "cpuset", "blkio_config"], SHARES),
            (
                &["privileged", "cgroup", "cgroup_parent", "ipc", "pid", "uts", "userns_mode", "runtime", "isolation"],
                HOST,
            ),
            (&["cap_add"], refused("it gives the container more rights", "let the image's user do without them")),
            (&["security_opt", "sysctls", "ulimits", "oom_kill_disable", "oom_score_adj", "storage_opt"], RIGHTS),
            (&["group_add"], refused("it gives the container more rights", "set the group in `user`")),
            (&["credential_spec"], FILES),
            (&["use_api_socket"], refused("it gives the container the engine's socket", REMOVE)),
            (&["devices", "device_cgroup_rules", "gpus"], DEVICES),
            (
                &["network_mode"],
                refused(
                    "it takes the container out of the preview's network",
                    "remove it; services reach each other by name",
                ),
            ),
            (&["volumes_from"], refused("it takes volumes of other containers", "name the volume in `volumes`")),
            (&["tmpfs"], refused("what it holds is memory", "write to `/tmp`, or name a volume in `volumes`")),
            (&["shm_size"], refused("what it holds is memory; each container has 64 MB of it", REMOVE)),
            (&["dns", "dns_opt", "dns_search", "extra_hosts", "links", "external_links"], NAMING),
            (&["mac_address"], ADDRESS),
            (&["extends"], ELSEWHERE),
            (&["label_file", "secrets", "configs"], FILES),
            (&["post_start", "pre_start", "pre_stop"], HOOK),
            (&["profiles"], refused("every service of the file runs", "leave services out that no preview needs")),
            (&["scale"], VARIANTS),
            (&["platform"], PLATFORM),
            (&["provider", "models"], PROVIDED),
        ],
    ),
    (
        "services.*.build",
        &[
            (&["context", "dockerfile", "target"], Allowed),
            (&["args"], Adjusted("none that steers the builder (`BUILDKIT_…`), and no proxy")),
            (&["labels"], LABELS),
            (
                &["no_cache", "no_cache_filter", "pull", "cache_from", "provenance", "sbom"],
                Ours("the server decides what is kept"),
            ),
            (&["shm_size"], LIMITS),
            (&["tags"], Ours("the server names what it builds")),
            (
                &["additional_contexts"],
                refused("a build sees its context alone", "put what it needs beneath `context`"),
            ),
            (&["cache_to"], refused("it writes elsewhere", REMOVE)),
            (
                &["dockerfile_inline"],
                refused("a Dockerfile is a file here", "put it into a file and name it in `dockerfile`"),
            ),
            (&["entitlements", "privileged", "network", "isolation", "ulimits", "extra_hosts"], BUILD),
            (&["secrets", "ssh"], refused("builds get no secrets", REMOVE)),
            (&["platforms"], PLATFORM),
        ],
    ),
    (
        "services.*.depends_on.*",
        &[(&["condition", "required"], Allowed), (&["restart"], Ours("services are started again one by one"))],
    ),
    (
        "services.*.healthcheck",
        &[
            (&["disable", "test"], Allowed),
            (&["interval"], Adjusted("2 s at least, 60 s at most")),
            (&["timeout"], Adjusted("1 s at least, 60 s at most")),
            (&["start_period"], Adjusted("120 s at most")),
            (&["retries"], Adjusted("from 1 to 20")),
            (&["start_interval"], Ours("older engines don't know it")),
        ],
    ),
    (
        "services.*.env_file.[]",
        &[(&["path", "required"], Allowed), (&["format"], refused("lines are `KEY=value`", REMOVE))],
    ),
    (
        "services.*.ports.[]",
        &[
            (&["target", "protocol"], Adjusted("where the app listens, over TCP")),
            (&["published", "host_ip", "mode"], Ours("host ports are the server's, on 127.0.0.1")),
            (&["name", "app_protocol"], Ours("nobody reads it")),
        ],
    ),
    (
        "services.*.volumes.[]",
        &[
            (&["type"], Adjusted("`volume` alone")),
            (&["source", "target", "read_only"], Allowed),
            (&["consistency"], Ours("it has no meaning here")),
            (&["bind"], refused("it mounts a path of the host", "copy files in the Dockerfile, or name a volume")),
            (&["tmpfs"], refused("what it holds is memory", "name a volume")),
            (&["image"], refused("it mounts another image", "copy from it in the Dockerfile")),
            (&["volume"], refused("it changes how the volume is made", REMOVE)),
        ],
    ),
    (
        "services.*.networks.*",
        &[
            (&["aliases"], refused("services are found by their names", "rename the service")),
            (&["ipv4_address", "ipv6_address", "link_local_ips", "mac_address"], ADDRESS),
            (&["driver_opts"], DRIVER),
            (&["gw_priority", "interface_name", "priority"], refused("there is one network", REMOVE)),
        ],
    ),
    (
        "services.*.deploy",
        &[
            (&["resources"], Adjusted("limits are the server's")),
            (&["labels"], LABELS),
            (&["restart_policy"], Ours("what ends is started again")),
            (&["update_config", "rollback_config", "placement", "endpoint_mode"], Ours("there is one server")),
            (&["mode", "replicas"], VARIANTS),
        ],
    ),
    (
        "services.*.deploy.resources",
        &[(&["limits"], LIMITS), (&["reservations"], Adjusted("devices are refused, the rest is the server's"))],
    ),
    (
        "services.*.deploy.resources.reservations",
        &[(&["cpus", "memory"], LIMITS), (&["devices", "generic_resources"], DEVICES)],
    ),
    (
        "networks.*",
        &[
            (&["driver"], Adjusted("`bridge` alone")),
            (&["labels"], LABELS),
            (&["attachable"], NETWORK),
            (&["internal"], refused("the preview's one network reaches the internet", REMOVE)),
            (&["external", "name"], OUTSIDE),
            (&["driver_opts"], DRIVER),
            (&["ipam", "enable_ipv4", "enable_ipv6"], ADDRESS),
        ],
    ),
    (
        "volumes.*",
        &[
            (&["driver"], Adjusted("`local` alone")),
            (&["labels"], LABELS),
            (&["external", "name"], OUTSIDE),
            (&["driver_opts"], DRIVER),
        ],
    ),
];

/// What becomes of a key at a place such as `services.*.build`; `None` for one that isn't in the table.
pub fn verdict(level: &str, key: &str) -> Option<Verdict> {
    let (_, rows) = TABLE.iter().find(|(path, _)| *path == level)?;
    rows.iter().find(|(keys, _)| keys.contains(&key)).map(|(_, verdict)| *verdict)
}

/// Every key of the table with its place, such as `services.*.build.args`.
pub fn all() -> impl Iterator<Item = (String, Verdict)> {
    let below = |level: &str, key: &str| if level.is_empty() { key.to_owned() } else { format!("{level}.{key}") };
    TABLE.iter().flat_map(move |(level, rows)| {
        rows.iter().flat_map(move |(keys, verdict)| keys.iter().map(move |key| (below(level, key), *verdict)))
    })
}

/// In what the table and a schema differ.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Difference {
    /// Keys of the schema that the table has no verdict for. They are refused.
    pub new: BTreeSet<String>,
    /// Keys of the table that the schema doesn't know.
    pub gone: BTreeSet<String>,
}

impl Difference {
    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        *self == Self::default()
    }
}

/// Compares the table with a JSON schema of the specification.
pub fn compare(schema: &Value) -> Difference {
    let mut known = BTreeSet::new();
    collect(schema, schema, &mut Vec::new(), &mut Vec::new(), &mut known);
    let table: Vec<(String, Verdict)> = all().collect();
    let listed: BTreeSet<&str> = table.iter().map(|(path, _)| path.as_str()).collect();
    let closed = |path: &str| {
        let above = |(closed, verdict): &(String, Verdict)| {
            !verdict.is_read() && path.strip_prefix(closed.as_str()).is_some_and(|rest| rest.starts_with('.'))
        };
        table.iter().any(above)
    };
    let new = known.iter().filter(|path| !listed.contains(path.as_str()) && !closed(path)).cloned().collect();
    let gone = listed.iter().filter(|path| !known.contains(**path)).map(|path| (*path).to_owned()).collect();
    Difference { new, gone }
}

/// Collects the paths of a schema's named keys. A definition within itself isn't followed again.
fn collect<'a>(
    root: &'a Value,
    schema: &'a Value,
    path: &mut Vec<String>,
    within: &mut Vec<&'a str>,
    found: &mut BTreeSet<String>,
) {
    let name = schema["$ref"].as_str().filter(|name| !within.contains(name));
    if let Some((name, target)) = name.and_then(|name| Some((name, root.pointer(name.strip_prefix('#')?)?))) {
        within.push(name);
        collect(root, target, path, within, found);
        within.pop();
    }
    let choices = ["oneOf", "anyOf", "allOf"].into_iter().filter_map(|word| schema[word].as_array()).flatten();
    choices.for_each(|choice| collect(root, choice, path, within, found));
    let named = schema["properties"].as_object().into_iter().flatten();
    for (key, beneath) in named {
        path.push(key.clone());
        found.insert(path.join("."));
        collect(root, beneath, path, within, found);
        path.pop();
    }
    let patterns = schema["patternProperties"].as_object().into_iter().flatten();
    let chosen = patterns.filter(|(pattern, _)| !pattern.starts_with("^x-")).map(|(_, beneath)| ("*", beneath));
    let others = [("*", &schema["additionalProperties"]), ("[]", &schema["items"])];
    for (step, beneath) in chosen.chain(others).filter(|(_, beneath)| beneath.is_object()) {
        path.push(step.to_owned());
        collect(root, beneath, path, within, found);
        path.pop();
    }
}

#[cfg(test)]
mod tests;
