//! Names and numbers that come from outside, parsed once and valid ever after.
//!
//! A value of a type of this module can be put into a file name, a label, a URL path or an argument vector without another
//! check. Everything that isn't safe to use so (a branch name, a title) stays in a type that says so.

use std::fmt;
use std::num::{NonZeroU16, NonZeroU64};
use std::str::FromStr;

use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

/// Why a piece of text isn't the name or number it should be.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{shown}` is not a valid {kind}: {expected}")]
pub struct InvalidId {
    kind: &'static str,
    shown: String,
    expected: &'static str,
}

impl InvalidId {
    fn new(kind: &'static str, text: &str, expected: &'static str) -> Self {
        let shown = text.chars().take(60).flat_map(char::escape_default).collect();
        Self { kind, shown, expected }
    }
}

/// Gives a parsed text type its `FromStr`, `TryFrom<String>`, `Display`, and the serde form that goes through the parser.
macro_rules! text_id {
    ($name:ident) => {
        impl TryFrom<String> for $name {
            type Error = InvalidId;
            fn try_from(text: String) -> Result<Self, InvalidId> {
                text.parse()
            }
        }
        impl From<$name> for String {
            fn from(id: $name) -> String {
                id.to_string()
            }
        }
    };
}

/// A repository's `owner/name` as GitHub writes it. Letter case is kept for showing and ignored for comparing.
///
/// Source: <https://docs.github.com/en/rest/repos/repos> (owner logins and names are case-insensitive).
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct RepoName {
    owner: String,
    name: String,
}

impl RepoName {
    /// The account or organisation that owns the repository.
    pub fn owner(&self) -> &str {
        &self.owner
    }

    /// The repository's name without its owner.
    pub fn name(&self) -> &str {
        &self.name
    }

    fn key(&self) -> (String, String) {
        (self.owner.to_ascii_lowercase(), self.name.to_ascii_lowercase())
    }
}

impl PartialEq for RepoName {
    fn eq(&self, other: &Self) -> bool {
        self.owner.eq_ignore_ascii_case(&other.owner) && self.name.eq_ignore_ascii_case(&other.name)
    }
}
impl Eq for RepoName {}
impl std::hash::Hash for RepoName {
    fn hash<H: std::hash::Hasher>(&self, state: &mut H) {
        self.key().hash(state);
    }
}
impl PartialOrd for RepoName {
    fn partial_cmp(&self, other: &Self) -> Option<std::cmp::Ordering> {
        Some(self.cmp(other))
    }
}
impl Ord for RepoName {
    fn cmp(&self, other: &Self) -> std::cmp::Ordering {
        self.key().cmp(&other.key())
    }
}

impl FromStr for RepoName {
    type Err = InvalidId;
    fn from_str(text: &str) -> Result<Self, InvalidId> {
        let invalid = || InvalidId::new("repository", text, "write it as owner/name");
        let part = |s: &str| {
            !s.is_empty()
                && s.len() <= 100
                && s != "."
                && s != ".."
                && s.bytes().all(|b| b.is_ascii_alphanumeric() || b"-_.".contains(&b))
        };
        let (owner, name) = text.split_once('/').ok_or_else(invalid)?;
        if part(owner) && part(name) {
            Ok(Self { owner: owner.to_owned(), name: name.to_owned() })
        } else {
            Err(invalid())
        }
    }
}
impl fmt::Display for RepoName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.owner, self.name)
    }
}
text_id!(RepoName);

/// GitHub's number of a repository. It survives a rename, so it is what identity hangs on.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct RepoId(pub u64);

impl fmt::Display for RepoId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// A pull request's number within its repository, from 1.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct PrNumber(NonZeroU64);

impl PrNumber {
    /// `None` for 0, which GitHub never gives.
    pub fn new(number: u64) -> Option<Self> {
        NonZeroU64::new(number).map(Self)
    }

    /// The plain number.
    pub fn get(self) -> u64 {
        self.0.get()
    }
}

