//! The laptop of somebody who follows docs/GETTING_STARTED.md: a home with a key that opens the machine, the program in PATH, and a
//! terminal in which it is typed.

use std::io::Write;
use std::os::unix::fs::PermissionsExt;
use std::path::PathBuf;
use std::time::{Duration, Instant};

use preview_exec::{Limits, Output, Program};
use preview_simulator::GitHub;
use tempfile::TempDir;

use crate::guide::Answer;
use crate::machine::{Machine, eventually};
use crate::tell;

/// How long a command may take: a bare machine gets its packages in some of them.
const PATIENCE: Duration = Duration::from_secs(2400);
/// Read by the shell at its start: its prompt tells how the command before it ended.
const PROMPT: &str = "PS1='=$?=> '\n";

/// The laptop; its terminal goes when this is dropped.
pub(crate) struct Laptop {
    dir: TempDir,
    token: String,
    machine: String,
}

/// What a command showed, and how it ended.
#[derive(Debug)]
pub(crate) struct Shown {
    pub(crate) code: i32,
    pub(crate) text: String,
}

impl Laptop {
    /// One with the machine's key, and with GitHub where the model of it is.
    pub(crate) async fn open(machine: &Machine, github: &GitHub) -> Self {
        let dir = tempfile::Builder::new().prefix("preview-laptop-").tempdir().unwrap();
        for folder in ["bin", "program", "home/.ssh"] {
            std::fs::create_dir_all(dir.path().join(folder)).unwrap();
        }
        let laptop = Self { dir, token: github.token().to_owned(), machine: format!("root@{}", machine.address) };
        std::fs::copy(env!("CARGO_BIN_EXE_preview"), laptop.program()).unwrap();
        let key = laptop.path("home/.ssh/id_ed25519");
        std::fs::copy(machine.key(), &key).unwrap();
        std::fs::set_permissions(&key, std::fs::Permissions::from_mode(0o600)).unwrap();
        // All that a person at GitHub with a real machine need not say: that GitHub is a model, and that the machine's control groups
        // are beneath those of another.
        let wrapper = format!(
            "#!/bin/sh\ncase $1 in\ninit) exec {program} \"$@\" --set GITHUB_API_URL={api} --set GITHUB_SERVER_URL={git} \
             --set BUILD_CGROUP={group}/buildkit ;;\n*) exec {program} \"$@\" ;;\nesac\n",
            program = laptop.program().display(),
            api = github.api_url(),
            git = github.server_url(),
            group = machine.group,
        );
        let file = laptop.path("bin/preview");
        std::fs::write(&file, wrapper).unwrap();
        std::fs::set_permissions(&file, std::fs::Permissions::from_mode(0o755)).unwrap();
        std::fs::write(laptop.path("prompt"), PROMPT).unwrap();
        let shell = ["-f", "/dev/null", "new-session", "-d", "-x", "180", "-y", "50", "sh"];
        let shell = laptop.at_home(laptop.tmux(&shell)).env("ENV", laptop.path("prompt"));
        shell.env("LANG", "C.UTF-8").env("TERM", "xterm").run().await.unwrap();
        eventually("the shell asks for a line", async || (!prompts(&laptop.screen().await).is_empty()).then_some(()))
            .await;
        laptop
    }

    fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    /// A file of the installation.
    pub(crate) fn installation(&self, name: &str) -> PathBuf {
        self.path("home/.preview-deployer").join(name)
    }

    /// The program itself.
    pub(crate) fn program(&self) -> PathBuf {
        self.path("program/preview")
    }

    /// Another build of it takes its place: one that does the same, and is not the same file.
    pub(crate) fn gets_another_build(&self) {
        let new = self.path("program/new");
        std::fs::copy(self.program(), &new).unwrap();
        std::fs::OpenOptions::new().append(true).open(&new).unwrap().write_all(b"\n").unwrap();
        std::fs::rename(new, self.program()).unwrap();
    }

    fn at_home(&self, program: Program) -> Program {
        let path = format!("{}:{}", self.path("bin").display(), std::env::var("PATH").unwrap());
        // A desktop's keychain is the person's own, who runs this test.
        program.env("PATH", path).env("HOME", self.path("home")).env("PREVIEW_KEYCHAIN", "off").dir(self.path("home"))
    }

    fn tmux(&self, words: &[&str]) -> Program {
        Program::new("tmux").arg("-S").arg(self.path("tmux")).args(words)
    }

    /// Runs it as a script does, without a terminal.
    pub(crate) async fn runs(&self, words: &[&str]) -> Output {
        let program = self.at_home(Program::new("preview")).args(words);
        let limits = Limits { silence: PATIENCE, ..Limits::seconds(PATIENCE.as_secs()) };
        let output = program.limits(limits).status().await.unwrap();
        assert!(!output.text().contains(&self.token) && !output.stderr.contains(&self.token), "the token is shown");
        output
    }

    /// Types a line, answers what it asks, and waits until the shell asks for the next one.
    pub(crate) async fn types(&self, line: &str, answers: &[(&str, Answer)]) -> Shown {
        let begun = Instant::now();
        let before = prompts(&self.screen().await).len();
        self.sends(line).await;
        let mut answers = answers.iter();
        let mut next = answers.next();
        loop {
            let screen = self.screen().await;
            let prompts = prompts(&screen);
            if prompts.len() > before {
                let ([.., (typed, _), (end, code)], None) = (&prompts[..], next) else {
                    panic!("`{line}` did not ask {next:?}:\n{screen}")
                };
                let shown = Shown { code: *code, text: screen[*typed..*end].to_owned() };
                let command = line.split('#').next().unwrap_or_default().trim();
                tell(&format!("`{command}` ended with {code} in {} s", begun.elapsed().as_secs()));
                return shown;
            }
            let asked = prompts.last().map_or("", |(at, _)| &screen[*at..]);
            if let Some((_, answer)) = next.filter(|(question, _)| asked.contains(question)) {
                self.sends(self.says(*answer)).await;
                next = answers.next();
            }
            assert!(begun.elapsed() < PATIENCE, "`{line}` does not end:\n{screen}");
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
    }

    fn says(&self, answer: Answer) -> &str {
        match answer {
            Answer::These(words) => words,
            Answer::Machine => &self.machine,
            Answer::Token => &self.token,
        }
    }

    async fn sends(&self, line: &str) {
        self.tmux(&["send-keys", "-l", line]).run().await.unwrap();
        self.tmux(&["send-keys", "Enter"]).run().await.unwrap();
    }

    /// What is on the screen, with what has left it at the top. No secret is.
    async fn screen(&self) -> String {
        let screen = self.tmux(&["capture-pane", "-p", "-J", "-S", "-"]).run().await.unwrap().text();
        assert!(!screen.contains(&self.token), "what is typed in secret is not shown:\n{screen}");
        screen
    }
}

/// Where the shell's prompts are, and how the command before each ended.
fn prompts(screen: &str) -> Vec<(usize, i32)> {
    let lines = screen.split_inclusive('\n').scan(0, |at, line| {
        let here = *at;
        *at += line.len();
        Some((here, line))
    });
    let code = |line: &str| line.strip_prefix('=')?.split_once("=>")?.0.parse().ok();
    lines.filter_map(|(at, line)| Some((at, code(line)?))).collect()
}

#[test]
fn a_prompt_tells_how_the_command_before_it_ended() {
    assert_eq!(prompts("=0=> false\n=1=> echo =>\n=>\n=0=> \n"), [(0, 0), (11, 1), (27, 0)]);
}

impl Drop for Laptop {
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
