//! The installation that this machine looks after: what the person said of it (`config.yml`), what came of it (`state.json`), and the
//! folder where both are.
//!
//! One folder is one installation: `~/.preview-deployer`, or another that `PREVIEW_HOME` names. Neither file holds a secret.
//!
//! | file | what lives there |
//! | --- | --- |
//! | `home` | the folder |
//! | `names` | the words of the file as types: parsed once, safe in an argument vector ever after |
//! | `config`, `read`, `write` | the file: its types, its reader that tells every mistake with its place, its commented form |
//! | `secrets` | what no file has: the system's keychain, and what stands in for it |
//! | `state` | what `preview setup` found out |

mod config;
mod home;
mod names;
mod read;
pub(crate) mod secrets;
mod state;
mod write;

pub(crate) use config::{BROUGHT, Config, DigitalOcean, Server};
pub(crate) use home::Home;
pub(crate) use names::{Destination, Domain, ProjectName, Range, Region, Size};
pub(crate) use state::State;
