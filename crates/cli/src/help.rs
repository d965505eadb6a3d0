//! How `preview --help` looks: commands in groups, in the order in which people meet them, and what exit codes mean.

use std::ffi::OsString;

use clap::Command;

/// Every command, under what people look for.
const GROUPS: [(&str, &[&str]); 5] = [
    ("Previews", &["list", "open", "logs", "why", "redeploy", "reset-db", "keep", "rm", "exec", "db", "secret"]),
    ("The server", &["init", "setup", "upgrade", "destroy", "status", "doctor", "audit", "certificates"]),
    ("Your repository", &["up", "detect", "config", "demo"]),
    ("On the server", &["serve", "firewall", "helper"]),
    ("For your shell", &["completions", "man"]),
];

/// What every command's exit code means.
pub(crate) const EXIT_CODES: &str = "Exit codes: 0 done, 1 failed, 2 wrong arguments or settings, 3 something is not \
                                     as it should be (audit, doctor, status), 130 stopped by a signal; `exec` and \
                                     `db` end with the code of what they ran, a server that SSH does not reach is 255.";

/// The command with its commands in groups.
pub(crate) fn grouped(command: Command) -> Command {
    let widest = command.get_subcommands().map(|sub| sub.get_name().len()).max().unwrap_or_default();
    let sections: String = GROUPS.iter().map(|group| section(&command, group, widest)).collect();
    command.help_template(format!(
        "{{about-with-newline}}\n{{usage-heading}} {{usage}}\n\n{sections}{}\n{{options}}{{after-help}}",
        heading("Options")
    ))
}

/// What was typed, with `preview help logs` as `preview logs --help`: people who know `git` and `docker` type that.
pub(crate) fn asked(typed: impl IntoIterator<Item = OsString>) -> Vec<OsString> {
    let mut words: Vec<OsString> = typed.into_iter().collect();
    if words.get(1).is_some_and(|word| word == "help") {
        words.remove(1);
        words.push("--help".into());
    }
    words
}

fn section(command: &Command, (title, names): &(&str, &[&str]), widest: usize) -> String {
    let row = |name: &&str| {
        let sub = command.find_subcommand(name)?;
        let about = sub.get_about().map(ToString::to_string).unwrap_or_default();
        Some(format!("  \u{1b}[1m{name}\u{1b}[0m{}  {about}\n", " ".repeat(widest - name.len())))
    };
    format!("{}\n{}\n", heading(title), names.iter().filter_map(row).collect::<String>())
}

/// As clap's own headings look; where nobody wants escapes, clap takes them out.
fn heading(title: &str) -> String {
    format!("\u{1b}[1m\u{1b}[4m{title}:\u{1b}[0m")
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    use super::*;

    #[test]
    fn every_command_is_in_one_group_and_every_group_has_commands_alone() {
        let command = crate::Arguments::command();
        let mut known: Vec<&str> = command.get_subcommands().map(Command::get_name).collect();
        let mut grouped: Vec<&str> = GROUPS.iter().flat_map(|(_, names)| *names).copied().collect();
        known.sort_unstable();
        grouped.sort_unstable();
        assert_eq!(grouped, known);
    }
}
