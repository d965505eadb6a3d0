//! Starting parts of a stack, through Compose, on a network that is made before.
//!
//! A slot always comes up in a fresh container; the database, once made, is never made anew, so Compose is told to recreate
//! nothing and the slot's old container is removed first. An app that needs the database starts when that is healthy. Compose would
//! wait for it too, but looks twice a second and waits before its first look; here it is asked at once and more often.

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
/// A database that isn't ready by then won't be.
const DATABASE_LIMIT: Duration = Duration::from_secs(120);
/// Between two looks at it.
const DATABASE_PAUSE: Duration = Duration::from_millis(50);

impl Engine {
    pub(super) async fn start_parts(
        &self,
        stack: &Stack,
        dir: &Path,
        parts: &[Part],
        hold: &DeploymentLock,
    ) -> Result<(), Fault> {
        let services: Vec<String> =
            parts.iter().filter_map(|part| service(*part)).map(|name| name.to_string()).collect();
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
        let slots: Vec<Part> = parts.iter().copied().filter(|part| matches!(part, Part::App(_))).collect();
        for slot in &slots {
            self.remove_container_of(&id, *slot).await?;
        }
        let needs_database = !slots.is_empty() && stack.service_names().any(|name| name == DATABASE.to_string());
        // Where the database still has to be started, Compose sees to the order.
        let alone = !needs_database || self.database_ready(&id).await?;
        let compose = self.compose(&id, &file).args(["up", "--detach", "--no-build", "--no-recreate", "--quiet-pull"]);
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

    /// Waits until the database is healthy; `false` at once when it isn't up at all.
    async fn database_ready(&self, id: &DeploymentId) -> Result<bool, Fault> {
        let deadline = Instant::now() + DATABASE_LIMIT;
        loop {
            match self.containers_of(id, Part::Database).await?.pop().map(|database| database.state) {
                Some(ContainerState::Running { healthy: Some(true) }) => return Ok(true),
                Some(ContainerState::Running { .. }) if Instant::now() < deadline => sleep(DATABASE_PAUSE).await,
                Some(ContainerState::Running { .. }) => {
                    return Err(Fault::passing(format!("the database was not ready within {DATABASE_LIMIT:?}")));
                }
                _ => return Ok(false),
            }
        }
    }
}

const DATABASE: ServiceName = ServiceName::Database;

/// The service that a part is; none for what we don't start.
pub(super) fn service(part: Part) -> Option<ServiceName> {
    match part {
        Part::App(slot) => Some(ServiceName::App(slot)),
        Part::Database => Some(DATABASE),
        Part::Other => None,
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
