//! The secrets of the installation, on this machine: what was given for this run, else what is kept.
//!
//! Given is what the environment or standard input says; it comes first. Kept, by `preview init`, is in the system's keychain,
//! and where there is none (or `PREVIEW_KEYCHAIN=off`) in a file that its owner alone may read.

mod file;
mod keychain;

use std::collections::BTreeMap;
use std::io::Read;

use clap::Args;
use secrecy::SecretString;

use super::Home;
use crate::error::{Failure, Kind};

/// What is secret.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum SecretName {
    /// The server's token for GitHub.
    GitHub,
    /// A token for GitHub that may manage webhooks; it never leaves this machine.
    Hooks,
    /// The token for DigitalOcean; it never leaves this machine either.
    DigitalOcean,
    /// The server's token for the records of its zone, by which it shows whose its names are.
    Records,
    /// What GitHub signs deliveries with.
    Webhook,
}

impl SecretName {
    pub(crate) const ALL: [Self; 5] = [Self::GitHub, Self::Hooks, Self::DigitalOcean, Self::Records, Self::Webhook];

    /// What it is kept as.
    pub(crate) fn key(self) -> &'static str {
        match self {
            Self::GitHub => "github_token",
            Self::Hooks => "github_hooks_token",
            Self::DigitalOcean => "digitalocean_token",
            Self::Records => "digitalocean_dns_token",
            Self::Webhook => "webhook_secret",
        }
    }

    /// The environment variable that gives it.
    pub(crate) fn variable(self) -> &'static str {
        match self {
            Self::GitHub => "GITHUB_TOKEN",
            Self::Hooks => "GITHUB_HOOKS_TOKEN",
            Self::DigitalOcean => "DIGITALOCEAN_TOKEN",
            Self::Records => "DIGITALOCEAN_DNS_TOKEN",
            Self::Webhook => "PREVIEW_WEBHOOK_SECRET",
        }
    }

    /// What it is, in a sentence.
    pub(crate) fn what(self) -> &'static str {
        match self {
            Self::GitHub => "the server's token for GitHub",
            Self::Hooks => "the token for GitHub's webhooks",
            Self::DigitalOcean => "the token for DigitalOcean",
            Self::Records => "the server's token for DNS records at DigitalOcean",
            Self::Webhook => "the webhooks' secret",
        }
    }
}

/// How a program gives a secret.
#[derive(Debug, Args)]
pub(crate) struct Given {
    /// Read the server's token for GitHub from standard input
    #[arg(long)]
    token_stdin: bool,
}

/// Longest secret, in bytes; a GitHub App's key has some 1,700.
const LONGEST: u64 = 8 << 10;

/// Where secrets come from and go to.
pub(crate) struct Secrets {
    given: BTreeMap<SecretName, SecretString>,
    kept: Kept,
    home: Home,
}

/// Where secrets are kept.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Kept {
    Keychain,
    /// The file, and why it isn't the keychain.
    File {
        why: String,
    },
}

impl Secrets {
    /// Finds out what was given and where the rest is.
    pub(crate) async fn open(home: &Home, given: &Given) -> Result<Self, Failure> {
        let mut all = BTreeMap::new();
        for name in SecretName::ALL {
            // An empty variable is none: that is how CI leaves one out.
            let value = std::env::var(name.variable()).unwrap_or_default();
            if !value.trim().is_empty() {
                all.insert(name, checked(name, &value)?);
            }
        }
        if given.token_stdin {
            let mut text = String::new();
            std::io::stdin().lock().take(LONGEST + 2).read_to_string(&mut text)?;
            all.insert(SecretName::GitHub, checked(SecretName::GitHub, &text)?);
        }
        Ok(Self { given: all, kept: kept().await, home: home.clone() })
    }

    pub(crate) fn kept(&self) -> &Kept {
        &self.kept
    }

    /// Whether it was given for this run, so that nothing kept counts.
    pub(crate) fn is_given(&self, name: SecretName) -> bool {
        self.given.contains_key(&name)
    }

    /// Where secrets are kept, as the rest of a sentence.
    pub(crate) fn place(&self) -> String {
        match &self.kept {
            Kept::Keychain => "in the system's keychain".to_owned(),
            Kept::File { why } => format!("in {}, which only you may read ({why})", self.home.secrets().display()),
        }
    }

    /// The secret, if there is one.
    pub(crate) async fn get(&self, name: SecretName) -> Result<Option<SecretString>, Failure> {
        if let Some(given) = self.given.get(&name) {
            return Ok(Some(given.clone()));
        }
        match &self.kept {
            Kept::Keychain => keychain::get(&self.home, name).await,
            Kept::File { .. } => file::get(&self.home, name),
        }
    }

    /// The secret, without which a command makes no sense.
    pub(crate) async fn required(&self, name: SecretName) -> Result<SecretString, Failure> {
        self.get(name).await?.ok_or_else(|| {
            let failure = Failure::new(format!("{} is not known here", name.what())).kind(Kind::Settings);
            failure.hint(format!("give it in the environment as {}, or run `preview init`", name.variable()))
        })
    }

    /// The token that manages webhooks: one of its own, else the server's.
    pub(crate) async fn for_hooks(&self) -> Result<SecretString, Failure> {
        match self.get(SecretName::Hooks).await? {
            Some(token) => Ok(token),
            None => match self.get(SecretName::GitHub).await? {
                Some(token) => Ok(token),
                None => self.required(SecretName::Hooks).await,
            },
        }
    }

    /// Keeps a secret.
    pub(crate) async fn keep(&self, name: SecretName, value: &SecretString) -> Result<(), Failure> {
        match &self.kept {
            Kept::Keychain => keychain::set(&self.home, name, value).await,
            Kept::File { .. } => file::set(&self.home, name, Some(value)),
        }
    }

    /// Forgets a secret that was kept; there may be none.
    pub(crate) async fn forget(&self, name: SecretName) -> Result<(), Failure> {
        match &self.kept {
            Kept::Keychain => keychain::remove(&self.home, name).await,
            Kept::File { .. } => file::set(&self.home, name, None),
        }
    }
}

async fn kept() -> Kept {
    if std::env::var_os("PREVIEW_KEYCHAIN").is_some_and(|value| value == "off") {
        return Kept::File { why: "PREVIEW_KEYCHAIN is off".to_owned() };
    }
    match keychain::is_there().await {
        Ok(()) => Kept::Keychain,
        Err(why) => Kept::File { why },
    }
}

/// A secret as it can be sent in a header and stand in an environment file; of a wrong one, nothing is repeated.
pub(crate) fn checked(name: SecretName, text: &str) -> Result<SecretString, Failure> {
    let text = text.trim();
    let fine = !text.is_empty() && text.len() as u64 <= LONGEST && text.bytes().all(|b| b.is_ascii_graphic());
    if fine {
        return Ok(text.into());
    }
    let failure = Failure::new(format!("{} is not usable: it is empty, or has blanks or line breaks", name.what()));
    Err(failure.kind(Kind::Settings).hint("copy it again, whole and alone"))
}

/// A webhook's secret that nobody can guess.
pub(crate) fn fresh() -> SecretString {
    use std::fmt::Write;

    let bytes: [u8; 32] = rand::random();
    let mut text = String::with_capacity(64);
    for byte in bytes {
        // Writing into a String does not fail.
        let _ = write!(text, "{byte:02x}");
    }
    text.into()
}
