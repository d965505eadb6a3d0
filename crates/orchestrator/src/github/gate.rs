//! What GitHub told us about waiting and about our token. While the gate is closed no request goes out: whoever hammers on
//! after a limit is locked out for longer, and so is whoever repeats a token that doesn't count.
//!
//! Sources: <https://docs.github.com/en/rest/using-the-rest-api/rate-limits-for-the-rest-api>,
//! <https://docs.github.com/en/rest/authentication/authenticating-to-the-rest-api#failed-login-limit>

use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use jiff::fmt::rfc2822::DateTimeParser;
use jiff::{SignedDuration, Timestamp};
use tokio::time::Instant;

use super::api::Answer;
use crate::needs::Fault;

/// "If no `retry-after` is given, wait for at least one minute", twice as long each time.
const SECONDARY: Duration = Duration::from_secs(60);
const SECONDARY_MAX: Duration = Duration::from_secs(15 * 60);
/// Pause after a token that GitHub doesn't accept.
const UNAUTHORISED: Duration = Duration::from_secs(60);
/// The primary limit's window is an hour; no header makes us wait for longer.
const LONGEST: Duration = Duration::from_secs(3600);

/// How GitHub and we get on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ForgeHealth {
    /// It answers, as far as we know.
    Ok,
    /// It asked us to wait.
    LimitedUntil(Timestamp),
    /// It doesn't accept our token.
    Unauthorised {
        /// What to do about it.
        advice: &'static str,
    },
}

const TOKEN_ADVICE: &str = "The token expired or was revoked: give the server a new GITHUB_TOKEN and restart it. Previews that run go on running.";

#[derive(Default)]
pub(super) struct Gate(Mutex<State>);

#[derive(Default)]
struct State {
    closed_until: Option<Instant>,
    unauthorised: bool,
    /// Secondary limits met in a row.
    strikes: u32,
}

impl State {
    fn remaining(&self) -> Option<Duration> {
        let left = self.closed_until?.saturating_duration_since(Instant::now());
        (!left.is_zero()).then_some(left)
    }

    fn close(&mut self, wait: Duration) {
        self.closed_until = self.closed_until.max(Some(Instant::now() + wait.min(LONGEST)));
    }

    fn fault(&self) -> Option<Fault> {
        let wait = self.remaining()?;
        let fault = match self.unauthorised {
            true => Fault::passing("GitHub does not accept the server's token").advise(TOKEN_ADVICE),
            false => Fault::passing("GitHub asks the server to wait: its rate limit is reached"),
        };
        Some(fault.after(wait))
    }
}

impl Gate {
    fn state(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Whether a request may go out now.
    pub(super) fn pass(&self) -> Result<(), Fault> {
        self.state().fault().map_or(Ok(()), Err)
    }

    /// What an answer means for this request and for the next ones.
    pub(super) fn judge(&self, answer: &Answer) -> Result<(), Fault> {
        let mut state = self.state();
        if answer.status.as_u16() == 401 {
            tracing::error!(advice = TOKEN_ADVICE, "GitHub does not accept our token: {}", answer.message());
            state.unauthorised = true;
            state.close(UNAUTHORISED);
        } else if let Some(wait) = limit(answer, state.strikes) {
            tracing::warn!(seconds = wait.as_secs(), "GitHub limits us: {}", answer.message());
            state.strikes = state.strikes.saturating_add(1);
            state.close(wait);
        } else if answer.status.is_server_error() {
            let fault = Fault::passing(format!("GitHub answered {}", answer.status.as_u16()));
            return Err(match retry_after(answer) {
                Some(wait) => fault.after(wait.min(LONGEST)),
                None => fault,
            });
        } else {
            state.unauthorised = false;
            state.strikes = 0;
            // The last request of the window was answered; the next one would be refused.
            if is_used_up(answer) {
                state.close(until_reset(answer));
            }
            return Ok(());
        }
        state.fault().map_or(Ok(()), Err)
    }

    pub(super) fn health(&self) -> ForgeHealth {
        let state = self.state();
        match state.remaining().map(SignedDuration::try_from) {
            _ if state.unauthorised => ForgeHealth::Unauthorised { advice: TOKEN_ADVICE },
            Some(Ok(left)) => ForgeHealth::LimitedUntil(Timestamp::now() + left),
            _ => ForgeHealth::Ok,
        }
    }
}

/// How long to wait, if the answer speaks of a limit: 429, or a 403 with the marks of one (any other is a refusal).
fn limit(answer: &Answer, strikes: u32) -> Option<Duration> {
    let code = answer.status.as_u16();
    let told = retry_after(answer);
    let words = || answer.message().to_ascii_lowercase().contains("rate limit");
    if code != 429 && !(code == 403 && (told.is_some() || is_used_up(answer) || words())) {
        return None;
    }
    let wait = match told {
        Some(wait) => wait,
        None if is_used_up(answer) => until_reset(answer),
        None => SECONDARY.saturating_mul(1 << strikes.min(8)).min(SECONDARY_MAX),
    };
    Some(wait.max(Duration::from_secs(1)))
}

fn is_used_up(answer: &Answer) -> bool {
    answer.number("x-ratelimit-remaining") == Some(0)
}

fn retry_after(answer: &Answer) -> Option<Duration> {
    let seconds = answer.number("retry-after")?;
    u64::try_from(seconds).ok().map(Duration::from_secs)
}

/// By GitHub's own clock, so that a wrong one here makes us neither hammer nor sleep.
fn until_reset(answer: &Answer) -> Duration {
    let parser = DateTimeParser::new();
    let date = answer.header("date").and_then(|date| parser.parse_timestamp(date).ok());
    let now = date.unwrap_or_else(Timestamp::now).as_second();
    let reset = answer.number("x-ratelimit-reset").unwrap_or(now + 60);
    Duration::from_secs(u64::try_from(reset - now).unwrap_or(0) + 1)
}
