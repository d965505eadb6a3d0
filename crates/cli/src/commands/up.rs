//! `preview up`

use std::path::PathBuf;

use clap::Args;

use super::demo::{Local, Show};
use crate::error::Failure;

/// Brings up a preview of a folder as it is, on this machine's Docker, until Ctrl-C
#[derive(Debug, Args)]
#[command(
    after_help = "Needs Docker with Compose v2, and no GitHub account. What stands in no commit yet is in it; what .gitignore names is not. \
                  The repository itself is left alone. Ctrl-C takes everything down again.\n\n\
                  Examples:\n  preview up\n  preview up ../my-app"
)]
pub(crate) struct Up {
    /// The folder
    #[arg(value_name = "PATH", default_value = ".")]
    path: PathBuf,
    /// Take it down as soon as it has come up; for scripts
    #[arg(long)]
    once: bool,
    /// Print the preview's record as JSON once it is up, with --once at the end; all else goes to standard error
    #[arg(long)]
    json: bool,
}

impl Up {
    pub(crate) async fn run(self) -> Result<(), Failure> {
        let scratch = tempfile::Builder::new().prefix("preview-up-").tempdir()?;
        let local = Local::of_folder(&self.path, scratch.path()).await?;
        Show::of_folder(local, self.once, self.json).perform().await
    }
}
