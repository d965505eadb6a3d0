//! An app that did not get healthy: first what engine, kernel and answers say, then what its log says.

use std::net::SocketAddr;

use super::listening::{self, Said};
use super::{Diagnosis, Phase, readable, rules};
use crate::repo_config::ContainerPort;

/// What was seen of an app when it was given up.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Symptom {
    /// It ended.
    Ended {
        /// With which code; `None` where the engine had started it again before anybody could ask.
        exit_code: Option<i64>,
        /// Whether the kernel killed something in its container for want of memory.
        out_of_memory: bool,
    },
    /// It answers the health check with this status.
    Status(u16),
    /// It answers the health check well where it is asked as `localhost`, and with this status where as visitors will.
    HostRefused(u16),
    /// It runs, and nothing answers.
    Silent,
    /// It takes the request, and gives no answer in time.
    Slow {
        /// How many seconds it had.
        seconds: u64,
    },
}

/// All that is known of it.
#[derive(Debug, Clone)]
pub struct Illness<'a> {
    /// What was seen.
    pub symptom: Symptom,
    /// What it wrote last; hostile text.
    pub log: &'a [String],
    /// What listens in its container; `None` where that can't be told.
    pub listens: Option<&'a [SocketAddr]>,
    /// Where it should listen.
    pub port: ContainerPort,
    /// The variable that tells it so.
    pub port_env: &'a str,
    /// What it is asked for.
    pub health_path: &'a str,
    /// The host that visitors name.
    pub host: &'a str,
    /// Another path that answers well.
    pub other_path: Option<&'a str>,
    /// The memory that its container may use, in MB.
    pub memory_mb: u32,
    /// How many seconds it had to get healthy.
    pub waited: u64,
}

