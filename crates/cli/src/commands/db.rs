//! `preview db`

use clap::Args;
use preview_core::backing::Backing;
use preview_core::compose::{ServiceName, shell};
use preview_core::ids::DeploymentId;

use super::exec::{container, enter};
use crate::client::Service;
use crate::error::Failure;
use crate::flags::JsonFailures;
use crate::record::Record;

/// Opens the shell of a preview's database: psql, mysql, mariadb, mongosh or redis-cli
#[derive(Debug, Args)]
#[command(after_help = "Examples:\n  \
    preview db my-org-my-app-12\n  \
    preview db my-org-my-app-12 -- -c 'select count(*) from users'\n  \
    preview db my-org-my-app-12 < statements.sql\n  \
    preview db my-org-my-app-12 --service redis\n\n\
    What is behind `--` goes to the shell, which runs in the database's container, as its user `preview`, with the password that is there.")]
pub(crate) struct Db {
    /// The preview, as `preview list` shows it (my-org-my-app-12)
    preview: DeploymentId,
    /// One of `extra_services` instead of the database
    #[arg(long = "service", value_name = "NAME")]
    of: Option<Backing>,
    /// Arguments for the shell
    #[arg(last = true, value_name = "ARGUMENT")]
    arguments: Vec<String>,
    #[command(flatten)]
    failures: JsonFailures,
    #[command(flatten)]
    pub(crate) service: Service,
}

impl Db {
    pub(crate) async fn run(self) -> Result<(), Failure> {
        let record = Record::ask(&self.service.connect()?, &self.preview).await?;
        let (backing, part) = self.wanted(&record)?;
        let container = container(&self.preview, part).await?;
        let command: Vec<String> = shell(backing, &self.preview).into_iter().chain(self.arguments).collect();
        Err(enter(&container, &command))
    }

    fn wanted(&self, record: &Record) -> Result<(Backing, ServiceName), Failure> {
        let has = |what: &str| {
            let failure = Failure::new(format!("{} has no {what}", self.preview));
            failure.hint(format!("it is made of: {}", record.services().join(", ")))
        };
        match self.of {
            None => record.database().map(|main| (main, ServiceName::Database)).ok_or_else(|| has("database")),
            Some(extra) if record.extras().contains(&extra) => Ok((extra, ServiceName::Extra(extra))),
            Some(main) if record.database() == Some(main) => Ok((main, ServiceName::Database)),
            Some(other) => Err(has(other.as_str())),
        }
    }
}
