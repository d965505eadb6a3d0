//! `preview why`

use clap::Args;
use preview_orchestrator::why::Subject;
use serde_json::Value;

use crate::client::Service;
use crate::error::Failure;
use crate::ui::{self, Style};

/// Explains why a pull request has the preview that it has, or none
#[derive(Debug, Args)]
#[command(
    after_help = "Shows what GitHub says now, what follows from it, what there is, what is being waited for, and what arrived since the service started."
)]
pub(crate) struct Why {
    /// The pull request: its number, owner/name#12, its address, or my-org-my-app-12
    #[arg(value_name = "PR")]
    pull: Subject,
    /// Print the explanation as JSON
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    pub(crate) service: Service,
}

impl Why {
    pub(crate) async fn run(self) -> Result<(), Failure> {
        // The one character of it that means something else in an address.
        let pull = self.pull.to_string().replace('#', "%23");
        let answer: Value = self.service.connect()?.json(&format!("/api/why?pull={pull}")).await?;
        if self.json {
            return ui::json(&answer);
        }
        explain(&answer);
        Ok(())
    }
}

fn explain(answer: &Value) {
    let text = |field: &str| ui::harmless(answer[field].as_str().unwrap_or("-"));
    ui::line(ui::styled(Style::Bold, &format!("{}#{}", text("repository"), answer["prNumber"])));
    for (label, field) in [("GitHub says", "github"), ("so it gets", "decided"), ("it has", "preview")] {
        said(label, &text(field));
    }
    let waits = answer["waitingFor"].as_array().map(Vec::as_slice).unwrap_or_default();
    if waits.is_empty() {
        said("it waits for", "nothing: all is as it should be");
    }
    for (index, wait) in waits.iter().enumerate() {
        said(if index == 0 { "it waits for" } else { "" }, &ui::harmless(wait.as_str().unwrap_or("-")));
    }
    ui::line("");
    let deliveries = answer["deliveries"].as_array().map(Vec::as_slice).unwrap_or_default();
    if deliveries.is_empty() {
        ui::line("No delivery of it has arrived since the service started.");
        return;
    }
    ui::table(
        &["ARRIVED", "EVENT", "TAKEN", "REASON", "DELIVERY"],
        &deliveries.iter().map(delivery).collect::<Vec<_>>(),
    );
}

fn said(label: &str, text: &str) {
    ui::line(format!("  {}  {text}", ui::styled(Style::Dim, &format!("{label:12}"))));
}

fn delivery(entry: &Value) -> Vec<String> {
    let text = |field: &str| entry[field].as_str().map(ui::harmless);
    let event = [text("event"), text("action")].into_iter().flatten().collect::<Vec<_>>().join(".");
    let cell = |field: &str| text(field).unwrap_or_else(|| "-".to_owned());
    vec![ui::age(entry["at"].as_str()), event, cell("decision"), cell("reason"), cell("guid")]
}
