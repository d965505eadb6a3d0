//! The service: webhooks in, previews out.
//!
//! | room | what lives there |
//! | --- | --- |
//! | [`needs`] | the traits that the use-cases need of the outside |
//! | `reconcile` | the use-cases: intake, one worker per deployment, capacity, cleanup, resync |
//! | `docker`, `git`, `github`, `router`, `ledger` | one technology each; none imports another |
//! | `http` | the webhook extractor, the API, `/health` |
//! | [`settings`] | the environment, checked once |

pub mod docker;
pub mod folders;
pub mod git;
pub mod health;
pub mod ledger;
pub mod needs;
pub mod reconcile;
pub mod remove_tree;
pub mod router;
pub mod settings;
