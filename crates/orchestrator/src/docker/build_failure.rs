//! Reading BuildKit's plain output: whose fault a failed build is, and which step it was, in one line.
//!
//! Only BuildKit's own last `ERROR:` line decides. What the steps themselves print is hostile text; BuildKit puts their
//! number in front of every line of it, so that it can't pass for BuildKit's.

use std::collections::VecDeque;

use preview_core::diagnosis::{self, Phase};

use crate::needs::Fault;

use super::limits::{Ceilings, Hit, Outgrown};

/// How many of the last lines are kept for reading.
const KEPT_LINES: usize = 400;
/// How many of a failed step's lines are shown.
const SHOWN_LINES: usize = 50;
/// A command in a cause is cut to this many characters.
const LONGEST_COMMAND: usize = 100;
/// What to do about a build with too many processes.
const FEWER_PROCESSES: &str =
    "Let the build start fewer processes and threads at once, or raise BUILD_PROCESSES on the server.";
/// What to do about a build that wants too much memory.
const LESS_MEMORY: &str = "Let the build use less memory, or raise BUILD_MEMORY_MB on the server.";
/// What a process that was killed (SIGKILL) ends with.
const KILLED: &str = "137";

/// What programs say that can't start another process or thread.
const NO_FORK: [&str; 5] =
    ["Cannot fork", "can't fork", "fork: retry", "Resource temporarily unavailable", "pthread_create"];

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
pub(super) struct Recent {
    lines: VecDeque<String>,
    /// The step that began last.
    step: Option<String>,
}

/// What a build was held to, and which of it it ran into.
#[derive(Debug, Clone, Copy)]
pub(super) struct Within {
    pub(super) ceilings: Ceilings,
    pub(super) hit: Hit,
}

impl Recent {
    /// Takes the next line.
    pub(super) fn push(&mut self, line: &str) {
        if self.lines.len() == KEPT_LINES {
            self.lines.pop_front();
        }
        if let Some(step) = begun_step(line) {
            self.step = Some(step);
        }
        self.lines.push_back(without_answer(line).to_owned());
    }

    /// Why the build was stopped by us: it `did` something for too long.
    pub(super) fn stopped(self, did: &str, advice: &str) -> Fault {
        let at = self.step.map(|step| format!(", at `{step}`")).unwrap_or_default();
        let shown = shown_lines(&self.lines.iter().map(String::as_str).collect::<Vec<_>>());
        Fault::author(format!("the build {did} and was stopped{at}")).advise(advice).tail(shown)
    }

    /// The build was stopped, since it wanted more of something than it may have.
    pub(super) fn outgrown(self, outgrown: Outgrown, ceilings: &Ceilings) -> Fault {
        match outgrown {
            Outgrown::Memory => {
                let megabytes = ceilings.memory_bytes >> 20;
                self.stopped(&format!("wanted more than {megabytes} MB of memory"), LESS_MEMORY)
            }
            Outgrown::Processes => {
                let most = ceilings.processes;
                self.stopped(&format!("wanted more than {most} processes at once"), FEWER_PROCESSES)
            }
        }
    }

    /// Why the build failed. `within` is what it was held to, if it was.
    pub(super) fn fault(self, within: Option<Within>) -> Fault {
        let lines: Vec<&str> = self.lines.iter().map(String::as_str).collect();
        let error = lines.iter().rev().find(|line| line.starts_with("ERROR: ")).copied();
        let (printed, shown) = (printed_lines(&lines), shown_lines(&lines));
        let no_fork = shown.iter().any(|line| NO_FORK.iter().any(|words| line.contains(words)));
        let within = within
            .map(|within| Within { hit: Hit { processes: within.hit.processes || no_fork, ..within.hit }, ..within });
        let fault = match error {
            Some(error) => explain(error, failed_step(&lines).as_deref(), &printed, within),
            None => Fault::passing("the image's build ended without a reason"),
        };
        fault.tail(shown)
    }
}

/// Why an image could not be pulled that something is to be built upon: in the words of the build that would have pulled it.
pub(super) fn pull_fault(image: &str, reason: &str) -> Fault {
    explain(&format!("ERROR: {reason}"), Some(&format!("FROM {image}")), &[], None)
}

/// The engine's words without the answer that they quote: who was asked may be somebody within the server's own network, to whom a registry
/// has sent the engine.
pub(super) fn without_answer(words: &str) -> &str {
    words.split_once(" response body: ").map_or(words, |(before, _)| before)
}

