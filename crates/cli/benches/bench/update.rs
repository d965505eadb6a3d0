//! Visitors while a preview is updated.

use std::time::Duration;

use preview_simulator::{Mimic, NewPull};

use crate::installation::{Installation, until_answers};
use crate::load::Load;
use crate::report::Report;

/// How long visitors go on coming after the switch.
const AFTER: Duration = Duration::from_secs(5);

pub(crate) async fn measure(report: &mut Report) {
    let installation = Installation::start("update", Mimic::new("main").repository().await.unwrap()).await;
    let new = NewPull::new("feature", Mimic::new("version one").files());
    let pull = installation.repo.open_pull(new).await.unwrap();
    let url = installation.url(&pull);
    until_answers(&installation.http, &url, "version one").await;
    let load = Load::start(&url);
    pull.push(Mimic::new("version two").files()).await.unwrap();
    until_answers(&installation.http, &url, "version two").await;
    tokio::time::sleep(AFTER).await;
    let seen = load.stop().await;
    pull.close().unwrap();
    installation.until_empty().await;
    installation.stop().await;
    assert!(seen.texts.len() >= 2, "the visitors saw no update: {:?}", seen.texts);
    let how = format!("{} visits at 50 a second, {} s of them after the switch", seen.visits, AFTER.as_secs());
    report.row("Requests lost during an update", (seen.failures.len() as f64, ""), Some(0.0), how);
}
