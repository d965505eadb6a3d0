//! `preview-config.yml` as nobody would write it.

use preview_fuzz::{holds, mutated};
use proptest::prelude::*;

use super::*;

const FILES: [&str; 7] = [
    "framework: nestjs\ndatabase: postgres\nhealth_check_path: /health?deep=1\nhealth_check_timeout: 120\n\
     app_port: 4000\napp_port_env: LISTEN\napp_entrypoint: ./dist/apps/api/main\n",
    "database: mysql\nextra_services:\n  - redis\n  - mongodb\n",
    "framework: docker\ndockerfile: deploy/Dockerfile\nenv:\n  - A=1\n  - B=x=y\n  - KEY=${secret:KEY}\n",
    "# a comment\nenv: {A: 1, B: \"two\\n\\u00e9\", C: 'three', D: null, E: ~}\ndatabase: none\n",
    "env:\n  PEM: |\n    -----BEGIN KEY-----\n    abc\n  FOLDED: >-\n    one\n    two\n  PLAIN: a b # c\n",
    "framework: go\napp_entrypoint: &entry ./cmd/api\ndockerfile: *entry\n",
    "---\n? framework\n: go\n\"app_port\": !!int \"80\"\n...\n",
];

const WORDS: [&str; 48] = [
    "framework: ",
    "database: ",
    "env:",
    "app_port: ",
    "dockerfile: ",
    "health_check_path: ",
    "migrate: ",
    "root: ",
    "\n",
    "\r\n",
    "\r",
    "  ",
    "\t",
    ": ",
    ":",
    "- ",
    "? ",
    "---\n",
    "...\n",
    "%YAML 1.2\n",
    "&a ",
    "*a",
    "<<: ",
    "<<: *a",
    "!!str ",
    "!evil ",
    "!<tag:x> ",
    "|",
    ">-\n",
    "|9\n",
    "{",
    "}",
    "[",
    "]",
    ",",
    "\"",
    "'",
    "\\x00",
    "\\u0000",
    "\\",
    "#",
    "\u{0}",
    "\u{FEFF}",
    "\u{85}",
    "\u{2028}",
    "../",
    "${secret:X}",
    "99999999999999999999",
];

#[test]
fn preview_config() {
    holds("preview-config.yml", 2, mutated(FILES, WORDS), |text| match RepoConfig::parse(&text) {
        Ok(config) => keeps_its_promises(&config),
        Err(ConfigError::Invalid(mistakes)) => tells_harmless(&mistakes, &text),
        Err(ConfigError::File(error)) => Err(TestCaseError::fail(format!("no file was read: {error}"))),
    });
}

/// What the types promise, and that the same configuration comes back from a file written plainly.
fn keeps_its_promises(config: &RepoConfig) -> Result<(), TestCaseError> {
    for path in config.dockerfile.iter().chain(&config.app_entrypoint) {
        prop_assert!(!path.as_str().starts_with(['/', '-']), "{}", path);
        prop_assert!(path.as_str().split('/').all(|part| !part.is_empty() && part != ".."), "{}", path);
    }
    let health = config.health_check_path.as_ref().map_or("/", HealthPath::as_str);
    prop_assert!(health.starts_with('/') && !health.starts_with("//") && health.bytes().all(|b| b.is_ascii_graphic()));
    prop_assert!(config.health_check_timeout.is_none_or(|time| (1..=600).contains(&time.as_secs())));
    for (name, value) in config.env.iter() {
        prop_assert!(!name.contains(['=', ' ', '\n', '$']) && !value.contains('\0'), "{}", name);
    }
    let plain = written(config);
    prop_assert_eq!(RepoConfig::parse(&plain), Ok(of_what_is_written(config)), "{}", plain);
    Ok(())
}

/// The configuration without what [`written`] leaves out.
fn of_what_is_written(config: &RepoConfig) -> RepoConfig {
    let none = RepoConfig::default();
    RepoConfig {
        app_object: none.app_object,
        env_files: none.env_files,
        root: none.root,
        image: none.image,
        build_commands: none.build_commands,
        startup_commands: none.startup_commands,
        migrate: none.migrate,
        seed: none.seed,
        on_push: none.on_push,
        resources: none.resources,
        ..config.clone()
    }
}

/// The configuration as a file in which every value stands in quotes, which JSON's are in YAML too.
fn written(config: &RepoConfig) -> String {
    let quoted = |text: &str| serde_json::to_string(text).unwrap();
    let framework = config.framework.map(|framework| framework.as_str().to_owned());
    let database = config.database.map(|database| match database {
        DatabaseChoice::Without => "none".to_owned(),
        DatabaseChoice::Use(database) => database.as_str().to_owned(),
    });
    let mut text: String = [
        ("framework", framework),
        ("database", database),
        ("health_check_path", config.health_check_path.as_ref().map(|path| path.as_str().to_owned())),
        ("health_check_timeout", config.health_check_timeout.map(|time| time.as_secs().to_string())),
        ("app_port", config.app_port.map(|port| port.to_string())),
        ("app_port_env", config.app_port_env.as_ref().map(|name| name.as_str().to_owned())),
        ("app_entrypoint", config.app_entrypoint.as_ref().map(|path| path.to_string())),
        ("dockerfile", config.dockerfile.as_ref().map(|path| path.to_string())),
    ]
    .into_iter()
    .filter_map(|(key, value)| value.map(|value| format!("{key}: {}\n", quoted(&value))))
    .collect();
    if let Some(extras) = &config.extra_services {
        let names: Vec<String> = extras.iter().map(|extra| quoted(extra.as_str())).collect();
        text.push_str(&format!("extra_services: [{}]\n", names.join(", ")));
    }
    if config.env.iter().next().is_some() {
        text.push_str("env:\n");
    }
    for (name, value) in config.env.iter() {
        // JSON leaves these as they are, and YAML takes two of them for line breaks.
        let value =
            quoted(value).replace('\u{85}', "\\u0085").replace('\u{2028}', "\\u2028").replace('\u{2029}', "\\u2029");
        text.push_str(&format!("  {name}: {value}\n"));
    }
    text
}

fn tells_harmless(mistakes: &[Mistake], text: &str) -> Result<(), TestCaseError> {
    prop_assert!(!mistakes.is_empty());
    // YAML has more line breaks than Rust.
    let lines = text.split(['\n', '\r', '\u{85}', '\u{2028}', '\u{2029}']).count() as u64;
    for mistake in mistakes {
        prop_assert!((1..=lines + 1).contains(&mistake.line) && mistake.column >= 1, "{} of {}", mistake, lines);
        prop_assert!(mistake.message.chars().count() < 400, "{}", mistake);
        prop_assert!(!mistake.message.chars().any(char::is_control), "{:?}", mistake.message);
    }
    Ok(())
}
