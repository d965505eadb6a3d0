//! Over HTTP, from a server like GitHub: logging in, answers that go wrong, pull requests as people open them.

use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use preview_core::deployment::Blame;
use preview_orchestrator::git::GitSource;
use preview_orchestrator::needs::{Source, Want};
use preview_simulator::{Change, Fault, GitHub, Matching, NewPull, Options, Pull};

use crate::world::{World, names, text, token};

async fn open_pull(github: &GitHub) -> Pull {
    let repo = github.create_repo("org/app", [Change::write("a", "1")]).await.unwrap();
    repo.set_private(true);
    repo.open_pull(NewPull::new("x${HOME}$(id);touch-y", [Change::write("a", "2")])).await.unwrap()
}

pub(crate) fn source(world: &World, github: &GitHub) -> GitSource {
    GitSource::new(world.mirrors(), &github.server_url(), token(github.token()))
}

pub(crate) fn want(pull: &Pull) -> Want {
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
    let fresh = GitSource::new(world.dir.path().join("other"), &github.server_url(), token(github.token()));
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
    let source = GitSource::new(world.mirrors(), &github.server_url(), token("canary-wrong-token"));
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

/// Command line and environment of every process on this machine that works in these mirrors. What ends meanwhile reads as
/// nothing.
fn working_in(mirrors: &Path) -> Vec<(String, String)> {
    let processes = std::fs::read_dir("/proc").unwrap().flatten().map(|entry| entry.path());
    let there = |process: &PathBuf| std::fs::read_link(process.join("cwd")).is_ok_and(|cwd| cwd.starts_with(mirrors));
    let read = |path: PathBuf| String::from_utf8_lossy(&std::fs::read(path).unwrap_or_default()).replace('\0', " ");
    processes.filter(there).map(|process| (read(process.join("cmdline")), read(process.join("environ")))).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn the_token_stands_in_the_environment_of_one_process_and_nowhere_else() {
    let (world, github) = (World::new().await, GitHub::start(Options::default()).await.unwrap());
    let pull = open_pull(&github).await;
    let login = STANDARD.encode(format!("x-access-token:{}", github.token()));
    let guard = github.fail_while(Matching::git(), Fault::Hang(Duration::from_secs(1)));
    let (source, want, into) = (source(&world, &github), want(&pull), world.src());
    let fetching = source.checkout(&want, into, &world.hold);
    let watching = async {
        let mut seen = Vec::new();
        let deadline = Instant::now() + Duration::from_secs(30);
        while !seen.iter().any(|(_, environment): &(String, String)| environment.contains(&login)) {
            assert!(Instant::now() < deadline, "no git had the login in its environment: {seen:?}");
            seen.extend(working_in(&world.mirrors()));
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        drop(guard);
        seen
    };
    let (done, seen) = tokio::join!(fetching, watching);
    done.unwrap();
    for (line, _) in &seen {
        assert!(!line.contains(github.token()) && !line.contains(&login), "{line}");
    }
    for file in each_file_beneath(&world.mirrors()) {
        let content = String::from_utf8_lossy(&std::fs::read(&file).unwrap()).into_owned();
        assert!(!content.contains(github.token()) && !content.contains(&login), "{}", file.display());
    }
}

fn each_file_beneath(folder: &Path) -> Vec<PathBuf> {
    let entries = std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
    entries.flat_map(|path| if path.is_dir() { each_file_beneath(&path) } else { vec![path] }).collect()
}
