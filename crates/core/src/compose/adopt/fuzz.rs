//! Compose files that ask for the host in ways that nobody has thought of.

use preview_fuzz::{holds, mutated};
use proptest::prelude::*;
use serde_json::Value as Json;

use super::tests::USUAL;
use super::*;

const FILES: [&str; 5] = [
    USUAL,
    "services:\n  app: {build: ., ports: [\"3000\"], volumes: [data:/data]}\nvolumes: {data: }\n",
    "services:\n  app: &app\n    build: {context: .}\n    environment: [A=1, \"B=${X:-y}\"]\n  other:\n    image: redis\n    volumes: [\"/:/host\"]\n",
    "services:\n  web:\n    image: ghcr.io/org/app:main\n    ports: [\"80\"]\n  other:\n    image: redis@sha256:0\n",
    "services:\n  app:\n    image: x\n    build: .\n    privileged: true\n    network_mode: host\n    pid: host\n    devices: [/dev/sda]\n",
];

const WORDS: [&str; 58] = [
    "    privileged: true\n",
    "    cap_add: [ALL]\n",
    "    network_mode: host\n",
    "    pid: host\n",
    "    ipc: host\n",
    "    userns_mode: host\n",
    "    devices: [/dev/kmsg]\n",
    "    security_opt: [seccomp:unconfined]\n",
    "    volumes_from: [x]\n",
    "    extends: {file: /etc/passwd, service: x}\n",
    "    runtime: x\n",
    "    cgroup_parent: /\n",
    "    use_api_socket: true\n",
    "    sysctls: {a: 1}\n",
    "include: [\"oci://evil/x\"]\n",
    "volumes: [\"/:/host\"]",
    "volumes: [\"~/x:/x\"]",
    "volumes: [{type: bind, source: /, target: /h}]",
    "../",
    "/etc/passwd",
    "build: \"https://evil/x.git\"",
    "ssh: [default]",
    "ports: [\"0.0.0.0:22:22\"]",
    "external: true",
    "driver_opts: {o: bind}",
    "${HOME}",
    "${X:-y}",
    "$$",
    "$",
    "\n",
    "\r\n",
    "  ",
    "    ",
    "\t",
    ": ",
    "- ",
    "? ",
    "---\n",
    "...\n",
    "&a ",
    "*app",
    "*a",
    "<<: *app",
    "!!str ",
    "!reset ",
    "{",
    "}",
    "[",
    "]",
    ",",
    "\"",
    "'",
    "|\n",
    "#",
    "services:\n",
    "null",
    "\u{0}",
    "\u{FEFF}",
];

/// Keys of a service each of which is the host's, or somebody else's.
const NEVER: [&str; 22] = [
    "privileged",
    "cap_add",
    "devices",
    "device_cgroup_rules",
    "gpus",
    "network_mode",
    "pid",
    "ipc",
    "uts",
    "userns_mode",
    "cgroup",
    "cgroup_parent",
    "volumes_from",
    "security_opt",
    "sysctls",
    "runtime",
    "credential_spec",
    "extends",
    "use_api_socket",
    "post_start",
    "pre_stop",
    "provider",
];

#[test]
fn own_compose_files() {
    holds("a repository's Compose file", 4, mutated(FILES, WORDS), |text| match adopt(&text) {
        Ok(stack) => asks_for_nothing_of_the_host(&text, &stack),
        Err(refusals) => tells_harmless(&refusals),
    });
}

/// Another reader of the same text sees nothing in it that must be refused. What that reader can't read proves nothing.
fn asks_for_nothing_of_the_host(text: &str, stack: &OwnStack) -> Result<(), TestCaseError> {
    prop_assert!(stack.services.len() < MAX_SERVICES);
    for origin in stack.services.values().map(|service| &service.origin).chain([&stack.app.origin]) {
        let Origin::Image(image) = origin else { continue };
        let image = image.reference(None);
        let host = image.rsplit_once('/').and_then(|(path, _)| path.split('/').next()).unwrap_or_default();
        prop_assert!(
            !image.contains("preview-deployer/") && !host.starts_with("127.") && host != "localhost",
            "{}",
            image
        );
    }
    let Ok(file) = serde_saphyr::from_str::<Json>(text) else { return Ok(()) };
    prop_assert!(file["include"].is_null(), "{}", text);
    for (name, service) in file["services"].as_object().into_iter().flatten() {
        for key in NEVER.iter().filter(|key| service.get(**key).is_some()) {
            prop_assert!(false, "{} has {}:\n{}", name, key, text);
        }
        for volume in service["volumes"].as_array().into_iter().flatten().filter_map(Json::as_str) {
            prop_assert!(!volume.starts_with(['/', '.', '~', '\\']) || !volume.contains(':'), "{}\n{}", volume, text);
        }
    }
    Ok(())
}

fn tells_harmless(refusals: &Refusals) -> Result<(), TestCaseError> {
    prop_assert!((1..=MAX_REFUSALS).contains(&refusals.refusals.len()));
    for refusal in &refusals.refusals {
        let told = refusal.to_string();
        prop_assert!(refusal.line >= 1 && refusal.column >= 1, "{}", told);
        prop_assert!(told.chars().count() < 800 && !told.chars().any(char::is_control), "{:?}", told);
    }
    Ok(())
}
