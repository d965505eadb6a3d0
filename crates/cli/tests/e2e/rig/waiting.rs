//! Waiting for what has no event of its own, with a limit and the service's last words.

use std::future::Future;
use std::time::{Duration, Instant};

use preview_simulator::state::{Comment, Status, StatusState};
use preview_simulator::{Matching, Pull};
use serde_json::Value;

use super::{PATIENCE, Rig};
use crate::load::Seen;

/// Between two looks at something that has no event.
const LOOK: Duration = Duration::from_millis(25);

/// Every single visitor got what they came for.
pub(crate) fn assert_all_served(seen: &Seen) {
    assert!(seen.failures.is_empty(), "{} of {} failed: {:#?}", seen.failures.len(), seen.visits, seen.failures);
}

impl Rig {
    /// Waits for something, within [`PATIENCE`]. In vain, it shows the service's last words.
    pub(crate) async fn until<T, F: Future<Output = Option<T>>>(&self, what: &str, look: impl FnMut() -> F) -> T {
        self.until_within(PATIENCE, what, look).await
    }

    /// Waits for something that may take this long.
    pub(crate) async fn until_within<T, F: Future<Output = Option<T>>>(
        &self,
        patience: Duration,
        what: &str,
        mut look: impl FnMut() -> F,
    ) -> T {
        let begun = Instant::now();
        loop {
            if let Some(found) = look().await {
                return found;
            }
            if begun.elapsed() > patience {
                let log = self.log();
                let lines: Vec<&str> = log.lines().collect();
                panic!(
                    "{what}: not within {patience:?}. The service:\n{}",
                    lines[lines.len().saturating_sub(60)..].join("\n")
                );
            }
            tokio::time::sleep(LOOK).await;
        }
    }

    /// Waits until a preview answers its address with a text that contains this.
    pub(crate) async fn until_answers(&self, url: &str, wanted: &str) {
        let what = format!("{url} answers with {wanted:?}");
        self.until(&what, async || {
            let answer = self.http.get(url).send().await.ok().filter(|answer| answer.status().is_success())?;
            answer.text().await.ok().filter(|text| text.contains(wanted)).map(drop)
        })
        .await;
    }

    /// Waits until a preview's address answers 404.
    pub(crate) async fn until_gone(&self, url: &str) {
        let what = format!("{url} is gone");
        self.until(&what, async || {
            let answer = self.http.get(url).send().await.ok()?;
            (answer.status() == 404).then_some(())
        })
        .await;
    }

    /// Waits until the one comment of ours on a pull request contains this. More than one comment fails the test.
    pub(crate) async fn until_comment(&self, pull: &Pull, wanted: &str) -> Comment {
        let what = format!("the comment on #{} contains {wanted:?}", pull.number());
        self.until(&what, async || {
            let comments = pull.bot_comments();
            assert!(comments.len() <= 1, "one comment, not {}", comments.len());
            comments.into_iter().next().filter(|comment| comment.body.contains(wanted))
        })
        .await
    }

    /// Waits until the newest commit's status is this.
    pub(crate) async fn until_status(&self, pull: &Pull, wanted: StatusState) -> Status {
        let what = format!("the status of #{}'s commit is {wanted:?}", pull.number());
        self.until(&what, async || pull.status("preview").filter(|status| status.state == wanted)).await
    }

    /// Waits until so many more listings of open pull requests have begun: by then all but the last were dealt with.
    pub(crate) async fn until_listed(&self, times: usize) {
        let listings = || self.github.look(|state| state.count(&Matching::get("/pulls?")));
        let enough = listings() + times;
        self.until("the open pull requests are listed again", async || (listings() >= enough).then_some(())).await;
    }

    /// Waits until a deployment's record in the ledger fits; `None` is no record.
    pub(crate) async fn until_record(&self, id: &str, what: &str, fits: impl Fn(Option<&Value>) -> bool) {
        let what = format!("the record of {id}: {what}");
        self.until(&what, async || {
            let ledger = self.ledger();
            let record = ledger["deployments"].get(id);
            fits(record).then_some(())
        })
        .await;
    }
}
