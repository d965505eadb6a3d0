//! The first certificate. With `TLS=acme` nobody comes in by the installation's own address before there is one, GitHub's deliveries
//! neither: so it is waited for, and what is in the way is told with what helps. The service asks for it; this asks the service.

use std::time::{Duration, Instant};

use jiff::Timestamp;
use preview_exec::Limits;
use preview_orchestrator::tls::{Overview, Stage, Standing};

use super::records;
use super::ssh::Ssh;
use super::steps::Steps;
use crate::certificates::{self, is_about_the_name, remedy};
use crate::error::Failure;
use crate::installation::{Config, Home};
use crate::ui;

/// As the service's user, in its folder, where the command finds the service and its token.
const LOOK: &str =
    "cd /opt/preview-deployer && exec runuser -u preview -- /usr/local/bin/preview certificates --json\n";
/// The same, and has it be tried now what failed before.
const TRY_NOW: &str =
    "cd /opt/preview-deployer && exec runuser -u preview -- /usr/local/bin/preview certificates --json --retry\n";
/// How long the service may take for an answer.
const ANSWER: Limits = Limits::seconds(60);
/// Between two looks.
const PAUSE: Duration = Duration::from_secs(1);

/// How the waiting for it ended.
enum Ended {
    /// There is one.
    Served,
    /// The authority had something against it.
    Failed(Standing),
    /// There was none for so long.
    Late(Standing),
}

/// The step that waits for it, at most so long.
pub(crate) async fn step(
    ssh: &Ssh,
    (config, home): (&Config, &Home),
    steps: &Steps,
    limit: Duration,
) -> Result<(), Failure> {
    let name = "there is a certificate for the server's address";
    let work = async {
        let look = first(ssh, (steps.begun(), limit), |how| steps.at(name, how));
        match look.await? {
            Ended::Served => Ok(()),
            Ended::Failed(standing) => Err(failed(&standing, config, home).await),
            Ended::Late(standing) => Err(late(&standing, limit)),
        }
    };
    steps.step(name, work).await
}

/// Waits until the server has a certificate for its own address, or could not get it. `tell` hears how it goes.
async fn first(ssh: &Ssh, (begun, limit): (Instant, Duration), mut tell: impl FnMut(&str)) -> Result<Ended, Failure> {
    let waiting = Instant::now();
    let mut script = LOOK;
    loop {
        let told = ask(ssh, script).await?;
        let Some(first) = told.certificates.first() else {
            let failure = Failure::new("the service on the server gets no certificates, though TLS is `acme` here");
            return Err(failure.hint("`preview upgrade` brings it the settings that stand here"));
        };
        let was_tried_now = script == TRY_NOW;
        match first.state {
            Stage::Valid if told.served => return Ok(Ended::Served),
            // Whoever runs us again has mended something. An authority counts what fails, so what failed just now is told.
            Stage::Failed if !was_tried_now && is_older(first, told.now, begun) => {
                script = TRY_NOW;
                continue;
            }
            Stage::Failed => return Ok(Ended::Failed(first.clone())),
            Stage::Valid | Stage::Ordered if waiting.elapsed() >= limit => return Ok(Ended::Late(first.clone())),
            Stage::Valid => tell("the web server takes it up"),
            Stage::Ordered => tell(&format!("ordered, {} s", waiting.elapsed().as_secs())),
        }
        script = LOOK;
        tokio::time::sleep(PAUSE).await;
    }
}

/// Whether it failed before we began: by the server's clock, which may be another than ours.
fn is_older(standing: &Standing, now: Timestamp, begun: Instant) -> bool {
    let since = standing.tried.map(|tried| now.duration_since(tried));
    since.and_then(|since| Duration::try_from(since).ok()).is_some_and(|since| since > begun.elapsed())
}

async fn ask(ssh: &Ssh, script: &str) -> Result<Overview, Failure> {
    let odd = |failure: Failure| {
        failure.hint(
            "on the server, `preview certificates` shows how they stand, and `journalctl -u preview-orchestrator` why",
        )
    };
    let what = "the server does not say how its certificates stand";
    let said = ssh.root(script, ANSWER).await.map_err(|error| odd(Failure::new(what).because(&error)))?;
    serde_json::from_str(&said.text()).map_err(|error| odd(Failure::new(what).because(&error)))
}

/// What the authority had against it, and what helps: the records that are wanted, by type, name and address, foremost.
async fn failed(standing: &Standing, config: &Config, home: &Home) -> Failure {
    let mut failure = Failure::new(format!("there is no certificate for {}", ui::harmless(&standing.name)));
    failure.causes.extend(standing.cause.as_deref().map(ui::harmless));
    let by_record = records::are_made(config);
    if is_about_the_name(standing, by_record) {
        failure.hints = records_of(&ui::harmless(&standing.name), config, home).await;
    }
    failure.hints.extend(remedy(standing, by_record));
    failure
}

/// What is to be done about the record of the server's own name, and about the one for previews' names.
async fn records_of(name: &str, config: &Config, home: &Home) -> Vec<String> {
    let names: Vec<String> =
        [name.to_owned()].into_iter().chain(config.domain.iter().map(|domain| format!("*.{domain}"))).collect();
    certificates::records(&names, &config.internet_addresses(home).await).await
}

fn late(standing: &Standing, limit: Duration) -> Failure {
    let name = ui::harmless(&standing.name);
    let failure = Failure::new(format!("there is no certificate for {name} after {} s", limit.as_secs()));
    failure
        .hint("the service goes on by itself: `preview certificates` shows how it stands")
        .hint("--certificate-wait has it be waited for longer")
}
