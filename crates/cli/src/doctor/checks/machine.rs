//! The machine: disk, memory, clock.

use preview_core::capacity::{Disk, Measure};

use crate::doctor::{Check, Facts, Judgement};

pub(super) const CHECKS: [Check<Facts>; 3] = [
    Check {
        name: "disk",
        looks_at: "the disks of ledger, previews and Docker",
        judge: disk,
        remedy: "make room (`docker system df` shows what Docker has), or lower DISK_BUDGET_GB; below the floor new builds wait",
    },
    Check {
        name: "memory",
        looks_at: "memory for another preview",
        judge: memory,
        remedy: "close previews, lower CONTAINER_MEMORY_MB, or take a larger server",
    },
    Check {
        name: "clock",
        looks_at: "the clock, held against GitHub's",
        judge: clock,
        remedy: "let the system set it: `timedatectl set-ntp true`",
    },
];

/// A clock that is further off breaks certificates and GitHub App logins.
const CLOCK_MAY_BE_OFF: i64 = 60;

fn disk(facts: &Facts) -> Judgement {
    let gb = |bytes: u64| bytes as f64 / 1e9;
    let seen = || facts.disks.iter().filter_map(|(what, disk)| Some((*what, disk.as_ref().ok()?)));
    let told = |what: &str, disk: &Disk| {
        let files = disk.files.filter(|_| disk.fills_by(Measure::Files));
        let files =
            files.map(|files| format!(", and has {} % of its files", files.percent_taken())).unwrap_or_default();
        format!("{what}: {} % full, {:.1} GB free{files}", disk.percent_taken(), gb(disk.free))
    };
    let full: Vec<_> = seen().filter(|(_, disk)| disk.is_below_floor()).map(|(w, d)| told(w, d)).collect();
    if !full.is_empty() {
        return Judgement::problem(full.join("; "));
    }
    let filling: Vec<_> = seen().filter(|(_, disk)| disk.is_filling()).map(|(what, disk)| told(what, disk)).collect();
    if !filling.is_empty() {
        return Judgement::warning(filling.join("; "));
    }
    let all: Vec<_> = seen().map(|(what, disk)| told(what, disk)).collect();
    if !all.is_empty() {
        return Judgement::ok(all.join("; "));
    }
    let why: Vec<&str> = facts.disks.iter().filter_map(|(_, disk)| disk.as_ref().err()).map(String::as_str).collect();
    Judgement::unknown(why.join("; "))
}

fn memory(facts: &Facts) -> Judgement {
    let mb = |bytes: u64| bytes >> 20;
    match &facts.memory {
        Err(why) => Judgement::unknown(why),
        Ok(memory) => {
            let told = format!("{} of {} MB are available", mb(memory.available), mb(memory.total));
            // The kernel keeps some of 2 GB for itself.
            if memory.total < 1_800 << 20 {
                Judgement::problem(format!("{told}; 2 GB is the least for a few small previews"))
            } else if memory.available < memory.container {
                Judgement::warning(format!("{told}, and a preview's app may use {} MB", mb(memory.container)))
            } else {
                Judgement::ok(told)
            }
        }
    }
}

fn clock(facts: &Facts) -> Judgement {
    match &facts.clock {
        Err(why) => Judgement::unknown(why),
        Ok(off) if off.as_secs().abs() > CLOCK_MAY_BE_OFF => {
            let way = if off.is_negative() { "slow" } else { "fast" };
            Judgement::problem(format!("{} s {way}", off.as_secs().abs()))
        }
        Ok(_) => Judgement::ok("right to a minute"),
    }
}
