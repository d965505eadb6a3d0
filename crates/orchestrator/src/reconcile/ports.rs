//! Handing out host ports and networks.
//!
//! What is taken stands in the ledger, so handing out happens inside a change of it. A port that was given back rests a
//! minute: a visitor's late request must not reach somebody else's app.

use std::collections::{BTreeMap, BTreeSet};
use std::net::{Ipv4Addr, TcpListener};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use preview_core::ids::HostPort;
use preview_core::ports::Pool;
use preview_core::subnets::Subnet;
use tokio::time::Instant;

use crate::host_routes;
use crate::ledger::State;

/// How long a port rests after it was given back.
const REST: Duration = Duration::from_secs(60);

/// What there is to hand out.
#[derive(Debug)]
pub(super) struct Ports {
    apps: Pool,
    databases: Pool,
    reserved: BTreeSet<HostPort>,
    range: Subnet,
    resting: Mutex<BTreeMap<HostPort, Instant>>,
}

impl Ports {
    pub(super) fn new(apps: Pool, databases: Pool, reserved: BTreeSet<HostPort>, range: Subnet) -> Self {
        Self { apps, databases, reserved, range, resting: Mutex::default() }
    }

    /// A free port for a slot.
    pub(super) fn app(&self, state: &State) -> Option<HostPort> {
        self.apps.next_free(&self.taken(state), binds)
    }

    /// A free port for a database.
    pub(super) fn database(&self, state: &State) -> Option<HostPort> {
        self.databases.next_free(&self.taken(state), binds)
    }

    /// A free network's number. One that somebody else's containers have is no more free than a port that doesn't bind.
    pub(super) fn network(&self, state: &State) -> Option<u32> {
        let taken = state.deployments.values().filter_map(|d| d.subnet).collect();
        let reached = host_routes::reached();
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
        resting.retain(|_, since| since.elapsed() < REST);
        let held = state.deployments.values().flat_map(|d| d.ports());
        held.chain(self.reserved.iter().copied()).chain(resting.keys().copied()).collect()
    }
}

/// Whether nobody else listens there.
fn binds(port: HostPort) -> bool {
    TcpListener::bind((Ipv4Addr::LOCALHOST, port.get())).is_ok()
}
