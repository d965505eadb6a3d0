//! `preview open`

use std::io::IsTerminal;

use clap::Args;
use preview_core::ids::DeploymentId;
use preview_exec::Program;
use serde_json::json;

use crate::client::Service;
use crate::error::Failure;
use crate::record::Record;
use crate::server::{As, Server};
use crate::ui;

/// Prints a preview's address, and opens it in the browser where there is a screen
#[derive(Debug, Args)]
#[command(after_help = "Example:\n  preview open my-org-my-app-12")]
pub(crate) struct Open {
    /// The preview, as `preview list` shows it (my-org-my-app-12)
    preview: DeploymentId,
    /// Only print the address
    #[arg(long)]
    print: bool,
    /// Print the address as JSON, and open nothing
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    pub(crate) service: Service,
}

/// What a browser needs to know of the person's session.
const OF_THE_SESSION: [&str; 11] = [
    "HOME",
    "USER",
    "DISPLAY",
    "WAYLAND_DISPLAY",
    "XAUTHORITY",
    "XDG_RUNTIME_DIR",
    "XDG_CURRENT_DESKTOP",
    "XDG_DATA_DIRS",
    "DBUS_SESSION_BUS_ADDRESS",
    "BROWSER",
    "LANG",
];

impl Open {
    pub(crate) async fn run(self) -> Result<(), Failure> {
        let record = Record::ask(&self.service.connect()?, &self.preview).await?;
        let url = record.url().ok_or_else(|| {
            let failure = Failure::new(format!("{} has no address yet", self.preview));
            failure.hint(format!("`preview why {}` tells what it waits for", self.preview))
        })?;
        self.show(url)
    }

    /// The server knows the address, and the browser is here.
    pub(crate) async fn run_with(self, server: &Server) -> Result<(), Failure> {
        let preview = self.preview.to_string();
        let args = ["open", "--print", &preview];
        let asked = server.ask(As::Service, &args);
        let (code, output) = ui::waiting(&format!("waiting for {}", server.host()), asked).await?;
        let said = output.text();
        let url = said.lines().next().filter(|_| code == 0);
        let url = url.ok_or_else(|| server.refused(&format!("knows no address of {}", self.preview), &output))?;
        self.show(url)
    }

    fn show(self, url: &str) -> Result<(), Failure> {
        if self.json {
            return ui::json(&json!({"deploymentId": self.preview, "url": url}));
        }
        ui::line(ui::harmless(url));
        let is_page = url.starts_with("http://") || url.starts_with("https://");
        let mac = cfg!(target_os = "macos");
        let screen = mac || ["DISPLAY", "WAYLAND_DISPLAY"].iter().any(|name| std::env::var_os(name).is_some());
        if self.print || !is_page || !screen || !std::io::stdout().is_terminal() {
            return Ok(());
        }
        let browser = Program::new(if mac { "open" } else { "xdg-open" }).arg(url);
        let browser = OF_THE_SESSION.iter().fold(browser, |browser, name| browser.inherit_env(name));
        Err(Failure::from(browser.take_over()).hint("the address is above: open it by hand"))
    }
}
