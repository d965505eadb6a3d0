//! An nginx with a configuration, a pid file and a port of its own.

use std::net::{Ipv4Addr, SocketAddr};
use std::path::{Path, PathBuf};

use preview_exec::Program;
use tempfile::TempDir;

use super::{Running, listens};
use crate::free_port;

/// An nginx of the test's own; it ends when this is dropped.
#[derive(Debug)]
pub struct PrivateNginx {
    address: SocketAddr,
    dir: TempDir,
    _running: Running,
}

impl PrivateNginx {
    /// Starts one on a free port.
    pub async fn on_a_free_port(http: impl FnOnce(&Path, SocketAddr) -> String) -> Self {
        Self::start(SocketAddr::from((Ipv4Addr::LOCALHOST, free_port())), http).await
    }

    /// Starts one that listens there. `http` gives what its `http` block has besides what every test needs; it is told nginx's
    /// folder, where it may put files that it includes.
    pub async fn start(address: SocketAddr, http: impl FnOnce(&Path, SocketAddr) -> String) -> Self {
        let dir = TempDir::with_prefix("preview-nginx-").expect("a folder can be made");
        std::fs::create_dir(dir.path().join("temp")).expect("a folder can be made");
        let text = configuration(dir.path(), &http(dir.path(), address));
        std::fs::write(dir.path().join("nginx.conf"), text).expect("its configuration can be written");
        let program = Program::new("nginx").args(arguments(dir.path())).args(["-g", "daemon off;"]);
        let running = Running::start("nginx-light", program);
        listens(&running, address).await;
        Self { address, dir, _running: running }
    }

    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Its folder.
    pub fn dir(&self) -> &Path {
        self.dir.path()
    }

    /// The folder for what a router writes.
    pub fn config_dir(&self) -> PathBuf {
        self.dir().join("previews")
    }

    /// A command line that says this to it.
    pub fn command(&self, last: &[&str]) -> String {
        let words = ["nginx".to_owned()].into_iter().chain(arguments(self.dir()));
        words.chain(last.iter().map(|word| (*word).to_owned())).collect::<Vec<_>>().join(" ")
    }

    /// How often it was told to read its configuration again.
    pub fn reloads(&self) -> usize {
        let log = std::fs::read_to_string(self.dir().join("error.log")).expect("it has a log");
        log.matches("signal process started").count()
    }
}

fn arguments(dir: &Path) -> [String; 4] {
    let dir = dir.display();
    ["-p".to_owned(), dir.to_string(), "-c".to_owned(), format!("{dir}/nginx.conf")]
}

/// What Debian's own configuration has around a site, with all files in one folder.
fn configuration(dir: &Path, http: &str) -> String {
    let dir = dir.display();
    let temporary = ["client_body", "proxy", "fastcgi", "uwsgi", "scgi"]
        .map(|kind| format!("{kind}_temp_path {dir}/temp/{kind};"))
        .join(" ");
    // Run by root, its workers read what root's temporary folder holds; run by anybody else, they are theirs anyway.
    format!(
        "user root; pid {dir}/nginx.pid; error_log {dir}/error.log notice; worker_processes 2;
         events {{ worker_connections 512; }}
         http {{ access_log off; server_names_hash_bucket_size 128; {temporary}\n{http} }}"
    )
}
