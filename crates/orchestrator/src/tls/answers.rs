//! What the authority is answered when it asks at `/.well-known/acme-challenge/`.
//!
//! Source: RFC 8555, section 8.3.

use std::collections::HashMap;
use std::sync::{Arc, PoisonError, RwLock};

/// The path below which the authority asks.
pub const PATH: &str = "/.well-known/acme-challenge/";

/// Answers by their tokens, each as long as it is waited for. Clones share them.
#[derive(Debug, Clone, Default)]
pub struct Answers(Arc<RwLock<HashMap<String, String>>>);

impl Answers {
    /// The answer to a request for this path.
    pub fn to_path(&self, path: &str) -> Option<String> {
        self.to(path.strip_prefix(PATH)?)
    }

    /// The answer to this token.
    pub fn to(&self, token: &str) -> Option<String> {
        self.0.read().unwrap_or_else(PoisonError::into_inner).get(token).cloned()
    }

    /// Answers so until what is returned is dropped.
    pub(super) fn give(&self, token: &str, answer: &str) -> Given {
        self.0.write().unwrap_or_else(PoisonError::into_inner).insert(token.to_owned(), answer.to_owned());
        Given { answers: self.clone(), token: token.to_owned() }
    }
}

/// An answer that is given.
#[derive(Debug)]
pub(super) struct Given {
    answers: Answers,
    token: String,
}

impl Drop for Given {
    fn drop(&mut self) {
        self.answers.0.write().unwrap_or_else(PoisonError::into_inner).remove(&self.token);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_answer_is_given_as_long_as_it_is_waited_for() {
        let answers = Answers::default();
        let given = answers.give("t0ken", "t0ken.thumb");
        assert_eq!(answers.to_path("/.well-known/acme-challenge/t0ken").as_deref(), Some("t0ken.thumb"));
        assert_eq!(answers.to_path("/t0ken"), None);
        drop(given);
        assert_eq!(answers.to("t0ken"), None);
    }
}
