//! The laptop of somebody who follows docs/GETTING_STARTED.md: a home with a key that opens the machine, the program in PATH, and a
//! terminal in which it is typed.

use std::io::Write;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use preview_exec::{Limits, Output, Program};
use preview_simulator::GitHub;
use preview_simulator::programs::Tmux;
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
    terminal: Tmux,
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
    /// One with the machine's key, and with GitHub where the model of it is. `more` are settings that `init` is told besides.
    pub(crate) async fn open(machine: &Machine, github: &GitHub, more: &[(&str, String)]) -> Self {
        let dir = tempfile::Builder::new().prefix("preview-laptop-").tempdir().unwrap();
        furnish(dir.path(), machine, github, more);
        let prompt = dir.path().join("prompt");
        let shell = Tmux::open(dir.path().join("tmux"), 180, |shell| at_home(dir.path(), shell).env("ENV", prompt));
        let terminal = shell.await;
        let (token, machine) = (github.token().to_owned(), format!("root@{}", machine.address));
        let laptop = Self { terminal, dir, token, machine };
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
        program(self.dir.path())
    }

    /// Another build of it takes its place: one that does the same, and is not the same file.
    pub(crate) fn gets_another_build(&self) {
        let new = self.path("program/new");
        std::fs::copy(self.program(), &new).unwrap();
        std::fs::OpenOptions::new().append(true).open(&new).unwrap().write_all(b"\n").unwrap();
        std::fs::rename(new, self.program()).unwrap();
    }

    /// Runs it as a script does, without a terminal.
    pub(crate) async fn runs(&self, words: &[&str]) -> Output {
        let program = at_home(self.dir.path(), Program::new("preview")).args(words);
        let limits = Limits { silence: PATIENCE, ..Limits::seconds(PATIENCE.as_secs()) };
        let output = program.limits(limits).status().await.unwrap();
        assert!(!output.text().contains(&self.token) && !output.stderr.contains(&self.token), "the token is shown");
        output
    }

    /// Types a line, answers what it asks, and waits until the shell asks for the next one.
    pub(crate) async fn types(&self, line: &str, answers: &[(&str, Answer)]) -> Shown {
        let begun = Instant::now();
        let before = prompts(&self.screen().await).len();
        self.terminal.types(line).await;
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
                self.terminal.types(self.says(*answer)).await;
                next = answers.next();
            }
            assert!(begun.elapsed() < PATIENCE, "`{line}` does not end:\n{screen}");
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
    }

    /// Types a line that has to end well, and gives what it showed.
    pub(crate) async fn is_fine(&self, line: &str, answers: &[(&str, Answer)]) -> String {
        let shown = self.types(line, answers).await;
        assert_eq!(shown.code, 0, "{}", shown.text);
        shown.text
    }

    fn says(&self, answer: Answer) -> &str {
        match answer {
            Answer::These(words) => words,
            Answer::Machine => &self.machine,
            Answer::Token => &self.token,
        }
    }

    /// What is on the screen, with what has left it at the top. No secret is.
    async fn screen(&self) -> String {
        let screen = self.terminal.screen().await;
        assert!(!screen.contains(&self.token), "what is typed in secret is not shown:\n{screen}");
        screen
    }
}

fn program(dir: &Path) -> PathBuf {
    dir.join("program/preview")
}

/// The key, the program, and what finds it in PATH.
fn furnish(dir: &Path, machine: &Machine, github: &GitHub, more: &[(&str, String)]) {
    for folder in ["bin", "program", "home/.ssh"] {
        std::fs::create_dir_all(dir.join(folder)).unwrap();
    }
    std::fs::copy(env!("CARGO_BIN_EXE_preview"), program(dir)).unwrap();
    let key = dir.join("home/.ssh/id_ed25519");
    std::fs::copy(machine.key(), &key).unwrap();
    std::fs::set_permissions(&key, std::fs::Permissions::from_mode(0o600)).unwrap();
    // All that a person at GitHub with a real machine need not say: that GitHub is a model, and that the machine's control groups
    // are beneath those of another.
    let settings = [
        ("GITHUB_API_URL", github.api_url()),
        ("GITHUB_SERVER_URL", github.server_url()),
        ("BUILD_CGROUP", format!("{}/buildkit", machine.group)),
    ];
    let sets = settings.iter().chain(more).map(|(name, value)| format!(" --set {name}={value}")).collect::<String>();
    let program = program(dir).display().to_string();
    let wrapper =
        format!("#!/bin/sh\ncase $1 in\ninit) exec {program} \"$@\"{sets} ;;\n*) exec {program} \"$@\" ;;\nesac\n");
    let file = dir.join("bin/preview");
    std::fs::write(&file, wrapper).unwrap();
    std::fs::set_permissions(&file, std::fs::Permissions::from_mode(0o755)).unwrap();
    std::fs::write(dir.join("prompt"), PROMPT).unwrap();
}

/// A program as its owner runs it.
fn at_home(dir: &Path, program: Program) -> Program {
    let path = format!("{}:{}", dir.join("bin").display(), std::env::var("PATH").unwrap());
    // A desktop's keychain is the person's own, who runs this test.
    program.env("PATH", path).env("HOME", dir.join("home")).env("PREVIEW_KEYCHAIN", "off").dir(dir.join("home"))
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
