//! Looking: each file asks one kind of thing, and nothing is changed by it. What can't be looked at says why.

mod docker;
mod github;
mod machine;
pub(super) mod network;
mod nginx;
mod said;
mod service;

use std::net::IpAddr;

use preview_core::causes::with_causes;
use preview_orchestrator::settings::{BaseUrl, Settings};

use super::facts::{Domain, Facts, Look};
use crate::dns::{self, Record};
use said::Said;

/// The settings, or why there are none to go by.
type Known<'a> = Result<&'a Settings, &'a str>;

/// Everything on this machine.
pub(super) async fn everything(api: Option<BaseUrl>) -> Facts {
    preview_orchestrator::github::install_tls();
    let said = Said::find();
    let settings: Known<'_> = said.settings.as_ref().map_err(String::as_str);
    let (docker, nginx, helper, unit) = tokio::join!(
        docker::look(said.docker_host()),
        nginx::look(settings),
        service::helper(&said.variables),
        service::unit(),
    );
    let (service, deliveries) = service::ask(&said.variables, api).await;
    let (github, clock) = github::token(settings).await;
    let (repositories, hooks) = github::repositories(settings).await;
    let base_url = settings.ok().map(|settings| settings.previews.base_url.as_str().to_owned());
    let at_base_url = match &base_url {
        Some(url) => network::answers_at(url).await,
        None => Err(settings.err().unwrap_or_default().to_owned()),
    };
    Facts {
        at_base_url,
        base_record: match settings {
            Ok(settings) => Record::of_host(settings.previews.base_url.host(), &server_of(settings)).await,
            Err(_) => None,
        },
        domain: domain(settings).await,
        base_url,
        misspelt: said.misspelt(),
        mistakes: said.mistakes.clone(),
        docker,
        disks: machine::disks(&said.paths()),
        memory: machine::memory(settings.ok().map(|settings| settings.limits.container_memory.member)),
        clock,
        nginx,
        helper,
        ledger: machine::ledger(&said.ledger()),
        unit,
        taken_ports: service::taken_ports(settings, &service).await,
        service,
        github,
        repositories,
        webhooks_are_on: settings.map_or(true, |settings| settings.webhooks.secret.is_some()),
        hooks,
        deliveries,
    }
}

/// Where the server's names have to lead.
fn server_of(settings: &Settings) -> Vec<IpAddr> {
    dns::of_this_server(settings.previews.address)
}

async fn domain(settings: Known<'_>) -> Look<Option<Domain>> {
    let settings = settings?;
    let previews = &settings.previews;
    let Some(name) = previews.domain.clone() else { return Ok(None) };
    let scheme = if previews.base_url.is_https() { "https" } else { "http" };
    let port = previews.base_url.port().map(|port| format!(":{port}")).unwrap_or_default();
    let url = format!("{scheme}://{}{port}", dns::below(&name));
    let (server, wildcard) = (server_of(settings), format!("*.{name}"));
    let (own, wildcard, at_wildcard) =
        tokio::join!(Record::look(&name, &server), Record::look(&wildcard, &server), network::answers_at(&url));
    Ok(Some(Domain { own, wildcard, at_wildcard }))
}

/// The first line of what a program said, or why it did not run.
fn first_line(ran: Result<preview_exec::Output, preview_exec::ExecError>) -> Look<String> {
    let text = ran.map_err(|error| with_causes(&error))?.text();
    Ok(text.lines().next().unwrap_or_default().trim().to_owned())
}
