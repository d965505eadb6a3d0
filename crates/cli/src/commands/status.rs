//! `preview status`

use std::time::Duration;

use clap::Args;
use preview_orchestrator::disk_space::disk_space;
use serde_json::{Value, json};

use crate::client::Service;
use crate::error::{Failure, Kind};
use crate::ui::{self, Style};

/// Shows server, service, checks, disk, previews, queues and the last deliveries on one screen
#[derive(Debug, Args)]
#[command(
    after_help = "The exit code is 0 when the service answers and all its checks are fine, 3 when one is not, 1 when it does not \
                  answer. `preview doctor` looks further, and knows what helps."
)]
pub(crate) struct Status {
    /// Print JSON
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    pub(crate) service: Service,
}

/// Deliveries that are shown.
const DELIVERIES: usize = 5;
/// The queues of `/health`, and what waits in them.
const QUEUES: [(&str, &str); 5] = [
    ("pending", "to be looked at"),
    ("waiting", "for a place"),
    ("builds", "for a build"),
    ("reports", "comments to be written"),
    ("workers", "being worked on"),
];

/// All that is shown.
struct Seen {
    server: String,
    health: Value,
    deployments: Vec<Value>,
    deliveries: Vec<Value>,
}

impl Status {
    pub(crate) async fn run(self) -> Result<(), Failure> {
        let client = self.service.connect()?;
        let health = client.health().await?;
        // Without the token's proof it says no more than yes or no; the list tells why.
        let deployments = client.list("/api/previews", "deployments").await?;
        let mut deliveries = client.list("/api/deliveries", "deliveries").await?;
        deliveries.truncate(DELIVERIES);
        let server = rustix::system::uname().nodename().to_string_lossy().into_owned();
        let seen = Seen { server, health, deployments, deliveries };
        if self.json {
            let Seen { server, health, deployments, deliveries } = &seen;
            ui::json(
                &json!({"server": server, "health": health, "deployments": deployments, "deliveries": deliveries}),
            )?;
        } else {
            seen.show();
        }
        match seen.troubles().as_slice() {
            [] => Ok(()),
            troubles => Err(Failure {
                causes: troubles.iter().map(|(name, why)| format!("{name}: {why}")).collect(),
                ..Failure::new("not everything is as it should be")
            }
            .kind(Kind::Findings)
            .hint("`preview doctor` looks further, and knows what helps")),
        }
    }
}

impl Seen {
    fn checks(&self) -> impl Iterator<Item = (&String, &Value)> {
        self.health["checks"].as_object().into_iter().flatten()
    }

    /// Checks that are not fine, and why.
    fn troubles(&self) -> Vec<(String, String)> {
        let bad = self.checks().filter(|(_, check)| check["ok"] != true);
        bad.map(|(name, check)| (name.clone(), ui::harmless(check["detail"].as_str().unwrap_or("no reason is told"))))
            .collect()
    }

    fn show(&self) {
        let health = &self.health;
        let uptime = Duration::from_secs(health["uptimeSeconds"].as_u64().unwrap_or_default());
        let version = ui::harmless(health["version"].as_str().unwrap_or("-"));
        row("server", &ui::harmless(&self.server));
        row("service", &format!("version {version}, up for {}", span(uptime)));
        let check = |(name, check): (&String, &Value)| {
            let fine = check["ok"] == true;
            ui::styled(
                if fine { Style::Green } else { Style::Red },
                &format!("{name} {}", if fine { "ok" } else { "bad" }),
            )
        };
        row("checks", &self.checks().map(check).collect::<Vec<_>>().join("  "));
        row("disk", &self.disk());
        row("queues", &self.queues());
        if let Some(repairs) = health["repairs"].as_u64().filter(|repairs| *repairs > 0) {
            row("repairs", &format!("{repairs}; the log says what had to be put right"));
        }
        let holes = health["knownHoles"].as_array().map(Vec::len).unwrap_or_default();
        if holes > 0 {
            row("holes", &format!("{holes} known in the programs here; `preview doctor` names them"));
        }
        self.previews();
        self.last_deliveries();
    }

    fn disk(&self) -> String {
        let gb = |bytes: u64| format!("{:.1} GB", bytes as f64 / 1e9);
        let root = disk_space(std::path::Path::new("/"));
        let whole = root.map(|disk| format!("{} % full, {} free", disk.percent_taken(), gb(disk.free)));
        let share = &self.health["disk"];
        let part = |name: &str| share[name].as_u64();
        let ours = part("budget").map(|budget| {
            let used = ["previews", "buildCache", "mirrors"].into_iter().filter_map(part).sum();
            format!("; ours take {} of at most {}", gb(used), gb(budget))
        });
        format!("{}{}", whole.unwrap_or_else(|_| "-".to_owned()), ours.unwrap_or_default())
    }

    fn queues(&self) -> String {
        let long = QUEUES.iter().filter_map(|(name, what)| {
            let count = self.health["queues"][*name].as_u64().filter(|count| *count > 0)?;
            Some(format!("{count} {what}"))
        });
        let long: Vec<String> = long.collect();
        if long.is_empty() { "nothing waits".to_owned() } else { long.join(", ") }
    }

    fn previews(&self) {
        if self.deployments.is_empty() {
            return row("previews", "none");
        }
        ui::line("");
        let text = |record: &Value, field: &str| ui::harmless(record[field].as_str().unwrap_or("-"));
        let cells = |record: &Value| {
            let changed = ui::age(record["updatedAt"].as_str());
            vec![text(record, "deploymentId"), text(record, "status"), changed, text(record, "url")]
        };
        ui::table(&["PREVIEW", "STATUS", "CHANGED", "URL"], &self.deployments.iter().map(cells).collect::<Vec<_>>());
    }

    fn last_deliveries(&self) {
        if self.deliveries.is_empty() {
            return row("deliveries", "none since the service started");
        }
        ui::line("");
        let cells = |entry: &Value| {
            let text = |field: &str| entry[field].as_str().map(ui::harmless);
            let event = [text("event"), text("action")].into_iter().flatten().collect::<Vec<_>>().join(".");
            let about = text("repository").map(|name| match entry["prNumber"].as_u64() {
                Some(number) => format!("{name}#{number}"),
                None => name,
            });
            let cell = |value: Option<String>| value.unwrap_or_else(|| "-".to_owned());
            vec![ui::age(entry["at"].as_str()), event, cell(about), cell(text("decision")), cell(text("reason"))]
        };
        let rows: Vec<_> = self.deliveries.iter().map(cells).collect();
        ui::table(&["DELIVERED", "EVENT", "ABOUT", "TAKEN", "REASON"], &rows);
    }
}

fn row(label: &str, text: &str) {
    ui::line(format!("{}  {text}", ui::styled(Style::Dim, &format!("{label:10}"))));
}

/// `5 min`, `3 h`, `12 days`.
fn span(time: Duration) -> String {
    match time.as_secs() / 60 {
        0 => format!("{} s", time.as_secs()),
        minutes @ 1..120 => format!("{minutes} min"),
        minutes @ 120..2880 => format!("{} h", minutes / 60),
        minutes => format!("{} days", minutes / 1440),
    }
}
