//! The proof that nothing is left, by other means than the service's own: its engine, ports and folders, looked at after it
//! has stopped. What is left all the same is told, and removed.

use std::collections::BTreeSet;
use std::net::{Ipv4Addr, TcpListener};
use std::path::{Path, PathBuf};
use std::time::Duration;

use preview_core::ids::{DeploymentId, InstanceId};
use preview_orchestrator::docker::{BuildOptions, Ceilings, Engine, EngineOptions};
use preview_orchestrator::needs::{ContainerEngine, EngineView, Fault, Volumes};

use super::stage::docker_host;
use crate::error::Failure;

/// What there may be traces of.
pub(super) struct Traces {
    /// The installation's name, which everything in the engine carries.
    pub(super) instance: InstanceId,
    /// Ports that were listened on.
    pub(super) ports: BTreeSet<u16>,
    /// The folder of previews' folders.
    pub(super) deployments: PathBuf,
    /// A folder for what looking needs.
    pub(super) home: PathBuf,
}

impl Traces {
    /// Everything that is left, one line each; it is gone after this.
    pub(super) async fn remove(self) -> Result<Vec<String>, Failure> {
        // Ports first: those that the system chose for us may be somebody else's in a moment.
        let taken = self.ports.iter().filter(|port| TcpListener::bind((Ipv4Addr::LOCALHOST, **port)).is_err());
        let mut left: Vec<String> = taken.map(|port| format!("port {port} is in use")).collect();
        left.extend(in_engine(self.instance, self.home).await?);
        left.extend(in_folder(&self.deployments)?);
        Ok(left)
    }
}

async fn in_engine(instance: InstanceId, home: PathBuf) -> Result<Vec<String>, Failure> {
    let limit = Duration::from_secs(60);
    let ceilings = Ceilings { memory_bytes: 0, cpus: 0.0, processes: 0 };
    let build = BuildOptions { group: None, ceilings, timeout: limit, silence: limit };
    let engine =
        Engine::connect(EngineOptions { docker_host: docker_host(), instance, home, runtime: None, build }).await?;
    let found = engine.observe_all().await?;
    let left = found.iter().flat_map(|(id, view)| lines(id, view)).collect();
    for (id, _) in &found {
        remove_all(&engine, id).await?;
    }
    Ok(left)
}

fn lines(id: &DeploymentId, view: &EngineView) -> Vec<String> {
    let containers = view.containers.iter().map(|container| format!("container {}", container.id));
    let volumes = view.volumes.iter().map(|name| format!("volume {name}"));
    let networks = view.networks.iter().map(|name| format!("network {name}"));
    let images = view.images.iter().map(|commit| format!("image of commit {}", commit.short()));
    let named: Vec<String> = containers.chain(volumes).chain(networks).chain(images).collect();
    // An image without a tag has no commit to be named by.
    let named = if named.is_empty() { vec!["an image without a tag".to_owned()] } else { named };
    named.into_iter().map(|thing| format!("{id}: {thing}")).collect()
}

async fn remove_all(engine: &Engine, id: &DeploymentId) -> Result<(), Fault> {
    engine.remove_containers(id).await?;
    engine.remove_volumes(id, Volumes::All).await?;
    engine.remove_networks(id).await?;
    engine.remove_images(id, &[]).await
}

fn in_folder(folder: &Path) -> Result<Vec<String>, Failure> {
    let unusable = |error| Failure::new(format!("`{}` can't be read", folder.display())).because(&error);
    let entries = std::fs::read_dir(folder).map_err(unusable)?;
    let mut left = Vec::new();
    for path in entries.flatten().map(|entry| entry.path()) {
        left.push(format!("folder {}", path.display()));
        std::fs::remove_dir_all(&path).map_err(unusable)?;
    }
    Ok(left)
}
