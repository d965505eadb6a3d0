//! The documents (`<<EOF`) that an instruction begins, found as BuildKit finds them: by the words of a shell, of which quotes, backslashes
//! and variables hold some together.
//!
//! Names are read in letters and digits, and in one pair of quotes at most. Of anything else it can't be told what every frontend takes
//! for the document's end. It is unclear, and then [`Loose`] says whether there is a line that could be it.
//!
//! Source: <https://github.com/moby/buildkit/blob/master/frontend/dockerfile/parser/parser.go>

use std::collections::{BTreeSet, HashMap};

use super::Instruction;
use super::flags::flags;

/// Most `<<` of an instruction that is unclear.
const MAX_UNCLEAR: usize = 20;
/// Characters that a frontend may take off a name, or not.
const LOOSE: [char; 4] = ['"', '\'', '\\', '$'];

/// How a frontend reads `<<`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Heredocs {
    /// Like anything else.
    None,
    /// It begins a document where its name follows.
    Tight,
    /// The same, with blanks between.
    Spaced,
}

/// A document that an instruction begins.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Heredoc<'a> {
    /// The line by which it ends.
    pub(super) name: &'a str,
    /// Whether tabs may stand before that.
    pub(super) tabs: bool,
}

/// Frontends may read it differently.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Unclear;

/// The documents that an instruction begins.
pub(super) fn heredocs(instruction: &Instruction, spaced: bool) -> Result<Vec<Heredoc<'_>>, Unclear> {
    if may_be_json(instruction) {
        return Err(Unclear);
    }
    let words = words(&instruction.arguments, spaced)?;
    words.into_iter().filter_map(|word| heredoc(word).transpose()).collect()
}

/// Whether the arguments may be a list in JSON, which has no documents; what stands behind a list isn't looked at.
fn may_be_json(instruction: &Instruction) -> bool {
    if !instruction.arguments.contains('[') {
        return false;
    }
    let (_, list) = flags(&instruction.in_effect().1);
    let read = || serde_json::Deserializer::from_str(&list).into_iter::<serde_json::Value>().next();
    // Others read lists in which we see none: with half a character in them.
    list.starts_with('[') && (list.contains("\\u") || matches!(read(), Some(Ok(_))))
}

/// The document that a word begins.
fn heredoc(word: &str) -> Result<Option<Heredoc<'_>>, Unclear> {
    let Some((before, behind)) = word.split_once("<<") else { return Ok(None) };
    // A quote stays in front of it, while some take backslashes and variables off.
    if !before.starts_with(['"', '\'']) && before.contains(['\\', '$']) {
        return Err(Unclear);
    }
    if !before.bytes().all(|b| b.is_ascii_digit()) || behind.contains('<') {
        return Ok(None);
    }
    let (behind, tabs) = behind.strip_prefix('-').map_or((behind, false), |behind| (behind, true));
    let behind = behind.trim_start();
    if behind.is_empty() {
        return Ok(None);
    }
    let quoted = ['"', '\''].into_iter().find_map(|quote| behind.strip_prefix(quote)?.strip_suffix(quote));
    let name = quoted.unwrap_or(behind);
    let plain = !name.is_empty() && name.bytes().all(|b| b.is_ascii_alphanumeric() || b"_.-".contains(&b));
    if plain { Ok(Some(Heredoc { name, tabs })) } else { Err(Unclear) }
}

/// The words of an instruction, with their quotes.
fn words(arguments: &str, spaced: bool) -> Result<Vec<&str>, Unclear> {
    let (mut words, mut begun, mut quote) = (Vec::new(), None, None);
    let mut rest = arguments;
    while let Some(c) = rest.chars().next() {
        let at = arguments.len() - rest.len();
        if c.is_whitespace() && quote.is_none() {
            words.extend(begun.take().map(|begun: usize| &arguments[begun..at]));
            rest = &rest[c.len_utf8()..];
            continue;
        }
        begun.get_or_insert(at);
        rest = match (c, quote) {
            ('\\', None | Some('"')) => behind_escaped(rest),
            ('"' | '\'', None) => {
                quote = Some(c);
                &rest[1..]
            }
            (c, Some(end)) if c == end => {
                quote = None;
                &rest[1..]
            }
            ('$', None | Some('"')) => behind_dollar(rest)?,
            ('<', None) if rest.starts_with("<<") => behind_mark(rest, spaced)?,
            _ => &rest[c.len_utf8()..],
        };
    }
    if quote.is_some() {
        return Err(Unclear);
    }
    words.extend(begun.map(|begun| &arguments[begun..]));
    Ok(words)
}

