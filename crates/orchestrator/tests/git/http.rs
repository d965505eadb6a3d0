//! Over HTTP, from a server like GitHub: logging in, answers that go wrong, pull requests as people open them.

use std::time::Duration;

use preview_core::deployment::Blame;
use preview_orchestrator::git::GitSource;
use preview_orchestrator::needs::{Source, Want};
use preview_simulator::{Change, Fault, GitHub, Matching, NewPull, Options, Pull};

use crate::world::{World, names, text};

async fn open_pull(github: &GitHub) -> Pull {
    let repo = github.create_repo("org/app", [Change::write("a", "1")]).await.unwrap();
    repo.set_private(true);
    repo.open_pull(NewPull::new("x${HOME}$(id);touch-y", [Change::write("a", "2")])).await.unwrap()
}

fn source(world: &World, github: &GitHub) -> GitSource {
    GitSource::new(world.mirrors(), &github.server_url(), &github.token().to_owned().into())
}

fn want(pull: &Pull) -> Want {
    let repo = pull.repo();
    Want { repo: repo.id(), name: repo.name(), number: pull.number(), commit: pull.head() }
}

#[tokio::test]
async fn a_pull_request_of_a_private_repository_and_its_pushes() {
    let (world, github) = (World::new().await, GitHub::start(Options::default()).await.unwrap());
    let pull = open_pull(&github).await;
    let source = source(&world, &github);
    let first = want(&pull);
    let checkout = source.checkout(&first, world.src(), &world.hold).await.unwrap();
    assert_eq!((names(&checkout.dir), text(&checkout.dir, "a")), (vec!["a".to_owned()], "2".to_owned()));
    pull.push([Change::write("b", "3")]).await.unwrap();
    let second = source.checkout(&want(&pull), world.src(), &world.hold).await.unwrap();
    assert_eq!(names(&second.dir), ["a", "b"]);
    pull.force_push([Change::write("c", "4")]).await.unwrap();
    source.checkout(&want(&pull), world.src(), &world.hold).await.unwrap();
    // By a mirror that never saw it, the commit that nothing leads to any more.
    let fresh = GitSource::new(world.dir.path().join("other"), &github.server_url(), &github.token().to_owned().into());
    let old = fresh.checkout(&first, world.src(), &world.hold).await.unwrap();
    assert_eq!(names(&old.dir), ["a"]);
}

#[tokio::test]
async fn a_pull_request_from_a_fork_is_found_in_the_base_repository() {
    let (world, github) = (World::new().await, GitHub::start(Options::default()).await.unwrap());
    let repo = github.create_repo("org/app", [Change::write("a", "1")]).await.unwrap();
    let new = NewPull::new("theirs", [Change::write("a", "2")]).author("stranger").from_fork();
    let pull = repo.open_pull(new).await.unwrap();
    let checkout = source(&world, &github).checkout(&want(&pull), world.src(), &world.hold).await.unwrap();
    assert_eq!(text(&checkout.dir, "a"), "2");
}

#[tokio::test]
async fn a_token_that_is_not_taken_is_said_and_never_shown() {
    let (world, github) = (World::new().await, GitHub::start(Options::default()).await.unwrap());
    let pull = open_pull(&github).await;
    let source = GitSource::new(world.mirrors(), &github.server_url(), &"canary-wrong-token".to_owned().into());
    let Err(fault) = source.checkout(&want(&pull), world.src(), &world.hold).await else { panic!() };
    assert_eq!((fault.blame, fault.cause.as_str()), (Blame::Passing, "the git server did not let us read org/app"));
    assert!(fault.advice.as_ref().unwrap().contains("GITHUB_TOKEN"));
    assert!(!format!("{fault:?}").contains("canary"));
}

#[tokio::test]
async fn a_repository_that_the_token_does_not_see() {
    let (world, github) = (World::new().await, GitHub::start(Options::default()).await.unwrap());
    let pull = open_pull(&github).await;
    let mut want = want(&pull);
    want.name = "org/other".parse().unwrap();
    let Err(fault) = source(&world, &github).checkout(&want, world.src(), &world.hold).await else { panic!() };
    assert_eq!(
        (fault.blame, fault.cause.as_str()),
        (Blame::Passing, "the git server shows us no repository org/other")
    );
}

#[tokio::test]
async fn answers_that_go_wrong_are_worth_another_try_which_succeeds() {
    let (world, github) = (World::new().await, GitHub::start(Options::default()).await.unwrap());
    let pull = open_pull(&github).await;
    let source = source(&world, &github);
    let cases = [
        (Fault::Status(500), "answered with an error of its own"),
        (Fault::Status(503), "answered with an error of its own"),
        (Fault::Status(429), "asked too often"),
        (Fault::Status(301), "has moved"),
        (Fault::Disconnect, "could not be reached"),
        (Fault::CutBody, "could not be reached"),
    ];
    for (fault, words) in cases {
        pull.push([Change::write("a", format!("{fault:?}"))]).await.unwrap();
        let guard = github.fail_while(Matching::git(), fault.clone());
        let Err(failed) = source.checkout(&want(&pull), world.src(), &world.hold).await else { panic!("{fault:?}") };
        assert!(failed.blame == Blame::Passing && failed.cause.contains(words), "{fault:?}: {failed:?}");
        drop(guard);
        source.checkout(&want(&pull), world.src(), &world.hold).await.unwrap();
    }
}

#[tokio::test]
async fn an_answer_that_never_comes_is_given_up_and_the_next_try_works() {
    let (world, github) = (World::new().await, GitHub::start(Options::default()).await.unwrap());
    let pull = open_pull(&github).await;
    let limits = preview_orchestrator::git::CheckoutLimits { fetch: Duration::from_millis(500), ..Default::default() };
    let hasty = source(&world, &github).with_limits(limits);
    let guard = github.fail_while(Matching::git(), Fault::Hang(Duration::from_secs(30)));
    let Err(fault) = hasty.checkout(&want(&pull), world.src(), &world.hold).await else { panic!() };
    assert!(fault.blame == Blame::Passing && fault.cause.contains("was stopped"), "{fault}");
    drop(guard);
    source(&world, &github).checkout(&want(&pull), world.src(), &world.hold).await.unwrap();
}
