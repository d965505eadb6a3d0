//! What can go wrong while somebody acts on the simulated GitHub. Faults that are asked for are not errors of ours: they
//! are answers.

use std::io;
use std::path::PathBuf;
use std::time::Duration;

use preview_core::ids::{InvalidId, PrNumber};
use preview_exec::ExecError;

/// Why the simulator did not do what it was asked.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// Git refused or is missing.
    #[error("Git could not {action}")]
    Git {
        /// What was being done.
        action: &'static str,
        /// What Git said.
        #[source]
        source: ExecError,
    },
    /// Git answered with something other than a commit.
    #[error("Git gave no commit for {what}")]
    NoCommit {
        /// What was asked for.
        what: String,
        /// What it gave.
        #[source]
        source: InvalidId,
    },
    /// A file or folder could not be read or written.
    #[error("`{}` could not be used", .path.display())]
    File {
        /// Which.
        path: PathBuf,
        /// What the operating system said.
        #[source]
        source: io::Error,
    },
    /// The test application could not be compiled.
    #[error("the mimic could not be compiled; it needs rustc and a static C library (libc6-dev)")]
    Compile {
        /// What rustc said.
        #[source]
        source: ExecError,
    },
    /// No port of the loopback address could be opened.
    #[error("the simulated GitHub could not open its port on 127.0.0.1")]
    Listen(#[source] io::Error),
    /// There is no client that could send deliveries.
    #[error("deliveries can't be sent")]
    Client(#[from] reqwest::Error),
    /// The text is not `owner/name`.
    #[error(transparent)]
    Name(#[from] InvalidId),
    /// It was taken already.
    #[error("{0} exists already")]
    Exists(String),
    /// It was never there, or is gone.
    #[error("{0} does not exist")]
    Missing(String),
    /// A closed pull request can't be closed, an open one not reopened.
    #[error("pull request {number} is {state}, so it cannot be {action}")]
    WrongState {
        /// Which pull request.
        number: PrNumber,
        /// How it is.
        state: &'static str,
        /// What was asked.
        action: &'static str,
    },
    /// What was waited for did not happen.
    #[error("waited {limit:?} in vain for {what}\n{seen}")]
    TimedOut {
        /// What it was.
        what: String,
        /// How long.
        limit: Duration,
        /// What happened instead: the last requests, deliveries and comments.
        seen: String,
    },
}

/// What the simulator's own functions give.
pub type Result<T, E = Error> = std::result::Result<T, E>;
