//! An app that did not get healthy: what else is to be known of it is gathered, and [`preview_core::diagnosis`] says what it means.

use std::time::Duration;

use preview_core::diagnosis::{Illness, Symptom};
use preview_core::health::UsualPath;
use preview_core::ids::{DeploymentId, Slot};

use super::super::Reconciler;
use super::Found;
use crate::needs::{Fault, Part, Probe};

/// How long a usual path may take to answer.
pub(super) const ASK: Duration = Duration::from_secs(2);

/// What the app was given to get healthy.
pub(super) struct Given<'a> {
    pub(super) slot: Slot,
    pub(super) path: &'a str,
    pub(super) waited: Duration,
    pub(super) memory_mb: u32,
}

impl Reconciler {
    /// The cause and what to try; the app is the author's, so the fault is too.
    pub(super) async fn explain(
        &self,
        id: &DeploymentId,
        given: &Given<'_>,
        symptom: Symptom,
        found: &Found,
        log: &[String],
    ) -> Fault {
        let engine = &self.inner.out.engine;
        let listens = match symptom {
            Symptom::Silent => engine.listening(id, Part::App(given.slot)).await,
            _ => None,
        };
        let other_path = match symptom {
            Symptom::Status(404 | 405) => self.path_that_answers(id).await,
            _ => None,
        };
        let illness = Illness {
            symptom,
            log,
            listens: listens.as_deref(),
            port: found.detected.app_port,
            port_env: found.config.app_port_env.as_ref().map_or("PORT", |name| name.as_str()),
            health_path: given.path,
            host: &self.inner.config.site.authority(id),
            other_path,
            memory_mb: given.memory_mb,
            waited: given.waited.as_secs(),
        };
        let told = illness.diagnosis();
        tracing::info!(deployment = %id, rule = told.rule, "told why the app did not get healthy");
        Fault::author(told.cause).advise(told.advice)
    }

    /// One of the usual paths that answers as a health check should.
    async fn path_that_answers(&self, id: &DeploymentId) -> Option<&'static str> {
        let port = self.attempt_port(id).ok()?;
        for path in UsualPath::ALL.map(UsualPath::as_str).into_iter().chain(["/"]) {
            if self.inner.out.prober.probe(port, path, ASK).await == Probe::Healthy {
                return Some(path);
            }
        }
        None
    }
}
