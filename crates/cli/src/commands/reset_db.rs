//! `preview reset-db`

use clap::Args;
use preview_core::ids::DeploymentId;
use reqwest::Method;
use serde_json::json;

use crate::client::Service;
use crate::error::Failure;
use crate::ui;

/// Throws a preview's database away and deploys its newest commit again
#[derive(Debug, Args)]
pub(crate) struct ResetDb {
    /// The preview, as `preview list` shows it (my-org-my-app-12)
    preview: DeploymentId,
    /// Print JSON
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    pub(crate) service: Service,
}

impl ResetDb {
    pub(crate) async fn run(self) -> Result<(), Failure> {
        let path = format!("/api/previews/{}/reset-db", self.preview);
        self.service.connect()?.ask(Method::POST, &path).await?;
        if self.json {
            return ui::json(&json!({"deploymentId": self.preview, "asked": "reset-db"}));
        }
        ui::note(format!("{} begins again with an empty database; `preview list` shows how far it is", self.preview));
        Ok(())
    }
}
