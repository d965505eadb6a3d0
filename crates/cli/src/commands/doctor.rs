//! `preview doctor`

use clap::Args;

use crate::client::Service;
use crate::doctor::{Outside, Report, Verdict, only_outside};
use crate::error::{Failure, Kind};
use crate::server::{As, Server};
use crate::ui::{self, Style};

/// Looks for usual mistakes, and says what helps
#[derive(Debug, Args)]
#[command(
    after_help = "Run it as root on the server, or from a laptop: then the server's own findings come over SSH, and what only an \
                  outsider sees stands in front. It changes nothing.\n\n\
                  The exit code is 3 when there is a problem (with --strict, or a warning), else 0; what could not be looked at does not \
                  count."
)]
pub(crate) struct Doctor {
    /// Print the findings as JSON
    #[arg(long)]
    json: bool,
    /// Let warnings count as problems
    #[arg(long)]
    strict: bool,
    /// Show what is fine, too
    #[arg(short, long)]
    all: bool,
    #[command(flatten)]
    pub(crate) service: Service,
}

impl Doctor {
    pub(crate) async fn run(self) -> Result<(), Failure> {
        let report = ui::waiting("looking", Report::here(self.service.api.clone())).await;
        self.tell(&report)
    }

    /// The server's own findings, and what is seen from here.
    pub(crate) async fn run_with(self, server: &Server) -> Result<(), Failure> {
        let report = ui::waiting(&format!("looking at {}", server.host()), seen_from_here(server)).await;
        self.tell(&report)
    }

    fn tell(&self, report: &Report) -> Result<(), Failure> {
        if self.json {
            ui::json(report)?;
        } else {
            self.print(report);
        }
        let (problems, warnings) = (report.count(Verdict::Problem), report.count(Verdict::Warning));
        if problems == 0 && (warnings == 0 || !self.strict) {
            return Ok(());
        }
        Err(Failure::new(format!("{}, {}", number(problems, "problem"), number(warnings, "warning")))
            .kind(Kind::Findings))
    }

    fn print(&self, report: &Report) {
        for finding in &report.findings {
            let (style, word) = match finding.verdict {
                Verdict::Ok if !self.all => continue,
                Verdict::Ok => (Style::Green, "ok"),
                Verdict::Unknown => (Style::Dim, "could not look"),
                Verdict::Warning => (Style::Yellow, "warning"),
                Verdict::Problem => (Style::Red, "problem"),
            };
            let (looked_at, says) = (ui::harmless(&finding.looked_at), ui::harmless(&finding.says));
            ui::line(format!("{}  {looked_at}: {says}", ui::styled(style, &format!("{word:14}"))));
            if let Some(remedy) = &finding.remedy {
                ui::line(format!("{:16}-> {}", "", ui::harmless(remedy)));
            }
        }
        let count = |verdict| report.count(verdict);
        ui::line(format!(
            "{} looked at: {} fine, {}, {}, {} could not be looked at",
            report.findings.len(),
            count(Verdict::Ok),
            number(count(Verdict::Warning), "warning"),
            number(count(Verdict::Problem), "problem"),
            count(Verdict::Unknown),
        ));
    }
}

/// The server's own findings, and what is seen from here in front of them.
async fn seen_from_here(server: &Server) -> Report {
    let (asked, addresses) = tokio::join!(server.ask(As::Root, &["doctor", "--json"]), server.addresses());
    let look = |base_url: Option<String>| Outside::look(server.host(), base_url, &addresses);
    let output = match asked {
        Ok((_, output)) => output,
        Err(failure) => return only_outside(&Outside { ssh: Err(in_a_line(failure)), ..look(None).await }),
    };
    match serde_json::from_slice::<Report>(&output.stdout) {
        Ok(report) => {
            let version = Ok(report.version.clone());
            let outside = Outside { version, ..look(report.base_url.clone()).await };
            report.seen_from(&outside)
        }
        Err(_) => {
            let why = in_a_line(server.refused("told no findings", &output));
            only_outside(&Outside { findings: Err(why), ..look(None).await })
        }
    }
}

fn in_a_line(failure: Failure) -> String {
    [failure.what].into_iter().chain(failure.causes).collect::<Vec<_>>().join("; ")
}

fn number(count: usize, what: &str) -> String {
    format!("{count} {what}{}", if count == 1 { "" } else { "s" })
}
