//! `preview config`: what a repository may say of its own preview.

mod compose_keys;

use clap::{Args, Subcommand};

use crate::error::Failure;

/// Tells what a repository may say of its own preview
#[derive(Debug, Args)]
pub(crate) struct Config {
    #[command(subcommand)]
    about: About,
}

#[derive(Debug, Subcommand)]
enum About {
    ComposeKeys(compose_keys::ComposeKeys),
}

impl Config {
    pub(crate) fn run(self) -> Result<(), Failure> {
        match self.about {
            About::ComposeKeys(keys) => keys.run(),
        }
    }
}
