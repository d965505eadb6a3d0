//! `preview setup`

use clap::Args;
use preview_core::ids::RepoName;
use serde::Serialize;
use serde_json::json;

use crate::error::{Failure, Kind};
use crate::flags::{Flags, ServerFlags};
use crate::installation::secrets::SecretName;
use crate::installation::{Destination, Home, Server, State};
use crate::provision::digitalocean::{self, SizeFound};
use crate::provision::made::Made;
use crate::provision::ready::{
    Ready, base_url, gets_certificates, github_api, hook_page, needs, wants_webhooks, webhook_url, wrong_records,
};
use crate::provision::ssh::Ssh;
use crate::provision::steps::Steps;
use crate::provision::terraform::{Terraform, public_key};
use crate::provision::webhooks;
use crate::provision::{ansible, before, certificate, terraform};
use crate::ui;

/// Makes the server, sets it up, and has GitHub tell it of pull requests
#[derive(Debug, Args)]
#[command(
    after_help = "Shows the plan and what it costs, and asks, before anything is made. Run again, it goes on where it stopped, and \
                  makes nothing twice. Programs that it runs here: ssh, ansible-playbook, and terraform for a new server."
)]
pub(crate) struct Setup {
    #[command(flatten)]
    with: ServerFlags,
}

/// What is going to be.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Plan {
    server: String,
    /// US dollars; `None` for a machine that is there.
    monthly_price: Option<f64>,
    /// What comes of another region or size.
    consequences: Vec<String>,
    repositories: Vec<String>,
    program: String,
    steps: Vec<&'static str>,
}

impl Setup {
    pub(crate) async fn run(self) -> Result<(), Failure> {
        let ServerFlags { binary, certificate_wait, given, flags: Flags { dry_run, json, asking } } = self.with;
        let ready = Ready::gather(Home::find()?, &given, binary).await?;
        let account = ui::waiting("asking DigitalOcean", Account::of(&ready)).await?;
        needs("ssh", "install an SSH client (openssh-client)")?;
        needs("ansible-playbook", "apt-get install ansible-core, brew install ansible, or pipx install ansible-core")?;
        let hooks = ui::waiting("asking GitHub", hooks(&ready)).await?;
        let plan = plan(&ready, account.as_ref());
        if dry_run {
            if json {
                return ui::json(&plan);
            }
            plan.lines().for_each(ui::line);
            return Ok(());
        }
        plan.lines().for_each(ui::note);
        if !asking.may("Do it?")? {
            return Err(Failure::new("nothing was changed"));
        }
        let _alone = ready.home.alone()?;
        let steps = Steps::begin("`preview setup` goes on where it stopped")?;
        let to = server(&ready, account.as_ref(), &steps).await?;
        let ssh = Ssh::new(&ready.config, &ready.home, to);
        steps.step("the server lets us in", ssh.wait()).await?;
        let url = base_url(&ready.config, &ready.home)?;
        let wanted = ready.wanted(url.clone(), ready.config.reserved_address(&ready.home)?);
        let name = "Docker, nginx and the service are on the server";
        let tell = |task: &str| steps.at(name, task);
        let changed = steps.step(name, ansible::apply(&ready.home, ssh.to(), &wanted, tell)).await?;
        before::forget(&ssh).await?;
        if gets_certificates(&ready.config) {
            let told = certificate::step(&ssh, (&ready.config, &ready.home), &steps, certificate_wait).await;
            told.map_err(|failure| failure.unless_stopped("what is done stays: `preview setup` goes on from there"))?;
        }
        if let Some(hooks) = &hooks {
            announce(&ready, hooks, &steps).await?;
        }
        let state = State { is_set_up: true, ..State::load(&ready.home)? };
        state.store(&ready.home)?;
        let server = ssh.to().to_string();
        if json {
            let repositories: Vec<String> = ready.config.repositories.iter().map(ToString::to_string).collect();
            let told = json!({"server": server, "url": url, "repositories": repositories, "changed": changed});
            return ui::json(&told);
        }
        tell_done(&server, &url, changed);
        Ok(())
    }
}

