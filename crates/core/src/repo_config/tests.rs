//! Tables of files and what they mean, and hostile texts.

use proptest::prelude::*;

use super::*;
use crate::framework::MemoryFiles;

fn parsed(text: &str) -> RepoConfig {
    RepoConfig::parse(text).unwrap_or_else(|error| panic!("{error}\n{text}"))
}

/// The message of a file with one mistake.
fn refused(text: &str) -> String {
    match RepoConfig::parse(text) {
        Err(ConfigError::Invalid(mistakes)) if mistakes.len() == 1 => mistakes[0].to_string(),
        other => panic!("{other:?}\n{text}"),
    }
}

#[test]
fn every_key_is_read() {
    let config = parsed(
        "framework: nestjs\ndatabase: postgres\nhealth_check_path: /health?deep=1\nhealth_check_timeout: 120\n\
         app_port: 4000\napp_port_env: LISTEN\napp_entrypoint: ./dist/apps/api/main\ndockerfile: deploy/Dockerfile\nroot: ./apps/api/\n\
         env:\n  - A=1\n  - B=x=y\n",
    );
    assert_eq!(config.framework, Some(Framework::NestJs));
    assert_eq!(config.database, Some(DatabaseChoice::Use(Database::Postgres)));
    assert_eq!(config.health_check_path.unwrap().as_str(), "/health?deep=1");
    assert_eq!(config.health_check_timeout, Some(Duration::from_secs(120)));
    assert_eq!(config.app_port, ContainerPort::new(4000));
    assert_eq!(config.app_port_env.unwrap().as_str(), "LISTEN");
    assert_eq!(config.app_entrypoint.unwrap().as_str(), "dist/apps/api/main");
    assert_eq!(config.dockerfile.unwrap().as_str(), "deploy/Dockerfile");
    assert_eq!(config.root.unwrap().as_str(), "apps/api");
    assert_eq!(config.env.iter().collect::<Vec<_>>(), [("A", "1"), ("B", "x=y")]);
}

#[test]
fn extra_services_are_a_list_and_an_empty_one_says_none() {
    assert_eq!(parsed("extra_services:\n").extra_services, None);
    assert_eq!(parsed("extra_services: []").extra_services, Some(BTreeSet::new()));
    let both: BTreeSet<Backing> = [Backing::Redis, Database::MongoDb.into()].into();
    assert_eq!(parsed("extra_services: [redis, mongodb, redis]").extra_services, Some(both));
    assert_eq!(parsed("extra_services: redis").extra_services, Some([Backing::Redis].into()));
}

#[test]
fn a_file_that_says_nothing_is_no_mistake() {
    for text in ["", "\n", "# nothing\n", "---\n", "---\n...\n", "{}", "env:\n", "framework:\n", "\u{FEFF}"] {
        assert_eq!(RepoConfig::parse(text), Ok(RepoConfig::default()), "{text:?}");
    }
}

#[test]
fn variables_keep_their_spelling_in_both_forms() {
    let values = ["yes", "0o17", "1e3", "007", "1_000", "on", "~x", "true", "12:30", "0x1F", ".5", "2001-01-01", ""];
    for value in values {
        let map = parsed(&format!("env:\n  KEY: {value}\n"));
        let list = parsed(&format!("env:\n  - KEY={value}\n"));
        assert_eq!(map.env.get("KEY"), Some(value));
        assert_eq!(list.env, map.env);
    }
    assert_eq!(parsed("env: {PEM: \"a\\nb\\t\"}").env.get("PEM"), Some("a\nb\t"));
}

