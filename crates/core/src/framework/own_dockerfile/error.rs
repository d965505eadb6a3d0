//! Why a Dockerfile isn't built, in words for its author: what was found, where, and what to write instead.

use super::{MAX_BYTES, MAX_HOSTS, MAX_IMAGES, MAX_STAGES, MAX_VALUES};

/// Why a Dockerfile isn't built. Lines count from 1.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum DockerfileError {
    /// It is too long.
    #[error("it has more than {MAX_BYTES} bytes")]
    TooLarge,
    /// It names a frontend, that is a program which would interpret it inside the builder.
    #[error(
        "line {0}: `# syntax=` names a frontend that is not Docker's own; remove the line or write \
         `# syntax=docker/dockerfile:1`"
    )]
    ForeignSyntax(usize),
    /// It has more in it than anybody builds.
    #[error(
        "it has more than {MAX_STAGES} stages, {MAX_VALUES} `ARG` and `ENV` values, {MAX_HOSTS} hosts that it adds from, or {MAX_IMAGES} \
         images beside the official ones"
    )]
    TooMuch,
    /// A line begins with no instruction that is known.
    #[error("line {0}: this is not a Dockerfile instruction")]
    UnknownInstruction(usize),
    /// It has a carriage return where builders of different ages don't all see the end of a line.
    #[error(
        "line {0}: there is a carriage return within the line; end each line with a line feed, or with a carriage return and a line feed"
    )]
    LineEnd(usize),
    /// Where its document ends, builders of different ages don't agree on.
    #[error(
        "line {0}: where the document behind `<<` ends is read differently by different builders; name it in letters and digits, as in \
         `<<EOF` or `<<\"EOF\"`, and keep backslashes, single quotes without another one and `${{…}}` with more than a name out of that line"
    )]
    Heredoc(usize),
    /// Only newer builders would take its `escape` for a directive.
    #[error("line {0}: older builders don't see `# escape=` behind `# check=`; write `# escape=` above it")]
    Escape(usize),
    /// There is nothing to build.
    #[error("it has no `FROM`")]
    NoStage,
    /// It fetches from an address, and its author may not.
    #[error(
        "line {0}: `ADD` from an address, or from a variable that may be one, is only for people who can write to this \
         repository; use `RUN curl` or a file of the repository"
    )]
    RemoteAdd(usize),
    /// It takes files from an image that another preview was built as.
    #[error("line {0}: images of previews can't be built upon")]
    ForeignPreview(usize),
    /// It asks for what no build gets.
    #[error(
        "line {0}: no build step gets the host's network or further rights; take `--network` and `--security` away"
    )]
    Privilege(usize),
    /// It gives an order to the builder itself.
    #[error("line {0}: an argument named `BUILDKIT_…` steers the builder itself; take it away")]
    Steers(usize),
    /// It fetches from the server's own neighbourhood.
    #[error(
        "line {0}: `ADD` from `localhost`, from an address that is nobody's on the internet, or from a host in other characters than \
         letters, digits, `.`, `_` and `-` would be fetched on the server's own network; use `RUN curl` or a file of the repository"
    )]
    NearAdd(usize),
    /// It fetches from an address of which nobody can say beforehand where it leads.
    #[error(
        "line {0}: from where this `ADD` fetches can't be told before the build; write its variables as `$NAME`, `${{NAME}}` or \
         `${{NAME:-default}}`, or use `RUN curl`"
    )]
    UntoldAdd(usize),
    /// It begins with an image of which nobody can say beforehand which one it is.
    #[error(
        "line {0}: which image this is can't be told before the build, and it has to be looked at; write its name out, or its variables as \
         `${{NAME}}` or `${{NAME:-default}}` with an `ARG` before the first `FROM` that says their value in one word"
    )]
    UnknownImage(usize),
    /// It begins with an image for another kind of machine.
    #[error(
        "line {0}: an image for another platform than this server's can't be looked at before the build; take `--platform` away, or begin \
         with an official image"
    )]
    OtherPlatform(usize),
    /// It takes an image from a registry of the server's own neighbourhood, and its author may not.
    #[error(
        "line {line}: the registry `{host}` is in the server's own network, and its images are only for people who can write to this \
         repository; take one from a public registry"
    )]
    NearRegistry {
        /// From 1.
        line: usize,
        /// The registry, without its port.
        host: String,
    },
    /// It takes an image from a registry that isn't known, and its author may not.
    #[error(
        "line {line}: people who can't write to this repository take images from known registries, and `{registry}` is none of them; take \
         one from Docker Hub or ghcr.io, or have the server's administrator name it in UNTRUSTED_REGISTRIES"
    )]
    OtherRegistry {
        /// From 1.
        line: usize,
        /// The registry, with its port.
        registry: String,
    },
    /// It begins with an image that has no file in it.
    #[error(
        "line {0}: this image has nothing in it, which some engines can't bear; write `FROM scratch`, and copy nothing from it"
    )]
    EmptyImage(usize),
    /// An image has put something aside that the file itself may not have.
    #[error("`ONBUILD` of the image: {0}")]
    PutAside(Box<DockerfileError>),
    /// It fetches from a name that leads there, now.
    #[error(
        "line {line}: `ADD` from `{host}`, which leads to the server or into a private network now, would be fetched on the server's own \
         network; use `RUN curl`, which meets the firewall, or a file of the repository"
    )]
    NearName {
        /// From 1.
        line: usize,
        /// The name.
        host: String,
    },
}

impl DockerfileError {
    /// What can't be read of a text that isn't the file's, told of the file's line that brings it along.
    pub(super) fn at(self, line: usize) -> Self {
        match self {
            Self::ForeignSyntax(_) => Self::ForeignSyntax(line),
            Self::LineEnd(_) => Self::LineEnd(line),
            Self::Heredoc(_) => Self::Heredoc(line),
            Self::Escape(_) => Self::Escape(line),
            other => other,
        }
    }
}
