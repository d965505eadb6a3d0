//! Comments that are nearly commands.

use preview_fuzz::{holds, pieces};
use proptest::prelude::*;

use super::*;

const WORDS: &[&str] = &[
    "/preview",
    "/Preview ",
    "/PREVIEW\t",
    "/previews",
    " ",
    "\t",
    "\n",
    "\r\n",
    "\u{A0}",
    "\u{2028}",
    "\u{0}",
    "deploy",
    "redeploy",
    "stop",
    "reset-db",
    "keep",
    "logs",
    "why",
    "help",
    "3d",
    "30d",
    "31d",
    "0h",
    "720h",
    "721h",
    "-1d",
    "+1d",
    "1.5d",
    "a5e1d0c",
    "a5e1d0c2b3f4958677889900aabbccddeeff0011",
    "A5E1D0C",
    "$(id)",
    "`id`",
    "; id",
    "--",
    "--upload-pack=x",
    "refs/heads/main",
    "\u{202E}",
    "é",
    "İ",
    "ſ",
    "K",
    "<!-- /preview stop -->",
    "> ",
    "0x1",
    "9999999999999999999999h",
];

#[test]
fn comments() {
    let comment = (any::<bool>(), pieces(WORDS, 8))
        .prop_map(|(to_us, rest)| if to_us { format!("/preview {rest}") } else { rest });
    holds("chat commands", 1, comment, |comment| {
        let line = comment.lines().next().unwrap_or_default();
        match parse(&comment) {
            Some(Ok(command)) => {
                let told = command.to_string();
                prop_assert!(
                    told.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b" -".contains(&b)),
                    "{}",
                    told
                );
                prop_assert_eq!(parse(&format!("/preview {told}")), Some(Ok(command.clone())));
                prop_assert_eq!(parse(&format!("{line}\nand more")), Some(Ok(command.clone())));
                prop_assert!(line.is_ascii() && line.len() <= LONGEST_LINE, "{:?}", line);
                if let Command::Keep(Some(time)) = command {
                    prop_assert!(time.span() > SignedDuration::ZERO && time.span() <= LONGEST_KEEP);
                }
            }
            Some(Err(Unclear)) => prop_assert!(line.get(..8).is_some_and(|word| word.eq_ignore_ascii_case("/preview"))),
            None => prop_assert!(!line.starts_with("/preview ") && line != "/preview", "{:?}", line),
        }
        Ok(())
    });
}
