//! Handing out host ports and networks.
//!
//! What is taken stands in the ledger, so handing out happens inside a change of it. A port that was given back rests a
//! while: a visitor's late request must not reach somebody else's app.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use preview_core::ids::HostPort;
use preview_core::ports::Pool;
use preview_core::subnets::Subnet;
use tokio::time::Instant;

use super::Config;
use crate::ledger::State;
use crate::needs::Host;

/// What there is to hand out.
pub(super) struct Ports {
    host: Arc<dyn Host>,
    apps: Pool,
    databases: Pool,
    reserved: BTreeSet<HostPort>,
    range: Subnet,
    rest: Duration,
    resting: Mutex<BTreeMap<HostPort, Instant>>,
}

impl Ports {
    pub(super) fn new(config: &Config, host: Arc<dyn Host>) -> Self {
        Self {
            host,
            apps: config.app_ports,
            databases: config.db_ports,
            reserved: config.reserved_ports.clone(),
            range: config.subnets,
            rest: config.pace.rest,
            resting: Mutex::default(),
        }
    }

    /// A free port for a slot.
    pub(super) fn app(&self, state: &State) -> Option<HostPort> {
        self.apps.next_free(&self.taken(state), |port| self.host.is_free(port))
    }

    /// A free port for a database.
    pub(super) fn database(&self, state: &State) -> Option<HostPort> {
        self.databases.next_free(&self.taken(state), |port| self.host.is_free(port))
    }

    /// A free network's number. One that somebody else's containers have is no more free than a port that doesn't bind.
    pub(super) fn network(&self, state: &State) -> Option<u32> {
        let taken = state.deployments.values().filter_map(|d| d.subnet).collect();
        let reached = self.host.networks();
        self.range.next_free(&taken, |network| !reached.iter().any(|other| other.overlaps(network)))
    }

    /// The network of that number.
    pub(super) fn subnet(&self, number: u32) -> Option<Subnet> {
        self.range.preview(number)
    }

    /// Lets a port rest that is being given back.
    pub(super) fn rest(&self, port: HostPort) {
        self.resting.lock().unwrap_or_else(PoisonError::into_inner).insert(port, Instant::now());
    }

    fn taken(&self, state: &State) -> BTreeSet<HostPort> {
        let mut resting = self.resting.lock().unwrap_or_else(PoisonError::into_inner);
        resting.retain(|_, since| since.elapsed() < self.rest);
        let held = state.deployments.values().flat_map(|d| d.ports());
        held.chain(self.reserved.iter().copied()).chain(resting.keys().copied()).collect()
    }
}
