//! All secrets that the service knows at this moment, so that they can be blotted out of what it shows.
//!
//! The service's own log is freed of all of them. What is shown of one preview is freed of those alone that its code could
//! have: else an app could print guesses, and see which one is another repository's secret.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use preview_core::ids::{DeploymentId, RepoId};
use preview_core::mask::Mask;

/// Whose a secret is.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub enum Whose {
    /// The service's own: tokens. Nobody could guess one.
    Service,
    /// The tokens of a GitHub App's installation, which are renewed each hour.
    GitHubApp,
    /// A repository's, from the operator.
    Repository(RepoId),
    /// A deployment's: the password of its database.
    Deployment(DeploymentId),
}

/// The secrets that are known. Clones share them; `Debug` shows none.
#[derive(Clone, Default)]
pub struct Known(Arc<Mutex<Inner>>);

#[derive(Default)]
struct Inner {
    secrets: BTreeMap<Whose, Vec<String>>,
    all: Arc<Mask>,
}

impl Known {
    /// Adds a secret. A former one stays: what ran with it may still say it.
    pub fn learn(&self, whose: Whose, secret: &str) {
        let mut inner = self.lock();
        let secrets = inner.secrets.entry(whose).or_default();
        if !secrets.iter().any(|known| known == secret) {
            secrets.push(secret.to_owned());
            inner.refresh();
        }
    }

    /// Forgets the secrets of something that is gone.
    pub fn forget(&self, whose: &Whose) {
        let mut inner = self.lock();
        if inner.secrets.remove(whose).is_some() {
            inner.refresh();
        }
    }

    /// A mask of what these know.
    pub fn mask(&self, of: &[Whose]) -> Mask {
        let inner = self.lock();
        let secrets = of.iter().filter_map(|whose| inner.secrets.get(whose)).flatten();
        Mask::new(secrets.map(String::as_str))
    }

    /// A mask of everything.
    pub fn mask_of_all(&self) -> Arc<Mask> {
        self.lock().all.clone()
    }

    /// Each change is small and total: whoever panicked in one left it whole.
    fn lock(&self) -> MutexGuard<'_, Inner> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Inner {
    fn refresh(&mut self) {
        self.all = Arc::new(Mask::new(self.secrets.values().flatten().map(String::as_str)));
    }
}

impl fmt::Debug for Known {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Known(…)")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_shown_of_a_preview_hides_what_its_code_could_have() {
        let known = Known::default();
        let deployment = Whose::Deployment("org-app-1".parse().unwrap());
        known.learn(Whose::Service, "our-own-token");
        known.learn(Whose::Repository(RepoId(1)), "first-secret");
        known.learn(Whose::Repository(RepoId(1)), "later-secret");
        known.learn(Whose::Repository(RepoId(2)), "others-secret");
        known.learn(deployment.clone(), "db-password");
        let text = "our-own-token first-secret later-secret others-secret db-password";
        let of_one = known.mask(&[Whose::Service, Whose::Repository(RepoId(1)), deployment.clone()]);
        assert_eq!(of_one.over(text), "[secret] [secret] [secret] others-secret [secret]");
        assert_eq!(known.mask_of_all().over(text), "[secret] [secret] [secret] [secret] [secret]");
        known.forget(&deployment);
        assert!(known.mask_of_all().over(text).ends_with(" db-password"));
        assert!(!format!("{known:?}").contains("secret"));
    }
}
