//! What a `package.json` says, as far as it matters here.

use std::collections::BTreeSet;

use serde_json::Value;

use crate::repo_config::RelativePath;

use super::{DetectError, Files};

/// The parts of `package.json` that matter here.
#[derive(Debug, Clone)]
pub(super) struct Package(Value);

/// Programs whose package has another name, or that want one beside their own.
const PROGRAMS: [(&str, &str); 14] = [
    ("tsc", "typescript"),
    ("nest", "@nestjs/cli"),
    ("babel", "@babel/cli"),
    ("babel-node", "@babel/node"),
    ("dotenv", "dotenv-cli"),
    ("swc", "@swc/cli"),
    ("dotenvx", "@dotenvx/dotenvx"),
    ("sequelize", "sequelize-cli"),
    ("tsnd", "ts-node-dev"),
    ("ts-node-esm", "ts-node"),
    ("typeorm-ts-node-commonjs", "ts-node"),
    ("typeorm-ts-node-esm", "ts-node"),
    ("mikro-orm", "@mikro-orm/cli"),
    ("mikro-orm-esm", "@mikro-orm/cli"),
];

/// The sections that name packages, with the versions that are wanted.
const SECTIONS: [&str; 4] = ["dependencies", "devDependencies", "optionalDependencies", "peerDependencies"];

/// What of the tree scripts of the project's own read that run with its installation.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum InstallReads {
    /// What every package manager reads itself.
    Manifests,
    /// Prisma's schema too.
    PrismaSchema,
    /// Nobody but its author knows what.
    Everything,
}

/// Commands of such scripts that read nothing but manifests, as they begin: Git hooks, which are left alone without a `.git`; a look at
/// which package manager it is; patches, which are copied anyway.
const HARMLESS: [&str; 5] = ["husky", "is-ci", "only-allow", "patch-package", "true"];

impl Package {
    /// Reads it; `None` where there is none.
    pub(super) fn read(files: &dyn Files) -> Result<Option<Self>, DetectError> {
        Self::read_in(files, &RelativePath::default())
    }

    /// Reads that of a folder.
    pub(super) fn read_in(files: &dyn Files, folder: &RelativePath) -> Result<Option<Self>, DetectError> {
        let path = manifest(folder);
        let Some(text) = files.read(&path)? else { return Ok(None) };
        let text = text.strip_prefix('\u{FEFF}').unwrap_or(&text);
        let bad =
            |error: serde_json::Error| DetectError::BadManifest { path, line: error.line(), column: error.column() };
        serde_json::from_str(text).map(|value| Some(Self(value))).map_err(bad)
    }

    /// The packages that it depends on at run time.
    pub(super) fn dependencies(&self) -> impl Iterator<Item = &str> {
        self.0["dependencies"].as_object().into_iter().flat_map(|all| all.keys()).map(String::as_str)
    }

    /// The patterns of the folders with the packages of its workspace; none where it has none.
    ///
    /// Source: <https://docs.npmjs.com/cli/v11/configuring-npm/package-json#workspaces>; Yarn 1 also has an object with `packages`.
    pub(super) fn workspaces(&self) -> Vec<String> {
        let workspaces = &self.0["workspaces"];
        let list = workspaces.as_array().or_else(|| workspaces["packages"].as_array());
        list.into_iter().flatten().filter_map(|pattern| pattern.as_str().map(str::to_owned)).collect()
    }

    /// The name by which other packages depend on it.
    pub(super) fn name(&self) -> Option<&str> {
        self.0["name"].as_str()
    }

    /// Whether it names this package among what it needs, to be built or to run.
    pub(super) fn needs(&self, package: &str) -> bool {
        SECTIONS.into_iter().any(|section| self.0[section].get(package).is_some())
    }

    /// Whether it names this package as a tool or a dependency.
    pub(super) fn has_tool(&self, package: &str) -> bool {
        self.depends_on(package) || self.has_dev(package)
    }

    fn has_dev(&self, package: &str) -> bool {
        self.0["devDependencies"].get(package).is_some()
    }

    /// Whether a word of a command line is a program or a module of a development dependency: `tsx`, `ts-node/register`.
    pub(super) fn has_dev_program(&self, word: &str) -> bool {
        let word = word.rsplit_once("node_modules/.bin/").map_or(word, |(_, program)| program);
        let mut parts = word.split('/');
        let first = parts.next().unwrap_or_default();
        let scoped = parts.next().filter(|_| first.starts_with('@')).map(|name| format!("{first}/{name}"));
        let named = PROGRAMS.iter().find(|(program, _)| *program == word).map(|(_, package)| *package);
        [Some(first), scoped.as_deref(), named].into_iter().flatten().any(|package| self.has_dev(package))
    }

    /// The words of a line for a shell and of the scripts that it runs by name, those included that run before and after them.
    pub(super) fn words_run_by(&self, line: &str) -> Vec<String> {
        let mut lines = vec![line.to_owned()];
        let mut names = BTreeSet::new();
        let mut words: Vec<String> = Vec::new();
        while let Some(line) = lines.pop() {
            let more =
                line.split(|c: char| c.is_whitespace() || "=;&|()'\"".contains(c)).filter(|word| !word.is_empty());
            let more: Vec<String> = more.map(str::to_owned).collect();
            // A word that is a script's name is taken for one: at worst, too much stays installed.
            for word in more.iter().filter(|word| self.script(word).is_some()) {
                if names.insert(word.clone()) {
                    let scripts = [format!("pre{word}"), word.clone(), format!("post{word}")];
                    lines.extend(scripts.iter().filter_map(|name| self.script(name)).map(str::to_owned));
                }
            }
            // `prisma db seed` runs what stands here.
            let seeds = more.windows(2).any(|pair| pair == ["db", "seed"]);
            lines.extend(self.0["prisma"]["seed"].as_str().filter(|_| seeds).map(str::to_owned));
            words.extend(more);
        }
        words
    }

