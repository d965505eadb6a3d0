//! `preview redeploy`

use clap::Args;
use preview_core::ids::DeploymentId;
use reqwest::Method;
use serde_json::json;

use crate::client::Service;
use crate::error::Failure;
use crate::ui;

/// Builds and starts a preview's newest commit again
#[derive(Debug, Args)]
pub(crate) struct Redeploy {
    /// The preview, as `preview list` shows it (my-org-my-app-12)
    preview: DeploymentId,
    /// Print JSON
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    pub(crate) service: Service,
}

impl Redeploy {
    pub(crate) async fn run(self) -> Result<(), Failure> {
        let path = format!("/api/previews/{}/redeploy", self.preview);
        self.service.connect()?.ask(Method::POST, &path).await?;
        if self.json {
            return ui::json(&json!({"deploymentId": self.preview, "asked": "redeploy"}));
        }
        ui::note(format!("{} will be deployed again; `preview list` shows how far it is", self.preview));
        Ok(())
    }
}
