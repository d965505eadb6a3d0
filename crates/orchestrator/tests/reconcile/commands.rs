//! Commands in comments: each is acted on once, by those who may, and so many an hour.

use preview_core::desired::SetAsideReason;
use preview_orchestrator::ledger::{Mark, Reason};

use crate::check::Expect;
use crate::house::{House, good, hours, minutes, with_database};
use crate::world::people::{MAINTAINER, STRANGER};
use crate::world::trouble::{Call, Rule, Trouble};

const STOPPED: Expect = Expect::Aside(SetAsideReason::Stopped);

#[tokio::test(start_paused = true)]
async fn stop_sets_aside_and_deploy_brings_back() {
    let mut house = House::new().await;
    let pull = house.open(good()).await;
    house.settle().await;
    let head = house.world().head(pull);
    house.expect(pull, STOPPED);
    let stop = house.say(pull, MAINTAINER, "/preview stop");
    house.settle().await;
    assert!(house.world().comment(pull).contains("`/preview stop` by `person-1`"), "{}", house.world().comment(pull));
    for again in ["/preview deploy", "/preview redeploy"] {
        house.expect(pull, Expect::Serves(head.clone()));
        let said = house.say(pull, MAINTAINER, again);
        house.settle().await;
        house.until("it is marked", |house| house.world().marks(said) == [Mark::Done]).await;
    }
    assert_eq!(house.world().marks(stop), [Mark::Done]);
    // Deployed already, nothing is built; redeployed, it is.
    assert_eq!(house.world().builds.len(), 3);
    house.say(pull, MAINTAINER, "/preview deploy");
    house.settle().await;
    assert_eq!(house.world().builds.len(), 3);
}

#[tokio::test(start_paused = true)]
async fn a_reset_gives_an_empty_database_wherever_it_is_cut_off() {
    let mut house = House::new().await;
    let pull = house.open(with_database()).await;
    house.settle().await;
    let (id, calls) = (house.id(pull), {
        house.world().mark();
        house.say(pull, MAINTAINER, "/preview reset-db");
        house.settle().await;
        house.world().calls()
    });
    assert_eq!(house.world().count(Call::RemoveVolumes), 1);
    for nth in (0..calls.min(60)).step_by(3) {
        house.world().mark();
        house.world().rules.push(Rule::nth(nth, Trouble::CrashAfter));
        let said = house.say(pull, MAINTAINER, "/preview reset-db");
        house.until("it is being done", |house| house.has_heard(said)).await;
        house.settle().await;
        assert!(house.world().count(Call::RemoveVolumes) >= 1, "killed after call {nth}");
        house.world().rules.clear();
        house.pass(hours(1)).await;
    }
    assert!(house.world().visit(&id).is_some());
    assert_eq!(house.read(|state| state.repairs), 0);
}

#[tokio::test(start_paused = true)]
async fn what_is_told_while_a_command_is_obeyed_does_not_have_it_obeyed_twice() {
    for (command, emptied) in [(Reason::ResetDatabase, 1), (Reason::Redeploy, 0)] {
        for (meanwhile, builds) in [(Reason::Changed, 1), (Reason::Pushed, 1), (command, 2)] {
            let mut house = House::new().await;
            let pull = house.open(with_database()).await;
            house.settle().await;
            house.world().mark();
            house.command(pull, command).await;
            house.until("it is being built", |house| house.world().count(Call::Build) == 1).await;
            house.tell(pull, meanwhile).await;
            house.settle().await;
            let done = [Call::Build, Call::RemoveVolumes].map(|call| house.world().count(call));
            assert_eq!(done, [builds, builds * emptied], "{command:?}, and {meanwhile:?} meanwhile");
            house.kill().await;
        }
    }
}

#[tokio::test(start_paused = true)]
async fn keep_moves_the_end_and_a_push_does_not_bring_it_nearer() {
    let mut house = House::new().await;
    let pull = house.open(good()).await;
    house.settle().await;
    house.say(pull, MAINTAINER, "/preview keep 3d");
    house.pass(hours(30)).await;
    house.settle().await;
    house.push(pull, good()).await;
    house.pass(hours(40)).await;
    house.settle().await;
    house.expect(pull, Expect::Aside(SetAsideReason::Expired));
    house.pass(hours(6)).await;
    house.settle().await;
}

#[tokio::test(start_paused = true)]
async fn who_deploys_again_wants_it_for_the_whole_time() {
    for again in ["redeploy", "reset-db", "deploy"] {
        let mut house = House::new().await;
        let pull = house.open(with_database()).await;
        house.settle().await;
        house.pass(hours(20)).await;
        house.say(pull, MAINTAINER, &format!("/preview {again}"));
        house.pass(hours(20)).await;
        let head = house.world().head(pull);
        house.expect(pull, Expect::Serves(head));
        house.settle().await;
        house.pass(hours(8)).await;
        house.expect(pull, Expect::Aside(SetAsideReason::Expired));
        house.settle().await;
    }
}

