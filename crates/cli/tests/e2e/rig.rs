//! An installation under test: a model of GitHub, `preview serve` as a process of its own, and a router in front.

use std::fs::File;
use std::future::Future;
use std::net::TcpListener;
use std::os::fd::{AsRawFd, OwnedFd};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU16, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use preview_core::ids::ProjectSlug;
use preview_exec::{Limits, Program};
use preview_simulator::state::{Comment, Status, StatusState};
use preview_simulator::{
    APP_KEY, App, Change, Fault, FaultGuard, GitHub, Matching, Mimic, NewPull, Options, Pull, Repo, Source, free_port,
    sha256_signature,
};
use rustix::process::{Pid, Signal, kill_process};
use serde_json::{Value, json};
use tempfile::TempDir;
use tokio::task::JoinHandle;

use crate::gate::Gate;
use crate::load::Seen;
use crate::nginx::Nginx;

/// How long anything may take before a test gives up: two slow cores may be busy with other tests.
pub(crate) const PATIENCE: Duration = Duration::from_secs(90);
/// Between two looks at something that has no event.
const LOOK: Duration = Duration::from_millis(25);
/// The API's token of every installation under test.
pub(crate) const TOKEN: &str = "api-token-of-the-end-to-end-tests";

/// Which router an installation uses.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum RouterKind {
    Builtin,
    Nginx,
}

/// An installation to be.
pub(crate) struct Setup {
    router: RouterKind,
    repos: Vec<String>,
    content: Option<PathBuf>,
    app: Option<App>,
    settings: Vec<(String, String)>,
}

impl Setup {
    /// One that serves one repository under an owner of its own (names of containers and networks are the engine's, which
    /// all tests share), with a resync each second.
    pub(crate) fn new() -> Self {
        let settings = [("RESYNC_INTERVAL_SECONDS", "1"), ("LOG_LEVEL", "debug"), ("HEALTH_TIMEOUT_SECONDS", "10")];
        Self {
            router: RouterKind::Builtin,
            repos: vec![format!("{}/app", unique_owner())],
            content: None,
            app: None,
            settings: settings.map(|(name, value)| (name.to_owned(), value.to_owned())).to_vec(),
        }
    }

    pub(crate) fn router(mut self, router: RouterKind) -> Self {
        self.router = router;
        self
    }

    /// Serves these repositories instead; see [`unique_owner`].
    pub(crate) fn repos(mut self, repos: impl IntoIterator<Item = String>) -> Self {
        self.repos = repos.into_iter().collect();
        self
    }

    /// The repositories hold one of `examples/` instead of a mimic.
    pub(crate) fn example(mut self, name: &str) -> Self {
        self.content = Some(Path::new(env!("CARGO_MANIFEST_DIR")).join("../../examples").join(name));
        self
    }

    /// Signs in as this GitHub App, in place of a token.
    pub(crate) fn app(mut self, app: App) -> Self {
        self.app = Some(app);
        self
    }

    /// Sets a variable of the service.
    pub(crate) fn set(mut self, name: &str, value: impl ToString) -> Self {
        self.settings.retain(|(known, _)| known != name);
        self.settings.push((name.to_owned(), value.to_string()));
        self
    }

    /// A rig with GitHub and its repositories (each holding a mimic unless told otherwise), the service not yet started.
    pub(crate) async fn prepare(self) -> Rig {
        let github = GitHub::start(Options { app: self.app.clone(), ..Options::default() }).await.unwrap();
        for name in &self.repos {
            let content: Source = match &self.content {
                Some(folder) => folder.clone().into(),
                None => Mimic::new("main").repository().await.unwrap().into(),
            };
            github.create_repo(name, content).await.unwrap();
        }
        let dir = tempfile::Builder::new().prefix("preview-e2e-").tempdir().unwrap();
        let nginx = match self.router {
            RouterKind::Builtin => None,
            RouterKind::Nginx => Some(Nginx::start().await),
        };
        let berth = Berth::take();
        let (api, visitors) = (free_port(), nginx.as_ref().map_or_else(free_port, |nginx| nginx.port));
        let base = format!("http://127.0.0.1:{visitors}");
        let mut settings = self.settings;
        settings.extend(own_settings(&github, dir.path(), &self.repos, api, visitors, &base, &berth));
        settings.extend(identity(&github, self.app.as_ref(), dir.path()));
        settings.extend(nginx.iter().flat_map(Nginx::settings));
        for name in &self.repos {
            github.repo(name).unwrap().add_hook(&format!("http://127.0.0.1:{api}/webhook/github"));
        }
        preview_orchestrator::github::install_tls();
        // A connection for each request: nginx closes idle ones when it reloads, and a request may be on its way by then. An
        // answer that never comes fails a test, instead of holding it for ever.
        let http = reqwest::Client::builder().pool_max_idle_per_host(0).timeout(PATIENCE);
        let http = http.redirect(reqwest::redirect::Policy::none()).build().unwrap();
        let api = format!("http://127.0.0.1:{api}");
        Rig {
            github,
            repos: self.repos,
            base,
            http,
            api,
            dir,
            settings,
            nginx,
            gate: None,
            sockets: Vec::new(),
            service: None,
            _berth: berth,
        }
    }

