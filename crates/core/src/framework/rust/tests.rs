//! Small trees of Rust packages and workspaces, and what is detected in them.

use super::super::tests::{Case, dockerfile, look, told};
use crate::trust::Trust;

const AXUM: &str =
    "[package]\nname = \"guest-book\"\nversion = \"0.1.0\"\nedition = \"2024\"\n\n[dependencies]\naxum = \"0.8\"\n";
const MAIN: (&str, &str) = ("src/main.rs", "fn main() {}\n");
const LOCK: (&str, &str) = ("Cargo.lock", "version = 4\n\n[[package]]\nname = \"axum\"\nversion = \"0.8.4\"\n");
const WORKSPACE: (&str, &str) =
    ("Cargo.toml", "[workspace]\nresolver = \"3\"\nmembers = [\"crates/*\", \"./tools/seed/\"]\n");

#[test]
fn trees_of_rust_packages() {
    let axum = ("Cargo.toml", AXUM);
    let with = |more: &str| format!("{AXUM}{more}");
    let named = with("\n[[bin]]\nname = \"api\"\npath = \"src/main.rs\"\n");
    let elsewhere = with("\n[[bin]]\nname = \"api\"\npath = \"server/start.rs\"\n");
    let renamed = with("\n[[bin]]\nname = \"api\"\npath = \"src/bin/old.rs\"\n");
    let default = AXUM.replace("edition", "default-run = \"api\"\nedition");
    let without = AXUM.replace("edition", "autobins = false\nedition");
    let broken = AXUM.replace("axum = \"0.8\"", "axum = 0.8\"");
    let cases: &[Case] = &[
        (&[axum, MAIN, LOCK], "", "rust 8080 10001:10001 none: `Cargo.toml` with the program `guest-book`"),
        (
            &[axum, MAIN],
            "app_port: 3000",
            "rust 3000 10001:10001 none: `Cargo.toml` with the program `guest-book`; no `Cargo.lock`, so versions may \
             change between builds",
        ),
        (&[("Cargo.toml", &named), MAIN, LOCK], "", "rust 8080 10001:10001 none: `Cargo.toml` with the program `api`"),
        (&[("Cargo.toml", &elsewhere), LOCK], "", "rust 8080 10001:10001 none: `Cargo.toml` with the program `api`"),
        (
            &[("Cargo.toml", &renamed), ("src/bin/old.rs", ""), LOCK],
            "",
            "rust 8080 10001:10001 none: `Cargo.toml` with the program `api`",
        ),
        (
            // A tool beside the program itself.
            &[axum, MAIN, ("src/bin/migrate.rs", "fn main() {}"), LOCK],
            "",
            "rust 8080 10001:10001 none: `Cargo.toml` with the program `guest-book`",
        ),
        (
            &[axum, MAIN, ("src/bin/migrate.rs", "fn main() {}"), LOCK],
            "app_entrypoint: migrate",
            "rust 8080 10001:10001 none: `Cargo.toml` with the program `migrate`",
        ),
        (
            &[axum, ("src/lib.rs", ""), ("src/bin/api/main.rs", ""), ("src/bin/api/help.rs", ""), LOCK],
            "",
            "rust 8080 10001:10001 none: `Cargo.toml` with the program `api`",
        ),
        (
            &[axum, ("src/bin/worker.rs", ""), ("src/bin/api.rs", ""), LOCK],
            "",
            "error: several Rust programs: `api`, `worker`; choose one in `preview-config.yml`, such as \
             `app_entrypoint: api`",
        ),
        (
            &[("Cargo.toml", &default), ("src/bin/worker.rs", ""), ("src/bin/api.rs", ""), LOCK],
            "",
            "rust 8080 10001:10001 none: `Cargo.toml` with the program `api`",
        ),
        (
            &[("Cargo.toml", &without), MAIN, ("package.json", r#"{"scripts": {"start": "node x.js"}}"#)],
            "",
            "node 3000 node none: `package.json` is there, and its `start` script starts it; npm without a lock file, so \
             versions may change between builds",
        ),
        (
            // A library that another language loads.
            &[axum, ("src/lib.rs", "")],
            "framework: rust",
            "error: `Cargo.toml` is there, but neither its package nor a member of its workspace has a program",
        ),
        (
            &[axum, MAIN, LOCK],
            "app_entrypoint: api",
            "error: `app_entrypoint: api` is neither a Rust program nor the folder of a package with one; there are: \
             `guest-book`",
        ),
        (&[("Cargo.toml", &broken), MAIN], "", "error: `Cargo.toml` is not valid TOML (line 7, column 11)"),
        (
            &[("go.mod", "module x\n")],
            "framework: rust",
            "error: `preview-config.yml` says `framework: rust`, but there is no `Cargo.toml` with a program",
        ),
    ];
    for (tree, config, expected) in cases {
        assert_eq!(told(tree, config), *expected);
    }
}

#[test]
fn trees_of_rust_workspaces() {
    let api = ("crates/api/Cargo.toml", "[package]\nname = \"api\"\n");
    let api_main = ("crates/api/src/main.rs", "");
    let model = ("crates/model/Cargo.toml", "[package]\nname = \"model\"\n");
    let seed = ("tools/seed/Cargo.toml", "[package]\nname = \"seed\"\n");
    let seed_main = ("tools/seed/src/main.rs", "");
    let root = format!("{AXUM}\n[workspace]\nmembers = [\"crates/*\"]\n");
    let excluding = WORKSPACE.1.replace("\n\"", "\n") + "exclude = [\"tools/seed\"]\n";
    let cases: &[Case] = &[
        (
            &[WORKSPACE, api, api_main, model, ("crates/model/src/lib.rs", ""), ("crates/README.md", ""), LOCK],
            "",
            "rust 8080 10001:10001 none: `Cargo.toml` with the program `api`",
        ),
        (
            &[WORKSPACE, api, api_main, seed, seed_main, LOCK],
            "",
            "error: several Rust programs: `api`, `seed`; choose one in `preview-config.yml`, such as \
             `app_entrypoint: api`",
        ),
        (
            &[WORKSPACE, api, api_main, seed, seed_main, LOCK],
            "app_entrypoint: seed",
            "rust 8080 10001:10001 none: `Cargo.toml` with the program `seed`",
        ),
        (
            &[WORKSPACE, api, api_main, seed, seed_main, LOCK],
            "app_entrypoint: ./tools/seed",
            "rust 8080 10001:10001 none: `Cargo.toml` with the program `seed`",
        ),
        (
            &[("Cargo.toml", &excluding), api, api_main, seed, seed_main, LOCK],
            "",
            "rust 8080 10001:10001 none: `Cargo.toml` with the program `api`",
        ),
        (
            // The package at the root comes before its members.
            &[("Cargo.toml", &root), MAIN, api, api_main, LOCK],
            "",
            "rust 8080 10001:10001 none: `Cargo.toml` with the program `guest-book`",
        ),
        (
            &[
                ("Cargo.toml", "[workspace]\nmembers = [\"../other\", \"/etc\", \"a b\", \"*/*\"]\n"),
                api,
                api_main,
                LOCK,
            ],
            "",
            "rust 8080 10001:10001 none: `Cargo.toml` with the program `api`",
        ),
        (
            &[WORKSPACE, ("crates/api/Cargo.toml", "[package\n"), LOCK],
            "",
            "error: `crates/api/Cargo.toml` is not valid TOML (line 1, column 9)",
        ),
    ];
    for (tree, config, expected) in cases {
        assert_eq!(told(tree, config), *expected);
    }
}

#[test]
fn a_member_is_built_with_the_workspace_above_it() {
    let api = (
        "crates/api/Cargo.toml",
        "[package]\nname = \"api\"\n\n[dependencies]\nmodel = { path = \"../model\" }\nserde.workspace = true\n",
    );
    let api_main = ("crates/api/src/main.rs", "");
    let model =
        ("crates/model/Cargo.toml", "[package]\nname = \"model\"\n\n[dependencies]\ntokio-postgres = \"0.7\"\n");
    let worker = ("crates/worker/Cargo.toml", "[package]\nname = \"worker\"\n");
    let worker_main = ("crates/worker/src/main.rs", "");
    let tree = [WORKSPACE, api, api_main, model, worker, worker_main, LOCK, ("rust-toolchain", "1.90\n")];
    let config = "root: crates/api";
    assert_eq!(
        told(&tree, config),
        "rust 8080 10001:10001 postgres: `Cargo.toml` of a workspace with the program `api`"
    );
    assert!(look(&tree, config, Trust::Stranger).unwrap().context.is_all());
    insta::assert_snapshot!("dockerfile_of_rust_in_a_workspace", dockerfile(&tree, config));
    // Another member is none of the app's programs.
    assert_eq!(
        told(&tree, "root: crates/api\napp_entrypoint: worker"),
        "error: `app_entrypoint: worker` is neither a Rust program nor the folder of a package with one; there are: `api`"
    );
    // One that isn't listed is a member too, and one that is excluded isn't.
    let unlisted = ("Cargo.toml", "[workspace]\nmembers = [\"crates/worker\"]\n");
    let told_of = told(&[unlisted, api, api_main, model, worker, LOCK], config);
    assert!(told_of.contains("of a workspace with the program `api`"), "{told_of}");
    let excluding = ("Cargo.toml", "[workspace]\nmembers = [\"x\"]\nexclude = [\"crates/api\"]\n");
    let alone = ("crates/api/Cargo.toml", "[package]\nname = \"api\"\n");
    let found = look(&[excluding, alone, api_main], config, Trust::Stranger).unwrap();
    assert_eq!(found.context.as_str(), "crates/api");
}

#[test]
fn a_package_from_a_folder_beside_it_is_in_what_the_build_sees() {
    let main = ("services/api/src/main.rs", "");
    let lock = ("services/api/Cargo.lock", "version = 4\n");
    for list in [
        "[dependencies]\nshared = { path = \"../../libs/shared\" }\n",
        "[target.'cfg(unix)'.dev-dependencies.shared]\npath = \"../../libs/shared\"\n",
        "[patch.crates-io]\nshared = { path = \"../../libs/shared\" }\n",
    ] {
        let manifest = format!("[package]\nname = \"api\"\n\n{list}");
        let tree = [("services/api/Cargo.toml", manifest.as_str()), main, lock, ("libs/shared/Cargo.toml", "")];
        let found = look(&tree, "root: services/api", Trust::Stranger).unwrap();
        assert!(found.context.is_all(), "{list}");
        let built = " && cd /src/services/api \\\n && cargo build --release --locked --package api --bin api";
        assert!(found.dockerfile.contains(built), "{}", found.dockerfile);
        assert!(found.dockerfile.contains("WORKDIR /app/services/api\n"), "{}", found.dockerfile);
    }
    let within = ("services/api/Cargo.toml", "[package]\nname = \"api\"\n\n[dependencies]\nx = { path = \"x\" }\n");
    let found = look(&[within, main, lock], "root: services/api", Trust::Stranger).unwrap();
    assert_eq!(found.context.as_str(), "services/api");
}

#[test]
fn names_of_programs_cannot_carry_a_command() {
    for name in ["api; id", "$(id)", "a b", "--config=x", "", "a\\nRUN id", "ä"] {
        let manifest = AXUM.replace("guest-book", name);
        let text = told(&[("Cargo.toml", &manifest), MAIN, LOCK], "framework: rust");
        assert!(text.starts_with("error: "), "{name}: {text}");
    }
}

#[test]
fn dockerfile_of_rust() {
    let axum = ("Cargo.toml", AXUM);
    insta::assert_snapshot!("dockerfile_of_rust", dockerfile(&[axum, MAIN, LOCK], ""));
    let rocket = AXUM.replace("axum", "rocket");
    let lock = "[[package]]\nname = \"openssl-sys\"\n\n[[package]]\nname = \"pq-sys\"\n";
    let tree = [
        ("Cargo.toml", rocket.as_str()),
        MAIN,
        ("Cargo.lock", lock),
        ("rust-toolchain.toml", "[toolchain]\nchannel = \"1.90\"\n"),
        (".sqlx/query-1.json", "{}"),
    ];
    insta::assert_snapshot!("dockerfile_of_rust_with_libraries", dockerfile(&tree, "app_port: 8000"));
}

#[test]
fn a_database_is_that_of_the_packages_that_the_program_is_made_of() {
    let package = |name: &str, dependencies: &str| {
        format!("[package]\nname = \"{name}\"\nversion = \"0.1.0\"\n\n[dependencies]\n{dependencies}\n")
    };
    let api = package("api", "store = { path = \"../store\" }\nserde = \"1\"");
    let store = package("book-store", "sqlx = { version = \"0.8\", features = [\"postgres\"] }");
    let renamed = api.replace("store = {", "store = { package = \"book-store\",");
    let worker = package("worker", "mysql_async = \"0.34\"");
    for (program, expected) in [("api", "postgres"), ("worker", "mysql")] {
        let tree = [
            WORKSPACE,
            ("crates/api/Cargo.toml", renamed.as_str()),
            ("crates/api/src/main.rs", ""),
            ("crates/store/Cargo.toml", &store),
            ("crates/store/src/lib.rs", ""),
            ("crates/worker/Cargo.toml", &worker),
            ("crates/worker/src/main.rs", ""),
            LOCK,
        ];
        let told = told(&tree, &format!("app_entrypoint: {program}"));
        assert!(told.starts_with(&format!("rust 8080 10001:10001 {expected}: ")), "{told}");
    }
}
