//! Stories that nobody thought of: made up from a seed, with everything that people, GitHub, the engine and the power
//! supply may do, and one truth in the end.
//!
//! A story that fails prints its seed; `STORY=17 cargo nextest run -p preview-orchestrator --test reconcile random` tells
//! that one alone. (How long a retry waits is left to chance, so that a rare one may need telling twice.)

#![expect(clippy::print_stderr, reason = "a test's own output, shown when it fails")]

use std::ops::Range;
use std::time::Duration;

use preview_core::desired::SetAsideReason;
use preview_core::ids::PullKey;
use preview_orchestrator::ledger::Reason;
use tokio::time::sleep;

use crate::check::Expect;
use crate::house::{House, broken_build, good, that_runs, with_database};
use crate::world::trouble::{Call, Rule, Trouble};
use crate::world::{App, Run};

/// Chance, the same for the same seed.
struct Dice(u64);

impl Dice {
    fn below(&mut self, end: u64) -> u64 {
        // SplitMix64.
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        (mixed ^ (mixed >> 31)) % end
    }

    fn of<T: Clone>(&mut self, choices: &[T]) -> T {
        choices[self.below(choices.len() as u64) as usize].clone()
    }
}

/// Calls that stories break; those that only look are broken in `loops`.
const CALLS: [Call; 14] = [
    Call::Pull,
    Call::OpenPulls,
    Call::Comment,
    Call::Status,
    Call::Checkout,
    Call::Build,
    Call::Start,
    Call::Observe,
    Call::RemovePart,
    Call::RemoveContainers,
    Call::RemoveVolumes,
    Call::Apply,
    Call::Drain,
    Call::Store,
];

const TROUBLES: [Trouble; 7] = [
    Trouble::FailsBefore,
    Trouble::FailsAfter,
    Trouble::HangsBefore,
    Trouble::HangsAfter,
    Trouble::CrashBefore,
    Trouble::CrashAfter,
    Trouble::Late(Duration::from_secs(40)),
];

struct Story {
    dice: Dice,
    house: House,
    pulls: Vec<PullKey>,
}

impl Story {
    async fn begin(seed: u64) -> Self {
        let mut dice = Dice(seed);
        let (places, builds) = (dice.of(&[2, 3, 10]), dice.of(&[1, 2]));
        let house = House::with(|config| (config.max_previews, config.max_builds) = (places, builds)).await;
        house.world().shake(seed);
        Self { dice, house, pulls: Vec::new() }
    }

    fn app(&mut self) -> App {
        let apps = [good(), with_database(), with_database(), broken_build(), that_runs(Run::Exits(1))];
        self.dice.of(&apps)
    }

    /// One thing happens; gives its name.
    async fn step(&mut self) -> String {
        let pull = if self.pulls.is_empty() { None } else { Some(self.dice.of(&self.pulls)) };
        let open = pull.filter(|pull| self.house.world().pull(*pull).open);
        match (self.dice.below(20), open, pull) {
            (0..=4, Some(pull), _) => {
                let app = self.app();
                self.push(pull, app).await;
                format!("{pull} is pushed to")
            }
            (5..=6, Some(pull), _) => {
                match self.dice.below(3) {
                    0 => self.house.close_silently(pull),
                    _ => self.house.close(pull).await,
                }
                format!("{pull} is closed")
            }
            (5..=9, None, Some(pull)) => {
                self.reopen(pull).await;
                format!("{pull} is reopened")
            }
            (7, Some(pull), _) => self.command(pull, Reason::Redeploy).await,
            (8, Some(pull), _) => self.command(pull, Reason::Stop).await,
            (9, Some(pull), _) => {
                // A push told after a stop lifts it, and an old one told again looks the same.
                let again = if self.is_stopped(pull) { Reason::Changed } else { Reason::Pushed };
                let reason = self.dice.of(&[Reason::Changed, again]);
                self.house.tell(pull, reason).await;
                format!("{pull} is told of")
            }
            (10..=13, ..) => {
                let (call, times) = (self.dice.of(&CALLS), 1 + self.dice.below(3) as usize);
                let trouble = self.dice.of(&TROUBLES);
                self.house.world().rules.push(Rule::next(call, times, trouble));
                format!("{trouble:?} for {times} {call:?}")
            }
            (14, ..) => {
                self.house.restart().await;
                "killed".into()
            }
            (15, ..) => {
                self.house.live_on().await;
                self.house.stop().await;
                self.house.start();
                "stopped and started".into()
            }
            (16, ..) => {
                let down = self.house.world().hub.down.is_some();
                self.house.world().hub.down = if down { None } else { Some("502") };
                format!("GitHub is away: {}", !down)
            }
            _ if self.pulls.len() < 4 => {
                let app = self.app();
                let pull = match self.dice.below(4) {
                    0 => self.house.open_silently(self.house.repo, app),
                    _ => self.house.open(app).await,
                };
                self.pulls.push(pull);
                format!("{pull} is opened")
            }
            _ => "nothing".into(),
        }
    }

