//! A lock that programs can hold too: a file, locked by `flock`, whose open descriptor they inherit.

use std::fs::OpenOptions;
use std::io;
use std::os::fd::OwnedFd;
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use rustix::fs::{FlockOperation, flock};
use tokio::time::{Instant, sleep};

/// How long a program of our predecessor may still hold a lock. Such programs die with it, so this is seconds at most.
const STRAGGLER: Duration = Duration::from_secs(30);

/// Makes the file if need be and locks it once nobody else does. [`io::ErrorKind::TimedOut`]: somebody still does.
pub async fn lock_file(path: &Path) -> io::Result<Arc<OwnedFd>> {
    let file = OpenOptions::new().create(true).truncate(false).write(true).mode(0o600).open(path)?;
    let lock = Arc::new(OwnedFd::from(file));
    let deadline = Instant::now() + STRAGGLER;
    loop {
        match flock(lock.as_ref(), FlockOperation::NonBlockingLockExclusive) {
            Ok(()) => return Ok(lock),
            Err(rustix::io::Errno::WOULDBLOCK) if Instant::now() > deadline => {
                return Err(io::ErrorKind::TimedOut.into());
            }
            Err(rustix::io::Errno::WOULDBLOCK) => sleep(Duration::from_millis(10)).await,
            Err(error) => return Err(error.into()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn a_lock_is_waited_for_but_not_for_ever() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("lock");
        let first = lock_file(&path).await.unwrap();
        assert_eq!(lock_file(&path).await.unwrap_err().kind(), io::ErrorKind::TimedOut);
        let (second, ()) = tokio::join!(lock_file(&path), async {
            sleep(Duration::from_secs(5)).await;
            drop(first);
        });
        second.unwrap();
    }
}
