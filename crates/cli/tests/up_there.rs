//! `preview up` on a server, from a laptop: a real `ssh` and a real SSH server, a real engine, and the real program at both ends. Only
//! what the server's shell finds differs from a server that was set up: how one becomes the service's user, and where.

use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use preview_exec::{ExecError, Limits, Output, Program};
use preview_simulator::programs::Running;
use preview_simulator::{Change, Mimic, free_port};
use rustix::process::{Pid, Signal, kill_process};
use serde_json::Value;
use tempfile::TempDir;
use tokio::task::JoinHandle;

/// How long anything may take before a test gives up.
const PATIENCE: Duration = Duration::from_secs(180);
const PAUSE: Duration = Duration::from_millis(20);

/// What the server's shell is: the folder of the service is any, and programs of ours come first.
const SHELL: &str = "export PATH=\"$THERE:$PATH\" TMPDIR=\"$THERE/tmp\"\neval \"$SSH_ORIGINAL_COMMAND\"";

/// A laptop with an installation, and its server.
struct World {
    dir: TempDir,
    /// The user's folder, whose name a shell would take for much.
    folder: PathBuf,
    sshd: Running,
}

/// A command on the laptop.
struct Up {
    said: Arc<Mutex<String>>,
    ended: JoinHandle<Result<Output, ExecError>>,
    pid: PathBuf,
}

impl World {
    async fn new() -> Self {
        Self::with("").await
    }

    /// With a line more in the SSH server's settings.
    async fn with(setting: &str) -> Self {
        let dir = tempfile::tempdir().unwrap();
        for folder in ["home", "here", "there/tmp"] {
            std::fs::create_dir_all(dir.path().join(folder)).unwrap();
        }
        for key in ["key", "host_key"] {
            let make = Program::new("ssh-keygen").args(["-q", "-t", "ed25519", "-N", "", "-f"]);
            make.arg(dir.path().join(key)).run().await.unwrap();
        }
        let port = free_port();
        let path = |name: &str| dir.path().join(name).display().to_string();
        let config = format!(
            "project_name: previews\nserver:\n  host: root@127.0.0.1:{port}\nssh_key: {}\nrepositories: [my-org/my-app]\n",
            path("key")
        );
        std::fs::write(path("home/config.yml"), config).unwrap();
        let settings = format!(
            "Port {port}\nListenAddress 127.0.0.1\nHostKey {}\nAuthorizedKeysFile {}\nForceCommand {}\nPidFile none\nStrictModes no\n\
             UsePAM no\nPasswordAuthentication no\nKbdInteractiveAuthentication no\n{setting}\n",
            path("host_key"),
            path("key.pub"),
            path("there/shell"),
        );
        std::fs::write(path("sshd_config"), settings).unwrap();
        // Where the part of it lives that has no rights.
        std::fs::create_dir_all("/run/sshd").unwrap();
        let sshd = Program::new("/usr/sbin/sshd").args(["-D", "-e", "-f", &path("sshd_config")]);
        let sshd = Running::start("openssh-server", sshd);
        let folder = dir.path().join("it's $(mine) & \"yours\"");
        let world = Self { folder, dir, sshd };
        world.program("shell", SHELL);
        world.program("sh", "cd() { :; }; export -f cd; exec bash --norc \"$@\"");
        world.program("runuser", "[ \"$1 $2 $3\" = '-u preview --' ] || exit 9; shift 3; exec \"$@\"");
        world.program("sudo", "[ \"$1 $2\" = '-u preview' ] || exit 9; shift 2; exec \"$@\"");
        world.program("preview", &format!("exec {} \"$@\"", env!("CARGO_BIN_EXE_preview")));
        world.fill().await;
        let begun = Instant::now();
        while tokio::net::TcpStream::connect(("127.0.0.1", port)).await.is_err() {
            assert!(begun.elapsed() < PATIENCE, "sshd does not start: {}", world.sshd.said());
            tokio::time::sleep(PAUSE).await;
        }
        world
    }

