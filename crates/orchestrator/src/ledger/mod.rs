//! The ledger: the one place where what we know is kept, and the only thing that must survive us.
//!
//! There is one copy in memory and one writer. A change is made in memory and answered when it is on the disk; changes that
//! come while a write is under way share the next one, so that a burst of webhooks costs a handful of writes.

mod file;
#[cfg(test)]
mod fuzz;
mod heard;
mod older;
mod state;

use std::io;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::Path;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, mpsc};
use std::time::{Duration, Instant};

use jiff::Timestamp;
use tokio::sync::watch;

pub use file::{Found, LedgerFile, OpenError, Storage, peek};
pub use heard::{Done, Heard, Mark};
pub use state::{Imported, Pending, Project, Reason, State};

/// How long after a failed write the next is tried when nothing else asks for one.
const RETRY: Duration = Duration::from_secs(1);
/// A write that takes longer has no end in sight: nothing can be taken back of it, so it is waited for, and told of.
const SLOW: Duration = Duration::from_secs(10);

/// A change could not be put on the disk. It holds in memory and goes to the disk with the next write that succeeds.
#[derive(Debug, Clone, thiserror::Error)]
#[error("the ledger could not be written: {0}")]
pub struct WriteError(String);

/// A handle to the ledger. Clones share it.
#[derive(Clone)]
pub struct Ledger {
    shared: Arc<Shared>,
    disk: Disk,
}

/// Who writes.
#[derive(Clone)]
enum Disk {
    /// A thread of its own: a slow disk must hold up neither the runtime's workers nor its pool.
    Thread { written: watch::Receiver<Written>, wake: mpsc::Sender<()> },
    /// Whoever changes.
    Inline(Arc<Mutex<Writer>>),
}

struct Shared {
    live: Mutex<Live>,
}

struct Live {
    state: State,
    generation: u64,
    /// Since when it is being written.
    writing: Option<Instant>,
}

/// How far the disk is.
#[derive(Debug, Clone, Default)]
struct Written {
    /// The newest generation on the disk.
    generation: u64,
    /// The newest generation that could not be written, and why; cleared by the next write that succeeds.
    failed: Option<(u64, String)>,
}

impl Ledger {
    /// Opens the ledger's file; see [`LedgerFile::open`].
    pub fn open(path: &Path, now: Timestamp) -> Result<(Self, Found), OpenError> {
        let (file, state, found) = LedgerFile::open(path, now)?;
        Ok((Self::new(state, file), found))
    }

    /// A ledger over any storage: what tests use to make writes fail.
    pub fn new(state: State, storage: impl Storage) -> Self {
        let (wake, woken) = mpsc::channel();
        let (shared, writer, written) = Writer::new(state, storage);
        std::thread::spawn(move || writer.run(&woken));
        Self { shared, disk: Disk::Thread { written, wake } }
    }

    /// A ledger that each change writes before it returns, without a thread: for a storage that takes no time. A paused
    /// clock sees nothing of it, where waiting for a thread looks like idleness and makes the clock jump.
    pub fn inline(state: State, storage: impl Storage) -> Self {
        let (shared, writer, _) = Writer::new(state, storage);
        Self { shared, disk: Disk::Inline(Arc::new(Mutex::new(writer))) }
    }

    /// Looks at the state.
    pub fn read<T>(&self, look: impl FnOnce(&State) -> T) -> T {
        look(&self.shared.lock().state)
    }

    /// Changes the state, and returns once the change is on the disk.
    pub async fn change<T>(&self, change: impl FnOnce(&mut State) -> T) -> Result<T, WriteError> {
        let (value, generation) = {
            let mut live = self.shared.lock();
            let value = change(&mut live.state);
            live.generation += 1;
            (value, live.generation)
        };
        self.durable(generation).await.map(|()| value)
    }

