//! What must be known of a repository's own Dockerfile before it is built.
//!
//! It is read as BuildKit's Dockerfile frontend reads it: parser directives, comments, continued lines, heredocs. What
//! frontend and which instructions it wants is a matter of safety, and frontends of different ages read differently: so a `syntax`
//! line is looked for in the whole head of the file, and what is refused in every dialect (an old frontend, which knows no heredocs,
//! takes their lines for instructions). The other two, the last stage's user and ports, are what the Dockerfile says; a base image may
//! say more, so the built image's own configuration is the last word: see [`runs_as_root`].
//!
//! Source: <https://docs.docker.com/reference/dockerfile/>

use std::collections::{BTreeMap, HashMap};

use crate::repo_config::{ContainerPort, EnvVars};

mod error;
mod flags;
mod images;
mod near;
mod put_aside;
mod refused;
mod stages;

pub use error::DockerfileError;
pub use images::arch;
use images::{images, registry};
use near::{AddedFrom, is_near};
use put_aside::with_put_aside;
pub use put_aside::{ImageFacts, KnownImages};
use refused::{steers_builder, uses_preview, wants_privilege};
use stages::{Stage, all_variables, stages};

/// Largest Dockerfile that is read, in bytes.
pub const MAX_BYTES: usize = 64 * 1024;

/// Most stages, and most values of arguments and variables: each stage may hold all values of those that it continues.
const MAX_STAGES: usize = 100;
const MAX_VALUES: usize = 500;
/// Most hosts that it adds from: each is looked up.
const MAX_HOSTS: usize = 20;
/// Most images, beside the official ones, that it begins with or takes files from: each is looked at.
const MAX_IMAGES: usize = 20;
/// Longest value that is looked at, in bytes: each may be made of those before, and double.
const MAX_VALUE: usize = 1024;

/// A Dockerfile of a repository, read.
#[derive(Debug, Clone)]
pub struct OwnDockerfile {
    text: String,
    stages: Vec<Stage>,
    /// The first line that may fetch from an address.
    remote_add: Option<usize>,
    /// The names of hosts that it adds from, each with the line that does so first.
    hosts: BTreeMap<String, usize>,
    images: BTreeMap<String, usize>,
}

/// What a Dockerfile is built with.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct BuiltWith {
    /// The arguments.
    pub args: EnvVars,
    /// The stage to stop at; the last one without.
    pub target: Option<String>,
}

/// Every instruction of the reference.
const INSTRUCTIONS: [&str; 18] = [
    "ADD",
    "ARG",
    "CMD",
    "COPY",
    "ENTRYPOINT",
    "ENV",
    "EXPOSE",
    "FROM",
    "HEALTHCHECK",
    "LABEL",
    "MAINTAINER",
    "ONBUILD",
    "RUN",
    "SHELL",
    "STOPSIGNAL",
    "USER",
    "VOLUME",
    "WORKDIR",
];

/// Whether a container with this user in its image's configuration would run as root. Capabilities are gone either way.
pub fn runs_as_root(user: &str) -> bool {
    let name = user.split(':').next().unwrap_or_default().trim();
    name.is_empty() || name == "root" || name.parse::<u64>() == Ok(0)
}

impl OwnDockerfile {
    /// Reads a Dockerfile; refuses what may not be built for anyone.
    pub fn parse(text: &str) -> Result<Self, DockerfileError> {
        Self::parse_with(text, &BuiltWith::default())
    }

    /// Reads a Dockerfile that will be built with these.
    pub fn parse_with(text: &str, with: &BuiltWith) -> Result<Self, DockerfileError> {
        Self::read(text, with, &KnownImages::new())
    }

    /// Reads it once more when something is known of the images that it is built upon: what they have put aside for it counts as if it
    /// stood behind the line that names them.
    pub fn parse_upon(text: &str, with: &BuiltWith, known: &KnownImages) -> Result<Self, DockerfileError> {
        let alone = Self::parse_with(text, with)?;
        let upon = Self::read(text, with, known).map_err(|problem| match problem {
            DockerfileError::EmptyImage(_) => problem,
            problem => DockerfileError::PutAside(Box::new(problem)),
        })?;
        // What it says itself has been judged.
        Ok(Self { remote_add: upon.remote_add.filter(|_| alone.remote_add.is_none()), ..upon })
    }

