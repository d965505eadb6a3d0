//! What a Dockerfile's stages say, with the values that its variables have where they stand.

use std::collections::BTreeMap;

use crate::repo_config::{ContainerPort, EnvVars};

use super::near::AddedFrom;
use super::refused::names_preview;
use super::{Instruction, MAX_BYTES, MAX_VALUE};

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
            "USER" => self.user = Some(expand(&instruction.arguments, &self.variables)),
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

/// All that the file, or who builds it, gives a value to, wherever; of several values the last.
pub(super) fn all_variables(instructions: &[Instruction], args: &EnvVars) -> BTreeMap<String, String> {
    let mut variables = BTreeMap::new();
    for instruction in instructions.iter().filter(|instruction| ["ARG", "ENV"].contains(&instruction.name.as_str())) {
        let words: Vec<&str> = instruction.arguments.split_whitespace().collect();
        match words[..] {
            _ if instruction.name == "ARG" => declare(&mut variables, &words, args),
            [name, value] if !name.contains('=') => define(&mut variables, &[&format!("{name}={value}")]),
            _ => define(&mut variables, &words),
        }
    }
    variables
}

/// The text without its quotes and with `$NAME`, `${NAME}` and `${NAME:-default}` replaced; unknown names become nothing.
pub(super) fn expand(text: &str, variables: &BTreeMap<String, String>) -> String {
    let word = |c: char| c.is_ascii_alphanumeric() || c == '_';
    let mut out = String::new();
    let mut rest = text.trim();
    while let Some((before, after)) = rest.split_once('$').filter(|_| out.len() < MAX_BYTES) {
        out.push_str(before);
        let braced = after.strip_prefix('{').and_then(|inner| inner.split_once('}'));
        let (name, remainder) =
            braced.unwrap_or_else(|| after.split_at(after.find(|c| !word(c)).unwrap_or(after.len())));
        let (name, default) = name.split_once(":-").unwrap_or((name, ""));
        out.push_str(variables.get(name).map_or(default, String::as_str));
        rest = remainder;
    }
    out.push_str(rest);
    out.retain(|c| c != '"' && c != '\'');
    out
}

/// `3000`, `3000/tcp`, the first of `3000-3010`; not `3000/udp`.
fn tcp_port(text: &str) -> Option<ContainerPort> {
    let (ports, protocol) = text.split_once('/').unwrap_or((text, "tcp"));
    let first = ports.split('-').next()?;
    protocol.eq_ignore_ascii_case("tcp").then(|| first.parse().ok())?
}