fn behind_escaped(rest: &str) -> &str {
    let mut chars = rest.chars();
    chars.nth(1);
    chars.as_str()
}

/// What is behind `$`, or behind a variable in braces that every frontend can read and that no word ends within.
fn behind_dollar(rest: &str) -> Result<&str, Unclear> {
    let Some(braced) = rest.strip_prefix("${") else { return Ok(&rest[1..]) };
    let (variable, behind) = braced.split_once('}').ok_or(Unclear)?;
    let (name, word) = variable.split_once(":-").or_else(|| variable.split_once(":+")).unwrap_or((variable, ""));
    let is_name = name.starts_with(|c: char| c.is_ascii_alphabetic() || c == '_')
        && name.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_');
    let is_word = word.bytes().all(|b| b.is_ascii_alphanumeric() || b"_./:@-".contains(&b));
    if is_name && is_word { Ok(behind) } else { Err(Unclear) }
}

/// What is behind `<<`, and for some behind the blanks that follow.
fn behind_mark(rest: &str, spaced: bool) -> Result<&str, Unclear> {
    let behind = &rest[2..];
    if !spaced {
        return Ok(behind);
    }
    let behind = behind.trim_start_matches([' ', '\t']);
    if behind.starts_with(char::is_whitespace) { Err(Unclear) } else { Ok(behind) }
}

/// The lines of a text without what frontends may take off the name of a document.
pub(super) struct Loose {
    /// Each with where it stands last.
    last: HashMap<String, usize>,
    lengths: BTreeSet<usize>,
}

impl Loose {
    pub(super) fn of(lines: &[&str]) -> Self {
        let last: HashMap<String, usize> = lines
            .iter()
            .enumerate()
            .map(|(index, line)| (loosened(line), index))
            .filter(|(line, _)| !line.is_empty())
            .collect();
        let lengths = last.keys().map(String::len).collect();
        Self { last, lengths }
    }

    /// Whether a line from `at` on could end a document that an unclear instruction begins.
    pub(super) fn may_end(&self, arguments: &str, at: usize) -> bool {
        let marks: Vec<usize> = arguments.match_indices("<<").map(|(mark, _)| mark).collect();
        marks.len() > MAX_UNCLEAR || marks.into_iter().any(|mark| self.may_end_one(&arguments[mark + 2..], at))
    }

    fn may_end_one(&self, behind: &str, at: usize) -> bool {
        let name = behind.trim_start_matches('-').trim_start();
        let unquoted = name.trim_start_matches(LOOSE);
        // Quotes with nothing but blanks and backslashes in them are names, too.
        let odd = unquoted.len() < name.len() && unquoted.chars().next().is_none_or(char::is_whitespace);
        let word = name.split_whitespace().next().unwrap_or_default();
        let begins = |name: &str| {
            let name = loosened(name);
            let line = |length: &usize| self.last.get(name.get(..*length)?);
            self.lengths.range(..=name.len()).filter_map(line).any(|last| *last >= at)
        };
        odd || word.contains("${") || begins(name) || begins(behind)
    }
}

