//! Every named step of deploy, update and removal meets `kill -9`, an error and a hang, on real Docker, nginx and git; then the
//! server shows what GitHub asks for, nothing is left over, and the one comment is true.
//!
//! Usually every story is played once, killed before each of its steps in turn, and some steps meet errors and hangs.
//! `FAULTS=all` plays every step with each kind of trouble alone (`FAULTS='removal, Forget'`: those alone whose line contains
//! that), and `FAULTS_TABLE=FILE` has what was seen written as a table.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::{self, Write as _};
use std::time::{Duration, Instant};

use futures_util::{StreamExt, stream};
use preview_core::plan::Action;
use preview_simulator::Matching;
use rustix::process::{Signal, kill_process};

use crate::gate::{Gate, Phase};
use crate::obstacles::{EngineDoor, Obstacle, Trouble, moody_reload};
use crate::rig::{Rig, RouterKind, Setup, pid_in, tell};
use crate::stories::{ACTIONS, Door, STORIES, Story, name};

/// The product's own limits end a hang: the longest is that of Compose.
const LONGEST_HANG: Duration = Duration::from_secs(200);

/// Seconds between two resyncs, longer than any story.
const NEVER: u32 = 3600;
/// Seconds between two resyncs where one has to make up for what failed.
const SOON: u32 = 5;

// ------------------------------------------------------------------------------------------------------------- the scene

/// An installation whose service can be held at each step, with doors that can be shut.
struct Scene {
    rig: Rig,
    gate: Gate,
    engine: EngineDoor,
}

impl Scene {
    /// It resyncs at its start alone, so that the ledger has to know what is to be done.
    async fn set() -> Self {
        Self::set_with(NEVER).await
    }

    /// One that resyncs each so many seconds.
    async fn set_with(resync: u32) -> Self {
        let mut rig = Setup::new().router(RouterKind::Nginx).set("RESYNC_INTERVAL_SECONDS", resync).prepare().await;
        let socket = rig.dir.path().join("docker.sock");
        let engine = EngineDoor::new(&socket);
        rig.set("DOCKER_HOST", format!("unix://{}", socket.display()));
        let reload = moody_reload(rig.dir.path(), rig.setting("NGINX_RELOAD_COMMAND"));
        rig.set("NGINX_RELOAD_COMMAND", reload);
        let gate = rig.hold_at_gate();
        rig.start_service().await;
        Self { rig, gate, engine }
    }

    /// The id of the first pull request's deployment, which may be yet to come.
    fn id(&self) -> String {
        format!("{}-1", self.rig.repos[0].replace('/', "-"))
    }

    fn obstacle(&self, door: Door, trouble: Trouble) -> Obstacle {
        let rig = &self.rig;
        match door {
            Door::Engine => Obstacle::engine(&self.engine, trouble),
            Door::Git => Obstacle::github(rig, Matching::git(), trouble),
            Door::Comments => Obstacle::github(rig, Matching::writes(), trouble),
            Door::Nginx => Obstacle::reload(rig, trouble),
            Door::Ledger => Obstacle::ledger(rig, trouble),
            Door::Lock => Obstacle::lock(rig, &self.id(), trouble),
            Door::Folder => Obstacle::mounted(rig.dir.path().join("deployments").join(self.id())),
            Door::Visitors => Obstacle::visitor(rig, &self.id()),
        }
    }

    /// Has the service killed when it comes to a step for the `times`th time.
    fn kill_before(&self, step: &Action, times: usize) {
        let lock = self.rig.lock_file();
        self.gate.before(name(step), times, move || kill_process(pid_in(&lock), Signal::KILL).unwrap());
    }

    /// Waits until that has happened.
    async fn killed_before(&mut self, step: &Action) {
        let what = format!("killed before {}", name(step));
        self.rig.until(&what, async || (self.gate.phase() == Phase::At).then_some(())).await;
        self.rig.service_was_killed().await;
    }
}

// ------------------------------------------------------------------------------------------------- killed before each step

