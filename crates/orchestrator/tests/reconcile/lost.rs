//! What GitHub does not tell, or tells wrongly.

use std::time::Duration;

use preview_orchestrator::ledger::Reason;
use preview_orchestrator::reconcile::NotAccepted;

use crate::check::Expect;
use crate::house::{House, good, minutes, with_database};
use crate::world::engine::Stock;
use crate::world::trouble::{Call, Trouble};

#[tokio::test(start_paused = true)]
async fn what_was_open_before_us_stays_untouched_until_it_is_pushed_to() {
    let mut house = House::empty();
    let repo = house.repo;
    let pulls = [(); 3].map(|()| house.open_silently(repo, good()));
    pulls.iter().for_each(|pull| house.expect(*pull, Expect::Untouched));
    tokio::time::sleep(minutes(1)).await;
    house.start();
    house.settle().await;
    house.tell(pulls[0], Reason::Changed).await;
    house.pass(minutes(20)).await;
    house.restart().await;
    house.settle().await;
    house.push(pulls[0], good()).await;
    house.push_silently(pulls[1], good());
    house.settle().await;
    // Pushed to and back: something has happened to it.
    house.push(pulls[2], good()).await;
    house.settle().await;
}

#[tokio::test(start_paused = true)]
async fn what_was_open_before_us_and_is_closed_and_reopened_comes_up() {
    let mut house = House::empty();
    let pull = house.open_silently(house.repo, good());
    house.expect(pull, Expect::Untouched);
    tokio::time::sleep(minutes(1)).await;
    house.start();
    house.settle().await;
    house.close(pull).await;
    house.settle().await;
    house.reopen(pull).await;
    house.settle().await;
}

#[tokio::test(start_paused = true)]
async fn pushed_to_before_the_first_listing_it_is_no_longer_of_before_us() {
    let mut house = House::empty();
    let pull = house.open_silently(house.repo, good());
    let other = house.open_silently(house.repo, good());
    house.expect(other, Expect::Untouched);
    tokio::time::sleep(minutes(1)).await;
    house.world().hub.down = Some("502");
    house.start();
    house.push(pull, good()).await;
    house.pass(minutes(2)).await;
    house.world().hub.down = None;
    house.settle().await;
}

#[tokio::test(start_paused = true)]
async fn lost_deliveries_are_found_by_the_next_listing() {
    let mut house = House::new().await;
    let pull = house.open_silently(house.repo, good());
    house.pass(minutes(6)).await;
    house.settle().await;
    house.push_silently(pull, good());
    house.pass(minutes(6)).await;
    house.settle().await;
    house.close_silently(pull);
    house.pass(minutes(6)).await;
    house.settle().await;
}

#[tokio::test(start_paused = true)]
async fn what_a_listing_found_is_not_forgotten_when_asking_for_it_fails() {
    use crate::world::trouble::Trouble;
    let mut house = House::new().await;
    house.open_silently(house.repo, good());
    house.trouble(Call::Pull, 9, Trouble::FailsBefore);
    house.settle().await;
}

#[tokio::test(start_paused = true)]
async fn errors_and_lists_that_are_empty_or_cut_remove_nothing() {
    let mut house = House::new().await;
    let pulls = [house.open(good()).await, house.open(with_database()).await];
    house.settle().await;
    pulls.iter().for_each(|pull| house.keep_watch(*pull));
    for answer in ["500", "403", "404"] {
        house.world().hub.down = Some(answer);
        house.pass(minutes(30)).await;
        house.restart().await;
        house.pass(minutes(30)).await;
    }
    house.world().hub.down = None;
    house.settle().await;
    let repo = house.repo;
    let listing = |house: &House, cut| house.world().hub.repos.get_mut(&repo).unwrap().listing = cut;
    listing(&house, Some(|_| Vec::new()));
    house.pass(minutes(30)).await;
    house.restart().await;
    house.pass(minutes(30)).await;
    listing(&house, Some(|all| all[1..].to_vec()));
    house.pass(minutes(30)).await;
    listing(&house, None);
    house.settle().await;
    assert_eq!(house.world().builds.len(), 2);
}

#[tokio::test(start_paused = true)]
async fn a_404_is_believed_the_second_time() {
    let mut house = House::new().await;
    let pull = house.open(good()).await;
    house.settle().await;
    house.keep_watch(pull);
    house.world().thread(pull).hidden = true;
    house.tell(pull, Reason::Changed).await;
    house.pass(minutes(4)).await;
    house.world().thread(pull).hidden = false;
    house.pass(minutes(20)).await;
    house.settle().await;
    house.world().must_serve.clear();
    house.world().thread(pull).hidden = true;
    house.expect(pull, Expect::Gone);
    house.settle().await;
}

#[tokio::test(start_paused = true)]
async fn a_repository_that_does_not_answer_is_not_one_whose_pull_requests_are_gone() {
    let mut house = House::new().await;
    let pull = house.open(good()).await;
    house.settle().await;
    house.keep_watch(pull);
    let repo = house.world().hub.repos.remove(&pull.repo).unwrap();
    house.pass(minutes(60)).await;
    house.world().hub.repos.insert(pull.repo, repo);
    house.settle().await;
}

#[tokio::test(start_paused = true)]
async fn a_repository_that_is_no_longer_allowed_loses_its_previews() {
    let mut house = House::new().await;
    let pull = house.open(with_database()).await;
    house.settle().await;
    house.stop().await;
    house.world().add_repo(8, "org/other");
    house.config.allowed = vec!["org/other".parse().unwrap()];
    house.expect(pull, Expect::Gone);
    house.start();
    house.settle().await;
    let refused = house.reconciler().accept(pull.repo, pull.number, Reason::Pushed).await;
    assert!(matches!(refused, Err(NotAccepted::NotAllowed)));
}

