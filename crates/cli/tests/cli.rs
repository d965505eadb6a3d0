//! What the command says: help, wrong settings, a service that isn't there. Full outputs, as snapshots.

use std::path::Path;

use preview_exec::{Limits, Output, Program};

fn preview(args: &[&str]) -> Program {
    let dir = std::env::temp_dir();
    Program::new(env!("CARGO_BIN_EXE_preview")).args(args).dir(dir).limits(Limits::seconds(60))
}

async fn ended(program: Program) -> (i32, Output) {
    let output = program.status().await.unwrap();
    (output.status.code().unwrap_or(-1), output)
}

/// Settings that are fine, with everything in this folder.
fn fine(program: Program, dir: &Path) -> Program {
    let path = |name: &str| dir.join(name);
    program
        .env("GITHUB_TOKEN", "github_pat_of_the_tests_1234567890")
        .env("GITHUB_WEBHOOK_SECRET", "b1946ac92492d2347c6235b4d2611184")
        .env("ALLOWED_REPOS", "my-org/my-app")
        .env("DEPLOYMENTS_DIR", path("deployments"))
        .env("DEPLOYMENTS_DB", path("state/deployments.json"))
        .env("LOG_DIR", path("logs"))
}

#[tokio::test]
async fn every_command_has_its_help() {
    let commands = [
        "",
        "init",
        "setup",
        "upgrade",
        "destroy",
        "serve",
        "list",
        "logs",
        "redeploy",
        "reset-db",
        "keep",
        "rm",
        "why",
        "audit",
        "certificates",
        "demo",
        "secret",
        "secret set",
        "secret list",
        "secret rm",
        "firewall",
        "helper",
        "detect",
        "config",
        "config check",
        "config schema",
        "config compose-keys",
        "open",
        "up",
        "status",
        "doctor",
        "exec",
        "db",
        "completions",
        "man",
    ];
    for command in commands {
        let args: Vec<&str> = command.split_whitespace().chain(["--help"]).collect();
        let (code, output) = ended(preview(&args)).await;
        assert_eq!(code, 0, "{command}");
        let name = if command.is_empty() { "preview".to_owned() } else { command.replace(' ', "_") };
        let help: Vec<&str> = ["help"].into_iter().chain(command.split_whitespace()).collect();
        assert_eq!(ended(preview(&help)).await.1.text(), output.text());
        let is_group = ["", "config", "secret"].contains(&command);
        assert!(is_group || output.text().contains("      --json"), "{command} takes no --json");
        insta::assert_snapshot!(format!("help_of_{name}"), output.text());
    }
}

/// The names in the help of `preview` itself.
async fn commands() -> Vec<String> {
    let (_, output) = ended(preview(&["--help"])).await;
    let rows = output.text().lines().filter_map(|line| line.strip_prefix("  ")).map(str::to_owned).collect::<Vec<_>>();
    let names = rows.iter().filter_map(|row| row.split_whitespace().next()).filter(|name| !name.starts_with('-'));
    names.map(str::to_owned).collect()
}

#[tokio::test]
async fn a_wrong_flag_of_any_command_is_told_and_is_json_for_a_script() {
    let mut told = String::new();
    for command in commands().await {
        let (code, output) = ended(preview(&[&command, "--nonsense"])).await;
        assert_eq!((code, output.text().as_str()), (2, ""), "{command}");
        told += &format!("$ preview {command} --nonsense\n{}\n", output.stderr);
        let (code, output) = ended(preview(&[&command, "--json", "--nonsense"])).await;
        let json: serde_json::Value = serde_json::from_str(&output.text()).unwrap();
        let message = json["error"]["message"].as_str().unwrap();
        assert!(code == 2 && output.stderr.starts_with(&format!("error: {message}\n")), "{command}: {json}");
    }
    insta::assert_snapshot!(told);
    // What is behind `--` is another program's.
    let (_, output) = ended(preview(&["exec", "my-org-app-12", "--", "x", "--json"])).await;
    assert_eq!(output.text(), "");
}

