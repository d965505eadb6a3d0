//! Pull requests that come and go, again and again: at the end the server holds what it held after the tenth.
//!
//! `CYCLES=200` makes it that many, and `CYCLES_TABLE=FILE` has the figures written as a table.

use std::collections::BTreeSet;
use std::fmt::Write as _;
use std::path::Path;
use std::time::Instant;

use futures_util::future::join_all;
use preview_simulator::Mimic;

use crate::rig::{Rig, RouterKind, Setup, tell};

/// Cycles side by side: while one waits for its app, another builds.
const LANES: usize = 5;
/// Caches have filled and pools have grown by then.
const WARM: usize = 10;

/// What an installation holds while no pull request is open.
#[derive(Debug)]
struct Held {
    /// Containers, networks, volumes and images.
    engine: usize,
    /// Files of nginx for previews.
    routes: usize,
    children: usize,
    descriptors: usize,
    /// Resident, in KiB.
    memory: u64,
    /// Bytes.
    ledger: u64,
    /// Folders of deployments, logs, and what else the service keeps, but for git's mirrors; bytes.
    disk: u64,
    /// Git's mirrors; bytes.
    mirrors: u64,
}

impl Held {
    async fn now(rig: &Rig) -> Self {
        let process = format!("/proc/{}", rig.service_pid().as_raw_nonzero());
        let status = std::fs::read_to_string(format!("{process}/status")).unwrap();
        let memory = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).unwrap();
        let state = rig.dir.path().join("state");
        let mirrors = size(&state.join("mirrors"));
        let folders = ["deployments", "logs", "state"].map(|folder| size(&rig.dir.path().join(folder)));
        Self {
            engine: rig.engine_leftovers().await.len(),
            routes: rig.nginx.as_ref().unwrap().preview_files().len(),
            children: rig.children().len(),
            descriptors: std::fs::read_dir(format!("{process}/fd")).unwrap().count(),
            memory: memory.trim().trim_end_matches(" kB").parse().unwrap(),
            ledger: size(&state.join("deployments.json")),
            disk: folders.iter().sum::<u64>() - mirrors,
            mirrors,
        }
    }
}

/// Bytes of a file, or of all files in a folder.
fn size(path: &Path) -> u64 {
    let Ok(meta) = path.symlink_metadata() else { return 0 };
    if !meta.is_dir() {
        return meta.len();
    }
    std::fs::read_dir(path).unwrap().flatten().map(|entry| size(&entry.path())).sum()
}

/// Opened, pushed to, closed; each time what should answer does.
async fn cycle(rig: &Rig, number: usize) {
    let pull = rig.open(Mimic::new(format!("one {number}."))).await;
    let url = rig.url(&pull);
    rig.until_answers(&url, &format!("one {number}.")).await;
    pull.push(Mimic::new(format!("two {number}.")).files()).await.unwrap();
    rig.until_answers(&url, &format!("two {number}.")).await;
    pull.close().unwrap();
    rig.until_record(&rig.id(&pull), "gone", |record| record.is_none()).await;
    rig.until_gone(&url).await;
    assert_eq!(pull.bot_comments().len(), 1);
    rig.until_comment(&pull, "removed").await;
}

async fn cycles(rig: &Rig, numbers: std::ops::Range<usize>) {
    let lane = |lane| {
        let mine = numbers.clone().filter(move |number| number % LANES == lane);
        async move {
            for number in mine {
                cycle(rig, number).await;
                tell(&format!("cycle {number} is over"));
            }
        }
    };
    join_all((0..LANES).map(lane)).await;
    let quiet = || {
        let ledger = rig.ledger();
        let empty = |name: &str| ledger[name].as_object().is_none_or(serde_json::Map::is_empty);
        ["deployments", "portAllocations"].into_iter().all(empty)
            && ledger["pending"].as_array().is_none_or(Vec::is_empty)
    };
    rig.until("nothing is left to do", async || (quiet() && rig.children().is_empty()).then_some(())).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn pull_requests_come_and_go_and_nothing_grows() {
    let count = std::env::var("CYCLES").map_or(20, |count| count.parse().expect("CYCLES is a number"));
    assert!(count > WARM, "CYCLES is more than {WARM}");
    let rig = Setup::new().router(RouterKind::Nginx).set("RESYNC_INTERVAL_SECONDS", 300).start().await;
    let begun = Instant::now();
    let (mut done, mut seen) = (0, Vec::new());
    for until in BTreeSet::from([WARM, (count / 2).max(WARM), count]) {
        cycles(&rig, done..until).await;
        done = until;
        seen.push((until, Held::now(&rig).await));
    }
    if let Some(file) = std::env::var_os("CYCLES_TABLE") {
        std::fs::write(file, table(&seen, begun.elapsed().as_secs())).unwrap();
    }
    let [(_, early), .., (_, late)] = &seen[..] else { panic!("looked at twice: {seen:?}") };
    assert_eq!((late.engine, late.routes, late.children), (0, 0, 0), "{seen:?}");
    // Connections that are kept open come and go.
    assert!(late.descriptors <= early.descriptors + 4, "{seen:?}");
    // What it remembers of deliveries is bounded, and fills up first.
    assert!(late.memory <= early.memory + (16 << 10), "{seen:?}");
    let half = &seen[seen.len() - 2].1;
    assert!(late.memory <= half.memory + (if count > 100 { 3 } else { 16 } << 10), "{seen:?}");
    // Numbers get longer.
    assert!(late.ledger <= early.ledger + 100 && late.disk <= early.disk + 1000, "{seen:?}");
    assert_eq!(rig.ledger()["repairs"], 0, "nothing was found where it should not be");
    rig.finish().await;
}

/// The figures, as Markdown.
fn table(seen: &[(usize, Held)], seconds: u64) -> String {
    type Figure = fn(&Held) -> u64;
    let rows: [(&str, Figure); 8] = [
        ("containers, networks, volumes and images", |held| held.engine as u64),
        ("nginx files of previews", |held| held.routes as u64),
        ("children of the service", |held| held.children as u64),
        ("its file descriptors", |held| held.descriptors as u64),
        ("its resident memory, KiB (an unoptimized build)", |held| held.memory),
        ("the ledger, bytes", |held| held.ledger),
        ("all its files but git's mirrors, bytes", |held| held.disk),
        ("git's mirrors, bytes", |held| held.mirrors),
    ];
    let cells = |cell: &dyn Fn(&(usize, Held)) -> String| seen.iter().map(cell).collect::<Vec<_>>().join(" | ");
    let mut text =
        format!("| held while no pull request is open | {} |\n", cells(&|(count, _)| format!("after {count}")));
    writeln!(text, "| --- | {} |", cells(&|_| "---:".to_owned())).unwrap();
    for (what, figure) in rows {
        writeln!(text, "| {what} | {} |", cells(&|(_, held)| figure(held).to_string())).unwrap();
    }
    let count = seen.last().map_or(0, |(count, _)| *count);
    writeln!(text, "\n{count} cycles, {LANES} side by side, in {seconds} s.").unwrap();
    text
}
