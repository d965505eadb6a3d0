//! The variables before the first `FROM`, of which names of images are made. What one of them is, is known or said to be unknown.

use std::collections::{BTreeMap, BTreeSet};

use crate::repo_config::EnvVars;

use super::images::{LONGEST, arch, here};

/// Variables that a `FROM` has without an `ARG`, and that say more than we know.
const UNKNOWN: [&str; 3] = ["TARGETVARIANT", "BUILDVARIANT", "TARGETSTAGE"];

/// The variables before the first `FROM`.
pub(super) struct Global {
    values: BTreeMap<String, String>,
    /// Those without a value.
    bare: BTreeSet<String>,
    /// Those of which it can't be told what they are.
    unknown: BTreeSet<String>,
    /// Whether that is so of all.
    all_unknown: bool,
}

impl Global {
    /// Those that every build has.
    pub(super) fn new() -> Self {
        let both = ["TARGET", "BUILD"].into_iter();
        let values = both.flat_map(|side| {
            let of = |name: &str, value: &str| (format!("{side}{name}"), value.to_owned());
            [of("PLATFORM", &here()), of("OS", "linux"), of("ARCH", arch())]
        });
        let unknown = UNKNOWN.map(str::to_owned).into();
        Self { values: values.collect(), bare: BTreeSet::new(), unknown, all_unknown: false }
    }

    /// Takes up an `ARG`: what the build is given wins over what the file says.
    pub(super) fn take(&mut self, arguments: &str, args: &EnvVars) {
        let Some(words) = words(arguments) else {
            self.all_unknown = true;
            return;
        };
        let several = words.len() > 1;
        for word in words {
            let (name, value) = word.split_once('=').map_or((word, None), |(name, value)| (name, Some(value)));
            let value = match (args.get(name), value) {
                (Some(given), _) => Some(given.to_owned()),
                // Whether one stands for the other within a line, frontends don't agree on.
                (None, Some(value)) if value.contains('$') && (several || value.contains('\'')) => None,
                (None, Some(value)) => self.filled(value),
                // Nor whether a name without a value takes away the one that it had.
                (None, None) if self.values.contains_key(name) => None,
                (None, None) => {
                    self.bare.insert(name.to_owned());
                    continue;
                }
            };
            match value {
                Some(value) => {
                    self.unknown.remove(name);
                    self.values.insert(name.to_owned(), value);
                }
                None => _ = self.unknown.insert(name.to_owned()),
            }
        }
    }

    /// A text without its quotes, its variables filled in; `None` where that can't be told. What has no value is empty.
    pub(super) fn filled(&self, text: &str) -> Option<String> {
        if text.contains(['\\', '`']) {
            return None;
        }
        let text = text.replace(['"', '\''], "");
        let mut parts = text.split('$');
        let mut out = parts.next()?.to_owned();
        for part in parts {
            let (variable, rest) = match part.strip_prefix('{') {
                Some(inner) => inner.split_once('}')?,
                None => {
                    part.split_at(part.find(|c: char| !(c.is_ascii_alphanumeric() || c == '_')).unwrap_or(part.len()))
                }
            };
            out.push_str(&self.value(variable)?);
            out.push_str(rest);
            if out.len() > LONGEST {
                return None;
            }
        }
        Some(out)
    }

    /// The value of `NAME`, `NAME:-otherwise`, `NAME-otherwise`, `NAME:+instead` and `NAME+instead`.
    fn value(&self, variable: &str) -> Option<String> {
        let end = variable.find(|c: char| !(c.is_ascii_alphanumeric() || c == '_')).unwrap_or(variable.len());
        let (name, form) = variable.split_at(end);
        let begins = name.starts_with(|c: char| c.is_ascii_alphabetic() || c == '_');
        if !begins || self.all_unknown || self.unknown.contains(name) {
            return None;
        }
        let (colon, form) = form.strip_prefix(':').map_or((false, form), |form| (true, form));
        let value = self.values.get(name).filter(|value| !(colon && value.is_empty()));
        if form.is_empty() {
            return (!colon).then(|| value.cloned().unwrap_or_default());
        }
        // Whether a name without a value is set, nobody needs to know.
        let word = form.strip_prefix(['-', '+']).filter(|word| !word.contains(['{', '}']));
        let word = word.filter(|_| colon || !self.bare.contains(name))?;
        Some(match (value, form.starts_with('+')) {
            (Some(value), false) => value.clone(),
            (None, true) => String::new(),
            (Some(_), true) | (None, false) => word.to_owned(),
        })
    }
}

/// The words of an `ARG`, with their quotes; `None` where a quote holds words together, or an escape may.
fn words(arguments: &str) -> Option<Vec<&str>> {
    let mut quote = None;
    for c in arguments.chars() {
        match quote {
            _ if ['\\', '`'].contains(&c) => return None,
            Some(_) if c.is_whitespace() => return None,
            Some(end) if c == end => quote = None,
            None if ['"', '\''].contains(&c) => quote = Some(c),
            _ => {}
        }
    }
    quote.is_none().then(|| arguments.split_whitespace().collect())
}
