//! Building an image with BuildKit, through Buildx.
//!
//! Buildx gets a folder of its own for each build, outside of the checkout: the Dockerfile lies there (the repository's
//! `.dockerignore` still counts), and so does what Buildx writes down about its builds, which nobody would tidy up
//! otherwise. When Buildx ends, for whatever reason, the engine stops the build: it is the other end of its session.

use std::collections::BTreeMap;
use std::fs::OpenOptions;
use std::io::{self, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;

use preview_core::compose::{LABEL_DEPLOYMENT, LABEL_INSTANCE};
use preview_core::ids::RepoId;
use preview_exec::{ExecError, Limits, Program};

use crate::needs::{BuildJob, Built, DeploymentLock, Fault, LineSink};
use preview_core::trust::Trust;

use super::Engine;
use super::api::ask;
use super::bases::Bases;
use super::build_failure::{Recent, Within};
use super::limits::{Held, Outgrown};

impl Engine {
    pub(super) async fn build_image(
        &self,
        job: &BuildJob,
        log: LineSink<'_>,
        hold: &DeploymentLock,
    ) -> Result<Built, Fault> {
        let mut held = self.hold_builds();
        let folder = tempfile::tempdir_in(self.builds_dir()).and_then(|folder| {
            write_private(&folder.path().join("Dockerfile"), job.dockerfile.as_bytes())?;
            Ok(folder)
        });
        let folder = folder.map_err(|error| {
            tracing::error!(%error, "the folder for a build could not be written");
            Fault::passing("a folder for the build could not be written on the server")
        })?;
        let (mut recent, mut bases) = (Recent::default(), Bases::default());
        let buildx = self.buildx(job, folder.path()).holding(hold.clone());
        let running = buildx.run_with(|_, line| {
            recent.push(line);
            bases.line(line);
            log(line);
        });
        // What loses is dropped, and so Buildx is stopped, and with it the build.
        let ended = tokio::select! {
            ended = running => Ok(ended),
            outgrown = outgrown(&mut held) => Err(outgrown),
        };
        match ended {
            Ok(Ok(_)) => {
                let image = job.image();
                let (built, ()) =
                    tokio::try_join!(self.what_was_built(&image), self.remove_untagged_images(&job.deployment))?;
                Ok(Built { bases: self.digests(bases).await, ..built })
            }
            Ok(Err(error)) => {
                let ceilings = self.options.build.ceilings;
                let within = held.map(|mut held| Within { ceilings, hit: held.hit() });
                Err(self.build_fault(error, recent, within))
            }
            Err(outgrown) => Err(recent.outgrown(outgrown, &self.options.build.ceilings)),
        }
    }

    /// Who an image's processes are, and what it starts, as it says itself.
    async fn what_was_built(&self, image: &str) -> Result<Built, Fault> {
        let inspected = ask("look at the image that was built", self.docker.inspect_image(image)).await?;
        let config = inspected.config.unwrap_or_default();
        let command = [config.entrypoint, config.cmd].into_iter().flatten().flatten().collect();
        Ok(Built { user: config.user.unwrap_or_default(), command, bases: BTreeMap::new() })
    }

    /// Makes the limits hold for one build.
    fn hold_builds(&self) -> Option<Held<'_>> {
        self.holder.hold(&self.options.build.ceilings).unwrap_or_else(|error| {
            tracing::warn!(%error, "this build is limited in time alone: the builder's control group can't be set");
            None
        })
    }

    fn buildx(&self, job: &BuildJob, folder: &Path) -> Program {
        let label = |key: &str, value: &str| format!("{key}={value}");
        let cache = format!("BUILDKIT_CACHE_MOUNT_NS={}", cache_namespace(job.repo, job.trust));
        let limits = Limits { total: self.options.build.timeout, silence: self.options.build.silence, kept: 4 << 10 };
        let pull = job.pull.then_some("--pull");
        let target = job.target.iter().flat_map(|stage| ["--target", stage.as_str()]);
        let args = job.args.iter().flat_map(|(name, value)| ["--build-arg".to_owned(), format!("{name}={value}")]);
        self.world
            .run(&self.buildx)
            .env("BUILDX_CONFIG", folder.join("buildx"))
            .env("BUILDX_NO_DEFAULT_ATTESTATIONS", "1")
            .args(["build", "--builder", "default", "--progress", "plain", "--provenance", "false"])
            .args(pull)
            .args(target)
            .args(args)
            .args(["--network", "default", "--build-arg", &cache])
            .args(["--label", &label(LABEL_DEPLOYMENT, &job.deployment.to_string())])
            .args(["--label", &label(LABEL_INSTANCE, self.options.instance.as_str())])
            .args(["--tag", &job.image(), "--file"])
            .arg(folder.join("Dockerfile"))
            .arg(&job.context)
            .limits(limits)
    }

    fn build_fault(&self, error: ExecError, recent: Recent, within: Option<Within>) -> Fault {
        match error {
            ExecError::Failed { .. } => recent.fault(within),
            ExecError::TooLong { limit, .. } => recent.stopped(
                &format!("took longer than {limit:?}"),
                "Let the build do less, or raise BUILD_TIMEOUT_SECONDS on the server.",
            ),
            ExecError::Silent { limit, .. } => recent.stopped(
                &format!("printed nothing for {limit:?}"),
                "Find out what it waits for, let it say what it does, or raise BUILD_SILENCE_SECONDS on the server.",
            ),
            ExecError::Missing { .. } => Fault::passing("Docker Buildx is not installed on the server")
                .advise("Install the `docker-buildx` plugin of the Docker command line."),
            ExecError::System { source, .. } => {
                tracing::error!(error = %source, "Buildx could not be run");
                Fault::passing("Docker Buildx could not be run on the server")
            }
        }
    }
}

/// Returns when a build that is held wants more than it may have.
async fn outgrown(held: &mut Option<Held<'_>>) -> Outgrown {
    match held {
        Some(held) => held.outgrown().await,
        None => std::future::pending().await,
    }
}

/// Whose cache mounts a build sees: those of the repository's members, or those of its strangers.
fn cache_namespace(repo: RepoId, trust: Trust) -> String {
    let whose = match trust {
        Trust::Member => "trusted",
        Trust::Stranger => "fork",
    };
    format!("{repo}-{whose}")
}

fn write_private(path: &Path, bytes: &[u8]) -> io::Result<()> {
    OpenOptions::new().write(true).create_new(true).mode(0o600).open(path)?.write_all(bytes)
}
