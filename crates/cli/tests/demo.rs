//! `preview demo`, the real binary on a real engine: what it says, how it ends, and that it leaves nothing.

use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use preview_exec::{ExecError, Limits, Output, Program};
use preview_simulator::{Change, Mimic};
use rustix::process::{Pid, Signal, kill_process};
use tempfile::TempDir;

/// How long anything may take before a test gives up.
const PATIENCE: Duration = Duration::from_secs(180);

/// The ledger's lock, in the demo's folder.
const LOCK: &str = "state/deployments.json.lock";

/// A demo that runs, in a folder for temporary files of its own.
struct Running {
    folder: TempDir,
    said: Arc<Mutex<String>>,
    ended: tokio::task::JoinHandle<Result<Output, ExecError>>,
}

impl Running {
    fn start(args: &[&str], environment: &[(&str, &str)]) -> Self {
        Self::command("demo", args, environment)
    }

    fn command(command: &str, args: &[&str], environment: &[(&str, &str)]) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let limits = Limits::seconds(PATIENCE.as_secs()).keeping(1 << 20);
        let program = Program::new(env!("CARGO_BIN_EXE_preview")).arg(command).args(args).limits(limits);
        let program = environment.iter().fold(program, |program, (name, value)| program.env(name, value));
        let program = program.inherit_env("HOME").env("TMPDIR", folder.path());
        let said = Arc::new(Mutex::new(String::new()));
        let heard = said.clone();
        let ended =
            tokio::spawn(async move { program.run_with(|_, line| heard.lock().unwrap().extend([line, "\n"])).await });
        Self { folder, said, ended }
    }

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
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }

    /// Where the service has all its files.
    fn state_folder(&self) -> PathBuf {
        let entries = std::fs::read_dir(self.folder.path()).unwrap().flatten().map(|entry| entry.path());
        entries.into_iter().find(|path| path.join(LOCK).exists()).expect("the service has its ledger")
    }

    /// Ctrl-C, as far as a process can tell.
    fn interrupt(&self) {
        let pid = std::fs::read_to_string(self.state_folder().join(LOCK)).unwrap().trim().parse().unwrap();
        kill_process(Pid::from_raw(pid).unwrap(), Signal::INT).unwrap();
    }

    /// Waits for its end, and sees that neither Docker nor the disk has anything of it.
    async fn end(self) -> (Result<Output, ExecError>, String) {
        let ended = self.ended.await.unwrap();
        let said = self.said.lock().unwrap().clone();
        for owner in owners(&said) {
            assert_eq!(in_docker(&owner).await, Vec::<String>::new(), "{said}");
        }
        let files: Vec<_> = std::fs::read_dir(self.folder.path()).unwrap().map(|file| file.unwrap().path()).collect();
        assert_eq!(files, Vec::<std::path::PathBuf>::new(), "{said}");
        (ended, said)
    }
}

/// Owners of the demo's repositories, which are in the names of everything that is in Docker.
fn owners(said: &str) -> Vec<String> {
    let words = said.split(|c: char| c.is_whitespace() || c == '/');
    words.filter(|word| word.starts_with("acme-") && word.len() == "acme-0000".len()).map(str::to_owned).collect()
}

async fn in_docker(owner: &str) -> Vec<String> {
    let mut found = Vec::new();
    for list in [&["container", "ls", "--all"][..], &["network", "ls"], &["volume", "ls"], &["image", "ls", "--all"]] {
        let show = ["--filter", "label=preview-deployer.deployment", "--format", "{{json .}}"];
        let docker = Program::new("docker").args(list).args(show).inherit_env("HOME");
        let text = docker.run().await.unwrap().text();
        found.extend(text.lines().filter(|line| line.contains(owner)).map(str::to_owned));
    }
    found
}

