//! `preview init`

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use clap::Args;
use preview_core::ids::RepoName;
use preview_core::repo_config::Mistake;
use preview_exec::Program;
use secrecy::{ExposeSecret, SecretString};
use serde_json::json;

use crate::error::{Failure, Kind};
use crate::flags::Flags;
use crate::installation::secrets::{Given, Kept, SecretName, Secrets, checked, fresh};
use crate::installation::{
    BROUGHT, Config, Destination, DigitalOcean, Domain, Home, ProjectName, Range, Region, Server, Size,
};
use crate::provision::digitalocean::{Client, SizeFound};
use crate::provision::identity;
use crate::provision::ready::{github_api, wants_webhooks};
use crate::provision::records;
use crate::provision::terraform::public_key;
use crate::provision::webhooks;
use crate::ui;

/// Describes an installation: asks what it has to know, checks each answer, and writes config.yml
#[derive(Debug, Args)]
#[command(
    after_help = "Each answer may be given by a flag instead; with --no-input nothing is asked. Nothing is made yet: `preview setup` \
                  does that. Tokens come from the environment (GITHUB_TOKEN, GITHUB_HOOKS_TOKEN, DIGITALOCEAN_TOKEN, \
                  DIGITALOCEAN_DNS_TOKEN for ACME_CHALLENGE=dns-01), or are asked for, and are kept in the system's keychain, or where there is none in a file that only you may read.",
    mut_arg("dry_run", |flag| flag.help("Print the file instead of writing it, and keep no secret"))
)]
pub(crate) struct Init {
    /// A machine that is there already, with Debian or Ubuntu (root@203.0.113.7)
    #[arg(long, value_name = "USER@ADDRESS", conflicts_with_all = ["region", "size", "ssh_from", "dns_zone"])]
    host: Option<Destination>,
    /// Where DigitalOcean makes a new one (fra1)
    #[arg(long)]
    region: Option<Region>,
    /// How large that is [default: the cheapest that holds previews]
    #[arg(long)]
    size: Option<Size>,
    /// Where SSH may come from, more than once if needed [default: everywhere]
    #[arg(long, value_name = "RANGE")]
    ssh_from: Vec<Range>,
    /// The domain at DigitalOcean's name servers in which --domain is written
    #[arg(long, value_name = "DOMAIN", requires = "domain")]
    dns_zone: Option<Domain>,
    /// What it is called, and everything that is made for it
    #[arg(long, value_name = "NAME", default_value = "preview-deployer")]
    name: ProjectName,
    /// A repository whose pull requests get previews, more than once if needed (my-org/my-app)
    #[arg(long, value_name = "OWNER/NAME")]
    repo: Vec<RepoName>,
    /// The private key for the server [default: yours for a machine that is there, a new one for a new server]
    #[arg(long, value_name = "FILE")]
    ssh_key: Option<PathBuf>,
    /// The name that leads to the server [default: none, its address alone]
    #[arg(long)]
    domain: Option<Domain>,
    /// The number of a GitHub App that the server is, instead of a token's owner
    #[arg(long, value_name = "NUMBER", requires = "app_key")]
    app: Option<u64>,
    /// The file with that App's private key, which only you may read
    #[arg(long, value_name = "FILE", requires = "app")]
    app_key: Option<PathBuf>,
    /// A setting of the service, more than once if needed (docs/CONFIGURATION.md)
    #[arg(long = "set", value_name = "NAME=VALUE", value_parser = setting)]
    settings: Vec<(String, String)>,
    #[command(flatten)]
    given: Given,
    #[command(flatten)]
    flags: Flags,
}

fn setting(text: &str) -> Result<(String, String), String> {
    let (name, value) = text.split_once('=').ok_or("write it as NAME=VALUE")?;
    Ok((name.to_owned(), value.to_owned()))
}

/// The tokens and the secret, as they are to be kept.
type Tokens = BTreeMap<SecretName, SecretString>;

/// A server that was chosen, and what it costs a month.
type Chosen = (Server, Option<SizeFound>);

