//! The HTTP side over real connections: deliveries, the API, health, and whoever means harm.

mod api;
mod client;
mod deliveries;
mod health;
mod house;
mod logs;
mod nobody;
