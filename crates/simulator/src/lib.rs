//! A model of GitHub that fits on one machine: the REST API, Git over HTTP and signed webhook deliveries, over real HTTP on a
//! free port of the loopback address.
//!
//! Tests and the demonstration start a [`GitHub`], act on it as people do (through [`Repo`] and [`Pull`]), ask for faults and
//! odd deliveries, and look at what the product made of it. Nothing of the product is in here, so that both can be wrong
//! independently.
//!
//! | module | what lives there |
//! | --- | --- |
//! | [`state`] | what GitHub knows, as plain data |
//! | `shapes`, `payload` | the JSON of answers and deliveries |
//! | `app` | signing in as a GitHub App |
//! | `rest` | the API, one file per resource |
//! | `git`, `git_http` | bare repositories, and cloning from them |
//! | `post` | sending deliveries |
//! | [`faults`] | answers that go wrong on demand |
//! | `server`, `driver` | starting it, and acting on it |
//! | `ports` | free ports for tests |
//! | [`mimic`] | a tiny web server whose start, health and end are told by its environment |
//! | [`programs`] | real programs beside a test: an ACME server, nginx, a terminal |

mod app;
mod change;
mod driver;
mod encoding;
mod error;
pub mod faults;
mod git;
mod git_http;
pub mod mimic;
mod payload;
mod ports;
mod post;
pub mod programs;
mod rest;
mod server;
mod shapes;
pub mod state;

pub use app::{APP_KEY, App};
pub use change::{Change, Source};
pub use driver::{NewPull, Pull, Repo};
pub use error::{Error, Result};
pub use faults::{Fault, FaultGuard, Matching};
pub use mimic::Mimic;
pub use ports::free_port;
pub use server::{GitHub, Options};
pub use state::{Deliveries, Permission, State, sha1_signature, sha256_signature};
