//! `preview upgrade`

use std::path::PathBuf;

use clap::Args;
use preview_exec::Limits;
use serde_json::json;

use crate::ask::Asking;
use crate::error::Failure;
use crate::installation::Home;
use crate::installation::secrets::Given;
use crate::provision::ansible;
use crate::provision::ready::{Ready, base_url, needs};
use crate::provision::ssh::Ssh;
use crate::provision::steps::Steps;
use crate::ui;

/// Brings the server to this version and these settings; back again, where it is not well afterwards
#[derive(Debug, Args)]
#[command(
    visible_alias = "sync",
    after_help = "Visitors notice nothing: previews go on, and deliveries wait at the socket while the service is replaced."
)]
pub(crate) struct Upgrade {
    /// Tell what would be done, and change nothing
    #[arg(long)]
    dry_run: bool,
    /// The program for the server [default: this one, where systems match]
    #[arg(long, value_name = "FILE")]
    binary: Option<PathBuf>,
    /// Print JSON
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    given: Given,
    #[command(flatten)]
    asking: Asking,
}

/// Puts program and settings aside, and tells which version that was. Those of a try that was cut off stay: they are the ones that
/// were well.
const PUT_ASIDE: &str = "set -eu
test -x /usr/local/bin/preview || exit 0
mkdir -p -m 0700 /var/lib/preview-deployer/before
cd /var/lib/preview-deployer/before
test -e complete || { cp -p /usr/local/bin/preview /etc/preview-deployer/environment . && touch complete; }
./preview --version
";
/// Forgets what was put aside.
const FORGET: &str = "rm -rf /var/lib/preview-deployer/before\n";
/// Brings back what was put aside, and waits until the service answers. `mv` replaces the program of a running process.
const BRING_BACK: &str = "set -eu
cd /var/lib/preview-deployer/before
test -e complete
cp -p preview /usr/local/bin/.preview.before && mv /usr/local/bin/.preview.before /usr/local/bin/preview
cp -p environment /etc/preview-deployer/environment
systemctl restart preview-orchestrator.service
for _ in $(seq 60); do
    if python3 -c 'import urllib.request; urllib.request.urlopen(\"http://127.0.0.1:3000/health\", timeout=5)' 2>/dev/null; then
        rm -rf /var/lib/preview-deployer/before
        exit 0
    fi
    sleep 1
done
echo 'the service does not answer' >&2
exit 1
";

impl Upgrade {
    pub(crate) async fn run(self) -> Result<(), Failure> {
        let ready = Ready::gather(Home::find()?, &self.given, self.binary.clone()).await?;
        let to = ready.config.address(&ready.home)?;
        needs("ssh", "install an SSH client (openssh-client)")?;
        needs("ansible-playbook", "apt-get install ansible-core, brew install ansible, or pipx install ansible-core")?;
        let version = env!("CARGO_PKG_VERSION");
        let plan = format!("{to} gets preview {version}, {}, and the settings of config.yml", ready.binary().display());
        if self.dry_run {
            let told = json!({"server": to.to_string(), "version": version, "program": ready.binary()});
            return if self.json { ui::json(&told) } else { Ok(ui::line(plan)) };
        }
        ui::note(plan);
        if !self.asking.may("Do it?")? {
            return Err(Failure::new("nothing was changed"));
        }
        let steps = Steps::begin("`preview upgrade` begins again; what the server had before is kept there")?;
        let ssh = Ssh::new(&ready.config, &ready.home, to);
        let before = steps.step("what the server has is put aside", put_aside(&ssh)).await?;
        let wanted = ready.wanted(base_url(&ready.config, &ready.home)?);
        let name = "the new version runs and is well";
        let tell = |task: &str| ui::progress(&format!("{name}: {task}"));
        if let Err(failure) = steps.step(name, ansible::apply(&ready.home, ssh.to(), &wanted, tell)).await {
            return Err(back(&ssh, &steps, before.is_empty(), failure).await);
        }
        over(&ssh, FORGET).await?;
        if self.json {
            return ui::json(&json!({"server": ssh.to().to_string(), "version": version, "before": before}));
        }
        ui::line(format!("{} runs preview {version}", ssh.to()));
        Ok(())
    }
}

async fn over(ssh: &Ssh, script: &str) -> Result<String, Failure> {
    Ok(ssh.root(script, Limits::seconds(180)).await?.text().trim().to_owned())
}

/// The version that the server has; empty where it has none.
async fn put_aside(ssh: &Ssh) -> Result<String, Failure> {
    ssh.wait().await?;
    over(ssh, PUT_ASIDE).await
}

/// Brings back what ran before. Whoever stopped it wants the server as it is, to try again.
async fn back(ssh: &Ssh, steps: &Steps, was_new: bool, failure: Failure) -> Failure {
    if failure.kind == crate::error::Kind::Interrupted || was_new {
        return failure;
    }
    match steps.step("the version before is back", over(ssh, BRING_BACK)).await {
        Ok(_) => failure.hint("the server runs what it ran before"),
        Err(worse) => {
            let mut failure =
                failure.hint("on the server, `journalctl -u preview-orchestrator` says why it is not well");
            failure.causes.push(format!("the version before could not be brought back: {}", worse.what));
            failure
        }
    }
}
