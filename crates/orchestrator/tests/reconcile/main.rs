//! The reconciler as a whole, against a model of everything outside it, on a paused clock.
//!
//! A test tells a story (`house`), names what should be in the end, and waits until it is so: the checker (`check`) then
//! looks at the whole world. `loops` break every single call that a story makes, in every way; `stories` are made up from seeds.

mod aside;
mod capacity;
mod check;
mod closing;
mod commands;
mod data;
mod disk;
mod health;
mod house;
mod life;
mod loops;
mod lost;
mod stories;
mod strangers;
mod trouble;
mod updates;
mod world;