    fn read(text: &str, with: &BuiltWith, known: &KnownImages) -> Result<Self, DockerfileError> {
        if text.len() > MAX_BYTES {
            return Err(DockerfileError::TooLarge);
        }
        let text = text.strip_prefix('\u{FEFF}').unwrap_or(text);
        let head = Head::read(text)?;
        let read = Dialect::ALL.map(|dialect| instructions(text, head.escape, dialect));
        // A file that begins otherwise may still mean something to a frontend: newer ones also find `syntax` in `//` and JSON.
        if let Some(first) = read[0].first().filter(|first| !first.is_known()) {
            return Err(DockerfileError::UnknownInstruction(first.line));
        }
        let mut whole = Vec::new();
        for (dialect, instructions) in Dialect::ALL.into_iter().zip(read) {
            whole.push(with_put_aside(instructions, dialect, &with.args, known)?);
        }
        if whole.iter().any(|instructions| is_too_much(instructions)) {
            return Err(DockerfileError::TooMuch);
        }
        let stages = stages(&whole[0], &with.args);
        if stages.is_empty() {
            return Err(DockerfileError::NoStage);
        }
        refuse(&whole, &stages)?;
        let variables = all_variables(&whole[0], &with.args);
        let added = || {
            let anywhere = whole.iter().flatten().flat_map(|instruction| instruction.hosts(&variables));
            anywhere.chain(stages.iter().flat_map(|stage| stage.hosts.iter().cloned()))
        };
        let hosts = hosts(added)?;
        let images = all_images(&whole, with)?;
        let remote_add = first_line(&whole, Instruction::may_fetch);
        Ok(Self { text: without_lines(text, &head.syntax_lines), stages, remote_add, hosts, images })
    }

    /// The images that it is built upon or takes files from, each with the line that names it first, but for the official ones. What they
    /// have put aside is to be looked at before the build.
    pub fn images(&self) -> &BTreeMap<String, usize> {
        &self.images
    }

    /// The names of hosts that it adds from, as far as it shows them, each with the line that does so first. Where they lead is to be
    /// looked up: the engine would fetch on the host's network.
    pub fn hosts(&self) -> &BTreeMap<String, usize> {
        &self.hosts
    }

    /// The text to build: without the `# syntax=` line, which would have to be pulled from a registry.
    pub fn into_text(self) -> String {
        self.text
    }

    /// The user that the last stage, or the stage that it continues, sets; `None` where the base image decides.
    pub fn final_user(&self) -> Option<&str> {
        self.lineage().find_map(|stage| stage.user.as_deref())
    }

    /// The TCP ports that the last stage, or the stages that it continues, EXPOSE, in their order. A port that only a build
    /// argument without a default knows isn't among them.
    pub fn exposed_ports(&self) -> Vec<ContainerPort> {
        self.lineage().flat_map(|stage| stage.ports.iter().copied()).collect()
    }

    /// Refuses a Dockerfile that lets the engine fetch from an address: it would do so on the host's network, where it
    /// reaches what no container may (services on its loopback, a cloud's metadata).
    pub fn fetches_nothing(&self) -> Result<(), DockerfileError> {
        self.remote_add.map_or(Ok(()), |line| Err(DockerfileError::RemoteAdd(line)))
    }

    /// The registries that its images are from, by their hosts' names, each with a line that names one; what begins with `prefix` is from the
    /// operator's own. Refuses those in the server's neighbourhood, where an engine on the host's network reaches more than anybody should.
    pub fn registries(&self, prefix: Option<&str>) -> Result<BTreeMap<String, usize>, DockerfileError> {
        let own = |image: &str| {
            prefix.is_some_and(|prefix| image.strip_prefix(prefix).is_some_and(|rest| rest.starts_with('/')))
        };
        let of_others = self.images.iter().filter(|(image, _)| !own(image));
        let registries = of_others
            .filter_map(|(image, line)| Some((registry(image)?.trim_end_matches('.').to_ascii_lowercase(), *line)));
        let registries: BTreeMap<String, usize> = registries.collect();
        match registries.iter().find(|(host, _)| is_near(host)) {
            Some((host, line)) => Err(DockerfileError::NearRegistry { line: *line, host: host.clone() }),
            None => Ok(registries),
        }
    }

