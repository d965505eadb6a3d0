//! The one place that writes to the terminal: results to standard output, everything else to standard error, colours only for
//! a person who wants them.
#![expect(clippy::print_stderr, reason = "this is the one place that prints")]

use std::io::{IsTerminal, Write};
use std::process::ExitCode;

use serde::Serialize;

use crate::error::Failure;

/// How a piece of text looks on a terminal.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Style {
    Bold,
    Dim,
    Green,
    Red,
    Yellow,
}

/// The text with its style, where standard output is a terminal and nobody asked for no colours (<https://no-color.org>).
pub(crate) fn styled(style: Style, text: &str) -> String {
    paint(style, text, std::io::stdout().is_terminal())
}

fn paint(style: Style, text: &str, terminal: bool) -> String {
    let wanted = terminal && std::env::var_os("NO_COLOR").is_none_or(|value| value.is_empty());
    let code = match style {
        _ if !wanted => return text.to_owned(),
        Style::Bold => "1",
        Style::Dim => "2",
        Style::Green => "32",
        Style::Red => "31",
        Style::Yellow => "33",
    };
    format!("\u{1b}[{code}m{text}\u{1b}[0m")
}

/// A line of the result. A reader that went away (`| head`) is no error.
pub(crate) fn line(text: impl AsRef<str>) {
    drop(writeln!(std::io::stdout(), "{}", text.as_ref()));
}

/// Whether a line on standard output can be rewritten.
pub(crate) fn is_live() -> bool {
    std::io::stdout().is_terminal() && std::env::var_os("TERM").is_none_or(|terminal| terminal != "dumb")
}

/// Puts this in the place of the last line, which was not ended; only where [`is_live`].
pub(crate) fn rewrite(text: &str) {
    let mut out = std::io::stdout().lock();
    // Source: ECMA-48, §8.3.41 (EL): the whole line is emptied.
    drop(write!(out, "\r\u{1b}[2K{text}").and_then(|()| out.flush()));
}

/// How wide the terminal is, where standard output is one.
pub(crate) fn columns() -> Option<usize> {
    rustix::termios::tcgetwinsize(std::io::stdout()).ok().map(|size| usize::from(size.ws_col))
}

/// The result for scripts.
pub(crate) fn json(value: &impl Serialize) {
    match serde_json::to_string_pretty(value) {
        Ok(text) => line(text),
        Err(error) => eprintln!("error: the result could not be written as JSON: {error}"),
    }
}

/// A remark for the person at the terminal.
pub(crate) fn note(text: impl AsRef<str>) {
    eprintln!("{}", text.as_ref());
}

/// Says why a command failed, and gives its exit code.
pub(crate) fn fail(failure: &Failure) -> ExitCode {
    let terminal = std::io::stderr().is_terminal();
    eprintln!("{} {}", paint(Style::Red, "error:", terminal), failure.what);
    for cause in &failure.causes {
        eprintln!("  - {cause}");
    }
    for hint in &failure.hints {
        eprintln!("{} {hint}", paint(Style::Yellow, "hint:", terminal));
    }
    ExitCode::from(failure.kind.exit_code())
}

/// Text that came from elsewhere, with nothing in it that a terminal would obey.
pub(crate) fn harmless(text: &str) -> String {
    text.chars().filter(|c| !c.is_control() || *c == '\t').collect()
}

/// Prints a table: each column as wide as its widest cell.
pub(crate) fn table(head: &[&str], rows: &[Vec<String>]) {
    let width = |column: usize| {
        let cells = rows.iter().filter_map(|row| row.get(column)).map(|cell| cell.chars().count());
        cells.chain([head[column].len()]).max().unwrap_or_default()
    };
    let widths: Vec<usize> = (0..head.len()).map(width).collect();
    let row = |cells: &[&str]| {
        let padded = cells.iter().zip(&widths).map(|(cell, width)| format!("{cell:width$}"));
        padded.collect::<Vec<_>>().join("  ").trim_end().to_owned()
    };
    line(styled(Style::Dim, &row(head)));
    for cells in rows {
        line(row(&cells.iter().map(String::as_str).collect::<Vec<_>>()));
    }
}
