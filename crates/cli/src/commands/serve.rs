//! `preview serve`

use clap::Args;
use preview_orchestrator::secrets::Known;
use preview_orchestrator::service::{Given, Service, StartError};
use preview_orchestrator::settings::{Log, LogFormat, Settings, Variables, check_paths, look_alikes};
use preview_orchestrator::sockets::Passed;
use serde_json::json;
use tokio::signal::unix::{Signal, SignalKind, signal};

use crate::error::{Failure, Kind};
use crate::{log, settings, ui};

/// Runs the service: webhooks in, previews out
#[derive(Debug, Args)]
#[command(
    after_help = "Settings come from environment variables and a `.env` file; docs/CONFIGURATION.md has them all."
)]
pub(crate) struct Serve {
    /// Only check the settings, and name every mistake
    #[arg(long)]
    check: bool,
    /// Print JSON, an object a line: the log, what --check finds, and what fails
    #[arg(long)]
    json: bool,
}

impl Serve {
    pub(crate) async fn run(self) -> Result<(), Failure> {
        let variables = settings::variables()?;
        let settings = checked(&variables)?;
        let misspelt = look_alikes(&variables);
        if self.check {
            if self.json {
                return ui::json(&json!({"settings": "fine", "warnings": misspelt}));
            }
            misspelt.iter().for_each(ui::warning);
            ui::line("the settings are fine");
            return Ok(());
        }
        let known = Known::default();
        let format = if self.json { Some(LogFormat::Json) } else { settings.log.format };
        log::start(Log { format, ..settings.log }, known.clone());
        std::panic::set_hook(Box::new(|panic| tracing::error!(%panic, "a bug: please report it with this log")));
        misspelt.iter().for_each(|hint| tracing::warn!("{hint}"));
        serve(&settings, known).await
    }
}

/// Reads the settings and looks whether the folders that they name can be used; every mistake is named.
fn checked(variables: &Variables) -> Result<Settings, Failure> {
    let read = Settings::read(variables).and_then(|settings| check_paths(&settings.paths).map(|()| settings));
    read.map_err(|mistakes| {
        let hint = "docs/CONFIGURATION.md has all settings; `preview serve --check` checks them without starting";
        settings::wrong(mistakes).hint(hint)
    })
}

/// Serves until SIGTERM or SIGINT, or until a part of the service has ended by itself; a second signal cuts off even the stopping.
async fn serve(settings: &Settings, known: Known) -> Result<(), Failure> {
    let mut stop = Stop::listen()?;
    let sockets = Passed::take().map_err(|error| {
        let failure = Failure::new("the sockets that were passed on cannot be used").because(&error);
        failure.kind(Kind::Settings).hint("docs/OPERATIONS.md shows the socket units")
    })?;
    let given =
        Given { api: sockets.api, router: sockets.router, router_tls: sockets.router_tls, known, ..Given::default() };
    let service = tokio::select! {
        started = Service::start(settings, given) => started.map_err(not_started)?,
        () = stop.asked() => return Ok(()),
    };
    let asked = tokio::select! {
        biased;
        () = stop.asked() => true,
        () = service.over() => false,
    };
    tracing::info!("stopping; once more to stop at once");
    tokio::select! {
        () = service.stop() => if asked { Ok(()) } else { Err(broken()) },
        () = stop.asked() => Err(Failure::new("stopped before everything was put in order")
            .kind(Kind::Interrupted)
            .hint("nothing is lost: the next start takes up what was cut off")),
    }
}

/// Whoever started the service starts it anew on a failure.
fn broken() -> Failure {
    Failure::new("a part of the service ended by itself, which is a bug: please report it with this log")
        .hint("nothing is lost: the next start takes up what was cut off")
}

fn not_started(error: StartError) -> Failure {
    let failure = Failure::new("the service could not be started").because(&error);
    match error {
        StartError::NoVisitors
        | StartError::NoTls
        | StartError::Site(_)
        | StartError::Images(_)
        | StartError::GitHub(_)
        | StartError::Subnet { .. } => failure.kind(Kind::Settings),
        StartError::Engine(_) => {
            failure.hint("it needs Docker Engine with Compose v2; in a checkout, `make ground` sees to that")
        }
        StartError::System
        | StartError::Firewall(_)
        | StartError::Listen { .. }
        | StartError::File { .. }
        | StartError::Tls(_)
        | StartError::Ledger(_) => failure,
    }
}

/// SIGTERM and SIGINT.
struct Stop {
    terminate: Signal,
    interrupt: Signal,
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
