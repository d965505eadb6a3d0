//! The results: on the screen as they come, and at the end in `docs/BENCHMARKS.md`.

use std::fmt::Write;
use std::path::Path;

use preview_exec::Program;

/// What was measured.
pub(crate) struct Report {
    rows: Vec<[String; 5]>,
    missed: Vec<String>,
}

/// The value below which this share of all values lies.
pub(crate) fn percentile(values: &[f64], share: f64) -> f64 {
    let mut sorted = values.to_vec();
    sorted.sort_by(f64::total_cmp);
    sorted[((sorted.len() as f64 * share) as usize).min(sorted.len() - 1)]
}

/// The middle one of some values.
pub(crate) fn median(values: &[f64]) -> f64 {
    percentile(values, 0.5)
}

impl Report {
    pub(crate) fn begin() -> Self {
        println!("(all of it takes some fifteen minutes)");
        Self { rows: Vec::new(), missed: Vec::new() }
    }

    /// Adds a figure: what, how much in which unit (none for a ratio or a count), at most how much, and how it came about.
    pub(crate) fn row(&mut self, what: &str, (value, unit): (f64, &str), most: Option<f64>, how: String) {
        let shown = |value: f64| match unit {
            "" if value.fract() == 0.0 => format!("{value}"),
            "" => format!("{value:.2}"),
            unit => format!("{value:.1} {unit}"),
        };
        let met = match most {
            None => "–",
            Some(most) if value <= most => "yes",
            Some(_) => "**no**",
        };
        let row = [what.to_owned(), shown(value), most.map_or("–".to_owned(), shown), met.to_owned(), how];
        println!("{}: {} (at most {}: {}) {}", row[0], row[1], row[2], row[3].trim_matches('*'), row[4]);
        if most.is_some_and(|most| value > most) {
            self.missed.push(row[0].clone());
        }
        self.rows.push(row);
    }

    /// What is slower or larger than it may be.
    pub(crate) fn missed(&self) -> &[String] {
        &self.missed
    }

    /// Writes the page.
    pub(crate) async fn write(&self) {
        let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
        let mut page = format!("# Benchmarks\n\n{}\n\n", heading(&root).await);
        page.push_str("| what | measured | at most | met | how |\n| --- | --- | --- | --- | --- |\n");
        for [what, measured, most, met, how] in &self.rows {
            let _ = writeln!(page, "| {what} | {measured} | {most} | {met} | {how} |");
        }
        page.push_str(NOTES);
        std::fs::write(root.join("docs/BENCHMARKS.md"), page).unwrap();
    }
}

/// When, where and of what the figures are.
async fn heading(root: &Path) -> String {
    let cpu = std::fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
    let model = cpu.lines().find_map(|line| line.strip_prefix("model name")).unwrap_or_default();
    let model = model.trim_start_matches([' ', '\t', ':']);
    let cores = std::thread::available_parallelism().map_or(0, std::num::NonZero::get);
    let date = jiff::Timestamp::now().strftime("%Y-%m-%d");
    let git = |args: &[&str]| Program::new("git").args(args).inherit_env("HOME").dir(root);
    let said = async |args: &[&str]| git(args).run().await.map(|output| output.text().trim().to_owned());
    let commit = said(&["rev-parse", "--short", "HEAD"]).await.unwrap_or_else(|_| "unknown".to_owned());
    let changed = said(&["status", "--porcelain", "--untracked-files=no", "--", "crates", "templates"]).await;
    let changed = if changed.is_ok_and(|files| files.is_empty()) { "" } else { " with changes" };
    let engine = Program::new("docker").args(["version", "--format", "{{.Server.Version}}"]).inherit_env("HOME");
    let engine = engine.run().await.map_or("unknown".to_owned(), |output| output.text().trim().to_owned());
    format!(
        "Made by `make bench` on {date} at commit {commit}{changed}: {cores} cores ({model}), Docker {engine}. Ratios \
         compare two things measured in turn within one run, so that they hold on a busy machine too; the smaller the better."
    )
}

const NOTES: &str = "
*Time to preview* runs from the moment at which GitHub sends the delivery until the new text first answers 200 through the built-in
router. By hand it runs from the beginning of `git clone --depth 1` until the app's port first answers with the new text, after
`docker compose up --detach --build`, where Compose looks at the database's health each second and starts the app after it. Both
build the same Dockerfile from the same base images on the same engine, with as much of a change to one source file and equally
warm caches, and both are asked every 20 ms. What is measured is the median of the rounds' ratios.

*Second build* is the build step of a push that changes one source file, against that of the pull request's first commit, whose repository
nobody has built before: no dependency is there, and no cache of a compiler. Base images are there for both.

NestJS is measured with the packages that `nest new` gives every repository. With the fewest that run, and npm's packages near by, the
first build is too short for the mark, since most of the second is the app's own `tsc`, which checks all types anew: neither a kept
`tsbuildinfo` nor a kept compile cache of Node made that shorter when tried.
";
