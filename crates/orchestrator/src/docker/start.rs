//! Starting parts of a stack, through Compose, on a network that is made before.
//!
//! A slot and a one-off container always come up afresh; the database, once made, is never made anew, so Compose is told to recreate
//! nothing and the slot's old container is removed first. An app that needs the database starts when that is healthy. Compose would
//! wait for it too, but looks twice a second and waits before its first look; here it is asked at once and more often.

use std::collections::BTreeSet;
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::time::Duration;

use bollard::models::{ContainerUpdateBody, Ipam, IpamConfig, NetworkCreateRequest};
use preview_core::compose::{Network, ServiceName, Stack};
use preview_core::ids::DeploymentId;
use preview_exec::{ExecError, Limits, Program};
use tokio::time::{Instant, sleep};

use crate::needs::{ContainerState, DeploymentLock, Fault, Part};

use super::api::ask;
use super::{Engine, start_failure};

/// A first start may have to pull the database's image.
const COMPOSE_LIMIT: Limits = Limits::seconds(600);
/// A database or service that isn't ready by then won't be.
const READY_LIMIT: Duration = Duration::from_secs(120);
/// Between two looks at it.
const READY_PAUSE: Duration = Duration::from_millis(50);

/// What becomes of containers that are up already.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Existing {
    /// They stay as they are.
    Stay,
    /// Those that differ from the stack are made anew.
    FollowStack,
}

impl Engine {
    pub(super) async fn start_parts(
        &self,
        stack: &Stack,
        dir: &Path,
        parts: &[Part],
        existing: Existing,
        hold: &DeploymentLock,
    ) -> Result<(), Fault> {
        let services: Vec<String> =
            parts.iter().filter_map(|part| part.service()).map(|name| name.to_string()).collect();
        let id: DeploymentId = stack.name().parse().map_err(|error| Fault::passing(format!("{error}")))?;
        self.make_network(&id, stack.network()).await?;
        if services.is_empty() {
            // Named no service, Compose would start them all.
            return Ok(());
        }
        let file = write_stack(dir, &stack.to_yaml()).map_err(|error| {
            tracing::error!(deployment = %id, %error, "the Compose file could not be written");
            Fault::passing("the preview's Compose file could not be written on the server")
        })?;
        for part in parts.iter().filter(|part| matches!(part, Part::App(_) | Part::Task(_))) {
            self.remove_container_of(&id, *part).await?;
        }
        let awaited = parts.iter().filter_map(|part| part.service()).flat_map(|name| stack.awaited_by(name)).collect();
        // Where somebody who is waited for still has to be started, Compose sees to the order.
        let alone = existing == Existing::FollowStack || self.all_ready(&id, awaited).await?;
        let compose = self.compose(&id, &file).args(["up", "--detach", "--no-build", "--quiet-pull"]);
        let compose = if existing == Existing::Stay { compose.arg("--no-recreate") } else { compose };
        let compose = if alone { compose.arg("--no-deps") } else { compose };
        match compose.args(services).holding(hold.clone()).run().await {
            Ok(_) => Ok(()),
            Err(error) => Err(start_fault(error, dir)),
        }
    }

    /// Makes the deployment's network, if there is none yet. Nobody else makes it meanwhile: we hold the deployment's lock.
    async fn make_network(&self, id: &DeploymentId, network: &Network) -> Result<(), Fault> {
        if !self.networks(Some(id)).await?.is_empty() {
            return Ok(());
        }
        let addresses = IpamConfig { subnet: Some(network.subnet.to_string()), ..Default::default() };
        let labels = network.labels.iter().map(|(key, value)| ((*key).to_owned(), value.clone()));
        let request = NetworkCreateRequest {
            name: network.name.clone(),
            driver: Some("bridge".to_owned()),
            enable_ipv6: Some(false),
            options: Some([("com.docker.network.bridge.name".to_owned(), network.bridge.clone())].into()),
            ipam: Some(Ipam { config: Some(vec![addresses]), ..Default::default() }),
            labels: Some(labels.collect()),
            ..Default::default()
        };
        match ask("make a network", self.docker.create_network(request)).await {
            Ok(_) => Ok(()),
            Err(refused) => {
                let fault = Fault::from(refused);
                Err(start_failure::no_network(&fault.cause).unwrap_or(fault))
            }
        }
    }

