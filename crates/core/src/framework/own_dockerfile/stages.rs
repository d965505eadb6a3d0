//! What a Dockerfile's stages say, with the values that its variables have where they stand.

use std::collections::BTreeMap;

use crate::repo_config::{ContainerPort, EnvVars};

use super::near::AddedFrom;
use super::refused::names_preview;
use super::variables::{UNTOLD, expand};
use super::{Instruction, MAX_VALUE};

/// What a stage says about running it.
#[derive(Debug, Clone, Default)]
pub(super) struct Stage {
    name: Option<String>,
    /// The stage that it continues, by index; `None` for an image.
    pub(super) base: Option<usize>,
    pub(super) user: Option<String>,
    pub(super) ports: Vec<ContainerPort>,
    variables: BTreeMap<String, String>,
    /// The line by which it begins, where that names another preview's image.
    pub(super) preview: Option<usize>,
    /// The hosts that it adds from.
    pub(super) hosts: Vec<AddedFrom>,
}

/// The stages of a Dockerfile, in order.
pub(super) fn stages(instructions: &[Instruction], args: &EnvVars) -> Vec<Stage> {
    let mut global = BTreeMap::new();
    let mut stages: Vec<Stage> = Vec::new();
    for instruction in instructions {
        let words: Vec<&str> = instruction.arguments.split_whitespace().collect();
        match (instruction.name.as_str(), stages.last_mut()) {
            ("FROM", _) => {
                let mut stage = Stage::begin(&words, &stages, &global);
                stage.preview = stage.preview.map(|_| instruction.line);
                stages.push(stage);
            }
            ("ARG", None) => declare(&mut global, &words, args),
            (_, Some(stage)) => stage.take(instruction, &words, &global, args),
            _ => {}
        }
    }
    stages
}

impl Stage {
    fn begin(words: &[&str], earlier: &[Self], global: &BTreeMap<String, String>) -> Self {
        let mut words = words.iter().filter(|word| !word.starts_with("--"));
        let image = words.next().map(|image| expand(image, global)).unwrap_or_default();
        let name = words.next().filter(|word| word.eq_ignore_ascii_case("as")).and_then(|_| words.next());
        let named = |stage: &Self| stage.name.as_ref().is_some_and(|name| name.eq_ignore_ascii_case(&image));
        let base = earlier.iter().rposition(named);
        let variables = base.map(|base| earlier[base].variables.clone()).unwrap_or_default();
        let preview = names_preview(&image).then_some(0);
        Self { name: name.map(|name| name.to_string()), base, variables, preview, ..Self::default() }
    }

    fn take(&mut self, instruction: &Instruction, words: &[&str], global: &BTreeMap<String, String>, args: &EnvVars) {
        match instruction.name.as_str() {
            "ARG" => {
                let inherited = words.iter().filter_map(|name| global.get_key_value(*name));
                self.variables.extend(inherited.map(|(name, value)| (name.clone(), value.clone())));
                declare(&mut self.variables, words, args);
            }
            "ADD" | "ONBUILD" => self.hosts.extend(instruction.hosts(&self.variables)),
            "ENV" => match words {
                [name, value @ ..] if !name.contains('=') => {
                    self.variables.insert((*name).to_owned(), value.join(" "));
                }
                words => define(&mut self.variables, words),
            },
            "USER" => self.user = Some(user(&expand(&instruction.arguments, &self.variables))),
            "EXPOSE" => {
                let ports = words.iter().filter_map(|word| tcp_port(&expand(word, &self.variables)));
                self.ports.extend(ports);
            }
            _ => {}
        }
    }
}

/// Takes up the `NAME=value` among the words.
fn define(variables: &mut BTreeMap<String, String>, words: &[&str]) {
    for (name, value) in words.iter().filter_map(|word| word.split_once('=')) {
        let value = expand(value, variables);
        let value = &value[..value.floor_char_boundary(MAX_VALUE)];
        variables.insert(name.to_owned(), value.to_owned());
    }
}

/// Takes up arguments: what the build is given wins over what the file says.
fn declare(variables: &mut BTreeMap<String, String>, words: &[&str], args: &EnvVars) {
    define(variables, words);
    for name in words.iter().map(|word| word.split('=').next().unwrap_or_default()) {
        if let Some(value) = args.get(name) {
            variables.insert(name.to_owned(), value[..value.floor_char_boundary(MAX_VALUE)].to_owned());
        }
    }
}

/// Which of several values a name has: a stage may see the one or the other.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Of {
    First,
    Last,
}

/// All that the file, or who builds it, gives a value to, wherever.
pub(super) fn all_variables(instructions: &[Instruction], args: &EnvVars, of: Of) -> BTreeMap<String, String> {
    let mut variables = BTreeMap::new();
    for instruction in instructions.iter().filter(|instruction| ["ARG", "ENV"].contains(&instruction.name.as_str())) {
        let is_new =
            |word: &&str| of == Of::Last || !variables.contains_key(word.split('=').next().unwrap_or_default());
        let words: Vec<&str> = instruction.arguments.split_whitespace().collect();
        match words[..] {
            [name, value] if instruction.name == "ENV" && !name.contains('=') => {
                if is_new(&name) {
                    define(&mut variables, &[&format!("{name}={value}")]);
                }
            }
            _ => {
                let words: Vec<&str> = words.into_iter().filter(is_new).collect();
                match instruction.name.as_str() {
                    "ARG" => declare(&mut variables, &words, args),
                    _ => define(&mut variables, &words),
                }
            }
        }
    }
    variables
}

/// A user of which it can't be told who it is counts as none.
fn user(text: &str) -> String {
    if text.contains(UNTOLD) { String::new() } else { text.to_owned() }
}

/// `3000`, `3000/tcp`, the first of `3000-3010`; not `3000/udp`.
fn tcp_port(text: &str) -> Option<ContainerPort> {
    let (ports, protocol) = text.split_once('/').unwrap_or((text, "tcp"));
    let first = ports.split('-').next()?;
    protocol.eq_ignore_ascii_case("tcp").then(|| first.parse().ok())?
}
