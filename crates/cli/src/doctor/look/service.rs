//! The service: its unit, its ports, the helper's socket, and what it says itself.

use std::net::TcpListener;
use std::os::unix::net::UnixStream;

use preview_core::causes::with_causes;
use preview_exec::{Limits, Program};
use preview_orchestrator::settings::{Access, BaseUrl, Router, Variables};
use serde_json::Value;

use super::Known;
use crate::client::Client;
use crate::doctor::facts::{Delivery, Health, Look, Service};
use crate::error::Failure;

/// Where the helper is asked, unless a setting says otherwise.
const HELPER: &str = "/run/preview-deployer/helper.sock";
/// Settings that may name the helper.
const BY_HELPER: [&str; 3] = ["NGINX_TEST_COMMAND", "NGINX_RELOAD_COMMAND", "FIREWALL_COMMAND"];

/// What systemd says of a unit.
async fn state(unit: &str) -> Look<String> {
    let asked = Program::new("systemctl").args(["is-active", unit]).limits(Limits::seconds(10)).status().await;
    super::first_line(asked)
}

/// The service's own unit, where it has one.
pub(super) async fn unit() -> Look<String> {
    const UNIT: &str = "preview-orchestrator.service";
    let known = Program::new("systemctl").args(["cat", UNIT]).limits(Limits::seconds(10)).status().await;
    match known {
        Ok(known) if known.status.success() => state(UNIT).await,
        Ok(_) => Err("systemd knows no such unit".to_owned()),
        Err(error) => Err(with_causes(&error)),
    }
}

/// Whether the helper's socket opens, if a setting names the helper.
pub(super) async fn helper(variables: &Variables) -> Option<Look<()>> {
    let named = |name: &&str| variables.get(*name).is_some_and(|command| command.contains("preview helper"));
    BY_HELPER.iter().any(named).then(|| {
        let opened = UnixStream::connect(HELPER).map(drop);
        opened.map_err(|error| format!("{HELPER} does not open: {error}"))
    })
}

/// Ports that somebody else has. While the service answers, its ports are its own; and systemd may hold one for it.
pub(super) async fn taken_ports(settings: Known<'_>, service: &Service) -> Vec<(&'static str, u16)> {
    let (Ok(settings), false) = (settings, matches!(service, Service::Answers(_))) else { return Vec::new() };
    let router = match settings.router {
        Router::Builtin { port } => Some(("ROUTER_PORT", "preview-router.socket", port)),
        Router::Nginx(_) => None,
    };
    let api = ("ORCHESTRATOR_PORT", "preview-api.socket", settings.http.listen.port());
    let mut taken = Vec::new();
    for (setting, socket, port) in [Some(api), router].into_iter().flatten() {
        let held = state(socket).await.is_ok_and(|state| state == "active");
        if port != 0 && !held && TcpListener::bind((settings.http.listen.ip(), port)).is_err() {
            taken.push((setting, port));
        }
    }
    taken
}

/// What the service says of itself, and of the last deliveries.
pub(super) async fn ask(variables: &Variables, api: Option<BaseUrl>) -> (Service, Look<Vec<Delivery>>) {
    let client = Access::read(variables, api).map_err(crate::settings::wrong).and_then(Client::new);
    let client = match client {
        Ok(client) => client,
        Err(failure) => return (Service::Silent(line(&failure)), Err("the service could not be asked".to_owned())),
    };
    let service = match client.health().await {
        Ok(answer) => read(&answer),
        Err(failure) => Service::Silent(line(&failure)),
    };
    if !matches!(service, Service::Answers(_)) {
        return (service, Err("the service does not answer".to_owned()));
    }
    let deliveries = client.json::<Value>("/api/deliveries").await;
    (service, deliveries.map(|answer| deliveries_of(&answer)).map_err(|failure| line(&failure)))
}

fn line(failure: &Failure) -> String {
    let causes = failure.causes.first().map(|cause| format!(": {cause}")).unwrap_or_default();
    format!("{}{causes}", failure.what)
}

fn read(answer: &Value) -> Service {
    let Some(version) = answer["version"].as_str() else {
        return Service::Stranger("what answers is not the service, or does not take our token".to_owned());
    };
    let checks = answer["checks"].as_object().into_iter().flatten();
    let troubles = checks
        .filter(|(_, check)| check["ok"] != true)
        .map(|(name, check)| (name.clone(), check["detail"].as_str().unwrap_or("it says no reason").to_owned()));
    let holes = answer["knownHoles"].as_array().into_iter().flatten().filter_map(Value::as_str).map(str::to_owned);
    Service::Answers(Health { version: version.to_owned(), troubles: troubles.collect(), known_holes: holes.collect() })
}

fn deliveries_of(answer: &Value) -> Vec<Delivery> {
    let listed = answer["deliveries"].as_array().into_iter().flatten();
    let delivery = |entry: &Value| {
        let signed = entry["signed"] == true;
        let refused = entry["reason"].as_str().is_some_and(|reason| reason.contains("signature"));
        Delivery { signed, wrong_signature: !signed && refused }
    };
    listed.map(delivery).collect()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn what_is_not_fine_is_read_with_its_reason() {
        let answer = json!({"status": "ok", "version": "0.1.0", "knownHoles": ["git is old"],
            "checks": {"docker": {"ok": true, "detail": "20.10"}, "walls": {"ok": false, "detail": "no rules"}}});
        let service = read(&answer);
        assert_eq!(service.trouble("walls"), Ok(Some("no rules")));
        assert_eq!(service.trouble("docker"), Ok(None));
        assert!(matches!(&service, Service::Answers(health) if health.known_holes == ["git is old"]));
        assert!(matches!(read(&json!({"status": "ok"})), Service::Stranger(_)));
    }

    #[test]
    fn a_wrong_signature_is_told_from_other_refusals() {
        let why = "the signature does not match: the webhook's secret is not the one in GITHUB_WEBHOOK_SECRET";
        let answer = json!({"deliveries": [
            {"signed": false, "decision": "refused", "reason": why},
            {"signed": false, "decision": "refused", "reason": "the body is too large"},
            {"signed": true, "decision": "accepted", "reason": "written down"},
        ]});
        let read: Vec<_> = deliveries_of(&answer).iter().map(|d| (d.signed, d.wrong_signature)).collect();
        assert_eq!(read, [(false, true), (false, false), (true, false)]);
    }
}
