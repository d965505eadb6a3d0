//! The variables that an app is given: by which it finds its backing services, and what it may know of its preview.

use std::collections::{BTreeMap, BTreeSet};

use crate::ids::Slot;

use super::{SlotSpec, StackSpec, backing};

/// Variables of backing services.
pub(super) type Backing = [(&'static str, String)];

/// The names of all that an app may be given, but for a port variable of its own choice.
pub fn names() -> BTreeSet<&'static str> {
    backing::variables().chain(OF_PREVIEW).chain(["PORT"]).collect()
}

/// The names of what an app may know of its preview.
const OF_PREVIEW: [&str; 6] =
    ["PREVIEW", "PREVIEW_URL", "PREVIEW_BASE_PATH", "PREVIEW_PR_NUMBER", "PREVIEW_BRANCH", "PREVIEW_COMMIT_SHA"];

/// What the app in this slot is given.
pub fn given(spec: &StackSpec, slot: Slot) -> BTreeMap<String, String> {
    let of_backing: Vec<_> = backing::all(spec).into_iter().flat_map(|backed| backed.env).collect();
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
    let [preview, url, base_path, number, branch, commit] = OF_PREVIEW;
    [
        (preview, "true".to_owned()),
        (url, app.url.clone()),
        (base_path, app.base_path.clone()),
        (number, spec.deployment.number().to_string()),
        (branch, app.branch.as_str().to_owned()),
        (commit, app.commit.to_string()),
    ]
}
