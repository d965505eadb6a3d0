//! Asking the engine's API: every call has an end, and every refusal says what was being tried.

use std::future::Future;
use std::time::Duration;

use bollard::errors::Error;
use tokio::time::{Instant, sleep, timeout};

use crate::needs::Fault;

/// One call. Lists and inspections take milliseconds; stopping a container takes its grace period, removing one with
/// millions of files some seconds.
const CALL_LIMIT: Duration = Duration::from_secs(60);
/// How long something may stay busy (its removal already under way, a container still letting go of a volume).
const BUSY_LIMIT: Duration = Duration::from_secs(30);
/// What the engine says, with status 500, of an image that somebody else removes at the same moment.
const REMOVED_MEANWHILE: &str = "unrecognized image ID";
/// Between two tries while it is busy.
const BUSY_PAUSE: Duration = Duration::from_millis(100);

/// The engine did not do it.
#[derive(Debug)]
pub(super) struct Refused {
    /// The HTTP status of its answer; none when there was no answer.
    pub(super) status: Option<u16>,
    fault: Fault,
}

impl Refused {
    /// There is no such thing (any more).
    pub(super) fn gone(&self) -> bool {
        self.status == Some(404) || self.fault.cause.contains(REMOVED_MEANWHILE)
    }

    /// It can't be done *now*: 409 for containers, volumes and images, 403 for networks with endpoints.
    pub(super) fn busy(&self) -> bool {
        matches!(self.status, Some(403 | 409))
    }
}

impl From<Refused> for Fault {
    fn from(refused: Refused) -> Self {
        refused.fault
    }
}

/// Makes one call within its limit. `what` completes "Docker could not …".
pub(super) async fn ask<T>(what: &str, call: impl Future<Output = Result<T, Error>>) -> Result<T, Refused> {
    match timeout(CALL_LIMIT, call).await {
        Ok(answer) => answer.map_err(|error| refusal(what, &error)),
        Err(_) => Err(refusal(what, &Error::RequestTimeoutError)),
    }
}

/// Removes something, asking again while it is busy. That it is gone already is success.
pub(super) async fn until_gone<T, F>(what: &str, remove: impl Fn() -> F) -> Result<(), Fault>
where
    F: Future<Output = Result<T, Error>>,
{
    let deadline = Instant::now() + BUSY_LIMIT;
    loop {
        match ask(what, remove()).await {
            Ok(_) => return Ok(()),
            Err(refused) if refused.gone() => return Ok(()),
            Err(refused) if refused.busy() && Instant::now() < deadline => sleep(BUSY_PAUSE).await,
            Err(refused) => return Err(refused.into()),
        }
    }
}

fn refusal(what: &str, error: &Error) -> Refused {
    let (status, cause) = match error {
        Error::DockerResponseServerError { status_code, message } => {
            (Some(*status_code), format!("Docker could not {what}: {}", message.trim()))
        }
        Error::RequestTimeoutError => (None, format!("Docker took too long to {what}")),
        Error::HyperLegacyError { .. }
        | Error::HyperResponseError { .. }
        | Error::IOError { .. }
        | Error::SocketNotFoundError(_) => (None, "the Docker engine does not answer".to_owned()),
        _ => (None, format!("Docker's answer was not understood, asked to {what}")),
    };
    if status.is_none() {
        tracing::debug!(%error, "Docker could not be asked to {what}");
    }
    Refused { status, fault: Fault::passing(cause) }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn answer(status_code: u16) -> Error {
        Error::DockerResponseServerError { status_code, message: "because\n".to_owned() }
    }

    #[tokio::test(start_paused = true)]
    async fn a_call_without_an_answer_ends() {
        let refused = ask("list containers", std::future::pending::<Result<(), Error>>()).await.unwrap_err();
        assert_eq!(Fault::from(refused).cause, "Docker took too long to list containers");
    }

    #[tokio::test]
    async fn a_refusal_says_what_and_why() {
        let refused = ask("remove a volume", async { Err::<(), _>(answer(500)) }).await.unwrap_err();
        assert_eq!(refused.status, Some(500));
        assert_eq!(Fault::from(refused).cause, "Docker could not remove a volume: because");
    }

    #[tokio::test(start_paused = true)]
    async fn what_is_gone_is_removed_and_what_is_busy_is_asked_for_again() {
        until_gone("x", async || Err::<(), _>(answer(404))).await.unwrap();
        let message = format!("{REMOVED_MEANWHILE} sha256:a0103f54");
        let raced = || Error::DockerResponseServerError { status_code: 500, message: message.clone() };
        until_gone("x", async || Err::<(), _>(raced())).await.unwrap();
        let asked = std::cell::Cell::new(0);
        let busy_twice = || {
            asked.set(asked.get() + 1);
            let result = if asked.get() < 3 { Err(answer(409)) } else { Ok(()) };
            async move { result }
        };
        until_gone("x", busy_twice).await.unwrap();
        assert_eq!(asked.get(), 3);
        until_gone("x", async || Err::<(), _>(answer(409))).await.unwrap_err();
    }
}
