//! BuildKit's own way through a Dockerfile's lines, written down a second time and letter by letter, for the fuzzer to compare with.
//!
//! Source: <https://github.com/moby/buildkit/tree/master/frontend/dockerfile> (`parser/parser.go`, `parser/directives.go`, `shell/lex.go`)

use super::flags::flags;

/// How old a frontend is.
#[derive(Debug, Clone, Copy)]
pub(super) struct Age {
    pub(super) heredocs: bool,
    pub(super) blanks_in_heredocs: bool,
    pub(super) knows_check: bool,
    pub(super) escaped_escape_continues: bool,
}

/// The names and arguments of the instructions that a frontend sees; `None` where it can't read the file, or where nobody can tell.
pub(super) fn read(text: &str, age: Age) -> Option<Vec<(String, String)>> {
    let text = text.strip_prefix('\u{FEFF}').unwrap_or(text);
    let mut lines = text.split_inclusive('\n').map(|line| line.trim_end_matches(['\r', '\n']));
    let (mut escape, mut directives_over, mut seen) = ('\\', false, Vec::new());
    let mut directive = |line: &str, escape: &mut char| {
        if directives_over {
            return Some(());
        }
        match name_and_value(line).filter(|(name, _)| name != "check" || age.knows_check) {
            Some((name, value)) => {
                if seen.contains(&name) || name == "escape" && !["\\", "`"].contains(&value) {
                    return None;
                }
                if name == "escape" {
                    *escape = value.chars().next()?;
                }
                seen.push(name);
            }
            None => directives_over = true,
        }
        Some(())
    };
    let mut found = Vec::new();
    while let Some(line) = lines.next() {
        let line = line.trim_start();
        directive(line, &mut escape)?;
        let line = if line.starts_with('#') { "" } else { line };
        let (mut logical, mut goes_on) = continued(line, escape, age);
        if !goes_on && logical.is_empty() {
            continue;
        }
        while goes_on && let Some(line) = lines.next() {
            directive(line, &mut escape)?;
            if !line.trim_start().starts_with('#') && !line.trim_start().is_empty() {
                let (part, more) = continued(line, escape, age);
                logical.push_str(&part);
                goes_on = more;
            }
        }
        let instruction = split(&logical)?;
        if age.heredocs && logical.contains("<<") && can_have_heredoc(&instruction)? {
            for (name, tabs) in heredocs(&logical, age)? {
                let is_end = |line: &str| if tabs { line.trim_start_matches('\t') == name } else { line == name };
                lines.find(|line| is_end(line))?;
            }
        }
        found.push(instruction);
    }
    Some(found)
}

/// `^#\s*([a-zA-Z][a-zA-Z0-9]*)\s*=\s*(.+?)\s*$`
fn name_and_value(line: &str) -> Option<(String, &str)> {
    let blank = [' ', '\t', '\n', '\u{C}', '\r'];
    let (name, value) = line.strip_prefix('#')?.split_once('=')?;
    let (name, value) = (name.trim_matches(blank).to_ascii_lowercase(), value.trim_matches(blank));
    (["syntax", "escape", "check"].contains(&name.as_str()) && !value.is_empty()).then_some((name, value))
}

fn continued(line: &str, escape: char, age: Age) -> (String, bool) {
    let mut letters: Vec<char> = line.chars().collect();
    while matches!(letters.last(), Some(' ' | '\t')) {
        letters.pop();
    }
    let before = letters.len().checked_sub(2).map(|at| letters[at]);
    if letters.pop() == Some(escape) && (age.escaped_escape_continues || before != Some(escape)) {
        (letters.into_iter().collect(), true)
    } else {
        (line.to_owned(), false)
    }
}

fn split(logical: &str) -> Option<(String, String)> {
    let logical = logical.trim();
    let (name, rest) = logical.split_once(['\t', '\u{B}', '\u{C}', '\r', ' ']).unwrap_or((logical, ""));
    let lowered = name.chars().filter_map(|c| c.to_lowercase().next()).collect::<String>();
    Some((lowered.to_ascii_uppercase(), rest.trim().to_owned()))
}

fn can_have_heredoc((name, arguments): &(String, String)) -> Option<bool> {
    let (mut name, mut arguments) = (name.clone(), flags(arguments).1);
    if name == "ONBUILD" {
        (name, arguments) = split(&arguments)?;
        arguments = flags(&arguments).1;
    }
    if arguments.contains("\\u") {
        return None;
    }
    let list = serde_json::Deserializer::from_str(&arguments).into_iter::<serde_json::Value>().next();
    let is_list = arguments.starts_with('[') && matches!(list, Some(Ok(_)));
    Some(["RUN", "COPY", "ADD"].contains(&name.as_str()) && !is_list)
}

fn heredocs(logical: &str, age: Age) -> Option<Vec<(String, bool)>> {
    let mut found = Vec::new();
    // What can't be cut into words has no documents.
    for word in words(logical, true, age.blanks_in_heredocs)?.unwrap_or_default() {
        let marked = word.trim_start_matches(|c: char| c.is_ascii_digit());
        let Some(rest) = marked.strip_prefix("<<") else { continue };
        let (rest, tabs) = rest.strip_prefix('-').map_or((rest, false), |rest| (rest, true));
        let rest = if age.blanks_in_heredocs { rest.trim_start() } else { rest };
        if rest.contains('<') || rest.is_empty() {
            continue;
        }
        if let [name] = &words(rest, false, false)??[..] {
            found.push((name.clone(), tabs));
        }
    }
    Some(found)
}

/// The words of a shell, as they are or without quotes and escapes. `None` where it takes a shell's variables to tell; `Some(None)` where
/// they can't be told apart.
#[expect(clippy::option_option, reason = "two ways not to know")]
fn words(text: &str, raw: bool, blanks: bool) -> Option<Option<Vec<String>>> {
    let (mut words, mut word, mut in_word) = (Vec::new(), String::new(), false);
    let mut letters = text.chars().peekable();
    while let Some(letter) = letters.next() {
        if letter == '$' && letters.peek() == Some(&'{') {
            return None;
        }
        if letter.is_whitespace() {
            if in_word && !word.is_empty() {
                words.push(std::mem::take(&mut word));
                in_word = false;
            }
            continue;
        }
        in_word = true;
        match letter {
            '\\' => {
                word.extend(raw.then_some('\\'));
                word.extend(letters.next());
            }
            '\'' | '"' => {
                word.extend(raw.then_some(letter));
                loop {
                    match letters.next() {
                        None => return Some(None),
                        Some(end) if end == letter => break,
                        Some('$') if letter == '"' && letters.peek() == Some(&'{') => return None,
                        Some('\\') if letter == '"' => {
                            let special = matches!(letters.peek(), Some('"' | '$' | '\\'));
                            word.extend((raw || !special).then_some('\\'));
                            word.extend(letters.next());
                        }
                        Some(other) => word.push(other),
                    }
                }
                word.extend(raw.then_some(letter));
            }
            '<' if letters.peek() == Some(&'<') => {
                letters.next();
                word.push_str("<<");
                while blanks && let Some(blank) = letters.next_if(|c| [' ', '\t'].contains(c)) {
                    word.push(blank);
                }
            }
            other => word.push(other),
        }
    }
    words.extend(in_word.then_some(word));
    Some(Some(words))
}
