//! A real SSH server, which writes down what it is asked instead of doing it.

use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::time::{Duration, Instant};

use preview_exec::{Limits, Program};
use tokio::task::JoinHandle;

use crate::rig::Rig;

const SSHD: &str = "/usr/sbin/sshd";

/// What it does in place of every command.
const NOTE: &str = r#"#!/bin/sh
echo "$SSH_ORIGINAL_COMMAND" >>"$(dirname "$0")/asked"
cat >>"$(dirname "$0")/said"
"#;

/// The server; it ends when this is dropped.
struct Sshd {
    task: JoinHandle<()>,
    port: u16,
}

impl Drop for Sshd {
    fn drop(&mut self) {
        self.task.abort();
    }
}

async fn keygen(file: &Path) {
    let make = Program::new("ssh-keygen").args(["-q", "-t", "ed25519", "-N", "", "-f"]).arg(file);
    make.run().await.unwrap();
}

impl Sshd {
    /// Lets in whom the person's key opens it to.
    async fn start(rig: &Rig, port: u16) -> Self {
        let host_key = rig.path("host_key");
        let _ = (std::fs::remove_file(&host_key), std::fs::remove_file(rig.path("host_key.pub")));
        keygen(&host_key).await;
        let command = rig.path("note");
        std::fs::write(&command, NOTE).unwrap();
        std::fs::set_permissions(&command, std::fs::Permissions::from_mode(0o755)).unwrap();
        let settings = format!(
            "Port {port}\nListenAddress 127.0.0.1\nHostKey {}\nAuthorizedKeysFile {}\nForceCommand {}\nPidFile none\nStrictModes no\n\
             UsePAM no\nMaxAuthTries 4\nPasswordAuthentication no\nKbdInteractiveAuthentication no\n",
            host_key.display(),
            rig.path("person/.ssh/id_ed25519.pub").display(),
            command.display(),
        );
        let file = rig.path("sshd_config");
        std::fs::write(&file, settings).unwrap();
        // Where the part that has no rights lives.
        std::fs::create_dir_all("/run/sshd").unwrap();
        let program = Program::new(SSHD).args(["-D", "-e", "-f"]).arg(file).limits(Limits::seconds(600));
        let task = tokio::spawn(async move { drop(program.run().await) });
        let begun = Instant::now();
        while tokio::net::TcpStream::connect(("127.0.0.1", port)).await.is_err() {
            assert!(begun.elapsed() < Duration::from_secs(20), "sshd does not start");
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
        Self { task, port }
    }
}

/// A rig without stand-ins for SSH, and with a real key of the person's.
async fn real() -> Rig {
    let rig = Rig::new().await;
    std::fs::remove_file(rig.path("bin/ssh")).unwrap();
    for half in ["id_ed25519", "id_ed25519.pub"] {
        std::fs::remove_file(rig.path("person/.ssh").join(half)).unwrap();
    }
    keygen(&rig.path("person/.ssh/id_ed25519")).await;
    rig
}

#[tokio::test]
async fn an_agent_with_many_other_keys_uses_up_no_tries() {
    let rig = real().await;
    let socket = rig.path("agent");
    let agent = Program::new("ssh-agent").args(["-D", "-a"]).arg(&socket).limits(Limits::seconds(600));
    let agent = tokio::spawn(async move { drop(agent.run().await) });
    let begun = Instant::now();
    while tokio::net::UnixStream::connect(&socket).await.is_err() {
        assert!(begun.elapsed() < Duration::from_secs(20), "ssh-agent does not start");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    for number in 0..5 {
        let key = rig.path(&format!("key-{number}"));
        keygen(&key).await;
        Program::new("ssh-add").arg("-q").arg(&key).env("SSH_AUTH_SOCK", &socket).run().await.unwrap();
    }
    let server = Sshd::start(&rig, preview_simulator::free_port()).await;
    rig.init(&["--host", &format!("root@127.0.0.1:{}", server.port)]).await;
    let (code, text) = rig.ended(rig.program(&["setup", "--yes"]).env("SSH_AUTH_SOCK", &socket)).await;
    assert_eq!(code, 0, "{text}");
    agent.abort();
}

#[tokio::test]
async fn the_real_ssh_reaches_a_real_server_and_knows_it_again() {
    let rig = real().await;
    let server = Sshd::start(&rig, preview_simulator::free_port()).await;
    rig.init(&["--host", &format!("root@127.0.0.1:{}", server.port)]).await;
    let (code, text) = rig.run(&["setup", "--yes"]).await;
    assert_eq!(code, 0, "{text}");
    let asked = std::fs::read_to_string(rig.path("asked")).unwrap();
    assert!(asked.lines().all(|line| line == "sh -s") && asked.lines().count() == 2, "{asked}");
    assert!(std::fs::read_to_string(rig.path("said")).unwrap().contains("cloud-init status --wait"));
    let known = std::fs::read_to_string(rig.home("known_hosts")).unwrap();
    // Debian has names hashed there.
    assert!(known.lines().count() == 1 && known.contains(" ssh-ed25519 "), "{known}");

    // Another machine at the same address.
    let port = server.port;
    drop(server);
    let begun = Instant::now();
    while tokio::net::TcpStream::connect(("127.0.0.1", port)).await.is_ok() {
        assert!(begun.elapsed() < Duration::from_secs(20), "sshd does not end");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    let _other = Sshd::start(&rig, port).await;
    let (code, text) = rig.run(&["setup", "--yes"]).await;
    assert!(code == 1 && text.contains("hint: another machine answers there"), "{text}");

    // One that another key opens.
    std::fs::remove_file(rig.home("known_hosts")).unwrap();
    std::fs::rename(rig.path("person/.ssh/id_ed25519.pub"), rig.path("person/.ssh/mine.pub")).unwrap();
    keygen(&rig.path("other")).await;
    std::fs::copy(rig.path("other.pub"), rig.path("person/.ssh/id_ed25519.pub")).unwrap();
    let (code, text) = rig.run(&["setup", "--yes"]).await;
    assert!(code == 1 && text.contains("Permission denied") && text.contains("hint: does `ssh_key`"), "{text}");
}
