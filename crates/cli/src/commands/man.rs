//! `preview man`

use std::path::PathBuf;

use clap::{Args, Command};
use clap_mangen::Man as Page;

use crate::error::{Failure, Kind};
use crate::flags::JsonFailures;
use crate::ui;

/// Prints a manual page, or writes all of them into a folder
#[derive(Debug, Args)]
#[command(after_help = "Examples:\n  \
    preview man logs | man -l -\n  \
    preview man --dir ~/.local/share/man/man1")]
pub(crate) struct Man {
    /// Of which command: `logs`, `config check` [default: of `preview` itself]
    #[arg(value_name = "COMMAND")]
    of: Vec<String>,
    /// Write the pages of all commands into this folder instead
    #[arg(long, value_name = "FOLDER", conflicts_with = "of")]
    dir: Option<PathBuf>,
    #[command(flatten)]
    failures: JsonFailures,
}

impl Man {
    pub(crate) fn run(self, mut command: Command) -> Result<(), Failure> {
        // Gives every command its full name, `preview-config-check`.
        command.build();
        if let Some(dir) = &self.dir {
            let unusable = |error| {
                let failure = Failure::new(format!("`{}` can't be written", dir.display())).because(&error);
                failure.hint("name a folder of yours")
            };
            std::fs::create_dir_all(dir).and_then(|()| clap_mangen::generate_to(command, dir)).map_err(unusable)?;
            ui::note(format!("the pages are in {}", dir.display()));
            return Ok(());
        }
        let mut wanted = &command;
        for name in &self.of {
            wanted = wanted.find_subcommand(name).ok_or_else(|| {
                let failure = Failure::new(format!("there is no command `preview {}`", self.of.join(" ")));
                failure.kind(Kind::Settings).hint("`preview --help` names all commands")
            })?;
        }
        let mut page = Vec::new();
        Page::new(wanted.clone()).render(&mut page)?;
        ui::line(String::from_utf8_lossy(&page).trim_end());
        Ok(())
    }
}
