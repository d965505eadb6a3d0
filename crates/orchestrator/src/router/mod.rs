//! What sends visitors to previews.
//!
//! Two routers keep the same rules, which are [`preview_core::route`]'s, and pass the same contract suite
//! (`tests/router_contract.rs`): `builtin`, a reverse proxy inside the service, and `nginx`, which writes files for an nginx that
//! the server's operator owns. What both say for themselves when there is no app to say it stands in `pages`;
//! the login that both may ask for, in `login`.

pub mod builtin;
mod login;
pub mod nginx;
mod pages;

pub use login::Login;
pub use pages::NO_PREVIEW;
