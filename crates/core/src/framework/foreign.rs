//! Projects of languages and tools for which no Dockerfile is made here.
//!
//! Whoever brings one is told that it was seen and what to bring, rather than what else was looked for.

use super::{DetectError, Files};

/// What shows a project of each, at its root: a name, or with a `*` how one ends.
const FOREIGN: [(&str, &[&str]); 12] = [
    ("a .NET project", &["*.sln", "*.slnx", "*.csproj", "*.fsproj", "*.vbproj"]),
    ("an Elixir project", &["mix.exs"]),
    ("a Deno project", &["deno.json", "deno.jsonc"]),
    ("a Scala project", &["build.sbt"]),
    ("a Clojure project", &["deps.edn", "project.clj"]),
    ("a Gradle project without Spring Boot", &["build.gradle", "build.gradle.kts"]),
    ("a Maven project without Spring Boot", &["pom.xml"]),
    ("a Swift project", &["Package.swift"]),
    ("a Dart project", &["pubspec.yaml"]),
    ("a Haskell project", &["stack.yaml", "*.cabal"]),
    ("a Ruby project other than a Rails app", &["Gemfile"]),
    ("a PHP project other than a Laravel app", &["composer.json", "index.php"]),
];

/// The first of them that is in this folder, as an error.
pub(super) fn refused(files: &dyn Files) -> Result<(), DetectError> {
    let mut names = files.list("")?;
    names.sort();
    for (project, evidence) in FOREIGN {
        if let Some(file) = names.iter().find(|name| evidence.iter().any(|evidence| shows(evidence, name))) {
            return Err(DetectError::Foreign { project, file: file.clone() });
        }
    }
    Ok(())
}

fn shows(evidence: &str, name: &str) -> bool {
    match evidence.strip_prefix('*') {
        Some(end) => name.len() > end.len() && name.ends_with(end),
        None => name == evidence,
    }
}