    /// Whether it brings programs, which an install links to where the file is there.
    pub(super) fn has_programs(&self) -> bool {
        self.0.get("bin").is_some()
    }

    /// Whether it is a dependency at run time.
    pub(super) fn depends_on(&self, package: &str) -> bool {
        self.0["dependencies"].get(package).is_some()
    }

    /// Whether it is a dependency at run time or in development.
    pub(super) fn has(&self, package: &str) -> bool {
        self.depends_on(package) || self.0["devDependencies"].get(package).is_some()
    }

    /// A script's command line.
    pub(super) fn script(&self, name: &str) -> Option<&str> {
        self.0["scripts"].get(name)?.as_str().filter(|script| !script.trim().is_empty())
    }

    /// The file that it calls its `main`, if that is a path within the tree.
    pub(super) fn main(&self) -> Option<RelativePath> {
        self.0["main"].as_str()?.trim_start_matches("./").parse().ok()
    }

    /// Version of the package manager that the `packageManager` field pins, where it pins this one.
    ///
    /// Source: <https://nodejs.org/api/packages.html#packagemanager>
    pub(super) fn pinned(&self, manager: &str) -> Option<&str> {
        let version = self.0["packageManager"].as_str()?.strip_prefix(manager)?.strip_prefix('@')?;
        let version = version.split('+').next()?;
        let plain = |b: u8| b.is_ascii_alphanumeric() || b == b'.' || b == b'-';
        (version.starts_with(|c: char| c.is_ascii_digit()) && version.bytes().all(plain)).then_some(version)
    }

    /// What scripts of its own read that run with an install.
    pub(super) fn install_reads(&self) -> InstallReads {
        let scripts = ["preinstall", "install", "postinstall", "prepare"];
        let commands =
            scripts.iter().filter_map(|name| self.script(name)).flat_map(|script| script.split(['&', '|', ';']));
        let reads = commands.filter(|command| !command.trim().is_empty()).map(|command| {
            let words = command.split_whitespace().skip_while(|word| *word == "npx" || word.starts_with('-'));
            match words.collect::<Vec<_>>()[..] {
                [first, ..] if HARMLESS.contains(&first) => InstallReads::Manifests,
                ["prisma", "generate", ref flags @ ..] if flags.iter().all(|flag| flag.starts_with("--no-")) => {
                    InstallReads::PrismaSchema
                }
                _ => InstallReads::Everything,
            }
        });
        reads.max().unwrap_or(InstallReads::Manifests)
    }

    /// Whether installing or building it by its own scripts runs `prisma generate`.
    pub(super) fn generates_prisma(&self) -> bool {
        let scripts = ["preinstall", "install", "postinstall", "prepare", "build"];
        scripts.iter().any(|script| self.words_run_by(script).windows(2).any(|pair| pair == ["prisma", "generate"]))
    }

    /// Where it says that Prisma's schema is.
    pub(super) fn prisma_schema(&self) -> Option<RelativePath> {
        self.0["prisma"]["schema"].as_str()?.trim_start_matches("./").parse().ok()
    }

    /// The versions of a program with which it says that it works: `node`, `pnpm`.
    pub(super) fn engine(&self, program: &str) -> Option<&str> {
        self.0["engines"][program].as_str()
    }

    /// Whether it says which packages may run scripts when pnpm installs them.
    pub(super) fn allows_builds(&self) -> bool {
        ["onlyBuiltDependencies", "allowBuilds"].into_iter().any(|key| self.0["pnpm"].get(key).is_some())
    }

    /// Whether one of its packages is fetched by Git.
    ///
    /// Source: <https://docs.npmjs.com/cli/v11/configuring-npm/package-json#git-urls-as-dependencies>
    pub(super) fn wants_git(&self) -> bool {
        let versions = SECTIONS.iter().filter_map(|section| self.0[section].as_object()).flat_map(|all| all.values());
        versions.filter_map(Value::as_str).any(is_of_git)
    }

    /// Whether building writes code into `node_modules` that the app runs.
    pub(super) fn generates_dependencies(&self) -> bool {
        self.depends_on("@prisma/client")
    }
}

/// Whether what stands for a version is a repository: `github:owner/name`, `owner/name#v1`, `git+https://…`.
fn is_of_git(version: &str) -> bool {
    let begins = ["git+", "git:", "git@", "github:", "gitlab:", "bitbucket:", "gist:"];
    let path = version.split('#').next().unwrap_or_default();
    let short = !path.contains([':', ' ', '|', '>', '<']) && !path.starts_with(['.', '/', '~', '@']);
    begins.iter().any(|begin| version.starts_with(begin))
        || path.ends_with(".git")
        || short && path.matches('/').count() == 1
}

/// Where the `package.json` of a folder is.
pub(super) fn manifest(folder: &RelativePath) -> String {
    let name: RelativePath = "package.json".parse().expect("a plain name is a path");
    folder.join(&name).to_string()
}
