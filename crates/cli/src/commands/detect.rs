//! `preview detect`

use clap::Args;
use preview_core::base_images::BaseImages;
use preview_core::compose::{example, given_names};
use preview_core::framework::{BuildRules, DetectError, Detected, Framework, detect};
use preview_core::repo_config::{ConfigError, RepoConfig};
use preview_core::secrets::{self, Secrets};
use preview_core::trust::Trust;
use serde_json::{Value, json};

use crate::error::Failure;
use crate::folder::Folder;
use crate::ui;

/// Shows how a repository would be built and run, and what tells it so
#[derive(Debug, Args)]
#[command(
    after_help = "Needs no server and no Docker. The exit code is 1 when the repository can't be deployed as it is.\n\
                  Ports, addresses, limits and the commit are examples; a database's password is random and not shown."
)]
pub(crate) struct Detect {
    #[command(flatten)]
    folder: Folder,
    /// Print the Dockerfile alone
    #[arg(long, conflicts_with_all = ["compose", "json"])]
    dockerfile: bool,
    /// Print the Compose file alone
    #[arg(long, conflicts_with = "json")]
    compose: bool,
    /// Look as at a fork's pull request, which may do less
    #[arg(long)]
    fork: bool,
    /// Print JSON
    #[arg(long)]
    json: bool,
}

/// All that is found out.
struct Found {
    detected: Detected,
    config: RepoConfig,
    compose: String,
}

impl Detect {
    pub(crate) fn run(self) -> Result<(), Failure> {
        let found = self.find()?;
        if self.json {
            return ui::json(&found.json());
        }
        if self.dockerfile {
            print(&found.detected.dockerfile);
        } else if self.compose {
            print(&found.compose);
        } else {
            found.tell();
        }
        Ok(())
    }

    fn find(&self) -> Result<Found, Failure> {
        let files = self.folder.open()?;
        let config = RepoConfig::load(&files).map_err(invalid)?;
        let trust = if self.fork { Trust::Stranger } else { Trust::Member };
        let rules = BuildRules { base_images: BaseImages::public(), trust };
        let detected = detect(&files, &config, &rules).map_err(not_detected)?;
        if self.fork {
            // A fork's code gets no secret; who may have them can't be told from here.
            let given = given_names().into_iter().map(|name| (name.to_owned(), String::new())).collect();
            secrets::filled(&config.env, trust, &Secrets::new(), &given)
                .map_err(|why| Failure::new(why.to_string()))?;
        }
        let compose = example(&detected, &config, &rules);
        Ok(Found { detected, config, compose })
    }
}

impl Found {
    fn database(&self) -> Option<&'static str> {
        self.detected.database.database.map(|database| database.as_str())
    }

    fn services(&self) -> Vec<&'static str> {
        self.detected.extras.services.iter().map(|service| service.as_str()).collect()
    }

    /// What migrates the database, and why.
    fn migration(&self) -> (String, &str) {
        match &self.detected.migration {
            Some(found) => (found.command.shown(), &found.reason),
            None => ("none".to_owned(), "unless `preview-config.yml` says `migrate`"),
        }
    }

    fn port_variable(&self) -> &str {
        self.config.app_port_env.as_ref().map_or("PORT", |name| name.as_str())
    }

    fn health_path(&self) -> String {
        self.config.health_check_path.clone().unwrap_or_default().as_str().to_owned()
    }

    fn port_reason(&self) -> String {
        if self.config.app_port.is_some() {
            return "`preview-config.yml` says `app_port`".to_owned();
        }
        match self.detected.framework {
            Framework::Docker => "`EXPOSE` in the Dockerfile, or 8080 without it".to_owned(),
            Framework::Compose => {
                "the service's port in `docker-compose.preview.yml`, else `EXPOSE` or 8080".to_owned()
            }
            framework => format!("what a {framework} app gets unless `preview-config.yml` says `app_port`"),
        }
    }

    fn health_reason(&self) -> &'static str {
        match self.config.health_check_path {
            Some(_) => "`preview-config.yml` says `health_check_path`",
            None => "unless `preview-config.yml` says `health_check_path`",
        }
    }

    fn json(&self) -> Value {
        let Detected { framework, reason, app_port, database, extras, migration, dockerfile, .. } = &self.detected;
        json!({
            "framework": {"name": framework.as_str(), "reason": reason},
            "port": {"number": app_port.get(), "variable": self.port_variable(), "reason": self.port_reason()},
            "database": {"name": self.database(), "reason": database.reason},
            "services": {"names": self.services(), "reason": extras.reason},
            "migration": migration.as_ref().map(|found| json!({"command": found.command.shown(), "reason": found.reason})),
            "health": {"path": self.health_path(), "reason": self.health_reason()},
            "dockerfile": dockerfile,
            "compose": self.compose,
        })
    }

    fn tell(&self) {
        let Detected { framework, reason, app_port, database, extras, dockerfile, .. } = &self.detected;
        let row = |what: &str, is: String, why: &str| vec![what.to_owned(), ui::harmless(&is), ui::harmless(why)];
        let mut rows = vec![
            row("framework", framework.to_string(), reason),
            row("port", format!("{app_port}, in `{}`", self.port_variable()), &self.port_reason()),
            row("database", self.database().unwrap_or("none").to_owned(), &database.reason),
        ];
        let services = self.services();
        if !services.is_empty() {
            rows.push(row("services", services.join(", "), &extras.reason));
        }
        if self.database().is_some() {
            let (command, why) = self.migration();
            rows.push(row("migration", command, why));
        }
        rows.push(row("health", self.health_path(), self.health_reason()));
        ui::table(&["WHAT", "FOUND", "BECAUSE"], &rows);
        for (title, text) in [("Dockerfile", dockerfile), ("Compose file", &self.compose)] {
            ui::line(format!("\n{}", ui::styled(ui::Style::Bold, title)));
            print(text);
        }
    }
}

/// A file, line by line, so that nothing in it is obeyed by a terminal.
fn print(text: &str) {
    text.lines().for_each(|line| ui::line(ui::harmless(line)));
}

fn invalid(error: ConfigError) -> Failure {
    match error {
        ConfigError::File(error) => Failure::new(error.to_string()),
        ConfigError::Invalid(mistakes) => Failure {
            causes: mistakes.iter().map(ToString::to_string).collect(),
            ..Failure::new("`preview-config.yml` is not valid")
        },
    }
}

fn not_detected(error: DetectError) -> Failure {
    let examples = error.examples().iter().map(|(name, text)| {
        let lines: String = text.lines().map(|line| format!("\n    {line}")).collect();
        format!("such a `{name}`:{lines}")
    });
    let failure = Failure { causes: error.details(), ..Failure::new(error.to_string()) };
    let advice = error.advice().filter(|_| error.examples().is_empty());
    advice.map(str::to_owned).into_iter().chain(examples).fold(failure, Failure::hint)
}