    pub(super) async fn limit_cpu_of(&self, id: &DeploymentId, part: Part, millis: u32) -> Result<(), Fault> {
        let limit = ContainerUpdateBody { nano_cpus: Some(i64::from(millis) * 1_000_000), ..Default::default() };
        for container in self.containers_of(id, part).await? {
            match ask("limit a container", self.docker.update_container(&container.id, limit.clone())).await {
                Err(refused) if !refused.gone() => return Err(refused.into()),
                _ => {}
            }
        }
        Ok(())
    }

    fn compose(&self, id: &DeploymentId, file: &Path) -> Program {
        self.world
            .run(&self.compose)
            .env("COMPOSE_DISABLE_ENV_FILE", "1")
            .env("COMPOSE_IGNORE_ORPHANS", "1")
            .args(["--project-name", &id.to_string(), "--project-directory"])
            .arg(file.parent().unwrap_or(file))
            .arg("--file")
            .arg(file)
            .limits(COMPOSE_LIMIT)
    }

    /// Waits until all of these are healthy; `false` at once when one isn't up at all.
    async fn all_ready(&self, id: &DeploymentId, awaited: BTreeSet<ServiceName>) -> Result<bool, Fault> {
        let deadline = Instant::now() + READY_LIMIT;
        for name in awaited {
            if !self.ready(id, name, deadline).await? {
                return Ok(false);
            }
        }
        Ok(true)
    }

    pub(super) async fn database_is_ready(&self, id: &DeploymentId) -> Result<bool, Fault> {
        self.ready(id, ServiceName::Database, Instant::now() + READY_LIMIT).await
    }

    async fn ready(&self, id: &DeploymentId, name: ServiceName, deadline: Instant) -> Result<bool, Fault> {
        loop {
            match self.containers_of(id, name.into()).await?.pop().map(|container| container.state) {
                Some(ContainerState::Running { healthy: Some(true) }) => return Ok(true),
                Some(ContainerState::Running { .. }) if Instant::now() < deadline => sleep(READY_PAUSE).await,
                Some(ContainerState::Running { .. }) => {
                    return Err(match name {
                        ServiceName::Own(name) => {
                            Fault::author(format!("`{name}` was not healthy within {READY_LIMIT:?}"))
                                .advise("let its `healthcheck` in `docker-compose.preview.yml` fit what it runs")
                        }
                        ServiceName::Extra(extra) => {
                            Fault::passing(format!("{extra} was not ready within {READY_LIMIT:?}"))
                        }
                        _ => Fault::passing(format!("the database was not ready within {READY_LIMIT:?}")),
                    });
                }
                _ => return Ok(false),
            }
        }
    }
}

/// Writes `compose.yml` into the deployment's folder, whole or not at all, readable by us alone: it holds a password.
fn write_stack(dir: &Path, yaml: &str) -> io::Result<PathBuf> {
    std::fs::create_dir_all(dir)?;
    let mut file = tempfile::NamedTempFile::new_in(dir)?;
    file.write_all(yaml.as_bytes())?;
    let path = dir.join("compose.yml");
    file.persist(&path)?;
    Ok(path)
}

fn start_fault(error: ExecError, dir: &Path) -> Fault {
    match error {
        ExecError::Failed { output, .. } => {
            // A path of ours says nothing to the author, and where things lie on the server is nobody's business.
            start_failure::explain(&output.stderr.replace(&*dir.to_string_lossy(), "…"))
        }
        ExecError::TooLong { limit, .. } | ExecError::Silent { limit, .. } => {
            Fault::passing(format!("Docker did not start the preview within {limit:?}"))
        }
        ExecError::Missing { .. } => Fault::passing("Docker Compose is not installed on the server")
            .advise("Install the `docker-compose` plugin (v2) of the Docker command line."),
        ExecError::System { source, .. } => {
            tracing::error!(error = %source, "Compose could not be run");
            Fault::passing("Docker Compose could not be run on the server")
        }
    }
}
