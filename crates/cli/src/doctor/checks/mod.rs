//! The checks of a server, in the order in which mistakes follow from each other.

mod address;
mod docker;
mod github;
mod machine;
mod nginx;
mod service;
mod settings;
#[cfg(test)]
mod tests;

use super::{Check, Facts};

/// All of them.
pub(super) fn all() -> Vec<&'static Check<Facts>> {
    let rooms: [&[Check<Facts>]; 7] = [
        &settings::CHECKS,
        &machine::CHECKS,
        &docker::CHECKS,
        &service::CHECKS,
        &nginx::CHECKS,
        &github::CHECKS,
        &address::CHECKS,
    ];
    rooms.into_iter().flatten().collect()
}
