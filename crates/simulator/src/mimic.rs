//! An application for tests: a tiny web server whose start, health, memory and end are told by its environment.
//!
//! Its source is one file of plain Rust, `mimic/mimic.rs`, linked statically and put into an empty image, so that a test on a
//! real engine needs no base image and builds in a blink. What it can do stands at the top of that file.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;

use preview_exec::{Limits, Program};
use sha2::{Digest, Sha256};
use tokio::sync::OnceCell;

use crate::change::Change;
use crate::error::{Error, Result};

const SOURCE: &str = include_str!("../mimic/mimic.rs");

/// How a mimic behaves; the default starts at once, is healthy and stays.
#[derive(Debug, Clone)]
pub struct Mimic {
    version: String,
    port: u16,
    env: Vec<(&'static str, String)>,
    config: Option<String>,
}

impl Mimic {
    /// One that answers this text at `/`, on port 3000.
    pub fn new(version: impl Into<String>) -> Self {
        Self { version: version.into(), port: 3000, env: Vec::new(), config: None }
    }

    fn set(mut self, name: &'static str, value: impl ToString) -> Self {
        self.env.push((name, value.to_string()));
        self
    }

    /// Listens on another port.
    pub fn port(mut self, port: u16) -> Self {
        self.port = port;
        self
    }

    /// Listens so much later.
    pub fn starting_after(self, delay: Duration) -> Self {
        self.set("MIMIC_START_DELAY_MS", delay.as_millis())
    }

    /// `/health` answers 503 for so long at first.
    pub fn healthy_after(self, delay: Duration) -> Self {
        self.set("MIMIC_HEALTHY_AFTER_MS", delay.as_millis())
    }

    /// `/health` always answers 503.
    pub fn never_healthy(self) -> Self {
        self.set("MIMIC_HEALTHY_AFTER_MS", "never")
    }

    /// `/health` answers 503 from then on.
    pub fn sick_after(self, delay: Duration) -> Self {
        self.set("MIMIC_SICK_AFTER_MS", delay.as_millis())
    }

    /// Ends then with this code, and says this on standard error before.
    pub fn exiting_after(self, delay: Duration, code: u8, last_words: &str) -> Self {
        let timed = self.set("MIMIC_EXIT_AFTER_MS", delay.as_millis()).set("MIMIC_EXIT_CODE", code);
        timed.set("MIMIC_LAST_WORDS", last_words)
    }

    /// Takes so much memory before it listens.
    pub fn eating_mb(self, megabytes: usize) -> Self {
        self.set("MIMIC_EAT_MB", megabytes)
    }

    /// Ends by SIGKILL only.
    pub fn ignoring_sigterm(self) -> Self {
        self.set("MIMIC_IGNORE_SIGTERM", 1)
    }

    /// Listens on this address alone.
    pub fn listening_on(self, address: &str) -> Self {
        self.set("MIMIC_LISTEN", address)
    }

    /// Answers `/` with this status.
    pub fn answering_root_with(self, status: u16) -> Self {
        self.set("MIMIC_ROOT_STATUS", status)
    }

    /// Knows no `/health`.
    pub fn without_health(self) -> Self {
        self.set("MIMIC_NO_HEALTH", 1)
    }

    /// Answers whoever names another host than this with 400.
    pub fn allowing_host(self, host: &str) -> Self {
        self.set("MIMIC_ALLOWED_HOST", host)
    }

    /// Talks that much on standard output.
    pub fn logging(self, lines_per_second: u64) -> Self {
        self.set("MIMIC_LOG_LINES_PER_SECOND", lines_per_second)
    }

    /// Has this `preview-config.yml` instead of the one that fits it.
    pub fn config(mut self, text: impl Into<String>) -> Self {
        self.config = Some(text.into());
        self
    }

    /// The files of a repository with this application: program, Dockerfile, `preview-config.yml`.
    pub async fn repository(&self) -> Result<Vec<Change>> {
        let path = binary().await?;
        let program = fs::read(&path).map_err(|source| Error::File { path, source })?;
        Ok([vec![Change::executable("mimic", program)], self.files()].concat())
    }

    /// The same without the program: what a push needs that changes only behaviour or version.
    pub fn files(&self) -> Vec<Change> {
        let usual = format!(
            "framework: docker\ndockerfile: Dockerfile\ndatabase: none\napp_port: {}\nhealth_check_path: /health\n",
            self.port
        );
        vec![
            Change::write("VERSION", self.version.as_str()),
            Change::write("Dockerfile", self.dockerfile()),
            Change::write("preview-config.yml", self.config.clone().unwrap_or(usual)),
        ]
    }

    fn dockerfile(&self) -> String {
        let quoted = |text: &str| {
            let lines = text.replace('\n', "\\n");
            lines.replace('\\', "\\\\").replace('"', "\\\"").replace('$', "\\$")
        };
        let env: String = self.env.iter().map(|(name, value)| format!("ENV {name}=\"{}\"\n", quoted(value))).collect();
        format!(
            "FROM scratch\nCOPY mimic /mimic\nCOPY VERSION /VERSION\nENV PORT={0}\n{env}EXPOSE {0}\nENTRYPOINT [\"/mimic\"]\n",
            self.port
        )
    }
}

/// The compiled program. The first call on a machine compiles it, next to the running program, where Cargo keeps what it built.
pub async fn binary() -> Result<PathBuf> {
    static COMPILED: OnceCell<PathBuf> = OnceCell::const_new();
    COMPILED.get_or_try_init(compile).await.cloned()
}

async fn compile() -> Result<PathBuf> {
    let failed = |path: &Path, source| Error::File { path: path.to_owned(), source };
    let here = std::env::current_exe().map_err(|source| failed(Path::new("the running program"), source))?;
    let folder = here.parent().unwrap_or(Path::new("/")).join("mimic");
    fs::create_dir_all(&folder).map_err(|source| failed(&folder, source))?;
    let digest = hex::encode(Sha256::digest(SOURCE));
    let target = folder.join(&digest[..16]);
    let _held = lock(folder.join("lock")).await?;
    if !target.exists() {
        let fresh = target.with_extension("new");
        rustc(&fresh).run().await.map_err(|source| Error::Compile { source })?;
        fs::rename(&fresh, &target).map_err(|source| failed(&fresh, source))?;
    }
    Ok(target)
}

/// Several test processes start at once; one compiles, the others wait.
async fn lock(path: PathBuf) -> Result<fs::File> {
    let wait = {
        let path = path.clone();
        move || -> io::Result<fs::File> {
            let file = fs::File::create(path)?;
            file.lock()?;
            Ok(file)
        }
    };
    let locked = tokio::task::spawn_blocking(wait).await.unwrap_or_else(|error| Err(io::Error::other(error)));
    locked.map_err(|source| Error::File { path, source })
}

/// The source comes on standard input, so that nothing but the result touches the disk.
fn rustc(to: &Path) -> Program {
    let program = Program::new(std::env::var_os("RUSTC").unwrap_or_else(|| "rustc".into()))
        .args(["--edition=2024", "--crate-name=mimic", "-O", "-Ctarget-feature=+crt-static", "-Cpanic=abort"])
        .args(["-Cstrip=symbols", "-", "-o"])
        .arg(to)
        .stdin(SOURCE)
        .limits(Limits::seconds(180));
    // What rustup needs to find the toolchain, and rustc its temporary folder.
    ["HOME", "CARGO_HOME", "RUSTUP_HOME", "RUSTUP_TOOLCHAIN", "TMPDIR"].into_iter().fold(program, Program::inherit_env)
}
