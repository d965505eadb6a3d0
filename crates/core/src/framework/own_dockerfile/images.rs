//! Which images a build begins with or takes files from. What they have put aside for whoever builds upon them (`ONBUILD`) is obeyed
//! like a line of the file, so each is looked at before the build, and for that its name has to be known.
//!
//! BuildKit knows far more ways to make a name of variables than anybody uses. Here a name is known, or it is refused: there is no third.
//! What the build doesn't come to is left out, as it leaves it out. Images of Docker's official library are not looked at: nobody else
//! writes there, and every look counts against what its registry gives away.

use std::collections::{BTreeMap, BTreeSet};

use crate::registries::HUB;
use crate::repo_config::EnvVars;

use super::flags::flags;
use super::global::Global;
use super::{DockerfileError, Instruction};

/// Names that the official library goes by.
const LIBRARY: [&str; 5] =
    ["docker.io/library/", "index.docker.io/library/", "docker.io/", "index.docker.io/", "library/"];
/// No name of an image is longer.
pub(super) const LONGEST: usize = 400;

/// The images that the build of a stage, the last one without a name, begins with or takes files from, each with the line that names it
/// first.
pub(super) fn images(
    instructions: &[Instruction],
    args: &EnvVars,
    target: Option<&str>,
) -> Result<BTreeMap<String, usize>, DockerfileError> {
    let stages = stages(instructions, args);
    let named = |name: &str| stages.iter().rposition(|stage| stage.is(name));
    let by_name_or_number = |name: &str| named(name).or_else(|| name.parse().ok().filter(|at| *at < stages.len()));
    let Some(last) = stages.len().checked_sub(1) else { return Ok(BTreeMap::new()) };
    let mut to_come = vec![target.and_then(by_name_or_number).unwrap_or(last)];
    let (mut seen, mut found) = (BTreeSet::new(), BTreeMap::new());
    while let Some(at) = to_come.pop().filter(|_| seen.len() <= stages.len()) {
        if !seen.insert(at) {
            continue;
        }
        let stage = &stages[at];
        let mut note = |image: &str, line: usize| {
            let first: &mut usize = found.entry(image.to_owned()).or_insert(line);
            *first = line.min(*first);
        };
        match &stage.begins {
            Begins::With(image) => match stages[..at].iter().rposition(|earlier| earlier.is(image)) {
                Some(earlier) => to_come.push(earlier),
                None if is_official(image) => {}
                None if !stage.here => return Err(DockerfileError::OtherPlatform(stage.line)),
                None => note(image, stage.line),
            },
            Begins::Unknown => return Err(DockerfileError::UnknownImage(stage.line)),
        }
        for (image, line) in &stage.takes {
            match by_name_or_number(image) {
                Some(other) => to_come.push(other),
                None if !is_plain(image) => return Err(DockerfileError::UnknownImage(*line)),
                None if is_official(image) => {}
                None => note(image, *line),
            }
        }
    }
    Ok(found)
}

/// The image or stage that each `FROM` begins with, by its line.
pub(super) fn begun_with(instructions: &[Instruction], args: &EnvVars) -> BTreeMap<usize, String> {
    let begun = stages(instructions, args).into_iter().filter_map(|stage| match stage.begins {
        Begins::With(image) => Some((stage.line, image)),
        Begins::Unknown => None,
    });
    begun.collect()
}

/// The images or stages that an instruction takes files from.
pub(super) fn taken_from(instruction: &Instruction) -> Vec<String> {
    let (name, arguments) = instruction.in_effect();
    let (options, _) = flags(&arguments);
    let value = |option: &String, key: &str| option.strip_prefix(key).map(|value| value.replace('"', ""));
    match name.as_str() {
        "COPY" => options.iter().filter_map(|option| value(option, "--from=")).collect(),
        "RUN" => {
            let mounts = options.iter().filter_map(|option| value(option, "--mount="));
            let parts = mounts.flat_map(|mount| mount.split(',').map(str::to_owned).collect::<Vec<_>>());
            let from = |part: String| {
                let (key, value) = part.split_once('=')?;
                key.trim().eq_ignore_ascii_case("from").then(|| value.trim().to_owned())
            };
            parts.filter_map(from).collect()
        }
        _ => Vec::new(),
    }
}

