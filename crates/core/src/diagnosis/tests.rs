//! Every rule on logs that were really written, and hostile logs on every rule.

use std::collections::BTreeSet;
use std::fmt::Write as _;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};

use preview_fuzz::holds;
use proptest::prelude::*;

use super::rules;
use super::*;
use crate::docs::part_is_current;
use crate::repo_config::ContainerPort;

const FIXTURES: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/src/diagnosis/fixtures");

/// A log that was recorded, and which rule it is for.
struct Recorded {
    phase: Phase,
    rule: String,
    name: String,
    lines: Vec<String>,
}

fn below(folder: impl AsRef<Path>) -> Vec<PathBuf> {
    let mut paths: Vec<PathBuf> = std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()).collect();
    paths.sort();
    paths
}

fn recorded() -> Vec<Recorded> {
    let mut logs = Vec::new();
    for (folder, phase) in [("engine", Phase::Engine), ("build", Phase::Build), ("run", Phase::Run)] {
        for rule in below(format!("{FIXTURES}/{folder}")) {
            for log in below(&rule) {
                let bytes = std::fs::read(&log).unwrap();
                let text = String::from_utf8_lossy(&bytes);
                logs.push(Recorded {
                    phase,
                    rule: rule.file_name().unwrap().to_str().unwrap().to_owned(),
                    name: log.strip_prefix(FIXTURES).unwrap().display().to_string(),
                    lines: text.lines().map(str::to_owned).collect(),
                });
            }
        }
    }
    logs
}

/// An app that runs and does not answer on port 3000; nobody knows where it listens.
fn silent(log: &[String]) -> Illness<'_> {
    Illness {
        symptom: Symptom::Silent,
        log,
        listens: None,
        port: ContainerPort::new(3000).unwrap(),
        port_env: "PORT",
        health_path: "/health",
        host: "previews.example.com",
        other_path: None,
        memory_mb: 512,
        waited: 60,
    }
}

fn diagnosis(recorded: &Recorded) -> Option<Diagnosis> {
    let Recorded { phase, rule, lines, .. } = recorded;
    if rules::all().any(|one| one.name == *rule) {
        return of_log(*phase, lines.iter().map(String::as_str));
    }
    let said = listening::said(lines.iter().map(String::as_str)).expect("such a log says where the app listens");
    // It listens where it says on the right port, unless that is what is wrong.
    let port = if rule == "another-port" { 3000 } else { said.port };
    Some(Illness { port: ContainerPort::new(port).unwrap(), ..silent(lines) }.diagnosis())
}

