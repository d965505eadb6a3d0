//! `preview reset-db`

use clap::Args;
use preview_core::ids::DeploymentId;
use reqwest::Method;
use serde_json::json;

use crate::client::Service;
use crate::error::Failure;
use crate::flags::Flags;
use crate::record::Record;
use crate::ui;

/// Throws a preview's database away and deploys its newest commit again
#[derive(Debug, Args)]
#[command(
    after_help = "Shows what goes, and asks. What runs beside the database begins anew as well. Nothing answers until the new \
                        version does."
)]
pub(crate) struct ResetDb {
    /// The preview, as `preview list` shows it (my-org-my-app-12)
    preview: DeploymentId,
    #[command(flatten)]
    flags: Flags,
    #[command(flatten)]
    pub(crate) service: Service,
}

impl ResetDb {
    pub(crate) async fn run(self) -> Result<(), Failure> {
        let client = self.service.connect()?;
        if !Record::may_lose(&client, &self.preview, &self.flags, (data, "Throw it away?")).await? {
            return Ok(());
        }
        client.ask(Method::POST, &format!("/api/previews/{}/reset-db", self.preview)).await?;
        if self.flags.json {
            return ui::json(&json!({"deploymentId": self.preview, "asked": "reset-db"}));
        }
        ui::note(format!("{} begins again with an empty database; `preview list` shows how far it is", self.preview));
        Ok(())
    }
}

/// What a preview is asked about that has no database, too: what answers now goes for a while.
fn data(record: &Record) -> Vec<String> {
    let data = record.data();
    if data.is_empty() { vec![format!("nothing that is kept: {} has no database", record.id())] } else { data }
}
