//! `preview destroy`

use std::path::PathBuf;

use clap::Args;
use jiff::Timestamp;
use preview_core::ids::RepoName;
use preview_exec::Limits;
use serde_json::json;

use crate::error::Failure;
use crate::flags::Flags;
use crate::installation::secrets::{Given, SecretName, Secrets};
use crate::installation::{Config, Home, Server, State};
use crate::provision::digitalocean::Client;
use crate::provision::ready::{github_api, wants_webhooks, webhook_url};
use crate::provision::ssh::Ssh;
use crate::provision::steps::Steps;
use crate::provision::terraform::{Terraform, public_key};
use crate::provision::webhooks;
use crate::ui;

/// Takes everything down again: webhooks first, then the server
#[derive(Debug, Args)]
#[command(
    after_help = "A machine that was there before stays, without the service and its previews. config.yml stays too: `preview setup` \
                  makes it all again. Run again, it goes on where it stopped."
)]
pub(crate) struct Destroy {
    /// Save the service's ledger and the repositories' secrets here first
    #[arg(long)]
    keep_data: bool,
    #[command(flatten)]
    given: Given,
    #[command(flatten)]
    flags: Flags,
}

/// What may be worth keeping, packed.
const PACK: &str = "set -eu
cd /opt/preview-deployer
set -- deployments.json
for file in secrets.json secrets.key; do if [ -e $file ]; then set -- \"$@\" $file; fi; done
exec tar -czf - \"$@\"
";
/// Most that is saved: a ledger is far below.
const LARGEST: usize = 256 << 20;

/// Takes the service off a machine, its previews first. What the machine had of its own stays, Docker and nginx among it.
const CLEAR: &str = "set -u
systemctl disable --now preview-orchestrator.service preview-api.socket preview-helper.socket preview-firewall.service \\
    preview-host-firewall.service 2>/dev/null
# As root, and with the settings, which say what its rules are about.
systemd-run --quiet --wait --collect --property=EnvironmentFile=/etc/preview-deployer/environment \\
    /usr/local/bin/preview firewall remove 2>/dev/null
label=label=preview-deployer.deployment
if command -v docker >/dev/null; then
    docker ps -aq --filter $label | xargs -r docker rm -fv >/dev/null
    docker network ls -q --filter $label | xargs -r docker network rm >/dev/null
    docker volume ls -q --filter $label | xargs -r docker volume rm -f >/dev/null
    docker images -q --filter $label | sort -u | xargs -r docker rmi -f >/dev/null
fi
rm -rf /etc/systemd/system/preview-*.service /etc/systemd/system/preview-*.socket /etc/preview-deployer \\
    /etc/nginx/preview-configs /etc/nginx/sites-enabled/preview-deployer /etc/nginx/sites-available/preview-deployer \\
    /etc/systemd/system/nginx.service.d/preview-deployer.conf /opt/preview-deployer /opt/preview-deployments /var/lib/preview-deployer \\
    /run/preview-deployer /usr/local/bin/preview
userdel preview 2>/dev/null
systemctl daemon-reload
if command -v nginx >/dev/null && nginx -t 2>/dev/null; then systemctl reload nginx; fi
exit 0
";

impl Destroy {
    pub(crate) async fn run(self) -> Result<(), Failure> {
        let home = Home::find()?;
        let config = Config::required(&home)?;
        let secrets = Secrets::open(&home, &self.given).await?;
        let going = going(&config, &home)?;
        let name = config.project_name.as_str();
        let question = format!("Write its name, {name}, to take it down:");
        if !self.flags.may_lose(&going, |asking| asking.writes(&question, name))? {
            return Ok(());
        }
        let steps = Steps::begin("`preview destroy` goes on where it stopped")?;
        let saved = match self.keep_data {
            true => Some(steps.step("ledger and secrets are saved here", save(&config, &home)).await?),
            false => None,
        };
        steps.step("the webhooks are gone", remove_webhooks(&config, &home, &secrets)).await?;
        take_down(&config, &home, &secrets, &steps).await?;
        forget(&home, &secrets).await?;
        if self.flags.json {
            return ui::json(&json!({"gone": going, "saved": saved}));
        }
        saved.iter().for_each(|file| ui::line(format!("saved: {}", file.display())));
        ui::line(format!("{name} is gone"));
        Ok(())
    }
}

