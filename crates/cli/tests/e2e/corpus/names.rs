//! Names that mean something to a shell, YAML, nginx, Markdown, HTML, a terminal or nobody, as long as names get, and bytes that
//! are no text: each as branch, title, description and label of a pull request of the real service, as who wrote its commit, and
//! as a file in it. The repositories' names are as odd as GitHub lets them be.
//!
//! The names are those of `crates/core/src/hostile-names.json`. Some are tried, when nobody asks for all.

use std::path::Path;
use std::time::Instant;

use futures_util::{StreamExt, stream};
use preview_core::ids::BranchName;
use preview_exec::Program;
use preview_simulator::{Change, Mimic, NewPull, Pull, Repo, Source};
use serde_json::Value;

use super::{all_is_wanted, note, settled};
use crate::hostile::{all_that_is_told, files_beneath, mimic_with};
use crate::isolation::environment;
use crate::rig::{Rig, Setup, unique_owner};

/// What would leave a comment, a log or a terminal, if it got there.
const INVISIBLE: [char; 9] = ['\0', '\r', '\u{1b}', '\u{7}', '\u{8}', '\u{9b}', '\u{202e}', '\u{2066}', '\u{200f}'];

/// Those that are as long as names get, and one of each kind that is more than its letters.
fn chosen() -> Vec<String> {
    let names: Vec<String> = serde_json::from_str(include_str!("../../../../core/src/hostile-names.json")).unwrap();
    assert!(names.len() >= 40);
    let odd = |name: &String| ["\0", "\u{1b}]", "\u{202e}", "\r\n"].iter().any(|part| name.contains(part));
    names.into_iter().filter(|name| all_is_wanted() || name.len() >= 255 || odd(name)).collect()
}

/// What becomes of a commit.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Fate {
    Serves,
    /// Git refuses it.
    Refused,
    Either,
}

/// A commit's text can't hold NUL.
fn as_message(name: &str) -> Fate {
    if name.contains('\0') { Fate::Refused } else { Fate::Serves }
}

/// Who wrote a commit stands in one line of it, before an address in angle brackets.
fn as_author(name: &str) -> Fate {
    match name {
        _ if name.contains('\0') => Fate::Refused,
        _ if name.contains(['<', '>', '\n']) => Fate::Either,
        _ => Fate::Serves,
    }
}

/// A path's parts are names of files. In a tree NUL ends a name, so that none can say one that holds it, and one without a letter no
/// git hands out: a server that had such a commit could not be fetched from.
fn as_path(name: &str) -> Option<Fate> {
    let is_no_file = |part: &str| part == "." || part == ".." || part.len() > 255;
    match name {
        _ if name.contains('\0') || name.split('/').any(str::is_empty) => None,
        _ if name.split('/').any(is_no_file) => Some(Fate::Refused),
        _ => Some(Fate::Serves),
    }
}

/// The newest commit came to this end, and nobody was told anything that leaves its place.
async fn assert_fate(rig: &Rig, pull: &Pull, what: &str, fate: Fate) -> Fate {
    let commit = pull.head();
    let record = settled(rig, pull).await;
    let seen = if record["serving"]["commitSha"] == commit.as_str() { Fate::Serves } else { Fate::Refused };
    assert!(fate == Fate::Either || fate == seen, "{what}: {fate:?}, not {record}");
    if seen == Fate::Refused {
        let failure = &record["attempt"]["failure"];
        assert!(failure["cause"].as_str().unwrap().contains("git refuses"), "{what}: {record}");
        assert_eq!(failure["blame"], "author", "{what}: {record}");
    }
    seen
}

/// A name's whole way: as branch, title, description and label; as who wrote a commit; as a file.
async fn carry(rig: &Rig, repo: &Repo, name: &str) {
    let new = NewPull::new(name, Mimic::new("named").files()).title(name).body(name).label(name);
    let pull = repo.open_pull(new).await.unwrap();
    if assert_fate(rig, &pull, &format!("{name:?} as a message"), as_message(name)).await == Fate::Serves {
        assert_eq!(environment(rig, &pull).await["PREVIEW_BRANCH"], BranchName::new(name).as_str());
    }
    repo.push(name, [Change::write("VERSION", "authored")], name).await.unwrap();
    assert_fate(rig, &pull, &format!("{name:?} as an author"), as_author(name)).await;
    if let Some(fate) = as_path(name) {
        pull.force_push(mimic_with("placed", [Change::write(name, "x")])).await.unwrap();
        assert_fate(rig, &pull, &format!("{name:?} as a path"), fate).await;
    }
    assert_shown_plainly(rig, &pull, name).await;
    pull.close().unwrap();
}

