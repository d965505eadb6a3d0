//! A folder of this machine, up on a server: it goes there over SSH, and the preview's port comes back through the same connection.

use std::net::{Ipv4Addr, SocketAddr};
use std::path::{Path, PathBuf};
use std::pin::pin;
use std::process::ExitCode;
use std::time::Duration;

use preview_exec::{Limits, Output, Stream};
use serde_json::Value;
use tokio::io::{AsyncReadExt, AsyncWriteExt, DuplexStream};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::mpsc;
use tokio::task::JoinHandle;
use tokio::time::timeout;

use super::super::demo::{Local, Signals};
use super::wire::{self, Parcel, Word};
use crate::error::{Failure, Kind};
use crate::server::{self, Server};
use crate::ui;

/// Longer than anybody looks at a preview.
const LONGEST: Limits = Limits::seconds(30 * 24 * 60 * 60);
/// How long the server may take to answer through the tunnel.
const ANSWER: Duration = Duration::from_secs(15);

/// A folder that is packed.
pub(super) struct Packed {
    file: PathBuf,
    name: String,
    bytes: u64,
}

/// Packs a folder as it is.
pub(super) async fn pack(path: &Path, scratch: &Path) -> Result<Packed, Failure> {
    let packing = async {
        let local = Local::of_folder(path, scratch).await?;
        let file = scratch.join("folder.bundle");
        local.bundle(&file).await?;
        let bytes = tokio::fs::metadata(&file).await?.len();
        Ok::<_, Failure>(Packed { file, name: local.name().to_owned(), bytes })
    };
    let packed = ui::waiting("packing the folder", packing).await?;
    if packed.bytes > wire::MOST { Err(wire::too_large(packed.bytes)) } else { Ok(packed) }
}

/// A connection to a server that brings the folder up.
pub(super) struct Session<'a> {
    server: &'a Server,
    /// The socket at which the connection is shared.
    control: PathBuf,
    json: bool,
    /// The port that the preview has here. It is kept until `ssh` listens there.
    port: u16,
    kept: Option<TcpListener>,
    input: Input,
    /// The lines of the JSON that is on its way.
    record: String,
    /// What went wrong here, which is told once all is down over there.
    failure: Option<Failure>,
}

/// What goes to the server.
enum Input {
    /// Nothing, until it says that it takes a folder.
    Waiting(Packed, DuplexStream),
    /// The folder, and that we are here.
    Sending(JoinHandle<std::io::Result<()>>),
    /// No more.
    Over,
}

/// Brings a folder up on a server, and stays until somebody asks to stop. Gives the exit code of the command over there.
pub(super) async fn run(
    server: &Server,
    packed: Packed,
    scratch: &Path,
    words: &[&str],
    mut signals: Signals,
) -> Result<ExitCode, Failure> {
    let (ours, theirs) = tokio::io::duplex(64 << 10);
    let kept = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await?;
    let mut session = Session {
        server,
        control: scratch.join("ssh"),
        json: words.contains(&"--json"),
        port: kept.local_addr()?.port(),
        kept: Some(kept),
        input: Input::Waiting(packed, ours),
        record: String::new(),
        failure: None,
    };
    let ssh = server.session(&session.control, words)?.limits(LONGEST);
    let (lines, mut heard) = mpsc::unbounded_channel();
    let mut ended = pin!(ssh.status_fed(theirs, move |stream, line| drop(lines.send((stream, line.to_owned())))));
    let ended = loop {
        tokio::select! {
            biased;
            Some((stream, line)) = heard.recv() => session.hear(stream, &line).await,
            ended = &mut ended => break ended.map_err(server::missing)?,
            () = signals.asked() => session.stop()?,
        }
    };
    while let Ok((stream, line)) = heard.try_recv() {
        session.hear(stream, &line).await;
    }
    session.end(&ended)
}

