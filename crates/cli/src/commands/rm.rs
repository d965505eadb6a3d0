//! `preview rm`

use clap::Args;
use preview_core::ids::DeploymentId;
use reqwest::Method;
use serde_json::json;

use crate::client::Service;
use crate::error::Failure;
use crate::flags::Flags;
use crate::record::Record;
use crate::ui;

/// Removes a preview, with its database, until the next push to its pull request
#[derive(Debug, Args)]
#[command(after_help = "Shows what goes, and asks.")]
pub(crate) struct Rm {
    /// The preview, as `preview list` shows it (my-org-my-app-12)
    preview: DeploymentId,
    #[command(flatten)]
    flags: Flags,
    #[command(flatten)]
    pub(crate) service: Service,
}

impl Rm {
    pub(crate) async fn run(self) -> Result<(), Failure> {
        let client = self.service.connect()?;
        if !Record::may_lose(&client, &self.preview, &self.flags, (Record::whole, "Remove it?")).await? {
            return Ok(());
        }
        client.ask(Method::DELETE, &format!("/api/previews/{}", self.preview)).await?;
        if self.flags.json {
            return ui::json(&json!({"deploymentId": self.preview, "asked": "rm"}));
        }
        ui::note(format!("{} will be removed, and come back with the next push", self.preview));
        Ok(())
    }
}
