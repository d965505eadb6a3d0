//! What the images that a Dockerfile is built upon have put aside for it (`ONBUILD`): BuildKit obeys it as if it stood behind the line that
//! names the image, and so it is read here. It comes from whoever made the image, in whatever shape they gave it.

use std::collections::BTreeMap;

use crate::repo_config::EnvVars;

use super::images::{begun_with, taken_from};
use super::{Dialect, DockerfileError, Head, Instruction, Lines, MAX_BYTES, instructions};

/// What must be known of an image before something is built upon it.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ImageFacts {
    /// What it has put aside, an instruction each.
    pub put_aside: Vec<String>,
    /// Its variables, as `NAME=value`.
    pub variables: Vec<String>,
    /// Whether there is no file in it.
    pub is_empty: bool,
}

/// What is known, by the names that Dockerfiles give the images.
pub type KnownImages = BTreeMap<String, ImageFacts>;

/// The instructions of a file with those that its images bring along.
pub(super) fn with_put_aside(
    file: Vec<Instruction>,
    dialect: Dialect,
    args: &EnvVars,
    known: &KnownImages,
) -> Result<Vec<Instruction>, DockerfileError> {
    if known.values().all(|facts| facts.put_aside.is_empty() && !facts.is_empty) {
        return Ok(file);
    }
    let begun = begun_with(&file, args);
    let mut whole = Vec::new();
    for instruction in file {
        let line = instruction.line;
        let image = (instruction.name == "FROM").then(|| begun.get(&line).cloned()).flatten();
        // That files alone are taken from an image is no reason for every BuildKit to leave its instructions alone.
        let images = image.into_iter().chain(taken_from(&instruction));
        let facts: Vec<&ImageFacts> = images.filter_map(|image| known.get(&image)).collect();
        whole.push(instruction);
        for facts in facts {
            whole.extend(facts.instructions(line, dialect)?);
        }
    }
    Ok(whole)
}

