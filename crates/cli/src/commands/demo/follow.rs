//! Following an attempt from the push to its end, a line for each part of the way.

use std::time::Instant;

use preview_core::deployment::{self, Deployment, QueueReason, Stage as Attempted, Step};
use preview_core::ids::{CommitSha, DeploymentId};

use super::screen::Screen;
use super::stage::{LOOK, Stage};
use crate::error::Failure;

/// Looks between two looks at a build's output.
const LOOKS: u32 = 8;

/// How an attempt ended.
pub(super) enum Ended {
    /// It serves.
    Up,
    /// It didn't come up.
    Failed(deployment::Failure),
}

/// A part of the way that people can tell from the others.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Part {
    Delivery,
    Checkout,
    Build,
    Start,
    Drain,
    End,
}

impl Part {
    const ALL: [Self; 5] = [Self::Delivery, Self::Checkout, Self::Build, Self::Start, Self::Drain];

    fn of(step: Step) -> Self {
        match step {
            Step::Checkout | Step::Read | Step::Detect | Step::Plan => Self::Checkout,
            Step::Build => Self::Build,
            Step::Migrate | Step::Seed | Step::Start | Step::Health | Step::Route => Self::Start,
            Step::Drain => Self::Drain,
        }
    }

    fn doing(self) -> &'static str {
        match self {
            Self::Delivery => "waiting for the webhook",
            Self::Checkout => "reading the commit",
            Self::Build => "building the image",
            Self::Start => "starting the app",
            Self::Drain | Self::End => "letting the old version finish",
        }
    }

    fn done(self) -> &'static str {
        match self {
            Self::Delivery => "webhook received, signature good",
            Self::Checkout => "commit fetched, framework recognised",
            Self::Build => "image built",
            Self::Start => "app started and healthy, visitors switched to it",
            Self::Drain | Self::End => "old version finished its requests and is gone",
        }
    }
}

/// Where an attempt is.
enum Seen {
    At(Part, Option<QueueReason>),
    Ended(Ended),
}

/// Follows the attempt to bring up a commit.
pub(super) async fn follow(
    stage: &Stage,
    screen: &Screen,
    id: &DeploymentId,
    commit: &CommitSha,
) -> Result<Ended, Failure> {
    let mut way = Way { screen, at: Part::Delivery, since: Instant::now(), updates: false };
    let mut detail = String::new();
    let mut looks = 0_u32;
    loop {
        let record = stage.record(id).await?;
        way.updates |= record.as_ref().is_some_and(|r| r.serving.as_ref().is_some_and(|s| s.commit_sha != *commit));
        match seen(record, commit) {
            Seen::At(part, queued) => {
                way.reach(part);
                match queued {
                    Some(reason) => detail = waits_for(reason).to_owned(),
                    None if part != Part::Build => detail.clear(),
                    None if screen.is_live() && looks.is_multiple_of(LOOKS) => detail = stage.build_line(id).await?,
                    None => {}
                }
            }
            Seen::Ended(ended) => {
                way.end(&ended);
                return Ok(ended);
            }
        }
        screen.waiting(way.at.doing(), &detail, way.since);
        tokio::time::sleep(LOOK).await;
        looks = looks.wrapping_add(1);
    }
}

fn seen(record: Option<Deployment>, commit: &CommitSha) -> Seen {
    let Some(record) = record else { return Seen::At(Part::Delivery, None) };
    let attempt = record.attempt.as_ref().filter(|attempt| attempt.commit == *commit);
    match attempt.map(|attempt| attempt.stage.clone()) {
        None => Seen::At(Part::Delivery, None),
        Some(Attempted::Queued(reason)) => Seen::At(Part::Delivery, Some(reason)),
        Some(Attempted::Running(step)) => Seen::At(Part::of(step), None),
        Some(Attempted::Failed(failure)) => Seen::Ended(Ended::Failed(failure)),
        Some(Attempted::Done) => Seen::Ended(Ended::Up),
    }
}

fn waits_for(reason: QueueReason) -> &'static str {
    match reason {
        QueueReason::Places => "all places are taken",
        QueueReason::Builds => "another build is running",
        QueueReason::Image => "its image is not there yet",
        QueueReason::Memory => "too little memory is free",
        QueueReason::Disk => "the disk is almost full",
        QueueReason::Ports => "no port is free",
    }
}

/// The way so far.
struct Way<'a> {
    screen: &'a Screen,
    at: Part,
    since: Instant,
    /// Whether an older version serves meanwhile.
    updates: bool,
}

impl Way<'_> {
    /// Says what is behind us, each part once: what was too quick to be seen took no time.
    fn reach(&mut self, part: Part) {
        if part <= self.at {
            return;
        }
        for passed in Part::ALL.into_iter().filter(|passed| (self.at..part).contains(passed)) {
            if passed != Part::Drain || self.updates {
                self.screen.done(passed.done(), self.since.elapsed());
            }
            self.since = Instant::now();
        }
        self.at = part;
    }

    fn end(&mut self, ended: &Ended) {
        match ended {
            Ended::Up => self.reach(Part::End),
            Ended::Failed(failure) => {
                self.reach(Part::of(failure.step));
                self.screen.failed(&format!("{} failed", self.at.doing()), self.since.elapsed());
            }
        }
    }
}