#[tokio::test(flavor = "multi_thread")]
async fn the_whole_story_as_make_demo_tells_it() {
    let (ended, said) = Running::start(&["--once"], &[]).end().await;
    ended.unwrap();
    for wanted in [
        "the page says “Hello from a pull request”",
        "🟢 Preview is ready",
        "the page says “Hello from its second commit”",
        "requests during the update, 0 failed",
        "🟠 Preview update failed while building the image",
        "the page still says “Hello from its second commit”",
        "every URL answers 404",
        "0 leftovers",
    ] {
        assert!(said.contains(wanted), "{wanted:?} is missing:\n{said}");
    }
    assert!(!said.contains('\u{1b}'), "what is no terminal gets plain text:\n{said}");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_left_over_is_named_and_the_exit_code_tells() {
    let demo = Running::start(&["--once", "--app", "go-hello"], &[]);
    // The service has looked for what is left over by then, and looks again in an hour.
    demo.until_it_says("Preview is ready").await;
    let stray = demo.state_folder().join("deployments/nobody-knows-7");
    std::fs::create_dir(&stray).unwrap();
    let ended = demo.ended.await.unwrap().unwrap_err();
    let told = ended.stderr();
    assert!(told.contains("nobody-knows-7") && told.contains("should be left over"), "{told}");
    assert!(!stray.exists(), "and it is removed");
}

#[tokio::test(flavor = "multi_thread")]
async fn ctrl_c_in_the_middle_cleans_up() {
    let demo = Running::start(&["--app", "go-hello"], &[]);
    demo.until_it_says("webhook received").await;
    demo.interrupt();
    let (ended, said) = demo.end().await;
    ended.unwrap();
    assert!(said.contains("0 leftovers") && !said.contains("Preview is ready"), "{said}");
}

#[tokio::test(flavor = "multi_thread")]
async fn ones_own_repository_stays_until_ctrl_c() {
    let repository = mimic_repository().await;
    let demo = Running::start(&["--repo", repository.path().to_str().unwrap()], &[]);
    demo.until_it_says("until you press Ctrl-C").await;
    let said = demo.said();
    let url = said.split_whitespace().find(|word| word.starts_with("http://")).unwrap().to_owned();
    preview_orchestrator::github::install_tls();
    assert_eq!(reqwest::get(&url).await.unwrap().text().await.unwrap().trim(), "mine");
    assert_ne!(in_docker(&owners(&said)[0]).await, Vec::<String>::new());
    demo.interrupt();
    let (ended, said) = demo.end().await;
    ended.unwrap();
    assert!(said.contains("0 leftovers"), "{said}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_folder_comes_up_with_what_is_in_no_commit_and_goes_with_ctrl_c() {
    let repository = mimic_repository().await;
    std::fs::write(repository.path().join("VERSION"), "in no commit yet").unwrap();
    let up = Running::command("up", &[repository.path().to_str().unwrap()], &[]);
    up.until_it_says("until you press Ctrl-C").await;
    let said = up.said();
    assert!(said.contains("of the folder as it is"), "{said}");
    let url = said.split_whitespace().find(|word| word.starts_with("http://")).unwrap().to_owned();
    preview_orchestrator::github::install_tls();
    assert_eq!(reqwest::get(&url).await.unwrap().text().await.unwrap().trim(), "in no commit yet");
    up.interrupt();
    let (ended, said) = up.end().await;
    ended.unwrap();
    assert!(said.contains("0 leftovers"), "{said}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_script_gets_the_record_while_the_preview_is_up_and_the_story_goes_to_standard_error() {
    let repository = mimic_repository().await;
    let path = repository.path().to_str().unwrap();
    let up = Running::command("up", &[path, "--json"], &[]);
    up.until_it_says("\n}\n").await;
    let said = up.said();
    let url = said.split_once("\"url\": \"").unwrap().1.split_once('"').unwrap().0.to_owned();
    preview_orchestrator::github::install_tls();
    assert_eq!(reqwest::get(&url).await.unwrap().text().await.unwrap().trim(), "mine");
    up.interrupt();
    let (ended, said) = up.end().await;
    let output = ended.unwrap();
    let record: serde_json::Value = serde_json::from_str(&output.text()).unwrap();
    assert_eq!((&record["url"], &record["status"], &record["prNumber"]), (&url.into(), &"running".into(), &1.into()));
    assert!(record["deploymentId"].as_str().unwrap().starts_with("acme-"), "{record}");
    assert!(output.stderr.contains("until you press Ctrl-C") && output.stderr.contains("0 leftovers"), "{said}");

    let once = Running::command("demo", &["--repo", path, "--once", "--json"], &[]);
    let output = once.end().await.0.unwrap();
    let records: Vec<serde_json::Value> = serde_json::from_str(&output.text()).unwrap();
    assert!(records.len() == 1 && records[0]["status"] == "running", "{records:?}");
    assert!(output.stderr.contains("That was all of it"), "{}", output.stderr);

    // Who stops it before there is anything to tell gets no empty result.
    let stopped = Running::command("up", &[path, "--json"], &[]);
    stopped.until_it_says("A pull request is opened").await;
    stopped.interrupt();
    let told = stopped.ended.await.unwrap().unwrap_err();
    assert!(told.stderr().contains("error: interrupted before the end of the story"), "{told}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_folder_that_can_not_be_built_is_told_why_and_leaves_nothing_up() {
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("index.html"), "<p>").unwrap();
    let up = Running::command("up", &["--once", folder.path().to_str().unwrap()], &[]);
    let ended = up.ended.await.unwrap().unwrap_err();
    let told = ended.stderr();
    assert!(told.contains("should have come up") && told.contains("no framework was recognised"), "{told}");
    let said = up.said.lock().unwrap().clone();
    for owner in owners(&said) {
        assert_eq!(in_docker(&owner).await, Vec::<String>::new());
    }
    let script = Running::command("up", &["--once", "--json", folder.path().to_str().unwrap()], &[]);
    let ExecError::Failed { output, .. } = script.ended.await.unwrap().unwrap_err() else { panic!("it says why") };
    let told: serde_json::Value = serde_json::from_str(&output.text()).unwrap();
    assert_eq!(told["error"]["message"], "the preview should have come up");
    assert!(told["error"]["details"].to_string().contains("no framework was recognised"), "{told}");
    let nowhere = Running::command("up", &["/no/such/folder"], &[]).end().await.0.unwrap_err();
    assert!(nowhere.stderr().starts_with("error: `/no/such/folder` can't be used"), "{nowhere}");
}

/// A repository as somebody has it on their disk, with one commit.
async fn mimic_repository() -> TempDir {
    let folder = tempfile::tempdir().unwrap();
    for change in Mimic::new("mine").repository().await.unwrap() {
        let Change::Write { path, bytes, executable } = change else { panic!("a mimic has only files") };
        std::fs::write(folder.path().join(&path), bytes).unwrap();
        if executable {
            make_executable(&folder.path().join(path));
        }
    }
    for args in [&["init", "--quiet"][..], &["add", "."], &["commit", "--quiet", "--message=One"]] {
        let git = Program::new("git").args(["-c", "user.name=Me", "-c", "user.email=me@example.com"]).args(args);
        git.dir(folder.path()).run().await.unwrap();
    }
    folder
}

fn make_executable(path: &Path) {
    use std::os::unix::fs::PermissionsExt;
    std::fs::set_permissions(path, PermissionsExt::from_mode(0o755)).unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn without_docker_it_says_what_to_do() {
    let nowhere = [("DOCKER_HOST", "unix:///nonexistent/docker.sock")];
    let (ended, _) = Running::start(&["--once", "--app", "go-hello"], &nowhere).end().await;
    let told = ended.unwrap_err().stderr().to_owned();
    assert!(told.contains("/nonexistent/docker.sock") && told.contains("make demo"), "{told}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_folder_that_is_no_repository_is_named() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().to_str().unwrap();
    let (ended, _) = Running::start(&["--once", "--repo", path], &[]).end().await;
    let told = ended.unwrap_err().stderr().to_owned();
    assert!(told.contains(path) && told.contains("no Git repository"), "{told}");
}
