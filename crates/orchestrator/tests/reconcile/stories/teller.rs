//! Telling a script: each step done to the world and to the service, and what should come of it kept in mind.
//!
//! What should be follows from what people did and from GitHub's model alone, not from the reconciler's own rules: the
//! checker compares it with the whole world at every rest.

use std::time::Duration;

use jiff::{SignedDuration, Timestamp};
use preview_core::backing::{Backing, Database};
use preview_core::capacity::Room;
use preview_core::desired::{ForkPolicy, Pull, SetAsideReason, WaitReason};
use preview_core::ids::{CommentId, CommitSha, DeploymentId, PullKey, RepoId, Slot};
use preview_orchestrator::ledger::{Reason, State};

use super::script::{Beat, Kind, Opened, Saying, Script, Setting, Step, Told};
use crate::check::Expect;
use crate::house::{House, hours, minutes, that_migrates, with_database};
use crate::world::people::{MAINTAINER, STRANGER};
use crate::world::planted::Planted;
use crate::world::{App, Build, Migration, Run};

/// The label that some settings ask for.
const LABEL: &str = "preview";
/// Most pull requests of a story.
const MOST_PULLS: usize = 5;
/// How long, at most, until everything is as it should be once all trouble has ended: a call that hangs, the sweep after it
/// (hourly), the listing and the tries after that.
const PATIENCE: Duration = Duration::from_secs(150 * 60);
/// By how much a night moves the clock: more than the time to live and any hour by which it was off.
const NIGHT: SignedDuration = SignedDuration::from_hours(60);
/// How long after it everything is at rest, at most.
const MORNING: SignedDuration = SignedDuration::from_hours(5);
/// For how long people keep a preview: two nights are longer, one is not.
const KEEP: SignedDuration = SignedDuration::from_hours(5 * 24);

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
}