    /// The last stage, the stage that it continues, and so on. Ends, because a base always stands before.
    fn lineage(&self) -> impl Iterator<Item = &Stage> {
        std::iter::successors(self.stages.last(), |stage| stage.base.and_then(|base| self.stages.get(base)))
    }
}

/// Refuses what nobody may have.
fn refuse(read: &[Vec<Instruction>], stages: &[Stage]) -> Result<(), DockerfileError> {
    if let Some(line) = first_line(read, uses_preview).or_else(|| stages.iter().find_map(|stage| stage.preview)) {
        return Err(DockerfileError::ForeignPreview(line));
    }
    if let Some(line) = first_line(read, wants_privilege) {
        return Err(DockerfileError::Privilege(line));
    }
    match first_line(read, steers_builder) {
        Some(line) => Err(DockerfileError::Steers(line)),
        None => Ok(()),
    }
}

/// The names to look up among what is added from; refuses the server's own neighbourhood.
fn hosts<I: Iterator<Item = AddedFrom>>(added: impl Fn() -> I) -> Result<BTreeMap<String, usize>, DockerfileError> {
    if let Some(near) = added().filter(AddedFrom::is_near).map(|host| host.line).min() {
        return Err(DockerfileError::NearAdd(near));
    }
    let mut hosts = BTreeMap::new();
    for host in added().filter(AddedFrom::is_name) {
        let line: &mut usize = hosts.entry(host.name).or_insert(host.line);
        *line = host.line.min(*line);
        if hosts.len() > MAX_HOSTS {
            return Err(DockerfileError::TooMuch);
        }
    }
    Ok(hosts)
}

/// The images of every dialect in which the file can be built: a frontend refuses all of it for one word that it doesn't know.
fn all_images(read: &[Vec<Instruction>], with: &BuiltWith) -> Result<BTreeMap<String, usize>, DockerfileError> {
    let mut all = BTreeMap::new();
    for instructions in read.iter().filter(|instructions| instructions.iter().all(Instruction::is_known)) {
        for (image, line) in images(instructions, &with.args, with.target.as_deref())? {
            all.entry(image).or_insert(line);
        }
    }
    if all.len() > MAX_IMAGES { Err(DockerfileError::TooMuch) } else { Ok(all) }
}

/// The first line, in any dialect, of an instruction like this.
fn first_line(read: &[Vec<Instruction>], is_such: impl Fn(&Instruction) -> bool) -> Option<usize> {
    let found = read.iter().flatten().filter(|instruction| is_such(instruction));
    found.map(|instruction| instruction.line).min()
}

fn is_too_much(instructions: &[Instruction]) -> bool {
    let stages = instructions.iter().filter(|instruction| instruction.name == "FROM").count();
    let giving = instructions.iter().filter(|instruction| ["ARG", "ENV"].contains(&instruction.name.as_str()));
    let values: usize = giving.map(|instruction| instruction.arguments.split_whitespace().count()).sum();
    stages > MAX_STAGES || values > MAX_VALUES
}

/// What stands before the first instruction.
struct Head {
    escape: char,
    /// Indices of the lines that name Docker's own frontend.
    syntax_lines: Vec<usize>,
}

impl Head {
    fn read(text: &str) -> Result<Self, DockerfileError> {
        let mut head = Self { escape: '\\', syntax_lines: Vec::new() };
        // `escape` only counts among the directives, which end at the first line that is none.
        let mut directives = true;
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
                Some(("escape", "`")) if directives => head.escape = '`',
                Some(("escape" | "check", _)) => {}
                _ => directives = false,
            }
        }
        Ok(head)
    }
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
fn without_lines(text: &str, indices: &[usize]) -> String {
    if indices.is_empty() {
        return text.to_owned();
    }
    let kept = text.lines().enumerate().filter(|(index, _)| !indices.contains(index));
    kept.map(|(_, line)| format!("{line}\n")).collect()
}

/// In what frontends of different ages differ.
#[derive(Clone, Copy)]
struct Dialect {
    /// `<<EOF` begins a document that isn't instructions.
    heredocs: bool,
    /// An escaped escape character at the end of a line continues it too.
    escaped_escape_continues: bool,
}

