//! The nginx router: files for an nginx that the server's operator owns.
//!
//! The operator includes `{config_dir}/*.conf` in the server block of the previews and, where previews have hosts of their own,
//! `{config_dir}/hosts/*.conf` in the one of the wildcard host; where we get certificates, `{config_dir}/servers/*.conf` in the `http`
//! block as well. `secure` says what nginx is told of these, `text` says what the files hold, `escape` what may be written
//! into them, `folder` puts them there, `server` speaks with nginx, `connections` counts what is under way. Here is their order: what stands is tested, then written,
//! tested again, taken back or taken up.

mod connections;
mod escape;
mod folder;
mod secure;
mod server;
mod text;

use std::io;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use async_trait::async_trait;
use preview_core::ids::HostPort;
use preview_core::route::{Domain, RouteTable};
use tokio::sync::OwnedMutexGuard;
use tokio::time::sleep;

use self::folder::Folder;
pub use self::secure::Secure;
pub use self::server::{CommandLine, EmptyCommand};
use self::server::{Refusal, Server};
use self::text::{Files, House, Lock, PASSWORDS};
use super::login::Login;
use crate::needs::{Fault, Router};

/// How often a port that drains is looked at.
const LOOK: Duration = Duration::from_millis(20);
/// A port has drained when nothing was under way for so many looks: an old worker may be about to connect.
const QUIET_LOOKS: u32 = 3;

/// How to work with the operator's nginx.
#[derive(Debug, Clone)]
pub struct Settings {
    /// The folder that the operator's server block includes; ours to write.
    pub config_dir: PathBuf,
    /// Tests the configuration on disk.
    pub test_command: CommandLine,
    /// Tells nginx to read it again.
    pub reload_command: CommandLine,
    /// Where that server block answers.
    pub probe_url: String,
    /// The domain below which previews have hosts of their own.
    pub domain: Option<Domain>,
    /// What visitors of previews have to know, and the salt of its hash.
    pub login: Option<(Login, String)>,
    /// How it speaks TLS, if it does so with certificates of ours.
    pub secure: Option<Secure>,
}

/// The router that writes for nginx.
#[derive(Debug)]
pub struct Nginx {
    server: Server,
    house: House,
    /// The newest table asked for, and how many have been.
    wanted: Mutex<(u64, RouteTable)>,
    /// One change at a time.
    turn: Arc<tokio::sync::Mutex<Turn>>,
}

/// The folder belongs to who has the turn; those who wait read here what became of their wish.
#[derive(Debug)]
struct Turn {
    folder: Folder,
    done: Mutex<(u64, Result<(), Fault>)>,
}

impl Turn {
    fn done(&self) -> MutexGuard<'_, (u64, Result<(), Fault>)> {
        self.done.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Held by who has the turn and by what is being done for them in the folder: it ends with the last of these.
type MyTurn = Arc<OwnedMutexGuard<Turn>>;

impl Nginx {
    /// A router that asks nginx through this client. Until it is told of another, this table is the one that should hold.
    pub fn new(settings: Settings, http: reqwest::Client, table: &RouteTable) -> Self {
        let Settings { config_dir, test_command, reload_command, probe_url, domain, login, secure } = settings;
        let file = config_dir.join(PASSWORDS).display().to_string();
        let lock = login.map(|(login, salt)| Lock { login, salt, file });
        let secure = secure.map(|secure| (secure, config_dir.clone()));
        let turn = Turn { folder: Folder::new(config_dir), done: Mutex::new((0, Ok(()))) };
        Self {
            server: Server { test_command, reload_command, probe_url, http },
            house: House { domain, lock, secure },
            wanted: Mutex::new((0, table.clone())),
            turn: Arc::new(tokio::sync::Mutex::new(turn)),
        }
    }

    /// Writes a wish down and gives its number.
    fn wish(&self, table: &RouteTable) -> u64 {
        let mut wanted = self.wanted.lock().unwrap_or_else(PoisonError::into_inner);
        *wanted = (wanted.0 + 1, table.clone());
        wanted.0
    }

    /// Wishes again what was wished last.
    fn wish_again(&self) -> u64 {
        let mut wanted = self.wanted.lock().unwrap_or_else(PoisonError::into_inner);
        wanted.0 += 1;
        wanted.0
    }

    /// Sees to it that the wish of this number, or a newer one, is fulfilled.
    async fn fulfil(&self, mine: u64) -> Result<(), Fault> {
        let turn = self.my_turn().await;
        let (done, result) = turn.done().clone();
        if done >= mine {
            // Whoever had the turn before us began after we had asked, and did the newest.
            return result;
        }
        let (number, newest) = self.wanted.lock().unwrap_or_else(PoisonError::into_inner).clone();
        let result = self.bring_about(&newest, &turn).await;
        *turn.done() = (number, result.clone());
        result
    }

    async fn my_turn(&self) -> MyTurn {
        Arc::new(self.turn.clone().lock_owned().await)
    }

