//! Many previews at once: places, names, networks.

use preview_core::ids::{ProjectSlug, RepoName};
use preview_simulator::{Mimic, NewPull, Pull};
use serde_json::Value;

use crate::rig::{Rig, Setup, unique_owner};

/// Opens this many pull requests, in turn over all repositories.
async fn open_many(rig: &Rig, many: usize) -> Vec<Pull> {
    let mut pulls = Vec::new();
    for n in 0..many {
        let repo = rig.github.repo(&rig.repos[n % rig.repos.len()]).unwrap();
        let new = NewPull::new(format!("branch-{n}"), Mimic::new(format!("version {n}")).files());
        pulls.push(repo.open_pull(new).await.unwrap());
    }
    pulls
}

/// How many records have this status.
fn with_status(rig: &Rig, status: &str) -> usize {
    let ledger = rig.ledger();
    let records = ledger["deployments"].as_object().into_iter().flat_map(serde_json::Map::values);
    records.filter(|record| record["status"] == status).count()
}

#[tokio::test(flavor = "multi_thread")]
async fn ten_pull_requests_of_two_repositories_at_once() {
    let owner = unique_owner();
    let rig = Setup::new().repos(["app", "api"].map(|name| format!("{owner}/{name}"))).start().await;
    let pulls = open_many(&rig, 10).await;
    for (n, pull) in pulls.iter().enumerate() {
        rig.until_answers(&rig.url(pull), &format!("version {n}")).await;
    }
    rig.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn beyond_the_places_previews_wait_say_so_and_start_when_places_come_free() {
    let owner = unique_owner();
    let repos = ["app", "api"].map(|name| format!("{owner}/{name}"));
    let rig = Setup::new().repos(repos).set("MAX_CONCURRENT_PREVIEWS", 3).start().await;
    let pulls = open_many(&rig, 5).await;
    rig.until("three run and two wait", async || {
        (with_status(&rig, "running") == 3 && with_status(&rig, "queued") == 2).then_some(())
    })
    .await;
    let waits = |pull: &Pull| rig.record(&rig.id(pull))["status"] == "queued";
    let (waiting, running): (Vec<&Pull>, Vec<&Pull>) = pulls.iter().partition(|pull| waits(pull));
    for pull in &waiting {
        rig.until_comment(pull, "queued").await;
        assert_eq!(rig.containers(&rig.id(pull)).await, Vec::<String>::new(), "what waits holds nothing");
        assert_eq!(rig.record(&rig.id(pull))["appPort"], Value::Null);
    }
    for pull in running.iter().take(2) {
        pull.close().unwrap();
    }
    for pull in &waiting {
        rig.until_comment(pull, "Preview is ready").await;
    }
    assert_eq!(with_status(&rig, "running"), 3);
    rig.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn repositories_with_the_same_slug_stay_apart_for_good() {
    let owner = unique_owner();
    let (first, second) = (format!("{owner}-x/app"), format!("{owner}/x-app"));
    let plain = ProjectSlug::for_repo(&first.parse::<RepoName>().unwrap(), |_| false).to_string();
    let mut rig = Setup::new().repos([first.clone(), second.clone()]).start().await;
    let open = async |rig: &Rig, name: &str, text: &str| {
        let repo = rig.github.repo(name).unwrap();
        repo.open_pull(NewPull::new("feature", Mimic::new(text).files())).await.unwrap()
    };
    open(&rig, &second, "of the second").await;
    let other = open(&rig, &first, "of the first").await;
    let url = |rig: &Rig, name: &str| {
        let ledger = rig.ledger();
        let id = rig.github.repo(name).unwrap().id().to_string();
        let slug = ledger["projects"][&id]["slug"].as_str().map(str::to_owned);
        slug.map(|slug| (format!("{}/{slug}/pr-1/", rig.base), slug))
    };
    rig.until("both repositories have slugs", async || url(&rig, &first).and(url(&rig, &second)).map(drop)).await;
    let ((first_url, first_slug), (second_url, second_slug)) =
        (url(&rig, &first).unwrap(), url(&rig, &second).unwrap());
    assert_ne!(first_slug, second_slug);
    assert!(
        [&first_slug, &second_slug].contains(&&plain)
            && first_slug.starts_with(&plain)
            && second_slug.starts_with(&plain)
    );
    rig.until_answers(&first_url, "of the first").await;
    rig.until_answers(&second_url, "of the second").await;

    rig.stop_service().await;
    rig.start_service().await;
    other.push(Mimic::new("of the first, pushed").files()).await.unwrap();
    rig.until_answers(&first_url, "of the first, pushed").await;
    rig.until_answers(&second_url, "of the second").await;
    rig.finish().await;
}

/// Docker's own address pools end after some thirty networks.
#[tokio::test(flavor = "multi_thread")]
async fn forty_previews_at_once() {
    let rig = Setup::new().set("MAX_CONCURRENT_PREVIEWS", 40).set("CONTAINER_MEMORY_MB", 64).start().await;
    let pulls = open_many(&rig, 40).await;
    for (n, pull) in pulls.iter().enumerate() {
        rig.until_answers(&rig.url(pull), &format!("version {n}")).await;
    }
    rig.finish().await;
}
