//! The certificates that are served at this moment: what both routers ask.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::{Arc, PoisonError, RwLock};

use jiff::Timestamp;
use rustls::server::{ClientHello, ResolvesServerCert};
use rustls::sign::CertifiedKey;

use super::certificate::Certificate;
use super::name::CertName;

/// The certificates that are served, by their names. Clones share it.
#[derive(Clone, Default)]
pub struct Certificates(Arc<RwLock<BTreeMap<CertName, Certificate>>>);

impl fmt::Debug for Certificates {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Certificates").field(&self.all()).finish()
    }
}

impl Certificates {
    /// Those of this moment.
    pub fn all(&self) -> BTreeMap<CertName, Certificate> {
        self.0.read().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// The one that serves this host, given in lower case and without a port.
    pub fn of_host(&self, host: &str) -> Option<Certificate> {
        let all = self.0.read().unwrap_or_else(PoisonError::into_inner);
        let exact = CertName::of_host(host);
        all.get(&exact).or_else(|| all.iter().find(|(name, _)| name.covers(host)).map(|(_, found)| found)).cloned()
    }

    pub(super) fn of_name(&self, name: &CertName) -> Option<Certificate> {
        self.0.read().unwrap_or_else(PoisonError::into_inner).get(name).cloned()
    }

    /// Serves this one from now on, in place of the former.
    pub(super) fn show(&self, name: CertName, certificate: Certificate) {
        self.0.write().unwrap_or_else(PoisonError::into_inner).insert(name, certificate);
    }

    /// Leaves out what is not wanted any more, and what has ended: without, visitors are still served unencrypted.
    /// Tells whether there was any.
    pub(super) fn keep(&self, wanted: &[CertName], now: Timestamp) -> bool {
        let mut all = self.0.write().unwrap_or_else(PoisonError::into_inner);
        let before = all.len();
        all.retain(|name, certificate| wanted.contains(name) && certificate.until() > now);
        all.len() != before
    }
}

impl ResolvesServerCert for Certificates {
    /// The one for the host that a client names; a client that names none, or an unknown one, gets no handshake.
    fn resolve(&self, hello: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        self.of_host(&hello.server_name()?.to_ascii_lowercase()).map(|found| found.key())
    }
}
