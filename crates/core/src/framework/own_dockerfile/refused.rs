//! Instructions that some or all Dockerfiles may not have. Asked of every dialect, with quotes and escapes taken away: what might be
//! one counts as one.

use super::Instruction;

/// Whether a text has the beginning of the names that images of previews have: see `compose::app_image_repository`.
pub(super) fn names_preview(text: &str) -> bool {
    text.to_ascii_lowercase().contains("preview-deployer/")
}

/// Whether an instruction takes files from a preview's image. The engine has them all by name, those of other repositories too.
pub(super) fn uses_preview(instruction: &Instruction, escape: char) -> bool {
    let takes = ["FROM", "COPY", "ADD", "RUN", "ONBUILD", "ARG"].contains(&instruction.name.as_str());
    takes && names_preview(&instruction.arguments.replace(['"', '\'', escape], ""))
}

/// Whether a step asks for the host's network or for rights. The engine would refuse it too, as it is configured by default.
pub(super) fn wants_privilege(instruction: &Instruction, escape: char) -> bool {
    let arguments = match instruction.name.as_str() {
        "ONBUILD" => instruction.arguments.split_once(char::is_whitespace).map_or("", |(_, rest)| rest),
        "RUN" => &instruction.arguments,
        _ => return false,
    };
    let options = arguments.split_whitespace().take_while(|word| word.starts_with("--"));
    options.map(|word| word.replace(['"', '\'', escape], "")).any(|option| {
        matches!(option.split_once('='), Some(("--network", mode)) if !["default", "none"].contains(&mode))
            || matches!(option.split_once('='), Some(("--security", mode)) if mode != "sandbox")
    })
}

/// Whether it declares an argument that BuildKit takes for an order to itself, such as `BUILDKIT_SYNTAX`.
///
/// Source: <https://docs.docker.com/reference/dockerfile/#buildkit-built-in-build-args>
pub(super) fn steers_builder(instruction: &Instruction, escape: char) -> bool {
    let (name, arguments) = instruction.in_effect();
    let plain = arguments.replace(['"', '\'', escape], "").to_ascii_uppercase();
    name.eq_ignore_ascii_case("ARG") && plain.split_whitespace().any(|word| word.starts_with("BUILDKIT_"))
}

impl Instruction {
    /// Its name and arguments; behind `ONBUILD` those of the instruction that it keeps for later.
    fn in_effect(&self) -> (&str, &str) {
        match self.name.as_str() {
            "ONBUILD" => self.arguments.split_once(char::is_whitespace).unwrap_or((&self.arguments, "")),
            name => (name, &self.arguments),
        }
    }

    /// What an `ADD` adds, without quotes and escapes; nothing of any other instruction.
    pub(super) fn added(&self, escape: char) -> Vec<String> {
        let (name, arguments) = self.in_effect();
        if !name.eq_ignore_ascii_case("ADD") {
            return Vec::new();
        }
        let plain: Vec<&str> = arguments.split_whitespace().skip_while(|word| word.starts_with("--")).collect();
        let json: Result<Vec<String>, _> = serde_json::from_str(&plain.join(" "));
        let words = json.unwrap_or_else(|_| plain.iter().map(|word| word.to_string()).collect());
        let sources = words.iter().take(words.len().saturating_sub(1));
        sources.map(|word| word.replace(['"', '\'', escape], "")).collect()
    }

    /// Whether it is an `ADD` with a source that is an address, or could become one by a variable.
    pub(super) fn may_fetch(&self, escape: char) -> bool {
        self.added(escape).iter().any(|source| {
            source.contains("://") || source.contains('$') || (source.contains('@') && source.contains(':'))
        })
    }
}
