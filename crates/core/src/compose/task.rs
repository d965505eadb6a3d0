//! A container that does one thing for a commit and ends: it migrates the database, or fills it.
//!
//! It has what the app has: image, user, limits, variables, network. It has no port, and is never started again.

use serde::{Deserialize, Serialize};

use super::app;
use super::given::Backing;
use super::model::Service;
use super::{ServiceName, SlotSpec, StackSpec};
use crate::repo_config::AppCommand;

/// What it does.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Task {
    /// Brings the database to the form that the commit expects.
    Migrate,
    /// Fills a new database.
    Seed,
}

impl Task {
    /// All of them.
    pub const ALL: [Self; 2] = [Self::Migrate, Self::Seed];

    /// Its name as a service.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Migrate => "migrate",
            Self::Seed => "seed",
        }
    }
}

/// A one-off container to be.
#[derive(Debug, Clone)]
pub struct TaskSpec {
    /// What it does.
    pub task: Task,
    /// By which command, whatever the image's entrypoint.
    pub command: AppCommand,
    /// The app whose image, limits and variables it has.
    pub app: SlotSpec,
}

pub(super) fn service(spec: &StackSpec, task: &TaskSpec, backing: &Backing) -> Service {
    let mut service = app::of_image(spec, ServiceName::Task(task.task), &task.app, backing);
    service.once();
    service.start(&task.command);
    service
}
