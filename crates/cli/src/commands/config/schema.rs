//! `preview config schema`

use clap::Args;
use preview_core::repo_config;

use crate::error::Failure;
use crate::flags::JsonFailures;
use crate::ui;

/// Prints the JSON Schema of preview-config.yml, by which editors complete and check it
#[derive(Debug, Args)]
#[command(
    after_help = "Store it beside the file and let the file begin with:\n  # yaml-language-server: $schema=./preview-config.schema.json"
)]
pub(crate) struct Schema {
    #[command(flatten)]
    failures: JsonFailures,
}

impl Schema {
    pub(crate) fn run(self) -> Result<(), Failure> {
        ui::json(&repo_config::schema())
    }
}