    /// A rig whose service answers.
    pub(crate) async fn start(self) -> Rig {
        let mut rig = self.prepare().await;
        rig.start_service().await;
        rig
    }
}

fn own_settings(
    github: &GitHub,
    dir: &Path,
    repos: &[String],
    api: u16,
    visitors: u16,
    base: &str,
    berth: &Berth,
) -> Vec<(String, String)> {
    let path = |name: &str| dir.join(name).display().to_string();
    let settings = [
        ("GITHUB_WEBHOOK_SECRET", github.webhook_secret().to_owned()),
        ("GITHUB_API_URL", github.api_url()),
        ("GITHUB_SERVER_URL", github.server_url()),
        ("ALLOWED_REPOS", repos.join(",")),
        ("ORCHESTRATOR_PORT", api.to_string()),
        ("API_TOKEN", TOKEN.to_owned()),
        ("ROUTER_PORT", visitors.to_string()),
        ("PREVIEW_BASE_URL", base.to_owned()),
        ("DEPLOYMENTS_DIR", path("deployments")),
        ("DEPLOYMENTS_DB", path("state/deployments.json")),
        ("LOG_DIR", path("logs")),
        ("APP_PORT_START", berth.apps().to_string()),
        ("DB_PORT_START", berth.databases().to_string()),
        ("PREVIEW_SUBNET", format!("10.{}.0.0/20", 130 + berth.number)),
        ("FIREWALL", "off".to_owned()),
    ];
    settings.map(|(name, value)| (name.to_owned(), value)).to_vec()
}

/// Who the service is to GitHub.
fn identity(github: &GitHub, app: Option<&App>, dir: &Path) -> Vec<(String, String)> {
    let Some(app) = app else { return vec![("GITHUB_TOKEN".to_owned(), github.token().to_owned())] };
    let key = dir.join("app.pem");
    std::fs::write(&key, APP_KEY).unwrap();
    std::fs::set_permissions(&key, std::fs::Permissions::from_mode(0o600)).unwrap();
    vec![
        ("GITHUB_APP_ID".to_owned(), app.id.to_string()),
        ("GITHUB_APP_PRIVATE_KEY_FILE".to_owned(), key.display().to_string()),
    ]
}

/// Ranges of ports and networks of one's own, so that tests side by side, in this run or in another on the same machine,
/// don't take each other's. Given back when dropped.
struct Berth {
    number: u16,
    _held: File,
}

impl Berth {
    fn take() -> Self {
        let free = |number| {
            let path = std::env::temp_dir().join(format!("preview-e2e-berth-{number}"));
            // Somebody else's file is somebody else's berth.
            let held = File::create(path).ok()?;
            held.try_lock().ok()?;
            let berth = Self { number, _held: held };
            berth.is_empty().then_some(berth)
        };
        (0..60).find_map(free).expect("fewer than 60 installations at a time")
    }

    fn apps(&self) -> u16 {
        10_000 + 200 * self.number
    }

    fn databases(&self) -> u16 {
        23_000 + 100 * self.number
    }

    /// Whether nobody listens where its first previews will, such as a program of this machine that knows nothing of berths.
    fn is_empty(&self) -> bool {
        let mut first = (0..50).flat_map(|n| [self.apps() + n, self.databases() + n]);
        first.all(|port| TcpListener::bind(("127.0.0.1", port)).is_ok())
    }
}

/// An owner of repositories that no other test has.
pub(crate) fn unique_owner() -> String {
    static NUMBER: AtomicU16 = AtomicU16::new(0);
    format!("org{}x{}", std::process::id(), NUMBER.fetch_add(1, Ordering::Relaxed))
}

