//! `preview demo`: a pull request's whole life, on this machine.
//!
//! GitHub is a model of itself ([`preview_simulator`]); all else is real: the service, Git, Docker, the database. What the demo
//! shows it also checks: anything that goes otherwise ends it with exit code 1. However it ends, it cleans up.
//!
//! | file | what lives there |
//! | --- | --- |
//! | `stage` | GitHub's model and the service, set up and taken down |
//! | `story` | what happens |
//! | `apps`, `repository` | whose code it happens to: the examples, or somebody's own |
//! | `follow`, `visitors` | watching an attempt; visitors meanwhile |
//! | `proof` | nothing is left |
//! | `screen`, `comment` | what it looks like |
//! | `signals` | who may ask it to end |

mod apps;
mod comment;
mod follow;
mod proof;
mod repository;
mod screen;
mod signals;
mod stage;
mod story;
mod visitors;

use std::fs::Permissions;
use std::os::unix::fs::PermissionsExt;
use std::path::PathBuf;
use std::time::{Duration, Instant};

use clap::Args;
use serde_json::Value;
use tempfile::TempDir;
use tracing::Level;
use tracing_subscriber::fmt;
use tracing_subscriber::prelude::*;

use crate::error::{Failure, Kind};
use crate::{log, ui};
use apps::{App, Choice};
pub(super) use repository::Local;
use screen::{Screen, seconds};
pub(super) use signals::Signals;
use stage::{Stage, Wanted};
use story::Teller;

/// The longest that the story may take with `--once`: first builds fetch every dependency.
const STORY: Duration = Duration::from_secs(20 * 60);
/// The longest that taking everything down may take.
const CLOSING: Duration = Duration::from_secs(90);

/// Shows a pull request becoming a URL on this machine; no GitHub account needed
#[derive(Debug, Args)]
pub(crate) struct Demo {
    /// Go through to the closing and end; for scripts
    #[arg(long)]
    once: bool,
    /// Print the previews' records as JSON once they are up, with --once at the end; all else goes to standard error
    #[arg(long)]
    json: bool,
    /// Which example application
    #[arg(long, value_enum, default_value_t = Choice::All)]
    app: Choice,
    /// A local Git repository instead of the examples
    #[arg(long, value_name = "PATH", conflicts_with = "app")]
    repo: Option<PathBuf>,
    /// The branch, tag or commit of that repository [default: HEAD]
    #[arg(long, value_name = "REVISION", requires = "repo")]
    branch: Option<String>,
}

/// A story on a stage of its own, from setting up to the proof that nothing is left.
pub(super) struct Show {
    title: &'static str,
    subtitle: &'static str,
    scripts: Vec<Script>,
    /// Go through to the closing and end.
    once: bool,
    /// What scripts are told of the previews; `None` for a person.
    json: Option<Shape>,
    /// Where the person is, if not at this machine.
    afar: Option<Afar>,
}

/// A person at another machine, which reaches the previews through a tunnel.
pub(super) struct Afar {
    /// The port of that machine at which they are opened.
    pub(super) port: u16,
    /// Where all files of the story are, which somebody removes; nobody over there could read what is kept here.
    pub(super) folder: PathBuf,
    /// Is told the port of this machine at which they answer, once they would.
    pub(super) ready: fn(u16),
}

/// Which JSON the previews' records become.
enum Shape {
    /// The one record.
    One,
    /// All, as `preview list --json` has them.
    List,
}

/// Whose code the story is about.
enum Script {
    Example(&'static App),
    Own(Local),
}

impl Demo {
    pub(crate) async fn run(self) -> Result<(), Failure> {
        let show = Show {
            title: "Preview Deployer: the life of a pull request, on this machine",
            subtitle: "GitHub is played by a model of it. The service, Git, Docker and the databases are real.",
            scripts: self.scripts().await?,
            once: self.once,
            json: self.json.then_some(Shape::List),
            afar: None,
        };
        show.perform(Signals::listen()?).await
    }

    async fn scripts(&self) -> Result<Vec<Script>, Failure> {
        if let Some(path) = &self.repo {
            return Ok(vec![Script::Own(Local::find(path, self.branch.as_deref()).await?)]);
        }
        Ok(self.app.apps().into_iter().map(Script::Example).collect())
    }
}

impl Show {
    /// A folder's, for `preview up`.
    pub(super) fn of_folder(local: Local, once: bool, json: bool, afar: Option<Afar>) -> Self {
        let title = match afar {
            None => "Preview Deployer: a preview of this folder, on this machine",
            Some(_) => "Preview Deployer: a preview of this folder, on the server",
        };
        Self {
            title,
            subtitle: "It goes the way of a pull request, on a model of GitHub. The service, Docker and the databases are real.",
            scripts: vec![Script::Own(local)],
            once,
            json: json.then_some(Shape::One),
            afar,
        }
    }

