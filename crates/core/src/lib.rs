//! The rules of Preview Deployer.
//!
//! Everything here is a function from values to values: no sockets, no processes, no clock, no runtime. The orchestrator
//! observes the world, asks this crate what should be done about it, and does it. That is why these rules can be
//! tested by tables and properties alone, and why a new one starts here.
//!
//! | module | question it answers |
//! | --- | --- |
//! | [`ids`] | what is a valid name, number or commit? |
//! | [`deployment`] | what do we know of one pull request's preview? |
//! | [`desired`] | what should it be, and for which reason? |
//! | [`trust`] | how far is its code trusted? |
//! | [`walls`] | what may previews and builds reach? |
//! | [`command`], [`talk`] | what do people ask for in comments, and what came of it? |
//! | [`plan`] | which actions bring the world there? |
//! | [`ports`], [`subnets`], [`ttl`], [`capacity`] | which resource, until when, and is there room? |
//! | [`repo_config`], [`framework`], [`compose`] | what is in the checkout, how is it built and run? |
//! | [`route`], [`comment`] | what do visitors and reviewers see? |
//! | [`health`] | when is an app up? |
//! | [`diagnosis`] | why did it fail, and what helps? |
//! | [`known_holes`] | which versions of what we stand on are known to be broken? |
//! | [`seed`] | what fills a new database? |
//! | [`secrets`] | which code gets which of the operator's secrets? |
//! | [`yaml`] | what does a file say, and where? |
//! | [`plain_text`], [`mask`] | what of others' text may be shown? |
//! | [`causes`] | where does an error come from? |

pub mod backing;
pub mod base_images;
pub mod capacity;
pub mod causes;
pub mod command;
pub mod comment;
pub mod compose;
pub mod deployment;
pub mod desired;
pub mod diagnosis;
#[cfg(test)]
mod docs;
pub mod framework;
pub mod health;
pub mod ids;
pub mod known_holes;
pub mod mask;
#[cfg(test)]
mod older_system;
pub mod plain_text;
pub mod plan;
pub mod ports;
pub mod registries;
pub mod repo_config;
pub mod route;
pub mod secrets;
pub mod seed;
pub mod subnets;
pub mod talk;
pub mod trust;
pub mod ttl;
pub mod walls;
pub mod yaml;
