//! What makes and unmakes a server: the clients of the two services that are asked for it, and the programs that do the work.
//!
//! | file | what lives there |
//! | --- | --- |
//! | `api` | one request to somebody's REST API and its answer: pauses that it asks for, pages, refusals in plain words |
//! | `digitalocean` | what there is to have at DigitalOcean, and what it costs |
//! | `made` | what has an installation's name there, and whether it is this one's |
//! | `webhooks` | GitHub's webhooks: one for each repository, as it should be |
//! | `identity` | who the server is to GitHub: a token's owner, or a GitHub App |
//! | `records` | the server's token for the records of its zone |
//! | `embedded` | the files of `terraform/` and `ansible/`, which are in the program |
//! | `terraform`, `ansible`, `ssh` | the programs that do the work, and what their failures mean |
//! | `before` | what the server had before a change, to go back to |
//! | `ready` | all that it takes, checked before anything is changed |
//! | `certificate` | the first certificate, waited for; what is in its way |
//! | `steps` | one line for each step with its time, and what stopping does to it |

pub(crate) mod ansible;
pub(crate) mod api;
pub(crate) mod before;
pub(crate) mod certificate;
pub(crate) mod digitalocean;
mod embedded;
pub(crate) mod identity;
pub(crate) mod made;
pub(crate) mod ready;
pub(crate) mod records;
pub(crate) mod ssh;
pub(crate) mod steps;
pub(crate) mod terraform;
pub(crate) mod webhooks;
