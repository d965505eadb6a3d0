//! Reading why Compose could not start something.
//!
//! Compose prints its progress (` Network … Created`) and, last, the engine's words. What the author can mend is theirs: a
//! command that isn't in the image. All else is the server's: ports, images of backing services, networks, disk.

use preview_core::diagnosis::{self, Phase};

use crate::needs::Fault;

use super::build_failure::without_answer;

/// What marks an image that could not be had, and is not there.
const NO_IMAGE: [&str; 5] =
    ["no such image", "manifest unknown", "pull access denied", "manifest for ", "repository does not exist"];
/// What marks a registry or a network that did not answer.
const UNREACHABLE: [&str; 7] = [
    "no such host",
    "i/o timeout",
    "tls handshake timeout",
    "connection refused",
    "network is unreachable",
    "server misbehaving",
    "toomanyrequests",
];

/// Why Compose failed, from what it wrote to standard error.
pub(super) fn explain(stderr: &str) -> Fault {
    let reason = reason(stderr);
    let lower = reason.to_ascii_lowercase();
    let says = |marks: &[&str]| marks.iter().any(|mark| lower.contains(mark));
    if lower.contains("cannot connect to the docker daemon") || lower.contains("error during connect") {
        return Fault::passing("the Docker engine does not answer");
    }
    if says(&["port is already allocated", "address already in use"]) {
        let port = taken_port(reason).map_or_else(|| "a host port".to_owned(), |port| format!("host port {port}"));
        return Fault::passing(format!("{port} is taken by another program"));
    }
    if lower.contains("no space left on device") {
        return Fault::passing("the server's disk is full").advise("Free space where Docker keeps its data.");
    }
    if lower.starts_with("dependency failed to start") {
        return Fault::passing("the database did not get ready");
    }
    if let Some(what) = runtime_refusal(reason) {
        return match diagnosis::of_log(Phase::Engine, [what]) {
            Some(told) => Fault::author(format!("the container could not start: {}", told.cause)).advise(told.advice),
            None => Fault::author(format!("the container could not start: {what}"))
                .advise("Check that the image's command exists, is executable and was built for this processor."),
        };
    }
    if says(&NO_IMAGE) {
        return Fault::passing(format!("an image is missing on the server and could not be pulled: {reason}"))
            .advise("Pull or load the image on the server, or set IMAGE_REGISTRY_PREFIX to a registry that has it.");
    }
    if says(&UNREACHABLE) {
        return Fault::passing(format!("an image could not be pulled: {reason}"))
            .advise("Check that the server reaches its registry, or load the image there by hand.");
    }
    Fault::passing(format!("Compose could not start the preview: {reason}"))
}

/// Why the preview's network could not be made, if the engine's words tell.
pub(super) fn no_network(words: &str) -> Option<Fault> {
    let lower = words.to_ascii_lowercase();
    let overlaps = ["pool overlaps", "could not find an available, non-overlapping"];
    overlaps.iter().any(|mark| lower.contains(mark)).then(|| {
        Fault::passing("the preview's network range overlaps another network of this server")
            .advise("Set PREVIEW_SUBNET to a range that nothing else on the server uses.")
    })
}

/// The engine's words: the last line that is no progress.
fn reason(stderr: &str) -> &str {
    let progress =
        |line: &&str| [" Network ", " Container ", " Volume ", " Image "].iter().any(|word| line.starts_with(word));
    let line = stderr.lines().rev().find(|line| !line.trim().is_empty() && !progress(line));
    let line = line.map_or("it gave no reason", str::trim);
    without_answer(line.strip_prefix("Error response from daemon: ").unwrap_or(line))
}

/// The port in `… 127.0.0.1:8801 …`.
fn taken_port(reason: &str) -> Option<u16> {
    reason.match_indices("127.0.0.1:").find_map(|(at, host)| {
        let rest = &reason[at + host.len()..];
        let digits = rest.find(|c: char| !c.is_ascii_digit()).unwrap_or(rest.len());
        rest[..digits].parse().ok().filter(|port| *port != 0)
    })
}

