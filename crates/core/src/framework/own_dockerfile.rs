//! What must be known of a repository's own Dockerfile before it is built.
//!
//! It is read as BuildKit's Dockerfile frontend reads it: parser directives, comments, continued lines, heredocs. What
//! frontend and which instructions it wants is a matter of safety, and frontends of different ages read differently: so a `syntax`
//! line is looked for in the whole head of the file, and what is refused in every dialect (an old frontend, which knows no heredocs,
//! takes their lines for instructions). The other two, the last stage's user and ports, are what the Dockerfile says; a base image may
//! say more, so the built image's own configuration is the last word: see [`runs_as_root`].
//!
//! Source: <https://docs.docker.com/reference/dockerfile/>

use std::collections::BTreeMap;

use crate::base_images::BaseImages;
use crate::registries::HUB;
use crate::repo_config::{ContainerPort, EnvVars};

mod error;
mod flags;
mod global;
mod head;
mod heredocs;
mod images;
mod lines;
mod near;
mod put_aside;
mod refused;
mod stages;
mod variables;

pub use error::DockerfileError;
use head::{Head, without_lines};
pub use images::arch;
use images::{images, registry};
use lines::{Dialect, Instruction, Lines, all_known, instructions};
use near::{AddedFrom, is_near};
use put_aside::with_put_aside;
pub use put_aside::{ImageFacts, KnownImages};
use refused::{hides_preview, names_preview, steers_builder, uses_preview, wants_privilege};
use stages::{Of, Stage, all_variables, stages};

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

/// Whether a container with this user in its image's configuration would run as root. Capabilities are gone either way.
pub fn runs_as_root(user: &str) -> bool {
    let name = user.split(':').next().unwrap_or_default().trim();
    // Docker reads a number with its sign, too.
    name.is_empty() || name == "root" || name.parse::<i64>() == Ok(0)
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
        let lines = Lines::of(text)?;
        let mut whole = Vec::new();
        for dialect in Dialect::ALL {
            let file = instructions(&lines, head.escape, dialect)?;
            // A file that begins otherwise may still mean something to a frontend: newer ones also find `syntax` in `//` and JSON.
            if let Some(first) = file.first().filter(|first| !first.is_known()) {
                return Err(DockerfileError::UnknownInstruction(first.line));
            }
            let file = with_put_aside(file, dialect, &with.args, known)?;
            // Most files are read alike in all.
            if !whole.contains(&file) {
                whole.push(file);
            }
        }
        if whole.iter().any(|instructions| is_too_much(instructions)) {
            return Err(DockerfileError::TooMuch);
        }
        let likely = likely(&whole)?;
        let stages = stages(likely, &with.args);
        if stages.is_empty() {
            return Err(DockerfileError::NoStage);
        }
        refuse(&whole, &stages)?;
        if let Some(line) = hides_preview(text) {
            return Err(DockerfileError::ForeignPreview(line));
        }
        let added = stages.iter().flat_map(|stage| stage.hosts.iter().cloned());
        let hosts = hosts(&added.chain(added_anywhere(&whole, likely, &with.args)).collect::<Vec<_>>())?;
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

    /// The registries that its images are from, by their hosts' names, each with a line that names one; what begins with the prefix is
    /// from the operator's own. Refuses those in the server's neighbourhood, where an engine on the host's network reaches more than
    /// anybody should, and those that aren't for strangers: an answer of theirs would send the engine there.
    pub fn registries(&self, from: &BaseImages) -> Result<BTreeMap<String, usize>, DockerfileError> {
        let own = |image: &str| {
            from.prefix().is_some_and(|prefix| image.strip_prefix(prefix).is_some_and(|rest| rest.starts_with('/')))
        };
        let mut hosts = BTreeMap::new();
        for (image, line) in self.images.iter().filter(|(image, _)| !own(image)) {
            let (line, registry) = (*line, registry(image));
            let host = registry.split(':').next().unwrap_or_default().to_owned();
            if is_near(&host) {
                return Err(DockerfileError::NearRegistry { line, host });
            }
            if !from.gives_strangers(&registry) {
                return Err(DockerfileError::OtherRegistry { line, registry });
            }
            // Where Docker Hub leads is the engine's to know.
            if registry != HUB {
                hosts.insert(host, line);
            }
        }
        Ok(hosts)
    }

    /// The last stage, the stage that it continues, and so on. Ends, because a base always stands before.
    fn lineage(&self) -> impl Iterator<Item = &Stage> {
        std::iter::successors(self.stages.last(), |stage| stage.base.and_then(|base| self.stages.get(base)))
    }
}

/// The file as the newest frontend reads it that can build it. Without one nothing of the file would be judged as it is built, and nothing
/// can be built.
fn likely(read: &[Vec<Instruction>]) -> Result<&[Instruction], DockerfileError> {
    let unknown = || read.iter().flatten().find(|instruction| !instruction.is_known());
    let likely = read.iter().find(|instructions| all_known(instructions));
    likely.map(Vec::as_slice).ok_or_else(|| match unknown() {
        Some(instruction) => DockerfileError::UnknownInstruction(instruction.line),
        None => DockerfileError::NoStage,
    })
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

/// All that is added from in any dialect, by the values that variables have anywhere.
fn added_anywhere(read: &[Vec<Instruction>], likely: &[Instruction], args: &EnvVars) -> Vec<AddedFrom> {
    let mut variables = vec![all_variables(likely, args, Of::Last), all_variables(likely, args, Of::First)];
    variables.dedup();
    let by = |variables| read.iter().flatten().flat_map(move |instruction| instruction.hosts(variables));
    variables.iter().flat_map(by).collect()
}

/// The names to look up among what is added from; refuses the server's own neighbourhood.
fn hosts(added: &[AddedFrom]) -> Result<BTreeMap<String, usize>, DockerfileError> {
    let first = |is_such: fn(&AddedFrom) -> bool| added.iter().filter(|host| is_such(host)).map(|host| host.line).min();
    if let Some(line) = first(AddedFrom::is_untold) {
        return Err(DockerfileError::UntoldAdd(line));
    }
    if let Some(line) = first(AddedFrom::is_near) {
        return Err(DockerfileError::NearAdd(line));
    }
    let mut hosts = BTreeMap::new();
    for host in added.iter().filter(|host| host.is_name()) {
        let line: &mut usize = hosts.entry(host.name.clone()).or_insert(host.line);
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
    for instructions in read.iter().filter(|instructions| all_known(instructions)) {
        for (image, line) in images(instructions, &with.args, with.target.as_deref())? {
            if names_preview(&image) {
                return Err(DockerfileError::ForeignPreview(line));
            }
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

#[cfg(test)]
mod buildkit;
#[cfg(test)]
mod fuzz;
#[cfg(test)]
mod hidden;
#[cfg(test)]
mod tests;
