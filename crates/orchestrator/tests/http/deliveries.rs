//! `POST /webhook/github`: what is taken, what is not, and that nothing taken is lost.

use preview_core::ids::{PrNumber, PullKey, RepoId};
use preview_orchestrator::ledger::{Reason, State};
use preview_simulator::{sha1_signature, sha256_signature};
use serde_json::{Value, json};

use crate::client::{Answer, Request};
use crate::house::{Full, House, SECRET, now};

const LINE: &str = "POST /webhook/github";

/// A real delivery; where it is from stands beside the file.
fn real(name: &str) -> Value {
    let all = include_str!("../../../simulator/tests/fixtures/webhooks.json");
    serde_json::from_str::<Value>(all).unwrap()["examples"][name].clone()
}

pub(crate) fn opened(number: u64) -> Value {
    let mut body = real("pull_request.opened");
    body["number"] = number.into();
    body
}

/// A delivery without a signature.
fn unsigned(house: &House, event: &str, body: &[u8]) -> Request {
    house
        .ask(LINE)
        .header("Content-Type", "application/json")
        .header("X-GitHub-Event", event)
        .header("X-GitHub-Delivery", "0b989ba4-242f-11e5-81e1-c7b6966d2516")
        .body(body)
}

pub(crate) fn signed(house: &House, event: &str, body: &[u8]) -> Request {
    unsigned(house, event, body).header("X-Hub-Signature-256", &sha256_signature(SECRET.as_bytes(), body))
}

async fn deliver(house: &House, event: &str, body: &Value) -> Answer {
    signed(house, event, body.to_string().as_bytes()).send().await
}

/// What is told of the last deliveries, the newest first.
async fn told(house: &House) -> Vec<Value> {
    let answer = house.ask("GET /api/deliveries").token().send().await;
    answer.json()["deliveries"].as_array().unwrap().clone()
}

#[tokio::test]
async fn what_github_signed_is_on_the_disk_when_it_is_answered() {
    let house = House::open().await;
    let mut titled = opened(3);
    titled["pull_request"]["title"] = "Grüße, 世界 🦀".into();
    let escaped = opened(4).to_string().replacen("Codertocat", "\\u0043odertocat", 1).replace('/', "\\/");
    let bodies = [
        opened(2).to_string().into_bytes(),
        titled.to_string().into_bytes(),
        escaped.into_bytes(),
        serde_json::to_vec_pretty(&opened(5)).unwrap(),
        format!("\r\n\t {} \n\n", opened(6)).into_bytes(),
    ];
    for (body, number) in bodies.iter().zip(2..) {
        let answer = signed(&house, "pull_request", body).send().await;
        assert_eq!(answer.status, 202, "{answer:?}");
        assert_eq!(answer.json()["decision"], "accepted");
        assert!(house.pending_on_disk().contains(&number), "{number}");
    }
    let asked = signed(&house, "pull_request", opened(6).to_string().as_bytes()).staying().send().await;
    assert_eq!(asked.header("connection"), Some("close"), "whoever would send the next one over it: {asked:?}");
    let chunked = signed(&house, "pull_request", opened(7).to_string().as_bytes()).chunked().send().await;
    assert_eq!(chunked.status, 202);
    assert_eq!(house.pending_on_disk(), [2, 3, 4, 5, 6, 7]);
}