fn explain(error: &str, step: Option<&str>, printed: &[String], within: Option<Within>) -> Fault {
    let error = without_answer(error);
    let called = step.map_or_else(|| "a step".to_owned(), |step| format!("`{step}`"));
    if let Some((_, code)) = error.rsplit_once("exit code: ") {
        return exited(&called, code.trim(), printed, within);
    }
    if error.ends_with("did not complete successfully: cannot allocate memory") {
        return exited(&called, KILLED, printed, within);
    }
    if error.contains("Cannot connect to the Docker daemon") {
        return Fault::passing("the Docker engine does not answer");
    }
    let reason = unwrap(error);
    let lower = reason.to_ascii_lowercase();
    // Elsewhere "not found" is a file's, not an image's.
    let pulls = step.is_none_or(|step| step.starts_with("FROM "));
    let told = pulls.then(|| diagnosis::of_log(Phase::Engine, [reason])).flatten();
    let why = told.as_ref().map_or(reason, |told| told.cause.as_str());
    let cause = match step {
        Some(step) => format!("`{step}` failed: {why}"),
        None => format!("the Dockerfile can't be built: {why}"),
    };
    let advice = told.as_ref().map(|told| told.advice.as_str());
    if PASSING.iter().any(|mark| lower.contains(mark)) {
        let usual = "Check that the server reaches the registry and has room on its disk.";
        return Fault::passing(cause).advise(advice.unwrap_or(usual));
    }
    let fault = advice.into_iter().fold(Fault::author(cause), Fault::advise);
    if told.is_some_and(|told| told.rule == diagnosis::NO_IMAGE) { fault.image_absent() } else { fault }
}

/// A step ran and its command failed.
fn exited(step: &str, code: &str, printed: &[String], within: Option<Within>) -> Fault {
    match within {
        Some(Within { hit: Hit { memory: false, processes: true }, ceilings }) => {
            Fault::author(format!("the build failed: {step} wanted more than {} processes at once", ceilings.processes))
                .advise(FEWER_PROCESSES)
        }
        Some(Within { hit, ceilings }) if hit.memory || code == KILLED => {
            let megabytes = ceilings.memory_bytes >> 20;
            Fault::author(format!("the build was killed: {step} wanted more than {megabytes} MB of memory"))
                .advise(LESS_MEMORY)
        }
        _ if code == KILLED => {
            Fault::author(format!("{step} was killed (exit code 137), most likely for want of memory"))
                .advise("Let the build use less memory, or give the server more.")
        }
        _ => match diagnosis::of_log(Phase::Build, printed.iter().map(String::as_str)) {
            Some(told) => {
                Fault::author(format!("{step} failed with exit code {code}: {}", told.cause)).advise(told.advice)
            }
            None => Fault::author(format!("{step} failed with exit code {code}")),
        },
    }
}

/// The failed step as its Dockerfile has it, from BuildKit's summary: ` > [build 3/4] RUN npm run build:`.
fn failed_step(lines: &[&str]) -> Option<String> {
    let name = lines.iter().rev().find_map(|line| line.strip_prefix(" > "))?;
    Some(command(name.trim_end_matches(':')))
}

/// The step that this line begins: `#7 [build 3/4] RUN npm run build`.
fn begun_step(line: &str) -> Option<String> {
    let (number, name) = line.strip_prefix('#')?.split_once(' ')?;
    let is_step = number.bytes().all(|byte| byte.is_ascii_digit()) && name.starts_with('[');
    (is_step && !name.starts_with("[internal]")).then(|| command(name))
}

/// A step's command, short enough for a sentence.
fn command(name: &str) -> String {
    if let Some(image) = name.strip_prefix("[internal] load metadata for ") {
        return format!("FROM {image}");
    }
    let command = match name.split_once("] ") {
        Some((_, command)) if name.starts_with('[') => command,
        _ => name,
    };
    // What is mounted says nothing to the author, and fills the line.
    let words = command.split_whitespace().filter(|word| !word.starts_with("--mount="));
    let command = words.collect::<Vec<_>>().join(" ").replace('`', "'");
    if command.chars().count() <= LONGEST_COMMAND {
        return command;
    }
    command.chars().take(LONGEST_COMMAND).chain(['…']).collect()
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

/// The end of what the failed step printed; of all lines where no step failed.
fn shown_lines(lines: &[&str]) -> Vec<String> {
    let printed = printed_lines(lines);
    let shown = if printed.is_empty() { lines.iter().map(|line| (*line).to_owned()).collect() } else { printed };
    shown[shown.len().saturating_sub(SHOWN_LINES)..].to_vec()
}

/// What the failed step printed, without BuildKit's numbers and times.
fn printed_lines(lines: &[&str]) -> Vec<String> {
    let failed = lines.iter().rev().find_map(|line| line.strip_prefix('#')?.split_once(" ERROR: "));
    failed.map_or_else(Vec::new, |(number, _)| {
        let prefix = format!("#{number} ");
        lines.iter().filter_map(|line| printed(line.strip_prefix(&prefix)?)).collect()
    })
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
