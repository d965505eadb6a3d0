//! A preview's record, as commands read it that go into its containers.

use std::collections::BTreeSet;

use preview_core::backing::Backing;
use preview_core::deployment::Deployment;
use preview_core::ids::{DeploymentId, Slot};

use crate::client::Client;
use crate::error::Failure;

/// One preview, as the service tells of it.
pub(crate) struct Record(Deployment);

impl Record {
    /// Asks the service.
    pub(crate) async fn ask(client: &Client, id: &DeploymentId) -> Result<Self, Failure> {
        client.json(&format!("/api/previews/{id}")).await.map(Self)
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
