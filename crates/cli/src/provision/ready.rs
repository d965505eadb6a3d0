//! All that it takes to bring a server to what is wanted, found out and checked before anything is changed.

use std::collections::BTreeMap;
use std::io::Read;
use std::net::IpAddr;
use std::path::{Path, PathBuf};

use preview_core::ids::RepoName;
use preview_orchestrator::settings::BaseUrl;
use secrecy::SecretString;

use super::ansible::Wanted;
use super::identity::Identity;
use super::records;
use crate::dns::Record;
use crate::error::{Failure, Kind};
use crate::installation::secrets::{Given, SecretName, Secrets};
use crate::installation::{Config, Home};

/// The configuration, and what it takes to bring a server to it.
pub(crate) struct Ready {
    pub(crate) home: Home,
    pub(crate) config: Config,
    pub(crate) secrets: Secrets,
    binary: PathBuf,
    identity: Identity,
    webhook: SecretString,
    records: Option<SecretString>,
}

impl Ready {
    /// Finds all of it, and tells what is missing or wrong.
    pub(crate) async fn gather(home: Home, given: &Given, binary: Option<PathBuf>) -> Result<Self, Failure> {
        let config = Config::required(&home)?;
        let secrets = Secrets::open(&home, given).await?;
        let identity = Identity::find(&config, &secrets).await?;
        let webhook = secrets.required(SecretName::Webhook).await?;
        let records = records::token(&config, &secrets).await?;
        let binary = server_program(binary)?;
        let ready = Self { home, config, secrets, binary, identity, webhook, records };
        // Whatever address the server will have.
        let host = ready.config.domain.as_ref().map_or_else(|| "203.0.113.7".to_owned(), ToString::to_string);
        ready.wanted(url_at(&ready.config, &host), None).check()?;
        Ok(ready)
    }

    /// What the server gets, once its address is known; and the one by which visitors come, if that is another.
    pub(crate) fn wanted(&self, base_url: String, public_address: Option<IpAddr>) -> Wanted<'_> {
        Wanted {
            config: &self.config,
            base_url,
            public_address,
            binary: self.binary.clone(),
            identity: self.identity.clone(),
            webhook: self.webhook.clone(),
            records: self.records.clone(),
        }
    }

    pub(crate) fn binary(&self) -> &Path {
        &self.binary
    }

    pub(crate) fn webhook_secret(&self) -> &SecretString {
        &self.webhook
    }
}

/// What visitors' and deliveries' addresses begin with.
pub(crate) fn base_url(config: &Config, home: &Home) -> Result<String, Failure> {
    match config.settings.get("PREVIEW_BASE_URL") {
        Some(url) => Ok(url.trim_end_matches('/').to_owned()),
        None => Ok(url_at(config, &config.public_host(home)?)),
    }
}

/// Where previews are on a host: encrypted, if the server gets certificates.
fn url_at(config: &Config, host: &str) -> String {
    let scheme = if gets_certificates(config) { "https" } else { "http" };
    format!("{scheme}://{host}")
}

/// Where deliveries come.
pub(crate) fn webhook_url(config: &Config, home: &Home) -> Result<String, Failure> {
    Ok(format!("{}/webhook/github", base_url(config, home)?))
}

/// What is to be done about those of the server's names that do not lead to it.
pub(crate) async fn wrong_records(config: &Config, home: &Home) -> Vec<String> {
    let server = config.internet_addresses(home).await;
    let names = config.domain.iter().flat_map(|domain| [domain.to_string(), format!("*.{domain}")]);
    let mut told = Vec::new();
    for name in names {
        let record = Record::look(&name, &server).await;
        told.extend((!record.is_right()).then(|| record.advice()));
    }
    told
}

/// The page on which a person sees a webhook, and removes it.
pub(crate) fn hook_page(config: &Config, repo: &RepoName, id: u64) -> String {
    let server = config.settings.get("GITHUB_SERVER_URL").map_or("https://github.com", |url| url.trim_end_matches('/'));
    format!("{server}/{repo}/settings/hooks/{id}")
}

