//! `preview certificates`

use std::collections::BTreeSet;

use clap::Args;
use preview_orchestrator::tls::{Overview, Stage, Standing};
use reqwest::Method;

use crate::certificates::{is_about_the_name, records, remedy};
use crate::client::Service;
use crate::dns::{Record, of_this_server};
use crate::error::Failure;
use crate::ui;

/// Shows the certificates that the service gets, or tries again what failed
#[derive(Debug, Args)]
#[command(after_help = "With TLS=acme the service gets and renews them by itself (docs/OPERATIONS.md).")]
pub(crate) struct Certificates {
    /// Try again now what failed, but for what the authority asked to wait with
    #[arg(long)]
    retry: bool,
    /// Print JSON
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    pub(crate) service: Service,
}

impl Certificates {
    pub(crate) async fn run(self) -> Result<(), Failure> {
        let (method, path) = match self.retry {
            true => (Method::POST, "/api/certificates/retry"),
            false => (Method::GET, "/api/certificates"),
        };
        let told: Overview = self.service.connect()?.answer(method, path).await?;
        if self.json {
            return ui::json(&told);
        }
        if told.certificates.is_empty() {
            ui::note("the service gets no certificates: TLS is off");
            return Ok(());
        }
        ui::table(&["NAME", "STATE", "ENDS", "TRIED AGAIN"], &told.certificates.iter().map(row).collect::<Vec<_>>());
        for Standing { name, cause, .. } in &told.certificates {
            cause.iter().for_each(|cause| ui::note(format!("{}: {}", ui::harmless(name), ui::harmless(cause))));
        }
        ui::waiting("looking names up", advice(&told)).await.iter().for_each(ui::hint);
        Ok(())
    }
}

/// What helps against what failed, each once: one record is for the hosts of all previews.
async fn advice(told: &Overview) -> Vec<String> {
    let failed = || told.certificates.iter().filter(|standing| standing.cause.is_some());
    let named = failed().filter(|standing| is_about_the_name(standing, told.by_record));
    let names: BTreeSet<String> = named.map(|standing| Record::name_for(&ui::harmless(&standing.name))).collect();
    let mut advice = Vec::new();
    for name in names {
        advice.extend(records(&[name], &of_this_server(told.address)).await);
    }
    let others: BTreeSet<String> = failed().filter_map(|standing| remedy(standing, told.by_record)).collect();
    advice.extend(others);
    advice
}

fn row(standing: &Standing) -> Vec<String> {
    let state = match standing.state {
        Stage::Valid => "valid",
        Stage::Ordered => "ordered",
        Stage::Failed => "failed",
    };
    let time = |time: Option<jiff::Timestamp>| match time {
        Some(time) => time.strftime("%Y-%m-%d %H:%M UTC").to_string(),
        None => "-".to_owned(),
    };
    vec![ui::harmless(&standing.name), state.to_owned(), time(standing.until), time(standing.next)]
}
