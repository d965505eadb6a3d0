//! Text that somebody else wrote, as plain text: nothing in it that a terminal obeys or that an eye can't see.
//!
//! A pull request's output ends up in comments and on the terminals of those who read its logs.

/// One line without terminal sequences, without what a carriage return overwrote, and without characters that hide
/// or turn round others: controls (tabs stay), bidirectional marks, invisible format characters.
pub fn clean(line: &str) -> String {
    let line = line.trim_end_matches(['\r', '\n']);
    let seen = line.rsplit('\r').next().unwrap_or(line);
    let mut out = String::with_capacity(seen.len());
    let mut chars = seen.chars();
    while let Some(c) = chars.next() {
        match c {
            '\u{1B}' => skip_escape(&mut chars),
            '\u{9B}' => skip_control_sequence(&mut chars),
            '\u{2028}' | '\u{2029}' | '\n' => out.push(' '),
            '\t' => out.push(c),
            _ if c.is_control() || is_invisible(c) => {}
            _ => out.push(c),
        }
    }
    out
}

/// Source: ECMA-48, §5: what an ESC begins.
fn skip_escape(chars: &mut std::str::Chars<'_>) {
    match chars.clone().next() {
        Some('[') => {
            chars.next();
            skip_control_sequence(chars);
        }
        // A command string (a window's title, a link): up to BEL or ESC \.
        Some(']' | 'P' | 'X' | '^' | '_') => {
            chars.next();
            while let Some(c) = chars.next() {
                match c {
                    '\u{07}' | '\u{9C}' => return,
                    '\u{1B}' => {
                        if chars.clone().next() == Some('\\') {
                            chars.next();
                        }
                        return;
                    }
                    _ => {}
                }
            }
        }
        // Intermediate bytes, then one final byte.
        Some(c) if c.is_ascii() && !c.is_ascii_control() => {
            while chars.next().is_some_and(|c| (' '..='/').contains(&c)) {}
        }
        _ => {}
    }
}

/// Parameters and intermediates, then one final byte. Anything else ends a broken sequence and is text again.
fn skip_control_sequence(chars: &mut std::str::Chars<'_>) {
    while let Some(c) = chars.clone().next() {
        if !(' '..='~').contains(&c) {
            return;
        }
        chars.next();
        if ('@'..='~').contains(&c) {
            return;
        }
    }
}

/// Bidirectional controls and marks, zero-width characters without use in words, tag characters.
/// Source: Unicode Technical Report 36, "Bidirectional Text Spoofing".
fn is_invisible(c: char) -> bool {
    matches!(c,
        '\u{061C}' | '\u{200B}' | '\u{200E}' | '\u{200F}' | '\u{202A}'..='\u{202E}' | '\u{2060}'..='\u{206F}'
        | '\u{FEFF}' | '\u{FFF9}'..='\u{FFFB}' | '\u{E0000}'..='\u{E007F}')
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn a_clean_line_has_no_controls(text in any::<String>()) {
            prop_assert!(clean(&text).chars().all(|c| c == '\t' || !(c.is_control() || is_invisible(c))));
        }
    }

    #[test]
    fn terminal_sequences_go_and_their_text_stays() {
        for (raw, shown) in [
            ("\u{1B}[1;31merror\u{1B}[0m: no", "error: no"),
            ("\u{9B}31merror", "error"),
            ("\u{1B}]8;;http://h/\u{1B}\\link\u{1B}]8;;\u{7}", "link"),
            ("\u{1B}]0;title\u{7}text", "text"),
            ("\u{1B}(Btext", "text"),
            ("\u{1B}[31", ""),
            ("\u{1B}", ""),
            ("\u{1B}[3\u{e9}t\u{e9}", "été"),
            ("10 %\r55 %\rdone\r\n", "done"),
            ("a\u{0}b\u{8}c\u{7F}d", "abcd"),
            ("left\u{202E}right\u{2066}\u{FEFF}", "leftright"),
            ("tab\tstays", "tab\tstays"),
        ] {
            assert_eq!(clean(raw), shown, "{raw:?}");
        }
    }
}
