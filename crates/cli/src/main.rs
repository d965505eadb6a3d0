//! The command `preview`: one file a command in [`commands`], one printer ([`ui`]), one kind of error ([`error`]).

mod ask;
mod certificates;
mod client;
mod commands;
mod dns;
mod doctor;
mod error;
mod flags;
mod folder;
mod help;
mod installation;
mod log;
mod provision;
mod record;
mod server;
mod settings;
mod ui;

use std::process::ExitCode;

use clap::{CommandFactory, FromArgMatches, Parser, Subcommand};
use secrecy::ExposeSecret;

use error::Failure;
use server::Server;

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
    Init(Box<commands::init::Init>),
    Setup(commands::setup::Setup),
    Upgrade(commands::upgrade::Upgrade),
    Destroy(commands::destroy::Destroy),
    Serve(commands::serve::Serve),
    List(commands::list::List),
    Open(commands::open::Open),
    Logs(commands::logs::Logs),
    Redeploy(commands::redeploy::Redeploy),
    ResetDb(commands::reset_db::ResetDb),
    Keep(commands::keep::Keep),
    Rm(commands::rm::Rm),
    Why(commands::why::Why),
    Exec(commands::exec::Exec),
    Db(commands::db::Db),
    Firewall(commands::firewall::Firewall),
    Helper(commands::helper::Helper),
    Status(commands::status::Status),
    Doctor(commands::doctor::Doctor),
    Certificates(commands::certificates::Certificates),
    Audit(commands::audit::Audit),
    Detect(commands::detect::Detect),
    Config(commands::config::Config),
    Secret(commands::secret::Secret),
    Up(commands::up::Up),
    Demo(commands::demo::Demo),
    Completions(commands::completions::Completions),
    Man(commands::man::Man),
}

/// What the person at the terminal asks for; help and mistakes end the process here.
fn arguments(wants_json: bool) -> Arguments {
    let asked = help::grouped(Arguments::command()).try_get_matches_from(help::asked(std::env::args_os()));
    let asked = asked.and_then(|matches| Arguments::from_arg_matches(&matches));
    asked.unwrap_or_else(|error| {
        if wants_json && error.use_stderr() {
            ui::json_of(&error::Failure::of_arguments(&error));
        }
        error.exit()
    })
}

/// Whether a script asks, for which a failure is JSON as well. Behind `--` everything is somebody else's.
fn wants_json() -> bool {
    std::env::args_os().skip(1).take_while(|word| word != "--").any(|word| word == "--json")
}

fn main() -> ExitCode {
    let wants_json = wants_json();
    let arguments = arguments(wants_json);
    // Two workers serve every command: the work is waiting for others.
    let runtime = match tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build() {
        Ok(runtime) => runtime,
        Err(error) => return ui::fail(&error::Failure::new("the runtime could not be started").because(&error)),
    };
    let done = runtime.block_on(run(arguments.command, wants_json));
    runtime.shutdown_timeout(std::time::Duration::from_secs(1));
    match done {
        Ok(code) => code,
        Err(failure) => {
            if wants_json {
                ui::json_of(&failure);
            }
            ui::fail(&failure)
        }
    }
}

impl Command {
    /// The server that it runs on, for a command that needs the service; `None` for this machine.
    fn elsewhere(&self) -> Result<Option<Server>, Failure> {
        let service = match self {
            Self::List(list) => &list.service,
            Self::Open(open) => &open.service,
            Self::Logs(logs) => &logs.service,
            Self::Redeploy(redeploy) => &redeploy.service,
            Self::ResetDb(reset) => &reset.service,
            Self::Keep(keep) => &keep.service,
            Self::Rm(rm) => &rm.service,
            Self::Why(why) => &why.service,
            Self::Exec(exec) => &exec.service,
            Self::Db(db) => &db.service,
            Self::Status(status) => &status.service,
            Self::Doctor(doctor) => &doctor.service,
            Self::Audit(audit) => &audit.service,
            Self::Certificates(certificates) => &certificates.service,
            Self::Secret(secret) => return secret.place.elsewhere(false),
            Self::Up(up) => return up.elsewhere(),
            _ => return Ok(None),
        };
        service.place.elsewhere(service.api.is_some())
    }

    /// Whether its JSON is read as it comes.
    fn prints_lines(&self) -> bool {
        matches!(self, Self::Logs(_) | Self::Serve(_))
    }

    /// Whether nobody can wait for its end and hand on what it said: it talks with a person, or goes on for ever.
    fn needs_the_terminal(&self) -> bool {
        match self {
            Self::Exec(_) | Self::Db(_) => true,
            Self::Logs(logs) => logs.goes_on(),
            _ => false,
        }
    }
}

async fn run(command: Command, wants_json: bool) -> Result<ExitCode, Failure> {
    if command.prints_lines() {
        ui::json_by_line();
    }
    let done = match (command.elsewhere()?, command) {
        (None, command) => run_here(command).await,
        (Some(server), Command::Open(open)) => open.run_with(&server).await,
        (Some(server), Command::Doctor(doctor)) => doctor.run_with(&server).await,
        (Some(server), Command::Up(up)) => return up.run_with(&server).await,
        (Some(server), command) => return run_there(&server, &command, wants_json).await,
    };
    done.map(|()| ExitCode::SUCCESS)
}

/// Runs what was typed on the server. For a person that is in our place, with the terminal; for a script it is waited for, so that
/// it gets JSON whatever happens, or, where that can't be, looked for first.
async fn run_there(server: &Server, command: &Command, wants_json: bool) -> Result<ExitCode, Failure> {
    let value = match command {
        Command::Secret(secret) => secret.value().transpose()?,
        _ => None,
    };
    let given = value.as_ref().map(|value| value.expose_secret().as_bytes()).unwrap_or_default();
    if wants_json && !command.needs_the_terminal() {
        return server.relay_json(given).await;
    }
    if wants_json {
        server.has_the_program().await?;
    }
    Err(server.run_what_was_typed(given))
}

async fn run_here(command: Command) -> Result<(), Failure> {
    match command {
        Command::Init(init) => init.run().await,
        Command::Setup(setup) => setup.run().await,
        Command::Upgrade(upgrade) => upgrade.run().await,
        Command::Destroy(destroy) => destroy.run().await,
        Command::Serve(serve) => serve.run().await,
        Command::List(list) => list.run().await,
        Command::Open(open) => open.run().await,
        Command::Logs(logs) => logs.run().await,
        Command::Redeploy(redeploy) => redeploy.run().await,
        Command::ResetDb(reset) => reset.run().await,
        Command::Keep(keep) => keep.run().await,
        Command::Rm(rm) => rm.run().await,
        Command::Why(why) => why.run().await,
        Command::Exec(exec) => exec.run().await,
        Command::Db(db) => db.run().await,
        Command::Firewall(firewall) => firewall.run().await,
        Command::Helper(helper) => helper.run().await,
        Command::Status(status) => status.run().await,
        Command::Doctor(doctor) => doctor.run().await,
        Command::Certificates(certificates) => certificates.run().await,
        Command::Audit(audit) => audit.run().await,
        Command::Detect(detect) => detect.run(),
        Command::Config(config) => config.run(),
        Command::Secret(secret) => secret.run().await,
        Command::Up(up) => up.run().await,
        Command::Demo(demo) => demo.run().await,
        Command::Completions(completions) => completions.run(Arguments::command()),
        Command::Man(man) => man.run(Arguments::command()),
    }
}
