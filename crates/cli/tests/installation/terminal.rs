//! A person at a terminal: `init`, `setup` and `destroy`, key by key.

use std::time::{Duration, Instant};

use axum::http::Method;
use preview_simulator::programs::Tmux;
use preview_simulator::{Fault, Matching};

use crate::rig::{DO_TOKEN, Rig};

/// A person's terminal.
struct Terminal(Tmux);

impl Terminal {
    async fn open(rig: &Rig) -> Self {
        let path = format!("{}:{}", rig.path("bin").display(), std::env::var("PATH").unwrap());
        let terminal = Tmux::open(rig.path("tmux"), 150, |shell| {
            let shell = shell.env("PATH", path).env("HOME", rig.path("person")).env("PREVIEW_HOME", rig.path("home"));
            shell.env("PREVIEW_KEYCHAIN", "off").env("DIGITALOCEAN_API_URL", &rig.cloud.url).env("PS1", "$ ")
        });
        Self(terminal.await)
    }

    /// Types a line.
    async fn types(&self, text: &str) {
        self.0.types(text).await;
    }

    /// What is on the screen, with what has left it at the top.
    async fn screen(&self) -> String {
        self.0.screen().await
    }

    /// Waits until this is on the screen.
    async fn shows(&self, text: &str) {
        self.0.shows(text).await;
    }

