//! Reading variables so that every mistake is found, not only the first.
//!
//! A reading that fails notes why and gives `None`. So a section reads all its variables first, and only then puts its
//! struct together with `?`.

use std::collections::BTreeMap;
use std::fmt;

/// What is used when a variable is not set.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fallback {
    /// There is no start without it.
    Required,
    /// This text, read as if it had been set.
    Text(&'static str),
    /// Something that depends on the machine or on other variables, in words.
    Described(&'static str),
}

/// One environment variable: all that there is to know of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Variable {
    /// Its name.
    pub name: &'static str,
    /// An older name that is read too.
    pub also: Option<&'static str>,
    /// What is used without it.
    pub fallback: Fallback,
    /// What it means, in Markdown, its unit included.
    pub meaning: &'static str,
    /// Whether its value must never be shown.
    pub secret: bool,
}

impl Variable {
    /// A variable with a default.
    pub const fn new(name: &'static str, default: &'static str, meaning: &'static str) -> Self {
        Self { name, also: None, fallback: Fallback::Text(default), meaning, secret: false }
    }

    /// A variable without which nothing starts.
    pub const fn required(name: &'static str, meaning: &'static str) -> Self {
        Self { fallback: Fallback::Required, ..Self::new(name, "", meaning) }
    }

    /// A variable whose absence means something of its own.
    pub const fn optional(name: &'static str, without: &'static str, meaning: &'static str) -> Self {
        Self { fallback: Fallback::Described(without), ..Self::new(name, "", meaning) }
    }

    /// Its value is never shown.
    pub const fn secret(self) -> Self {
        Self { secret: true, ..self }
    }

    /// It has an older name.
    pub const fn also(self, name: &'static str) -> Self {
        Self { also: Some(name), ..self }
    }
}

/// Why a value will not do: what was expected instead, as the end of a sentence.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Wrong(pub(super) String);

impl Wrong {
    pub(super) fn expected(what: impl fmt::Display) -> Self {
        Self(format!("expected {what}"))
    }
}

/// One thing that is wrong with the settings, naming the variable.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{variable} {problem}")]
pub struct Mistake {
    /// Which variable.
    pub variable: &'static str,
    /// What is wrong, and what was expected.
    pub problem: String,
}

/// Everything that is wrong with the settings.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub struct Mistakes(pub Vec<Mistake>);

impl fmt::Display for Mistakes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0.len() {
            1 => write!(f, "1 setting is wrong:")?,
            many => write!(f, "{many} settings are wrong:")?,
        }
        self.0.iter().try_for_each(|mistake| write!(f, "\n  - {mistake}"))
    }
}

/// Environment variables, by name.
pub type Variables = BTreeMap<String, String>;

/// Reads variables and collects what is wrong with them.
pub(super) struct Reader<'a> {
    variables: &'a Variables,
    mistakes: Vec<Mistake>,
}

impl<'a> Reader<'a> {
    pub(super) fn new(variables: &'a Variables) -> Self {
        Self { variables, mistakes: Vec::new() }
    }

    /// The text that was set. An empty one counts as not set: that is how `.env` files leave something out.
    pub(super) fn text(&mut self, variable: &Variable) -> Option<&'a str> {
        let get = |name: &str| self.variables.get(name).map(|text| text.trim()).filter(|text| !text.is_empty());
        let (text, older) = (get(variable.name), variable.also.and_then(get));
        if let (Some(text), Some(older), Some(name)) = (text, older, variable.also)
            && text != older
        {
            self.mistake(
                variable,
                format!("and {name} are both set and differ: {name} is its older name, remove that"),
            );
        }
        text.or(older)
    }

    /// Reads a variable that was set or has a default.
    pub(super) fn value<T>(&mut self, variable: &Variable, parse: impl FnOnce(&str) -> Result<T, Wrong>) -> Option<T> {
        let text = match (self.text(variable), variable.fallback) {
            (Some(text), _) => text,
            (None, Fallback::Text(default)) => default,
            (None, Fallback::Required | Fallback::Described(_)) => {
                self.mistake(variable, format!("is not set: {}", variable.meaning));
                return None;
            }
        };
        parse(text).map_err(|wrong| self.wrong(variable, text, &wrong)).ok()
    }

    /// Reads a variable whose absence means something of its own: `Some(None)`.
    pub(super) fn option<T>(
        &mut self,
        variable: &Variable,
        parse: impl FnOnce(&str) -> Result<T, Wrong>,
    ) -> Option<Option<T>> {
        match self.text(variable) {
            Some(text) => parse(text).map_err(|wrong| self.wrong(variable, text, &wrong)).ok().map(Some),
            None => Some(None),
        }
    }

    fn wrong(&mut self, variable: &Variable, text: &str, Wrong(why): &Wrong) {
        let shown: String = text.chars().take(60).flat_map(char::escape_debug).collect();
        // A URL may carry a password where none belongs, so it isn't repeated either.
        let problem = if variable.secret || text.contains('@') {
            format!("is not usable: {why}")
        } else {
            format!("is `{shown}`: {why}")
        };
        self.mistake(variable, problem);
    }

    /// Notes a mistake.
    pub(super) fn mistake(&mut self, variable: &Variable, problem: impl Into<String>) {
        self.mistakes.push(Mistake { variable: variable.name, problem: problem.into() });
    }

    /// All that was noted.
    pub(super) fn finish<T>(self, value: Option<T>) -> Result<T, Mistakes> {
        value.filter(|_| self.mistakes.is_empty()).ok_or(Mistakes(self.mistakes))
    }
}
