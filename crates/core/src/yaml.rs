//! From YAML text to a tree that knows where everything stands.
//!
//! The one reader for files that a pull request brings, and for the operator's own. The text is hostile: nodes, levels and aliases
//! are counted while it is read, an alias counts as much as what it stands for, and tags, duplicate keys, several documents and
//! control characters are refused. Merge keys (<https://yaml.org/type/merge.html>) are resolved here: nobody behind knows of them.
//! A scalar keeps its spelling: `007`, `yes` and `1e3` are text until somebody gives them a
//! meaning. A [`Problem`] never quotes the text.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

use serde_saphyr::granit_parser::{Event, Marker, Parser, ScalarStyle};

/// Where something stands in a file, both from 1.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Place {
    /// From 1.
    pub line: u64,
    /// From 1, in characters.
    pub column: u64,
}

impl Place {
    /// The first character of a file.
    pub const START: Self = Self { line: 1, column: 1 };
}

impl From<Marker> for Place {
    fn from(marker: Marker) -> Self {
        let number = |number: usize| u64::try_from(number).unwrap_or(u64::MAX);
        Self { line: number(marker.line()).max(1), column: number(marker.col()).saturating_add(1) }
    }
}

/// A value and where it begins.
#[derive(Debug, Clone, PartialEq)]
pub struct Node {
    /// Where it begins.
    pub place: Place,
    /// What it is.
    pub value: Value,
}

/// What a node is.
#[derive(Debug, Clone, PartialEq)]
pub enum Value {
    /// Nothing, `~` or `null`.
    Null,
    /// A scalar, as it is spelled.
    Text(String),
    /// In the order of the file.
    List(Vec<Node>),
    /// In the order of the file; no key stands twice.
    Map(Vec<(Key, Node)>),
}

/// A key of a map.
#[derive(Debug, Clone, PartialEq)]
pub struct Key {
    /// Where it begins.
    pub place: Place,
    /// As it is written.
    pub text: String,
}

/// How much a file may hold.
#[derive(Debug, Clone, Copy)]
pub struct Budget {
    /// Values, keys among them; what an alias stands for is counted again.
    pub nodes: usize,
    /// Lists and maps within each other.
    pub depth: usize,
    /// Aliases.
    pub aliases: usize,
}

/// Why a text gives no tree.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Problem {
    /// Where.
    pub place: Place,
    /// What.
    pub kind: ProblemKind,
}

/// What is wrong with a text; in words by `Display`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ProblemKind {
    /// More than the budget.
    Excess,
    /// A key stands twice in one map.
    TwiceTheKey,
    /// A second document.
    Documents,
    /// `<<`.
    MergeKey,
    /// `!name`.
    Tag,
    /// A key that is no text.
    OddKey,
    /// A control character.
    Control,
    /// No YAML.
    Syntax,
}

impl fmt::Display for ProblemKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Excess => "too many values, levels or aliases for a configuration file",
            Self::TwiceTheKey => "this key stands twice",
            Self::Documents => "only one YAML document is allowed",
            Self::MergeKey => "a merge key (`<<`) takes a map, or a list of maps",
            Self::Tag => "tags (`!name`) are not allowed",
            Self::OddKey => "a key must be one word, not empty, a list or a map",
            Self::Control => "control characters are not allowed",
            Self::Syntax => "this is not valid YAML",
        })
    }
}

/// Reads one document. An empty text is [`Value::Null`].
pub fn parse(text: &str, budget: Budget) -> Result<Node, Problem> {
    let text = text.strip_prefix('\u{FEFF}').unwrap_or(text);
    // To some parsers a NUL is the end of the text: what follows it would be read by others alone.
    if let Some((before, _)) = text.split_once(|c: char| c.is_control() && !matches!(c, '\n' | '\r' | '\t' | '\u{85}'))
    {
        let lines = before.split('\n');
        let column = lines.clone().next_back().map_or(0, |line| line.chars().count());
        let marker = Marker::new(0, lines.count(), column);
        return Err(Problem { place: marker.into(), kind: ProblemKind::Control });
    }
    let mut tree = Tree { budget, anchors: BTreeMap::new(), open: Vec::new(), root: None };
    for event in Parser::new_from_str(text) {
        let (event, span) =
            event.map_err(|error| Problem { place: (*error.marker()).into(), kind: ProblemKind::Syntax })?;
        let place = span.start.into();
        tree.take(event, place).map_err(|kind| Problem { place, kind })?;
    }
    Ok(tree.root.unwrap_or(Node { place: Place::START, value: Value::Null }))
}

/// The key whose value's entries stand for it.
const MERGE: &str = "<<";

/// A tree under construction.
struct Tree {
    /// What is left of it.
    budget: Budget,
    anchors: BTreeMap<usize, Node>,
    open: Vec<Open>,
    root: Option<Node>,
}

/// A list or map whose end is yet to come.
struct Open {
    place: Place,
    anchor: usize,
    inside: Inside,
}