#[test]
fn mistakes_name_place_and_the_nearest_right_word() {
    let cases = [
        ("framwork: nestjs", "line 1, column 1: unknown key `framwork`; did you mean `framework`?"),
        ("app_port: 80\nzzzzzzz: 1", "line 2, column 1: unknown key `zzzzzzz`"),
        (
            "extra_services: [redis, kafka]",
            "line 1, column 25: `extra_services` must be one of redis, postgres, mysql, mariadb, mongodb",
        ),
        ("extra_services: [{redis: 7}]", "line 1, column 18: `extra_services` must be a list of names"),
        (
            "framework: nestsj",
            "line 1, column 12: `framework` must be one of nestjs, node, go, rust, django, fastapi, flask, python, docker, compose, laravel, rails, spring; did you mean `nestjs`?",
        ),
        (
            "framework: cobol",
            "line 1, column 12: `framework` must be one of nestjs, node, go, rust, django, fastapi, flask, python, docker, compose, laravel, rails, spring",
        ),
        (
            "database: postgress",
            "line 1, column 11: `database` must be one of postgres, mysql, mariadb, mongodb, none; did you mean `postgres`?",
        ),
        ("framework: [go]", "line 1, column 12: `framework` must have one value, not a list or a map"),
        ("app_port:\n  a: 1", "line 2, column 3: `app_port` must have one value, not a list or a map"),
        ("env: 12", "line 1, column 6: `env` must be a list of `KEY=value` or a map of names and values"),
        ("env:\n  - A: 1", "line 2, column 5: `env` must be a list of `KEY=value` or a map of names and values"),
        ("env:\n  A: [1]", "line 2, column 6: `env` must be a list of `KEY=value` or a map of names and values"),
        ("env:\n  - JUST_A_NAME", "line 2, column 5: an entry of `env` must be written as `KEY=value`"),
        ("env:\n  - A=1\n  - A=2", "line 3, column 5: `env` has `A` twice"),
        ("env:\n  A: 1\n  A: 2", "line 3, column 3: this key stands twice"),
        ("app_port: 1\napp_port: 2", "line 2, column 1: this key stands twice"),
        (
            "env: {1A: x}",
            "line 1, column 7: `env` must name variables in letters, digits and `_`, not beginning with a digit",
        ),
        (
            "env: {A: \"${secret:1}\"}",
            "line 1, column 7: `env` must name secrets as `${secret:NAME}`, in letters, digits and `_`, not beginning with a digit",
        ),
        ("env: {A: \"x\\u0000\"}", "line 1, column 7: `env` must not hold control characters in a value"),
        ("- framework", "line 1, column 1: the file must hold keys with their values, such as `framework: go`"),
        ("just words", "line 1, column 1: the file must hold keys with their values, such as `framework: go`"),
        ("framework: go\n---\nframework: go\n", "line 2, column 1: only one YAML document is allowed"),
        ("<<: go", "line 1, column 5: a merge key (`<<`) takes a map, or a list of maps"),
        ("framework: !evil go", "line 1, column 18: tags (`!name`) are not allowed"),
        ("framework: \"go", "line 1, column 12: this is not valid YAML"),
        ("framework: *nowhere", "line 1, column 12: this is not valid YAML"),
    ];
    for (text, message) in cases {
        assert_eq!(refused(text), message, "{text}");
    }
}

#[test]
fn values_have_limits() {
    let bad = [
        ("health_check_path", vec!["health", "//evil.example", "\"/a b\"", "\"/a\\nb\"", "/ä"]),
        ("health_check_timeout", vec!["0", "601", "-1", "1.5", "soon"]),
        ("app_port", vec!["0", "65536", "-1", "http", "1e3", "0x50"]),
        ("app_port_env", vec!["1PORT", "\"A B\"", "A-B", "\"\"", "A=B"]),
        (
            "app_entrypoint",
            vec!["/bin/sh", "../x", "a/../b", "a//b", "\"a b\"", "\"a;b\"", "-x", "\"\"", "a\\b", "$HOME"],
        ),
        ("dockerfile", vec!["/etc/passwd", "../../x", "a/../../b", "\"x\\ny\"", "http://x/y"]),
    ];
    for (key, values) in bad {
        for value in values {
            let message = refused(&format!("{key}: {value}"));
            assert!(message.contains(&format!("`{key}` must ")), "{key}: {value} gave {message}");
        }
    }
    let long = format!("health_check_path: /{}", "x".repeat(200));
    assert!(refused(&long).contains("at most 200"));
}

#[test]
fn all_mistakes_are_told_at_once() {
    let Err(ConfigError::Invalid(mistakes)) = RepoConfig::parse("framework: x\napp_port: 0\nenv: [A]\nnope: 1\n")
    else {
        panic!("accepted")
    };
    assert_eq!(mistakes.iter().map(|mistake| mistake.line).collect::<Vec<_>>(), [1, 2, 3, 4]);
}