#[test]
fn every_log_is_told_by_its_own_rule() {
    let (mut told, mut wrong) = (String::new(), Vec::new());
    for log in recorded() {
        let found = diagnosis(&log);
        let cause = found.as_ref().map_or("nothing", |found| found.cause.as_str());
        let _ = writeln!(told, "{}: {cause}", log.name);
        if found.as_ref().map(|found| found.rule) != Some(log.rule.as_str()) {
            wrong.push(format!("{} by {:?}", log.name, found.map(|found| found.rule)));
        }
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
    insta::assert_snapshot!(told);
}

#[test]
fn every_rule_has_a_log_that_was_really_written() {
    let recorded: BTreeSet<String> = recorded().into_iter().map(|log| log.rule).collect();
    let without: Vec<&str> = rules::all().map(|rule| rule.name).filter(|name| !recorded.contains(*name)).collect();
    assert!(without.is_empty(), "{without:?}");
    let names: BTreeSet<&str> = rules::all().map(|rule| rule.name).collect();
    assert_eq!(names.len(), rules::all().count(), "every rule has a name of its own");
}

#[test]
fn every_sentence_is_short_enough_for_a_comment() {
    for rule in rules::all() {
        assert!(rule.cause.len() <= 170 && rule.advice.len() <= 300, "{}", rule.name);
        assert!(rule.advice.ends_with('.') && !rule.cause.ends_with('.'), "{}", rule.name);
        assert!(!format!("{}{}", rule.cause, rule.advice).contains(['|', '\n']), "{}", rule.name);
    }
}

// --------------------------------------------------------------------------------------------------------------- facts

fn sockets(addresses: &[&str]) -> Vec<SocketAddr> {
    addresses.iter().map(|address| address.parse().unwrap()).collect()
}

fn told(illness: &Illness<'_>) -> String {
    let Diagnosis { rule, cause, advice } = illness.diagnosis();
    format!("{rule}: {cause}\n  {advice}\n")
}

#[test]
fn where_an_app_listens_is_told_with_what_to_write() {
    let mut all = String::new();
    for listens in [
        &["0.0.0.0:4000", "127.0.0.1:9229"][..],
        &["[::]:4000"],
        &["127.0.0.1:3000"],
        &["[::1]:3000"],
        &["127.0.0.1:8000"],
        &["0.0.0.0:3000"],
        &[],
    ] {
        let listens = sockets(listens);
        let _ = write!(all, "{listens:?}\n  {}", told(&Illness { listens: Some(&listens), ..silent(&[]) }));
    }
    insta::assert_snapshot!(all);
}

#[test]
fn what_an_app_answers_is_told_with_what_to_write() {
    let mut all = String::new();
    let log = ["error: relation \"users\" does not exist".to_owned()];
    for status in [301, 400, 401, 404, 418, 500, 503] {
        let _ = write!(all, "{status} {}", told(&Illness { symptom: Symptom::Status(status), ..silent(&[]) }));
    }
    let status = |status| Symptom::Status(status);
    let _ = write!(all, "404 {}", told(&Illness { symptom: status(404), other_path: Some("/healthz"), ..silent(&[]) }));
    let _ = write!(all, "500 {}", told(&Illness { symptom: status(500), ..silent(&log) }));
    let _ = write!(all, "host {}", told(&Illness { symptom: Symptom::HostRefused(400), ..silent(&[]) }));
    let _ = write!(all, "slow {}", told(&Illness { symptom: Symptom::Slow { seconds: 5 }, ..silent(&[]) }));
    insta::assert_snapshot!(all);
}

#[test]
fn how_an_app_ended_is_told() {
    let mut all = String::new();
    let log = ["Error: Cannot find module 'express'".to_owned()];
    for (exit_code, out_of_memory, log) in [
        (Some(0), false, &[][..]),
        (Some(7), false, &[]),
        (None, false, &[]),
        (Some(137), false, &[]),
        (Some(137), true, &log),
        (Some(1), false, &log),
        (None, false, &log),
    ] {
        let _ =
            write!(all, "{}", told(&Illness { symptom: Symptom::Ended { exit_code, out_of_memory }, ..silent(log) }));
    }
    insta::assert_snapshot!(all);
}

// ------------------------------------------------------------------------------------------------------------- hostile logs

/// Lines that begin as those do which rules look for, and go on as nobody expects.
fn hostile() -> impl Strategy<Value = Vec<String>> {
    let starts: Vec<String> =
        recorded().into_iter().flat_map(|log| log.lines).filter(|line| !line.is_empty()).collect();
    let cut = (prop::sample::select(starts), 0..200_usize, "\\PC{0,120}|[`*<>|@#\\[\\]()!\u{202e}\u{1b}\n'\"]{0,60}");
    let line = cut.prop_map(|(start, length, rest)| start.chars().take(length).chain(rest.chars()).collect::<String>());
    prop::collection::vec(line, 1..6)
}

#[test]
fn a_hostile_log_puts_nothing_odd_into_the_first_line() {
    holds("logs to a cause", 1, hostile(), |log| {
        for phase in [Phase::Engine, Phase::Build, Phase::Run] {
            let Some(found) = of_log(phase, log.iter().map(String::as_str)) else { continue };
            let rule = rules::all().find(|rule| rule.name == found.rule).expect("a rule of the table");
            let (before, after) = rule.cause.split_once("{}").unwrap_or((rule.cause, ""));
            prop_assert!(found.cause.starts_with(before) && found.cause.ends_with(after), "{}", found.cause);
            let named = &found.cause[before.len()..found.cause.len() - after.len()];
            let plain = |c: char| c.is_ascii_alphanumeric() || " `@/._:+=-".contains(c);
            prop_assert!(named.chars().all(plain) && named.len() < 100, "{}", named);
            prop_assert!(matches!(named.matches('`').count(), 0 | 2), "{}", named);
            prop_assert_eq!(found.advice.as_str(), rule.advice);
        }
        Ok(())
    });
}

#[test]
fn what_is_no_name_is_left_out_of_the_sentence() {
    let cause = |line: &str| of_log(Phase::Run, [line]).map(|found| found.cause).unwrap_or_default();
    let hostile = "ModuleNotFoundError: No module named 'x` **[click](http://evil.example)**'";
    assert_eq!(cause(hostile), "a module is needed, and is not among what was installed");
    let long = format!("ModuleNotFoundError: No module named '{}'", "x".repeat(81));
    assert_eq!(cause(&long), "a module is needed, and is not among what was installed");
    assert_eq!(cause("Missing required environment variable: hunter2!"), "a variable is not set");
}

// ------------------------------------------------------------------------------------------------------- documentation

#[test]
fn the_table_of_causes_in_the_documentation_is_current() {
    let mut text = String::new();
    for (phase, title) in [
        (Phase::Run, "While the app starts"),
        (Phase::Build, "While the image is built"),
        (Phase::Engine, "When an image or a container can't be had"),
    ] {
        let _ = write!(text, "### {title}\n\n| the comment says | what to try |\n| --- | --- |\n");
        for rule in rules::all().filter(|rule| rule.phases.contains(&phase)) {
            let cause = rule.cause.replace("{}", &rule.kind.with(None));
            let _ = writeln!(text, "| {cause} | {} |", rule.advice);
        }
        text.push('\n');
    }
    part_is_current("docs/TROUBLESHOOTING.md", "rules", text.trim_end_matches('\n'));
}
