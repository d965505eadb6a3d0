//! What went wrong, read from how git ended and what it said. Pure functions.

use std::io;
use std::time::Duration;

use preview_exec::ExecError;

use crate::needs::{Fault, Want};

/// Why there are no files.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Trouble {
    /// No answer from the server, or the connection broke. With what git said.
    Unreachable(String),
    /// It answers with an error of its own, or that we ask too often.
    Busy,
    /// There is no token to show.
    SignIn(Box<Fault>),
    /// It does not take our token.
    Denied,
    /// It knows no such repository, or does not show it to us.
    NoRepository,
    /// It sends us elsewhere.
    Moved,
    /// It does not have the commit (yet).
    NoCommit,
    /// The commit itself can't be taken; what is wrong with it.
    Refused(String),
    /// Our disk is full.
    DiskFull,
    /// Our own system gave another error.
    Ours(String),
    /// It took too long.
    Slow(Duration),
    /// Another program works on the mirror.
    Locked,
    /// Git is not installed.
    NoGit,
    /// Anything else: the mirror may be broken. With what git said.
    Broken(String),
}

/// What is made of a line of git's, given all the others too.
type Reading = fn(&str, &str) -> Trouble;

/// Words of git, and what is made of the line with them, in the order of trust: what our own disk and the content cause
/// comes before what a cut connection causes, since the one brings about the other.
///
/// Seen with git 2.47 under `LC_ALL=C`.
const SAID: &[(&[&str], Reading)] = &[
    (&["No space left on device", "Disk quota exceeded"], |_, _| Trouble::DiskFull),
    (&["died of signal 25", "File size limit exceeded", "File too large", "Out of memory"], |_, _| {
        Trouble::Refused("it is too large".to_owned())
    }),
    (&["invalid path '", "File name too long", "maximum allowed tree depth", "maximum tree depth"], |line, _| {
        Trouble::Refused(format!("git refuses a path in it ({})", shown(line)))
    }),
    (&["fsck error"], |_, said| {
        let why = said.lines().find(|line| line.starts_with("error: object ")).unwrap_or("error: fsck");
        Trouble::Refused(format!("git refuses an object in it ({})", shown(why)))
    }),
    (
        &[
            "returned error: 401",
            "returned error: 403",
            "could not read Username",
            "could not read Password",
            "Authentication failed",
        ],
        |_, _| Trouble::Denied,
    ),
    (&["returned error: 429", "returned error: 5"], |_, _| Trouble::Busy),
    (&["returned error: 3", "unable to update url base"], |_, _| Trouble::Moved),
    (&["not our ref", "find remote ref", "unadvertised object"], |_, _| Trouble::NoCommit),
    (
        &["returned error: 404", "' not found", "does not appear to be a git repository", "not valid: is this a git"],
        |_, _| Trouble::NoRepository,
    ),
    (
        &[
            "unable to access",
            "Could not resolve host",
            "onnection refused",
            "onnection reset",
            "onnection timed out",
            "RPC failed",
            "early EOF",
            "hung up unexpectedly",
            "unexpected disconnect",
            "Operation too slow",
            "expected flush",
            "bad band",
            "bad line length",
        ],
        |line, _| Trouble::Unreachable(shown(line)),
    ),
    (&["invalid index-pack output"], |_, said| {
        let mut errors = said.lines().filter(|line| ["fatal: ", "error: "].iter().any(|word| line.starts_with(word)));
        // Whoever was to unpack says nothing when a signal ends it: for a file, or for memory, that is more than it may have.
        match (errors.next(), errors.next()) {
            (Some(other), Some(_)) => Trouble::Broken(shown(other)),
            _ => Trouble::Refused("it is too large".to_owned()),
        }
    }),
];

impl Trouble {
    /// From a failed run of git.
    pub(super) fn of(error: &ExecError) -> Self {
        match error {
            ExecError::Missing { .. } => Self::NoGit,
            ExecError::System { source, .. } => Self::ours(source),
            ExecError::TooLong { limit, .. } | ExecError::Silent { limit, .. } => Self::Slow(*limit),
            ExecError::Failed { output, .. } => Self::said(&output.stderr, &output.status.to_string()),
        }
    }

    /// From an error of our own system.
    pub(super) fn ours(error: &io::Error) -> Self {
        match error.kind() {
            io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => Self::DiskFull,
            _ => Self::Ours(error.to_string()),
        }
    }

    /// From git's standard error. Lines that the server wrote (`remote:`) decide nothing.
    fn said(stderr: &str, otherwise: &str) -> Self {
        let ours = || stderr.lines().map(str::trim).filter(|line| !line.starts_with("remote:"));
        let spoken = |needles: &[&str]| ours().find(|line| needles.iter().any(|needle| line.contains(needle)));
        let known = SAID.iter().find_map(|(needles, trouble)| Some(trouble(spoken(needles)?, stderr)));
        known.unwrap_or_else(|| Self::Broken(shown(ours().rfind(|line| !line.is_empty()).unwrap_or(otherwise))))
    }

