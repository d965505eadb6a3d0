//! `preview destroy`

use std::path::PathBuf;

use clap::Args;
use jiff::Timestamp;
use preview_core::ids::RepoName;
use preview_exec::Limits;
use serde_json::json;

use crate::error::{Failure, Kind};
use crate::flags::Flags;
use crate::installation::secrets::{Given, SecretName, Secrets};
use crate::installation::{Config, DigitalOcean, Home, Server, State};
use crate::provision::ansible;
use crate::provision::digitalocean::Client;
use crate::provision::made::Made;
use crate::provision::ready::{github_api, hook_page, wants_webhooks, webhook_url};
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
    #[arg(long, conflicts_with = "forget_host")]
    keep_data: bool,
    /// Go on where GitHub refuses to have a webhook removed; where those are is told
    #[arg(long)]
    leave_webhooks: bool,
    /// The machine of yours is gone for good: nothing is taken off it
    #[arg(long)]
    forget_host: bool,
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
# Lists by the first, and removes what is there by the second.
each() {
    found=$($1 --filter $label) || return 1
    [ -z \"$found\" ] || $2 $found >/dev/null
}
# Without Docker's answer nobody knows what stays; an image that something else stands on may stay.
if command -v docker >/dev/null; then
    each 'docker ps -aq' 'docker rm -fv' && each 'docker network ls -q' 'docker network rm' &&
        each 'docker volume ls -q' 'docker volume rm -f' || exit 1
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
        if self.forget_host && !matches!(config.server, Server::Host(_)) {
            let failure = Failure::new("--forget-host is about a machine of yours, and config.yml names none");
            return Err(failure.kind(Kind::Settings).hint("without it, the server at DigitalOcean is taken down"));
        }
        let going = going(&config, &home)?;
        let name = config.project_name.as_str();
        let question = format!("Write its name, {name}, to take it down:");
        if !self.flags.may_lose(&going, |asking| asking.writes(&question, name))? {
            return Ok(());
        }
        let _alone = home.alone()?;
        let steps = Steps::begin("`preview destroy` goes on where it stopped")?;
        let saved = match self.keep_data {
            true => Some(steps.step("ledger and secrets are saved here", save(&config, &home)).await?),
            false => None,
        };
        let removed = steps.step("the webhooks are gone", remove_webhooks(&config, &home, &secrets)).await;
        self.may_stay(removed, self.leave_webhooks, "Leave that webhook, and go on?", &steps).await?;
        self.take_down(&config, &home, &secrets, &steps).await?;
        forget(&home, &secrets).await?;
        if self.flags.json {
            return ui::json(&json!({"gone": going, "saved": saved}));
        }
        saved.iter().for_each(|file| ui::line(format!("saved: {}", file.display())));
        ui::line(format!("{name} is gone"));
        Ok(())
    }

    /// Goes on without what could not be done, where the flag or the person says so.
    async fn may_stay(
        &self,
        done: Result<(), Failure>,
        is_said: bool,
        question: &'static str,
        steps: &Steps,
    ) -> Result<(), Failure> {
        let Err(failure) = done else { return Ok(()) };
        if failure.kind == Kind::Interrupted || !is_said && !steps.can_ask(self.flags.asking) {
            return Err(failure);
        }
        [&failure.what].into_iter().chain(&failure.causes).chain(&failure.hints).for_each(ui::note);
        if is_said || steps.asks(self.flags.asking, question).await? { Ok(()) } else { Err(failure) }
    }

    /// What Terraform knows first, whatever config.yml says by now: it costs.
    async fn take_down(&self, config: &Config, home: &Home, secrets: &Secrets, steps: &Steps) -> Result<(), Failure> {
        let host = match &config.server {
            Server::DigitalOcean(droplet) => return unmake((config, droplet), home, secrets, steps).await,
            Server::Host(host) => host,
        };
        if Terraform::is_begun(home) {
            let (config, droplet) = when_made(config, home)?;
            unmake((&config, &droplet), home, secrets, steps).await?;
        }
        if self.forget_host {
            ui::note(format!("{host} is forgotten: nothing was taken off it"));
            return Ok(());
        }
        let ssh = Ssh::new(config, home, host.clone());
        match steps.step("the machine lets us in", reach(&ssh)).await {
            Ok(()) => steps.step("the service and its previews are gone", clear(&ssh)).await,
            out => self.may_stay(out, false, "Is that machine gone for good, and to be forgotten?", steps).await,
        }
    }
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
        Err(failure) => return Err(left(config, &state, failure)),
    };
    let client = webhooks::Client::new(github_api(&config.settings)?, &token)?;
    let mut refusal = None;
    for repo in config.repositories.iter().chain(&state.webhooks.keys().cloned().collect::<Vec<_>>()) {
        match silence(&client, repo, state.webhooks.get(repo).copied(), url.as_deref()).await {
            Ok(()) => drop(state.webhooks.remove(repo)),
            Err(failure) => refusal = refusal.or(Some(failure)),
        }
        state.store(home)?;
    }
    refusal.map_or(Ok(()), |failure| Err(left(config, &state, failure)))
}

