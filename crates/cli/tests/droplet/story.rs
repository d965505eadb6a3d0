//! docs/GETTING_STARTED.md typed on a laptop, line by line, on the bare machine: from nothing to previews, through an upgrade that no
//! visitor notices, and back to a machine on which nothing of it is left.

use std::cell::Cell;
use std::path::Path;
use std::time::Duration;

use preview_exec::{Limits, Program};
use preview_simulator::state::{Delivery, Outcome};
use preview_simulator::{Mimic, NewPull, Pull};
use serde_json::Value;

use crate::guide::{ADDRESS, Answer, Line, line, lines};
use crate::laptop::Laptop;
use crate::load::Load;
use crate::machine::PATIENCE;
use crate::scene::Scene;
use crate::tell;

/// A program that can be asked for its version and its settings, and that ends as soon as it is to serve.
const SICK: &str = r#"fn main() {
    let words: Vec<String> = std::env::args().skip(1).collect();
    match words.join(" ").as_str() {
        "--version" => println!("preview 9.9.9"),
        "serve --check" => {}
        _ => std::process::exit(1),
    }
}"#;
/// All that may be left of an installation on a machine.
const LEFT: &str = "ls -d /usr/local/bin/preview /etc/preview-deployer /opt/preview-* /var/lib/preview-deployer /run/preview-deployer \
                    /etc/systemd/system/preview-* /etc/nginx/*/*preview* /etc/nginx/preview-configs 2>/dev/null; \
                    systemctl list-units --all --plain --no-legend 'preview-*'; docker ps --all --quiet; docker volume ls --quiet; \
                    docker network ls --quiet --filter type=custom; docker images --all --quiet; nft list tables | grep preview_host; \
                    iptables-save | grep -i preview; ip6tables-save | grep -i preview; getent passwd preview; true";
/// Between two pushes, and between two remarks, while the service changes.
const PUSHES: Duration = Duration::from_secs(5);
const REMARKS: Duration = Duration::from_millis(250);

impl Scene {
    pub(crate) async fn getting_started_is_followed_to_the_letter(&self) {
        let laptop = Laptop::open(&self.machine, &self.github, &[]).await;
        let mut first = None;
        for text in lines() {
            let answers = match line(&text) {
                Some(Line::Typed(answers)) => answers,
                Some(Line::Elsewhere) => continue,
                None => panic!("nobody has thought about `{text}` of docs/GETTING_STARTED.md"),
            };
            let command = text.split('#').next().unwrap_or_default().trim();
            let typed = text.replace(ADDRESS, &self.machine.address);
            match (command, &first) {
                ("preview setup", None) => {
                    laptop.is_fine(&typed, answers).await;
                    first = Some(self.what_was_promised_is_there(&laptop).await);
                    self.set_up_again_it_changes_nothing(&laptop).await;
                }
                ("preview setup", Some(_)) => {
                    let shown = laptop.is_fine(&typed, answers).await;
                    assert!(shown.contains("nothing on it had to be changed"), "{shown}");
                    assert_eq!(self.hooks().len(), 1);
                }
                ("preview upgrade", Some((_, url))) => {
                    self.it_is_upgraded_and_nobody_notices(&laptop, url, &typed, answers).await;
                }
                ("preview destroy --keep-data", Some(_)) => {
                    laptop.is_fine(&typed, answers).await;
                    self.nothing_is_left(&laptop).await;
                }
                _ => {
                    laptop.is_fine(&typed, answers).await;
                }
            }
        }
    }

    /// The repository's webhooks: number, address, events.
    pub(crate) fn hooks(&self) -> Vec<(u64, String, Vec<String>)> {
        self.github.look(|state| {
            let hooks = &state.repository(self.repo.id()).unwrap().hooks;
            let seen = |hook: &preview_simulator::state::Hook| {
                (hook.id, hook.url.clone(), hook.events.iter().cloned().collect())
            };
            hooks.values().map(seen).collect()
        })
    }

