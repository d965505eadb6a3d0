//! One file a command.

pub(crate) mod audit;
pub(crate) mod completions;
pub(crate) mod config;
pub(crate) mod db;
pub(crate) mod demo;
pub(crate) mod destroy;
pub(crate) mod detect;
pub(crate) mod doctor;
pub(crate) mod exec;
pub(crate) mod firewall;
pub(crate) mod helper;
pub(crate) mod init;
pub(crate) mod keep;
pub(crate) mod list;
pub(crate) mod logs;
pub(crate) mod man;
pub(crate) mod open;
pub(crate) mod redeploy;
pub(crate) mod reset_db;
pub(crate) mod rm;
pub(crate) mod secret;
pub(crate) mod serve;
pub(crate) mod setup;
pub(crate) mod status;
pub(crate) mod upgrade;
pub(crate) mod why;