enum Inside {
    List(Vec<Node>),
    Map { entries: Vec<(Key, Node)>, names: BTreeSet<String>, key: Option<Key> },
}

impl Tree {
    fn take(&mut self, event: Event<'_>, place: Place) -> Result<(), ProblemKind> {
        match event {
            Event::DocumentStart(..) if self.root.is_some() => Err(ProblemKind::Documents),
            Event::Scalar(_, _, _, Some(_))
            | Event::SequenceStart(_, _, Some(_))
            | Event::MappingStart(_, _, Some(_)) => Err(ProblemKind::Tag),
            Event::Scalar(text, style, anchor, None) => {
                let null = style == ScalarStyle::Plain && matches!(&*text, "" | "~" | "null" | "Null" | "NULL");
                let value = if null { Value::Null } else { Value::Text(text.into_owned()) };
                self.spend(1)?;
                self.close(Node { place, value }, anchor)
            }
            Event::SequenceStart(_, anchor, None) => self.begin(place, anchor, Inside::List(Vec::new())),
            Event::MappingStart(_, anchor, None) => {
                let inside = Inside::Map { entries: Vec::new(), names: BTreeSet::new(), key: None };
                self.begin(place, anchor, inside)
            }
            Event::SequenceEnd | Event::MappingEnd => match self.open.pop() {
                Some(Open { place, anchor, inside: Inside::List(items) }) => {
                    self.close(Node { place, value: Value::List(items) }, anchor)
                }
                Some(Open { place, anchor, inside: Inside::Map { entries, names, .. } }) => {
                    self.close(Node { place, value: Value::Map(merged(entries, names)) }, anchor)
                }
                None => Err(ProblemKind::Syntax),
            },
            Event::Alias(anchor) => {
                // An alias within what it stands for finds nothing: that isn't closed yet.
                let node = self.anchors.get(&anchor).cloned().ok_or(ProblemKind::Syntax)?;
                self.budget.aliases = self.budget.aliases.checked_sub(1).ok_or(ProblemKind::Excess)?;
                self.spend(node.size())?;
                self.close(Node { place, ..node }, 0)
            }
            _ => Ok(()),
        }
    }

    fn spend(&mut self, nodes: usize) -> Result<(), ProblemKind> {
        self.budget.nodes = self.budget.nodes.checked_sub(nodes).ok_or(ProblemKind::Excess)?;
        Ok(())
    }

    fn begin(&mut self, place: Place, anchor: usize, inside: Inside) -> Result<(), ProblemKind> {
        self.spend(1)?;
        if self.open.len() >= self.budget.depth {
            return Err(ProblemKind::Excess);
        }
        self.open.push(Open { place, anchor, inside });
        Ok(())
    }

    /// Puts a complete node where it belongs.
    fn close(&mut self, node: Node, anchor: usize) -> Result<(), ProblemKind> {
        if anchor != 0 {
            self.anchors.insert(anchor, node.clone());
        }
        match self.open.last_mut().map(|open| &mut open.inside) {
            None => self.root = Some(node),
            Some(Inside::List(items)) => items.push(node),
            Some(Inside::Map { entries, names, key }) => match key.take() {
                Some(key) if key.text == MERGE && !is_mergeable(&node) => return Err(ProblemKind::MergeKey),
                Some(key) => entries.push((key, node)),
                None => *key = Some(new_key(node, names)?),
            },
        }
        Ok(())
    }
}

fn new_key(node: Node, names: &mut BTreeSet<String>) -> Result<Key, ProblemKind> {
    let Value::Text(text) = node.value else { return Err(ProblemKind::OddKey) };
    if !names.insert(text.clone()) {
        return Err(ProblemKind::TwiceTheKey);
    }
    Ok(Key { place: node.place, text })
}

fn is_mergeable(node: &Node) -> bool {
    match &node.value {
        Value::Map(_) => true,
        Value::List(items) => items.iter().all(|item| matches!(item.value, Value::Map(_))),
        Value::Null | Value::Text(_) => false,
    }
}

/// Puts in place of a merge key what it brings: the map's own keys go before, and maps before those that follow them. It costs
/// nothing that was not counted when it was read.
fn merged(mut entries: Vec<(Key, Node)>, mut names: BTreeSet<String>) -> Vec<(Key, Node)> {
    let Some(merge) = entries.iter().position(|(key, _)| key.text == MERGE) else { return entries };
    let maps = match entries.remove(merge).1 {
        Node { value: Value::List(items), .. } => items,
        map => vec![map],
    };
    for map in maps {
        let Value::Map(more) = map.value else { continue };
        entries.extend(more.into_iter().filter(|(key, _)| names.insert(key.text.clone())));
    }
    entries
}

