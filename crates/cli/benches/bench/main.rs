//! How fast and how small: `make bench`.
//!
//! Every comparison is a ratio of two things measured in turn within one run, on the same machine, engine and caches, so
//! that it holds on a busy or slow machine too. The results are written to `docs/BENCHMARKS.md`. A name as argument runs only
//! that part (`cargo bench -p preview-cli --bench bench -- previews`) and writes nothing.
#![expect(clippy::print_stdout, reason = "a benchmark prints its results")]

mod builds;
mod footprint;
mod installation;
#[path = "../../tests/e2e/load.rs"]
mod load;
mod plain;
mod previews;
mod report;
mod update;
mod webhooks;

use std::process::ExitCode;

use report::Report;

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    // `cargo test --benches` asks for a run without measuring: there is nothing to check here.
    if arguments.iter().any(|argument| argument == "--test") {
        return ExitCode::SUCCESS;
    }
    let only = arguments.into_iter().find(|argument| !argument.starts_with('-'));
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
    let report = runtime.block_on(measure(only.as_deref()));
    if report.missed().is_empty() {
        return ExitCode::SUCCESS;
    }
    println!("missed: {}", report.missed().join("; "));
    ExitCode::FAILURE
}

async fn measure(only: Option<&str>) -> Report {
    let wanted = |part: &str| only.is_none_or(|only| only == part);
    let mut report = Report::begin();
    if wanted("footprint") {
        footprint::measure(&mut report).await;
    }
    if wanted("webhooks") {
        webhooks::measure(&mut report).await;
    }
    if wanted("update") {
        update::measure(&mut report).await;
    }
    if wanted("previews") {
        previews::measure(&mut report).await;
    }
    if wanted("builds") {
        builds::measure(&mut report).await;
    }
    if only.is_none() {
        report.write().await;
    }
    report
}
