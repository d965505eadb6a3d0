//! The keys and names that `preview-config.yml` may hold: one table each, in which later work moves a line.
//!
//! From the table of keys come what is read, the JSON Schema ([`super::schema`]) and the table of docs/CONFIGURATION.md, so that a
//! key can't have a meaning without a form, a description and a default.

use crate::backing::{Backing, Database};
use crate::framework::Framework;

use super::DatabaseChoice;
use super::schema::{Field, Form, Without};

/// A key that has a meaning now.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Key {
    Framework,
    Database,
    ExtraServices,
    HealthCheckPath,
    HealthCheckTimeout,
    AppPort,
    AppPortEnv,
    AppEntrypoint,
    Env,
    Dockerfile,
    Root,
}

use Without::{Value, Words};

/// What each key that has a meaning is, in the order of the documentation.
const KEYS: [(Key, Field); 11] = [
    (
        Key::Framework,
        Field::new(
            "framework",
            Form::OneOf(framework_list),
            "how the app is built and run; `docker` is the repository's own Dockerfile, `compose` its own Compose file",
            Words("the repository's own Compose file or Dockerfile if there is one, else what the files show"),
        ),
    ),
    (
        Key::Database,
        Field::new(
            "database",
            Form::OneOf(database_list),
            "the database beside the app",
            Words("the one whose driver is among the dependencies"),
        ),
    ),
    (
        Key::ExtraServices,
        Field::new(
            "extra_services",
            Form::List(&Form::OneOf(extra_list)),
            "`redis`, and databases beside the main one, as a list",
            Words("`redis` where a client for it is among the dependencies"),
        ),
    ),
    (
        Key::Root,
        Field::new(
            "root",
            Form::PATH,
            "the folder of a monorepo that is the application; packages of the same workspace are found from there",
            Words("the repository's root"),
        ),
    ),
    (
        Key::Dockerfile,
        Field::new(
            "dockerfile",
            Form::PATH,
            "path of the repository's own Dockerfile",
            Words("`Dockerfile`, where there is one"),
        ),
    ),
    (
        Key::AppEntrypoint,
        Field::new(
            "app_entrypoint",
            Form::ENTRYPOINT,
            "what is run: the built file of a Node app (`dist/main.js`), the folder of a Go program (`./cmd/api`), a Rust program \
             (`api`), a Python file or object (`app/main.py`, `app.main:app`)",
            Words("by framework"),
        ),
    ),
    (
        Key::AppPort,
        Field::new(
            "app_port",
            Form::Whole(1, 65_535),
            "the port on which the app listens in its container",
            Words("3000 (NestJS, Node.js), 8000 (Python), 8080 (others), `EXPOSE` or 8080 (Dockerfile)"),
        ),
    ),
    (
        Key::AppPortEnv,
        Field::new("app_port_env", Form::VARIABLE, "the variable that tells the app its port", Value("PORT")),
    ),
    (
        Key::Env,
        Field::new(
            "env",
            Form::VARIABLES,
            "variables of the app, a list of `KEY=value` or a map; `${secret:NAME}` in a value stands for a secret that the \
             operator set ([OPERATIONS.md](OPERATIONS.md#secrets-of-repositories))",
            Words("none"),
        ),
    ),
    (
        Key::HealthCheckPath,
        Field::new(
            "health_check_path",
            Form::URL_PATH,
            "the path that is asked to learn whether the app is up; it is with any status below 400",
            Value("/"),
        ),
    ),
    (
        Key::HealthCheckTimeout,
        Field::new(
            "health_check_timeout",
            Form::Whole(1, super::MAX_HEALTH_TIMEOUT),
            "seconds until the app must answer",
            Words("the server's `HEALTH_TIMEOUT_SECONDS`"),
        ),
    ),
];

/// Keys of the format that this version gives no meaning yet.
const LATER: [&str; 8] = [
    "build_commands",
    "startup_commands",
    "env_file",
    "migrate",
    "seed",
    "on_push",
    "resources",
    "image",
];

/// Every framework of the format.
const FRAMEWORKS: [(&str, Option<Framework>); 13] = [
    ("nestjs", Some(Framework::NestJs)),
    ("node", Some(Framework::Node)),
    ("go", Some(Framework::Go)),
    ("rust", Some(Framework::Rust)),
    ("django", Some(Framework::Django)),
    ("fastapi", Some(Framework::FastApi)),
    ("flask", Some(Framework::Flask)),
    ("python", Some(Framework::Python)),
    ("docker", Some(Framework::Docker)),
    ("compose", Some(Framework::Compose)),
    ("laravel", Some(Framework::Laravel)),
    ("rails", Some(Framework::Rails)),
    ("spring", Some(Framework::Spring)),
];

