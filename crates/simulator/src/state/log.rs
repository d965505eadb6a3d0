//! Who asked for what, and how much they may still ask.

use std::collections::BTreeMap;

use http::Method;
use jiff::{SignedDuration, Timestamp};

use crate::faults::Faults;

/// Which of GitHub's two doors a request came to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Surface {
    /// The REST API.
    Api,
    /// Git over HTTP.
    Git,
}

/// One request as it came in.
#[derive(Debug, Clone)]
pub struct Request {
    /// The REST API or Git.
    pub surface: Surface,
    /// GET, POST …
    pub method: Method,
    /// Path and query, of the API without what its address begins with: `/repos/o/r/pulls?state=open`.
    pub path: String,
    /// The answer, once there is one; a request that was hung up on never gets one.
    pub status: Option<u16>,
    /// When it came.
    pub at: Timestamp,
}

/// The newest requests, and the faults that wait for some of them.
#[derive(Debug, Default)]
pub(crate) struct Log {
    pub(crate) requests: BTreeMap<u64, Request>,
    pub(crate) faults: Faults,
    last: u64,
}

/// More than any test makes; a demonstration that runs for days stays small.
const KEPT: usize = 50_000;

impl Log {
    pub(crate) fn begin(&mut self, request: Request) -> u64 {
        self.last += 1;
        self.requests.insert(self.last, request);
        if self.requests.len() > KEPT {
            self.requests.pop_first();
        }
        self.last
    }

    pub(crate) fn end(&mut self, number: u64, status: u16) {
        if let Some(request) = self.requests.get_mut(&number) {
            request.status = Some(status);
        }
    }
}

/// The primary rate limit: so many requests an hour.
///
/// Source: <https://docs.github.com/en/rest/using-the-rest-api/rate-limits-for-the-rest-api>
#[derive(Debug, Clone)]
pub(crate) struct Quota {
    pub(crate) limit: u32,
    pub(crate) used: u32,
    pub(crate) reset: Timestamp,
}

const HOUR: SignedDuration = SignedDuration::from_hours(1);

impl Quota {
    pub(crate) fn new(limit: u32) -> Self {
        Self { limit, used: 0, reset: Timestamp::UNIX_EPOCH }
    }

    pub(crate) fn remaining(&self) -> u32 {
        self.limit.saturating_sub(self.used)
    }

    /// Counts one request; false when none is left.
    pub(crate) fn take(&mut self, now: Timestamp) -> bool {
        if now >= self.reset {
            (self.used, self.reset) = (0, now + HOUR);
        }
        let left = self.remaining() > 0;
        self.used += u32::from(left);
        left
    }

    pub(crate) fn leave(&mut self, remaining: u32, now: Timestamp) {
        self.used = self.limit.saturating_sub(remaining);
        self.reset = now + HOUR;
    }

    /// An answer of 304 does not count.
    pub(crate) fn give_back(&mut self) {
        self.used = self.used.saturating_sub(1);
    }
}
