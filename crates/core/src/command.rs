//! Commands in comments: `/preview deploy`, `/preview keep 3d` and the like.
//!
//! [`parse`] reads the first line of a comment and nothing else: what follows is conversation, and a quoted command or one
//! in an example is none. The line has to begin with `/preview`, without anything before it; letter case is ignored. Whoever
//! writes `/preview` and something that is not understood gets the list of commands. The text is hostile until it is a [`Command`],
//! which holds nothing but numbers and hexadecimal digits.

use std::fmt;
use std::str::FromStr;

use jiff::SignedDuration;
use serde::{Deserialize, Serialize};

use crate::ids::CommitSha;

/// Longest first line that is looked at, in bytes. The longest command has some sixty.
const LONGEST_LINE: usize = 200;
/// Longest time that a preview is kept.
pub const LONGEST_KEEP: SignedDuration = SignedDuration::from_hours(30 * 24);
/// Fewest digits that name a commit.
const SHORTEST_PREFIX: usize = 7;

/// What somebody asks for.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum Command {
    /// Bring up the newest commit, if it is this one; of a fork, approve it.
    Deploy(Option<CommitPrefix>),
    /// Build and start the newest commit again.
    Redeploy,
    /// Take the preview down until the next push or command.
    Stop,
    /// Throw the database away and deploy again.
    ResetDb,
    /// Keep the preview for so long from now on; without a time, for one more time to live.
    Keep(Option<Hours>),
    /// Show what the app wrote last.
    Logs,
    /// Say why there is a preview, or none.
    Why,
    /// Show the commands.
    Help,
}

/// A whole number of hours, from one to thirty days' worth.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Hours {
    hours: u16,
}

impl Hours {
    /// The time.
    pub fn span(self) -> SignedDuration {
        SignedDuration::from_hours(i64::from(self.hours)).min(LONGEST_KEEP)
    }
}

/// A text that is no time to keep a preview for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("expected days or hours such as `3d` or `12h`, 30 days at most")]
pub struct InvalidHours;

/// `3d` or `12h`.
impl FromStr for Hours {
    type Err = InvalidHours;

    fn from_str(text: &str) -> Result<Self, InvalidHours> {
        let (number, hours_each) = match text.strip_suffix('d') {
            Some(days) => (days, 24),
            None => (text.strip_suffix('h').ok_or(InvalidHours)?, 1),
        };
        let digits = !number.is_empty() && number.len() <= 3 && number.bytes().all(|b| b.is_ascii_digit());
        let number = number.parse::<u16>().ok().filter(|_| digits).ok_or(InvalidHours)?;
        let hours = number.checked_mul(hours_each).filter(|hours| *hours > 0).ok_or(InvalidHours)?;
        let span = SignedDuration::from_hours(i64::from(hours));
        if span <= LONGEST_KEEP { Ok(Self { hours }) } else { Err(InvalidHours) }
    }
}

impl fmt::Display for Hours {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.hours {
            hours if hours % 24 == 0 => write!(f, "{}d", hours / 24),
            hours => write!(f, "{hours}h"),
        }
    }
}

/// The first digits of a commit's name, at least seven, or all forty.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct CommitPrefix(String);

impl CommitPrefix {
    fn parse(text: &str) -> Option<Self> {
        let hex = text.bytes().all(|b| b.is_ascii_hexdigit());
        (hex && (SHORTEST_PREFIX..=40).contains(&text.len())).then(|| Self(text.to_ascii_lowercase()))
    }

    /// The whole name, if it is one.
    pub fn whole(&self) -> Option<CommitSha> {
        self.0.parse().ok()
    }

    /// Whether this commit may be meant.
    pub fn fits(&self, commit: &CommitSha) -> bool {
        commit.as_str().starts_with(&self.0)
    }
}

impl fmt::Display for Command {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Deploy(None) => f.write_str("deploy"),
            Self::Deploy(Some(CommitPrefix(digits))) => write!(f, "deploy {digits}"),
            Self::Redeploy => f.write_str("redeploy"),
            Self::Stop => f.write_str("stop"),
            Self::ResetDb => f.write_str("reset-db"),
            Self::Keep(None) => f.write_str("keep"),
            Self::Keep(Some(time)) => write!(f, "keep {time}"),
            Self::Logs => f.write_str("logs"),
            Self::Why => f.write_str("why"),
            Self::Help => f.write_str("help"),
        }
    }
}

/// Somebody spoke to us, and it is no command.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Unclear;

