//! A Docker engine of a test's own, for what must not happen to the one that all tests share.
//!
//! It has a bridge, folders and control groups of its own and leaves the machine's packet filter alone: previews are reached
//! through Docker's proxy, and their networks lead nowhere else.

use std::fs::File;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use preview_exec::{Limits, Program};
use rustix::process::{Pid, Signal, kill_process};
use tempfile::TempDir;

/// How long it may take to start, and to stop with its containers.
const PATIENCE: Duration = Duration::from_secs(30);

/// Where the kernel shows control groups.
pub(crate) const GROUPS: &str = "/sys/fs/cgroup";

/// Set in a process that has a network of its own.
pub(crate) const OWN_NETWORK: &str = "PREVIEW_E2E_NETWORK";

/// A running engine.
pub(crate) struct Engine {
    dir: TempDir,
    /// The name of its default bridge.
    pub(crate) bridge: String,
    /// This machine's address on it.
    pub(crate) gateway: String,
    /// Beneath it are the control groups of all its containers and builds.
    pub(crate) group: String,
    /// What it is told they are beneath.
    pub(crate) parent: String,
}

/// Whether the kernel has version 2 of control groups here, which knows no kinds of them.
pub(crate) fn is_unified() -> bool {
    Path::new(GROUPS).join("cgroup.controllers").exists()
}

impl Engine {
    /// Starts one and waits until it answers.
    pub(crate) async fn start() -> Self {
        Self::prepare().await.started().await
    }

    /// Starts one whose data lie on a disk of their own, of so many MB (in memory).
    pub(crate) async fn start_on_disk(megabytes: u32) -> Self {
        let engine = Self::prepare().await;
        let disk = engine.disk().display().to_string();
        let mount = ["-t", "tmpfs", "-o", &format!("size={megabytes}m"), "none", &disk];
        Program::new("mount").args(mount).run().await.unwrap();
        engine.started().await
    }

    /// One that is not started yet.
    pub(crate) async fn prepare() -> Self {
        let dir = tempfile::Builder::new().prefix("preview-engine-").tempdir().unwrap();
        let number: u16 = rand::random_range(0..16_384);
        let group = format!("/preview-e2e-{number}");
        let engine = Self {
            dir,
            bridge: format!("pde{number}"),
            gateway: format!("10.{}.{}.1", 192 + number / 256, number % 256),
            parent: group.clone(),
            group,
        };
        std::fs::create_dir(engine.disk()).unwrap();
        engine.make_bridge().await;
        engine
    }

    /// Starts it, and waits until it answers.
    pub(crate) async fn started(self) -> Self {
        self.start_again().await;
        self
    }

    /// Starts it after a stop, and waits until it answers.
    pub(crate) async fn start_again(&self) {
        self.run_dockerd();
        let begun = Instant::now();
        while Program::new("docker").args(["--host", &self.host(), "version"]).run().await.is_err() {
            assert!(begun.elapsed() < PATIENCE, "the engine does not answer: {}", self.log());
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    }

    async fn make_bridge(&self) {
        let address = format!("{}/24", self.gateway);
        for words in [
            &["link", "add", &self.bridge, "type", "bridge"][..],
            &["address", "add", &address, "dev", &self.bridge],
            &["link", "set", &self.bridge, "up"],
        ] {
            Program::new("ip").args(words).run().await.unwrap();
        }
    }

    /// Killed with the test, it would leave containers behind; so it is told to stop, even if the test itself is killed.
    fn run_dockerd(&self) {
        let path = |name: &str| self.path(name).display().to_string();
        // In a network of the test's own (see `network`) the packet filter is the test's own too.
        let firewall = std::env::var_os(OWN_NETWORK).is_some();
        let dockerd = Program::new("bash")
            .args(["-c", &self.in_its_group("exec setpriv --pdeathsig TERM dockerd \"$@\""), "dockerd"])
            .args(["--host", &self.host()])
            .args(["--data-root", &path("data"), "--exec-root", &path("exec"), "--pidfile", &path("pid")])
            .args(["--bridge", &self.bridge])
            .args(self.path("daemon.json").exists().then(|| format!("--config-file={}", path("daemon.json"))))
            .args(["iptables", "ip-masq", "ip-forward"].map(|what| format!("--{what}={firewall}")))
            // What systemd holds it would want as a slice; these groups are the test's own to make and to remove.
            .args(["--exec-opt", "native.cgroupdriver=cgroupfs", "--cgroup-parent", &self.parent])
            .limits(Limits::seconds(1200));
        let mut log = File::create(self.path("log")).unwrap();
        tokio::spawn(async move { dockerd.run_with(move |_, line| writeln!(log, "{line}").unwrap()).await });
    }

    /// A script that goes into a group of the engine's own first, in which systemd would start it.
    fn in_its_group(&self, script: &str) -> String {
        let kinds = if is_unified() { "." } else { "{memory,cpu,pids}" };
        let own = format!("\"{GROUPS}\"/{kinds}{}/engine", self.group);
        format!("for own in {own}; do mkdir -p \"$own\" && echo $$ >\"$own\"/cgroup.procs || exit; done; {script}")
    }

    /// One of its files.
    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    /// Where its data lie.
    pub(crate) fn disk(&self) -> PathBuf {
        self.path("data")
    }

    /// Its address.
    pub(crate) fn host(&self) -> String {
        format!("unix://{}", self.path("docker.sock").display())
    }

    fn log(&self) -> String {
        std::fs::read_to_string(self.path("log")).unwrap_or_default()
    }

    /// Its process id, while it runs: it takes the file away when it ends.
    fn pid(&self) -> Option<Pid> {
        Pid::from_raw(std::fs::read_to_string(self.path("pid")).ok()?.trim().parse().ok()?)
    }

    /// Has it end, with its containers, as `systemctl stop docker` does.
    pub(crate) fn stop(&self) {
        let Some(pid) = self.pid() else { return };
        let begun = Instant::now();
        let _ = kill_process(pid, Signal::TERM);
        while self.pid().is_some() && begun.elapsed() < PATIENCE {
            std::thread::sleep(Duration::from_millis(20));
        }
    }

    /// Of version 1 there is a group for each kind of resource, of version 2 one for all.
    fn remove_groups(&self) {
        let all = PathBuf::from(GROUPS);
        let kinds = std::fs::read_dir(&all).into_iter().flatten().flatten().map(|kind| kind.path());
        for kind in kinds.chain([all]) {
            remove_groups_of(&kind.join(self.group.trim_start_matches('/')));
        }
    }
}

impl Drop for Engine {
    fn drop(&mut self) {
        self.stop();
        self.remove_groups();
        let link = Program::new("ip").args(["link", "delete", &self.bridge]);
        // Where it never was a disk of its own, that is refused.
        let disk = Program::new("umount").args(["--lazy", "--quiet"]).arg(self.disk());
        // Its own runtime: this may be the end of the test's.
        let remove = std::thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
            runtime.block_on(async { _ = tokio::join!(link.run(), disk.run()) });
        });
        drop(remove.join());
    }
}

/// Removes a control group with those beneath it; the files in them aren't anybody's to remove.
fn remove_groups_of(group: &Path) {
    let beneath = std::fs::read_dir(group).into_iter().flatten().flatten();
    beneath
        .filter(|entry| entry.file_type().is_ok_and(|kind| kind.is_dir()))
        .for_each(|entry| remove_groups_of(&entry.path()));
    drop(std::fs::remove_dir(group));
}