#[tokio::test]
async fn what_needs_no_service_says_what_to_do_when_it_fails() {
    let dir = folder(&[("files/Dockerfile", "FROM scratch\n")]);
    let path = dir.path().to_str().unwrap();
    let files = format!("{path}/files");
    let no_ledger = [("DEPLOYMENTS_DB", "/proc/none/deployments.json"), ("ALLOWED_REPOS", "my-org/my-app")];
    let no_engine = [("DOCKER_HOST", "unix:///no/such.sock")];
    for (command, calls) in [
        ("up", &[&["/no/such"][..], &["/etc/hostname"], &[&files]][..]),
        ("demo", &[&["--app", "nonsense"], &["--repo", "/no/such"], &["--repo", &files], &[]]),
        ("detect", &[&["/no/such"], &[path], &["--fork", "--nonsense"]]),
        ("config", &[&["nonsense"], &["check", "/no/such"], &["schema", "--nonsense"]]),
        ("helper", &[&[], &["nonsense"], &["nginx-test", "--socket", "/no/such"]]),
        ("firewall", &[&["nonsense"], &["print"]]),
        ("completions", &[&[], &["tcsh"], &["bash", "zsh"]]),
        ("man", &[&["nonsense"], &["--dir", "/proc/man"], &["config", "nonsense"]]),
    ] {
        let mut told = String::new();
        for args in calls {
            let program = preview(&[&[command], *args].concat()).dir(dir.path());
            let program = no_engine.iter().fold(program, |program, (name, value)| program.env(name, value));
            let (code, output) = ended(program).await;
            told += &format!("$ preview {command} {}\n{}{}=> {code}\n\n", args.join(" "), output.text(), output.stderr);
        }
        insta::assert_snapshot!(format!("failures_of_{command}"), told.replace(path, "FOLDER"));
    }
    let program =
        no_ledger.iter().fold(fine(preview(&["serve"]), dir.path()), |program, (name, value)| program.env(name, value));
    let (code, output) = ended(program.env("DOCKER_HOST", "unix:///no/such.sock")).await;
    insta::assert_snapshot!("failures_of_serve", format!("{}=> {code}\n", output.stderr));
}

#[tokio::test]
async fn what_is_looked_at_here_fails_in_json_too() {
    for (args, code) in [
        (&["detect", "/no/such/folder", "--json"][..], 2),
        (&["config", "check", "/no/such/folder", "--json"], 2),
        (&["status", "--json"], 1),
        (&["secret", "list", "--json"], 1),
        (&["up", "/no/such/folder", "--json"], 2),
        (&["demo", "--repo", "/no/such/folder", "--json"], 2),
        (&["firewall", "--json"], 2),
        (&["helper", "nginx-test", "--socket", "/no/such", "--json"], 1),
        (&["man", "nonsense", "--json"], 2),
        (&["completions", "tcsh", "--json"], 2),
        (&["serve", "--json"], 2),
    ] {
        let dir = tempfile::tempdir().unwrap();
        let program = preview(args).env("DEPLOYMENTS_DB", dir.path().join("none/deployments.json"));
        let (ended, output) = ended(program).await;
        let told: serde_json::Value = serde_json::from_str(&output.text()).unwrap();
        assert!(ended == code && told["error"]["message"].is_string(), "{args:?}: {ended} {told}");
    }
}

