//! From the tree of a file to entries with their places.

use crate::yaml::{self, Budget, Node, Place, Problem, Value};

use super::Mistake;
use super::keys::{self, Key, Lookup};

const BUDGET: Budget = Budget { nodes: 4_000, depth: 8, aliases: 20 };

/// A key of the file with its value, as written. A key without a value counts as absent.
pub(super) enum Entry {
    /// One value.
    Scalar(Key, Place, String),
    /// Several values.
    List(Key, Place, Vec<String>),
    /// The values of `resources`, by name.
    Resources(Vec<(Place, String, String)>),
    /// The variables of `env`; those of the list form are still `KEY=value`.
    Env(Vec<Variable>),
    /// The names of `extra_services`.
    Names(Vec<(Place, String)>),
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
    let document =
        yaml::parse(text, BUDGET).map_err(|Problem { place, kind }| Mistake::new(place, kind.to_string()))?;
    match document.value {
        Value::Null => Ok(Vec::new()),
        Value::Map(entries) => entries.into_iter().filter_map(|(key, node)| entry(key, node).transpose()).collect(),
        _ => Err(Mistake::new(document.place, "the file must hold keys with their values, such as `framework: go`")),
    }
}

fn entry(key: yaml::Key, node: Node) -> Result<Option<Entry>, Mistake> {
    match (keys::key(&key.text), node.value) {
        (Lookup::Known(_), Value::Null) => Ok(None),
        (Lookup::Known(Key::Env), value) => variables(Node { value, ..node }).map(Entry::Env).map(Some),
        (Lookup::Known(Key::ExtraServices), Value::List(items)) => names(&key.text, items).map(Entry::Names).map(Some),
        (Lookup::Known(Key::Resources), Value::Map(entries)) => resources(entries).map(Some),
        (Lookup::Known(known), Value::List(items)) if known.takes_list() => {
            let text = |item: Node| match item.value {
                Value::Text(text) => Ok(text),
                _ => Err(Mistake::new(item.place, format!("`{}` must have one value, or a list of such", key.text))),
            };
            let texts = items.into_iter().map(text).collect::<Result<_, _>>()?;
            Ok(Some(Entry::List(known, node.place, texts)))
        }
        (Lookup::Known(known), Value::Text(text)) => Ok(Some(Entry::Scalar(known, node.place, text))),
        (Lookup::Known(_), _) => {
            Err(Mistake::new(node.place, format!("`{}` must have one value, not a list or a map", key.text)))
        }
        (odd, _) => Ok(Some(Entry::Odd(key.place, key.text, odd))),
    }
}

/// The names that a list of names holds.
fn names(key: &str, items: Vec<Node>) -> Result<Vec<(Place, String)>, Mistake> {
    let name = |item: Node| match item.value {
        Value::Text(name) => Ok((item.place, name)),
        _ => Err(Mistake::new(item.place, format!("`{key}` must be a list of names"))),
    };
    items.into_iter().map(name).collect()
}

/// The value of `resources`.
fn resources(entries: Vec<(yaml::Key, Node)>) -> Result<Entry, Mistake> {
    let value = |(name, item): (yaml::Key, Node)| match item.value {
        Value::Text(text) => Ok((name.place, name.text, text)),
        _ => Err(Mistake::new(item.place, "`resources` must be a map with `memory` and `cpus`")),
    };
    entries.into_iter().map(value).collect::<Result<_, _>>().map(Entry::Resources)
}

/// The value of `env`, in either of its two forms.
fn variables(node: Node) -> Result<Vec<Variable>, Mistake> {
    let odd = |place| Mistake::new(place, "`env` must be a list of `KEY=value` or a map of names and values");
    match node.value {
        Value::List(items) => items
            .into_iter()
            .map(|item| match item.value {
                Value::Text(pair) => Ok(Variable::Pair(item.place, pair)),
                _ => Err(odd(item.place)),
            })
            .collect(),
        Value::Map(entries) => entries
            .into_iter()
            .map(|(name, item)| match item.value {
                Value::Text(value) => Ok(Variable::Named(name.place, name.text, value)),
                Value::Null => Ok(Variable::Named(name.place, name.text, String::new())),
                _ => Err(odd(item.place)),
            })
            .collect(),
        _ => Err(odd(node.place)),
    }
}