/// Why webhooks are left, with the addresses where a person removes them.
fn left(config: &Config, state: &State, failure: Failure) -> Failure {
    let hooks = state.webhooks.iter().map(|(repo, id)| hook_page(config, repo, *id));
    let failure = hooks.fold(failure, |failure, hook| failure.hint(format!("or remove it by hand: {hook}")));
    failure.hint("`preview destroy --leave-webhooks` leaves what GitHub does not remove, and goes on")
}

/// Removes the webhooks of one repository that are ours, whatever it is called now; where it is gone, so are they.
async fn silence(
    client: &webhooks::Client,
    repo: &RepoName,
    known: Option<u64>,
    url: Option<&str>,
) -> Result<(), Failure> {
    if known.is_none() && url.is_none() {
        return Ok(());
    }
    let Some(repo) = client.called_now(repo).await? else { return Ok(()) };
    let mut ids: Vec<u64> = known.into_iter().collect();
    if let Some(url) = url {
        ids.extend(client.leading_to(&repo, url).await?);
    }
    for id in ids {
        client.remove(&repo, id).await?;
    }
    Ok(())
}

/// What will go, line by line.
fn going(config: &Config, home: &Home) -> Result<Vec<String>, Failure> {
    let state = State::load(home)?;
    let is_announced = |repo: &&RepoName| wants_webhooks(config) || state.webhooks.contains_key(repo);
    let announced = config.repositories.iter().filter(is_announced);
    let mut lines: Vec<String> = announced.map(|repo| format!("the webhook of {repo}")).collect();
    let address = state.address.map(|address| format!(" ({})", address.host())).unwrap_or_default();
    if matches!(config.server, Server::Host(_)) && Terraform::is_begun(home) {
        lines.push(format!("the server{address} that was made at DigitalOcean, with all that is on it"));
    }
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

/// Waits until a machine lets us in, which may be gone.
async fn reach(ssh: &Ssh) -> Result<(), Failure> {
    let hint = "if that machine is gone for good, `preview destroy --forget-host` takes down the rest, and forgets it";
    ssh.wait().await.map_err(|failure| failure.hint(hint))
}

/// Takes the service off a machine.
async fn clear(ssh: &Ssh) -> Result<(), Failure> {
    let cleared = ssh.root(CLEAR, Limits::seconds(600)).await;
    cleared.map(drop).map_err(|error| {
        let mut failure = Failure::new(format!("the previews on {} could not all be removed", ssh.to()));
        failure.causes = error.stderr().lines().map(ui::harmless).filter(|line| !line.trim().is_empty()).collect();
        if failure.causes.is_empty() {
            failure.causes.push(ui::harmless(&error.to_string()));
        }
        failure.hint("does Docker run there? Once it does, `preview destroy` goes on")
    })
}

/// The configuration of the server that Terraform knows, where config.yml names a machine since. What it was like does not matter to
/// what takes it down, which wants to be told all the same.
fn when_made(config: &Config, home: &Home) -> Result<(Config, DigitalOcean), Failure> {
    let ssh_key = if home.key().exists() { home.key() } else { config.ssh_key.clone() };
    let (region, size) = ("fra1".parse()?, "s-1vcpu-2gb".parse()?);
    let droplet = DigitalOcean { region, size, ssh_from: vec!["0.0.0.0/0".parse()?], dns_zone: None };
    let config = Config { server: Server::DigitalOcean(droplet.clone()), ssh_key, domain: None, ..config.clone() };
    Ok((config, droplet))
}

/// Has Terraform take down what was made.
async fn unmake(
    (config, droplet): (&Config, &DigitalOcean),
    home: &Home,
    secrets: &Secrets,
    steps: &Steps,
) -> Result<(), Failure> {
    let token = match secrets.get(SecretName::DigitalOcean).await? {
        Some(token) => token,
        None if !Terraform::is_begun(home) => {
            nothing_made();
            return Ok(());
        }
        None => secrets.required(SecretName::DigitalOcean).await?,
    };
    let account = Client::new(&token)?;
    if !Terraform::is_begun(home) {
        let key = public_key(&config.ssh_key)?;
        let made = ui::waiting("asking DigitalOcean", Made::find(&account, &config.project_name, &key)).await?;
        if made.is_anothers(&[]) {
            ui::note(format!("another installation is called {} at DigitalOcean: it stays", config.project_name));
        }
        if made.is_anothers(&[]) || made.found.is_empty() {
            nothing_made();
            return Ok(());
        }
    }
    let terraform = Terraform::new(home, config, droplet, token)?;
    let name = "the server is gone";
    let tell = |line: &str| steps.at(name, line);
    steps.whole(name, terraform.destroy(&account, tell)).await
}

fn nothing_made() {
    ui::note("nothing was made at DigitalOcean from here: there is no server to take down");
}

/// Forgets here what was there.
async fn forget(home: &Home, secrets: &Secrets) -> Result<(), Failure> {
    for name in SecretName::ALL {
        secrets.forget(name).await?;
    }
    ansible::sweep(home.folder())?;
    gone(Terraform::forget(home))?;
    gone(std::fs::remove_dir_all(home.ansible()))?;
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
