//! `preview firewall`

use clap::{Args, ValueEnum};
use preview_orchestrator::service::firewall_plan;
use preview_orchestrator::settings::Settings;
use serde_json::json;

use crate::error::Failure;
use crate::{settings, ui};

/// Shows, sets or removes the firewall around previews and builds
#[derive(Debug, Args)]
#[command(
    after_help = "It reads the settings of `preview serve`, which sets the same rules itself where it may (CAP_NET_ADMIN), and leaves them standing when it stops."
)]
pub(crate) struct Firewall {
    /// What to do with it
    #[arg(value_enum, default_value_t = What::Print)]
    what: What,
    /// Print JSON
    #[arg(long)]
    json: bool,
}

#[derive(Debug, Clone, Copy, ValueEnum)]
enum What {
    /// Print the rules as a script for `sh`
    Print,
    /// Set them, as root
    Set,
    /// Take them away, as root: previews that still run then reach what they like
    Remove,
}

impl Firewall {
    pub(crate) async fn run(self) -> Result<(), Failure> {
        let settings = Settings::read(&settings::variables()?).map_err(|mistakes| {
            settings::wrong(mistakes)
                .hint("it goes by the service's settings: on a server, /etc/preview-deployer/environment")
        })?;
        let plan = firewall_plan(&settings).await?;
        let done = match self.what {
            What::Print if self.json => json!({"script": plan.script()}),
            What::Print => {
                ui::line(plan.script().trim_end());
                return Ok(());
            }
            What::Set => {
                plan.put_up().await?;
                json!({"firewall": "set"})
            }
            What::Remove => {
                plan.take_down().await?;
                json!({"firewall": "removed"})
            }
        };
        if self.json { ui::json(&done) } else { Ok(()) }
    }
}
