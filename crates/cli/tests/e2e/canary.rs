//! One secret of each kind, good and bad days, and a search for them wherever anybody could look.

use std::collections::BTreeSet;
use std::os::unix::fs::PermissionsExt;
use std::time::Duration;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use preview_exec::Program;
use preview_simulator::{Change, Fault, Matching, Mimic, Pull};
use tokio::sync::oneshot;

use crate::hostile::{all_that_is_told, files_beneath, mimic_with};
use crate::isolation::{WITH_POSTGRES, environment};
use crate::rig::{Rig, RouterKind, Setup, TOKEN};

/// What the operator gave the repository: a word, and a key of several lines with signs that JSON and shells spell otherwise.
const OPERATORS: [(&str, &str); 2] =
    [("PAYMENT_KEY", "canary-of-the-operator"), ("SIGNING_KEY", "canary-first\"line\\\ncanary-second$line\n")];
/// The variables that carry them into the app.
const WANTED: &str =
    "env:\n  - PAYMENT=https://pay.example/?key=${secret:PAYMENT_KEY}\n  - SIGNING=${secret:SIGNING_KEY}\n";

/// The service's own secrets, in each form in which they travel. Nobody and nothing may ever say these.
fn own(rig: &Rig) -> Vec<String> {
    let token = rig.github.token();
    let login = STANDARD.encode(format!("x-access-token:{token}"));
    vec![token.to_owned(), login, rig.github.webhook_secret().to_owned(), TOKEN.to_owned()]
}

/// What a preview's app has, and nobody else may be told.
fn of_the_app(rig: &Rig, pull: &Pull) -> Vec<String> {
    let folder = rig.dir.path().join("deployments").join(rig.id(pull));
    let password = std::fs::read_to_string(folder.join("password")).unwrap();
    let lines = ["canary-of-the-operator", "canary-first", "canary-second"].map(str::to_owned);
    [vec![password.trim().to_owned()], lines.to_vec()].concat()
}

async fn give_secrets(rig: &Rig) {
    let repo = rig.repos[0].clone();
    rig.until("the service knows its repository", async || {
        rig.ledger()["projects"].as_object().is_some_and(|projects| !projects.is_empty()).then_some(())
    })
    .await;
    for (name, value) in OPERATORS {
        // One line break at the end is not part of a value.
        let set = rig.preview(&["secret", "set", &repo, name]).stdin(format!("{value}\n")).run().await.unwrap();
        assert!(!(set.text() + &set.stderr).contains("canary"), "{}{}", set.text(), set.stderr);
    }
    let list = rig.preview(&["secret", "list"]).run().await.unwrap();
    assert!(list.text().contains("PAYMENT_KEY") && !list.text().contains("canary"), "{}", list.text());
}

/// An app that says its whole environment before it does what `mimic` says.
fn confessing(mimic: Mimic) -> Vec<Change> {
    let files = mimic.config(format!("{WITH_POSTGRES}{WANTED}")).files();
    let confess = |change: Change| match change {
        Change::Write { path, bytes, .. } if path == "Dockerfile" => {
            let text = String::from_utf8(bytes).unwrap().replace("FROM scratch", "FROM debian:bookworm-slim");
            let entry = serde_json::json!(["sh", "-c", "env; env >&2; cat /proc/self/environ; echo; exec /mimic"]);
            Change::write(path, text.replace("ENTRYPOINT [\"/mimic\"]", &format!("ENTRYPOINT {entry}")))
        }
        other => other,
    };
    files.into_iter().map(confess).collect()
}

