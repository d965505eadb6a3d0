//! What there is: containers, volumes, networks and images, found by their labels.
//!
//! Both labels decide, the installation's and the deployment's; what lacks either, or carries one that can't be read, is
//! somebody else's and stays out of every view.

use std::collections::{BTreeMap, HashMap};

use bollard::models::{
    ContainerInspectResponse, ContainerStateStatusEnum, ContainerSummary, HealthStatusEnum, ImageSummary,
};
use bollard::query_parameters::{ListContainersOptions, ListImagesOptions, ListNetworksOptions, ListVolumesOptions};
use futures_util::stream::{self, StreamExt, TryStreamExt};
use preview_core::compose::{
    DatabasePassword, LABEL_COMMIT, LABEL_DEPLOYMENT, LABEL_INSTANCE, LABEL_SERVICE, ServiceName, app_image_repository,
    commit_of_tag,
};
use preview_core::ids::{CommitSha, DeploymentId};

use crate::needs::{Container, ContainerState, EngineView, Fault, Part};

use super::Engine;
use super::api::ask;

/// How many containers are inspected at once.
const INSPECTIONS: usize = 8;

/// Labels as the engine gives them.
type Labels = HashMap<String, String>;
/// Filters as the engine takes them.
pub(super) type Filters = HashMap<String, Vec<String>>;

impl Engine {
    /// Everything of one deployment, or of all.
    pub(super) async fn views(&self, of: Option<&DeploymentId>) -> Result<BTreeMap<DeploymentId, EngineView>, Fault> {
        let (containers, volumes, networks, images) =
            tokio::try_join!(self.containers(of), self.volumes(of), self.networks(of), self.images(of))?;
        let mut views: BTreeMap<DeploymentId, EngineView> = BTreeMap::new();
        for (id, container) in containers {
            views.entry(id).or_default().containers.push(container);
        }
        for (id, volume) in volumes {
            views.entry(id).or_default().volumes.push(volume);
        }
        for (id, network) in networks {
            views.entry(id).or_default().networks.push(network);
        }
        for (id, image) in images {
            let commits = image.tags.into_iter().map(|(commit, _)| commit);
            views.entry(id).or_default().images.extend(commits);
        }
        for view in views.values_mut() {
            view.containers.sort_by(|a, b| (a.part, &a.id).cmp(&(b.part, &b.id)));
            view.volumes.sort_unstable();
            view.networks.sort_unstable();
            view.images.sort_unstable();
            // One for each image that is built of a commit.
            view.images.dedup();
        }
        Ok(views)
    }

    /// The containers of one part: one at most where all went well.
    pub(super) async fn containers_of(&self, id: &DeploymentId, part: Part) -> Result<Vec<Container>, Fault> {
        let containers = self.containers(Some(id)).await?.into_iter().map(|(_, container)| container);
        Ok(containers.filter(|container| container.part == part).collect())
    }

    /// Containers, running or not, by deployment.
    pub(super) async fn containers(&self, of: Option<&DeploymentId>) -> Result<Vec<(DeploymentId, Container)>, Fault> {
        let options = ListContainersOptions { all: true, filters: Some(self.filters(of)), ..Default::default() };
        let listed = ask("list containers", self.docker.list_containers(Some(options))).await?;
        let ours = listed.into_iter().filter_map(|summary| {
            let id = owner(summary.labels.as_ref()?)?;
            Some((id, summary))
        });
        let inspected = stream::iter(ours).map(|(id, summary)| self.inspect(id, summary)).buffered(INSPECTIONS);
        inspected.try_filter_map(|found| async { Ok(found) }).try_collect().await
    }

    /// One container; `None` when it is gone meanwhile.
    async fn inspect(
        &self,
        id: DeploymentId,
        summary: ContainerSummary,
    ) -> Result<Option<(DeploymentId, Container)>, Fault> {
        let name = summary.id.unwrap_or_default();
        match ask("inspect a container", self.docker.inspect_container(&name, None)).await {
            Ok(found) => Ok(Some((id, container(name, &summary.labels.unwrap_or_default(), &found)))),
            Err(refused) if refused.gone() => Ok(None),
            Err(refused) => Err(refused.into()),
        }
    }

    /// The password in the environment of any backing service's container.
    pub(super) async fn password_of_database(&self, id: &DeploymentId) -> Result<Option<DatabasePassword>, Fault> {
        let containers = self.containers(Some(id)).await?.into_iter().map(|(_, container)| container);
        for container in containers.filter(|container| matches!(container.part, Part::Database | Part::Extra(_))) {
            let found = ask("inspect a container", self.docker.inspect_container(&container.id, None)).await?;
            let environment = found.config.and_then(|config| config.env).unwrap_or_default();
            if let Some(password) = DatabasePassword::from_environment(&environment) {
                return Ok(Some(password));
            }
        }
        Ok(None)
    }

