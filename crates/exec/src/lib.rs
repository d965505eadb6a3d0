//! The only place that starts another program.
//!
//! Every program that Preview Deployer runs on the host (git, docker, nginx) is started through [`Program`], so the
//! rules stand once: no shell, an argument vector; a cleared environment; no standard input but what is given; a
//! process group of its own that is killed when the caller gives up (drops the future), when a time limit passes, or when we
//! die; output streamed line by line with bounds; and a `Debug` that prints names of environment variables, never values.

mod lines;
mod platform;
mod program;
mod run;
mod take_over;

pub use program::{Limits, Program, Secret};
pub use run::{ExecError, Output, Stream};
