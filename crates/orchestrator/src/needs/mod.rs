//! What the use-cases need of the outside world, named after the need.
//!
//! `reconcile` knows these traits and nothing of Docker, git, GitHub or nginx; each of those lives in a room of its own and
//! implements one of them. The tests' stateful fakes implement them too, and pass the same contract suites.
//!
//! Two rules hold for every method here. Dropping its future gives up: whatever it started is stopped. And it has an
//! end of its own: an implementation that waits for something outside has a limit.

mod engine;
mod forge;
mod source;

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use jiff::Timestamp;
use preview_core::deployment::{Blame, Failure, Step};
use preview_core::ids::HostPort;
use preview_core::route::RouteTable;
use preview_core::subnets::Subnet;

pub use engine::*;
pub use forge::*;
pub use source::*;

/// Why something outside did not do what was asked: whose side it is from, and whether to try again.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Fault {
    /// Whose side it is from.
    pub blame: Blame,
    /// What happened, in one line for the comment and the log; no secrets, no paths of ours.
    pub cause: String,
    /// What to try, for people.
    pub advice: Option<String>,
    /// The last lines of what failed; hostile text.
    pub log_tail: Vec<String>,
    /// Not before this long from now, when the other side said so.
    pub retry_after: Option<Duration>,
    /// Whether the log has been told, once for all that fails of it.
    pub told: bool,
    /// Whether a registry has no such image, or gives it to nobody: somebody may be about to push it.
    pub image_absent: bool,
}

impl Fault {
    /// Something unreachable, overloaded or broken outside the pull request; worth another try.
    pub fn passing(cause: impl Into<String>) -> Self {
        Self { blame: Blame::Passing, ..Self::author(cause) }
    }

    /// The pull request's own mistake; the same commit fails again.
    pub fn author(cause: impl Into<String>) -> Self {
        let (advice, log_tail, retry_after) = (None, Vec::new(), None);
        Self {
            blame: Blame::Author,
            cause: cause.into(),
            advice,
            log_tail,
            retry_after,
            told: false,
            image_absent: false,
        }
    }

    /// Adds what to try.
    pub fn advise(mut self, advice: impl Into<String>) -> Self {
        self.advice = Some(advice.into());
        self
    }

    /// Adds the last lines of what failed.
    pub fn tail(mut self, lines: impl IntoIterator<Item = String>) -> Self {
        self.log_tail = lines.into_iter().collect();
        self
    }

    /// Says when to try again at the earliest.
    pub fn after(mut self, wait: Duration) -> Self {
        self.retry_after = Some(wait);
        self
    }

    /// Says that a registry has no such image.
    pub fn image_absent(mut self) -> Self {
        self.image_absent = true;
        self
    }

    /// Says that the log has been told.
    pub fn told(mut self) -> Self {
        self.told = true;
        self
    }

    /// Tells the log what could not be done because of it.
    pub fn log(&self, what: &str) {
        if self.told {
            tracing::debug!(cause = %self, "{what}");
        } else {
            tracing::warn!(cause = %self, "{what}");
        }
    }

    /// The fault as the record keeps it.
    pub fn at(self, step: Step) -> Failure {
        Failure { step, cause: self.cause, advice: self.advice, log_tail: self.log_tail, blame: self.blame }
    }
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.cause)
    }
}
impl std::error::Error for Fault {}

/// An exclusive lock on a deployment's folder, held by us and by every program that works for the deployment, so that a
/// successor of ours waits until the last straggler has ended.
pub type DeploymentLock = Arc<std::os::fd::OwnedFd>;

// ---------------------------------------------------------------------------------------------------------------- Clock

/// Wall-clock time. Durations are measured with tokio's clock, which tests can pause.
pub trait Clock: Send + Sync + 'static {
    /// Now.
    fn now(&self) -> Timestamp;
}

// ----------------------------------------------------------------------------------------------------------------- Host

/// The machine on which previews get ports and networks.
#[async_trait]
pub trait Host: Send + Sync + 'static {
    /// Whether nobody listens on this port of 127.0.0.1.
    fn is_free(&self, port: HostPort) -> bool;
    /// Every private network that the machine reaches now, bridges of containers among them.
    fn networks(&self) -> Vec<Subnet>;
    /// Whether a name leads, as this machine's resolver has it now, to the machine itself or to an address that is nobody's on the
    /// internet. A name that leads nowhere doesn't.
    async fn leads_inside(&self, name: &str) -> bool;
}

// --------------------------------------------------------------------------------------------------------------- Router

/// What sends visitors to the right slot: nginx, or the built-in proxy.
#[async_trait]
pub trait Router: Send + Sync + 'static {
    /// Makes exactly this table hold. Returns once the router itself answers with it. Asking twice changes nothing.
    async fn apply(&self, table: &RouteTable) -> Result<(), Fault>;
    /// The table that holds now, as far as the router can tell; what isn't ours is not in it.
    async fn observe(&self) -> Result<RouteTable, Fault>;
    /// Waits until nothing that the router sent to this port is under way any more, at most so long.
    async fn drain(&self, port: HostPort, at_most: Duration);
    /// Serves with the certificates of this moment. A router that looks at each handshake has nothing to do.
    async fn take_certificates(&self) -> Result<(), Fault> {
        Ok(())
    }
    /// Whether it answers at all, for `/health`.
    async fn ping(&self) -> Result<(), Fault>;
}

// --------------------------------------------------------------------------------------------------------------- Health

/// An app's answer to one question for its health.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Probe {
    /// 2xx, or 3xx that stays with the app.
    Healthy,
    /// It answered, with this status.
    Status(u16),
    /// Nothing listens, or it closed without an answer.
    NoAnswer,
    /// No answer in time.
    Slow,
}

/// Whom an app takes a question to come from, by the headers with which the router hands visitors on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Visitor {
    /// The host that they named, and where it isn't the scheme's own the port.
    pub host: String,
    /// How they came.
    pub scheme: &'static str,
}

/// What asks an app whether it is up.
#[async_trait]
pub trait Prober: Send + Sync + 'static {
    /// Asks once, as `localhost`, within `limit`.
    async fn probe(&self, port: HostPort, path: &str, limit: Duration) -> Probe;
    /// The same, as for this visitor.
    async fn probe_for(&self, visitor: &Visitor, port: HostPort, path: &str, limit: Duration) -> Probe;
}
