//! `preview logs`

use clap::Args;
use preview_core::ids::DeploymentId;
use reqwest::Method;

use crate::client::Service;
use crate::error::Failure;
use crate::ui;

/// Shows what a preview's app, build or database wrote
#[derive(Debug, Args)]
pub(crate) struct Logs {
    /// The preview, as `preview list` shows it (my-org-my-app-12)
    preview: DeploymentId,
    /// The newest build instead of the app
    #[arg(long, conflicts_with = "db")]
    build: bool,
    /// The database instead of the app
    #[arg(long)]
    db: bool,
    /// Go on as it comes, until Ctrl-C
    #[arg(short, long)]
    follow: bool,
    /// How many of the last lines
    #[arg(short = 'n', long, default_value_t = 200)]
    lines: u32,
    #[command(flatten)]
    service: Service,
}

impl Logs {
    pub(crate) async fn run(self) -> Result<(), Failure> {
        let stream = match (self.build, self.db) {
            (true, _) => "build",
            (_, true) => "db",
            _ => "app",
        };
        let path = format!("/api/previews/{}/logs?stream={stream}&lines={}", self.preview, self.lines);
        let client = self.service.connect()?;
        if !self.follow {
            let text = client.ask(Method::GET, &path).await?.text().await?;
            text.lines().for_each(|line| ui::line(ui::harmless(line)));
            return Ok(());
        }
        let mut answer = client.follow(&format!("{path}&follow=true")).await?;
        let mut pending = Vec::new();
        while let Some(bytes) = answer.chunk().await? {
            pending.extend_from_slice(&bytes);
            while let Some(end) = pending.iter().position(|byte| *byte == b'\n') {
                let line: Vec<u8> = pending.drain(..=end).collect();
                // Server-sent events: what is told stands in lines that begin with `data:`.
                if let Some(told) = String::from_utf8_lossy(&line).trim_end().strip_prefix("data:") {
                    ui::line(ui::harmless(told.strip_prefix(' ').unwrap_or(told)));
                }
            }
        }
        Ok(())
    }
}
