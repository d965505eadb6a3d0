//! What a laptop and a server say to each other while a folder of the one is up on the other, over the standard streams of one SSH
//! connection.
//!
//! The server begins, with a line that says that it knows how; so nothing is sent to a program that does not. The laptop answers with a
//! line of JSON, a [`Parcel`], and the folder behind it, and from then on with a byte now and then, as long as it is there. The server
//! says which port the preview answers at; all other lines of its are for the person.

use std::fmt;
use std::path::Path;
use std::time::Duration;

use serde::{Deserialize, Serialize};
use tokio::fs::File;
use tokio::io::{AsyncBufRead, AsyncBufReadExt, AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::time::timeout;

use crate::error::Failure;
use crate::ui;

/// How often who is there says so.
const BEAT: Duration = Duration::from_secs(10);
/// After how long somebody who says nothing is not there any more.
const SILENCE: Duration = Duration::from_secs(60);
/// Longer than any first line.
const LONGEST_LINE: u64 = 4096;
/// The most that is sent of a folder, packed.
pub(super) const MOST: u64 = 250_000_000;

/// What every line begins with that is for the program.
const MARK: &str = "preview-up/1 ";

/// What the server's program says to the laptop's.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Word {
    /// It takes a folder now.
    Ready,
    /// The port of its loopback address at which the preview will answer.
    Port(u16),
}

impl Word {
    /// Of a line; `None` if it is for the person.
    pub(super) fn of(line: &str) -> Option<Self> {
        match line.strip_prefix(MARK)?.split_once(' ') {
            None if line.ends_with(" ready") => Some(Self::Ready),
            Some(("port", port)) => port.parse().ok().map(Self::Port),
            _ => None,
        }
    }
}

impl fmt::Display for Word {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Ready => write!(f, "{MARK}ready"),
            Self::Port(port) => write!(f, "{MARK}port {port}"),
        }
    }
}

/// What comes, and for where.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct Parcel {
    /// What people call the folder.
    pub(super) name: String,
    /// The laptop's port at which the preview is opened.
    pub(super) port: u16,
    /// How much of the folder follows.
    pub(super) bytes: u64,
}

/// Sends a folder, then says for ever that somebody is there. Ends when nobody listens.
pub(super) async fn send(parcel: &Parcel, file: &Path, mut to: impl AsyncWrite + Unpin) -> std::io::Result<()> {
    let mut line = serde_json::to_vec(parcel)?;
    line.push(b'\n');
    to.write_all(&line).await?;
    let (mut file, mut buffer, mut sent) = (File::open(file).await?, vec![0; 64 << 10], 0);
    loop {
        let read = file.read(&mut buffer).await?;
        if read == 0 {
            break;
        }
        to.write_all(&buffer[..read]).await?;
        sent += read as u64;
        ui::progress(&format!("sending the folder: {} of {} …", size(sent), size(parcel.bytes)));
    }
    ui::progress("");
    loop {
        tokio::time::sleep(BEAT).await;
        to.write_all(b".").await?;
    }
}

/// Takes what a laptop sends into a file.
pub(super) async fn take(from: &mut (impl AsyncBufRead + Unpin), into: &Path) -> Result<Parcel, Failure> {
    let mut line = String::new();
    within(SILENCE, (&mut *from).take(LONGEST_LINE).read_line(&mut line)).await?;
    let parcel: Parcel = serde_json::from_str(&line).map_err(|error| {
        let failure = Failure::new("what came is no folder of a `preview` that this one knows").because(&error);
        failure.hint(
            "`preview up --on-server`, on a laptop, sends one; `preview upgrade` there brings both to one version",
        )
    })?;
    if parcel.bytes > MOST {
        return Err(too_large(parcel.bytes));
    }
    let (mut file, mut buffer, mut left) =
        (File::create_new(into).await?, vec![0; 64 << 10], (&mut *from).take(parcel.bytes));
    while left.limit() > 0 {
        let read = within(SILENCE, left.read(&mut buffer)).await?;
        if read == 0 {
            return Err(cut_short(parcel.bytes - left.limit(), parcel.bytes));
        }
        file.write_all(&buffer[..read]).await?;
    }
    file.flush().await?;
    Ok(parcel)
}

