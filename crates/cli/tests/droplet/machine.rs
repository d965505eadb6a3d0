//! A machine as a provider hands it out: systemd, sshd, an address. It is a container with an init of its own.

use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use preview_exec::{Limits, Output, Program};
use serde_json::Value;
use tempfile::TempDir;
use tokio::task::JoinHandle;

use crate::{ansible, root, tell};

/// How long anything of it may take: two slow cores may be busy with others.
pub(crate) const PATIENCE: Duration = Duration::from_secs(120);

/// A running machine. It goes, with all that is on it, when this is dropped.
pub(crate) struct Machine {
    name: String,
    image: String,
    dir: TempDir,
    pub(crate) address: String,
    /// Beneath it are the control groups of all its containers and builds.
    pub(crate) group: String,
    tunnel: Option<(Vec<u16>, JoinHandle<()>)>,
}

/// What a run of the playbook did.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Recap {
    pub(crate) changed: u32,
    failed: u32,
    /// The tasks that changed something.
    pub(crate) tasks: Vec<String>,
}

async fn docker(words: &[&str]) -> String {
    let output = Program::new("docker").args(words).inherit_env("HOME").limits(Limits::seconds(300)).run().await;
    output.unwrap_or_else(|error| panic!("docker {words:?}: {error:?}")).text().trim().to_owned()
}

