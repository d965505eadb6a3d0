//! Certificates: got from an authority by ACME, kept, renewed, and shown to whichever router serves.
//!
//! | file | what lives there |
//! | --- | --- |
//! | `name` | the names that certificates are wanted for: known ones alone |
//! | `keeper`, `retries` | what is due is got, one at a time; what failed is tried again, later and later |
//! | `register` | how each stands, for whoever asks |
//! | `authority`, `transport` | one order, from the account to the certificate; how its requests travel |
//! | `answers`, `zone` | how the authority is shown whose a name is: at port 80, or in the zone |
//! | `store`, `certificate` | the folder that survives restarts; one file of it |
//! | `shown` | what is served at this moment |

mod answers;
mod authority;
mod certificate;
mod keeper;
mod name;
mod register;
mod retries;
mod shown;
mod store;
mod transport;
mod zone;

use std::fmt;
use std::io;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use preview_core::route::Site;

pub use self::answers::{Answers, PATH as CHALLENGE_PATH};
pub use self::certificate::Certificate;
pub use self::name::CertName;
pub use self::register::{Overview, Register, Stage, Standing};
pub use self::shown::Certificates;

use self::authority::{Authority, Proof};
use self::keeper::Keeper;
use self::store::Store;
use self::transport::Transport;
use self::zone::Zones;
use crate::ledger::Ledger;
use crate::needs::{Clock, Router};
use crate::settings::{Challenge, Tls as Settings};

/// Our own patience.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Patience {
    /// Between two looks at what is wanted and due.
    pub look: Duration,
    /// After a first failure; then it grows.
    pub retry: Duration,
    /// Until others see a new record of a zone.
    pub records: Duration,
}

impl Default for Patience {
    fn default() -> Self {
        Self { look: Duration::from_secs(1), retry: Duration::from_secs(300), records: Duration::from_secs(20) }
    }
}

/// Certificates can't be kept or asked for.
#[derive(Debug, thiserror::Error)]
pub enum BadTls {
    /// Their folder can't be used.
    #[error("the folder of certificates can't be used")]
    Folder(#[from] io::Error),
    /// There is no client.
    #[error("the client for the certificate authority can't be made")]
    Client(#[from] reqwest::Error),
}

/// What routers show of certificates.
#[derive(Debug, Clone, Default)]
pub struct Shown {
    /// Certificates.
    pub certificates: Certificates,
    /// What the authority is answered at port 80.
    pub answers: Answers,
}

/// Certificates of an installation. Nothing is asked for before [`Tls::keep`].
pub struct Tls(Keeper);

impl fmt::Debug for Tls {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Tls").field(&self.0.register).finish()
    }
}

impl Tls {
    /// Opens the folder and shows what is kept and known, so that a router begins with it.
    pub fn open(
        settings: &Settings,
        folder: &Path,
        shown: &Shown,
        parts: (Site, Ledger, Arc<dyn Clock>),
        patience: Patience,
    ) -> Result<Self, BadTls> {
        let store = Arc::new(Store::open(folder, settings.directory.as_str())?);
        let (proof, wildcard) = match &settings.challenge {
            Challenge::Http => (Proof::Answer(shown.answers.clone()), false),
            Challenge::Dns(zones) => (Proof::Record(Zones::new(zones)?, patience.records), true),
        };
        let transport = Transport::new(&settings.authorities)?;
        let directory = settings.directory.as_str().to_owned();
        let authority = Authority::new(directory, settings.email.clone(), transport, store.clone(), proof);
        let retries = store.retries().unwrap_or_default();
        let names = register::Names { wildcard, address: settings.address };
        let register = Register::new(parts, names, shown.certificates.clone(), retries);
        let keeper = Keeper { register, authority, store, patience };
        keeper.look_once();
        Ok(Self(keeper))
    }

    /// How certificates stand, as long as this runs.
    pub fn register(&self) -> Register {
        self.0.register.clone()
    }

    /// Gets what is due, and goes on. The router is told of each change.
    pub async fn keep(&self, router: Arc<dyn Router>) {
        self.0.run(router).await;
    }
}