fn cut_short(came: u64, bytes: u64) -> Failure {
    Failure::new(format!("the connection ended when {} of {} of the folder had come", size(came), size(bytes)))
}

async fn within<T>(limit: Duration, work: impl Future<Output = std::io::Result<T>>) -> Result<T, Failure> {
    let silent = |_| Failure::new(format!("nothing came for {} s, so nobody is there any more", limit.as_secs()));
    Ok(timeout(limit, work).await.map_err(silent)??)
}

/// Waits until the laptop is not there any more: it hung up, or says nothing.
pub(super) async fn until_gone(from: impl AsyncRead + Unpin) {
    until_silent(from, SILENCE).await;
}

async fn until_silent(mut from: impl AsyncRead + Unpin, limit: Duration) {
    let mut buffer = [0; 64];
    while within(limit, from.read(&mut buffer)).await.is_ok_and(|read| read > 0) {}
}

/// A folder of which there is too much.
pub(super) fn too_large(bytes: u64) -> Failure {
    let what = format!("the folder is {} when it is packed, and at most {} are sent", size(bytes), size(MOST));
    Failure::new(what).hint("name in .gitignore what the build does not need; what it names stays here")
}

/// `12.3 MB`, `4 KB`.
fn size(bytes: u64) -> String {
    match bytes {
        0..1_000_000 => format!("{} KB", bytes.div_ceil(1000)),
        _ => format!("{}.{} MB", bytes / 1_000_000, bytes % 1_000_000 / 100_000),
    }
}

#[cfg(test)]
mod tests {
    use tokio::io::BufReader;

    use super::*;

    #[test]
    fn words_are_told_from_lines_for_people() {
        for word in [Word::Ready, Word::Port(4711)] {
            assert_eq!(Word::of(&word.to_string()), Some(word));
        }
        for line in
            ["", "ready", "preview-up/2 ready", "preview-up/1 port", "preview-up/1 port 99999", " preview-up/1 ready"]
        {
            assert_eq!(Word::of(line), None, "{line}");
        }
    }

    async fn taken(sent: &[u8]) -> Result<(Parcel, Vec<u8>, Vec<u8>), Failure> {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("file");
        let mut from = BufReader::new(sent);
        let parcel = take(&mut from, &file).await?;
        let mut rest = Vec::new();
        from.read_to_end(&mut rest).await.unwrap();
        Ok((parcel, std::fs::read(file).unwrap(), rest))
    }

    #[tokio::test]
    async fn a_folder_is_taken_whole_and_nothing_of_what_follows() {
        let (parcel, file, rest) = taken(b"{\"name\":\"x\",\"port\":7,\"bytes\":3}\nabc..").await.unwrap();
        assert_eq!((parcel.name.as_str(), parcel.port, &file[..], &rest[..]), ("x", 7, &b"abc"[..], &b".."[..]));
    }

    #[tokio::test]
    async fn what_is_cut_short_too_large_or_something_else_is_refused() {
        for (sent, why) in [
            (&b"{\"name\":\"x\",\"port\":7,\"bytes\":2000}\nabc"[..], "ended when 1 KB of 2 KB"),
            (b"{\"name\":\"x\",\"port\":7,\"bytes\":300000000}\n", "the folder is 300.0 MB when it is packed"),
            (b"GET / HTTP/1.1\n", "no folder of a `preview` that this one knows"),
            (b"", "no folder of a `preview` that this one knows"),
        ] {
            let failure = taken(sent).await.unwrap_err();
            assert!(failure.what.contains(why), "{failure:?}");
        }
    }

    #[tokio::test]
    async fn who_hangs_up_or_says_nothing_any_more_is_gone() {
        until_gone(&b"..."[..]).await;
        let (mut laptop, server) = tokio::io::duplex(64);
        let limit = Duration::from_millis(500);
        let gone = tokio::spawn(until_silent(server, limit));
        for _ in 0..4 {
            tokio::time::sleep(limit / 2).await;
            laptop.write_all(b".").await.unwrap();
        }
        assert!(!gone.is_finished(), "who says something now and then is there");
        gone.await.unwrap();
    }
}
