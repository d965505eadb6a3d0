//! An error and what it came from. Most say of themselves only what they could not do, and leave the reason to their source.

use std::error::Error;

/// An error with all that it came from, in one line.
pub fn with_causes(error: &dyn Error) -> String {
    let causes = std::iter::successors(error.source(), |&cause| cause.source());
    causes.fold(error.to_string(), |text, cause| format!("{text}: {cause}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Debug, thiserror::Error)]
    #[error("{0}")]
    struct Told(&'static str, #[source] Option<Box<Told>>);

    #[test]
    fn every_cause_is_told_once_and_in_its_order() {
        let last = Told("refused", None);
        assert_eq!(with_causes(&last), "refused");
        let first = Told("not asked", Some(Box::new(Told("not reached", Some(Box::new(last))))));
        assert_eq!(with_causes(&first), "not asked: not reached: refused");
    }
}
