//! A pull request from its opening to its end: deliveries, references and API agree all along.

use crate::common::{SOON, api, get, git, github, hooked};
use preview_simulator::{Change, NewPull, Permission, Source, sha1_signature, sha256_signature};
use serde_json::{Value, json};
use tempfile::TempDir;

#[tokio::test]
async fn a_pull_request_lives_and_everybody_is_told() {
    let github = github().await;
    let (repo, hook) = hooked(&github).await;
    let pull = repo.open_pull(NewPull::new("feature", [Change::write("VERSION", "2")])).await.unwrap();
    assert_eq!(hook.take_names(&github).await, ["push", "pull_request.opened"]);
    let first = pull.head();
    let second = pull.push([Change::write("VERSION", "3")]).await.unwrap();
    let told = hook.take(&github).await;
    assert_eq!(told[1].name(), "pull_request.synchronize");
    assert_eq!(told[1].json()["before"], first.as_str());
    assert_eq!(told[1].json()["after"], second.as_str());
    assert_eq!(told[1].json()["pull_request"]["head"]["sha"], second.as_str());
    pull.force_push([Change::write("VERSION", "4")]).await.unwrap();
    assert_eq!(hook.take(&github).await[0].json()["forced"], true);
    pull.label("preview");
    pull.unlabel("preview");
    pull.convert_to_draft();
    pull.ready_for_review();
    repo.push("release", [Change::write("RELEASE", "")], "alice").await.unwrap();
    pull.retarget("release").unwrap();
    pull.comment("bob", "hello");
    pull.close().unwrap();
    assert!(pull.close().is_err(), "it is closed already");
    pull.push([Change::write("VERSION", "5")]).await.unwrap();
    pull.reopen().await.unwrap();
    assert_eq!(pull.head(), repo.tip("feature").unwrap());
    let merge = pull.merge().await.unwrap();
    assert_eq!(repo.tip("release").unwrap(), merge);
    let expected = [
        "pull_request.labeled",
        "pull_request.unlabeled",
        "pull_request.converted_to_draft",
        "pull_request.ready_for_review",
        "push",
        "pull_request.edited",
        "issue_comment.created",
        "pull_request.closed",
        "push",
        "pull_request.reopened",
        "push",
        "pull_request.closed",
    ];
    let told = hook.take(&github).await;
    assert_eq!(told.iter().map(|got| got.name()).collect::<Vec<_>>(), expected);
    assert_eq!(told[5].json()["changes"]["base"]["ref"]["from"], "main");
    assert_eq!(told[7].json()["pull_request"]["merged"], false);
    assert_eq!(told[11].json()["pull_request"]["merged"], true);
}

#[tokio::test]
async fn deliveries_are_signed_over_their_bytes() {
    let github = github().await;
    let (repo, hook) = hooked(&github).await;
    repo.open_pull(NewPull::new("ünï", [Change::write("a", "b")]).title("„Größe“ \u{1F680}")).await.unwrap();
    for got in hook.take(&github).await {
        let secret = github.webhook_secret().as_bytes();
        assert_eq!(got.header("x-hub-signature-256"), sha256_signature(secret, &got.body));
        assert_eq!(got.header("x-hub-signature"), sha1_signature(secret, &got.body));
        assert_eq!(got.header("x-github-delivery").len(), 36);
        assert_eq!(got.header("content-type"), "application/json");
        assert!(got.header("user-agent").starts_with("GitHub-Hookshot/"));
    }
    // GitHub's own example: https://docs.github.com/en/webhooks/using-webhooks/validating-webhook-deliveries#testing-the-webhook-payload-validation
    let signature = "sha256=757107ea0eb2509fc211221cce984b8a37570b6d7586c22c46f4379c8b043e17";
    assert_eq!(sha256_signature(b"It's a Secret to Everybody", b"Hello, World!"), signature);
}

#[tokio::test]
async fn heads_stay_fetchable_by_number_and_by_commit() {
    let github = github().await;
    let (repo, _hook) = hooked(&github).await;
    let pull = repo.open_pull(NewPull::new("feature", [Change::write("VERSION", "2")])).await.unwrap();
    let old = pull.head();
    let new = pull.force_push([Change::write("VERSION", "3")]).await.unwrap();
    pull.close().unwrap();
    let dir = TempDir::new().unwrap();
    git(dir.path(), None, &["init", "-q", "."]).await.unwrap();
    let refusal = git(dir.path(), None, &["fetch", "-q", &repo.clone_url(), "main"]).await.unwrap_err();
    assert!(refusal.stderr().contains("could not read Username"), "{}", refusal.stderr());
    let wrong = git(dir.path(), Some("no"), &["fetch", "-q", &repo.clone_url(), "main"]).await.unwrap_err();
    assert!(wrong.stderr().contains("Username") || wrong.stderr().contains("Authentication"), "{}", wrong.stderr());
    let token = Some(github.token());
    for wanted in ["refs/pull/1/head", old.as_str()] {
        git(dir.path(), token, &["fetch", "-q", "--depth=1", "--filter=blob:none", &repo.clone_url(), wanted])
            .await
            .unwrap();
        let head = git(dir.path(), None, &["rev-parse", "FETCH_HEAD"]).await.unwrap().text();
        assert_eq!(head.trim(), if wanted == old.as_str() { old.as_str() } else { new.as_str() });
    }
    repo.set_private(false);
    git(dir.path(), None, &["clone", "-q", &repo.clone_url(), "clone"]).await.unwrap();
    assert_eq!(std::fs::read_to_string(dir.path().join("clone/VERSION")).unwrap(), "1");
}

