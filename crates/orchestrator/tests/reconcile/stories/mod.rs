//! Stories that nobody thought of: made up from seeds, with everything that people, GitHub, the engine, the disk and the
//! power supply may do, and told to the whole service in its simulated world.
//!
//! What must hold at every moment is watched by the world itself ([`crate::world`]); what must hold at the end of each act,
//! once all trouble has ended, is compared by one checker ([`crate::check`]) with what people asked for (`teller`). A story
//! that fails is shrunk (`shrink`) and printed with the command that tells it again.
//!
//! `STORIES=200000` tells more of them, `STORY=17` one, `STORY=17 STEPS=0,4,9` one with these of its steps only
//! (and then the log is shown, with every call and every step).

#![expect(clippy::print_stderr, reason = "a test's own output: figures, and what found a planted mistake")]

mod script;
mod shrink;
mod teller;

use std::env;
use std::fmt::Write;
use std::fs;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::PathBuf;
use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use crate::world::planted::Planted;
use script::Script;
use teller::Problems;

/// How many stories every run tells.
const STORIES: u64 = 10_000;
/// In how many a planted mistake is looked for: some need a push within one second of several minutes.
const SEARCHED: u64 = 5 * STORIES;
/// What they may cost: two minutes of the two cores of a small machine. Processor time, so that it is the same on one that is
/// busy with other things.
const MOST: Duration = Duration::from_secs(240);
/// So many failures are enough to see what they have in common.
const SOME: usize = 10;

/// A story that ended badly.
struct Failure {
    script: Script,
    problems: Problems,
}

/// Tells one story in a runtime of its own, so that the next begins afresh.
fn tell(script: &Script, planted: Option<Planted>) -> Result<String, Problems> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_time().start_paused(true).build().unwrap();
    let told = catch_unwind(AssertUnwindSafe(|| runtime.block_on(teller::tell(script, planted))));
    told.unwrap_or_else(|panic| {
        let message = panic.downcast_ref::<String>().cloned();
        let message = message.or_else(|| panic.downcast_ref::<&str>().map(|text| (*text).to_owned()));
        Err(vec![format!("panicked: {}", message.unwrap_or_default())])
    })
}

/// Tells stories on every core until so many have failed. Gives these, by seed, and what it took of the processor.
fn tell_many(seeds: u64, planted: Option<Planted>, enough: usize) -> (Vec<Failure>, Duration) {
    let (next, failed) = (AtomicU64::new(0), Mutex::new(Vec::new()));
    let tell_on = || {
        while failed.lock().unwrap().len() < enough {
            let seed = next.fetch_add(1, Ordering::SeqCst);
            if seed >= seeds {
                break;
            }
            let script = Script::of(seed);
            if let Err(problems) = tell(&script, planted) {
                failed.lock().unwrap().push(Failure { script, problems });
            }
        }
        processor_time()
    };
    let took = thread::scope(|scope| {
        let threads = thread::available_parallelism().map_or(1, usize::from);
        let threads: Vec<_> = (0..threads).map(|_| scope.spawn(tell_on)).collect();
        threads.into_iter().map(|thread| thread.join().unwrap()).sum()
    });
    let mut failed = failed.into_inner().unwrap();
    failed.sort_by_key(|failure| failure.script.seed);
    (failed, took)
}

/// What this thread has had of the processor.
///
/// Source: <https://docs.kernel.org/scheduler/sched-stats.html#proc-pid-schedstat>
fn processor_time() -> Duration {
    let text = fs::read_to_string("/proc/thread-self/schedstat").unwrap();
    Duration::from_nanos(text.split(' ').next().unwrap().parse().unwrap())
}

/// A number from the environment.
fn number(name: &str) -> Option<u64> {
    env::var(name).ok().map(|text| text.parse().unwrap_or_else(|_| panic!("{name}={text} is not a number")))
}

/// The one story that the environment names.
fn named() -> Option<Script> {
    let script = Script::of(number("STORY")?);
    Some(match env::var("STEPS") {
        Err(_) => script,
        Ok(steps) => {
            let steps: Vec<usize> = steps.split(',').filter_map(|step| step.parse().ok()).collect();
            script.only(|place| steps.contains(&place))
        }
    })
}

