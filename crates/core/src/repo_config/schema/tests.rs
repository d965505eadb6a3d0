//! The schema and the documentation are current, and lead nobody astray.

use proptest::prelude::*;
use proptest::string::string_regex;

use super::*;
use crate::docs::{ROOT, is_current, part_is_current};
use crate::repo_config::RepoConfig;
use crate::yaml::{self, Budget, Node};

#[test]
fn the_schema_in_the_documentation_is_current() {
    is_current("docs/preview-config.schema.json", &format!("{:#}\n", schema()));
}

#[test]
fn the_table_in_the_documentation_is_current() {
    part_is_current("docs/CONFIGURATION.md", "keys", &documentation());
}

/// Whether the schema says that this is fine, without its patterns.
fn accepts(schema: &Value, node: &Node) -> bool {
    if let Some(any) = schema["anyOf"].as_array() {
        return any.iter().any(|schema| accepts(schema, node));
    }
    if let (Some(names), yaml::Value::Text(text)) = (schema["enum"].as_array(), &node.value) {
        return names.iter().any(|name| name == text.as_str());
    }
    let may_be = |name: &str| match &schema["type"] {
        Value::Array(types) => types.iter().any(|one| one == name),
        one => one == name,
    };
    match &node.value {
        yaml::Value::Null => may_be("null"),
        yaml::Value::Text(_) if may_be("string") => true,
        yaml::Value::Text(text) => {
            let limit = |name: &str| schema[name].as_u64();
            may_be("integer")
                && text.parse().is_ok_and(|number: u64| {
                    limit("minimum").is_none_or(|least| number >= least)
                        && limit("maximum").is_none_or(|most| number <= most)
                })
        }
        yaml::Value::List(items) => may_be("array") && items.iter().all(|item| accepts(&schema["items"], item)),
        yaml::Value::Map(entries) => {
            let beneath = |name: &str| schema["properties"].get(name).or(schema.get("additionalProperties"));
            may_be("object")
                && entries.iter().all(|(key, value)| beneath(&key.text).is_some_and(|schema| accepts(schema, value)))
        }
    }
}

fn passes(text: &str) -> bool {
    let node = yaml::parse(text, Budget { nodes: 1_000, depth: 8, aliases: 0 }).unwrap();
    accepts(&schema(), &node)
}

#[test]
fn the_examples_are_what_the_schema_says() {
    let folders = std::fs::read_dir(format!("{ROOT}/examples")).unwrap();
    let files: Vec<_> =
        folders.map(|folder| folder.unwrap().path().join(FILE_NAME)).filter(|path| path.exists()).collect();
    assert!(files.len() >= 3, "{files:?}");
    for path in files {
        let text = std::fs::read_to_string(&path).unwrap();
        assert!(passes(&text), "{}", path.display());
        assert!(RepoConfig::parse(&text).is_ok(), "{}", path.display());
    }
}

#[test]
fn the_schema_tells_what_the_reader_tells() {
    for (text, fine) in [
        ("framework: nestjs\ndatabase: none\n", true),
        ("framework: cobol\n", false),
        ("framwork: go\n", false),
        ("app_port: 3000\n", true),
        ("app_port: 0\n", false),
        ("app_port: 65536\n", false),
        ("app_port: [1]\n", false),
        ("health_check_timeout: 601\n", false),
        ("health_check_timeout: soon\n", false),
        ("env: [A=1, B=2]\n", true),
        ("env: {A: 1, B: true, C: }\n", true),
        ("env: {A: [1]}\n", false),
        ("env: 12\n", false),
    ] {
        assert_eq!(RepoConfig::parse(text).is_ok(), fine, "{text}");
        assert_eq!(passes(text), fine, "{text}");
    }
}

#[test]
fn every_default_is_a_value_that_the_key_may_have() {
    for field in keys::fields() {
        if let Without::Value(value) = field.without {
            let text = format!("{}: {value}\n", field.name);
            assert!(passes(&text) && RepoConfig::parse(&text).is_ok(), "{text}");
        }
        assert!(!field.says.ends_with('.') && !field.says.contains(['|', '\n']), "{}", field.name);
    }
}

/// Texts that match a form's regular expression.
fn matching(form: Form) -> impl Strategy<Value = String> {
    let Form::Text(pattern) = form else { panic!("{form:?} is no text") };
    string_regex(pattern.trim_start_matches('^').trim_end_matches('$')).unwrap()
}

proptest! {
    #[test]
    fn what_a_pattern_matches_the_reader_takes(
        path in matching(Form::PATH), url in matching(Form::URL_PATH), name in matching(Form::VARIABLE)
    ) {
        let taken = |key: &str, text: &str| RepoConfig::parse(&format!("{key}: {}\n", Value::from(text))).is_ok();
        prop_assert!(taken("dockerfile", &path) || path.len() > 200, "{}", path);
        prop_assert!(taken("health_check_path", &url) || url.len() > 200, "{}", url);
        prop_assert!(taken("app_port_env", &name) || name.len() > 100, "{}", name);
    }
}
