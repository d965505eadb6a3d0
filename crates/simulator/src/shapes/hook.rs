//! A webhook as the API and pings show it.

use preview_core::ids::RepoId;
use serde::Serialize;

use super::stamp;
use crate::state::{Hook, State};

/// A webhook as the API and pings show it; the secret is never among it.
#[derive(Serialize)]
pub(crate) struct HookShape {
    #[serde(rename = "type")]
    kind: &'static str,
    id: u64,
    name: &'static str,
    active: bool,
    events: Vec<String>,
    config: HookConfig,
    updated_at: String,
    created_at: String,
    url: String,
    test_url: String,
    ping_url: String,
    deliveries_url: String,
    last_response: LastResponse,
}

#[derive(Serialize)]
struct HookConfig {
    content_type: &'static str,
    insecure_ssl: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    secret: Option<&'static str>,
    url: String,
}

#[derive(Serialize)]
struct LastResponse {
    code: Option<u16>,
    status: &'static str,
    message: Option<String>,
}

impl State {
    /// A webhook as the API and pings show it.
    pub(crate) fn show_hook(&self, repo: RepoId, hook: &Hook) -> HookShape {
        let name = self.repository(repo).map(|repo| repo.name.to_string()).unwrap_or_default();
        let url = format!("{}/repos/{name}/hooks/{}", self.urls.api, hook.id);
        let last = self.deliveries().filter(|delivery| delivery.hook == hook.id).filter_map(|d| d.status()).last();
        HookShape {
            kind: "Repository",
            id: hook.id,
            name: "web",
            active: hook.active,
            events: hook.events.iter().cloned().collect(),
            config: HookConfig {
                content_type: if hook.json { "json" } else { "form" },
                insecure_ssl: if hook.insecure_ssl { "1" } else { "0" },
                secret: hook.secret.is_some().then_some("********"),
                url: hook.url.clone(),
            },
            updated_at: stamp(hook.updated_at),
            created_at: stamp(hook.created_at),
            test_url: format!("{url}/test"),
            ping_url: format!("{url}/pings"),
            deliveries_url: format!("{url}/deliveries"),
            last_response: LastResponse {
                code: last,
                status: last.map_or("unused", |code| if code < 400 { "active" } else { "failed" }),
                message: None,
            },
            url,
        }
    }
}
