//! Logs whose errors begin with "executor failed" were captured from engine 20.10; the others follow the words of newer BuildKits.

use super::*;
use preview_core::deployment::Blame;

fn read(log: &str) -> Fault {
    read_within(log, None)
}

/// Read with limits of so many MB and 100 processes, of which these were hit.
fn read_within(log: &str, limits: Option<(u64, Hit)>) -> Fault {
    let mut recent = Recent::default();
    log.lines().for_each(|line| recent.push(line));
    let within = |(megabytes, hit)| Within {
        ceilings: Ceilings { memory_bytes: megabytes << 20, cpus: 1.0, processes: 100 },
        hit,
    };
    recent.fault(limits.map(within))
}

fn cause(log: &str) -> (Blame, String) {
    let fault = read(log);
    (fault.blame, fault.cause)
}

const STEP_FAILED: &str = r#"#0 building with "default" instance using docker driver

#4 [1/4] FROM registry.example.com/library/debian:bookworm-slim
#4 CACHED

#5 [2/4] RUN echo one; echo two >&2
#5 0.239 one
#5 0.240 two
#5 DONE 0.3s

#6 [3/4] RUN set -x; npm run build
#6 0.382 + npm run build
#6 0.382 npm ERR! missing script: build
#6 0.383
#6 ERROR: executor failed running [/bin/sh -c set -x; npm run build]: exit code: 2
------
 > [3/4] RUN set -x; npm run build:

------
ERROR: failed to solve: executor failed running [/bin/sh -c set -x; npm run build]: exit code: 2
"#;

#[test]
fn a_failed_step_is_named_with_its_exit_code_and_its_own_output() {
    let fault = read(STEP_FAILED);
    assert_eq!(
        (fault.blame, fault.cause.as_str()),
        (Blame::Author, "`RUN set -x; npm run build` failed with exit code 2")
    );
    assert_eq!(fault.log_tail, ["+ npm run build", "npm ERR! missing script: build", ""]);
}

#[test]
fn what_a_known_tool_prints_is_told_with_what_helps() {
    let log = STEP_FAILED.replace("npm ERR! missing script: build", "npm error Missing script: \"build\"");
    let fault = read(&log);
    let said = "`RUN set -x; npm run build` failed with exit code 2: the script `build` is not in `package.json`";
    assert_eq!((fault.blame, fault.cause.as_str()), (Blame::Author, said));
    assert!(fault.advice.unwrap().contains("under `scripts`"));
    // What it prints never makes it anybody else's.
    let network = STEP_FAILED.replace("npm ERR! missing script: build", "npm error code ENOTFOUND");
    assert_eq!(read(&network).blame, Blame::Author);
    assert!(read(&network).cause.ends_with("a registry could not be reached from the build"));
}

#[test]
fn a_newer_engine_says_it_in_other_words() {
    let log = r#"#7 [build 4/5] RUN npm run build
#7 1.204 src/main.ts(3,1): error TS1005
#7 ERROR: process "/bin/sh -c npm run build" did not complete successfully: exit code: 1
------
 > [build 4/5] RUN npm run build:
1.204 src/main.ts(3,1): error TS1005
------
Dockerfile:7
--------------------
   7 | >>> RUN npm run build
--------------------
ERROR: failed to build: failed to solve: process "/bin/sh -c npm run build" did not complete successfully: exit code: 1
"#;
    let fault = read(log);
    assert_eq!(fault.cause, "`RUN npm run build` failed with exit code 1");
    assert_eq!(fault.log_tail, ["src/main.ts(3,1): error TS1005"]);
}

#[test]
fn a_step_that_was_killed_says_how_much_memory_there_was() {
    let log = r#"#5 [2/2] RUN head -c 200m /dev/zero | tail
#5 0.394 Killed
#5 ERROR: executor failed running [/bin/sh -c head -c 200m /dev/zero | tail]: exit code: 137
------
 > [2/2] RUN head -c 200m /dev/zero | tail:
0.394 Killed
------
ERROR: failed to solve: executor failed running [/bin/sh -c head -c 200m /dev/zero | tail]: exit code: 137
"#;
    let fault = read_within(log, Some((2048, Hit::default())));
    let said = "the build was killed: `RUN head -c 200m /dev/zero | tail` wanted more than 2048 MB of memory";
    assert_eq!((fault.blame, fault.cause.as_str()), (Blame::Author, said));
    assert!(read(log).cause.ends_with("was killed (exit code 137), most likely for want of memory"));
    let newer = r#" > [2/2] RUN make:
ERROR: failed to solve: process "/bin/sh -c make" did not complete successfully: cannot allocate memory"#;
    assert!(read_within(newer, Some((64, Hit::default()))).cause.contains("more than 64 MB"));
}

