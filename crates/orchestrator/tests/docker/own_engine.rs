//! A Docker engine of a test's own, with its data on a small disk of its own: what fills a disk, or empties a cache that
//! everybody shares, is not done to the engine of the machine. It takes root.

use std::panic::AssertUnwindSafe;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU8, Ordering};
use std::time::{Duration, Instant};

use futures_util::FutureExt;
use preview_exec::{Limits, Program};
use rustix::process::{Pid, Signal, kill_process};
use tempfile::TempDir;
use tokio::task::JoinHandle;

const LIMIT: Duration = Duration::from_secs(60);

/// An engine that runs.
pub(crate) struct OwnEngine {
    dir: TempDir,
    bridge: String,
    process: JoinHandle<String>,
}

/// Runs a test on an engine of its own with a disk of so many MB, and takes both away again, however the test ends.
pub(crate) async fn on_own_engine(megabytes: u32, test: impl AsyncFnOnce(OwnEngineAt)) {
    let engine = OwnEngine::start(megabytes).await;
    let at =
        OwnEngineAt { host: format!("unix://{}", engine.path("docker.sock").display()), disk: engine.path("disk") };
    let ended = AssertUnwindSafe(test(at)).catch_unwind().await;
    let stopped = AssertUnwindSafe(engine.stop()).catch_unwind().await;
    if let Err(panic) = ended.and(stopped) {
        std::panic::resume_unwind(panic);
    }
}

/// Where it is found.
pub(crate) struct OwnEngineAt {
    /// Its address, `unix:///…`.
    pub(crate) host: String,
    /// Its disk.
    pub(crate) disk: PathBuf,
}

impl OwnEngine {
    async fn start(megabytes: u32) -> Self {
        static NUMBER: AtomicU8 = AtomicU8::new(0);
        let number = NUMBER.fetch_add(1, Ordering::Relaxed);
        let bridge = format!("own{}x{number}", std::process::id());
        let dir = tempfile::Builder::new().prefix("preview-engine-").tempdir().unwrap();
        let path = |name: &str| dir.path().join(name).display().to_string();
        std::fs::create_dir(path("disk")).unwrap();
        run("mount", &["-t", "tmpfs", "-o", &format!("size={megabytes}m"), "none", &path("disk")]).await;
        // A bridge of its own: an engine without one takes away that of the machine's.
        run("ip", &["link", "add", &bridge, "type", "bridge"]).await;
        let net = format!("10.{}.{}.1/24", 218 + number % 2, std::process::id() % 250);
        run("ip", &["address", "add", &net, "dev", &bridge]).await;
        run("ip", &["link", "set", &bridge, "up"]).await;
        let mut dockerd = Program::new("dockerd").limits(Limits::seconds(600)).dir(dir.path());
        for (option, value) in [
            ("--host", format!("unix://{}", path("docker.sock"))),
            ("--data-root", path("disk/docker")),
            ("--exec-root", path("exec")),
            ("--pidfile", path("pid")),
            ("--bridge", bridge.clone()),
            ("--cgroup-parent", format!("/{bridge}")),
        ] {
            dockerd = dockerd.arg(option).arg(value);
        }
        // The rules of the machine's engine stay its own.
        let dockerd = dockerd.args(["--iptables=false", "--ip6tables=false", "--log-level", "error"]);
        let process = tokio::spawn(async move {
            let mut said = String::new();
            let ended = dockerd.run_with(|_, line| said.extend([line, "\n"])).await;
            said + &ended.map_or_else(|error| error.to_string(), |output| output.status.to_string())
        });
        let engine = Self { dir, bridge, process };
        engine.answers().await;
        engine
    }

    fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    async fn answers(&self) {
        let deadline = Instant::now() + LIMIT;
        while tokio::net::UnixStream::connect(self.path("docker.sock")).await.is_err() {
            assert!(!self.process.is_finished(), "dockerd has ended; these tests need it, and root");
            assert!(Instant::now() < deadline, "dockerd does not answer");
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    }

    async fn stop(self) {
        let Self { dir, bridge, process } = self;
        let pid = std::fs::read_to_string(dir.path().join("pid")).unwrap();
        kill_process(Pid::from_raw(pid.trim().parse().unwrap()).unwrap(), Signal::TERM).unwrap();
        let ended = tokio::time::timeout(LIMIT, process).await;
        run("ip", &["link", "delete", &bridge]).await;
        run("umount", &["--lazy", &dir.path().join("disk").display().to_string()]).await;
        remove_groups(&bridge);
        ended.expect("dockerd ends when it is told to").unwrap();
    }
}

async fn run(program: &str, args: &[&str]) {
    Program::new(program).args(args).run().await.unwrap_or_else(|error| panic!("this takes root: {error}"));
}

/// Control groups that the engine made and leaves behind: empty folders, in which the kernel shows files of its own.
fn remove_groups(name: &str) {
    let controllers = std::fs::read_dir("/sys/fs/cgroup").into_iter().flatten().flatten();
    for controller in controllers.map(|entry| entry.path()).chain(["/sys/fs/cgroup".into()]) {
        remove_group(&controller.join(name));
    }
}

fn remove_group(folder: &Path) {
    let inner = std::fs::read_dir(folder).into_iter().flatten().flatten().map(|entry| entry.path());
    inner.filter(|path| path.is_dir()).for_each(|path| remove_group(&path));
    // One that was never made is gone.
    _ = std::fs::remove_dir(folder);
}
