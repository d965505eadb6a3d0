//! How a Node project's dependencies are installed: by the package manager whose lock file is there.

use minijinja::context;

use super::node_package::{InstallReads, Package};
use super::node_workspace::Member;
use super::{DetectError, Files, node_prisma, node_version};

/// How dependencies are installed.
pub(super) struct Installation {
    /// What shows which package manager it is.
    pub(super) reason: &'static str,
    /// The npm package that brings the package manager, where it isn't npm itself.
    pub(super) tool: Option<String>,
    /// What it is called by where it is run.
    pub(super) programs: &'static [&'static str],
    /// Variables of the package manager, as `NAME=value`.
    pub(super) env: &'static [&'static str],
    /// The cache mount that `install` and `prune` share.
    pub(super) cache: &'static str,
    /// Installs everything, exactly as locked.
    pub(super) install: &'static str,
    /// Leaves what the app needs at run time; `None` where the package manager can't.
    pub(super) prune: Option<&'static str>,
    /// Files and folders that are copied before installing: (from, to).
    pub(super) manifests: Vec<(String, String)>,
    /// Whether it runs scripts only where its record of the installation is, beside the manifest.
    pub(super) keeps_state: bool,
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
            (pnpm(files, package)?, Some("pnpm-lock.yaml"))
        } else if has("yarn.lock") {
            let text = files.read("yarn.lock")?.unwrap_or_default();
            let installation = match text.contains("# yarn lockfile v1") {
                true => yarn_classic(package),
                false => yarn_berry(files, package, &text, !members.is_empty()),
            };
            (installation, Some("yarn.lock"))
        } else if let Some(lock) = ["package-lock.json", "npm-shrinkwrap.json"].into_iter().find(|lock| has(lock)) {
            (npm_locked(), Some(lock))
        } else if has("bun.lock") || has("bun.lockb") {
            return Err(DetectError::NeedsBun("only Bun's lock file says what is installed"));
        } else {
            (npm_unlocked(), None)
        };
        let schema = match package.install_reads() {
            InstallReads::Manifests => Some(Vec::new()),
            InstallReads::PrismaSchema => node_prisma::copies(files, package)?,
            InstallReads::Everything => None,
        };
        let reads_more = |member: &Member| member.package.install_reads() > InstallReads::Manifests;
        installation.needs_sources = members.len() > MOST_MANIFESTS
            || schema.is_none()
            // Packages that were not found: whatever they are, they are in the tree.
            || members.is_empty() && !package.workspaces().is_empty()
            || members.iter().any(|member| reads_more(member) || member.package.has_programs());
        installation.manifests = match schema.filter(|_| !installation.needs_sources) {
            Some(schema) => manifests(&root, lock, members).chain(schema).collect(),
            None => vec![(".".to_owned(), ".".to_owned())],
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

/// What package managers read before they install, as copies (from, to).
fn manifests(root: &[String], lock: Option<&str>, members: &[Member]) -> impl Iterator<Item = (String, String)> {
    let has = |name: &&str| root.iter().any(|found| found == name);
    let files = MANAGER_FILES.into_iter().filter(has);
    let names: Vec<&str> = std::iter::once("package.json").chain(lock).chain(files).collect();
    let folders = MANAGER_FOLDERS.into_iter().filter(has);
    let folders = folders.map(|name| (name.to_owned(), format!("./{name}")));
    let manifests = members.iter().map(|member| {
        let folder = member.folder.as_str();
        (format!("{folder}/package.json"), format!("./{folder}/"))
    });
    std::iter::once((names.join(" "), "./".to_owned())).chain(folders).chain(manifests)
}

fn npm_locked() -> Installation {
    Installation {
        reason: "npm by its lock file",
        tool: None,
        programs: &["npm"],
        env: &["NPM_CONFIG_AUDIT=false", "NPM_CONFIG_FUND=false", "NPM_CONFIG_UPDATE_NOTIFIER=false"],
        cache: "id=npm,target=/root/.npm",
        install: "npm ci",
        prune: Some("npm prune --omit=dev"),
        manifests: Vec::new(),
        keeps_state: false,
        needs_sources: false,
    }
}

fn npm_unlocked() -> Installation {
    Installation {
        reason: "npm without a lock file, so versions may change between builds",
        install: "npm install --no-package-lock",
        prune: Some("npm prune --omit=dev --no-package-lock"),
        ..npm_locked()
    }
}

fn pnpm(files: &dyn Files, package: &Package) -> Result<Installation, DetectError> {
    let pinned = package.pinned("pnpm").map(str::to_owned);
    let release = pinned.map_or_else(|| pnpm_release(files, package).map(str::to_owned), Ok)?;
    Ok(Installation {
        reason: "pnpm by its lock file",
        tool: Some(format!("pnpm@{release}")),
        programs: &["pnpm", "pnpx"],
        env: &["CI=true", "NPM_CONFIG_UPDATE_NOTIFIER=false"],
        cache: "id=pnpm,target=/pnpm-store",
        install: "pnpm install --frozen-lockfile --store-dir=/pnpm-store",
        prune: Some(
            "pnpm install --frozen-lockfile --prod --offline --ignore-scripts \
             --config.modules-cache-max-age=0 --store-dir=/pnpm-store",
        ),
        manifests: Vec::new(),
        keeps_state: false,
        needs_sources: false,
    })
}

/// The release line of pnpm that wrote the lock file. Of the two that write the newest format, 10 runs no install script of a package
/// that isn't named for it, and has its settings in `pnpm-workspace.yaml`: it is taken where something is said that only it reads.
///
/// Source: <https://github.com/pnpm/spec/tree/master/lockfile>, <https://pnpm.io/settings>
fn pnpm_release(files: &dyn Files, package: &Package) -> Result<&'static str, DetectError> {
    let lock = files.read("pnpm-lock.yaml")?.unwrap_or_default();
    let format = lock.lines().find_map(|line| line.strip_prefix("lockfileVersion:")).unwrap_or_default();
    match format.trim().trim_matches(['\'', '"']) {
        "5.3" | "5.4" => return Ok("7"),
        "6.0" | "6.1" => return Ok("8"),
        _ => {}
    }
    let works = |major| package.engine("pnpm").is_none_or(|range| node_version::allows(range, major));
    let settings = files.read("pnpm-workspace.yaml")?;
    let keys = settings.iter().flat_map(|text| text.lines()).filter_map(|line| line.split_once(':'));
    let mut keys = keys.map(|(key, _)| key).filter(|key| !key.is_empty() && !key.starts_with([' ', '\t', '#', '-']));
    let tenth = keys.any(|key| !["packages", "catalog", "catalogs"].contains(&key)) || package.allows_builds();
    Ok(if works(9) && (!tenth || !works(10)) { "9" } else { "10" })
}

