//! `preview upgrade`

use clap::Args;
use serde_json::json;

use crate::error::{Failure, Kind};
use crate::flags::{Flags, ServerFlags};
use crate::installation::Home;
use crate::provision::ready::{Ready, base_url, gets_certificates, needs};
use crate::provision::ssh::Ssh;
use crate::provision::steps::Steps;
use crate::provision::{ansible, before, certificate};
use crate::ui;

/// Brings the server to this version and these settings; back again, where it is not well afterwards
#[derive(Debug, Args)]
#[command(
    visible_alias = "sync",
    after_help = "Visitors notice nothing: previews go on, and deliveries wait at the socket while the service is replaced."
)]
pub(crate) struct Upgrade {
    #[command(flatten)]
    with: ServerFlags,
}

impl Upgrade {
    pub(crate) async fn run(self) -> Result<(), Failure> {
        let ServerFlags { binary, certificate_wait, given, flags: Flags { dry_run, json, asking } } = self.with;
        let ready = Ready::gather(Home::find()?, &given, binary).await?;
        let to = ready.config.address(&ready.home)?;
        needs("ssh", "install an SSH client (openssh-client)")?;
        needs("ansible-playbook", "apt-get install ansible-core, brew install ansible, or pipx install ansible-core")?;
        let version = env!("CARGO_PKG_VERSION");
        let plan = format!("{to} gets preview {version}, {}, and the settings of config.yml", ready.binary().display());
        if dry_run {
            if json {
                return ui::json(&json!({"server": to.to_string(), "version": version, "program": ready.binary()}));
            }
            ui::line(plan);
            return Ok(());
        }
        ui::note(plan);
        if !asking.may("Do it?")? {
            return Err(Failure::new("nothing was changed"));
        }
        let _alone = ready.home.alone()?;
        let steps = Steps::begin("`preview upgrade` begins again; what the server had before is kept there")?;
        let ssh = Ssh::new(&ready.config, &ready.home, to);
        let version_before = steps.step("what the server has is put aside", before::put_aside(&ssh)).await?;
        let public_address = ready.config.reserved_address(&ready.home)?;
        let wanted = ready.wanted(base_url(&ready.config, &ready.home)?, public_address);
        let name = "the new version runs and is well";
        let tell = |task: &str| steps.at(name, task);
        let changed = match steps.step(name, ansible::apply(&ready.home, ssh.to(), &wanted, tell)).await {
            Ok(changed) => changed,
            Err(failure) => return Err(back(&ssh, &steps, version_before.is_empty(), failure).await),
        };
        before::forget(&ssh).await?;
        if gets_certificates(&ready.config) {
            // The version is well, and stays, whatever the authority says.
            let hint = "the server runs the new version; `preview upgrade` looks for the certificate again";
            let steps = steps.hinting(hint);
            let told = certificate::step(&ssh, (&ready.config, &ready.home), &steps, certificate_wait).await;
            told.map_err(|failure| failure.unless_stopped(hint))?;
        }
        if json {
            let (server, before) = (ssh.to().to_string(), version_before);
            return ui::json(&json!({"server": server, "version": version, "before": before, "changed": changed}));
        }
        ui::line(format!("{} runs preview {version}", ssh.to()));
        if changed == Some(0) {
            ui::note("nothing on it had to be changed");
        }
        Ok(())
    }
}

/// Brings back what ran before. Whoever stopped it wants the server as it is, to try again.
async fn back(ssh: &Ssh, steps: &Steps, was_new: bool, failure: Failure) -> Failure {
    if failure.kind == Kind::Interrupted || was_new {
        return failure;
    }
    match steps.step("the version before is back", before::bring_back(ssh)).await {
        Ok(_) => failure.hint("the server runs what it ran before"),
        Err(worse) => {
            let mut failure =
                failure.hint("on the server, `journalctl -u preview-orchestrator` says why it is not well");
            failure.causes.push(format!("the version before could not be brought back: {}", worse.what));
            failure
        }
    }
}
