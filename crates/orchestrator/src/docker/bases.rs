//! Which images another one was built from, and which version of each: a tag moves, and who wonders later why a build of yesterday
//! behaves otherwise wants to know.
//!
//! BuildKit names them when it begins a step, with the digest where it asked a registry. Where it took what lay on the machine, the
//! engine knows the digest that it came with, or its own number of it.

use std::collections::BTreeMap;

use super::Engine;

/// No build has more.
const MOST: usize = 50;
/// No name with a digest is longer.
const LONGEST: usize = 400;

/// The images that a build's output has named so far, with the digests that it told.
#[derive(Debug, Default)]
pub(super) struct Bases(BTreeMap<String, Option<String>>);

impl Bases {
    /// Takes up a line of the build's output.
    pub(super) fn line(&mut self, line: &str) {
        if let Some((name, digest)) = base(line).filter(|_| self.0.len() < MOST) {
            self.0.insert(name.to_owned(), digest.map(str::to_owned));
        }
    }
}

/// The image that a line begins with, and its digest. What a command of the build prints has the time before it, and is no such line.
fn base(line: &str) -> Option<(&str, Option<&str>)> {
    let (number, step) = line.strip_prefix('#')?.split_once(' ')?;
    let step = match step.strip_prefix('[') {
        Some(stage) => stage.split_once("] ")?.1,
        None => step,
    };
    let image = step.strip_prefix("FROM ")?;
    let plain = |b: u8| b.is_ascii_alphanumeric() || b"._-/:@".contains(&b);
    if number.parse::<u32>().is_err() || image.len() > LONGEST || !image.bytes().all(plain) {
        return None;
    }
    let image = image.strip_prefix("docker.io/").unwrap_or(image);
    let image = image.strip_prefix("library/").unwrap_or(image);
    Some(image.split_once('@').map_or((image, None), |(name, digest)| (name, Some(digest))))
}

impl Engine {
    /// The digests of what a build was made from. What nobody can tell any more is left out: the build is none the worse for it.
    pub(super) async fn digests(&self, bases: Bases) -> BTreeMap<String, String> {
        let mut digests = BTreeMap::new();
        for (name, told) in bases.0 {
            let digest = match told {
                Some(digest) => Some(digest),
                None => self.digest(&name).await,
            };
            digests.extend(digest.map(|digest| (name, digest)));
        }
        digests
    }

    async fn digest(&self, name: &str) -> Option<String> {
        let image = self.docker.inspect_image(name).await.ok()?;
        let of_registry = image.repo_digests.unwrap_or_default();
        let of_registry = of_registry.iter().find_map(|digest| Some(digest.split_once('@')?.1.to_owned()));
        of_registry.or(image.id)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn images_are_known_by_the_steps_that_begin_with_them() {
        let digest = format!("sha256:{}", "a".repeat(64));
        let mut bases = Bases::default();
        for line in [
            "#1 [internal] load build definition from Dockerfile",
            "#3 [internal] load metadata for docker.io/library/debian:bookworm-slim",
            "#4 FROM docker.io/library/composer:2",
            &format!("#5 [base 1/2] FROM docker.io/library/node:22-bookworm-slim@{digest}"),
            "#6 [2/2] FROM ghcr.io/my-org/base:1",
            "#6 [a 2/2] RUN echo '#5 [1/2] FROM evil:1'",
            "#6 0.798 #5 [1/2] FROM evil:1",
            "#6 FROM evil:1\u{1b}[31m",
            "#x FROM evil:1",
            "FROM evil:1",
        ] {
            bases.line(line);
        }
        let expected = [("composer:2", None), ("ghcr.io/my-org/base:1", None), ("node:22-bookworm-slim", Some(digest))];
        assert_eq!(bases.0, expected.map(|(name, digest)| (name.to_owned(), digest)).into());
    }
}
