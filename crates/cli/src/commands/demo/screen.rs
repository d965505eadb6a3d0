//! What the demo shows: a line for everything that happened and, on a terminal, one that is rewritten while something lasts.

use std::cell::Cell;
use std::time::{Duration, Instant};

use super::comment::Line;
use crate::ui::{self, Style, styled};

/// Where times end, in columns from the left.
const TIMES: usize = 76;
/// The widest that text gets.
const WIDEST: usize = 100;
const INDENT: &str = "   ";
/// A turning wheel, and how long each of its pictures stays.
const WHEEL: [char; 10] = ['⠋', '⠙', '⠹', '⠸', '⠼', '⠴', '⠦', '⠧', '⠇', '⠏'];
const TURN: Duration = Duration::from_millis(80);

/// Standard output, as pages of a story; or standard error, where the output is a script's.
pub(super) struct Screen {
    aside: bool,
    live: bool,
    chapters: Cell<usize>,
}

impl Screen {
    /// The story goes `aside` where standard output is a script's.
    pub(super) fn new(aside: bool) -> Self {
        Self { aside, live: !aside && ui::is_live(), chapters: Cell::new(0) }
    }

    /// Whether a line can be rewritten.
    pub(super) fn is_live(&self) -> bool {
        self.live
    }

    // -------------------------------------------------------------------------------------------------------------- lines

    /// What this is about.
    pub(super) fn title(&self, title: &str, subtitle: &str) {
        self.line(format!("\n{}\n{}", self.styled(Style::Bold, title), self.styled(Style::Dim, subtitle)));
    }

    /// The next thing that people do.
    pub(super) fn chapter(&self, text: &str) {
        let number = self.chapters.get() + 1;
        self.chapters.set(number);
        self.line(format!("\n{}  {}", self.styled(Style::Dim, &number.to_string()), self.styled(Style::Bold, text)));
    }

    /// Something that went well and took a while.
    pub(super) fn done(&self, text: &str, took: Duration) {
        self.timed(&self.styled(Style::Green, "✓"), text, took);
    }

    /// Something that did not work, as was expected.
    pub(super) fn failed(&self, text: &str, took: Duration) {
        self.timed(&self.styled(Style::Red, "✗"), text, took);
    }

    fn timed(&self, sign: &str, text: &str, took: Duration) {
        let time = seconds(took);
        let used = INDENT.len() + 2 + text.chars().count() + time.len();
        let gap = " ".repeat(TIMES.saturating_sub(used).max(2));
        self.line(format!("{INDENT}{sign} {text}{gap}{}", self.styled(Style::Dim, &time)));
    }

    /// Something that is so.
    pub(super) fn fact(&self, text: &str) {
        self.line(format!("{INDENT}{} {text}", self.styled(Style::Green, "✓")));
    }

    /// A remark.
    pub(super) fn note(&self, text: &str) {
        self.line(format!("{INDENT}{}", self.styled(Style::Dim, text)));
    }

    /// An address to click on.
    pub(super) fn address(&self, url: &str) {
        self.line(format!("{INDENT}{}", self.styled(Style::Bold, url)));
    }

    /// An empty line.
    pub(super) fn gap(&self) {
        self.line(String::new());
    }

    /// Where the previews are that stay for now.
    pub(super) fn offer(&self, urls: &[String]) {
        let what = if urls.len() == 1 { "The preview is" } else { "The previews are" };
        self.line(format!("\n{what} yours to try, until you press Ctrl-C:\n"));
        urls.iter().for_each(|url| self.address(url));
    }

    /// The last line.
    pub(super) fn end(&self, text: &str) {
        self.line(format!("\n{}", self.styled(Style::Bold, text)));
    }

    /// A comment, as it stands on GitHub, with air around it.
    pub(super) fn comment(&self, lines: &[Line]) {
        let width = self.width() - INDENT.len() - 2;
        let labels = lines.iter().map(|line| if let Line::Row(label, _) = line { label.chars().count() } else { 0 });
        let label_width = labels.max().unwrap_or(0) + 2;
        self.gap();
        for line in lines {
            let pieces = match line {
                Line::Title(text) => wrap(text, width).iter().map(|piece| self.styled(Style::Bold, piece)).collect(),
                Line::Text(text) => wrap(text, width),
                Line::Log(text) => vec![self.styled(Style::Dim, &cut(text, width))],
                Line::Row(label, text) => {
                    let label = self.styled(Style::Dim, &format!("{label:label_width$}"));
                    let blank = " ".repeat(label_width);
                    let pieces = wrap(text, width.saturating_sub(label_width)).into_iter().enumerate();
                    pieces.map(|(at, piece)| format!("{}{piece}", if at == 0 { &label } else { &blank })).collect()
                }
            };
            for piece in pieces {
                self.line(format!("{INDENT}{} {piece}", self.styled(Style::Dim, "│")));
            }
        }
        self.gap();
    }

