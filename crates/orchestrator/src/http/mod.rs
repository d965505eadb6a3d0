//! placeholder
use crate::{
    folders::Folders,
    ledger::Ledger,
    needs::{ContainerEngine, Router},
    reconcile::Reconciler,
};
use secrecy::SecretString;
use std::sync::Arc;
use tokio_util::sync::CancellationToken;
#[allow(missing_docs)]
pub struct Desk {
    pub reconciler: Reconciler,
    pub ledger: Ledger,
    pub engine: Arc<dyn ContainerEngine>,
    pub router: Arc<dyn Router>,
    pub folders: Folders,
    pub token: SecretString,
    pub webhook_secret: Option<SecretString>,
}
#[allow(missing_docs)]
pub async fn serve(_l: tokio::net::TcpListener, _d: Desk, stop: CancellationToken) {
    stop.cancelled().await
}
