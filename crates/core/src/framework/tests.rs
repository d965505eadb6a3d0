//! Small trees and what is detected in them, whatever their language; what the tests of each language are written with.

use super::*;

/// Paths and texts.
pub(super) type Tree<'a> = &'a [(&'a str, &'a str)];
/// A tree, its `preview-config.yml`, and what is said of it.
pub(super) type Case<'a> = (Tree<'a>, &'a str, &'a str);

pub(super) const NEST: &str =
    r#"{"dependencies": {"@nestjs/core": "^11"}, "scripts": {"build": "nest build", "start:prod": "node dist/main"}}"#;
pub(super) const NEST_PG: &str = r#"{"dependencies": {"@nestjs/core": "^11", "@nestjs/typeorm": "^11", "pg": "^8"}, "scripts": {"build": "nest build"}}"#;
pub(super) const MAIN: &str = "package main\n\nfunc main() {}\n";

pub(super) fn look(tree: Tree, config: &str, trust: Trust) -> Result<Detected, DetectError> {
    let config = RepoConfig::parse(config).unwrap();
    detect(&MemoryFiles::new(tree.iter().copied()), &config, &BuildRules { base_images: BaseImages::public(), trust })
}

/// Framework, port, user, database and reason in a line; or the error.
pub(super) fn told(tree: Tree, config: &str) -> String {
    match look(tree, config, Trust::Stranger) {
        Ok(found) => {
            let user = found.user.as_deref().unwrap_or("-");
            let database = found.database.database.map_or("none", Database::as_str);
            format!("{} {} {user} {database}: {}", found.framework, found.app_port, found.reason)
        }
        Err(error) => format!("error: {error}"),
    }
}

pub(super) fn dockerfile(tree: Tree, config: &str) -> String {
    look(tree, config, Trust::Stranger).unwrap().dockerfile
}

#[test]
fn trees_with_a_dockerfile_of_their_own() {
    let own = ("Dockerfile", "FROM python:3.12\nUSER app\nEXPOSE 5000\nCMD [\"x\"]\n");
    let cases: &[Case] = &[
        (&[own], "", "docker 5000 app none: the repository has a `Dockerfile`"),
        (&[own, ("package.json", NEST_PG)], "", "docker 5000 app postgres: the repository has a `Dockerfile`"),
        (&[own], "app_port: 7000\ndatabase: postgres", "docker 7000 app postgres: the repository has a `Dockerfile`"),
        (
            &[("Dockerfile", "FROM scratch\n")],
            "framework: docker",
            "docker 8080 - none: the repository has a `Dockerfile`",
        ),
        (
            &[own, ("package.json", NEST), ("package-lock.json", "{}")],
            "framework: nestjs",
            "nestjs 3000 node none: `package.json` depends on `@nestjs/core`; npm by its lock file",
        ),
        (
            &[own, ("deploy/api.Dockerfile", "FROM x\nEXPOSE 81\n"), ("package.json", NEST)],
            "dockerfile: deploy/api.Dockerfile\nframework: nestjs",
            "docker 81 - none: `preview-config.yml` names `deploy/api.Dockerfile` as its Dockerfile",
        ),
        (
            &[own],
            "dockerfile: deploy/Dockerfile",
            "error: there is no `deploy/Dockerfile`, which `preview-config.yml` names as `dockerfile`",
        ),
        (
            &[("go.mod", "module x\n"), ("main.go", MAIN)],
            "framework: docker",
            "error: `preview-config.yml` says `framework: docker`, but there is no `Dockerfile`",
        ),
        (
            &[("Dockerfile", "FROM x\nADD http://example.com/x /x\n")],
            "",
            "error: `Dockerfile` cannot be used: line 2: `ADD` from an address, or from a variable that may be one, is \
             only for people who can write to this repository; use `RUN curl` or a file of the repository",
        ),
    ];
    for (tree, config, expected) in cases {
        assert_eq!(told(tree, config), *expected);
    }
    let fetching = [("Dockerfile", "FROM x\nADD https://example.com/x /x\n")];
    assert!(look(&fetching, "", Trust::Member).is_ok());
}

