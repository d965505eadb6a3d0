//! What every Node project has: a `package.json`, a package manager that its lock file tells, and one Dockerfile for all.

use minijinja::context;
use serde_json::Value;

use crate::repo_config::{ContainerPort, RelativePath};

use super::{DetectError, Files, Framework, Project, Recipe, commands, database, migration, render};

const TEMPLATE: &str = include_str!("../../../../templates/node.Dockerfile");
/// Where the generators and the examples of most libraries let an app listen when `PORT` says nothing.
const PORT: ContainerPort = ContainerPort::new(3000).unwrap();

/// What runs the app.
pub(super) enum Start {
    /// A JavaScript file.
    File(String),
    /// A script of `package.json`.
    Script(&'static str),
}

impl Start {
    /// The container's command: without npm in between where a script is a plain `node …`, which is one process less, and
    /// signals reach the app.
    fn command(&self, package: &Package) -> Vec<String> {
        let name = match self {
            Self::File(file) => return vec!["node".to_owned(), file.clone()],
            Self::Script(name) => *name,
        };
        let script = package.script(name).unwrap_or_default();
        let words: Vec<String> = script.split_whitespace().map(str::to_owned).collect();
        let plain = |word: &String| word.bytes().all(|b| b.is_ascii_alphanumeric() || b"._-/=:@".contains(&b));
        if words.len() > 1 && words[0] == "node" && words.iter().all(plain) {
            words
        } else {
            ["npm", "run", name].map(str::to_owned).to_vec()
        }
    }
}

/// The recipe of an app that is installed by its package manager, built where it has a `build` script, and started so.
pub(super) fn recipe(
    project: Project<'_>,
    package: &Package,
    framework: Framework,
    evidence: &str,
    start: &Start,
) -> Result<Recipe, DetectError> {
    let installation = Installation::find(project.files, package)?;
    let app_port = project.config.app_port.unwrap_or(PORT);
    let keeps_dev = match project.config.migrate {
        // Whoever says what migrates knows what it needs.
        Some(_) => false,
        None => {
            database::find(project.files, project.config)?.database.is_some()
                && migration::of_node(project.files, package)?.is_some_and(|tool| tool.keeps_dev(package))
        }
    };
    let commands = &project.config.build_commands;
    let values = context! {
        tool => installation.tool,
        env => installation.env.join(" "),
        cache => installation.cache,
        install => installation.install,
        prune => if keeps_dev { "" } else { installation.prune },
        commands => commands::run_lines(commands, &format!("--mount=type=cache,{} ", installation.cache)),
        manifests => installation.manifests.iter().map(|(from, to)| format!("{from} {to}")).collect::<Vec<_>>(),
        build => package.script("build").is_some() || !commands.is_empty(),
        script => package.script("build").is_some(),
        // Commands may write there too.
        generates_dependencies => package.generates_dependencies() || !commands.is_empty(),
        port => app_port.get(),
        command => serde_json::json!(start.command(package)).to_string(),
    };
    Ok(Recipe {
        framework,
        reason: format!("{evidence}; {}", installation.reason),
        dockerfile: render(TEMPLATE, &project.rules.base_images, values),
        app_port,
        user: Some("node".to_owned()),
    })
}

/// The parts of `package.json` that matter here.
pub(super) struct Package(Value);

impl Package {
    /// Reads it; `None` where there is none.
    pub(super) fn read(files: &dyn Files) -> Result<Option<Self>, DetectError> {
        const PATH: &str = "package.json";
        let Some(text) = files.read(PATH)? else { return Ok(None) };
        let bad = |error: serde_json::Error| DetectError::BadManifest {
            path: PATH,
            line: error.line(),
            column: error.column(),
        };
        let text = text.strip_prefix('\u{FEFF}').unwrap_or(&text);
        serde_json::from_str(text).map(|value| Some(Self(value))).map_err(bad)
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
    fn pinned(&self, manager: &str) -> Option<&str> {
        let version = self.0["packageManager"].as_str()?.strip_prefix(manager)?.strip_prefix('@')?;
        let version = version.split('+').next()?;
        let plain = |b: u8| b.is_ascii_alphanumeric() || b == b'.' || b == b'-';
        (version.starts_with(|c: char| c.is_ascii_digit()) && version.bytes().all(plain)).then_some(version)
    }

    /// Why an install may need more of the tree than the manifests: scripts of the project's own that run with it, or workspaces.
    fn install_needs_sources(&self) -> bool {
        // Git hooks are what `prepare` most often installs; husky leaves a tree without `.git` alone.
        let of_hooks = |script: &&str| script.starts_with("husky");
        let scripts = ["preinstall", "install", "postinstall", "prepare"];
        self.0.get("workspaces").is_some()
            || scripts.iter().filter_map(|name| self.script(name)).any(|script| !of_hooks(&script))
    }

    /// Whether building writes code into `node_modules` that the app runs.
    fn generates_dependencies(&self) -> bool {
        self.depends_on("@prisma/client")
    }
}

/// How dependencies are installed.
struct Installation {
    /// What shows which package manager it is.
    reason: &'static str,
    /// The npm package that brings the package manager, where it isn't npm itself.
    tool: Option<String>,
    /// Variables of the package manager, as `NAME=value`.
    env: &'static [&'static str],
    /// The cache mount that `install` and `prune` share.
    cache: &'static str,
    /// Installs everything, exactly as locked.
    install: &'static str,
    /// Leaves what the app needs at run time.
    prune: &'static str,
    /// Files and folders that are copied before installing: (from, to).
    manifests: Vec<(String, String)>,
}

/// Files beside `package.json` and the lock file that package managers read, and folders.
const MANAGER_FILES: [&str; 4] = [".npmrc", ".yarnrc.yml", ".pnpmfile.cjs", "pnpm-workspace.yaml"];
const MANAGER_FOLDERS: [&str; 2] = [".yarn", "patches"];

impl Installation {
    /// The package manager whose lock file is there, npm where none is.
    fn find(files: &dyn Files, package: &Package) -> Result<Self, DetectError> {
        let root = files.list("")?;
        let has = |name: &str| root.iter().any(|found| found == name);
        let (mut installation, lock) = if has("pnpm-lock.yaml") {
            (pnpm(package, &files.read("pnpm-lock.yaml")?.unwrap_or_default()), Some("pnpm-lock.yaml"))
        } else if has("yarn.lock") {
            let classic = files.read("yarn.lock")?.unwrap_or_default().contains("# yarn lockfile v1");
            (if classic { yarn_classic(package) } else { yarn_berry(package) }, Some("yarn.lock"))
        } else if let Some(lock) = ["package-lock.json", "npm-shrinkwrap.json"].into_iter().find(|lock| has(lock)) {
            (npm_locked(), Some(lock))
        } else {
            (npm_unlocked(), None)
        };
        installation.manifests = if package.install_needs_sources() {
            vec![(".".to_owned(), ".".to_owned())]
        } else {
            let files = MANAGER_FILES.into_iter().filter(|name| has(name));
            let names: Vec<&str> = std::iter::once("package.json").chain(lock).chain(files).collect();
            let folders = MANAGER_FOLDERS.into_iter().filter(|name| has(name));
            let folders = folders.map(|name| (name.to_owned(), format!("./{name}")));
            std::iter::once((names.join(" "), "./".to_owned())).chain(folders).collect()
        };
        Ok(installation)
    }
}

fn npm_locked() -> Installation {
    Installation {
        reason: "npm by its lock file",
        tool: None,
        env: &["NPM_CONFIG_AUDIT=false", "NPM_CONFIG_FUND=false", "NPM_CONFIG_UPDATE_NOTIFIER=false"],
        cache: "id=npm,target=/root/.npm",
        install: "npm ci",
        prune: "npm prune --omit=dev",
        manifests: Vec::new(),
    }
}

fn npm_unlocked() -> Installation {
    Installation {
        reason: "npm without a lock file, so versions may change between builds",
        install: "npm install --no-package-lock",
        prune: "npm prune --omit=dev --no-package-lock",
        ..npm_locked()
    }
}

fn pnpm(package: &Package, lock: &str) -> Installation {
    // A lock file is read by the release line that wrote it.
    // Source: https://github.com/pnpm/spec/tree/master/lockfile
    let format = lock.lines().find_map(|line| line.strip_prefix("lockfileVersion:")).unwrap_or_default();
    let release = match format.trim().trim_matches(['\'', '"']) {
        "5.3" | "5.4" => "7",
        "6.0" | "6.1" => "8",
        _ => "10",
    };
    Installation {
        reason: "pnpm by its lock file",
        tool: Some(format!("pnpm@{}", package.pinned("pnpm").unwrap_or(release))),
        env: &["CI=true", "NPM_CONFIG_UPDATE_NOTIFIER=false"],
        cache: "id=pnpm,target=/pnpm-store",
        install: "pnpm install --frozen-lockfile --store-dir=/pnpm-store",
        prune: "pnpm install --frozen-lockfile --prod --offline --ignore-scripts \
                --config.modules-cache-max-age=0 --store-dir=/pnpm-store",
        manifests: Vec::new(),
    }
}

fn yarn_classic(package: &Package) -> Installation {
    Installation {
        reason: "Yarn 1 by its lock file",
        tool: Some(format!("yarn@{}", package.pinned("yarn").filter(|v| v.starts_with("1.")).unwrap_or("1"))),
        env: &["NPM_CONFIG_UPDATE_NOTIFIER=false"],
        // Yarn 1 doesn't lock its cache against a second Yarn.
        cache: "id=yarn,target=/yarn-cache,sharing=locked",
        install: "yarn install --frozen-lockfile --non-interactive --cache-folder=/yarn-cache",
        prune: "yarn install --frozen-lockfile --non-interactive --production --offline --ignore-scripts \
                --cache-folder=/yarn-cache",
        manifests: Vec::new(),
    }
}

fn yarn_berry(package: &Package) -> Installation {
    Installation {
        reason: "Yarn by its lock file",
        tool: Some(format!("@yarnpkg/cli-dist@{}", package.pinned("yarn").unwrap_or("4"))),
        // Plug'n'Play would need its loader at run time; a plain `node` finds `node_modules`.
        env: &[
            "YARN_NODE_LINKER=node-modules",
            "YARN_GLOBAL_FOLDER=/yarn-cache",
            "YARN_ENABLE_GLOBAL_CACHE=true",
            "YARN_ENABLE_TELEMETRY=false",
            "NPM_CONFIG_UPDATE_NOTIFIER=false",
        ],
        cache: "id=yarn-berry,target=/yarn-cache",
        install: "yarn install --immutable",
        prune: "yarn workspaces focus --production",
        manifests: Vec::new(),
    }
}