impl Session<'_> {
    async fn hear(&mut self, stream: Stream, line: &str) {
        match (stream, Word::of(line)) {
            (Stream::Out, Some(Word::Ready)) => self.send(),
            (Stream::Out, Some(Word::Port(port))) => {
                if let Err(failure) = self.open(port).await {
                    // It is taken down over there first.
                    self.failure = Some(failure);
                    self.hang_up();
                }
            }
            // What is said by somebody else, before it is known who answers.
            _ if matches!(self.input, Input::Waiting(..)) => {}
            (Stream::Out, None) if self.json => self.hear_json(line),
            (Stream::Out, None) => ui::line(ui::harmless(line)),
            (Stream::Err, _) => ui::note(ui::harmless(line)),
        }
    }

    fn send(&mut self) {
        let Input::Waiting(packed, to) = std::mem::replace(&mut self.input, Input::Over) else { return };
        let parcel = Parcel { name: packed.name, port: self.port, bytes: packed.bytes };
        self.input = Input::Sending(tokio::spawn(async move { wire::send(&parcel, &packed.file, to).await }));
    }

    /// Has the port here lead to the one over there.
    async fn open(&mut self, there: u16) -> Result<(), Failure> {
        self.kept = None;
        self.server.forward(&self.control, self.port, there).await?;
        let here = SocketAddr::from((Ipv4Addr::LOCALHOST, self.port));
        let answers = async {
            let mut stream = TcpStream::connect(here).await?;
            stream.write_all(b"GET / HTTP/1.0\r\n\r\n").await?;
            stream.read_u8().await
        };
        match timeout(ANSWER, answers).await {
            Ok(Ok(_)) => Ok(()),
            _ => {
                let what = format!("{} lets nothing through to the preview's port", self.server.host());
                Err(Failure::new(what)
                    .hint("its SSH server has to allow that: `AllowTcpForwarding yes` in sshd_config"))
            }
        }
    }

    /// Prints the record as soon as it is whole.
    fn hear_json(&mut self, line: &str) {
        self.record.push_str(line);
        if let Ok(record) = serde_json::from_str::<Value>(&self.record) {
            self.record.clear();
            if let Err(failure) = ui::json(&record) {
                self.failure = Some(failure);
            }
        }
    }

    /// Has all of it taken down; before it has begun, there is nothing to wait for.
    fn stop(&mut self) -> Result<(), Failure> {
        match self.input {
            Input::Waiting(..) => Err(Failure::new("stopped before the folder was sent").kind(Kind::Interrupted)),
            Input::Sending(_) => {
                self.hang_up();
                Ok(())
            }
            Input::Over => {
                ui::note("Still taking everything down.");
                Ok(())
            }
        }
    }

    /// The end of its input is what the other side goes by.
    fn hang_up(&mut self) {
        if let Input::Sending(task) = std::mem::replace(&mut self.input, Input::Over) {
            task.abort();
            // It may have been at saying how far it is.
            ui::progress("");
        }
    }

    fn end(mut self, ended: &Output) -> Result<ExitCode, Failure> {
        if let Input::Waiting(..) = self.input {
            return Err(self.server.lost(ended).unwrap_or_else(|| not_taken(self.server, ended)));
        }
        self.hang_up();
        if let Some(failure) = self.failure {
            return Err(failure);
        }
        if let Some(lost) = self.server.lost(ended) {
            let what = format!("the connection to {} ended", self.server.host());
            let failure = Failure { what, hints: Vec::new(), ..lost };
            return Err(failure.hint("what was up over there is taken down within a minute, without anybody's doing"));
        }
        Ok(ExitCode::from(ended.status.code().and_then(|code| u8::try_from(code).ok()).unwrap_or(1)))
    }
}

/// Why a program that does not say that it takes a folder does not take one.
fn not_taken(server: &Server, ended: &Output) -> Failure {
    let said = |words: &str| ended.stderr.contains(words);
    let is_older = said("unexpected argument") || said("unrecognized subcommand");
    server.refused("takes no folder", ended).hint(match is_older {
        true => "its `preview` is older than this one: `preview upgrade` brings this version there",
        false => "is it set up? `preview setup` does that, and `preview doctor` looks",
    })
}
