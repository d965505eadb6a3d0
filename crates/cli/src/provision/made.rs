//! What DigitalOcean has under a project's name, and whether this installation made it. A name proves nothing: by default, everybody's is
//! the same. The key does: a droplet is made after the key that opens it, and no two installations have the same one.

use serde::Deserialize;
use serde_json::Value;

use super::digitalocean::Client;
use crate::error::{Failure, Kind};
use crate::installation::{DigitalOcean, ProjectName};

const TAG: &str = "digitalocean_tag.preview";
const KEY: &str = "digitalocean_ssh_key.preview";

/// Something that is there, by its number or name, and what Terraform calls it.
#[derive(Debug)]
pub(crate) struct Found {
    pub(crate) address: &'static str,
    pub(crate) id: String,
}

/// All that has the name.
#[derive(Debug, Default)]
pub(crate) struct Made {
    pub(crate) found: Vec<Found>,
    droplets: Vec<Droplet>,
    /// Keys of this name that are not this installation's.
    other_keys: usize,
}

/// A server of this name.
#[derive(Debug, Deserialize)]
struct Droplet {
    id: u64,
    name: String,
    region: Slug,
    size_slug: String,
}

#[derive(Debug, Deserialize)]
struct Slug {
    slug: String,
}

/// Whatever has a name.
#[derive(Debug, Deserialize)]
struct Named {
    /// A number, or a text.
    #[serde(default)]
    id: Value,
    name: String,
}

impl Named {
    /// What Terraform imports it by: a tag has no number and goes by its name.
    fn id(&self) -> String {
        match &self.id {
            Value::Null => self.name.clone(),
            Value::String(id) => id.clone(),
            id => id.to_string(),
        }
    }
}

impl Made {
    /// Finds it: all of it has the project's name, and droplets its tag.
    pub(crate) async fn find(account: &Client, project: &ProjectName, public: &str) -> Result<Self, Failure> {
        let mut made = Self::default();
        for (path, list, address) in
            [("/v2/tags", "tags", TAG), ("/v2/firewalls", "firewalls", "digitalocean_firewall.preview")]
        {
            let all: Vec<Named> = account.all(path, list).await?;
            let named = all.iter().filter(|thing| thing.name == project.as_str());
            made.found.extend(named.map(|thing| Found { address, id: thing.id() }));
        }
        made.droplets = account.all(&format!("/v2/droplets?tag_name={project}"), "droplets").await?;
        made.droplets.retain(|droplet| droplet.name == project.as_str());
        for droplet in &made.droplets {
            let id = droplet.id.to_string();
            made.found.extend(addresses_of(account, &id).await?);
            made.found.push(Found { address: "digitalocean_droplet.preview", id });
        }
        let keys = account.keys().await?.into_iter().filter(|key| key.name == project.as_str());
        let (ours, others): (Vec<_>, Vec<_>) = keys.partition(|key| key.is(public));
        made.found.extend(ours.iter().map(|key| Found { address: KEY, id: key.id.to_string() }));
        made.other_keys = others.len();
        Ok(made)
    }

    /// Whether another installation made it. `known` is what Terraform's state here has, by address: that is ours, also if somebody
    /// took the key out of the account. A tag alone stands for nothing.
    pub(crate) fn is_anothers(&self, known: &[String]) -> bool {
        let has_our_key = self.found.iter().any(|found| found.address == KEY) || known.iter().any(|known| known == KEY);
        !has_our_key && (self.other_keys > 0 || self.found.iter().any(|found| found.address != TAG))
    }

    /// Refuses a name that another installation has.
    pub(crate) fn is_free(&self, project: &ProjectName, known: &[String]) -> Result<(), Failure> {
        if !self.is_anothers(known) {
            return Ok(());
        }
        let what =
            format!("another installation is called {project} in this account of DigitalOcean's: it stays as it is");
        Err(Failure::new(what)
            .kind(Kind::Settings)
            .hint("choose another name, with `preview init --name` or as project_name in config.yml")
            .hint("if it is yours, and its PREVIEW_HOME is lost: remove what has this name in DigitalOcean's control panel"))
    }

    /// What it means for the server that is there, if it is to be like this.
    pub(crate) fn consequences(&self, wanted: &DigitalOcean) -> Vec<String> {
        let Some(now) = self.droplets.first().filter(|_| !self.is_anothers(&[])) else { return Vec::new() };
        let (region, size) = (crate::ui::harmless(&now.region.slug), crate::ui::harmless(&now.size_slug));
        if region != wanted.region.as_str() {
            let to = &wanted.region;
            return vec![format!(
                "The server in {region} goes for good, with its address, all previews and their databases: a new one is made in {to}"
            )];
        }
        let is_other = size != wanted.size.as_str();
        is_other
            .then(|| {
                format!(
                    "The server is turned off while it goes from {size} to {}: no preview answers then",
                    wanted.size
                )
            })
            .into_iter()
            .collect()
    }
}

/// The addresses that lead to a droplet. One that leads nowhere could be anybody's: it has no name.
async fn addresses_of(account: &Client, droplet: &str) -> Result<Vec<Found>, Failure> {
    #[derive(Deserialize)]
    struct Reserved {
        ip: String,
        droplet: Option<Assigned>,
    }
    #[derive(Deserialize)]
    struct Assigned {
        id: u64,
    }
    let all: Vec<Reserved> = account.all("/v2/reserved_ips", "reserved_ips").await?;
    let ours = all.into_iter().filter(|one| one.droplet.as_ref().is_some_and(|to| to.id.to_string() == droplet));
    let found = |one: Reserved| {
        let assigned = format!("{},{droplet}", one.ip);
        [
            Found { address: "digitalocean_reserved_ip.preview", id: one.ip },
            Found { address: "digitalocean_reserved_ip_assignment.preview", id: assigned },
        ]
    };
    Ok(ours.flat_map(found).collect())
}
