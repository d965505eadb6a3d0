//! What repositories of the older system have in their `preview-config.yml`, and what its documentation promises them.
//!
//! Each test is one of those promises: the file as people wrote it, and the container that becomes of it.

use serde_json::Value;

use crate::base_images::BaseImages;
use crate::compose::{example, startup};
use crate::framework::{BuildRules, Database, Detected, Framework, MemoryFiles, detect};
use crate::repo_config::RepoConfig;
use crate::trust::Trust;

/// Every key that it required, and every other one that it knew but `dockerfile`.
const COMPLETE: &str = "\
# Required
framework: nestjs
database: postgres
health_check_path: /health
app_port: 3000
app_port_env: PORT
app_entrypoint: dist/main.js

# Optional
build_commands:
  - cp .env.example .env
  - mkdir -p uploads
extra_services:
  - redis
env:
  - NODE_ENV=preview
  - DEBUG=true
  - API_KEY=value
env_file: .env
startup_commands:
  - npm run migration:run
  - npm run seed
";

const NEST: Tree<'_> = &[
    (
        "package.json",
        r#"{"dependencies": {"@nestjs/core": "11", "pg": "8", "bullmq": "5"}, "scripts": {"build": "nest build"}}"#,
    ),
    ("package-lock.json", "{}"),
    (".env.example", "# copied by everybody who begins\nDEBUG=false\nQUEUE=mails\n"),
];

/// Paths and texts.
type Tree<'a> = &'a [(&'a str, &'a str)];

/// A preview of a pull request numbered 1.
struct Preview {
    config: RepoConfig,
    detected: Detected,
    compose: Value,
}

fn preview(tree: Tree<'_>, config: &str) -> Preview {
    let config = RepoConfig::parse(config).unwrap_or_else(|error| panic!("{error}\n{config}"));
    let rules = BuildRules { base_images: BaseImages::public(), trust: Trust::Member };
    let detected = detect(&MemoryFiles::new(tree.iter().copied()), &config, &rules).unwrap();
    let compose = serde_saphyr::from_str(&example(&detected, &config, &rules)).unwrap();
    Preview { config, detected, compose }
}

impl Preview {
    fn service(&self, name: &str) -> &Value {
        let service = &self.compose["services"][name];
        assert!(service.is_object(), "there is no service {name}: {:#}", self.compose);
        service
    }

    /// A variable of the app.
    fn env(&self, name: &str) -> &str {
        self.service("app-a")["environment"][name].as_str().unwrap_or_else(|| panic!("the app gets no {name}"))
    }

    /// Under which names a service is reached.
    fn hosts<'a>(&'a self, service: &'a str) -> Vec<&'a str> {
        let networks = self.service(service)["networks"].as_object().unwrap();
        let aliases = networks.values().filter_map(|network| network["aliases"].as_array()).flatten();
        [service].into_iter().chain(aliases.filter_map(Value::as_str)).collect()
    }
}

#[test]
fn its_complete_example_loads_unchanged() {
    let preview = preview(NEST, COMPLETE);
    assert_eq!(preview.detected.framework, Framework::NestJs);
    assert_eq!(preview.detected.database.database, Some(Database::Postgres));
    assert_eq!(preview.config.health_check_path.as_ref().unwrap().as_str(), "/health");
    assert_eq!((preview.detected.app_port.get(), preview.env("PORT")), (3000, "3000"));
    assert!(
        preview.detected.dockerfile.ends_with("CMD [\"node\",\"dist/main.js\"]\n"),
        "{}",
        preview.detected.dockerfile
    );
    let published = preview.service("app-a")["ports"][0].as_str().unwrap();
    assert!(published.starts_with("127.0.0.1:") && published.ends_with(":3000"), "{published}");
}

#[test]
fn an_app_is_told_its_port_by_the_variable_of_its_own_choice_alone() {
    let config = "framework: nestjs\ndatabase: postgres\napp_port: 4200\napp_port_env: HTTP_PORT\n";
    let preview = preview(NEST, config);
    assert_eq!(preview.env("HTTP_PORT"), "4200");
    assert_eq!(preview.service("app-a")["environment"].get("PORT"), None);
}

#[test]
fn variables_are_a_list_or_a_map() {
    for form in ["env:\n  - API_KEY=a=b\n  - DEBUG=true\n", "env:\n  API_KEY: a=b\n  DEBUG: true\n"] {
        let preview = preview(NEST, form);
        assert_eq!((preview.env("API_KEY"), preview.env("DEBUG")), ("a=b", "true"), "{form}");
    }
}

#[test]
fn a_file_of_variables_may_be_made_by_a_build_command() {
    let files = MemoryFiles::new(NEST.iter().copied());
    let read = |config: &str| RepoConfig::parse(config).unwrap().variables_of_files(&files);
    let variables = read(COMPLETE).unwrap();
    assert_eq!((variables.get("QUEUE"), variables.get("DEBUG")), (Some("mails"), Some("false")));
    // What `env` says wins, as it did.
    assert_eq!(preview(NEST, COMPLETE).env("DEBUG"), "true");
    let missing = read("env_file: .env\nbuild_commands: [cp .env.sample .env]\n").unwrap_err();
    assert_eq!(missing.to_string(), "there is no `.env`, which `preview-config.yml` names as `env_file`");
}