impl Node {
    /// How many nodes it is, itself and keys included. Its depth is bounded.
    fn size(&self) -> usize {
        match &self.value {
            Value::Null | Value::Text(_) => 1,
            Value::List(items) => 1 + items.iter().map(Self::size).sum::<usize>(),
            Value::Map(entries) => 1 + entries.iter().map(|(_, node)| 1 + node.size()).sum::<usize>(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const BUDGET: Budget = Budget { nodes: 100, depth: 4, aliases: 5 };

    fn problem(text: &str) -> (u64, u64, ProblemKind) {
        let problem = parse(text, BUDGET).unwrap_err();
        (problem.place.line, problem.place.column, problem.kind)
    }

    #[test]
    fn scalars_keep_their_spelling_and_places() {
        let node = parse("a: 007\nb: [yes, '~', ~]\n", BUDGET).unwrap();
        let Value::Map(entries) = node.value else { panic!("no map") };
        assert_eq!(entries[0].1, Node { place: Place { line: 1, column: 4 }, value: Value::Text("007".into()) });
        let Value::List(items) = &entries[1].1.value else { panic!("no list") };
        let values: Vec<_> = items.iter().map(|item| item.value.clone()).collect();
        assert_eq!(values, [Value::Text("yes".into()), Value::Text("~".into()), Value::Null]);
        assert_eq!(entries[1].0.place, Place { line: 2, column: 1 });
    }

    #[test]
    fn an_alias_is_what_it_stands_for_and_costs_as_much() {
        let node = parse("a: &x [1, 2]\nb: *x\n", BUDGET).unwrap();
        let Value::Map(entries) = node.value else { panic!("no map") };
        assert_eq!(entries[0].1.value, entries[1].1.value);
        let wide = format!("a: &x [{}]\nb: [*x, *x]\n", "1, ".repeat(40));
        assert_eq!(problem(&wide).2, ProblemKind::Excess);
        assert_eq!(problem("a: &x 1\nb: [*x, *x, *x, *x, *x, *x]\n").2, ProblemKind::Excess);
        assert_eq!(problem("a: &x [*x]\n").2, ProblemKind::Syntax);
    }

    fn flat(text: &str) -> String {
        let Value::Map(entries) = parse(text, Budget { nodes: 1000, depth: 9, aliases: 9 }).unwrap().value else {
            panic!("no map")
        };
        let Value::Map(entries) = &entries.last().unwrap().1.value else { panic!("no map") };
        let entry = |(key, node): &(Key, Node)| match &node.value {
            Value::Text(text) => format!("{}={text}@{}", key.text, key.place.line),
            other => format!("{}={other:?}", key.text),
        };
        entries.iter().map(entry).collect::<Vec<_>>().join(" ")
    }

    #[test]
    fn merge_keys_bring_what_is_not_there_and_keep_its_place() {
        assert_eq!(flat("x: &x {a: 1, b: 1}\ny: {<<: *x, b: 2, c: 3}\n"), "b=2@2 c=3@2 a=1@1");
        assert_eq!(flat("x: &x {a: 1}\ny: &y {a: 2, b: 2}\nz: {<<: [*x, *y]}\n"), "a=1@1 b=2@2");
        assert_eq!(flat("x: &x {a: 1}\ny: &y {<<: *x, b: 2}\nz: {<<: *y}\n"), "b=2@2 a=1@1");
        assert_eq!(flat("z:\n  <<: {a: 1}\n"), "a=1@2");
        assert_eq!(problem("<<: 1\n"), (1, 5, ProblemKind::MergeKey));
        assert_eq!(problem("<<: [{a: 1}, 2]\n").2, ProblemKind::MergeKey);
        assert_eq!(problem("<<: {a: 1}\n<<: {b: 1}\n").2, ProblemKind::TwiceTheKey);
        let wide = format!(
            "a: &x {{{}}}\nb: [{{<<: *x}}, {{<<: *x}}]\n",
            (0..20).map(|n| format!("k{n}: 1, ")).collect::<String>()
        );
        assert_eq!(problem(&wide).2, ProblemKind::Excess);
    }

    #[test]
    fn what_two_readers_could_understand_differently_is_refused() {
        assert_eq!(problem("a: 1\na: 2\n"), (2, 1, ProblemKind::TwiceTheKey));
        assert_eq!(problem("a: 1\n\"a\": 2\n"), (2, 1, ProblemKind::TwiceTheKey));
        assert_eq!(problem("a: 1\n---\na: 2\n").2, ProblemKind::Documents);
        assert_eq!(problem("a: !x 1\n").2, ProblemKind::Tag);
        assert_eq!(problem("a: !!str 1\n").2, ProblemKind::Tag);
        assert_eq!(problem("[a, b]: 1\n").2, ProblemKind::OddKey);
        assert_eq!(problem("~: 1\n").2, ProblemKind::OddKey);
        assert_eq!(problem("a: 1\nb: x\0y\n"), (2, 5, ProblemKind::Control));
        assert_eq!(problem("a: \"x\n").2, ProblemKind::Syntax);
        assert_eq!(problem("a: [[[[1]]]]\n").2, ProblemKind::Excess);
    }
}
