//! `preview rm`

use clap::Args;
use preview_core::ids::DeploymentId;
use reqwest::Method;
use serde_json::json;

use crate::client::Service;
use crate::error::Failure;
use crate::ui;

/// Removes a preview until the next push to its pull request
#[derive(Debug, Args)]
pub(crate) struct Rm {
    /// The preview, as `preview list` shows it (my-org-my-app-12)
    preview: DeploymentId,
    /// Print JSON
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    pub(crate) service: Service,
}

impl Rm {
    pub(crate) async fn run(self) -> Result<(), Failure> {
        self.service.connect()?.ask(Method::DELETE, &format!("/api/previews/{}", self.preview)).await?;
        if self.json {
            return ui::json(&json!({"deploymentId": self.preview, "asked": "rm"}));
        }
        ui::note(format!("{} will be removed, and come back with the next push", self.preview));
        Ok(())
    }
}
