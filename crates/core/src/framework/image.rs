//! An image that the repository's own CI makes of each commit: nothing is built here.

use crate::repo_config::ContainerPort;

use super::{DetectError, Framework, Project, Recipe, Scope};

/// Where an app listens that nobody says anything of.
const PORT: ContainerPort = ContainerPort::new(8080).unwrap();

/// Its Dockerfile is empty until it is known which commit is meant: see `ImageTemplate::dockerfile`.
pub(super) fn find(project: Project<'_>) -> Result<Option<Recipe>, DetectError> {
    let config = project.config;
    if config.image.is_none() {
        return Ok(None);
    }
    let others = [("framework", config.framework.is_some()), ("dockerfile", config.dockerfile.is_some())];
    if let Some((key, _)) = others.into_iter().find(|(_, there)| *there) {
        return Err(DetectError::BuildBesideImage(key));
    }
    Ok(Some(Recipe {
        framework: Framework::Image,
        reason: "`preview-config.yml` names an `image`".to_owned(),
        dockerfile: String::new(),
        app_port: config.app_port.unwrap_or(PORT),
        user: None,
        scope: Scope::of(project),
        migration: None,
        own: None,
    }))
}
