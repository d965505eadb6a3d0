//! Sees to it that what is known has a certificate, long before the one that it has ends.

use std::sync::Arc;
use std::time::Duration;

use super::Patience;
use super::authority::{Authority, Refused};
use super::name::CertName;
use super::register::Register;
use super::store::Store;
use crate::needs::Router;

/// What one order may take, all its waiting included.
const ORDER: Duration = Duration::from_secs(420);
/// Files that have ended are looked for so often.
const SWEEP: Duration = Duration::from_secs(24 * 3600);

/// Gets certificates and renews them, as long as it runs.
pub(super) struct Keeper {
    pub(super) register: Register,
    pub(super) authority: Authority,
    pub(super) store: Arc<Store>,
    pub(super) patience: Patience,
}

impl Keeper {
    /// Keeps on. The router is told of each change.
    pub(super) async fn run(&self, router: Arc<dyn Router>) {
        let mut swept: Option<tokio::time::Instant> = None;
        loop {
            let names = self.register.names();
            self.look(&names);
            if swept.is_none_or(|last| last.elapsed() > SWEEP) {
                swept = Some(tokio::time::Instant::now());
                self.sweep(&names);
            }
            // What the router does not show yet, the authority would not find either.
            if !self.register.is_served() {
                self.tell(&*router).await;
                continue;
            }
            match names.iter().find(|name| self.is_due(name)) {
                Some(name) => self.renew(name).await,
                None => tokio::time::sleep(self.patience.look).await,
            }
        }
    }

    /// Shows what is kept of what is known.
    pub(super) fn look_once(&self) {
        self.look(&self.register.names());
    }

    /// Shows what is wanted and there, and no more.
    fn look(&self, names: &[CertName]) {
        let now = self.register.now();
        if self.register.retries().keep(names) {
            self.keep_retries();
        }
        if self.register.shown().keep(names, now) {
            self.register.changing();
        }
        for name in names.iter().filter(|name| self.register.shown().of_name(name).is_none()) {
            match self.store.certificate(name) {
                Ok(Some(found)) if found.until() > now => self.register.changing().show(name.clone(), found),
                Ok(_) => {}
                Err(error) => tracing::debug!(%name, %error, "a kept certificate can't be read; it is got anew"),
            }
        }
    }

    /// Whether a certificate has to be got now.
    fn is_due(&self, name: &CertName) -> bool {
        let now = self.register.now();
        let renewal = self.register.shown().of_name(name).map(|found| found.renewal());
        let rests = self.register.retries().of(name).is_some_and(|failed| failed.next > now);
        renewal.is_none_or(|renewal| renewal <= now) && !rests
    }

    /// Gets a certificate, or notes why there is none.
    async fn renew(&self, name: &CertName) {
        let got = tokio::time::timeout(ORDER, self.authority.certificate(name)).await;
        let got = got.unwrap_or_else(|_| {
            Err(Refused { cause: format!("no certificate within {} s", ORDER.as_secs()).into(), wait: None })
        });
        let kept = got.and_then(|pem| {
            let unkept = |error| Refused { cause: format!("it can't be kept: {error}").into(), wait: None };
            self.store.keep(name, &pem).map_err(unkept)
        });
        match kept {
            Ok(certificate) => {
                tracing::info!(%name, until = %certificate.until(), "there is a new certificate");
                self.register.changing().show(name.clone(), certificate);
                if self.register.retries().succeeded(name) {
                    self.keep_retries();
                }
            }
            Err(Refused { cause, wait }) => {
                let when = (self.register.now(), self.patience.retry, wait);
                self.register.retries().failed(name, cause, when);
                self.keep_retries();
                if let Some(trouble) = self.register.trouble_of(name) {
                    tracing::warn!("{trouble}");
                }
            }
        }
    }

    /// Has the router take the certificates up; a router that can't is told again later.
    async fn tell(&self, router: &dyn Router) {
        match router.take_certificates().await {
            Ok(()) => self.register.served(),
            Err(fault) => {
                fault.log("the router could not take up new certificates; it is told again");
                tokio::time::sleep(Duration::from_secs(1)).await;
            }
        }
    }

    fn keep_retries(&self) {
        let retries = self.register.retries().clone();
        if let Err(error) = self.store.keep_retries(&retries) {
            tracing::warn!(%error, "what failed with the authority could not be written down");
        }
    }

    fn sweep(&self, names: &[CertName]) {
        if let Err(error) = self.store.sweep(names, self.register.now()) {
            tracing::warn!(%error, "certificates that have ended could not be deleted");
        }
    }
}