/// Whether the server is to get certificates.
pub(crate) fn gets_certificates(config: &Config) -> bool {
    config.settings.get("TLS").is_some_and(|tls| tls == "acme")
}

/// Whether GitHub is to announce changes.
pub(crate) fn wants_webhooks(config: &Config) -> bool {
    config.settings.get("WEBHOOKS").is_none_or(|value| value != "off")
}

/// GitHub's API: that of the settings, as the service finds it.
pub(crate) fn github_api(settings: &BTreeMap<String, String>) -> Result<BaseUrl, Failure> {
    let given = settings.get("GITHUB_API_URL").cloned();
    let server = settings.get("GITHUB_SERVER_URL").filter(|url| *url != "https://github.com");
    let url = given.or_else(|| Some(format!("{}/api/v3", server?.trim_end_matches('/'))));
    BaseUrl::of_server(url.as_deref().unwrap_or("https://api.github.com")).map_err(|why| {
        Failure::new(format!("GitHub's address in the settings is not usable: {why}")).kind(Kind::Settings)
    })
}

/// Refuses to begin without a program that will be needed.
pub(crate) fn needs(program: &str, remedy: &str) -> Result<(), Failure> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    if std::env::split_paths(&path).any(|folder| folder.join(program).is_file()) {
        return Ok(());
    }
    Err(Failure::new(format!("`{program}` is not installed, or not in PATH")).hint(remedy))
}

/// The program that the server gets: the given file, else the one that runs, where systems match.
fn server_program(given: Option<PathBuf>) -> Result<PathBuf, Failure> {
    let matches = cfg!(all(target_os = "linux", target_arch = "x86_64"));
    let path = match given {
        Some(path) => std::path::absolute(path)?,
        None if matches => std::env::current_exe()?,
        None => {
            let failure = Failure::new("the server needs the program for Linux on x86_64, which this one is not");
            return Err(failure.kind(Kind::Settings).hint("fetch that release, and name its file with --binary"));
        }
    };
    let mut head = [0; 20];
    let read = std::fs::File::open(&path).and_then(|mut file| file.read_exact(&mut head));
    read.map_err(|error| {
        Failure::new(format!("the program {} could not be read", path.display())).because(&error).kind(Kind::Settings)
    })?;
    // Source: ELF, "ELF Header": the magic number, 64 bits, little endian; the machine is 62 for x86-64.
    let is_elf = head.starts_with(b"\x7fELF\x02\x01") && head[18..20] == [62, 0];
    if is_elf {
        return Ok(path);
    }
    let failure = Failure::new(format!("{} is no program for Linux on x86_64", path.display())).kind(Kind::Settings);
    Err(failure.hint("name the unpacked file of the release, not the archive"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_server_gets_no_other_machines_program() {
        assert!(server_program(Some(std::env::current_exe().unwrap())).is_ok());
        let wrong = server_program(Some("Cargo.toml".into())).unwrap_err();
        assert!(wrong.what.contains("is no program for Linux"), "{wrong:?}");
        assert!(server_program(Some("/no/such/file".into())).unwrap_err().what.contains("could not be read"));
    }

    #[test]
    fn github_is_found_where_the_service_finds_it() {
        let api = |pairs: &[(&str, &str)]| {
            let settings = pairs.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
            github_api(&settings).map(|url| url.to_string())
        };
        assert_eq!(api(&[]).unwrap(), "https://api.github.com");
        assert_eq!(
            api(&[("GITHUB_SERVER_URL", "https://ghe.example.com/")]).unwrap(),
            "https://ghe.example.com/api/v3"
        );
        assert_eq!(api(&[("GITHUB_API_URL", "http://127.0.0.1:1/x")]).unwrap(), "http://127.0.0.1:1/x");
        assert!(api(&[("GITHUB_API_URL", "http://example.com")]).is_err());
    }
}
