//! Manifests in TOML: `Cargo.toml`, `pyproject.toml`, `Pipfile`.

use toml::{Table, Value};

use super::{DetectError, Files};

/// Reads one; `None` where there is none. A mistake in it is told by its place alone.
pub(super) fn read(files: &dyn Files, path: &str) -> Result<Option<Table>, DetectError> {
    let Some(text) = files.read(path)? else { return Ok(None) };
    let text = text.strip_prefix('\u{FEFF}').unwrap_or(&text);
    text.parse::<Table>().map(Some).map_err(|error| {
        let before = text.get(..error.span().map_or(0, |span| span.start)).unwrap_or_default();
        let (line, column) =
            (before.matches('\n').count() + 1, before.chars().rev().take_while(|c| *c != '\n').count() + 1);
        DetectError::BadToml { path: path.to_owned(), line, column }
    })
}

/// What stands at the end of a path of keys, such as `project.dependencies`.
pub(super) fn at<'a>(table: &'a Table, path: &str) -> Option<&'a Value> {
    let (first, rest) = path.split_once('.').map_or((path, None), |(first, rest)| (first, Some(rest)));
    let value = table.get(first)?;
    match rest {
        Some(rest) => at(value.as_table()?, rest),
        None => Some(value),
    }
}

/// The texts of a list there.
pub(super) fn texts<'a>(table: &'a Table, path: &str) -> impl Iterator<Item = &'a str> {
    at(table, path).and_then(Value::as_array).into_iter().flatten().filter_map(Value::as_str)
}

/// The table there.
pub(super) fn table_at<'a>(table: &'a Table, path: &str) -> Option<&'a Table> {
    at(table, path).and_then(Value::as_table)
}
