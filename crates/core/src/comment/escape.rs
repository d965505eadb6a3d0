//! Text from outside, made harmless: a branch's name, a failure's cause, a log.
//!
//! GitHub links mentions, issues and addresses after Markdown is rendered, so a backslash alone doesn't stop them. Inside
//! code nothing is linked; elsewhere an invisible U+200B breaks them up.

use crate::mask::Mask;
use crate::plain_text::clean;

/// Longest piece of prose from outside, and longest name, in characters.
const PIECE: usize = 300;
/// Breaks what GitHub would link, and isn't seen.
const BREAK: char = '\u{200B}';

/// All white space as single spaces.
pub(super) fn one_line(text: &str) -> String {
    text.split_whitespace().collect::<Vec<_>>().join(" ")
}

/// At most `limit` characters, the last one an ellipsis where something is missing.
pub(super) fn cut(text: &str, limit: usize) -> String {
    if text.chars().count() <= limit {
        return text.to_owned();
    }
    text.chars().take(limit.saturating_sub(1)).chain(['…']).collect()
}

/// The end of a text, in at most `limit` characters, whole lines where that is possible, with a note in place of the rest.
pub(super) fn keep_end(text: &str, limit: usize) -> String {
    let count = text.chars().count();
    if count <= limit {
        return text.to_owned();
    }
    let note = super::words::log_was_cut();
    let room = limit.saturating_sub(note.chars().count() + 1);
    let end: String = text.chars().skip(count - room).collect();
    let whole = end.split_once('\n').map_or(end.as_str(), |(_, whole)| whole);
    format!("{note}\n{whole}")
}

/// A sentence from outside as Markdown: what stands between backticks becomes code, all else plain words.
pub(super) fn prose(mask: &Mask, text: &str) -> String {
    let text = mask.over(&text.lines().map(clean).collect::<Vec<_>>().join(" "));
    let text = cut(&one_line(&text), PIECE);
    let mut out = String::new();
    let mut rest = text.as_str();
    while let Some((before, quoted, after)) = quoted(rest) {
        out.push_str(&plain(before));
        if out.ends_with('`') {
            out.push(' ');
        }
        out.push_str(&code(quoted));
        rest = after;
    }
    out + &plain(rest)
}

/// The first pair of backticks: what is before, between and behind.
fn quoted(text: &str) -> Option<(&str, &str, &str)> {
    let (before, rest) = text.split_once('`')?;
    let (quoted, after) = rest.split_once('`')?;
    Some((before, quoted, after))
}

/// Words that stay words: no emphasis, no tag, no link, no image, no formula, no emoji, no mention. For use within a
/// line of ours, never at its beginning.
fn plain(text: &str) -> String {
    let mut out = String::with_capacity(text.len() + 8);
    let mut chars = text.chars().peekable();
    while let Some(c) = chars.next() {
        // At the end, what follows may be code of ours, which some parsers see through.
        let joined = chars.peek().is_none_or(|next| !next.is_whitespace());
        if c == '.' && ends_with(&out, "www") {
            out.push(BREAK);
        }
        if "\\`*_[]<>#!|~$&^".contains(c) {
            out.push('\\');
        }
        out.push(c);
        if joined && ("@#:".contains(c) || (c == '-' && ends_with(&out, "gh-"))) {
            out.push(BREAK);
        }
    }
    out
}

fn ends_with(text: &str, end: &str) -> bool {
    text.get(text.len().wrapping_sub(end.len())..).is_some_and(|tail| tail.eq_ignore_ascii_case(end))
}

/// A name as code, in which Markdown and GitHub see nothing. It may stand in a table, where even code has no way to hold
/// `|` that all parsers agree on: a broken bar stands for it.
pub(super) fn code(text: &str) -> String {
    let shown = cut(&one_line(&clean(text)), PIECE).replace('|', "¦");
    if shown.is_empty() {
        return "(empty)".to_owned();
    }
    let fence = "`".repeat(longest_run(&shown) + 1);
    let pad = if shown.starts_with('`') || shown.ends_with('`') { " " } else { "" };
    format!("{fence}{pad}{shown}{pad}{fence}")
}

/// A fence that nothing in the text can close.
pub(super) fn fence(text: &str) -> String {
    "`".repeat((longest_run(text) + 1).max(3))
}

fn longest_run(text: &str) -> usize {
    text.split(|c| c != '`').map(str::len).max().unwrap_or(0)
}

/// An address of ours as a link that reads well unrendered too; one with odd characters is shown and doesn't link.
pub(super) fn link(url: &str) -> String {
    let web = url.starts_with("http://") || url.starts_with("https://");
    if web && url.chars().all(|c| c.is_ascii_graphic() && !"<>|\"\\`".contains(c)) {
        format!("<{url}>")
    } else {
        code(url)
    }
}

#[cfg(test)]
mod fuzz;
#[cfg(test)]
mod tests;
