//! A terminal: `tmux` with a shell in it.

use std::path::PathBuf;
use std::time::{Duration, Instant};

use preview_exec::Program;

/// How long a text may take to come to the screen.
const PATIENCE: Duration = Duration::from_secs(60);

/// A terminal of tmux's with a shell in it; it goes when this is dropped.
#[derive(Debug)]
pub struct Tmux {
    socket: PathBuf,
}

impl Tmux {
    /// Opens one of this width with its socket there; `prepare` gives the shell its environment and its folder.
    pub async fn open(socket: PathBuf, columns: u16, prepare: impl FnOnce(Program) -> Program) -> Self {
        let tmux = Self { socket };
        let columns = columns.to_string();
        let shell = tmux.command(&["-f", "/dev/null", "new-session", "-d", "-x", &columns, "-y", "50", "sh"]);
        let started = prepare(shell).env("LANG", "C.UTF-8").env("TERM", "xterm").run().await;
        started.expect("tmux starts (apt-get install tmux brings it)");
        tmux
    }

    fn command(&self, words: &[&str]) -> Program {
        Program::new("tmux").arg("-S").arg(&self.socket).args(words)
    }

    /// Types a line.
    pub async fn types(&self, line: &str) {
        for keys in [&["send-keys", "-l", line][..], &["send-keys", "Enter"]] {
            self.command(keys).run().await.expect("tmux takes keys");
        }
    }

    /// Presses a key, by tmux's name for it: `C-c`.
    pub async fn presses(&self, key: &str) {
        self.command(&["send-keys", key]).run().await.expect("tmux takes keys");
    }

    /// What is on the screen, with what has left it at the top.
    pub async fn screen(&self) -> String {
        let shown = self.command(&["capture-pane", "-p", "-J", "-S", "-"]).run().await;
        shown.expect("tmux shows its screen").text()
    }

    /// Waits until this is on the screen.
    ///
    /// # Panics
    /// When it is not there within a minute; with the screen.
    pub async fn shows(&self, text: &str) {
        let begun = Instant::now();
        loop {
            let screen = self.screen().await;
            if screen.contains(text) {
                return;
            }
            assert!(begun.elapsed() < PATIENCE, "`{text}` does not come:\n{screen}");
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    }
}

impl Drop for Tmux {
    fn drop(&mut self) {
        let end = self.command(&["kill-server"]);
        // The runtime that the test runs on is busy dropping.
        let ended = std::thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().ok()?;
            runtime.block_on(end.status()).ok()
        });
        drop(ended.join());
    }
}
