//! `preview keep`

use clap::Args;
use jiff::Timestamp;
use preview_core::command::Hours;
use preview_core::ids::DeploymentId;
use reqwest::Method;
use serde::{Deserialize, Serialize};

use crate::client::Service;
use crate::error::Failure;
use crate::ui;

/// Keeps a preview beyond its time to live
#[derive(Debug, Args)]
#[command(after_help = "Example:\n  preview keep my-org-my-app-12 3d")]
pub(crate) struct Keep {
    /// The preview, as `preview list` shows it (my-org-my-app-12)
    preview: DeploymentId,
    /// For how long from now on: 3d, 12h [default: for one more time to live]
    time: Option<Hours>,
    /// Print JSON
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    pub(crate) service: Service,
}

#[derive(Deserialize, Serialize)]
#[serde(rename_all = "camelCase")]
struct Kept {
    kept_until: Timestamp,
}

impl Keep {
    pub(crate) async fn run(self) -> Result<(), Failure> {
        let time = self.time.map(|time| format!("?for={time}")).unwrap_or_default();
        let path = format!("/api/previews/{}/keep{time}", self.preview);
        let kept: Kept = self.service.connect()?.answer(Method::POST, &path).await?;
        if self.json {
            return ui::json(&kept);
        }
        ui::note(format!("{} stays until {}", self.preview, kept.kept_until.strftime("%Y-%m-%d %H:%M UTC")));
        Ok(())
    }
}