#[test]
fn files_of_variables_may_be_several_and_are_beneath_the_root() {
    let files = MemoryFiles::new([("api/.env", "A=1\nB=1\n"), ("api/.env.preview", "B=2\n"), (".env", "A=0\n")]);
    let config = RepoConfig::parse("root: api\nenv_file:\n  - .env\n  - .env.preview\n").unwrap();
    let variables = config.variables_of_files(&files).unwrap();
    assert_eq!((variables.get("A"), variables.get("B")), (Some("1"), Some("2")));
}

#[test]
fn build_commands_run_before_the_build_and_startup_commands_before_the_app() {
    let preview = preview(NEST, COMPLETE);
    let at = |text: &str| preview.detected.dockerfile.find(text).unwrap_or_else(|| panic!("no {text}"));
    assert!(at("cp .env.example .env") < at("mkdir -p uploads") && at("mkdir -p uploads") < at("npm run build"));
    let start = startup(&preview.config.startup_commands, &["node".to_owned(), "dist/main.js".to_owned()]).unwrap();
    let [shell, flag, script, _, program, argument] = start.as_words() else { panic!("{start:?}") };
    assert_eq!([shell, flag, program, argument], ["sh", "-c", "node", "dist/main.js"]);
    assert_eq!(script, "set -e\nnpm run migration:run\nnpm run seed\nexec \"$@\"");
}

#[test]
fn databases_are_reached_under_their_names_by_the_user_preview() {
    for (name, scheme, port, rest) in [
        ("postgres", "postgresql", 5432, ""),
        ("mysql", "mysql", 3306, ""),
        ("mongodb", "mongodb", 27017, "?authSource=admin"),
    ] {
        let preview = preview(NEST, &format!("framework: nestjs\ndatabase: {name}\n"));
        assert_eq!(preview.hosts("db"), ["db", name]);
        let expected = format!("{scheme}://preview:(random)@db:{port}/pr_1{rest}");
        assert_eq!(preview.env("DATABASE_URL"), expected);
        let parts = ["DB_HOST", "DB_PORT", "DB_NAME", "DB_USER", "DB_PASSWORD"].map(|name| preview.env(name));
        assert_eq!(parts, ["db", &port.to_string(), "pr_1", "preview", "(random)"]);
        assert_eq!(preview.service("app-a")["depends_on"]["db"]["condition"], "service_healthy");
    }
}

#[test]
fn extra_services_are_reached_under_their_names() {
    let config = "framework: nestjs\ndatabase: postgres\nextra_services: [redis, mysql, mongodb, postgres]\n";
    let preview = preview(NEST, config);
    for name in ["redis", "mysql", "mongodb"] {
        assert_eq!(preview.hosts(name), [name]);
        assert_eq!(preview.service("app-a")["depends_on"][name]["condition"], "service_healthy");
    }
    // The main database is there already, and one name leads to one place.
    assert_eq!(preview.hosts("db"), ["db", "postgres"]);
    assert!(preview.compose["services"].get("postgres").is_none());
    assert_eq!((preview.env("REDIS_HOST"), preview.env("REDIS_PORT")), ("redis", "6379"));
    assert_eq!(preview.env("REDIS_URL"), "redis://:(random)@redis:6379/0");
}

#[test]
fn entry_points_of_every_framework_are_taken() {
    let go = [("go.mod", "module example.com/api\n"), ("main.go", "package main\n")];
    let rust = [("Cargo.toml", "[package]\nname = \"app\"\n"), ("Cargo.lock", ""), ("src/main.rs", "")];
    let python = [("requirements.txt", "fastapi\n"), ("app/main.py", "app = FastAPI()\n")];
    let laravel = [("composer.json", r#"{"require": {"laravel/framework": "^11"}}"#), ("artisan", "")];
    let cases: [(Tree<'_>, Framework, &str, &str, u16); 4] = [
        // The name that the program gets.
        (&go, Framework::Go, "go", "server", 8080),
        (&rust, Framework::Rust, "rust", "app", 8080),
        (&python, Framework::FastApi, "python", "app.main:app", 8000),
        // It was required and had no meaning.
        (&laravel, Framework::Laravel, "laravel", "public/index.php", 8000),
    ];
    for (tree, framework, named, entry, port) in cases {
        let config = format!(
            "framework: {named}\ndatabase: postgres\nhealth_check_path: /health\napp_port: {port}\napp_port_env: PORT\n\
             app_entrypoint: {entry}\n"
        );
        let preview = preview(tree, &config);
        assert_eq!(preview.detected.framework, framework);
        assert_eq!(
            (preview.detected.app_port.get(), preview.env("PORT")),
            (port, port.to_string().as_str()),
            "{named}"
        );
    }
}

#[test]
fn a_dockerfile_is_named_with_or_without_a_dot() {
    let tree = [("Dockerfile", "FROM node:20-alpine\nEXPOSE 3000\nUSER node\n"), NEST[0], NEST[1]];
    for path in ["./Dockerfile", "Dockerfile"] {
        let config = format!("framework: nestjs\ndatabase: postgres\ndockerfile: {path}\n");
        let preview = preview(&tree, &config);
        assert_eq!(preview.detected.framework, Framework::Docker);
        assert_eq!((preview.detected.app_port.get(), preview.detected.dockerfile.as_str()), (3000, tree[0].1));
    }
}
