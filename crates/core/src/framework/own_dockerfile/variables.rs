//! What stands in the place of a variable. BuildKit knows far more ways to make something of one than anybody uses: those that aren't known
//! here are [`UNTOLD`], so that nobody takes them for nothing.

use std::collections::BTreeMap;

use super::MAX_BYTES;

/// Stands for what can't be told; no host has such a character in its name.
pub(super) const UNTOLD: char = '\u{FFFD}';

/// What `${NAME-word}` means where that hangs on whether the name has a value.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Choice {
    /// What it means by the values that are known.
    Known,
    /// Always the word: whether a name still has its value once it was declared anew, frontends don't agree on.
    Word,
}

/// The text without its quotes and with `$NAME`, `${NAME}` and `${NAME:-default}` replaced; unknown names become nothing.
pub(super) fn expand(text: &str, variables: &BTreeMap<String, String>) -> String {
    expand_by(text, variables, Choice::Known)
}

/// The same, by a choice.
pub(super) fn expand_by(text: &str, variables: &BTreeMap<String, String>, choice: Choice) -> String {
    let mut out = String::new();
    let mut rest = text.trim();
    while let Some((before, after)) = rest.split_once('$').filter(|_| out.len() < MAX_BYTES) {
        out.push_str(before);
        let (value, behind) = match after.strip_prefix('{') {
            Some(inner) => match inner.split_once('}') {
                Some((variable, behind)) => (braced(variable, variables, choice), behind),
                None => (None, ""),
            },
            None => bare(after, variables),
        };
        match value {
            Some(value) => out.push_str(value),
            None => out.push(UNTOLD),
        }
        rest = behind;
    }
    out.push_str(rest);
    out.retain(|c| c != '"' && c != '\'');
    out
}

/// What `NAME` and what follows is, and what follows.
fn bare<'a>(text: &'a str, variables: &'a BTreeMap<String, String>) -> (Option<&'a str>, &'a str) {
    let (name, behind) = split_name(text);
    // A letter of another script may be of the name, too.
    let ends = behind.chars().next().is_none_or(|c| c.is_ascii());
    let value = || variables.get(name).map_or("", String::as_str);
    ((is_name(name) && ends).then(value), behind)
}

/// What `NAME`, `NAME:-word`, `NAME-word`, `NAME:+word` and `NAME+word` are.
fn braced<'a>(variable: &'a str, variables: &'a BTreeMap<String, String>, choice: Choice) -> Option<&'a str> {
    let (name, form) = split_name(variable);
    let value = is_name(name).then(|| variables.get(name).map(String::as_str))?;
    let (colon, form) = form.strip_prefix(':').map_or((false, form), |form| (true, form));
    if form.is_empty() {
        return (!colon).then_some(value.unwrap_or_default());
    }
    let instead = form.starts_with('+');
    let word = form.strip_prefix(['-', '+']).filter(|word| !word.contains(['$', '{']))?;
    if choice == Choice::Word {
        return Some(word);
    }
    match value.filter(|value| !(colon && value.is_empty())) {
        Some(value) => Some(if instead { word } else { value }),
        None if !instead => Some(word),
        // An image may set a name of which the file says nothing.
        None => value.map(|_| ""),
    }
}

fn split_name(text: &str) -> (&str, &str) {
    text.split_at(text.find(|c: char| !(c.is_ascii_alphanumeric() || c == '_')).unwrap_or(text.len()))
}

fn is_name(text: &str) -> bool {
    text.starts_with(|c: char| c.is_ascii_alphabetic() || c == '_')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_variable_is_known_or_untold() {
        let variables = [("A", "a"), ("E", "")].map(|(name, value)| (name.to_owned(), value.to_owned())).into();
        for (text, known, word) in [
            ("x$A/${A}y \"'", "xa/ay ", "xa/ay "),
            ("$U${U}", "", ""),
            ("${A:-b}${A-b}${U:-b}${U-b}", "aabb", "bbbb"),
            ("${E:-b}${E-b}", "b", "bb"),
            ("${A:+b}${A+b}${E+b}${E:+b}", "bbb", "bbbb"),
            ("${U:+b}|${U+b}", "?|?", "b|b"),
            ("${A:?b}${A#b}${A%%b}${A/a/b}${A:}", "?????", "?????"),
            ("${A:-${E}}", "?}", "?}"),
            ("${}${1}${A", "???", "???"),
            ("$1a $@ $", "? ?@ ?", "? ?@ ?"),
            ("$A\u{e9}", "?\u{e9}", "?\u{e9}"),
        ] {
            let expand = |choice| expand_by(text, &variables, choice).replace(UNTOLD, "?");
            assert_eq!((expand(Choice::Known).as_str(), expand(Choice::Word).as_str()), (known, word), "{text}");
        }
    }
}
