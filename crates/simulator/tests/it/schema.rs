//! Every key of every answer and payload is one that GitHub's has, with the same type; and what the product reads is there.

use preview_simulator::{Change, GitHub, NewPull, Pull};
use serde_json::{Value, json};

use crate::common::{Receiver, SOON, api, get, github, hooked};

fn fixture(text: &str) -> Value {
    serde_json::from_str(text).unwrap()
}

fn type_of(value: &Value) -> &'static str {
    match value {
        Value::Null => "null",
        Value::Bool(_) => "boolean",
        Value::Number(_) => "number",
        Value::String(_) => "string",
        Value::Array(_) => "list",
        Value::Object(_) => "object",
    }
}

/// Where `ours` departs from a description made of type names, objects and lists.
fn against_description(ours: &Value, description: &Value, path: &str, wrong: &mut Vec<String>) {
    match (ours, description) {
        (Value::Object(fields), Value::Object(known)) => {
            for (name, value) in fields {
                let path = format!("{path}.{name}");
                match known.get(name) {
                    Some(description) => against_description(value, description, &path, wrong),
                    None => wrong.push(format!("{path} is not GitHub's")),
                }
            }
        }
        (Value::Array(items), Value::Array(known)) => {
            items.iter().for_each(|item| against_description(item, &known[0], &format!("{path}[]"), wrong));
        }
        (Value::Null, Value::Object(known)) if known.contains_key("?") => {}
        (_, Value::String(types)) if types.split('|').any(|known| known == "any" || known == type_of(ours)) => {}
        _ => wrong.push(format!("{path} is a {}, not {description}", type_of(ours))),
    }
}

/// Where `ours` has another type than a real delivery at the same place; a null in either says nothing of the type. Keys that the
/// delivery doesn't have are the description's affair: deliveries differ in their optional keys.
fn against_example(ours: &Value, example: &Value, path: &str, wrong: &mut Vec<String>) {
    match (ours, example) {
        (Value::Object(fields), Value::Object(known)) => {
            for (name, value) in fields {
                if let Some(known) = known.get(name) {
                    against_example(value, known, &format!("{path}.{name}"), wrong);
                }
            }
        }
        (Value::Array(items), Value::Array(known)) => {
            if let Some(known) = known.first() {
                items.iter().for_each(|item| against_example(item, known, &format!("{path}[]"), wrong));
            }
        }
        _ if ours.is_null() || example.is_null() || type_of(ours) == type_of(example) => {}
        _ => wrong.push(format!("{path} is a {}, in a real delivery a {}", type_of(ours), type_of(example))),
    }
}

/// Asserts that each of these places exists.
fn holds(value: &Value, what: &str, places: &[&str]) {
    for place in places {
        assert!(value.pointer(place).is_some(), "{what} has no {place}: {value}");
    }
}

const REPOSITORY: [&str; 7] =
    ["/id", "/name", "/full_name", "/owner/login", "/private", "/clone_url", "/default_branch"];
const PULL: [&str; 20] = [
    "/number",
    "/state",
    "/title",
    "/draft",
    "/user/login",
    "/user/id",
    "/user/type",
    "/labels",
    "/html_url",
    "/created_at",
    "/updated_at",
    "/closed_at",
    "/merged_at",
    "/head/ref",
    "/head/sha",
    "/head/repo/id",
    "/head/repo/full_name",
    "/base/ref",
    "/base/sha",
    "/base/repo/id",
];
const COMMENT: [&str; 7] = ["/id", "/body", "/user/id", "/user/login", "/user/type", "/created_at", "/updated_at"];

fn prefixed(prefix: &str, places: &[&str]) -> Vec<String> {
    places.iter().map(|place| format!("{prefix}{place}")).collect()
}

/// A pull request with a label, comments, a merged sibling, and a hook that heard of it all.
async fn busy(github: &GitHub) -> (Pull, Receiver) {
    let (repo, receiver) = hooked(github).await;
    let new = NewPull::new("feature", [Change::write("VERSION", "2")]).label("preview").body("why").author("x[bot]");
    let pull = repo.open_pull(new).await.unwrap();
    pull.push([Change::write("VERSION", "3")]).await.unwrap();
    pull.label("more");
    repo.push("release", [Change::write("a", "b")], "alice").await.unwrap();
    pull.retarget("release").unwrap();
    pull.comment("bob", "hello");
    let comments = "/repos/my-org/app/issues/1/comments";
    let comment = api(github, "POST", comments, json!({"body": "x"})).await.json();
    api(github, "PATCH", comment["url"].as_str().unwrap(), json!({"body": "y"})).await;
    let merged = repo.open_pull(NewPull::new("done", [Change::write("c", "d")])).await.unwrap();
    merged.merge().await.unwrap();
    repo.rename("my-org/renamed").unwrap();
    repo.rename("my-org/app").unwrap();
    github.deliveries_done(SOON).await.unwrap();
    (pull, receiver)
}