impl Illness<'_> {
    /// The most likely cause.
    pub fn diagnosis(&self) -> Diagnosis {
        match self.symptom {
            Symptom::Ended { exit_code, out_of_memory } => self.ended(exit_code, out_of_memory),
            Symptom::Status(status) => self.answered(status),
            Symptom::HostRefused(status) => self.host_refused(status),
            Symptom::Silent => self.silent(),
            Symptom::Slow { seconds } => self.slow(seconds),
        }
    }

    fn of_log(&self) -> Option<Diagnosis> {
        rules::first(Phase::Run, &self.lines())
    }

    fn lines(&self) -> Vec<String> {
        readable(self.log.iter().map(String::as_str))
    }

    fn ended(&self, exit_code: Option<i64>, out_of_memory: bool) -> Diagnosis {
        let limit = self.memory_mb;
        if out_of_memory {
            return told(
                "memory",
                format!(
                    "the app was killed because it used more than the {limit} MB of memory that its container may use"
                ),
                "Let it use less memory, or raise `CONTAINER_MEMORY_MB` on the server.",
            );
        }
        let with = exit_code.map_or_else(String::new, |code| format!(" with exit code {code}"));
        if let Some(found) = self.of_log() {
            let cause = format!("the app ended{with}: {}", found.cause);
            return Diagnosis { cause, ..found };
        }
        match exit_code {
            Some(137) => told(
                "killed",
                format!("the app was killed (exit code 137), most likely for want of memory: it may use {limit} MB"),
                "Let it use less memory, or raise `CONTAINER_MEMORY_MB` on the server.",
            ),
            Some(0) => told(
                "ended-well",
                "the app ended with exit code 0 before it answered: it did its work and stopped, as a server must not",
                "Let the command that is run stay in the foreground and listen; a server that starts itself in the background ends its \
                 container.",
            ),
            _ => told("ended", format!("the app ended{with} before it answered"), "Its last lines, below, say why."),
        }
    }

    fn answered(&self, status: u16) -> Diagnosis {
        let path = self.health_path;
        let cause = format!("the app answers `{path}` with status {status}");
        let (rule, cause, advice) = match status {
            404 | 405 | 410 => ("no-such-path", cause, match self.other_path {
                Some(other) => format!(
                    "`{other}` answers well: write `health_check_path: {other}` into `preview-config.yml`."
                ),
                None => NAME_A_PATH.to_owned(),
            }),
            401 | 403 => ("login", cause, format!("The health check has no login. {NAME_A_PATH}")),
            400 | 421 => (HOST_REFUSED, cause, format!("It may refuse the host name: {ALLOW_ANY_HOST}")),
            300..400 => (
                "redirect",
                format!("{cause}, a redirection to another address"),
                "Where it insists on HTTPS, let it trust `X-Forwarded-Proto` or not insist while `PREVIEW` is set; or let \
                 `health_check_path` in `preview-config.yml` name a path that it answers itself."
                    .to_owned(),
            ),
            500.. => match self.of_log() {
                Some(found) => (found.rule, format!("{cause}: {}", found.cause), found.advice),
                None => ("server-error", cause, "Its last lines, below, say why.".to_owned()),
            },
            _ => ("status", cause, NAME_A_PATH.to_owned()),
        };
        told(rule, cause, advice)
    }

    fn host_refused(&self, status: u16) -> Diagnosis {
        told(
            HOST_REFUSED,
            format!(
                "the app refuses the host name of its visitors: it answers `{}` with status {status} where it is asked as `{}`, and not \
                 as `localhost`",
                self.health_path, self.host
            ),
            format!("Visitors would see nothing else: {ALLOW_ANY_HOST}"),
        )
    }

    fn silent(&self) -> Diagnosis {
        let lines = self.lines();
        let said = listening::said(lines.iter().map(String::as_str));
        match (self.listens, said) {
            (Some([]), _) => self.listens_nowhere(),
            (Some(sockets), _) => self.listens_at(sockets),
            (None, Some(said)) if said.port != self.port.get() || said.loopback => self.says_it_listens(said),
            (None, _) => match self.of_log() {
                Some(found) => found,
                None => told("silent", self.nothing_answered(), self.listen_properly()),
            },
        }
    }

    fn nothing_answered(&self) -> String {
        format!("nothing answered on port {} within {} s", self.port, self.waited)
    }

    fn listen_properly(&self) -> String {
        let (port, variable) = (self.port, self.port_env);
        format!(
            "Let the app listen on 0.0.0.0 and the port in its variable `{variable}`, or set `app_port` in `preview-config.yml` (now \
             {port})."
        )
    }

    fn listens_nowhere(&self) -> Diagnosis {
        let cause = format!("{}: the app runs, and listens on no port", self.nothing_answered());
        match self.of_log() {
            Some(found) => Diagnosis { cause: format!("{cause}; its log says that {}", found.cause), ..found },
            None => told(
                "listens-nowhere",
                cause,
                format!(
                    "Its last lines, below, may say what it waits for. If it needs longer, set `health_check_timeout` in \
                     `preview-config.yml` (now {} s).",
                    self.waited
                ),
            ),
        }
    }

    fn listens_at(&self, sockets: &[SocketAddr]) -> Diagnosis {
        let port = self.port.get();
        let open = |socket: &&SocketAddr| !socket.ip().is_loopback();
        let right: Vec<&SocketAddr> = sockets.iter().filter(|socket| socket.port() == port).collect();
        if right.iter().any(open) {
            return told(
                "no-http",
                format!("the app listens on port {port}, and gives no answer that is HTTP"),
                "Let it answer plain HTTP on that port: no HTTPS, and nothing that waits for the database first.",
            );
        }
        if !right.is_empty() {
            return told(
                "loopback",
                format!(
                    "the app listens on 127.0.0.1 alone (port {port}), where nobody outside of its container reaches it"
                ),
                ON_EVERY_ADDRESS,
            );
        }
        // An open port is a server's; on loopback alone there may be a debugger too.
        let Some(other) = sockets.iter().find(open).or(sockets.first()) else { return self.listens_nowhere() };
        self.listens_elsewhere(other.port(), other.ip().is_loopback(), "")
    }

    fn says_it_listens(&self, said: Said) -> Diagnosis {
        if said.port == self.port.get() {
            return told(
                "loopback",
                format!(
                    "the app says that it listens on 127.0.0.1 (port {}), where nobody outside of its container reaches it",
                    said.port
                ),
                ON_EVERY_ADDRESS,
            );
        }
        self.listens_elsewhere(said.port, said.loopback, "says that it ")
    }

    fn listens_elsewhere(&self, other: u16, loopback: bool, says: &str) -> Diagnosis {
        let (port, variable) = (self.port, self.port_env);
        let alone = if loopback { " of 127.0.0.1 alone" } else { "" };
        let also = if loopback { format!(" {ON_EVERY_ADDRESS}") } else { String::new() };
        told(
            "another-port",
            format!("the app {says}listens on port {other}{alone}, and visitors are sent to port {port}"),
            format!(
                "Let it listen on the port in its variable `{variable}`, or write `app_port: {other}` into `preview-config.yml`.{also}"
            ),
        )
    }

    fn slow(&self, seconds: u64) -> Diagnosis {
        told(
            "slow",
            format!("the app takes longer than {seconds} s to answer `{}`", self.health_path),
            "Let `health_check_path` in `preview-config.yml` name a path that answers quickly.",
        )
    }
}

const HOST_REFUSED: &str = "host-refused";
const ALLOW_ANY_HOST: &str =
    "let it allow any host (Django's `ALLOWED_HOSTS`, Rails' `config.hosts`) while `PREVIEW` is set.";
const NAME_A_PATH: &str = "Let `health_check_path` in `preview-config.yml` name a path that answers 200.";
const ON_EVERY_ADDRESS: &str = "Let it listen on 0.0.0.0, such as `app.listen(port, '0.0.0.0')` or `--host 0.0.0.0`.";

fn told(rule: &'static str, cause: impl Into<String>, advice: impl Into<String>) -> Diagnosis {
    Diagnosis { rule, cause: cause.into(), advice: advice.into() }
}