impl Init {
    pub(crate) async fn run(mut self) -> Result<(), Failure> {
        let home = Home::find()?;
        self.may_replace(&home)?;
        let secrets = Secrets::open(&home, &self.given).await?;
        let mut tokens = Tokens::new();
        let (server, offer) = self.server(&secrets, &mut tokens).await?;
        let ssh_key = self.key(&home, &server).await?;
        let repositories = self.repositories()?;
        let config = Config {
            project_name: self.name.clone(),
            server,
            ssh_key,
            domain: self.domain.take(),
            repositories,
            settings: self.settings()?,
        };
        // What the flags say is held to the rules of the file, before anybody is asked for a token.
        Config::parse(&config.text()).map_err(|mistakes| wrong_flags(&mistakes))?;
        self.check_key(&config, &tokens).await?;
        self.github(&config, &secrets, &mut tokens).await?;
        if records::are_made(&config) && records::file(&config).is_none() {
            self.token(SecretName::Records, &secrets, &mut tokens).await?;
        }
        if secrets.get(SecretName::Webhook).await?.is_none() {
            tokens.insert(SecretName::Webhook, fresh());
        }
        if self.flags.dry_run {
            if self.flags.json {
                return ui::json(&json!({"config": home.config(), "text": config.text()}));
            }
            ui::line(config.text().trim_end());
            return Ok(());
        }
        home.write(&home.config(), config.text().as_bytes())?;
        for (name, value) in &tokens {
            secrets.keep(*name, value).await?;
        }
        self.tell(&home, &config, &secrets, offer.as_ref())
    }

    /// The settings that were given, an App's among them; files by their whole path, for wherever `setup` runs later.
    fn settings(&mut self) -> Result<BTreeMap<String, String>, Failure> {
        let mut settings: BTreeMap<String, String> = self.settings.drain(..).collect();
        settings.extend(self.app.map(|id| (identity::APP_ID.to_owned(), id.to_string())));
        if let Some(key) = &self.app_key {
            settings.insert(identity::APP_KEY_FILE.to_owned(), key.display().to_string());
        }
        for name in BROUGHT {
            if let Some(file) = settings.get_mut(name).filter(|file| !file.is_empty() && !file.starts_with('~')) {
                *file = std::path::absolute(&*file)?.display().to_string();
            }
        }
        Ok(settings)
    }

    /// Nobody's file is overwritten unasked.
    fn may_replace(&self, home: &Home) -> Result<(), Failure> {
        let file = home.config();
        if self.flags.dry_run
            || !file.exists()
            || self.flags.asking.may(&format!("{} is there already. Replace it?", file.display()))?
        {
            return Ok(());
        }
        Err(Failure::new("nothing was changed").hint("another PREVIEW_HOME holds another installation"))
    }

    async fn server(&self, secrets: &Secrets, tokens: &mut Tokens) -> Result<Chosen, Failure> {
        if let Some(host) = &self.host {
            return Ok((Server::Host(host.clone()), None));
        }
        if self.region.is_none() {
            let question = "A machine of yours (user@address), or nothing for a new one at DigitalOcean";
            let parse = |text: &str| match text {
                "" => Ok(None),
                text => text.parse::<Destination>().map(Some).map_err(|error| error.to_string()),
            };
            if let Some(host) = self.flags.asking.text(question, "--host or --region", None, parse)? {
                return Ok((Server::Host(host), None));
            }
        }
        let token = self.token(SecretName::DigitalOcean, secrets, tokens).await?;
        let client = Client::new(&token)?;
        let account = ui::waiting("asking DigitalOcean", client.account()).await?;
        ui::note(format!("DigitalOcean: the account of {}", ui::harmless(&account.email)));
        let (droplet, offer) = self.droplet(&client).await?;
        Ok((Server::DigitalOcean(droplet), Some(offer)))
    }

    async fn droplet(&self, client: &Client) -> Result<(DigitalOcean, SizeFound), Failure> {
        let region = match &self.region {
            Some(region) => region.clone(),
            None => {
                let regions = ui::waiting("asking DigitalOcean", client.regions()).await?;
                let named = regions.iter().map(|region| format!("{} ({})", region.slug, ui::harmless(&region.name)));
                ui::note(format!("regions: {}", named.collect::<Vec<_>>().join(", ")));
                let parse = |text: &str| match regions.iter().any(|region| region.slug == text) {
                    true => text.parse::<Region>().map_err(|error| error.to_string()),
                    false => Err("expected one of these regions".to_owned()),
                };
                self.flags.asking.text("Region", "--region", Some("fra1"), parse)?
            }
        };
        let size = match &self.size {
            Some(size) => size.clone(),
            None => self.size(client, &region).await?,
        };
        let everywhere = || ["0.0.0.0/0", "::/0"].iter().map(|range| range.parse()).collect::<Result<Vec<Range>, _>>();
        let ssh_from = if self.ssh_from.is_empty() { everywhere()? } else { self.ssh_from.clone() };
        let droplet = DigitalOcean { region, size, ssh_from, dns_zone: self.dns_zone.clone() };
        let offer = ui::waiting("asking DigitalOcean", client.offer(&droplet)).await?;
        ui::note(format!("DigitalOcean: {offer}"));
        Ok((droplet, offer))
    }