#[test]
fn a_step_whose_child_was_killed_is_known_by_what_the_kernel_counted() {
    let hit = |memory, processes| Some((2048, Hit { memory, processes }));
    let said = "the build was killed: `RUN set -x; npm run build` wanted more than 2048 MB of memory";
    assert_eq!(read_within(STEP_FAILED, hit(true, false)).cause, said);
    assert_eq!(read_within(STEP_FAILED, hit(true, true)).cause, said);
    let said = "the build failed: `RUN set -x; npm run build` wanted more than 100 processes at once";
    assert_eq!(read_within(STEP_FAILED, hit(false, true)).cause, said);
    assert!(read_within(STEP_FAILED, hit(false, false)).cause.ends_with("failed with exit code 2"));
}

#[test]
fn a_step_that_could_not_fork_is_believed_where_processes_are_limited() {
    let log = r#"#5 [2/2] RUN while true; do sleep 100 & done
#5 0.359 /bin/sh: 0: Cannot fork
#5 ERROR: executor failed running [/bin/sh -c while true; do sleep 100 & done]: exit code: 2
------
 > [2/2] RUN while true; do sleep 100 & done:
0.359 /bin/sh: 0: Cannot fork
------
ERROR: failed to solve: executor failed running [/bin/sh -c while true; do sleep 100 & done]: exit code: 2
"#;
    let within = read_within(log, Some((2048, Hit::default())));
    assert!(within.cause.ends_with("wanted more than 100 processes at once"), "{}", within.cause);
    assert!(read(log).cause.ends_with("failed with exit code 2"));
}

#[test]
fn a_build_that_was_stopped_says_at_which_step() {
    let mut recent = Recent::default();
    let log = "#1 [internal] load build definition from Dockerfile\n#5 [build 2/2] RUN make\n#5 0.1 #6 [2/2] RUN evil\n#5 0.2 x";
    log.lines().for_each(|line| recent.push(line));
    (0..2 * KEPT_LINES).for_each(|n| recent.push(&format!("#5 0.3 line {n}")));
    let fault = recent.stopped("took longer than 20s", "Be quick.");
    assert_eq!(
        (fault.blame, fault.cause.as_str()),
        (Blame::Author, "the build took longer than 20s and was stopped, at `RUN make`")
    );
    assert_eq!(Recent::default().stopped("x", "").cause, "the build x and was stopped");
}

#[test]
fn a_file_that_is_not_there_is_the_authors() {
    let log = r#"#6 [3/3] COPY nothere.json ./
#6 ERROR: "/nothere.json" not found: not found
------
 > [3/3] COPY nothere.json ./:
------
ERROR: failed to solve: failed to compute cache key: "/nothere.json" not found: not found
"#;
    let said = "`COPY nothere.json ./` failed: \"/nothere.json\" not found: not found";
    assert_eq!(cause(log), (Blame::Author, said.to_owned()));
    let newer = r#" > [3/3] COPY nothere.json ./:
ERROR: failed to solve: failed to compute cache key: failed to calculate checksum of ref 1a::2b: "/nothere.json": not found"#;
    assert_eq!(cause(newer).1, "`COPY nothere.json ./` failed: \"/nothere.json\": not found");
}

#[test]
fn a_mistake_in_the_dockerfile_is_the_authors() {
    let log = "ERROR: failed to solve: rpc error: code = Unknown desc = failed to solve with frontend dockerfile.v0: failed to create \
               LLB definition: dockerfile parse error line 2: unknown instruction: RUNN";
    let said = "the Dockerfile can't be built: dockerfile parse error line 2: unknown instruction: RUNN";
    assert_eq!(cause(log), (Blame::Author, said.to_owned()));
}

