//! A story as data: what happens, in which order, with which pauses; made up from a seed.
//!
//! Steps name pull requests by a number that is taken modulo how many there are, and a step that makes no sense where it
//! stands is left out when the story is told. So any selection of a script's steps is a script again, which is what makes
//! it possible to shrink one.

use std::fmt;
use std::ops::Range;
use std::time::Duration;

use preview_core::desired::ForkPolicy;

use crate::world::trouble::{Call, Trouble};

/// Chance, the same for the same seed.
pub(crate) struct Dice(u64);

impl Dice {
    pub(crate) fn new(seed: u64) -> Self {
        Self(seed)
    }

    fn below(&mut self, end: u64) -> u64 {
        // SplitMix64.
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        (mixed ^ (mixed >> 31)) % end
    }

    fn within(&mut self, range: Range<usize>) -> usize {
        range.start + self.below((range.end - range.start) as u64) as usize
    }

    fn one_in(&mut self, times: u64) -> bool {
        self.below(times) == 0
    }

    fn of<T: Clone>(&mut self, choices: &[T]) -> T {
        choices[self.below(choices.len() as u64) as usize].clone()
    }
}

/// What an installation is like.
#[derive(Debug, Clone)]
pub(crate) struct Setting {
    /// A second repository, whose name gives the same slug.
    pub(crate) collision: bool,
    /// Pull requests that are open before the service knows their repository.
    pub(crate) before: usize,
    /// Most previews and most builds at a time.
    pub(crate) places: usize,
    pub(crate) builds: usize,
    /// Whether drafts deploy, and whether a label is asked for.
    pub(crate) drafts: bool,
    pub(crate) label: bool,
    /// What happens to forks.
    pub(crate) forks: ForkPolicy,
    /// Whether somebody else has a hand in what is ours.
    pub(crate) tampering: bool,
}

/// What a commit holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    Plain,
    Database,
    /// Another database, and Redis.
    Mysql,
    /// As the first, and a second beside it.
    Beside,
    BrokenBuild,
    Exits,
    Silent,
    Slow,
    Migrates,
    FailsToMigrate,
    /// With a Compose file of its own, which names a service beside it.
    Composed,
}

/// Who opens a pull request, and how.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Opened {
    Ready,
    Draft,
    Labelled,
    ByBot,
    FromFork,
}

/// What becomes of a delivery.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Told {
    Once,
    Twice,
    Never,
    /// After so many more steps.
    Later(usize),
}

/// What somebody says in a comment.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Saying {
    /// Whoever has a say names the newest commit.
    Approves,
    /// The commit before it.
    ApprovesFormer,
    /// The first digits of the newest one.
    ApprovesHalf,
    /// Something else, and then makes it an approval.
    ApprovesByEdit,
    /// Whoever has no say does what the others do.
    StrangerApproves,
    StrangerStops,
    Stops,
    Deploys,
    Redeploys,
    Resets,
    Keeps,
    AsksForHelp,
}

/// Something that happens. `usize` names a pull request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Step {
    Open {
        repo: usize,
        opened: Opened,
        kind: Kind,
        told: Told,
    },
    Push(usize, Kind, Told),
    Close(usize, Told),
    Reopen(usize),
    Draft(usize, bool, Told),
    Label(usize, bool, Told),
    Retarget(usize, Told),
    Rename {
        repo: usize,
    },
    Redeploy(usize),
    /// Somebody comments.
    Say(usize, Saying, Told),
    Stop(usize),
    /// An old delivery, again.
    Redelivered(usize),
    Trouble(Call, usize, Trouble),
    Kill,
    StopAndStart,
    GitHubAway,
    GitHubBack,
    /// The next question for a pull request, or for a repository by its name, is answered with 404.
    Blink,
    /// Lists of open pull requests lack some, or all.
    ShortLists {
        empty: bool,
    },
    /// The wall clock is that many hours off, until the next rest.
    Clock(i64),
    MemoryShort,
    DiskShort,
    /// Somebody removes an app's or a database's container, an image, a folder.
    AppRemoved(usize),
    DatabaseRemoved(usize),
    ImagesPruned,
    FolderRemoved(usize),
    RoutesLost,
    EngineRestarted,
    /// We are killed, and the ledger's file is lost, or an older one.
    LedgerLost,
    LedgerOlder {
        steps: usize,
    },
    /// All trouble ends, everything comes to rest and is checked.
    Rest,
    /// As [`Step::Rest`], and then the time to live passes.
    Night,
}

