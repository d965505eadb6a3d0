//! The one way to start git.
//!
//! Git's configuration comes from the environment alone (`GIT_CONFIG_COUNT`): nothing of the system's or a user's is read, the
//! token never stands in a file, a URL or an argument list, and what git starts in turn inherits all of it.
//!
//! Source: <https://git-scm.com/docs/git#_environment_variables>, <https://git-scm.com/docs/git-config>

use std::sync::Arc;
use std::time::Duration;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use preview_core::ids::RepoName;
use preview_exec::{Limits, Program};
use secrecy::{ExposeSecret, SecretString};

use super::CheckoutLimits;
use crate::needs::{Fault, Tokens};

/// Settings that don't depend on the installation, each against something.
const CONFIG: &[(&str, &str)] = &[
    // Only the server's own protocol, which is allowed below: no `ext::`, no `file://` by way of a redirect.
    ("protocol.allow", "never"),
    // A redirect would take the token elsewhere.
    ("http.followRedirects", "false"),
    // A transfer that stands still; the server sends a keep-alive of a few bytes every 5 s.
    ("http.lowSpeedLimit", "1"),
    ("http.lowSpeedTime", "60"),
    ("credential.helper", ""),
    ("core.askPass", ""),
    ("core.hooksPath", "/dev/null"),
    ("core.fsmonitor", "false"),
    ("core.attributesFile", "/dev/null"),
    ("core.autocrlf", "false"),
    ("core.symlinks", "true"),
    // Names that mean `.git` on other file systems are refused wherever they arrive.
    ("core.protectNTFS", "true"),
    ("core.protectHFS", "true"),
    ("transfer.fsckObjects", "true"),
    // Slips of old tools that harm nobody.
    ("fetch.fsck.badTimezone", "ignore"),
    ("fetch.fsck.missingEmail", "ignore"),
    ("fetch.fsck.missingSpaceBeforeDate", "ignore"),
    ("fetch.fsck.missingNameBeforeEmail", "ignore"),
    ("fetch.fsck.zeroPaddedFilemode", "ignore"),
    ("submodule.recurse", "false"),
    ("fetch.recurseSubmodules", "false"),
    // What arrives stays as it was sent. Unpacked, a hundred objects could take thousands of times as much of the disk. (Newer
    // versions of git never unpack what they check.)
    ("fetch.unpackLimit", "1"),
    // Tidying is done under our lock, when we say so.
    ("gc.auto", "0"),
    ("maintenance.auto", "false"),
    // A mirror is a cache: what a power cut breaks is fetched anew.
    ("core.fsync", "none"),
    // Paths in messages are plain ASCII.
    ("core.quotePath", "true"),
];

/// What a company's proxy and certificates are told by.
const PASSED_ON: &[&str] = &[
    "https_proxy",
    "HTTPS_PROXY",
    "http_proxy",
    "all_proxy",
    "ALL_PROXY",
    "no_proxy",
    "NO_PROXY",
    "SSL_CERT_FILE",
    "SSL_CERT_DIR",
    "GIT_SSL_CAINFO",
];

/// What a pack holds beside files: a commit, its trees, checksums.
const OVERHEAD: u64 = 16 << 20;

/// Git, as it is set up for one server.
pub(super) struct Git {
    server: String,
    tokens: Arc<dyn Tokens>,
    pub(super) limits: CheckoutLimits,
}

/// What git tells the server of us.
///
/// Source: <https://docs.github.com/en/apps/creating-github-apps/authenticating-with-a-github-app/authenticating-as-a-github-app-installation#about-authentication-as-a-github-app-installation>
/// (any user name serves a personal token, an installation's needs this one).
pub(crate) fn login(token: &SecretString) -> SecretString {
    STANDARD.encode(format!("x-access-token:{}", token.expose_secret())).into()
}

/// The version of the git that we would start.
pub(crate) async fn version() -> Option<String> {
    let told = Program::new("git").arg("--version").limits(Limits::seconds(10)).run().await.ok()?;
    told.text().trim().strip_prefix("git version ").map(str::to_owned)
}

impl Git {
    pub(super) fn new(server: &str, tokens: Arc<dyn Tokens>, limits: CheckoutLimits) -> Self {
        Self { server: server.trim_end_matches('/').to_owned(), tokens, limits }
    }

    /// Where a repository is fetched from.
    pub(super) fn url(&self, name: &RepoName) -> String {
        format!("{}/{name}.git", self.server)
    }

    /// Git with these arguments, for work on our own disk.
    pub(super) fn local(&self, args: &[&str]) -> Program {
        self.program(args, CONFIG, self.limits.local)
    }

    /// Git with these arguments, for talking to the server.
    pub(super) async fn remote(&self, args: &[&str]) -> Result<Program, Fault> {
        let token = self.tokens.token().await?;
        let authorization: SecretString = format!("Authorization: Basic {}", login(&token).expose_secret()).into();
        let allowed = format!("protocol.{}.allow", self.server.split(':').next().unwrap_or("https"));
        let config = [CONFIG, &[(allowed.as_str(), "always")]].concat();
        let header = config.len();
        let program = self
            .program(args, &config, self.limits.fetch)
            .env(format!("GIT_CONFIG_KEY_{header}"), format!("http.{}/.extraHeader", self.server))
            .secret_env(format!("GIT_CONFIG_VALUE_{header}"), authorization)
            .env("GIT_CONFIG_COUNT", (header + 1).to_string());
        Ok(PASSED_ON.iter().fold(program, |program, name| program.inherit_env(name)))
    }

    fn program(&self, args: &[&str], config: &[(&str, &str)], limit: Duration) -> Program {
        let program = Program::new("git")
            .args(args)
            .env("GIT_CONFIG_NOSYSTEM", "1")
            .env("GIT_CONFIG_GLOBAL", "/dev/null")
            .env("GIT_ATTR_NOSYSTEM", "1")
            .env("GIT_TERMINAL_PROMPT", "0")
            .env("GIT_CONFIG_COUNT", config.len().to_string())
            .env("HOME", "/nonexistent")
            .env("LC_ALL", "C")
            .limits(Limits { total: limit, silence: limit, ..Limits::seconds(0) })
            .umask(0o022)
            // A pack holds all files of a commit at most.
            .largest_file(self.limits.bytes + OVERHEAD)
            .memory(self.limits.memory);
        config.iter().enumerate().fold(program, |program, (n, (key, value))| {
            program.env(format!("GIT_CONFIG_KEY_{n}"), key).env(format!("GIT_CONFIG_VALUE_{n}"), value)
        })
    }
}
