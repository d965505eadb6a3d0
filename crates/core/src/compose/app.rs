//! The app's container, in one of its slots.

use crate::ids::Slot;
use crate::repo_config::{AppCommand, ShellLine};

use super::given::{Backing, given_to};
use super::model::{HealthCheck, Service};
use super::{
    AppUser, LABEL_COMMIT, LABEL_SLOT, RootFiles, ServiceName, SlotSpec, StackSpec, app_image, backing as services,
};

/// Who runs an app or a service whose image says root or nothing. Any number that no image's user is likely to have.
pub(super) const UNPRIVILEGED: &str = "10001:10001";

pub(super) fn service(spec: &StackSpec, slot: Slot, app: &SlotSpec, backing: &Backing) -> Service {
    let mut service = of_image(spec, ServiceName::App(slot), app, backing);
    service.label(LABEL_SLOT, &slot.to_string());
    service.publish(app.host_port, app.app_port);
    if let Some(start) = &app.start {
        service.start(start);
    }
    service
}

/// What every container of the app's image has: limits, user, files and variables.
pub(super) fn of_image(spec: &StackSpec, name: ServiceName, app: &SlotSpec, backing: &Backing) -> Service {
    let mut service = Service::new(spec, name, app_image(&spec.deployment, &app.commit));
    // The image was built here: where it is missing, asking a registry for it would be asking a stranger.
    service.never_pull();
    service.limit(app.limits);
    service.label(LABEL_COMMIT, app.commit.as_str());
    // Its health is asked over HTTP.
    service.health(HealthCheck::none());
    if app.user == AppUser::Unprivileged {
        service.user(UNPRIVILEGED);
        service.env("HOME", "/tmp");
    }
    if app.files == RootFiles::ReadOnly {
        service.read_only();
    }
    for (name, value) in services::defaults(spec) {
        service.env(name, value);
    }
    for (name, value) in app.env.iter() {
        service.env(name, value);
    }
    for (name, value) in given_to(spec, app, backing) {
        service.env(&name, &value);
    }
    service
}

/// What starts an app after these commands: the image's own command, with its entrypoint, takes the shell's place once they have
/// succeeded. They are lines of a script, so that one may set a variable or change the folder for those behind it.
pub fn startup(commands: &[ShellLine], of_image: &[String]) -> Option<AppCommand> {
    if commands.is_empty() {
        return None;
    }
    let lines: String = commands.iter().map(|command| format!("{}\n", command.as_str())).collect();
    let script = format!("set -e\n{lines}exec \"$@\"");
    // The first word behind the script is its name, `$0`.
    let words = ["sh", "-c", &script, "sh"].into_iter().chain(of_image.iter().map(String::as_str));
    Some(AppCommand::words(words))
}
