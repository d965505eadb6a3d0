//! What somebody does behind the service's back: containers, images, folders, routes and ledgers go, or are those of before.

use preview_core::ids::{DeploymentId, Slot};
use preview_orchestrator::ledger::State;

use super::super::script::Step;
use super::{Teller, Wish};
use crate::house::House;

impl Teller {
    pub(super) async fn tamper(&mut self, step: &Step) {
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
        for topic in &mut self.topics {
            (topic.wish, topic.approved, topic.was_lost) = (Wish::Unknown, None, true);
        }
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
            let old = former.iter().find(|old| old.key == topic.key);
            let same = old.is_some_and(|old| old.commands == topic.commands);
            topic.approved = old.and_then(|old| old.approved.clone());
            topic.was_lost = true;
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
}
