//! The repository's own Compose file: it says all of what runs.

use std::collections::{BTreeMap, BTreeSet};

use crate::compose::adopt;
use crate::compose::own::{BuildSettings, Origin, OwnApp, OwnName, OwnStack};
use crate::repo_config::{ContainerPort, DatabaseChoice};

use super::own::{self, OwnBuild};
use super::own_dockerfile::{BuiltWith, OwnDockerfile};
use super::{DetectError, Detected, FoundDatabase, FoundExtras, Framework, Project};

/// Where an app listens that nobody says anything of.
const PORT: ContainerPort = ContainerPort::new(8080).unwrap();
/// What it is recognised by, for an error.
pub(super) const EVIDENCE: &str = "`docker-compose.preview.yml`";

/// A repository's own Compose file, with what is built of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FoundCompose {
    /// What the file says, its `env_file`s read.
    pub stack: OwnStack,
    /// The Dockerfiles of the services beside the app, checked.
    pub dockerfiles: BTreeMap<OwnName, String>,
}

/// The file, unless `preview-config.yml` names another way to build.
pub(super) fn find(project: Project<'_>) -> Result<Option<Detected>, DetectError> {
    let config = project.config;
    if config.dockerfile.is_some() || config.framework.is_some_and(|framework| framework != Framework::Compose) {
        return Ok(None);
    }
    let Some(stack) = adopt::load(project.files)? else {
        return match config.framework {
            Some(framework) => Err(DetectError::NoEvidence { framework, evidence: EVIDENCE }),
            None => Ok(None),
        };
    };
    if matches!(config.database, Some(DatabaseChoice::Use(_))) {
        return Err(DetectError::BackingBesideCompose("database"));
    }
    if config.extra_services.as_ref().is_some_and(|extras| !extras.is_empty()) {
        return Err(DetectError::BackingBesideCompose("extra_services"));
    }
    let stack = stack.with_files_read(project.files)?;
    let app = app(project, &stack.app)?;
    let (mut dockerfiles, mut owns) = (BTreeMap::new(), vec![app.own]);
    for (name, build) in stack.builds() {
        let (dockerfile, own) = dockerfile(project, name, build)?;
        owns.push(own);
        dockerfiles.insert(name, dockerfile.into_text());
    }
    for service in stack.services.values() {
        if let Origin::Image(image) = &service.origin {
            owns.push(OwnBuild::of_service(&image.dockerfile(project.rules.base_images.prefix()), project.rules));
        }
    }
    let named = || format!("{EVIDENCE} names every service");
    Ok(Some(Detected {
        framework: Framework::Compose,
        reason: format!("the repository has a {EVIDENCE}; visitors reach its service `{}`", stack.app.name),
        app_port: config.app_port.or(stack.app.port).or(app.exposed).unwrap_or(PORT),
        user: app.user,
        dockerfile: app.dockerfile,
        context: project.root.clone(),
        database: FoundDatabase { database: None, scheme: None, reason: named() },
        extras: FoundExtras { services: BTreeSet::new(), reason: named() },
        compose: Some(FoundCompose { stack, dockerfiles }),
        migration: None,
        rails: None,
        own: owns,
    }))
}

/// What is known of the app before its image is there.
struct App {
    dockerfile: String,
    user: Option<String>,
    exposed: Option<ContainerPort>,
    own: OwnBuild,
}

fn app(project: Project<'_>, app: &OwnApp) -> Result<App, DetectError> {
    match &app.origin {
        Origin::Build(build) => {
            let (dockerfile, own) = dockerfile(project, app.name, build)?;
            Ok(App {
                user: dockerfile.final_user().map(str::to_owned),
                exposed: dockerfile.exposed_ports().first().copied(),
                own,
                dockerfile: dockerfile.into_text(),
            })
        }
        Origin::Image(image) => {
            let dockerfile = image.dockerfile(project.rules.base_images.prefix());
            let own = OwnBuild::of_image(&dockerfile, project.rules);
            Ok(App { dockerfile, user: None, exposed: None, own })
        }
    }
}

fn dockerfile(
    project: Project<'_>,
    service: OwnName,
    build: &BuildSettings,
) -> Result<(OwnDockerfile, OwnBuild), DetectError> {
    let path = build.dockerfile_path();
    let target = build.target.as_ref().map(|stage| stage.as_str().to_owned());
    let with = BuiltWith { args: build.args.clone(), target };
    own::read(project, &path, with)?.ok_or(DetectError::NoDockerfileOfService { service, path })
}

#[cfg(test)]
mod tests {
    use super::super::own_dockerfile::KnownImages;
    use super::super::{BuildRules, MemoryFiles, detect};
    use crate::base_images::BaseImages;
    use crate::repo_config::RepoConfig;
    use crate::trust::Trust;

    /// What is to be looked up of a file with this beside the app, by image and by registry.
    fn looked_up(beside: &str, trust: Trust) -> (Vec<String>, Vec<String>) {
        let file = format!("services:\n  app: {{build: .}}\n  other: {{{beside}}}\n");
        let files = MemoryFiles::new([("Dockerfile", "FROM scratch\n"), ("docker-compose.preview.yml", file.as_str())]);
        let registries = "registry.example.com".parse().unwrap();
        let base_images = BaseImages::public().with_registries_of_strangers(registries);
        let found = detect(&files, &RepoConfig::default(), &BuildRules { base_images, trust }).unwrap();
        let upon = found.own.iter().map(|own| own.upon(&KnownImages::new()).unwrap());
        let (images, added): (Vec<_>, Vec<_>) = upon.map(|upon| (upon.images, upon.added)).unzip();
        (images.concat(), added.concat().into_iter().map(|added| added.name).collect())
    }

    #[test]
    fn the_registry_of_an_image_beside_a_strangers_app_is_looked_up() {
        let image = "image: 'registry.example.com/x:1'";
        assert_eq!(looked_up(image, Trust::Stranger), (vec![], vec!["registry.example.com".to_owned()]));
        assert_eq!(looked_up(image, Trust::Member), (vec![], vec![]));
        assert_eq!(looked_up("image: 'redis:7'", Trust::Stranger), (vec![], vec![]));
    }

    #[test]
    fn an_image_beside_a_strangers_app_is_of_a_known_registry() {
        let file = "services:\n  app: {build: .}\n  other: {image: 'registry.example.com/x:1'}\n";
        let files = MemoryFiles::new([("Dockerfile", "FROM scratch\n"), ("docker-compose.preview.yml", file)]);
        let rules = BuildRules { base_images: BaseImages::public(), trust: Trust::Stranger };
        let found = detect(&files, &RepoConfig::default(), &rules).unwrap();
        let refused: Vec<_> = found.own.iter().filter_map(|own| own.upon(&KnownImages::new()).err()).collect();
        assert_eq!(refused.len(), 1);
        assert!(refused[0].to_string().contains("`registry.example.com` is none of them"), "{}", refused[0]);
    }
}