#[tokio::test]
async fn hostile_names_and_trees_can_be_planted() {
    let github = github().await;
    let (repo, hook) = hooked(&github).await;
    let names = ["x${HOME}$(id);touch${IFS}y", "x${HOME}$(id);touch y", "--upload-pack=touch", "a..b"];
    for (number, name) in (1..).zip(names) {
        let changes = [
            Change::write(".git/config", "[core]\n\tfsmonitor = touch /tmp/x\n"),
            Change::write(".GIT/hooks/post-checkout", "x"),
            Change::write("git~1", "x"),
            Change::symlink("preview-config.yml", "/etc/passwd"),
            Change::executable("run.sh", "#!/bin/sh\n"),
            Change::submodule("sub", repo.tip("main").unwrap()),
            Change::write("deep/a/b", "x"),
            Change::write("deep.txt", "x"),
            Change::delete("VERSION"),
        ];
        let pull = repo.open_pull(NewPull::new(name, changes)).await.unwrap();
        assert_eq!(hook.take(&github).await[1].json()["pull_request"]["head"]["ref"], name);
        let dir = TempDir::new().unwrap();
        git(dir.path(), None, &["init", "-q", "--bare", "."]).await.unwrap();
        let wanted = format!("refs/pull/{number}/head");
        git(dir.path(), Some(github.token()), &["fetch", "-q", &repo.clone_url(), &wanted]).await.unwrap();
        let tree = git(dir.path(), None, &["ls-tree", "-r", pull.head().as_str()]).await.unwrap().text();
        let listed: Vec<String> =
            tree.lines().map(|l| format!("{} {}", &l[..6], l.split('\t').nth(1).unwrap())).collect();
        let expected = [
            "100644 .GIT/hooks/post-checkout",
            "100644 .git/config",
            "100644 deep.txt",
            "100644 deep/a/b",
            "100644 git~1",
            "120000 preview-config.yml",
            "100755 run.sh",
            "160000 sub",
        ];
        assert_eq!(listed, expected);
    }
}

#[tokio::test]
async fn forks_have_repositories_of_their_own() {
    let github = github().await;
    let (repo, hook) = hooked(&github).await;
    let new = NewPull::new("main", [Change::write("VERSION", "evil")]).author("stranger").from_fork();
    let pull = repo.open_pull(new).await.unwrap();
    let told = hook.take(&github).await;
    assert_eq!(told.len(), 1, "a push to the fork is nobody's business here");
    let told = told[0].json();
    assert_eq!(told["pull_request"]["head"]["repo"]["full_name"], "stranger/app");
    assert_eq!(told["pull_request"]["head"]["repo"]["fork"], true);
    assert_ne!(told["pull_request"]["head"]["repo"]["id"], told["pull_request"]["base"]["repo"]["id"]);
    let permission = get(&github, "/repos/my-org/app/collaborators/stranger/permission").await.json();
    assert_eq!(permission["permission"], "none");
    pull.push([Change::write("VERSION", "worse")]).await.unwrap();
    assert_eq!(hook.take_names(&github).await, ["pull_request.synchronize"]);
    let dir = TempDir::new().unwrap();
    for (url, wanted) in
        [(repo.clone_url(), "refs/pull/1/head"), (github.repo("stranger/app").unwrap().clone_url(), "main")]
    {
        git(dir.path(), None, &["init", "-q", "--bare", "."]).await.unwrap();
        git(dir.path(), Some(github.token()), &["fetch", "-q", &url, wanted]).await.unwrap();
        let head = git(dir.path(), None, &["rev-parse", "FETCH_HEAD"]).await.unwrap().text();
        assert_eq!(head.trim(), pull.head().as_str());
    }
    repo.set_permission("stranger", Permission::Maintain);
    let permission = get(&github, "/repos/my-org/app/collaborators/Stranger/permission").await.json();
    assert_eq!((&permission["permission"], &permission["role_name"]), (&json!("write"), &json!("maintain")));
}