    /// A program that the server's shell finds.
    fn program(&self, name: &str, script: &str) {
        let file = self.dir.path().join("there").join(name);
        let there = self.dir.path().join("there");
        std::fs::write(&file, format!("#!/bin/bash\nexport THERE='{}'\n{script}\n", there.display())).unwrap();
        std::fs::set_permissions(file, PermissionsExt::from_mode(0o755)).unwrap();
    }

    /// Puts an app into the folder, with a change that is in no commit, and a file that Git ignores.
    async fn fill(&self) {
        std::fs::create_dir(&self.folder).unwrap();
        for change in Mimic::new("mine").repository().await.unwrap() {
            let Change::Write { path, bytes, executable } = change else { panic!("a mimic has only files") };
            let file = self.folder.join(&path);
            std::fs::write(&file, bytes).unwrap();
            if executable {
                std::fs::set_permissions(file, PermissionsExt::from_mode(0o755)).unwrap();
            }
        }
        for args in [&["init", "--quiet"][..], &["add", "."], &["commit", "--quiet", "--message=One"]] {
            let git = Program::new("git").args(["-c", "user.name=Me", "-c", "user.email=me@example.com"]).args(args);
            git.dir(&self.folder).run().await.unwrap();
        }
        std::fs::write(self.folder.join("VERSION"), "in no commit yet").unwrap();
    }

    /// `preview up --on-server`, of the folder.
    fn up(&self, args: &[&str]) -> Up {
        self.preview(&[&["up", "--on-server", self.folder.to_str().unwrap()], args].concat())
    }

    fn preview(&self, args: &[&str]) -> Up {
        let pid = self.dir.path().join("pid");
        let _ = std::fs::remove_file(&pid);
        // Who writes its number down becomes the command.
        let program = Program::new("/bin/sh").args([
            "-c",
            "echo $$ >\"$PID.new\" && mv \"$PID.new\" \"$PID\" && exec \"$@\"",
            "sh",
        ]);
        let program = program.arg(env!("CARGO_BIN_EXE_preview")).args(args).env("PID", &pid).dir(self.dir.path());
        let program =
            program.env("PREVIEW_HOME", self.dir.path().join("home")).env("TMPDIR", self.dir.path().join("here"));
        let program = program.inherit_env("HOME").limits(Limits::seconds(PATIENCE.as_secs()).keeping(1 << 20));
        let said = Arc::new(Mutex::new(String::new()));
        let heard = said.clone();
        let ended =
            tokio::spawn(async move { program.run_with(|_, line| heard.lock().unwrap().extend([line, "\n"])).await });
        Up { said, ended, pid }
    }

    /// The folder that the server has for what came.
    fn scratch(&self) -> Option<PathBuf> {
        files(&self.dir.path().join("there/tmp")).pop()
    }

    /// Sees that nothing of it is left: here, over there, or in Docker.
    async fn is_as_before(&self, said: &str) {
        let begun = Instant::now();
        while self.scratch().is_some() {
            assert!(begun.elapsed() < PATIENCE, "{:?} is still there:\n{said}", self.scratch());
            tokio::time::sleep(PAUSE).await;
        }
        assert_eq!(files(&self.dir.path().join("here")), Vec::<PathBuf>::new(), "{said}");
        for owner in owners(said) {
            assert_eq!(in_docker(&owner).await, Vec::<String>::new(), "{said}");
        }
    }
}

impl Up {
    fn said(&self) -> String {
        self.said.lock().unwrap().clone()
    }

    async fn until_it_says(&self, text: &str) {
        let since = Instant::now();
        while !self.said().contains(text) {
            assert!(
                since.elapsed() < PATIENCE && !self.ended.is_finished(),
                "it never said {text:?}:\n{}",
                self.said()
            );
            tokio::time::sleep(PAUSE).await;
        }
    }

    fn gets(&self, signal: Signal) {
        let pid = std::fs::read_to_string(&self.pid).unwrap().trim().parse().unwrap();
        kill_process(Pid::from_raw(pid).unwrap(), signal).unwrap();
    }