#[tokio::test(start_paused = true)]
async fn questions_are_answered_in_the_one_comment() {
    let mut house = House::new().await;
    let pull = house.open(good()).await;
    house.settle().await;
    for (command, mark, shown) in [
        ("/preview help", Mark::Look, "/preview reset-db"),
        ("/preview why", Mark::Look, "decided: a preview of"),
        ("/preview make coffee", Mark::Puzzled, "none of the commands"),
        ("/PREVIEW", Mark::Look, "/preview keep 3d"),
        ("/preview reset-db now", Mark::Puzzled, "none of the commands"),
    ] {
        let said = house.say(pull, MAINTAINER, command);
        house.until("it is marked", |house| house.world().marks(said) == [mark]).await;
        house.until("the comment answers", |house| house.world().comment(pull).contains(shown)).await;
        house.settle().await;
    }
    assert_eq!(house.world().builds.len(), 1);
}

#[tokio::test(start_paused = true)]
async fn commands_of_strangers_do_nothing() {
    let mut house = House::new().await;
    let pull = house.open(with_database()).await;
    house.settle().await;
    house.keep_watch(pull);
    let told = house.world().thread(pull).told.len();
    house.world().mark();
    let said = ["stop", "redeploy", "reset-db", "keep 30d", "logs", "why", "help", "nonsense"]
        .map(|command| house.say(pull, STRANGER, &format!("/preview {command}")));
    house.until("all were heard", |house| said.iter().all(|said| house.has_heard(*said))).await;
    house.pass(minutes(30)).await;
    house.settle().await;
    let mut world = house.world();
    assert_eq!((world.builds.len(), world.thread(pull).told.len()), (1, told));
    assert_eq!((world.people.marks.len(), world.count(Call::Permission)), (1, 3));
}

#[tokio::test(start_paused = true)]
async fn a_hundred_commands_of_one_person_are_limited() {
    let mut house = House::new().await;
    let pull = house.open(good()).await;
    house.settle().await;
    let said: Vec<_> = (0..100).map(|_| house.say(pull, MAINTAINER, "/preview help")).collect();
    house.until("all were heard", |house| said.iter().all(|said| house.has_heard(*said))).await;
    house.settle().await;
    let marks = house.world().people.marks.clone();
    assert_eq!(marks.iter().filter(|(_, mark)| *mark == Mark::Look).count(), 20);
    assert_eq!(marks.iter().filter(|(_, mark)| *mark == Mark::Refused).count(), 1);
    house.pass(hours(1)).await;
    let later = house.say(pull, MAINTAINER, "/preview help");
    house.until("it is marked", |house| house.world().marks(later) == [Mark::Look]).await;
}

#[tokio::test(start_paused = true)]
async fn a_doubled_delivery_acts_once_and_so_does_a_killed_service() {
    let mut house = House::new().await;
    let pull = house.open(good()).await;
    house.settle().await;
    for call in [None, Some(Call::Permission), Some(Call::Store), Some(Call::Mark), Some(Call::Remarks)] {
        let before = house.world().builds.len();
        if let Some(call) = call {
            house.trouble(call, 1, Trouble::CrashAfter);
        }
        let said = house.say(pull, MAINTAINER, "/preview redeploy");
        house.reconciler().hint(pull.repo).unwrap();
        house.until("it was marked", |house| house.world().marks(said) == [Mark::Done]).await;
        house.settle().await;
        for _ in 0..3 {
            house.reconciler().hint(pull.repo).unwrap();
            house.pass(minutes(6)).await;
        }
        house.restart().await;
        house.settle().await;
        let built = house.world().builds.len() - before;
        // Who is killed at the ledger's write may be so while building, and builds again.
        assert!(built == 1 || built == 2 && call == Some(Call::Store), "{call:?}: {built} builds");
    }
}

#[tokio::test(start_paused = true)]
async fn what_is_heard_late_undoes_nothing_that_was_said_after_it() {
    let mut house = House::new().await;
    let pull = house.open(with_database()).await;
    house.settle().await;
    for earlier in ["deploy", "redeploy", "reset-db"] {
        house.trouble(Call::Permission, 1, Trouble::FailsBefore);
        let deploys = house.say(pull, MAINTAINER, &format!("/preview {earlier}"));
        let stops = house.say(pull, MAINTAINER, "/preview stop");
        house.until("the earlier is marked", |house| house.world().marks(deploys) == [Mark::Look]).await;
        assert_eq!(house.world().marks(stops), [Mark::Done]);
        house.expect(pull, Expect::Aside(SetAsideReason::Stopped));
        house.settle().await;
        let again = house.say(pull, MAINTAINER, "/preview deploy");
        house.until("it is marked", |house| house.world().marks(again) == [Mark::Done]).await;
        let head = house.world().head(pull);
        house.expect(pull, Expect::Serves(head));
        house.settle().await;
    }
}

#[tokio::test(start_paused = true)]
async fn what_was_said_before_we_came_is_history() {
    let mut house = House::empty();
    let pull = house.open_silently(house.repo, good());
    house.world().say(pull, MAINTAINER, "/preview deploy");
    house.expect(pull, Expect::Untouched);
    tokio::time::sleep(minutes(5)).await;
    house.start();
    house.settle().await;
    let head = house.world().head(pull);
    house.expect(pull, Expect::Serves(head));
    house.say(pull, MAINTAINER, "/preview deploy");
    house.settle().await;
    house.tell(pull, Reason::Changed).await;
    house.settle().await;
}
