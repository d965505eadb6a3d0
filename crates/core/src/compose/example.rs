//! The Compose file that a checkout would get, for people to look at: nothing in it was given to anybody.

use std::collections::BTreeMap;

use super::{AppUser, DatabasePassword, DatabaseSpec, OwnSpec, RootFiles, SlotSpec, StackSpec, generate};
use crate::framework::{BuildRules, Detected};
use crate::ids::{BranchName, CommitSha, DeploymentId, HostPort, InstanceId, Slot};
use crate::repo_config::RepoConfig;
use crate::subnets::Subnet;

/// What stands in it for the random password of a database.
const PASSWORD: &str = "(random)";

/// The file for a first pull request, with what the server gives set to what its defaults may give.
pub fn example(detected: &Detected, config: &RepoConfig, rules: &BuildRules) -> String {
    let commit = "0".repeat(40).parse::<CommitSha>().expect("forty digits are a commit");
    let deployment: DeploymentId = "my-org-my-app-1".parse().expect("a slug and a number are an id");
    let subnet: Subnet = "10.222.0.0/28".parse().expect("an address and a length are a subnet");
    let port = |number| HostPort::new(number).expect("not 0");
    let password = DatabasePassword::from_bytes([0; 24]);
    let shown = password.expose().to_owned();
    let wanted = &detected.database;
    let has_backing = wanted.database.is_some() || !detected.extras.services.is_empty();
    let compose = detected.compose.as_ref();
    let mut env = compose.map(|compose| compose.stack.app.runtime.env.clone()).unwrap_or_default();
    env.extend(config.env.clone());
    let own = compose.map(|compose| OwnSpec {
        stack: compose.stack.clone(),
        commit: commit.clone(),
        built: compose.stack.builds().map(|(name, _)| (name, AppUser::OfImage)).collect(),
    });
    let slot = SlotSpec {
        commit,
        host_port: port(8000),
        app_port: detected.app_port,
        port_env: config.app_port_env.clone(),
        limits: super::Limits::default().lowered(config.resources),
        // What an image's own command is, nobody knows before it is built.
        start: None,
        user: AppUser::for_image(detected.user.as_deref().unwrap_or_default()),
        files: RootFiles::of(detected.framework),
        env,
        branch: BranchName::new("my-branch"),
        url: "http://localhost:8080/my-org-my-app/pr-1/".to_owned(),
        base_path: "/my-org-my-app/pr-1/".to_owned(),
    };
    let spec = StackSpec {
        deployment,
        instance: InstanceId::from_bytes([0; 6]),
        subnet,
        trust: rules.trust,
        limits: super::Limits::default(),
        runtime: None,
        base_images: rules.base_images.clone(),
        slots: BTreeMap::from([(Slot::A, slot)]),
        task: None,
        database: wanted.database.map(|database| DatabaseSpec {
            database,
            scheme: wanted.scheme,
            host_port: port(9000),
        }),
        extras: detected.extras.services.clone(),
        password: has_backing.then_some(password),
        own,
    };
    generate(&spec).to_yaml().replace(&shown, PASSWORD)
}
