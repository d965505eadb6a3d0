//! docs/GETTING_STARTED.md as a script: what a person types who follows it, line by line, and what is answered when it asks.

use crate::root;

/// The address and the repository of the document.
pub(crate) const ADDRESS: &str = "203.0.113.7";
pub(crate) const REPOSITORY: &str = "my-org/my-app";

/// What becomes of a line that the document tells to type.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Line {
    /// It is typed; of these questions, each is answered when it comes.
    Typed(&'static [(&'static str, Answer)]),
    /// It is tried elsewhere: what it needs is no machine of one's own.
    Elsewhere,
}

/// What a question is answered with.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Answer {
    These(&'static str),
    /// `root@` and the machine's address.
    Machine,
    /// The token for GitHub, which the screen must not show.
    Token,
}

pub(crate) const MAY: (&str, Answer) = ("Do it? [y/N]", Answer::These("y"));

/// Every line of the document. One that isn't here has to be thought about.
const LINES: [(&str, Line); 10] = [
    (
        "preview init",
        Line::Typed(&[
            ("A machine of yours (user@address)", Answer::Machine),
            ("Repositories (owner/name", Answer::These(REPOSITORY)),
            ("The server's token for GitHub", Answer::Token),
        ]),
    ),
    ("preview init --host root@203.0.113.7 --repo my-org/my-app", Line::Typed(&[("Replace it?", Answer::These("y"))])),
    // `crates/cli/tests/installation` does, with a model of DigitalOcean.
    ("preview init --region fra1 --repo my-org/my-app", Line::Elsewhere),
    ("preview setup --dry-run", Line::Typed(&[])),
    ("preview setup", Line::Typed(&[MAY])),
    ("preview upgrade", Line::Typed(&[MAY])),
    // `crates/cli/tests/up_there.rs` does: a folder is needed, and a laptop that stays.
    ("preview up --on-server", Line::Elsewhere),
    ("preview up --server root@203.0.113.7 ../my-app", Line::Elsewhere),
    ("preview destroy --dry-run", Line::Typed(&[])),
    (
        "preview destroy --keep-data",
        Line::Typed(&[("Write its name, preview-deployer", Answer::These("preview-deployer"))]),
    ),
];

/// What stands in the document's `sh` blocks, in order, each line whole with its remark.
pub(crate) fn lines() -> Vec<String> {
    typed(&std::fs::read_to_string(root().join("docs/GETTING_STARTED.md")).unwrap())
}

fn typed(document: &str) -> Vec<String> {
    let blocks = document.split("\n```sh\n").skip(1).map(|rest| rest.split_once("\n```").expect("a block ends").0);
    let lines = blocks.flat_map(str::lines).filter(|line| !line.trim().is_empty());
    lines.map(str::to_owned).collect()
}

/// What becomes of a line of the document; `None` for one that nobody has thought about.
pub(crate) fn line(line: &str) -> Option<Line> {
    let command = line.split('#').next().unwrap_or_default().trim();
    LINES.iter().find(|(known, _)| *known == command).map(|(_, line)| *line)
}

#[test]
fn every_line_of_the_document_is_known_and_none_is_known_that_is_not_there() {
    let there = lines();
    let unknown: Vec<_> = there.iter().filter(|text| line(text).is_none()).collect();
    assert!(unknown.is_empty(), "the droplet's test does not type {unknown:#?}");
    for (known, _) in LINES {
        let is_there = there.iter().any(|text| text.split('#').next().unwrap_or_default().trim() == known);
        assert!(is_there, "{known}");
    }
}

#[test]
fn blocks_are_read_line_by_line() {
    let document = "# A\n\n```sh\na b   # c\n\nd\n```\n\n```yaml\nno\n```\n\n```sh\ne\n```\n";
    assert_eq!(typed(document), ["a b   # c", "d", "e"]);
    assert_eq!(line("preview setup        # if repositories or webhooks changed"), line("preview setup"));
    assert_eq!(line("preview setup --force"), None);
}