/// What the container runtime says of the command, without its many prefixes.
fn runtime_refusal(reason: &str) -> Option<&str> {
    let (_, rest) =
        reason.split_once("OCI runtime create failed: ").or_else(|| reason.split_once("failed to create task"))?;
    let what = rest.rsplit_once("unable to start container process: ").map_or(rest, |(_, what)| what);
    Some(what.trim_end_matches(": unknown"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use preview_core::deployment::Blame;

    fn told(stderr: &str) -> (Blame, String) {
        let fault = explain(stderr);
        (fault.blame, fault.cause)
    }

    #[test]
    fn a_command_that_is_not_there_is_the_authors() {
        let stderr = " Network x-1_default  Created\n Container x-1-app-a-1  Starting\nError response from daemon: failed to create shim \
                      task: OCI runtime create failed: runc create failed: unable to start container process: exec: \"/nothere\": \
                      stat /nothere: no such file or directory: unknown\n";
        let said = "the container could not start: the program `/nothere` is not in the image, or may not be run";
        assert_eq!(told(stderr), (Blame::Author, said.to_owned()));
        let path = "Error response from daemon: failed to create shim task: OCI runtime create failed: runc create failed: unable to \
                    start container process: exec: \"nestt\": executable file not found in $PATH: unknown";
        assert_eq!(told(path).1, said.replace("/nothere", "nestt"));
    }

    #[test]
    fn what_a_registry_answered_is_left_out() {
        let stderr = "Error response from daemon: error parsing HTTP 404 response body: invalid character '<' looking for beginning of \
                      value: \"<p>secret</p>\"";
        assert_eq!(told(stderr).1, "Compose could not start the preview: error parsing HTTP 404");
    }

    #[test]
    fn a_taken_port_is_named() {
        let proxy = "Error response from daemon: driver failed programming external connectivity on endpoint x-1-app-a-1 (ab12): Error \
                     starting userland proxy: listen tcp4 127.0.0.1:8801: bind: address already in use";
        assert_eq!(told(proxy), (Blame::Passing, "host port 8801 is taken by another program".to_owned()));
        let bind = "Error response from daemon: driver failed programming external connectivity on endpoint x (ab12): Bind for \
                    127.0.0.1:8000 failed: port is already allocated";
        assert_eq!(told(bind).1, "host port 8000 is taken by another program");
    }

    #[test]
    fn a_network_range_that_is_taken_is_told_apart() {
        let words = "Docker could not make a network: Pool overlaps with other one on this address space";
        assert!(no_network(words).unwrap().cause.contains("network range overlaps"));
        assert!(no_network("Docker took too long to make a network").is_none());
    }

    #[test]
    fn what_the_server_lacks_passes_and_says_what_to_do() {
        let cases = [
            (
                "Error response from daemon: no such image: postgres:16: No such image: postgres:16",
                "an image is missing",
            ),
            (
                " app-a Error Get \"https://registry.example.com/v2/\"\nError response from daemon: Get \"https://registry.example.com/v2/\": dial \
                 tcp: lookup registry.example.com on 10.0.0.2:53: no such host",
                "an image could not be pulled",
            ),
            ("Error response from daemon: mkdir /var/lib/docker/overlay2/ab: no space left on device", "disk is full"),
        ];
        for (stderr, part) in cases {
            let fault = explain(stderr);
            assert_eq!(fault.blame, Blame::Passing, "{}", fault.cause);
            assert!(fault.cause.contains(part), "{}", fault.cause);
            assert!(fault.advice.is_some(), "{part}");
        }
        let absent = "Cannot connect to the Docker daemon at unix:///nothere. Is the docker daemon running?";
        assert_eq!(told(absent), (Blame::Passing, "the Docker engine does not answer".to_owned()));
        let database = " Container x-1-db-1  Error\ndependency failed to start: container x-1-db-1 is unhealthy\n";
        assert_eq!(told(database), (Blame::Passing, "the database did not get ready".to_owned()));
        assert_eq!(told("\n Network x  Created\n").1, "Compose could not start the preview: it gave no reason");
    }
}
