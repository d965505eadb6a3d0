//! The command `preview`: one file a command in [`commands`], one printer ([`ui`]), one kind of error ([`error`]).

mod client;
mod commands;
mod error;
mod folder;
mod help;
mod installation;
mod log;
mod settings;
mod ui;

use std::process::ExitCode;

use clap::{CommandFactory, FromArgMatches, Parser, Subcommand};

/// Every GitHub pull request of a backend repository gets its own running copy: application, database and URL.
#[derive(Parser)]
#[command(name = "preview", version, max_term_width = 100, disable_help_subcommand = true)]
#[command(after_help = help::EXIT_CODES)]
struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    Serve(commands::serve::Serve),
    List(commands::list::List),
    Logs(commands::logs::Logs),
    Redeploy(commands::redeploy::Redeploy),
    ResetDb(commands::reset_db::ResetDb),
    Keep(commands::keep::Keep),
    Rm(commands::rm::Rm),
    Why(commands::why::Why),
    Firewall(commands::firewall::Firewall),
    Helper(commands::helper::Helper),
    Audit(commands::audit::Audit),
    Detect(commands::detect::Detect),
    Config(commands::config::Config),
    Secret(commands::secret::Secret),
    Demo(commands::demo::Demo),
    Completions(commands::completions::Completions),
    Man(commands::man::Man),
}

/// What the person at the terminal asks for; help and mistakes end the process here.
fn arguments() -> Arguments {
    let matches = help::grouped(Arguments::command()).get_matches();
    Arguments::from_arg_matches(&matches).unwrap_or_else(|error| error.exit())
}

fn main() -> ExitCode {
    let arguments = arguments();
    // Two workers serve every command: the work is waiting for others.
    let runtime = match tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build() {
        Ok(runtime) => runtime,
        Err(error) => return ui::fail(&error::Failure::new("the runtime could not be started").because(&error)),
    };
    let done = runtime.block_on(async {
        match arguments.command {
            Command::Serve(serve) => serve.run().await,
            Command::List(list) => list.run().await,
            Command::Logs(logs) => logs.run().await,
            Command::Redeploy(redeploy) => redeploy.run().await,
            Command::ResetDb(reset) => reset.run().await,
            Command::Keep(keep) => keep.run().await,
            Command::Rm(rm) => rm.run().await,
            Command::Why(why) => why.run().await,
            Command::Firewall(firewall) => firewall.run().await,
            Command::Helper(helper) => helper.run().await,
            Command::Audit(audit) => audit.run().await,
            Command::Detect(detect) => detect.run(),
            Command::Config(config) => config.run(),
            Command::Secret(secret) => secret.run().await,
            Command::Demo(demo) => demo.run().await,
            Command::Completions(completions) => completions.run(Arguments::command()),
            Command::Man(man) => man.run(Arguments::command()),
        }
    });
    runtime.shutdown_timeout(std::time::Duration::from_secs(1));
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => ui::fail(&failure),
    }
}
