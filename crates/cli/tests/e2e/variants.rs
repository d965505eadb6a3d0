//! Other forms of the applications of `examples/`: by another package manager, with a tool that migrates the database. What is
//! different stands in a folder of `variants/`, laid over the example. Those of Rails are all there: a `Gemfile` itself has to name a host
//! that has gems. On a machine without a registry Laravel and Rails need what only the ground of the long proof brings
//! (`scripts/ground up soak`).
//!
//! Their lock files are made when they are deployed: a lock file names hosts of package registries, and each machine has its own.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use preview_exec::{Limits, Program};
use preview_simulator::Change;

/// Files by their path.
pub(crate) type Tree = BTreeMap<String, Vec<u8>>;

/// What makes of an example another one.
#[derive(Debug)]
pub(crate) struct Variant {
    /// What it is called in the table.
    pub(crate) name: &'static str,
    /// Its folder with files that are laid over the example's.
    pub(crate) files: Option<&'static str>,
    /// Files of the example that it does without.
    pub(crate) without: &'static [&'static str],
    /// A file, what stands in it, and what stands there instead.
    pub(crate) instead: Option<(&'static str, &'static str, &'static str)>,
    /// The lock file, and what else is made.
    pub(crate) made: &'static [&'static str],
    /// The image in which they are made.
    pub(crate) image: &'static str,
    /// The line for a shell that makes them, of the manifest.
    pub(crate) made_by: &'static str,
    /// What a migration's log says of one that was carried out, where it has any.
    pub(crate) migrated: Option<&'static str>,
}

const NODE: &str = "node:22-bookworm-slim";
const PYTHON: &str = "python:3.12-slim-bookworm";

/// Poetry asks an index for more than a mirror of one may have, unless it is named as a source.
const POETRY_LOCK: &str = r#"
    python3 -m venv /tmp/venv && /tmp/venv/bin/pip install -q 'poetry==2.*'
    index=${PIP_INDEX_URL:-$(python3 -c 'from pip._internal.models.index import PyPI; print(PyPI.simple_url)')}
    printf '\n[[tool.poetry.source]]\nname = "index"\nurl = "%s"\npriority = "primary"\n' "$index" >>pyproject.toml
    /tmp/venv/bin/poetry lock"#;

const BY_NPM: Variant = Variant {
    name: "",
    files: None,
    without: &[],
    instead: None,
    made: &["package-lock.json"],
    image: NODE,
    made_by: "npm install --package-lock-only --no-audit --no-fund",
    migrated: None,
};
pub(crate) const PNPM: Variant = Variant {
    name: "by pnpm",
    without: &["package-lock.json"],
    made: &["pnpm-lock.yaml"],
    made_by: "npx -y pnpm@10 import",
    ..BY_NPM
};
pub(crate) const YARN: Variant = Variant {
    name: "by Yarn",
    without: &["package-lock.json"],
    made: &["yarn.lock"],
    made_by: "touch yarn.lock && npx -y @yarnpkg/cli-dist@4 install --mode=update-lockfile",
    ..BY_NPM
};
pub(crate) const YARN_1: Variant = Variant {
    name: "by Yarn 1",
    without: &["package-lock.json"],
    made: &["yarn.lock"],
    made_by: "npx -y yarn@1 install --ignore-scripts --modules-folder=/tmp/modules",
    ..BY_NPM
};
pub(crate) const TYPEORM: Variant = Variant {
    name: "with TypeORM",
    files: Some("typeorm"),
    instead: Some(("src/database.ts", "this.pool.query(SCHEMA)", "this.pool.query('SELECT 1')")),
    migrated: Some("GuestBook1748779200000 has been executed successfully"),
    ..BY_NPM
};
pub(crate) const KNEX: Variant = Variant {
    name: "with Knex",
    files: Some("knex"),
    instead: Some(("server.js", "await database.query('CREATE TABLE", "// Knex does: ('CREATE TABLE")),
    migrated: Some("Batch 1 run: 1 migrations"),
    ..BY_NPM
};
pub(crate) const SEQUELIZE: Variant = Variant {
    name: "with Sequelize",
    files: Some("sequelize"),
    migrated: Some("20250601120000-create-note: migrated"),
    ..BY_NPM
};
pub(crate) const DRIZZLE: Variant = Variant {
    name: "with Drizzle",
    files: Some("drizzle"),
    without: &["server.js"],
    migrated: Some("migrations applied successfully"),
    ..BY_NPM
};
pub(crate) const POETRY: Variant = Variant {
    name: "by Poetry, with Alembic",
    files: Some("poetry-alembic"),
    without: &["requirements.in", "requirements.txt"],
    instead: Some(("app.py", "    database.rows(SCHEMA)\n", "")),
    made: &["poetry.lock", "pyproject.toml"],
    image: PYTHON,
    made_by: POETRY_LOCK,
    migrated: Some("Running upgrade  -> 1c2d9a40f6b1"),
};
pub(crate) const UV: Variant = Variant {
    name: "by uv, with Alembic",
    files: Some("uv-alembic"),
    without: &["requirements.in", "requirements.txt"],
    instead: None,
    made: &["uv.lock"],
    image: PYTHON,
    made_by: "python3 -m venv /tmp/venv && /tmp/venv/bin/pip install -q 'uv==0.*' && \
              UV_PYTHON=/usr/local/bin/python3 /tmp/venv/bin/uv lock",
    migrated: Some("Running upgrade  -> 8e51b7c0d2aa"),
};
pub(crate) const PIPENV: Variant = Variant {
    name: "by Pipenv, with Flask-Migrate and MySQL",
    files: Some("pipenv-flask-migrate"),
    without: &["requirements.in", "requirements.txt"],
    instead: None,
    made: &["Pipfile.lock"],
    image: PYTHON,
    made_by: "python3 -m venv /tmp/venv && /tmp/venv/bin/pip install -q pipenv && \
              VIRTUAL_ENV=/tmp/venv /tmp/venv/bin/pipenv lock",
    migrated: Some("Running upgrade  -> 4b7f21c9e803"),
};