/// Every database of the format.
const DATABASES: [(&str, Option<DatabaseChoice>); 5] = [
    ("postgres", Some(DatabaseChoice::Use(Database::Postgres))),
    ("mysql", Some(DatabaseChoice::Use(Database::Mysql))),
    ("mariadb", Some(DatabaseChoice::Use(Database::MariaDb))),
    ("mongodb", Some(DatabaseChoice::Use(Database::MongoDb))),
    ("none", Some(DatabaseChoice::Without)),
];

/// Every name that `extra_services` may hold.
const EXTRAS: [(&str, Option<Backing>); 5] = [
    ("redis", Some(Backing::Redis)),
    ("postgres", Some(Backing::Database(Database::Postgres))),
    ("mysql", Some(Backing::Database(Database::Mysql))),
    ("mariadb", Some(Backing::Database(Database::MariaDb))),
    ("mongodb", Some(Backing::Database(Database::MongoDb))),
];

/// What a table says of a word.
#[derive(Clone, Copy)]
pub(super) enum Lookup<T> {
    /// It means this.
    Known(T),
    /// It belongs to the format, and this version can't do it.
    NotYet,
    /// It isn't in the table; perhaps this was meant.
    Unknown(Option<&'static str>),
}

pub(super) fn key(word: &str) -> Lookup<Key> {
    let known = KEYS.iter().map(|(key, field)| (field.name, Some(*key)));
    lookup(known.chain(LATER.map(|name| (name, None))), word)
}

/// Every key that has a meaning, in the order of the documentation.
pub(super) fn fields() -> impl Iterator<Item = Field> {
    KEYS.into_iter().map(|(_, field)| field)
}

/// What belongs to the format and has no meaning yet: keys, frameworks and databases.
pub(super) fn later() -> [(&'static str, Vec<&'static str>); 3] {
    [("keys", LATER.to_vec()), ("frameworks", without(&FRAMEWORKS)), ("databases", without(&DATABASES))]
}

pub(super) fn framework(word: &str) -> Lookup<Framework> {
    lookup(FRAMEWORKS.into_iter(), word)
}

pub(super) fn database(word: &str) -> Lookup<DatabaseChoice> {
    lookup(DATABASES.into_iter(), word)
}

pub(super) fn extra(word: &str) -> Lookup<Backing> {
    lookup(EXTRAS.into_iter(), word)
}

/// The names that `framework` may have, for an error.
pub(super) fn framework_names() -> String {
    framework_list().join(", ")
}

/// The names that `database` may have, for an error.
pub(super) fn database_names() -> String {
    database_list().join(", ")
}

fn framework_list() -> Vec<&'static str> {
    supported(&FRAMEWORKS)
}

fn database_list() -> Vec<&'static str> {
    supported(&DATABASES)
}

/// The names that `extra_services` may hold, for an error.
pub(super) fn extra_names() -> String {
    extra_list().join(", ")
}

fn extra_list() -> Vec<&'static str> {
    supported(&EXTRAS)
}

fn supported<T>(table: &[(&'static str, Option<T>)]) -> Vec<&'static str> {
    table.iter().filter(|(_, value)| value.is_some()).map(|(name, _)| *name).collect()
}

fn without<T>(table: &[(&'static str, Option<T>)]) -> Vec<&'static str> {
    table.iter().filter(|(_, value)| value.is_none()).map(|(name, _)| *name).collect()
}

fn lookup<T>(mut table: impl Iterator<Item = (&'static str, Option<T>)> + Clone, word: &str) -> Lookup<T> {
    let names = table.clone().map(|(name, _)| name);
    match table.find(|(name, _)| *name == word) {
        Some((_, Some(value))) => Lookup::Known(value),
        Some((_, None)) => Lookup::NotYet,
        None => Lookup::Unknown(nearest(names, word)),
    }
}

/// The candidate that is few slips of the finger away, if any is.
fn nearest(candidates: impl Iterator<Item = &'static str>, word: &str) -> Option<&'static str> {
    // A hostile key may be as long as the file; no name of ours is.
    let word: String =
        word.chars().take(60).flat_map(char::to_lowercase).map(|c| if c == '-' { '_' } else { c }).collect();
    let distance = |name: &'static str| (strsim::osa_distance(name, &word), name);
    let (slips, name) = candidates.map(distance).min()?;
    (slips <= name.len().div_ceil(3)).then_some(name)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn slips_of_the_finger_are_recognised_and_other_words_left_alone() {
        let guess = |word| match key(word) {
            Lookup::Unknown(guess) => guess,
            _ => panic!("{word} is a key"),
        };
        assert_eq!(guess("framwork"), Some("framework"));
        assert_eq!(guess("health-check-path"), Some("health_check_path"));
        assert_eq!(guess("App_Port"), Some("app_port"));
        assert_eq!(guess("evn"), Some("env"));
        assert_eq!(guess("zzzzzz"), None);
        assert_eq!(guess(&"x".repeat(60_000)), None);
    }
}
