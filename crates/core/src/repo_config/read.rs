//! From YAML text to entries with their places.
//!
//! The text may be hostile: the parser's budgets are small, aliases are few, tags, merge keys and duplicate keys are refused. Of
//! the parser's errors only place and kind are used, because its own words quote the text.

use std::fmt;

use serde::Deserialize;
use serde::de::{DeserializeSeed, Deserializer, IgnoredAny, MapAccess, SeqAccess, Visitor};
use serde_saphyr::options::{DuplicateKeyPolicy, MergeKeyPolicy};
use serde_saphyr::{Error, Location, Options, Spanned};

use super::Mistake;
use super::keys::{self, Key, Lookup};

/// Where something stands in the file, both from 1.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Place {
    pub(super) line: u64,
    pub(super) column: u64,
}

impl From<Location> for Place {
    fn from(location: Location) -> Self {
        Self { line: location.line(), column: location.column() }
    }
}

/// A key of the file with its value, as written. A key without a value counts as absent.
pub(super) enum Entry {
    /// One value.
    Scalar(Key, Place, String),
    /// The variables of `env`; those of the list form are still `KEY=value`.
    Env(Vec<Variable>),
    /// A key that has no meaning now.
    Odd(Place, String, Lookup<Key>),
}

/// One line of `env`.
pub(super) enum Variable {
    /// `- KEY=value`
    Pair(Place, String),
    /// `KEY: value`
    Named(Place, String, String),
}

/// Reads the whole document, or says what is wrong with it as YAML.
pub(super) fn entries(text: &str) -> Result<Vec<Entry>, Mistake> {
    let mut reading = Reading::default();
    let outcome = serde_saphyr::with_deserializer_from_str_with_options(text, options(), |document| {
        Document(&mut reading).deserialize(document)
    });
    match outcome {
        Ok(()) => Ok(reading.entries),
        Err(error) => Err(explain(&error, reading.current.as_ref())),
    }
}

fn options() -> Options {
    serde_saphyr::options! {
        budget: serde_saphyr::budget! {
            max_events: 10_000,
            max_nodes: 4_000,
            max_depth: 8,
            max_aliases: 20,
            max_anchors: 20,
            max_documents: 2,
        },
        alias_limits: serde_saphyr::alias_limits! { max_total_replayed_events: 1_000, max_replay_stack_depth: 4 },
        duplicate_keys: DuplicateKeyPolicy::Error,
        merge_keys: MergeKeyPolicy::Error,
        strict_booleans: true,
        reject_unsupported_tags: true,
        with_snippet: false,
    }
}

#[derive(Default)]
struct Reading {
    entries: Vec<Entry>,
    /// The key whose value is being read: an error of the parser doesn't say it.
    current: Option<(Place, String, Lookup<Key>)>,
}

struct Document<'a>(&'a mut Reading);

impl<'de> DeserializeSeed<'de> for Document<'_> {
    type Value = ();
    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Document<'_> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("keys with their values")
    }

    fn visit_unit<E>(self) -> Result<(), E> {
        Ok(())
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<(), A::Error> {
        while let Some(key) = map.next_key::<Spanned<String>>()? {
            let place = key.referenced.into();
            let meaning = keys::key(&key.value);
            self.0.current = Some((place, key.value.clone(), meaning));
            match meaning {
                Lookup::Known(Key::Env) => self.0.entries.push(Entry::Env(map.next_value::<Variables>()?.0)),
                Lookup::Known(known) => {
                    let value = map.next_value::<Spanned<Option<String>>>()?;
                    let place = value.referenced.into();
                    self.0.entries.extend(value.value.map(|text| Entry::Scalar(known, place, text)));
                }
                odd => {
                    map.next_value::<IgnoredAny>()?;
                    self.0.entries.push(Entry::Odd(place, key.value, odd));
                }
            }
            self.0.current = None;
        }
        Ok(())
    }
}

/// The value of `env`, in either of its two forms.
struct Variables(Vec<Variable>);

impl<'de> Deserialize<'de> for Variables {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct EnvVisitor;
        impl<'de> Visitor<'de> for EnvVisitor {
            type Value = Variables;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a list of KEY=value or a map")
            }

            fn visit_unit<E>(self) -> Result<Variables, E> {
                Ok(Variables(Vec::new()))
            }

            fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<Variables, A::Error> {
                let mut variables = Vec::new();
                while let Some(pair) = seq.next_element::<Spanned<String>>()? {
                    variables.push(Variable::Pair(pair.referenced.into(), pair.value));
                }
                Ok(Variables(variables))
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Variables, A::Error> {
                let mut variables = Vec::new();
                while let Some((name, value)) = map.next_entry::<Spanned<String>, Option<String>>()? {
                    variables.push(Variable::Named(name.referenced.into(), name.value, value.unwrap_or_default()));
                }
                Ok(Variables(variables))
            }
        }
        deserializer.deserialize_any(EnvVisitor)
    }
}

/// Our words for an error of the parser.
fn explain(error: &Error, current: Option<&(Place, String, Lookup<Key>)>) -> Mistake {
    let place = error.location().map(Place::from);
    let error = behind_alias(error);
    let message = match (error, current) {
        (Error::DuplicateMappingKey { .. }, _) => "this key stands twice".to_owned(),
        (Error::MultipleDocuments { .. }, _) => "only one YAML document is allowed".to_owned(),
        (Error::MergeKeyNotAllowed { .. }, _) => "merge keys (`<<`) are not allowed".to_owned(),
        (Error::UnsupportedTag { .. }, _) => "tags (`!name`) are not allowed".to_owned(),
        (error, _) if is_excess(error) => "too many values, levels or aliases for a configuration file".to_owned(),
        (error, Some((_, _, Lookup::Known(Key::Env)))) if is_mismatch(error) => {
            "`env` must be a list of `KEY=value` or a map of names and values".to_owned()
        }
        (error, Some((_, name, Lookup::Known(_)))) if is_mismatch(error) => {
            format!("`{name}` must have one value, not a list or a map")
        }
        (error, None) if is_mismatch(error) => {
            "the file must hold keys with their values, such as `framework: go`".to_owned()
        }
        _ => "this is not valid YAML".to_owned(),
    };
    // Of a value that a visitor refuses, the parser only knows in which map it stands: its key is nearer.
    let key = current.map(|(place, ..)| *place);
    Mistake::new(place.max(key).unwrap_or(Place { line: 1, column: 1 }), message)
}

/// The error itself, where it happened in what an alias stands for.
fn behind_alias(mut error: &Error) -> &Error {
    while let Error::AliasError { error: inner, .. } | Error::WithSnippet { error: inner, .. } = error {
        error = inner;
    }
    error
}

fn is_excess(error: &Error) -> bool {
    matches!(
        error,
        Error::Budget { .. }
            | Error::AliasReplayCounterOverflow { .. }
            | Error::AliasReplayLimitExceeded { .. }
            | Error::AliasExpansionLimitExceeded { .. }
            | Error::AliasReplayStackDepthExceeded { .. }
    )
}

fn is_mismatch(error: &Error) -> bool {
    matches!(
        error,
        Error::Unexpected { .. }
            | Error::SerdeInvalidType { .. }
            | Error::NullIntoString { .. }
            | Error::Message { .. }
    )
}