#[tokio::test]
async fn every_shell_completes_every_command() {
    let names = commands().await;
    assert!(names.len() > 15 && names.contains(&"logs".to_owned()), "{names:?}");
    for shell in ["bash", "elvish", "fish", "powershell", "zsh"] {
        let (code, output) = ended(preview(&["completions", shell]).limits(Limits::seconds(60).keeping(4 << 20))).await;
        assert_eq!((code, output.stderr.as_str()), (0, ""));
        let same = ended(preview(&["completions", shell, "--json"]).limits(Limits::seconds(60).keeping(4 << 20))).await;
        assert_eq!((same.0, same.1.text()), (0, output.text()), "a script for a shell is what it is");
        for word in names.iter().map(String::as_str).chain(["compose-keys", "follow"]) {
            assert!(output.text().contains(word), "{shell} does not know {word}");
        }
    }
    // Bash reads it, and completes by it.
    let script =
        "source /dev/stdin; COMP_WORDS=(preview lo); COMP_CWORD=1; _preview preview lo preview; echo ${COMPREPLY[@]}";
    let (_, completions) = ended(preview(&["completions", "bash"]).limits(Limits::seconds(60).keeping(4 << 20))).await;
    let bash = Program::new("bash").args(["-c", script]).stdin(completions.stdout);
    assert_eq!(bash.run().await.unwrap().text().trim(), "logs");
    assert_eq!(ended(preview(&["completions", "tcsh"])).await.0, 2);
}

#[tokio::test]
async fn every_command_has_a_manual_page() {
    let dir = tempfile::tempdir().unwrap();
    let pages = dir.path().join("man1");
    let (code, output) = ended(preview(&["man", "--dir", pages.to_str().unwrap()])).await;
    assert_eq!((code, output.text().as_str()), (0, ""), "{}", output.stderr);
    for name in commands().await.iter().map(String::as_str).chain(["config-check"]) {
        let page = std::fs::read_to_string(pages.join(format!("preview-{name}.1"))).unwrap();
        assert!(page.contains(".SH SYNOPSIS") && page.contains(".SH OPTIONS"), "{page}");
    }
    assert!(std::fs::read_to_string(pages.join("preview.1")).unwrap().contains("Exit codes"));
    let (code, output) = ended(preview(&["man", "config", "check"])).await;
    assert!(code == 0 && output.text().contains(".TH preview-config-check 1"), "{}", output.text());
    let (code, output) = ended(preview(&["man", "nonsense"])).await;
    assert_eq!((code, output.text().as_str()), (2, ""));
    assert_eq!(
        output.stderr,
        "error: there is no command `preview nonsense`\nhint: `preview --help` names all commands\n"
    );
    let (code, output) = ended(preview(&["man", "--dir", "/proc/man"])).await;
    assert!(code == 1 && output.stderr.starts_with("error: `/proc/man` can't be written"), "{}", output.stderr);
}

#[tokio::test]
async fn every_wrong_setting_is_named_at_once() {
    let dir = tempfile::tempdir().unwrap();
    let program = fine(preview(&["serve", "--check"]), dir.path())
        .env("GITHUB_WEBHOOK_SECRET", "changeme")
        .env("ALLOWED_REPOS", "not a repository")
        .env("CLEANUP_TTL_DAYS", "soon")
        .env("MAX_CONCURRENT_PREVIEWS", "-1");
    let (code, output) = ended(program).await;
    assert_eq!(code, 2);
    for variable in ["GITHUB_WEBHOOK_SECRET", "ALLOWED_REPOS", "CLEANUP_TTL_DAYS", "MAX_CONCURRENT_PREVIEWS"] {
        assert!(output.stderr.contains(variable), "{}", output.stderr);
    }
    for never in ["changeme", "panicked", "backtrace", "github_pat"] {
        assert!(!output.stderr.contains(never), "{}", output.stderr);
    }
    insta::assert_snapshot!(output.stderr);
}

#[tokio::test]
async fn missing_settings_are_told_apart_from_wrong_ones() {
    let (code, output) = ended(preview(&["serve"])).await;
    assert_eq!(code, 2);
    insta::assert_snapshot!(output.stderr);
}

#[tokio::test]
async fn good_settings_are_called_fine() {
    let dir = tempfile::tempdir().unwrap();
    let (code, output) = ended(fine(preview(&["serve", "--check"]), dir.path())).await;
    assert_eq!((code, output.text().as_str()), (0, "the settings are fine\n"), "{}", output.stderr);
}

