//! The table against the specification's schema, and against what adoption really takes.

use serde_json::json;

use super::*;

fn schema() -> Value {
    serde_json::from_str(include_str!("../fixtures/compose-spec.json")).unwrap()
}

#[test]
fn the_table_and_the_schema_name_the_same_keys() {
    assert_eq!(compare(&schema()), Difference::default());
}

#[test]
fn no_key_stands_twice_or_beneath_one_that_is_not_read() {
    let table: Vec<(String, Verdict)> = all().collect();
    let mut seen = BTreeSet::new();
    for (path, _) in &table {
        assert!(seen.insert(path), "{path} stands twice");
        let above =
            |(closed, verdict): &&(String, Verdict)| !verdict.is_read() && path.starts_with(&format!("{closed}."));
        assert_eq!(table.iter().find(above), None, "{path}");
    }
}

#[test]
fn a_newer_schema_shows_what_is_new_and_what_is_gone() {
    let mut schema = schema();
    schema["$defs"]["service"]["properties"]["mount_host"] = json!({"type": "boolean"});
    schema["$defs"]["service"]["properties"].as_object_mut().unwrap().remove("privileged");
    schema["properties"]["volumes"]["patternProperties"]["^[a-zA-Z0-9._-]+$"]["properties"] = json!({"steal": {}});
    let difference = compare(&schema);
    assert!(difference.new.contains("services.*.mount_host"), "{difference:?}");
    assert_eq!(difference.gone.iter().collect::<Vec<_>>(), ["services.*.privileged"]);
    assert_eq!(compare(&json!({})).gone.len(), all().count());
    let circle =
        json!({"$ref": "#/$defs/a", "$defs": {"a": {"$ref": "#/$defs/a", "properties": {"b": {"$ref": "#/$defs/a"}}}}});
    assert!(!compare(&circle).is_empty());
}