#[tokio::test(start_paused = true)]
async fn a_renamed_repository_stays_and_a_new_one_under_its_name_is_not_allowed() {
    let mut house = House::new().await;
    let pull = house.open(good()).await;
    house.settle().await;
    house.keep_watch(pull);
    let repo = house.repo;
    house.world().rename(repo, "org/renamed");
    house.tell(pull, Reason::Changed).await;
    house.push(pull, good()).await;
    house.settle().await;
    assert_eq!(house.record(pull).unwrap().repo.to_string(), "org/renamed");
    assert_eq!(house.id(pull).to_string(), "org-app-1");
    house.restart().await;
    house.settle().await;
    let usurper = house.world().add_repo(8, "org/app");
    let stranger = house.open_in(usurper, good()).await;
    house.expect(stranger, Expect::Untouched);
    house.pass(minutes(20)).await;
    house.settle().await;
}

/// The name in the settings is not the repository's own any more, and GitHub does not know it for a moment.
#[tokio::test(start_paused = true)]
async fn one_404_for_the_old_name_of_a_renamed_repository_removes_nothing() {
    let mut house = House::new().await;
    let pull = house.open(with_database()).await;
    house.settle().await;
    house.keep_watch(pull);
    let repo = house.repo;
    house.world().rename(repo, "org/renamed");
    house.push(pull, with_database()).await;
    house.settle().await;
    house.kill().await;
    let away = house.world().hub.repos.remove(&repo).unwrap();
    house.start();
    house.pass(Duration::from_secs(5)).await;
    house.world().hub.repos.insert(repo, away);
    house.settle().await;
}

#[tokio::test(start_paused = true)]
async fn one_404_for_a_repository_removes_nothing_of_what_a_lost_ledger_does_not_know() {
    let mut house = House::with(|config| config.cleanup_interval = minutes(1)).await;
    let pull = house.open(with_database()).await;
    house.settle().await;
    let (id, repo) = (house.id(pull), house.repo);
    house.kill().await;
    let away = {
        let mut world = house.world();
        world.stored = None;
        world.hub.repos.remove(&repo).unwrap()
    };
    house.start();
    // Several sweeps long.
    house.pass(minutes(3)).await;
    assert!(house.world().visit(&id).is_some());
    house.world().hub.repos.insert(repo, away);
    house.settle().await;
}

#[tokio::test(start_paused = true)]
async fn retargeted_to_another_base_nothing_changes() {
    let mut house = House::new().await;
    let pull = house.open(good()).await;
    house.settle().await;
    house.keep_watch(pull);
    house.world().mark();
    house.tell(pull, Reason::Changed).await;
    house.settle().await;
    assert_eq!(house.world().count(Call::Build), 0);
}

#[tokio::test(start_paused = true)]
async fn a_ledger_that_was_lost_is_made_again_from_what_runs() {
    let mut house = House::new().await;
    let pull = house.open(with_database()).await;
    house.settle().await;
    house.kill().await;
    house.world().stored = None;
    house.start();
    house.settle().await;
    assert_eq!(house.world().thread(pull).comments.len(), 1);
}

#[tokio::test(start_paused = true)]
async fn what_runs_and_an_older_ledger_does_not_know_goes_as_soon_as_github_tells() {
    let mut house = House::new().await;
    house.open(good()).await;
    house.settle().await;
    let older = house.world().stored.clone();
    let closed = house.open(good()).await;
    house.settle().await;
    let id = house.id(closed);
    house.close_silently(closed);
    house.kill().await;
    house.world().stored = older;
    house.world().tampered = true;
    // The engine is faster than GitHub.
    house.world().hub.down = Some("500");
    house.start();
    house.pass(minutes(1)).await;
    house.world().hub.down = None;
    house.pass(minutes(5)).await;
    assert!(!house.world().engine.contains_key(&id));
    house.settle().await;
}

#[tokio::test(start_paused = true)]
async fn what_is_left_over_is_removed_and_counted() {
    // Of a repository that nobody knows, and of a pull request that there never was.
    for (repairs, id) in [(1, "elsewhere-3"), (2, "org-app-77")] {
        let mut house = House::new().await;
        house.world().tampered = true;
        for _ in 0..repairs {
            let (id, mut stock) = (id.parse().unwrap(), Stock::default());
            (stock.network, stock.volumes) = (Some("10.222.0.0/28".into()), ["data".into()].into());
            std::fs::create_dir_all(house.folders().of(&id)).unwrap();
            house.world().engine.insert(id.clone(), stock);
            // A pull request that GitHub does not know is believed to be none when it has been asked for twice.
            house.pass(minutes(125)).await;
            house.settle().await;
            assert!(!house.folders().exists(&id));
        }
        assert_eq!(house.read(|state| state.repairs), repairs, "{id}");
        house.kill().await;
    }
}

#[tokio::test(start_paused = true)]
async fn what_is_left_over_and_cannot_be_removed_holds_up_nothing_else() {
    let mut house = House::new().await;
    house.world().tampered = true;
    for id in ["elsewhere-3", "elsewhere-4"] {
        let mut stock = Stock::default();
        stock.volumes.insert("data".into());
        house.world().engine.insert(id.parse().unwrap(), stock);
    }
    house.trouble(Call::RemoveVolumes, 1, Trouble::FailsBefore);
    house.pass(minutes(61)).await;
    let left: Vec<String> = house.world().engine.keys().map(ToString::to_string).collect();
    assert_eq!(left, ["elsewhere-3"]);
    house.pass(minutes(60)).await;
    house.settle().await;
}