#[tokio::test]
async fn what_a_service_logs_finds_and_fails_at_is_an_object_a_line_for_a_script() {
    let dir = tempfile::tempdir().unwrap();
    let serve = |args: &[&str]| fine(preview(args), dir.path()).env("CLEANUP_TTL_DAY", "3").env("LOG_FORMAT", "text");
    let lines = async |args: &[&str]| {
        let (code, output) = ended(serve(args).env("DOCKER_HOST", "unix:///no/such.sock")).await;
        let lines = output.text().lines().map(|line| serde_json::from_str(line).unwrap()).collect();
        (code, lines)
    };
    let (code, told): (i32, Vec<serde_json::Value>) = lines(&["serve", "--check", "--json"]).await;
    let warning = "CLEANUP_TTL_DAY is no setting: did you mean CLEANUP_TTL_DAYS?";
    assert_eq!((code, told), (0, vec![serde_json::json!({"settings": "fine", "warnings": [warning]})]));
    let (code, told): (i32, Vec<serde_json::Value>) = lines(&["serve", "--json"]).await;
    let ([logged, .., failed], 1) = (&told[..], code) else { panic!("{code} {told:?}") };
    assert_eq!((&logged["level"], &logged["message"]), (&"WARN".into(), &warning.into()));
    assert_eq!(failed["error"]["message"], "the service could not be started");
}

#[tokio::test]
async fn the_firewall_s_rules_are_a_script_and_in_json_the_same() {
    let dir = tempfile::tempdir().unwrap();
    std::fs::create_dir(dir.path().join("state")).unwrap();
    let (code, text) = ended(fine(preview(&["firewall"]), dir.path())).await;
    assert!(code == 0 && text.text().starts_with("#!/bin/sh\n"), "{}", text.stderr);
    let (code, output) = ended(fine(preview(&["firewall", "print", "--json"]), dir.path())).await;
    let told: serde_json::Value = serde_json::from_str(&output.text()).unwrap();
    assert_eq!((code, told), (0, serde_json::json!({"script": text.text()})));
}

#[tokio::test]
async fn a_service_that_is_not_there_is_told_with_what_to_do() {
    let program = preview(&["list", "--api", "http://127.0.0.1:9"]).env("API_TOKEN", "a-token-that-is-long-enough");
    let (code, output) = ended(program).await;
    assert_eq!(code, 1);
    assert!(
        output.stderr.starts_with("error: the service does not answer at http://127.0.0.1:9\n"),
        "{}",
        output.stderr
    );
    assert!(output.stderr.contains("hint: ") && !output.stderr.contains("a-token"), "{}", output.stderr);
}

#[tokio::test]
async fn what_is_no_preview_is_refused_before_anybody_is_asked() {
    let (code, output) = ended(preview(&["rm", "../../etc/passwd"])).await;
    assert_eq!(code, 2);
    assert!(output.stderr.contains("write it as project-slug-12"), "{}", output.stderr);
}

#[tokio::test]
async fn a_script_gets_no_escapes() {
    let (_, output) = ended(preview(&["serve"])).await;
    assert!(!output.stderr.contains('\u{1b}'));
}

#[tokio::test]
async fn a_malformed_env_file_is_a_mistake_in_the_settings_and_is_not_repeated() {
    let dir = tempfile::tempdir().unwrap();
    std::fs::write(dir.path().join(".env"), "ALLOWED_REPOS=my-org/my-app\nGITHUB_TOKEN='hidden\n").unwrap();
    let (code, output) = ended(preview(&["serve", "--check"]).dir(dir.path())).await;
    assert_eq!((code, output.text().as_str()), (2, ""));
    assert!(output.stderr.contains("after ALLOWED_REPOS"), "{}", output.stderr);
    assert!(!output.stderr.contains("hidden"), "{}", output.stderr);
}

