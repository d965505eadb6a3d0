//! `preview list`

use clap::Args;
use serde_json::Value;

use crate::client::Service;
use crate::error::Failure;
use crate::ui;

/// Shows all previews
#[derive(Debug, Args)]
pub(crate) struct List {
    /// Print the records as JSON
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    pub(crate) service: Service,
}

impl List {
    pub(crate) async fn run(self) -> Result<(), Failure> {
        let records = self.service.connect()?.list("/api/previews", "deployments").await?;
        if self.json {
            return ui::json(&records);
        }
        if records.is_empty() {
            ui::note("no previews");
            return Ok(());
        }
        ui::table(&["PREVIEW", "STATUS", "COMMIT", "CHANGED", "URL"], &records.iter().map(row).collect::<Vec<_>>());
        Ok(())
    }
}

fn row(record: &Value) -> Vec<String> {
    let text = |field: &str| ui::harmless(record[field].as_str().unwrap_or("-"));
    let commit: String = text("commitSha").chars().take(7).collect();
    vec![text("deploymentId"), text("status"), commit, ui::age(record["updatedAt"].as_str()), text("url")]
}