    fn is_stopped(&self, pull: PullKey) -> bool {
        self.house.expected[&pull] == Expect::Aside(SetAsideReason::Stopped)
    }

    /// Of one that was stopped its delivery arrives: nobody could know whether an unseen push came before or after.
    async fn push(&mut self, pull: PullKey, app: App) {
        let stopped = self.is_stopped(pull);
        let silent = self.dice.below(4) == 0;
        self.house.push_silently(pull, app);
        if silent && !stopped {
            return;
        }
        loop {
            if self.house.tell(pull, Reason::Pushed).await || !stopped {
                return;
            }
            self.house.live_on().await;
        }
    }

    /// Its delivery arrives, sooner or later: closed and reopened unseen, nobody could know.
    async fn reopen(&mut self, pull: PullKey) {
        self.house.reopen(pull).await;
        while !self.house.tell(pull, Reason::Reopened).await {
            self.house.live_on().await;
        }
    }

    async fn command(&mut self, pull: PullKey, reason: Reason) -> String {
        let known = self.house.read(|state| {
            let id = state.id_of(pull)?;
            Some(state.deployments.contains_key(&id) || state.set_aside.contains_key(&id))
        });
        if known != Some(true) {
            return format!("{reason:?} of {pull}, which nobody knows");
        }
        let id = self.house.id(pull);
        let head = self.house.world().head(pull);
        match reason {
            Reason::Stop => {
                self.house.world().must_serve.remove(&id);
                self.house.expect(pull, Expect::Aside(SetAsideReason::Stopped));
            }
            _ => self.house.expect(pull, Expect::Serves(head)),
        }
        self.house.command(pull, reason).await;
        format!("{reason:?} of {pull}")
    }

    /// What should be of the open ones: a head that works serves, and one that doesn't leaves what served before it.
    fn expect_truth(&mut self) {
        for pull in self.pulls.clone() {
            let expected = self.house.expected[&pull].clone();
            if matches!(expected, Expect::Gone | Expect::Aside(_)) {
                continue;
            }
            let head = self.house.world().head(pull);
            let serving = self.house.record(pull).and_then(|record| record.serving);
            let truth = match serving {
                _ if self.house.world().app(&head).works() => Expect::Serves(head),
                Some(old) => Expect::StillServes { old: old.commit_sha, failed: head },
                None => Expect::Failed(head),
            };
            self.house.expect(pull, truth);
        }
    }

    /// All trouble ends, places are found for all, and everything comes to rest.
    async fn end(&mut self) {
        self.house.world().rules.clear();
        self.house.world().hub.down = None;
        for _ in 0..400 {
            self.make_place().await;
            self.house.pass(Duration::from_secs(20)).await;
            if self.house.is_quiet() {
                self.expect_truth();
                if self.house.check().await.is_empty() {
                    return;
                }
            }
        }
        self.house.settle().await;
    }

    /// Where more are open than there are places, one that waits would wait for ever.
    async fn make_place(&mut self) {
        let held = self.house.read(|state| state.deployments.values().filter(|record| record.holds_place()).count());
        let waits = self.house.read(|state| state.deployments.values().any(|r| r.queued_since().is_some()));
        if waits && held >= self.house.config.max_previews {
            let holding: Vec<PullKey> = self
                .house
                .read(|state| state.deployments.values().filter(|r| r.serving.is_some()).map(|r| r.key()).collect());
            if let Some(pull) = holding.first() {
                self.house.close(*pull).await;
            }
        }
    }
}

async fn tell(seed: u64) {
    let mut story = Story::begin(seed).await;
    eprintln!("story {seed}");
    for act in 0..2 {
        for _ in 0..4 + story.dice.below(8) {
            let what = story.step().await;
            eprintln!("  {} {what}", story.house.world().now());
            let pause = story.dice.of(&[0, 100, 1_000, 5_000, 20_000, 60_000]);
            sleep(Duration::from_millis(pause)).await;
            story.house.live_on().await;
        }
        eprintln!("  the end of act {}", act + 1);
        story.end().await;
        let serving: Vec<PullKey> = story.pulls.iter().copied().filter(|pull| story.serves(*pull)).collect();
        serving.into_iter().for_each(|pull| story.house.keep_watch(pull));
    }
    story.house.kill().await;
}

impl Story {
    fn serves(&self, pull: PullKey) -> bool {
        self.house.record(pull).is_some_and(|record| record.serving.is_some())
    }
}

async fn tell_all(seeds: Range<u64>) {
    match std::env::var("STORY").ok().and_then(|seed| seed.parse().ok()) {
        Some(seed) if seeds.contains(&seed) => tell(seed).await,
        Some(_) => {}
        None => {
            for seed in seeds {
                tell(seed).await;
            }
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_hundred_stories() {
    tell_all(0..100).await;
}

#[tokio::test(start_paused = true)]
async fn a_second_hundred() {
    tell_all(100..200).await;
}

#[tokio::test(start_paused = true)]
async fn a_third_hundred() {
    tell_all(200..300).await;
}
