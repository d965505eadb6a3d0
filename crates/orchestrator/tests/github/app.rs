//! Signed in as a GitHub App, against the model of GitHub.

use preview_orchestrator::github::{AppCredentials, AppKey};
use preview_orchestrator::needs::Tokens;
use preview_orchestrator::secrets::Known;
use preview_simulator::{APP_KEY, App, Change, GitHub as Model, Options, Repo};
use secrecy::ExposeSecret;

use super::simulated::{key, open};
use super::*;

async fn model(app: App) -> (Model, Repo) {
    let model = Model::start(Options { app: Some(app), ..Options::default() }).await.unwrap();
    let repo = model.create_repo("my-org/app", [Change::write("VERSION", "1")]).await.unwrap();
    repo.set_private(true);
    (model, repo)
}

/// The client, as the App of this number.
fn signed_in(model: &Model, id: u64, known: &Known) -> GitHub {
    let (key, repository) = (AppKey::from_pem(APP_KEY).unwrap(), "my-org/app".parse().unwrap());
    let credentials = Credentials::App(AppCredentials { id, key, repository, known: known.clone() });
    GitHub::new(GitHubSettings { api_url: model.api_url(), credentials, pace: AT_ONCE }).unwrap()
}

fn asked_for_tokens(model: &Model) -> usize {
    let ends = "/access_tokens";
    model.look(|state| state.requests().filter(|request| request.path.ends_with(ends)).count())
}

#[tokio::test]
async fn it_reads_writes_and_finds_its_own_comment_with_one_token() {
    let (model, repo) = model(App::default()).await;
    let pull = open(&repo, "feature").await;
    let known = Known::default();
    let github = signed_in(&model, App::default().id, &known);
    assert_eq!(github.repository(&"my-org/app".parse().unwrap()).await.unwrap().unwrap().id, repo.id());
    let body = format!("hello\n\n{}\n", marker(key(&pull)));
    let written = github.comment(key(&pull), None, &body).await.unwrap();
    let comments = pull.bot_comments();
    assert_eq!((&written, comments[0].author.login.as_str()), (&Written::Comment(comments[0].id), "previews[bot]"));

    // Another life knows nothing of it, and finds it as its own.
    let reborn = signed_in(&model, App::default().id, &Known::default());
    let found = reborn.comment(key(&pull), None, &body.replace("hello", "again")).await.unwrap();
    assert_eq!((found, pull.bot_comments().len()), (written, 1));
    assert_eq!(asked_for_tokens(&model), 2, "one for each life");
    let token = github.token().await.unwrap();
    let shown = known.mask_of_all().over(token.expose_secret());
    assert!(!shown.contains(token.expose_secret()), "{shown}");
    assert_eq!(github.health(), ForgeHealth::Ok);
}

#[tokio::test]
async fn a_token_is_renewed_before_it_ends() {
    // Ten minutes are too few for what may be begun with it.
    let (model, repo) = model(App { token_lifetime: Duration::from_secs(300), ..App::default() }).await;
    let github = signed_in(&model, App::default().id, &Known::default());
    for _ in 0..3 {
        github.open_pulls(repo.id()).await.unwrap();
    }
    assert_eq!(asked_for_tokens(&model), 3);
}

#[tokio::test]
async fn a_token_that_counts_no_more_is_replaced_once_github_may_be_asked_again() {
    let (model, repo) = model(App { token_lifetime: Duration::ZERO, ..App::default() }).await;
    let github = signed_in(&model, App::default().id, &Known::default());
    let fault = github.open_pulls(repo.id()).await.unwrap_err();
    assert!(fault.retry_after.is_some(), "{fault:?}");
    assert!(matches!(github.health(), ForgeHealth::Unauthorised { .. }));
    let before = model.look(|state| state.requests().count());
    github.open_pulls(repo.id()).await.unwrap_err();
    assert_eq!(model.look(|state| state.requests().count()), before, "nobody hammers on");
}

#[tokio::test]
async fn what_is_wrong_with_it_is_said() {
    let (model, repo) = model(App { installed: false, ..App::default() }).await;
    let github = signed_in(&model, App::default().id, &Known::default());
    let fault = github.open_pulls(repo.id()).await.unwrap_err();
    assert_eq!(fault.cause, "the GitHub App 4711 is not installed on my-org/app");
    assert!(fault.advice.unwrap().contains("Install App"));

    let github = signed_in(&model, 4712, &Known::default());
    let fault = github.open_pulls(repo.id()).await.unwrap_err();
    assert_eq!(fault.cause, "GitHub does not accept the server's token");
    let ForgeHealth::Unauthorised { advice } = github.health() else { panic!("{:?}", github.health()) };
    assert!(advice.contains("GITHUB_APP_PRIVATE_KEY_FILE"), "{advice}");
}
