//! `preview secret`

use std::io::{IsTerminal, Read};
use std::path::Path;

use clap::{Args, Subcommand};
use jiff::Timestamp;
use preview_core::ids::{RepoId, RepoName};
use preview_core::secrets::{self, SecretName};
use preview_orchestrator::ledger::{Project, peek};
use preview_orchestrator::secrets::{Known, Vault};
use preview_orchestrator::settings::VaultPaths;
use secrecy::SecretString;
use serde_json::json;

use crate::ask::{Asking, unseen};
use crate::client::FROM_ELSEWHERE;
use crate::error::Failure;
use crate::flags::Flags;
use crate::server::Place;
use crate::{settings, ui};

/// Keeps secrets for repositories, encrypted; `env` refers to them as `${secret:NAME}`
#[derive(Debug, Args)]
#[command(
    after_help = "Run it on the service's machine as its user, or from a laptop (`--server`). Values are encrypted at rest, and given to code of the \
                  repository itself alone, never to a fork's. A change is there for the next deployment."
)]
pub(crate) struct Secret {
    #[command(subcommand)]
    what: What,
    /// Print JSON
    #[arg(long, global = true)]
    json: bool,
    #[command(flatten)]
    pub(crate) place: Place,
}

#[derive(Debug, Subcommand)]
enum What {
    /// Sets a secret; the value is asked for, or read from standard input
    Set {
        /// The repository, as in ALLOWED_REPOS (my-org/my-app)
        repo: RepoName,
        /// The secret's name: letters, digits and `_`
        name: SecretName,
    },
    /// Lists the names of secrets, never a value
    List {
        /// Only those of this repository
        repo: Option<RepoName>,
    },
    /// Removes a secret; what runs keeps it until it is deployed again
    Rm {
        /// The repository
        repo: RepoName,
        /// The secret's name
        name: SecretName,
        /// Show what would be done, and change nothing
        #[arg(long)]
        dry_run: bool,
        #[command(flatten)]
        asking: Asking,
    },
}

impl Secret {
    /// The value, if it takes one: on a server too it is read here, and goes there over standard input.
    pub(crate) fn value(&self) -> Option<Result<SecretString, Failure>> {
        match &self.what {
            What::Set { name, .. } => Some(value(name)),
            What::List { .. } | What::Rm { .. } => None,
        }
    }

    pub(crate) async fn run(self) -> Result<(), Failure> {
        let paths = VaultPaths::read(&settings::variables()?).map_err(settings::wrong)?;
        let repositories = Repositories::of(&paths.ledger)?;
        let vault = Vault::new(paths.secrets, paths.key, Known::default());
        match self.what {
            What::Set { repo, name } => {
                let id = repositories.id(&repo)?;
                let value = value(&name)?;
                vault.set(id, name.clone(), &value, Timestamp::now())?;
                if self.json {
                    return ui::json(&json!({"repository": repo.to_string(), "secret": name.to_string(), "set": true}));
                }
                ui::note(format!("{repo} has the secret {name}; it is there for the next deployment"));
            }
            What::List { repo } => {
                let only = repo.as_ref().map(|repo| repositories.id(repo)).transpose()?;
                let listed = vault.list()?.into_iter().filter(|secret| only.is_none_or(|only| only == secret.repo));
                if self.json {
                    let told = |secret: preview_orchestrator::secrets::Listed| {
                        json!({
                            "repository": repositories.name(secret.repo), "secret": secret.name.to_string(), "set": secret.since,
                        })
                    };
                    return ui::json(&listed.map(told).collect::<Vec<_>>());
                }
                let mut listed = listed.peekable();
                if listed.peek().is_none() {
                    ui::note("no secrets");
                    return Ok(());
                }
                let row = |secret: preview_orchestrator::secrets::Listed| {
                    let age = ui::age(Some(&secret.since.to_string()));
                    vec![repositories.name(secret.repo), secret.name.to_string(), age]
                };
                ui::table(&["REPOSITORY", "SECRET", "SET"], &listed.map(row).collect::<Vec<_>>());
            }
            What::Rm { repo, name, dry_run, asking } => {
                let id = repositories.id(&repo)?;
                if !vault.list()?.iter().any(|secret| secret.repo == id && secret.name == name) {
                    let failure = Failure::new(format!("{repo} has no secret {name}"));
                    return Err(failure.hint("`preview secret list` shows all"));
                }
                let flags = Flags { dry_run, json: self.json, asking };
                if !flags.may_lose(&[format!("the secret {name} of {repo}")], |asking| asking.may("Remove it?"))? {
                    return Ok(());
                }
                vault.remove(id, &name)?;
                if self.json {
                    return ui::json(
                        &json!({"repository": repo.to_string(), "secret": name.to_string(), "set": false}),
                    );
                }
                ui::note(format!("the secret {name} of {repo} is gone; what runs keeps it until it is deployed again"));
            }
        }
        Ok(())
    }
}

/// The repositories that the service knows.
struct Repositories(Vec<(RepoId, Project)>);

impl Repositories {
    fn of(ledger: &Path) -> Result<Self, Failure> {
        let state = peek(ledger).map_err(|error| {
            Failure::from(error).hint("run this on the service's machine as its user").hint(FROM_ELSEWHERE)
        })?;
        Ok(Self(state.projects.into_iter().collect()))
    }

    fn id(&self, repo: &RepoName) -> Result<RepoId, Failure> {
        let found = self.0.iter().find(|(_, project)| project.name == *repo).map(|(id, _)| *id);
        found.ok_or_else(|| {
            let hint = "name it in ALLOWED_REPOS and start the service, which learns its number from GitHub";
            Failure::new(format!("the service does not know the repository {repo}")).hint(hint)
        })
    }

    fn name(&self, id: RepoId) -> String {
        let found = self.0.iter().find(|(known, _)| *known == id);
        found.map_or_else(|| format!("repository {id}"), |(_, project)| project.name.to_string())
    }
}

/// The value, from a person who sees nothing of it or from a program; never from an argument, which every user of the machine
/// could read. One line break at its end is not part of it.
fn value(name: &SecretName) -> Result<SecretString, Failure> {
    let input = std::io::stdin();
    let mut text = String::new();
    if input.is_terminal() {
        ui::note(format!("value of {name} (it is not shown):"));
        text = unseen()?;
    } else {
        // One byte more than may be, so that too much is seen.
        input.lock().take(secrets::LONGEST as u64 + 3).read_to_string(&mut text)?;
    }
    let value = text.strip_suffix('\n').map_or(text.as_str(), |line| line.strip_suffix('\r').unwrap_or(line));
    secrets::check_value(value).map_err(|rule| Failure::new(format!("the value of {name} {rule}")))?;
    Ok(value.to_owned().into())
}