    /// Exit code, standard output, and standard error.
    async fn end(self) -> (i32, String, String) {
        let output = match self.ended.await.unwrap() {
            Ok(output) => output,
            Err(ExecError::Failed { output, .. }) => *output,
            Err(error) => panic!("{error}"),
        };
        (output.status.code().unwrap(), output.text(), output.stderr)
    }
}

fn files(folder: &Path) -> Vec<PathBuf> {
    std::fs::read_dir(folder).unwrap().map(|file| file.unwrap().path()).collect()
}

/// Owners of repositories, which are in the names of everything that is in Docker.
fn owners(said: &str) -> Vec<String> {
    let words = said.split(|c: char| !c.is_ascii_alphanumeric() && c != '-');
    words
        .filter(|word| word.starts_with("acme-"))
        .map(|word| word["acme-".len()..].chars().take(4).collect())
        .map(|hex: String| format!("acme-{hex}"))
        .collect()
}

async fn in_docker(owner: &str) -> Vec<String> {
    let mut found = Vec::new();
    for list in [&["container", "ls", "--all"][..], &["network", "ls"], &["volume", "ls"], &["image", "ls", "--all"]] {
        let show = ["--filter", "label=preview-deployer.deployment", "--format", "{{json .}}"];
        let text = Program::new("docker").args(list).args(show).inherit_env("HOME").run().await.unwrap().text();
        found.extend(text.lines().filter(|line| line.contains(owner)).map(str::to_owned));
    }
    found
}

/// What a browser on the laptop would show.
async fn page(url: &str) -> String {
    preview_orchestrator::github::install_tls();
    reqwest::get(url).await.unwrap().text().await.unwrap().trim().to_owned()
}

