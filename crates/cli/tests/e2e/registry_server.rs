//! A registry on this machine; an engine trusts those on the loopback address without TLS.

use std::time::{Duration, Instant};

use preview_exec::{Limits, Program};
use preview_simulator::free_port;
use tempfile::TempDir;
use tokio::task::JoinHandle;

/// It ends when this is dropped.
pub(crate) struct Server {
    /// `127.0.0.1:5000`
    pub(crate) address: String,
    running: JoinHandle<()>,
    _dir: TempDir,
}

impl Server {
    pub(crate) async fn start() -> Self {
        let dir = tempfile::Builder::new().prefix("preview-registry-").tempdir().unwrap();
        let port = free_port();
        let config = dir.path().join("config.yml");
        let storage = dir.path().join("images");
        let text = format!(
            "version: 0.1\nlog: {{level: warn}}\nstorage: {{filesystem: {{rootdirectory: {}}}}}\nhttp: {{addr: '127.0.0.1:{port}'}}\n",
            storage.display()
        );
        std::fs::write(&config, text).unwrap();
        let program = Program::new("docker-registry").arg("serve").arg(config).limits(Limits::seconds(1200));
        let running = tokio::spawn(async move {
            let ended = program.run().await;
            panic!("the registry did not run: {ended:?}");
        });
        let begun = Instant::now();
        while tokio::net::TcpStream::connect(("127.0.0.1", port)).await.is_err() {
            assert!(
                begun.elapsed() < Duration::from_secs(20) && !running.is_finished(),
                "the registry does not answer"
            );
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        Self { address: format!("127.0.0.1:{port}"), running, _dir: dir }
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.running.abort();
    }
}
