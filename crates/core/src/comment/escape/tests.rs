use comrak::nodes::NodeValue;
use comrak::{Arena, Options, parse_document};
use proptest::prelude::*;

use super::*;

/// What GitHub's Markdown sees in a text: the kinds of its nodes, and its plain words.
fn seen(markdown: &str) -> (Vec<String>, String, Vec<String>) {
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
fn mentions(words: &str) -> bool {
    let pairs: Vec<(char, char)> = words.chars().zip(words.chars().skip(1)).collect();
    let joined = |mark: char| pairs.iter().any(|(a, b)| *a == mark && b.is_alphanumeric());
    let gh = words.to_ascii_lowercase().split("gh-").skip(1).any(|rest| rest.starts_with(|c: char| c.is_ascii_digit()));
    joined('@') || joined('#') || gh
}

fn hostile() -> impl Strategy<Value = String> {
    let piece = prop_oneof![
        prop::sample::select(vec![
            "`",
            "``",
            "```",
            "\\",
            "|",
            "\\|",
            "<b>",
            "</details>",
            "<!--",
            "-->",
            "![x](http://h/i.png)",
            "[x](//h)",
            "@user",
            "#12",
            "GH-12",
            "gh-7",
            "o/r#3",
            "http://h.example/x",
            "www.h.example",
            "a@h.example",
            "mailto:a@h.example",
            "*",
            "**",
            "__",
            "~~",
            "$x$",
            "&lt;",
            "&#64;user",
            "&commat;user",
            "\u{202E}",
            "\u{0}",
            "\n",
            "\r\n\r\n",
            "\t",
            " ",
            "\u{1B}[31m",
            "<script>",
            "<a href=\"",
            ":tada:",
            "[^1]",
            "<http://h.example>",
            "ftp://h.example",
            "\u{200B}",
        ])
        .prop_map(str::to_owned),
        any::<String>(),
    ];
    prop::collection::vec(piece, 0..12).prop_map(|pieces| pieces.concat())
}

proptest! {
    #[test]
    fn prose_opens_nothing_and_mentions_nobody(text in hostile()) {
        let shown = Mask::new(&[]).prose(&text);
        let (kinds, words, _) = seen(&format!("### Failed: {shown}\n"));
        prop_assert_eq!(kinds, Vec::<String>::new(), "{:?} as {:?}", text, shown);
        prop_assert!(!mentions(&words), "{:?} as {:?}", text, shown);
    }

    #[test]
    fn a_name_is_one_piece_of_code_even_in_a_table(text in hostile()) {
        let shown = code(&text);
        if shown == "(empty)" {
            return Ok(());
        }
        let (kinds, words, codes) = seen(&format!("| Commit | {shown} |\n| --- | --- |\n| a | {shown} |\n"));
        prop_assert_eq!(kinds, Vec::<String>::new(), "{:?} as {:?}", text, shown);
        prop_assert_eq!(words, "Commit a ", "{:?} as {:?}", text, shown);
        prop_assert_eq!(codes.len(), 2);
    }

    #[test]
    fn nothing_in_a_text_closes_its_fence(text in hostile()) {
        let text = text.lines().map(clean).collect::<Vec<_>>().join("\n");
        let fence = fence(&text);
        let arena = Arena::new();
        let document = format!("{fence}text\n{text}\n{fence}\n");
        let root = parse_document(&arena, &document, &Options::default());
        prop_assert_eq!(root.children().count(), 1, "{:?}", document);
    }

    #[test]
    fn no_part_of_a_secret_is_left(before in "[a-d]{0,6}", secret in "[a-d]{4,8}", other in "[a-d]{4,8}", after in "[a-d]{0,6}") {
        let masked = Mask::new(&[&secret, &other]).over(&format!("{before}{secret}{after}{other}"));
        prop_assert!(!masked.contains(&secret) && !masked.contains(&other), "{}", masked);
    }
}

#[test]
fn overlapping_secrets_and_those_of_several_lines_are_masked_whole() {
    let mask = Mask::new(&["abcdef", "defghi", "-----BEGIN\nline-of-key\nxy"]);
    assert_eq!(mask.over("1abcdefghi2"), "1[secret]2");
    assert_eq!(mask.over("key: line-of-key, xy"), "key: [secret], xy");
    assert_eq!(Mask::new(&["", "abc"]).over("abc"), "abc");
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
    let prose = |text| Mask::new(&["hunter2!"]).prose(text);
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
