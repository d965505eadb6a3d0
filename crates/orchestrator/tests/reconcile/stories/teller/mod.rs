//! Telling a script: each step done to the world and to the service, and what should come of it kept in mind.
//!
//! What should be follows from what people did and from GitHub's model alone, not from the reconciler's own rules: the
//! checker compares it with the whole world at every rest. Here stands what is kept in mind; what is done is in `steps`, what is
//! said in `saying`, what goes behind the service's back in `tamper`, and what should be in the end in `rest`.

mod rest;
mod saying;
mod steps;
mod tamper;

use std::time::Duration;

use jiff::{SignedDuration, Timestamp};
use preview_core::capacity::Room;
use preview_core::desired::Pull;
use preview_core::ids::{CommentId, CommitSha, DeploymentId, PullKey, RepoId};
use preview_orchestrator::ledger::{Reason, State};

use super::script::{Beat, Kind, Script, Setting};
use crate::house::{House, minutes};
use crate::world::planted::Planted;
use steps::app;

/// The label that some settings ask for.
const LABEL: &str = "preview";

/// What people did to a pull request, as far as it matters to what should be of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Wish {
    /// It was open before us, and nobody has touched it since.
    Untouched,
    Deployed,
    Stopped,
    Expired,
    /// The ledger lost what we knew of it: anything may be, if only all sides agree.
    Unknown,
}

#[derive(Debug, Clone)]
struct Topic {
    key: PullKey,
    wish: Wish,
    /// Counts what was done to it that only the ledger knows.
    commands: usize,
    /// The commit of a fork that somebody with a say approved last, and the one before the newest.
    approved: Option<CommitSha>,
    former: Option<CommitSha>,
    /// Whether commits of it want several databases: an update may have to take the old version away first.
    mixed: bool,
    kept: Kept,
    /// Whether the ledger lost it once, and with it where its comment is.
    was_lost: bool,
}

impl Topic {
    fn new(key: PullKey, wish: Wish) -> Self {
        Self {
            key,
            wish,
            commands: 0,
            approved: None,
            former: None,
            mixed: false,
            kept: Kept::default(),
            was_lost: false,
        }
    }
}

/// Until when somebody with a say wanted a preview to stay. When it was heard is known within bounds, and whether what was
/// taken away and came back is kept still is not.
#[derive(Debug, Clone, Copy, Default)]
struct Kept {
    surely: Option<Timestamp>,
    perhaps: Option<Timestamp>,
}

impl Kept {
    /// What becomes of it, should the time to live have passed and the clock show something between these.
    fn wish(self, from: Timestamp, to: Timestamp) -> Wish {
        if self.surely.is_some_and(|until| until > to) {
            Wish::Deployed
        } else if self.perhaps.is_some_and(|until| until > from) {
            Wish::Unknown
        } else {
            Wish::Expired
        }
    }
}

/// A delivery that is under way.
struct Late {
    due: usize,
    key: PullKey,
    reason: Reason,
}

/// What the ledger was at some step.
struct Copy {
    stored: Option<State>,
    topics: Vec<Topic>,
}

/// What went wrong: what was not as it should be.
pub(super) type Problems = Vec<String>;

pub(super) struct Teller {
    house: House,
    setting: Setting,
    repos: Vec<RepoId>,
    topics: Vec<Topic>,
    late: Vec<Late>,
    /// What was said by somebody with a say, and not been heard when we last looked.
    said: Vec<(PullKey, CommentId)>,
    copies: Vec<Copy>,
    room: Room,
    clock: SignedDuration,
    renames: usize,
    /// Whether the ledger was lost, or an older one took its place, and nothing has come to rest since: what nobody tells
    /// of now was there before, for all we know.
    forgotten: bool,
}

/// Tells a story to its end. Gives what the world was like by then, for comparing two tellings.
pub(super) async fn tell(script: &Script, planted: Option<Planted>) -> Result<String, Problems> {
    let mut teller = Teller::begin(script, planted).await?;
    for (place, beat) in script.beats.iter().enumerate() {
        teller.beat(place, beat).await?;
    }
    teller.rest().await?;
    // And it stays so.
    teller.house.pass(minutes(6)).await;
    teller.rest().await?;
    let end = {
        let world = teller.house.world();
        format!("{} after {} calls", world.now(), world.calls())
    };
    teller.house.kill().await;
    Ok(end)
}

