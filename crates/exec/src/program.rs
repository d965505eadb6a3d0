//! What is to be run: a description that can be built, printed and inspected before anything starts.

use std::collections::BTreeMap;
use std::ffi::{OsStr, OsString};
use std::fmt;
use std::os::fd::OwnedFd;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use rustix::fs::RawMode;
use secrecy::{ExposeSecret, SecretString};

/// An environment value that must not be printed.
pub type Secret = SecretString;

/// How long a program may take, and how much of its output is kept.
#[derive(Debug, Clone, Copy)]
pub struct Limits {
    /// From start to exit.
    pub total: Duration,
    /// Without a byte on either output stream.
    pub silence: Duration,
    /// Bytes kept of each output stream; the end is kept and the beginning dropped.
    pub kept: usize,
}

impl Limits {
    /// Both time limits the same, and 64 KiB kept.
    pub const fn seconds(seconds: u64) -> Self {
        let limit = Duration::from_secs(seconds);
        Self { total: limit, silence: limit, kept: 64 << 10 }
    }

    /// Keeps at most this many bytes of each output stream.
    pub const fn keeping(mut self, bytes: usize) -> Self {
        self.kept = bytes;
        self
    }
}

#[derive(Clone)]
enum Value {
    Plain(OsString),
    Secret(Secret),
}

/// A program, its arguments and the little world it may see.
#[derive(Clone)]
pub struct Program {
    pub(crate) name: OsString,
    pub(crate) args: Vec<OsString>,
    env: BTreeMap<OsString, Value>,
    pub(crate) dir: Option<PathBuf>,
    pub(crate) stdin: Vec<u8>,
    pub(crate) held: Vec<Arc<OwnedFd>>,
    pub(crate) umask: Option<RawMode>,
    pub(crate) largest_file: Option<u64>,
    pub(crate) memory: Option<u64>,
    pub(crate) limits: Limits,
}

impl Program {
    /// A program found in PATH (or by its path), with nothing in its environment but our PATH.
    pub fn new(name: impl AsRef<OsStr>) -> Self {
        let mut env = BTreeMap::new();
        if let Some(path) = std::env::var_os("PATH") {
            env.insert("PATH".into(), Value::Plain(path));
        }
        Self {
            name: name.as_ref().to_owned(),
            args: Vec::new(),
            env,
            dir: None,
            stdin: Vec::new(),
            held: Vec::new(),
            umask: None,
            largest_file: None,
            memory: None,
            limits: Limits::seconds(60),
        }
    }

    /// Adds one argument.
    pub fn arg(mut self, arg: impl AsRef<OsStr>) -> Self {
        self.args.push(arg.as_ref().to_owned());
        self
    }

    /// Adds arguments in their order.
    pub fn args<A: AsRef<OsStr>>(mut self, args: impl IntoIterator<Item = A>) -> Self {
        self.args.extend(args.into_iter().map(|arg| arg.as_ref().to_owned()));
        self
    }

    /// Sets an environment variable that anybody may see.
    pub fn env(mut self, key: impl AsRef<OsStr>, value: impl AsRef<OsStr>) -> Self {
        self.env.insert(key.as_ref().to_owned(), Value::Plain(value.as_ref().to_owned()));
        self
    }

    /// Sets an environment variable that is never printed.
    pub fn secret_env(mut self, key: impl AsRef<OsStr>, value: Secret) -> Self {
        self.env.insert(key.as_ref().to_owned(), Value::Secret(value));
        self
    }

    /// Passes a variable of ours on, if it is set.
    pub fn inherit_env(mut self, key: &str) -> Self {
        if let Some(value) = std::env::var_os(key) {
            self.env.insert(key.into(), Value::Plain(value));
        }
        self
    }

    /// Runs in this folder instead of ours.
    pub fn dir(mut self, dir: impl Into<PathBuf>) -> Self {
        self.dir = Some(dir.into());
        self
    }

    /// Gives these bytes on standard input; without this call it is empty.
    pub fn stdin(mut self, bytes: impl Into<Vec<u8>>) -> Self {
        self.stdin = bytes.into();
        self
    }

    /// Lets the program and whatever it starts hold this open file (a lock), beside others, until the last of them ends.
    pub fn holding(mut self, file: Arc<OwnedFd>) -> Self {
        self.held.push(file);
        self
    }

    /// Sets the mask of the permissions of files that it makes, so that they don't depend on how we were started.
    pub fn umask(mut self, mask: RawMode) -> Self {
        self.umask = Some(mask);
        self
    }

    /// Ends it (by SIGXFSZ) when it writes a file larger than this.
    pub fn largest_file(mut self, bytes: u64) -> Self {
        self.largest_file = Some(bytes);
        self
    }

    /// Gives it, and each program that it starts, no more memory of its own than this.
    pub fn memory(mut self, bytes: u64) -> Self {
        self.memory = Some(bytes);
        self
    }

    /// Replaces the limits (60 s and 64 KiB).
    pub fn limits(mut self, limits: Limits) -> Self {
        self.limits = limits;
        self
    }

    /// The program's name as people know it, for messages.
    pub fn display_name(&self) -> String {
        let base = std::path::Path::new(&self.name).file_name().unwrap_or(&self.name);
        base.to_string_lossy().into_owned()
    }

    pub(crate) fn environment(&self) -> impl Iterator<Item = (&OsStr, &OsStr)> {
        self.env.iter().map(|(key, value)| match value {
            Value::Plain(text) => (key.as_os_str(), text.as_os_str()),
            Value::Secret(secret) => (key.as_os_str(), OsStr::new(secret.expose_secret())),
        })
    }
}

impl fmt::Debug for Program {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Program")
            .field("name", &self.name)
            .field("args", &self.args)
            .field("env", &self.env.keys().collect::<Vec<_>>())
            .field("dir", &self.dir)
            .finish_non_exhaustive()
    }
}
