//! What runs on this machine, and what a test makes run: Docker's own machine is this one.

use std::path::Path;
use std::sync::atomic::{AtomicU16, Ordering};

use preview_simulator::{Change, Mimic};
use rustix::process::Pid;

/// What makes a build that takes so many seconds, and the command that runs meanwhile: no other build has it.
pub(crate) fn slow_build(version: &str, seconds: u16) -> (Vec<Change>, String) {
    static NUMBER: AtomicU16 = AtomicU16::new(0);
    let sleep = format!("sleep {seconds}.{}{:04}", std::process::id(), NUMBER.fetch_add(1, Ordering::Relaxed));
    let dockerfile = format!("FROM debian:bookworm-slim\nRUN {sleep}\nCOPY mimic VERSION /\nENTRYPOINT [\"/mimic\"]\n");
    ([Mimic::new(version).files(), vec![Change::write("Dockerfile", dockerfile)]].concat(), sleep)
}

/// Whether a program runs on this machine whose command line is exactly this: Docker's own machine is this one.
pub(crate) fn runs(command: &str) -> bool {
    running(command) > 0
}

/// How many such programs run.
pub(crate) fn running(command: &str) -> usize {
    command_lines().filter(|line| line == command).count()
}

/// Of every process on this machine.
pub(crate) fn command_lines() -> impl Iterator<Item = String> {
    let processes = std::fs::read_dir("/proc").unwrap().flatten();
    // What is no process, or ends meanwhile, reads as an error.
    let lines = processes.filter_map(|process| std::fs::read(process.path().join("cmdline")).ok());
    lines.map(|line| String::from_utf8_lossy(&line).trim_end_matches('\0').replace('\0', " "))
}

/// The process that holds a ledger, as it wrote it into the lock.
pub(crate) fn pid_in(lock: &Path) -> Pid {
    let text = std::fs::read_to_string(lock).unwrap();
    Pid::from_raw(text.trim().parse().unwrap()).unwrap()
}

/// Says how far a long test is: whoever waits for an hour wants to see that something happens.
#[expect(clippy::print_stderr, reason = "a test's output is for the person who runs it")]
pub(crate) fn tell(line: &str) {
    eprintln!("{line}");
}