/// What will go, line by line.
fn going(config: &Config, home: &Home) -> Result<Vec<String>, Failure> {
    let state = State::load(home)?;
    let is_announced = |repo: &&RepoName| wants_webhooks(config) || state.webhooks.contains_key(repo);
    let announced = config.repositories.iter().filter(is_announced);
    let mut lines: Vec<String> = announced.map(|repo| format!("the webhook of {repo}")).collect();
    let address = state.address.map(|address| format!(" ({})", address.host())).unwrap_or_default();
    lines.push(match &config.server {
        Server::Host(host) => format!("the service on {host}, with all previews and their databases; the machine stays"),
        Server::DigitalOcean(droplet) => format!(
            "the server {}{address} at DigitalOcean in {}, with all previews and their databases, its address and its firewall",
            config.project_name, droplet.region
        ),
    });
    lines.push("the tokens and secrets that are kept on this machine".to_owned());
    Ok(lines)
}

async fn save(config: &Config, home: &Home) -> Result<PathBuf, Failure> {
    let ssh = Ssh::new(config, home, config.address(home)?);
    ssh.wait().await?;
    let packed = ssh.root(PACK, Limits::seconds(600).keeping(LARGEST)).await.map_err(|error| {
        Failure::new("the service's data could not be read from the server")
            .because(&error)
            .hint("without --keep-data it goes with the server")
    })?;
    // What gzip makes begins so (RFC 1952).
    if packed.stdout_cut || !packed.stdout.starts_with(&[0x1f, 0x8b]) {
        return Err(Failure::new("the service's data came incomplete from the server"));
    }
    let file = home.folder().join(format!("kept-{}.tar.gz", Timestamp::now().strftime("%Y%m%d-%H%M%S")));
    home.write(&file, &packed.stdout)?;
    Ok(file)
}

/// Removes those that we know, and any other that leads to the server.
async fn remove_webhooks(config: &Config, home: &Home, secrets: &Secrets) -> Result<(), Failure> {
    let mut state = State::load(home)?;
    // Nothing leads to a server that never was.
    let url = webhook_url(config, home).ok();
    let token = match secrets.for_hooks().await {
        Ok(token) => token,
        // All was taken down before, and the token forgotten.
        Err(_) if state.webhooks.is_empty() => return Ok(()),
        Err(failure) => return Err(failure),
    };
    let client = webhooks::Client::new(github_api(&config.settings)?, &token)?;
    for repo in config.repositories.iter().chain(&state.webhooks.keys().cloned().collect::<Vec<_>>()) {
        let mut ids: Vec<u64> = state.webhooks.get(repo).copied().into_iter().collect();
        if let Some(url) = &url {
            ids.extend(client.leading_to(repo, url).await?);
        }
        for id in ids {
            client.remove(repo, id).await?;
        }
        state.webhooks.remove(repo);
        state.store(home)?;
    }
    Ok(())
}

async fn take_down(config: &Config, home: &Home, secrets: &Secrets, steps: &Steps) -> Result<(), Failure> {
    match &config.server {
        Server::Host(host) => {
            let ssh = Ssh::new(config, home, host.clone());
            let clear = async {
                ssh.wait().await?;
                ssh.root(CLEAR, Limits::seconds(600)).await?;
                Ok(())
            };
            steps.step("the service and its previews are gone", clear).await
        }
        Server::DigitalOcean(droplet) => {
            let token = match secrets.get(SecretName::DigitalOcean).await? {
                Some(token) => token,
                None if !Terraform::is_begun(home) => {
                    nothing_made();
                    return Ok(());
                }
                None => secrets.required(SecretName::DigitalOcean).await?,
            };
            let account = Client::new(&token)?;
            let key = public_key(&config.ssh_key)?;
            let made = ui::waiting("asking DigitalOcean", account.made_for(&config.project_name, &key)).await?;
            if made.is_empty() && !Terraform::is_begun(home) {
                nothing_made();
                return Ok(());
            }
            let terraform = Terraform::new(home, config, droplet, token)?;
            let name = "the server is gone";
            let tell = |line: &str| steps.at(name, line);
            steps.whole(name, terraform.destroy(&account, tell)).await
        }
    }
}

fn nothing_made() {
    ui::note("nothing was made at DigitalOcean from here: there is no server to take down");
}

/// Forgets here what was there.
async fn forget(home: &Home, secrets: &Secrets) -> Result<(), Failure> {
    for name in SecretName::ALL {
        secrets.forget(name).await?;
    }
    for folder in [home.terraform(), home.ansible()] {
        gone(std::fs::remove_dir_all(folder))?;
    }
    for file in [home.state(), home.known_hosts()] {
        gone(std::fs::remove_file(file))?;
    }
    Ok(())
}

fn gone(removed: std::io::Result<()>) -> Result<(), Failure> {
    match removed {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => Err(error.into()),
        _ => Ok(()),
    }
}