    /// One webhook whose test delivery was answered, and a preview behind nginx that the pull request tells of.
    async fn what_was_promised_is_there(&self, laptop: &Laptop) -> (Pull, String) {
        let [(hook, door, events)] = &self.hooks()[..] else { panic!("{:?}", self.hooks()) };
        assert_eq!((door, events.join(" ").as_str()), (&self.door(), "issue_comment pull_request"));
        let is_ping = |delivery: &&Delivery| delivery.hook == *hook && delivery.event == "ping";
        assert_eq!(self.github.look(|state| state.deliveries().filter(is_ping).last().unwrap().status()), Some(200));
        let (pull, url) =
            self.a_delivery_through_nginx_gives_a_preview_through_nginx("typed", Mimic::new("typed").files()).await;
        self.is_told(&pull, &url).await;
        let status = laptop.is_fine("preview status", &[]).await;
        for word in ["checks", "walls ok", "my-org-my-app-1", &url, "pull_request.opened"] {
            assert!(status.contains(word), "{word}: {status}");
        }
        (pull, url)
    }

    async fn set_up_again_it_changes_nothing(&self, laptop: &Laptop) {
        let before = (self.hooks(), self.main_pid().await);
        let again = laptop.runs(&["setup", "--yes", "--no-input", "--json"]).await;
        assert!(again.status.success(), "{}", again.stderr);
        let told: Value = serde_json::from_str(&again.text()).unwrap();
        assert_eq!(told["changed"], 0, "{told}");
        assert_eq!((self.hooks(), self.main_pid().await), before);
        tell("`preview setup` again: changed=0");
    }

    /// The program and the settings that the service has, as one text.
    async fn what_runs(&self) -> String {
        self.machine.run("sha256sum </usr/local/bin/preview; sha256sum </etc/preview-deployer/environment").await
    }

    /// Another build and another setting; then a version that does not stay up; then `kill -9`. All the while visitors come, people
    /// talk, and commits are pushed.
    async fn it_is_upgraded_and_nobody_notices(
        &self,
        laptop: &Laptop,
        url: &str,
        typed: &str,
        answers: &[(&str, Answer)],
    ) {
        let files = |version: &str| Mimic::new(version).files();
        let pull = self.repo.open_pull(NewPull::new("feature-pushed", files("pushed-0"))).await.unwrap();
        let pushed = Pushed { url: self.url(&pull), pull, count: Cell::new(0) };
        self.answers(&pushed.url, "pushed-0").await;
        let load = Load::start(url);

        let (before, pid) = (self.what_runs().await, self.main_pid().await);
        let config = std::fs::read_to_string(laptop.installation("config.yml")).unwrap();
        std::fs::write(laptop.installation("config.yml"), format!("{config}  FORK_POLICY: deny\n")).unwrap();
        laptop.gets_another_build();
        let deliveries = self.last_delivery();
        pushed.during(laptop.is_fine(typed, answers)).await;
        let after = self.what_runs().await;
        assert!(before.lines().zip(after.lines()).all(|(before, after)| before != after), "{before}\n{after}");
        assert_ne!(self.main_pid().await, pid);
        assert_eq!(
            self.machine.run("grep FORK_POLICY /etc/preview-deployer/environment").await,
            "FORK_POLICY=\"deny\""
        );
        let made = sha256(&laptop.program()).await;
        assert!(after.starts_with(&made), "the server has the laptop's program");
        self.answers(&pushed.url, &pushed.version()).await;
        let count = self.every_delivery_was_taken_since(deliveries).await;
        tell(&format!("upgraded: {} pushes and {count} deliveries meanwhile, each answered", pushed.count.get()));

        let sick = laptop.installation("sick");
        compile(SICK, &sick).await;
        let refused = pushed.during(laptop.runs(&["upgrade", "--yes", "--binary", &sick.display().to_string()])).await;
        assert_eq!(refused.status.code(), Some(1), "{}", refused.stderr);
        for said in ["The service answers", "hint: the server runs what it ran before"] {
            assert!(refused.stderr.contains(said), "{said}: {}", refused.stderr);
        }
        assert_eq!(self.what_runs().await, after);
        // What came meanwhile was answered by nobody: it is asked for.
        self.answers(&pushed.url, &pushed.version()).await;

        pushed.during(self.the_service_is_killed_and_started_again()).await;
        pushed.push().await;
        self.answers(&pushed.url, &pushed.version()).await;
        let seen = load.stop().await;
        assert!(seen.failures.is_empty(), "{} of {} failed: {:#?}", seen.failures.len(), seen.visits, seen.failures);
        tell(&format!("upgraded, brought back, killed: {} visits, all answered", seen.visits));
        laptop.is_fine("preview status", &[]).await;
    }

