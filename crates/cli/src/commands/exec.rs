//! `preview exec`

use std::io::IsTerminal;

use clap::Args;
use preview_core::backing::Backing;
use preview_core::compose::ServiceName;
use preview_core::compose::own::OwnName;
use preview_core::ids::{DeploymentId, InstanceId};
use preview_exec::Program;
use preview_orchestrator::docker::running_container;
use preview_orchestrator::settings::Containers;

use crate::client::Service;
use crate::error::Failure;
use crate::flags::JsonFailures;
use crate::record::Record;
use crate::settings;

/// Opens a shell in a preview's app, or runs a command there
#[derive(Debug, Args)]
#[command(after_help = "Examples:\n  \
    preview exec my-org-my-app-12\n  \
    preview exec my-org-my-app-12 -- npm run migrate:status\n  \
    preview exec my-org-my-app-12 --service redis -- redis-cli info memory\n\n\
    It ends with the command's own exit code. An image without a shell (`sh`) takes commands that it has alone.")]
pub(crate) struct Exec {
    /// The preview, as `preview list` shows it (my-org-my-app-12)
    preview: DeploymentId,
    /// Another container than the app's: `db`, one of `extra_services`, or a service of the repository's own Compose file
    #[arg(long = "service", value_name = "NAME", default_value = "app")]
    of: String,
    /// The command and its arguments [default: a shell]
    #[arg(last = true, value_name = "COMMAND")]
    command: Vec<String>,
    #[command(flatten)]
    failures: JsonFailures,
    #[command(flatten)]
    pub(crate) service: Service,
}

/// The best shell that there is.
const SHELL: [&str; 3] = ["sh", "-c", "if command -v bash >/dev/null 2>&1; then exec bash; else exec sh; fi"];

impl Exec {
    pub(crate) async fn run(self) -> Result<(), Failure> {
        let record = Record::ask(&self.service.connect()?, &self.preview).await?;
        let part = part(&record, &self.of)?;
        let container = container(&self.preview, part).await?;
        let shell = SHELL.map(str::to_owned).to_vec();
        Err(enter(&container, if self.command.is_empty() { &shell } else { &self.command }))
    }
}

/// What runs a service, by the name that people know it by.
fn part(record: &Record, name: &str) -> Result<ServiceName, Failure> {
    let serving = || {
        let failure = Failure::new(format!("no version of {} is up", record.id()));
        record.slot().ok_or_else(|| failure.hint("`preview list` and `preview logs --build` tell more"))
    };
    let unknown = || {
        let failure = Failure::new(format!("{} has no service `{name}`", record.id()));
        failure.hint(format!("it is made of: {}", record.services().join(", ")))
    };
    if !record.services().iter().any(|known| known == name) {
        return Err(unknown());
    }
    Ok(match name {
        "app" => ServiceName::App(serving()?),
        "db" => ServiceName::Database,
        _ => match name.parse::<Backing>() {
            Ok(extra) => ServiceName::Extra(extra),
            Err(_) => ServiceName::Own(name.parse::<OwnName>().map_err(|_| unknown())?),
        },
    })
}

/// The container that runs it. Its name is Docker's business; labels that nobody else can set tell it.
pub(super) async fn container(preview: &DeploymentId, part: ServiceName) -> Result<Running, Failure> {
    let containers = Containers::read(&settings::variables()?).map_err(settings::wrong)?;
    let path = &containers.instance;
    let instance: InstanceId = std::fs::read_to_string(path)
        .map_err(Failure::from)
        .and_then(|text| text.trim().parse().map_err(Failure::from))
        .map_err(|failure| {
            let told = Failure::new(format!("{} can't be read, which has the installation's name", path.display()));
            Failure { causes: vec![failure.what], ..told }.hint("run this on the service's machine as its user")
        })?;
    let found = running_container(&containers.docker_host, &instance, preview, part).await?;
    let id = found.ok_or_else(|| {
        let failure = Failure::new(format!("no container runs `{part}` of {preview}"));
        failure.hint(format!("`preview why {preview}` tells what there is"))
    })?;
    Ok(Running { docker_host: containers.docker_host, id })
}

/// A container that runs.
pub(super) struct Running {
    docker_host: String,
    id: String,
}

/// Becomes this command within the container. Comes back only if that could not be begun.
pub(super) fn enter(container: &Running, command: &[String]) -> Failure {
    let terminal = std::io::stdin().is_terminal() && std::io::stdout().is_terminal();
    let docker = Program::new("docker")
        .args(["--host", &container.docker_host, "exec", if terminal { "-it" } else { "-i" }, &container.id])
        .args(command);
    let docker = ["HOME", "TERM", "LANG"].iter().fold(docker, |docker, name| docker.inherit_env(name));
    Failure::from(docker.take_over()).hint("it needs the command `docker`")
}
