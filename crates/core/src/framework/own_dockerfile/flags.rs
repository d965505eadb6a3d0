//! The options in front of an instruction's arguments, taken off as BuildKit takes them off: byte by byte, and with the backslash as
//! the character that takes the meaning of the next one away, whatever the file says of `escape`.
//!
//! Source: <https://github.com/moby/buildkit/blob/master/frontend/dockerfile/parser/split_command.go>

/// The options, without their quotes and backslashes, and what stands behind them.
pub(super) fn flags(arguments: &str) -> (Vec<String>, String) {
    let bytes = arguments.as_bytes();
    let mut found = Vec::new();
    let mut at = 0;
    loop {
        at += bytes[at..].iter().take_while(|byte| is_space(**byte)).count();
        if !bytes[at..].starts_with(b"--") {
            return (found, rest(bytes, at));
        }
        let (word, length) = word(&bytes[at..]);
        at += length;
        if word == "--" {
            return (found, rest(bytes, at));
        }
        found.push(word);
    }
}

/// The word by which these bytes begin, and how many of them it takes.
fn word(bytes: &[u8]) -> (String, usize) {
    let (mut word, mut quote, mut at) = (String::new(), None, 0);
    while let Some(&byte) = bytes.get(at) {
        match (byte, quote) {
            (b'\\', _) => {
                at += 1;
                word.extend(bytes.get(at).copied().map(char::from));
            }
            (_, None) if is_space(byte) => break,
            (b'"' | b'\'', None) => quote = Some(byte),
            (_, Some(end)) if byte == end => quote = None,
            _ => word.push(char::from(byte)),
        }
        at += 1;
    }
    (word, at.min(bytes.len()))
}

fn rest(bytes: &[u8], at: usize) -> String {
    String::from_utf8_lossy(&bytes[at..]).trim().to_owned()
}

/// It asks each byte by itself, also those that are a part of a character.
fn is_space(byte: u8) -> bool {
    matches!(byte, b'\t'..=b'\r' | b' ' | 0x85 | 0xA0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn options_end_where_buildkit_ends_them() {
        for (arguments, options, rest) in [
            ("a b", &[][..], "a b"),
            ("--from=x a b", &["--from=x"], "a b"),
            ("--fr\\om=\"x y\" --link  a", &["--from=x y", "--link"], "a"),
            ("--chown='1 \"' [\"a\"]", &["--chown=1 \""], "[\"a\"]"),
            ("-- --network=host", &[], "--network=host"),
            ("--a=\"b\\\" c\" d", &["--a=b\" c"], "d"),
            ("--a=\"never ended", &["--a=never ended"], ""),
            ("--a\\", &["--a"], ""),
            ("-x", &[], "-x"),
            ("", &[], ""),
        ] {
            let (found, behind) = flags(arguments);
            assert_eq!(
                (found.iter().map(String::as_str).collect::<Vec<_>>().as_slice(), behind.as_str()),
                (options, rest),
                "{arguments}"
            );
        }
    }
}
