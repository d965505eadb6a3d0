//! The road from a bare machine to a working server: what Terraform is told, what Ansible does, and, where `DROPLET=1` asks for it, a
//! machine with systemd that they are really done to, over SSH.

mod ansible;
mod encrypted;
mod guide;
mod hcl;
mod laptop;
#[path = "../e2e/load.rs"]
mod load;
mod machine;
mod provider;
mod scene;
mod server;
mod story;
mod terraform;

use std::path::PathBuf;

use preview_exec::Program;

/// The repository.
fn root() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../..").canonicalize().unwrap()
}

/// Whether a program is in PATH.
fn has(program: &str) -> bool {
    let path = std::env::var_os("PATH").unwrap_or_default();
    std::env::split_paths(&path).any(|folder| folder.join(program).is_file())
}

/// Whether the long tests were asked for, the ones that boot a machine.
fn is_asked_for() -> bool {
    std::env::var_os("DROPLET").is_some_and(|asked| asked != "0" && !asked.is_empty())
}

/// Says what did not run, or how far something long is.
#[expect(clippy::print_stderr, reason = "a test's output is for the person who runs it")]
fn tell(line: &str) {
    eprintln!("{line}");
}

/// A program of Ansible's, with its settings from `ansible/` and nothing of whoever runs the test.
fn ansible(program: &str) -> Program {
    let folder = root().join("ansible");
    let program = Program::new(program).env("ANSIBLE_CONFIG", folder.join("ansible.cfg")).dir(folder);
    program
        .env("LANG", "C.UTF-8")
        .env("ANSIBLE_NOCOLOR", "1")
        .env("ANSIBLE_LOCALHOST_WARNING", "false")
        .inherit_env("HOME")
}
