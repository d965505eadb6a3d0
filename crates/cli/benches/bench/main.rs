//! How fast and how small: `make bench`.
//!
//! Every comparison is a ratio of two things measured in turn within one run, on the same machine, engine and caches, so
//! that it holds on a busy or slow machine too. The results are written to `docs/BENCHMARKS.md`.
#![expect(clippy::print_stdout, reason = "a benchmark prints its results")]

mod footprint;
mod installation;
mod plain;
mod previews;
mod report;
mod webhooks;

use report::Report;

fn main() {
    // `cargo test --benches` asks for a run without measuring: there is nothing to check here.
    if std::env::args().any(|argument| argument == "--test") {
        return;
    }
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
    runtime.block_on(async {
        let mut report = Report::begin();
        footprint::measure(&mut report).await;
        webhooks::measure(&mut report).await;
        previews::measure(&mut report).await;
        report.write();
    });
}
