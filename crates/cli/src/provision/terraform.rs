//! Terraform, which makes and unmakes a server. Its state stays in the installation's folder whatever fails, so that a second try
//! knows what the first one made. What it is told goes through `TF_VAR_*`, nothing of it through arguments.

use std::net::IpAddr;
use std::path::{Path, PathBuf};

use preview_exec::{ExecError, Limits, Program};
use secrecy::SecretString;
use serde::Deserialize;

use super::digitalocean::Client;
use super::embedded;
use super::made::{Found, Made};
use crate::error::Failure;
use crate::installation::{Config, DigitalOcean, Domain, Home, ProjectName, Range};
use crate::ui;

/// Making a droplet takes a minute or two; fetching the provider over a slow line too.
const LIMITS: Limits = Limits::seconds(1800).keeping(1 << 20);
/// What Terraform itself needs of the environment; the last is read by DigitalOcean's provider as by us.
const PASSED_ON: [&str; 9] = [
    "HOME",
    "HTTPS_PROXY",
    "HTTP_PROXY",
    "NO_PROXY",
    "SSL_CERT_FILE",
    "TF_CLI_CONFIG_FILE",
    "TF_PLUGIN_CACHE_DIR",
    "TMPDIR",
    "DIGITALOCEAN_API_URL",
];

/// What the variables begin with that a `backend.tf` of the person's is opened by.
///
/// Sources: <https://developer.hashicorp.com/terraform/language/backend/s3>, `…/backend/http`,
/// <https://developer.hashicorp.com/terraform/cli/config/config-file#environment-variable-credentials>
const OF_BACKENDS: [&str; 3] = ["AWS_", "TF_HTTP_", "TF_TOKEN_"];
/// The person's own file beside ours, which says where the state is kept.
const BACKEND: &str = "backend.tf";

/// Terraform with all that it is told.
pub(crate) struct Terraform {
    home: Home,
    variables: Vec<(&'static str, String)>,
    token: SecretString,
    project: ProjectName,
}

/// Where what was made is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Server {
    /// Where SSH goes.
    pub(crate) server: IpAddr,
    /// Where visitors and deliveries come.
    pub(crate) reserved: IpAddr,
}

impl Terraform {
    pub(crate) fn new(
        home: &Home,
        config: &Config,
        droplet: &DigitalOcean,
        token: SecretString,
    ) -> Result<Self, Failure> {
        let ranges: Vec<&str> = droplet.ssh_from.iter().map(Range::as_str).collect();
        let text = |domain: &Option<Domain>| domain.as_ref().map(ToString::to_string).unwrap_or_default();
        let variables = vec![
            ("ssh_public_key", public_key(&config.ssh_key)?),
            ("project_name", config.project_name.to_string()),
            ("region", droplet.region.to_string()),
            ("droplet_size", droplet.size.to_string()),
            ("ssh_from", serde_json::to_string(&ranges)?),
            ("domain", text(&config.domain)),
            ("dns_zone", text(&droplet.dns_zone)),
        ];
        Ok(Self { home: home.clone(), variables, token, project: config.project_name.clone() })
    }

    /// Lays its files out, and has it fetch the provider.
    async fn begin(&self, tell: impl Fn(&str) + Copy) -> Result<(), Failure> {
        embedded::lay_out(&self.home, "terraform/digitalocean", &self.home.terraform())?;
        self.run(&["init", "-input=false", "-no-color"], tell).await.map(drop)
    }

    /// Whether it was ever begun here.
    pub(crate) fn is_begun(home: &Home) -> bool {
        home.terraform().join("main.tf").exists()
    }

    /// Forgets what it left here, but for what the person wrote.
    pub(crate) fn forget(home: &Home) -> std::io::Result<()> {
        let folder = home.terraform();
        let backend = std::fs::read(folder.join(BACKEND)).ok();
        std::fs::remove_dir_all(&folder)?;
        let Some(backend) = backend else { return Ok(()) };
        std::fs::create_dir(&folder)?;
        std::fs::write(folder.join(BACKEND), backend)
    }

    /// Makes what is missing.
    pub(crate) async fn apply(&self, account: &Client, tell: impl Fn(&str) + Copy) -> Result<Server, Failure> {
        self.begin(tell).await?;
        let (made, known) = self.look(account).await?;
        made.is_free(&self.project, &known)?;
        self.take_over(&made, &known, tell).await?;
        self.run(&["apply", "-input=false", "-no-color", "-auto-approve"], tell).await?;
        self.server().await
    }

