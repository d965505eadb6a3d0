//! A reader of Terraform's language, as far as blocks, names of arguments and what they refer to go. What an expression comes to is
//! Terraform's business.

/// What stands between the braces of a block, or in a whole file.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Body {
    pub(crate) arguments: Vec<Argument>,
    pub(crate) blocks: Vec<Block>,
}

/// `name = expression`
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Argument {
    pub(crate) name: String,
    /// The expression without white space outside of texts.
    pub(crate) value: String,
    /// What it refers to: `var.region`, `digitalocean_droplet.preview.id`.
    pub(crate) references: Vec<String>,
}

/// `kind "label" "label" { … }`
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Block {
    pub(crate) kind: String,
    pub(crate) labels: Vec<String>,
    pub(crate) body: Body,
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum Token {
    /// A name, or names joined by dots.
    Path(String),
    /// A text with its quotes, or what a heredoc holds; and what is referred to within `${…}`.
    Text(String, Vec<String>),
    Mark(char),
    NewLine,
}

/// Reads a file.
pub(crate) fn read(text: &str) -> Body {
    let mut tokens = tokens(text).into_iter().peekable();
    let body = body(&mut tokens);
    assert_eq!(tokens.next(), None, "a brace is closed that was never opened");
    body
}

type Tokens = std::iter::Peekable<std::vec::IntoIter<Token>>;

fn body(tokens: &mut Tokens) -> Body {
    let mut found = Body::default();
    while let Some(token) = tokens.next_if(|token| *token != Token::Mark('}')) {
        match token {
            Token::NewLine => {}
            Token::Path(name) => match tokens.next_if_eq(&Token::Mark('=')) {
                Some(_) => found.arguments.push(argument(name, tokens)),
                None => found.blocks.push(block(name, tokens)),
            },
            other => panic!("expected an argument or a block, not {other:?}"),
        }
    }
    found
}

fn block(kind: String, tokens: &mut Tokens) -> Block {
    let mut labels = Vec::new();
    loop {
        match tokens.next() {
            Some(Token::Text(text, _)) => labels.push(text.trim_matches('"').to_owned()),
            Some(Token::Mark('{')) => break,
            other => panic!("expected a label or the beginning of {kind}, not {other:?}"),
        }
    }
    let body = body(tokens);
    assert_eq!(tokens.next(), Some(Token::Mark('}')), "{kind} {labels:?} has no end");
    Block { kind, labels, body }
}

/// Up to the end of its line, or of the last line in which a bracket of it is open.
fn argument(name: String, tokens: &mut Tokens) -> Argument {
    let (mut value, mut references, mut depth) = (String::new(), Vec::new(), 0);
    while let Some(token) = tokens.next_if(|token| depth > 0 || !matches!(token, Token::NewLine | Token::Mark('}'))) {
        match token {
            Token::NewLine => {}
            Token::Path(path) => {
                value.push_str(&path);
                references.extend(path.contains('.').then_some(path));
            }
            Token::Text(text, within) => {
                value.push_str(&text);
                references.extend(within);
            }
            Token::Mark(mark) => {
                depth += i32::from("([{".contains(mark)) - i32::from(")]}".contains(mark));
                value.push(mark);
            }
        }
    }
    assert!(!value.is_empty() && depth == 0, "{name} has no value, or one that does not end");
    Argument { name, value, references }
}

fn tokens(text: &str) -> Vec<Token> {
    let mut found = Vec::new();
    let mut rest = text;
    while let Some(first) = rest.chars().next() {
        let (token, length) = match first {
            '\n' => (Some(Token::NewLine), 1),
            '#' => (None, rest.find('\n').unwrap_or(rest.len())),
            '"' => quoted(rest),
            '<' if rest.starts_with("<<") => heredoc(rest),
            _ if first.is_alphanumeric() || first == '_' => {
                let end = |c: char| !(c.is_alphanumeric() || "_-.".contains(c));
                let length = rest.find(end).unwrap_or(rest.len());
                (Some(Token::Path(rest[..length].to_owned())), length)
            }
            _ if first.is_whitespace() => (None, first.len_utf8()),
            _ => (Some(Token::Mark(first)), first.len_utf8()),
        };
        found.extend(token);
        rest = &rest[length..];
    }
    found
}

/// A text in quotes. In `${…}` may stand other texts, which this reader refuses: ours have none.
fn quoted(rest: &str) -> (Option<Token>, usize) {
    let mut escaped = false;
    let end = rest.char_indices().skip(1).find(|(_, c)| {
        let ends = *c == '"' && !escaped;
        escaped = *c == '\\' && !escaped;
        ends
    });
    let length = end.expect("a text that ends").0 + 1;
    let text = &rest[..length];
    assert!(!text.contains('\n'), "a text goes over the end of its line: {text}");
    let within = text.split("${").skip(1).map(|part| part.split_once('}').expect("an end of ${").0);
    let references = within.flat_map(tokens).filter_map(|token| match token {
        Token::Path(path) if path.contains('.') => Some(path),
        _ => None,
    });
    (Some(Token::Text(text.to_owned(), references.collect())), length)
}

fn heredoc(rest: &str) -> (Option<Token>, usize) {
    let (first, _) = rest.split_once('\n').expect("a heredoc goes on");
    let word = first.trim_start_matches(['<', '-']);
    let mut length = first.len() + 1;
    for line in rest[length..].split_inclusive('\n') {
        if line.trim() == word {
            // The end of its line is the argument's.
            let end = length + line.trim_end().len();
            return (Some(Token::Text(rest[first.len() + 1..length].to_owned(), Vec::new())), end);
        }
        length += line.len();
    }
    panic!("the heredoc {word} has no end");
}

#[test]
fn blocks_arguments_and_references_are_read() {
    let body = read(
        "# a remark\nresource \"a_b\" \"c\" {\n  name = \"x-${var.one}\" # more\n  ids  = [\n    d_e.f.id,\n  ]\n  text = \
         <<-END\n    a = { b\n  END\n\n  rule {\n    to = {}\n  }\n}\n",
    );
    let [block] = &body.blocks[..] else { panic!("{body:?}") };
    assert_eq!((block.kind.as_str(), block.labels.join(".")), ("resource", "a_b.c".to_owned()));
    let names: Vec<&str> = block.body.arguments.iter().map(|argument| argument.name.as_str()).collect();
    assert_eq!(names, ["name", "ids", "text"]);
    assert_eq!(block.body.arguments[0].references, ["var.one"]);
    assert_eq!(block.body.arguments[1].value, "[d_e.f.id,]");
    assert_eq!(block.body.arguments[1].references, ["d_e.f.id"]);
    assert_eq!(block.body.blocks[0].body.arguments[0].value, "{}");
}

#[test]
fn what_is_not_closed_is_not_read() {
    for wrong in ["a {\n", "a = [\n", "a = \"x\n\"", "}\n", "a = <<X\ny\n", "a =\n"] {
        assert!(std::panic::catch_unwind(|| read(wrong)).is_err(), "{wrong:?}");
    }
}
