//! What everybody does by hand: `git clone && docker compose up -d --build`.

use std::path::Path;
use std::time::Instant;

use preview_core::base_images::BaseImages;
use preview_core::framework::{BuildRules, Database, Files, MemoryFiles, detect};
use preview_core::repo_config::RepoConfig;
use preview_core::trust::Trust;
use preview_exec::{Limits, Program};

use crate::installation::{Installation, until_answers};

/// A host port that no preview gets.
const PORT: u16 = 27_999;

/// What an app with PostgreSQL has besides: it starts once the database is healthy, which is looked at each second.
const POSTGRES: &str = "    environment: {DATABASE_URL: 'postgresql://preview:secret@db:5432/preview'}
    depends_on: {db: {condition: service_healthy}}
  db:
    image: postgres:16-bookworm
    environment: {POSTGRES_USER: preview, POSTGRES_PASSWORD: secret, POSTGRES_DB: preview}
    healthcheck: {test: [CMD, pg_isready, -h, 127.0.0.1, -U, preview], interval: 1s, retries: 60}
";

/// The Dockerfile that the service would use for this tree, and a Compose file as its developers would write one.
pub(crate) struct Recipe {
    pub(crate) dockerfile: String,
    pub(crate) compose: String,
}

impl Recipe {
    pub(crate) fn of(files: &MemoryFiles) -> Self {
        let files: &dyn Files = files;
        let config = RepoConfig::load(files).unwrap();
        let rules = BuildRules { base_images: BaseImages::public(), trust: Trust::Member };
        let found = detect(files, &config, &rules).unwrap();
        let port = found.app_port;
        let app = format!(
            "services:
  app:
    build: {{context: ., dockerfile: Dockerfile.bench}}
    init: true
    ports: ['127.0.0.1:{PORT}:{port}']
"
        );
        let compose = match found.database.database {
            None => app,
            Some(Database::Postgres) => app + POSTGRES,
            Some(other) => panic!("nobody has written by hand how {other} is run"),
        };
        Self { dockerfile: found.dockerfile, compose }
    }
}

/// Brings a branch up by hand. Gives the seconds until it answers.
pub(crate) async fn bring_up(installation: &Installation, recipe: &Recipe, branch: &str, wanted: &str) -> f64 {
    let dir = tempfile::Builder::new().prefix("preview-plain-").tempdir().unwrap();
    let tree = dir.path().join("tree");
    let login = format!("http://x:{}@", installation.github.token());
    let url = installation.repo.clone_url().replace("http://", &login);
    let begun = Instant::now();
    run(Program::new("git").args(["clone", "--quiet", "--depth", "1", "--branch", branch, &url]).arg(&tree)).await;
    std::fs::write(tree.join("Dockerfile.bench"), &recipe.dockerfile).unwrap();
    std::fs::write(tree.join("compose.yaml"), &recipe.compose).unwrap();
    compose(&tree, &["up", "--detach", "--build", "--quiet-pull"]).await;
    until_answers(&installation.http, &format!("http://127.0.0.1:{PORT}/"), wanted).await;
    let took = begun.elapsed().as_secs_f64();
    compose(&tree, &["down", "--volumes", "--rmi", "local", "--timeout", "1"]).await;
    took
}

async fn compose(tree: &Path, args: &[&str]) {
    run(Program::new("docker").args(["compose", "--project-name", "preview-bench-plain"]).args(args).dir(tree)).await;
}

async fn run(program: Program) {
    let program = program.inherit_env("HOME").limits(Limits::seconds(600));
    if let Err(error) = program.run().await {
        panic!("{error}: {}", error.stderr());
    }
}
