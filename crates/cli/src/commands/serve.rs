//! `preview serve`

use std::io::IsTerminal;
use std::path::Path;

use clap::Args;
use preview_orchestrator::service::{Given, Service, StartError};
use preview_orchestrator::settings::{self, LogFormat, Settings, check_paths, environment, look_alikes};
use tokio::signal::unix::{SignalKind, signal};
use tracing_subscriber::EnvFilter;

use crate::error::{Failure, Kind};
use crate::ui;

/// Runs the service: webhooks in, previews out
#[derive(Debug, Args)]
#[command(
    after_help = "Settings come from environment variables and a `.env` file; docs/CONFIGURATION.md has them all."
)]
pub(crate) struct Serve {
    /// Only check the settings, and name every mistake
    #[arg(long)]
    check: bool,
}

impl Serve {
    pub(crate) async fn run(self) -> Result<(), Failure> {
        let settings = settings()?;
        if self.check {
            ui::line("the settings are fine");
            return Ok(());
        }
        start_log(settings.log);
        std::panic::set_hook(Box::new(|panic| tracing::error!(%panic, "a bug: please report it with this log")));
        let mut stop = Stop::listen()?;
        let service = Service::start(&settings, Given::default()).await.map_err(not_started)?;
        stop.asked().await;
        tracing::info!("stopping; once more to stop at once");
        tokio::select! {
            () = service.stop() => Ok(()),
            () = stop.asked() => Err(Failure::new("stopped before everything was put in order")
                .hint("nothing is lost: the next start takes up what was cut off")),
        }
    }
}

/// Reads and checks the settings; every mistake is named.
fn settings() -> Result<Settings, Failure> {
    let variables = environment(Path::new(".env"))?;
    look_alikes(&variables).iter().for_each(|hint| ui::note(format!("warning: {hint}")));
    let wrong = |mistakes: settings::Mistakes| {
        let mut failure = Failure::new("the settings are not right").kind(Kind::Settings);
        failure.causes = mistakes.0.iter().map(ToString::to_string).collect();
        failure.hint("docs/CONFIGURATION.md has all settings; `preview serve --check` checks them without starting")
    };
    let settings = Settings::read(&variables).map_err(wrong)?;
    check_paths(&settings.paths).map_err(wrong)?;
    Ok(settings)
}

fn not_started(error: StartError) -> Failure {
    let settings = matches!(
        error,
        StartError::Site(_) | StartError::Images(_) | StartError::GitHub(_) | StartError::Subnet { .. }
    );
    let kind = if settings { Kind::Settings } else { Kind::Failed };
    let engine = matches!(error, StartError::Engine(_));
    let failure = Failure::new("the service could not be started").because(&error).kind(kind);
    if engine { failure.hint("`scripts/ground up` installs and starts Docker with Compose v2") } else { failure }
}

/// What others' libraries log below *info* may hold whole messages, passwords of previews' databases among them.
pub(super) const QUIET: &str = "bollard=info,hyper=info,hyper_util=info,reqwest=info,rustls=info,h2=info";

fn start_log(log: settings::Log) {
    let terminal = std::io::stdout().is_terminal();
    let filter = EnvFilter::new(format!("{},{QUIET}", log.level));
    let builder = tracing_subscriber::fmt().with_env_filter(filter).with_ansi(terminal);
    let text = log.format.map_or(terminal, |format| format == LogFormat::Text);
    if text { builder.init() } else { builder.json().init() }
}

/// SIGTERM and SIGINT.
struct Stop {
    terminate: tokio::signal::unix::Signal,
    interrupt: tokio::signal::unix::Signal,
}

impl Stop {
    fn listen() -> Result<Self, Failure> {
        Ok(Self { terminate: signal(SignalKind::terminate())?, interrupt: signal(SignalKind::interrupt())? })
    }

    async fn asked(&mut self) {
        tokio::select! {
            _ = self.terminate.recv() => {}
            _ = self.interrupt.recv() => {}
        }
    }
}
