//! Stopping what fills the disk.
//!
//! Docker has no limit for what a container writes, save on a few file systems. So what containers have written, and how many files
//! they have made, is looked at, and a preview of which one has too much is stopped, before it takes the disk of everybody. It stays
//! stopped: started again, it would go on. What a build writes nobody can tell from what others do: it ends when the disk is about to.

use std::time::Duration;

use preview_core::capacity::{Measure, disk_ends};
use preview_core::ids::DeploymentId;

use super::Reconciler;
use crate::needs::{Fault, Filled, Part};

/// Between two questions. The engine itself is asked only when the disk has lost enough for somebody to have filled it.
const PAUSE: Duration = Duration::from_secs(5);
/// Between two looks at the disk while something is built.
const LOOK: Duration = Duration::from_secs(1);

impl Reconciler {
    /// Looks after sizes for ever.
    pub(super) async fn keep_within_sizes(self) {
        let limit = self.inner.config.container_disk;
        loop {
            tokio::time::sleep(PAUSE).await;
            match self.inner.out.engine.filled(limit).await {
                Ok(found) => {
                    for filled in found {
                        self.stop_what_fills(filled, limit).await;
                    }
                }
                Err(fault) => tracing::debug!(cause = %fault, "could not look at what containers have written"),
            }
        }
    }

    /// Returns when whoever builds, or pulls for that, has to end because the disk does.
    pub(super) async fn until_disk_ends(&self) -> Fault {
        loop {
            tokio::time::sleep(LOOK).await;
            let ends = self.inner.out.engine.room().await.ok().and_then(disk_ends);
            if let Some(measure) = ends {
                self.inner.housekeeper.ring();
                return stopped_build(measure);
            }
        }
    }

    async fn stop_what_fills(&self, filled: Filled, limit: u64) {
        let Filled { deployment: id, part, by, amount } = filled;
        match by {
            Measure::Bytes => tracing::warn!(
                deployment = %id, ?part, megabytes = amount >> 20, limit = limit >> 20,
                "a container has written more than CONTAINER_DISK_MB: its preview is stopped"
            ),
            Measure::Files => tracing::warn!(
                deployment = %id, ?part, files = amount,
                "a container has made more files than go with CONTAINER_DISK_MB: its preview is stopped"
            ),
        }
        if let Err(fault) = self.halt(&id, part, by).await {
            tracing::error!(deployment = %id, cause = %fault, "a preview that fills the disk could not be stopped");
        }
    }

    /// Writes it down and stops the containers.
    async fn halt(&self, id: &DeploymentId, part: Part, by: Measure) -> Result<(), Fault> {
        let change = |state: &mut crate::ledger::State| {
            let serving = state.deployments.get_mut(id)?.serving.as_mut()?;
            let beside = match part {
                Part::App(slot) => slot != serving.slot,
                Part::Task(_) => true,
                Part::Database | Part::Extra(_) | Part::Own(_) | Part::Other => false,
            };
            if !beside {
                (serving.down, serving.filled) = (true, Some(by));
            }
            Some(())
        };
        self.inner.ledger.change(change).await?;
        self.report(id);
        self.inner.out.engine.halt(id, part).await
    }
}

fn stopped_build(measure: Measure) -> Fault {
    match measure {
        Measure::Bytes => Fault::passing(
            "the server's disk was about to be full while the image was built, and so the build was stopped",
        )
        .advise("Let the build, and the images that it begins with, write less, or free space on the server."),
        Measure::Files => Fault::passing(
            "the server's disk had room for few more files while the image was built, and so the build was stopped",
        )
        .advise("Let the build, and the images that it begins with, make fewer files, or remove some on the server."),
    }
}
