//! What is coming up may use more of the CPU than what serves, for a few seconds.
//!
//! Most of a start is work (a runtime that compiles its program, a database that lays out its files), and people wait for it.
//! The containers are made with their lasting limit and hurried afterwards, so that whatever goes wrong in between ends on the
//! safe side: an attempt that is cut off or fails takes its containers down, and nothing gets visitors before it is back at its
//! limit. A restart by the engine keeps the lasting one.
//!
//! Under a runtime of their own (`UNTRUSTED_RUNTIME`) containers keep the limit that they were made with: gVisor's `runsc` can't change one
//! that runs.

use std::num::NonZero;
use std::thread::available_parallelism;
use std::time::Duration;

use preview_core::ids::DeploymentId;

use super::super::Reconciler;
use crate::needs::{Fault, Part};

/// How many times its lasting limit a start may use, as far as the server has it.
const HURRY: u32 = 4;
/// An app that isn't up by then goes on at its lasting limit.
pub(super) const LONGEST: Duration = Duration::from_secs(10);

impl Reconciler {
    /// Lets a container with this lasting limit hurry. That it could not is no reason to give up.
    pub(super) async fn hurry(&self, id: &DeploymentId, part: Part, limit: u32) {
        if !self.may_hurry(id) {
            return;
        }
        let cores = available_parallelism().map_or(1, NonZero::get);
        let all = u32::try_from(cores * 1000).unwrap_or(u32::MAX);
        let more = limit.saturating_mul(HURRY).min(all).max(limit);
        if let Err(fault) = self.inner.out.engine.limit_cpu(id, part, more).await {
            tracing::debug!(deployment = %id, ?part, cause = %fault, "a start could not be hurried");
        }
    }

    /// Puts a container back to its lasting limit.
    pub(super) async fn end_hurry(&self, id: &DeploymentId, part: Part, limit: u32) -> Result<(), Fault> {
        if !self.may_hurry(id) {
            return Ok(());
        }
        self.inner.out.engine.limit_cpu(id, part, limit).await
    }

    fn may_hurry(&self, id: &DeploymentId) -> bool {
        let trust = self.inner.ledger.read(|state| state.deployments.get(id).map(|record| record.trust));
        trust.is_some_and(|trust| self.inner.config.runtimes.of(trust).is_none())
    }
}