fn tell_done(server: &str, url: &str, changed: Option<u32>) {
    ui::line(format!("{server} serves previews at {url}"));
    if changed == Some(0) {
        ui::note("nothing on it had to be changed");
    }
    ui::note("open a pull request, or push to one: its preview is told in a comment");
    if url.starts_with("http:") {
        ui::note(
            "there is no certificate: whoever is in between can read previews; deliveries are signed all the same",
        );
    }
}

/// The account that a new server belongs to.
pub(crate) struct Account {
    client: digitalocean::Client,
    offer: SizeFound,
    /// What it means for the server that is there.
    consequences: Vec<String>,
    terraform: Terraform,
}

impl Account {
    /// Checks token, region, size, zone, name and key; `None` where the server is there already.
    async fn of(ready: &Ready) -> Result<Option<Self>, Failure> {
        let Server::DigitalOcean(droplet) = &ready.config.server else { return Ok(None) };
        needs("terraform", "https://developer.hashicorp.com/terraform/install")?;
        let token = ready.secrets.required(SecretName::DigitalOcean).await?;
        let client = digitalocean::Client::new(&token)?;
        client.account().await?;
        let offer = client.offer(droplet).await?;
        if let Some(zone) = &droplet.dns_zone {
            client.has_zone(zone).await?;
        }
        let (name, key) = (&ready.config.project_name, public_key(&ready.config.ssh_key)?);
        client.takes_key(name, &key).await?;
        let made = Made::find(&client, name, &key).await?;
        // Of what Terraform has begun here it says itself what it knows.
        if !Terraform::is_begun(&ready.home) {
            made.is_free(name, &[])?;
        }
        let consequences = made.consequences(droplet);
        let terraform = Terraform::new(&ready.home, &ready.config, droplet, token)?;
        Ok(Some(Self { client, offer, consequences, terraform }))
    }
}

/// A connection that may manage the webhooks, if there are to be any.
async fn hooks(ready: &Ready) -> Result<Option<webhooks::Client>, Failure> {
    if !wants_webhooks(&ready.config) {
        return Ok(None);
    }
    let client = webhooks::Client::new(github_api(&ready.config.settings)?, &ready.secrets.for_hooks().await?)?;
    for repo in &ready.config.repositories {
        client.may_manage(repo).await?;
        client.is_open(repo).await?;
    }
    Ok(Some(client))
}

fn plan(ready: &Ready, account: Option<&Account>) -> Plan {
    let config = &ready.config;
    let (server, price) = match (&config.server, account) {
        (Server::DigitalOcean(droplet), Some(account)) => {
            let server = format!("{} at DigitalOcean in {}", account.offer, droplet.region);
            (server, Some(account.offer.price_monthly))
        }
        (Server::DigitalOcean(droplet), None) => (format!("{} at DigitalOcean", droplet.size), None),
        (Server::Host(destination), _) => (format!("{destination}, which is there"), None),
    };
    let mut steps = Vec::new();
    if account.is_some() {
        steps.push("Terraform makes the server, an address that stays, and a firewall that lets in 22, 80 and 443");
    }
    steps.push("Ansible sets it up over SSH: Docker, nginx, the service, security updates, a firewall");
    if gets_certificates(config) {
        steps.push("a certificate authority gives the server its first certificate, which is waited for");
    }
    if wants_webhooks(config) {
        steps.push("GitHub gets a webhook for each repository, and a test delivery has to be answered");
    }
    Plan {
        server,
        monthly_price: price,
        consequences: account.map(|account| account.consequences.clone()).unwrap_or_default(),
        repositories: config.repositories.iter().map(ToString::to_string).collect(),
        program: format!("preview {}, {}", env!("CARGO_PKG_VERSION"), ready.binary().display()),
        steps,
    }
}

impl Plan {
    fn lines(&self) -> impl Iterator<Item = String> {
        let price = self.monthly_price.map(|price| format!("Costs         ${price} a month"));
        let steps = self.steps.iter().enumerate().map(|(number, step)| format!("  {}. {step}", number + 1));
        [format!("Server        {}", self.server)]
            .into_iter()
            .chain(price)
            .chain([
                format!("Repositories  {}", self.repositories.join(", ")),
                format!("Program       {}", self.program),
            ])
            .chain(steps)
            .chain(self.consequences.iter().cloned())
    }
}

