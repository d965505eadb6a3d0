//! The services and volumes of a repository's own Compose file, in the deployment's stack.

use std::collections::BTreeSet;

use super::app::UNPRIVILEGED;
use super::model::{HealthCheck, Service, Stack};
use super::own::{Condition, Origin, OwnApp, OwnContainer, OwnName, OwnService, VolumeName};
use super::{AppUser, OWN, OwnSpec, ServiceName, StackSpec, own_image};

/// Adds the file's volumes, and its services as far as their images are there.
pub(super) fn add(stack: &mut Stack, spec: &StackSpec, own: &OwnSpec) {
    own.stack.volumes.iter().for_each(|volume| stack.add_volume(volume_name(volume)));
    let there = own.stack.services_with(&own.built.keys().copied().collect());
    for name in &there {
        stack.add_service(ServiceName::Own(*name), service(spec, own, *name, &own.stack.services[name], &there));
    }
}

/// Has the app run as the file says, and be found by its name there.
pub(super) fn shape_app(service: &mut Service, stack: &Stack, app: &OwnApp) {
    service.run_as(&app.runtime);
    service.alias(app.name.as_str());
    mount_and_wait(service, &app.runtime, |other| stack.has(ServiceName::Own(other)));
}

/// Has a one-off container of the app be as the file says of the app, but for what it starts and its name on the network.
pub(super) fn shape_task(service: &mut Service, stack: &Stack, app: &OwnApp) {
    service.run_beside(&app.runtime);
    mount_and_wait(service, &app.runtime, |other| stack.has(ServiceName::Own(other)));
}

fn service(spec: &StackSpec, own: &OwnSpec, name: OwnName, says: &OwnService, there: &BTreeSet<OwnName>) -> Service {
    let image = match &says.origin {
        Origin::Image(image) => image.reference(spec.base_images.prefix()),
        Origin::Build(_) => own_image(&spec.deployment, &own.commit, name),
    };
    let mut service = Service::new(spec, ServiceName::Own(name), image);
    match &says.origin {
        Origin::Image(image) => image.usual_user().into_iter().for_each(|user| service.user(user)),
        Origin::Build(_) => {
            service.never_pull();
            if own.built.get(&name) == Some(&AppUser::Unprivileged) {
                service.user(UNPRIVILEGED);
                service.env("HOME", "/tmp");
            }
        }
    }
    service.run_as(&says.runtime);
    service.alias(name.as_str());
    service.health(says.health.as_ref().map_or_else(HealthCheck::none, HealthCheck::own));
    says.runtime.env.iter().for_each(|(name, value)| service.env(name, value));
    mount_and_wait(&mut service, &says.runtime, |other| there.contains(&other));
    service
}

fn mount_and_wait(service: &mut Service, says: &OwnContainer, there: impl Fn(OwnName) -> bool) {
    for mount in &says.mounts {
        service.mount(&volume_name(&mount.volume), mount.target.as_str(), mount.read_only);
    }
    for (other, condition) in says.waits_for.iter().filter(|(other, _)| there(**other)) {
        match condition {
            Condition::Started => service.start_after(ServiceName::Own(*other)),
            Condition::Healthy => service.wait_for(ServiceName::Own(*other)),
        }
    }
}

fn volume_name(volume: &VolumeName) -> String {
    format!("{OWN}{}", volume.as_str())
}