#[test]
fn every_story_ends_well() {
    if let Some(script) = named() {
        tracing_subscriber::fmt().with_max_level(tracing::Level::TRACE).without_time().with_test_writer().init();
        let told = tell(&script, None);
        assert!(told.is_ok(), "{script}\n{}", told.unwrap_err().join("\n"));
        return;
    }
    let (seeds, begun) = (number("STORIES").unwrap_or(STORIES), Instant::now());
    let (failed, took) = tell_many(seeds, None, SOME);
    if let Some(first) = failed.first() {
        let all = failed.iter().map(|Failure { script, problems }| format!("story {}: {}", script.seed, problems[0]));
        panic!("{}\n\n{}", all.collect::<Vec<_>>().join("\n"), shrink::report(first));
    }
    let seconds = begun.elapsed().as_secs_f64();
    eprintln!("{seeds} stories in {seconds:.0} s, {:.0} s of processor time", took.as_secs_f64());
    assert!(
        seeds != STORIES || took < MOST,
        "{STORIES} stories, which every run tells, took {took:?} of processor time"
    );
}

/// A replay is worth something only if the same seed makes the same happen.
#[test]
fn a_story_told_again_is_the_same() {
    for seed in 0..50 {
        let script = Script::of(seed);
        assert_eq!(tell(&script, None), tell(&script, None), "{script}");
    }
}

/// What makes it so: of two things that happen in one moment, chance decides nowhere which comes first.
#[test]
fn every_choice_of_the_reconciler_is_biased() {
    let mut folders = vec![PathBuf::from(concat!(env!("CARGO_MANIFEST_DIR"), "/src/reconcile"))];
    let mut choices = 0;
    while let Some(folder) = folders.pop() {
        for path in fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()) {
            if path.is_dir() {
                folders.push(path);
                continue;
            }
            let text = fs::read_to_string(&path).unwrap();
            for choice in text.split("select! {").skip(1) {
                choices += 1;
                assert!(choice.trim_start().starts_with("biased;"), "{}: select! {{{choice}", path.display());
            }
        }
    }
    assert!(choices > 3, "{choices}");
}

/// The table of `docs/RELIABILITY.md` names them all; which story finds each, and by what, is as of when it was written.
#[test]
fn every_planted_mistake_is_found() {
    let mut table = String::from("| mistake | story | seen as |\n| --- | ---: | --- |\n");
    for planted in Planted::ALL {
        let (failed, _) = tell_many(SEARCHED, Some(planted), 1);
        let failure = failed.first().unwrap_or_else(|| panic!("{planted:?} was not found by {SEARCHED} stories"));
        let (seed, seen) = (failure.script.seed, seen_as(&failure.problems[0]));
        writeln!(table, "| {} | {seed} | {seen} |", planted.name()).unwrap();
    }
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../../docs/RELIABILITY.md");
    let (begin, end) = ("<!-- planted -->\n", "<!-- end of planted -->");
    let page = fs::read_to_string(path).unwrap();
    let (before, rest) = page.split_once(begin).expect("the mark of the beginning");
    let (told, after) = rest.split_once(end).expect("the mark of the end");
    if env::var_os("UPDATE_DOCS").is_some() {
        fs::write(path, format!("{before}{begin}\n{table}\n{end}{after}")).unwrap();
        return;
    }
    let names = |table: &str| {
        let cells = table.lines().filter_map(|line| line.strip_prefix("| ")?.split_once(" |"));
        cells.map(|(name, _)| name.to_owned()).collect::<Vec<_>>()
    };
    let advice = "run UPDATE_DOCS=1 cargo test -p preview-orchestrator --test reconcile planted";
    assert_eq!(names(told), names(&table), "docs/RELIABILITY.md names other mistakes: {advice}");
}

/// A problem without what is of this story alone: the calls before it, and commits.
fn seen_as(problem: &str) -> String {
    let end = [", after [", " (should be", " Some(CommitSha"].iter().filter_map(|mark| problem.find(mark)).min();
    format!("`{}`", problem[..end.unwrap_or(problem.len())].replace('|', "/"))
}

#[test]
fn what_is_left_of_a_shrunk_story_fails_and_is_short() {
    let (failed, _) = tell_many(STORIES, Some(Planted::SecondComment), 1);
    let shrunk = shrink::shrink(&failed[0].script, &|script| tell(script, Some(Planted::SecondComment)).is_err());
    assert!(tell(&shrunk, Some(Planted::SecondComment)).is_err());
    assert!(shrunk.beats.len() <= 5, "{shrunk}");
    assert!(shrink::command(&shrunk).contains("STEPS="), "{}", shrink::command(&shrunk));
}
