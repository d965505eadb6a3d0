//! docs/SECURITY.md names a test for each promise: those that it names are there.

use std::fs;
use std::path::{Path, PathBuf};

/// Where the tests of each word of docs/SECURITY.md are.
const ROOTS: [(&str, &[&str]); 5] = [
    ("core", &["core/src"]),
    ("orchestrator", &["orchestrator/src", "orchestrator/tests"]),
    ("cli", &["cli/src", "cli/tests"]),
    ("e2e", &["cli/tests/e2e"]),
    ("droplet", &["cli/tests/droplet"]),
];

/// A Rust file: its path beneath `crates`, without the ending and `mod`, and its text.
struct Source {
    path: Vec<String>,
    text: String,
}

fn sources(root: &Path, folder: &Path) -> Vec<Source> {
    let mut found = Vec::new();
    for entry in fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()) {
        if entry.is_dir() {
            found.extend(sources(root, &entry));
        } else if entry.extension().is_some_and(|ending| ending == "rs") {
            let path = entry.strip_prefix(root).unwrap().with_extension("");
            let parts = path.iter().map(|part| part.to_str().unwrap().to_owned());
            let parts = parts.filter(|part| part != "mod" && part != "main").collect();
            found.push(Source { path: parts, text: fs::read_to_string(&entry).unwrap() });
        }
    }
    found
}

impl Source {
    /// Whether these modules lead to it, or to one that it is part of.
    fn is_of(&self, modules: &[&str]) -> bool {
        let modules: Vec<&str> = modules.iter().copied().filter(|module| *module != "tests").collect();
        modules.is_empty() || self.path.windows(modules.len()).any(|window| window == modules)
    }

    /// Whether it has a test of this name, or a case that its neighbours run as one.
    fn has(&self, name: &str, all: &[Source]) -> bool {
        let Some((before, _)) = self.text.split_once(&format!("fn {name}(")) else { return false };
        let attributes: String = before.lines().rev().take(4).collect();
        let is_run = || {
            let files = all.iter().filter(|other| other.path[..2] == self.path[..2]);
            files.map(|file| file.text.matches(name).count()).sum::<usize>() > 1
        };
        attributes.contains("test]") || attributes.contains("::test(") || is_run()
    }

    fn tests_something(&self) -> bool {
        self.text.contains("assert") && self.text.contains("fn ")
    }
}

/// The second column of the tables of promises: what is in backticks, each with the word that tells where it is. "The same" is what the
/// row before names.
fn named(cell: &str, before: &[(&'static str, String)]) -> Vec<(&'static str, String)> {
    let mut found = if cell.starts_with("the same") { before.to_vec() } else { Vec::new() };
    let mut place = found.last().map(|(place, _)| *place);
    for (index, piece) in cell.split('`').enumerate() {
        if index % 2 == 1 {
            found.push((place.unwrap_or_else(|| panic!("of which crate is {piece}? {cell}")), piece.to_owned()));
            continue;
        }
        for word in piece.split(|c: char| !c.is_ascii_alphanumeric()) {
            place = ROOTS.iter().find(|(name, _)| *name == word).map(|(name, _)| *name).or(place);
        }
    }
    found
}

fn exists((place, name): &(&'static str, String), all: &[Source]) -> bool {
    let roots = ROOTS.iter().find(|(root, _)| root == place).unwrap().1;
    let parts: Vec<&str> = name.split("::").flat_map(|part| part.split('/')).collect();
    let (last, modules) = parts.split_last().unwrap();
    let there = |file: &&Source| roots.iter().any(|root| file.path.join("/").starts_with(root));
    all.iter()
        .filter(there)
        .any(|file| (file.is_of(modules) && file.has(last, all)) || (file.is_of(&parts) && file.tests_something()))
}

#[test]
fn every_promise_of_security_md_names_tests_that_are_there() {
    let crates = PathBuf::from(concat!(env!("CARGO_MANIFEST_DIR"), "/.."));
    let all = sources(&crates, &crates);
    let text = fs::read_to_string(crates.join("../docs/SECURITY.md")).unwrap();
    let promises = text.split_once("## Promises").unwrap().1;
    let heads = ["| promise |", "| incident |", "| --- |"];
    let rows =
        promises.lines().filter(|line| line.starts_with("| ") && !heads.iter().any(|head| line.starts_with(head)));
    let rows: Vec<&str> = rows.collect();
    assert!(rows.len() > 50, "{} promises", rows.len());
    let (mut missing, mut tests) = (Vec::new(), Vec::new());
    for row in rows {
        let cell = row.trim_end_matches(" |").rsplit(" | ").next().unwrap();
        tests = named(cell, &tests);
        assert!(!tests.is_empty(), "a promise without a test: {row}");
        missing.extend(tests.iter().filter(|test| !exists(test, &all)).cloned());
    }
    assert_eq!(missing, []);
}
