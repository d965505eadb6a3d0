//! The results: on the screen as they come, and at the end in `docs/BENCHMARKS.md`.

use std::fmt::Write;
use std::path::Path;

/// What was measured.
pub(crate) struct Report {
    rows: Vec<[String; 4]>,
}

/// The middle one of some values.
pub(crate) fn median(values: &[f64]) -> f64 {
    let mut sorted = values.to_vec();
    sorted.sort_by(f64::total_cmp);
    sorted[sorted.len() / 2]
}

/// The value below which this share of all values lies.
pub(crate) fn percentile(values: &[f64], share: f64) -> f64 {
    let mut sorted = values.to_vec();
    sorted.sort_by(f64::total_cmp);
    sorted[((sorted.len() as f64 * share) as usize).min(sorted.len() - 1)]
}

impl Report {
    pub(crate) fn begin() -> Self {
        Self { rows: Vec::new() }
    }

    /// Adds a figure: what, how much, at most how much, and how it came about.
    pub(crate) fn row(&mut self, what: &str, measured: String, wanted: &str, how: String) {
        println!("{what}: {measured} (at most {wanted}) {how}");
        self.rows.push([what.to_owned(), measured, wanted.to_owned(), how]);
    }

    /// Writes the page.
    pub(crate) fn write(&self) {
        let cpu = std::fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
        let model = cpu.lines().find_map(|line| line.strip_prefix("model name")).unwrap_or_default();
        let model = model.trim_start_matches([' ', '\t', ':']);
        let cores = std::thread::available_parallelism().map_or(0, std::num::NonZero::get);
        let date = jiff::Timestamp::now().strftime("%Y-%m-%d");
        let mut page = format!(
            "# Benchmarks\n\nMade by `make bench` on {date}, {cores} cores ({model}). Ratios compare two things measured in turn within \
             one run; the smaller the better.\n\n| what | measured | at most | how |\n| --- | --- | --- | --- |\n"
        );
        for [what, measured, wanted, how] in &self.rows {
            let _ = writeln!(page, "| {what} | {measured} | {wanted} | {how} |");
        }
        page.push_str(
            "\n*Time to preview* runs from the moment at which the push is sent to GitHub until the new text answers through the \
             route, or, for plain Compose, from the beginning of `git clone` until the app's port answers with it. Both build the same \
             Dockerfile with the same caches from the same commit, and are asked as often.\n",
        );
        std::fs::write(Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/BENCHMARKS.md"), page).unwrap();
    }
}