    /// As people are told, with what to try.
    pub(super) fn into_fault(self, want: &Want) -> Fault {
        let (name, commit) = (&want.name, want.commit.short());
        match self {
            Self::Unreachable(said) => Fault::passing("the git server could not be reached").tail([said]),
            Self::Busy => {
                Fault::passing("the git server answered with an error of its own, or that it is asked too often")
            }
            Self::SignIn(fault) => *fault,
            Self::Denied => Fault::passing(format!("the git server did not let us read {name}"))
                .advise("GITHUB_TOKEN, or the GitHub App, must be valid and may read the repository's contents"),
            Self::NoRepository => Fault::passing(format!("the git server shows us no repository {name}"))
                .advise("check that it exists and that GITHUB_TOKEN, or the GitHub App, may read its contents"),
            Self::Moved => Fault::passing(format!("the git server says that {name} has moved"))
                .advise("the new name is learned from GitHub with the next look"),
            Self::NoCommit => Fault::passing(format!("the git server does not have commit {commit} (yet)")),
            Self::Refused(why) => Fault::author(format!("commit {commit} can't be checked out: {why}")),
            Self::DiskFull => {
                Fault::passing("the server's disk is full").advise("free some space, or close pull requests")
            }
            Self::Ours(said) => Fault::passing(format!("the server could not write a checkout: {said}")),
            Self::Slow(limit) => Fault::passing(format!(
                "fetching commit {commit} took longer than {} s and was stopped",
                limit.as_secs()
            )),
            Self::Locked => Fault::passing("a git of an earlier run still works on the repository's mirror"),
            Self::NoGit => Fault::passing("git is not installed on the server").advise("install git"),
            Self::Broken(said) => Fault::passing(format!("git failed on commit {commit}")).tail([said]),
        }
    }
}

/// Text of others in one line of ours: printable ASCII, and of a long one the beginning and the end.
pub(super) fn shown(text: &str) -> String {
    let plain = |c: char| if c.is_ascii_graphic() || c == ' ' { c } else { '?' };
    let text: String = text.chars().map(plain).collect();
    match text.len() {
        0..=200 => text,
        long => format!("{}...{}", &text[..140], &text[long - 50..]),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn said(stderr: &str) -> Trouble {
        Trouble::said(stderr, "exit status: 128")
    }

    #[test]
    fn what_git_says_is_told_apart() {
        use Trouble::*;
        let url = "fatal: unable to access 'https://github.com/o/n.git/': ";
        let cases = [
            (format!("{url}Could not resolve host: github.com"), "Unreachable"),
            (
                format!("{url}Failed to connect to 127.0.0.1 port 1 after 0 ms: Couldn't connect to server"),
                "Unreachable",
            ),
            (format!("{url}SSL certificate problem: self-signed certificate"), "Unreachable"),
            (
                "error: RPC failed; curl 18 transfer closed\nfatal: early EOF\nfatal: index-pack failed".into(),
                "Unreachable",
            ),
            ("fatal: could not read Username for 'https://github.com': terminal prompts disabled".into(), "Denied"),
            (format!("{url}The requested URL returned error: 403"), "Denied"),
            (
                "remote: Invalid username or token.\nfatal: Authentication failed for 'https://github.com/o/n.git/'"
                    .into(),
                "Denied",
            ),
            (format!("{url}The requested URL returned error: 429"), "Busy"),
            (format!("{url}The requested URL returned error: 503"), "Busy"),
            (format!("{url}The requested URL returned error: 301"), "Moved"),
            (
                "remote: Repository not found.\nfatal: repository 'https://github.com/o/n.git/' not found".into(),
                "NoRepository",
            ),
            ("fatal: https://x/o/n.git/info/refs not valid: is this a git repository?".into(), "NoRepository"),
            (
                "fatal: remote error: upload-pack: not our ref 1234567890123456789012345678901234567890".into(),
                "NoCommit",
            ),
            ("fatal: couldn't find remote ref refs/pull/77/head".into(), "NoCommit"),
            ("error: Server does not allow request for unadvertised object 1234".into(), "NoCommit"),
            ("fatal: write error: No space left on device\nfatal: early EOF".into(), "DiskFull"),
            ("error: index-pack died of signal 25\nfatal: index-pack failed".into(), "Refused"),
            ("fatal: fetch-pack: invalid index-pack output".into(), "Refused"),
            (
                "fatal: Out of memory, malloc failed (tried to allocate 9 bytes)\nfatal: fetch-pack: invalid index-pack output"
                    .into(),
                "Refused",
            ),
            (
                "fatal: pack has bad object at offset 12: inflate returned -3\nfatal: fetch-pack: invalid index-pack output"
                    .into(),
                "Broken",
            ),
            ("error: object 82: hasDotgit: contains '.git'\nfatal: fsck error in packed object".into(), "Refused"),
            ("error: invalid path '.git/config'".into(), "Refused"),
            ("error: object file objects/ab/cd is empty\nfatal: loose object abcd is corrupt".into(), "Broken"),
            (String::new(), "Broken"),
        ];
        for (stderr, expected) in cases {
            let name = match said(&stderr) {
                Unreachable(_) => "Unreachable",
                Denied => "Denied",
                Busy => "Busy",
                Moved => "Moved",
                NoRepository => "NoRepository",
                NoCommit => "NoCommit",
                DiskFull => "DiskFull",
                Refused(_) => "Refused",
                Broken(_) => "Broken",
                other => panic!("{other:?}"),
            };
            assert_eq!(name, expected, "{stderr}");
        }
    }

    #[test]
    fn the_server_s_own_words_decide_nothing() {
        assert_eq!(
            said("remote: No space left on device\nfatal: bad object x"),
            Trouble::Broken("fatal: bad object x".into())
        );
    }

    #[test]
    fn hostile_names_are_shown_harmless() {
        let Trouble::Refused(text) = said("error: invalid path '.git/\u{1b}[31m\u{202e}'") else { panic!() };
        assert_eq!(text, "git refuses a path in it (error: invalid path '.git/?[31m?')");
    }
}
