//! `preview audit`

use clap::Args;
use serde_json::Value;

use crate::client::Service;
use crate::error::{Failure, Kind};
use crate::ui;

/// Compares GitHub, ledger, Docker, router and disk
#[derive(Debug, Args)]
#[command(
    after_help = "Prints what doesn't belong or is missing, one a line; `0 leftovers` and exit code 0 when all agree, else 3."
)]
pub(crate) struct Audit {
    /// Print the report as JSON
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    service: Service,
}

impl Audit {
    pub(crate) async fn run(self) -> Result<(), Failure> {
        let report: Value = self.service.connect()?.json("/api/audit").await?;
        let findings = report["findings"].as_array().map(Vec::as_slice).unwrap_or_default();
        if self.json {
            ui::json(&report);
        } else {
            for finding in findings {
                ui::line(ui::harmless(finding["message"].as_str().unwrap_or_default()));
            }
            for id in report["inProgress"].as_array().into_iter().flatten().filter_map(Value::as_str) {
                ui::note(format!("{id} is being worked on and was left out"));
            }
            ui::line(format!("{} leftovers", findings.len()));
            if let Some(repairs) = report["repairs"].as_u64().filter(|repairs| *repairs > 0) {
                ui::note(format!("{repairs} times something had to be put right by a sweep; the log says what"));
            }
        }
        if findings.is_empty() {
            return Ok(());
        }
        Err(Failure::new("not everything is as it should be").kind(Kind::Findings).hint(
            "what is left over is removed by the next sweep; if it stays, please report it with the service's log",
        ))
    }
}
