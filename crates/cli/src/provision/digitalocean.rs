//! What there is to have at DigitalOcean, and what it costs. What is made there is Terraform's business.
//!
//! Source: <https://docs.digitalocean.com/reference/api/api-reference/>

use preview_orchestrator::settings::BaseUrl;
use reqwest::header::HeaderMap;
use secrecy::SecretString;
use serde::Deserialize;
use serde_json::Value;

use super::api::{Api, ApiError};
use crate::error::{Failure, Kind};
use crate::installation::{DigitalOcean, Domain, ProjectName, Region};

/// Where the API is; another address is for tests, and for who must go through a gateway.
const VARIABLE: &str = "DIGITALOCEAN_API_URL";
const API: &str = "https://api.digitalocean.com";
/// Most that a page may have.
const PER_PAGE: &str = "per_page=200";
/// Megabytes of memory below which previews have no room.
const LEAST_MEMORY: u64 = 2048;

/// A connection with one account.
pub(crate) struct Client(Api);

/// The account that the token belongs to.
#[derive(Debug, Deserialize)]
pub(crate) struct Account {
    pub(crate) email: String,
    /// `active`, `warning` or `locked`.
    status: String,
    droplet_limit: u64,
}

/// A place where droplets are.
#[derive(Debug, Deserialize)]
pub(crate) struct RegionFound {
    pub(crate) slug: String,
    pub(crate) name: String,
    available: bool,
    sizes: Vec<String>,
}

/// A kind of droplet.
#[derive(Debug, Clone, Deserialize)]
pub(crate) struct SizeFound {
    pub(crate) slug: String,
    /// Megabytes.
    pub(crate) memory: u64,
    pub(crate) vcpus: u64,
    /// Gigabytes.
    pub(crate) disk: u64,
    /// US dollars.
    pub(crate) price_monthly: f64,
    available: bool,
}

/// A key for SSH that the account has.
#[derive(Debug, Deserialize)]
pub(super) struct Key {
    pub(super) id: u64,
    pub(super) name: String,
    public_key: String,
}

impl Key {
    /// Whether this line is its public half.
    pub(super) fn is(&self, public: &str) -> bool {
        body(&self.public_key) == body(public)
    }
}

impl Client {
    pub(crate) fn new(token: &SecretString) -> Result<Self, Failure> {
        let given = std::env::var(VARIABLE).ok().filter(|url| !url.is_empty());
        let base = BaseUrl::of_server(given.as_deref().unwrap_or(API))
            .map_err(|why| Failure::new(format!("{VARIABLE} is not usable: {why}")).kind(Kind::Settings))?;
        Ok(Self(Api::new("DigitalOcean", base, token, HeaderMap::new())?))
    }

    /// Whose the token is. An account that may make nothing is a failure.
    pub(crate) async fn account(&self) -> Result<Account, Failure> {
        #[derive(Deserialize)]
        struct Answer {
            account: Account,
        }
        let Answer { account } = self.0.get("/v2/account").await.map_err(told)?;
        if account.status == "locked" || account.droplet_limit == 0 {
            let what =
                format!("DigitalOcean's account {} may make no droplets: it is {}", account.email, account.status);
            return Err(Failure::new(what).hint("DigitalOcean's control panel says what it waits for"));
        }
        Ok(account)
    }

    /// The regions where droplets can be made now.
    pub(crate) async fn regions(&self) -> Result<Vec<RegionFound>, Failure> {
        let all: Vec<RegionFound> = self.all("/v2/regions", "regions").await?;
        Ok(all.into_iter().filter(|region| region.available).collect())
    }

    /// The sizes that hold previews, the cheapest first.
    pub(crate) async fn sizes(&self, region: &RegionFound) -> Result<Vec<SizeFound>, Failure> {
        let all: Vec<SizeFound> = self.all("/v2/sizes", "sizes").await?;
        let fits =
            |size: &SizeFound| size.available && size.memory >= LEAST_MEMORY && region.sizes.contains(&size.slug);
        let mut fitting: Vec<SizeFound> = all.into_iter().filter(fits).collect();
        fitting.sort_by(|one, other| one.price_monthly.total_cmp(&other.price_monthly));
        Ok(fitting)
    }

    /// The keys that the account has.
    pub(super) async fn keys(&self) -> Result<Vec<Key>, Failure> {
        self.all("/v2/account/keys", "ssh_keys").await
    }

    /// Refuses a domain that the account has not, since nobody could write names into it.
    pub(crate) async fn has_zone(&self, zone: &Domain) -> Result<(), Failure> {
        match self.0.get::<Value>(&format!("/v2/domains/{zone}")).await {
            Ok(_) => Ok(()),
            Err(error) if error.status() == Some(404) => {
                let what = format!("DigitalOcean has no domain {zone} in this account");
                let hint = "dns_zone is one that is listed under Networking, Domains; without it, you write the records yourself";
                Err(Failure::new(what).kind(Kind::Settings).hint(hint))
            }
            Err(error) => Err(told(error)),
        }
    }

