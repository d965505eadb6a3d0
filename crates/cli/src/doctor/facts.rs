//! What there is to look at on a server, and what was seen. Plain values, so that a test makes any state of a server in a line.

use jiff::{SignedDuration, Timestamp};
use preview_core::capacity::Disk;

use crate::dns::Record;

/// Something that was looked at, or why it could not be.
pub(crate) type Look<T> = Result<T, String>;

/// Everything that was seen.
#[derive(Debug, Clone)]
pub(crate) struct Facts {
    /// What previews' addresses begin with.
    pub(crate) base_url: Option<String>,
    /// Every mistake in the settings.
    pub(super) mistakes: Look<Vec<String>>,
    /// Variables that are nearly settings.
    pub(super) misspelt: Vec<String>,
    pub(super) docker: Docker,
    /// Disks that must not fill, by what is on them.
    pub(super) disks: Vec<(&'static str, Look<Disk>)>,
    pub(super) memory: Look<Memory>,
    /// How far our clock is ahead of GitHub's.
    pub(super) clock: Look<SignedDuration>,
    /// nginx, where it is the router.
    pub(super) nginx: Look<Option<Nginx>>,
    /// Whether the helper's socket takes questions; `None` where no setting names the helper.
    pub(super) helper: Option<Look<()>>,
    pub(super) ledger: Look<Ledger>,
    /// What systemd says of the service's unit.
    pub(super) unit: Look<String>,
    pub(super) service: Service,
    /// Ports of the service that somebody else has; looked at while it does not answer.
    pub(super) taken_ports: Vec<(&'static str, u16)>,
    pub(super) github: Look<GitHub>,
    /// What GitHub answers for each repository.
    pub(super) repositories: Vec<(String, Look<u16>)>,
    /// Whether changes are delivered at all.
    pub(super) webhooks_are_on: bool,
    /// Webhooks of each repository.
    pub(super) hooks: Vec<(String, Look<Vec<Hook>>)>,
    /// The newest first.
    pub(super) deliveries: Look<Vec<Delivery>>,
    /// What answers at the previews' address.
    pub(super) at_base_url: Look<Answers>,
    /// The record of that address, where it is a name.
    pub(super) base_record: Option<Record>,
    /// Hosts of previews' own, where they have some.
    pub(super) domain: Look<Option<Domain>>,
}

/// The engine and its tools.
#[derive(Debug, Clone)]
pub(super) struct Docker {
    pub(super) socket: Socket,
    /// Versions.
    pub(super) engine: Look<String>,
    pub(super) compose: Look<String>,
    pub(super) buildx: Look<String>,
}

/// What happens to who wants to talk to the engine.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Socket {
    Opens,
    Forbidden,
    Closed(String),
}

#[derive(Debug, Clone, Copy)]
pub(super) struct Memory {
    pub(super) total: u64,
    pub(super) available: u64,
    /// What one preview's app may use.
    pub(super) container: u64,
}

#[derive(Debug, Clone)]
pub(super) struct Nginx {
    pub(super) config_dir: String,
    /// What its test has against its configuration.
    pub(super) test: Look<Option<String>>,
    /// Whether its configuration includes our folder.
    pub(super) included: Look<bool>,
}

#[derive(Debug, Clone)]
pub(super) struct Ledger {
    pub(super) path: String,
    /// How many deployments it has.
    pub(super) read: Result<usize, String>,
    pub(super) writable: bool,
}

/// What the service says at `/health`.
#[derive(Debug, Clone)]
pub(super) enum Service {
    /// Nobody answers.
    Silent(String),
    /// Somebody else does.
    Stranger(String),
    Answers(Health),
}

/// One thing that the service depends on, as it says.
#[derive(Debug, Clone)]
pub(super) struct Health {
    pub(super) version: String,
    /// What is not fine, by name, and why.
    pub(super) troubles: Vec<(String, String)>,
    pub(super) known_holes: Vec<String>,
}

impl Service {
    /// What the service has against one of the things that it depends on.
    pub(super) fn trouble(&self, name: &str) -> Look<Option<&str>> {
        match self {
            Self::Answers(health) => {
                let found = health.troubles.iter().find(|(check, _)| check == name);
                Ok(found.map(|(_, why)| why.as_str()))
            }
            Self::Silent(_) | Self::Stranger(_) => Err("the service does not answer".to_owned()),
        }
    }
}

/// What GitHub makes of our token.
#[derive(Debug, Clone)]
pub(super) struct GitHub {
    pub(super) status: u16,
    pub(super) ends: Option<Timestamp>,
    /// Of a classic token; a fine-grained one has none.
    pub(super) scopes: Option<Vec<String>>,
    /// Requests of this hour: how many may be, how many are left.
    pub(super) quota: Option<(u64, u64)>,
}

#[derive(Debug, Clone)]
pub(super) struct Hook {
    pub(super) url: String,
    pub(super) active: bool,
    pub(super) json: bool,
    pub(super) events: Vec<String>,
    /// What the last delivery was answered with.
    pub(super) last: Option<u16>,
}

#[derive(Debug, Clone)]
pub(super) struct Delivery {
    pub(super) signed: bool,
    /// Whether it was turned away for its signature.
    pub(super) wrong_signature: bool,
}

/// Who answers at an address.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Answers {
    /// Our router.
    Us,
    /// Somebody, with this status.
    Somebody(u16),
}

#[derive(Debug, Clone)]
pub(super) struct Domain {
    /// The record of the domain itself.
    pub(super) own: Record,
    /// That for all names below it.
    pub(super) wildcard: Record,
    pub(super) at_wildcard: Look<Answers>,
}
