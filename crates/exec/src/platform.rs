//! What Linux does for us and other systems don't: the one place for it here. Servers are Linux; elsewhere people set them up.

use std::io;

/// Asks, in a child between fork and exec, for SIGKILL when the parent dies.
///
/// The signal fires when the *thread* that spawned ends. Programs are spawned by tokio's workers, which live as
/// long as the runtime; nothing here is ever called from its blocking pool.
#[cfg(target_os = "linux")]
pub(crate) fn die_with_parent() -> io::Result<()> {
    Ok(rustix::process::set_parent_process_death_signal(Some(rustix::process::Signal::KILL))?)
}

/// Other systems have nothing of the kind: what a killed parent leaves ends by itself.
#[cfg(not(target_os = "linux"))]
pub(crate) fn die_with_parent() -> io::Result<()> {
    Ok(())
}
