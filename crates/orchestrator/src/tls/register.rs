//! The register: which names want a certificate, which are served with one, and what has failed. The keeper changes it; `/health`,
//! the API and through it people look into it, and may ask that what failed is tried again now.

use std::fmt;
use std::net::IpAddr;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use jiff::Timestamp;
use preview_core::route::Site;
use serde::{Deserialize, Serialize};

use super::name::{CertName, wanted};
use super::retries::Retries;
use super::shown::Certificates;
use crate::ledger::Ledger;
use crate::needs::Clock;

/// What is known of the names of an installation.
#[derive(Debug, Clone, Copy)]
pub(super) struct Names {
    /// Whether one certificate is for all hosts below the domain, as records of the zone alone allow.
    pub(super) wildcard: bool,
    /// Where they have to lead, if that is said.
    pub(super) address: Option<IpAddr>,
}

/// How certificates stand at this moment. Clones share it.
#[derive(Clone)]
pub struct Register {
    site: Site,
    names: Names,
    ledger: Ledger,
    clock: Arc<dyn Clock>,
    shown: Certificates,
    retries: Arc<Mutex<Retries>>,
    /// Whether the router serves all that are shown.
    served: Arc<AtomicBool>,
}

impl fmt::Debug for Register {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Register").field("shown", &self.shown).finish_non_exhaustive()
    }
}

/// All certificates that are wanted.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Overview {
    /// Each; the first is the one that serves the previews' own address, where deliveries come to. None without `TLS=acme`.
    pub certificates: Vec<Standing>,
    /// Whether the router serves all of them that are valid.
    pub served: bool,
    /// Whether the authority is shown by a record of the zone whose the names are, and not by an answer at port 80.
    #[serde(default)]
    pub by_record: bool,
    /// Where the names have to lead, if the settings say so.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub address: Option<IpAddr>,
    /// The service's time.
    pub now: Timestamp,
}

/// How one certificate stands.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Standing {
    /// What it is for: a host, or `*.` and a domain.
    pub name: String,
    /// Whether there is one.
    pub state: Stage,
    /// When the one that there is ends.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub until: Option<Timestamp>,
    /// Why the last try to get one, or to renew it, failed.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cause: Option<String>,
    /// What kind of problem the authority called that: the last word of an error type of RFC 8555, section 6.7.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub problem: Option<String>,
    /// When that was.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub tried: Option<Timestamp>,
    /// When it is tried again.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub next: Option<Timestamp>,
}

/// Whether there is a certificate.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum Stage {
    /// There is one.
    Valid,
    /// There is none yet: it is being got, or its turn comes.
    Ordered,
    /// There is none: the last try failed, and the next is later.
    Failed,
}

impl Register {
    pub(super) fn new(
        (site, ledger, clock): (Site, Ledger, Arc<dyn Clock>),
        names: Names,
        shown: Certificates,
        retries: Retries,
    ) -> Self {
        let retries = Arc::new(Mutex::new(retries));
        Self { site, names, ledger, clock, shown, retries, served: Arc::default() }
    }

    /// The names that certificates are wanted for: of the ledger, and not of anybody who asks.
    pub(super) fn names(&self) -> Vec<CertName> {
        self.ledger.read(|state| {
            let staying = state.deployments.values().filter(|record| record.removing.is_none());
            wanted(&self.site, self.names.wildcard, staying.map(|record| &record.id))
        })
    }

    pub(super) fn now(&self) -> Timestamp {
        self.clock.now()
    }

    /// What is shown of it from now on is not what the router serves; said before it changes.
    pub(super) fn changing(&self) -> &Certificates {
        self.served.store(false, Ordering::SeqCst);
        &self.shown
    }

    pub(super) fn shown(&self) -> &Certificates {
        &self.shown
    }

    pub(super) fn is_served(&self) -> bool {
        self.served.load(Ordering::SeqCst)
    }

    /// The router has taken up what is shown.
    pub(super) fn served(&self) {
        self.served.store(true, Ordering::SeqCst);
    }

    pub(super) fn retries(&self) -> MutexGuard<'_, Retries> {
        self.retries.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// What is wrong, in one sentence for each name; `None` while all is well.
    pub fn trouble(&self) -> Option<String> {
        let names: Vec<CertName> = self.retries().names().collect();
        let told: Vec<String> = names.iter().filter_map(|name| self.trouble_of(name)).collect();
        (!told.is_empty()).then(|| told.join(". "))
    }