impl Teller {
    async fn begin(script: &Script, planted: Option<Planted>) -> Result<Self, Problems> {
        let setting = script.setting.clone();
        let mut house = House::empty();
        let mut repos = vec![house.repo];
        if setting.collision {
            repos.push(house.world().add_repo(8, "org/app_"));
            house.config.allowed.push("org/app_".parse().unwrap());
        }
        (house.config.max_previews, house.config.max_builds) = (setting.places, setting.builds);
        house.tell_limits();
        house.config.policy.drafts = setting.drafts;
        house.config.policy.forks = setting.forks;
        house.config.policy.require_label = setting.label.then(|| LABEL.to_owned());
        house.config.pace.spread = 0.0;
        match planted {
            Some(Planted::EarlyPort) => house.config.pace.rest = Duration::ZERO,
            Some(Planted::ExtraBuild) => house.config.max_builds += 1,
            _ => {}
        }
        let room = {
            let mut world = house.world();
            world.planted = planted;
            world.people.policy = Some(setting.forks);
            world.watch_all = true;
            world.shake(script.seed);
            world.room
        };
        let open = |_| Topic::new(house.world().open(house.repo, app(Kind::Plain)), Wish::Untouched);
        let topics = (0..setting.before).map(open);
        let topics = topics.collect();
        let (late, said, copies) = (Vec::new(), Vec::new(), Vec::new());
        let clock = SignedDuration::ZERO;
        tokio::time::sleep(minutes(1)).await;
        house.start();
        let mut teller =
            Self { house, setting, repos, topics, late, said, copies, room, clock, renames: 0, forgotten: false };
        teller.rest().await?;
        Ok(teller)
    }

    async fn beat(&mut self, place: usize, beat: &Beat) -> Result<(), Problems> {
        let copy = self.copy();
        self.copies.push(copy);
        self.arrive(|late| late.due <= place).await;
        tracing::info!(now = %self.house.world().now(), step = ?beat.step, "told");
        self.step(place, &beat.step).await?;
        self.house.pass(beat.pause).await;
        self.violations()
    }

    /// What was said and not heard yet is in no ledger, so that nobody knows what a topic is in this one.
    fn copy(&mut self) -> Copy {
        self.is_unheard();
        let unheard = |topic: &Topic| self.said.iter().any(|(key, _)| *key == topic.key);
        let topics = self.topics.iter().filter(|topic| !unheard(topic)).cloned().collect();
        Copy { stored: self.house.world().stored.clone(), topics }
    }

    fn violations(&self) -> Result<(), Problems> {
        let violations = self.house.world().violations.clone();
        if violations.is_empty() { Ok(()) } else { Err(violations) }
    }

    fn topic(&mut self, pull: usize) -> Option<&mut Topic> {
        let count = self.topics.len();
        if count == 0 { None } else { self.topics.get_mut(pull % count) }
    }

    fn open_topic(&mut self, pull: usize) -> Option<Topic> {
        let topic = self.topic(pull)?.clone();
        self.pull(topic.key).open.then_some(topic)
    }

    fn pull(&self, key: PullKey) -> Pull {
        self.house.world().pull(key).clone()
    }

    fn wish(&mut self, key: PullKey, wish: Wish) {
        if let Some(topic) = self.topics.iter_mut().find(|topic| topic.key == key) {
            topic.wish = wish;
            topic.commands += 1;
        }
    }

    /// Whether the ledger says what is of it.
    fn has_line(&self, key: PullKey) -> bool {
        let Some(id) = self.id(key) else { return false };
        self.house.read(|state| state.deployments.contains_key(&id) || state.set_aside.contains_key(&id))
    }

    fn id(&self, key: PullKey) -> Option<DeploymentId> {
        self.house.read(|state| state.id_of(key))
    }

    /// It may go, and with it that it was to be kept.
    fn let_go(&mut self, key: PullKey) {
        self.topics.iter_mut().filter(|topic| topic.key == key).for_each(|topic| topic.kept.surely = None);
        if let Some(id) = self.id(key) {
            self.house.world().let_go(&id);
        }
    }
}
