//! When is an app up? What it is asked, and what its answers mean; when it is asked is the orchestrator's to know.
//!
//! A repository that names its `health_check_path` is taken at its word. Of one that names none only `/` is known, and there many APIs have
//! nothing (404, 405) or nobody in without a login (401, 403): an app that says no is up. But some say so for a moment while they
//! start, before their routes are there. So the paths are asked where servers usually tell how they are, and an app of which none answers
//! counts as up once it has said no for a while.

use std::fmt;
use std::time::Duration;

use serde::{Deserialize, Serialize};

/// How long, and how often in a row, an app has to say no until it is believed.
const STEADY: Duration = Duration::from_secs(2);
const TIMES: u32 = 3;

/// Whether an answer to `/` is that of an app which runs and says no.
pub fn says_no(status: u16) -> bool {
    matches!(status, 401 | 403 | 404 | 405)
}

/// Whether an answer to a visitor's host refuses that name, where the same question to `localhost` was answered with another status:
/// Django and Tomcat say 400, Rails and Vite 403, HTTP has 421 for it.
pub fn refuses_host(status: u16) -> bool {
    matches!(status, 400 | 403 | 421)
}

/// A path at which servers usually tell how they are, or show that they are up.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub enum UsualPath {
    /// Almost everywhere.
    #[serde(rename = "/health")]
    Health,
    /// As in Kubernetes.
    #[serde(rename = "/healthz")]
    Healthz,
    /// Rails and Laravel.
    #[serde(rename = "/up")]
    Up,
    /// Where all of an app lies below `/api`.
    #[serde(rename = "/api/health")]
    ApiHealth,
    /// Spring Boot.
    #[serde(rename = "/actuator/health")]
    Actuator,
    /// The root of an API.
    #[serde(rename = "/api")]
    Api,
    /// FastAPI.
    #[serde(rename = "/docs")]
    Docs,
}

impl UsualPath {
    /// All of them, the more telling ones first.
    pub const ALL: [Self; 7] =
        [Self::Health, Self::Healthz, Self::Up, Self::ApiHealth, Self::Actuator, Self::Api, Self::Docs];

    /// The path.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Health => "/health",
            Self::Healthz => "/healthz",
            Self::Up => "/up",
            Self::ApiHealth => "/api/health",
            Self::Actuator => "/actuator/health",
            Self::Api => "/api",
            Self::Docs => "/docs",
        }
    }

    /// Whether an error of the server's there says that the app is not well.
    pub fn tells_health(self) -> bool {
        !matches!(self, Self::Api | Self::Docs)
    }
}

impl fmt::Display for UsualPath {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// What is known of an app that says no at `/`: for how long, and how often in a row.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Noes {
    first: Option<Duration>,
    count: u32,
}

impl Noes {
    /// Takes up one more no, at a moment of any clock that only goes forward. Whether the app is believed by now.
    pub fn one_more(&mut self, at: Duration) -> bool {
        self.count = self.count.saturating_add(1);
        let first = *self.first.get_or_insert(at);
        self.count >= TIMES && at.saturating_sub(first) >= STEADY
    }

    /// Forgets them: the app gave another answer, or none.
    pub fn forget(&mut self) {
        *self = Self::default();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_no_is_believed_after_a_while_and_again_and_again() {
        let mut noes = Noes::default();
        let mut at = |millis| noes.one_more(Duration::from_millis(millis));
        assert!(!at(100) && !at(5_000), "two are few, whatever the time between them");
        assert!(at(5_100));
        let mut noes = Noes::default();
        assert!((0..20).all(|tenth| !noes.one_more(Duration::from_millis(tenth * 100))));
        assert!(noes.one_more(Duration::from_millis(2_000)));
        noes.forget();
        assert!(!noes.one_more(Duration::from_millis(9_000)), "it begins anew");
    }

    #[test]
    fn errors_and_oddities_are_no_no() {
        assert!([401, 403, 404, 405].into_iter().all(says_no));
        assert!(![200, 302, 400, 410, 418, 429, 500, 502, 503].into_iter().any(says_no));
    }

    #[test]
    fn a_usual_path_is_written_down_as_it_is_asked() {
        for path in UsualPath::ALL {
            assert_eq!(serde_json::to_value(path).unwrap(), path.as_str());
            assert!(path.as_str().parse::<crate::repo_config::HealthPath>().is_ok());
        }
    }
}