/// A step, and the pause after it.
#[derive(Debug, Clone)]
pub(crate) struct Beat {
    pub(crate) step: Step,
    pub(crate) pause: Duration,
}

/// A story. It ends with a rest.
#[derive(Debug, Clone)]
pub(crate) struct Script {
    pub(crate) seed: u64,
    pub(crate) setting: Setting,
    pub(crate) beats: Vec<Beat>,
    /// Where each beat stood when the story was made up.
    pub(crate) places: Vec<usize>,
}

impl Script {
    pub(crate) fn of(seed: u64) -> Self {
        let mut dice = Dice::new(seed);
        let setting = Setting::of(&mut dice);
        let length = dice.within(5..20);
        let beats: Vec<Beat> = (0..length).map(|place| Beat::of(&mut dice, &setting, place)).collect();
        Self { seed, setting, places: (0..beats.len()).collect(), beats }
    }

    /// The story with only these of its beats.
    pub(crate) fn only(&self, keep: impl Fn(usize) -> bool) -> Self {
        let kept = self.beats.iter().zip(&self.places).filter(|(_, place)| keep(**place));
        let (beats, places) = kept.map(|(beat, place)| (beat.clone(), *place)).unzip();
        Self { seed: self.seed, setting: self.setting.clone(), beats, places }
    }
}

impl fmt::Display for Script {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "story {}: {:?}", self.seed, self.setting)?;
        for (beat, place) in self.beats.iter().zip(&self.places) {
            writeln!(f, "  {place:>2}  {:?}, then {:?}", beat.step, beat.pause)?;
        }
        write!(f, "  and a rest")
    }
}

impl Setting {
    fn of(dice: &mut Dice) -> Self {
        Self {
            collision: dice.one_in(3),
            before: if dice.one_in(4) { dice.within(1..3) } else { 0 },
            places: dice.of(&[2, 3, 10]),
            builds: dice.of(&[1, 2]),
            drafts: !dice.one_in(3),
            label: dice.one_in(8),
            forks: dice.of(&[ForkPolicy::Approve, ForkPolicy::Approve, ForkPolicy::Deny, ForkPolicy::Allow]),
            tampering: dice.one_in(4),
        }
    }
}

/// Calls that stories break; those that only look are broken in `loops`, and here now and then.
const CALLS: [Call; 27] = [
    Call::Remarks,
    Call::Permission,
    Call::Mark,
    Call::Pull,
    Call::Pull,
    Call::OpenPulls,
    Call::Comment,
    Call::Comment,
    Call::Status,
    Call::Checkout,
    Call::LookAt,
    Call::Build,
    Call::Start,
    Call::BeginTask,
    Call::AwaitTask,
    Call::Load,
    Call::Observe,
    Call::ObserveRoutes,
    Call::RemovePart,
    Call::RemoveContainers,
    Call::RemoveVolumes,
    Call::RemoveNetworks,
    Call::RemoveImages,
    Call::Apply,
    Call::Drain,
    Call::Store,
    Call::Store,
];

const TROUBLES: [Trouble; 9] = [
    Trouble::FailsBefore,
    Trouble::FailsAfter,
    Trouble::HangsBefore,
    Trouble::HangsAfter,
    Trouble::CrashBefore,
    Trouble::CrashAfter,
    Trouble::Late(Duration::from_secs(40)),
    Trouble::Twice,
    Trouble::Panics,
];

impl Beat {
    fn of(dice: &mut Dice, setting: &Setting, place: usize) -> Self {
        let step = if place == 0 || dice.one_in(6) { Step::open(dice, setting) } else { Step::of(dice, setting) };
        Self { step, pause: Duration::from_millis(dice.of(&[0, 0, 100, 1_000, 5_000, 20_000, 60_000])) }
    }
}