    // --------------------------------------------------------------------------------------------------------------- live

    /// Says, on a terminal, what is being waited for. The next line of any kind takes its place.
    pub(super) fn waiting(&self, text: &str, detail: &str, since: Instant) {
        if !self.live {
            return;
        }
        let took = since.elapsed();
        let wheel = WHEEL[(took.as_millis() / TURN.as_millis()) as usize % WHEEL.len()];
        let head = format!("{INDENT}{wheel} {text} … {} s", took.as_secs());
        let room = self.width().saturating_sub(head.chars().count() + 3);
        ui::rewrite(&format!("{head}  {}", self.styled(Style::Dim, &cut(detail, room))));
    }

    /// Does something that takes a while, and says how long it took.
    pub(super) async fn during<T, E>(
        &self,
        doing: &str,
        done: &str,
        work: impl Future<Output = Result<T, E>>,
    ) -> Result<T, E> {
        let since = Instant::now();
        let mut turn = tokio::time::interval(TURN);
        tokio::pin!(work);
        let result = loop {
            tokio::select! {
                result = &mut work => break result,
                _ = turn.tick() => self.waiting(doing, "", since),
            }
        };
        match &result {
            Ok(_) => self.done(done, since.elapsed()),
            Err(_) => self.clear(),
        }
        result
    }

    /// Takes away what [`Screen::waiting`] said.
    pub(super) fn clear(&self) {
        if self.live {
            ui::rewrite("");
        }
    }

    fn line(&self, text: String) {
        self.clear();
        if self.aside { ui::note(text) } else { ui::line(text) }
    }

    /// The text with its style, for a person who looks at standard output.
    fn styled(&self, style: Style, text: &str) -> String {
        if self.aside { text.to_owned() } else { styled(style, text) }
    }

    fn width(&self) -> usize {
        ui::columns().map_or(WIDEST, |columns| columns.clamp(40, WIDEST))
    }
}

/// `40 ms`, `0.4 s`, `2 min 5 s`.
pub(super) fn seconds(took: Duration) -> String {
    match took.as_millis() {
        ms @ 0..95 => format!("{ms} ms"),
        95..60_000 => format!("{:.1} s", took.as_secs_f64()),
        _ => format!("{} min {} s", took.as_secs() / 60, took.as_secs() % 60),
    }
}

/// At most `limit` characters, none of which moves the cursor.
fn cut(text: &str, limit: usize) -> String {
    let text = ui::harmless(text).replace('\t', "  ");
    if text.chars().count() <= limit {
        return text;
    }
    text.chars().take(limit.saturating_sub(1)).chain(['…']).collect()
}

/// Lines of at most `limit` characters, broken between words; a longer word stays whole, because it may be an address.
fn wrap(text: &str, limit: usize) -> Vec<String> {
    let mut lines: Vec<String> = Vec::new();
    for word in text.split_whitespace().map(ui::harmless) {
        match lines.last_mut().filter(|line| line.chars().count() + 1 + word.chars().count() <= limit) {
            Some(line) => *line = format!("{line} {word}"),
            None => lines.push(word),
        }
    }
    lines
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_is_broken_between_words_and_addresses_stay_whole() {
        assert_eq!(wrap("one two three", 7), ["one two", "three"]);
        assert_eq!(wrap("at http://127.0.0.1:8080/long/ now", 10), ["at", "http://127.0.0.1:8080/long/", "now"]);
    }

    #[test]
    fn a_line_of_a_log_moves_no_cursor() {
        assert_eq!(cut("gone\ra\x1b[2Jb\x08c", 10), "abc");
        assert_eq!(cut("abcdef", 4), "abc…");
    }

    #[test]
    fn times_read_well() {
        assert_eq!(seconds(Duration::from_millis(40)), "40 ms");
        assert_eq!(seconds(Duration::from_millis(440)), "0.4 s");
        assert_eq!(seconds(Duration::from_secs(125)), "2 min 5 s");
    }
}