/// Reads all processes' command lines until it is told to stop; gives those with a secret in them.
async fn watch_command_lines(secrets: Vec<String>, mut stop: oneshot::Receiver<()>) -> BTreeSet<String> {
    let mut found = BTreeSet::new();
    let mut ticks = tokio::time::interval(Duration::from_millis(10));
    loop {
        tokio::select! {
            _ = &mut stop => return found,
            _ = ticks.tick() => {}
        }
        let processes = std::fs::read_dir("/proc").unwrap().flatten();
        let lines = processes.filter_map(|process| std::fs::read(process.path().join("cmdline")).ok());
        let lines = lines.map(|line| String::from_utf8_lossy(&line).replace('\0', " "));
        found.extend(lines.filter(|line| secrets.iter().any(|secret| line.contains(secret))));
    }
}

/// An update, builds and apps that fail and say what they know, a git server, an API and an nginx that fail and refuse, a forged
/// delivery, a kill.
async fn good_and_bad_days(rig: &mut Rig) -> Vec<Pull> {
    let good = rig.open_with(confessing(Mimic::new("version one"))).await;
    let url = rig.url(&good);
    rig.until_answers(&url, "version one").await;
    let told = environment(rig, &good).await;
    assert_eq!(told["PAYMENT"], "https://pay.example/?key=canary-of-the-operator");
    rig.github.fail_next(Matching::git(), 1, Fault::Status(500));
    rig.github.fail_next(Matching::get("/pulls/"), 1, Fault::Status(502));
    rig.github.fail_next(Matching::writes(), 1, Fault::Status(500));
    let foreign = rig.nginx.as_ref().unwrap().foreign_file();
    std::fs::write(&foreign, "no_such_directive on;\n").unwrap();
    good.push(confessing(Mimic::new("version two"))).await.unwrap();
    rig.until_comment(&good, "no\\_such\\_directive").await;
    std::fs::remove_file(&foreign).unwrap();
    rig.until_answers(&url, "version two").await;
    rig.kill_service().await;
    rig.start_service().await;

    let dockerfile = "FROM debian:bookworm-slim\nRUN env; cat /proc/self/environ; false\n";
    let files = mimic_with("never", [Change::write("Dockerfile", dockerfile)]);
    let config = Change::write("preview-config.yml", format!("framework: docker\n{WANTED}"));
    let broken = rig.open_with(files.into_iter().chain([config]).collect()).await;
    rig.until_comment(&broken, "Preview failed while building").await;
    let sick = rig.open_with(confessing(Mimic::new("never well").exiting_after(Duration::ZERO, 3, ""))).await;
    let comment = rig.until_comment(&sick, "Preview failed").await;
    assert!(comment.body.contains("PAYMENT=https://pay.example/?key=[secret]"), "{}", comment.body);
    rig.github.fail_next(Matching::git(), 1, Fault::Status(401));
    let wrong = "env:\n  - A=${secret:NO_SUCH}\n";
    let lacking = rig.open(Mimic::new("lacking").config(format!("{WITH_POSTGRES}{wrong}"))).await;
    rig.until_comment(&lacking, "the secret `NO_SUCH`, which this repository does not have").await;
    let forged = [("X-GitHub-Event", "pull_request"), ("X-Hub-Signature-256", "sha256=00")];
    rig.repo().deliver_raw("pull_request", "{}", &forged);
    vec![good, broken, sick, lacking]
}

/// Places where anybody could look, with what stands there: what GitHub and the API tell, commands, labels, images, files.
async fn everywhere(rig: &Rig, pulls: &[Pull]) -> Vec<(String, String)> {
    let mut told = Vec::new();
    for pull in pulls {
        told.push((format!("#{}", pull.number()), all_that_is_told(rig, pull).await));
        let logs = rig.preview(&["logs", &rig.id(pull)]).run().await;
        let logs = logs.map_or_else(|error| error.to_string(), |logs| logs.text() + &logs.stderr);
        told.push((format!("preview logs of #{}", pull.number()), logs));
        for container in rig.containers(&rig.id(pull)).await {
            let about = rig.inspect("container", &container).await;
            told.push((format!("labels of {container}"), about["Config"]["Labels"].to_string()));
            told.push((format!("command of {container}"), format!("{} {}", about["Path"], about["Args"])));
        }
    }
    for path in ["/api/previews", "/api/deliveries", "/api/audit", "/health"] {
        told.push((path.to_owned(), rig.ask_api(path).await.to_string()));
    }
    let images = rig.docker(&["image", "ls", "--quiet", "--filter", "reference=preview-deployer/*"]).await;
    for image in images.split_whitespace().collect::<BTreeSet<_>>() {
        let history = rig.docker(&["history", "--no-trunc", image]).await;
        told.push((format!("image {image}"), rig.inspect("image", image).await.to_string() + &history));
    }
    told
}

