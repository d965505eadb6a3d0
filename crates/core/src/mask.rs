//! Secrets blotted out of whatever is shown: comments, logs that people read, our own log.
//!
//! It is a second line. The first is that nothing of ours says a secret; but a build prints its environment, an app its
//! configuration, and somebody else's library what it was asked for.

use std::fmt;

/// Shorter secrets are not blotted out: they would be found in every other word.
pub const SHORTEST: usize = 4;
/// What stands where a secret was.
const BLOT: &str = "[secret]";

/// Secrets to be blotted out. `Debug` shows how many there are.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct Mask(Vec<String>);

impl Mask {
    /// A secret of several lines counts line by line, as logs have it, and in the spelling that JSON gives it.
    pub fn new<'a>(secrets: impl IntoIterator<Item = &'a str>) -> Self {
        let lines = secrets.into_iter().flat_map(str::lines).map(str::trim);
        let mut needles: Vec<String> =
            lines.filter(|line| line.chars().count() >= SHORTEST).flat_map(spellings).collect();
        needles.sort_unstable();
        needles.dedup();
        Self(needles)
    }

    /// The text with every character that belongs to a secret blotted out, overlapping ones too.
    pub fn over(&self, text: &str) -> String {
        let mut found: Vec<(usize, usize)> = Vec::new();
        for secret in &self.0 {
            let mut from = 0;
            while let Some(at) = text[from..].find(secret.as_str()).map(|at| from + at) {
                found.push((at, at + secret.len()));
                from = at + secret.chars().next().map_or(1, char::len_utf8);
            }
        }
        found.sort_unstable();
        let mut out = String::with_capacity(text.len());
        let mut done = 0;
        for (start, end) in found {
            if start >= done {
                out.push_str(&text[done..start]);
                out.push_str(BLOT);
            }
            done = done.max(end);
        }
        out.push_str(&text[done..]);
        out
    }
}

/// A line as it is, as a string of JSON and of our own log's fields has it, and as such a field stands in a log of JSON.
fn spellings(line: &str) -> impl Iterator<Item = String> {
    let once = escaped(line);
    let twice = escaped(&once);
    [line.to_owned(), once, twice].into_iter()
}

fn escaped(text: &str) -> String {
    let quoted = serde_json::Value::from(text).to_string();
    quoted[1..quoted.len() - 1].to_owned()
}

impl fmt::Debug for Mask {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Mask({} secrets)", self.0.len())
    }
}

#[cfg(test)]
mod fuzz {
    use preview_fuzz::holds;
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn no_part_of_a_secret_is_left() {
        let words = || "[a-d]{4,8}";
        let texts = prop::collection::vec("[a-d]{1,9}", 0..8);
        holds("secrets blotted out", 1, (words(), words(), texts), |(one, other, parts)| {
            let text = parts.join(&one) + &other;
            let masked = Mask::new([one.as_str(), other.as_str()]).over(&text);
            prop_assert!(!masked.contains(&one) && !masked.contains(&other), "{} as {}", text, masked);
            // What is left stood there, in this order.
            let mut rest = text.as_str();
            for kept in masked.split(BLOT) {
                let at = rest.find(kept);
                prop_assert!(at.is_some(), "{} as {}", text, masked);
                rest = &rest[at.unwrap_or(0) + kept.len()..];
            }
            Ok(())
        });
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn overlapping_secrets_and_those_of_several_lines_are_masked_whole() {
        let mask = Mask::new(["abcdef", "defghi", "-----BEGIN\nline-of-key\nxy"]);
        assert_eq!(mask.over("1abcdefghi2"), "1[secret]2");
        assert_eq!(mask.over("key: line-of-key, xy"), "key: [secret], xy");
        assert_eq!(Mask::new(["", "abc"]).over("abc"), "abc");
    }

    #[test]
    fn a_secret_is_found_in_the_spelling_of_json() {
        let mask = Mask::new(["pass\"word\\1"]);
        assert_eq!(mask.over(r#"{"a":"pass\"word\\1"}"#), r#"{"a":"[secret]"}"#);
        let debugged = format!("{:?}", "pass\"word\\1");
        assert_eq!(mask.over(&debugged), "\"[secret]\"");
        assert_eq!(mask.over(&serde_json::Value::from(debugged).to_string()), r#""\"[secret]\"""#);
        assert_eq!(format!("{mask:?}"), "Mask(3 secrets)");
    }
}