    /// What is wrong with a name's certificate, in one sentence.
    pub(super) fn trouble_of(&self, name: &CertName) -> Option<String> {
        let failed = self.retries().of(name)?.clone();
        let what = match self.shown.of_name(name) {
            Some(certificate) => {
                format!("the certificate of {name} ends at {} and could not be renewed", certificate.until())
            }
            None => format!("there is no certificate for {name}"),
        };
        Some(format!("{what}: {}; it is tried again at {}", failed.cause, seconds(failed.next)))
    }

    /// How each certificate stands.
    pub fn overview(&self) -> Overview {
        let served = self.is_served();
        let certificates = self.names().iter().map(|name| self.standing(name)).collect();
        // Both times, so that a change in between is not taken for one that is served.
        let served = served && self.is_served();
        let Names { wildcard: by_record, address } = self.names;
        Overview { certificates, served, by_record, address, now: self.now() }
    }

    fn standing(&self, name: &CertName) -> Standing {
        let until = self.shown.of_name(name).map(|certificate| certificate.until());
        let failed = self.retries().of(name).cloned();
        let rests = failed.as_ref().is_some_and(|failed| failed.next > self.now());
        let state = match until {
            Some(_) => Stage::Valid,
            None if rests => Stage::Failed,
            None => Stage::Ordered,
        };
        let (tried, next) = failed.as_ref().map(|failed| (failed.at, seconds(failed.next))).unzip();
        let (cause, problem) = failed.map(|failed| (failed.cause, failed.problem)).unzip();
        Standing { name: name.to_string(), state, until, cause, problem: problem.flatten(), tried, next }
    }

    /// Has what failed be tried again at once, but for what the authority itself asked to wait with.
    pub fn retry(&self) {
        let now = self.now();
        self.retries().again(now);
    }
}

/// Nobody wants to read more of a time.
fn seconds(time: Timestamp) -> Timestamp {
    Timestamp::from_second(time.as_second()).unwrap_or(time)
}

#[cfg(test)]
mod tests {
    use std::net::Ipv4Addr;
    use std::time::Duration;

    use super::*;
    use crate::ledger::{State, Storage};

    struct Noon;

    impl Clock for Noon {
        fn now(&self) -> Timestamp {
            "2026-01-29T12:00:00Z".parse().unwrap()
        }
    }

    struct Nowhere;

    impl Storage for Nowhere {
        fn store(&mut self, _: &State) -> std::io::Result<()> {
            Ok(())
        }
    }

    fn register() -> Register {
        let site = Site::new("https://p.example.org".parse().unwrap(), None);
        let parts = (site, Ledger::new(State::default(), Nowhere), Arc::new(Noon) as Arc<dyn Clock>);
        let names = Names { wildcard: false, address: Some(Ipv4Addr::new(203, 0, 113, 8).into()) };
        Register::new(parts, names, Certificates::default(), Retries::default())
    }

    fn fails(register: &Register, asked: Option<Duration>) {
        let cause = super::super::authority::Cause { told: "no".to_owned(), problem: Some("dns".to_owned()) };
        let when = (register.now(), Duration::from_secs(300), asked);
        register.retries().failed(&CertName::of_host("p.example.org"), cause, when);
    }

    #[tokio::test]
    async fn what_failed_rests_and_is_ordered_again_when_somebody_asks() {
        let register = register();
        let state = || register.overview().certificates[0].state;
        assert_eq!((state(), register.trouble()), (Stage::Ordered, None));
        assert_eq!(register.overview().address.map(|address| address.to_string()).as_deref(), Some("203.0.113.8"));
        fails(&register, None);
        let told = register.overview().certificates.remove(0);
        assert_eq!(
            (told.state, told.cause.as_deref(), told.problem.as_deref()),
            (Stage::Failed, Some("no"), Some("dns"))
        );
        assert!(
            register
                .trouble()
                .unwrap()
                .starts_with("there is no certificate for p.example.org: no; it is tried again at ")
        );
        register.retry();
        assert_eq!(state(), Stage::Ordered);
    }

    #[tokio::test]
    async fn the_authority_s_own_pause_is_nobody_s_to_cut_short() {
        let register = register();
        fails(&register, Some(Duration::from_secs(7200)));
        register.retry();
        let told = register.overview().certificates.remove(0);
        assert_eq!(told.state, Stage::Failed);
        assert_eq!(told.next.unwrap().duration_since(register.now()).as_secs(), 7200);
    }

    #[tokio::test]
    async fn what_is_shown_is_not_served_before_the_router_has_it() {
        let register = register();
        register.served();
        assert!(register.overview().served);
        register.changing();
        assert!(!register.overview().served);
    }
}
