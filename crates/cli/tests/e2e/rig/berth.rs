//! What tests side by side on one machine must not share: ports, networks, and names on the engine.

use std::fs::File;
use std::net::TcpListener;
use std::sync::atomic::{AtomicU16, Ordering};

/// Ranges of ports and networks of one's own, so that tests side by side, in this run or in another on the same machine,
/// don't take each other's. Given back when dropped.
pub(super) struct Berth {
    pub(super) number: u16,
    _held: File,
}

impl Berth {
    pub(super) fn take() -> Self {
        let free = |number| {
            let path = std::env::temp_dir().join(format!("preview-e2e-berth-{number}"));
            // Somebody else's file is somebody else's berth.
            let held = File::create(path).ok()?;
            held.try_lock().ok()?;
            let berth = Self { number, _held: held };
            berth.is_empty().then_some(berth)
        };
        (0..60).find_map(free).expect("fewer than 60 installations at a time")
    }

    pub(super) fn apps(&self) -> u16 {
        10_000 + 200 * self.number
    }

    pub(super) fn databases(&self) -> u16 {
        23_000 + 100 * self.number
    }

    /// Whether nobody listens where its first previews will, such as a program of this machine that knows nothing of berths.
    fn is_empty(&self) -> bool {
        let mut first = (0..50).flat_map(|n| [self.apps() + n, self.databases() + n]);
        first.all(|port| TcpListener::bind(("127.0.0.1", port)).is_ok())
    }
}

/// An owner of repositories that no other test has.
pub(crate) fn unique_owner() -> String {
    static NUMBER: AtomicU16 = AtomicU16::new(0);
    format!("org{}x{}", std::process::id(), NUMBER.fetch_add(1, Ordering::Relaxed))
}
