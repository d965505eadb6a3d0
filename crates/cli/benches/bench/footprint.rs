//! The service at rest.

use std::time::Duration;

use crate::installation::{Ground, Installation};
use crate::report::{Report, median};

/// Starts.
const ROUNDS: usize = 5;
/// How long the service is left alone before its memory is looked at.
const REST: Duration = Duration::from_secs(10);
/// Deployments that a full server tracks: as many as it has ports by default.
const MANY: u32 = 1000;

pub(crate) async fn measure(report: &mut Report) {
    let mut starts = Vec::new();
    for _ in 1..ROUNDS {
        let installation = Installation::start("footprint", Vec::new()).await;
        starts.push(installation.started.as_secs_f64() * 1000.0);
        installation.stop().await;
    }
    let installation = Installation::start("footprint", Vec::new()).await;
    starts.push(installation.started.as_secs_f64() * 1000.0);
    let resident = resident_mb_at_rest(installation).await;
    let how = format!("from the start of the process, median of {ROUNDS}");
    report.row("Start to the first answer of `/health`", (median(&starts), "ms"), Some(200.0), how);
    let how = format!("`VmRSS`, {} s after the start", REST.as_secs());
    report.row("Resident memory at rest", (resident, "MB"), Some(25.0), how.clone());

    let ground = Ground::prepare("footprint", Vec::new()).await;
    ground.track(MANY).await;
    let installation = ground.start().await;
    let started = installation.started.as_secs_f64() * 1000.0;
    report.row(&format!("Start with {MANY} tracked deployments"), (started, "ms"), Some(200.0), "once".to_owned());
    installation.until_looked_at(MANY).await;
    let resident = resident_mb_at_rest(installation).await;
    let how = format!("`VmRSS`, {} s after each was looked at", REST.as_secs());
    report.row(&format!("Resident memory with {MANY} tracked deployments"), (resident, "MB"), None, how);
}

async fn resident_mb_at_rest(installation: Installation) -> f64 {
    tokio::time::sleep(REST).await;
    let pid = installation.pid().as_raw_nonzero();
    let status = std::fs::read_to_string(format!("/proc/{pid}/status")).unwrap();
    installation.stop().await;
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).unwrap();
    let kilobytes: f64 = line.trim().trim_end_matches(" kB").parse().unwrap();
    kilobytes / 1024.0
}
