//! Finding one container, for a person who wants into it: with nothing but the engine, no plugin and no folder of ours.

use std::collections::HashMap;

use bollard::query_parameters::ListContainersOptions;
use bollard::{API_DEFAULT_VERSION, Docker};
use preview_core::compose::{LABEL_DEPLOYMENT, LABEL_INSTANCE, LABEL_SERVICE, ServiceName};
use preview_core::ids::{DeploymentId, InstanceId};

use super::{ANSWER_LIMIT, ConnectError};

/// The engine's id of the container that runs a service of a deployment of this installation; `None` where none runs.
pub async fn running_container(
    docker_host: &str,
    instance: &InstanceId,
    deployment: &DeploymentId,
    service: ServiceName,
) -> Result<Option<String>, ConnectError> {
    let Some(socket) = docker_host.strip_prefix("unix://") else {
        return Err(ConnectError::Address(docker_host.to_owned()));
    };
    let unreachable = |source| ConnectError::Unreachable { host: docker_host.to_owned(), source };
    let docker = Docker::connect_with_unix(socket, ANSWER_LIMIT, API_DEFAULT_VERSION).map_err(unreachable)?;
    let docker = docker.negotiate_version().await.map_err(unreachable)?;
    let labels = [
        format!("{LABEL_INSTANCE}={instance}"),
        format!("{LABEL_DEPLOYMENT}={deployment}"),
        format!("{LABEL_SERVICE}={service}"),
    ];
    // Without `all`, only those that run.
    let filters = HashMap::from([("label".to_owned(), labels.to_vec())]);
    let options = ListContainersOptions { filters: Some(filters), ..Default::default() };
    let listed = docker.list_containers(Some(options)).await.map_err(unreachable)?;
    Ok(listed.into_iter().find_map(|container| container.id))
}
