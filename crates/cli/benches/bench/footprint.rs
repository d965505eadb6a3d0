//! The service at rest.

use std::time::Duration;

use crate::installation::Installation;
use crate::report::{Report, median};

/// Starts.
const ROUNDS: usize = 5;

pub(crate) async fn measure(report: &mut Report) {
    let mut starts = Vec::new();
    let mut resident = 0;
    for round in 0..ROUNDS {
        let installation = Installation::start("footprint", Vec::new()).await;
        starts.push(installation.started.as_secs_f64() * 1000.0);
        if round == ROUNDS - 1 {
            tokio::time::sleep(Duration::from_secs(5)).await;
            resident = resident_kb(installation.pid().as_raw_nonzero().get());
        }
        installation.end().await;
    }
    let how = format!("median of {ROUNDS} starts");
    report.row("Start to the first answer of `/health`", format!("{:.0} ms", median(&starts)), "200 ms", how);
    let how = "VmRSS, 5 s after the start".to_owned();
    report.row("Resident memory at rest", format!("{:.1} MB", f64::from(resident) / 1024.0), "25 MB", how);
}

fn resident_kb(pid: i32) -> u32 {
    let status = std::fs::read_to_string(format!("/proc/{pid}/status")).unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).unwrap();
    line.trim().trim_end_matches(" kB").parse().unwrap()
}