fn url(said: &str) -> String {
    said.split_whitespace().find(|word| word.starts_with("http://127.0.0.1:")).unwrap().to_owned()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_folder_comes_up_on_the_server_answers_here_and_goes_with_ctrl_c() {
    let world = World::new().await;
    let up = world.up(&[]);
    up.until_it_says("until you press Ctrl-C").await;
    let said = up.said();
    assert!(said.contains("of the folder as it is") && said.contains("on the server"), "{said}");
    assert_eq!(page(&url(&said)).await, "in no commit yet");
    assert_ne!(in_docker(&owners(&said)[0]).await, Vec::<String>::new());
    for (folder, count) in [("there/tmp", 1), ("here", 1)] {
        let of_ours = files(&world.dir.path().join(folder));
        let modes = of_ours.iter().map(|file| std::fs::metadata(file).unwrap().permissions().mode() & 0o777);
        assert_eq!(
            modes.collect::<Vec<_>>(),
            vec![0o700; count],
            "nobody else may look into what was sent: {of_ours:?}"
        );
    }
    up.gets(Signal::INT);
    let (code, said, told) = up.end().await;
    assert!(code == 0 && said.contains("0 leftovers"), "{code}\n{said}{told}");
    assert!(!said.contains("preview-up/1"), "{said}");
    world.is_as_before(&said).await;
    assert!(reqwest::get(url(&said)).await.is_err(), "nobody answers there any more");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_laptop_that_is_gone_leaves_nothing_up() {
    let world = World::new().await;
    let up = world.up(&[]);
    up.until_it_says("until you press Ctrl-C").await;
    up.gets(Signal::KILL);
    let said = up.said();
    drop(up.ended.await);
    // It could not clean up here.
    for left in files(&world.dir.path().join("here")) {
        std::fs::remove_dir_all(left).unwrap();
    }
    world.is_as_before(&said).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn ctrl_c_while_it_is_built_takes_down_what_there_is() {
    let world = World::new().await;
    let up = world.up(&[]);
    up.until_it_says("webhook received").await;
    up.gets(Signal::INT);
    let (code, said, told) = up.end().await;
    assert!(code == 0 && said.contains("0 leftovers"), "{code}\n{said}{told}");
    world.is_as_before(&said).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_script_gets_the_record_or_why_there_is_none() {
    let world = World::new().await;
    let (code, said, told) = world.up(&["--once", "--json"]).end().await;
    let record: Value = serde_json::from_str(&said).unwrap();
    assert_eq!((code, &record["status"], &record["prNumber"]), (0, &"running".into(), &1.into()), "{told}");
    assert!(record["url"].as_str().unwrap().starts_with("http://127.0.0.1:"), "{record}");
    assert!(told.contains("That was all of it"), "{told}");
    world.is_as_before(&said).await;

    let nothing = world.dir.path().join("nothing");
    std::fs::create_dir(&nothing).unwrap();
    std::fs::write(nothing.join("index.html"), "<p>").unwrap();
    let (code, said, told) = world.preview(&["up", "--on-server", "--json", nothing.to_str().unwrap()]).end().await;
    let failed: Value = serde_json::from_str(&said).unwrap();
    assert_eq!((code, &failed["error"]["message"]), (1, &"the preview should have come up".into()), "{told}");
    assert!(failed["error"]["details"].to_string().contains("no framework was recognised"), "{failed}");
    assert!(told.contains("error: the preview should have come up") && !told.contains("log is in"), "{told}");
    world.is_as_before(&told).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_that_can_not_is_told_with_what_to_do() {
    let world = World::new().await;
    let shown = async |args: &[&str]| {
        let (code, said, told) = world.up(args).end().await;
        world.is_as_before(&told).await;
        format!("{said}{told}=> {code}\n").replace(&world.dir.path().display().to_string(), "DIR")
    };
    let steady = |text: String| {
        let mut words = text.split("127.0.0.1:");
        let first = words.next().unwrap().to_owned();
        words.fold(first, |text, rest| {
            format!("{text}127.0.0.1:PORT{}", rest.trim_start_matches(|c: char| c.is_ascii_digit()))
        })
    };
    world.program("preview", "printf \"error: unexpected argument '--received' found\\n\" >&2; exit 2");
    insta::assert_snapshot!("an_older_program", steady(shown(&[]).await));
    world.program("preview", "echo 'preview: command not found' >&2; exit 127");
    insta::assert_snapshot!("no_program", steady(shown(&[]).await));
    let (_, said, _) = world.up(&["--json"]).end().await;
    let failed: Value = serde_json::from_str(&said).unwrap();
    assert_eq!(failed["error"]["details"][0], "preview: command not found");
    // Nothing is sent to who does not say that it takes it.
    world.program("preview", "cat >\"$THERE/came\"");
    let up = world.up(&[]);
    while !world.dir.path().join("there/came").exists() {
        tokio::time::sleep(PAUSE).await;
    }
    up.gets(Signal::INT);
    let (code, _, told) = up.end().await;
    assert!(code == 130 && told.contains("error: stopped before the folder was sent"), "{code} {told}");
    assert_eq!(std::fs::read_to_string(world.dir.path().join("there/came")).unwrap(), "");
    // A server that dies in the middle.
    world.program(
        "preview",
        "echo 'preview-up/1 ready'; read -r line; printf %s \"$line\" >\"$THERE/first\"; kill -9 $PPID",
    );
    let (code, _, told) = world.up(&[]).end().await;
    assert!(code == 255 && told.contains("error: the connection to 127.0.0.1 ended"), "{code} {told}");
    assert!(told.contains("taken down within a minute"), "{told}");
    let first: Value =
        serde_json::from_str(&std::fs::read_to_string(world.dir.path().join("there/first")).unwrap()).unwrap();
    assert_eq!(first["name"], "it-s---mine-----yours");

    std::fs::remove_file(world.dir.path().join("home/config.yml")).unwrap();
    insta::assert_snapshot!("no_installation", steady(shown(&[]).await));
    let both = world.preview(&["up", "--on-server", "--server", "root@127.0.0.1"]).end().await;
    assert!(both.0 == 2 && both.2.contains("cannot be used with"), "{}", both.2);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_that_lets_nothing_through_is_told_and_has_nothing_up() {
    let world = World::with("AllowTcpForwarding no").await;
    let (code, said, told) = world.up(&[]).end().await;
    assert!(code == 1 && told.contains("error: 127.0.0.1 lets nothing through to the preview's port"), "{code} {told}");
    assert!(told.contains("hint: its SSH server has to allow that: `AllowTcpForwarding yes`"), "{told}");
    world.is_as_before(&said).await;
}
