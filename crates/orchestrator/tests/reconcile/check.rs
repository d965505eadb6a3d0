//! What must hold in the end, looked up in the whole world rather than in what the reconciler says of it.

use std::collections::BTreeSet;
use std::time::Duration;

use preview_core::compose::{KeptBy, kept_by, own_image};
use preview_core::desired::{SetAsideReason, WaitReason};
use preview_core::ids::{CommitSha, DeploymentId, PullKey};
use preview_orchestrator::ledger::State;
use preview_orchestrator::needs::StatusState;

use tokio::time::timeout;

use crate::house::House;
use crate::world::SERVICE;

/// What should be of a pull request in the end.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Expect {
    /// This commit answers, and the comment says so.
    Serves(CommitSha),
    /// An older commit still answers; the comment says that, and why.
    StillServes { old: CommitSha, failed: CommitSha },
    /// Nothing answers, nothing is held, and the comment says why.
    Failed(CommitSha),
    /// Nothing is left of it, and the comment, if it ever had one, says so.
    Gone,
    /// Nothing is left but a line, and the comment says why.
    Aside(SetAsideReason),
    /// Nothing was ever done, and nothing said.
    Untouched,
    /// The ledger was lost, and with it what people asked for: whatever is, all sides agree on it.
    Unknown,
}

impl Expect {
    /// What answers.
    pub(crate) fn serving(&self) -> Option<&CommitSha> {
        match self {
            Self::Serves(commit) | Self::StillServes { old: commit, .. } => Some(commit),
            Self::Failed(_) | Self::Gone | Self::Aside(_) | Self::Untouched | Self::Unknown => None,
        }
    }
}

impl House {
    /// Everything that is not as it should be.
    pub(crate) async fn check(&self) -> Vec<String> {
        self.world().looking = true;
        // Whoever is killed meanwhile never answers.
        let report = timeout(Duration::from_secs(10), self.reconciler().audit()).await;
        self.world().looking = false;
        let mut problems = self.world().violations.clone();
        match report {
            Ok(Ok(report)) => {
                problems.extend(report.findings.into_iter().map(|finding| finding.line));
                problems.extend(report.in_progress.into_iter().map(|id| format!("{id} is being worked on")));
            }
            Ok(Err(fault)) => problems.push(format!("no audit: {fault}")),
            Err(_) => problems.push("no audit: killed".into()),
        }
        problems.extend(self.check_ledger());
        problems.extend(self.check_strays());
        for (key, expect) in &self.expected {
            let wrong = self.check_pull(*key, expect);
            problems.extend(wrong.into_iter().map(|wrong| format!("{key}: {wrong} (should be {expect:?})")));
        }
        problems
    }

    /// What is on the disk is what is in memory.
    fn check_ledger(&self) -> Vec<String> {
        let same = self
            .read(|state| self.world().stored.as_ref().map_or(*state == State::default(), |stored| stored == state));
        if same { Vec::new() } else { vec!["the ledger on the disk is not the one in memory".into()] }
    }

    /// Nothing belongs to nobody.
    fn check_strays(&self) -> Vec<String> {
        let known = |id: &DeploymentId| self.read(|state| state.deployments.contains_key(id));
        let world = self.world();
        let engine = world.engine.keys().filter(|id| !known(id)).map(|id| format!("the engine has something of {id}"));
        let routes = world.routes.iter().filter(|route| !known(&route.deployment));
        let routes = routes.map(|route| format!("{} has a route", route.deployment));
        let folders = self.folders().list().unwrap_or_default();
        let checkouts = folders.iter().filter(|id| self.folders().checkout(id).exists());
        let checkouts = checkouts.map(|id| format!("{id} has a checkout"));
        engine.chain(routes).chain(checkouts).collect()
    }

    fn check_pull(&self, key: PullKey, expect: &Expect) -> Vec<String> {
        if *expect == Expect::Unknown {
            return Vec::new();
        }
        let mut wrong = Vec::new();
        let id = self.read(|state| state.id_of(key));
        let shown = id.as_ref().and_then(|id| self.world().visit(id));
        if shown.as_ref() != expect.serving() {
            wrong.push(format!("visitors see {shown:?}"));
        }
        let line = id.as_ref().and_then(|id| self.read(|state| state.set_aside.get(id).map(|line| line.reason)));
        let wanted = match expect {
            Expect::Aside(reason) => Some(*reason),
            _ => None,
        };
        if line != wanted {
            wrong.push(format!("its line in the ledger says {line:?}"));
        }
        let held = self.record(key);
        let id_of = id.clone();
        match expect {
            Expect::Gone | Expect::Aside(_) | Expect::Untouched if held.is_some() => {
                wrong.push("it has a record".into())
            }
            Expect::Failed(_) => {
                let id = id.clone();
                let ports = held.as_ref().map_or(0, |record| record.ports().count());
                let holds = held.is_none_or(|record| record.holds_place() || record.subnet.is_some());
                if holds || ports > 0 || id.is_some_and(|id| self.world().engine.contains_key(&id)) {
                    wrong.push("it holds something".into());
                }
            }
            _ => {}
        }
        wrong.extend(id_of.as_ref().zip(expect.serving()).and_then(|(id, commit)| self.check_backing(id, commit)));
        wrong.extend(id_of.as_ref().zip(expect.serving()).and_then(|(id, commit)| self.check_services(id, commit)));
        wrong.extend(self.check_comment(key, expect));
        wrong.extend(self.check_status(key, expect));
        wrong
    }

