//! The app's container, in one of its slots.

use crate::ids::Slot;

use super::model::{HealthCheck, Service};
use super::{AppUser, LABEL_COMMIT, LABEL_SLOT, RootFiles, ServiceName, SlotSpec, StackSpec, app_image};

/// Who runs an app or a service whose image says root or nothing. Any number that no image's user is likely to have.
pub(super) const UNPRIVILEGED: &str = "10001:10001";

pub(super) fn service(spec: &StackSpec, slot: Slot, app: &SlotSpec, backing: &[(&'static str, String)]) -> Service {
    let mut service = Service::new(spec, ServiceName::App(slot), app_image(&spec.deployment, &app.commit));
    // The image was built here: where it is missing, asking a registry for it would be asking a stranger.
    service.never_pull();
    service.label(LABEL_COMMIT, app.commit.as_str());
    service.label(LABEL_SLOT, &slot.to_string());
    service.publish(app.host_port, app.app_port);
    // Its health is asked over HTTP.
    service.health(HealthCheck::none());
    if app.user == AppUser::Unprivileged {
        service.user(UNPRIVILEGED);
        service.env("HOME", "/tmp");
    }
    if app.files == RootFiles::ReadOnly {
        service.read_only();
    }
    for (name, value) in app.env.iter() {
        service.env(name, value);
    }
    let port_env = app.port_env.as_ref().map_or("PORT", |name| name.as_str());
    service.env(port_env, &app.app_port.to_string());
    for (name, value) in backing {
        service.env(name, value);
    }
    for (name, value) in preview_env(spec, app) {
        service.env(name, &value);
    }
    service
}

/// What an app may know of its preview.
fn preview_env(spec: &StackSpec, app: &SlotSpec) -> [(&'static str, String); 6] {
    [
        ("PREVIEW", "true".to_owned()),
        ("PREVIEW_URL", app.url.clone()),
        ("PREVIEW_BASE_PATH", app.base_path.clone()),
        ("PREVIEW_PR_NUMBER", spec.deployment.number().to_string()),
        ("PREVIEW_BRANCH", app.branch.as_str().to_owned()),
        ("PREVIEW_COMMIT_SHA", app.commit.to_string()),
    ]
}