    pub(super) async fn perform(self, mut signals: Signals) -> Result<(), Failure> {
        let since = Instant::now();
        let screen = Screen::new(self.json.is_some());
        let folder = self.folder()?;
        start_log(&folder)?;
        screen.title(self.title, self.subtitle);
        let stage = tokio::select! {
            stage = self.set_up(&screen, &folder) => stage?,
            () = signals.asked() => return self.interrupted().map(drop),
        };
        if let Some(afar) = &self.afar {
            (afar.ready)(stage.port());
        }
        let told = self.play(Teller { stage: &stage, screen: &screen }, &mut signals).await;
        let closed = tokio::select! {
            closed = close(stage, &screen, &folder) => closed,
            never = signals.insisted(&screen) => match never {},
        };
        let records = match both(told, closed) {
            Ok(records) => records,
            Err(failure) if self.afar.is_some() => return Err(failure),
            Err(failure) => {
                let log = log_file(&folder);
                drop(folder.keep());
                return Err(failure.hint(format!("the service's log is in {}", log.display())));
            }
        };
        folder.close()?;
        screen.fact("0 leftovers: no container, network, volume, image, port, route or folder");
        screen.end(&format!("That was all of it, in {}.", seconds(since.elapsed())));
        if self.once { self.tell_script(records) } else { Ok(()) }
    }

    fn folder(&self) -> std::io::Result<TempDir> {
        let mut folder = tempfile::Builder::new();
        // It has somebody's code in it.
        let folder = folder.prefix("preview-demo-").permissions(Permissions::from_mode(0o700));
        match &self.afar {
            Some(afar) => folder.tempdir_in(&afar.folder),
            None => folder.tempdir(),
        }
    }

    async fn set_up(&self, screen: &Screen, folder: &TempDir) -> Result<Stage, Failure> {
        // Names in Docker are made of it, and other demos may run beside this one.
        let owner = format!("acme-{:04x}", rand::random::<u16>());
        let wanted = self.scripts.iter().map(|script| script.repository(&owner)).collect();
        let stage = Stage::set_up(folder.path(), wanted, self.afar.as_ref().map(|afar| afar.port));
        screen.gap();
        screen.during("setting up GitHub and the service", "GitHub's model and the service are up", stage).await
    }

    /// Tells the story. Unless it is to be gone through once, the previews then stay until somebody asks to stop. Gives their records.
    async fn play(&self, teller: Teller<'_>, signals: &mut Signals) -> Result<Vec<Value>, Failure> {
        let urls = tokio::select! {
            told = tell(teller, &self.scripts, self.once) => told?,
            () = signals.asked() => return self.interrupted(),
        };
        let records = teller.stage.rows().await?;
        if !self.once {
            teller.screen.offer(&urls);
            self.tell_script(records.clone())?;
            signals.asked().await;
        }
        Ok(records)
    }

    fn tell_script(&self, mut records: Vec<Value>) -> Result<(), Failure> {
        match self.json {
            Some(Shape::One) => ui::json(&records.pop()),
            Some(Shape::List) => ui::json(&records),
            None => Ok(()),
        }
    }

    /// Who watches may stop; a script wants the whole story.
    fn interrupted(&self) -> Result<Vec<Value>, Failure> {
        let is_script = self.once || self.json.is_some();
        if !is_script {
            return Ok(Vec::new());
        }
        Err(Failure::new("interrupted before the end of the story").kind(Kind::Interrupted))
    }
}

impl Script {
    fn repository(&self, owner: &str) -> Wanted {
        let (name, source) = match self {
            Self::Example(app) => (app.repository, app.files().into()),
            Self::Own(local) => (local.name.as_str(), local.base()),
        };
        Wanted { name: format!("{owner}/{name}"), source }
    }
}

/// Tells of each script, and gives the previews' addresses.
async fn tell(teller: Teller<'_>, scripts: &[Script], once: bool) -> Result<Vec<String>, Failure> {
    let story = async {
        let mut urls = Vec::new();
        for (script, repo) in scripts.iter().zip(&teller.stage.repos) {
            urls.push(match script {
                Script::Example(app) if urls.is_empty() => teller.tell_all_of(app, repo).await?,
                Script::Example(app) => teller.tell_of(app, repo).await?,
                Script::Own(local) => teller.tell_of_own(local, repo).await?,
            });
        }
        Ok(urls)
    };
    if !once {
        return story.await;
    }
    let late = |_| Failure::new(format!("the story should have come to its end within {}", seconds(STORY)));
    tokio::time::timeout(STORY, story).await.map_err(late)?
}

/// Takes everything down and proves that nothing is left.
async fn close(stage: Stage, screen: &Screen, folder: &TempDir) -> Result<(), Failure> {
    screen.clear();
    let closed = story::close(Teller { stage: &stage, screen }, CLOSING).await;
    let left = stage.stop(folder.path()).await.remove().await;
    let none = left.and_then(|left| {
        if left.is_empty() {
            return Ok(());
        }
        let mut failure = Failure::new("nothing should be left over, but something was (it is removed now)");
        failure.causes = left;
        Err(failure)
    });
    both(closed, none)
}

/// The first failure, with the second among its causes.
fn both<T>(first: Result<T, Failure>, second: Result<(), Failure>) -> Result<T, Failure> {
    match (first, second) {
        (Err(mut first), Err(second)) => {
            first.causes.push(second.what);
            first.causes.extend(second.causes);
            Err(first)
        }
        (first, second) => second.and(first),
    }
}

fn log_file(folder: &TempDir) -> PathBuf {
    folder.path().join("service.log")
}

/// The service's log goes to a file: what is to be seen is on the screen.
fn start_log(folder: &TempDir) -> Result<(), Failure> {
    let file = std::fs::File::create(log_file(folder))?;
    let wanted = log::at_least(Level::INFO).with_target("preview_orchestrator", Level::DEBUG);
    let lines = fmt::layer().with_ansi(false).with_writer(std::sync::Mutex::new(file));
    tracing_subscriber::registry().with(wanted).with(lines).init();
    Ok(())
}