/// Reads a comment; `None` where nobody speaks to us.
pub fn parse(comment: &str) -> Option<Result<Command, Unclear>> {
    let line = comment.lines().next()?;
    let rest = line.get(..8).filter(|word| word.eq_ignore_ascii_case("/preview")).and(line.get(8..))?;
    if !rest.is_empty() && !rest.starts_with([' ', '\t']) {
        return None;
    }
    if line.len() > LONGEST_LINE {
        return Some(Err(Unclear));
    }
    let rest = rest.to_ascii_lowercase();
    let words: Vec<&str> = rest.split_ascii_whitespace().collect();
    Some(match words[..] {
        ["deploy"] => Ok(Command::Deploy(None)),
        ["deploy", commit] => CommitPrefix::parse(commit).map(|commit| Command::Deploy(Some(commit))).ok_or(Unclear),
        ["redeploy"] => Ok(Command::Redeploy),
        ["stop"] => Ok(Command::Stop),
        ["reset-db"] => Ok(Command::ResetDb),
        ["keep"] => Ok(Command::Keep(None)),
        ["keep", time] => time.parse().map(|time| Command::Keep(Some(time))).map_err(|InvalidHours| Unclear),
        ["logs"] => Ok(Command::Logs),
        ["why"] => Ok(Command::Why),
        [] | ["help"] => Ok(Command::Help),
        _ => Err(Unclear),
    })
}

#[cfg(test)]
mod fuzz;
#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const SHA: &str = "a5e1d0c2b3f4958677889900aabbccddeeff0011";

    fn understood(comment: &str) -> Option<String> {
        parse(comment)?.ok().map(|command| command.to_string())
    }

    #[test]
    fn commands_are_read_from_the_first_line_alone() {
        for (comment, command) in [
            ("/preview deploy", "deploy"),
            ("/preview deploy a5e1d0c", "deploy a5e1d0c"),
            ("/Preview  DEPLOY\tA5E1D0C  \r\nthank you", "deploy a5e1d0c"),
            ("/preview redeploy\n/preview stop", "redeploy"),
            ("/preview stop", "stop"),
            ("/preview reset-db", "reset-db"),
            ("/preview keep", "keep"),
            ("/preview keep 72h", "keep 3d"),
            ("/preview keep 5H", "keep 5h"),
            ("/preview logs", "logs"),
            ("/preview why", "why"),
            ("/preview", "help"),
            ("/preview help", "help"),
        ] {
            assert_eq!(understood(comment).as_deref(), Some(command), "{comment:?}");
        }
        let whole = format!("/preview deploy {SHA}");
        assert_eq!(understood(&whole), Some(format!("deploy {SHA}")));
    }

    #[test]
    fn who_says_preview_and_no_command_gets_help() {
        let long = format!("/preview {}", "x".repeat(100_000));
        for comment in [
            "/preview deploy now please",
            "/preview deploy a5e1d0",
            "/preview deploy refs/heads/main",
            "/preview deploy $(id)",
            "/preview keep forever",
            "/preview keep 31d",
            "/preview keep 0d",
            "/preview keep -1d",
            "/preview keep +1d",
            "/preview keep 999999999999d",
            "/preview stop\u{0}",
            "/preview \u{202E}pots",
            &long,
        ] {
            assert_eq!(parse(comment), Some(Err(Unclear)), "{comment:?}");
        }
    }

    #[test]
    fn nobody_speaks_to_us_in_quotes_examples_and_other_words() {
        for comment in [
            "",
            "\n/preview stop",
            " /preview stop",
            "> /preview stop",
            "`/preview stop`",
            "please /preview stop",
            "/previews stop",
            "/preview\u{a0}stop",
            "/previeẃ",
            "@bot /preview stop",
        ] {
            assert_eq!(parse(comment), None, "{comment:?}");
        }
    }

    proptest! {
        /// Whatever is understood says the same when it is read again, in a text that holds nothing of the comment but
        /// digits and letters of our own.
        #[test]
        fn any_text_is_harmless(start in "(/preview )?", rest in "\\PC{0,80}") {
            if let Some(Ok(command)) = parse(&format!("{start}{rest}")) {
                let text = command.to_string();
                prop_assert!(text.len() <= 47 && text.bytes().all(|b| b.is_ascii_alphanumeric() || b" -".contains(&b)));
                prop_assert_eq!(parse(&format!("/preview {text}")), Some(Ok(command)));
            }
        }

        #[test]
        fn a_keep_is_bounded(number in any::<u64>(), unit in "[dh]") {
            if let Some(Ok(Command::Keep(Some(time)))) = parse(&format!("/preview keep {number}{unit}")) {
                prop_assert!(time.span() > SignedDuration::ZERO && time.span() <= LONGEST_KEEP);
            }
        }
    }
}