    /// A size that the region has: asked for where somebody can be asked, else the cheapest.
    async fn size(&self, client: &Client, region: &Region) -> Result<Size, Failure> {
        let sizes = client.sizes(&client.region(region).await?).await?;
        let Some(cheapest) = sizes.first() else {
            let failure = Failure::new(format!("DigitalOcean has no droplets for previews in {region} now"));
            return Err(failure.kind(Kind::Settings).hint("choose another with --region"));
        };
        if !self.flags.asking.can_ask() {
            return Ok(cheapest.slug.parse()?);
        }
        sizes.iter().take(6).for_each(|size| ui::note(format!("  {size}")));
        let parse = |text: &str| match sizes.iter().any(|size| size.slug == text) {
            true => text.parse::<Size>().map_err(|error| error.to_string()),
            false => Err(format!("expected a size that {region} has")),
        };
        self.flags.asking.text("Size", "--size", Some(&cheapest.slug), parse)
    }

    /// The private key: what was said, else the person's own for a machine that is there, and a new pair for a new server, since
    /// DigitalOcean takes each key but once.
    async fn key(&self, home: &Home, server: &Server) -> Result<PathBuf, Failure> {
        if let Some(key) = &self.ssh_key {
            let key = std::path::absolute(key)?;
            let read = std::fs::File::open(&key).map(drop);
            return read.map(|()| key.clone()).map_err(|error| {
                Failure::new(format!("the SSH key {} could not be read", key.display()))
                    .because(&error)
                    .kind(Kind::Settings)
                    .hint("name the private key's file with --ssh-key")
            });
        }
        match server {
            Server::Host(_) => {
                let folder = std::env::var_os("HOME").map(|home| Path::new(&home).join(".ssh"));
                let names = ["id_ed25519", "id_ecdsa", "id_rsa"].into_iter();
                let found = folder.into_iter().flat_map(|folder| names.clone().map(move |name| folder.join(name)));
                found.into_iter().find(|key| key.is_file()).ok_or_else(|| {
                    let failure = Failure::new("there is no SSH key in ~/.ssh").kind(Kind::Settings);
                    failure.hint("name the one that opens the machine with --ssh-key")
                })
            }
            Server::DigitalOcean(_) => made_key(home, self.flags.dry_run).await,
        }
    }

    /// Whether DigitalOcean would take the key.
    async fn check_key(&self, config: &Config, tokens: &Tokens) -> Result<(), Failure> {
        match (&config.server, tokens.get(&SecretName::DigitalOcean)) {
            // A dry run makes no key, and there is none to check.
            (Server::DigitalOcean(_), Some(token)) if config.ssh_key.exists() => {
                let (client, key) = (Client::new(token)?, public_key(&config.ssh_key)?);
                ui::waiting("asking DigitalOcean", client.takes_key(&config.project_name, &key)).await
            }
            _ => Ok(()),
        }
    }

    fn repositories(&self) -> Result<Vec<RepoName>, Failure> {
        if !self.repo.is_empty() {
            return Ok(self.repo.clone());
        }
        let parse = |text: &str| {
            let names = text.split([',', ' ']).filter(|name| !name.is_empty()).map(str::parse);
            let names: Vec<RepoName> =
                names.collect::<Result<_, _>>().map_err(|error: preview_core::ids::InvalidId| error.to_string())?;
            if names.is_empty() { Err("expected owner/name, or several with a comma".to_owned()) } else { Ok(names) }
        };
        self.flags.asking.text("Repositories (owner/name, several with a comma)", "--repo", None, parse)
    }

