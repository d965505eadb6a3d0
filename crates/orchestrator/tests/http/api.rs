//! `/api`: who may ask, what is told, what is taken.

use serde_json::json;

use crate::house::House;

/// A problem as it is told, with the request's own id taken out.
fn steady(mut problem: serde_json::Value) -> serde_json::Value {
    problem["requestId"] = "…".into();
    problem
}

#[tokio::test]
async fn only_the_token_opens_the_api() {
    let house = House::open().await;
    house.add_preview(12).await;
    for line in [
        "GET /api/previews",
        "GET /api/previews/my-org-my-app-12",
        "DELETE /api/previews/my-org-my-app-12",
        "POST /api/previews/my-org-my-app-12/redeploy",
        "POST /api/previews/my-org-my-app-12/reset-db",
        "POST /api/previews/my-org-my-app-12/keep?for=3d",
        "GET /api/previews/my-org-my-app-12/logs?stream=build",
        "GET /api/deliveries",
        "GET /api/certificates",
        "POST /api/certificates/retry",
        "GET /api/nothing",
        "POST /api/previews",
    ] {
        let answer = house.ask(line).send().await;
        assert_eq!(answer.status, 401, "{line}");
        assert_eq!(answer.header("www-authenticate"), Some("Bearer realm=\"preview\""));
        let answer = house.ask(line).header("Authorization", "Bearer canary-token-5f1c9c").send().await;
        assert_eq!(answer.status, 401, "{line}");
    }
    assert!(house.pending_on_disk().is_empty());
    insta::assert_json_snapshot!(steady(house.ask("GET /api/previews").send().await.problem()));
}

#[tokio::test]
async fn a_reader_looks_and_changes_nothing() {
    let house = House::open().await;
    let id = house.add_preview(12).await;
    for line in [
        "GET /api/previews",
        "GET /api/previews/my-org-my-app-12",
        "GET /api/deliveries",
        "GET /api/certificates",
        "HEAD /api/previews",
    ] {
        assert_eq!(house.ask(line).read_token().send().await.status, 200, "{line}");
    }
    assert!(house.ask("GET /health").read_token().send().await.json()["version"].is_string());
    for line in [
        "DELETE /api/previews/my-org-my-app-12",
        "POST /api/previews/my-org-my-app-12/redeploy",
        "POST /api/previews/my-org-my-app-12/reset-db",
        "POST /api/previews/my-org-my-app-12/keep?for=3d",
        "POST /api/certificates/retry",
        "PUT /api/previews/my-org-my-app-12",
        "POST /api/nothing",
    ] {
        let answer = house.ask(line).read_token().send().await;
        assert_eq!(answer.status, 403, "{line}");
        assert!(answer.detail().contains("may only look"), "{line}");
    }
    assert!(house.pending_on_disk().is_empty() && house.ledger.read(|state| state.deployments.contains_key(&id)));
}

#[tokio::test]
async fn nothing_that_is_asked_leads_elsewhere() {
    let house = House::open().await;
    for path in
        ["//evil.example", "/\\evil.example", "/api//evil.example", "/health/", "/api/previews/", "/%0d%0aX-A:%20b"]
    {
        let answer = house.ask(&format!("GET {path}")).token().send().await;
        assert!(answer.status >= 400, "{path}: {answer:?}");
        assert_eq!((answer.header("location"), answer.header("x-a")), (None, None), "{path}");
    }
}

#[tokio::test]
async fn the_api_answers_only_under_its_own_names() {
    let house = House::open().await;
    let port = house.address.port();
    for host in ["localhost", "127.0.0.1", "[::1]"] {
        for host in [host.to_owned(), format!("{host}:{port}"), format!("{host}:1")] {
            let answer = house.ask("GET /api/previews").host(&host).token().send().await;
            assert_eq!(answer.status, 200, "{host}");
        }
    }
    for host in ["evil.example", "localhost.evil.example", "127.0.0.1.evil.example:80", "x@localhost", "192.0.2.1", ""]
    {
        let answer = house.ask("GET /api/previews").host(host).token().send().await;
        assert_eq!(answer.status, 421, "{host}");
        answer.problem();
    }
    let absolute = house.ask("GET http://evil.example/api/previews").host("localhost").token().send().await;
    assert_eq!(absolute.status, 421);
}

#[tokio::test]
async fn previews_are_told_as_the_ledger_has_them() {
    let house = House::open().await;
    assert_eq!(house.ask("GET /api/previews").token().send().await.json(), json!({"deployments": []}));
    house.add_preview(12).await;
    let answer = house.ask("GET /api/previews/my-org-my-app-12").token().send().await;
    assert_eq!(answer.status, 200);
    assert_eq!(answer.json(), house.on_disk()["deployments"]["my-org-my-app-12"]);
    assert_eq!(answer.json()["status"], "running");
    let all = house.ask("GET /api/previews").token().send().await;
    assert_eq!(all.json(), json!({"deployments": [answer.json()]}));
    for id in ["my-org-my-app-13", "nonsense", "..%2f..%2fetc", "%ff"] {
        let answer = house.ask(&format!("GET /api/previews/{id}")).token().send().await;
        assert_eq!(answer.status, 404, "{id}");
        answer.problem();
    }
}