impl ImageFacts {
    fn instructions(&self, line: usize, dialect: Dialect) -> Result<Vec<Instruction>, DockerfileError> {
        if self.is_empty {
            return Err(DockerfileError::EmptyImage(line));
        }
        let size: usize = self.put_aside.iter().chain(&self.variables).map(String::len).sum();
        if size > MAX_BYTES {
            return Err(DockerfileError::TooLarge);
        }
        let plain = |variable: &&String| !variable.contains(|c: char| c.is_whitespace() || c == '$');
        let variables = self.variables.iter().filter(plain);
        let variable = |arguments: &String| Instruction { name: "ENV".to_owned(), arguments: arguments.clone(), line };
        let mut all: Vec<Instruction> = variables.map(variable).collect();
        for text in &self.put_aside {
            // Each is read as a file of its own, with a head of its own.
            let head = Head::read(text).map_err(|problem| problem.at(line))?;
            let lines = Lines::of(text).map_err(|problem| problem.at(line))?;
            let read = instructions(&lines, head.escape, dialect).map_err(|problem| problem.at(line))?;
            all.extend(read.into_iter().map(|instruction| Instruction { line, ..instruction }));
        }
        match all.iter().find(|instruction| instruction.name == "FROM" || !instruction.is_known()) {
            Some(_) => Err(DockerfileError::UnknownInstruction(line)),
            None => Ok(all),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::{BuiltWith, OwnDockerfile};
    use super::*;

    fn known(image: &str, put_aside: &[&str]) -> KnownImages {
        let put_aside = put_aside.iter().map(|text| (*text).to_owned()).collect();
        let variables = vec!["HOST=127.0.0.1".to_owned(), "PATH=/bin and more".to_owned()];
        [(image.to_owned(), ImageFacts { put_aside, variables, is_empty: false })].into()
    }

    fn read(text: &str, put_aside: &[&str]) -> Result<OwnDockerfile, DockerfileError> {
        OwnDockerfile::parse_upon(text, &BuiltWith::default(), &known("org/base:1", put_aside))
    }

    const UPON: &str = "FROM org/base:1\nRUN ls\n";

    #[test]
    fn what_an_image_has_put_aside_is_judged_as_if_it_stood_in_the_file() {
        for (text, problem) in [
            ("ADD http://127.0.0.1:3000/x /x", DockerfileError::NearAdd(1)),
            ("add --chown=\"1 \" [\"http\\u003a//169.254.169.254/x\", \"/x\"]", DockerfileError::NearAdd(1)),
            ("ADD http://$HOST/x /x", DockerfileError::NearAdd(1)),
            ("# escape=`\nADD http://127.`\n0.0.1/x /x", DockerfileError::NearAdd(1)),
            ("# a comment\n\nADD \\\n http://localhost/x /x", DockerfileError::NearAdd(1)),
            ("ONBUILD ADD http://127.0.0.1/x /x", DockerfileError::NearAdd(1)),
            ("RUN ls\nADD http://127.0.0.1/x /x", DockerfileError::NearAdd(1)),
            ("COPY --from=preview-deployer/org-secret-3:1 / /", DockerfileError::ForeignPreview(1)),
            ("RUN --mount=from=preview\\-deployer/org-secret-3,target=/x ls", DockerfileError::ForeignPreview(1)),
            ("RUN --network=host ls", DockerfileError::Privilege(1)),
            ("ARG BUILDKIT_SYNTAX=evil.example/x", DockerfileError::Steers(1)),
            ("# syntax=evil.example/x\nRUN ls", DockerfileError::ForeignSyntax(1)),
            ("FROM evil", DockerfileError::UnknownInstruction(1)),
            ("RUN ls \\\r\r\n && ls", DockerfileError::LineEnd(1)),
            ("RUN <<\"E\\\\\"\ntrue\nE\\\nADD http://127.0.0.1/ /x", DockerfileError::Heredoc(1)),
            ("# check=skip=all\n# escape=`\nRUN ls", DockerfileError::Escape(1)),
            ("{\"a\": 1}", DockerfileError::UnknownInstruction(1)),
            (&format!("RUN {}", "x".repeat(MAX_BYTES)), DockerfileError::TooLarge),
        ] {
            for file in [UPON, "FROM org/base:1 AS a\nFROM a\n", "FROM node:22\nCOPY --from=org/base:1 /x /x\n"] {
                let found = read(file, &["RUN ls", text]).unwrap_err();
                let DockerfileError::PutAside(found) = found else { panic!("{found}") };
                let line = file.lines().position(|line| line.contains("org/base")).unwrap() + 1;
                let told = format!("line {line}: ");
                assert_eq!(std::mem::discriminant(&*found), std::mem::discriminant(&problem), "{text:.80}\n{file}");
                assert!(found.to_string().starts_with(&told) || *found == DockerfileError::TooLarge, "{found}");
            }
        }
        for fine in ["RUN npm ci", "COPY . /app", "ADD a.tar /x", "ADD https://example.com/x /x", "EXPOSE 80"] {
            assert!(read(UPON, &[fine]).is_ok(), "{fine}");
        }
    }

    #[test]
    fn what_only_members_may_is_told_of_images_too() {
        let text = "FROM org/base:1\n";
        assert_eq!(
            read(text, &["ADD https://example.com/x /x"]).unwrap().fetches_nothing(),
            Err(DockerfileError::RemoteAdd(1))
        );
        assert_eq!(read(text, &["ADD $X /x"]).unwrap().fetches_nothing(), Err(DockerfileError::RemoteAdd(1)));
        assert_eq!(read(text, &["ADD x /x"]).unwrap().fetches_nothing(), Ok(()));
        let read = read(text, &["ADD https://example.com/x /x", "COPY --from=other/image:2 / /"]).unwrap();
        assert_eq!(read.hosts().iter().collect::<Vec<_>>(), [(&"example.com".to_owned(), &1)]);
        // These have to be looked at as well.
        assert_eq!(read.images().keys().collect::<Vec<_>>(), ["org/base:1", "other/image:2"]);
    }

    /// Engine 20.10 falls over when files are copied from one, and all that it runs loses its minder.
    #[test]
    fn an_image_with_nothing_in_it_is_nobodys_base() {
        let known = [("org/base:1".to_owned(), ImageFacts { is_empty: true, ..ImageFacts::default() })].into();
        let refused = OwnDockerfile::parse_upon("FROM x\nCOPY --from=org/base:1 / /\n", &BuiltWith::default(), &known);
        assert_eq!(refused.unwrap_err(), DockerfileError::EmptyImage(2));
    }

    #[test]
    fn the_words_say_where_it_comes_from() {
        let refused = read(UPON, &["RUN --network=host ls"]).unwrap_err();
        insta::assert_snapshot!(refused);
    }
}