struct Stage {
    line: usize,
    name: Option<String>,
    begins: Begins,
    /// Whether it is for this machine's own kind.
    here: bool,
    /// The images or stages that it takes files from, with the lines.
    takes: Vec<(String, usize)>,
}

enum Begins {
    /// An image or an earlier stage.
    With(String),
    /// What the name is can't be told.
    Unknown,
}

impl Stage {
    fn is(&self, name: &str) -> bool {
        self.name.as_ref().is_some_and(|own| own.eq_ignore_ascii_case(name))
    }

    fn read(instruction: &Instruction, global: &Global) -> Self {
        let (options, rest) = flags(&instruction.arguments);
        let words: Vec<&str> = rest.split_whitespace().collect();
        let name = match words[..] {
            [_, word, name] if word.eq_ignore_ascii_case("as") => Some(name.to_owned()),
            _ => None,
        };
        let image = words.first().and_then(|image| global.filled(image));
        // Without a name nothing is built at all.
        let image = image.filter(|image| image.is_empty() || is_plain(image));
        let here = |option: &String| match option.strip_prefix("--platform=") {
            Some(platform) => global.filled(platform).is_some_and(|platform| is_here(&platform)),
            None => false,
        };
        Self {
            line: instruction.line,
            name,
            begins: image.map_or(Begins::Unknown, Begins::With),
            here: options.iter().all(here),
            takes: Vec::new(),
        }
    }
}

fn stages(instructions: &[Instruction], args: &EnvVars) -> Vec<Stage> {
    let mut global = Global::new();
    let mut stages: Vec<Stage> = Vec::new();
    for instruction in instructions {
        match (instruction.name.as_str(), stages.last_mut()) {
            ("FROM", _) => stages.push(Stage::read(instruction, &global)),
            ("ARG", None) => global.take(&instruction.arguments, args),
            (_, Some(stage)) => {
                stage.takes.extend(taken_from(instruction).into_iter().map(|image| (image, instruction.line)));
            }
            (_, None) => {}
        }
    }
    stages
}

/// Whether it is a name that the engine could have an image by, and nothing of a shell's in it.
fn is_plain(image: &str) -> bool {
    (1..=LONGEST).contains(&image.len()) && image.bytes().all(|b| b.is_ascii_alphanumeric() || b"._-/:@".contains(&b))
}

/// Whether it is of the official library; so is the name of a stage, which has no slash either, and `scratch`.
fn is_official(image: &str) -> bool {
    let short = LIBRARY.iter().find_map(|library| image.strip_prefix(library)).unwrap_or(image);
    !short.contains('/')
}

/// The registry that an image is from: a host, and its port where the image names one.
pub(super) fn registry(image: &str) -> String {
    let (registry, _) = image.split_once('/').unwrap_or_default();
    // Who decides is Docker, and takes anything else for the name of somebody there.
    let names_one = registry.contains(['.', ':'])
        || registry.eq_ignore_ascii_case("localhost")
        || registry != registry.to_lowercase();
    let (host, port) = registry.split_once(':').map_or((registry, None), |(host, port)| (host, Some(port)));
    match (host.trim_end_matches('.').to_ascii_lowercase(), port) {
        _ if !names_one => HUB.to_owned(),
        (host, None) if host == "index.docker.io" => HUB.to_owned(),
        (host, None) => host,
        (host, Some(port)) => format!("{host}:{port}"),
    }
}

/// Whether a platform is the one of this machine. The engine is on it too: see `ConnectError::Address`.
fn is_here(platform: &str) -> bool {
    platform == here() || platform == format!("{}/v8", here()) && platform.starts_with("linux/arm64")
}

/// This machine's platform, as images call it.
pub(super) fn here() -> String {
    format!("linux/{}", arch())
}

/// This machine's kind of processor, as images call it.
pub fn arch() -> &'static str {
    match std::env::consts::ARCH {
        "x86_64" => "amd64",
        "aarch64" => "arm64",
        "powerpc64" => "ppc64le",
        other => other,
    }
}

