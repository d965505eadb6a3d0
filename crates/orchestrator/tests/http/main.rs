//! The HTTP side over real connections: deliveries, the API, health, and whoever means harm.

mod api;
mod client;
mod crowd;
mod deliveries;
mod health;
mod house;
mod logs;
mod nobody;