/// What makes a build that takes so many seconds, and the command that runs meanwhile: no other build has it.
pub(crate) fn slow_build(version: &str, seconds: u16) -> (Vec<Change>, String) {
    static NUMBER: AtomicU16 = AtomicU16::new(0);
    let sleep = format!("sleep {seconds}.{}{:04}", std::process::id(), NUMBER.fetch_add(1, Ordering::Relaxed));
    let dockerfile = format!("FROM debian:bookworm-slim\nRUN {sleep}\nCOPY mimic VERSION /\nENTRYPOINT [\"/mimic\"]\n");
    ([Mimic::new(version).files(), vec![Change::write("Dockerfile", dockerfile)]].concat(), sleep)
}

/// Whether a program runs on this machine whose command line is exactly this: Docker's own machine is this one.
pub(crate) fn runs(command: &str) -> bool {
    running(command) > 0
}

/// How many such programs run.
pub(crate) fn running(command: &str) -> usize {
    command_lines().filter(|line| line == command).count()
}

/// Of every process on this machine.
pub(crate) fn command_lines() -> impl Iterator<Item = String> {
    let processes = std::fs::read_dir("/proc").unwrap().flatten();
    // What is no process, or ends meanwhile, reads as an error.
    let lines = processes.filter_map(|process| std::fs::read(process.path().join("cmdline")).ok());
    lines.map(|line| String::from_utf8_lossy(&line).trim_end_matches('\0').replace('\0', " "))
}

/// Every single visitor got what they came for.
pub(crate) fn assert_all_served(seen: &Seen) {
    assert!(seen.failures.is_empty(), "{} of {} failed: {:#?}", seen.failures.len(), seen.visits, seen.failures);
}

/// The process that holds a ledger, as it wrote it into the lock.
pub(crate) fn pid_in(lock: &Path) -> Pid {
    let text = std::fs::read_to_string(lock).unwrap();
    Pid::from_raw(text.trim().parse().unwrap()).unwrap()
}

/// Says how far a long test is: whoever waits for an hour wants to see that something happens.
#[expect(clippy::print_stderr, reason = "a test's output is for the person who runs it")]
pub(crate) fn tell(line: &str) {
    eprintln!("{line}");
}

/// A running installation.
pub(crate) struct Rig {
    pub(crate) github: GitHub,
    /// The repositories that it serves.
    pub(crate) repos: Vec<String>,
    /// What previews' URLs begin with.
    pub(crate) base: String,
    /// The API's address.
    pub(crate) api: String,
    pub(crate) http: reqwest::Client,
    pub(crate) dir: TempDir,
    settings: Vec<(String, String)>,
    pub(crate) nginx: Option<Nginx>,
    gate: Option<Gate>,
    sockets: Vec<(&'static str, Arc<OwnedFd>)>,
    service: Option<JoinHandle<()>>,
    _berth: Berth,
}

impl Rig {
    /// Starts the service and waits until it answers.
    pub(crate) async fn start_service(&mut self) {
        self.launch_service();
        let health = format!("{}/health", self.api);
        self.until("the service answers", async || self.http.get(&health).send().await.is_ok().then_some(())).await;
    }

    /// Starts the service, which may end before it answers.
    pub(crate) fn launch_service(&mut self) {
        assert!(self.service.is_none(), "the service runs already");
        let log = self.log_file();
        let program = match &self.gate {
            Some(gate) => self.preview_at(gate),
            None if self.sockets.is_empty() => self.preview(&["serve"]),
            None => self.preview_on(&self.sockets),
        };
        let program = program.limits(Limits::seconds(1200));
        self.service = Some(tokio::spawn(async move {
            use std::io::Write;
            let mut log = std::fs::OpenOptions::new().create(true).append(true).open(log).unwrap();
            let mut write = |_, line: &str| writeln!(log, "{line}").unwrap();
            let ended = program.run_with(&mut write).await;
            let ended = ended.map_or_else(|error| error.to_string(), |output| output.status.to_string());
            writeln!(log, "--- the service ended: {ended}").unwrap();
        }));
    }

    /// A command of ours, with the service's own settings.
    pub(crate) fn preview(&self, args: &[&str]) -> Program {
        self.with_settings(Program::new(env!("CARGO_BIN_EXE_preview")).args(args))
    }

