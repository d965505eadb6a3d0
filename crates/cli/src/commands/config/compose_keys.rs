//! `preview config compose-keys`

use std::path::{Path, PathBuf};

use clap::Args;
use preview_core::compose::keys;
use serde_json::{Value, json};

use crate::error::Failure;
use crate::ui;

/// Lists what becomes of each key of a repository's own Compose file
#[derive(Debug, Args)]
#[command(
    after_help = "Keys that are not in the list are refused. With --schema, the exit code is 1 when the schema has keys that the list lacks, or lacks keys that the list has."
)]
pub(crate) struct ComposeKeys {
    /// Compare the list with this schema of the Compose specification (compose-spec.json) instead
    #[arg(long, value_name = "FILE")]
    schema: Option<PathBuf>,
    /// Print JSON
    #[arg(long)]
    json: bool,
}

impl ComposeKeys {
    pub(crate) fn run(self) -> Result<(), Failure> {
        match &self.schema {
            Some(schema) => self.compare(&read(schema)?),
            None => self.list(),
        }
    }

    fn list(&self) -> Result<(), Failure> {
        if self.json {
            let entry = |(key, verdict): (String, keys::Verdict)| json!({"key": key, "verdict": verdict.as_str(), "note": verdict.note()});
            return ui::json(&keys::all().map(entry).collect::<Value>());
        }
        let row = |(key, verdict): (String, keys::Verdict)| vec![key, verdict.as_str().to_owned(), verdict.note()];
        ui::table(&["KEY", "VERDICT", "NOTE"], &keys::all().map(row).collect::<Vec<_>>());
        Ok(())
    }

    fn compare(&self, schema: &Value) -> Result<(), Failure> {
        let difference = keys::compare(schema);
        if self.json {
            ui::json(&json!({"new": difference.new, "gone": difference.gone}))?;
        } else {
            difference
                .new
                .iter()
                .for_each(|key| ui::line(format!("new, refused until it gets a verdict: {}", ui::harmless(key))));
            difference.gone.iter().for_each(|key| ui::line(format!("gone from the specification: {key}")));
        }
        if difference.is_empty() {
            return Ok(());
        }
        let (new, gone) = (difference.new.len(), difference.gone.len());
        Err(Failure::new(format!("the list differs from the schema: {new} new keys, {gone} gone")))
    }
}

fn read(path: &Path) -> Result<Value, Failure> {
    let unusable = || format!("`{}` is no JSON schema that can be read", path.display());
    let text = std::fs::read(path).map_err(|error| Failure::new(unusable()).because(&error))?;
    serde_json::from_slice(&text).map_err(|error| Failure::new(unusable()).because(&error))
}
