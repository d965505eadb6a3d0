//! `config.yml`: what the person says of the installation.

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::path::PathBuf;

use preview_core::ids::RepoName;
use preview_core::repo_config::Mistake;

use super::{Destination, Domain, Home, ProjectName, Range, Region, Size, State, read};
use crate::dns;
use crate::error::{Failure, Kind};

/// Settings that name a file of this machine, which is brought to the server, to a place that the roles know.
pub(crate) const BROUGHT: [&str; 3] = ["GITHUB_APP_PRIVATE_KEY_FILE", "ACME_CA_FILE", "DIGITALOCEAN_TOKEN_FILE"];

/// The installation, as the person wants it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Config {
    /// What it is called, and what everything made for it is called.
    pub(crate) project_name: ProjectName,
    /// The machine.
    pub(crate) server: Server,
    /// The private key that opens it; the public one is beside it, as `.pub`.
    pub(crate) ssh_key: PathBuf,
    /// The name that leads to it.
    pub(crate) domain: Option<Domain>,
    /// The repositories whose pull requests get previews; at least one, none twice.
    pub(crate) repositories: Vec<RepoName>,
    /// Settings of the service, by name; no secret is among them.
    pub(crate) settings: BTreeMap<String, String>,
}

/// The machine that previews run on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Server {
    /// One that is there already.
    Host(Destination),
    /// One that is made.
    DigitalOcean(DigitalOcean),
}

/// A droplet of DigitalOcean's.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct DigitalOcean {
    pub(crate) region: Region,
    pub(crate) size: Size,
    /// Where SSH may come from; at least one range.
    pub(crate) ssh_from: Vec<Range>,
    /// The domain at DigitalOcean's name servers in which `domain` is written.
    pub(crate) dns_zone: Option<Domain>,
}

impl Config {
    /// Reads the file; `None` where there is none. All mistakes are told at once, each with its place.
    pub(crate) fn load(home: &Home) -> Result<Option<Self>, Failure> {
        let Some(text) = Home::read(&home.config())? else { return Ok(None) };
        let parsed = Self::parse(&text).map_err(|mistakes| {
            let mut failure = Failure::new(format!("{} is not right", home.config().display())).kind(Kind::Settings);
            failure.causes = mistakes.iter().map(ToString::to_string).collect();
            failure
        });
        parsed.map(Some)
    }

    /// Reads the file's text, or tells all that is wrong with it.
    pub(crate) fn parse(text: &str) -> Result<Self, Vec<Mistake>> {
        read::config(text)
    }

    /// Reads the file, without which a command makes no sense.
    pub(crate) fn required(home: &Home) -> Result<Self, Failure> {
        Self::load(home)?.ok_or_else(|| {
            let failure = Failure::new(format!("there is no installation in {}", home.folder().display()));
            failure.kind(Kind::Settings).hint("`preview init` makes one")
        })
    }

    /// Where SSH goes.
    pub(crate) fn address(&self, home: &Home) -> Result<Destination, Failure> {
        match &self.server {
            Server::Host(destination) => Ok(destination.clone()),
            Server::DigitalOcean(_) => State::load(home)?.address.ok_or_else(|| {
                let failure = Failure::new(format!("the server of {} is not there yet", self.project_name));
                failure.hint("`preview setup` makes it, or goes on where it stopped")
            }),
        }
    }

    /// The name or address that visitors and deliveries come to.
    pub(crate) fn public_host(&self, home: &Home) -> Result<String, Failure> {
        if let Some(domain) = &self.domain {
            return Ok(domain.to_string());
        }
        match self.reserved_address(home)? {
            Some(address) => Ok(bracketed(&address.to_string())),
            None => Ok(bracketed(self.address(home)?.host())),
        }
    }

    /// The address by which visitors come to a server that was made, if it has one. What is written down of another server is not
    /// this one's.
    pub(crate) fn reserved_address(&self, home: &Home) -> Result<Option<IpAddr>, Failure> {
        match self.server {
            Server::Host(_) => Ok(None),
            Server::DigitalOcean(_) => Ok(State::load(home)?.public_address),
        }
    }

    /// The addresses that names have to lead to, as far as they are known here.
    pub(crate) async fn internet_addresses(&self, home: &Home) -> Vec<IpAddr> {
        if let Ok(Some(address)) = self.reserved_address(home) {
            return vec![address];
        }
        let Ok(destination) = self.address(home) else { return Vec::new() };
        match destination.host().parse() {
            Ok(address) => vec![address],
            Err(_) => dns::addresses(destination.host()).await.unwrap_or_default(),
        }
    }

    /// What `ssh` and Ansible are told of the way to the server, besides its name: the key and nothing that asks. That key alone is
    /// tried: an agent with many would use up the tries that a hardened server allows. A key that the server shows for the first time is
    /// written down; another one later is refused.
    pub(crate) fn ssh_options(&self, home: &Home) -> Vec<String> {
        // ssh splits the list of files at spaces, but for those in quotes. A new server's address may have been another's before,
        // whose key the person's own file still has.
        let others = if matches!(self.server, Server::Host(_)) { " ~/.ssh/known_hosts" } else { "" };
        let known = format!("UserKnownHostsFile=\"{}\"{others}", home.known_hosts().display());
        let options = [
            known.as_str(),
            "StrictHostKeyChecking=accept-new",
            "IdentitiesOnly=yes",
            "BatchMode=yes",
            "ConnectTimeout=10",
        ];
        let key = ["-i".to_owned(), self.ssh_key.display().to_string()];
        key.into_iter().chain(options.into_iter().flat_map(|option| ["-o".to_owned(), option.to_owned()])).collect()
    }
}

/// An address as it stands in a URL.
fn bracketed(host: &str) -> String {
    if host.contains(':') { format!("[{host}]") } else { host.to_owned() }
}
