//! What the keys are, for people and for editors: the JSON Schema of `preview-config.yml`, and the table of the documentation.
//!
//! Both are made of the one table of keys. The schema says what should be written rather than all that is accepted (a quoted
//! number passes the reader and not the schema): an editor that follows it never leads astray.
//!
//! Source: <https://json-schema.org/draft/2020-12>

use serde_json::{Map, Value, json};

use super::{FILE_NAME, keys};

/// A key, as it is told.
#[derive(Debug, Clone, Copy)]
pub(super) struct Field {
    /// Its name.
    pub(super) name: &'static str,
    form: Form,
    says: &'static str,
    without: Without,
}

/// What holds where a key isn't there.
#[derive(Debug, Clone, Copy)]
pub(super) enum Without {
    /// This value.
    Value(&'static str),
    /// What these words say, in Markdown.
    Words(&'static str),
}

/// What a value looks like.
#[derive(Debug, Clone, Copy)]
pub(super) enum Form {
    /// One text that this regular expression matches.
    Text(&'static str),
    /// A whole number, from and to.
    Whole(u64, u64),
    /// One of these names.
    OneOf(fn() -> Vec<&'static str>),
    /// One value of any spelling, or nothing.
    Scalar,
    /// A list of what has this form.
    List(&'static Form),
    /// A map of names that the regular expression matches to what has this form.
    Map(&'static str, &'static Form),
    /// Any of these forms.
    Either(&'static [Form]),
    /// A map of these keys.
    Fields(fn() -> Vec<Field>),
}

impl Form {
    /// A path inside the repository.
    pub(super) const PATH: Self =
        Self::Text(r"^(\.|(\./)?\.?[A-Za-z0-9_+@][A-Za-z0-9._+@-]*(/\.?[A-Za-z0-9_+@][A-Za-z0-9._+@-]*)*/?)$");
    /// One such path, or several.
    pub(super) const PATHS: Self = Self::Either(&[Self::PATH, Self::List(&Self::PATH)]);
    /// A path inside the repository, for Python with the object that it holds.
    pub(super) const ENTRYPOINT: Self = Self::Text(
        r"^(\.|(\./)?\.?[A-Za-z0-9_+@][A-Za-z0-9._+@-]*(/\.?[A-Za-z0-9_+@][A-Za-z0-9._+@-]*)*/?)(:[A-Za-z_][A-Za-z0-9_.]*)?$",
    );
    /// The path and query of an address.
    pub(super) const URL_PATH: Self = Self::Text(r"^/([!-.0-~][!-~]*)?$");
    /// The name of a variable.
    pub(super) const VARIABLE: Self = Self::Text(Self::NAME);
    /// Variables, as a list or a map.
    pub(super) const VARIABLES: Self =
        Self::Either(&[Self::List(&Self::Text(r"^[A-Za-z_][A-Za-z0-9_]*=")), Self::Map(Self::NAME, &Self::Scalar)]);
    /// One line for a shell, or several.
    pub(super) const LINES: Self = Self::Either(&[Self::Text("."), Self::List(&Self::Text("."))]);
    const NAME: &'static str = r"^[A-Za-z_][A-Za-z0-9_]*$";

    fn schema(self) -> Map<String, Value> {
        let schema = match self {
            Self::Text(pattern) => json!({"type": "string", "pattern": pattern}),
            Self::Whole(from, to) => json!({"type": "integer", "minimum": from, "maximum": to}),
            Self::OneOf(names) => json!({"enum": names()}),
            Self::Scalar => json!({"type": ["string", "number", "boolean", "null"]}),
            Self::List(item) => json!({"type": "array", "items": item.schema()}),
            Self::Map(names, value) => json!({
                "type": "object", "propertyNames": {"pattern": names}, "additionalProperties": value.schema(),
            }),
            Self::Either(forms) => json!({"anyOf": forms.iter().map(|form| form.schema()).collect::<Vec<_>>()}),
            Self::Fields(fields) => {
                let properties: Map<String, Value> =
                    fields().into_iter().map(|field| (field.name.to_owned(), field.schema().into())).collect();
                json!({"type": "object", "properties": properties, "additionalProperties": false})
            }
        };
        match schema {
            Value::Object(schema) => schema,
            _ => Map::new(),
        }
    }

    /// What may be written, for people, where the meaning of the key doesn't tell.
    fn words(self) -> Option<String> {
        match self {
            Self::OneOf(names) => Some(names().iter().map(|name| format!("`{name}`")).collect::<Vec<_>>().join(", ")),
            Self::Whole(from, to) => Some(format!("{from} to {to}")),
            _ => None,
        }
    }
}

impl Field {
    /// A key with its form, its meaning in Markdown, and what holds without it.
    pub(super) const fn new(name: &'static str, form: Form, says: &'static str, without: Without) -> Self {
        Self { name, form, says, without }
    }

    fn schema(self) -> Map<String, Value> {
        let mut schema = self.form.schema();
        let without = match self.without {
            Without::Value(value) => {
                schema.insert("default".to_owned(), value.into());
                format!("`{value}`")
            }
            Without::Words(words) => words.to_owned(),
        };
        schema.insert("description".to_owned(), format!("{}. Without it: {without}.", unlinked(self.says)).into());
        schema
    }

    /// Its row in the documentation.
    fn row(self) -> String {
        let value = match self.form.words() {
            Some(words) => format!("{}: {words}", self.says),
            None => self.says.to_owned(),
        };
        let without = match self.without {
            Without::Value(value) => format!("`{value}`"),
            Without::Words(words) => words.to_owned(),
        };
        format!("| `{}` | {value} | {without} |", self.name)
    }
}

/// Without what links into the documentation: ` ([PAGE](ADDRESS))`.
fn unlinked(says: &str) -> &str {
    says.split_once(" ([").map_or(says, |(before, _)| before)
}

/// The JSON Schema of the file.
pub fn schema() -> Value {
    let mut schema = Form::Fields(|| keys::fields().collect()).schema();
    schema.insert("$schema".to_owned(), "https://json-schema.org/draft/2020-12/schema".into());
    schema.insert("title".to_owned(), FILE_NAME.into());
    schema.insert(
        "description".to_owned(),
        "What a repository says about the previews of its pull requests. The file is optional, and so is each key."
            .into(),
    );
    Value::Object(schema)
}

/// The table of keys in the documentation, in Markdown.
pub fn documentation() -> String {
    let mut text = "| key | value | without it |\n| --- | --- | --- |\n".to_owned();
    for field in keys::fields() {
        text.push_str(&field.row());
        text.push('\n');
    }
    text
}

#[cfg(test)]
mod tests;