/// Files of ours: name, whether somebody else may read it, and what stands in it.
fn files(rig: &Rig) -> Vec<(String, bool, String)> {
    let read = |file: std::path::PathBuf| {
        let about = file.symlink_metadata().ok().filter(|about| about.is_file())?;
        let text = String::from_utf8_lossy(&std::fs::read(&file).ok()?).into_owned();
        Some((file.display().to_string(), about.permissions().mode() & 0o077 != 0, text))
    };
    files_beneath(rig.dir.path()).into_iter().filter_map(read).collect()
}

fn leaks<'a>(told: &'a [(String, String)], secrets: &[String]) -> Vec<&'a str> {
    let says = |text: &str| secrets.iter().any(|secret| text.contains(secret));
    told.iter().filter(|(_, text)| says(text)).map(|(place, _)| &**place).collect()
}

/// Else the search below would be worth nothing.
#[tokio::test(flavor = "multi_thread")]
async fn a_secret_in_a_command_line_is_seen_by_the_watch() {
    let (stop, stopped) = oneshot::channel();
    let word = format!("planted-{}", std::process::id());
    let watch = tokio::spawn(watch_command_lines(vec![word.clone()], stopped));
    Program::new("sh").args(["-c", "sleep 0.3", &word]).run().await.unwrap();
    stop.send(()).unwrap();
    let found = watch.await.unwrap();
    assert!(found.iter().any(|line| line.contains(&word)), "{found:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn no_secret_is_ever_shown_or_stored() {
    let mut rig = Setup::new().router(RouterKind::Nginx).set("LOG_LEVEL", "trace").start().await;
    give_secrets(&rig).await;
    let (stop, stopped) = oneshot::channel();
    let canaries = [own(&rig), vec!["canary-".to_owned()]].concat();
    let watch = tokio::spawn(watch_command_lines(canaries, stopped));
    let pulls = good_and_bad_days(&mut rig).await;
    let of_the_app = of_the_app(&rig, &pulls[0]);
    let all = [own(&rig), of_the_app.clone()].concat();

    assert_eq!(leaks(&everywhere(&rig, &pulls).await, &all), [""; 0]);
    let app_log = all_that_is_told(&rig, &pulls[0]).await;
    assert!(app_log.contains("PAYMENT=https://pay.example/?key=[secret]"), "the app did say it: {app_log}");
    let files = files(&rig);
    assert!(files.iter().any(|(name, ..)| name.ends_with("secrets.json")) && files.len() > 20);
    // The API's token was given, so not even a private file of ours holds one of our own.
    let stored: Vec<_> = files.iter().map(|(name, _, text)| (name.clone(), text.clone())).collect();
    assert_eq!(leaks(&stored, &own(&rig)), [""; 0]);
    let open: Vec<_> = files.into_iter().filter(|(_, open, _)| *open).map(|(name, _, text)| (name, text)).collect();
    assert_eq!(leaks(&open, &of_the_app), [""; 0]);
    let ledgers: Vec<_> = stored.into_iter().filter(|(name, _)| name.contains("/state/")).collect();
    assert_eq!(leaks(&ledgers, &of_the_app), [""; 0]);
    assert_eq!(leaks(&[("the service's log".to_owned(), rig.log())], &all), [""; 0]);
    stop.send(()).unwrap();
    assert_eq!(watch.await.unwrap(), BTreeSet::new(), "command lines with a secret");
    rig.finish().await;
}
