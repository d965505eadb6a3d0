//! Holding the real service right before a chosen step, without a switch in the product.
//!
//! The service says in its log what it has planned, which action it is performing and which it has performed. That log goes
//! through a pipe that holds one line: while we look at the line *performed* of the action before without taking it out, the
//! service can't say that it is *performing* the next, and stands still. What happens to it then (`kill -9`, an engine that
//! no longer answers) happens exactly there.
//!
//! Source: <https://man7.org/linux/man-pages/man7/pipe.7.html> (packet mode), <https://man7.org/linux/man-pages/man2/tee.2.html>

use std::collections::VecDeque;
use std::fs::{File, OpenOptions};
use std::io::{Read, Write};
use std::os::fd::OwnedFd;
use std::path::Path;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use rustix::pipe::{PipeFlags, SpliceFlags, fcntl_setpipe_size, pipe_with, tee};
use serde_json::Value;

/// The smallest pipe; in packet mode it holds one write.
const ONE_LINE: usize = 4096;

/// What is done while the service is held.
pub(crate) type Deed = Box<dyn FnOnce() + Send>;

/// How far the service is with the step that somebody waits for.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Phase {
    /// It has not come to it.
    #[default]
    Before,
    /// It was held there and let go.
    At,
    /// The step did not work.
    Failed,
    /// The step is done.
    Performed,
}

/// The gate of one installation's service; clones share it.
#[derive(Clone, Default)]
pub(crate) struct Gate(Arc<Mutex<Watch>>);

#[derive(Default)]
struct Watch {
    /// Names of the actions that the service has planned and not yet performed.
    ahead: VecDeque<String>,
    wish: Option<Wish>,
    awaited: String,
    phase: Phase,
}

struct Wish {
    /// How many times more the service comes to the step until it is meant.
    times: usize,
    deed: Deed,
}

impl Gate {
    fn watch(&self) -> MutexGuard<'_, Watch> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// When the service comes to this action for the `times`th time, it is held while this is done.
    pub(crate) fn before(&self, action: &str, times: usize, deed: impl FnOnce() + Send + 'static) {
        let wish = Some(Wish { times, deed: Box::new(deed) });
        *self.watch() = Watch { wish, awaited: action.to_owned(), ..Watch::default() };
    }

    pub(crate) fn phase(&self) -> Phase {
        self.watch().phase
    }

    /// The end of a new pipe for the service to write its log to, and the thread that passes it on to the file.
    pub(crate) fn open(&self, log: &Path) -> Arc<OwnedFd> {
        let (read, write) = pipe_with(PipeFlags::CLOEXEC | PipeFlags::DIRECT).unwrap();
        fcntl_setpipe_size(&write, ONE_LINE).unwrap();
        let log = OpenOptions::new().create(true).append(true).open(log).unwrap();
        let gate = self.clone();
        std::thread::spawn(move || gate.pass_on(&read, log));
        Arc::new(write)
    }

    /// Ends when the service has.
    fn pass_on(&self, pipe: &OwnedFd, mut log: File) {
        let (copy, copied) = pipe_with(PipeFlags::CLOEXEC).unwrap();
        let mut copy = File::from(copy);
        let mut line = [0; ONE_LINE];
        while tee(pipe, &copied, ONE_LINE, SpliceFlags::empty()).unwrap() > 0 {
            let length = copy.read(&mut line).unwrap();
            self.watch().look(&line[..length]);
            let taken = rustix::io::read(pipe, &mut line).unwrap();
            log.write_all(&line[..taken]).unwrap();
        }
    }
}

impl Watch {
    fn look(&mut self, line: &[u8]) {
        let Ok(line) = serde_json::from_slice::<Value>(line) else { return };
        match line["message"].as_str().unwrap_or_default() {
            "planned" => self.ahead = names(line["actions"].as_str().unwrap_or_default()),
            "performed" => {
                if self.ahead.pop_front().as_ref() == Some(&self.awaited) && self.phase == Phase::At {
                    self.phase = Phase::Performed;
                }
            }
            "trying again" | "the attempt failed" | "could not bring the preview to what it should be" => {
                if self.phase == Phase::At {
                    self.phase = Phase::Failed;
                }
                return;
            }
            _ => return,
        }
        if self.ahead.front() != Some(&self.awaited) {
            return;
        }
        let Some(mut wish) = self.wish.take() else { return };
        wish.times -= 1;
        if wish.times == 0 {
            self.phase = Phase::At;
            (wish.deed)();
        } else {
            self.wish = Some(wish);
        }
    }
}

/// The names in a list of actions as they are logged: `[Begin { commit: … }, ClearSlot(A), Checkout]`.
fn names(list: &str) -> VecDeque<String> {
    let inside = list.trim_start_matches('[').trim_end_matches(']');
    let mut depth = 0;
    let items = inside.split(|c| {
        match c {
            '(' | '{' => depth += 1,
            ')' | '}' => depth -= 1,
            _ => {}
        }
        c == ',' && depth == 0
    });
    let name = |item: &str| item.trim().split(['(', ' ']).next().unwrap_or_default().to_owned();
    items.map(name).filter(|name| !name.is_empty()).collect()
}

#[test]
fn names_are_read_from_the_log() {
    let list = r#"[Begin { commit: CommitSha("ab, c"), slot: A }, ClearSlot(A), Drain(A, HostPort(8000)), Settle]"#;
    assert_eq!(names(list), ["Begin", "ClearSlot", "Drain", "Settle"]);
    assert!(names("[]").is_empty());
}
