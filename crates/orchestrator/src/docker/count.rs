//! How many files a container has: what it has made beside its image, and what is in its volumes.
//!
//! The engine adds up bytes and not files, so it is asked for lists, and what it lists is counted as it comes and kept nowhere: the
//! differences to the image, and an archive of each volume. The names in both are the container's own, and may say anything; a count
//! ends where it has shown what it is made for.

use std::ops::ControlFlow;
use std::time::Duration;

use http::Method;
use tokio::time::timeout;

use super::Engine;

/// An archive holds what is in the files too: of a volume just within its bytes, some GB.
const LIMIT: Duration = Duration::from_secs(120);
/// A list of differences has one of these for each; within a name the quotation marks would have a backslash before them.
const DIFFERENCE: &[u8] = br#""Kind":"#;
/// What an archive is made of.
///
/// Source: <https://www.gnu.org/software/tar/manual/html_node/Standard.html>
const BLOCK: usize = 512;

impl Engine {
    /// How many files a container has, as far as `most` and one more. What can't be told counts as none.
    pub(super) async fn count_files(&self, container: &str, volumes: &[String], most: u64) -> u64 {
        let mut differences = Differences::default();
        let path = format!("/containers/{container}/changes");
        let mut count = self.count(&path, &mut |piece| differences.take(piece), most).await;
        for volume in volumes {
            let mut archive = Archive::default();
            let path = format!("/containers/{container}/archive?path={}", escaped(volume));
            let left = most.saturating_sub(count);
            count += self.count(&path, &mut |piece| archive.take(piece), left).await;
        }
        count
    }

    /// How many `take` has found by the end of an answer, or when it was more than that.
    async fn count(&self, path: &str, take: &mut (dyn FnMut(&[u8]) -> u64 + Send), most: u64) -> u64 {
        let mut count = 0;
        let mut each = |piece: &[u8]| {
            count = take(piece);
            if count > most { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
        };
        let answer = timeout(LIMIT, self.hand_on(Method::GET, path, &mut each)).await;
        match answer {
            Ok(Ok(())) => {}
            Ok(Err(error)) => tracing::debug!(%error, path, "files could not be counted to the end"),
            Err(_) => tracing::debug!(path, "files could not be counted in time"),
        }
        count
    }
}

/// Counts in a list of differences: `[{"Path":"/tmp/x","Kind":1},…]`.
#[derive(Default)]
struct Differences {
    count: u64,
    /// The end of what came last, too short to hold a whole one.
    tail: Vec<u8>,
}

impl Differences {
    fn take(&mut self, piece: &[u8]) -> u64 {
        self.tail.extend_from_slice(piece);
        self.count += self.tail.windows(DIFFERENCE.len()).filter(|window| *window == DIFFERENCE).count() as u64;
        self.tail.drain(..self.tail.len().saturating_sub(DIFFERENCE.len() - 1));
        self.count
    }
}

/// Counts in an archive: a block that tells of a file, the file's content in whole blocks, and so on.
#[derive(Default)]
struct Archive {
    count: u64,
    /// As much of the next file's block as has come.
    header: Vec<u8>,
    /// Bytes of content that are still to come.
    content: u64,
}

impl Archive {
    fn take(&mut self, mut piece: &[u8]) -> u64 {
        while !piece.is_empty() {
            if self.content > 0 {
                let skipped = piece.len().min(usize::try_from(self.content).unwrap_or(usize::MAX));
                self.content -= skipped as u64;
                piece = &piece[skipped..];
                continue;
            }
            let (begin, rest) = piece.split_at(piece.len().min(BLOCK - self.header.len()));
            self.header.extend_from_slice(begin);
            piece = rest;
            if self.header.len() == BLOCK {
                self.look();
                self.header.clear();
            }
        }
        self.count
    }

