//! A preview's record, as commands read it that go into its containers, or throw away what it has.

use std::collections::BTreeSet;

use preview_core::backing::Backing;
use preview_core::deployment::Deployment;
use preview_core::ids::{DeploymentId, Slot};

use crate::client::Client;
use crate::error::{Failure, Kind};
use crate::flags::Flags;
use crate::ui;

/// One preview, as the service tells of it.
pub(crate) struct Record(Deployment);

impl Record {
    /// Asks the service.
    pub(crate) async fn ask(client: &Client, id: &DeploymentId) -> Result<Self, Failure> {
        client.json(&format!("/api/previews/{id}")).await.map(Self)
    }

    /// Shows what a command throws away of a preview, and asks. Gives whether it is to be done now. What is only set aside has no
    /// record, and nothing to lose: whether there is such a one, the service says when it is told.
    pub(crate) async fn may_lose(
        client: &Client,
        id: &DeploymentId,
        flags: &Flags,
        (what, question): (impl FnOnce(&Self) -> Vec<String>, &str),
    ) -> Result<bool, Failure> {
        match Self::ask(client, id).await {
            Ok(record) => flags.may_lose(&what(&record), |asking| asking.may(question)),
            Err(failure) if failure.kind == Kind::Absent && !flags.dry_run => Ok(true),
            Err(failure) => Err(failure),
        }
    }

    /// All that it is, line by line.
    pub(crate) fn whole(&self) -> Vec<String> {
        let url =
            self.url().map_or_else(|| "which has no address yet".to_owned(), |url| format!("at {}", ui::harmless(url)));
        [format!("the preview {}, {url}; the next push brings a new one", self.id())]
            .into_iter()
            .chain(self.data())
            .collect()
    }

    /// What keeps something for it, line by line.
    pub(crate) fn data(&self) -> Vec<String> {
        let database = self.database().map(|main| format!("its database ({main}), with all that is in it"));
        let beside =
            self.0.extras.iter().map(ToString::to_string).chain(self.0.services.iter().map(ToString::to_string));
        database.into_iter().chain(beside.map(|name| format!("what its service {name} keeps"))).collect()
    }

    pub(crate) fn id(&self) -> &DeploymentId {
        &self.0.id
    }

    /// Its address, once it has one.
    pub(crate) fn url(&self) -> Option<&str> {
        self.0.url.as_deref()
    }

    /// Where its app is: the version that serves, else the one that is coming up.
    pub(crate) fn slot(&self) -> Option<Slot> {
        let serving = self.0.serving.as_ref().map(|serving| serving.slot);
        serving.or_else(|| self.0.attempt.as_ref().map(|attempt| attempt.slot))
    }

    /// Its main database.
    pub(crate) fn database(&self) -> Option<Backing> {
        self.0.db_type.as_deref().and_then(|name| name.parse().ok())
    }

    /// What else keeps something for it.
    pub(crate) fn extras(&self) -> &BTreeSet<Backing> {
        &self.0.extras
    }

    /// The names of everything that it is made of, the app first.
    pub(crate) fn services(&self) -> Vec<String> {
        let database = self.database().map(|_| "db".to_owned());
        let extras = self.0.extras.iter().map(ToString::to_string);
        let own = self.0.services.iter().map(ToString::to_string);
        ["app".to_owned()].into_iter().chain(database).chain(extras).chain(own).collect()
    }
}
