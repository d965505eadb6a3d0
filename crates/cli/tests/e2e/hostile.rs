//! Pull requests that mean harm: each is refused, or harmless.

use std::path::Path;
use std::time::Duration;

use futures_util::future::join_all;
use preview_exec::Program;
use preview_simulator::state::{Comment, Outcome, StatusState};
use preview_simulator::{Change, Matching, Mimic, NewPull, Permission, Pull, sha256_signature};
use serde_json::Value;
use tokio::net::TcpListener;

use crate::isolation::{WITH_POSTGRES, environment};
use crate::rig::{Rig, Setup, TOKEN, unique_owner};

/// A mimic with other files beside or instead of its own.
pub(crate) fn mimic_with(version: &str, changes: impl IntoIterator<Item = Change>) -> Vec<Change> {
    Mimic::new(version).files().into_iter().chain(changes).collect()
}

/// The build's log, through the API.
async fn build_log(rig: &Rig, pull: &Pull) -> String {
    log(rig, pull, "build").await
}

async fn log(rig: &Rig, pull: &Pull, stream: &str) -> String {
    let url = format!("{}/api/previews/{}/logs?stream={stream}", rig.api, rig.id(pull));
    rig.http.get(url).bearer_auth(TOKEN).send().await.unwrap().text().await.unwrap()
}

/// All that anybody is told of this pull request: comment, status, record, logs.
pub(crate) async fn all_that_is_told(rig: &Rig, pull: &Pull) -> String {
    let comments: Vec<_> = pull.bot_comments().into_iter().map(|comment| comment.body).collect();
    let record = rig.ask_api(&format!("/api/previews/{}", rig.id(pull))).await;
    let logs = [build_log(rig, pull).await, log(rig, pull, "app").await];
    format!("{comments:?}\n{:?}\n{record}\n{logs:?}", pull.status("preview"))
}

/// Every file beneath a folder.
pub(crate) fn files_beneath(folder: &Path) -> Vec<std::path::PathBuf> {
    // A file may go while we look.
    let entries = std::fs::read_dir(folder).into_iter().flatten().flatten();
    let found = entries.flat_map(|entry| match entry.file_type() {
        Ok(kind) if kind.is_dir() => files_beneath(&entry.path()),
        _ => vec![entry.path()],
    });
    found.collect()
}

// ------------------------------------------------------------------------------------------------------ names and files

#[tokio::test(flavor = "multi_thread")]
async fn names_are_only_names() {
    let rig = Setup::new().start().await;
    let (branch, title) = ("x${HOME}$(id);touch y", "</details> @everyone $(touch y) `touch y`\u{202e}");
    let new = NewPull::new(branch, Mimic::new("version one").files()).title(title).label("$(touch y)").body(title);
    let pull = rig.repo().open_pull(new).await.unwrap();
    rig.until_answers(&rig.url(&pull), "version one").await;
    assert_eq!(environment(&rig, &pull).await["PREVIEW_BRANCH"], branch);
    let comment = rig.until_comment(&pull, "Preview is ready").await;
    assert!(comment.body.contains(&format!("`{branch}`")), "{}", comment.body);
    let told = all_that_is_told(&rig, &pull).await;
    assert!(!told.contains("everyone") && !told.contains("uid="), "{told}");

    pull.push(Mimic::new("version two").files()).await.unwrap();
    rig.until_answers(&rig.url(&pull), "version two").await;
    let made: Vec<_> = files_beneath(rig.dir.path()).into_iter().filter(|path| path.ends_with("y")).collect();
    assert_eq!(made, [""; 0].map(std::path::PathBuf::from));
    rig.finish().await;
}

