//! `preview config check`

use clap::Args;
use preview_core::compose::adopt::{self, AdoptError, Refusal};
use preview_core::compose::own;
use preview_core::framework::{Files, ReadFileError};
use preview_core::repo_config::{self, ConfigError, RepoConfig};
use serde::Serialize;
use serde_json::json;

use crate::error::Failure;
use crate::folder::Folder;
use crate::ui;

/// Tells every mistake of preview-config.yml and docker-compose.preview.yml
#[derive(Debug, Args)]
#[command(after_help = "Needs no server and no Docker. The exit code is 1 when there is a mistake.")]
pub(crate) struct Check {
    #[command(flatten)]
    folder: Folder,
    /// Print JSON
    #[arg(long)]
    json: bool,
}

/// One mistake, and where it is.
#[derive(Debug, Serialize)]
struct Mistake {
    file: &'static str,
    /// `None`: the file as a whole.
    line: Option<u64>,
    column: Option<u64>,
    message: String,
}

/// What became of one file.
struct Checked {
    there: bool,
    mistakes: Vec<Mistake>,
    /// Mistakes that are not told.
    more: usize,
}

impl Check {
    pub(crate) fn run(self) -> Result<(), Failure> {
        let files = self.folder.open()?;
        let checked = [(repo_config::FILE_NAME, config(&files)?), (own::FILE_NAME, compose(&files)?)];
        let mistakes: Vec<&Mistake> = checked.iter().flat_map(|(_, checked)| &checked.mistakes).collect();
        let more: usize = checked.iter().map(|(_, checked)| checked.more).sum();
        if self.json {
            let there: Vec<&str> = checked.iter().filter(|(_, checked)| checked.there).map(|(name, _)| *name).collect();
            ui::json(&json!({"files": there, "mistakes": mistakes, "more": more}))?;
        } else {
            checked.iter().for_each(|(name, checked)| tell(name, checked));
        }
        match mistakes.len() + more {
            0 => Ok(()),
            1 => Err(Failure::new("there is a mistake")),
            count => Err(Failure::new(format!("there are {count} mistakes"))),
        }
    }
}

fn tell(name: &str, checked: &Checked) {
    if !checked.there {
        return ui::line(format!("{name}: there is none, and none is needed"));
    }
    if checked.mistakes.is_empty() {
        return ui::line(format!("{name}: no mistakes"));
    }
    for Mistake { line, column, message, .. } in &checked.mistakes {
        let place: String = [line, column].into_iter().flatten().map(|number| format!(":{number}")).collect();
        ui::line(format!("{name}{place}: {}", ui::harmless(message)));
    }
    if checked.more > 0 {
        ui::line(format!("{name}: and {} more", checked.more));
    }
}

fn config(files: &dyn Files) -> Result<Checked, Failure> {
    let file = repo_config::FILE_NAME;
    let mistakes = match RepoConfig::load(files) {
        Ok(_) => Vec::new(),
        Err(ConfigError::File(error)) => vec![unread(file, &error)],
        Err(ConfigError::Invalid(mistakes)) => mistakes
            .into_iter()
            .map(|mistake| Mistake {
                file,
                line: Some(mistake.line),
                column: Some(mistake.column),
                message: mistake.message,
            })
            .collect(),
    };
    Ok(Checked { there: files.has("", file)?, mistakes, more: 0 })
}

fn compose(files: &dyn Files) -> Result<Checked, Failure> {
    let file = own::FILE_NAME;
    let (mistakes, more) = match adopt::load(files) {
        Ok(stack) => match stack.map(|stack| stack.with_files_read(files)) {
            Some(Err(error)) => (vec![Mistake { file, line: None, column: None, message: error.to_string() }], 0),
            Some(Ok(_)) | None => (Vec::new(), 0),
        },
        Err(AdoptError::File(error)) => (vec![unread(file, &error)], 0),
        Err(AdoptError::Refused(refused)) => {
            (refused.refusals.into_iter().map(|refusal| refusal_of(file, refusal)).collect(), refused.more)
        }
    };
    Ok(Checked { there: files.has("", file)?, mistakes, more })
}

fn refusal_of(file: &'static str, refusal: Refusal) -> Mistake {
    let Refusal { line, column, key, reason, remedy } = refusal;
    let key = if key.is_empty() { key } else { format!("`{key}`: ") };
    Mistake { file, line: Some(line), column: Some(column), message: format!("{key}{reason}; {remedy}") }
}

fn unread(file: &'static str, error: &ReadFileError) -> Mistake {
    Mistake { file, line: None, column: None, message: error.refusal.to_string() }
}
