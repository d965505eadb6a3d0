//! `preview config`: what a repository may say of its own preview.

mod check;
mod compose_keys;
mod schema;

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
    Check(check::Check),
    Schema(schema::Schema),
    ComposeKeys(compose_keys::ComposeKeys),
}

impl Config {
    pub(crate) fn run(self) -> Result<(), Failure> {
        match self.about {
            About::Check(check) => check.run(),
            About::Schema(schema) => schema.run(),
            About::ComposeKeys(keys) => keys.run(),
        }
    }
}