/// Files that Compose, Docker and git would take orders from, if they were asked to look. To git the root is a repository, whose
/// missing commit comes from a program that makes `marker`.
fn orders(marker: &Path) -> Vec<Change> {
    let compose = "services: {app-a: {image: scratch, privileged: true, volumes: [\"/:/host\"], network_mode: host}}\n";
    let env = "COMPOSE_PROJECT_NAME=evil\nCOMPOSE_FILE=/etc/passwd\nCOMPOSE_PROFILES=x\nDOCKER_HOST=tcp://127.0.0.1:1\n\
               PORT=1\nPREVIEW_URL=http://evil.example\nMIMIC_BODY=obeyed\n";
    let names = ["docker-compose.yml", "docker-compose.override.yml", "compose.yaml", "compose.override.yaml"];
    let mut changes: Vec<_> = names.into_iter().map(|name| Change::write(name, compose)).collect();
    changes.push(Change::write(".env", env));
    changes.push(Change::write(".gitattributes", "* filter=evil text working-tree-encoding=UTF-16\n"));
    changes.push(Change::write(".gitmodules", "[submodule \"s\"]\n\tpath = s\n\turl = ext::sh -c touch% y\n"));
    changes.push(Change::write("docker-bake.hcl", "target \"default\" { entitlements = [\"network.host\"] }\n"));
    let config = format!(
        "[core]\n\trepositoryformatversion = 1\n\tbare = false\n\tworktree = .\n[extensions]\n\tpartialClone = origin\n\
         [remote \"origin\"]\n\turl = ./x\n\tpromisor = true\n\tuploadpack = touch {}\n",
        marker.display()
    );
    changes.push(Change::write("config", config));
    changes.push(Change::write("HEAD", "ref: refs/heads/main\n"));
    changes.push(Change::write("refs/heads/main", "1234567890123456789012345678901234567890\n"));
    changes.push(Change::write("objects/info/packs", "\n"));
    changes
}

#[tokio::test(flavor = "multi_thread")]
async fn a_checkout_gives_no_orders() {
    let rig = Setup::new().start().await;
    let pull = rig.open_with(mimic_with("version one", orders(&rig.dir.path().join("y")))).await;
    let url = rig.url(&pull);
    rig.until_answers(&url, "version one").await;
    let told = environment(&rig, &pull).await;
    assert_eq!((told["PORT"].as_str(), &told["PREVIEW_URL"]), ("3000", &url));
    assert!(!told.keys().any(|name| name.starts_with("COMPOSE") || name.starts_with("DOCKER")), "{told:?}");
    let app = rig.container(&rig.id(&pull), "app-a").await;
    assert_eq!(app["HostConfig"]["Privileged"], false);
    assert_eq!(app["Config"]["Labels"]["com.docker.compose.project"], *rig.id(&pull));
    assert!(!files_beneath(rig.dir.path()).iter().any(|path| path.ends_with("y")));
    rig.finish().await;
}

/// What a pull request does, and what its comment says of it.
struct Refused {
    changes: Vec<Change>,
    says: &'static str,
}

/// Ways to have the service, the engine or git read a file of the host, or run one of the checkout.
fn ways_out(secret: &str) -> Vec<Refused> {
    let own = "framework: docker\ndockerfile: docker/passwd\napp_port: 3000\n";
    let hook = Change::executable(".git/hooks/post-checkout", "#!/bin/sh\ntouch y\n");
    let fsmonitor = Change::write(".git/config", "[core]\n\tfsmonitor = touch y\n\tworktree = /etc\n");
    let copy = |what: &str| format!("FROM scratch\nCOPY mimic /mimic\nCOPY {what} /VERSION\nENTRYPOINT [\"/mimic\"]\n");
    let above = format!("../../../../../../../..{secret}");
    let refused = |changes: Vec<Change>, says| Refused { changes: mimic_with("never up", changes), says };
    vec![
        refused(vec![hook, fsmonitor], "git refuses an object in it"),
        refused(vec![Change::write("../y", "x")], "git refuses an object in it"),
        refused(vec![Change::symlink("preview-config.yml", "/etc/passwd")], "`preview-config.yml` is a symbolic link"),
        refused(vec![Change::symlink("preview-config.yml", secret)], "`preview-config.yml` is a symbolic link"),
        refused(vec![Change::symlink("Dockerfile", secret)], "`Dockerfile` is a symbolic link"),
        refused(
            vec![Change::symlink("docker", "/etc"), Change::write("preview-config.yml", own)],
            "`docker/passwd` is a symbolic link or lies behind one",
        ),
        refused(
            vec![Change::write("preview-config.yml", "framework: docker\ndockerfile: ../../../../etc/passwd\n")],
            "`dockerfile` must be",
        ),
        refused(vec![Change::symlink("VERSION", secret)], "`COPY VERSION /VERSION` failed"),
        refused(vec![Change::write("Dockerfile", copy(&above))], "while building the image"),
        refused(vec![Change::write("Dockerfile", copy(secret))], "while building the image"),
    ]
}

