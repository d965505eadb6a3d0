//! The simulated GitHub as its users meet it: over HTTP, through Git, and by its deliveries.

mod common;
mod life;
mod mimic;
mod rest;
mod schema;
mod trouble;
