//! Flags that `init`, `setup`, `upgrade` and `destroy` have in common.

use std::path::PathBuf;
use std::time::Duration;

use clap::Args;

use crate::ask::Asking;
use crate::installation::secrets::Given;

/// What all four take.
#[derive(Debug, Args)]
pub(crate) struct Flags {
    /// Show what would be done, and change nothing
    #[arg(long)]
    pub(crate) dry_run: bool,
    /// Print JSON
    #[arg(long)]
    pub(crate) json: bool,
    #[command(flatten)]
    pub(crate) given: Given,
    #[command(flatten)]
    pub(crate) asking: Asking,
}

/// What those take that bring a server to what is wanted.
#[derive(Debug, Args)]
pub(crate) struct ServerFlags {
    /// The program for the server [default: this one, where systems match]
    #[arg(long, value_name = "FILE")]
    pub(crate) binary: Option<PathBuf>,
    /// With TLS=acme, how long the first certificate is waited for
    #[arg(long, value_name = "SECONDS", default_value = "300", value_parser = seconds)]
    pub(crate) certificate_wait: Duration,
    #[command(flatten)]
    pub(crate) flags: Flags,
}

fn seconds(text: &str) -> Result<Duration, &'static str> {
    text.parse().map(Duration::from_secs).map_err(|_| "expected a whole number of seconds, like 300")
}
