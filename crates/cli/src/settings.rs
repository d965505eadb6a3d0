//! What the operator says, by the environment and a `.env` file; and how mistakes in it are told.

use std::path::Path;

use preview_orchestrator::settings::{Mistakes, Variables, environment};

use crate::error::{Failure, Kind};

/// The environment, and beneath it `.env` of the working directory.
pub(crate) fn variables() -> Result<Variables, Failure> {
    environment(Path::new(".env")).map_err(|error| Failure::from(error).kind(Kind::Settings))
}

/// Tells every mistake.
pub(crate) fn wrong(mistakes: Mistakes) -> Failure {
    let mut failure = Failure::new("the settings are not right").kind(Kind::Settings);
    failure.causes = mistakes.0.iter().map(ToString::to_string).collect();
    failure
}
