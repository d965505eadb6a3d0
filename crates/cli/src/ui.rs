//! The one place that writes to the terminal: results to standard output, everything else to standard error, colours only for
//! a person who wants them. A reader that went away (`| head`) is no error.

use std::io::{IsTerminal, Write};
use std::process::ExitCode;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use jiff::Timestamp;
use serde::Serialize;
use serde_json::json;

use crate::error::Failure;

/// What a person waits for without a word.
pub(crate) const A_WHILE: Duration = Duration::from_secs(1);

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
    paint(style, text, is_colourful())
}

/// Whether colours are wanted on standard output.
pub(crate) fn is_colourful() -> bool {
    wants_colours(&std::io::stdout())
}

fn wants_colours(to: &impl IsTerminal) -> bool {
    to.is_terminal() && std::env::var_os("NO_COLOR").is_none_or(|value| value.is_empty())
}

fn paint(style: Style, text: &str, colours: bool) -> String {
    let code = match style {
        _ if !colours => return text.to_owned(),
        Style::Bold => "1",
        Style::Dim => "2",
        Style::Green => "32",
        Style::Red => "31",
        Style::Yellow => "33",
    };
    format!("\u{1b}[{code}m{text}\u{1b}[0m")
}

/// A line of the result.
pub(crate) fn line(text: impl AsRef<str>) {
    is_read(text);
}

/// A line of a result that may go on for ever; tells whether anybody still reads it.
pub(crate) fn is_read(text: impl AsRef<str>) -> bool {
    writeln!(std::io::stdout(), "{}", text.as_ref()).is_ok()
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

/// Whether a result for scripts was printed: there is one at most.
static IS_TOLD: AtomicBool = AtomicBool::new(false);

/// Whether JSON is printed an object a line.
static IS_BY_LINE: AtomicBool = AtomicBool::new(false);

/// From now on JSON is printed an object a line, for scripts that read it as it comes.
pub(crate) fn json_by_line() {
    IS_BY_LINE.store(true, Ordering::SeqCst);
}

/// The result for scripts.
pub(crate) fn json(value: &impl Serialize) -> Result<(), Failure> {
    let by_line = IS_BY_LINE.load(Ordering::SeqCst);
    let text = if by_line { serde_json::to_string(value) } else { serde_json::to_string_pretty(value) };
    IS_TOLD.store(true, Ordering::SeqCst);
    text.map(line).map_err(|error| Failure::new("the result could not be written as JSON").because(&error))
}

/// What failed, for scripts; nothing more, where the result is printed and says it.
pub(crate) fn json_of(failure: &Failure) {
    if !IS_TOLD.load(Ordering::SeqCst) {
        let Failure { what, causes, hints, .. } = failure;
        // Of texts alone it can be made, and there is nobody left to be told.
        drop(json(&json!({"error": {"message": what, "details": causes, "advice": hints}})));
    }
}

/// A remark for the person at the terminal.
pub(crate) fn note(text: impl AsRef<str>) {
    drop(writeln!(std::io::stderr(), "{}", text.as_ref()));
}

/// Whether a person sees standard error, on a terminal on which a line can be replaced.
pub(crate) fn is_watched() -> bool {
    std::io::stderr().is_terminal() && std::env::var_os("TERM").is_none_or(|terminal| terminal != "dumb")
}

/// What is under way, in one line that the next one replaces; only where it [`is_watched`]. Nothing takes the line away.
pub(crate) fn progress(text: &str) {
    let err = std::io::stderr();
    if is_watched() {
        let columns = rustix::termios::tcgetwinsize(&err).map_or(80, |size| usize::from(size.ws_col.max(20)));
        let text: String = text.chars().take(columns - 1).collect();
        let mut err = err.lock();
        // Source: ECMA-48, §8.3.41 (EL): the whole line is emptied.
        drop(write!(err, "\r\u{1b}[2K{text}").and_then(|()| err.flush()));
    }
}

/// Waits for something, and says what for where that takes a while.
pub(crate) async fn waiting<T>(what: &str, work: impl Future<Output = T>) -> T {
    let mut work = std::pin::pin!(work);
    tokio::select! {
        biased;
        done = &mut work => return done,
        () = tokio::time::sleep(A_WHILE) => progress(&format!("{what} …")),
    }
    let done = work.await;
    progress("");
    done
}

/// A question, whose answer goes on the same line.
pub(crate) fn question(text: &str) {
    let mut err = std::io::stderr().lock();
    drop(err.write_all(text.as_bytes()).and_then(|()| err.flush()));
}

/// A remark that begins with how something went.
pub(crate) fn marked(style: Style, mark: &str, text: &str) {
    headed(style, mark, text);
}

/// Something that is probably not meant so.
pub(crate) fn warning(text: impl AsRef<str>) {
    headed(Style::Yellow, "warning:", text.as_ref());
}

/// What to do about something.
pub(crate) fn hint(text: impl AsRef<str>) {
    headed(Style::Yellow, "hint:", text.as_ref());
}

/// Says why a command failed, and gives its exit code.
pub(crate) fn fail(failure: &Failure) -> ExitCode {
    headed(Style::Red, "error:", &failure.what);
    failure.causes.iter().for_each(|cause| note(format!("  - {cause}")));
    failure.hints.iter().for_each(hint);
    ExitCode::from(failure.kind.exit_code())
}

fn headed(style: Style, head: &str, text: &str) {
    note(format!("{} {text}", paint(style, head, wants_colours(&std::io::stderr()))));
}

/// One line that came from elsewhere, with nothing in it that a terminal would obey.
pub(crate) fn harmless(text: &str) -> String {
    preview_core::plain_text::clean(text)
}

/// How long ago that was, in words.
pub(crate) fn age(since: Option<&str>) -> String {
    let Some(since) = since.and_then(|text| text.parse::<Timestamp>().ok()) else { return "-".to_owned() };
    let minutes = Timestamp::now().duration_since(since).as_mins();
    match minutes {
        ..1 => "just now".to_owned(),
        1..60 => format!("{minutes} min ago"),
        60..2880 => format!("{} h ago", minutes / 60),
        _ => format!("{} days ago", minutes / 1440),
    }
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
