//! `iptables` and `ip6tables`: our chains are replaced whole, in one transaction, and what leads into them is put first.

use std::path::Path;

use preview_core::walls::{Jump, Place, Rules};
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

    async fn run<'a>(self, words: impl IntoIterator<Item = &'a str>) -> Result<(), Refused> {
        let program = Program::new(self.program()).args(["--wait", WAIT]).args(words);
        program.limits(LIMIT).run().await.map(drop).map_err(|error| refused(self.program(), error))
    }

    /// Whether something stands; that it can't be found out counts as no, and is met again when it is set.
    async fn holds<'a>(self, words: impl IntoIterator<Item = &'a str>) -> bool {
        self.run(words).await.is_ok()
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

fn chains(place: Place) -> &'static [&'static str] {
    match place {
        Place::Forward => &[USER, "FORWARD"],
        Place::Input => &["INPUT"],
    }
}

fn words(jump: &Jump) -> impl Iterator<Item = &str> {
    jump.rule.iter().map(String::as_str)
}

/// Replaces our chains and puts in front what leads into them.
pub(super) async fn put_up(protocol: Protocol, rules: &Rules) -> Result<(), Refused> {
    let restore = Program::new(protocol.restore()).args(["--noflush", "--wait", WAIT]);
    let restored = restore.stdin(rules.chains.clone()).limits(LIMIT).run().await;
    restored.map_err(|error| refused(protocol.restore(), error))?;
    let user_chain = protocol.holds(["-S", USER]).await;
    for jump in &rules.jumps {
        let chain = match jump.from {
            Place::Forward if user_chain => USER,
            Place::Forward => "FORWARD",
            Place::Input => "INPUT",
        };
        if !protocol.holds(["-C", chain].into_iter().chain(words(jump))).await {
            protocol.run(["-I", chain, "1"].into_iter().chain(words(jump))).await?;
        }
    }
    Ok(())
}

/// Takes away what leads into our chains, then the chains.
pub(super) async fn take_down(protocol: Protocol, rules: &Rules) -> Result<(), Refused> {
    for jump in &rules.jumps {
        for chain in chains(jump.from) {
            while protocol.holds(["-C", chain].into_iter().chain(words(jump))).await {
                protocol.run(["-D", chain].into_iter().chain(words(jump))).await?;
            }
        }
    }
    for chain in own_chains(rules) {
        if protocol.holds(["-S", chain]).await {
            protocol.run(["-F", chain]).await?;
            protocol.run(["-X", chain]).await?;
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
        text.push_str(&format!("user=FORWARD; {program} -S {USER} >/dev/null 2>&1 && user={USER}\n"));
        for jump in &rules.jumps {
            let chain = if jump.from == Place::Forward { "\"$user\"" } else { "INPUT" };
            let rule = jump.rule.join(" ");
            text.push_str(&format!("{program} -C {chain} {rule} 2>/dev/null || {program} -I {chain} 1 {rule}\n"));
        }
        text.push_str(if condition.is_empty() { "" } else { "fi\n" });
    }
    text
}