    /// Refuses a name that belongs to no zone which the token sees: nobody could make records for it.
    pub(crate) async fn has_zone_of(&self, name: &Domain) -> Result<(), Failure> {
        #[derive(Deserialize)]
        struct Zone {
            name: String,
        }
        let zones: Vec<Zone> = self.all("/v2/domains", "domains").await?;
        let full = format!(".{name}");
        if zones.iter().any(|zone| full.ends_with(&format!(".{}", zone.name))) {
            return Ok(());
        }
        let failure = Failure::new(format!("DigitalOcean shows this token no zone for {name}")).kind(Kind::Settings);
        Err(failure
            .hint("add the domain there, under Networking, Domains; the token has to be of the account that has it")
            .hint("without it, ACME_CHALLENGE=http-01 takes no zone"))
    }

    /// Whether the account takes this key: DigitalOcean has each but once, under the name it was first given.
    pub(crate) async fn takes_key(&self, project: &ProjectName, public: &str) -> Result<(), Failure> {
        match self.keys().await?.into_iter().find(|key| key.is(public)) {
            Some(key) if key.name != project.as_str() => {
                let what =
                    format!("DigitalOcean has this SSH key already, as \"{}\", and takes each but once", key.name);
                Err(Failure::new(what).hint("leave ssh_key to `preview init`, which makes one for this server alone"))
            }
            _ => Ok(()),
        }
    }

    /// A region, or which there are instead.
    pub(crate) async fn region(&self, wanted: &Region) -> Result<RegionFound, Failure> {
        let mut regions = self.regions().await?;
        let found = regions.iter().position(|region| region.slug == wanted.as_str());
        found.map(|place| regions.swap_remove(place)).ok_or_else(|| {
            let slugs: Vec<&str> = regions.iter().map(|region| region.slug.as_str()).collect();
            let failure = Failure::new(format!("DigitalOcean makes no droplets in {wanted} now")).kind(Kind::Settings);
            failure.hint(format!("there are {}", slugs.join(", ")))
        })
    }

    /// What this droplet would be, or what there is instead.
    pub(crate) async fn offer(&self, wanted: &DigitalOcean) -> Result<SizeFound, Failure> {
        let region = self.region(&wanted.region).await?;
        let sizes = self.sizes(&region).await?;
        sizes.iter().find(|size| size.slug == wanted.size.as_str()).cloned().ok_or_else(|| {
            let few: Vec<String> = sizes.iter().take(6).map(ToString::to_string).collect();
            let what = format!("DigitalOcean has no size {} that holds previews in {}", wanted.size, wanted.region);
            Failure::new(what).kind(Kind::Settings).hint(format!("there are {}", few.join(", ")))
        })
    }

    /// All pages of a list, which stands under its name; the next page is told in the answer.
    pub(super) async fn all<T: serde::de::DeserializeOwned>(&self, path: &str, name: &str) -> Result<Vec<T>, Failure> {
        let odd = |error: serde_json::Error| {
            Failure::new("DigitalOcean answered something that is not understood").because(&error)
        };
        let and = if path.contains('?') { '&' } else { '?' };
        let mut all = Vec::new();
        for page in 1.. {
            let mut answer: Value = self.0.get(&format!("{path}{and}{PER_PAGE}&page={page}")).await.map_err(told)?;
            let items: Vec<T> = serde_json::from_value(answer[name].take()).map_err(odd)?;
            let more = !items.is_empty() && answer["links"]["pages"]["next"].is_string();
            all.extend(items);
            if !more {
                break;
            }
        }
        Ok(all)
    }
}

impl std::fmt::Display for SizeFound {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Self { slug, memory, vcpus, disk, price_monthly, .. } = self;
        write!(f, "{slug} ({vcpus} CPU, {} GB memory, {disk} GB disk, ${price_monthly}/month)", memory / 1024)
    }
}

/// What a refusal of DigitalOcean's means for the person.
fn told(error: ApiError) -> Failure {
    let status = error.status();
    let failure = error.told();
    match status {
        Some(401) => {
            failure.kind(Kind::Token).hint("its token is wrong or has expired: make a new one under API, Tokens")
        }
        Some(403) => failure.hint("give the token the scopes that docs/SERVER.md names"),
        _ => failure,
    }
}

/// Kind and key of a public key's line, without its comment.
fn body(line: &str) -> Option<(&str, &str)> {
    let mut words = line.split_whitespace();
    Some((words.next()?, words.next()?))
}
