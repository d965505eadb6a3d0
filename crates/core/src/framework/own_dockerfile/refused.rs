//! Instructions that some or all Dockerfiles may not have. Asked of every dialect, with quotes and escapes taken away: what might be
//! one counts as one.

use super::Instruction;
use super::flags::flags;
use super::lines::split_name;

/// Characters that may stand in a word without being of it. Which one of the last two takes the meaning of another away is the file's
/// to say, but not for everything in it.
const NO_PART: [char; 4] = ['"', '\'', '\\', '`'];

/// Whether a text has the beginning of the names that images of previews have: see `compose::app_image_repository`.
pub(super) fn names_preview(text: &str) -> bool {
    text.to_ascii_lowercase().contains("preview-deployer/")
}

/// Whether an instruction takes files from a preview's image. The engine has them all by name, those of other repositories too.
pub(super) fn uses_preview(instruction: &Instruction) -> bool {
    let takes = ["FROM", "COPY", "ADD", "RUN", "ONBUILD", "ARG"].contains(&instruction.name.as_str());
    takes && names_preview(&instruction.arguments.replace(NO_PART, ""))
}

/// The line of an image of a preview that is begun with or taken from, however the text is cut into lines and words: whatever a frontend
/// makes of it that we don't, a name that it shows is seen here.
pub(super) fn hides_preview(text: &str) -> Option<usize> {
    let (mut squeezed, mut lines) = (String::new(), Vec::new());
    for (index, line) in text.lines().enumerate().filter(|(_, line)| !line.trim_start().starts_with('#')) {
        let kept = line.chars().filter(|c| !c.is_whitespace() && !NO_PART.contains(c));
        squeezed.extend(kept.map(|c| c.to_ascii_lowercase()));
        lines.resize(squeezed.len(), index + 1);
    }
    let named = squeezed.match_indices("preview-deployer/").find(|(at, _)| {
        let before = squeezed[..*at].trim_end_matches("docker.io/").trim_end_matches("index.");
        before.ends_with("from") || before.ends_with("from=")
    });
    named.and_then(|(at, _)| lines.get(at).copied())
}

/// Whether a step asks for the host's network or for rights. The engine would refuse it too, as it is configured by default.
pub(super) fn wants_privilege(instruction: &Instruction) -> bool {
    let (name, arguments) = instruction.in_effect();
    name == "RUN"
        && flags(&arguments).0.iter().any(|option| {
            matches!(option.split_once('='), Some(("--network", mode)) if !["default", "none"].contains(&mode))
                || matches!(option.split_once('='), Some(("--security", mode)) if mode != "sandbox")
        })
}

/// Whether it declares an argument that BuildKit takes for an order to itself, such as `BUILDKIT_SYNTAX`.
///
/// Source: <https://docs.docker.com/reference/dockerfile/#buildkit-built-in-build-args>
pub(super) fn steers_builder(instruction: &Instruction) -> bool {
    let (name, arguments) = instruction.in_effect();
    let plain = arguments.replace(NO_PART, "").to_ascii_uppercase();
    name == "ARG" && plain.split_whitespace().any(|word| word.starts_with("BUILDKIT_"))
}

impl Instruction {
    /// Its name in capitals, and its arguments; behind `ONBUILD` those of the instruction that it keeps for later.
    pub(super) fn in_effect(&self) -> (String, String) {
        if self.name != "ONBUILD" {
            return (self.name.clone(), self.arguments.clone());
        }
        let (_, kept) = flags(&self.arguments);
        split_name(&kept)
    }

    /// What an `ADD` adds, without quotes and escapes; nothing of any other instruction.
    pub(super) fn added(&self) -> Vec<String> {
        if !["ADD", "ONBUILD"].contains(&self.name.as_str()) {
            return Vec::new();
        }
        let (name, arguments) = self.in_effect();
        if name != "ADD" {
            return Vec::new();
        }
        let (_, sources) = flags(&arguments);
        let mut words: Vec<String> = if sources.starts_with('[') {
            // Others read lists in which we see none: with half a character in them, or with something behind them.
            let Ok(list) = serde_json::from_str(&sources) else {
                return unescaped(&sources).split('"').map(str::to_owned).collect();
            };
            list
        } else {
            sources.split_whitespace().map(str::to_owned).collect()
        };
        words.pop();
        words.iter().map(|word| word.replace(NO_PART, "")).collect()
    }

    /// Whether it is an `ADD` with a source that is an address, or could become one by a variable.
    pub(super) fn may_fetch(&self) -> bool {
        self.added().iter().any(|source| {
            source.contains("://") || source.contains('$') || (source.contains('@') && source.contains(':'))
        })
    }
}

/// A text of JSON with its characters that are written as numbers, and without other escapes.
fn unescaped(text: &str) -> String {
    let mut parts = text.split("\\u");
    let mut out = parts.next().unwrap_or_default().to_owned();
    for part in parts {
        let number = part.get(..4).and_then(|digits| u32::from_str_radix(digits, 16).ok());
        match number {
            Some(number) => {
                out.push(char::from_u32(number).unwrap_or(char::REPLACEMENT_CHARACTER));
                out.push_str(&part[4..]);
            }
            None => out.push_str(part),
        }
    }
    out.retain(|c| c != '\\');
    out
}
