//! The first certificate. With `TLS=acme` nobody comes in by the installation's own address before there is one, GitHub's deliveries
//! neither: so it is waited for, and what is in the way is told with what helps. The service asks for it; this asks the service.

use std::time::{Duration, Instant};

use jiff::Timestamp;
use preview_exec::Limits;
use preview_orchestrator::tls::{Overview, Stage, Standing};

use super::records;
use super::ssh::Ssh;
use super::steps::Steps;
use crate::error::Failure;
use crate::installation::Config;
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

/// The step that waits for it, at most so long.
pub(crate) async fn step(ssh: &Ssh, config: &Config, steps: &Steps, limit: Duration) -> Result<(), Failure> {
    let name = "there is a certificate for the server's address";
    let look = first(ssh, (steps.begun(), limit), |how| ui::progress(&format!("{name}: {how}")));
    let by_record = records::are_made(config);
    let told = async { look.await?.map_err(|standing| failed(&standing, by_record)) };
    steps.step(name, told).await
}

/// Waits until the server has a certificate for its own address, or could not get it. `tell` hears how it goes.
async fn first(
    ssh: &Ssh,
    (begun, limit): (Instant, Duration),
    mut tell: impl FnMut(&str),
) -> Result<Result<(), Standing>, Failure> {
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
            Stage::Valid if told.served => return Ok(Ok(())),
            // Whoever runs us again has mended something. An authority counts what fails, so what failed just now is told.
            Stage::Failed if !was_tried_now && is_older(first, told.now, begun) => {
                script = TRY_NOW;
                continue;
            }
            Stage::Failed => return Ok(Err(first.clone())),
            Stage::Valid | Stage::Ordered if waiting.elapsed() >= limit => return Err(late(first, limit)),
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

/// What the authority had against it.
fn failed(standing: &Standing, by_record: bool) -> Failure {
    let mut failure = Failure::new(format!("there is no certificate for {}", ui::harmless(&standing.name)));
    failure.causes.extend(standing.cause.as_deref().map(ui::harmless));
    failure.hint(remedy(standing, by_record))
}

/// What helps against the problems that an authority tells (RFC 8555, section 6.7).
fn remedy(standing: &Standing, by_record: bool) -> String {
    let name = standing.name.trim_start_matches("*.");
    match standing.problem.as_deref() {
        Some("dns") if !by_record => {
            format!("let an A record of {name} lead to the server, and give it some minutes to be seen everywhere")
        }
        Some("connection") if !by_record => format!(
            "{name} has to lead to the server, and port 80 there has to be open to the internet: is there another firewall, or an \
             AAAA record that leads elsewhere?"
        ),
        Some("unauthorized" | "incorrectResponse") if !by_record => {
            format!("another machine answers for {name}: let its A and AAAA records lead to the server alone")
        }
        Some("caa") => {
            format!("a CAA record of {name} forbids this authority: let it name the authority, or take it away")
        }
        Some("rateLimited") => match standing.next {
            Some(next) => format!("the authority gives no more for now: the service tries again by itself at {next}"),
            None => "the authority gives no more for now: the service tries again by itself".to_owned(),
        },
        _ => "docs/OPERATIONS.md, \"Certificates\", says what each way of getting them needs".to_owned(),
    }
}

fn late(standing: &Standing, limit: Duration) -> Failure {
    let name = ui::harmless(&standing.name);
    let failure = Failure::new(format!("there is no certificate for {name} after {} s", limit.as_secs()));
    failure
        .hint("the service goes on by itself: `preview certificates` shows how it stands")
        .hint("--certificate-wait has it be waited for longer")
}
