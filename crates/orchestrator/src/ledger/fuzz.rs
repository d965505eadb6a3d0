//! Ledgers that a failing disk, an editor or another version left behind.

use preview_fuzz::{holds, mutated_bytes};
use proptest::prelude::*;

use super::file::{Parsed, read_text};
use super::state::State;

/// A ledger of this version with something of everything, one that is empty, and one of the older system.
const LEDGERS: [&str; 3] = [
    r#"{"version":1,"deployments":{"my-org-my-app-12":{"prNumber":12,"repoName":"my-app","repoOwner":"my-org","repositoryId":1296269,
"projectSlug":"my-org-my-app","deploymentId":"my-org-my-app-12","branch":"feature","commitSha":"abc123abc123abc123abc123abc123abc123abc1",
"framework":"nestjs","dbType":"postgres","appPort":8000,"dbPort":9000,"subnet":0,"status":"running","createdAt":"2026-01-29T10:00:00Z",
"updatedAt":"2026-01-29T10:00:00Z","head":"abc123abc123abc123abc123abc123abc123abc1","activeAt":"2026-01-29T10:00:00Z",
"url":"http://h/my-org-my-app/pr-12/","commentId":456789,
"serving":{"commitSha":"abc123abc123abc123abc123abc123abc123abc1","slot":"a","appPort":8000,"since":"2026-01-29T10:00:00Z","tookMs":4200,"down":false},
"attempt":{"commitSha":"abc123abc123abc123abc123abc123abc123abc1","step":"done","slot":"a","appPort":null,"startedAt":"2026-01-29T10:00:00Z","inPlace":false}}},
"portAllocations":{},"projects":{"1296269":{"slug":"my-org-my-app","name":"my-org/my-app","since":"2026-01-29T10:00:00Z",
"baseline":{"3":"abc123abc123abc123abc123abc123abc123abc1"}}},"setAside":{},
"pending":[{"repositoryId":1296269,"number":12,"reason":"pushed","since":"2026-01-29T10:00:00Z","serial":1}],
"imported":[{"repo":"a/b","number":1,"commentId":2}],"repairs":3}"#,
    r#"{"version":1,"deployments":{},"portAllocations":{},"projects":{},"setAside":{},"pending":[],"imported":[],"repairs":0}"#,
    r#"{"deployments":{"my-org-my-app-12":{"prNumber":12,"repoName":"my-app","repoOwner":"my-org","commentId":5,"appPort":8000}},"portAllocations":{}}"#,
];

const WORDS: [&str; 34] = [
    "\"version\":",
    "\"deployments\":",
    "\"attempt\":",
    "\"serving\":",
    "\"pending\":",
    "\"step\":\"queued\"",
    "\"slot\":\"b\"",
    "null",
    "0",
    "-1",
    "65536",
    "18446744073709551616",
    "1e400",
    "\"\"",
    "\"../../etc\"",
    "\"a b\"",
    "\"-9999-01-01T00:00:00Z\"",
    "\"9999-12-31T23:59:59Z\"",
    "{",
    "}",
    "[",
    "]",
    ",",
    ":",
    "\"",
    "\\u0000",
    "\u{0}",
    "[[[[[[[[",
    "true",
    "\"failed\"",
    "\"version\":2,",
    "\"version\":null,",
    "\"my-org-my-app-13\":",
    "\n",
];

#[test]
fn ledgers() {
    holds("ledgers", 1, mutated_bytes(LEDGERS, WORDS), |text| {
        match read_text(&text) {
            Ok(Parsed::State(state) | Parsed::Older(state)) => comes_back_the_same(&state)?,
            Ok(Parsed::Unreadable | Parsed::Missing) => {}
            Err(newer) => prop_assert!(newer > 1, "{}", newer),
        }
        Ok(())
    });
}

/// What was read is written, read and written again, and every question about it has an answer.
fn comes_back_the_same(state: &State) -> Result<(), TestCaseError> {
    let text = serde_json::to_vec(state).map_err(|error| TestCaseError::fail(error.to_string()))?;
    let Ok(Parsed::State(again)) = read_text(&text) else {
        return Err(TestCaseError::fail(format!("unreadable once written: {}", String::from_utf8_lossy(&text))));
    };
    prop_assert_eq!(&*again, state);
    for key in state.pulls() {
        let _ = state.id_of(key);
    }
    for (id, record) in &state.deployments {
        let _ = (state.key_of(id), record.ports().count(), record.holds_place(), record.queued_since());
    }
    Ok(())
}
