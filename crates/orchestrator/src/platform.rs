//! What Linux does for us and other systems don't: the one place for it here.
//!
//! The service runs on Linux. The program is built elsewhere too, where people set servers up and look at repositories: there, what
//! only the service needs is not to be had, and the rest is done by other means.

#[cfg(target_os = "linux")]
pub(crate) use self::linux::{events_of, give_up_after, listens, look_beneath, open_beneath, open_folder};
#[cfg(not(target_os = "linux"))]
pub(crate) use {
    self::elsewhere::{events_of, give_up_after, listens},
    crate::walk::{look_beneath, open_beneath, open_folder},
};

#[cfg(target_os = "linux")]
mod linux {
    use std::fs::{self, File};
    use std::os::fd::{AsFd, AsRawFd, OwnedFd};
    use std::path::Path;
    use std::time::Duration;

    use rustix::event::{EventfdFlags, eventfd};
    use rustix::fs::{Mode, OFlags, ResolveFlags, openat2};
    use rustix::io::Errno;
    use rustix::net::sockopt::{set_tcp_user_timeout, socket_acceptconn};

    /// A folder beneath which others are looked for.
    pub(crate) fn open_folder(folder: &Path) -> Result<OwnedFd, Errno> {
        let flags = OFlags::DIRECTORY | OFlags::CLOEXEC | OFlags::NOFOLLOW | OFlags::PATH;
        rustix::fs::open(folder, flags, Mode::empty())
    }

    /// Opens what is at `path` beneath `root`, through no link. The kernel holds to that, not a check of ours beforehand.
    ///
    /// Source: <https://man7.org/linux/man-pages/man2/openat2.2.html>
    pub(crate) fn open_beneath(root: &OwnedFd, path: &str, flags: OFlags) -> Result<OwnedFd, Errno> {
        let resolve = ResolveFlags::BENEATH | ResolveFlags::NO_SYMLINKS | ResolveFlags::NO_MAGICLINKS;
        let path = if path.is_empty() { "." } else { path };
        openat2(root, path, flags | OFlags::CLOEXEC | OFlags::NOFOLLOW, Mode::empty(), resolve)
    }

    /// Whether something is at `path`, whatever it is; through no link on the way there.
    pub(crate) fn look_beneath(root: &OwnedFd, path: &str) -> Result<(), Errno> {
        open_beneath(root, path, OFlags::PATH).map(drop)
    }

    /// Has the kernel give up on a connection to somebody who takes nothing for so long.
    pub(crate) fn give_up_after(stream: impl AsFd, patience: Duration) {
        // Without it, that takes the kernel longer.
        let _ = set_tcp_user_timeout(stream, patience.as_millis().try_into().unwrap_or(u32::MAX));
    }

    /// Whether a socket waits for connections.
    pub(crate) fn listens(socket: impl AsFd) -> bool {
        socket_acceptconn(socket).unwrap_or(false)
    }

    /// Counts how often a control group of version 1 finds no more memory.
    pub(crate) fn events_of(memory: &Path) -> Option<OwnedFd> {
        let events = eventfd(0, EventfdFlags::CLOEXEC | EventfdFlags::NONBLOCK).ok()?;
        let control = File::open(memory.join("memory.oom_control")).ok()?;
        let wish = format!("{} {}", events.as_raw_fd(), control.as_raw_fd());
        fs::write(memory.join("cgroup.event_control"), wish).ok()?;
        Some(events)
    }
}

#[cfg(not(target_os = "linux"))]
mod elsewhere {
    use std::os::fd::{AsFd, OwnedFd};
    use std::path::Path;
    use std::time::Duration;

    /// The system's own patience has to do.
    pub(crate) fn give_up_after(_: impl AsFd, _: Duration) {}

    /// It can't be asked, and there is no systemd that would pass a socket on.
    pub(crate) fn listens(_: impl AsFd) -> bool {
        false
    }

    /// There are no control groups.
    pub(crate) fn events_of(_: &Path) -> Option<OwnedFd> {
        None
    }
}