#[cfg(test)]
mod tests {
    use super::super::{BuiltWith, OwnDockerfile};
    use super::*;
    use crate::base_images::BaseImages;

    fn read(text: &str, target: Option<&str>) -> Result<String, DockerfileError> {
        let mut args = EnvVars::default();
        args.insert("GIVEN".parse().unwrap(), "org/given:1".to_owned());
        let with = BuiltWith { args, target: target.map(str::to_owned) };
        let read = OwnDockerfile::parse_with(text, &with)?;
        Ok(read.images().iter().map(|(image, line)| format!("{image}@{line}")).collect::<Vec<_>>().join(" "))
    }

    #[test]
    fn images_are_known_by_what_the_file_and_the_build_say() {
        let arch = arch();
        for (text, expected) in [
            ("FROM node:22\nFROM scratch\nFROM docker.io/library/x\nFROM library/x\nFROM docker.io/x", ""),
            ("FROM org/base", "org/base@1"),
            ("FROM docker.io/org/base:1@sha256:00", "docker.io/org/base:1@sha256:00@1"),
            ("FROM localhost:5000/x AS a\nFROM a", "localhost:5000/x@1"),
            ("ARG A=org\nARG B=\"base:1\"\nFROM $A/${B}", "org/base:1@3"),
            ("ARG V\nFROM org/base:${V:-1}", "org/base:1@2"),
            ("ARG V=2\nFROM org/base${V:+:2}${W+x}${W-}", "org/base:2@2"),
            ("ARG GIVEN=org/other\nFROM $GIVEN", "org/given:1@2"),
            ("FROM org/base$UNSET", "org/base@1"),
            ("FROM --platform=$BUILDPLATFORM org/base-${TARGETARCH}", &format!("org/base-{arch}@1")),
            (&format!("FROM --platform=linux/{arch} org/base"), "org/base@1"),
            (
                "FROM x\nCOPY --link --from=org/a:1 /a /a\nRUN --mount=type=bind,from=org/b,target=/b ls",
                "org/a:1@2 org/b@3",
            ),
            ("FROM x\nONBUILD COPY --fr\\om='org/a' / /", "org/a@2"),
            ("FROM x\nONBUILD -- COPY --from=org/a / /", "org/a@2"),
            ("FROM x\nRUN curl --from=org/a && echo --mount=from=org/b", ""),
            // Nobody comes to these.
            ("FROM org/unused AS dev\nFROM org/base", "org/base@2"),
            ("FROM org/${X#v} AS dev\nFROM org/base", "org/base@2"),
            ("FROM org/a AS a\nFROM org/b AS b\nFROM x\nCOPY --from=A / /\nCOPY --from=1 / /", "org/a@1 org/b@2"),
            // A list of columns in a document is none, for whoever knows documents or does not.
            ("FROM x\nRUN <<EOF\nSELECT 1\nFROM org/users\nEOF", ""),
            ("FROM x\nRUN <<CMD\nFROM org/hidden\nCMD", "org/hidden@3"),
        ] {
            assert_eq!(read(text, None).unwrap_or_else(|error| panic!("{text}: {error}")), expected, "{text}");
        }
        let stages = "FROM org/a AS a\nFROM org/b AS b\nFROM a AS c\n";
        for (target, expected) in
            [(None, "org/a@1"), (Some("B"), "org/b@2"), (Some("0"), "org/a@1"), (Some("no"), "org/a@1")]
        {
            assert_eq!(read(stages, target).unwrap(), expected, "{target:?}");
        }
    }

