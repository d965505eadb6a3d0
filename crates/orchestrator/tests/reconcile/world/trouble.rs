//! What can go wrong, and when.

use std::time::Duration;

/// Something the reconciler asks of the outside.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Call {
    Repository,
    Pull,
    OpenPulls,
    Comment,
    Status,
    Remarks,
    Permission,
    Mark,
    Checkout,
    LookAt,
    Build,
    Start,
    BeginTask,
    AwaitTask,
    Load,
    LimitCpu,
    Observe,
    ObserveAll,
    RemovePart,
    RemoveContainers,
    RemoveVolumes,
    RemoveNetworks,
    RemoveImages,
    Logs,
    Room,
    DiskUse,
    Tidy,
    TidyMirrors,
    Apply,
    ObserveRoutes,
    Drain,
    Probe,
    Store,
}

/// What happens to a call.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Trouble {
    /// It fails and nothing has happened.
    FailsBefore,
    /// It happens, and is said to have failed.
    FailsAfter,
    /// It hangs until its limit, and nothing has happened.
    HangsBefore,
    /// It happens, and then hangs until its limit.
    HangsAfter,
    /// We are killed before it happens.
    CrashBefore,
    /// It happens and we are killed.
    CrashAfter,
    /// It happens, so much later.
    Late(Duration),
    /// It happens, and happens again: somebody in between asked twice.
    Twice,
    /// A mistake of ours makes it panic, and nothing has happened.
    Panics,
}

/// Which calls.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum When {
    /// The so-many-th since the last mark.
    Nth(usize),
    /// Each of these.
    Each(Call),
}

/// A plan for trouble.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Rule {
    pub(crate) when: When,
    pub(crate) trouble: Trouble,
    /// How many times it still happens.
    pub(crate) left: usize,
}

impl Rule {
    pub(crate) fn nth(nth: usize, trouble: Trouble) -> Self {
        Self { when: When::Nth(nth), trouble, left: 1 }
    }

    pub(crate) fn next(call: Call, times: usize, trouble: Trouble) -> Self {
        Self { when: When::Each(call), trouble, left: times }
    }

    pub(super) fn fits(&self, call: Call, nth: usize) -> bool {
        self.left > 0
            && match self.when {
                When::Nth(wanted) => wanted == nth,
                When::Each(wanted) => wanted == call,
            }
    }
}