    /// Checks what GitHub says of the repositories; where the server's token may not manage webhooks, another one does.
    async fn github(&self, config: &Config, secrets: &Secrets, tokens: &mut Tokens) -> Result<(), Failure> {
        let api = github_api(&config.settings)?;
        let app = ui::waiting("asking GitHub", identity::app_token(config)).await?;
        let (is_app, token) = match app {
            Some(token) => (true, token),
            None => (false, self.token(SecretName::GitHub, secrets, tokens).await?),
        };
        let client = webhooks::Client::new(api.clone(), &token)?;
        for repo in &config.repositories {
            let found = ui::waiting("asking GitHub", client.repository(repo)).await?;
            let kind = if found.private { "private" } else { "public" };
            ui::note(format!("GitHub: {} ({kind})", ui::harmless(&found.full_name)));
        }
        if !wants_webhooks(config) {
            return Ok(());
        }
        let own = match secrets.get(SecretName::Hooks).await? {
            // An App's tokens are the server's. One that is given beside it is for nothing else.
            None if is_app => match secrets.get(SecretName::GitHub).await? {
                Some(token) => Some(token),
                None => Some(self.ask(SecretName::Hooks)?),
            },
            own => own,
        };
        let manages = match &own {
            Some(token) => webhooks::Client::new(api.clone(), token)?,
            None => client,
        };
        let looked = may_manage(&manages, &config.repositories);
        let Err(refusal) = ui::waiting("asking GitHub", looked).await else {
            tokens.extend(own.map(|token| (SecretName::Hooks, token)));
            return Ok(());
        };
        if own.is_some() || !self.flags.asking.can_ask() {
            return Err(refusal);
        }
        ui::note(
            "the server's token may not manage webhooks, as it should be: another one may, which stays on this machine",
        );
        let token = self.ask(SecretName::Hooks)?;
        let client = webhooks::Client::new(api, &token)?;
        ui::waiting("asking GitHub", may_manage(&client, &config.repositories)).await?;
        tokens.insert(SecretName::Hooks, token);
        Ok(())
    }

    /// A token that was given or kept, else asked for.
    async fn token(&self, name: SecretName, secrets: &Secrets, tokens: &mut Tokens) -> Result<SecretString, Failure> {
        let token = match secrets.get(name).await? {
            Some(token) => token,
            None => self.ask(name)?,
        };
        tokens.insert(name, token.clone());
        Ok(token)
    }

    fn ask(&self, name: SecretName) -> Result<SecretString, Failure> {
        let flag = format!("the environment variable {}", name.variable());
        let mut question = name.what().to_owned();
        question[..1].make_ascii_uppercase();
        match self.flags.asking.secret(&question, &flag)? {
            Some(token) => checked(name, token.expose_secret()),
            None => Err(Failure::new(format!("{} was not given", name.what())).kind(Kind::Settings)),
        }
    }

    fn tell(&self, home: &Home, config: &Config, secrets: &Secrets, offer: Option<&SizeFound>) -> Result<(), Failure> {
        let file = home.config();
        if self.flags.json {
            let kept = match secrets.kept() {
                Kept::Keychain => "keychain",
                Kept::File { .. } => "file",
            };
            let repositories: Vec<String> = config.repositories.iter().map(ToString::to_string).collect();
            return ui::json(&json!({
                "config": file, "repositories": repositories, "secrets": kept,
                "monthlyPrice": offer.map(|offer| offer.price_monthly),
            }));
        }
        ui::line(format!("wrote {}", file.display()));
        ui::note(format!("secrets are kept {}", secrets.place()));
        ui::note("`preview setup` does the rest; look into the file first, if you like");
        Ok(())
    }
}

/// Mistakes that came by flags: their places are in a file that nobody has seen.
fn wrong_flags(mistakes: &[Mistake]) -> Failure {
    let mut failure = Failure::new("what the flags say is not right").kind(Kind::Settings);
    failure.causes = mistakes.iter().map(|mistake| mistake.message.clone()).collect();
    failure.hint("docs/CONFIGURATION.md has all settings")
}

async fn may_manage(client: &webhooks::Client, repositories: &[RepoName]) -> Result<(), Failure> {
    for repo in repositories {
        client.may_manage(repo).await?;
    }
    Ok(())
}

/// The installation's own pair of keys, made if it isn't there.
async fn made_key(home: &Home, dry_run: bool) -> Result<PathBuf, Failure> {
    let key = home.key();
    if key.exists() || dry_run {
        return Ok(key);
    }
    home.make()?;
    let make =
        Program::new("ssh-keygen").args(["-q", "-t", "ed25519", "-N", "", "-C", "preview-deployer", "-f"]).arg(&key);
    make.run()
        .await
        .map_err(|error| Failure::from(error).hint("install an SSH client, or name a key of yours with --ssh-key"))?;
    Ok(key)
}
