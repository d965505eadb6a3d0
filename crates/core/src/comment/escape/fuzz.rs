//! Hostile prose, names and logs in a comment, as GitHub's Markdown sees them.

use std::collections::BTreeSet;

use preview_fuzz::{holds, pieces};
use proptest::prelude::*;

use super::tests::{mentions, seen};
use super::*;
use crate::comment::{LIMIT, LOG_LINES, State, View, carries_marker, marker, render, status_line};
use crate::deployment::{Blame, Failure, Step};
use crate::ids::{BranchName, PrNumber, PullKey, RepoId};

/// Everything that means something to Markdown, to HTML, to GitHub or to a terminal.
const WORDS: &[&str] = &[
    "`",
    "``",
    "```",
    "~~~",
    "\\",
    "|",
    "\\|",
    "<b>",
    "</details>",
    "<!--",
    "-->",
    "![x](http://h/i.png)",
    "[x](//h)",
    "[x]: //h",
    "@user",
    "@org/team",
    "#12",
    "GH-12",
    "gh-7",
    "o/r#3",
    "o/r@0123456",
    "http://h.example/x",
    "www.h.example",
    "WWW.h.example",
    "a@h.example",
    "mailto:a@h.example",
    "xmpp:a@h.example",
    "*",
    "**",
    "_",
    "__",
    "~",
    "~~",
    "$",
    "$$",
    "$x$",
    "&lt;",
    "&#64;user",
    "&commat;user",
    "&",
    ";",
    "\u{202E}",
    "\u{0}",
    "\n",
    "\n\n",
    "\r",
    "\r\n\r\n",
    "\t",
    " ",
    "    ",
    "\u{A0}",
    "\u{85}",
    "\u{1B}[31m",
    "\u{1B}]8;;http://h\u{7}",
    "\u{9B}1m",
    "<script>",
    "<a href=\"",
    ":tada:",
    "[^1]",
    "[^1]: x",
    "<http://h.example>",
    "ftp://h.example",
    "\u{200B}",
    "\u{2028}",
    "\u{FEFF}",
    "- [ ] ",
    "- ",
    "1. ",
    "> ",
    "> [!NOTE]\n",
    "# ",
    "===",
    "---",
    "| --- |",
    "!",
    "(",
    ")",
    "[",
    "]",
    "<",
    ">",
    "\"",
    "'",
    "hunter2hunter2",
    "hunter2",
    "2hunter",
    "<!-- preview-deployer:1296269/12 -->",
];

#[test]
fn prose_opens_nothing_and_mentions_nobody() {
    holds("a failure's cause in Markdown", 4, pieces(WORDS, 12), |text| {
        let shown = prose(&Mask::default(), &text);
        let (kinds, words, _) = seen(&format!("### Failed: {shown}\n"));
        prop_assert_eq!(kinds, Vec::<String>::new(), "{:?} as {:?}", text, shown);
        prop_assert!(!mentions(&words), "{:?} as {:?}", text, shown);
        prop_assert!(!shown.contains('\n'));
        Ok(())
    });
}

#[test]
fn a_name_is_one_piece_of_code_even_in_a_table() {
    holds("a branch's name in Markdown", 4, pieces(WORDS, 12), |text| {
        let shown = code(&text);
        if shown == "(empty)" {
            return Ok(());
        }
        let (kinds, words, codes) = seen(&format!("| Commit | {shown} |\n| --- | --- |\n| a | {shown} |\n"));
        prop_assert_eq!(kinds, Vec::<String>::new(), "{:?} as {:?}", text, shown);
        prop_assert_eq!(words, "Commit a ", "{:?} as {:?}", text, shown);
        prop_assert_eq!(codes.len(), 2);
        Ok(())
    });
}

/// The secret is one that the hostile texts hold, whole and in parts.
const SECRET: &str = "hunter2hunter2";

fn view(branch: &str, cause: String, advice: String, log: Vec<String>) -> View {
    let failure = Failure { step: Step::Build, cause, advice: Some(advice), log_tail: log, blame: Blame::Author };
    let commit = "a5e1d0c2b3f4958677889900aabbccddeeff0011".parse().unwrap();
    let key = PullKey { repo: RepoId(1_296_269), number: PrNumber::new(12).unwrap() };
    let state = State::Failed { commit, failure, in_place: false, still: None };
    View::new(key, "https://github.com", &"my-org/my-app".parse().unwrap(), &BranchName::new(branch), state)
}

/// A node of the comment without the number of lines that its log has.
fn uncounted(kind: &str) -> String {
    kind.chars().filter(|c| !c.is_ascii_digit()).collect()
}

#[test]
fn a_whole_comment_shows_no_more_than_it_is_made_of() {
    let text = || pieces(WORDS, 8);
    let log = prop::collection::vec(pieces(WORDS, 8), 0..70);
    let plain = |lines| render(&view("b", "c".into(), "a".into(), vec!["l".into(); lines]), &Mask::default());
    let known: BTreeSet<String> = (0..3).flat_map(|lines| seen(&plain(lines)).0).map(|kind| uncounted(&kind)).collect();
    let mask = Mask::new([SECRET]);
    holds("a whole comment", 40, (text(), text(), text(), log), |(branch, cause, advice, log)| {
        // Its name is the branch's own, and nothing that we would tell.
        let branch = branch.replace("hunter2", "");
        let view = view(&branch, cause, advice, log);
        let shown = render(&view, &mask);
        prop_assert!(shown.chars().count() <= LIMIT && !shown.contains(SECRET));
        prop_assert!(carries_marker(&shown, view.key) && shown.trim_end().ends_with(&marker(view.key)));
        let (kinds, words, _) = seen(&shown);
        for kind in kinds.iter().filter(|kind| !kind.starts_with("CodeBlock")) {
            prop_assert!(known.contains(&uncounted(kind)), "{}\nin\n{}", kind, shown);
        }
        prop_assert!(kinds.iter().filter(|kind| kind.starts_with("CodeBlock")).count() <= 1, "{}", shown);
        prop_assert!(!mentions(&words), "{}", shown);
        let status = status_line(&view, &mask).unwrap_or_default();
        prop_assert!(status.chars().count() <= crate::comment::STATUS_LIMIT && !status.contains(SECRET));
        prop_assert!(!status.chars().any(char::is_control));
        let fenced = shown.split("text\n").nth(1).map_or(0, |log| log.lines().count());
        prop_assert!(fenced <= LOG_LINES + 10);
        Ok(())
    });
}

#[test]
fn what_is_cleaned_stays_clean() {
    holds("a line of a log", 1, pieces(WORDS, 20), |text| {
        let once = clean(&text);
        prop_assert_eq!(&clean(&once), &once);
        prop_assert!(once.chars().count() <= text.chars().count());
        prop_assert!(!once.chars().any(|c| c.is_control() && c != '\t'));
        Ok(())
    });
}
