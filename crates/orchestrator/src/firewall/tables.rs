//! `iptables` and `ip6tables`: our chains are replaced whole, in one transaction, and what leads into them is put first.

use std::path::Path;

use preview_core::walls::{Jump, Place, Rules, Table};
use preview_exec::{ExecError, Limits, Program};

const LIMIT: Limits = Limits::seconds(20);
/// Seconds to wait for others who are changing rules.
const WAIT: &str = "5";

/// Of the internet.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Protocol {
    V4,
    V6,
}

/// Why the rules could not be set.
#[derive(Debug, thiserror::Error)]
#[error("{program}: {why}")]
pub struct Refused {
    program: String,
    why: String,
}

impl Protocol {
    fn program(self) -> &'static str {
        match self {
            Self::V4 => "iptables",
            Self::V6 => "ip6tables",
        }
    }

    fn restore(self) -> &'static str {
        match self {
            Self::V4 => "iptables-restore",
            Self::V6 => "ip6tables-restore",
        }
    }

    /// Whether this machine speaks it at all.
    pub(super) fn is_spoken(self) -> bool {
        match self {
            Self::V4 => true,
            Self::V6 => Path::new("/proc/net/if_inet6").exists(),
        }
    }

    async fn run<'a>(self, table: Table, words: impl IntoIterator<Item = &'a str>) -> Result<(), Refused> {
        let program = Program::new(self.program()).args(["--wait", WAIT, "-t", table.name()]).args(words);
        program.limits(LIMIT).run().await.map(drop).map_err(|error| refused(self.program(), error))
    }

    /// Whether something stands; that it can't be found out counts as no, and is met again when it is set.
    async fn holds<'a>(self, table: Table, words: impl IntoIterator<Item = &'a str>) -> bool {
        self.run(table, words).await.is_ok()
    }
}

/// What a program that sets them said of its failure.
pub(super) fn refused(program: &str, error: ExecError) -> Refused {
    let why = match error {
        ExecError::Failed { output, .. } => output.stderr.lines().next().unwrap_or("it failed").trim().to_owned(),
        ExecError::Missing { .. } => "is not installed".to_owned(),
        other => other.to_string(),
    };
    Refused { program: program.to_owned(), why }
}

/// Docker's own chain for such rules, made by Docker and never emptied by it; where it has none, the one that it stands in.
const USER: &str = "DOCKER-USER";

/// The kernel's own chain for a place.
fn kernel_chain(place: Place) -> &'static str {
    match place {
        Place::Forward => "FORWARD",
        Place::Input => "INPUT",
    }
}

/// Whether Docker's chain is the one to stand in, where there is one.
fn prefers_user(table: Table, place: Place) -> bool {
    (table, place) == (Table::Filter, Place::Forward)
}

fn words(jump: &Jump) -> impl Iterator<Item = &str> {
    jump.rule.iter().map(String::as_str)
}

/// Replaces our chains and puts in front what leads into them.
pub(super) async fn put_up(protocol: Protocol, rules: &Rules) -> Result<(), Refused> {
    let restore = Program::new(protocol.restore()).args(["--noflush", "--wait", WAIT]);
    let restored = restore.stdin(rules.chains.clone()).limits(LIMIT).run().await;
    restored.map_err(|error| refused(protocol.restore(), error))?;
    for jump in &rules.jumps {
        let chain = chain_for(protocol, rules.table, jump.from).await;
        if !protocol.holds(rules.table, ["-C", chain].into_iter().chain(words(jump))).await {
            protocol.run(rules.table, ["-I", chain, "1"].into_iter().chain(words(jump))).await?;
        }
    }
    Ok(())
}

/// Where a jump has to stand.
async fn chain_for(protocol: Protocol, table: Table, place: Place) -> &'static str {
    if prefers_user(table, place) && protocol.holds(table, ["-S", USER]).await { USER } else { kernel_chain(place) }
}

/// Takes away what leads into our chains, then the chains.
pub(super) async fn take_down(protocol: Protocol, rules: &Rules) -> Result<(), Refused> {
    let table = rules.table;
    for jump in &rules.jumps {
        for chain in [USER, kernel_chain(jump.from)] {
            while protocol.holds(table, ["-C", chain].into_iter().chain(words(jump))).await {
                protocol.run(table, ["-D", chain].into_iter().chain(words(jump))).await?;
            }
        }
    }
    for chain in own_chains(rules) {
        if protocol.holds(table, ["-S", chain]).await {
            protocol.run(table, ["-F", chain]).await?;
            protocol.run(table, ["-X", chain]).await?;
        }
    }
    Ok(())
}

fn own_chains(rules: &Rules) -> impl Iterator<Item = &str> {
    rules.chains.lines().filter_map(|line| line.strip_prefix(':')?.split(' ').next())
}

/// The same as [`put_up`], for `sh`.
pub(super) fn script(all: &[(Protocol, Rules)]) -> String {
    let mut text = "#!/bin/sh\n# What previews and builds may reach. Printed by `preview firewall`; running it twice changes nothing.\nset -eu\n".to_owned();
    for (protocol, rules) in all {
        let (program, restore) = (protocol.program(), protocol.restore());
        let condition = if *protocol == Protocol::V6 { "if [ -e /proc/net/if_inet6 ]; then\n" } else { "" };
        text.push_str(condition);
        text.push_str(&format!("{restore} --noflush --wait {WAIT} <<'RULES'\n{}RULES\n", rules.chains));
        let table = rules.table;
        if table == Table::Filter {
            text.push_str(&format!("user=FORWARD; {program} -S {USER} >/dev/null 2>&1 && user={USER}\n"));
        }
        let program = format!("{program} -t {}", table.name());
        for jump in &rules.jumps {
            let chain = if prefers_user(table, jump.from) { "\"$user\"" } else { kernel_chain(jump.from) };
            let rule = jump.rule.join(" ");
            text.push_str(&format!("{program} -C {chain} {rule} 2>/dev/null || {program} -I {chain} 1 {rule}\n"));
        }
        text.push_str(if condition.is_empty() { "" } else { "fi\n" });
    }
    text
}