#[tokio::test]
async fn what_github_did_not_sign_is_refused() {
    let house = House::open().await;
    let body = opened(2).to_string().into_bytes();
    let right = sha256_signature(SECRET.as_bytes(), &body);
    let pretty = serde_json::to_vec_pretty(&opened(2)).unwrap();
    let digits = &right["sha256=".len()..];
    let with = |value: &str| unsigned(&house, "pull_request", &body).header("X-Hub-Signature-256", value);
    let sha1 = sha1_signature(SECRET.as_bytes(), &body);
    let wrong = [
        ("missing", unsigned(&house, "pull_request", &body)),
        ("SHA-1 only", unsigned(&house, "pull_request", &body).header("X-Hub-Signature", &sha1)),
        ("another secret", with(&sha256_signature(b"another secret", &body))),
        ("the same JSON, other bytes", unsigned(&house, "pull_request", &pretty).header("X-Hub-Signature-256", &right)),
        ("empty", with("")),
        ("no prefix", with(digits)),
        ("SHA-1 under the other name", with(&sha1)),
        ("another prefix", with(&format!("sha512={digits}"))),
        ("too short", with(&right[..right.len() - 2])),
        ("too long", with(&format!("{right}00"))),
        ("odd", with(&right[..right.len() - 1])),
        ("no digits", with(&format!("sha256={}", "g".repeat(64)))),
        ("zeros", with(&format!("sha256={}", "0".repeat(64)))),
    ];
    for (what, request) in wrong {
        let answer = request.send().await;
        assert_eq!(answer.status, 401, "{what}");
        assert!(answer.header("www-authenticate").is_some(), "{what}");
        answer.problem();
    }
    // The signature comes before everything that is made of the body or its headers.
    let nonsense = unsigned(&house, "", b"{nonsense").send().await;
    assert_eq!(nonsense.status, 401);
    assert_eq!(house.on_disk(), Value::Null);
    assert!(told(&house).await.iter().all(|entry| entry["decision"] == "refused" && entry["signed"] == false));
}

#[tokio::test]
async fn what_changes_nothing_is_answered_and_ignored() {
    let house = House::open().await;
    let mut assigned = opened(2);
    assigned["action"] = "assigned".into();
    let ignored = [
        ("ping", real("ping")),
        ("push", real("push")),
        ("issue_comment", real("issue_comment.created")),
        ("repository", real("repository.renamed")),
        ("pull_request", assigned),
        ("an_event_of_next_year", json!({})),
    ];
    for (event, body) in ignored {
        let answer = deliver(&house, event, &body).await;
        assert_eq!(answer.status, 200, "{event}");
        assert_eq!(answer.json()["decision"], "ignored", "{event}");
    }
    assert_eq!(house.on_disk(), Value::Null);
}

#[tokio::test]
async fn what_is_malformed_says_how() {
    let house = House::open().await;
    for body in ["", "nonsense", "{\"action\":", "[]", "payload=%7B%7D", "\u{0}"] {
        let answer = signed(&house, "pull_request", body.as_bytes()).send().await;
        assert_eq!(answer.status, 400, "{body:?}");
    }
    assert_eq!(signed(&house, "pull_request", b"\xff\xfe{}").send().await.status, 400);
    for field in ["action", "number", "repository"] {
        let mut body = opened(2);
        body.as_object_mut().unwrap().remove(field);
        let answer = deliver(&house, "pull_request", &body).await;
        assert_eq!(answer.status, 400);
        assert!(answer.detail().contains(field), "{answer:?}");
    }
    let answer = signed(&house, "", b"{}").send().await;
    assert_eq!((answer.status, answer.detail().contains("X-GitHub-Event")), (400, true));
    assert_eq!(house.on_disk(), Value::Null);
}

#[tokio::test]
async fn a_form_is_told_to_become_json() {
    let house = House::open().await;
    let body = b"payload=%7B%22zen%22%3A%22x%22%7D";
    let form = house
        .ask(LINE)
        .header("Content-Type", "application/x-www-form-urlencoded")
        .header("X-GitHub-Event", "ping")
        .header("X-Hub-Signature-256", &sha256_signature(SECRET.as_bytes(), body))
        .body(body);
    let answer = form.send().await;
    assert_eq!(answer.status, 415);
    assert!(answer.detail().contains("application/json"), "{answer:?}");
}

#[tokio::test]
async fn a_repository_is_allowed_by_its_number() {
    let house = House::open().await;
    house.learn_allowed().await;
    assert_eq!(deliver(&house, "pull_request", &opened(2)).await.status, 202);
    let mut namesake = opened(3);
    namesake["repository"]["id"] = 4711.into();
    let answer = deliver(&house, "pull_request", &namesake).await;
    assert_eq!(answer.status, 403);
    assert!(answer.detail().contains("ALLOWED_REPOS"));
    let mut renamed = opened(4);
    renamed["repository"]["full_name"] = "somebody/else".into();
    assert_eq!(deliver(&house, "pull_request", &renamed).await.status, 202);
    assert_eq!(house.pending_on_disk(), [2, 4]);
}