fn yarn_classic(package: &Package) -> Installation {
    Installation {
        reason: "Yarn 1 by its lock file",
        tool: Some(format!("yarn@{}", package.pinned("yarn").filter(|v| v.starts_with("1.")).unwrap_or("1"))),
        programs: &["yarn", "yarnpkg"],
        env: &["NPM_CONFIG_UPDATE_NOTIFIER=false"],
        // Yarn 1 doesn't lock its cache against a second Yarn.
        cache: "id=yarn,target=/yarn-cache,sharing=locked",
        install: "yarn install --frozen-lockfile --non-interactive --cache-folder=/yarn-cache",
        prune: Some(
            "yarn install --frozen-lockfile --non-interactive --production --offline --ignore-scripts \
             --cache-folder=/yarn-cache",
        ),
        manifests: Vec::new(),
        keeps_state: false,
        needs_sources: false,
    }
}

fn yarn_berry(files: &dyn Files, package: &Package, lock: &str, workspace: bool) -> Installation {
    let release = yarn_release(files, package, lock);
    // Before 4 it is a plugin's.
    let focuses = !["2", "3"].contains(&release.split('.').next().unwrap_or_default())
        || files.has(".yarn/plugins/@yarnpkg", "plugin-workspace-tools.cjs").unwrap_or_default();
    let focus =
        if workspace { "yarn workspaces focus --all --production" } else { "yarn workspaces focus --production" };
    Installation {
        reason: "Yarn by its lock file",
        tool: Some(format!("@yarnpkg/cli-dist@{release}")),
        programs: &["yarn", "yarnpkg"],
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
        prune: focuses.then_some(focus),
        manifests: Vec::new(),
        keeps_state: true,
        needs_sources: false,
    }
}

/// The release of Yarn from 2 on: that which `packageManager` pins, or which the repository brings, or the line that wrote the lock file.
fn yarn_release(files: &dyn Files, package: &Package, lock: &str) -> String {
    if let Some(pinned) = package.pinned("yarn") {
        return pinned.to_owned();
    }
    // A link in its place is passed over.
    let brought = files.list(".yarn/releases").unwrap_or_default().into_iter().find_map(|name| {
        let version = name.strip_prefix("yarn-")?.strip_suffix(".cjs")?.to_owned();
        let parts: Vec<&str> = version.split('.').collect();
        let plain = |part: &&str| !part.is_empty() && part.bytes().all(|b| b.is_ascii_digit());
        (parts.len() == 3 && parts.iter().all(plain)).then_some(version)
    });
    let format = lock.lines().find_map(|line| line.trim().strip_prefix("version:")?.trim().parse::<u32>().ok());
    brought.unwrap_or_else(|| if format.is_some_and(|format| format < 8) { "3" } else { "4" }.to_owned())
}
