//! A comment's Markdown as plain lines: just as much of it as the product writes.

/// One line of a comment.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Line {
    /// The heading.
    Title(String),
    /// A row of the table.
    Row(String, String),
    /// A paragraph.
    Text(String),
    /// A line of the log.
    Log(String),
}

/// The comment without its small print, and of its log the last `log_lines` lines.
pub(super) fn lines(markdown: &str, log_lines: usize) -> Vec<Line> {
    let mut out = Vec::new();
    let mut log: Option<Vec<&str>> = None;
    for line in markdown.lines() {
        let fence = line.starts_with("```");
        match &mut log {
            Some(kept) if fence => {
                let kept = &kept[kept.len().saturating_sub(log_lines)..];
                out.extend(kept.iter().map(|line| Line::Log((*line).to_owned())));
                log = None;
            }
            Some(kept) => kept.push(line),
            None if fence => log = Some(Vec::new()),
            None => out.extend(line_outside(line.trim())),
        }
    }
    out
}

fn line_outside(line: &str) -> Option<Line> {
    if let Some(title) = line.strip_prefix("### ") {
        return Some(Line::Title(inline(title)));
    }
    if let Some(row) = line.strip_prefix("| ").and_then(|row| row.strip_suffix(" |")) {
        let (label, text) = row.split_once(" | ")?;
        let rule = label.chars().all(|c| c == '-');
        return (!rule).then(|| Line::Row(inline(label), inline(text)));
    }
    let hidden = line.is_empty()
        || ["<sub>", "<!--", "<details>", "</details>", "<summary>"].iter().any(|tag| line.starts_with(tag));
    (!hidden).then(|| Line::Text(inline(line)))
}

/// Words without their marks: code, emphasis, links, escapes.
fn inline(text: &str) -> String {
    let mut out = String::new();
    let mut rest = text;
    while let Some(c) = rest.chars().next() {
        let after = &rest[c.len_utf8()..];
        let link = (c == '[').then(|| after.split_once("](")).flatten();
        let link = link.and_then(|(words, target)| Some((words, target.split_once(')')?.1)));
        let entity = ENTITIES.iter().find(|(entity, _)| rest.starts_with(entity));
        rest = match (c, link, entity) {
            (_, Some((words, after)), _) => {
                out.push_str(&inline(words));
                after
            }
            (_, _, Some((entity, character))) => {
                out.push(*character);
                &rest[entity.len()..]
            }
            ('\\', ..) if after.starts_with(|c: char| c.is_ascii_punctuation()) => {
                out.push_str(&after[..1]);
                &after[1..]
            }
            ('*', ..) if after.starts_with('*') => &after[1..],
            // What breaks up links that GitHub would make of plain words.
            ('`' | '\u{200B}', ..) => after,
            ('<', ..) if after.starts_with("http") => after,
            ('>', ..) if out.split_whitespace().next_back().is_some_and(|word| word.starts_with("http")) => after,
            _ => {
                out.push(c);
                after
            }
        };
    }
    out
}

const ENTITIES: [(&str, char); 5] = [("&lt;", '<'), ("&gt;", '>'), ("&amp;", '&'), ("&#124;", '|'), ("&quot;", '"')];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_failed_update_reads_as_on_github() {
        let markdown = "### 🟠 Preview update failed while building the image: `go build` ended \\(1\\)\n\n\
            | Preview | <http://127.0.0.1:1/a/pr-1/> still shows [`1f0e9d8`](https://h/commit/1) |\n| --- | --- |\n\
            | New commit | [`a5e1d0c`](https://h/commit/2) on `x` |\n\n**What to try:** less &lt;b&gt;\n\n\
            <details>\n<summary>Last 2 lines of the log</summary>\n\n```text\none\ntwo\n```\n\n</details>\n\n\
            <sub>small</sub>\n\n<!-- preview-deployer:1/1 -->\n";
        let row = |label: &str, text: &str| Line::Row(label.to_owned(), text.to_owned());
        let expected = [
            Line::Title("🟠 Preview update failed while building the image: go build ended (1)".to_owned()),
            row("Preview", "http://127.0.0.1:1/a/pr-1/ still shows 1f0e9d8"),
            row("New commit", "a5e1d0c on x"),
            Line::Text("What to try: less <b>".to_owned()),
            Line::Log("two".to_owned()),
        ];
        assert_eq!(lines(markdown, 1), expected);
    }
}