    /// Another name of a file takes no room for one, nor do notes on the file that follows. All but files and notes have no content,
    /// whatever they say. Empty blocks are the archive's end.
    fn look(&mut self) {
        let kind = self.header[156];
        let notes = matches!(kind, b'x' | b'g' | b'L' | b'K');
        if self.header[0] != 0 && !notes && kind != b'1' {
            self.count += 1;
        }
        if !matches!(kind, b'1'..=b'6') {
            self.content = size(&self.header[124..136]).div_ceil(BLOCK as u64).saturating_mul(BLOCK as u64);
        }
    }
}

/// A size in octal digits; in bytes where it is larger than these can say.
fn size(field: &[u8]) -> u64 {
    if field[0] & 0x80 != 0 {
        return field[1..].iter().fold(0, |size: u64, byte| (size << 8) | u64::from(*byte));
    }
    let digits = field.iter().filter(|byte| (b'0'..=b'7').contains(byte));
    digits.fold(0, |size, digit| size * 8 + u64::from(digit - b'0'))
}

/// A path as part of a question: an image names its volumes as it likes.
fn escaped(path: &str) -> String {
    let plain = |byte: &u8| byte.is_ascii_alphanumeric() || b"/-_.".contains(byte);
    path.bytes().map(|byte| if plain(&byte) { char::from(byte).to_string() } else { format!("%{byte:02X}") }).collect()
}

#[cfg(test)]
mod tests {
    use preview_exec::Program;

    use super::*;

    #[test]
    fn differences_are_counted_wherever_they_are_cut() {
        let names = ["/a", r#"/\"Kind\":1},{\"Kind\":"#, "/b", "/{}"];
        let differences: Vec<String> = names.iter().map(|name| format!(r#"{{"Path":"{name}","Kind":1}}"#)).collect();
        let list = format!("[{}]\n", differences.join(","));
        for length in 1..=list.len() {
            let mut counted = Differences::default();
            for piece in list.as_bytes().chunks(length) {
                counted.take(piece);
            }
            assert_eq!(counted.count, 4, "in pieces of {length}");
        }
        assert_eq!(Differences::default().take(b"null\n"), 0);
    }

    /// What a real tar makes of long names, links, content and folders.
    #[tokio::test]
    async fn an_archive_is_counted_wherever_it_is_cut() {
        let dir = tempfile::tempdir().unwrap();
        let path = |name: &str| dir.path().join("volume").join(name);
        std::fs::create_dir_all(path("folder")).unwrap();
        std::fs::write(path("empty"), "").unwrap();
        std::fs::write(path("folder/full"), [b'0'; 1300]).unwrap();
        std::fs::write(path(&"long".repeat(50)), [0; 512]).unwrap();
        std::fs::hard_link(path("empty"), path("the same")).unwrap();
        std::os::unix::fs::symlink("x".repeat(200), path("link")).unwrap();
        for format in ["pax", "gnu"] {
            let tar = Program::new("tar").args(["--format", format, "-cf", "archive", "volume"]).dir(dir.path());
            tar.run().await.unwrap();
            let archive = std::fs::read(dir.path().join("archive")).unwrap();
            for length in [1, 100, 512, 1000, archive.len()] {
                let mut counted = Archive::default();
                for piece in archive.chunks(length) {
                    counted.take(piece);
                }
                assert_eq!(counted.count, 6, "{format}, in pieces of {length}");
            }
        }
    }

    #[test]
    fn sizes_are_read_in_both_forms() {
        assert_eq!((size(b"00000002424\0"), size(b"       17 \0\0")), (0o2424, 0o17));
        assert_eq!(size(&[0x80, 0, 0, 0, 0, 0, 0, 2, 0, 0, 0, 1]), (2 << 32) + 1);
    }

    #[test]
    fn no_name_of_a_volume_changes_the_question() {
        assert_eq!(escaped("/var/lib/data-1_x.y"), "/var/lib/data-1_x.y");
        assert_eq!(escaped("/a b&path=/etc#?%é"), "/a%20b%26path%3D/etc%23%3F%25%C3%A9");
    }
}