    /// Makes nginx run with this table.
    async fn bring_about(&self, table: &RouteTable, turn: &MyTurn) -> Result<(), Fault> {
        let old = in_folder(turn, Folder::read).await?;
        let answered = self.server.generation().await.ok().flatten();
        let written = text::generation(&old);
        if written.is_some() && answered == written && old == self.house.render(table, written.unwrap_or(0)) {
            return Ok(());
        }
        if let Err(refusal) = self.server.test().await
            && !refusal.is_within(turn.folder.path())
        {
            return Err(theirs(&refusal));
        }
        let generation = answered.max(written).unwrap_or(0) + 1;
        let new = self.house.render(table, generation);
        self.exchange(old, new, turn).await?;
        self.take_up(generation).await
    }

    /// Has nginx run with what is written, and let in who has the password.
    async fn take_up(&self, generation: u64) -> Result<(), Fault> {
        self.server.reload(generation).await?;
        match &self.house.lock {
            Some(lock) => self.server.lets_in(&lock.login, &lock.file).await,
            None => Ok(()),
        }
    }

    /// Puts the new files in place of the old, and takes that back when nginx refuses them.
    async fn exchange(&self, old: Files, new: Files, turn: &MyTurn) -> Result<(), Fault> {
        let before = old.clone();
        let fault = match in_folder(turn, move |folder| folder.replace(&before, &new)).await {
            Ok(()) => match self.server.test().await {
                Ok(()) => return Ok(()),
                Err(refusal) => ours(&refusal),
            },
            Err(fault) => fault,
        };
        let restored = in_folder(turn, move |folder| folder.replace(&folder.read()?, &old)).await;
        if let Err(error) = restored {
            tracing::error!(%error, "nginx's files could not be put back; the next change of a route writes them again");
        }
        Err(fault)
    }
}

#[async_trait]
impl Router for Nginx {
    async fn apply(&self, table: &RouteTable) -> Result<(), Fault> {
        self.fulfil(self.wish(table)).await
    }

    async fn take_certificates(&self) -> Result<(), Fault> {
        self.fulfil(self.wish_again()).await
    }

    /// While nginx runs anything else than what the folder holds, nothing is known to hold and the table is empty.
    async fn observe(&self) -> Result<RouteTable, Fault> {
        let turn = self.my_turn().await;
        let files = in_folder(&turn, Folder::read).await?;
        let answered = self.server.generation().await?;
        let runs = answered.is_some() && answered == text::generation(&files);
        Ok(if runs { self.house.table(&files) } else { RouteTable::new() })
    }

    async fn drain(&self, port: HostPort, at_most: Duration) {
        let quiet = async {
            let mut looks = 0;
            while looks < QUIET_LOOKS {
                match connections::to(port) {
                    Ok(0) => looks += 1,
                    Ok(_) => looks = 0,
                    Err(error) => {
                        // Not knowing, the whole time is given.
                        tracing::warn!(%error, "connections could not be counted");
                        std::future::pending::<()>().await;
                    }
                }
                sleep(LOOK).await;
            }
        };
        // Running out of time is the caller's "at most", not an error.
        let _ = tokio::time::timeout(at_most, quiet).await;
    }

    async fn ping(&self) -> Result<(), Fault> {
        self.server.generation().await.map(drop)
    }
}

/// Does something slow in the folder. The turn goes along, so that giving up midway lets nobody in before it has ended.
async fn in_folder<T: Send + 'static>(
    turn: &MyTurn,
    work: impl FnOnce(&Folder) -> io::Result<T> + Send + 'static,
) -> Result<T, Fault> {
    let turn = turn.clone();
    let worked = tokio::task::spawn_blocking(move || work(&turn.folder)).await;
    worked.unwrap_or_else(|ended| Err(io::Error::other(ended))).map_err(|error| {
        Fault::passing(format!("the files for nginx could not be read or written: {error}"))
            .advise("NGINX_CONFIG_DIR must belong to the service's user")
    })
}

fn theirs(refusal: &Refusal) -> Fault {
    match refusal {
        Refusal::Configuration { said, .. } => {
            Fault::passing(format!("nginx's configuration is broken in a place that isn't ours: {said}"))
                .advise("mend that file on the server; until then routes stay as they are")
        }
        Refusal::Untested(said) => Fault::passing(format!("nginx's configuration could not be tested: {said}"))
            .advise("NGINX_TEST_COMMAND must work for the service's user"),
    }
}

fn ours(refusal: &Refusal) -> Fault {
    tracing::error!(%refusal, "nginx refused the files for its previews; they were taken back");
    Fault::passing(format!("nginx refused the new routes, and they were taken back: {refusal}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_panic_in_the_folder_is_a_failure_and_gives_the_turn_back() {
        let turn = Turn { folder: Folder::new("/nowhere".into()), done: Mutex::new((0, Ok(()))) };
        let turn = Arc::new(tokio::sync::Mutex::new(turn));
        let mine: MyTurn = Arc::new(turn.clone().lock_owned().await);
        let mistake = |_: &Folder| -> io::Result<()> { std::panic::resume_unwind(Box::new("a mistake of ours")) };
        assert!(in_folder(&mine, mistake).await.is_err());
        assert!(turn.try_lock().is_err(), "it is ours still");
        drop(mine);
        assert!(turn.try_lock().is_ok());
    }
}
