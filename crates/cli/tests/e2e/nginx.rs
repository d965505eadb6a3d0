//! A private nginx as an operator would configure it: a server block that includes the folder of previews.

use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use preview_exec::{Limits, Program};
use preview_simulator::free_port;
use tempfile::TempDir;
use tokio::task::JoinHandle;

/// It ends when this is dropped.
pub(crate) struct Nginx {
    pub(crate) port: u16,
    dir: TempDir,
    running: JoinHandle<()>,
}

impl Nginx {
    /// Starts it on a free port.
    pub(crate) async fn start() -> Self {
        let dir = tempfile::Builder::new().prefix("preview-nginx-").tempdir().unwrap();
        let port = free_port();
        for folder in ["previews", "temp"] {
            std::fs::create_dir_all(dir.path().join(folder)).unwrap();
        }
        std::fs::write(dir.path().join("nginx.conf"), configuration(dir.path(), port)).unwrap();
        let running = run(dir.path(), port).await;
        Self { port, dir, running }
    }

    /// Ends it, with all its workers.
    pub(crate) async fn stop(&mut self) {
        self.running.abort();
        // Dropping what ran it has killed it by then.
        let _ = (&mut self.running).await;
    }

    /// Starts it again.
    pub(crate) async fn start_again(&mut self) {
        self.running = run(self.dir.path(), self.port).await;
    }

    /// A file that the configuration includes and that is nobody's business but its owner's.
    pub(crate) fn foreign_file(&self) -> PathBuf {
        self.dir.path().join("foreign.conf")
    }

    /// What the service is told of it.
    pub(crate) fn settings(&self) -> Vec<(String, String)> {
        let settings = [
            ("ROUTER", "nginx".to_owned()),
            ("NGINX_CONFIG_DIR", self.dir.path().join("previews").display().to_string()),
            ("NGINX_TEST_COMMAND", command(self.dir.path(), "-t")),
            ("NGINX_RELOAD_COMMAND", command(self.dir.path(), "-s reload")),
        ];
        settings.map(|(name, value)| (name.to_owned(), value)).to_vec()
    }

    /// Files of previews in the included folder.
    pub(crate) fn preview_files(&self) -> Vec<String> {
        let files = std::fs::read_dir(self.dir.path().join("previews")).unwrap();
        let names = files.map(|entry| entry.unwrap().file_name().into_string().unwrap());
        names.filter(|name| name.contains("-pr-")).collect()
    }
}

impl Drop for Nginx {
    fn drop(&mut self) {
        self.running.abort();
    }
}

async fn run(dir: &Path, port: u16) -> JoinHandle<()> {
    let words = command(dir, "");
    let program = Program::new("nginx").args(words.split_whitespace().skip(1)).args(["-g", "daemon off;"]);
    let running = tokio::spawn(async move {
        let ended = program.limits(Limits::seconds(1200)).run().await;
        panic!("nginx did not run: {ended:?}");
    });
    let begun = Instant::now();
    while tokio::net::TcpStream::connect(("127.0.0.1", port)).await.is_err() {
        assert!(begun.elapsed() < Duration::from_secs(20) && !running.is_finished(), "nginx does not answer");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    running
}

fn command(dir: &Path, last: &str) -> String {
    let dir = dir.display();
    format!("nginx -p {dir} -c {dir}/nginx.conf {last}")
}

fn configuration(dir: &Path, port: u16) -> String {
    let dir = dir.display();
    let temporary: Vec<String> = ["client_body", "proxy", "fastcgi", "uwsgi", "scgi"]
        .map(|kind| format!("{kind}_temp_path {dir}/temp/{kind};"))
        .to_vec();
    // Run by root, its workers read what root's temporary folder holds; run by anybody else, they are theirs anyway.
    format!(
        "user root; pid {dir}/nginx.pid; error_log {dir}/error.log notice; worker_processes 2;\n\
         events {{ worker_connections 512; }}\n\
         http {{ access_log off; {}\n include {dir}/foreign*.conf;\n\
         server {{ listen 127.0.0.1:{port}; include {dir}/previews/*.conf; }} }}",
        temporary.join(" ")
    )
}
