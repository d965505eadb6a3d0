//! Names and paths that a Compose file may use: each is valid once parsed.

use std::fmt;
use std::str::FromStr;

use super::Unfit;

/// Makes a text type: what is checked once and read as `&str`.
macro_rules! text_type {
    ($(#[$doc:meta])* $name:ident, $check:expr, $unfit:expr) => {
        $(#[$doc])*
        #[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub struct $name(String);

        impl $name {
            /// The text.
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl FromStr for $name {
            type Err = Unfit;
            fn from_str(text: &str) -> Result<Self, Unfit> {
                let check: fn(&str) -> bool = $check;
                if check(text) { Ok(Self(text.to_owned())) } else { Err($unfit) }
            }
        }
    };
}

/// Letters, digits and these others, beginning with a letter or digit.
pub(super) fn word(text: &str, others: &[u8], longest: usize) -> bool {
    text.starts_with(|c: char| c.is_ascii_alphanumeric())
        && text.len() <= longest
        && text.bytes().all(|b| b.is_ascii_alphanumeric() || others.contains(&b))
}

text_type!(
    /// The name of a volume within its file: a bare name, no path.
    VolumeName,
    |text| word(text, b"_.-", 60),
    Unfit("a volume is a bare name of this file, not a path of the server", "declare a name under the file's `volumes`")
);
text_type!(
    /// A stage of a Dockerfile.
    StageName,
    |text| word(text, b"_.-", 60),
    Unfit("a stage is named in letters, digits and `_ . -`", "name a stage of the Dockerfile")
);
text_type!(
    /// An absolute path within a container, outside of what the kernel shows there.
    InsidePath,
    |text| {
        let parts = || text.split('/').skip(1);
        let kernel = parts().next().is_some_and(|first| ["proc", "sys", "dev"].contains(&first));
        text.starts_with('/')
            && (2..=200).contains(&text.len())
            && !kernel
            && parts().all(|part| !part.is_empty() && part != "." && part != "..")
            && text.bytes().all(|b| b.is_ascii_alphanumeric() || b"/._-+@".contains(&b))
    },
    Unfit(
        "a path in a container is absolute, without `..`, and not `/` or beneath `/proc`, `/sys`, `/dev`",
        "write it such as `/var/lib/data`"
    )
);
text_type!(
    /// A user of an image, or a number, with or without a group; not root.
    UserName,
    |text| {
        let (user, group) = text.split_once(':').unwrap_or((text, "0"));
        let name = |name: &str| {
            (1..=32).contains(&name.len()) && name.bytes().all(|b| b.is_ascii_alphanumeric() || b"_-.".contains(&b))
        };
        let number_too_large = user.bytes().all(|b| b.is_ascii_digit()) && user.parse::<u32>().is_err();
        name(user) && name(group) && !number_too_large && !crate::framework::own_dockerfile::runs_as_root(user)
    },
    Unfit("no container runs as root", "name another user of the image, or a number such as `1000`")
);
text_type!(
    /// A signal by its name.
    SignalName,
    |text| {
        let name = text.strip_prefix("SIG").unwrap_or(text);
        (2..=12).contains(&name.len()) && name.bytes().all(|b| b.is_ascii_uppercase() || b.is_ascii_digit() || b == b'+')
            && name.starts_with(|c: char| c.is_ascii_uppercase())
    },
    Unfit("a signal goes by its name", "write it such as `SIGINT`")
);

/// The name of a service: a host name in the preview's network. Plain data, as [`crate::compose::ServiceName`] is.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct OwnName {
    /// Filled up with zeroes.
    bytes: [u8; Self::LONGEST],
}

impl OwnName {
    /// In bytes.
    pub const LONGEST: usize = 30;

    /// The name.
    pub fn as_str(&self) -> &str {
        let end = self.bytes.iter().position(|byte| *byte == 0).unwrap_or(Self::LONGEST);
        std::str::from_utf8(&self.bytes[..end]).unwrap_or_default()
    }
}

impl FromStr for OwnName {
    type Err = Unfit;
    fn from_str(text: &str) -> Result<Self, Unfit> {
        let fits = word(text, b"_-", Self::LONGEST) && !text.bytes().any(|b| b.is_ascii_uppercase());
        if !fits {
            return Err(Unfit(
                "a service is named in lower-case letters, digits, `-` and `_`, at most 30, beginning with no sign",
                "rename it",
            ));
        }
        let mut bytes = [0; Self::LONGEST];
        bytes[..text.len()].copy_from_slice(text.as_bytes());
        Ok(Self { bytes })
    }
}

impl fmt::Display for OwnName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl serde::Serialize for OwnName {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.as_str())
    }
}

impl<'de> serde::Deserialize<'de> for OwnName {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = <std::borrow::Cow<'de, str>>::deserialize(deserializer)?;
        text.parse().map_err(|Unfit(reason, _)| serde::de::Error::custom(reason))
    }
}

impl fmt::Debug for OwnName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?}", self.as_str())
    }
}
