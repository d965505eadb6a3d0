//! Turning a stream of bytes into lines, and keeping only its end, in bounded memory.

/// A line longer than this is cut into several, so that a program that never ends its line can't fill our memory.
const LONGEST_LINE: usize = 8 << 10;

/// Splits bytes into lines as they arrive.
#[derive(Default)]
pub(crate) struct Lines {
    partial: Vec<u8>,
}

impl Lines {
    /// Takes the next bytes and hands every line they complete to `each`, without its line ending.
    pub(crate) fn push(&mut self, bytes: &[u8], mut each: impl FnMut(&str)) {
        for piece in bytes.split_inclusive(|byte| *byte == b'\n') {
            self.partial.extend_from_slice(piece);
            if piece.ends_with(b"\n") || self.partial.len() >= LONGEST_LINE {
                self.emit(&mut each);
            }
        }
    }

    /// Hands over what is left when the stream ends.
    pub(crate) fn finish(&mut self, mut each: impl FnMut(&str)) {
        if !self.partial.is_empty() {
            self.emit(&mut each);
        }
    }

    fn emit(&mut self, each: &mut impl FnMut(&str)) {
        let text = String::from_utf8_lossy(&self.partial);
        each(text.trim_end_matches(['\n', '\r']));
        self.partial.clear();
    }
}

/// The last bytes of a stream.
pub(crate) struct Tail {
    bytes: Vec<u8>,
    most: usize,
    /// Whether the beginning was dropped.
    pub(crate) cut: bool,
}

impl Tail {
    pub(crate) fn new(most: usize) -> Self {
        Self { bytes: Vec::new(), most, cut: false }
    }

    /// Adds bytes, dropping the oldest beyond the bound. Twice the bound is held at most, so that dropping stays cheap.
    pub(crate) fn push(&mut self, bytes: &[u8]) {
        self.bytes.extend_from_slice(bytes);
        if self.bytes.len() > 2 * self.most {
            self.trim();
        }
    }

    fn trim(&mut self) {
        if self.bytes.len() > self.most {
            self.bytes.drain(..self.bytes.len() - self.most);
            self.cut = true;
        }
    }

    pub(crate) fn into_bytes(mut self) -> (Vec<u8>, bool) {
        self.trim();
        (self.bytes, self.cut)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_survive_any_chunking() {
        let text = b"one\r\ntwo\nthree";
        for size in 1..text.len() {
            let mut seen = Vec::new();
            let mut lines = Lines::default();
            for chunk in text.chunks(size) {
                lines.push(chunk, |line| seen.push(line.to_owned()));
            }
            lines.finish(|line| seen.push(line.to_owned()));
            assert_eq!(seen, ["one", "two", "three"], "chunks of {size}");
        }
    }

    #[test]
    fn an_endless_line_is_cut() {
        let mut count = 0;
        let mut lines = Lines::default();
        for _ in 0..10 {
            lines.push(&[b'x'; LONGEST_LINE], |_| count += 1);
        }
        assert_eq!(count, 10);
    }

    #[test]
    fn a_tail_keeps_the_end_and_says_that_it_cut() {
        let mut tail = Tail::new(4);
        for byte in b"abcdefghijk" {
            tail.push(&[*byte]);
        }
        assert_eq!(tail.into_bytes(), (b"hijk".to_vec(), true));
    }
}
