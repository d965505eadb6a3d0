//! The repository's own Dockerfile: the strongest evidence of how an app is built.
//!
//! The app's port is `app_port`, else the first TCP port that the last stage EXPOSEs, else 8080. Whatever it is, the app is told by
//! `PORT`.

use crate::repo_config::{ContainerPort, EnvVars};
use crate::trust::Trust;

use super::own_dockerfile::OwnDockerfile;
use super::{AddedHost, DetectError, Framework, Project, Recipe, Scope};

const PORT: ContainerPort = ContainerPort::new(8080).unwrap();

/// A Dockerfile of the repository, checked as it has to be for whose it is and with what it is built; `None` where there is none.
pub(super) fn read(project: Project<'_>, path: &str, args: &EnvVars) -> Result<Option<OwnDockerfile>, DetectError> {
    let Some(text) = project.files.read(path)? else { return Ok(None) };
    let refused = |problem| DetectError::Dockerfile { path: path.to_owned(), problem };
    let dockerfile = OwnDockerfile::parse_with(&text, args).map_err(refused)?;
    if project.rules.trust == Trust::Stranger {
        dockerfile.fetches_nothing().map_err(refused)?;
    }
    Ok(Some(dockerfile))
}

/// The hosts that it adds from.
pub(super) fn added<'a>(dockerfile: &'a OwnDockerfile, path: &'a str) -> impl Iterator<Item = AddedHost> + 'a {
    let host = move |(name, line): (&String, &usize)| AddedHost {
        name: name.clone(),
        dockerfile: path.to_owned(),
        line: *line,
    };
    dockerfile.hosts().iter().map(host)
}

pub(super) fn find(project: Project<'_>) -> Result<Option<Recipe>, DetectError> {
    let named = project.config.dockerfile.as_ref();
    let path = named.map_or("Dockerfile", |path| path.as_str());
    let dockerfile = match (read(project, path, &EnvVars::default())?, named) {
        (Some(dockerfile), _) => dockerfile,
        (None, Some(path)) => return Err(DetectError::NoDockerfile(project.root.join(path))),
        (None, None) => return Ok(None),
    };
    let reason = match named {
        Some(path) => format!("`preview-config.yml` names `{}` as its Dockerfile", project.root.join(path)),
        None if project.root.is_all() => "the repository has a `Dockerfile`".to_owned(),
        None => format!("`{}` has a `Dockerfile`", project.root),
    };
    let added = added(&dockerfile, path).collect();
    Ok(Some(Recipe {
        framework: Framework::Docker,
        reason,
        app_port: dockerfile.exposed_ports().first().copied().unwrap_or(PORT),
        user: dockerfile.final_user().map(str::to_owned),
        dockerfile: dockerfile.into_text(),
        scope: Scope::of(project),
        added,
    }))
}