impl Topic {
    fn new(key: PullKey, wish: Wish) -> Self {
        Self { key, wish, commands: 0, approved: None, former: None, mixed: false, kept: Kept::default() }
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

    // ------------------------------------------------------------------------------------------------------------- steps

    async fn step(&mut self, place: usize, step: &Step) -> Result<(), Problems> {
        match *step {
            Step::Open { repo, opened, kind, told } => self.open(place, repo, opened, kind, told).await,
            Step::Push(pull, kind, told) => self.push(place, pull, kind, told).await,
            Step::Close(pull, told) => self.close(place, pull, told).await,
            Step::Reopen(pull) => self.reopen(pull).await,
            Step::Draft(pull, draft, told) => self.change(place, pull, told, |pull| pull.draft = draft).await,
            Step::Label(pull, on, told) => {
                let labels = if on { vec![LABEL.to_owned()] } else { Vec::new() };
                self.change(place, pull, told, |pull| pull.labels = labels).await;
            }
            Step::Retarget(pull, told) => self.change(place, pull, told, |_| {}).await,
            Step::Rename { repo } => self.rename(repo),
            Step::Redeploy(pull) => self.command(pull, Reason::Redeploy, Wish::Deployed).await,
            Step::Say(pull, saying, told) => self.say(pull, saying, told).await,
            Step::Stop(pull) => self.command(pull, Reason::Stop, Wish::Stopped).await,
            Step::Redelivered(pull) => self.redeliver(pull).await,
            Step::Trouble(call, times, trouble) => self.house.trouble(call, times, trouble),
            Step::Kill => self.house.restart().await,
            Step::StopAndStart => self.stop_and_start().await,
            Step::GitHubAway => self.house.world().hub.down = Some("502"),
            Step::GitHubBack => self.house.world().hub.down = None,
            Step::Blink => self.house.world().hub.blinks = 1,
            Step::ShortLists { empty } => self.shorten_lists(empty),
            Step::Clock(hours) => self.house.world().skew = self.clock + SignedDuration::from_hours(hours),
            Step::MemoryShort => self.run_short(|room| room.memory_available = 0),
            Step::DiskShort => self.run_short(|room| room.disk_free = 0),
            Step::Rest => return self.rest().await,
            Step::Night => return self.night().await,
            Step::AppRemoved(_)
            | Step::DatabaseRemoved(_)
            | Step::ImagesPruned
            | Step::FolderRemoved(_)
            | Step::RoutesLost
            | Step::EngineRestarted
            | Step::LedgerLost
            | Step::LedgerOlder { .. } => self.tamper(step).await,
        }
        Ok(())
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

    async fn open(&mut self, place: usize, repo: usize, opened: Opened, kind: Kind, told: Told) {
        if self.topics.len() >= MOST_PULLS {
            return;
        }
        let repo = self.repos[repo % self.repos.len()];
        let key = self.house.world().open(repo, app(kind));
        {
            let mut world = self.house.world();
            let pull = world.pull(key);
            match opened {
                Opened::Ready => {}
                Opened::Draft => pull.draft = true,
                Opened::Labelled => pull.labels = vec![LABEL.to_owned()],
                Opened::ByBot => pull.by_bot = true,
                Opened::FromFork => world.make_fork(key),
            }
        }
        self.topics.push(Topic { mixed: kind == Kind::Mysql, ..Topic::new(key, Wish::Deployed) });
        if self.forgotten {
            self.deliver_surely(key, Reason::Pushed).await;
        } else {
            self.deliver(place, key, Reason::Pushed, told).await;
        }
    }

    /// Of one that was stopped its delivery arrives: nobody could know whether an unseen push came before or after.
    async fn push(&mut self, place: usize, pull: usize, kind: Kind, told: Told) {
        let Some(topic) = self.open_topic(pull) else { return };
        let unsure = matches!(topic.wish, Wish::Stopped | Wish::Unknown);
        let former = self.pull(topic.key).head;
        self.house.world().push(topic.key, app(kind));
        self.wish(topic.key, Wish::Deployed);
        for topic in self.topics.iter_mut().filter(|t| t.key == topic.key) {
            topic.former = Some(former.clone());
            topic.mixed |= kind == Kind::Mysql;
        }
        if topic.mixed || kind == Kind::Mysql {
            self.let_go(topic.key);
        }
        if self.waits(&self.pull(topic.key)).is_some() {
            self.let_go(topic.key);
        }
        if unsure {
            self.deliver_surely(topic.key, Reason::Pushed).await;
        } else {
            self.deliver(place, topic.key, Reason::Pushed, told).await;
        }
    }

    async fn close(&mut self, place: usize, pull: usize, told: Told) {
        let Some(topic) = self.open_topic(pull) else { return };
        self.house.world().pull(topic.key).open = false;
        self.let_go(topic.key);
        if self.forgotten {
            // Whether it was known again by then decides whether its comment is.
            self.wish(topic.key, Wish::Unknown);
        }
        self.deliver(place, topic.key, Reason::Changed, told).await;
    }

    /// Its delivery arrives, sooner or later: closed and reopened unseen, nobody could know.
    async fn reopen(&mut self, pull: usize) {
        let Some(topic) = self.topic(pull).cloned() else { return };
        if self.pull(topic.key).open {
            return;
        }
        self.house.world().pull(topic.key).open = true;
        if self.pull(topic.key).from_fork() {
            // Whether anybody noticed that it was closed decides whether what was approved is so still.
            self.house.world().push(topic.key, app(Kind::Plain));
        }
        self.wish(topic.key, Wish::Deployed);
        self.deliver_surely(topic.key, Reason::Reopened).await;
    }

    /// Only of those that are to be deployed: what a draft of an expired one was depends on who saw it when.
    async fn change(&mut self, place: usize, pull: usize, told: Told, change: impl FnOnce(&mut Pull)) {
        let Some(topic) = self.open_topic(pull) else { return };
        if topic.wish != Wish::Deployed {
            return;
        }
        change(self.house.world().pull(topic.key));
        if self.waits(&self.pull(topic.key)).is_some() {
            self.let_go(topic.key);
        }
        self.deliver(place, topic.key, Reason::Changed, told).await;
    }

    fn rename(&mut self, repo: usize) {
        self.renames += 1;
        let name = format!("org/renamed-{}", self.renames);
        self.house.world().rename(self.repos[repo % self.repos.len()], &name);
    }

    /// Somebody comments. Nobody could know in which order what was said and what was done was heard, so what changes what
    /// should be is heard before the story goes on; an approval is of one commit, whenever it is heard.
    async fn say(&mut self, pull: usize, saying: Saying, told: Told) {
        let Some(topic) = self.open_topic(pull) else { return };
        let away = self.house.world().hub.down.is_some();
        let strange = self.forgotten || matches!(topic.wish, Wish::Unknown | Wish::Untouched);
        if away || strange || !self.hears_itself(topic.key) {
            return;
        }
        let (head, pull) = (self.pull(topic.key).head, self.pull(topic.key));
        let waits = self.waits(&pull);
        let deploy = |commit: &str| format!("/preview deploy {commit}");
        let (person, line) = match saying {
            Saying::Approves => (MAINTAINER, deploy(head.as_str())),
            Saying::ApprovesHalf | Saying::Deploys if waits == Some(WaitReason::Approval) => {
                (MAINTAINER, deploy(head.short()))
            }
            Saying::ApprovesFormer if topic.former.is_some() => {
                (MAINTAINER, deploy(topic.former.as_ref().unwrap_or(&head).as_str()))
            }
            Saying::ApprovesHalf | Saying::ApprovesFormer => return,
            Saying::ApprovesByEdit => (MAINTAINER, "looks good".to_owned()),
            Saying::StrangerApproves => (STRANGER, deploy(head.as_str())),
            Saying::StrangerStops => (STRANGER, "/preview stop".to_owned()),
            Saying::Stops => (MAINTAINER, "/preview stop".to_owned()),
            Saying::Deploys => (MAINTAINER, "/preview deploy".to_owned()),
            Saying::Redeploys => (MAINTAINER, "/preview redeploy".to_owned()),
            Saying::Resets => (MAINTAINER, "/preview reset-db".to_owned()),
            Saying::Keeps => (MAINTAINER, "/preview keep 5d".to_owned()),
            Saying::AsksForHelp => (MAINTAINER, "/preview help".to_owned()),
        };
        let there = self.house.record(topic.key).is_some_and(|record| record.removing.is_none());
        let stays = there && topic.wish == Wish::Deployed && waits.is_none();
        let now = self.house.world().now();
        if matches!(saying, Saying::Stops | Saying::Resets) {
            self.late.retain(|late| late.key != topic.key);
            self.let_go(topic.key);
        }
        let comment = self.house.world().say(topic.key, person, &line);
        if person == MAINTAINER && saying != Saying::ApprovesByEdit {
            self.said.push((topic.key, comment));
        }
        if saying == Saying::ApprovesByEdit {
            self.house.world().edit(comment, &deploy(head.as_str()));
        }
        if told != Told::Never {
            _ = self.house.reconciler().hint(topic.key.repo);
        }
        self.intend(&topic, saying, pull.from_fork(), waits, head);
        let orders =
            matches!(saying, Saying::Stops | Saying::Deploys | Saying::Redeploys | Saying::Resets | Saying::Keeps);
        if orders || topic.wish != Wish::Deployed {
            self.until_heard().await;
        }
        if saying == Saying::Keeps {
            self.keep(topic.key, stays.then_some(now));
        }
    }

    /// It is kept from some moment on between then and now; without a `then` perhaps not at all.
    fn keep(&mut self, key: PullKey, then: Option<Timestamp>) {
        let now = self.house.world().now();
        let Some(topic) = self.topics.iter_mut().find(|topic| topic.key == key) else { return };
        topic.kept.surely = topic.kept.surely.max(then.map(|then| then + KEEP));
        topic.kept.perhaps = topic.kept.perhaps.max(Some(now + KEEP));
    }

    /// What should come of it.
    fn intend(&mut self, topic: &Topic, saying: Saying, fork: bool, waits: Option<WaitReason>, head: CommitSha) {
        let asks = fork && self.setting.forks == ForkPolicy::Approve;
        match saying {
            Saying::Approves if asks => {
                self.topics.iter_mut().filter(|t| t.key == topic.key).for_each(|t| t.approved = Some(head.clone()));
                self.wish(topic.key, Wish::Deployed);
            }
            Saying::Approves => self.wish(topic.key, Wish::Deployed),
            // What nobody approved has to be named whole, whatever else it waits for.
            Saying::Deploys if asks && topic.approved.as_ref() != Some(&head) => {}
            Saying::Deploys => self.wish(topic.key, Wish::Deployed),
            Saying::Resets | Saying::Keeps => self.wish(topic.key, topic.wish),
            Saying::Redeploys if waits.is_none() => self.wish(topic.key, Wish::Deployed),
            Saying::Stops => self.wish(topic.key, Wish::Stopped),
            _ => {}
        }
    }

    /// Whether a comment would be heard: the service has begun to listen, and knows the pull request.
    fn hears_itself(&self, key: PullKey) -> bool {
        self.house.read(|state| {
            let listens = state.projects.get(&key.repo).is_some_and(|project| project.heard.is_some());
            listens && state.pulls().any(|known| known == key)
        })
    }

    /// Drops what has been heard. Gives whether something has not.
    fn is_unheard(&mut self) -> bool {
        let house = &self.house;
        self.said.retain(|(_, comment)| !house.has_heard(*comment));
        !self.said.is_empty()
    }

    async fn until_heard(&mut self) {
        for _ in 0..36_000 {
            if !self.is_unheard() {
                return;
            }
            self.house.live_on().await;
        }
    }

    async fn command(&mut self, pull: usize, reason: Reason, wish: Wish) {
        let Some(topic) = self.open_topic(pull) else { return };
        let id = self.id(topic.key);
        let known =
            |state: &State, id: &DeploymentId| state.deployments.contains_key(id) || state.set_aside.contains_key(id);
        if !id.is_some_and(|id| self.house.read(|state| known(state, &id))) {
            return;
        }
        if reason == Reason::Stop {
            if self.is_unheard() {
                // Nobody could know which of the two comes last.
                return;
            }
            // What was told before it goes with it.
            self.late.retain(|late| late.key != topic.key);
            self.let_go(topic.key);
        }
        self.wish(topic.key, wish);
        self.house.command(topic.key, reason).await;
    }

    /// GitHub's *Redeliver* button. An old push looks like a new one to those that were stopped or left alone.
    async fn redeliver(&mut self, pull: usize) {
        let Some(topic) = self.topic(pull).cloned() else { return };
        let reason = if topic.wish == Wish::Deployed { Reason::Pushed } else { Reason::Changed };
        self.house.tell(topic.key, reason).await;
    }

    async fn stop_and_start(&mut self) {
        self.house.pass(Duration::ZERO).await;
        self.house.stop().await;
        self.house.start();
    }

    fn shorten_lists(&mut self, empty: bool) {
        let shorten: fn(Vec<Pull>) -> Vec<Pull> =
            if empty { |_| Vec::new() } else { |pulls| pulls.into_iter().skip(1).collect() };
        self.house.world().hub.repos.values_mut().for_each(|repo| repo.listing = Some(shorten));
    }

    /// For want of memory an old version may have to give way to the new one.
    fn run_short(&mut self, change: impl FnOnce(&mut Room)) {
        let mut world = self.house.world();
        change(&mut world.room);
        world.watch_all = false;
        world.must_serve.clear();
    }

    // ---------------------------------------------------------------------------------------------------------- deliveries

    async fn deliver(&mut self, place: usize, key: PullKey, reason: Reason, told: Told) {
        match told {
            Told::Never => {}
            Told::Once => _ = self.house.tell(key, reason).await,
            Told::Twice => {
                self.house.tell(key, reason).await;
                self.house.tell(key, reason).await;
            }
            Told::Later(steps) => self.late.push(Late { due: place + steps, key, reason }),
        }
    }

    async fn deliver_surely(&mut self, key: PullKey, reason: Reason) {
        while !self.house.tell(key, reason).await {
            self.house.live_on().await;
        }
    }

    async fn arrive(&mut self, now: impl Fn(&Late) -> bool) {
        let (due, later) = std::mem::take(&mut self.late).into_iter().partition(now);
        self.late = later;
        for Late { key, reason, .. } in due {
            self.house.tell(key, reason).await;
        }
    }

    // ----------------------------------------------------------------------------------------------------------- tampering

    async fn tamper(&mut self, step: &Step) {
        self.house.world().tampered = true;
        match *step {
            Step::AppRemoved(pull) => self.remove(pull, |house, id| {
                [Slot::A, Slot::B].into_iter().for_each(|slot| house.world().steal_app(id, slot));
            }),
            Step::DatabaseRemoved(pull) => self.remove(pull, |house, id| house.world().remove_beside(id)),
            Step::FolderRemoved(pull) => self.remove(pull, |house, id| house.folders().remove(id).unwrap()),
            Step::ImagesPruned => self.house.world().prune_images(),
            Step::RoutesLost => {
                self.let_all_go();
                self.house.world().routes = Default::default();
            }
            Step::EngineRestarted => {
                self.let_all_go();
                self.house.world().restart_engine();
            }
            Step::LedgerLost => self.lose_ledger().await,
            Step::LedgerOlder { steps } => self.restore_ledger(steps).await,
            _ => unreachable!("nobody tampers by {step:?}"),
        }
    }

    fn remove(&mut self, pull: usize, remove: impl FnOnce(&House, &DeploymentId)) {
        let Some(topic) = self.topic(pull).cloned() else { return };
        if let Some(id) = self.id(topic.key) {
            self.house.world().let_go(&id);
            remove(&self.house, &id);
        }
    }

    async fn lose_ledger(&mut self) {
        self.house.kill().await;
        self.let_all_go();
        self.house.world().stored = None;
        self.topics.iter_mut().for_each(|topic| topic.wish = Wish::Unknown);
        self.late.clear();
        self.said.clear();
        self.forgotten = true;
        self.house.start();
    }

    async fn restore_ledger(&mut self, steps: usize) {
        let Some(copy) = self.copies.len().checked_sub(1 + steps).map(|place| &self.copies[place]) else { return };
        let (stored, former) = (copy.stored.clone(), copy.topics.clone());
        self.house.kill().await;
        self.let_all_go();
        for topic in &mut self.topics {
            let same = former.iter().any(|old| old.key == topic.key && old.commands == topic.commands);
            let known = stored.as_ref().is_some_and(|state| state.pulls().any(|key| key == topic.key));
            if !same || !known && topic.wish != Wish::Untouched {
                topic.wish = Wish::Unknown;
            }
        }
        self.house.world().end_hurry();
        self.house.world().stored = stored.map(State::restored);
        // Or what was said since then would be heard again, after what came of it.
        self.house.world().people.remarks.clear();
        self.said.clear();
        self.forgotten = true;
        self.house.start();
    }

    fn let_all_go(&mut self) {
        self.topics.iter_mut().for_each(|topic| topic.kept.surely = None);
        let mut world = self.house.world();
        world.watch_all = false;
        world.must_serve.clear();
    }

    // ------------------------------------------------------------------------------------------------------------- resting

    /// All trouble ends, and everything becomes as it should be.
    async fn rest(&mut self) -> Result<(), Problems> {
        self.heal().await;
        let end = tokio::time::Instant::now() + PATIENCE;
        let mut problems = vec!["it never came to rest".to_owned()];
        while tokio::time::Instant::now() < end {
            self.house.pass(Duration::from_secs(20)).await;
            self.make_place().await;
            self.violations()?;
            if self.house.is_quiet() && !self.is_unheard() {
                problems = self.check().await;
                if problems.is_empty() {
                    self.forgotten = false;
                    let mut world = self.house.world();
                    world.watch_all = true;
                    world.may_go.clear();
                    return Ok(());
                }
            }
        }
        Err(problems)
    }

    async fn heal(&mut self) {
        {
            let mut world = self.house.world();
            world.rules.clear();
            (world.hub.down, world.hub.blinks) = (None, 0);
            world.hub.repos.values_mut().for_each(|repo| repo.listing = None);
            (world.room, world.skew) = (self.room, self.clock);
        }
        self.arrive(|_| true).await;
    }

    async fn check(&mut self) -> Problems {
        let expected = self.topics.iter().map(|topic| (topic.key, self.expect(topic))).collect();
        self.house.expected = expected;
        let mut problems = self.house.check().await;
        let repairs = self.house.read(|state| state.repairs);
        if repairs > 0 && !self.house.world().tampered {
            problems.push(format!("{repairs} repairs, although nobody else had a hand in it"));
        }
        problems
    }

    fn expect(&self, topic: &Topic) -> Expect {
        let pull = self.pull(topic.key);
        match topic.wish {
            Wish::Unknown => Expect::Unknown,
            _ if !pull.open => Expect::Gone,
            Wish::Untouched => Expect::Untouched,
            Wish::Stopped => Expect::Aside(SetAsideReason::Stopped),
            Wish::Expired | Wish::Deployed => match self.waits(&pull) {
                Some(reason) => Expect::Aside(SetAsideReason::Waiting(reason)),
                None if topic.wish == Wish::Expired => Expect::Aside(SetAsideReason::Expired),
                None => self.expect_head(&pull, topic.key),
            },
        }
    }

    /// A head that works serves, and one that doesn't leaves what served before it.
    fn expect_head(&self, pull: &Pull, key: PullKey) -> Expect {
        let head = pull.head.clone();
        let serving = self.house.record(key).and_then(|record| record.serving);
        match serving {
            _ if self.house.world().app(&head).works() => Expect::Serves(head),
            Some(old) => Expect::StillServes { old: old.commit_sha, failed: head },
            None => Expect::Failed(head),
        }
    }

    fn waits(&self, pull: &Pull) -> Option<WaitReason> {
        let fork = pull.head_repo != Some(pull.base_repo);
        let key = PullKey { repo: pull.base_repo, number: pull.number };
        let approved = self.topics.iter().find(|topic| topic.key == key).and_then(|topic| topic.approved.as_ref());
        if fork && self.setting.forks == ForkPolicy::Deny {
            Some(WaitReason::Fork)
        } else if pull.draft && !self.setting.drafts {
            Some(WaitReason::Draft)
        } else if pull.by_bot {
            Some(WaitReason::Bot)
        } else if self.setting.label && pull.labels.is_empty() {
            Some(WaitReason::Label)
        } else if fork && self.setting.forks == ForkPolicy::Approve && approved != Some(&pull.head) {
            Some(WaitReason::Approval)
        } else {
            None
        }
    }

    /// Where more are open than there are places, one that waits would wait for ever: the first that serves is closed.
    async fn make_place(&mut self) {
        let (held, waits) = self.house.read(|state| {
            let held = state.deployments.values().filter(|record| record.holds_place()).count();
            (held, state.deployments.values().any(|record| record.queued_since().is_some()))
        });
        if !waits || held < self.setting.places {
            return;
        }
        let serves = |key: PullKey| self.house.record(key).is_some_and(|record| record.serving.is_some());
        let holding = self.topics.iter().position(|topic| self.pull(topic.key).open && serves(topic.key));
        if let Some(pull) = holding {
            self.close(0, pull, Told::Once).await;
        }
    }

    async fn night(&mut self) -> Result<(), Problems> {
        self.rest().await?;
        let from = self.house.world().now() + NIGHT;
        for topic in self.topics.clone() {
            let pull = self.pull(topic.key);
            if topic.wish == Wish::Deployed && pull.open && self.waits(&pull).is_none() {
                let wish = topic.kept.wish(from, from + MORNING);
                if wish == Wish::Deployed {
                    continue;
                }
                self.wish(topic.key, wish);
            }
            self.let_go(topic.key);
        }
        self.clock += NIGHT;
        self.house.world().skew = self.clock;
        self.house.pass(hours(2)).await;
        self.rest().await
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

fn app(kind: Kind) -> App {
    let plain = App::default();
    match kind {
        Kind::Plain => plain,
        Kind::Database => with_database(),
        Kind::Mysql => App { database: Some(Database::Mysql), extras: [Backing::Redis].into(), ..plain },
        Kind::Beside => App { extras: [Database::Mysql.into(), Backing::Redis].into(), ..with_database() },
        Kind::BrokenBuild => App { build: Build::Fails, ..plain },
        Kind::Exits => App { run: Run::Exits(1), ..plain },
        Kind::Silent => App { run: Run::Silent, ..with_database() },
        Kind::Slow => App { run: Run::Healthy(30), ..with_database() },
        Kind::Migrates => that_migrates(Migration::Works),
        Kind::FailsToMigrate => that_migrates(Migration::Fails),
        Kind::Composed => App { service: true, ..plain },
    }
}