impl Step {
    fn open(dice: &mut Dice, setting: &Setting) -> Self {
        let repo = if setting.collision { dice.within(0..2) } else { 0 };
        let usual = if setting.label { Opened::Labelled } else { Opened::Ready };
        let rare = [Opened::Ready, Opened::Draft, Opened::Labelled, Opened::ByBot, Opened::FromFork];
        let opened = match dice.below(5) {
            0 => dice.of(&rare),
            1 => Opened::FromFork,
            _ => usual,
        };
        Self::Open { repo, opened, kind: Kind::of(dice), told: Told::of(dice) }
    }

    fn of(dice: &mut Dice, setting: &Setting) -> Self {
        let pull = dice.within(0..6);
        if setting.tampering && dice.one_in(6) {
            return Self::tampering(dice, pull);
        }
        match dice.below(48) {
            0..=8 => Self::Push(pull, Kind::of(dice), Told::of(dice)),
            9..=11 => Self::Close(pull, Told::of(dice)),
            12..=14 => Self::Reopen(pull),
            15 => Self::Draft(pull, dice.one_in(2), Told::of(dice)),
            16 => Self::Label(pull, dice.one_in(2), Told::of(dice)),
            17 => Self::Retarget(pull, Told::of(dice)),
            18 => Self::Rename { repo: dice.within(0..2) },
            19 => Self::Redeploy(pull),
            20 => Self::Stop(pull),
            21 => Self::Redelivered(pull),
            22..=28 => Self::Trouble(dice.of(&CALLS), dice.within(1..4), dice.of(&TROUBLES)),
            29..=30 => Self::Kill,
            31 => Self::StopAndStart,
            32 => Self::GitHubAway,
            33 => Self::GitHubBack,
            34 => dice.of(&[Self::Blink, Self::ShortLists { empty: true }, Self::ShortLists { empty: false }]),
            35 => Self::Clock(dice.of(&[-10, -1, 1, 30])),
            36 => dice.of(&[Self::MemoryShort, Self::DiskShort]),
            37 => Self::Rest,
            38 => dice.of(&[Self::Night, Self::Rest, Self::Rest]),
            39 => Self::Rest,
            _ => Self::Say(pull, Saying::of(dice), Told::of(dice)),
        }
    }

    fn tampering(dice: &mut Dice, pull: usize) -> Self {
        match dice.below(12) {
            0..=2 => Self::AppRemoved(pull),
            3 => Self::DatabaseRemoved(pull),
            4 => Self::ImagesPruned,
            5..=6 => Self::FolderRemoved(pull),
            7 => Self::RoutesLost,
            8..=9 => Self::EngineRestarted,
            10 => Self::LedgerLost,
            _ => Self::LedgerOlder { steps: dice.within(1..6) },
        }
    }
}

impl Saying {
    fn of(dice: &mut Dice) -> Self {
        dice.of(&[
            Self::Approves,
            Self::Approves,
            Self::Approves,
            Self::Approves,
            Self::ApprovesFormer,
            Self::ApprovesHalf,
            Self::ApprovesByEdit,
            Self::StrangerApproves,
            Self::StrangerApproves,
            Self::StrangerStops,
            Self::Stops,
            Self::Deploys,
            Self::Redeploys,
            Self::Resets,
            Self::Keeps,
            Self::Keeps,
            Self::AsksForHelp,
        ])
    }
}

impl Kind {
    fn of(dice: &mut Dice) -> Self {
        dice.of(&[
            Self::Plain,
            Self::Plain,
            Self::Database,
            Self::Database,
            Self::Database,
            Self::Mysql,
            Self::Beside,
            Self::BrokenBuild,
            Self::Exits,
            Self::Silent,
            Self::Slow,
            Self::Migrates,
            Self::Migrates,
            Self::FailsToMigrate,
            Self::Composed,
            Self::Composed,
        ])
    }
}

impl Told {
    fn of(dice: &mut Dice) -> Self {
        let later = Self::Later(dice.within(1..4));
        dice.of(&[Self::Once, Self::Once, Self::Once, Self::Once, Self::Twice, Self::Never, later])
    }
}