#[test]
fn an_unknown_tree_gets_an_error_that_helps() {
    let Err(error) = look(&[("README.md", "# hello")], "", Trust::Member) else { panic!("nothing should be found") };
    let advice = error.advice().unwrap();
    insta::assert_snapshot!("nothing_found", format!("{error}\n{advice}"));
    let suggested: Vec<&str> = advice.split('`').skip(1).step_by(2).filter(|quoted| quoted.contains(": ")).collect();
    assert!(
        advice.len() <= 300 && suggested.len() == 2 && RepoConfig::parse(&suggested.join("\n")).is_ok(),
        "{suggested:?}"
    );
    for (name, text) in error.examples() {
        let example = MemoryFiles::new([(*name, *text), ("Dockerfile", "FROM node:22-bookworm-slim\n")]);
        assert!(RepoConfig::load(&example).is_ok(), "{name}");
        assert!(*name != "Dockerfile" || look(&[(*name, *text)], "", Trust::Stranger).is_ok(), "{name}");
    }
}

#[test]
fn links_are_refused_by_path_alone() {
    for path in ["Dockerfile", "package.json", "go.mod"] {
        let files = MemoryFiles::new([("README.md", "")]).with_link(path);
        let rules = BuildRules { base_images: BaseImages::public(), trust: Trust::Member };
        let error = detect(&files, &RepoConfig::default(), &rules).unwrap_err();
        assert_eq!(
            error.to_string(),
            format!("`{path}` is a symbolic link or lies behind one; links are not followed")
        );
    }
}

#[test]
fn databases_are_told_by_drivers() {
    let prisma = r#"{"dependencies": {"@prisma/client": "6"}}"#;
    let schema =
        "generator client {\n  provider = \"prisma-client-js\"\n}\ndatasource db {\n  provider = \"postgresql\"\n}\n";
    let mysql = schema.replace("postgresql", "mysql");
    let own = ("Dockerfile", "FROM x\n");
    let cases: [Case; 7] = [
        (
            &[own, ("package.json", prisma), ("prisma/schema.prisma", schema)],
            "",
            "`prisma/schema.prisma` has a postgres datasource",
        ),
        (
            &[own, ("package.json", prisma), ("prisma/schema.prisma", &mysql)],
            "",
            "`prisma/schema.prisma` has a mysql datasource",
        ),
        (&[own, ("package.json", prisma)], "", "no database driver among the dependencies"),
        (&[own, ("package.json", NEST_PG)], "", "`package.json` depends on `pg`"),
        (&[own, ("package.json", NEST_PG)], "database: none", "`preview-config.yml` says `database: none`"),
        (&[own], "database: postgres", "`preview-config.yml` says `database: postgres`"),
        (
            &[own, ("go.mod", "require gorm.io/driver/postgres v1.5.9")],
            "",
            "`go.mod` requires `gorm.io/driver/postgres`",
        ),
    ];
    for (tree, config, reason) in cases {
        assert_eq!(look(tree, config, Trust::Stranger).unwrap().database.reason, reason);
    }
}

#[test]
fn dockerfiles_use_nothing_that_an_old_engine_lacks() {
    let trees: [Tree; 3] = [
        &[("package.json", NEST), ("package-lock.json", "{}")],
        &[("package.json", NEST), ("yarn.lock", "__metadata:\n")],
        &[("go.mod", "module x\n"), ("go.sum", ""), ("main.go", MAIN)],
    ];
    for tree in trees {
        let text = dockerfile(tree, "");
        assert!(!text.contains("<<") && !text.contains("--link") && !text.contains("syntax="), "{text}");
        let own = own_dockerfile::OwnDockerfile::parse(&text).unwrap();
        assert!(!own_dockerfile::runs_as_root(own.final_user().unwrap()), "{text}");
        assert!(own.fetches_nothing().is_ok());
    }
}

#[test]
fn a_prefix_moves_the_base_images() {
    let files = MemoryFiles::new([("package.json", NEST)]);
    let rules =
        BuildRules { base_images: BaseImages::with_prefix("mirror.example/hub").unwrap(), trust: Trust::Stranger };
    let text = detect(&files, &RepoConfig::default(), &rules).unwrap().dockerfile;
    assert_eq!(text.matches("FROM mirror.example/hub/node:22-bookworm-slim").count(), 2, "{text}");
    assert!(!text.contains("FROM node"), "{text}");
}
