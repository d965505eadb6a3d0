//! What stands in a step's way, put there from outside: an engine that refuses or says nothing, a reload that fails or hangs,
//! GitHub out of order, a ledger or a folder that can't be written.

use std::fs::{self, OpenOptions};
use std::net::TcpStream;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use preview_simulator::{Fault, Matching};
use rustix::fs::{FlockOperation, flock, mkfifoat};
use rustix::mount::{MountFlags, UnmountFlags, mount, unmount};
use tokio::io::{AsyncReadExt, AsyncWriteExt, copy_bidirectional};
use tokio::net::{UnixListener, UnixStream};
use tokio::sync::watch;
use tokio::task::JoinHandle;

use crate::gate::Deed;
use crate::rig::Rig;

/// How a step is disturbed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Trouble {
    /// What it asks for is refused.
    Error,
    /// What it asks for is never answered.
    Hang,
}

/// Longer than anything waits.
const FOR_EVER: Duration = Duration::from_secs(3600);

/// Something that is put in the way and taken away again.
pub(crate) struct Obstacle {
    pub(crate) put: Deed,
    pub(crate) lift: Deed,
}

impl Obstacle {
    fn new(put: impl FnOnce() + Send + 'static, lift: impl FnOnce() + Send + 'static) -> Self {
        Self { put: Box::new(put), lift: Box::new(lift) }
    }

    /// The engine refuses every request, or answers none.
    pub(crate) fn engine(door: &EngineDoor, trouble: Trouble) -> Self {
        let mode = match trouble {
            Trouble::Error => Mode::Refusing,
            Trouble::Hang => Mode::Silent,
        };
        let set = |door: watch::Sender<Mode>, mode| {
            move || {
                door.send_replace(mode);
            }
        };
        Self::new(set(door.mode.clone(), mode), set(door.mode.clone(), Mode::Open))
    }

    /// GitHub has trouble with these requests.
    pub(crate) fn github(rig: &Rig, matching: Matching, trouble: Trouble) -> Self {
        let fault = match trouble {
            Trouble::Error => Fault::Status(503),
            Trouble::Hang => Fault::Hang(FOR_EVER),
        };
        let armed = Arc::new(AtomicBool::new(false));
        let is_armed = armed.clone();
        let matching = Matching::new(move |request| is_armed.load(Ordering::SeqCst) && matching.matches(request));
        let guard = rig.github_fails(matching, fault);
        Self::new(move || armed.store(true, Ordering::SeqCst), move || drop(guard))
    }

    /// nginx can't be told to read its configuration again: see [`reload_command`].
    pub(crate) fn reload(rig: &Rig, trouble: Trouble) -> Self {
        let mood = mood_of_reload(rig.dir.path());
        let word = match trouble {
            Trouble::Error => "refuse",
            Trouble::Hang => "hang",
        };
        let lifted = mood.clone();
        Self::new(move || fs::write(mood, word).unwrap(), move || fs::remove_file(lifted).unwrap())
    }

    /// The ledger can't be written: the file that its next text goes to is a folder, or a pipe that nobody reads.
    pub(crate) fn ledger(rig: &Rig, trouble: Trouble) -> Self {
        let fresh = rig.dir.path().join("state/deployments.json.new");
        let lifted = fresh.clone();
        match trouble {
            Trouble::Error => Self::new(move || make_folder_at(&fresh), move || fs::remove_dir(lifted).unwrap()),
            Trouble::Hang => {
                let put = move || {
                    gone_is_fine(fs::remove_file(&fresh));
                    mkfifoat(rustix::fs::CWD, &fresh, rustix::fs::Mode::from_raw_mode(0o600)).unwrap();
                };
                // Who waits to write is let go by a reader, and finds no one any more.
                let lift = move || {
                    let reader = OpenOptions::new().read(true).custom_flags(NONBLOCK).open(&lifted).unwrap();
                    fs::remove_file(&lifted).unwrap();
                    drop(reader);
                };
                Self::new(put, lift)
            }
        }
    }

    /// A deployment's lock can't be opened, or somebody else holds it.
    pub(crate) fn lock(rig: &Rig, id: &str, trouble: Trouble) -> Self {
        let lock = rig.dir.path().join("deployments").join(id).join("lock");
        let lifted = lock.clone();
        match trouble {
            Trouble::Error => Self::new(move || make_folder_at(&lock), move || fs::remove_dir(lifted).unwrap()),
            Trouble::Hang => {
                let (held, holder) = std::sync::mpsc::channel();
                let put = move || {
                    fs::create_dir_all(lock.parent().unwrap()).unwrap();
                    let file = OpenOptions::new().create(true).truncate(false).write(true).open(&lock).unwrap();
                    flock(&file, FlockOperation::NonBlockingLockExclusive).unwrap();
                    held.send(file).unwrap();
                };
                Self::new(put, move || drop(holder))
            }
        }
    }

