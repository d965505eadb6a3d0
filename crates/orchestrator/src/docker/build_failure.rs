//! Reading BuildKit's plain output: whose fault a failed build is, and which step it was, in one line.
//!
//! Only BuildKit's own last `ERROR:` line decides. What the steps themselves print is hostile text; BuildKit puts their
//! number in front of every line of it, so that it can't pass for BuildKit's.

use std::collections::VecDeque;

use crate::needs::Fault;

/// How many of the last lines are kept for reading.
const KEPT_LINES: usize = 400;
/// How many of a failed step's lines are shown.
const SHOWN_LINES: usize = 50;
/// A command in a cause is cut to this many characters.
const LONGEST_COMMAND: usize = 100;
/// What a process that was killed (SIGKILL) ends with.
const KILLED: &str = "137";

/// What marks trouble that may pass: the network, a registry, the engine, the disk.
const PASSING: [&str; 23] = [
    "no such host",
    "i/o timeout",
    "tls handshake timeout",
    "connection refused",
    "connection reset",
    "network is unreachable",
    "server misbehaving",
    "deadline exceeded",
    "toomanyrequests",
    "too many requests",
    "500 internal server error",
    "502 bad gateway",
    "503 service unavailable",
    "504 gateway timeout",
    ": eof",
    "unexpected eof",
    "context canceled",
    "error during connect",
    "error reading from server",
    "transport is closing",
    "code = unavailable",
    "connection error",
    "no space left on device",
];

/// What BuildKit wraps a reason in; the reason follows.
const WRAPPERS: [&str; 11] = [
    "ERROR: ",
    "failed to build: ",
    "failed to solve: ",
    "rpc error: code = Unknown desc = ",
    "failed to solve with frontend dockerfile.v0: ",
    "failed to solve with frontend gateway.v0: ",
    "failed to create LLB definition: ",
    "failed to read dockerfile: ",
    "failed to load cache key: ",
    "failed to compute cache key: ",
    "failed to do request: ",
];

/// The last lines of a build.
#[derive(Default)]
pub(super) struct Recent(VecDeque<String>);

impl Recent {
    /// Takes the next line.
    pub(super) fn push(&mut self, line: &str) {
        if self.0.len() == KEPT_LINES {
            self.0.pop_front();
        }
        self.0.push_back(line.to_owned());
    }

    /// The lines to show with a failure.
    pub(super) fn shown(&self) -> Vec<String> {
        shown_lines(&self.0.iter().map(String::as_str).collect::<Vec<_>>())
    }

    /// Why the build failed. `memory_mb` is what it was held to, if it was.
    pub(super) fn fault(self, memory_mb: Option<u64>) -> Fault {
        let lines: Vec<&str> = self.0.iter().map(String::as_str).collect();
        let error = lines.iter().rev().find(|line| line.starts_with("ERROR: ")).copied();
        let shown = shown_lines(&lines);
        let fault = match error {
            Some(error) => explain(error, failed_step(&lines).as_deref(), memory_mb),
            None => Fault::passing("the image's build ended without a reason"),
        };
        if shown.iter().any(|line| line.contains("No space left on device") || line.contains("ENOSPC")) {
            return fault.advise("The server's disk may be full.").tail(shown);
        }
        fault.tail(shown)
    }
}

fn explain(error: &str, step: Option<&str>, memory_mb: Option<u64>) -> Fault {
    let called = step.map_or_else(|| "a step".to_owned(), |step| format!("`{step}`"));
    if let Some((_, code)) = error.rsplit_once("exit code: ") {
        return exited(&called, code.trim(), memory_mb);
    }
    if error.ends_with("did not complete successfully: cannot allocate memory") {
        return exited(&called, KILLED, memory_mb);
    }
    if error.contains("Cannot connect to the Docker daemon") {
        return Fault::passing("the Docker engine does not answer");
    }
    let reason = unwrap(error);
    let lower = reason.to_ascii_lowercase();
    let cause = match step {
        Some(step) => format!("`{step}` failed: {reason}"),
        None => format!("the Dockerfile can't be built: {reason}"),
    };
    if PASSING.iter().any(|mark| lower.contains(mark)) {
        return Fault::passing(cause).advise("Check that the server reaches the registry and has room on its disk.");
    }
    Fault::author(cause)
}

/// A step ran and its command failed.
fn exited(step: &str, code: &str, memory_mb: Option<u64>) -> Fault {
    match (code, memory_mb) {
        (KILLED, Some(megabytes)) => {
            Fault::author(format!("the build was killed: {step} wanted more than {megabytes} MB of memory"))
                .advise("Let the build use less memory, or raise BUILD_MEMORY_MB on the server.")
        }
        (KILLED, None) => Fault::author(format!("{step} was killed (exit code 137), most likely for want of memory"))
            .advise("Let the build use less memory, or give the server more."),
        _ => Fault::author(format!("{step} failed with exit code {code}")),
    }
}

/// The failed step as its Dockerfile has it, from BuildKit's summary: ` > [build 3/4] RUN npm run build:`.
fn failed_step(lines: &[&str]) -> Option<String> {
    let name = lines.iter().rev().find_map(|line| line.strip_prefix(" > "))?;
    let name = name.trim_end_matches(':');
    if let Some(image) = name.strip_prefix("[internal] load metadata for ") {
        return Some(format!("FROM {image}"));
    }
    let command = match name.split_once("] ") {
        Some((_, command)) if name.starts_with('[') => command,
        _ => name,
    };
    // What is mounted says nothing to the author, and fills the line.
    let words = command.split_whitespace().filter(|word| !word.starts_with("--mount="));
    let command = words.collect::<Vec<_>>().join(" ").replace('`', "'");
    if command.chars().count() <= LONGEST_COMMAND {
        return Some(command);
    }
    Some(command.chars().take(LONGEST_COMMAND).chain(['…']).collect())
}

/// The reason within BuildKit's wrappings.
fn unwrap(error: &str) -> &str {
    let mut reason = error;
    while let Some(rest) = WRAPPERS.iter().find_map(|wrapper| reason.strip_prefix(wrapper)) {
        reason = rest;
    }
    // "failed to calculate checksum of ref <random>: <reason>"
    match reason.strip_prefix("failed to calculate checksum of ref ").and_then(|rest| rest.split_once(": ")) {
        Some((_, reason)) => reason,
        None => reason,
    }
}

/// What the failed step printed, without BuildKit's numbers and times; all lines where no step failed.
fn shown_lines(lines: &[&str]) -> Vec<String> {
    let failed = lines.iter().rev().find_map(|line| line.strip_prefix('#')?.split_once(" ERROR: "));
    let printed: Vec<String> = failed.map_or_else(Vec::new, |(number, _)| {
        let prefix = format!("#{number} ");
        lines.iter().filter_map(|line| printed(line.strip_prefix(&prefix)?)).collect()
    });
    let shown = if printed.is_empty() { lines.iter().map(|line| (*line).to_owned()).collect() } else { printed };
    shown[shown.len().saturating_sub(SHOWN_LINES)..].to_vec()
}

/// `0.382 npm ERR!` is output; `DONE 0.1s`, `CACHED`, `ERROR: …` are BuildKit's own words.
fn printed(line: &str) -> Option<String> {
    let (seconds, text) = line.split_once(' ').unwrap_or((line, ""));
    let is_time = !seconds.is_empty() && seconds.bytes().all(|byte| byte.is_ascii_digit() || byte == b'.');
    is_time.then(|| text.to_owned())
}

#[cfg(test)]
#[path = "build_failure_tests.rs"]
mod tests;
