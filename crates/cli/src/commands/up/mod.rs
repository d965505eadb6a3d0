//! `preview up`: a preview of a folder as it is, on this machine's Docker or on a server's.
//!
//! | file | what lives there |
//! | --- | --- |
//! | `afar` | the laptop's side: the folder goes over SSH, the preview's port comes back |
//! | `receive` | the server's side: what came is brought up there, for as long as the connection lasts |
//! | `wire` | what the two say to each other |

mod afar;
mod receive;
mod wire;

use std::fs::Permissions;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use clap::Args;
use tempfile::TempDir;

use super::demo::{Local, Show, Signals};
use crate::error::{Failure, Kind};
use crate::installation::Destination;
use crate::server::{Place, Server};

/// Brings up a preview of a folder as it is, here or on a server, until Ctrl-C
#[derive(Debug, Args)]
#[command(
    after_help = "Needs Docker with Compose v2, here or on the server, and no GitHub account. What stands in no commit yet is in it; what \
                  .gitignore names is not. The repository itself is left alone. Ctrl-C takes everything down again.\n\n\
                  On a server it runs beside the service, as the service's user; the folder and the preview's port go through SSH. \
                  Ctrl-C, or the end of the connection, takes it down there.\n\n\
                  Examples:\n  preview up\n  preview up ../my-app\n  preview up --on-server\n  preview up --server root@203.0.113.7 ../my-app"
)]
pub(crate) struct Up {
    /// The folder
    #[arg(value_name = "PATH", default_value = ".")]
    path: PathBuf,
    /// Bring it up on the server of config.yml, through SSH, and have it answer here
    #[arg(long, conflicts_with = "server")]
    on_server: bool,
    /// The same on this server
    #[arg(long, value_name = "USER@HOST")]
    server: Option<Destination>,
    /// Take it down as soon as it has come up; for scripts
    #[arg(long)]
    once: bool,
    /// Print the preview's record as JSON once it is up, with --once at the end; all else goes to standard error
    #[arg(long)]
    json: bool,
    /// Bring up what a laptop sends on standard input
    #[arg(long, hide = true, conflicts_with_all = ["path", "on_server", "server"])]
    received: bool,
}

impl Up {
    /// The server to bring it up on; `None` for this machine.
    pub(crate) fn elsewhere(&self) -> Result<Option<Server>, Failure> {
        if let Some(server) = self.server.clone() {
            return Place::named(server).elsewhere(false);
        }
        if !self.on_server {
            return Ok(None);
        }
        let none = || {
            let failure = Failure::new("no installation is known here, so there is no server to bring it up on");
            let failure =
                failure.hint("`preview init` and `preview setup` make one, and `--server user@host` names one");
            failure.kind(Kind::Settings)
        };
        Server::of_config()?.map(Some).ok_or_else(none)
    }

    pub(crate) async fn run(self) -> Result<(), Failure> {
        let mut signals = Signals::listen()?;
        if self.received {
            return receive::run(self.once, self.json, signals).await;
        }
        let scratch = scratch_in(&std::env::temp_dir())?;
        let local = signals.unless_asked(Local::of_folder(&self.path, scratch.path())).await?;
        Show::of_folder(local, self.once, self.json, None).perform(signals).await
    }

    /// Brings it up over there.
    pub(crate) async fn run_with(self, server: &Server) -> Result<ExitCode, Failure> {
        let mut signals = Signals::listen()?;
        let scratch = scratch_in(&std::env::temp_dir())?;
        let packed = signals.unless_asked(afar::pack(&self.path, scratch.path())).await?;
        let asked = [Some("up"), Some("--received"), self.once.then_some("--once"), self.json.then_some("--json")];
        let words: Vec<&str> = asked.into_iter().flatten().collect();
        afar::run(server, packed, scratch.path(), &words, signals).await
    }
}

/// A folder for what is on its way, which goes again, and into which nobody else may look.
fn scratch_in(folder: &Path) -> Result<TempDir, Failure> {
    let mut builder = tempfile::Builder::new();
    Ok(builder.prefix("preview-up-").permissions(Permissions::from_mode(0o700)).tempdir_in(folder)?)
}
