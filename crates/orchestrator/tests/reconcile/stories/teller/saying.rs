//! What people say in comments, and what should come of it.

use jiff::{SignedDuration, Timestamp};
use preview_core::desired::{ForkPolicy, WaitReason};
use preview_core::ids::{CommitSha, PullKey};

use super::super::script::{Saying, Told};
use super::{Teller, Topic, Wish};
use crate::world::people::{MAINTAINER, STRANGER};

/// For how long people keep a preview: two nights are longer, one is not.
const KEEP: SignedDuration = SignedDuration::from_hours(5 * 24);

impl Teller {
    /// Somebody comments. Nobody could know in which order what was said and what was done was heard, so what changes what
    /// should be is heard before the story goes on; an approval is of one commit, whenever it is heard.
    pub(super) async fn say(&mut self, pull: usize, saying: Saying, told: Told) {
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
    pub(super) fn is_unheard(&mut self) -> bool {
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
}
