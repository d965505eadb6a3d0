//! What stands before a Dockerfile's first instruction: the directives to whoever reads it.

use super::DockerfileError;

/// What stands before the first instruction.
pub(super) struct Head {
    pub(super) escape: char,
    /// Indices of the lines that name Docker's own frontend.
    pub(super) syntax_lines: Vec<usize>,
}

impl Head {
    pub(super) fn read(text: &str) -> Result<Self, DockerfileError> {
        let mut head = Self { escape: '\\', syntax_lines: Vec::new() };
        // `escape` only counts among the directives, which end at the first line that is none.
        let (mut directives, mut checked) = (true, false);
        for (index, line) in text.lines().enumerate() {
            let line = line.trim();
            let Some(comment) = line.strip_prefix('#') else {
                if line.is_empty() {
                    directives = false;
                    continue;
                }
                break;
            };
            let directive =
                comment.split_once('=').map(|(name, value)| (name.trim().to_ascii_lowercase(), value.trim()));
            match directive.as_ref().map(|(name, value)| (name.as_str(), *value)) {
                Some(("syntax", frontend)) if is_docker_frontend(frontend) => head.syntax_lines.push(index),
                Some(("syntax", _)) => return Err(DockerfileError::ForeignSyntax(index + 1)),
                // For frontends that don't know it the directives end here.
                Some(("check", _)) => checked = true,
                Some(("escape", "`")) if directives && is_spaced_plainly(comment) => {
                    if checked {
                        return Err(DockerfileError::Escape(index + 1));
                    }
                    head.escape = '`';
                }
                Some(("escape", _)) if is_spaced_plainly(comment) => {}
                _ => directives = false,
            }
        }
        Ok(head)
    }
}

/// Whether there is no blank in it that frontends don't take for one: with such a one it is a comment.
fn is_spaced_plainly(comment: &str) -> bool {
    comment.chars().all(|c| !c.is_whitespace() || [' ', '\t', '\u{C}'].contains(&c))
}

/// Whether it is the frontend that Docker publishes, in its first major version.
fn is_docker_frontend(reference: &str) -> bool {
    let reference = reference.strip_prefix("docker.io/").unwrap_or(reference);
    let version = reference.strip_prefix("docker/dockerfile:");
    version.is_some_and(|version| {
        let rest = version.strip_prefix('1').unwrap_or("?");
        rest.is_empty() || rest.starts_with(['.', '-', '@'])
    })
}

/// The text without some of its lines: a line left blank would end the directives that may follow.
pub(super) fn without_lines(text: &str, indices: &[usize]) -> String {
    if indices.is_empty() {
        return text.to_owned();
    }
    let kept = text.lines().enumerate().filter(|(index, _)| !indices.contains(index));
    kept.map(|(_, line)| format!("{line}\n")).collect()
}