    /// A visitor of the old slot who never leaves.
    pub(crate) fn visitor(rig: &Rig, id: &str) -> Self {
        let (ledger, id) = (rig.dir.path().join("state/deployments.json"), id.to_owned());
        let (came, visitor) = std::sync::mpsc::channel();
        let put = move || {
            let ledger: serde_json::Value = serde_json::from_slice(&fs::read(ledger).unwrap()).unwrap();
            let port = ledger["deployments"][&id]["attempt"]["appPort"].as_u64().unwrap();
            came.send(TcpStream::connect(("127.0.0.1", u16::try_from(port).unwrap())).unwrap()).unwrap();
        };
        Self::new(put, move || drop(visitor))
    }

    /// A folder that can't be removed: something is mounted in it.
    pub(crate) fn mounted(folder: PathBuf) -> Self {
        let inside = folder.join("held");
        let lifted = inside.clone();
        let put = move || {
            fs::create_dir_all(&inside).unwrap();
            mount_tmpfs(&inside, 64 << 10);
        };
        Self::new(put, move || unmount(lifted, UnmountFlags::DETACH).unwrap())
    }
}

/// `O_NONBLOCK`
const NONBLOCK: i32 = 0o4000;

/// Puts a folder where a file is expected.
fn make_folder_at(path: &Path) {
    gone_is_fine(fs::remove_file(path));
    fs::create_dir_all(path).unwrap();
}

fn gone_is_fine(result: std::io::Result<()>) {
    assert!(result.is_ok() || result.is_err_and(|error| error.kind() == std::io::ErrorKind::NotFound));
}

/// Mounts an empty file system of this size; only root may.
pub(crate) fn mount_tmpfs(on: &Path, bytes: usize) {
    let options = std::ffi::CString::new(format!("size={bytes}")).unwrap();
    mount("tmpfs", on, "tmpfs", MountFlags::empty(), Some(options.as_c_str())).expect("root may mount");
}

// ---------------------------------------------------------------------------------------------------------------- nginx

fn mood_of_reload(dir: &Path) -> PathBuf {
    dir.join("mood-of-reload")
}

/// A command that does what `command` does, unless there is a file that says that it should refuse or hang.
pub(crate) fn moody_reload(dir: &Path, command: &str) -> String {
    let script = dir.join("reload");
    let mood = mood_of_reload(dir).display().to_string();
    let text = format!(
        "case $(cat {mood} 2>/dev/null) in\nrefuse) echo 'told to refuse' >&2; exit 1 ;;\nhang) exec sleep 3600 ;;\nesac\nexec {command}\n"
    );
    fs::write(&script, text).unwrap();
    format!("sh {}", script.display())
}

// ------------------------------------------------------------------------------------------------------------ the engine

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Mode {
    Open,
    Refusing,
    Silent,
}

/// A door in front of the engine's socket, that can be shut.
pub(crate) struct EngineDoor {
    mode: watch::Sender<Mode>,
    serving: JoinHandle<()>,
}

impl EngineDoor {
    /// A door at this socket, open at first.
    pub(crate) fn new(socket: &Path) -> Self {
        let (mode, _) = watch::channel(Mode::Open);
        let listener = UnixListener::bind(socket).unwrap();
        let seen = mode.clone();
        let serving = tokio::spawn(async move {
            loop {
                let (client, _) = listener.accept().await.unwrap();
                tokio::spawn(serve(client, seen.subscribe()));
            }
        });
        Self { mode, serving }
    }
}

impl Drop for EngineDoor {
    fn drop(&mut self) {
        self.serving.abort();
    }
}

/// Serves one connection until the door's mode changes; a connection that hangs ends with the mode.
async fn serve(mut client: UnixStream, mut mode: watch::Receiver<Mode>) {
    let now = *mode.borrow_and_update();
    match now {
        Mode::Open => {
            let Ok(mut engine) = UnixStream::connect("/var/run/docker.sock").await else { return };
            tokio::select! {
                _ = copy_bidirectional(&mut client, &mut engine) => return,
                changed = mode.changed() => drop(changed),
            }
            if *mode.borrow_and_update() == Mode::Silent {
                drop(mode.changed().await);
            }
        }
        Mode::Refusing => {
            let mut request = [0; 16 << 10];
            drop(client.read(&mut request).await);
            let body = r#"{"message":"told to refuse"}"#;
            let head = "HTTP/1.1 500 Internal Server Error\r\nContent-Type: application/json\r\nConnection: close";
            let answer = format!("{head}\r\nContent-Length: {}\r\n\r\n{body}", body.len());
            drop(client.write_all(answer.as_bytes()).await);
        }
        Mode::Silent => drop(mode.changed().await),
    }
}