/// The server, made if it has to be; where it is, is written down at once.
async fn server(ready: &Ready, account: Option<&Account>, steps: &Steps) -> Result<Destination, Failure> {
    let Some(account) = account else { return ready.config.address(&ready.home) };
    let name = "the server is there";
    let tell = |line: &str| steps.at(name, line);
    let make = async {
        let terraform::Server { server, reserved } = account.terraform.apply(&account.client, tell).await?;
        let address = Destination::of("root", server)?;
        let state = State::load(&ready.home)?;
        let state = State { address: Some(address.clone()), public_address: Some(reserved), ..state };
        state.store(&ready.home)?;
        Ok(address)
    };
    steps.whole(name, make).await
}

/// One webhook for each repository, each proved by a delivery; of those that are no longer listed, what GitHub does not let us remove
/// stays, and is in nobody's way. Its number is written down as soon as it is known.
async fn announce(ready: &Ready, client: &webhooks::Client, steps: &Steps) -> Result<(), Failure> {
    let url = webhook_url(&ready.config, &ready.home)?;
    rename(ready, client).await?;
    for repo in &ready.config.repositories {
        let id = steps.step(&format!("GitHub tells it of {repo}"), webhook(ready, client, repo, &url)).await?;
        steps.step(&format!("a test delivery of {repo} was answered"), delivered(ready, client, repo, id)).await?;
    }
    for (repo, id) in State::load(&ready.home)?.webhooks {
        if !ready.config.repositories.contains(&repo) {
            let name = format!("GitHub tells it no more of {repo}");
            match steps.step(&name, silence(ready, client, &repo, id)).await {
                Err(failure) if failure.kind == Kind::Refused => tell_left(ready, (&repo, id), &failure),
                done => done?,
            }
        }
    }
    Ok(())
}

/// Writes repositories that are no longer listed down by the names that they have now: one that was renamed keeps its webhook, and
/// one that is gone has none.
async fn rename(ready: &Ready, client: &webhooks::Client) -> Result<(), Failure> {
    let mut state = State::load(&ready.home)?;
    let known = state.webhooks.clone();
    for (repo, id) in known.into_iter().filter(|(repo, _)| !ready.config.repositories.contains(repo)) {
        let now = client.called_now(&repo).await?;
        if now.as_ref() != Some(&repo) {
            state.webhooks.remove(&repo);
            if let Some(now) = now {
                state.webhooks.entry(now).or_insert(id);
            }
            state.store(&ready.home)?;
        }
    }
    Ok(())
}

/// Whether a test delivery is answered; where it is not, the server's name may lead elsewhere.
async fn delivered(ready: &Ready, client: &webhooks::Client, repo: &RepoName, id: u64) -> Result<(), Failure> {
    let Err(mut failure) = client.test(repo, id).await else { return Ok(()) };
    failure.hints.extend(wrong_records(&ready.config, &ready.home).await);
    Err(failure)
}

/// Removes the webhook of a repository that is no longer listed.
async fn silence(ready: &Ready, client: &webhooks::Client, repo: &RepoName, id: u64) -> Result<(), Failure> {
    client.remove(repo, id).await?;
    let mut state = State::load(&ready.home)?;
    state.webhooks.remove(repo);
    state.store(&ready.home)
}

/// Tells of a webhook that stays.
fn tell_left(ready: &Ready, (repo, id): (&RepoName, u64), refusal: &Failure) {
    ui::warning(format!("the webhook of {repo} stays, which config.yml does not list any more"));
    refusal.causes.iter().for_each(|cause| ui::note(format!("  - {cause}")));
    ui::hint("an archived repository sends nothing, and the server takes nothing of one that is not listed");
    ui::hint(format!("`preview setup` tries it again; or remove it by hand: {}", hook_page(&ready.config, repo, id)));
}

async fn webhook(ready: &Ready, client: &webhooks::Client, repo: &RepoName, url: &str) -> Result<u64, Failure> {
    let mut state = State::load(&ready.home)?;
    let known = state.webhooks.get(repo).copied();
    let (id, _) = client.ensure(repo, known, url, ready.webhook_secret()).await?;
    state.webhooks.insert(repo.clone(), id);
    state.store(&ready.home)?;
    Ok(id)
}
