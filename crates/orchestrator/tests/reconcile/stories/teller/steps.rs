//! What happens in a story: people push, close and command, GitHub and machines have their trouble.

use std::time::Duration;

use jiff::SignedDuration;
use preview_core::backing::{Backing, Database};
use preview_core::capacity::Room;
use preview_core::desired::Pull;
use preview_core::ids::PullKey;
use preview_orchestrator::ledger::Reason;

use super::super::script::{Kind, Opened, Step, Told};
use super::{LABEL, Late, Problems, Teller, Topic, Wish};
use crate::house::{that_migrates, with_database};
use crate::world::{App, Build, Migration, Run};

/// Most pull requests of a story.
const MOST_PULLS: usize = 5;

impl Teller {
    pub(super) async fn step(&mut self, place: usize, step: &Step) -> Result<(), Problems> {
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

    pub(super) async fn close(&mut self, place: usize, pull: usize, told: Told) {
        let Some(topic) = self.open_topic(pull) else { return };
        self.house.world().pull(topic.key).open = false;
        self.let_go(topic.key);
        if self.forgotten || topic.was_lost && !self.has_line(topic.key) {
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

    async fn command(&mut self, pull: usize, reason: Reason, wish: Wish) {
        let Some(topic) = self.open_topic(pull) else { return };
        if !self.has_line(topic.key) {
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

    pub(super) async fn deliver(&mut self, place: usize, key: PullKey, reason: Reason, told: Told) {
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

    pub(super) async fn deliver_surely(&mut self, key: PullKey, reason: Reason) {
        while !self.house.tell(key, reason).await {
            self.house.live_on().await;
        }
    }

    pub(super) async fn arrive(&mut self, now: impl Fn(&Late) -> bool) {
        let (due, later) = std::mem::take(&mut self.late).into_iter().partition(now);
        self.late = later;
        for Late { key, reason, .. } in due {
            self.house.tell(key, reason).await;
        }
    }
}

/// What a commit of this kind is.
pub(super) fn app(kind: Kind) -> App {
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
