//! What `preview doctor` knows: usual mistakes, each a small function of what was looked at.
//!
//! | file | what lives there |
//! | --- | --- |
//! | `facts` | what there is to look at, and what was seen |
//! | `look/` | looking: at files, Docker, nginx, GitHub, the service, the network |
//! | `checks/` | judging: one function a mistake, which asks nobody |
//! | `laptop` | what only somebody outside of the server sees |

mod checks;
mod facts;
mod laptop;
mod look;

use serde::{Deserialize, Serialize};

use crate::dns::Record;
pub(crate) use facts::Facts;
pub(crate) use laptop::Outside;

/// What a check comes to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Verdict {
    /// It is as it should be, or does not concern this installation.
    Ok,
    /// It could not be looked at.
    Unknown,
    /// It works, and won't for long, or not as well as it could.
    Warning,
    /// It does not work, or is not safe.
    Problem,
}

/// What a check says.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Judgement {
    verdict: Verdict,
    says: String,
    /// In place of the check's own.
    remedy: Option<String>,
}

impl Judgement {
    fn new(verdict: Verdict, says: impl Into<String>) -> Self {
        Self { verdict, says: says.into(), remedy: None }
    }

    fn ok(says: impl Into<String>) -> Self {
        Self::new(Verdict::Ok, says)
    }

    fn unknown(says: impl Into<String>) -> Self {
        Self::new(Verdict::Unknown, says)
    }

    fn warning(says: impl Into<String>) -> Self {
        Self::new(Verdict::Warning, says)
    }

    fn problem(says: impl Into<String>) -> Self {
        Self::new(Verdict::Problem, says)
    }

    fn remedy(mut self, remedy: impl Into<String>) -> Self {
        self.remedy = Some(remedy.into());
        self
    }

    /// With the record that is wanted, where the name does not lead to the server alone.
    fn record(self, record: Option<&Record>) -> Self {
        match record {
            Some(record) if !record.is_right() => self.remedy(record.advice()),
            _ => self,
        }
    }
}

/// A usual mistake.
struct Check<F> {
    /// Its name, for scripts.
    name: &'static str,
    /// What is looked at.
    looks_at: &'static str,
    judge: fn(&F) -> Judgement,
    /// What helps, unless the judgement knows better.
    remedy: &'static str,
}

/// What a check found.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Finding {
    pub(crate) name: String,
    pub(crate) looked_at: String,
    pub(crate) verdict: Verdict,
    pub(crate) says: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) remedy: Option<String>,
}

impl<F> Check<F> {
    fn examine(&self, facts: &F) -> Finding {
        let Judgement { verdict, says, remedy } = (self.judge)(facts);
        let needed = matches!(verdict, Verdict::Warning | Verdict::Problem);
        Finding {
            name: self.name.to_owned(),
            looked_at: self.looks_at.to_owned(),
            verdict,
            says,
            remedy: needed.then(|| remedy.unwrap_or_else(|| self.remedy.to_owned())),
        }
    }
}

/// All that was found, for people and for whoever asks from a laptop.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Report {
    /// The version that looked.
    pub(crate) version: String,
    /// What previews' addresses begin with, where it is known.
    pub(crate) base_url: Option<String>,
    pub(crate) findings: Vec<Finding>,
}

impl Report {
    /// Looks at everything on this machine, and judges it.
    pub(crate) async fn here(api: Option<preview_orchestrator::settings::BaseUrl>) -> Self {
        let facts = look::everything(api).await;
        Self {
            version: env!("CARGO_PKG_VERSION").to_owned(),
            base_url: facts.base_url.clone(),
            findings: checks::all().iter().map(|check| check.examine(&facts)).collect(),
        }
    }

    /// With what was seen from a laptop in front.
    pub(crate) fn seen_from(mut self, outside: &Outside) -> Self {
        let seen = laptop::CHECKS.iter().map(|check| check.examine(outside));
        self.findings.splice(..0, seen);
        self
    }

    pub(crate) fn count(&self, verdict: Verdict) -> usize {
        self.findings.iter().filter(|finding| finding.verdict == verdict).count()
    }
}

/// Findings where the server itself could not be asked.
pub(crate) fn only_outside(outside: &Outside) -> Report {
    Report { version: env!("CARGO_PKG_VERSION").to_owned(), base_url: None, findings: Vec::new() }.seen_from(outside)
}
