//! The repository's own Dockerfile: the strongest evidence of how an app is built.
//!
//! The app's port is `app_port`, else the first TCP port that the last stage EXPOSEs, else 8080. Whatever it is, the app is told by
//! `PORT`.

use std::collections::BTreeMap;

use crate::base_images::BaseImages;
use crate::repo_config::ContainerPort;
use crate::trust::Trust;

use super::own_dockerfile::{BuiltWith, DockerfileError, KnownImages, OwnDockerfile};
use super::{AddedHost, BuildRules, DetectError, Framework, Project, Recipe, Scope};

const PORT: ContainerPort = ContainerPort::new(8080).unwrap();

/// A Dockerfile that isn't ours, with what it is built with: what it is built upon has to be looked at before, and it read once more.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OwnBuild {
    path: String,
    text: String,
    with: BuiltWith,
    trust: Trust,
    /// From which registries images come.
    base_images: BaseImages,
    /// Whether its image runs as it is: nothing is built upon it.
    as_it_is: bool,
}

/// What is still to be found out before a Dockerfile may be built.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ToLookAt {
    /// Images of which nothing is known yet.
    pub images: Vec<String>,
    /// The hosts that it adds from, or what is known of its images has it add from; of a stranger's the registries too.
    pub added: Vec<AddedHost>,
}

impl OwnBuild {
    /// The Dockerfile that makes an image of theirs ours, `FROM` it and nothing else.
    pub fn of_image(dockerfile: &str, rules: &BuildRules) -> Self {
        Self::new(dockerfile.trim_end(), dockerfile.to_owned(), BuiltWith::default(), rules)
    }

    /// The same for an image that runs as it is: the engine gets it from a registry too.
    pub fn of_service(dockerfile: &str, rules: &BuildRules) -> Self {
        Self { as_it_is: true, ..Self::of_image(dockerfile, rules) }
    }

    fn new(path: &str, text: String, with: BuiltWith, rules: &BuildRules) -> Self {
        let base_images = rules.base_images.clone();
        Self { path: path.to_owned(), text, with, trust: rules.trust, base_images, as_it_is: false }
    }

    /// Reads it with what is known of its images: what they bring along may be refused.
    pub fn upon(&self, known: &KnownImages) -> Result<ToLookAt, DetectError> {
        let refused = |problem| DetectError::Dockerfile { path: self.path.clone(), problem };
        let read = OwnDockerfile::parse_upon(&self.text, &self.with, known).map_err(refused)?;
        let mut added = self.hosts(read.hosts(), false);
        if self.trust == Trust::Stranger {
            read.fetches_nothing().map_err(|problem| refused(DockerfileError::PutAside(Box::new(problem))))?;
            added.extend(self.hosts(&read.registries(&self.base_images).map_err(refused)?, true));
        }
        let unknown = |image: &&String| !self.as_it_is && !known.contains_key(*image);
        let images = read.images().keys().filter(unknown).cloned().collect();
        Ok(ToLookAt { images, added })
    }

    fn hosts(&self, hosts: &BTreeMap<String, usize>, registry: bool) -> Vec<AddedHost> {
        let host = |(name, line): (&String, &usize)| AddedHost {
            name: name.clone(),
            dockerfile: self.path.clone(),
            line: *line,
            registry,
        };
        hosts.iter().map(host).collect()
    }
}

/// A Dockerfile of the repository, checked as it has to be for whose it is and with what it is built; `None` where there is none.
pub(super) fn read(
    project: Project<'_>,
    path: &str,
    with: BuiltWith,
) -> Result<Option<(OwnDockerfile, OwnBuild)>, DetectError> {
    let Some(text) = project.files.read(path)? else { return Ok(None) };
    let refused = |problem| DetectError::Dockerfile { path: path.to_owned(), problem };
    let dockerfile = OwnDockerfile::parse_with(&text, &with).map_err(refused)?;
    if project.rules.trust == Trust::Stranger {
        dockerfile.fetches_nothing().map_err(refused)?;
    }
    Ok(Some((dockerfile, OwnBuild::new(path, text, with, project.rules))))
}

pub(super) fn find(project: Project<'_>) -> Result<Option<Recipe>, DetectError> {
    let named = project.config.dockerfile.as_ref();
    let path = named.map_or("Dockerfile", |path| path.as_str());
    let (dockerfile, own) = match (read(project, path, BuiltWith::default())?, named) {
        (Some(read), _) => read,
        (None, Some(path)) => return Err(DetectError::NoDockerfile(project.root.join(path))),
        (None, None) => return Ok(None),
    };
    let reason = match named {
        Some(path) => format!("`preview-config.yml` names `{}` as its Dockerfile", project.root.join(path)),
        None if project.root.is_all() => "the repository has a `Dockerfile`".to_owned(),
        None => format!("`{}` has a `Dockerfile`", project.root),
    };
    Ok(Some(Recipe {
        framework: Framework::Docker,
        reason,
        app_port: dockerfile.exposed_ports().first().copied().unwrap_or(PORT),
        user: dockerfile.final_user().map(str::to_owned),
        dockerfile: dockerfile.into_text(),
        scope: Scope::of(project),
        migration: None,
        own: Some(own),
    }))
}

#[cfg(test)]
mod tests {
    use super::super::{MemoryFiles, detect};
    use super::*;
    use crate::repo_config::RepoConfig;

    fn to_look_at(dockerfile: &str, trust: Trust) -> Result<ToLookAt, String> {
        let registries = "docker.io, registry.example.com".parse().unwrap();
        let base_images = BaseImages::public().with_registries_of_strangers(registries);
        let rules = BuildRules { base_images, trust };
        let files = MemoryFiles::new([("Dockerfile", dockerfile)]);
        let found = detect(&files, &RepoConfig::default(), &rules).map_err(|error| error.to_string())?;
        found.own[0].upon(&KnownImages::new()).map_err(|error| error.to_string())
    }

    #[test]
    fn a_strangers_images_come_from_registries_that_the_server_reaches_like_anybody() {
        let text = "FROM registry.example.com/x\nCOPY --from=org/y / /\n";
        let found = to_look_at(text, Trust::Stranger).unwrap();
        assert_eq!(found.images, ["org/y", "registry.example.com/x"]);
        let refused = found.added[0].refused().to_string();
        assert!(
            refused.contains("line 1: the registry `registry.example.com` is in the server's own network"),
            "{refused}"
        );
        assert_eq!(to_look_at(text, Trust::Member).unwrap().added, []);

        let text = "FROM 10.0.0.5:5000/x\n";
        let refused = to_look_at(text, Trust::Stranger).unwrap_err();
        assert!(refused.starts_with("`Dockerfile` cannot be used: line 1: the registry `10.0.0.5` is"), "{refused}");
        assert_eq!(to_look_at(text, Trust::Member).unwrap().images, ["10.0.0.5:5000/x"]);

        let text = "FROM scratch\nCOPY --from=evil.example.com/x / /\n";
        let refused = to_look_at(text, Trust::Stranger).unwrap_err();
        assert!(refused.contains("line 2: ") && refused.contains("`evil.example.com` is none of them"), "{refused}");
        assert_eq!(to_look_at(text, Trust::Member).unwrap().images, ["evil.example.com/x"]);
    }
}
