//! The service: webhooks in, previews out.
//!
//! | room | what lives there |
//! | --- | --- |
//! | [`needs`] | the traits that the use-cases need of the outside |
//! | [`reconcile`] | the use-cases: intake, one worker per deployment, capacity, cleanup, resync |
//! | [`docker`], [`git`], [`github`], [`router`], [`ledger`] | one technology each; none imports another |
//! | [`audit`] | whether GitHub, ledger, engine, router and disk agree |
//! | [`why`] | why a pull request has the preview that it has |
//! | [`firewall`] | what previews and builds may reach, kept up |
//! | [`folders`], [`health`] | a deployment's folder; asking an app whether it is up |
//! | [`http`] | the webhook extractor, the API, `/health` |
//! | [`secrets`] | the operator's secrets; all that is known to be secret |
//! | [`tls`] | certificates by ACME, for both routers |
//! | [`settings`] | the environment, checked once |
//! | [`service`], [`sockets`] | all of it wired together; sockets that were opened for us |

pub mod audit;
mod crowd;
pub mod disk_space;
pub mod docker;
pub mod file_lock;
pub mod firewall;
pub mod folders;
pub mod git;
pub mod github;
pub mod health;
mod host;
pub mod http;
pub mod ledger;
mod mishap;
pub mod needs;
mod parting;
mod platform;
pub mod reconcile;
mod remove_tree;
pub mod router;
mod sealed;
pub mod secrets;
pub mod service;
pub mod settings;
pub mod sockets;
pub mod tls;
#[cfg(any(not(target_os = "linux"), test))]
mod walk;
pub mod why;
