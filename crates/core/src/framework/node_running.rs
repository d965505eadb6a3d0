//! What is run in the image of a Node app, and what has to stay in it for that: programs among the development dependencies, a package
//! manager. What starts the app is read, what `preview-config.yml` has run before it or on its database, and what migrates it.

use crate::repo_config::{AppCommand, Migrate, RepoConfig, Seed};

use super::migration::NodeTool;
use super::node::Start;
use super::node_install::Installation;
use super::node_workspace::App;

/// The words of all commands that run in the image.
pub(super) struct Running(Vec<String>);

impl Running {
    pub(super) fn of(config: &RepoConfig, app: &App, start: &Start, migrates: Option<&NodeTool>) -> Self {
        let started = match start {
            Start::File(_) => None,
            Start::TypeScript(_) => Some("tsx".to_owned()),
            Start::Script(name) => Some((*name).to_owned()),
        };
        let migrate = match &config.migrate {
            Some(Migrate::Run(command)) => Some(command.shown()),
            Some(Migrate::Never) => None,
            None => migrates.map(NodeTool::line),
        };
        let seed = match &config.seed {
            Some(Seed::Run(command)) => Some(AppCommand::shown(command)),
            Some(Seed::File(_)) | None => None,
        };
        let before = config.startup_commands.iter().map(|line| line.as_str().to_owned());
        let lines: Vec<String> = before.chain(started).chain(migrate).chain(seed).collect();
        Self(lines.iter().flat_map(|line| app.package.words_run_by(line)).collect())
    }

    /// Whether a program or a module of a development dependency is run: `tsx src/server.ts`.
    pub(super) fn needs_dev(&self, app: &App) -> bool {
        let packages = [&app.package, app.base_package()];
        self.0.iter().any(|word| packages.iter().any(|package| package.has_dev_program(word)))
    }

    /// Whether the package manager is run, which isn't in the image by itself.
    pub(super) fn needs_manager(&self, installation: &Installation) -> bool {
        installation.tool.is_some() && self.0.iter().any(|word| installation.programs.contains(&word.as_str()))
    }
}
