//! Into a preview's containers, as a person sees it: `exec`, `db` and `open`. The containers are Docker's, with the labels and the
//! database that a preview's have; that the service makes such ones, `tests/e2e` shows.

use std::time::{Duration, Instant};

use axum::http::StatusCode;
use preview_core::base_images::BaseImage;
use preview_core::compose::{LABEL_DEPLOYMENT, LABEL_INSTANCE, LABEL_SERVICE};
use preview_core::ids::InstanceId;
use preview_exec::{Limits, Program};
use serde_json::json;
use tempfile::TempDir;

use crate::words::always;
use crate::{Service, TOKEN, whole_record};

const PREVIEW: &str = "my-org-app-12";
const COMMIT: &str = "0123456789abcdef0123456789abcdef01234567";

/// A preview that is up: an app with a shell, and PostgreSQL. Its containers go when this is dropped.
struct Preview {
    /// The service's folder.
    dir: TempDir,
    instance: InstanceId,
    service: Service,
}

fn docker(args: &[&str]) -> Program {
    let docker = Program::new("docker").args(args).limits(Limits::seconds(120));
    docker.inherit_env("HOME").inherit_env("DOCKER_HOST")
}

impl Preview {
    async fn up() -> Self {
        let mut record = whole_record(PREVIEW);
        record["url"] = "http://localhost:8080/my-org-app/pr-12/".into();
        record["dbType"] = "postgres".into();
        record["serving"] =
            json!({"commitSha": COMMIT, "slot": "a", "appPort": 8000, "since": "2026-01-29T10:00:00Z", "tookMs": 9});
        let service = always(StatusCode::OK, record).await;
        let instance = InstanceId::from_bytes(rand::random());
        let preview = Self { dir: tempfile::tempdir().unwrap(), instance, service };
        std::fs::write(preview.dir.path().join("instance"), preview.instance.as_str()).unwrap();
        let (app, database) = (BaseImage::Debian.reference(), BaseImage::Postgres.reference());
        preview.run("app-a", &["--init", "--env", "PREVIEW_PR_NUMBER=12", app, "sleep", "600"]).await;
        let variables = ["POSTGRES_USER=preview", "POSTGRES_DB=pr_12", "POSTGRES_PASSWORD=of-the-tests-9c1f7ab2"];
        let variables = variables.map(|variable| ["--env", variable]).concat();
        let database = preview.run("db", &[&variables[..], &[database]].concat()).await;
        // While it makes the database, the image's server listens to its own container's programs alone.
        let begun = Instant::now();
        while docker(&["exec", &database, "pg_isready", "--quiet", "--host", "127.0.0.1"]).run().await.is_err() {
            assert!(begun.elapsed() < Duration::from_secs(90), "the database does not answer");
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
        preview
    }

    /// Starts a container that is a part of it.
    async fn run(&self, part: &str, what: &[&str]) -> String {
        let labels = [(LABEL_INSTANCE, self.instance.as_str()), (LABEL_DEPLOYMENT, PREVIEW), (LABEL_SERVICE, part)];
        let labels = labels.map(|(name, value)| format!("--label={name}={value}"));
        let args =
            [&["run", "--detach", "--memory", "256m"][..], &labels.each_ref().map(String::as_str), what].concat();
        docker(&args).run().await.unwrap().text().trim().to_owned()
    }

    /// What is typed, what is given on standard input, what is seen and how it ends.
    async fn screen(&self, args: &[&str], input: &str) -> String {
        let program = Program::new(env!("CARGO_BIN_EXE_preview")).arg(args[0]).args(["--api", &self.service.api]);
        let program = program.args(&args[1..]).env("API_TOKEN", TOKEN).inherit_env("DOCKER_HOST");
        let program = program.env("DEPLOYMENTS_DB", self.dir.path().join("deployments.json"));
        let output = program.dir(self.dir.path()).stdin(input).limits(Limits::seconds(60)).status().await.unwrap();
        let code = output.status.code().unwrap();
        let given = input.lines().map(|line| format!("< {line}\n")).collect::<String>();
        format!("$ preview {}\n{given}{}{}=> {code}\n\n", args.join(" "), output.text(), output.stderr)
    }
}

impl Drop for Preview {
    fn drop(&mut self) {
        let label = format!("label={LABEL_INSTANCE}={}", self.instance);
        // The runtime that the test runs on is busy dropping.
        let gone = std::thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
            runtime.block_on(async {
                let all = docker(&["ps", "--all", "--quiet", "--filter", &label]).run().await.unwrap().text();
                let all: Vec<&str> = all.split_whitespace().collect();
                drop(docker(&[&["rm", "--force", "--volumes"], &all[..]].concat()).run().await);
            });
        });
        drop(gone.join());
    }
}

#[tokio::test]
async fn a_person_gets_its_address_a_shell_a_command_and_the_database() {
    let preview = Preview::up().await;
    let mut told = String::new();
    for args in [&["open", PREVIEW][..], &["open", PREVIEW, "--json"]] {
        told += &preview.screen(args, "").await;
    }
    insta::assert_snapshot!("success_of_open", told);

    let shell = "echo pull request $PREVIEW_PR_NUMBER; exit 7\n";
    let mut told = preview.screen(&["exec", PREVIEW], shell).await;
    told += &preview.screen(&["exec", PREVIEW, "--", "printf", "<%s>\\n", "a b", "$HOME", "--json"], "").await;
    told += &preview.screen(&["exec", PREVIEW, "--service", "db", "--", "printenv", "POSTGRES_DB"], "").await;
    // What runs there writes as it likes, and ends as it likes; what fails before is ours to say.
    told += &preview.screen(&["exec", PREVIEW, "--json", "--", "sh", "-c", "echo '{}'; exit 3"], "").await;
    told += &preview.screen(&["exec", PREVIEW, "--json", "--service", "nonsense", "--", "true"], "").await;
    insta::assert_snapshot!("success_of_exec", told);

    let statements = "create table notes (text text);\ninsert into notes values ('it''s kept');\n";
    let mut told = preview.screen(&["db", PREVIEW], statements).await;
    told += &preview.screen(&["db", PREVIEW, "--", "-c", "select text, current_user from notes"], "").await;
    told += &preview.screen(&["db", PREVIEW, "--", "--tuples-only", "-c", "select nonsense"], "").await;
    told += &preview.screen(&["db", PREVIEW, "--json", "--", "-c", "select 1 as one"], "").await;
    told += &preview.screen(&["db", PREVIEW, "--service", "redis"], "").await;
    told += &preview.screen(&["db", PREVIEW, "--service", "redis", "--json"], "").await;
    insta::assert_snapshot!("success_of_db", told);
}
