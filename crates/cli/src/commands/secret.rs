//! `preview secret`

use std::io::{IsTerminal, Read};
use std::path::Path;

use clap::{Args, Subcommand};
use jiff::Timestamp;
use preview_core::ids::{RepoId, RepoName};
use preview_core::secrets::{self, SecretName};
use preview_orchestrator::ledger::{Project, peek};
use preview_orchestrator::secrets::{Known, Listed, Vault};
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
        /// Show what would be done, and change nothing
        #[arg(long)]
        dry_run: bool,
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
        let kept = Kept { vault: Vault::new(paths.secrets, paths.key, Known::default()), repositories };
        match self.what {
            What::Set { repo, name, dry_run } => kept.set(&repo, name, dry_run, self.json),
            What::List { repo } => kept.show(repo.as_ref(), self.json),
            What::Rm { repo, name, dry_run, asking } => {
                kept.remove(&repo, &name, &Flags { dry_run, json: self.json, asking })
            }
        }
    }
}

/// What is kept, and for whom.
struct Kept {
    vault: Vault,
    repositories: Repositories,
}

impl Kept {
    fn set(&self, repo: &RepoName, name: SecretName, dry_run: bool, json: bool) -> Result<(), Failure> {
        let id = self.repositories.id(repo)?;
        let value = value(&name)?;
        let before = self.find(id, &name)?.map(|listed| ui::age(Some(&listed.since.to_string())));
        if !dry_run {
            self.vault.set(id, name.clone(), &value, Timestamp::now())?;
        }
        if json {
            let (repo, name, replaces) = (repo.to_string(), name.to_string(), before.is_some());
            return ui::json(&json!({"repository": repo, "secret": name, "set": !dry_run, "replaces": replaces}));
        }
        let before = before.map(|age| format!(", in place of the one set {age}")).unwrap_or_default();
        if dry_run {
            ui::line(format!("{repo} gets the secret {name}{before}"));
        } else {
            ui::note(format!("{repo} has the secret {name}{before}; it is there for the next deployment"));
        }
        Ok(())
    }

    fn show(&self, repo: Option<&RepoName>, json: bool) -> Result<(), Failure> {
        let only = repo.map(|repo| self.repositories.id(repo)).transpose()?;
        let listed = self.vault.list()?.into_iter().filter(|secret| only.is_none_or(|only| only == secret.repo));
        if json {
            let told = |secret: Listed| {
                let (repository, name) = (self.repositories.name(secret.repo), secret.name.to_string());
                json!({"repository": repository, "secret": name, "set": secret.since})
            };
            return ui::json(&listed.map(told).collect::<Vec<_>>());
        }
        let row = |secret: Listed| {
            let age = ui::age(Some(&secret.since.to_string()));
            vec![self.repositories.name(secret.repo), secret.name.to_string(), age]
        };
        let rows: Vec<_> = listed.map(row).collect();
        if rows.is_empty() {
            ui::note("no secrets");
        } else {
            ui::table(&["REPOSITORY", "SECRET", "SET"], &rows);
        }
        Ok(())
    }

    fn remove(&self, repo: &RepoName, name: &SecretName, flags: &Flags) -> Result<(), Failure> {
        let id = self.repositories.id(repo)?;
        if self.find(id, name)?.is_none() {
            let failure = Failure::new(format!("{repo} has no secret {name}"));
            return Err(failure.hint("`preview secret list` shows all"));
        }
        if !flags.may_lose(&[format!("the secret {name} of {repo}")], |asking| asking.may("Remove it?"))? {
            return Ok(());
        }
        self.vault.remove(id, name)?;
        if flags.json {
            return ui::json(&json!({"repository": repo.to_string(), "secret": name.to_string(), "set": false}));
        }
        ui::note(format!("the secret {name} of {repo} is gone; what runs keeps it until it is deployed again"));
        Ok(())
    }

    fn find(&self, repo: RepoId, name: &SecretName) -> Result<Option<Listed>, Failure> {
        Ok(self.vault.list()?.into_iter().find(|secret| secret.repo == repo && secret.name == *name))
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
