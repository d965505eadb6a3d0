//! Repositories as popular starters make them, and what is found in each: `trees/*.txt`, one file per ecosystem.
//!
//! A tree is a paragraph: a line `#` with its name, then a path with its text a line (`\n` in it is a line's end, `\t` a tab), and last, after
//! `=>`, what is found: framework, port, database, the build context where that isn't the root, how it is installed, what runs,
//! and what migrates before; or how the error begins.

use std::collections::BTreeSet;

use super::own_dockerfile::{OwnDockerfile, runs_as_root};
use super::*;

/// One line for each ecosystem.
const GROUPS: [(&str, &str); 8] = [
    ("node", include_str!("trees/node.txt")),
    ("workspaces", include_str!("trees/workspaces.txt")),
    ("go", include_str!("trees/go.txt")),
    ("rust", include_str!("trees/rust.txt")),
    ("php", include_str!("trees/php.txt")),
    ("ruby", include_str!("trees/ruby.txt")),
    ("java", include_str!("trees/java.txt")),
    ("own", include_str!("trees/own.txt")),
];

struct Tree<'a> {
    name: &'a str,
    files: Vec<(&'a str, String)>,
    expected: &'a str,
}

fn trees(text: &str) -> impl Iterator<Item = Tree<'_>> {
    text.split("\n\n").map(|paragraph| {
        let mut lines = paragraph.trim().lines();
        let name = lines.next().and_then(|line| line.strip_prefix("# "));
        let name = name.unwrap_or_else(|| panic!("a tree begins with its name: {paragraph}"));
        let mut tree = Tree { name, files: Vec::new(), expected: "" };
        for line in lines {
            match line.strip_prefix("=> ") {
                Some(expected) => tree.expected = expected,
                None => {
                    let (path, text) = line.split_once(' ').unwrap_or((line, ""));
                    tree.files.push((path, text.trim_start().replace("\\n", "\n").replace("\\t", "\t")));
                }
            }
        }
        tree
    })
}

impl Tree<'_> {
    fn look(&self) -> Result<Detected, DetectError> {
        let files = MemoryFiles::new(self.files.iter().map(|(path, text)| (*path, text.as_str())));
        let config = RepoConfig::load(&files).unwrap_or_else(|error| panic!("{}: {error}", self.name));
        detect(&files, &config, &BuildRules { base_images: BaseImages::public(), trust: Trust::Stranger })
    }
}

/// What is found, in a line.
fn told(found: &Detected) -> String {
    let database = found.database.database.map_or("none", Database::as_str);
    let context = if found.context.is_all() { String::new() } else { format!(" in {}", found.context) };
    let installed = found.reason.split_once("; ").map(|(_, how)| format!("; {how}")).unwrap_or_default();
    let command = found.dockerfile.lines().rev().find_map(|line| line.strip_prefix("CMD ["));
    let command = command.map(|words| words.trim_end_matches(']').replace("\",\"", " ").replace('"', ""));
    let command = command.map(|command| format!(": {command}")).unwrap_or_default();
    let migrated = found.migration.as_ref().map(|migration| format!(", after {}", migration.command.shown()));
    let migrated = migrated.unwrap_or_default();
    format!("{} {} {database}{context}{installed}{command}{migrated}", found.framework, found.app_port)
}

