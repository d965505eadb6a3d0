//! Flags that commands have in common which make something or throw something away, and the one way in which that is asked about.

use std::path::PathBuf;
use std::time::Duration;

use clap::Args;
use serde_json::json;

use crate::ask::Asking;
use crate::error::Failure;
use crate::installation::secrets::Given;
use crate::ui;

/// What all of them take.
#[derive(Debug, Args)]
pub(crate) struct Flags {
    /// Show what would be done, and change nothing
    #[arg(long)]
    pub(crate) dry_run: bool,
    /// Print JSON
    #[arg(long)]
    pub(crate) json: bool,
    #[command(flatten)]
    pub(crate) asking: Asking,
}

impl Flags {
    /// Shows what goes for good, and has the person agree. Gives whether it is to be done now: what was only to be shown is shown
    /// by then.
    pub(crate) fn may_lose(
        &self,
        going: &[String],
        agrees: impl FnOnce(Asking) -> Result<bool, Failure>,
    ) -> Result<bool, Failure> {
        if self.dry_run && self.json {
            return ui::json(&json!({"goes": going})).map(|()| false);
        }
        if self.dry_run {
            going.iter().for_each(ui::line);
            return Ok(false);
        }
        ui::note("This goes, and cannot be brought back:");
        going.iter().for_each(|line| ui::note(format!("  {line}")));
        if agrees(self.asking)? { Ok(true) } else { Err(Failure::new("nothing was changed")) }
    }
}

/// What those take whose output is not theirs to shape: that of a program which takes their place, or a file for another one. `main` sees
/// to it.
#[derive(Debug, Args)]
pub(crate) struct JsonFailures {
    /// Print what fails as JSON; all other output stays as it is
    #[arg(long)]
    json: bool,
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
    pub(crate) given: Given,
    #[command(flatten)]
    pub(crate) flags: Flags,
}

fn seconds(text: &str) -> Result<Duration, &'static str> {
    text.parse().map(Duration::from_secs).map_err(|_| "expected a whole number of seconds, like 300")
}
