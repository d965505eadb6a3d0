//! Taking things away: each step bounded, each content with finding nothing, none touching what isn't labelled as ours.

use bollard::Docker;
use bollard::errors::Error;
use bollard::models::NetworkDisconnectRequest;
use bollard::query_parameters::{
    RemoveContainerOptions, RemoveImageOptions, RemoveVolumeOptions, StopContainerOptions,
};
use futures_util::future::try_join_all;
use preview_core::ids::{CommitSha, DeploymentId};

use crate::needs::{Fault, Part, Volumes};

use super::Engine;
use super::api::{ask, until_gone};

/// Seconds that a container gets to end after SIGTERM.
const GRACE_SECONDS: i32 = 10;

impl Engine {
    /// One part's container with its anonymous volumes.
    pub(super) async fn remove_container_of(&self, id: &DeploymentId, part: Part) -> Result<(), Fault> {
        let found = self.containers_of(id, part).await?;
        try_join_all(found.iter().map(|container| self.remove_container(&container.id))).await?;
        Ok(())
    }

    /// All containers of a deployment, at once.
    pub(super) async fn remove_all_containers(&self, id: &DeploymentId) -> Result<(), Fault> {
        let found = self.containers(Some(id)).await?;
        try_join_all(found.iter().map(|(_, container)| self.remove_container(&container.id))).await?;
        Ok(())
    }

    async fn remove_container(&self, container: &str) -> Result<(), Fault> {
        let stop = StopContainerOptions { t: Some(GRACE_SECONDS), ..Default::default() };
        match ask("stop a container", self.docker.stop_container(container, Some(stop))).await {
            Ok(()) => {}
            Err(refused) if refused.gone() => return Ok(()),
            // Removing by force ends it all the same.
            Err(refused) => {
                tracing::debug!(%container, cause = %Fault::from(refused), "a container did not stop when asked")
            }
        }
        let options = RemoveContainerOptions { v: true, force: true, ..Default::default() };
        until_gone("remove a container", || self.docker.remove_container(container, Some(options.clone()))).await
    }

    /// Named volumes of a deployment.
    pub(super) async fn remove_these_volumes(&self, id: &DeploymentId, which: Volumes) -> Result<(), Fault> {
        let mut found = self.volumes(Some(id)).await?;
        found.retain(|(_, name)| which.has(id, name));
        let remove = |name: &str| {
            let name = name.to_owned();
            async move {
                until_gone("remove a volume", || self.docker.remove_volume(&name, None::<RemoveVolumeOptions>)).await
            }
        };
        try_join_all(found.iter().map(|(_, name)| remove(name))).await?;
        Ok(())
    }

    /// The networks of a deployment. Whatever is still attached (somebody looked inside) is detached.
    pub(super) async fn remove_all_networks(&self, id: &DeploymentId) -> Result<(), Fault> {
        for (_, name) in self.networks(Some(id)).await? {
            until_gone("remove a network", || remove_network(&self.docker, &name)).await?;
        }
        Ok(())
    }

    /// The images of a deployment but for some commits', and what earlier builds of it left without a tag.
    pub(super) async fn remove_old_images(&self, id: &DeploymentId, keep: &[CommitSha]) -> Result<(), Fault> {
        for (_, image) in self.images(Some(id)).await? {
            for (_, tag) in image.tags.iter().filter(|(commit, _)| !keep.contains(commit)) {
                self.remove_image(tag).await?;
            }
        }
        self.remove_untagged_images(id).await
    }

    /// Images whose tag went to a later build of the same commit. What a slot still runs goes with the next call.
    pub(super) async fn remove_untagged_images(&self, id: &DeploymentId) -> Result<(), Fault> {
        for (_, image) in self.images(Some(id)).await?.into_iter().filter(|(_, image)| image.untagged) {
            match ask("remove an image", self.docker.remove_image(&image.id, None::<RemoveImageOptions>, None)).await {
                Ok(_) => {}
                Err(refused) if refused.gone() || refused.busy() => {}
                Err(refused) => return Err(refused.into()),
            }
        }
        Ok(())
    }

    /// Takes the tag away, and with it the image. Where a container of somebody else's runs it, the image stays without a name
    /// until it is tidied up: by its name it would be met again and again.
    async fn remove_image(&self, tag: &str) -> Result<(), Fault> {
        let remove = |force| {
            let options = RemoveImageOptions { force, ..Default::default() };
            ask("remove an image", self.docker.remove_image(tag, Some(options), None))
        };
        let removed = match remove(false).await {
            Err(refused) if refused.busy() => remove(true).await,
            other => other,
        };
        match removed {
            Ok(_) => Ok(()),
            Err(refused) if refused.gone() => Ok(()),
            Err(refused) => Err(refused.into()),
        }
    }
}

async fn remove_network(docker: &Docker, name: &str) -> Result<(), Error> {
    let attached = docker.inspect_network(name, None).await?.containers.unwrap_or_default();
    for container in attached.into_keys() {
        let request = NetworkDisconnectRequest { container, force: Some(true) };
        // One that left by itself meanwhile is what was wanted; anything else shows when the network is removed.
        let _ = docker.disconnect_network(name, request).await;
    }
    docker.remove_network(name).await
}
