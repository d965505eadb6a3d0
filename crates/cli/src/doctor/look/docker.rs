//! The engine's socket, and the versions of engine and plugins.

use std::io::ErrorKind;
use std::os::unix::net::UnixStream;

use preview_exec::{Limits, Program};

use crate::doctor::facts::{Docker, Look, Socket};

pub(super) async fn look(host: String) -> Docker {
    let socket = socket(&host);
    let ask = async |args: &[&str]| -> Look<String> {
        let docker = Program::new("docker").args(["--host", &host]).args(args).inherit_env("HOME");
        super::first_line(docker.limits(Limits::seconds(15)).run().await)
    };
    let (engine, compose, buildx) = tokio::join!(
        ask(&["version", "--format", "{{.Server.Version}}"]),
        ask(&["compose", "version", "--short"]),
        ask(&["buildx", "version"]),
    );
    // It says `github.com/docker/buildx v0.13.1 3e9b5a6`.
    let buildx = buildx.map(|line| line.split_whitespace().nth(1).unwrap_or(&line).to_owned());
    Docker { socket, engine, compose, buildx }
}

fn socket(host: &str) -> Socket {
    let Some(path) = host.strip_prefix("unix://") else {
        return Socket::Closed(format!("`{host}` is no address of an engine on this machine"));
    };
    match UnixStream::connect(path) {
        Ok(_) => Socket::Opens,
        Err(error) if error.kind() == ErrorKind::PermissionDenied => Socket::Forbidden,
        Err(error) => Socket::Closed(format!("{path}: {error}")),
    }
}