#[test]
fn starters_are_recognised() {
    let mut wrong = Vec::new();
    for (group, text) in GROUPS {
        for tree in trees(text) {
            let (found, as_expected) = match tree.look() {
                Ok(found) => (told(&found), told(&found) == tree.expected),
                Err(error) => {
                    let error = format!("error: {error}");
                    let as_expected = !tree.expected.is_empty() && error.starts_with(tree.expected);
                    (error, as_expected)
                }
            };
            if !as_expected {
                wrong.push(format!("{group}, {}:\n   {found}\nnot {}", tree.name, tree.expected));
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n\n"));
}

#[test]
fn there_are_many_and_each_stands_once() {
    let names: Vec<&str> = GROUPS.iter().flat_map(|(_, text)| trees(text).map(|tree| tree.name)).collect();
    assert!(names.len() >= 80, "{}", names.len());
    assert_eq!(names.iter().collect::<BTreeSet<_>>().len(), names.len());
}

#[test]
fn what_is_generated_for_them_is_a_dockerfile_that_any_engine_reads_and_that_gives_up_root() {
    for tree in GROUPS.iter().flat_map(|(_, text)| trees(text)) {
        let Ok(found) = tree.look() else { continue };
        if matches!(found.framework, Framework::Docker | Framework::Compose) {
            continue;
        }
        let text = &found.dockerfile;
        assert!(!text.contains("<<") && !text.contains("--link") && !text.contains("syntax="), "{}: {text}", tree.name);
        let read = OwnDockerfile::parse(text).unwrap_or_else(|error| panic!("{}: {error}\n{text}", tree.name));
        assert!(!runs_as_root(read.final_user().unwrap()), "{}: {text}", tree.name);
        assert_eq!(read.exposed_ports(), [found.app_port], "{}: {text}", tree.name);
        assert!(read.fetches_nothing().is_ok(), "{}: {text}", tree.name);
    }
}

/// The Dockerfile for a tree of that name.
fn dockerfile(name: &str) -> String {
    let mut all = GROUPS.iter().flat_map(|(_, text)| trees(text));
    let tree = all.find(|tree| tree.name == name).unwrap_or_else(|| panic!("there is no tree {name}"));
    tree.look().unwrap_or_else(|error| panic!("{name}: {error}")).dockerfile
}

#[test]
fn dockerfiles_of_workspaces() {
    insta::assert_snapshot!("workspace_of_npm", dockerfile("npm: one server, one library, found"));
    insta::assert_snapshot!(
        "workspace_of_npm_without_a_build",
        dockerfile("npm: the driver is in a package beside it")
    );
    insta::assert_snapshot!("workspace_of_pnpm_with_turborepo", dockerfile("pnpm with Turborepo: NestJS and Next.js"));
    insta::assert_snapshot!(
        "workspace_of_npm_with_prisma",
        dockerfile("npm: a schema of Prisma's in a package beside it")
    );
    insta::assert_snapshot!("workspace_of_go", dockerfile("A workspace with one program"));
}

#[test]
fn dockerfiles_of_other_languages() {
    insta::assert_snapshot!("laravel", dockerfile("Laravel, by its installer"));
    insta::assert_snapshot!("rails", dockerfile("Rails with esbuild"));
    insta::assert_snapshot!(
        "rails_with_several_databases",
        dockerfile("Rails 8, by its generator, without its Dockerfile")
    );
    insta::assert_snapshot!("spring_by_maven", dockerfile("Modules of Maven with two programs, one chosen"));
    insta::assert_snapshot!("spring_by_gradle", dockerfile("Spring Boot with Gradle in Kotlin"));
    insta::assert_snapshot!(
        "spring_by_modules_of_gradle",
        dockerfile("Modules of Gradle with two programs, one chosen")
    );
    insta::assert_snapshot!("laravel_with_mongodb", dockerfile("Laravel with MongoDB, for the newest PHP"));
}

#[test]
fn dockerfiles_with_a_tool_that_migrates() {
    insta::assert_snapshot!("rust_with_sqlx", dockerfile("sqlx, whose migrations are run by its command line"));
    insta::assert_snapshot!("rust_with_diesel_and_mysql", dockerfile("Diesel with MySQL, set up by its command line"));
    insta::assert_snapshot!("go_with_migrate", dockerfile("golang-migrate by its command line, kept among the tools"));
    // Without an own migration there is none.
    for name in ["sqlx, whose migrations are in the program", "golang-migrate within the program", "Vendored"] {
        assert!(!dockerfile(name).contains("AS tool"), "{name}");
    }
}

#[test]
fn migrations_behind_a_link_are_passed_over() {
    let sqlx = "[package]\nname = \"api\"\n\n[dependencies]\nsqlx = { version = \"0.8\", features = [\"postgres\"] }\n";
    let diesel = sqlx.replace("sqlx", "diesel");
    let rust = |manifest: &str| MemoryFiles::new([("Cargo.toml", manifest), ("src/main.rs", "")]);
    let go = MemoryFiles::new([("go.mod", "module x\nrequire github.com/lib/pq v1\n"), ("main.go", "package main")]);
    for files in [rust(sqlx), rust(&diesel), go] {
        let rules = BuildRules { base_images: BaseImages::public(), trust: Trust::Stranger };
        let files = files.with_link("migrations").with_link("internal/migrations");
        let found = detect(&files, &RepoConfig::default(), &rules).unwrap();
        assert_eq!((found.database.database, found.migration), (Some(Database::Postgres), None));
    }
}

#[test]
fn the_command_line_is_of_the_version_that_the_program_is_built_with() {
    for (name, installed) in [
        ("sqlx, whose migrations are run by its command line", "--root /tool --version '~0.8' --no-default"),
        ("Diesel, without a lock file", "--root /tool --no-default-features --features postgres diesel_cli"),
        ("golang-migrate by its command line, kept among the tools", "/cmd/migrate@v4.17.1\n"),
        (
            "Files as golang-migrate names them, with MySQL",
            "-tags mysql github.com/golang-migrate/migrate/v4/cmd/migrate@v4.18.3\n",
        ),
    ] {
        let text = dockerfile(name);
        assert!(text.contains(installed), "{name}: {text}");
    }
}

#[test]
fn what_is_written_in_c_is_compiled_where_go_needs_it() {
    assert!(dockerfile("GORM with SQLite, which is written in C").contains("CGO_ENABLED=1\n"));
    assert!(dockerfile("GORM, with a front end beside it").contains("GOTOOLCHAIN=auto CGO_ENABLED=0\n"));
}

#[test]
fn a_module_is_built_and_found_where_gradle_puts_it() {
    for (name, module) in [
        ("Modules of Gradle with one program", "api"),
        ("Modules of Gradle with two programs, one chosen", "services/orders"),
        ("Modules of Gradle with the plugin for all of them", "app"),
    ] {
        let text = dockerfile(name);
        let task = format!("plain :{}:bootJar\n", module.replace('/', ":"));
        assert!(text.contains(&task) && text.contains(&format!("ls {module}/build/libs/*.jar")), "{name}: {text}");
    }
}

#[test]
fn rails_gets_node_and_its_assets_by_whatever_makes_them() {
    for name in ["Rails with Tailwind by Node.js", "Rails 6 with Webpacker, and a Ruby that is no longer built"] {
        let text = dockerfile(name);
        assert!(text.contains("/opt/node") && text.contains("assets:precompile"), "{name}: {text}");
    }
    let webpacker = dockerfile("Rails 6 with Webpacker, and a Ruby that is no longer built");
    assert!(webpacker.contains("ENV NODE_OPTIONS=--openssl-legacy-provider\n"), "{webpacker}");
    assert!(!dockerfile("Rails 8, by its generator, without its Dockerfile").contains("/opt/node"));
}

#[test]
fn a_ruby_that_was_never_built_on_this_debian_is_taken_on_its_own() {
    let image = |ruby: &str| {
        let gemfile = format!("ruby \"{ruby}\"\ngem \"rails\"");
        let files = MemoryFiles::new([("Gemfile", gemfile.as_str()), ("config/application.rb", "")]);
        let rules = BuildRules { base_images: BaseImages::public(), trust: Trust::Stranger };
        let text = detect(&files, &RepoConfig::default(), &rules).unwrap().dockerfile;
        let base = text.lines().find_map(|line| line.strip_prefix("FROM ruby:")).unwrap();
        base.trim_end_matches(" AS base").to_owned()
    };
    for older in ["2.7.8", "3.0.6", "3.1.3", "3.2.1"] {
        assert_eq!(image(older), format!("{older}-slim"));
    }
    for newer in ["3.1.4", "3.1", "3.2.2", "3.3.0", "4.0.0"] {
        assert_eq!(image(newer), format!("{newer}-slim-bookworm"));
    }
}

#[test]
fn gems_are_compiled_in_a_stage_of_their_own_and_find_their_libraries_in_the_image() {
    let text = dockerfile("Rails with esbuild");
    let stages: Vec<&str> = text.split("\nFROM base").collect();
    let [base, build, last] = stages[..] else { panic!("{text}") };
    for (headers, library) in [
        ("libpq-dev", "libpq5"),
        ("libmariadb-dev", "libmariadb3"),
        ("libsqlite3-dev", "libsqlite3-0"),
        ("libyaml-dev", "libyaml-0-2"),
    ] {
        assert!(build.contains(headers) && base.contains(library), "{text}");
    }
    assert!(build.starts_with(" AS build\n") && build.contains("build-essential") && build.contains("bundle install"));
    for packages in [base, last] {
        assert!(!packages.contains("-dev") && !packages.contains("build-essential"), "{packages}");
    }
}

#[test]
fn tools_that_start_the_app_stay_installed() {
    for name in [
        "Express in TypeScript, run by tsx",
        "Express in TypeScript, by tsx alone",
        "Fastify in TypeScript, by its CLI",
        "Apollo Server",
    ] {
        assert!(!dockerfile(name).contains("npm prune"), "{name}");
    }
    assert!(dockerfile("Hono for Node.js").contains("npm prune"));
}

#[test]
fn a_link_among_the_packages_of_a_workspace_is_passed_over() {
    let files = MemoryFiles::new([
        ("package.json", r#"{"workspaces": ["packages/*"]}"#),
        ("packages/api/package.json", r#"{"scripts": {"start": "node main.js"}, "dependencies": {"koa": "3"}}"#),
    ])
    .with_link("packages/out");
    let rules = BuildRules { base_images: BaseImages::public(), trust: Trust::Stranger };
    assert_eq!(
        told(&detect(&files, &RepoConfig::default(), &rules).unwrap()).split(';').next(),
        Some("node 3000 none")
    );
    let config = RepoConfig::parse("root: packages/out").unwrap();
    let refused = detect(&files, &config, &rules);
    assert!(matches!(refused, Err(DetectError::NoRoot(_) | DetectError::File(_))), "{refused:?}");
}
