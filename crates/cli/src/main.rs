//! The command `preview`.

use std::path::Path;

use preview_orchestrator::service::{Given, Service};
use preview_orchestrator::settings::{Settings, check_paths, environment};
use tokio::signal::unix::{SignalKind, signal};

#[tokio::main(worker_threads = 2)]
async fn main() -> anyhow::Result<()> {
    let settings = Settings::read(&environment(Path::new(".env"))?)?;
    check_paths(&settings.paths)?;
    tracing_subscriber::fmt().with_env_filter("info,preview_orchestrator=debug").init();
    let service = Service::start(&settings, Given::default()).await?;
    signal(SignalKind::terminate())?.recv().await;
    service.stop().await;
    Ok(())
}