#[tokio::test]
async fn a_local_repository_is_taken_over_with_its_history() {
    let github = github().await;
    let dir = TempDir::new().unwrap();
    git(dir.path(), None, &["init", "-q", "-b", "trunk", "."]).await.unwrap();
    for version in ["1", "2"] {
        std::fs::write(dir.path().join("VERSION"), version).unwrap();
        git(dir.path(), None, &["add", "."]).await.unwrap();
        git(dir.path(), None, &["commit", "-q", "-m", version]).await.unwrap();
    }
    let local = git(dir.path(), None, &["rev-parse", "HEAD"]).await.unwrap().text();
    let source = |revision: &str| Source::Git { path: dir.path().to_owned(), revision: revision.to_owned() };
    let repo = github.create_repo("me/mine", source("trunk")).await.unwrap();
    assert_eq!(repo.tip("main").unwrap().as_str(), local.trim());
    std::fs::write(dir.path().join("VERSION"), "3").unwrap();
    git(dir.path(), None, &["commit", "-q", "-a", "-m", "3"]).await.unwrap();
    let pull = repo.open_pull(NewPull::new("next", source("HEAD"))).await.unwrap();
    let local = git(dir.path(), None, &["rev-parse", "HEAD"]).await.unwrap().text();
    assert_eq!(pull.head().as_str(), local.trim());
    let folder = github.create_repo("me/copy", dir.path()).await.unwrap();
    assert_ne!(folder.tip("main").unwrap(), pull.head());
    assert!(github.create_repo("Me/Copy", Vec::<Change>::new()).await.is_err(), "names ignore letter case");
}

#[tokio::test]
async fn waiting_ends_with_what_was_seen_instead() {
    let github = github().await;
    let (repo, _hook) = hooked(&github).await;
    let pull = repo.open_pull(NewPull::new("feature", [Change::write("a", "b")])).await.unwrap();
    let path = "/repos/my-org/app/issues/1/comments";
    let commented = github.wait_for("a comment", SOON, |state| {
        let comments = state.bot_comments(repo.id(), pull.number());
        comments.first().map(|comment| comment.body.clone())
    });
    let (found, _) = tokio::join!(commented, api(&github, "POST", path, json!({"body": "done"})));
    assert_eq!(found.unwrap(), "done");
    let never = github.wait_for("the moon", std::time::Duration::from_millis(50), |_| None::<()>).await.unwrap_err();
    assert!(never.to_string().contains("in vain for the moon"), "{never}");
    assert!(never.to_string().contains("POST /repos/my-org/app/issues/1/comments -> Some(201)"), "{never}");
}

#[tokio::test]
async fn a_renamed_repository_is_found_under_both_names() {
    let github = github().await;
    let (repo, hook) = hooked(&github).await;
    repo.open_pull(NewPull::new("feature", [Change::write("a", "b")])).await.unwrap();
    let old_url = repo.clone_url();
    repo.rename("my-org/new-name").unwrap();
    let told = hook.take(&github).await.pop().unwrap().json();
    assert_eq!(told["changes"]["repository"]["name"]["from"], "app");
    assert_eq!(told["repository"]["full_name"], "my-org/new-name");
    let moved = get(&github, "/repos/My-Org/App/pulls?state=all").await;
    assert_eq!(moved.status, 301);
    let there = moved.header("location").to_owned();
    assert_eq!(there, format!("{}/repositories/{}/pulls?state=all", github.api_url(), repo.id()));
    assert_eq!(get(&github, &there).await.json().as_array().map(Vec::len), Some(1));
    let moved = api(&github, "POST", "/repos/my-org/app/issues/1/comments", json!({"body": "x"})).await;
    assert_eq!(moved.status, 307);
    let dir = TempDir::new().unwrap();
    git(dir.path(), Some(github.token()), &["clone", "-q", &old_url, "clone"]).await.unwrap();
    github.create_repo("my-org/app", Vec::<Change>::new()).await.unwrap();
    assert_ne!(get(&github, "/repos/my-org/app").await.json()["id"], json!(repo.id()));
    assert_eq!(api(&github, "GET", "/repos/my-org/nothing", Value::Null).await.status, 404);
}

#[tokio::test]
async fn ordinary_repositories_are_sound_and_clone_whole() {
    let github = github().await;
    let files = ["deep/a", "deep.txt", "deep-er", "deep0", "z/y/x"].map(|path| Change::write(path, path));
    let repo = github.create_repo("my-org/app", files).await.unwrap();
    for number in 0..25 {
        // Enough heads for Git to compress what it asks for.
        repo.open_pull(NewPull::new(format!("b{number}"), [Change::delete("deep")])).await.unwrap();
    }
    let dir = TempDir::new().unwrap();
    let clone = ["-c", "transfer.fsckObjects=true", "clone", "-q", "--mirror", &repo.clone_url(), "mirror"];
    git(dir.path(), Some(github.token()), &clone).await.unwrap();
    let mirror = dir.path().join("mirror");
    git(&mirror, None, &["fsck", "--strict"]).await.unwrap();
    let heads = git(&mirror, None, &["for-each-ref", "refs/pull"]).await.unwrap().text();
    assert_eq!(heads.lines().count(), 25);
    let listed = git(&mirror, None, &["ls-tree", "-r", "--name-only", "b0"]).await.unwrap().text();
    assert_eq!(listed, "deep-er\ndeep.txt\ndeep0\nz/y/x\n");
}