/// Comment, status, record and logs of a pull request show a name as text, or not at all.
async fn assert_shown_plainly(rig: &Rig, pull: &Pull, name: &str) {
    let comment = rig.until_comment(pull, "Preview").await;
    let status = format!("{:?}", pull.status("preview"));
    assert!(!comment.body.contains(INVISIBLE) && !status.contains(INVISIBLE), "{name:?}: {comment:?} {status}");
    let told = all_that_is_told(rig, pull).await;
    assert!(!told.contains("uid=") && !told.contains("root:x:0"), "{name:?}: {told}");
}

/// Nothing was run that makes a file called `y`, and the log's lines are the service's own.
fn assert_untouched(rig: &Rig) {
    let made: Vec<_> = files_beneath(rig.dir.path()).into_iter().filter(|path| path.ends_with("y")).collect();
    assert_eq!(made, [""; 0].map(std::path::PathBuf::from));
    let log = rig.log();
    for line in log.lines() {
        assert!(serde_json::from_str::<Value>(line).is_ok(), "a line that is not the service's: {line:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn hostile_names_are_only_names_all_the_way() {
    let names = chosen();
    // What GitHub lets a repository be called: no more than 100 letters, digits, dots, underscores and hyphens.
    let odd = ["--upload-pack".to_owned(), "..x".to_owned(), "_".repeat(99) + "X"];
    let repos = odd.map(|name| format!("{}/{name}", unique_owner()));
    let many = repos.len();
    let rig = Setup::new().repos(repos).set("MAX_CONCURRENT_BUILDS", 2).start().await;
    let begun = Instant::now();
    let repos: Vec<Repo> = rig.repos.iter().map(|name| rig.github.repo(name).unwrap()).collect();
    let lanes = repos.iter().enumerate().map(|(lane, repo)| {
        let names = stream::iter(names.iter().skip(lane).step_by(many));
        names.for_each(|name| carry(&rig, repo, name))
    });
    futures_util::future::join_all(lanes).await;
    assert_untouched(&rig);
    note(&format!(
        "{} hostile names were a pull request's branch, title, description and label, its author and a file of it: {} s.",
        names.len(),
        begun.elapsed().as_secs()
    ));
    rig.finish().await;
}

/// A commit whose author, message and files have names that are no text.
async fn odd_bytes(dir: &Path) -> Source {
    let git = |args: &[&str]| Program::new("git").args(args).dir(dir);
    git(&["init", "--quiet", "--bare", "--template=", "."]).run().await.unwrap();
    let who = b" \xff\xfe\x80 <\xe9@example.com> 1700000000 +0000\n";
    let message = b"\xff\xfe \xc0\xaf \xed\xa0\x80\n";
    let size = format!("data {}\n", message.len());
    let mut input =
        [b"commit refs/heads/odd\nauthor", &who[..], b"committer", who, size.as_bytes(), message, b"\n"].concat();
    for change in Mimic::new("odd bytes").repository().await.unwrap() {
        let Change::Write { path, bytes, executable } = change else { panic!("{change:?}") };
        let mode = if executable { "100755" } else { "100644" };
        input.extend(format!("M {mode} inline {path}\ndata {}\n", bytes.len()).bytes().chain(bytes).chain(*b"\n"));
    }
    for path in [r"\377\376\200", r"caf\351", r"\300\256\300\256", r"\355\240\200/\377"] {
        input.extend(format!("M 100644 inline \"{path}\"\ndata 1\nx\n").bytes());
    }
    git(&["fast-import", "--quiet"]).stdin(input).run().await.unwrap();
    Source::Git { path: dir.to_owned(), revision: "refs/heads/odd".to_owned() }
}

#[tokio::test(flavor = "multi_thread")]
async fn bytes_that_are_no_text_harm_nobody() {
    let rig = Setup::new().start().await;
    let dir = tempfile::tempdir().unwrap();
    let pull = rig.repo().open_pull(NewPull::new("odd", odd_bytes(dir.path()).await)).await.unwrap();
    rig.until_answers(&rig.url(&pull), "odd bytes").await;
    rig.until_comment(&pull, "Preview is ready").await;
    assert_shown_plainly(&rig, &pull, "odd bytes").await;
    assert_untouched(&rig);
    rig.finish().await;
}
