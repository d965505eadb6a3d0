//! `preview init`

mod keys;
mod tokens;

use std::collections::BTreeMap;
use std::path::PathBuf;

use clap::Args;
use preview_core::ids::RepoName;
use preview_core::repo_config::Mistake;
use secrecy::SecretString;
use serde_json::json;

use crate::error::{Failure, Kind};
use crate::flags::Flags;
use crate::installation::secrets::{Given, Kept, SecretName, Secrets, fresh};
use crate::installation::{
    BROUGHT, Config, Destination, DigitalOcean, Domain, Home, ProjectName, Range, Region, Server, Size, State,
};
use crate::provision::digitalocean::{Client, SizeFound};
use crate::provision::identity;
use crate::provision::made::Made;
use crate::provision::records;
use crate::provision::terraform::{Terraform, public_key};
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
        let (server, offer) = self.server(&home, &secrets, &mut tokens).await?;
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
        self.check_account(&home, &config, &tokens).await?;
        self.github(&config, &secrets, &mut tokens).await?;
        if records::are_made(&config) && records::file(&config).is_none() {
            let sees = async |token: &SecretString| records::sees_zone(&config, token).await;
            self.token_that_works(SecretName::Records, &secrets, &mut tokens, sees).await?;
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

    async fn server(&self, home: &Home, secrets: &Secrets, tokens: &mut Tokens) -> Result<Chosen, Failure> {
        if let Some(host) = &self.host {
            return machine(home, host.clone());
        }
        if self.region.is_none() {
            let question = "A machine of yours (user@address), or nothing for a new one at DigitalOcean";
            let parse = |text: &str| match text {
                "" => Ok(None),
                text => text.parse::<Destination>().map(Some).map_err(|error| error.to_string()),
            };
            if let Some(host) = self.flags.asking.text(question, "--host or --region", None, parse)? {
                return machine(home, host);
            }
        }
        let ask = async |token: &SecretString| {
            let client = Client::new(token)?;
            let account = ui::waiting("asking DigitalOcean", client.account()).await?;
            Ok((client, account))
        };
        let (client, account) = self.token_that_works(SecretName::DigitalOcean, secrets, tokens, ask).await?;
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

    /// Whether DigitalOcean would take key, name and zone.
    async fn check_account(&self, home: &Home, config: &Config, tokens: &Tokens) -> Result<(), Failure> {
        let (Server::DigitalOcean(droplet), Some(token)) = (&config.server, tokens.get(&SecretName::DigitalOcean))
        else {
            return Ok(());
        };
        let (client, name) = (Client::new(token)?, &config.project_name);
        let check = async {
            if let Some(zone) = &droplet.dns_zone {
                client.has_zone(zone).await?;
            }
            // A dry run makes no key, and there is none to check.
            if !config.ssh_key.exists() {
                return Ok(());
            }
            let key = public_key(&config.ssh_key)?;
            client.takes_key(name, &key).await?;
            // What has the name may be what was made from here.
            if Terraform::is_begun(home) { Ok(()) } else { Made::find(&client, name, &key).await?.is_free(name, &[]) }
        };
        ui::waiting("asking DigitalOcean", check).await
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

/// A machine that is there, in whose place nothing was made from here: `preview destroy` would no longer know of it.
fn machine(home: &Home, host: Destination) -> Result<Chosen, Failure> {
    if !Terraform::is_begun(home) && State::load(home)?.address.is_none() {
        return Ok((Server::Host(host), None));
    }
    let what = format!("{} knows of a server at DigitalOcean, which would go on and cost", home.folder().display());
    Err(Failure::new(what)
        .kind(Kind::Settings)
        .hint("`preview destroy` takes it down first; another PREVIEW_HOME holds another installation"))
}
