//! The keys and names that `preview-config.yml` may hold: one table each, in which later work moves a line.

use crate::framework::{Database, Framework};

use super::DatabaseChoice;

/// A key that has a meaning now.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Key {
    Framework,
    Database,
    HealthCheckPath,
    HealthCheckTimeout,
    AppPort,
    AppPortEnv,
    AppEntrypoint,
    Env,
    EnvFile,
    Dockerfile,
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
        matches!(self, Self::BuildCommands | Self::StartupCommands | Self::Migrate | Self::Seed)
    }
}

/// Every key of the format; `None` where this version gives it no meaning yet.
const KEYS: [(&str, Option<Key>); 19] = [
    ("framework", Some(Key::Framework)),
    ("database", Some(Key::Database)),
    ("health_check_path", Some(Key::HealthCheckPath)),
    ("health_check_timeout", Some(Key::HealthCheckTimeout)),
    ("app_port", Some(Key::AppPort)),
    ("app_port_env", Some(Key::AppPortEnv)),
    ("app_entrypoint", Some(Key::AppEntrypoint)),
    ("env", Some(Key::Env)),
    ("dockerfile", Some(Key::Dockerfile)),
    ("build_commands", Some(Key::BuildCommands)),
    ("startup_commands", Some(Key::StartupCommands)),
    ("extra_services", None),
    ("env_file", Some(Key::EnvFile)),
    ("migrate", Some(Key::Migrate)),
    ("seed", Some(Key::Seed)),
    ("on_push", Some(Key::OnPush)),
    ("resources", Some(Key::Resources)),
    ("root", None),
    ("image", Some(Key::Image)),
];

/// Every framework of the format.
const FRAMEWORKS: [(&str, Option<Framework>); 8] = [
    ("nestjs", Some(Framework::NestJs)),
    ("node", Some(Framework::Node)),
    ("go", Some(Framework::Go)),
    ("docker", Some(Framework::Docker)),
    ("compose", Some(Framework::Compose)),
    ("laravel", None),
    ("rust", None),
    ("python", None),
];

/// Every database of the format.
const DATABASES: [(&str, Option<DatabaseChoice>); 4] = [
    ("postgres", Some(DatabaseChoice::Use(Database::Postgres))),
    ("none", Some(DatabaseChoice::Without)),
    ("mysql", None),
    ("mongodb", None),
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
    lookup(&KEYS, word)
}

pub(super) fn framework(word: &str) -> Lookup<Framework> {
    lookup(&FRAMEWORKS, word)
}

pub(super) fn database(word: &str) -> Lookup<DatabaseChoice> {
    lookup(&DATABASES, word)
}

/// The names that `framework` may have, for an error.
pub(super) fn framework_names() -> String {
    supported(&FRAMEWORKS)
}

/// The names that `database` may have, for an error.
pub(super) fn database_names() -> String {
    supported(&DATABASES)
}

fn supported<T>(table: &[(&'static str, Option<T>)]) -> String {
    let names: Vec<&str> = table.iter().filter(|(_, value)| value.is_some()).map(|(name, _)| *name).collect();
    names.join(", ")
}

fn lookup<T: Copy>(table: &[(&'static str, Option<T>)], word: &str) -> Lookup<T> {
    match table.iter().find(|(name, _)| *name == word) {
        Some((_, Some(value))) => Lookup::Known(*value),
        Some((_, None)) => Lookup::NotYet,
        None => Lookup::Unknown(nearest(table.iter().map(|(name, _)| *name), word)),
    }
}

/// The candidate that is few slips of the finger away, if any is.
pub(crate) fn nearest(candidates: impl Iterator<Item = &'static str>, word: &str) -> Option<&'static str> {
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
