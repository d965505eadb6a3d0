//! What our token may do, as GitHub's refusals tell it. A right that is missing is told to the log once, shown while it is
//! missing, and asked for again only now and then: a fine-grained token gets rights without changing, so no restart is needed.
//!
//! Sources: <https://docs.github.com/en/rest/using-the-rest-api/troubleshooting-the-rest-api#resource-not-accessible>,
//! <https://docs.github.com/en/rest/authentication/authenticating-to-the-rest-api> (`X-Accepted-GitHub-Permissions`)

use std::collections::BTreeMap;
use std::fmt;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use jiff::{SignedDuration, Timestamp};
use preview_core::ids::{RepoId, RepoName};
use tokio::time::Instant;

use super::api::Answer;
use crate::needs::Fault;

/// How long a missing right is not asked for again.
const PAUSE: Duration = Duration::from_secs(10 * 60);
/// How long before its end a token's end is spoken of.
const SOON: SignedDuration = SignedDuration::from_hours(7 * 24);

/// What a request needs the token to be allowed to do.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Right {
    /// Finding out who we are.
    Account,
    /// Finding a repository by its name.
    Find(RepoName),
    /// Reading a repository's pull requests.
    Read(RepoId),
    /// Reading and writing comments there.
    Comment(RepoId),
    /// Writing commit statuses there.
    Status(RepoId),
    /// Asking who may push there.
    Permissions(RepoId),
}

impl fmt::Display for Right {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Account => f.write_str("tell whose it is"),
            Self::Find(name) => write!(f, "see the repository {name}"),
            Self::Read(repo) => write!(f, "read the pull requests of repository {repo}"),
            Self::Comment(repo) => write!(f, "comment on the pull requests of repository {repo}"),
            Self::Status(repo) => write!(f, "write commit statuses in repository {repo}"),
            Self::Permissions(repo) => write!(f, "see who may push to repository {repo}"),
        }
    }
}

/// The rights that are missing, and when the token ends.
#[derive(Default)]
pub(super) struct Rights(Mutex<State>);

#[derive(Default)]
struct State {
    missing: BTreeMap<Right, Missing>,
    expires: Option<Timestamp>,
}

struct Missing {
    since: Instant,
    advice: String,
}

impl Rights {
    fn state(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Whether a request that needs this may go out: not while GitHub has just refused another.
    pub(super) fn pass(&self, right: &Right) -> Result<(), Fault> {
        let state = self.state();
        let Some(missing) = state.missing.get(right) else { return Ok(()) };
        match PAUSE.checked_sub(missing.since.elapsed()) {
            Some(left) if !left.is_zero() => Err(fault(right, missing).after(left)),
            _ => Ok(()),
        }
    }

    /// What an answer tells of the token.
    pub(super) fn judge(&self, right: &Right, answer: &Answer) -> Result<(), Fault> {
        let mut state = self.state();
        state.note_end(answer);
        if let Some(advice) = refusal(answer) {
            if !state.missing.contains_key(right) {
                tracing::error!(advice, "our token may not {right}: {}", answer.message());
            }
            let missing = Missing { since: Instant::now(), advice };
            let fault = fault(right, &missing).after(PAUSE);
            state.missing.insert(right.clone(), missing);
            return Err(fault);
        }
        let granted = answer.status.is_success() || answer.status.as_u16() == 304;
        if granted && state.missing.remove(right).is_some() {
            tracing::info!("our token may {right} again");
        }
        Ok(())
    }

    /// What is missing, if it is.
    pub(super) fn lacks(&self, right: &Right) -> Option<String> {
        self.state().missing.get(right).map(|missing| sentence(right, missing))
    }

    /// What somebody should do about the token, each in one sentence.
    pub(super) fn troubles(&self) -> Vec<String> {
        let state = self.state();
        let ends = state.expires.filter(|end| is_soon(*end)).map(|end| {
            format!("The token expires at {end}: give the server a new GITHUB_TOKEN before, and restart it.")
        });
        state.missing.iter().map(|(right, missing)| sentence(right, missing)).chain(ends).collect()
    }
}

impl State {
    /// Source: <https://github.blog/changelog/2021-07-26-expiration-options-for-personal-access-tokens/>
    fn note_end(&mut self, answer: &Answer) {
        let Some(end) = answer.header("github-authentication-token-expiration").and_then(parse_end) else { return };
        let known = self.expires.replace(end);
        if known != Some(end) && is_soon(end) {
            tracing::warn!(%end, "the token expires soon: give the server a new GITHUB_TOKEN before, and restart it");
        }
    }
}

fn is_soon(end: Timestamp) -> bool {
    end.duration_since(Timestamp::now()) < SOON
}

/// `2021-10-07 19:07:53 UTC`, or with an offset in the place of `UTC`.
pub fn parse_end(text: &str) -> Option<Timestamp> {
    let (time, zone) = text.trim().rsplit_once(' ')?;
    let zone = if zone == "UTC" { "Z" } else { zone };
    format!("{time}{zone}").parse().ok()
}

fn sentence(right: &Right, missing: &Missing) -> String {
    format!("The token may not {right}. {}", missing.advice)
}

fn fault(right: &Right, missing: &Missing) -> Fault {
    Fault::passing(format!("the server's GitHub token may not {right}")).advise(missing.advice.clone()).told()
}

/// Whether the answer says that the token lacks a right, and what to do about it. Other refusals are about the thing that was
/// asked for: a locked conversation, an archived repository.
fn refusal(answer: &Answer) -> Option<String> {
    if answer.status.as_u16() != 403 {
        return None;
    }
    let message = answer.message();
    if answer.header("x-github-sso").is_some() || message.contains("SAML enforcement") {
        let advice = "Its organisation wants single sign-on: choose \"Configure SSO\" beside the token on GitHub.";
        return Some(advice.to_owned());
    }
    if message.contains("forbids access via") {
        return Some(
            "Its organisation forbids tokens of this kind; GitHub's message in the log says which.".to_owned(),
        );
    }
    if !message.starts_with("Resource not accessible by") {
        return None;
    }
    Some(match answer.header("x-accepted-github-permissions") {
        Some(needed) => format!("Give the token on GitHub this permission for the repository: {needed}."),
        None => {
            "Give the token on GitHub these permissions for the repository: contents read, pull requests and commit statuses write.".to_owned()
        }
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ends_are_read_in_both_forms() {
        let end: Timestamp = "2021-10-07T19:07:53Z".parse().unwrap();
        assert_eq!(parse_end("2021-10-07 19:07:53 UTC"), Some(end));
        assert_eq!(parse_end("2021-10-07 12:07:53 -0700"), Some(end));
        assert_eq!(parse_end("soon"), None);
    }
}
