//! A person at a terminal: `init`, `setup` and `destroy`, key by key.

use std::time::{Duration, Instant};

use axum::http::Method;
use preview_exec::Program;
use preview_simulator::{Fault, Matching};

use crate::rig::{DO_TOKEN, Rig};

/// A terminal of tmux's with a shell in it; it goes when this is dropped.
struct Terminal {
    socket: String,
}

impl Terminal {
    async fn open(rig: &Rig) -> Self {
        let terminal = Self { socket: rig.path("tmux").display().to_string() };
        let path = format!("{}:{}", rig.path("bin").display(), std::env::var("PATH").unwrap());
        let program = terminal.tmux(&["-f", "/dev/null", "new-session", "-d", "-x", "150", "-y", "50", "sh"]);
        let program = program.env("PATH", path).env("HOME", rig.path("person")).env("PREVIEW_HOME", rig.path("home"));
        let program =
            program.env("PREVIEW_KEYCHAIN", "off").env("DIGITALOCEAN_API_URL", &rig.cloud.url).env("PS1", "$ ");
        program.env("LANG", "C.UTF-8").env("TERM", "xterm").run().await.unwrap();
        terminal
    }

    fn tmux(&self, args: &[&str]) -> Program {
        Program::new("tmux").args(["-S", &self.socket]).args(args)
    }

    /// Types a line.
    async fn types(&self, text: &str) {
        self.tmux(&["send-keys", "-l", text]).run().await.unwrap();
        self.tmux(&["send-keys", "Enter"]).run().await.unwrap();
    }

    /// What is on the screen, with what has left it at the top.
    async fn screen(&self) -> String {
        self.tmux(&["capture-pane", "-p", "-J", "-S", "-"]).run().await.unwrap().text()
    }

    /// Waits until this is on the screen.
    async fn shows(&self, text: &str) {
        let begun = Instant::now();
        loop {
            let screen = self.screen().await;
            if screen.contains(text) {
                return;
            }
            assert!(begun.elapsed() < Duration::from_secs(60), "`{text}` does not come:\n{screen}");
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    }

    /// Answers a question once it is there.
    async fn answers(&self, question: &str, answer: &str) {
        self.shows(question).await;
        self.types(answer).await;
    }
}

impl Drop for Terminal {
    fn drop(&mut self) {
        let end = self.tmux(&["kill-server"]);
        // The runtime that the test runs on is busy dropping.
        let ended = std::thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
            drop(runtime.block_on(end.status()));
        });
        drop(ended.join());
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
    // The second time that it is asked.
    let begun = Instant::now();
    while terminal.screen().await.matches("Do it? [y/N]").count() < 2 {
        assert!(begun.elapsed() < Duration::from_secs(60));
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    terminal.types("y").await;
    terminal.shows("root@203.0.113.7 serves previews at ").await;
    rig.has_one_hook();

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
