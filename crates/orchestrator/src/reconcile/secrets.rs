//! Which of the operator's secrets an attempt gets, and what must not be shown of a preview.

use std::collections::BTreeMap;

use preview_core::causes::with_causes;
use preview_core::ids::DeploymentId;
use preview_core::mask::Mask;
use preview_core::repo_config::EnvVars;
use preview_core::secrets::{self, NotGiven, Secrets};
use preview_core::trust::Trust;

use super::Reconciler;
use super::attempt::{Found, Trying};
use crate::needs::Fault;
use crate::secrets::Whose;

impl Reconciler {
    /// The repository's own variables, with what they refer to: of what the app is given, and of secrets as these are now.
    pub(super) fn env_of(
        &self,
        trying: &Trying,
        found: &Found,
        app_gets: &BTreeMap<String, String>,
    ) -> Result<EnvVars, Fault> {
        let env = &found.config.env;
        let known = match trying.trust {
            Trust::Member if !secrets::are_wanted(env) => Secrets::new(),
            Trust::Stranger => Secrets::new(),
            Trust::Member => self.inner.vault.of(trying.key.repo).map_err(|error| {
                let cause = with_causes(&error);
                tracing::error!(deployment = %trying.id, cause, "the operator's secrets could not be read");
                Fault::passing("the operator's secrets could not be read; the server's log says why")
            })?,
        };
        let filled = secrets::filled(env, trying.trust, &known, app_gets);
        let filled = filled.map_err(|why| self.not_given(&trying.id, &why))?;
        let mut all = found.env_of_file.clone();
        all.extend(filled);
        Ok(all)
    }

    fn not_given(&self, id: &DeploymentId, why: &NotGiven) -> Fault {
        let repo = self.inner.ledger.read(|state| state.deployments.get(id).map(|record| record.repo.clone()));
        let fault = Fault::author(why.to_string());
        repo.iter().fold(fault, |fault, repo| fault.advise(why.advice(repo)))
    }

    /// What must not be shown of a preview: our own secrets, and those that its code could have.
    pub fn mask(&self, id: &DeploymentId) -> Mask {
        let vault = &self.inner.vault;
        let mut whose = vec![Whose::Service, Whose::Deployment(id.clone())];
        if let Ok(Some(password)) = self.inner.folders.known_password(id) {
            vault.known().learn(Whose::Deployment(id.clone()), password.expose());
        }
        let record = self.inner.ledger.read(|state| state.deployments.get(id).map(|r| (r.repository_id, r.trust)));
        if let Some((repo, Trust::Member)) = record {
            // Reading makes them known. Where it fails, what was read before still is, and who needs the values is told.
            drop(vault.of(repo));
            whose.push(Whose::Repository(repo));
        }
        vault.known().mask(&whose)
    }
}
