use comrak::nodes::NodeValue;
use comrak::{Arena, Options, parse_document};

use super::*;

/// What GitHub's Markdown sees in a text: the kinds of its nodes, and its plain words.
pub(super) fn seen(markdown: &str) -> (Vec<String>, String, Vec<String>) {
    let arena = Arena::new();
    let mut options = Options::default();
    options.extension.autolink = true;
    options.extension.strikethrough = true;
    options.extension.table = true;
    options.extension.tasklist = true;
    options.extension.footnotes = true;
    options.extension.math_dollars = true;
    let (mut kinds, mut words, mut codes) = (Vec::new(), String::new(), Vec::new());
    for node in parse_document(&arena, markdown, &options).descendants() {
        match &node.data.borrow().value {
            NodeValue::Text(text) => words.push_str(text),
            // What stands on either side of code is not joined by GitHub, so not here.
            NodeValue::Code(code) => {
                words.push(' ');
                codes.push(code.literal.clone());
            }
            NodeValue::Document | NodeValue::Heading(_) | NodeValue::TableRow(_) | NodeValue::TableCell => {}
            NodeValue::Table(_) | NodeValue::SoftBreak => {}
            other => kinds.push(format!("{other:?}")),
        }
    }
    (kinds, words, codes)
}

/// What GitHub links after rendering: `@user`, `#12`, `GH-12`, in plain words alone.
pub(super) fn mentions(words: &str) -> bool {
    let pairs: Vec<(char, char)> = words.chars().zip(words.chars().skip(1)).collect();
    let joined = |mark: char| pairs.iter().any(|(a, b)| *a == mark && b.is_alphanumeric());
    let gh = words.to_ascii_lowercase().split("gh-").skip(1).any(|rest| rest.starts_with(|c: char| c.is_ascii_digit()));
    joined('@') || joined('#') || gh
}

/// Once found among made-up texts: a mention whose name begins in code of ours.
#[test]
fn what_stands_before_code_mentions_nobody() {
    let shown = prose(&Mask::default(), "@`!`\u{11D08}");
    assert!(!mentions(&seen(&shown).1), "{shown}");
}

#[test]
fn names_keep_their_look() {
    assert_eq!(code("feature/login"), "`feature/login`");
    assert_eq!(code("a`b``c"), "```a`b``c```");
    assert_eq!(code("`x`"), "`` `x` ``");
    assert_eq!(code("a|b"), "`a¦b`");
    assert_eq!(code(" \u{202E} "), "(empty)");
    assert_eq!(code(&"x".repeat(400)).chars().count(), PIECE + 2);
}

#[test]
fn quoted_words_become_code() {
    let prose = |text| prose(&Mask::new(["hunter2!"]), text);
    assert_eq!(
        prose("`app_prot` is unknown; did you mean `app_port`?"),
        "`app_prot` is unknown; did you mean `app_port`?"
    );
    assert_eq!(prose("one ` alone, <b>"), "one \\` alone, \\<b\\>");
    assert_eq!(prose("`a``b`"), "`a` `b`");
    assert_eq!(prose("password\nhunter2! is wrong"), "password \\[secret\\] is wrong");
}

#[test]
fn only_plain_web_addresses_link() {
    assert_eq!(link("http://localhost:8080/o-r/pr-1/"), "<http://localhost:8080/o-r/pr-1/>");
    assert_eq!(link("javascript:alert(1)"), "`javascript:alert(1)`");
    assert_eq!(link("https://h/>x"), "`https://h/>x`");
}

#[test]
fn the_end_of_a_text_is_kept_in_whole_lines() {
    let text = (0..100).map(|n| format!("line {n}")).collect::<Vec<_>>().join("\n");
    let kept = keep_end(&text, 80);
    assert!(kept.chars().count() <= 80 && kept.ends_with("\nline 99"), "{kept}");
    assert_eq!(keep_end("short", 80), "short");
    assert!(keep_end(&"x".repeat(200), 80).chars().count() <= 80);
}
