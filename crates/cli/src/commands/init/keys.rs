//! The key that opens the server: the person's own, or one that is made for a new server.

use std::path::{Path, PathBuf};

use preview_exec::Program;

use super::Init;
use crate::error::{Failure, Kind};
use crate::installation::{Home, Server};

impl Init {
    /// The private key: what was said, else the person's own for a machine that is there, and a new pair for a new server, since
    /// DigitalOcean takes each key but once.
    pub(super) async fn key(&self, home: &Home, server: &Server) -> Result<PathBuf, Failure> {
        if let Some(key) = &self.ssh_key {
            return private_key(std::path::absolute(key)?);
        }
        match server {
            Server::Host(_) => {
                let folder = std::env::var_os("HOME").map(|home| Path::new(&home).join(".ssh"));
                let names = ["id_ed25519", "id_ecdsa", "id_rsa"].into_iter();
                let found = folder.into_iter().flat_map(|folder| names.clone().map(move |name| folder.join(name)));
                found.into_iter().find(|key| key.is_file()).ok_or_else(|| {
                    let failure = Failure::new("there is no SSH key in ~/.ssh").kind(Kind::Settings);
                    failure.hint("name the one that opens the machine with --ssh-key")
                })
            }
            Server::DigitalOcean(_) => made_key(home, self.flags.dry_run).await,
        }
    }
}

/// A file with a private key, as it seems.
fn private_key(key: PathBuf) -> Result<PathBuf, Failure> {
    let told = |failure: Failure| failure.kind(Kind::Settings).hint("name the private key's file with --ssh-key");
    let text = std::fs::read(&key).map_err(|error| {
        told(Failure::new(format!("the SSH key {} could not be read", key.display())).because(&error))
    })?;
    // Source: sshd(8), "AUTHORIZED_KEYS FILE FORMAT": what a public key's line begins with.
    if ["ssh-", "ecdsa-", "sk-"].iter().any(|kind| text.starts_with(kind.as_bytes())) {
        return Err(told(Failure::new(format!("{} is the public half of a key", key.display()))));
    }
    Ok(key)
}

/// The installation's own pair of keys, made if it isn't there.
async fn made_key(home: &Home, dry_run: bool) -> Result<PathBuf, Failure> {
    let key = home.key();
    if key.exists() || dry_run {
        return Ok(key);
    }
    home.make()?;
    let make =
        Program::new("ssh-keygen").args(["-q", "-t", "ed25519", "-N", "", "-C", "preview-deployer", "-f"]).arg(&key);
    make.run()
        .await
        .map_err(|error| Failure::from(error).hint("install an SSH client, or name a key of yours with --ssh-key"))?;
    Ok(key)
}