    #[test]
    fn a_name_that_cannot_be_told_is_refused() {
        for text in [
            "ARG A=xorg\nFROM ${A#x}/base",
            "ARG A=preview_deployer\nFROM ${A/_/-}/org-secret-3",
            "FROM ${A:?}/base",
            "FROM org/${A:-${B}}",
            "ARG V=2\nFROM org/base${V:+:$V}",
            "FROM org/b\\ase",
            "FROM org/base-$TARGETVARIANT",
            "ARG TARGETARCH\nFROM org/base-$TARGETARCH",
            "ARG A=org/evil\nARG A\nFROM good/x$A",
            "ARG B=org/evil\nARG A=\" B=good/x \"\nFROM $B",
            "ARG A=1 B=org/$A\nFROM $B",
            "ARG B=x\nARG A='org/$B'\nFROM $A",
            "ARG A=or\\g\nFROM $A/base",
            "ARG A\nFROM org/${A-base}",
            "FROM x\nCOPY --from=$A / /",
            "FROM x\nRUN --mount=from=org/${A},target=/x ls",
        ] {
            assert!(
                matches!(read(text, None), Err(DockerfileError::UnknownImage(_))),
                "{text}: {:?}",
                read(text, None)
            );
        }
        for text in ["FROM --platform=linux/sparc64 org/base", "FROM --platform=$TARGETVARIANT org/base"] {
            assert_eq!(read(text, None), Err(DockerfileError::OtherPlatform(1)), "{text}");
        }
        assert_eq!(read("FROM --platform=linux/sparc64 node:22", None).unwrap(), "");
        let many: String = (0..21).map(|n| format!("COPY --from=org/i{n} / /\n")).collect();
        assert_eq!(read(&format!("FROM x\n{many}"), None), Err(DockerfileError::TooMuch));
    }

    #[test]
    fn a_registry_beside_the_server_is_told() {
        let of = |text: &str, prefix: Option<&str>| {
            let from = prefix.map_or_else(BaseImages::public, |prefix| BaseImages::with_prefix(prefix).unwrap());
            let from = from.with_registries_of_strangers("docker.io, registry.example.com:5000".parse().unwrap());
            OwnDockerfile::parse(text).unwrap().registries(&from)
        };
        for image in [
            "localhost/x",
            "127.0.0.1:5000/x",
            "10.0.0.5/org/x:1",
            "169.254.169.254/x/y",
            "LOCALHOST:1/x",
            "2130706433:80/x",
        ] {
            let refused = of(&format!("FROM {image}\n"), None);
            assert!(matches!(refused, Err(DockerfileError::NearRegistry { line: 1, .. })), "{image}: {refused:?}");
        }
        let text = "FROM org/x\nCOPY --from=Registry.example.com:5000/y / /\nCOPY --from=10.0.0.5:5000/mirror/z / /\n";
        let found = of(text, Some("10.0.0.5:5000/mirror")).unwrap();
        assert_eq!(found, [("registry.example.com".to_owned(), 2)].into(), "the operator's own is");
        assert!(of(text, Some("10.0.0.5:5000/mir")).is_err());
    }

    #[test]
    fn a_strangers_registry_is_a_known_one_or_the_operators() {
        let of = |image: &str, prefix: &str| {
            let from = BaseImages::with_prefix(prefix).unwrap();
            OwnDockerfile::parse(&format!("FROM {image}\n")).unwrap().registries(&from)
        };
        for (image, registry) in [
            ("evil.example/x", "evil.example"),
            ("Evil.Example:5000/x", "evil.example:5000"),
            ("ghcr.io:5000/x/y", "ghcr.io:5000"),
            ("ghcr.io.evil.example/x", "ghcr.io.evil.example"),
            ("mirror.example.com:1/x", "mirror.example.com:1"),
        ] {
            let refused = DockerfileError::OtherRegistry { line: 1, registry: registry.to_owned() };
            assert_eq!(of(image, "mirror.example.com/hub"), Err(refused), "{image}");
        }
        for (image, hosts) in [
            ("org/x", &[][..]),
            ("docker.io/org/x", &[]),
            ("index.docker.io/org/x", &[]),
            ("GHCR.io/org/x", &["ghcr.io"]),
            ("ghcr.io./org/x", &["ghcr.io"]),
            ("mirror.example.com/hub/x", &[]),
            ("mirror.example.com/other/x", &["mirror.example.com"]),
        ] {
            let found = of(image, "mirror.example.com/hub").unwrap();
            assert_eq!(found.keys().map(String::as_str).collect::<Vec<_>>(), hosts, "{image}");
        }
    }
}