#[tokio::test(flavor = "multi_thread")]
async fn no_file_of_the_host_is_read_and_none_of_theirs_is_run() {
    let rig = Setup::new().set("MAX_CONCURRENT_PREVIEWS", 20).start().await;
    let secret = rig.dir.path().join("secret");
    std::fs::write(&secret, "canary-of-the-host").unwrap();
    let ways = ways_out(secret.to_str().unwrap());
    join_all(ways.into_iter().map(async |way| {
        let pull = rig.open_with(way.changes).await;
        let comment = rig.until_comment(&pull, way.says).await;
        assert!(comment.body.contains("Preview failed while"), "{}", comment.body);
        rig.until_status(&pull, StatusState::Failure).await;
        let told = all_that_is_told(&rig, &pull).await;
        assert!(!told.contains("canary-of-the-host") && !told.contains("root:x:0"), "{told}");
    }))
    .await;
    assert!(!rig.log().contains("canary-of-the-host"));
    assert!(!files_beneath(rig.dir.path()).iter().any(|path| path.ends_with("y")));
    rig.finish().await;
}

// ----------------------------------------------------------------------------------------------- builds that look around

#[tokio::test(flavor = "multi_thread")]
async fn a_build_that_asks_the_api_learns_nothing() {
    let rig = Setup::new().start().await;
    let (other, _) = rig.up("something to learn of").await;
    // Its name passes for one of the official library, whose images nobody looks at.
    let image = format!("{}-says:1", unique_owner());
    std::fs::write(rig.dir.path().join("file"), "not empty").unwrap();
    Program::new("tar").args(["-cf", "layer.tar", "file"]).dir(rig.dir.path()).run().await.unwrap();
    let layer = rig.dir.path().join("layer.tar").display().to_string();
    rig.docker(&["import", "--change", "ENV X=127.0.0.1", &layer, &image]).await;
    let adding = |path: &str| {
        let add = format!("ADD {}{path} /VERSION", rig.api.replace("127.0.0.1", "$X"));
        // Copied once more, because what is added from an address only root may read.
        let copy = "COPY mimic /mimic\nCOPY --from=added --chown=10001 /VERSION /VERSION";
        let dockerfile = format!("FROM {image} AS added\n{add}\nFROM scratch\n{copy}\nENTRYPOINT [\"/mimic\"]\n");
        mimic_with("unused", [Change::write("Dockerfile", dockerfile)])
    };
    let plain = Change::write("Dockerfile", format!("FROM scratch\nADD {}/health /VERSION\n", rig.api));
    let plain = rig.open_with(mimic_with("unused", [plain])).await;
    rig.until_comment(&plain, "would be fetched on the server's own network").await;
    plain.close().unwrap();
    // What can't be seen in the file is fetched; so the API is asked as from anywhere else.
    let healthy = rig.open_with(adding("/health")).await;
    rig.until_answers(&rig.url(&healthy), "status").await;
    let page = rig.http.get(rig.url(&healthy)).send().await.unwrap().text().await.unwrap();
    assert_eq!(page, r#"{"status":"ok"}"#);
    for path in ["/api/previews", "/api/deliveries", "/api/audit", "/api/previews/x/logs?stream=build"] {
        let pull = rig.open_with(adding(path)).await;
        let comment = rig.until_comment(&pull, "Preview failed while building the image").await;
        assert!(comment.body.contains("status 401"), "{}", comment.body);
        let told = all_that_is_told(&rig, &pull).await;
        assert!(!told.contains(&rig.id(&other)), "{told}");
        pull.close().unwrap();
    }
    rig.docker(&["rmi", &image]).await;
    rig.finish().await;
}

/// An image that has put aside what the engine would do on the host's network, for whoever builds upon it. The file itself says nothing.
#[tokio::test(flavor = "multi_thread")]
async fn what_an_image_has_put_aside_is_refused_before_the_engine_obeys_it() {
    let rig = Setup::new().start().await;
    let inside = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = inside.local_addr().unwrap().port();
    let (image, layer) = (format!("{}/aside:1", unique_owner()), rig.dir.path().join("layer.tar"));
    std::fs::write(rig.dir.path().join("file"), "not empty").unwrap();
    let tar = Program::new("tar").args(["-cf", "layer.tar", "file"]).dir(rig.dir.path());
    tar.run().await.unwrap();
    let change = format!("ONBUILD ADD http://127.0.0.1:{port}/latest/meta-data /VERSION");
    rig.docker(&["import", "--change", &change, &layer.display().to_string(), &image]).await;

    let own = format!("FROM scratch AS other\nFROM {image}\nCOPY mimic /mimic\nENTRYPOINT [\"/mimic\"]\n");
    let pull = rig.open_with(mimic_with("unused", [Change::write("Dockerfile", own)])).await;
    let comment = rig.until_comment(&pull, "`ONBUILD` of the image").await;
    assert!(comment.body.contains("line 2") && comment.body.contains("Build upon another image"), "{}", comment.body);
    let asked = tokio::time::timeout(Duration::from_millis(10), inside.accept()).await;
    assert!(asked.is_err(), "the engine asked on the host's network");
    rig.docker(&["rmi", &image]).await;
    rig.finish().await;
}

/// An app that answers what its build found in a cache mount, and leaves its own word there.
fn with_cache(id: &str, word: &str) -> Vec<Change> {
    let step = format!("cp /cache/word /found || echo nothing > /found; echo {word} > /cache/word");
    let dockerfile = format!(
        "FROM debian:bookworm-slim AS build\nRUN --mount=type=cache,id={id},target=/cache {step}\nFROM scratch\n\
         COPY mimic /mimic\nCOPY --from=build /found /VERSION\nENTRYPOINT [\"/mimic\"]\n"
    );
    mimic_with("unused", [Change::write("Dockerfile", dockerfile)])
}

#[tokio::test(flavor = "multi_thread")]
async fn a_cache_mount_is_one_repositorys_and_no_strangers() {
    let rig = Setup::new().repos([(); 2].map(|()| format!("{}/app", unique_owner()))).start().await;
    let repo = |name: &String| rig.github.repo(name).unwrap();
    let (ours, theirs) = (repo(&rig.repos[0]), repo(&rig.repos[1]));
    ours.set_permission("carol", Permission::Write);
    // One that no earlier run has left.
    let id = unique_owner();
    let finds = async |pull: Pull, what: &str| rig.until_answers(&rig.url(&pull), what).await;

    let new = NewPull::new("patch", with_cache(&id, "poison")).author("mallory").from_fork();
    let stranger = ours.open_pull(new).await.unwrap();
    let line = format!("/preview deploy {}", stranger.head());
    rig.until_comment(&stranger, &line).await;
    stranger.comment("carol", &line);
    finds(stranger, "nothing").await;
    finds(ours.open_pull(NewPull::new("first", with_cache(&id, "members"))).await.unwrap(), "nothing").await;
    finds(theirs.open_pull(NewPull::new("other", with_cache(&id, "others"))).await.unwrap(), "nothing").await;
    // Their caches do last, and do not meet.
    finds(ours.open_pull(NewPull::new("second", with_cache(&id, "again"))).await.unwrap(), "members").await;
    finds(theirs.open_pull(NewPull::new("another", with_cache(&id, "again"))).await.unwrap(), "others").await;
    rig.finish().await;
}

// ------------------------------------------------------------------------------------------------------ output that lies

/// An app that says its database's password before it does what `mimic` says.
fn chatterbox(mimic: Mimic) -> Vec<Change> {
    let files = mimic.config(WITH_POSTGRES).files();
    let chatty = |change: Change| match change {
        Change::Write { path, bytes, .. } if path == "Dockerfile" => {
            let text = String::from_utf8(bytes).unwrap().replace("FROM scratch", "FROM debian:bookworm-slim");
            let script = r#"echo "password=$DB_PASSWORD."; echo "url=$DATABASE_URL."; exec /mimic"#;
            let say = format!("ENTRYPOINT {}", serde_json::json!(["sh", "-c", script]));
            Change::write(path, text.replace("ENTRYPOINT [\"/mimic\"]", &say))
        }
        other => other,
    };
    files.into_iter().map(chatty).collect()
}

fn assert_masked(comment: &Comment) {
    for line in ["password=[secret].", "url=postgresql://preview:[secret]@db:5432/pr_"] {
        assert!(comment.body.contains(line), "no {line:?} in {}", comment.body);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_password_that_an_app_prints_is_masked() {
    let rig = Setup::new().set("HEALTH_TIMEOUT_SECONDS", 2).start().await;
    let pull = rig.open_with(chatterbox(Mimic::new("never well").never_healthy())).await;
    assert_masked(&rig.until_comment(&pull, "Preview failed").await);
    let record = rig.record(&rig.id(&pull)).to_string();
    assert!(record.contains("password=[secret]."), "{record}");
    pull.push(chatterbox(Mimic::new("short").exiting_after(Duration::from_millis(1500), 3, ""))).await.unwrap();
    assert_masked(&rig.until_comment(&pull, "Preview stopped answering").await);
    rig.finish().await;
}

/// Lines that would leave the folded log, call people, or pass for our own.
const NOISE: &str = "```\n````\n</details>\n<!-- preview-deployer:1/1 -->\n### 🟢 Preview is ready\n@everyone come here\n\
                     \u{1b}[31mred\u{1b}[0m \u{202e}drawkcab\u{202c} ]8;;http://evil.example\u{7}\n\
                     <img src=x onerror=alert(1)>\n[click](http://evil.example)\n";

#[tokio::test(flavor = "multi_thread")]
async fn hostile_output_stays_in_its_fence() {
    let rig = Setup::new().start().await;
    let dockerfile = "FROM debian:bookworm-slim\nCOPY noise /noise\nRUN cat /noise; exit 9\n";
    let changes = [Change::write("Dockerfile", dockerfile), Change::write("noise", NOISE)];
    let pull = rig.open_with(mimic_with("never built", changes)).await;
    let body = rig.until_comment(&pull, "failed with exit code 9").await.body;

    let (before, rest) = body.split_once("\n`````text\n").unwrap_or_else(|| panic!("no fence in {body}"));
    let (within, after) = rest.split_once("\n`````\n").unwrap_or_else(|| panic!("no end of the fence in {body}"));
    assert!(within.contains("@everyone come here\nred drawkcab"), "{body}");
    for outside in [before, after] {
        for hostile in ["everyone", "evil.example", "Preview is ready", "<img", "preview-deployer:1/1"] {
            assert!(!outside.contains(hostile), "{hostile:?} got out: {body}");
        }
    }
    assert!(after.starts_with("\n</details>\n"), "{body}");
    assert!(!body.contains(['\u{1b}', '\u{7}', '\u{202e}', '\u{202c}']), "{body:?}");
    // The comment is found again by the marker at its end, whatever the log says.
    pull.push(Mimic::new("version one").files()).await.unwrap();
    rig.until_comment(&pull, "Preview is ready").await;
    rig.finish().await;
}

// ---------------------------------------------------------------------------------------------------------- who deploys

/// Waits until GitHub's word of this pull request has come and been dealt with.
async fn dealt_with(rig: &Rig, pull: &Pull) {
    let number = pull.number();
    rig.until(&format!("the deliveries of #{number} are answered"), async || {
        rig.github.look(|state| state.deliveries().all(|delivery| delivery.outcome != Outcome::Waiting)).then_some(())
    })
    .await;
    rig.until(&format!("nothing is pending of #{number}"), async || {
        rig.ledger()["pending"].as_array().is_some_and(Vec::is_empty).then_some(())
    })
    .await;
    rig.until_listed(3).await;
}

/// Neither fetched nor built, no container, no comment, no status.
async fn assert_untouched(rig: &Rig, pull: &Pull) {
    assert_eq!(rig.github.look(|state| state.count(&Matching::git())), 0, "nothing was fetched");
    assert_eq!(rig.engine_leftovers().await, Vec::<String>::new());
    assert_eq!(rig.record(&rig.id(pull)), Value::Null);
    assert!(pull.bot_comments().is_empty(), "{:?}", pull.bot_comments());
    assert!(pull.status("preview").is_none());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_strangers_commit_runs_once_it_is_approved_and_never_another() {
    let rig = Setup::new().start().await;
    rig.repo().set_permission("carol", Permission::Write);
    let new = NewPull::new("patch", Mimic::new("from a fork").files()).author("mallory").from_fork();
    let pull = rig.repo().open_pull(new).await.unwrap();
    let asks = rig.until_comment(&pull, &format!("\n/preview deploy {}\n", pull.head())).await;
    let line = format!("/preview deploy {}", pull.head());
    let said = pull.comment("mallory", &line);
    claim_to_be_owner(&rig, &pull, &line);
    rig.until("the stranger is refused", async || (pull.bot_reactions(said) == ["-1"]).then_some(())).await;
    assert_eq!(rig.github.look(|state| state.count(&Matching::git())), 0, "nothing was fetched");
    assert_eq!(rig.engine_leftovers().await, Vec::<String>::new());
    assert_eq!(rig.record(&rig.id(&pull)), Value::Null);

    let said = pull.comment("carol", &line);
    rig.until_answers(&rig.url(&pull), "from a fork").await;
    assert_eq!(rig.until_comment(&pull, "by `carol`").await.id, asks.id);
    rig.until("it is marked", async || (pull.bot_reactions(said) == ["+1"]).then_some(())).await;
    assert_eq!(rig.record(&rig.id(&pull))["trust"], "stranger");

    let pushed = pull.push(Mimic::new("something else").files()).await.unwrap();
    rig.until_gone(&rig.url(&pull)).await;
    rig.until_comment(&pull, &format!("\n/preview deploy {pushed}\n")).await;
    assert_eq!(rig.engine_leftovers().await, Vec::<String>::new());
    rig.finish().await;
}

/// A delivery, signed as GitHub's, that says of a stranger's comment what GitHub would not.
fn claim_to_be_owner(rig: &Rig, pull: &Pull, line: &str) {
    let body = serde_json::json!({
        "action": "created",
        "issue": {"number": pull.number().get(), "pull_request": {}, "author_association": "OWNER"},
        "comment": {"id": 1, "body": line, "author_association": "OWNER", "user": {"login": "carol", "id": 1, "type": "User"}},
        "repository": {"id": rig.repo().id().0, "full_name": rig.repo().name().to_string()},
        "sender": {"login": "carol", "id": 1},
    });
    let body = body.to_string();
    let signature = sha256_signature(rig.github.webhook_secret().as_bytes(), body.as_bytes());
    let headers = [("x-hub-signature-256", signature.as_str()), ("content-type", "application/json")];
    rig.repo().deliver_raw("issue_comment", body, &headers);
}

#[tokio::test(flavor = "multi_thread")]
async fn forks_and_bots_get_nothing() {
    let rig = Setup::new().set("FORK_POLICY", "deny").start().await;
    let files = || Mimic::new("from a fork").files();
    let fork = NewPull::new("patch", files()).author("mallory").from_fork();
    let bot = NewPull::new("bump", files()).author("renovate[bot]");
    for new in [fork, bot] {
        let pull = rig.repo().open_pull(new).await.unwrap();
        dealt_with(&rig, &pull).await;
        assert_untouched(&rig, &pull).await;
        pull.push([Change::write("VERSION", "again")]).await.unwrap();
        // Anybody may ask.
        pull.comment("mallory", &format!("/preview deploy {}", pull.head()));
        dealt_with(&rig, &pull).await;
        assert_untouched(&rig, &pull).await;
    }
    rig.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn drafts_and_what_lacks_a_label_wait() {
    let rig = Setup::new().set("DRAFTS", "skip").set("REQUIRE_LABEL", "preview").start().await;
    let open = async |new: NewPull| rig.repo().open_pull(new).await.unwrap();
    let plain = open(NewPull::new("plain", Mimic::new("plain").files())).await;
    dealt_with(&rig, &plain).await;
    assert_untouched(&rig, &plain).await;

    let draft = open(NewPull::new("draft", Mimic::new("draft").files()).draft().label("Preview")).await;
    let comment = rig.until_comment(&draft, "No preview while this pull request is a draft").await;
    assert_eq!(rig.github.look(|state| state.count(&Matching::git())), 0, "nothing was fetched");
    assert_eq!(rig.engine_leftovers().await, Vec::<String>::new());

    plain.label("preview");
    draft.ready_for_review();
    rig.until_answers(&rig.url(&plain), "plain").await;
    rig.until_answers(&rig.url(&draft), "draft").await;
    assert_eq!(rig.until_comment(&draft, "Preview is ready").await.id, comment.id);

    plain.unlabel("preview");
    draft.convert_to_draft();
    rig.until_gone(&rig.url(&plain)).await;
    rig.until_gone(&rig.url(&draft)).await;
    rig.until_comment(&draft, "a draft").await;
    rig.finish().await;
}