/// It carries its migrations out itself, when it starts, as the one with Diesel does.
pub(crate) const SQLX: Variant = Variant {
    name: "with sqlx",
    files: Some("sqlx"),
    without: &[],
    instead: None,
    made: &["Cargo.lock"],
    image: "rust:1-bookworm",
    made_by: "mkdir src && touch src/main.rs && CARGO_HOME=/tmp/cargo cargo generate-lockfile",
    migrated: None,
};

/// Its migrations are left to sqlx's command line, which the image gets for it.
pub(crate) const SQLX_CLI: Variant = Variant {
    name: "with sqlx, by its command line",
    instead: Some(("src/main.rs", "    sqlx::migrate!().run(&pool).await?;\n", "")),
    migrated: Some("Applied 20250601120000/migrate notes and visits"),
    ..SQLX
};

pub(crate) const DIESEL: Variant = Variant { name: "with Diesel", files: Some("diesel"), ..SQLX };

pub(crate) const COMPOSER: Variant = Variant {
    name: "by Composer",
    files: None,
    without: &[],
    instead: None,
    made: &["composer.lock"],
    image: "composer:2",
    made_by: "composer update --no-install --no-scripts --no-interaction",
    migrated: Some("2025_06_01_120000_create_notes_table"),
};
pub(crate) const BUNDLER: Variant = Variant {
    name: "by Bundler",
    files: None,
    without: &[],
    instead: None,
    made: &["Gemfile.lock"],
    image: "ruby:3.3-slim-bookworm",
    made_by: "bundle lock",
    migrated: Some("CreateNotes: migrated"),
};

pub(crate) const BUNDLER_MYSQL: Variant =
    Variant { name: "by Bundler, with MySQL", files: Some("rails-mysql"), ..BUNDLER };

/// Where an example is: in `examples/`, or among these files, where it is for tests alone.
pub(crate) fn example_folder(name: &str) -> PathBuf {
    let here = folder(name);
    if here.exists() { here } else { Path::new(env!("CARGO_MANIFEST_DIR")).join("../../examples").join(name) }
}

fn folder(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/e2e/variants").join(name)
}

/// What is in a folder.
pub(crate) fn read(folder: &Path) -> Tree {
    let files = Change::folder(folder).unwrap();
    let file = |change| match change {
        Change::Write { path, bytes, .. } => (path, bytes),
        other => panic!("{} has more than files: {other:?}", folder.display()),
    };
    files.into_iter().map(file).collect()
}

impl Variant {
    /// The example with what is different.
    pub(crate) async fn of(&self, mut tree: Tree) -> Tree {
        if let Some(files) = self.files {
            tree.extend(read(&folder(files)));
        }
        if let Some((path, from, to)) = self.instead {
            let text = String::from_utf8(tree[path].clone()).unwrap();
            assert!(text.contains(from), "{path} has no {from:?}");
            tree.insert(path.to_owned(), text.replace(from, to).into_bytes());
        }
        let made = self.make(&tree).await;
        tree.retain(|path, _| !self.without.contains(&path.as_str()));
        tree.extend(made);
        tree
    }

    async fn make(&self, tree: &Tree) -> Tree {
        let folder = tempfile::tempdir().unwrap();
        // Manifests are at the root, and some managers would read other files, or change them.
        for (path, bytes) in tree.iter().filter(|(path, _)| !path.contains('/')) {
            std::fs::write(folder.path().join(path), bytes).unwrap();
        }
        let user = format!("{}:{}", rustix::process::getuid().as_raw(), rustix::process::getgid().as_raw());
        let docker = Program::new("docker").args(["run", "--rm", "--user", &user, "--env", "HOME=/tmp"]);
        let docker = docker.args(["--volume", &format!("{}:/app", folder.path().display()), "--workdir", "/app"]);
        let docker = docker.args([self.image, "sh", "-c", self.made_by]);
        docker.inherit_env("HOME").limits(Limits::seconds(300)).run().await.unwrap();
        let read = |path: &&str| ((*path).to_owned(), std::fs::read(folder.path().join(path)).unwrap());
        self.made.iter().map(read).collect()
    }
}