impl Dialect {
    /// All there are; the newest frontends' first.
    const ALL: [Self; 4] = [
        Self { heredocs: true, escaped_escape_continues: false },
        Self { heredocs: true, escaped_escape_continues: true },
        Self { heredocs: false, escaped_escape_continues: false },
        Self { heredocs: false, escaped_escape_continues: true },
    ];
}

/// An instruction with its continued lines joined.
struct Instruction {
    /// In capitals.
    name: String,
    arguments: String,
    /// Where it begins, from 1.
    line: usize,
}

impl Instruction {
    /// Whether there is such an instruction.
    fn is_known(&self) -> bool {
        INSTRUCTIONS.contains(&self.name.as_str())
    }
}

fn instructions(text: &str, escape: char, dialect: Dialect) -> Vec<Instruction> {
    let lines: Vec<&str> = text.lines().collect();
    let last = LastLines::of(&lines);
    let mut found = Vec::new();
    let mut at = 0;
    while at < lines.len() {
        let line = at + 1;
        let mut logical = String::new();
        let mut goes_on = true;
        while goes_on && at < lines.len() {
            // Within a continued instruction, comments and blank lines are dropped.
            let trimmed = lines[at].trim_start();
            if !trimmed.is_empty() && !trimmed.starts_with('#') {
                let (part, continued) = continuation(lines[at], escape, dialect);
                logical.push_str(part);
                goes_on = continued;
            } else if logical.is_empty() {
                goes_on = false;
            }
            at += 1;
        }
        let logical = logical.trim();
        if logical.is_empty() {
            continue;
        }
        let (name, arguments) = logical.split_once(char::is_whitespace).unwrap_or((logical, ""));
        let instruction = Instruction { name: name.to_ascii_uppercase(), arguments: arguments.trim().to_owned(), line };
        if dialect.heredocs {
            at = behind_heredocs(&instruction, &lines, at, &last);
        }
        found.push(instruction);
    }
    found
}

/// A line without the mark that the next one continues it, and whether it has that mark.
fn continuation(line: &str, escape: char, dialect: Dialect) -> (&str, bool) {
    let Some(part) = line.trim_end_matches([' ', '\t']).strip_suffix(escape) else { return (line, false) };
    if part.ends_with(escape) && !dialect.escaped_escape_continues { (line, false) } else { (part, true) }
}

/// Where each line stands last, as it is and without the tabs before it: so that nobody looks twice for what isn't there.
struct LastLines<'a> {
    plain: HashMap<&'a str, usize>,
    untabbed: HashMap<&'a str, usize>,
}

impl<'a> LastLines<'a> {
    fn of(lines: &[&'a str]) -> Self {
        let all = || lines.iter().copied().enumerate();
        Self {
            plain: all().map(|(index, line)| (line, index)).collect(),
            untabbed: all().map(|(index, line)| (line.trim_start_matches('\t'), index)).collect(),
        }
    }
}

/// The first line behind an instruction's documents, which begin at `at`. A document without an end isn't one.
fn behind_heredocs(instruction: &Instruction, lines: &[&str], mut at: usize, last: &LastLines<'_>) -> usize {
    if !matches!(instruction.name.as_str(), "RUN" | "COPY" | "ADD" | "ONBUILD") {
        return at;
    }
    for word in instruction.arguments.split_whitespace() {
        let Some(mark) = word.trim_start_matches(|c: char| c.is_ascii_digit()).strip_prefix("<<") else { continue };
        let (delimiter, tabs) = mark.strip_prefix('-').map_or((mark, false), |delimiter| (delimiter, true));
        let delimiter = delimiter.trim_matches(['"', '\'']);
        if delimiter.is_empty() || delimiter.contains('<') {
            continue;
        }
        let last = if tabs { &last.untabbed } else { &last.plain };
        if last.get(delimiter).is_none_or(|last| *last < at) {
            return at;
        }
        let ends = |line: &&str| if tabs { line.trim_start_matches('\t') == delimiter } else { **line == *delimiter };
        at += lines[at..].iter().position(ends).map_or(0, |body| body + 1);
    }
    at
}

#[cfg(test)]
mod fuzz;
#[cfg(test)]
mod tests;