fn loosened(line: &str) -> String {
    line.chars().filter(|c| !c.is_whitespace() && !LOOSE.contains(c)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn named(logical: &str, spaced: bool) -> Result<Vec<(String, bool)>, Unclear> {
        let (name, arguments) = logical.split_once(' ').unwrap();
        let instruction = Instruction { name: name.to_owned(), arguments: arguments.to_owned(), line: 1 };
        let found = heredocs(&instruction, spaced)?;
        Ok(found.into_iter().map(|document| (document.name.to_owned(), document.tabs)).collect())
    }

    #[test]
    fn documents_are_named_as_a_shell_would() {
        for (logical, tight, spaced) in [
            ("RUN <<EOF", "EOF", "EOF"),
            ("RUN cat <<-'A' <<B 3<<\"C.d-e_1\"", "A- B C.d-e_1", "A- B C.d-e_1"),
            ("RUN cat << EOF > /x", "", "EOF"),
            ("RUN cat <<- EOF", "", ""),
            ("RUN a<<  <<EOF", "EOF", ""),
            ("RUN cat <<<EOF < <B <<C<D", "", ""),
            ("RUN echo a<<b \"<<c\" 'x <<d' \"x \\\" <<e\"", "", ""),
            ("RUN sed 's/\\./x/' \"a\\\"b\" ${A} \"${B:-c}\" $(x) <<EOF", "EOF", "EOF"),
            ("COPY --chown=$A:$A <<EOF <<-\"F\" /", "EOF F-", "EOF F-"),
            ("RUN [ -f x ] && cat <<EOF", "EOF", "EOF"),
            ("RUN [ \"$X\" = 1 ] && cat <<EOF", "EOF", "EOF"),
            ("ONBUILD RUN --mount=type=tmpfs,target=/x cat <<EOF", "EOF", "EOF"),
        ] {
            for (spaced, expected) in [(false, tight), (true, spaced)] {
                let found = named(logical, spaced).unwrap_or_else(|_| panic!("{logical}"));
                let found: Vec<_> = found.into_iter().map(|(name, tabs)| name + if tabs { "-" } else { "" }).collect();
                assert_eq!(found.join(" "), expected, "{logical} {spaced}");
            }
        }
    }

    #[test]
    fn what_frontends_may_read_differently_is_unclear() {
        for logical in [
            "RUN <<\"E\\\\\"",
            "RUN <<E\"O\"F",
            "RUN <<\"A B\"",
            "RUN <<\"\"",
            "RUN <<'A\"",
            "RUN <<A\\B",
            "RUN <<$EOF",
            "RUN \\<<EOF",
            "RUN $X<<EOF",
            "RUN echo don't <<EOF",
            "RUN ${X:-a <<EOF b}",
            "RUN ${X-a} <<EOF",
            "RUN ${X <<EOF",
            "RUN [\"a\"] <<EOF",
            "RUN [\"\\ud800\"] <<EOF",
            "ONBUILD COPY --link [\"a\", \"b <<EOF c\"]",
        ] {
            assert_eq!(named(logical, true), Err(Unclear), "{logical}");
        }
        assert_eq!(named("RUN <<\u{B}EOF", true), Err(Unclear));
    }

    #[test]
    fn an_unclear_document_counts_where_a_line_could_end_it() {
        for (logical, line, ends) in [
            ("RUN <<\"E\\\\\"", "E\\", true),
            ("RUN <<E\"O\"F x", "\tEOF", true),
            ("RUN <<\"A B\"", "A B", true),
            ("RUN << -\"A B\"", "-A B", true),
            ("RUN <<\"\"", "x", true),
            ("RUN <<\"\\\\\"", "\\", true),
            ("RUN <<\" \"", " ", true),
            ("RUN echo don't <<EOF", "EOF", true),
            ("RUN ${X:-a <<EOF} b}", "EOF}", true),
            ("RUN <<${X:-EOF}", "x", true),
            ("RUN echo $((1<<2))", "EOF", false),
            ("RUN echo \"$(( 1 << $n ))\" ${#x}", "EOF\n}\n)\n\"", false),
            ("RUN <<E\"O\"F x", "EOF2 and more", false),
        ] {
            let lines: Vec<&str> = line.lines().collect();
            assert_eq!(Loose::of(&lines).may_end(logical, 0), ends, "{logical} {line}");
            assert!(!Loose::of(&lines).may_end("RUN x <<y", lines.len()));
        }
    }
}