impl FromStr for PrNumber {
    type Err = InvalidId;
    fn from_str(text: &str) -> Result<Self, InvalidId> {
        let canonical = !text.starts_with(['0', '+']);
        let number = text.parse().ok().filter(|_| canonical).and_then(Self::new);
        number.ok_or_else(|| InvalidId::new("pull request number", text, "a number from 1"))
    }
}
impl fmt::Display for PrNumber {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// One pull request anywhere on the server: what a delivery names and what a worker works for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct PullKey {
    /// The base repository.
    pub repo: RepoId,
    /// The number there.
    pub number: PrNumber,
}

impl fmt::Display for PullKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}#{}", self.repo, self.number)
    }
}

/// A full Git object name of a commit: 40 lower-case hexadecimal digits.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct CommitSha(String);

impl CommitSha {
    /// All 40 digits.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The first seven digits, as GitHub shows a commit to people.
    pub fn short(&self) -> &str {
        &self.0[..7]
    }
}

impl FromStr for CommitSha {
    type Err = InvalidId;
    fn from_str(text: &str) -> Result<Self, InvalidId> {
        let hex = text.len() == 40 && text.bytes().all(|b| b.is_ascii_digit() || (b'a'..=b'f').contains(&b));
        if hex {
            Ok(Self(text.to_owned()))
        } else {
            Err(InvalidId::new("commit", text, "40 lower-case hexadecimal digits"))
        }
    }
}
impl fmt::Display for CommitSha {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}
text_id!(CommitSha);

/// What somebody is called on GitHub, without an app's `[bot]`: letters, digits, `-` and, with managed users, `_`.
///
/// Source: <https://docs.github.com/en/enterprise-cloud@latest/admin/managing-iam/iam-configuration-reference/username-considerations-for-external-authentication>
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Login(String);

impl FromStr for Login {
    type Err = InvalidId;
    fn from_str(text: &str) -> Result<Self, InvalidId> {
        let plain = text.bytes().all(|b| b.is_ascii_alphanumeric() || b"-_".contains(&b));
        if plain && (1..=100).contains(&text.len()) {
            Ok(Self(text.to_owned()))
        } else {
            Err(InvalidId::new("login", text, "letters, digits, - and _, at most 100"))
        }
    }
}
impl fmt::Display for Login {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}
text_id!(Login);

/// The name of a pull request's branch: hostile text. It is shown, escaped for where it is shown, and handed to the app as a
/// value; it never becomes part of a path, a name or a command. Commits are fetched by number and SHA instead.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct BranchName(String);

impl BranchName {
    /// Takes any text; control characters, which Git forbids in a ref, become U+FFFD, and 255 characters are kept.
    pub fn new(text: &str) -> Self {
        Self(text.chars().take(255).map(|c| if c.is_control() { '\u{FFFD}' } else { c }).collect())
    }

    /// The text, to be escaped by whoever shows it.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// A repository's part of URLs and names: `a-z0-9` and single inner `-`, 1 to 47 characters.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct ProjectSlug(String);

/// Longest slug made from a name alone.
const SLUG_LEN: usize = 40;
/// Hexadecimal digits that tell apart two repositories whose plain slugs are the same.
const SLUG_HASH_LEN: usize = 6;

impl ProjectSlug {
    /// The slug of a repository: the plain one, unless that was cut or `taken` says that another repository has it; then the
    /// plain one with `-` and six digits of the SHA-256 of the full name.
    pub fn for_repo(repo: &RepoName, taken: impl Fn(&ProjectSlug) -> bool) -> Self {
        let full = format!("{}-{}", repo.owner, repo.name).to_ascii_lowercase();
        let runs: Vec<&str> = full.split(|c: char| !c.is_ascii_alphanumeric()).filter(|run| !run.is_empty()).collect();
        let joined = runs.join("-");
        let plain = joined.get(..SLUG_LEN).unwrap_or(&joined).trim_end_matches('-');
        let slug = Self(plain.to_owned());
        if !plain.is_empty() && plain.len() == joined.len() && !taken(&slug) {
            return slug;
        }
        let digest = hex::encode(Sha256::digest(repo.to_string().to_ascii_lowercase()));
        Self(format!("{plain}-{}", &digest[..SLUG_HASH_LEN]).trim_start_matches('-').to_owned())
    }