/// Killed before the first step, started again, killed before the second, and so on.
async fn killed_before_each_step(story: Story) {
    let mut scene = Scene::set().await;
    let pull = story.prepare(&scene.rig).await;
    let steps = story.steps();
    scene.kill_before(&steps[0], 1);
    let pull = story.begin(&scene.rig, pull).await;
    for (number, step) in steps.iter().enumerate() {
        scene.killed_before(step).await;
        if let Some(next) = steps.get(number + 1) {
            scene.kill_before(next, 1);
        }
        scene.rig.launch_service();
    }
    story.ends_well(&scene.rig, &pull).await;
    scene.rig.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_deployment_killed_before_each_step() {
    killed_before_each_step(Story::Deploy).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_update_killed_before_each_step() {
    killed_before_each_step(Story::Update).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_removal_killed_before_each_step() {
    killed_before_each_step(Story::Removal).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_failed_attempt_killed_before_each_step() {
    killed_before_each_step(Story::Failure).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_loss_killed_before_each_step() {
    killed_before_each_step(Story::Loss).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_dropped_database_killed_before_its_removal() {
    killed_before_each_step(Story::NoDatabase).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_dropped_extra_service_killed_before_its_removal() {
    killed_before_each_step(Story::NoExtra).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_dropped_service_killed_before_its_removal() {
    killed_before_each_step(Story::NoService).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_one_off_container_left_over_killed_before_its_removal() {
    killed_before_each_step(Story::LeftTask).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_reset_killed_before_it_begins() {
    killed_before_each_step(Story::Reset).await;
}

/// The list of steps is whole: what the product can do stands in some story.
#[test]
fn every_action_is_a_step_of_some_story() {
    let met: BTreeSet<&str> = STORIES.iter().flat_map(|story| story.steps()).map(|step| name(&step)).collect();
    assert_eq!(met, ACTIONS.iter().copied().collect());
}

// ----------------------------------------------------------------------------------------------------- one trouble at a time

/// What happens at a step.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Blow {
    Kill,
    Error,
    Hang,
}

/// One step of one story meets one trouble.
#[derive(Debug, Clone)]
struct Case {
    story: Story,
    step: Action,
    /// How often the story comes to such a step until it is meant.
    times: usize,
    /// Through which of the step's doors trouble comes.
    door: Door,
    blow: Blow,
}

impl Case {
    /// The step, as it is called here.
    fn what(&self) -> String {
        let again = if self.times > 1 { " (the old slot)" } else { "" };
        let through = if self.is_through_a_further_door() { " (the engine)" } else { "" };
        format!("{}{again}{through}", name(&self.step))
    }

    /// Seconds between two resyncs. A seed that may be in by half is not tried again within its attempt: the next one begins with a new
    /// database, and a resync begins it.
    fn resync(&self) -> u32 {
        if matches!(self.step, Action::Seed) && self.is_through_a_further_door() { SOON } else { NEVER }
    }

    fn is_through_a_further_door(&self) -> bool {
        self.story.doors(&self.step).first() != Some(&self.door)
    }
}

impl fmt::Display for Case {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}, {}, {:?}", self.story.title(), self.what(), self.blow)
    }
}

/// All there are.
fn all_cases() -> Vec<Case> {
    let mut cases = Vec::new();
    for story in STORIES {
        let steps = story.steps();
        for (number, step) in steps.iter().enumerate() {
            let times = steps[..=number].iter().filter(|other| name(other) == name(step)).count();
            let doors = story.doors(step);
            let case = |door, blow| Case { story, step: step.clone(), times, door, blow };
            cases.push(case(doors[0], Blow::Kill));
            for door in doors {
                let troubles = [(Blow::Error, Trouble::Error), (Blow::Hang, Trouble::Hang)];
                cases.extend(troubles.into_iter().filter(|(_, t)| door.can(*t)).map(|(blow, _)| case(door, blow)));
            }
        }
    }
    cases
}

/// One of each kind of door, where the product has something to decide.
const SOME: &[(Story, &str, Blow)] = &[
    (Story::Deploy, "Begin", Blow::Error),
    (Story::Deploy, "Checkout", Blow::Error),
    (Story::Deploy, "Build", Blow::Error),
    (Story::Deploy, "Migrate (the engine)", Blow::Error),
    (Story::Deploy, "Seed (the engine)", Blow::Error),
    (Story::Deploy, "Settle", Blow::Hang),
    (Story::Update, "Start", Blow::Error),
    (Story::Update, "AwaitHealth", Blow::Error),
    (Story::Update, "Switch", Blow::Error),
    (Story::Update, "Drain", Blow::Hang),
    (Story::Removal, "MarkRemoving", Blow::Hang),
    (Story::Removal, "SyncRoute", Blow::Hang),
    (Story::Removal, "RemoveContainers", Blow::Error),
    (Story::Removal, "RemoveFolder", Blow::Error),
    (Story::Removal, "LastWords", Blow::Hang),
    (Story::Removal, "Forget", Blow::Error),
    (Story::Loss, "Lost", Blow::Error),
];

/// Plays one case and gives how long it took from the blow until all was as it should be.
async fn play(case: Case) -> Duration {
    let mut scene = Scene::set_with(case.resync()).await;
    let pull = case.story.prepare(&scene.rig).await;
    let since = match case.blow {
        Blow::Kill => {
            scene.kill_before(&case.step, case.times);
            let pull = case.story.begin(&scene.rig, pull).await;
            scene.killed_before(&case.step).await;
            let since = Instant::now();
            scene.rig.launch_service();
            case.story.ends_well(&scene.rig, &pull).await;
            since
        }
        Blow::Error => scene.trouble(&case, Trouble::Error, pull).await,
        Blow::Hang => scene.trouble(&case, Trouble::Hang, pull).await,
    };
    let took = since.elapsed();
    scene.rig.finish().await;
    took
}

impl Scene {
    /// The step fails by what stands in its way, which then is taken away.
    async fn trouble(&self, case: &Case, trouble: Trouble, pull: Option<preview_simulator::Pull>) -> Instant {
        let (rig, gate) = (&self.rig, &self.gate);
        let door = case.door;
        let Obstacle { put, lift } = self.obstacle(door, trouble);
        gate.before(name(&case.step), case.times, put);
        let pull = case.story.begin(rig, pull).await;
        rig.until("the step is begun", async || (gate.phase() > Phase::Before).then_some(())).await;
        let since = Instant::now();
        let tried = async || (gate.phase() > Phase::At).then_some(());
        if (door, trouble) == (Door::Ledger, Trouble::Hang) {
            // Nothing ends the waiting for a disk, but it is told of.
            let health = || rig.http.get(format!("{}/health", rig.api)).send();
            let told = async || (health().await.ok()?.status() == 503).then_some(());
            rig.until("the service says that it does not work", told).await;
            assert_eq!(gate.phase(), Phase::At, "the disk hangs");
            lift();
            rig.until("the write has failed", tried).await;
        } else {
            rig.until_within(LONGEST_HANG, "the step has failed", tried).await;
            lift();
        }
        // Visitors who stay are left behind in the end. And where it was another write that hung, begun a moment before the step, the
        // step's own comes after it, and is done.
        let may_be_another = (door, trouble) == (Door::Ledger, Trouble::Hang);
        assert!(may_be_another || (gate.phase() == Phase::Performed) == (door == Door::Visitors), "{case:?}");
        case.story.ends_well(rig, &pull).await;
        since
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn steps_meet_trouble() {
    let wanted = std::env::var("FAULTS").ok();
    let chosen = |case: &Case| match wanted.as_deref() {
        None => SOME.contains(&(case.story, &case.what(), case.blow)),
        Some("all") => true,
        Some(words) => case.to_string().contains(words),
    };
    let cases: Vec<Case> = all_cases().into_iter().filter(chosen).collect();
    let enough = if wanted.is_some() { 1 } else { SOME.len() };
    assert!(cases.len() >= enough, "{wanted:?} and {SOME:?} are steps");
    let (count, begun) = (cases.len(), Instant::now());
    // Hangs wait for a limit of the product's most of the time. Each is a task, so that one that fails ends no other.
    let side_by_side = if wanted.is_some() { 8 } else { 4 };
    let play = |case: Case| async move { (tokio::spawn(play(case.clone())).await, case) };
    let mut playing = stream::iter(cases).map(play).buffer_unordered(side_by_side);
    let (mut seen, mut failed) = (Vec::new(), Vec::new());
    while let Some((ended, case)) = playing.next().await {
        let number = seen.len() + failed.len() + 1;
        match ended {
            Ok(took) => {
                tell(&format!("{number}/{count} {case}: {:.1} s", took.as_secs_f32()));
                seen.push((case, took));
            }
            Err(_) => {
                tell(&format!("{number}/{count} {case}: failed; FAULTS='{case}' plays it again"));
                failed.push(case.to_string());
            }
        }
    }
    if let Some(file) = std::env::var_os("FAULTS_TABLE") {
        std::fs::write(file, table(&seen, begun.elapsed())).unwrap();
    }
    assert_eq!(failed, Vec::<String>::new());
}

/// What was seen, as Markdown.
fn table(seen: &[(Case, Duration)], took: Duration) -> String {
    let mut rows: BTreeMap<(usize, usize, bool), [String; 4]> = BTreeMap::new();
    for (case, took) in seen {
        let story = STORIES.iter().position(|story| *story == case.story).unwrap();
        let steps = case.story.steps();
        let same = |(_, other): &(usize, &Action)| name(other) == name(&case.step);
        let step = steps.iter().enumerate().filter(same).nth(case.times - 1).unwrap().0;
        let row = rows.entry((story, step, case.is_through_a_further_door())).or_insert_with(|| {
            let none = || "-".to_owned();
            [format!("{}: {}", case.story.title(), case.what()), none(), none(), none()]
        });
        row[1 + case.blow as usize] = format!("{:.1}", took.as_secs_f32());
    }
    let mut text = String::from("| step | `kill -9` | error | hang |\n| --- | ---: | ---: | ---: |\n");
    for [step, kill, error, hang] in rows.values() {
        writeln!(text, "| {step} | {kill} | {error} | {hang} |").unwrap();
    }
    writeln!(text, "\n{} cases in {:.0} s; each ended well.", seen.len(), took.as_secs_f32()).unwrap();
    text
}
