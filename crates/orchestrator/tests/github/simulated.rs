//! The contract with GitHub, against the model of it: what one call does, the next one sees.

use preview_simulator::{Change, Fault as Trouble, GitHub as Model, Matching, NewPull, Options, Pull, Repo};

use super::*;

pub(super) async fn model() -> (Model, Repo) {
    let model = Model::start(Options::default()).await.unwrap();
    let repo = model.create_repo("my-org/app", [Change::write("VERSION", "1")]).await.unwrap();
    (model, repo)
}

pub(super) fn client(model: &Model) -> GitHub {
    let credentials = Credentials::Token(model.token().into());
    GitHub::new(GitHubSettings { api_url: model.api_url(), credentials, pace: AT_ONCE }).unwrap()
}

pub(super) async fn open(repo: &Repo, branch: &str) -> Pull {
    repo.open_pull(NewPull::new(branch, [Change::write("VERSION", branch)])).await.unwrap()
}

pub(super) fn key(pull: &Pull) -> PullKey {
    PullKey { repo: pull.repo().id(), number: pull.number() }
}

fn body(pull: &Pull, text: &str) -> String {
    format!("{text}\n\n{}\n", marker(key(pull)))
}

async fn listed(github: &GitHub, repo: &Repo) -> Vec<u64> {
    github.open_pulls(repo.id()).await.unwrap().iter().map(|pull| pull.number.get()).collect()
}

#[tokio::test]
async fn a_rename_changes_nothing_but_the_name() {
    let (model, repo) = model().await;
    let pull = open(&repo, "feature").await;
    let github = client(&model);
    let old = "my-org/app".parse().unwrap();
    let before = github.repository(&old).await.unwrap().unwrap();
    repo.rename("my-org/renamed").unwrap();
    let after = github.repository(&old).await.unwrap().unwrap();
    assert_eq!((after.id, after.name.to_string()), (before.id, "my-org/renamed".to_owned()));
    let PullAnswer::Known(known) = github.pull(key(&pull)).await.unwrap() else { panic!("not found") };
    assert_eq!((known.head, known.base_name.to_string()), (pull.head(), "my-org/renamed".to_owned()));
    let written = github.comment(key(&pull), None, &body(&pull, "hello")).await.unwrap();
    assert_eq!(written, Written::Comment(pull.bot_comments()[0].id));
}

#[tokio::test]
async fn pull_requests_are_told_as_they_are() {
    let (model, repo) = model().await;
    let github = client(&model);
    let changes = [Change::write("VERSION", "2")];
    let new = NewPull::new("from-fork", changes).author("robot[bot]").from_fork().draft().label("preview");
    let pull = repo.open_pull(new).await.unwrap();
    let PullAnswer::Known(known) = github.pull(key(&pull)).await.unwrap() else { panic!("not found") };
    assert!(known.open && known.draft && known.by_bot && known.from_fork());
    assert_eq!((known.labels, known.branch.as_str()), (vec!["preview".to_owned()], "from-fork"));
    pull.close().unwrap();
    let PullAnswer::Known(known) = github.pull(key(&pull)).await.unwrap() else { panic!("not found") };
    assert!(!known.open);
    let missing = PullKey { number: PrNumber::new(99).unwrap(), ..key(&pull) };
    assert_eq!(github.pull(missing).await.unwrap(), PullAnswer::NotFound);
    repo.set_visible(false);
    github.pull(missing).await.unwrap_err();
    github.open_pulls(repo.id()).await.unwrap_err();
    assert_eq!(github.repository(&"my-org/app".parse().unwrap()).await.unwrap(), None);
}

#[tokio::test]
async fn two_hundred_and_fifty_pull_requests_are_listed_and_changes_are_noticed() {
    let (model, repo) = model().await;
    let github = client(&model);
    assert_eq!(listed(&github, &repo).await, Vec::<u64>::new());
    let first = open(&repo, "feature").await;
    for number in 2..=250 {
        let same_tip = NewPull::new(format!("branch-{number}"), Vec::new());
        repo.open_pull(same_tip).await.unwrap();
    }
    assert_eq!(listed(&github, &repo).await, (1..=250).collect::<Vec<_>>());
    first.push([Change::write("VERSION", "pushed")]).await.unwrap();
    assert_eq!(listed(&github, &repo).await.len(), 250);
    first.close().unwrap();
    assert_eq!(listed(&github, &repo).await, (2..=250).collect::<Vec<_>>());
}

