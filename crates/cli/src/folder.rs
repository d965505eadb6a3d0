//! A folder of the person at the terminal, read as the service reads a checkout: through no link, nothing beyond it.

use std::path::PathBuf;

use clap::Args;
use preview_orchestrator::git::CheckoutFiles;

use crate::error::{Failure, Kind};

/// Which folder.
#[derive(Debug, Args)]
pub(crate) struct Folder {
    /// The repository's folder
    #[arg(value_name = "PATH", default_value = ".")]
    path: PathBuf,
}

impl Folder {
    /// Its files. The way to the folder itself may lead over links: it is the person's own.
    pub(crate) fn open(&self) -> Result<CheckoutFiles, Failure> {
        let opened = self.path.canonicalize().and_then(|path| CheckoutFiles::open(&path));
        opened.map_err(|error| {
            let what = format!("`{}` is no folder that can be read", self.path.display());
            Failure::new(what).because(&error).kind(Kind::Settings).hint("name a folder of yours")
        })
    }
}