#[test]
fn a_base_image_that_does_not_exist_is_the_authors_and_an_unreachable_registry_passes() {
    let missing = r#"#3 [internal] load metadata for registry.example.com/library/debian:bookwurm
#3 ERROR: registry.example.com/library/debian:bookwurm: not found
------
 > [internal] load metadata for registry.example.com/library/debian:bookwurm:
------
ERROR: failed to solve: registry.example.com/library/debian:bookwurm: not found
"#;
    let said = "`FROM registry.example.com/library/debian:bookwurm` failed: the image is not in its registry, not for this processor, or needs \
                a login";
    assert_eq!(cause(missing), (Blame::Author, said.to_owned()));
    assert!(read(missing).advice.unwrap().contains("name and tag"));
    assert!(read(missing).image_absent, "somebody may be about to push it");

    let unreachable = r#"#3 [internal] load metadata for registry.example.com/library/debian:bookworm-slimm
------
 > [internal] load metadata for registry.example.com/library/debian:bookworm-slimm:
------
ERROR: failed to solve: rpc error: code = Unknown desc = failed to solve with frontend dockerfile.v0: failed to create LLB definition: failed to do request: Head "https://registry.example.com/v2/library/debian/manifests/bookworm-slimm": dial tcp: lookup registry.example.com on 10.0.0.2:53: no such host
"#;
    let (blame, said) = cause(unreachable);
    assert_eq!(blame, Blame::Passing);
    assert!(!read(unreachable).image_absent);
    let expected =
        "`FROM registry.example.com/library/debian:bookworm-slimm` failed: the image's registry does not answer";
    assert_eq!(said, expected);

    let limited = "ERROR: failed to solve: node:22: failed to copy: httpReadSeeker: failed open: unexpected status code: 429 Too Many \
                   Requests - Server message: toomanyrequests: You have reached your pull rate limit.";
    assert_eq!(cause(limited).0, Blame::Passing);
}

#[test]
fn an_engine_that_went_away_passes() {
    let absent =
        "ERROR: Cannot connect to the Docker daemon at unix:///var/run/docker.sock. Is the docker daemon running?";
    assert_eq!(cause(absent), (Blame::Passing, "the Docker engine does not answer".to_owned()));
    assert_eq!(cause("ERROR: failed to solve: error reading from server: EOF").0, Blame::Passing);
    assert_eq!(cause("").0, Blame::Passing);
}

#[test]
fn what_a_step_prints_decides_nothing() {
    let log = r#"#6 [2/2] RUN ./evil
#6 0.1 ERROR: Cannot connect to the Docker daemon
#6 0.1 ERROR: no such host
#6 0.2 #7 ERROR: failed
#6 ERROR: executor failed running [/bin/sh -c ./evil]: exit code: 1
 > [2/2] RUN ./evil:
0.1 ERROR: Cannot connect to the Docker daemon
------
ERROR: failed to solve: executor failed running [/bin/sh -c ./evil]: exit code: 1
"#;
    assert_eq!(cause(log), (Blame::Author, "`RUN ./evil` failed with exit code 1".to_owned()));
}

#[test]
fn a_long_command_is_cut_and_an_endless_log_bounded() {
    let step =
        format!(" > [2/2] RUN {}:\nERROR: failed to solve: executor failed running [x]: exit code: 1", "ä".repeat(500));
    let mut recent = Recent::default();
    (0..10_000).for_each(|n| recent.push(&format!("#1 0.1 line {n}")));
    recent.push("#1 ERROR: executor failed");
    step.lines().for_each(|line| recent.push(line));
    let fault = recent.fault(None);
    assert!(fault.cause.chars().count() < 150 && fault.cause.contains('…'), "{}", fault.cause);
    assert_eq!(fault.log_tail.len(), SHOWN_LINES);
    assert_eq!(fault.log_tail.last().unwrap(), "line 9999");
}

#[test]
fn the_failed_step_is_told_without_its_mounts() {
    let lines = [" > [build 3/3] RUN --mount=type=cache,id=x,target=/x     npm run build:"];
    assert_eq!(failed_step(&lines).as_deref(), Some("RUN npm run build"));
}

#[test]
fn what_a_registry_answered_is_left_out() {
    let answer = "error parsing HTTP 404 response body: invalid character '<' looking for beginning of value: \"<p>secret exit code: 7</p>\"";
    let fault = pull_fault("evil.example/x", answer);
    assert_eq!(fault.cause, "`FROM evil.example/x` failed: error parsing HTTP 404");
    let fault = read(&format!(
        "#2 [internal] load metadata for evil.example/x\n#2 ERROR: {answer}\nERROR: failed to solve: {answer}\n"
    ));
    assert!(!format!("{fault:?}").contains("secret"), "{fault:?}");
}