#[tokio::test]
async fn a_list_that_goes_wrong_is_a_fault_or_is_told_again() {
    let (model, repo) = model().await;
    let pull = open(&repo, "feature").await;
    let github = client(&model);
    assert_eq!(listed(&github, &repo).await, vec![1]);
    for trouble in
        [Trouble::Status(500), Trouble::Status(403), Trouble::NotFound, Trouble::CutBody, Trouble::Disconnect]
    {
        pull.push([Change::write("VERSION", format!("{trouble:?}"))]).await.unwrap();
        model.fail_next(Matching::get("/pulls"), 1, trouble.clone());
        assert!(github.open_pulls(repo.id()).await.is_err(), "{trouble:?}");
        assert_eq!(listed(&github, &repo).await, vec![1], "after {trouble:?}");
    }
    // An empty or a cut list looks right; what matters is that the next answer is the truth again.
    for trouble in [Trouble::EmptyList, Trouble::CutList(0)] {
        model.fail_next(Matching::get("/pulls"), 1, trouble.clone());
        assert_eq!(listed(&github, &repo).await, Vec::<u64>::new(), "{trouble:?}");
        assert_eq!(listed(&github, &repo).await, vec![1], "after {trouble:?}");
    }
}

#[tokio::test]
async fn both_limits_are_obeyed_as_the_model_tells_them() {
    let hour = Duration::from_secs(1800);
    let minute = Duration::from_secs(60);
    for (trouble, wait) in
        [(Trouble::RateLimited { reset: hour }, hour), (Trouble::Secondary { retry_after: minute }, minute)]
    {
        let (model, repo) = model().await;
        let pull = open(&repo, "feature").await;
        let github = client(&model);
        model.fail_next(Matching::api(), 1, trouble.clone());
        for _ in 0..3 {
            let told = github.pull(key(&pull)).await.unwrap_err().retry_after.unwrap();
            assert!(told.abs_diff(wait) < Duration::from_secs(5), "{trouble:?}: {told:?}");
        }
        let asked = model.look(|state| state.requests().count());
        assert_eq!(asked, 1, "{trouble:?}");
    }
}

#[tokio::test]
async fn a_wrong_token_is_said() {
    let (model, repo) = model().await;
    let credentials = Credentials::Token("ghp_of_somebody_else".into());
    let settings = GitHubSettings { api_url: model.api_url(), credentials, pace: AT_ONCE };
    let github = GitHub::new(settings).unwrap();
    github.open_pulls(repo.id()).await.unwrap_err();
    assert!(matches!(github.health(), ForgeHealth::Unauthorised { .. }));
}

#[tokio::test]
async fn there_is_one_comment_whatever_happens_to_it() {
    let (model, repo) = model().await;
    let pull = open(&repo, "feature").await;
    pull.comment("mallory", &body(&pull, "I am the preview"));
    for number in 0..120 {
        pull.comment("alice", &format!("word {number}"));
    }
    let github = client(&model);
    let Written::Comment(id) = github.comment(key(&pull), None, &body(&pull, "one")).await.unwrap() else { panic!() };
    // The same text again costs no request; a new client that knows nothing finds the comment by its marker.
    let asked = model.look(|state| state.requests().count());
    github.comment(key(&pull), Some(id), &body(&pull, "one")).await.unwrap();
    assert_eq!(model.look(|state| state.requests().count()), asked);
    let fresh = self::client(&model);
    assert_eq!(fresh.comment(key(&pull), None, &body(&pull, "two")).await.unwrap(), Written::Comment(id));
    pull.delete_comment(id).unwrap();
    let Written::Comment(again) = github.comment(key(&pull), Some(id), &body(&pull, "three")).await.unwrap() else {
        panic!()
    };
    assert_ne!(again, id);
    let ours = pull.bot_comments();
    assert_eq!((ours.len(), ours[0].id, ours[0].body.trim_end()), (1, again, body(&pull, "three").trim_end()));
}

#[tokio::test]
async fn a_comment_whose_answer_got_lost_is_not_made_twice() {
    let (model, repo) = model().await;
    let pull = open(&repo, "feature").await;
    let github = client(&model);
    model.fail_next(Matching::writes(), 1, Trouble::CutBody);
    github.comment(key(&pull), None, &body(&pull, "one")).await.unwrap_err();
    github.comment(key(&pull), None, &body(&pull, "one")).await.unwrap();
    assert_eq!(pull.bot_comments().len(), 1);
}

#[tokio::test]
async fn the_status_stands_beside_the_commit() {
    let (model, repo) = model().await;
    let pull = open(&repo, "feature").await;
    let status = CommitStatus { commit: pull.head(), ..super::statuses::status(1) };
    client(&model).status(repo.id(), &status).await.unwrap();
    let shown = pull.status("preview").unwrap();
    assert_eq!(shown.description.as_deref(), Some("Ready in 12.4 s"));
    assert_eq!(shown.target_url.as_deref(), Some("http://h/"));
    // A commit that is nobody's is refused, and that is no fault.
    client(&model).status(repo.id(), &super::statuses::status(2)).await.unwrap();
}
