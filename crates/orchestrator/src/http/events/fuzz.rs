//! Bodies of webhooks that GitHub would never send.

use preview_fuzz::{holds, mutated_bytes};
use proptest::prelude::*;
use serde_json::Value;

use super::*;

const BODIES: [&str; 4] = [
    r#"{"action":"opened","number":2,"pull_request":{"id":1,"number":2,"head":{"ref":"changes","sha":"ec26"}},"repository":{"id":186853002,"full_name":"Codertocat/Hello-World"}}"#,
    r#"{"action":"edited","number":7,"changes":{"base":{"ref":{"from":"main"}}},"repository":{"id":1,"full_name":"a/b","owner":{"id":3}},"sender":{"type":"User"}}"#,
    r#"{"zen":"Keep it logically awesome.","hook_id":1,"repository":{"id":1,"full_name":"a/b"}}"#,
    r#"{ "repository" : { "full_name" : "a\/b\u00e9" , "id" : 18446744073709551615 } , "number" : 1 , "action" : "closed" }"#,
];

const WORDS: [&str; 40] = [
    "\"number\":",
    "\"id\":",
    "\"action\":",
    "\"repository\":",
    "\"full_name\":",
    "\"changes\":",
    "\"base\":null",
    "\"opened\"",
    "\"synchronize\"",
    "{",
    "}",
    "[",
    "]",
    ",",
    ":",
    "\"",
    "\\",
    "\\u0000",
    "\\ud800",
    "\\u0061ction",
    "null",
    "true",
    "0",
    "-1",
    "1.0",
    "1e3",
    "2e999",
    "18446744073709551616",
    "9007199254740993",
    "\"7\"",
    " ",
    "\n",
    "\u{0}",
    "\u{FEFF}",
    "[[[[[[[[",
    "{\"a\":",
    "\"number\":3,",
    "\"repository\":{\"id\":9,\"full_name\":\"x/y\"},",
    "//",
    "NaN",
];

const NAMES: [&str; 6] = ["pull_request", "pull_request", "pull_request", "ping", "push", "issue_comment"];

#[test]
fn webhook_bodies() {
    let cases = (prop::sample::select(NAMES.as_slice()), mutated_bytes(BODIES, WORDS));
    holds("webhook bodies", 1, cases, |(name, body)| match read(name, &body) {
        Ok(event) => says_what_stands_there(name, &event, &body),
        Err(error) => {
            let told = error.to_string();
            prop_assert!(told.len() < 200 && told.chars().all(|c| !c.is_control()), "{}", told);
            Ok(())
        }
    });
}

/// Another reader of the same bytes finds the same pull request, once: nothing that another would read otherwise is acted on.
fn says_what_stands_there(name: &str, event: &Event, body: &[u8]) -> Result<(), TestCaseError> {
    // What that reader can't read (half a surrogate in a word that nobody looks at) proves nothing.
    let Ok(value) = serde_json::from_slice::<Value>(body) else { return Ok(()) };
    let Meaning::Look(key, _) = event.meaning else {
        prop_assert!(name != "ping" || event.meaning == Meaning::Ping);
        return Ok(());
    };
    prop_assert_eq!(name, "pull_request");
    prop_assert_eq!(value["number"].as_u64(), Some(key.number.get()));
    prop_assert_eq!(value["repository"]["id"].as_u64(), Some(key.repo.0));
    prop_assert_eq!(value["action"].as_str(), event.action.as_deref());
    prop_assert_eq!(event.number, Some(key.number));
    Ok(())
}