    /// Unmakes all of it, what its state has lost sight of too, and nothing of another installation's.
    pub(crate) async fn destroy(&self, account: &Client, tell: impl Fn(&str) + Copy) -> Result<(), Failure> {
        self.begin(tell).await?;
        let (made, known) = self.look(account).await?;
        if !made.is_anothers(&known) {
            self.take_over(&made, &known, tell).await?;
        }
        self.run(&["destroy", "-input=false", "-no-color", "-auto-approve"], tell).await.map(drop)
    }

    /// What there is under the project's name, and what the state here knows, by address.
    async fn look(&self, account: &Client) -> Result<(Made, Vec<String>), Failure> {
        let made = Made::find(account, &self.project, &self.variables[0].1).await?;
        // Where there is no state yet, listing it is an error.
        let known = self.run(&["state", "list", "-no-color"], |_| {}).await.unwrap_or_default();
        Ok((made, known.lines().map(|line| line.trim().to_owned()).collect()))
    }

    /// Takes over what an earlier try made and could not write down any more: it was killed in between.
    async fn take_over(&self, made: &Made, known: &[String], tell: impl Fn(&str) + Copy) -> Result<(), Failure> {
        let found = &made.found;
        for Found { address, id } in found.iter().filter(|found| !known.iter().any(|known| known == found.address)) {
            if found.iter().filter(|other| other.address == *address).count() > 1 {
                let what = format!("DigitalOcean has several things called {} that could be {address}", self.project);
                return Err(Failure::new(what).hint("remove those that are nobody's, or choose another project_name"));
            }
            self.run(&["import", "-input=false", "-no-color", address, id], tell).await?;
        }
        Ok(())
    }

    async fn server(&self) -> Result<Server, Failure> {
        #[derive(Deserialize)]
        struct Outputs {
            server_ip: Output,
            reserved_ip: Output,
        }
        #[derive(Deserialize)]
        struct Output {
            value: IpAddr,
        }
        let text = self.run(&["output", "-no-color", "-json"], |_| {}).await?;
        let outputs: Outputs = serde_json::from_str(&text)
            .map_err(|error| Failure::new("Terraform does not say where the server is").because(&error))?;
        Ok(Server { server: outputs.server_ip.value, reserved: outputs.reserved_ip.value })
    }

    async fn run(&self, args: &[&str], tell: impl Fn(&str)) -> Result<String, Failure> {
        let mut program = Program::new("terraform").args(args).dir(self.home.terraform()).limits(LIMITS);
        for name in PASSED_ON {
            program = program.inherit_env(name);
        }
        let texts =
            std::env::vars_os().filter_map(|(name, value)| Some((name.into_string().ok()?, value.into_string().ok()?)));
        for (name, value) in texts.filter(|(name, _)| OF_BACKENDS.iter().any(|of| name.starts_with(of))) {
            program = program.secret_env(name, value.into());
        }
        program = program.env("TF_IN_AUTOMATION", "1").env("CHECKPOINT_DISABLE", "1");
        for (name, value) in &self.variables {
            program = program.env(format!("TF_VAR_{name}"), value);
        }
        program = program.secret_env("TF_VAR_do_token", self.token.clone());
        let ran = program.run_with(|_, line| tell(line)).await;
        ran.map(|output| output.text()).map_err(|error| failed(args[0], &error, &self.home.terraform()))
    }
}

/// The public half of a key.
pub(crate) fn public_key(private: &Path) -> Result<String, Failure> {
    let mut path = private.as_os_str().to_owned();
    path.push(".pub");
    let path = PathBuf::from(path);
    let text = std::fs::read_to_string(&path).map_err(|error| {
        let hint = match private.exists() {
            true => format!("`ssh-keygen -y -f {} >{}` writes it", private.display(), path.display()),
            false => format!("`ssh-keygen -t ed25519 -f {}` makes a pair", private.display()),
        };
        Failure::new(format!("the public key {} could not be read", path.display())).because(&error).hint(hint)
    })?;
    Ok(text.trim().to_owned())
}

/// What Terraform says is wrong: in its frames, each begins with `Error:`.
fn failed(command: &str, error: &ExecError, folder: &Path) -> Failure {
    if matches!(error, ExecError::Missing { .. }) {
        let failure = Failure::new("Terraform is not installed here: it makes the server");
        return failure.hint(
            "https://developer.hashicorp.com/terraform/install, or use a machine of yours: `preview init --host`",
        );
    }
    let mut failure = Failure::new(format!("`terraform {command}` failed"));
    let lines = error.stderr().lines().map(|line| ui::harmless(line.trim_start_matches(['│', '╷', '╵', ' '])));
    failure.causes = lines.filter(|line| line.starts_with("Error:")).collect();
    if failure.causes.is_empty() {
        failure.causes.push(ui::harmless(&error.to_string()));
    }
    failure.hint(format!("what was made is known in {}: trying again goes on from there", folder.display()))
}
