//! What is built into the product: its licences, where it comes from, and what is in it twice.
//!
//! `deny.toml` has the rules, and `cargo deny` is the one to ask; this is the part of it that needs nothing but cargo.

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;

use preview_exec::{Limits, Program};
use serde_json::Value;

fn root() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../..")
}

/// A list of `deny.toml`; lists of strings are written as in JSON.
fn rule(name: &str) -> Vec<String> {
    let text = std::fs::read_to_string(root().join("deny.toml")).unwrap();
    let list = text.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(" = ")).unwrap();
    serde_json::from_str(list).unwrap()
}

/// Every package that the product is built of on Linux, ours left out.
async fn packages() -> Vec<Value> {
    let cargo = Program::new(env!("CARGO"))
        .args(["metadata", "--format-version=1", "--locked", "--offline"])
        .args(["--filter-platform", "x86_64-unknown-linux-gnu"])
        .dir(root())
        .limits(Limits { kept: 64 << 20, ..Limits::seconds(120) });
    let told = ["HOME", "CARGO_HOME", "RUSTUP_HOME", "RUSTUP_TOOLCHAIN"]
        .iter()
        .fold(cargo, |cargo, name| cargo.inherit_env(name));
    let metadata: Value = serde_json::from_slice(&told.run().await.unwrap().stdout).unwrap();
    let nodes = metadata["resolve"]["nodes"].as_array().unwrap();
    let built: BTreeSet<&str> = nodes.iter().map(|node| node["id"].as_str().unwrap()).collect();
    let all = metadata["packages"].as_array().unwrap().iter();
    all.filter(|package| built.contains(package["id"].as_str().unwrap()) && !package["source"].is_null())
        .cloned()
        .collect()
}

fn text<'a>(package: &'a Value, field: &str) -> &'a str {
    package[field].as_str().unwrap_or_default()
}

/// Whether an SPDX expression leaves us a choice that is allowed. `/` is how `OR` was written once.
fn is_free(expression: &str, allowed: &[String]) -> bool {
    let spaced = expression.replace('(', " ( ").replace(')', " ) ").replace('/', " OR ");
    let words: Vec<&str> = spaced.split_whitespace().collect();
    let (free, rest) = any(&words, allowed);
    free && rest.is_empty()
}

fn any<'a>(words: &'a [&'a str], allowed: &[String]) -> (bool, &'a [&'a str]) {
    let (mut free, mut rest) = all(words, allowed);
    while let ["OR", behind @ ..] = rest {
        let (other, left) = all(behind, allowed);
        (free, rest) = (free || other, left);
    }
    (free, rest)
}

fn all<'a>(words: &'a [&'a str], allowed: &[String]) -> (bool, &'a [&'a str]) {
    let (mut free, mut rest) = one(words, allowed);
    while let ["AND", behind @ ..] = rest {
        let (other, left) = one(behind, allowed);
        (free, rest) = (free && other, left);
    }
    (free, rest)
}

fn one<'a>(words: &'a [&'a str], allowed: &[String]) -> (bool, &'a [&'a str]) {
    match words {
        ["(", inner @ ..] => {
            let (free, rest) = any(inner, allowed);
            (free && rest.first() == Some(&")"), rest.get(1..).unwrap_or_default())
        }
        // An exception makes it a licence of its own.
        [license, "WITH", exception, rest @ ..] => (allowed.contains(&format!("{license} WITH {exception}")), rest),
        [license, rest @ ..] => (allowed.iter().any(|known| known == license), rest),
        [] => (false, words),
    }
}

#[test]
fn licence_expressions_are_understood() {
    let allowed = ["MIT", "ISC"].map(str::to_owned);
    for free in
        ["MIT", "GPL-3.0 OR MIT", "MIT/Apache-2.0", "MIT AND ISC", "(GPL-3.0 OR MIT) AND ISC", "GPL-3.0 AND X OR ISC"]
    {
        assert!(is_free(free, &allowed), "{free}");
    }
    for bound in ["", "GPL-3.0", "MIT AND GPL-3.0", "(MIT OR ISC) AND GPL-3.0", "MIT WITH X", "(MIT", "MIT MIT"] {
        assert!(!is_free(bound, &allowed), "{bound}");
    }
}

#[tokio::test]
async fn what_is_built_in_is_free_comes_from_one_place_and_is_there_once() {
    let (packages, allowed) = (packages().await, rule("allow"));
    assert!(packages.len() > 100, "{}", packages.len());
    let mut wrong = Vec::new();
    let mut versions: BTreeMap<&str, Vec<&str>> = BTreeMap::new();
    let sources: BTreeSet<&str> = packages.iter().map(|package| text(package, "source")).collect();
    for package in &packages {
        let (name, version) = (text(package, "name"), text(package, "version"));
        if !is_free(text(package, "license"), &allowed) {
            wrong.push(format!("the licence of {name} {version}: {:?}", package["license"]));
        }
        if !text(package, "source").starts_with("registry+") {
            wrong.push(format!("{name} {version} comes from {}", text(package, "source")));
        }
        versions.entry(name).or_default().push(version);
    }
    let skipped: BTreeSet<String> = rule("skip").into_iter().collect();
    for (name, versions) in versions.iter().filter(|(_, versions)| versions.len() > 1) {
        let counted =
            |version: &&&str| !skipped.iter().any(|skip| format!("{name}@{version}.").starts_with(&format!("{skip}.")));
        if versions.iter().filter(counted).count() > 1 {
            wrong.push(format!("{name} is there in several versions: {}", versions.join(", ")));
        }
    }
    assert_eq!(wrong, [""; 0], "see deny.toml");
    assert_eq!(sources.len(), 1, "{sources:?}");
}
