//! The variables that an app is given: by which it finds its backing services, and what it may know of its preview.

use std::collections::BTreeMap;

use crate::ids::Slot;

use super::{SlotSpec, StackSpec, backing};

/// Variables of backing services.
pub(super) type Backing = [(&'static str, String)];

/// The names of all that any app is given, but for a port variable of its own choice.
pub const GIVEN: [&str; 13] = [
    "DATABASE_URL",
    "DB_HOST",
    "DB_NAME",
    "DB_PASSWORD",
    "DB_PORT",
    "DB_USER",
    "PORT",
    "PREVIEW",
    "PREVIEW_BASE_PATH",
    "PREVIEW_BRANCH",
    "PREVIEW_COMMIT_SHA",
    "PREVIEW_PR_NUMBER",
    "PREVIEW_URL",
];

/// What the app in this slot is given.
pub fn given(spec: &StackSpec, slot: Slot) -> BTreeMap<String, String> {
    let of_backing = spec.database.as_ref().map(|database| backing(spec, database).env).unwrap_or_default();
    spec.slots.get(&slot).map(|app| given_to(spec, app, &of_backing)).unwrap_or_default()
}

pub(super) fn given_to(spec: &StackSpec, app: &SlotSpec, backing: &Backing) -> BTreeMap<String, String> {
    let port_env = app.port_env.as_ref().map_or("PORT", |name| name.as_str());
    let port = (port_env, app.app_port.to_string());
    let all = [port].into_iter().chain(backing.iter().cloned()).chain(of_preview(spec, app));
    all.map(|(name, value)| (name.to_owned(), value)).collect()
}

/// What an app may know of its preview.
fn of_preview(spec: &StackSpec, app: &SlotSpec) -> [(&'static str, String); 6] {
    [
        ("PREVIEW", "true".to_owned()),
        ("PREVIEW_URL", app.url.clone()),
        ("PREVIEW_BASE_PATH", app.base_path.clone()),
        ("PREVIEW_PR_NUMBER", spec.deployment.number().to_string()),
        ("PREVIEW_BRANCH", app.branch.as_str().to_owned()),
        ("PREVIEW_COMMIT_SHA", app.commit.to_string()),
    ]
}
