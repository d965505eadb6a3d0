//! The service as a process of its own: started with its settings, at a gate or on sockets that outlive it, killed and stopped.

use std::net::TcpListener;
use std::os::fd::{AsRawFd, OwnedFd};
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use preview_exec::{Limits, Program};
use rustix::process::{Pid, Signal, kill_process};

use super::Rig;
use super::machine::{command_lines, pid_in};
use crate::gate::Gate;

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
}
