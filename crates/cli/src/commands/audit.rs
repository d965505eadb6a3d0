//! `preview audit`

use clap::Args;
use preview_orchestrator::audit::Report;

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
    pub(crate) service: Service,
}

impl Audit {
    pub(crate) async fn run(self) -> Result<(), Failure> {
        let report: Report = self.service.connect()?.json("/api/audit").await?;
        if self.json {
            ui::json(&report)?;
        } else {
            report.to_string().lines().for_each(|line| ui::line(ui::harmless(line)));
            for id in &report.in_progress {
                ui::note(format!("{id} is being worked on and was left out"));
            }
            if report.repairs > 0 {
                ui::note(format!("repairs so far: {}; the log says what had to be put right", report.repairs));
            }
        }
        if report.is_clean() {
            return Ok(());
        }
        Err(Failure::new("not everything is as it should be").kind(Kind::Findings).hint(
            "what is left over is removed by the next sweep; if it stays, please report it with the service's log",
        ))
    }
}
