//! Telling the router where visitors go.
//!
//! The table is made from the ledger, but for a preview that is being switched: the router answers with its new slot before
//! the ledger says so. That is known here alone, so that a successor of ours sends visitors back to the slot that served.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};

use preview_core::ids::{DeploymentId, HostPort};
use preview_core::route::{Route, RouteTable};

use super::Reconciler;
use crate::ledger::State;
use crate::needs::Fault;

/// What the router is being told.
#[derive(Debug, Default)]
pub(super) struct Routing {
    /// Previews whose visitors go to a new slot before the ledger says so.
    switching: Mutex<BTreeMap<DeploymentId, HostPort>>,
    /// Held while the router is told: an older table must not arrive after a newer one.
    turn: tokio::sync::Mutex<()>,
    asked: AtomicU64,
    applied: AtomicU64,
}

impl Routing {
    fn switching(&self) -> MutexGuard<'_, BTreeMap<DeploymentId, HostPort>> {
        self.switching.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Sends a preview's visitors to this port, until what is returned is dropped.
    pub(super) fn switch(&self, id: &DeploymentId, port: HostPort) -> Switching<'_> {
        self.switching().insert(id.clone(), port);
        Switching { routing: self, id: id.clone() }
    }
}

/// A preview that is being switched.
pub(super) struct Switching<'a> {
    routing: &'a Routing,
    id: DeploymentId,
}

impl Drop for Switching<'_> {
    fn drop(&mut self) {
        self.routing.switching().remove(&self.id);
    }
}

impl Reconciler {
    /// Makes the router hold where visitors should go, of all previews. Who asks while it is being told shares the next
    /// telling.
    pub(super) async fn apply_routes(&self) -> Result<(), Fault> {
        let routing = &self.inner.routing;
        let mine = routing.asked.fetch_add(1, Ordering::SeqCst) + 1;
        let _turn = routing.turn.lock().await;
        if routing.applied.load(Ordering::SeqCst) >= mine {
            return Ok(());
        }
        let asked = routing.asked.load(Ordering::SeqCst);
        self.inner.out.router.apply(&self.routes()).await?;
        routing.applied.store(asked, Ordering::SeqCst);
        Ok(())
    }

    fn routes(&self) -> RouteTable {
        let switching = self.inner.routing.switching().clone();
        self.inner.ledger.read(|state| table(state, &switching))
    }
}

/// Where visitors go while nothing is being switched: what a router begins with.
pub fn routes(state: &State) -> RouteTable {
    table(state, &BTreeMap::new())
}

/// A preview that is going has no route.
fn table(state: &State, switching: &BTreeMap<DeploymentId, HostPort>) -> RouteTable {
    let staying = state.deployments.values().filter(|record| record.removing.is_none());
    let routes = staying.filter_map(|record| {
        let serving = record.serving.as_ref().map(|serving| serving.app_port);
        let port = switching.get(&record.id).copied().or(serving)?;
        Some(Route { deployment: record.id.clone(), port })
    });
    routes.collect()
}