    async fn durable(&self, generation: u64) -> Result<(), WriteError> {
        let gone = || WriteError("its writer has ended".to_owned());
        let (wake, written) = match &self.disk {
            Disk::Thread { written, wake } => (wake, written),
            Disk::Inline(writer) => return lock(writer).write_now(),
        };
        wake.send(()).map_err(|_| gone())?;
        let settled =
            |w: &Written| w.generation >= generation || w.failed.as_ref().is_some_and(|(to, _)| *to >= generation);
        let mut written = written.clone();
        let written = written.wait_for(settled).await.map_err(|_| gone())?;
        match &written.failed {
            Some((_, error)) if written.generation < generation => Err(WriteError(error.clone())),
            _ => Ok(()),
        }
    }

    /// Why changes don't get to the disk, while they don't: the last write failed, or one has no end. For `/health`.
    pub fn trouble(&self) -> Option<String> {
        let writing = self.shared.lock().writing.map(|since| since.elapsed());
        if let Some(time) = writing.filter(|time| *time > SLOW) {
            return Some(format!(
                "a write has taken {} s and has not ended: is its disk out of order?",
                time.as_secs()
            ));
        }
        let of = |written: &Written| written.failed.as_ref().map(|(_, error)| error.clone());
        match &self.disk {
            Disk::Thread { written, .. } => of(&written.borrow()),
            Disk::Inline(writer) => of(&lock(writer).tell.borrow()),
        }
    }
}

impl Shared {
    /// A panic while changing leaves the state as far as it had come; every change is small and total, so that is a whole state.
    fn lock(&self) -> MutexGuard<'_, Live> {
        lock(&self.live)
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

struct Writer {
    shared: Arc<Shared>,
    storage: Box<dyn Storage>,
    tell: watch::Sender<Written>,
}

impl Writer {
    fn new(state: State, storage: impl Storage) -> (Arc<Shared>, Self, watch::Receiver<Written>) {
        let shared = Arc::new(Shared { live: Mutex::new(Live { state, generation: 0, writing: None }) });
        let (tell, written) = watch::channel(Written::default());
        (shared.clone(), Self { shared, storage: Box::new(storage), tell }, written)
    }

    /// Writes whenever woken, and after a failure each second; ends when every handle is gone.
    fn run(mut self, woken: &mpsc::Receiver<()>) {
        loop {
            let failed = self.tell.borrow().failed.is_some();
            match woken.recv_timeout(if failed { RETRY } else { Duration::MAX }) {
                Err(mpsc::RecvTimeoutError::Disconnected) => return,
                Ok(()) | Err(mpsc::RecvTimeoutError::Timeout) => while woken.try_recv().is_ok() {},
            }
            self.write();
        }
    }

    fn write_now(&mut self) -> Result<(), WriteError> {
        self.write();
        self.tell.borrow().failed.as_ref().map_or(Ok(()), |(_, error)| Err(WriteError(error.clone())))
    }

    /// A panic is a failure like others, and the next write may succeed.
    fn store(&mut self, state: &State) -> io::Result<()> {
        let stored = catch_unwind(AssertUnwindSafe(|| self.storage.store(state)));
        stored.unwrap_or_else(|_| Err(io::Error::other("writing it panicked; this is a bug")))
    }

    /// Puts the state of this moment on the disk, unless it is there already.
    fn write(&mut self) {
        let (state, generation) = {
            let mut live = self.shared.lock();
            if self.tell.borrow().generation == live.generation {
                return;
            }
            live.writing = Some(Instant::now());
            (live.state.clone(), live.generation)
        };
        let stored = self.store(&state);
        self.shared.lock().writing = None;
        self.tell.send_modify(|written| match stored {
            Ok(()) => *written = Written { generation, failed: None },
            Err(error) => {
                tracing::error!(%error, "the ledger could not be written; free some space where it lies");
                written.failed = Some((generation, error.to_string()));
            }
        });
    }
}

#[cfg(test)]
mod tests;