#[tokio::test]
async fn what_is_nearly_a_setting_is_warned_of() {
    let dir = tempfile::tempdir().unwrap();
    let program = fine(preview(&["serve", "--check"]), dir.path()).env("CLEANUP_TTL_DAY", "3");
    let (code, output) = ended(program).await;
    assert_eq!((code, output.text().as_str()), (0, "the settings are fine\n"));
    assert_eq!(output.stderr, "warning: CLEANUP_TTL_DAY is no setting: did you mean CLEANUP_TTL_DAYS?\n");
}

#[tokio::test]
async fn a_kept_token_that_cannot_be_read_is_told_with_what_to_do() {
    let dir = tempfile::tempdir().unwrap();
    let (code, output) = ended(fine(preview(&["list"]), dir.path())).await;
    assert_eq!(code, 1);
    let file = dir.path().join("state/api-token");
    assert!(output.stderr.contains(file.to_str().unwrap()) && output.stderr.contains("hint: "), "{}", output.stderr);
}

// ---------------------------------------------------------------------------------------------- a repository, looked at here

/// A folder with these files.
fn folder(files: &[(&str, &str)]) -> tempfile::TempDir {
    let dir = tempfile::tempdir().unwrap();
    for (name, text) in files {
        let path = dir.path().join(name);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, text).unwrap();
    }
    dir
}

/// A command on a folder: exit code, and both outputs with the folder's name taken out.
async fn looked_at(dir: &tempfile::TempDir, args: &[&str]) -> (i32, String) {
    let path = dir.path().to_str().unwrap();
    let (code, output) = ended(preview(args).arg(path)).await;
    let text = format!("{}---\n{}", output.text(), output.stderr);
    assert!(!text.contains('\u{1b}'), "{text}");
    (code, text.replace(path, "FOLDER"))
}

