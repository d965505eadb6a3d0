//! `preview demo`: the whole story of a pull request, on this machine.
//!
//! GitHub is a model of itself ([`preview_simulator`]); everything else is real: the service, git, Docker, the database. What the
//! demo shows it also checks: anything that goes otherwise ends it with exit code 1.

mod apps;
mod stage;
mod story;
mod visitors;

use std::path::PathBuf;

use clap::Args;
use preview_simulator::Source;

use crate::error::Failure;
use crate::ui;
use apps::App;
use stage::Stage;
use story::{Script, Story};

/// Shows a pull request becoming a URL on this machine; no GitHub account needed
#[derive(Debug, Args)]
pub(crate) struct Demo {
    /// Go through to the closing and end; for scripts
    #[arg(long)]
    once: bool,
    /// Which example application [default: all of them in turn]
    #[arg(long, value_enum, conflicts_with = "repo")]
    app: Option<App>,
    /// A local git repository instead of the examples
    #[arg(long, value_name = "PATH")]
    repo: Option<PathBuf>,
    /// The branch, tag or commit of that repository
    #[arg(long, value_name = "REVISION", requires = "repo", default_value = "HEAD")]
    branch: String,
}

impl Demo {
    pub(crate) async fn run(self) -> Result<(), Failure> {
        preview_orchestrator::github::install_tls();
        let scripts = self.scripts();
        let stage = Stage::build(&scripts).await?;
        let told = tokio::select! {
            told = tell(&stage, &scripts, self.once) => told,
            _ = tokio::signal::ctrl_c() => Ok(()),
        };
        let cleaned = story::clean_up(&stage).await;
        match told.and(cleaned) {
            Ok(()) => {
                stage.service.stop().await;
                Ok(())
            }
            Err(failure) => {
                let failure = failure.hint(format!("the service's log is in {}", stage.log_file()));
                stage.keep();
                Err(failure)
            }
        }
    }

    fn scripts(&self) -> Vec<Script> {
        if let Some(path) = &self.repo {
            let source = Source::Git { path: path.clone(), revision: self.branch.clone() };
            let name = path.canonicalize().unwrap_or_else(|_| path.clone());
            let name = name.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
            return vec![Script::of_repository(&name, source)];
        }
        let all = [App::NestjsPostgres, App::GoHello];
        all.into_iter().filter(|app| self.app.is_none_or(|wanted| wanted == *app)).map(Script::of_app).collect()
    }
}

/// Tells each script's story; the last one's previews stay until Ctrl-C.
async fn tell(stage: &Stage, scripts: &[Script], once: bool) -> Result<(), Failure> {
    for script in scripts {
        Story::begin(stage, script).await?.tell().await?;
    }
    if once {
        return Ok(());
    }
    ui::line("");
    ui::line("The previews stay until you press Ctrl-C; then the pull requests are closed.");
    std::future::pending().await
}