#[tokio::test]
async fn payloads_are_as_github_sends_them() {
    let github = github().await;
    let (_pull, _receiver) = busy(&github).await;
    let descriptions = fixture(include_str!("../fixtures/openapi.json"));
    let examples = fixture(include_str!("../fixtures/webhooks.json"));
    let (mut wrong, mut compared) = (Vec::new(), Vec::new());
    for delivery in github.look(|state| state.deliveries().cloned().collect::<Vec<_>>()) {
        let name = [Some(delivery.event), delivery.action].into_iter().flatten().collect::<Vec<_>>().join(".");
        let payload: Value = serde_json::from_slice(&delivery.body).unwrap();
        against_description(&payload, &descriptions["webhooks"][&name], &name, &mut wrong);
        // An edited pull request is in no published delivery.
        if let Some(example) = examples["examples"].get(&name) {
            against_example(&payload, example, &name, &mut wrong);
        } else {
            assert_eq!(name, "pull_request.edited");
        }
        holds(&payload, &name, &["/sender/login", "/sender/type"]);
        let read = match name.split('.').next() {
            Some("pull_request") => prefixed("/pull_request", &PULL),
            Some("issue_comment") => prefixed("/comment", &COMMENT),
            _ => Vec::new(),
        };
        let read = read.into_iter().chain(prefixed("/repository", &REPOSITORY)).collect::<Vec<_>>();
        holds(&payload, &name, &read.iter().map(String::as_str).collect::<Vec<_>>());
        compared.push(name);
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
    compared.sort();
    compared.dedup();
    let expected = [
        "issue_comment.created",
        "issue_comment.edited",
        "ping",
        "pull_request.closed",
        "pull_request.edited",
        "pull_request.labeled",
        "pull_request.opened",
        "pull_request.synchronize",
        "push",
        "repository.renamed",
    ];
    assert_eq!(compared, expected);
}

#[tokio::test]
async fn answers_are_as_github_describes_them() {
    let github = github().await;
    let (pull, _receiver) = busy(&github).await;
    let repo = "/repos/my-org/app";
    let comment = api(&github, "POST", &format!("{repo}/issues/1/comments"), json!({"body": "x"})).await.json();
    let reactions = format!("{repo}/issues/comments/{}/reactions", comment["id"]);
    let eyes = api(&github, "POST", &reactions, json!({"content": "eyes"})).await.json();
    let status = format!("{repo}/statuses/{}", pull.head());
    let status = api(&github, "POST", &status, json!({"state": "success", "target_url": "http://x/"})).await.json();
    let invalid = api(&github, "POST", &format!("{repo}/issues/1/comments"), json!({"body": ""})).await.json();
    let hook = get(&github, &format!("{repo}/hooks")).await.json()[0].clone();
    let deliveries = format!("{repo}/hooks/{}/deliveries", hook["id"]);
    let delivery = get(&github, &deliveries).await.json()[0].clone();
    let delivery_path = format!("{deliveries}/{}", delivery["id"]);
    let one = async |path: &str| get(&github, path).await.json();
    let answers = [
        ("user", one("/user").await, &["/login", "/id", "/type"][..]),
        ("repository", one(repo).await, &REPOSITORY),
        ("pull", one(&format!("{repo}/pulls/1")).await, &PULL),
        ("pull", one(&format!("{repo}/pulls/2")).await, &["/merged", "/merge_commit_sha"]),
        ("listed pull", one(&format!("{repo}/pulls")).await[0].clone(), &PULL),
        ("comment", one(&format!("{repo}/issues/1/comments")).await[0].clone(), &COMMENT),
        ("comment", comment, &COMMENT),
        ("reaction", eyes, &["/content"]),
        ("status", status, &["/state", "/context", "/target_url", "/description"]),
        ("combined status", one(&format!("{repo}/commits/{}/status", pull.head())).await, &["/state", "/statuses/0"]),
        ("permission", one(&format!("{repo}/collaborators/alice/permission")).await, &["/permission", "/role_name"]),
        ("hook", hook, &["/id", "/active", "/events", "/config/url"]),
        ("listed delivery", delivery, &["/id", "/guid", "/event", "/status_code"]),
        ("delivery", one(&delivery_path).await, &["/request/payload", "/response/headers"]),
        ("error", one("/nothing").await, &["/message", "/documentation_url"]),
        ("validation error", invalid, &["/errors/0/field", "/errors/0/code"]),
        ("rate limit", one("/rate_limit").await, &["/resources/core/remaining"]),
    ];
    let descriptions = fixture(include_str!("../fixtures/openapi.json"));
    let mut wrong = Vec::new();
    for (name, answer, read) in &answers {
        against_description(answer, &descriptions["responses"][name], name, &mut wrong);
        holds(answer, name, read);
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
}
