//! Values on their way into a configuration. A template writes nothing that could mean anything to nginx: a value is a number, a
//! word of harmless characters, or went through a filter that made it harmless; anything else stops the writing.
//!
//! Source of how nginx reads words and quotes: `ngx_conf_read_token` in its `src/core/ngx_conf_file.c`.

use minijinja::{Environment, Error, ErrorKind, Output, State, Value};

/// Makes an environment's templates write by these rules.
pub(super) fn guard(templates: &mut Environment<'_>) {
    templates.set_formatter(write);
    templates.add_filter("quoted", quoted);
    templates.add_filter("comment", comment);
}

fn write(out: &mut Output<'_>, _: &mut State<'_, '_>, value: &Value) -> Result<(), Error> {
    let harmless = value.is_safe() || value.is_number() || value.as_str().is_some_and(is_word);
    if !harmless {
        return Err(refused("a value could mean something to nginx where the template has it bare"));
    }
    write!(out, "{value}").map_err(|_| Error::from(ErrorKind::WriteFailure))
}

/// Characters of which none ends a word, begins a block, a comment, a variable or a quote, or means anything in a pattern that a
/// host name or a path of ours could not have.
fn is_word(text: &str) -> bool {
    text.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"/-_.:[]".contains(&byte))
}

/// A text in quotes, one word to nginx whatever it holds. `$` has no escape: nginx would fill in a variable.
fn quoted(text: &str) -> Result<Value, Error> {
    if text.contains('$') || text.chars().any(|c| c.is_control() && c != '\n') {
        return Err(refused("a value holds what cannot be quoted for nginx"));
    }
    let quote = if text.contains('"') && !text.contains('\'') { '\'' } else { '"' };
    let escaped = text.replace('\\', "\\\\").replace(quote, &format!("\\{quote}"));
    Ok(Value::from_safe_string(format!("{quote}{escaped}{quote}")))
}

/// A line of its own that says nothing to nginx.
fn comment(text: &str) -> Result<Value, Error> {
    if !text.starts_with('#') || text.chars().any(char::is_control) {
        return Err(refused("a value is no comment of one line"));
    }
    Ok(Value::from_safe_string(text.to_owned()))
}

fn refused(why: &'static str) -> Error {
    Error::new(ErrorKind::InvalidOperation, why)
}
