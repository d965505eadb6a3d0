//! What each room is told of the settings, in its own words.

use std::path::Path;
use std::time::Duration;

use preview_core::base_images::BaseImages;
use preview_core::compose;
use preview_core::ids::InstanceId;
use preview_core::route::Site;
use preview_core::trust::{ByTrust, Trust};

use super::StartError;
use crate::docker::{self, BuildLimits};
use crate::github::{AppCredentials, Credentials, GitHubSettings};
use crate::reconcile::{Config, Pace};
use crate::secrets::Known;
use crate::settings::{self, Identity, Settings};

/// The engine.
pub(super) fn engine(settings: &Settings, instance: &InstanceId, state: &Path) -> docker::EngineOptions {
    docker::EngineOptions {
        docker_host: Some(settings.docker_host.clone()),
        instance: instance.clone(),
        home: state.join("docker"),
        runtime: settings.limits.untrusted_runtime.clone(),
        build: docker::BuildOptions {
            group: settings.build_group.clone(),
            ceilings: docker::Ceilings {
                memory_bytes: settings.limits.build_memory,
                cpus: settings.limits.build_cpus,
                processes: settings.limits.build_processes,
            },
            timeout: settings.limits.build_timeout,
            silence: settings.limits.build_silence,
        },
    }
}

/// GitHub's client.
pub(super) fn github(settings: &Settings, write_interval: Option<Duration>, known: &Known) -> GitHubSettings {
    let credentials = match &settings.github.identity {
        Identity::Token(token) => Credentials::Token(token.clone()),
        Identity::App { id, key, repository } => Credentials::App(AppCredentials {
            id: *id,
            key: key.clone(),
            repository: repository.clone(),
            known: known.clone(),
        }),
    };
    let mut github = GitHubSettings::new(settings.github.api.as_str(), credentials);
    if let Some(interval) = write_interval {
        github.pace.between_writes = interval;
    }
    github
}

fn container_limits(limits: &settings::Limits) -> ByTrust<compose::Limits> {
    let of = |trust| compose::Limits {
        cpu_millis: (limits.container_cpus.of(trust) * 1000.0).round() as u32,
        memory_mb: u32::try_from(limits.container_memory.of(trust) >> 20).unwrap_or(u32::MAX),
    };
    ByTrust { member: of(Trust::Member), stranger: of(Trust::Stranger) }
}

/// The use-cases.
pub(super) fn reconciler(
    settings: &Settings,
    instance: &InstanceId,
    site: Site,
    pace: Pace,
    build_limits: &BuildLimits,
) -> Result<Config, StartError> {
    let prefix = settings.limits.image_prefix.as_str();
    let base_images = if prefix.is_empty() { BaseImages::public() } else { BaseImages::with_prefix(prefix)? };
    let base_images = base_images.with_registries_of_strangers(settings.limits.untrusted_registries.clone());
    Ok(Config {
        instance: instance.clone(),
        allowed: settings.github.repositories.clone(),
        policy: settings.policy.clone(),
        site,
        github: settings.github.server.as_str().to_owned(),
        base_images,
        limits: container_limits(&settings.limits),
        container_disk: settings.limits.container_disk,
        runtimes: ByTrust { member: None, stranger: settings.limits.untrusted_runtime.clone() },
        max_previews: settings.capacity.previews,
        // Where they share one limit, each has it to itself.
        max_builds: match build_limits {
            BuildLimits::Together => 1,
            BuildLimits::Absent(_) => settings.capacity.builds,
        },
        disk_budget: settings.capacity.disk_budget,
        app_ports: settings.network.app_ports,
        db_ports: settings.network.db_ports,
        reserved_ports: settings.reserved_ports(),
        subnets: settings.network.subnet,
        health_timeout: settings.health.timeout,
        health_interval: settings.health.interval,
        resync_interval: settings.webhooks.resync_interval,
        cleanup_interval: settings.cleanup_interval,
        pace,
    })
}
