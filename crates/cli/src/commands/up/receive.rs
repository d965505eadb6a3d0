//! A laptop's folder, on the server: it comes over standard input, and is up for as long as that lasts.
//!
//! The story is the one of `preview up`, with a service, a ledger, ports and a network of its own, so that the installed service beside
//! it knows nothing of it. However it ends, nothing of the folder stays.

use std::os::fd::AsFd;
use std::path::PathBuf;

use tokio::fs::File;
use tokio::io::BufReader;

use super::super::demo::{Afar, Local, Show, Signals};
use super::wire::{self, Word};
use crate::error::Failure;
use crate::ui;

/// Where a folder has room: /tmp may be memory.
const ROOMY: &str = "/var/tmp";

pub(super) async fn run(once: bool, json: bool, mut signals: Signals) -> Result<(), Failure> {
    let scratch = super::scratch_in(&room())?;
    let input = std::fs::File::from(std::io::stdin().as_fd().try_clone_to_owned()?);
    let mut input = BufReader::new(File::from_std(input));
    ui::line(Word::Ready.to_string());
    let taken = async {
        let bundle = scratch.path().join("folder.bundle");
        let parcel = wire::take(&mut input, &bundle).await?;
        let local = Local::of_bundle(&bundle, &parcel.name, scratch.path()).await?;
        tokio::fs::remove_file(&bundle).await?;
        Ok((parcel, local))
    };
    let (parcel, local) = signals.unless_asked(taken).await?;
    signals.end_with(wire::until_gone(input));
    let ready = |port| ui::line(Word::Port(port).to_string());
    let afar = Afar { port: parcel.port, folder: scratch.path().to_owned(), ready };
    Show::of_folder(local, once, json, Some(afar)).perform(signals).await
}

fn room() -> PathBuf {
    std::env::var_os("TMPDIR").filter(|folder| !folder.is_empty()).map_or_else(|| ROOMY.into(), PathBuf::from)
}