#[tokio::test]
async fn wishes_are_written_down() {
    let house = House::open().await;
    house.add_preview(12).await;
    house.add_preview(13).await;
    let stop = house.ask("DELETE /api/previews/my-org-my-app-12").token().send().await;
    assert_eq!(stop.status, 202);
    let again = house.ask("POST /api/previews/my-org-my-app-13/redeploy").token().send().await;
    assert_eq!(again.status, 202);
    let pending = house.on_disk()["pending"].clone();
    assert_eq!((&pending[0]["number"], &pending[0]["reason"]), (&json!(12), &json!("stop")));
    assert_eq!((&pending[1]["number"], &pending[1]["reason"]), (&json!(13), &json!("redeploy")));
    for line in ["DELETE /api/previews/my-org-my-app-99", "POST /api/previews/my-org-my-app-99/redeploy"] {
        assert_eq!(house.ask(line).token().send().await.status, 404);
    }
}

#[tokio::test]
async fn a_database_is_reset_of_what_stays_alone() {
    let house = House::open().await;
    house.add_preview(12).await;
    house.add_preview(13).await;
    let reset = house.ask("POST /api/previews/my-org-my-app-12/reset-db").token().send().await;
    assert_eq!(reset.status, 202);
    assert_eq!(house.on_disk()["pending"][0]["reason"], "resetDatabase");
    // What is told to go has none that could be: a reset that came later would bring it back.
    house.ask("DELETE /api/previews/my-org-my-app-13").token().send().await;
    for id in ["my-org-my-app-13", "my-org-my-app-99"] {
        let reset = house.ask(&format!("POST /api/previews/{id}/reset-db")).token().send().await;
        assert_eq!(reset.status, 404, "{id}");
    }
    assert_eq!(house.on_disk()["pending"][1]["reason"], "stop");
}

#[tokio::test]
async fn a_preview_is_kept_for_longer_and_never_for_less() {
    let house = House::open().await;
    house.add_preview(12).await;
    let keep = async |rest: &str| house.ask(&format!("POST /api/previews/{rest}")).token().send().await;
    let until = async |rest: &str| {
        let kept = keep(rest).await;
        assert_eq!(kept.status, 200, "{rest}");
        kept.json()["keptUntil"].as_str().unwrap().parse::<jiff::Timestamp>().unwrap()
    };
    let (week, month) = (until("my-org-my-app-12/keep").await, until("my-org-my-app-12/keep?for=30d").await);
    assert_eq!(month.duration_since(week).as_hours(), 23 * 24);
    assert_eq!(until("my-org-my-app-12/keep?for=1h").await, month);
    let active = house.on_disk()["deployments"]["my-org-my-app-12"]["activeAt"].clone();
    assert_eq!(active, month.checked_sub(jiff::SignedDuration::from_hours(7 * 24)).unwrap().to_string());
    for wrong in ["", "31d", "0h", "-1d", "forever", "3d%00", "99999999999999999999d"] {
        let answer = keep(&format!("my-org-my-app-12/keep?for={wrong}")).await;
        assert_eq!(answer.status, 400, "{wrong}");
        assert!(answer.detail().contains("`3d`"), "{}", answer.detail());
    }
    assert_eq!(keep("my-org-my-app-99/keep").await.status, 404);
}

#[tokio::test]
async fn every_refusal_is_a_problem_and_every_answer_is_guarded() {
    let house = House::open().await;
    let nowhere = house.ask("GET /nowhere").send().await;
    insta::assert_json_snapshot!(steady(nowhere.problem()));
    let wrong = house.ask("GET /webhook/github").send().await;
    assert_eq!((wrong.status, wrong.header("allow")), (405, Some("POST")));
    insta::assert_json_snapshot!(steady(wrong.problem()));
    let wrong = house.ask("PUT /api/previews/my-org-my-app-12").token().send().await;
    assert_eq!(wrong.status, 405);
    wrong.problem();
    let fine = house.ask("GET /health").send().await;
    for answer in [nowhere, wrong, fine] {
        for (name, value) in [
            ("x-content-type-options", Some("nosniff")),
            ("cache-control", Some("no-store")),
            ("x-frame-options", Some("DENY")),
            ("content-security-policy", Some("default-src 'none'; frame-ancestors 'none'")),
            ("referrer-policy", Some("no-referrer")),
            ("access-control-allow-origin", None),
            ("location", None),
        ] {
            assert_eq!(answer.header(name), value, "{name}");
        }
    }
}

#[tokio::test]
async fn request_ids_are_ours() {
    let house = House::open().await;
    let answer = house.ask("GET /health").header("X-Request-Id", "theirs").send().await;
    let id = answer.header("x-request-id").unwrap();
    assert!(id.len() == 16 && id.bytes().all(|b| b.is_ascii_hexdigit()), "{id}");
    assert_ne!(house.ask("GET /health").send().await.header("x-request-id"), Some(id));
}
