//! Looking at an installation: its ledger, its API, its engine. And telling it something, as GitHub does.

use std::sync::atomic::{AtomicU64, Ordering};

use preview_core::ids::ProjectSlug;
use preview_exec::Program;
use preview_simulator::{Pull, sha256_signature};
use serde_json::{Value, json};

use super::{Rig, TOKEN};

impl Rig {
    /// The ledger as it is on the disk.
    pub(crate) fn ledger(&self) -> Value {
        let text = std::fs::read_to_string(self.dir.path().join("state/deployments.json")).unwrap_or_default();
        serde_json::from_str(&text).unwrap_or_default()
    }

    /// A deployment's record.
    pub(crate) fn record(&self, id: &str) -> Value {
        self.ledger()["deployments"][id].clone()
    }

    /// A preview's address in path form; with a domain that on a host of its own.
    pub(crate) fn url(&self, pull: &Pull) -> String {
        let slug = ProjectSlug::for_repo(&pull.repo().name(), |_| false);
        match &self.domain {
            Some(domain) => format!("http://pr-{}-{slug}.{domain}:{}/", pull.number(), self.setting("ROUTER_PORT")),
            None => format!("{}/{slug}/pr-{}/", self.base, pull.number()),
        }
    }

    /// Asks the API.
    pub(crate) async fn ask_api(&self, path: &str) -> Value {
        let answer = self.http.get(format!("{}{path}", self.api)).bearer_auth(TOKEN).send().await.unwrap();
        answer.json().await.unwrap()
    }

    /// A delivery of ours, signed: it says that this happened to the pull request.
    pub(crate) fn delivery(&self, pull: &Pull, action: &str) -> reqwest::RequestBuilder {
        static GUID: AtomicU64 = AtomicU64::new(0);
        let repository = json!({"id": pull.repo().id(), "full_name": pull.repo().name().to_string()});
        let pull_request = json!({"body": "All that GitHub tells of it. ".repeat(40)});
        let body =
            json!({"action": action, "number": pull.number(), "repository": repository, "pull_request": pull_request});
        let body = body.to_string();
        let signature = sha256_signature(self.github.webhook_secret().as_bytes(), body.as_bytes());
        let request = self.http.post(format!("{}/webhook/github", self.api)).header("content-type", "application/json");
        let request = request.header("x-github-event", "pull_request").header("x-hub-signature-256", signature);
        let guid = GUID.fetch_add(1, Ordering::Relaxed);
        request.header("x-github-delivery", format!("e2e-{guid}")).body(body)
    }

    /// Runs `docker` on this installation's engine and gives what it prints.
    pub(crate) async fn docker(&self, args: &[&str]) -> String {
        let host = self.settings.iter().filter(|(name, _)| name == "DOCKER_HOST");
        let docker = Program::new("docker").args(args).inherit_env("HOME");
        let docker = host.fold(docker, |docker, (name, value)| docker.env(name, value));
        let output = docker.run().await;
        output.unwrap().text().trim().to_owned()
    }

    /// What `docker inspect` knows of a thing.
    pub(crate) async fn inspect(&self, kind: &str, name: &str) -> Value {
        let text = self.docker(&[kind, "inspect", "--format", "{{json .}}", name]).await;
        serde_json::from_str(&text).unwrap()
    }

    /// The container of a deployment's service: `app-a`, `app-b` or `db`.
    pub(crate) async fn container(&self, id: &str, service: &str) -> Value {
        self.inspect("container", &format!("{id}-{service}-1")).await
    }

    /// This installation's own name.
    pub(crate) fn instance(&self) -> String {
        std::fs::read_to_string(self.dir.path().join("state/instance")).unwrap().trim().to_owned()
    }

    /// Names of a deployment's containers, running or not.
    pub(crate) async fn containers(&self, id: &str) -> Vec<String> {
        let label = format!("label=preview-deployer.deployment={id}");
        let names = self.docker(&["container", "ls", "--all", "--format", "{{.Names}}", "--filter", &label]).await;
        names.lines().map(str::to_owned).collect()
    }

    /// Everything with this installation's label: containers, networks, volumes and images.
    pub(crate) async fn engine_leftovers(&self) -> Vec<String> {
        let label = format!("label=preview-deployer.instance={}", self.instance());
        let mut found = Vec::new();
        for list in [
            &["container", "ls", "--all", "--format", "container {{.Names}}"][..],
            &["network", "ls", "--format", "network {{.Name}}"],
            &["volume", "ls", "--format", "volume {{.Name}}"],
            &["image", "ls", "--all", "--format", "image {{.Repository}}:{{.Tag}}"],
        ] {
            let text = self.docker(&[list, &["--filter", &label]].concat()).await;
            found.extend(text.lines().map(str::to_owned));
        }
        found
    }
}
