//! How a Node project's dependencies are installed: by the package manager whose lock file is there.

use minijinja::context;

use super::node::Package;
use super::node_workspace::Member;
use super::{DetectError, Files};

/// How dependencies are installed.
pub(super) struct Installation {
    /// What shows which package manager it is.
    pub(super) reason: &'static str,
    /// The npm package that brings the package manager, where it isn't npm itself.
    pub(super) tool: Option<String>,
    /// Variables of the package manager, as `NAME=value`.
    pub(super) env: &'static [&'static str],
    /// The cache mount that `install` and `prune` share.
    pub(super) cache: &'static str,
    /// Installs everything, exactly as locked.
    pub(super) install: &'static str,
    /// Leaves what the app needs at run time.
    pub(super) prune: &'static str,
    /// Files and folders that are copied before installing: (from, to).
    pub(super) manifests: Vec<(String, String)>,
    /// Whether scripts of the project's own run with it, which may read and write anywhere in the tree.
    pub(super) needs_sources: bool,
}

/// Files beside `package.json` and the lock file that package managers read, and folders.
const MANAGER_FILES: [&str; 4] = [".npmrc", ".yarnrc.yml", ".pnpmfile.cjs", "pnpm-workspace.yaml"];
const MANAGER_FOLDERS: [&str; 2] = [".yarn", "patches"];

/// Above this many packages, copying their manifests one by one costs more than it saves.
const MOST_MANIFESTS: usize = 60;

impl Installation {
    /// The package manager whose lock file is in the folder, npm where none is. The other packages of a workspace are installed
    /// with it.
    pub(super) fn find(files: &dyn Files, package: &Package, members: &[Member]) -> Result<Self, DetectError> {
        let root = files.list("")?;
        let has = |name: &str| root.iter().any(|found| found == name);
        let (mut installation, lock) = if has("pnpm-lock.yaml") {
            (pnpm(package, &files.read("pnpm-lock.yaml")?.unwrap_or_default()), Some("pnpm-lock.yaml"))
        } else if has("yarn.lock") {
            let classic = files.read("yarn.lock")?.unwrap_or_default().contains("# yarn lockfile v1");
            (if classic { yarn_classic(package) } else { yarn_berry(package) }, Some("yarn.lock"))
        } else if let Some(lock) = ["package-lock.json", "npm-shrinkwrap.json"].into_iter().find(|lock| has(lock)) {
            (npm_locked(), Some(lock))
        } else if has("bun.lock") || has("bun.lockb") {
            return Err(DetectError::NeedsBun("only Bun's lock file says what is installed"));
        } else {
            (npm_unlocked(), None)
        };
        if !members.is_empty() && has("yarn.lock") && installation.prune == YARN_BERRY_PRUNE {
            installation.prune = "yarn workspaces focus --all --production";
        }
        installation.needs_sources = members.len() > MOST_MANIFESTS
            || package.install_needs_sources()
            // Packages that were not found: whatever they are, they are in the tree.
            || members.is_empty() && !package.workspaces().is_empty()
            || members.iter().any(|member| member.package.install_needs_sources() || member.package.has_programs());
        installation.manifests = if installation.needs_sources {
            vec![(".".to_owned(), ".".to_owned())]
        } else {
            let files = MANAGER_FILES.into_iter().filter(|name| has(name));
            let names: Vec<&str> = std::iter::once("package.json").chain(lock).chain(files).collect();
            let folders = MANAGER_FOLDERS.into_iter().filter(|name| has(name));
            let folders = folders.map(|name| (name.to_owned(), format!("./{name}")));
            let manifests = members.iter().map(|member| {
                let folder = member.folder.as_str();
                (format!("{folder}/package.json"), format!("./{folder}/"))
            });
            std::iter::once((names.join(" "), "./".to_owned())).chain(folders).chain(manifests).collect()
        };
        Ok(installation)
    }

    /// What a Dockerfile needs to know of it.
    pub(super) fn values(&self) -> minijinja::Value {
        context! {
            tool => &self.tool,
            env => self.env.join(" "),
            cache => self.cache,
            install => self.install,
            manifests => self.manifests.iter().map(|(from, to)| format!("{from} {to}")).collect::<Vec<_>>(),
        }
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
        needs_sources: false,
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
        needs_sources: false,
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
        needs_sources: false,
    }
}

/// Of one package; a workspace's needs another.
const YARN_BERRY_PRUNE: &str = "yarn workspaces focus --production";

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
        prune: YARN_BERRY_PRUNE,
        manifests: Vec::new(),
        needs_sources: false,
    }
}