    fn with_settings(&self, program: Program) -> Program {
        self.settings.iter().fold(program.dir(self.dir.path()), |program, (name, value)| program.env(name, value))
    }

    /// The service, writing its log into the gate's pipe. Bash hands over the very end that it inherits (opened anew it would
    /// have forgotten how the pipe works), and its place is taken by the service.
    fn preview_at(&self, gate: &Gate) -> Program {
        let pipe = gate.open(&self.log_file());
        let end = pipe.as_raw_fd();
        let script = format!("exec \"$0\" serve >&{end} 2>&1 {end}>&-");
        self.with_settings(Program::new("bash").args(["-c", &script, env!("CARGO_BIN_EXE_preview")])).holding(pipe)
    }

    /// The service, with these sockets passed on to it as systemd does: bash moves them to where they belong and says for whom
    /// they are, which is itself until the service takes its place.
    fn preview_on(&self, sockets: &[(&'static str, Arc<OwnedFd>)]) -> Program {
        let ends = || sockets.iter().map(|(_, socket)| socket.as_raw_fd());
        let moved: String = (3..).zip(ends()).map(|(to, from)| format!(" {to}<&{from} {from}<&-")).collect();
        let script = format!("export LISTEN_PID=$$; exec \"$0\" serve{moved}");
        let names: Vec<&str> = sockets.iter().map(|(name, _)| *name).collect();
        let bash = Program::new("bash").args(["-c", &script, env!("CARGO_BIN_EXE_preview")]);
        let bash = bash.env("LISTEN_FDS", names.len().to_string()).env("LISTEN_FDNAMES", names.join(":"));
        sockets.iter().fold(self.with_settings(bash), |bash, (_, socket)| bash.holding(socket.clone()))
    }

    /// Opens the service's sockets for it, and keeps them open while it is replaced.
    pub(crate) fn hold_sockets(&mut self) {
        for (name, variable) in [("router", "ROUTER_PORT"), ("api", "ORCHESTRATOR_PORT")] {
            let port: u16 = self.setting(variable).parse().unwrap();
            let socket = TcpListener::bind(("127.0.0.1", port)).unwrap();
            assert!(socket.as_raw_fd() > 4, "the first two are where they are passed on");
            self.sockets.push((name, Arc::new(socket.into())));
        }
    }

    /// Has the service's log pass through a gate from its next start on.
    pub(crate) fn hold_at_gate(&mut self) -> Gate {
        self.gate.get_or_insert_default().clone()
    }

    /// Where the service's output goes.
    pub(crate) fn log_file(&self) -> PathBuf {
        self.dir.path().join("serve.log")
    }

    /// All that the service has written so far.
    pub(crate) fn log(&self) -> String {
        std::fs::read_to_string(self.log_file()).unwrap_or_default()
    }

    /// Changes a setting for the next start.
    pub(crate) fn set(&mut self, name: &str, value: impl ToString) {
        self.settings.retain(|(known, _)| known != name);
        self.settings.push((name.to_owned(), value.to_string()));
    }

    /// What a setting of the service is.
    pub(crate) fn setting(&self, name: &str) -> &str {
        &self.settings.iter().rfind(|(known, _)| known == name).unwrap().1
    }

    /// `kill -9`, the service alone: what it started has to notice by itself.
    pub(crate) async fn kill_service(&mut self) {
        kill_process(self.service_pid(), Signal::KILL).unwrap();
        self.service.take().unwrap().await.unwrap();
    }

    /// Waits until a service that somebody killed has ended, and its children with it.
    pub(crate) async fn service_was_killed(&mut self) {
        let ended = tokio::time::timeout(Duration::from_secs(10), self.service.take().unwrap()).await;
        ended.expect("the service has ended").unwrap();
        self.until("its children have ended with it", async || self.children().is_empty().then_some(())).await;
    }

    /// SIGTERM, and waits until the service has ended.
    pub(crate) async fn stop_service(&mut self) {
        let service = self.service.take().unwrap();
        kill_process(self.service_pid(), Signal::TERM).unwrap();
        let ended = tokio::time::timeout(Duration::from_secs(30), service).await;
        ended.expect("the service ends within 30 s of SIGTERM").unwrap();
    }

    /// The ledger's lock.
    pub(crate) fn lock_file(&self) -> PathBuf {
        self.dir.path().join("state/deployments.json.lock")
    }

    /// The service's process id.
    pub(crate) fn service_pid(&self) -> Pid {
        pid_in(&self.lock_file())
    }

    /// Command lines of what runs in this installation's folders: children of the service.
    pub(crate) fn children(&self) -> Vec<String> {
        let dir = self.dir.path().display().to_string();
        command_lines().filter(|line| line.contains(&dir)).collect()
    }

    /// The first repository.
    pub(crate) fn repo(&self) -> Repo {
        self.github.repo(&self.repos[0]).unwrap()
    }

    /// A deployment's id.
    pub(crate) fn id(&self, pull: &Pull) -> String {
        let slug = ProjectSlug::for_repo(&pull.repo().name(), |_| false);
        format!("{slug}-{}", pull.number())
    }

    /// Opens a pull request with a mimic.
    pub(crate) async fn open(&self, mimic: Mimic) -> Pull {
        self.open_with(mimic.files()).await
    }

    /// Opens a pull request with these changes, from a branch of its own.
    pub(crate) async fn open_with(&self, changes: Vec<Change>) -> Pull {
        static NUMBER: AtomicU16 = AtomicU16::new(0);
        let branch = format!("feature-{}", NUMBER.fetch_add(1, Ordering::Relaxed));
        self.repo().open_pull(NewPull::new(branch, changes)).await.unwrap()
    }

    /// Opens a pull request with a mimic of this version and waits until it answers. Gives its address too.
    pub(crate) async fn up(&self, version: &str) -> (Pull, String) {
        let pull = self.open(Mimic::new(version)).await;
        let url = self.url(&pull);
        self.until_answers(&url, version).await;
        (pull, url)
    }

    // ----------------------------------------------------------------------------------------------------------- waiting

    /// Waits for something, within [`PATIENCE`]. In vain, it shows the service's last words.
    pub(crate) async fn until<T, F: Future<Output = Option<T>>>(&self, what: &str, look: impl FnMut() -> F) -> T {
        self.until_within(PATIENCE, what, look).await
    }

    /// Waits for something that may take this long.
    pub(crate) async fn until_within<T, F: Future<Output = Option<T>>>(
        &self,
        patience: Duration,
        what: &str,
        mut look: impl FnMut() -> F,
    ) -> T {
        let begun = Instant::now();
        loop {
            if let Some(found) = look().await {
                return found;
            }
            if begun.elapsed() > patience {
                let log = self.log();
                let lines: Vec<&str> = log.lines().collect();
                panic!(
                    "{what}: not within {patience:?}. The service:\n{}",
                    lines[lines.len().saturating_sub(60)..].join("\n")
                );
            }
            tokio::time::sleep(LOOK).await;
        }
    }

    /// Waits until a preview answers its address with a text that contains this.
    pub(crate) async fn until_answers(&self, url: &str, wanted: &str) {
        let what = format!("{url} answers with {wanted:?}");
        self.until(&what, async || {
            let answer = self.http.get(url).send().await.ok().filter(|answer| answer.status().is_success())?;
            answer.text().await.ok().filter(|text| text.contains(wanted)).map(drop)
        })
        .await;
    }

    /// Waits until a preview's address answers 404.
    pub(crate) async fn until_gone(&self, url: &str) {
        let what = format!("{url} is gone");
        self.until(&what, async || {
            let answer = self.http.get(url).send().await.ok()?;
            (answer.status() == 404).then_some(())
        })
        .await;
    }

    /// Waits until the one comment of ours on a pull request contains this. More than one comment fails the test.
    pub(crate) async fn until_comment(&self, pull: &Pull, wanted: &str) -> Comment {
        let what = format!("the comment on #{} contains {wanted:?}", pull.number());
        self.until(&what, async || {
            let comments = pull.bot_comments();
            assert!(comments.len() <= 1, "one comment, not {}", comments.len());
            comments.into_iter().next().filter(|comment| comment.body.contains(wanted))
        })
        .await
    }

    /// Waits until the newest commit's status is this.
    pub(crate) async fn until_status(&self, pull: &Pull, wanted: StatusState) -> Status {
        let what = format!("the status of #{}'s commit is {wanted:?}", pull.number());
        self.until(&what, async || pull.status("preview").filter(|status| status.state == wanted)).await
    }

    /// Waits until so many more listings of open pull requests have begun: by then all but the last were dealt with.
    pub(crate) async fn until_listed(&self, times: usize) {
        let listings = || self.github.look(|state| state.count(&Matching::get("/pulls?")));
        let enough = listings() + times;
        self.until("the open pull requests are listed again", async || (listings() >= enough).then_some(())).await;
    }

    /// Waits until a deployment's record in the ledger fits; `None` is no record.
    pub(crate) async fn until_record(&self, id: &str, what: &str, fits: impl Fn(Option<&Value>) -> bool) {
        let what = format!("the record of {id}: {what}");
        self.until(&what, async || {
            let ledger = self.ledger();
            let record = ledger["deployments"].get(id);
            fits(record).then_some(())
        })
        .await;
    }

    // ----------------------------------------------------------------------------------------------------------- looking

    /// The ledger as it is on the disk.
    pub(crate) fn ledger(&self) -> Value {
        let text = std::fs::read_to_string(self.dir.path().join("state/deployments.json")).unwrap_or_default();
        serde_json::from_str(&text).unwrap_or_default()
    }

    /// A deployment's record.
    pub(crate) fn record(&self, id: &str) -> Value {
        self.ledger()["deployments"][id].clone()
    }

    /// A preview's address in path form.
    pub(crate) fn url(&self, pull: &Pull) -> String {
        let slug = ProjectSlug::for_repo(&pull.repo().name(), |_| false);
        format!("{}/{slug}/pr-{}/", self.base, pull.number())
    }

    /// Asks the API.
    pub(crate) async fn ask_api(&self, path: &str) -> Value {
        let answer = self.http.get(format!("{}{path}", self.api)).bearer_auth(TOKEN).send().await.unwrap();
        answer.json().await.unwrap()
    }

    /// A delivery of ours, signed: it says that this happened to the pull request.
    pub(crate) fn delivery(&self, pull: &Pull, action: &str) -> reqwest::RequestBuilder {
        static GUID: AtomicU64 = AtomicU64::new(0);
        let repository = json!({"id": pull.repo().id(), "full_name": pull.repo().name().to_string()});
        let pull_request = json!({"body": "All that GitHub tells of it. ".repeat(40)});
        let body =
            json!({"action": action, "number": pull.number(), "repository": repository, "pull_request": pull_request});
        let body = body.to_string();
        let signature = sha256_signature(self.github.webhook_secret().as_bytes(), body.as_bytes());
        let request = self.http.post(format!("{}/webhook/github", self.api)).header("content-type", "application/json");
        let request = request.header("x-github-event", "pull_request").header("x-hub-signature-256", signature);
        let guid = GUID.fetch_add(1, Ordering::Relaxed);
        request.header("x-github-delivery", format!("e2e-{guid}")).body(body)
    }

    /// Runs `docker` on this installation's engine and gives what it prints.
    pub(crate) async fn docker(&self, args: &[&str]) -> String {
        let host = self.settings.iter().filter(|(name, _)| name == "DOCKER_HOST");
        let docker = Program::new("docker").args(args).inherit_env("HOME");
        let docker = host.fold(docker, |docker, (name, value)| docker.env(name, value));
        let output = docker.run().await;
        output.unwrap().text().trim().to_owned()
    }

    /// What `docker inspect` knows of a thing.
    pub(crate) async fn inspect(&self, kind: &str, name: &str) -> Value {
        let text = self.docker(&[kind, "inspect", "--format", "{{json .}}", name]).await;
        serde_json::from_str(&text).unwrap()
    }

    /// The container of a deployment's service: `app-a`, `app-b` or `db`.
    pub(crate) async fn container(&self, id: &str, service: &str) -> Value {
        self.inspect("container", &format!("{id}-{service}-1")).await
    }

    /// This installation's own name.
    pub(crate) fn instance(&self) -> String {
        std::fs::read_to_string(self.dir.path().join("state/instance")).unwrap().trim().to_owned()
    }

    /// Names of a deployment's containers, running or not.
    pub(crate) async fn containers(&self, id: &str) -> Vec<String> {
        let label = format!("label=preview-deployer.deployment={id}");
        let names = self.docker(&["container", "ls", "--all", "--format", "{{.Names}}", "--filter", &label]).await;
        names.lines().map(str::to_owned).collect()
    }

    /// Everything with this installation's label: containers, networks, volumes and images.
    pub(crate) async fn engine_leftovers(&self) -> Vec<String> {
        let label = format!("label=preview-deployer.instance={}", self.instance());
        let mut found = Vec::new();
        for list in [
            &["container", "ls", "--all", "--format", "container {{.Names}}"][..],
            &["network", "ls", "--format", "network {{.Name}}"],
            &["volume", "ls", "--format", "volume {{.Name}}"],
            &["image", "ls", "--all", "--format", "image {{.Repository}}:{{.Tag}}"],
        ] {
            let text = self.docker(&[list, &["--filter", &label]].concat()).await;
            found.extend(text.lines().map(str::to_owned));
        }
        found
    }

    /// Makes GitHub fail as long as the guard lives.
    pub(crate) fn github_fails(&self, matching: Matching, fault: Fault) -> FaultGuard {
        self.github.fail_while(matching, fault)
    }

    // ------------------------------------------------------------------------------------------------------------ ending

    /// Closes what is open, waits until all is gone, stops the service, and proves that nothing is left.
    pub(crate) async fn finish(mut self) {
        for repository in self.github.look(|state| state.repositories().map(|r| r.name.to_string()).collect::<Vec<_>>())
        {
            let repo = self.github.repo(&repository).unwrap();
            for pull in self.open_pulls(&repo) {
                pull.close().unwrap();
            }
        }
        self.until("every record is gone, and nothing is told that is not dealt with", async || {
            let ledger = self.ledger();
            let empty = |name: &str| ledger[name].as_object().is_some_and(serde_json::Map::is_empty);
            // Whoever looks after a pull request that has no preview any more has its folder for a moment.
            let dealt_with = ledger["pending"].as_array().is_some_and(Vec::is_empty);
            (empty("deployments") && empty("portAllocations") && dealt_with).then_some(())
        })
        .await;
        self.until("no folder is left", async || self.folders_left().is_empty().then_some(())).await;
        self.assert_nothing_left().await;
        let audit = self.preview(&["audit"]).status().await.unwrap();
        assert!(audit.status.success(), "{}{}", audit.text(), audit.stderr);
        self.stop_service().await;
        self.assert_nothing_left().await;
        let log = self.log();
        assert!(!log.contains("panicked"), "the service panicked:\n{log}");
    }

    async fn assert_nothing_left(&self) {
        assert_eq!(self.engine_leftovers().await, Vec::<String>::new());
        assert_eq!(self.folders_left(), Vec::<PathBuf>::new());
        if let Some(nginx) = &self.nginx {
            assert_eq!(nginx.preview_files(), Vec::<String>::new());
        }
    }

    /// What previews have on the disk.
    fn folders_left(&self) -> Vec<PathBuf> {
        let folders = ["deployments", "logs"].map(|of_previews| std::fs::read_dir(self.dir.path().join(of_previews)));
        folders.into_iter().flat_map(Result::unwrap).map(|entry| entry.unwrap().path()).collect()
    }

    fn open_pulls(&self, repo: &Repo) -> Vec<Pull> {
        let numbers = self.github.look(|state| {
            let pulls = state.repository(repo.id()).map(|repository| repository.pulls.values());
            pulls.into_iter().flatten().filter(|pull| pull.is_open()).map(|pull| pull.number).collect::<Vec<_>>()
        });
        numbers.into_iter().map(|number| repo.pull(number).unwrap()).collect()
    }
}

impl Drop for Rig {
    /// A test that failed leaves its containers behind otherwise.
    fn drop(&mut self) {
        if let Some(service) = self.service.take() {
            service.abort();
        }
        // A service that never started has no name, and nothing to leave behind.
        let instance = std::fs::read_to_string(self.dir.path().join("state/instance"));
        if let (true, Ok(instance)) = (std::thread::panicking(), instance) {
            let label = format!("label=preview-deployer.instance={}", instance.trim());
            let script = format!(
                "docker ps -aq --filter {label} | xargs -r docker rm -fv; \
                 docker network ls -q --filter {label} | xargs -r docker network rm; \
                 docker volume ls -q --filter {label} | xargs -r docker volume rm; \
                 docker images -q --filter {label} | xargs -r docker rmi -f"
            );
            let clean = std::thread::spawn(move || {
                let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
                let shell = Program::new("sh").args(["-c", &script]).inherit_env("HOME");
                drop(runtime.block_on(shell.run()));
            });
            drop(clean.join());
        }
    }
}