    fn last_delivery(&self) -> u64 {
        self.github.look(|state| state.deliveries().map(|delivery| delivery.id).max().unwrap_or_default())
    }

    /// Waits until all were sent, and gives how many; each was taken.
    async fn every_delivery_was_taken_since(&self, id: u64) -> usize {
        let sent = |state: &preview_simulator::State| {
            let since: Vec<Delivery> = state.deliveries().filter(|delivery| delivery.id > id).cloned().collect();
            since.iter().all(|delivery| delivery.outcome != Outcome::Waiting).then_some(since)
        };
        let sent = self.github.wait_for("all deliveries are sent", PATIENCE, sent).await.unwrap();
        for delivery in &sent {
            let is_taken = matches!(delivery.status(), Some(200 | 202));
            assert!(is_taken, "{} {:?}: {:?}", delivery.event, delivery.action, delivery.outcome);
        }
        sent.len()
    }

    /// Ledger and secrets are on the laptop; GitHub knocks no more; the machine is there, and nothing of ours on it.
    pub(crate) async fn nothing_is_left(&self, laptop: &Laptop) {
        assert_eq!(self.hooks(), []);
        let saved = std::fs::read_dir(laptop.installation("")).unwrap().map(|entry| entry.unwrap().path());
        let saved: Vec<_> = saved.filter(|path| path.extension().is_some_and(|ending| ending == "gz")).collect();
        let listed = Program::new("tar").args(["-tzf"]).args(&saved).run().await.unwrap().text();
        assert!(saved.len() == 1 && listed.contains("deployments.json\n"), "{saved:?} {listed}");
        assert!(!laptop.installation("secrets.yml").exists() && laptop.installation("config.yml").exists());
        assert_eq!(self.machine.run(LEFT).await, "");
        assert_eq!(self.machine.run("systemctl --failed --no-legend --plain").await, "");
    }
}

/// A pull request that goes on while something else happens.
struct Pushed {
    pull: Pull,
    url: String,
    count: Cell<u32>,
}

impl Pushed {
    fn version(&self) -> String {
        format!("pushed-{}", self.count.get())
    }

    async fn push(&self) {
        self.count.set(self.count.get() + 1);
        self.pull.push(Mimic::new(self.version()).files()).await.unwrap();
    }

    /// Pushes and talks until the other has happened.
    async fn during<T>(&self, other: impl Future<Output = T>) -> T {
        let pushing = async {
            loop {
                self.push().await;
                tokio::time::sleep(PUSHES).await;
            }
        };
        let talking = async {
            loop {
                self.pull.comment("alice", "Looks good to me.");
                tokio::time::sleep(REMARKS).await;
            }
        };
        tokio::select! {
            done = other => done,
            () = pushing => unreachable!("it pushes for ever"),
            () = talking => unreachable!("it talks for ever"),
        }
    }
}

async fn sha256(file: &Path) -> String {
    let sum = Program::new("sha256sum").arg(file).run().await.unwrap().text();
    sum.split(' ').next().unwrap_or_default().to_owned()
}

async fn compile(source: &str, to: &Path) {
    let program =
        Program::new("rustc").args(["--edition=2024", "--crate-name=sick", "-Ctarget-feature=+crt-static", "-", "-o"]);
    let program = program.arg(to).stdin(source).limits(Limits::seconds(180));
    let of_rustup = ["HOME", "CARGO_HOME", "RUSTUP_HOME", "RUSTUP_TOOLCHAIN", "TMPDIR"];
    of_rustup.into_iter().fold(program, Program::inherit_env).run().await.unwrap();
}