    /// The version that serves has the services that it names, and nobody else has any.
    fn check_backing(&self, id: &DeploymentId, commit: &CommitSha) -> Option<String> {
        let world = self.world();
        let app = world.app(commit);
        let stock = world.engine.get(id)?;
        let up: BTreeSet<String> = stock.backing.keys().cloned().collect();
        // Those of a Compose file stay as long as the preview.
        let volumes = stock.volumes.iter().filter(|volume| kept_by(id, volume) != KeptBy::Own).count();
        let right = up == app.backing() && volumes == app.volumes();
        (!right).then(|| format!("it has {up:?} with {:?} beside it", stock.volumes))
    }

    /// The services beside the app are those of the commit that serves.
    fn check_services(&self, id: &DeploymentId, commit: &CommitSha) -> Option<String> {
        let world = self.world();
        let wanted = world.app(commit).service.then(|| own_image(id, commit, SERVICE.parse().unwrap()));
        let there = world.engine.get(id).map(|stock| stock.services.values().cloned().collect::<Vec<_>>());
        let there = there.unwrap_or_default();
        (there != Vec::from_iter(wanted)).then(|| format!("beside the app run {there:?}"))
    }

    fn check_comment(&self, key: PullKey, expect: &Expect) -> Vec<String> {
        let mut world = self.world();
        let comments = world.thread(key).comments.len();
        let (refused, text) = (world.thread(key).locked || world.thread(key).hidden, world.comment(key));
        if refused {
            return Vec::new();
        }
        let (title, commit) = match expect {
            Expect::Serves(commit) => ("Preview is ready", Some(commit)),
            Expect::StillServes { failed, .. } => ("Preview update failed", Some(failed)),
            Expect::Failed(commit) => ("Preview failed", Some(commit)),
            Expect::Aside(SetAsideReason::Expired) => ("Preview has expired", None),
            // One that had no preview already, say for want of a label, keeps what it was told, if anything.
            Expect::Aside(SetAsideReason::Stopped) if comments == 0 => return Vec::new(),
            Expect::Aside(SetAsideReason::Stopped) => ("⚪", None),
            Expect::Aside(SetAsideReason::Waiting(WaitReason::Approval)) => {
                let line = format!("\n/preview deploy {}\n", world.head(key));
                if !text.contains(&line) {
                    return vec![format!("its comment does not show how to approve: {text:?}")];
                }
                ("No preview until somebody approves", None)
            }
            Expect::Gone | Expect::Aside(SetAsideReason::Waiting(_)) if comments == 0 => return Vec::new(),
            Expect::Gone => ("⚪", None),
            Expect::Aside(SetAsideReason::Waiting(_)) => ("⚪", None),
            Expect::Untouched if comments == 0 => return Vec::new(),
            Expect::Untouched | Expect::Unknown => ("no comment at all", None),
        };
        let told = text.contains(title) && commit.is_none_or(|commit| text.contains(commit.short()));
        let mut wrong = Vec::new();
        if !told {
            wrong.push(format!("its comment says {:?}", text.lines().next().unwrap_or_default()));
        }
        if comments > 1 {
            wrong.push(format!("it has {comments} comments"));
        }
        wrong
    }

    fn check_status(&self, key: PullKey, expect: &Expect) -> Option<String> {
        let (commit, states): (_, &[StatusState]) = match expect {
            Expect::Serves(commit) => (commit, &[StatusState::Success]),
            Expect::StillServes { failed, .. } | Expect::Failed(failed) => {
                (failed, &[StatusState::Failure, StatusState::Error])
            }
            Expect::Gone | Expect::Aside(_) | Expect::Untouched | Expect::Unknown => return None,
        };
        let world = self.world();
        let state = world.status(key.repo, commit).map(|status| status.state);
        let right = state.is_some_and(|state| states.contains(&state));
        (!right).then(|| format!("the status of {} is {state:?}", commit.short()))
    }
}