#[tokio::test]
async fn what_is_too_large_is_refused_and_its_sender_learns_so() {
    let house = House::open().await;
    let body = vec![b' '; 27_000_000];
    let signature = format!("sha256={}", "0".repeat(64));
    let large = || unsigned(&house, "pull_request", &body).header("X-Hub-Signature-256", &signature);
    for request in [large(), large().chunked()] {
        let answer = request.send().await;
        assert_eq!(answer.status, 413);
        answer.problem();
    }
    let mut long = opened(2);
    long["pull_request"]["body"] = "x".repeat(3_000_000).into();
    assert_eq!(deliver(&house, "pull_request", &long).await.status, 202);
}

#[tokio::test]
async fn a_redelivery_is_taken_again() {
    let house = House::open().await;
    for _ in 0..2 {
        assert_eq!(deliver(&house, "pull_request", &opened(2)).await.status, 202);
    }
    assert_eq!(house.pending_on_disk(), [2]);
    assert_eq!(house.on_disk()["pending"][0]["serial"], 2);
    let told = told(&house).await;
    assert_eq!(told.len(), 2);
    assert_eq!(told[0]["guid"], told[1]["guid"]);
}

#[tokio::test]
async fn when_too_much_waits_github_may_come_later() {
    let mut state = State::default();
    for number in 1..=10_000 {
        let key = PullKey { repo: RepoId(1), number: PrNumber::new(number).unwrap() };
        state.tell(key, Reason::Changed, now());
    }
    let house = House::on(state, Full).await;
    let answer = deliver(&house, "pull_request", &opened(2)).await;
    assert_eq!((answer.status, answer.header("retry-after")), (429, Some("60")));
}

#[tokio::test]
async fn what_cannot_be_written_down_is_not_accepted_and_the_cause_stays_here() {
    let house = House::on(State::default(), Full).await;
    let answer = deliver(&house, "pull_request", &opened(2)).await;
    assert_eq!(answer.status, 503);
    assert!(!answer.body.contains("space") && !answer.body.contains("secret-path"), "{answer:?}");
    assert_eq!(told(&house).await[0]["decision"], "refused");
}

#[tokio::test]
async fn without_webhooks_there_is_no_such_path() {
    let house = House::without_webhooks().await;
    assert_eq!(deliver(&house, "ping", &real("ping")).await.status, 404);
}

#[tokio::test]
async fn any_host_may_deliver() {
    let house = House::open().await;
    let body = real("ping").to_string();
    let answer = signed(&house, "ping", body.as_bytes()).host("previews.example.com").send().await;
    assert_eq!(answer.status, 200);
}

#[tokio::test]
async fn the_last_deliveries_are_told() {
    let house = House::open().await;
    deliver(&house, "pull_request", &opened(2)).await;
    deliver(&house, "push", &real("push")).await;
    unsigned(&house, "ping", b"{}").send().await;
    insta::assert_json_snapshot!(told(&house).await);
}

#[tokio::test]
async fn what_is_explained_is_told_with_what_arrived() {
    let house = House::open().await;
    house.learn_allowed().await;
    let id = house.add_preview(2).await;
    assert_eq!(deliver(&house, "pull_request", &opened(2)).await.status, 202);
    assert_eq!(deliver(&house, "pull_request", &opened(3)).await.status, 202);
    for name in ["2", "my-org%2Fmy-app%232", &id.to_string()] {
        let answer = house.ask(&format!("GET /api/why?pull={name}")).token().send().await;
        let why = answer.json();
        assert_eq!((answer.status, &why["deploymentId"]), (200, &json!("my-org-my-app-2")), "{name}");
        assert_eq!(why["github"], "not asked: nobody is there: /var/run/secret-path");
        assert!(why["preview"].as_str().unwrap().contains("abc123a answers at"), "{why}");
        assert_eq!(why["deliveries"].as_array().unwrap().len(), 1, "{why}");
        assert_eq!(why["deliveries"][0]["prNumber"], 2);
    }
    for (name, status) in [("nonsense", 400), ("other%2Frepo%232", 404), ("nobody-knows-2", 404)] {
        let answer = house.ask(&format!("GET /api/why?pull={name}")).token().send().await;
        assert_eq!(answer.status, status, "{name}");
        answer.problem();
    }
    house.ask("GET /api/why").token().send().await.problem();
    assert_eq!(house.ask("GET /api/why?pull=2").send().await.status, 401);
}
