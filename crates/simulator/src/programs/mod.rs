//! Real programs that tests run beside themselves, each with ports and files of its own, until what stands for it is dropped.
//!
//! These are for tests alone: what goes wrong here is told by a panic, with what the program said.

mod nginx;
mod pebble;
mod records;
mod running;
mod tmux;

use std::time::Duration;

use tokio::time::Instant;

pub use nginx::PrivateNginx;
pub use pebble::Pebble;
pub use records::{Records, Zone};
pub use running::Running;
pub use tmux::Tmux;

/// How long a program may take to do what is waited for.
const PATIENCE: Duration = Duration::from_secs(60);
/// Between two looks.
const PAUSE: Duration = Duration::from_millis(20);

/// Waits until a program takes connections there.
async fn listens(running: &Running, address: std::net::SocketAddr) {
    let begun = Instant::now();
    while tokio::net::TcpStream::connect(address).await.is_err() {
        assert!(!running.ended(), "{}", running.said());
        assert!(begun.elapsed() < PATIENCE, "nobody listens at {address} after {PATIENCE:?}: {}", running.said());
        tokio::time::sleep(PAUSE).await;
    }
}