    /// The text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for ProjectSlug {
    type Err = InvalidId;
    fn from_str(text: &str) -> Result<Self, InvalidId> {
        let chars = text.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-');
        let shape = !text.is_empty() && !text.starts_with('-') && !text.ends_with('-') && !text.contains("--");
        if chars && shape && text.len() <= SLUG_LEN + 1 + SLUG_HASH_LEN {
            Ok(Self(text.to_owned()))
        } else {
            Err(InvalidId::new("project slug", text, "a-z, 0-9 and single inner hyphens, at most 47"))
        }
    }
}
impl fmt::Display for ProjectSlug {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}
text_id!(ProjectSlug);

/// `{projectSlug}-{prNumber}`: key of the ledger, Compose project name, label value.
///
/// The text is unambiguous because the number is what follows the last hyphen.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct DeploymentId {
    slug: ProjectSlug,
    number: PrNumber,
}

impl DeploymentId {
    /// Joins the two parts.
    pub fn new(slug: ProjectSlug, number: PrNumber) -> Self {
        Self { slug, number }
    }

    /// The project's part.
    pub fn slug(&self) -> &ProjectSlug {
        &self.slug
    }

    /// The pull request's part.
    pub fn number(&self) -> PrNumber {
        self.number
    }
}

impl FromStr for DeploymentId {
    type Err = InvalidId;
    fn from_str(text: &str) -> Result<Self, InvalidId> {
        let invalid = || InvalidId::new("deployment id", text, "write it as project-slug-12");
        let (slug, number) = text.rsplit_once('-').ok_or_else(invalid)?;
        Ok(Self { slug: slug.parse().map_err(|_| invalid())?, number: number.parse().map_err(|_| invalid())? })
    }
}
impl fmt::Display for DeploymentId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}-{}", self.slug, self.number)
    }
}
text_id!(DeploymentId);

/// This installation's own name, made at first start: what tells our containers from those of a second installation on the
/// same engine. 12 lower-case hexadecimal digits.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct InstanceId(String);

impl InstanceId {
    /// An id from six random bytes.
    pub fn from_bytes(bytes: [u8; 6]) -> Self {
        Self(hex::encode(bytes))
    }

    /// The text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for InstanceId {
    type Err = InvalidId;
    fn from_str(text: &str) -> Result<Self, InvalidId> {
        if text.len() == 12 && text.bytes().all(|b| b.is_ascii_digit() || (b'a'..=b'f').contains(&b)) {
            Ok(Self(text.to_owned()))
        } else {
            Err(InvalidId::new("instance id", text, "12 lower-case hexadecimal digits"))
        }
    }
}
impl fmt::Display for InstanceId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}
text_id!(InstanceId);

/// A TCP port of the host, on 127.0.0.1.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct HostPort(NonZeroU16);

impl HostPort {
    /// `None` for 0.
    pub fn new(port: u16) -> Option<Self> {
        NonZeroU16::new(port).map(Self)
    }

    /// The plain number.
    pub fn get(self) -> u16 {
        self.0.get()
    }
}

impl fmt::Display for HostPort {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// GitHub's number of an issue comment.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct CommentId(pub u64);

impl fmt::Display for CommentId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// One of an app's two places: while one serves, the next version comes up in the other.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Slot {
    /// The first.
    A,
    /// The second.
    B,
}

impl Slot {
    /// The slot that is idle while this one serves.
    pub fn other(self) -> Self {
        match self {
            Self::A => Self::B,
            Self::B => Self::A,
        }
    }
}

impl fmt::Display for Slot {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::A => "a",
            Self::B => "b",
        })
    }
}

#[cfg(test)]
mod tests;
