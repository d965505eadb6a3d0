//! `preview completions`

use clap::{Args, Command};
use clap_complete::Shell;

use crate::error::Failure;
use crate::flags::JsonFailures;
use crate::ui;

/// Prints what your shell needs to complete commands and options
#[derive(Debug, Args)]
#[command(after_help = "Examples:\n  \
    preview completions bash > ~/.local/share/bash-completion/completions/preview\n  \
    preview completions zsh > ~/.zfunc/_preview\n  \
    preview completions fish > ~/.config/fish/completions/preview.fish\n\n\
    Of zsh, .zshrc has to say `fpath+=~/.zfunc` before `compinit`.")]
pub(crate) struct Completions {
    /// Whose
    #[arg(value_enum)]
    shell: Shell,
    #[command(flatten)]
    failures: JsonFailures,
}

impl Completions {
    pub(crate) fn run(self, mut command: Command) -> Result<(), Failure> {
        let mut script = Vec::new();
        clap_complete::generate(self.shell, &mut command, "preview", &mut script);
        ui::line(String::from_utf8_lossy(&script).trim_end());
        Ok(())
    }
}
