//! Sees to it that what is known has a certificate, long before the one that it has ends.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use jiff::Timestamp;
use preview_core::route::Site;

use super::authority::{Authority, Refused};
use super::name::{CertName, wanted};
use super::retries::Retries;
use super::shown::Certificates;
use super::store::Store;
use super::{Patience, Tell};
use crate::ledger::Ledger;
use crate::needs::{Clock, Router};

/// What one order may take, all its waiting included.
const ORDER: Duration = Duration::from_secs(420);
/// Files that have ended are looked for so often.
const SWEEP: Duration = Duration::from_secs(24 * 3600);

/// Gets certificates and renews them, as long as it runs.
pub(super) struct Keeper {
    pub(super) site: Site,
    /// Whether one certificate is for all hosts below the domain.
    pub(super) wildcard: bool,
    pub(super) authority: Authority,
    pub(super) store: Arc<Store>,
    pub(super) shown: Certificates,
    pub(super) retries: Arc<Mutex<Retries>>,
    pub(super) ledger: Ledger,
    pub(super) clock: Arc<dyn Clock>,
    pub(super) patience: Patience,
}

impl Keeper {
    /// Keeps on. The router is told of each change.
    pub(super) async fn run(self, router: Arc<dyn Router>) {
        let mut untold = true;
        let mut swept: Option<tokio::time::Instant> = None;
        loop {
            let names = self.wanted();
            untold |= self.look(&names);
            if swept.is_none_or(|last| last.elapsed() > SWEEP) {
                swept = Some(tokio::time::Instant::now());
                self.sweep(&names);
            }
            // What the router does not show yet, the authority would not find either.
            if untold {
                untold = !tell(&*router).await;
                continue;
            }
            match names.iter().find(|name| self.is_due(name)) {
                Some(name) => untold |= self.renew(name).await,
                None => tokio::time::sleep(self.patience.look).await,
            }
        }
    }

    /// Shows what is kept of what is known.
    pub(super) fn look_once(&self) {
        self.look(&self.wanted());
    }

    /// The names that certificates are wanted for: of the ledger, and not of anybody who asks.
    fn wanted(&self) -> Vec<CertName> {
        self.ledger.read(|state| {
            let staying = state.deployments.values().filter(|record| record.removing.is_none());
            wanted(&self.site, self.wildcard, staying.map(|record| &record.id))
        })
    }

    /// Shows what is wanted and there, and no more. Tells whether anything has changed.
    fn look(&self, names: &[CertName]) -> bool {
        let now = self.clock.now();
        if self.retries().keep(names) {
            self.keep_retries();
        }
        let mut changed = self.shown.keep(names, now);
        for name in names.iter().filter(|name| self.shown.of_name(name).is_none()) {
            match self.store.certificate(name) {
                Ok(Some(found)) if found.until() > now => {
                    self.shown.show(name.clone(), found);
                    changed = true;
                }
                Ok(_) => {}
                Err(error) => tracing::debug!(%name, %error, "a kept certificate can't be read; it is got anew"),
            }
        }
        changed
    }

    /// Whether a certificate has to be got now.
    fn is_due(&self, name: &CertName) -> bool {
        let now = self.clock.now();
        let renewal = self.shown.of_name(name).map(|found| found.renewal());
        let rests = self.retries().of(name).is_some_and(|failed| failed.next > now);
        renewal.is_none_or(|renewal| renewal <= now) && !rests
    }

    /// Gets a certificate. Tells whether there is a new one.
    async fn renew(&self, name: &CertName) -> bool {
        let got = tokio::time::timeout(ORDER, self.authority.certificate(name)).await;
        let got = got.unwrap_or_else(|_| {
            Err(Refused { cause: format!("no certificate within {} s", ORDER.as_secs()), wait: None })
        });
        let kept = got.and_then(|pem| {
            let unkept = |error| Refused { cause: format!("it can't be kept: {error}"), wait: None };
            self.store.keep(name, &pem).map_err(unkept)
        });
        match kept {
            Ok(certificate) => {
                tracing::info!(%name, until = %certificate.until(), "there is a new certificate");
                self.shown.show(name.clone(), certificate);
                if self.retries().succeeded(name) {
                    self.keep_retries();
                }
                true
            }
            Err(Refused { cause, wait }) => {
                self.retries().failed(name, cause, (self.clock.now(), self.patience.retry, wait));
                self.keep_retries();
                if let Some(trouble) = trouble_of(name, &self.retries(), &self.shown) {
                    tracing::warn!("{trouble}");
                }
                false
            }
        }
    }

    fn retries(&self) -> MutexGuard<'_, Retries> {
        self.retries.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn keep_retries(&self) {
        let retries = self.retries().clone();
        if let Err(error) = self.store.keep_retries(&retries) {
            tracing::warn!(%error, "what failed with the authority could not be written down");
        }
    }

    fn sweep(&self, names: &[CertName]) {
        if let Err(error) = self.store.sweep(names, self.clock.now()) {
            tracing::warn!(%error, "certificates that have ended could not be deleted");
        }
    }

    /// What tells of troubles while this runs.
    pub(super) fn troubles(&self) -> Tell {
        let (retries, shown) = (self.retries.clone(), self.shown.clone());
        Arc::new(move || {
            let retries = retries.lock().unwrap_or_else(PoisonError::into_inner).clone();
            let told: Vec<String> = retries.names().filter_map(|name| trouble_of(&name, &retries, &shown)).collect();
            (!told.is_empty()).then(|| told.join(". "))
        })
    }
}

/// Has the router take the certificates up; a router that can't is told again later.
async fn tell(router: &dyn Router) -> bool {
    match router.take_certificates().await {
        Ok(()) => true,
        Err(fault) => {
            fault.log("the router could not take up new certificates; it is told again");
            tokio::time::sleep(Duration::from_secs(1)).await;
            false
        }
    }
}

/// What is wrong with a name's certificate, in one sentence.
fn trouble_of(name: &CertName, retries: &Retries, shown: &Certificates) -> Option<String> {
    let failed = retries.of(name)?;
    let what = match shown.of_name(name) {
        Some(certificate) => {
            format!("the certificate of {name} ends at {} and could not be renewed", certificate.until())
        }
        None => format!("there is no certificate for {name}"),
    };
    let next = Timestamp::from_second(failed.next.as_second()).unwrap_or(failed.next);
    Some(format!("{what}: {}; it is tried again at {next}", failed.cause))
}
