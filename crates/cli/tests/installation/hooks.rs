//! The webhook that `preview setup` makes: one for each repository, whatever was there before, and wherever it was killed.

use std::time::Duration;

use axum::http::Method;
use preview_simulator::state::Request;
use preview_simulator::{Change, Fault, Matching};

use crate::rig::Rig;
use crate::setup::finishes_host;

const HOST: [&str; 2] = ["--host", "root@203.0.113.7"];
const SETUP: [&str; 2] = ["setup", "--yes"];

#[tokio::test]
async fn a_webhook_that_was_changed_or_is_there_twice_is_put_right() {
    let rig = Rig::new().await;
    let url = format!("{}/webhook/github", rig.url);
    rig.repo.add_hook(&url);
    rig.repo.add_hook("https://ci.example.com/hook");
    rig.init(&HOST).await;
    let (code, text) = rig.run(&SETUP).await;
    assert_eq!(code, 0, "{text}");
    let hooks = rig.hooks();
    assert_eq!(hooks.len(), 2, "the other one is not ours: {hooks:?}");
    let ours: Vec<_> = hooks.iter().filter(|(url, ..)| url.starts_with("SERVER")).collect();
    assert!(ours.len() == 1 && ours[0].1 && ours[0].2 == ["issue_comment", "pull_request"], "{ours:?}");
    // A second one to the same place has every delivery come twice.
    rig.repo.add_hook(&url);
    let (code, text) = rig.run(&SETUP).await;
    assert_eq!((code, rig.hooks().len()), (0, 2), "{text}");
}

#[tokio::test]
async fn a_webhook_of_which_no_answer_came_is_not_made_again() {
    let rig = Rig::new().await;
    rig.init(&HOST).await;
    rig.github.fail_next(Matching::path(Method::POST, "/hooks"), 1, Fault::CutBody);
    let (code, text) = rig.run(&SETUP).await;
    assert!(code == 1 && text.contains("connection closed before message completed"), "{text}");
    assert!(rig.hooks().len() == 1 && !rig.home("state.json").exists(), "it is there, and its number is not known");
    finishes_host(&rig).await;
}

/// Begins, and is killed as soon as it has come there.
async fn killed_when(rig: &Rig, there: impl Fn() -> bool) {
    let setup = rig.program(&SETUP);
    let seen = async {
        while !there() {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    };
    tokio::select! {
        ended = setup.status() => panic!("it came to its end: {ended:?}"),
        () = seen => {}
    }
    // Nobody holds the installation once it is dead.
    std::fs::File::open(rig.path("home")).unwrap().lock().unwrap();
}

#[tokio::test]
async fn killed_at_the_webhook_it_makes_no_second_one() {
    let late = || Fault::LateAnswer(Duration::from_secs(60));
    let rig = Rig::new().await;
    rig.init(&HOST).await;
    rig.github.fail_next(Matching::path(Method::POST, "/hooks"), 1, late());
    killed_when(&rig, || rig.hooks().len() == 1).await;
    assert!(!rig.home("state.json").exists(), "it is there, and its number is not known");
    finishes_host(&rig).await;
    let known = rig.json("home/state.json")["webhooks"].clone();
    assert_eq!(known.as_object().unwrap().len(), 1);

    // Once its number is known, at the test delivery, and again while it is put right.
    for (method, path) in [(Method::POST, "/pings"), (Method::PATCH, "/hooks/")] {
        let asked = || {
            let is_meant = |request: &Request| request.method == method && request.path.contains(path);
            rig.github.look(|state| state.requests().filter(|request| is_meant(request)).count())
        };
        let before = asked();
        rig.github.fail_next(Matching::path(method.clone(), path), 1, late());
        killed_when(&rig, || asked() > before).await;
        finishes_host(&rig).await;
        assert_eq!(rig.json("home/state.json")["webhooks"], known, "{path}");
    }
}

#[tokio::test]
async fn a_webhook_is_found_among_more_than_a_page_of_them() {
    let rig = Rig::new().await;
    for number in 0..101 {
        rig.repo.add_hook(&format!("{}/other/{number}", rig.url));
    }
    rig.repo.add_hook(&format!("{}/webhook/github", rig.url));
    rig.init(&HOST).await;
    let (code, text) = rig.run(&SETUP).await;
    assert_eq!((code, rig.hooks().len()), (0, 102), "{text}");
}

#[tokio::test]
async fn a_server_that_has_another_address_keeps_its_webhook() {
    let rig = Rig::new().await;
    rig.init(&HOST).await;
    finishes_host(&rig).await;
    let other = rig.url.replace("127.0.0.1", "localhost");
    let config = std::fs::read_to_string(rig.home("config.yml")).unwrap();
    std::fs::write(rig.home("config.yml"), config.replace(&rig.url, &other)).unwrap();
    let (code, text) = rig.run(&SETUP).await;
    assert_eq!(code, 0, "{text}");
    let hooks = rig.hooks();
    assert!(hooks.len() == 1 && hooks[0].0 == format!("{other}/webhook/github"), "{hooks:?}");
}

#[tokio::test]
async fn a_repository_that_is_listed_no_more_has_no_webhook_any_more() {
    let rig = Rig::new().await;
    rig.init(&HOST).await;
    let other = rig.github.create_repo("my-org/other", [Change::write("README.md", "hello")]).await.unwrap();
    let config = std::fs::read_to_string(rig.home("config.yml")).unwrap();
    std::fs::write(rig.home("config.yml"), config.replace("  - my-org/my-app", "  - my-org/my-app\n  - my-org/other"))
        .unwrap();
    finishes_host(&rig).await;
    let hooks = || rig.github.look(|state| state.repository(other.id()).unwrap().hooks.len());
    assert_eq!(
        (hooks(), rig.json("vars.json")["preview_settings"]["ALLOWED_REPOS"].as_str()),
        (1, Some("my-org/my-app,my-org/other"))
    );
    std::fs::write(rig.home("config.yml"), config).unwrap();
    finishes_host(&rig).await;
    assert_eq!(hooks(), 0);
}