    /// Names of named volumes, by deployment.
    pub(super) async fn volumes(&self, of: Option<&DeploymentId>) -> Result<Vec<(DeploymentId, String)>, Fault> {
        let options = ListVolumesOptions { filters: Some(self.filters(of)) };
        let listed = ask("list volumes", self.docker.list_volumes(Some(options))).await?.volumes.unwrap_or_default();
        Ok(listed.into_iter().filter_map(|volume| Some((owner(&volume.labels)?, volume.name))).collect())
    }

    /// Names of networks, by deployment.
    pub(super) async fn networks(&self, of: Option<&DeploymentId>) -> Result<Vec<(DeploymentId, String)>, Fault> {
        let options = ListNetworksOptions { filters: Some(self.filters(of)) };
        let listed = ask("list networks", self.docker.list_networks(Some(options))).await?;
        Ok(listed.into_iter().filter_map(|network| Some((owner(network.labels.as_ref()?)?, network.name?))).collect())
    }

    /// Images, by deployment.
    pub(super) async fn images(&self, of: Option<&DeploymentId>) -> Result<Vec<(DeploymentId, Image)>, Fault> {
        let options = ListImagesOptions { filters: Some(self.filters(of)), ..Default::default() };
        let listed = ask("list images", self.docker.list_images(Some(options))).await?;
        Ok(listed
            .into_iter()
            .filter_map(|image| {
                let id = owner(&image.labels)?;
                let image = Image::new(&id, image);
                Some((id, image))
            })
            .collect())
    }

    fn filters(&self, of: Option<&DeploymentId>) -> Filters {
        let instance = format!("{LABEL_INSTANCE}={}", self.options.instance);
        let deployment = of.map_or_else(|| LABEL_DEPLOYMENT.to_owned(), |id| format!("{LABEL_DEPLOYMENT}={id}"));
        HashMap::from([("label".to_owned(), vec![instance, deployment])])
    }
}

/// An image of ours.
pub(super) struct Image {
    /// The engine's id of it.
    pub(super) id: String,
    /// Its tags, each for a commit: an unchanged tree gives the same image for two commits.
    pub(super) tags: Vec<(CommitSha, String)>,
    /// Whether other tags than ours, or none at all, point at it.
    pub(super) untagged: bool,
}

impl Image {
    fn new(id: &DeploymentId, image: ImageSummary) -> Self {
        let repository = app_image_repository(id);
        let commit = |tag: &str| commit_of_tag(tag.strip_prefix(&repository)?.strip_prefix(':')?);
        let tags = image.repo_tags.iter().filter_map(|tag| Some((commit(tag)?, tag.clone()))).collect();
        // Engines before 25 write the absence of a tag as one.
        let untagged = image.repo_tags.iter().all(|tag| tag == "<none>:<none>");
        Self { id: image.id, tags, untagged }
    }
}

/// The deployment that labels name. Filters have seen to the instance.
pub(super) fn owner(labels: &Labels) -> Option<DeploymentId> {
    let label = labels.get(LABEL_DEPLOYMENT)?;
    let id = label.parse();
    if id.is_err() {
        tracing::warn!(%label, "something in the engine has a label of ours that is no deployment's id; it is left alone");
    }
    id.ok()
}

/// The part that labels name.
pub(super) fn part(labels: &Labels) -> Part {
    let service = labels.get(LABEL_SERVICE).and_then(|service| service.parse().ok());
    service.map_or(Part::Other, |service: ServiceName| service.into())
}

fn container(id: String, labels: &Labels, found: &ContainerInspectResponse) -> Container {
    let part = part(labels);
    let commit = labels.get(LABEL_COMMIT).and_then(|commit| commit.parse().ok());
    let restarts = found.restart_count.and_then(|count| u64::try_from(count).ok()).unwrap_or(0);
    Container { id, part, commit, state: state(found), restarts }
}

fn state(found: &ContainerInspectResponse) -> ContainerState {
    use ContainerStateStatusEnum as Status;
    let Some(state) = &found.state else { return ContainerState::Created };
    let exit_code = state.exit_code.unwrap_or(0);
    let out_of_memory = state.oom_killed.unwrap_or(false);
    match state.status {
        Some(Status::RUNNING | Status::PAUSED) => {
            let health = state.health.as_ref().and_then(|health| health.status);
            let healthy = match health {
                Some(HealthStatusEnum::HEALTHY) => Some(true),
                Some(HealthStatusEnum::UNHEALTHY) => Some(false),
                _ => None,
            };
            ContainerState::Running { healthy }
        }
        Some(Status::RESTARTING) => ContainerState::Restarting { exit_code, out_of_memory },
        Some(Status::EXITED | Status::DEAD | Status::REMOVING) => ContainerState::Exited { exit_code, out_of_memory },
        _ => ContainerState::Created,
    }
}
