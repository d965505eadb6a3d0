//! The images that everything is built from and that backing services run.
//!
//! One table, pinned by major version. Where a server reaches its images through a mirror or an air-gapped registry, one prefix
//! moves all of them.

use std::fmt;

use crate::registries::Registries;

/// An image that generated Dockerfiles and Compose files start from.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum BaseImage {
    /// Node.js with npm, for building and running.
    Node,
    /// The Go tool chain, for building.
    Go,
    /// The Rust tool chain, for building.
    Rust,
    /// Python with pip, for building and running.
    Python,
    /// A small system with glibc, for running a compiled program.
    Debian,
    /// The PostgreSQL server.
    Postgres,
    /// The MySQL server.
    Mysql,
    /// The MariaDB server.
    MariaDb,
    /// The MongoDB server.
    MongoDb,
    /// The Redis server.
    Redis,
    /// PHP with its FastCGI process manager.
    Php,
    /// Composer, of which the program itself is taken.
    Composer,
}

impl BaseImage {
    /// Every image of the table.
    pub const ALL: [Self; 12] = [
        Self::Node,
        Self::Go,
        Self::Rust,
        Self::Python,
        Self::Php,
        Self::Composer,
        Self::Debian,
        Self::Postgres,
        Self::Mysql,
        Self::MariaDb,
        Self::MongoDb,
        Self::Redis,
    ];

    /// Name and tag on the public registry.
    pub fn reference(self) -> &'static str {
        match self {
            Self::Node => "node:22-bookworm-slim",
            Self::Go => "golang:1.24-bookworm",
            Self::Rust => "rust:1-bookworm",
            Self::Python => "python:3.12-slim-bookworm",
            Self::Debian => "debian:bookworm-slim",
            Self::Postgres => "postgres:16-bookworm",
            Self::Mysql => "mysql:8.4",
            Self::MariaDb => "mariadb:11",
            Self::MongoDb => "mongo:7",
            Self::Redis => "redis:7-bookworm",
            Self::Php => "php:8.3-fpm-bookworm",
            Self::Composer => "composer:2",
        }
    }
}

/// Where base images come from.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct BaseImages {
    prefix: Option<String>,
    strangers: Registries,
}

/// The prefix can't stand in front of an image's name.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "an image prefix is a registry's host with an optional path, such as `registry.example.com:5000/mirror`, \
     in lower-case letters, digits and `. _ - : /`"
)]
pub struct InvalidImagePrefix;

impl BaseImages {
    /// Images straight from the public registry.
    pub fn public() -> Self {
        Self::default()
    }

    /// Images from below `prefix`, which may end in a slash.
    pub fn with_prefix(prefix: &str) -> Result<Self, InvalidImagePrefix> {
        let prefix = prefix.strip_suffix('/').unwrap_or(prefix);
        let part = |part: &str| {
            part.starts_with(|c: char| c.is_ascii_alphanumeric())
                && part.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b"._-:".contains(&b))
        };
        if prefix.split('/').all(part) {
            Ok(Self { prefix: Some(prefix.to_owned()), ..Self::default() })
        } else {
            Err(InvalidImagePrefix)
        }
    }

    /// The same, with these registries for strangers' images.
    pub fn with_registries_of_strangers(self, strangers: Registries) -> Self {
        Self { strangers, ..self }
    }

    /// Whether a stranger's image may come from this registry: a known one, or the operator's own.
    pub fn gives_strangers(&self, registry: &str) -> bool {
        let own = || self.prefix.as_deref().and_then(|prefix| prefix.split('/').next());
        self.strangers.contains(registry) || own() == Some(registry)
    }

    /// What stands in front of names that name no registry, if anything does.
    pub fn prefix(&self) -> Option<&str> {
        self.prefix.as_deref()
    }

    /// The full reference to pull or to build from.
    pub fn get(&self, image: BaseImage) -> String {
        self.named(image.reference())
    }

    /// The same for an image whose version a repository decides.
    pub(crate) fn named(&self, reference: &str) -> String {
        match &self.prefix {
            Some(prefix) => format!("{prefix}/{reference}"),
            None => reference.to_owned(),
        }
    }
}

impl fmt::Display for BaseImage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.reference())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_prefix_moves_every_image() {
        for prefix in ["registry.example.com:5000/mirror", "registry.example.com:5000/mirror/"] {
            let images = BaseImages::with_prefix(prefix).unwrap();
            for image in BaseImage::ALL {
                assert_eq!(images.get(image), format!("registry.example.com:5000/mirror/{image}"));
            }
        }
        assert_eq!(BaseImages::public().get(BaseImage::Node), "node:22-bookworm-slim");
    }

    #[test]
    fn a_prefix_cannot_carry_another_line_or_word() {
        for bad in ["", "/", "//x", "a b", "a\nRUN id", "a/../b", "UPPER", "-x", "${HOME}", "http://x"] {
            assert_eq!(BaseImages::with_prefix(bad), Err(InvalidImagePrefix), "{bad:?}");
        }
    }
}