#[test]
fn errors_repeat_nothing_but_the_offending_key() {
    let secret = "hunter2-hunter2";
    let texts = [
        format!("framework: {secret}"),
        format!("app_port: {secret}"),
        format!("env: {secret}"),
        format!("env: [{secret}]"),
        format!("env: {{A: [{secret}]}}"),
        secret.to_owned(),
        format!("- {secret}"),
        format!("framework: \"{secret}"),
        format!("framework: *{secret}"),
        format!("framework: !{secret} x"),
        format!("root:x:0:0:{secret}:/bin/sh\ndaemon: [{secret}"),
        format!("dockerfile: \"{secret} \""),
    ];
    for text in texts {
        let error = RepoConfig::parse(&text).unwrap_err();
        assert!(!format!("{error}{error:?}").contains(secret), "{error}");
    }
    let long = refused(&format!("{}\u{1b}[31m: 1", "k".repeat(500)));
    assert!(long.len() < 200 && !long.contains('\u{1b}'), "{long}");
}

#[test]
fn bombs_and_large_files_are_refused_quickly() {
    let mut bomb = String::from("a0: &a0 [x, x, x, x, x, x, x, x, x, x]\n");
    for level in 1..9 {
        let aliases = vec![format!("*a{}", level - 1); 10].join(", ");
        bomb.push_str(&format!("a{level}: &a{level} [{aliases}]\n"));
    }
    assert!(refused(&bomb).contains("too many values, levels or aliases"), "{}", refused(&bomb));
    let deep = format!("env: {}{}", "[".repeat(5_000), "]".repeat(5_000));
    assert!(RepoConfig::parse(&deep).is_err());
    assert!(refused(&"a".repeat(MAX_BYTES + 1)).contains("more than 65536 bytes"));
    let many: String = (0..5_000).map(|n| format!("k{n}: 1\n")).collect();
    assert!(refused(&many).contains("too many values"));
}

#[test]
fn files_of_variables_are_few_and_small() {
    let names = |count: usize| vec!["a"; count].join(", ");
    assert!(refused(&format!("env_file: [{}]\n", names(17))).contains("`env_file` must have at most 16 files"));
    let config = parsed(&format!("env_file: [{}]\n", names(16)));
    let large = "A=1\n".repeat(65_537);
    let files =
        |text: &str| config.variables_of_files(&MemoryFiles::new([("a", text)])).map_err(|error| error.to_string());
    assert!(files("A=1\n").is_ok());
    assert!(files(&large).unwrap_err().contains("too large for an `env_file`"));
}

#[test]
fn a_link_in_place_of_the_file_is_refused_by_path_alone() {
    let files = MemoryFiles::default().with_link(FILE_NAME);
    let error = RepoConfig::load(&files).unwrap_err();
    assert_eq!(error.to_string(), "`preview-config.yml` is a symbolic link or lies behind one; links are not followed");
    assert_eq!(RepoConfig::load(&MemoryFiles::default()), Ok(RepoConfig::default()));
    let files = MemoryFiles::new([(FILE_NAME, "framework: go")]);
    assert_eq!(RepoConfig::load(&files).unwrap().framework, Some(Framework::Go));
}

proptest! {
    #[test]
    fn a_path_never_leaves_the_checkout(text in "[a-z./-]{0,20}|\\PC{0,20}") {
        if let Ok(path) = text.parse::<RelativePath>() {
            prop_assert!(!path.as_str().starts_with('/'));
            prop_assert!(path.as_str().split('/').all(|part| !part.is_empty() && part != ".."));
        }
    }
}

#[test]
fn paths_are_put_together_and_taken_apart() {
    let path = |text: &str| text.parse::<RelativePath>().unwrap();
    for (folder, below, joined) in [(".", ".", "."), (".", "a/b", "a/b"), ("a", ".", "a"), ("a/b", "c", "a/b/c")] {
        assert_eq!(path(folder).join(&path(below)), path(joined));
        assert_eq!(path(joined).within(&path(folder)), Some(path(below)));
    }
    for (outside, folder) in [("ab", "a"), (".", "a"), ("a", "a/b")] {
        assert_eq!(path(outside).within(&path(folder)), None, "{outside} in {folder}");
    }
    let parents: Vec<String> = path("a/b/c").parents().map(|(folder, rest)| format!("{folder} {rest}")).collect();
    assert_eq!(parents, ["a/b c", "a b/c", ". a/b/c"]);
    assert_eq!(path(".").parents().count(), 0);
}
