//! Many previews at once: places, names, networks.

use preview_simulator::{Change, Mimic, NewPull, Pull};
use serde_json::{Value, json};

use crate::isolation::WITH_POSTGRES;
use crate::rig::{Rig, Setup, slow_build, unique_owner};

/// Opens this many pull requests, in turn over all repositories.
async fn open_many(rig: &Rig, many: usize) -> Vec<Pull> {
    open_many_of(rig, many, |n| Mimic::new(format!("version {n}")).files()).await
}

/// The same, with these changes.
async fn open_many_of(rig: &Rig, many: usize, changes: impl Fn(usize) -> Vec<Change>) -> Vec<Pull> {
    let mut pulls = Vec::new();
    for n in 0..many {
        let repo = rig.github.repo(&rig.repos[n % rig.repos.len()]).unwrap();
        pulls.push(repo.open_pull(NewPull::new(format!("branch-{n}"), changes(n))).await.unwrap());
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
    let setup = Setup::new().repos(repos).set("MAX_CONCURRENT_PREVIEWS", 3).set("MAX_CONCURRENT_BUILDS", 1);
    let rig = setup.start().await;
    let pulls = open_many_of(&rig, 10, |n| slow_build(&format!("version {n}"), if n < 3 { 6 } else { 0 }).0).await;
    let queues = async || rig.ask_api("/health").await["queues"].clone();
    rig.until("one builds, two wait for that, and seven for places", async || {
        let queues = queues().await;
        (queues["waiting"] == 7 && queues["builds"].as_u64()? > 0).then_some(())
    })
    .await;
    rig.until("three run and seven wait", async || {
        (with_status(&rig, "running") == 3 && with_status(&rig, "queued") == 7).then_some(())
    })
    .await;
    assert_eq!((&queues().await["waiting"], &queues().await["builds"]), (&json!(7), &json!(0)));
    let waits = |pull: &&Pull| rig.record(&rig.id(pull))["status"] == "queued";
    let (mut waiting, mut running): (Vec<&Pull>, Vec<&Pull>) = pulls.iter().partition(waits);
    rig.until("each that waits says for what, and behind how many", async || {
        let told = waiting.iter().flat_map(|pull| pull.bot_comments()).map(|comment| comment.body);
        let told: Vec<String> = told.filter(|body| body.contains("All places for previews")).collect();
        let ahead = |words: String| told.iter().any(|body| body.contains(&words));
        let lines = (2..7).map(|others| format!("{others} others are ahead of it."));
        let mut lines = lines.chain(["It is the next one.".to_owned(), "One other is ahead of it.".to_owned()]);
        lines.all(ahead).then_some(())
    })
    .await;
    for pull in &waiting {
        assert_eq!(rig.containers(&rig.id(pull)).await, Vec::<String>::new(), "what waits holds nothing");
        assert_eq!(rig.record(&rig.id(pull))["appPort"], Value::Null);
    }
    while !waiting.is_empty() {
        running.iter().for_each(|pull| pull.close().unwrap());
        let next = 3.min(waiting.len());
        rig.until("those in front have taken the places", async || {
            let gone = running.iter().all(|pull| rig.record(&rig.id(pull)).is_null());
            (gone && with_status(&rig, "running") == next).then_some(())
        })
        .await;
        (waiting, running) = waiting.into_iter().partition(waits);
        assert_eq!(running.len(), next);
        for pull in &running {
            rig.until_comment(pull, "Preview is ready").await;
        }
    }
    rig.finish().await;
}

/// Two names that give the same slug.
struct Twins {
    names: [String; 2],
    slug: String,
}

impl Twins {
    fn new() -> Self {
        let owner = unique_owner();
        Self { names: [format!("{owner}-x/app"), format!("{owner}/x-app")], slug: format!("{owner}-x-app") }
    }
}

/// Opens a pull request in this repository.
async fn open_in(rig: &Rig, name: &str, version: &str) -> Pull {
    let repo = rig.github.repo(name).unwrap();
    repo.open_pull(NewPull::new("feature", Mimic::new(version).files())).await.unwrap()
}

/// The slug that a pull request's repository has, once it has one.
async fn slug(rig: &Rig, pull: &Pull) -> String {
    let id = pull.repo().id().to_string();
    rig.until("the repository has a slug", async || rig.ledger()["projects"][&id]["slug"].as_str().map(str::to_owned))
        .await
}

#[tokio::test(flavor = "multi_thread")]
async fn two_repositories_with_the_same_slug_at_once_stay_apart() {
    let twins = Twins::new();
    let rig = Setup::new().repos(twins.names.clone()).start().await;
    let (first, second) = tokio::join!(open_in(&rig, &twins.names[0], "one"), open_in(&rig, &twins.names[1], "two"));
    let slugs = [slug(&rig, &first).await, slug(&rig, &second).await];
    assert!(slugs.contains(&twins.slug) && slugs[0] != slugs[1], "{slugs:?}");
    for (slug, version) in slugs.iter().zip(["one", "two"]) {
        rig.until_answers(&format!("{}/{slug}/pr-1/", rig.base), version).await;
    }
    rig.finish().await;
}

/// A second repository that would have the slug of one that is there already; neither ever has the other's.
async fn the_one_that_came_first_keeps_its_slug(twins: Twins) {
    let [first, second] = &twins.names;
    let mut rig = Setup::new().repos(twins.names.clone()).prepare().await;
    rig.set("ALLOWED_REPOS", first);
    rig.start_service().await;
    let old = open_in(&rig, first, "of the first").await;
    let old_url = format!("{}/{}/pr-1/", rig.base, twins.slug);
    rig.until_answers(&old_url, "of the first").await;

    rig.stop_service().await;
    rig.set("ALLOWED_REPOS", format!("{second},{first}"));
    rig.start_service().await;
    let new = open_in(&rig, second, "of the second").await;
    let new_slug = slug(&rig, &new).await;
    let new_url = format!("{}/{new_slug}/pr-1/", rig.base);
    let digits = new_slug.strip_prefix(&format!("{}-", twins.slug)).unwrap();
    assert!(digits.len() == 6 && digits.bytes().all(|byte| byte.is_ascii_hexdigit()), "{new_slug}");
    rig.until_answers(&new_url, "of the second").await;
    rig.until_comment(&new, &new_url).await;

    // The first one goes, with all that it had; the other stays where it is, now and after another start.
    old.close().unwrap();
    rig.until_gone(&old_url).await;
    rig.stop_service().await;
    rig.set("ALLOWED_REPOS", second);
    rig.start_service().await;
    new.push(Mimic::new("of the second, pushed").files()).await.unwrap();
    rig.until_answers(&new_url, "of the second, pushed").await;
    rig.until_gone(&old_url).await;
    rig.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_slug_belongs_to_one_repository_for_good_whichever_comes_first() {
    let (twins, mut others) = (Twins::new(), Twins::new());
    others.names.reverse();
    tokio::join!(the_one_that_came_first_keeps_its_slug(twins), the_one_that_came_first_keeps_its_slug(others));
}

#[tokio::test(flavor = "multi_thread")]
async fn ports_are_the_next_free_ones_of_their_range_and_rest_when_given_back() {
    let rig = Setup::new().start().await;
    let start = |variable: &str| rig.setting(variable).parse::<u16>().unwrap();
    let (apps, databases) = (start("APP_PORT_START"), start("DB_PORT_START"));
    let _taken = std::net::TcpListener::bind(("127.0.0.1", apps)).unwrap();
    let ports = |pull: &Pull| {
        let record = rig.record(&rig.id(pull));
        (record["appPort"].clone(), record["dbPort"].clone())
    };
    let first = rig.open(Mimic::new("first").config(WITH_POSTGRES)).await;
    rig.until_answers(&rig.url(&first), "first").await;
    assert_eq!(ports(&first), (json!(apps + 1), json!(databases)));
    let (second, _) = rig.up("second").await;
    assert_eq!(ports(&second), (json!(apps + 2), Value::Null));
    second.close().unwrap();
    rig.until_record(&rig.id(&second), "gone", |record| record.is_none()).await;
    let (third, _) = rig.up("third").await;
    assert_eq!(ports(&third), (json!(apps + 3), Value::Null), "the port of the second rests");
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