    /// Answers a question once it was asked so often.
    async fn answers_the(&self, times: usize, question: &str, answer: &str) {
        let begun = Instant::now();
        while self.screen().await.matches(question).count() < times {
            assert!(begun.elapsed() < Duration::from_secs(60), "{question}: {}", self.screen().await);
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
        self.types(answer).await;
    }

    /// Answers a question once it is there.
    async fn answers(&self, question: &str, answer: &str) {
        self.shows(question).await;
        self.types(answer).await;
    }
}

#[tokio::test]
async fn a_person_gets_from_nothing_to_a_server_and_back() {
    let rig = Rig::new().await;
    let terminal = Terminal::open(&rig).await;
    let program = env!("CARGO_BIN_EXE_preview");
    let set = |name: &str, value: &str| format!(" --set {name}={value}");
    let settings = set("GITHUB_API_URL", &rig.github.api_url())
        + &set("GITHUB_SERVER_URL", &rig.github.server_url())
        + &set("PREVIEW_BASE_URL", &rig.url);
    terminal.types(&format!("{program} init{settings}")).await;
    terminal.answers("A machine of yours (user@address), or nothing", "not an address").await;
    terminal.answers("expected user@address, like root@203.0.113.7", "root@203.0.113.7").await;
    terminal.answers("Repositories (owner/name, several with a comma):", "my-org/my-app").await;
    rig.github.fail_next(Matching::path(Method::GET, "/hooks"), 1, Fault::NotPermitted("repository_hooks=write"));
    terminal.answers("The server's token for GitHub (it is not shown):", rig.github.token()).await;
    terminal.answers("The token for GitHub's webhooks (it is not shown):", rig.github.token()).await;
    terminal.shows("wrote ").await;

    terminal.types("clear").await;
    terminal.types(&format!("{program} setup")).await;
    terminal.answers("Do it? [y/N]", "n").await;
    terminal.shows("error: nothing was changed").await;
    assert_eq!(rig.hooks(), []);
    terminal.types(&format!("{program} setup")).await;
    terminal.answers_the(2, "Do it? [y/N]", "y").await;
    terminal.shows("root@203.0.113.7 serves previews at ").await;
    rig.has_one_hook();
    assert!(!terminal.screen().await.contains("begun "), "a line that is replaced says it");

    terminal.types(&format!("{program} destroy")).await;
    terminal.answers("Write its name, preview-deployer, to take it down:", "preview-deployer").await;
    terminal.shows("preview-deployer is gone").await;
    assert_eq!(rig.hooks(), []);
    let screen = terminal.screen().await;
    assert!(!screen.contains(rig.github.token()), "what is typed in secret is not shown:\n{screen}");
}

#[tokio::test]
async fn a_region_and_a_size_are_chosen_with_their_price_in_view() {
    let rig = Rig::new().await;
    let terminal = Terminal::open(&rig).await;
    let program = env!("CARGO_BIN_EXE_preview");
    let api =
        format!("--set GITHUB_API_URL={} --set GITHUB_SERVER_URL={}", rig.github.api_url(), rig.github.server_url());
    terminal.types(&format!("{program} init --repo my-org/my-app {api}")).await;
    terminal.answers("or nothing for a new one at DigitalOcean:", "").await;
    terminal.answers("The token for DigitalOcean (it is not shown):", DO_TOKEN).await;
    terminal.shows("regions: nyc1 (New York 1), fra1 (Frankfurt 1)").await;
    terminal.answers("Region [fra1]:", "").await;
    terminal.shows("s-2vcpu-4gb (2 CPU, 4 GB memory, 80 GB disk, $24/month)").await;
    terminal.answers("Size [s-1vcpu-2gb]:", "s-2vcpu-4gb").await;
    terminal.answers("The server's token for GitHub (it is not shown):", rig.github.token()).await;
    terminal.shows("wrote ").await;
    let config = std::fs::read_to_string(rig.home("config.yml")).unwrap();
    assert!(config.contains("region: fra1") && config.contains("size: s-2vcpu-4gb"), "{config}");
    assert!(!terminal.screen().await.contains(DO_TOKEN));
}

#[tokio::test]
async fn what_cannot_be_taken_down_is_asked_about() {
    let rig = Rig::new().await;
    rig.init(&["--host", "root@203.0.113.7"]).await;
    let (code, text) = rig.run(&["setup", "--yes"]).await;
    assert_eq!(code, 0, "{text}");
    let archived = serde_json::json!({"message": "Repository was archived so is read-only."});
    let _archived = rig.github.fail_while(Matching::path(Method::DELETE, "/hooks/"), Fault::Answer(403, archived));
    rig.also("ssh", "echo 'Permission denied (publickey).' >&2; exit 255");
    let terminal = Terminal::open(&rig).await;
    let destroy = format!("{} destroy; echo ended with $?.", env!("CARGO_BIN_EXE_preview"));
    let (name, hook) = ("to take it down:", "Leave that webhook, and go on? [y/N]");
    let machine = "Is that machine gone for good, and to be forgotten? [y/N]";
    terminal.types(&destroy).await;
    terminal.answers_the(1, name, "preview-deployer").await;
    terminal.shows("/my-org/my-app/settings/hooks/").await;
    terminal.shows(hook).await;
    terminal.0.presses("C-c").await;
    terminal.shows("ended with 130.").await;

    terminal.types(&destroy).await;
    terminal.answers_the(2, name, "preview-deployer").await;
    terminal.answers_the(2, hook, "y").await;
    terminal.answers_the(1, machine, "n").await;
    terminal.shows("ended with 1.").await;
    assert!(rig.home("state.json").exists());

    terminal.types(&destroy).await;
    terminal.answers_the(3, name, "preview-deployer").await;
    terminal.answers_the(3, hook, "y").await;
    terminal.answers_the(2, machine, "y").await;
    terminal.shows("ended with 0.").await;
    assert!(!rig.home("state.json").exists());
}

#[tokio::test]
async fn a_kept_token_that_has_expired_is_asked_for_again() {
    let rig = Rig::new().await;
    rig.init(&["--region", "fra1"]).await;
    let kept = std::fs::read_to_string(rig.home("secrets.yml")).unwrap();
    std::fs::write(
        rig.home("secrets.yml"),
        kept.replace(DO_TOKEN, "of-last-year").replace(rig.github.token(), "of-last-year"),
    )
    .unwrap();
    let terminal = Terminal::open(&rig).await;
    let program = env!("CARGO_BIN_EXE_preview");
    let api =
        format!("--set GITHUB_API_URL={} --set GITHUB_SERVER_URL={}", rig.github.api_url(), rig.github.server_url());
    terminal.types(&format!("{program} init --region fra1 --size s-1vcpu-2gb --repo my-org/my-app {api} --yes")).await;
    terminal.shows("the token for DigitalOcean is wrong, or has expired").await;
    terminal.answers("The token for DigitalOcean (it is not shown):", DO_TOKEN).await;
    terminal.shows("the server's token for GitHub is wrong, or has expired").await;
    terminal.answers("The server's token for GitHub (it is not shown):", rig.github.token()).await;
    terminal.shows("wrote ").await;
    assert_eq!(std::fs::read_to_string(rig.home("secrets.yml")).unwrap(), kept);
}

#[tokio::test]
async fn a_secret_that_is_not_given_after_all_leaves_the_terminal_as_it_was() {
    let rig = Rig::new().await;
    let terminal = Terminal::open(&rig).await;
    let program = env!("CARGO_BIN_EXE_preview");
    terminal.types(&format!("{program} init --host root@203.0.113.7 --repo my-org/my-app; echo code $?")).await;
    terminal.shows("The server's token for GitHub (it is not shown):").await;
    terminal.0.presses("C-c").await;
    terminal.shows("error: stopped\ncode 130").await;
    terminal.types("echo shown again").await;
    terminal.shows("echo shown again\nshown again").await;
}

#[tokio::test]
async fn what_takes_more_than_a_second_says_what_is_waited_for() {
    let rig = Rig::new().await;
    let terminal = Terminal::open(&rig).await;
    let slow = axum::Router::new().fallback(|| async {
        tokio::time::sleep(Duration::from_secs(4)).await;
        axum::Json(serde_json::json!({"deployments": []}))
    });
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let api = format!("http://{}", listener.local_addr().unwrap());
    tokio::spawn(async move { axum::serve(listener, slow).await });
    let program = env!("CARGO_BIN_EXE_preview");
    terminal.types(&format!("API_TOKEN=9c1f7ab23de4506b8a77 {program} list --api {api}")).await;
    terminal.shows("waiting for the service").await;
    terminal.shows("no previews").await;
    assert!(!terminal.screen().await.contains("waiting for the service"), "what was waited for is there");
}