const EXPRESS: [(&str, &str); 3] = [
    ("package.json", r#"{"dependencies": {"express": "4", "pg": "8"}, "scripts": {"start": "node server.js"}}"#),
    ("package-lock.json", "{}"),
    ("preview-config.yml", "health_check_path: /health\nenv:\n  KEY: ${secret:STRIPE_KEY}\n"),
];

#[tokio::test]
async fn detect_shows_what_is_found_and_what_would_run() {
    let dir = folder(&EXPRESS);
    let (code, text) = looked_at(&dir, &["detect"]).await;
    assert_eq!(code, 0, "{text}");
    assert!(text.contains("(random)") && text.contains("secret:STRIPE_KEY"), "{text}");
    insta::assert_snapshot!("detect_a_node_server", text);

    let (code, text) = looked_at(&dir, &["detect", "--dockerfile"]).await;
    assert!(code == 0 && text.starts_with("FROM ") | text.starts_with('#'), "{text}");
    let (code, text) = looked_at(&dir, &["detect", "--compose"]).await;
    assert!(code == 0 && text.contains("services:"), "{text}");
    let (code, text) = looked_at(&dir, &["detect", "--json"]).await;
    let told: serde_json::Value = serde_json::from_str(text.split("---\n").next().unwrap()).unwrap();
    assert_eq!((code, &told["framework"]["name"], &told["port"]["number"]), (0, &"node".into(), &3000.into()));
    assert_eq!((&told["database"]["name"], &told["health"]["path"]), (&"postgres".into(), &"/health".into()));
    assert!(told["dockerfile"].is_string() && told["compose"].is_string(), "{told}");

    let (code, text) = looked_at(&dir, &["detect", "--fork"]).await;
    assert!(code == 1 && text.contains("code from a fork gets no secrets"), "{text}");
}

#[tokio::test]
async fn detect_tells_what_migrates_and_which_services_stand_beside_the_database() {
    let package = r#"{"dependencies": {"pg": "8", "redis": "5"}, "devDependencies": {"knex": "3"}, "scripts": {"start": "node server.js"}}"#;
    let lock = ("package-lock.json", "{}");
    let dir = folder(&[("package.json", package), lock, ("knexfile.js", ""), ("migrations/1.js", "")]);
    let (code, text) = looked_at(&dir, &["detect"]).await;
    assert_eq!(code, 0, "{text}");
    let row = |what: &str| text.lines().find(|line| line.starts_with(what)).unwrap().split_whitespace().nth(1).unwrap();
    assert_eq!((row("services"), row("migration")), ("redis", "node_modules/.bin/knex"), "{text}");
    let (_, text) = looked_at(&dir, &["detect", "--json"]).await;
    let told: serde_json::Value = serde_json::from_str(text.split("---\n").next().unwrap()).unwrap();
    assert_eq!(told["services"]["names"], serde_json::json!(["redis"]));
    assert_eq!(told["migration"]["command"], "node_modules/.bin/knex migrate:latest");
}

#[tokio::test]
async fn detect_says_what_it_looked_for_and_what_would_help() {
    let dir = folder(&[("index.html", "<p>")]);
    let (code, text) = looked_at(&dir, &["detect"]).await;
    assert_eq!(code, 1);
    insta::assert_snapshot!("detect_nothing", text);
    let (code, text) = looked_at(&dir, &["detect", "--json"]).await;
    let told: serde_json::Value = serde_json::from_str(text.split("---\n").next().unwrap()).unwrap();
    assert_eq!(code, 1);
    assert!(told["error"]["message"].as_str().unwrap().contains("no framework was recognised"), "{told}");
}

#[tokio::test]
async fn detect_follows_no_link() {
    let dir = folder(&[]);
    std::os::unix::fs::symlink("/etc/passwd", dir.path().join("Dockerfile")).unwrap();
    let (code, text) = looked_at(&dir, &["detect"]).await;
    assert!(code == 1 && text.contains("`Dockerfile` is a symbolic link") && !text.contains("root:"), "{text}");
}

const MISTAKES: [(&str, &str); 2] = [
    ("preview-config.yml", "framwork: go\napp_port: 99999\nenv: [A]\n"),
    (
        "docker-compose.preview.yml",
        "services:\n  app:\n    build: .\n    privileged: true\n    volumes:\n      - /etc:/etc\n",
    ),
];

#[tokio::test]
async fn config_check_tells_every_mistake_with_its_place() {
    let dir = folder(&MISTAKES);
    let (code, text) = looked_at(&dir, &["config", "check"]).await;
    assert_eq!(code, 1);
    insta::assert_snapshot!("config_check_mistakes", text);
    let (code, text) = looked_at(&dir, &["config", "check", "--json"]).await;
    let told: serde_json::Value = serde_json::from_str(text.split("---\n").next().unwrap()).unwrap();
    assert_eq!(code, 1);
    assert_eq!(told["mistakes"][1]["file"], "preview-config.yml");
    assert_eq!((&told["mistakes"][1]["line"], &told["mistakes"][1]["column"]), (&2.into(), &11.into()));
}

#[tokio::test]
async fn config_check_has_nothing_against_what_is_right_or_not_there() {
    let (code, text) = looked_at(&folder(&EXPRESS), &["config", "check"]).await;
    assert_eq!(
        (code, text.as_str()),
        (0, "preview-config.yml: no mistakes\ndocker-compose.preview.yml: there is none, and none is needed\n---\n")
    );
    assert_eq!(looked_at(&folder(&[]), &["config", "check"]).await.0, 0);
}

#[tokio::test]
async fn a_folder_that_is_not_there_is_a_wrong_argument() {
    for args in [&["detect", "/no/such/folder"][..], &["config", "check", "/no/such/folder"]] {
        let (code, output) = ended(preview(args)).await;
        assert_eq!((code, output.text().as_str()), (2, ""));
        assert!(output.stderr.starts_with("error: `/no/such/folder` is no folder"), "{}", output.stderr);
    }
}

#[tokio::test]
async fn config_schema_prints_what_the_documentation_has() {
    let (code, output) = ended(preview(&["config", "schema"])).await;
    assert_eq!((code, output.text().as_str()), (0, include_str!("../../../docs/preview-config.schema.json")));
}