impl Machine {
    /// Boots one that whoever holds its key may enter. `DROPLET_BASE` is the image of another system to make it of.
    pub(crate) async fn boot() -> Self {
        let here = root().join("crates/cli/tests/droplet/machine").display().to_string();
        let base = std::env::var("DROPLET_BASE").unwrap_or_else(|_| "debian:bookworm-slim".to_owned());
        let image = format!("preview-droplet:{}", base.replace([':', '/'], "-"));
        docker(&["build", "--quiet", "--build-arg", &format!("BASE={base}"), "--tag", &image, &here]).await;
        let number: u32 = rand::random_range(0..1 << 24);
        let (name, group) = (format!("preview-droplet-{number}"), format!("/preview-droplet-{number}"));
        let dir = tempfile::Builder::new().prefix("preview-droplet-").tempdir().unwrap();
        docker(&["network", "create", &name]).await;
        let mut machine = Self { name, image, dir, address: String::new(), group, tunnel: None };
        let mut words =
            vec!["run", "--detach", "--name", &machine.name, "--hostname", "droplet", "--network", &machine.name];
        words.extend(["--cap-add", "ALL", "--cap-drop", "SYS_RESOURCE", "--security-opt", "seccomp=unconfined"]);
        words.extend(["--cgroupns=host", "-v", "/sys/fs/cgroup:/sys/fs/cgroup:rw"]);
        words.extend(["--tmpfs", "/run", "--tmpfs", "/run/lock"]);
        // Docker inside of Docker needs a file system of its own.
        words.extend(["-v", "/var/lib/docker", &machine.image]);
        docker(&words).await;
        machine.has_booted().await;
        machine.let_in().await;
        // It shares the control groups of the machine that it runs on; what its engine was told before stays.
        let told = format!(r#"{{"cgroup-parent": "{}"}}"#, machine.group);
        machine.run(&format!("mkdir -p /etc/docker && echo '{told}' >/etc/docker/daemon.json")).await;
        // Nor may it change what the kernel does with IPv6 on a network card, which engines from 26 on insist on.
        let unit = "/etc/systemd/system/docker.service.d";
        let told = "[Service]\\nEnvironment=DOCKER_ALLOW_IPV6_ON_IPV4_INTERFACE=1\\n";
        machine.run(&format!("mkdir -p {unit} && printf '{told}' >{unit}/no-ipv6.conf")).await;
        machine
    }

    async fn has_booted(&mut self) {
        let state = ["exec", &self.name, "systemctl", "is-system-running"].map(str::to_owned);
        eventually("the machine has booted", async || {
            let asked = Program::new("docker").args(&state).inherit_env("HOME").status().await.ok()?;
            ["running\n", "degraded\n"].contains(&asked.text().as_str()).then_some(())
        })
        .await;
        let format = "{{range .NetworkSettings.Networks}}{{.IPAddress}}{{end}}";
        self.address = docker(&["inspect", "--format", format, &self.name]).await;
    }

    /// Its key, as a provider puts it there.
    async fn let_in(&self) {
        let key = self.key();
        let make = Program::new("ssh-keygen").args(["-q", "-t", "ed25519", "-N", "", "-f"]).arg(&key);
        make.run().await.unwrap();
        let public = std::fs::read(key.with_extension("pub")).unwrap();
        let script = "mkdir -p -m 0700 /root/.ssh && cat >/root/.ssh/authorized_keys";
        let put = Program::new("docker").args(["exec", "--interactive", &self.name, "sh", "-c", script]).stdin(public);
        put.inherit_env("HOME").run().await.unwrap();
        eventually("SSH answers", async || self.ssh(&["true"]).run().await.ok()).await;
    }

    /// The private key that opens it.
    pub(crate) fn key(&self) -> PathBuf {
        self.dir.path().join("key")
    }

    fn ssh_options(&self) -> Vec<String> {
        let (key, known) = (self.key(), self.dir.path().join("known_hosts"));
        let known = format!("UserKnownHostsFile={}", known.display());
        let options = ["StrictHostKeyChecking=accept-new", "BatchMode=yes", "LogLevel=ERROR", &known];
        let options = options.iter().flat_map(|option| ["-o".to_owned(), (*option).to_owned()]);
        options.chain(["-i".to_owned(), key.display().to_string()]).collect()
    }

    /// A command on the machine, over SSH.
    pub(crate) fn ssh(&self, command: &[&str]) -> Program {
        let program = Program::new("ssh").args(self.ssh_options()).arg(format!("root@{}", self.address));
        program.arg("--").args(command).inherit_env("HOME").limits(Limits::seconds(120))
    }

    /// What a command on the machine says.
    pub(crate) async fn run(&self, command: &str) -> String {
        let output = self.ssh(&[command]).run().await;
        output.unwrap_or_else(|error| panic!("{command}: {error:?}")).text().trim().to_owned()
    }

    /// How a command on the machine ended.
    pub(crate) async fn try_to(&self, command: &str) -> Output {
        self.ssh(&[command]).status().await.unwrap()
    }

    /// Runs the playbook with these variables, which go through a file that nobody else reads.
    pub(crate) async fn playbook(&self, variables: &Value, more: &[&str]) -> Recap {
        let inventory = self.dir.path().join("inventory");
        let given = self.file("variables.json", variables.to_string().as_bytes());
        let options = self.ssh_options().join(" ");
        let line = format!("{} ansible_user=root ansible_ssh_common_args='{options}'\n", self.address);
        std::fs::write(&inventory, line).unwrap();
        let program = ansible("ansible-playbook").arg("--inventory").arg(&inventory).arg("site.yml").args(more);
        let program = program.args(["--extra-vars".to_owned(), format!("@{}", given.display())]);
        let begun = Instant::now();
        let output = program
            .limits(Limits { silence: Duration::from_secs(600), ..Limits::seconds(2400) })
            .status()
            .await
            .unwrap();
        let text = output.text();
        let recap = read_recap(&text).unwrap_or_else(|| panic!("{text}{}", output.stderr));
        let seconds = begun.elapsed().as_secs();
        tell(&format!("ansible-playbook {}: changed={} in {seconds} s", more.join(" "), recap.changed));
        assert_eq!(recap.failed, 0, "{text}{}", output.stderr);
        for secret in variables["preview_secrets"].as_object().into_iter().flatten() {
            let value = secret.1.as_str().unwrap();
            assert!(!text.contains(value) && !output.stderr.contains(value), "{} is in Ansible's output", secret.0);
        }
        assert!(
            !text.contains("PRIVATE KEY") && !output.stderr.contains("PRIVATE KEY"),
            "a key is in Ansible's output"
        );
        recap
    }

    /// A file on this machine that nobody else reads.
    pub(crate) fn file(&self, name: &str, content: &[u8]) -> PathBuf {
        let file = self.dir.path().join(name);
        std::fs::write(&file, content).unwrap();
        std::fs::set_permissions(&file, std::fs::Permissions::from_mode(0o600)).unwrap();
        file
    }

    /// Brings an image of this machine's engine into the other's.
    pub(crate) async fn bring_image(&self, image: &str) {
        let saved = self.dir.path().join("image.tar");
        docker(&["save", "--output", &saved.display().to_string(), image]).await;
        let image = std::fs::read(&saved).unwrap();
        self.ssh(&["docker load --quiet"]).stdin(image).limits(Limits::seconds(300)).run().await.unwrap();
        std::fs::remove_file(saved).unwrap();
    }

    /// Makes these ports of this machine's loopback address ones of the other's, and no others: what listens here is found there.
    pub(crate) async fn share_ports(&mut self, ports: &[u16]) {
        let program = Program::new("ssh").args(self.ssh_options()).args(["-N", "-o", "ExitOnForwardFailure=yes"]);
        let forward = |port: &u16| ["-R".to_owned(), format!("{port}:127.0.0.1:{port}")];
        let program = program.args(ports.iter().flat_map(forward));
        let program = program.arg(format!("root@{}", self.address)).inherit_env("HOME").limits(Limits::seconds(3600));
        if let Some((former, tunnel)) = self.tunnel.take() {
            tunnel.abort();
            // The same ports may be wanted again.
            let listens = |port: &u16| format!("ss -Hltn sport = :{port} | grep -q . && exit 1");
            let closed = former.iter().map(listens).chain(["true".to_owned()]).collect::<Vec<_>>().join("; ");
            eventually("the former tunnel is closed", async || self.ssh(&[&closed]).run().await.ok()).await;
        }
        self.tunnel = Some((ports.to_vec(), tokio::spawn(async move { drop(program.run().await) })));
        let listens: Vec<String> = ports.iter().map(|port| format!("ss -Hltn sport = :{port} | grep -q .")).collect();
        let listens = listens.join(" && ");
        eventually("the tunnel is dug", async || self.ssh(&[&listens]).run().await.ok()).await;
    }

    /// Switches it off and on again.
    pub(crate) async fn restart(&mut self) {
        let tunnel = self.tunnel.take();
        docker(&["restart", "--time", "60", &self.name]).await;
        self.has_booted().await;
        eventually("SSH answers", async || self.ssh(&["true"]).run().await.ok()).await;
        if let Some((ports, task)) = tunnel {
            task.abort();
            self.share_ports(&ports).await;
        }
    }

    /// What a neighbour on the machine's own network says to a script.
    pub(crate) async fn neighbour(&self, script: &str) -> String {
        let mut words = vec!["run", "--rm", "--cap-add", "NET_ADMIN", "--network", &self.name];
        words.extend(["--entrypoint", "sh", &self.image, "-c", script]);
        docker(&words).await
    }
}

/// `203.0.113.7 : ok=52 changed=31 unreachable=0 failed=0 …`, below what each task did.
fn read_recap(text: &str) -> Option<Recap> {
    let (before, recap) = text.split_once("PLAY RECAP")?;
    let number = |name: &str| {
        let (_, rest) = recap.split_once(&format!("{name}="))?;
        rest.split_whitespace().next()?.parse::<u32>().ok()
    };
    let did_change = |task: &&str| task.lines().any(|line| line.starts_with("changed:"));
    let title = |task: &str| task.lines().next().unwrap_or_default().trim_end_matches([' ', '*']).to_owned();
    let tasks = before.split("\n\n").filter(did_change).map(title).collect();
    Some(Recap { changed: number("changed")?, failed: number("failed")? + number("unreachable")?, tasks })
}

#[test]
fn a_recap_is_read() {
    let text = "PLAY ***\n\nTASK [a : One] ***\nchanged: [x] => (item=1)\n\nTASK [a : Two] ***\nok: [x]\n\nPLAY RECAP ****\nx   : ok=52   \
                changed=31   unreachable=0    failed=1    skipped=3\n";
    let tasks = vec!["TASK [a : One]".to_owned()];
    assert_eq!(read_recap(text), Some(Recap { changed: 31, failed: 1, tasks }));
    assert_eq!(read_recap("ERROR! no hosts"), None);
}

/// Waits for something that has no event.
pub(crate) async fn eventually<T>(what: &str, mut look: impl AsyncFnMut() -> Option<T>) -> T {
    let begun = Instant::now();
    loop {
        if let Some(found) = look().await {
            return found;
        }
        assert!(begun.elapsed() < PATIENCE, "{what}: not within {PATIENCE:?}");
        tokio::time::sleep(Duration::from_millis(200)).await;
    }
}

/// Control groups go one by one, the innermost first: their files are the kernel's.
fn remove_groups(group: &Path) {
    for inner in std::fs::read_dir(group).into_iter().flatten().flatten() {
        if inner.file_type().is_ok_and(|kind| kind.is_dir()) {
            remove_groups(&inner.path());
        }
    }
    drop(std::fs::remove_dir(group));
}

impl Drop for Machine {
    fn drop(&mut self) {
        if let Some((_, tunnel)) = &self.tunnel {
            tunnel.abort();
        }
        let docker =
            |words: &[&str]| Program::new("docker").args(words).inherit_env("HOME").limits(Limits::seconds(120));
        // What went wrong on it goes with it.
        let last_words = "journalctl --unit preview-orchestrator --lines 300 --no-pager --output cat";
        let last_words = std::thread::panicking().then(|| docker(&["exec", &self.name, "sh", "-c", last_words]));
        let container = docker(&["rm", "--force", "--volumes", &self.name]);
        let network = docker(&["network", "rm", &self.name]);
        // Its own runtime: this may be the end of the test's.
        let remove = std::thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
            runtime.block_on(async {
                if let Some(last_words) = last_words {
                    let said = last_words.run().await.map(|said| said.text());
                    tell(&format!("the service's log: {}", said.unwrap_or_default()));
                }
                _ = container.run().await;
                _ = network.run().await;
            });
        });
        drop(remove.join());
        for kind in std::fs::read_dir("/sys/fs/cgroup").into_iter().flatten().flatten() {
            remove_groups(&kind.path().join(self.group.trim_start_matches('/')));
        }
    }
}
