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
    EnvFile,
    Dockerfile,
    Root,
    BuildCommands,
    StartupCommands,
    Migrate,
    Seed,
    OnPush,
    Image,
    Resources,
}

impl Key {
    /// Whether its value may be a list.
    pub(super) fn takes_list(self) -> bool {
        matches!(self, Self::EnvFile | Self::BuildCommands | Self::StartupCommands | Self::Migrate | Self::Seed)
    }
}

use Without::{Value, Words};

/// What each key that has a meaning is, in the order of the documentation.
const KEYS: [(Key, Field); 19] = [
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
            Words("3000 (NestJS, Node.js, Rails), 8000 (Python), 8080 (others), `EXPOSE` or 8080 (Dockerfile)"),
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
            Words("`/`, where an app that steadily answers 401, 403, 404 or 405 counts as up too"),
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
    (
        Key::EnvFile,
        Field::new(
            "env_file",
            Form::PATHS,
            "path of a file with more variables, or a list of such, of which later ones win; `env` overrides them",
            Words("none"),
        ),
    ),
    (
        Key::BuildCommands,
        Field::new(
            "build_commands",
            Form::LINES,
            "lines for a shell, run in the build of a generated Dockerfile once the sources are in it",
            Words("none"),
        ),
    ),
    (
        Key::StartupCommands,
        Field::new(
            "startup_commands",
            Form::LINES,
            "lines for a shell, run in the app's container each time before the app starts",
            Words("none"),
        ),
    ),
    (
        Key::Migrate,
        Field::new(
            "migrate",
            Form::LINES,
            "a command, as a line for a shell or a list of words, that runs once for each commit before it gets visitors, or \
             `none`",
            Words("that of the tool that the repository has migrations for"),
        ),
    ),
    (
        Key::Seed,
        Field::new(
            "seed",
            Form::LINES,
            "path of a `.sql` or `.json` file, or a command as in `migrate`, that fills a new database",
            Words("none"),
        ),
    ),
    (
        Key::OnPush,
        Field::new(
            "on_push",
            Form::OneOf(|| vec!["keep", "reset"]),
            "what becomes of the database when a commit is pushed",
            Value("keep"),
        ),
    ),
    (
        Key::Resources,
        Field::new(
            "resources",
            Form::Fields(resources),
            "what each of the app's containers may use, at most what the server gives: `memory` (`256m`, `1g`) and `cpus` \
             (`0.25`)",
            Words("what the server gives"),
        ),
    ),
    (
        Key::Image,
        Field::new(
            "image",
            Form::Text(r"^[a-z0-9][A-Za-z0-9._:/@{}-]*$"),
            "the image that the repository's own CI makes of each commit, with `{sha}` in its name, instead of a build",
            Words("it is built here"),
        ),
    ),
];

/// The keys of `resources`.
fn resources() -> Vec<Field> {
    vec![
        Field::new("memory", Form::Text(r"^[0-9]+[mMgG]?$"), "memory", Words("what the server gives")),
        Field::new("cpus", Form::Scalar, "processors", Words("what the server gives")),
    ]
}

/// Every framework of the format.
const FRAMEWORKS: [(&str, Framework); 13] = [
    ("nestjs", Framework::NestJs),
    ("node", Framework::Node),
    ("go", Framework::Go),
    ("rust", Framework::Rust),
    ("django", Framework::Django),
    ("fastapi", Framework::FastApi),
    ("flask", Framework::Flask),
    ("python", Framework::Python),
    ("docker", Framework::Docker),
    ("compose", Framework::Compose),
    ("laravel", Framework::Laravel),
    ("rails", Framework::Rails),
    ("spring", Framework::Spring),
];

/// Every database of the format.
const DATABASES: [(&str, DatabaseChoice); 5] = [
    ("postgres", DatabaseChoice::Use(Database::Postgres)),
    ("mysql", DatabaseChoice::Use(Database::Mysql)),
    ("mariadb", DatabaseChoice::Use(Database::MariaDb)),
    ("mongodb", DatabaseChoice::Use(Database::MongoDb)),
    ("none", DatabaseChoice::Without),
];

/// Every name that `extra_services` may hold.
const EXTRAS: [(&str, Backing); 5] = [
    ("redis", Backing::Redis),
    ("postgres", Backing::Database(Database::Postgres)),
    ("mysql", Backing::Database(Database::Mysql)),
    ("mariadb", Backing::Database(Database::MariaDb)),
    ("mongodb", Backing::Database(Database::MongoDb)),
];

/// What a table says of a word.
#[derive(Clone, Copy)]
pub(super) enum Lookup<T> {
    /// It means this.
    Known(T),
    /// It isn't in the table; perhaps this was meant.
    Unknown(Option<&'static str>),
}

pub(super) fn key(word: &str) -> Lookup<Key> {
    lookup(KEYS.iter().map(|(key, field)| (field.name, *key)), word)
}

/// Every key that has a meaning, in the order of the documentation.
pub(super) fn fields() -> impl Iterator<Item = Field> {
    KEYS.into_iter().map(|(_, field)| field)
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
    names(&FRAMEWORKS)
}

fn database_list() -> Vec<&'static str> {
    names(&DATABASES)
}

/// The names that `extra_services` may hold, for an error.
pub(super) fn extra_names() -> String {
    extra_list().join(", ")
}

fn extra_list() -> Vec<&'static str> {
    names(&EXTRAS)
}

fn names<T>(table: &[(&'static str, T)]) -> Vec<&'static str> {
    table.iter().map(|(name, _)| *name).collect()
}

fn lookup<T>(mut table: impl Iterator<Item = (&'static str, T)> + Clone, word: &str) -> Lookup<T> {
    let names = table.clone().map(|(name, _)| name);
    match table.find(|(name, _)| *name == word) {
        Some((_, value)) => Lookup::Known(value),
        None => Lookup::Unknown(nearest(names, word)),
    }
}

/// The candidate that is few slips of the finger away, if any is.
pub fn nearest(candidates: impl Iterator<Item = &'static str>, word: &str) -> Option<&'static str> {
    // A hostile key may be as long as the file; no name of ours is.
    let word: String =
        word.chars().take(60).flat_map(char::to_lowercase).map(|c| if c == '-' { '_' } else { c }).collect();
    let distance = |name: &'static str| (strsim::osa_distance(&name.to_lowercase(), &word), name);
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
