//! Where something listens within a container, looked at from outside: nothing in it is run, and nothing of it is read.
//!
//! The kernel shows the sockets of a process's network under `/proc`. The engine names the container's first process; whether
//! that number is still, and on this machine, the container's, its control group tells.

use std::fs::File;
use std::io::Read;
use std::net::SocketAddr;

use preview_core::diagnosis;
use preview_core::ids::DeploymentId;

use super::Engine;
use super::api::ask;
use crate::needs::Part;

/// More than any app's table of sockets.
const LONGEST: u64 = 4 << 20;
/// Runtimes whose containers' sockets are the kernel's own. Others, such as gVisor, have a network that the kernel knows nothing of.
const OF_THE_KERNEL: [&str; 4] = ["runc", "crun", "youki", "io.containerd.runc.v2"];

impl Engine {
    pub(super) async fn sockets_of(&self, id: &DeploymentId, part: Part) -> Option<Vec<SocketAddr>> {
        let container = self.containers_of(id, part).await.ok()?.pop()?;
        let found = ask("inspect a container", self.docker.inspect_container(&container.id, None)).await.ok()?;
        let runtime = found.host_config.and_then(|config| config.runtime);
        if !runtime.is_none_or(|name| OF_THE_KERNEL.contains(&name.as_str())) {
            return None;
        }
        let pid = found.state?.pid.filter(|pid| *pid > 0)?;
        let sockets: Vec<SocketAddr> = ["net/tcp", "net/tcp6"]
            .iter()
            .filter_map(|table| read(pid, table))
            .flat_map(|text| diagnosis::listening(&text))
            .collect();
        // Asked last: a number that was given to somebody else meanwhile is found out.
        read(pid, "cgroup")?.contains(&container.id).then_some(sockets)
    }
}

fn read(pid: i64, name: &str) -> Option<String> {
    let mut text = String::new();
    File::open(format!("/proc/{pid}/{name}")).ok()?.take(LONGEST).read_to_string(&mut text).ok()?;
    Some(text)
}
