//! When GitHub wants to be left alone: its limits, and a token that it doesn't accept. While the gate is closed no request
//! goes out: whoever hammers on after a limit is locked out for longer, and so is whoever repeats a token that doesn't count.
//!
//! What closes it is told to the log here, once; the faults of requests that it holds back say so ([`Fault::told`]).
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

/// "Otherwise, wait for at least one minute before retrying", and longer each time that it goes on.
const PAUSE: Duration = Duration::from_secs(60);
const LONGEST_PAUSE: Duration = Duration::from_secs(15 * 60);
/// The primary limit's window is an hour; no header makes us wait for longer.
const LONGEST: Duration = Duration::from_secs(3600);
/// After so long without a strike, the next is the first again. A good answer alone does not forgive one: while content may
/// not be written, reading works.
const FORGIVEN: Duration = Duration::from_secs(3600);

const TOKEN_ADVICE: &str = "The token, or the GitHub App's key, expired or was revoked: give the server a new GITHUB_TOKEN or GITHUB_APP_PRIVATE_KEY_FILE \
     and restart it. Previews that run go on running.";

/// Why the gate is closed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Closed {
    /// GitHub asked us to wait.
    LimitedUntil(Timestamp),
    /// It doesn't accept our token.
    Unauthorised(&'static str),
}

#[derive(Default)]
pub(super) struct Gate(Mutex<State>);

/// A request that was let through, as of how often the gate had been closed by then.
#[derive(Debug, Clone, Copy)]
pub(super) struct Pass(u64);

#[derive(Default)]
struct State {
    closed_until: Option<Instant>,
    closings: u64,
    unauthorised: bool,
    strikes: u32,
    struck: Option<Instant>,
}

impl State {
    fn remaining(&self) -> Option<Duration> {
        let left = self.closed_until?.saturating_duration_since(Instant::now());
        (!left.is_zero()).then_some(left)
    }

    fn close(&mut self, wait: Duration) {
        self.closed_until = self.closed_until.max(Some(Instant::now() + wait.min(LONGEST)));
        self.closings += 1;
    }

    /// Counts a refusal, and gives the pause that it asks for if its answer names none. Requests that were under way
    /// together are refused together, which is one strike.
    fn strike(&mut self, pass: Pass) -> Duration {
        if pass.0 == self.closings {
            let forgiven = self.struck.is_none_or(|struck| struck.elapsed() >= FORGIVEN);
            self.strikes = if forgiven { 1 } else { self.strikes.saturating_add(1) };
            self.struck = Some(Instant::now());
        }
        PAUSE.saturating_mul(1 << self.strikes.saturating_sub(1).min(8)).min(LONGEST_PAUSE)
    }

    fn fault(&self) -> Option<Fault> {
        let wait = self.remaining()?;
        let fault = match self.unauthorised {
            true => Fault::passing("GitHub does not accept the server's token").advise(TOKEN_ADVICE),
            false => Fault::passing("GitHub asks the server to wait: its rate limit is reached"),
        };
        Some(fault.after(wait).told())
    }

    fn refused(&mut self, answer: &Answer, pass: Pass) {
        let pause = self.strike(pass);
        if !std::mem::replace(&mut self.unauthorised, true) {
            tracing::error!(advice = TOKEN_ADVICE, "GitHub does not accept our token: {}", answer.message());
        }
        self.close(pause);
    }

    fn limited(&mut self, answer: &Answer, pass: Pass) {
        let wait = match retry_after(answer) {
            Some(wait) => wait,
            None if is_used_up(answer) => until_reset(answer),
            None => self.strike(pass),
        };
        let wait = wait.clamp(Duration::from_secs(1), LONGEST);
        if self.remaining().is_none() {
            tracing::warn!(seconds = wait.as_secs(), "GitHub asks us to wait: {}", answer.message());
        }
        self.close(wait);
    }

    fn fine(&mut self, answer: &Answer, pass: Pass) {
        if pass.0 == self.closings && std::mem::take(&mut self.unauthorised) {
            tracing::info!("GitHub accepts our token again");
        }
        // The last request of the window was answered; the next one would be refused.
        if is_used_up(answer) {
            let wait = until_reset(answer);
            tracing::warn!(seconds = wait.as_secs(), "GitHub's hourly limit is used up; waiting for the next hour's");
            self.close(wait);
        }
    }
}

impl Gate {
    fn state(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Whether a request may go out now.
    pub(super) fn pass(&self) -> Result<Pass, Fault> {
        let state = self.state();
        state.fault().map_or(Ok(Pass(state.closings)), Err)
    }

    /// What an answer means for this request and for the next ones.
    pub(super) fn judge(&self, pass: Pass, answer: &Answer) -> Result<(), Fault> {
        let mut state = self.state();
        if answer.status.as_u16() == 401 {
            state.refused(answer, pass);
        } else if is_limit(answer) {
            state.limited(answer, pass);
        } else if answer.status.is_server_error() {
            let fault = Fault::passing(format!("GitHub answered {}", answer.status.as_u16()));
            return Err(match retry_after(answer) {
                Some(wait) => fault.after(wait.min(LONGEST)),
                None => fault,
            });
        } else {
            state.fine(answer, pass);
            return Ok(());
        }
        state.fault().map_or(Ok(()), Err)
    }

    /// Whether it is closed, and why. A token that was not accepted is not until it is.
    pub(super) fn closed(&self) -> Option<Closed> {
        let state = self.state();
        match state.remaining().map(SignedDuration::try_from) {
            _ if state.unauthorised => Some(Closed::Unauthorised(TOKEN_ADVICE)),
            Some(Ok(left)) => Some(Closed::LimitedUntil(Timestamp::now() + left)),
            _ => None,
        }
    }
}

/// Whether the answer speaks of a limit: 429, or a 403 with the marks of one (any other is a refusal).
fn is_limit(answer: &Answer) -> bool {
    let words = || answer.message().to_ascii_lowercase().contains("rate limit");
    match answer.status.as_u16() {
        429 => true,
        403 => retry_after(answer).is_some() || is_used_up(answer) || words(),
        _ => false,
    }
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
