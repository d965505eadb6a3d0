//! What a Python file shows of itself without being run: what stands at its left margin.

/// A Python file's text.
pub(super) struct Source(String);

/// A statement may go on over so many lines.
const LONGEST: usize = 4_000;

impl Source {
    pub(super) fn new(text: &str) -> Self {
        Self(text.trim_start_matches('\u{FEFF}').to_owned())
    }

    /// Whether this stands anywhere in it.
    pub(super) fn has(&self, text: &str) -> bool {
        self.0.contains(text)
    }

    /// Lines at the left margin that belong to no text over several lines, each with all that follows.
    fn statements(&self) -> impl Iterator<Item = &str> {
        let mut quoted = None;
        let mut place = 0;
        self.0.split_inclusive('\n').filter_map(move |line| {
            let begins = place;
            place += line.len();
            let outside = quoted.is_none();
            for quotes in ["\"\"\"", "'''"] {
                if quoted.is_none_or(|open| open == quotes) && line.matches(quotes).count() % 2 == 1 {
                    quoted = if quoted.is_some() { None } else { Some(quotes) };
                }
            }
            let at_margin = outside && line.starts_with(|c: char| c.is_ascii_alphabetic() || c == '_');
            at_margin.then(|| &self.0[begins..])
        })
    }

    /// The name that a call of `callee` is assigned to: `app = FastAPI()`, `app: FastAPI = fastapi.FastAPI(…)`.
    pub(super) fn assigned(&self, callee: &str) -> Option<&str> {
        self.statements().find_map(|statement| {
            let (target, value) = statement.lines().next()?.split_once('=')?;
            let name = target.split(':').next()?.trim();
            let called = value.trim().split('(').next().filter(|called| called.len() < value.trim().len())?;
            (called.rsplit('.').next() == Some(callee) && is_identifier(name)).then_some(name)
        })
    }

    /// The first of these functions that is defined here and can be called with nothing.
    pub(super) fn factory(&self, names: &[&'static str]) -> Option<&'static str> {
        let defined = |name: &str| {
            let mut heads =
                self.statements().filter_map(|text| text.strip_prefix("def ")?.trim_start().strip_prefix(name));
            heads.any(|rest| rest.trim_start().strip_prefix('(').is_some_and(needs_nothing))
        };
        names.iter().copied().find(|name| defined(name))
    }

    /// Whether it imports from the folder that it is in.
    pub(super) fn imports_relatively(&self) -> bool {
        self.0
            .lines()
            .any(|line| line.trim_start().strip_prefix("from ").is_some_and(|rest| rest.trim_start().starts_with('.')))
    }

    /// Whether it imports a package of this name, or from it.
    pub(super) fn imports(&self, package: &str) -> bool {
        let first = |line: &str| {
            let line = line.trim_start();
            let rest = line.strip_prefix("from ").or_else(|| line.strip_prefix("import "))?;
            rest.split_whitespace().next().map(|module| module.split(['.', ',']).next() == Some(package))
        };
        self.0.lines().filter_map(first).any(|found| found)
    }

    /// The value that `NAME`, in quotes, is given in the same call: `setdefault("NAME", "value")`, `["NAME"] = "value"`.
    pub(super) fn given(&self, name: &str) -> Option<&str> {
        let rest = self.0.split_once(&format!("{name}\"")).or_else(|| self.0.split_once(&format!("{name}'")))?.1;
        let rest = rest.trim_start_matches([']', ',', '=', ' ', '\n', '\r', '\t']);
        let quote = rest.chars().next().filter(|c| "\"'".contains(*c))?;
        rest[1..].split(quote).next()
    }
}

/// Whether a function's parameters, of which the text begins behind the bracket, may all be left out.
fn needs_nothing(text: &str) -> bool {
    let mut depth = 0_u32;
    let mut parameters = vec![String::new()];
    for c in text.chars().take(LONGEST) {
        match c {
            ')' if depth == 0 => {
                let left_out = |text: &String| {
                    let text = text.trim();
                    text.is_empty() || text == "/" || text.starts_with('*') || text.contains('=')
                };
                return parameters.iter().all(left_out);
            }
            '(' | '[' | '{' => depth += 1,
            ')' | ']' | '}' => depth = depth.saturating_sub(1),
            ',' if depth == 0 => {
                parameters.push(String::new());
                continue;
            }
            _ => {}
        }
        if let Some(last) = parameters.last_mut() {
            last.push(c);
        }
    }
    false
}

/// A name in Python, as far as it needs quoting nowhere.
pub(super) fn is_identifier(name: &str) -> bool {
    name.len() <= 64
        && name.starts_with(|c: char| c.is_ascii_alphabetic() || c == '_')
        && name.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_')
}
