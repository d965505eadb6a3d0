//! From an account to a server and back: `preview init`, `setup`, `upgrade` and `destroy`, the real program, with GitHub's simulator, a
//! model of DigitalOcean's API, and stand-ins for `terraform`, `ansible-playbook` and `ssh` that write down how they were called.

mod app;
mod certificates;
mod changed;
mod destroy;
mod digitalocean;
mod door;
mod hooks;
mod init;
mod keychain;
mod machine;
mod neighbours;
mod records;
mod rig;
mod setup;
mod sshd;
mod terminal;
mod upgrade;
