//! The product end to end: the real binary, real Docker, real git, real PostgreSQL, real nginx; only GitHub is a model of
//! itself, over HTTP.
//!
//! Every test starts an installation of its own (see [`rig`]) and ends by proving that nothing of it is left.

mod builds;
mod burst;
mod calm;
mod canary;
mod capacity;
mod causes;
mod cli;
mod compose;
mod config;
mod corpus;
mod crash;
mod crowd;
mod cycles;
mod deliveries;
mod disk;
mod engine;
mod escape;
mod examples;
mod faults;
mod gate;
mod hostile;
mod inside;
mod isolation;
mod lifecycle;
mod load;
mod network;
mod nginx;
mod obstacles;
mod outages;
mod page;
mod prisoner;
mod registry;
mod registry_server;
mod rig;
mod runtimes;
mod services;
mod steps;
mod stories;
mod strangers;
mod token;
mod upgrade;
mod variants;
mod walls;
