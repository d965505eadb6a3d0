//! A server from a laptop. `ssh` is played by a program that writes down how it was called and hands the last word to a shell, as
//! the real one's server does; what that shell finds there is the real command, or one that writes down what it was given.

use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use preview_exec::{Limits, Output, Program};
use tempfile::TempDir;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;

const CONFIG: &str = "project_name: previews\nserver:\n  host: root@server.example.com:2222\n\
                      ssh_key: /home/me/.ssh/id\nrepositories: [my-org/my-app]\n";
/// Whatever a shell could take for something else than a word.
const HOSTILE: [&str; 14] = [
    "a b",
    "$(touch /tmp/never)",
    "`id`",
    "'; reboot #",
    "\"",
    "\\",
    "two\nlines",
    "-rf",
    "*",
    "~",
    "!x",
    "",
    "--server",
    "root@elsewhere",
];

/// Writes down arguments and input, and ends with 42.
const RECORDER: &str = "printf '%s\\0' \"$@\" >\"$THERE/given\"; cat >\"$THERE/input\"; exit 42";

/// A laptop with an installation, and its server.
struct World {
    dir: TempDir,
    /// The service on the server.
    api: String,
}

impl World {
    fn new() -> Self {
        let world = Self { dir: tempfile::tempdir().unwrap(), api: "http://127.0.0.1:9".to_owned() };
        for folder in ["home", "path", "there"] {
            std::fs::create_dir(world.file(folder)).unwrap();
        }
        std::fs::write(world.file("home/config.yml"), CONFIG).unwrap();
        // Into the service's folder gets nobody who is not that user by then.
        let ssh = "printf '%s\\0' \"$@\" >\"$THERE/argv\"\n\
            cd() { echo 'Permission denied' >&2; return 1; }\n\
            export PATH=\"$THERE:$PATH\" API_TOKEN=9c1f7ab23de4506b8a77 ORCHESTRATOR_PORT=\"$SERVICE_PORT\"\n\
            eval \"${@: -1}\"";
        world.program("path/ssh", ssh);
        world.program(
            "there/sh",
            "cd() { printf %s \"$1\" >\"$THERE/folder\"; }; export -f cd; exec bash --norc \"$@\"",
        );
        // Root and others become the service's user in ways of their own; here both stay who they are.
        world.program("there/runuser", "[ \"$1 $2 $3\" = '-u preview --' ] || exit 9; shift 3; exec \"$@\"");
        world.program("there/sudo", "[ \"$1 $2\" = '-u preview' ] || exit 9; shift 2; exec \"$@\"");
        world.program("there/preview", &format!("exec {} \"$@\"", env!("CARGO_BIN_EXE_preview")));
        world
    }

    fn file(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    /// A script, at this place.
    fn program(&self, name: &str, script: &str) {
        // The stand-in's environment is what we are given and no more: it has to know where it is.
        let text = format!("#!/bin/bash\nexport THERE='{}/there'\n{script}\n", self.dir.path().display());
        let port = self.api.rsplit(':').next().unwrap();
        std::fs::write(self.file(name), text.replace("\"$SERVICE_PORT\"", port)).unwrap();
        std::fs::set_permissions(self.file(name), PermissionsExt::from_mode(0o755)).unwrap();
    }

    fn preview(&self, args: &[&str]) -> Program {
        let path = format!("{}:{}", self.file("path").display(), std::env::var("PATH").unwrap());
        let program = Program::new(env!("CARGO_BIN_EXE_preview")).args(args).dir(self.dir.path());
        program.env("PATH", path).env("PREVIEW_HOME", self.file("home")).limits(Limits::seconds(60))
    }

    async fn run(&self, args: &[&str]) -> (i32, Output) {
        let output = self.preview(args).status().await.unwrap();
        (output.status.code().unwrap(), output)
    }

    /// What was written down there, by words.
    fn words(&self, name: &str) -> Vec<String> {
        let text = std::fs::read_to_string(self.file("there").join(name)).unwrap();
        text.split_terminator('\0').map(str::to_owned).collect()
    }

    fn called(&self) -> bool {
        self.file("there/argv").exists()
    }

    /// Has a service there that gives one answer.
    async fn with_service(answer: &'static str) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let mut world = Self::new();
        world.api = format!("http://{}", listener.local_addr().unwrap());
        let ssh = std::fs::read_to_string(world.file("path/ssh")).unwrap();
        let port = listener.local_addr().unwrap().port().to_string();
        std::fs::write(world.file("path/ssh"), ssh.replace("PORT=9", &format!("PORT={port}"))).unwrap();
        tokio::spawn(async move {
            let (mut stream, _) = listener.accept().await.unwrap();
            let mut head = Vec::new();
            while !head.ends_with(b"\r\n\r\n") {
                head.push(stream.read_u8().await.unwrap());
            }
            let head = format!("HTTP/1.1 200 OK\r\ncontent-length: {}\r\n\r\n", answer.len());
            stream.write_all(format!("{head}{answer}").as_bytes()).await.unwrap();
        });
        world
    }
}

fn position(words: &[String], wanted: &str) -> usize {
    words.iter().position(|word| word == wanted).unwrap_or_else(|| panic!("no {wanted} in {words:?}"))
}

#[tokio::test]
async fn a_command_that_needs_the_service_runs_on_the_server_of_the_file() {
    let world = World::with_service(r#"{"deployments":[]}"#).await;
    let (code, output) = world.run(&["list"]).await;
    assert_eq!((code, output.text().as_str(), output.stderr.as_str()), (0, "", "no previews\n"));
    assert_eq!(std::fs::read_to_string(world.file("there/folder")).unwrap(), "/opt/preview-deployer");
    let argv = world.words("argv");
    // No terminal, because ours is none; the destination is behind `--`, so that it is no option.
    assert_eq!(argv[0], "-T");
    let at = position(&argv, "--");
    assert_eq!(argv[at + 1], "root@server.example.com");
    assert_eq!(argv.len(), at + 3);
    assert_eq!(argv[position(&argv, "-p") + 1], "2222");
    assert_eq!(argv[position(&argv, "-i") + 1], "/home/me/.ssh/id");
    assert!(argv.iter().any(|word| word == "BatchMode=yes"), "{argv:?}");
}

#[tokio::test]
async fn what_is_json_there_is_json_here() {
    let world = World::with_service(r#"{"deployments":[]}"#).await;
    let (code, output) = world.run(&["list", "--json"]).await;
    assert_eq!((code, output.text().as_str(), output.stderr.as_str()), (0, "[]\n", ""));
    // Nobody answers there any more: the program there says so in JSON, once.
    let (code, output) = world.run(&["list", "--json"]).await;
    let told: serde_json::Value = serde_json::from_str(&output.text()).unwrap();
    assert!(
        code == 1 && told["error"]["message"].as_str().unwrap().starts_with("the service does not answer"),
        "{told}"
    );
    assert!(output.stderr.starts_with("error: the service does not answer"), "{}", output.stderr);
    world.program("there/preview", "echo 'bash: preview: command not found' >&2; exit 127");
    let (code, output) = world.run(&["status", "--json"]).await;
    let told: serde_json::Value = serde_json::from_str(&output.text()).unwrap();
    assert_eq!((code, &told["error"]["details"][0]), (127, &"bash: preview: command not found".into()));
}

#[tokio::test]
async fn what_talks_or_goes_on_for_ever_takes_our_place_for_a_script_too_once_it_is_known_to_be_there() {
    const PREVIEW: &str = "my-org-my-app-12";
    let world = World::new();
    let answers = "case $1 in\n--version) echo 'preview 0.1.0' ;;\n*) cat; echo \"$*\"; exit 42 ;;\nesac";
    world.program("there/preview", answers);
    for typed in
        [&["exec", PREVIEW, "--json", "--", "cat"][..], &["db", PREVIEW, "--json"], &["logs", PREVIEW, "-f", "--json"]]
    {
        let output = world.preview(typed).stdin("typed\n").status().await.unwrap();
        let wanted = (Some(42), format!("typed\n{}\n", typed.join(" ")));
        assert_eq!((output.status.code(), output.text()), wanted, "{}", output.stderr);
    }
    // A log of no line is no line here either.
    world.program("there/preview", "exit 0");
    let (code, output) = world.run(&["logs", PREVIEW, "--json"]).await;
    assert_eq!((code, output.text().as_str()), (0, ""));

    world.program("there/preview", "echo 'bash: preview: command not found' >&2; exit 127");
    let (code, output) = world.run(&["exec", PREVIEW, "--json"]).await;
    let told: serde_json::Value = serde_json::from_str(&output.text()).unwrap();
    assert_eq!((code, &told["error"]["details"][0]), (1, &"bash: preview: command not found".into()));
    world.program("path/ssh", "echo 'Connection refused' >&2; exit 255");
    let (code, output) = world.run(&["logs", PREVIEW, "--follow", "--json"]).await;
    let told: serde_json::Value = serde_json::from_str(output.text().lines().next().unwrap()).unwrap();
    assert_eq!((code, &told["error"]["message"]), (255, &"SSH does not get to root@server.example.com:2222".into()));
}

#[tokio::test]
async fn what_is_typed_stays_as_many_words_as_it_was_and_the_exit_code_comes_back() {
    for user in ["0", "1000"] {
        let world = World::new();
        world.program("there/preview", RECORDER);
        world.program("there/id", &format!("echo {user}"));
        let typed = [&["exec", "my-org-my-app-12", "--server=root@server.example.com", "--"], &HOSTILE[..]].concat();
        let (code, output) = world.run(&typed).await;
        assert_eq!((code, output.stderr.as_str()), (42, ""), "as user {user}");
        let given = world.words("given");
        assert_eq!(given[..3], ["exec", "my-org-my-app-12", "--"]);
        assert_eq!(given[3..], HOSTILE);
        assert!(!Path::new("/tmp/never").exists());
    }
}

#[tokio::test]
async fn every_command_that_needs_the_service_goes_there() {
    for typed in [
        &["list", "--json"][..],
        &["logs", "my-org-my-app-12", "--build", "-f"],
        &["why", "my-org/my-app#12"],
        &["redeploy", "my-org-my-app-12"],
        &["reset-db", "my-org-my-app-12"],
        &["keep", "my-org-my-app-12", "3d"],
        &["rm", "my-org-my-app-12"],
        &["audit"],
        &["status", "--json"],
        &["exec", "my-org-my-app-12"],
        &["db", "my-org-my-app-12", "--", "-c", "select 'a b'"],
        &["secret", "list"],
        &["secret", "rm", "my-org/my-app", "KEY"],
    ] {
        let world = World::new();
        world.program("there/preview", RECORDER);
        assert_eq!(world.run(typed).await.0, 42, "{typed:?}");
        assert_eq!(world.words("given"), typed);
    }
}

#[tokio::test]
async fn where_a_service_is_here_nothing_leaves_the_machine() {
    let world = World::new();
    let local = |program: Program| async move { program.status().await.unwrap() };
    let output =
        local(world.preview(&["list", "--api", "http://127.0.0.1:9"]).env("API_TOKEN", "9c1f7ab23de4506b8a77")).await;
    assert!(output.stderr.contains("does not answer at http://127.0.0.1:9"), "{}", output.stderr);
    local(world.preview(&["list"]).env("ORCHESTRATOR_PORT", "9")).await;
    std::fs::write(world.file(".env"), "DEPLOYMENTS_DB=/no/such/folder/ledger.json\n").unwrap();
    let output = local(world.preview(&["list"])).await;
    assert!(output.stderr.contains("/no/such/folder/api-token"), "{}", output.stderr);
    // And what needs no service needs no server.
    assert_eq!(world.run(&["config", "schema"]).await.0, 0);
    assert!(!world.called());
    let (code, output) = world.run(&["list", "--server", "root@a", "--api", "http://127.0.0.1:9"]).await;
    assert!(code == 2 && output.stderr.contains("cannot be used with"), "{}", output.stderr);
}

#[tokio::test]
async fn a_server_that_is_named_needs_no_file_and_goes_the_person_s_own_way() {
    let world = World::new();
    std::fs::remove_file(world.file("home/config.yml")).unwrap();
    world.program("there/preview", RECORDER);
    assert_eq!(world.run(&["list", "--server", "me@10.0.0.5"]).await.0, 42);
    let argv = world.words("argv");
    assert_eq!(argv[position(&argv, "--") + 1], "me@10.0.0.5");
    assert!(!argv.iter().any(|word| word == "-i"), "{argv:?}");
    assert_eq!(world.words("given"), ["list"]);
    let (code, output) = world.run(&["list", "--server=-oProxyCommand=id"]).await;
    assert!(code == 2 && output.stderr.contains("--server"), "{}", output.stderr);
}

#[tokio::test]
async fn a_secret_s_value_goes_by_standard_input_alone() {
    let world = World::new();
    world.program("there/preview", RECORDER);
    let value = "sk_live_0123456789";
    let set = world.preview(&["secret", "set", "my-org/my-app", "STRIPE_KEY"]).stdin(format!("{value}\n"));
    assert_eq!(set.status().await.unwrap().status.code(), Some(42));
    assert_eq!(std::fs::read_to_string(world.file("there/input")).unwrap(), value);
    assert_eq!(world.words("given"), ["secret", "set", "my-org/my-app", "STRIPE_KEY"]);
    assert!(!world.words("argv").concat().contains(value));
    let set = world.preview(&["secret", "set", "my-org/my-app", "STRIPE_KEY", "--json"]).stdin(value);
    let output = set.status().await.unwrap();
    assert_eq!(output.status.code(), Some(42));
    assert_eq!(std::fs::read_to_string(world.file("there/input")).unwrap(), value);
    assert!(!world.words("argv").concat().contains(value) && !output.text().contains(value));
    // What can be no secret is refused here.
    let output = world.preview(&["secret", "set", "my-org/my-app", "KEY"]).stdin("short\n").status().await.unwrap();
    assert!(output.status.code() == Some(1) && output.stderr.contains("the value of KEY"), "{}", output.stderr);
}

#[tokio::test]
async fn an_address_is_asked_for_there_and_shown_here() {
    let world = World::new();
    world.program("there/preview", "[ \"$*\" = 'open --print my-org-my-app-12' ] && echo http://203.0.113.7/x/");
    let (code, output) = world.run(&["open", "my-org-my-app-12"]).await;
    assert_eq!((code, output.text().as_str(), output.stderr.as_str()), (0, "http://203.0.113.7/x/\n", ""));
    world.program("there/preview", "printf 'error: there is no preview\\nhint: look\\n' >&2; exit 1");
    let (code, output) = world.run(&["open", "my-org-my-app-13"]).await;
    assert_eq!(code, 1);
    insta::assert_snapshot!(output.stderr);
}

#[tokio::test]
async fn a_server_that_is_not_reached_is_told_with_what_to_do() {
    let world = World::new();
    world.program(
        "path/ssh",
        "echo 'ssh: connect to host server.example.com port 2222: Connection refused' >&2; exit 255",
    );
    let (code, output) = world.run(&["list"]).await;
    assert_eq!(code, 255);
    assert!(output.stderr.contains("Connection refused"), "{}", output.stderr);
    let (code, output) = world.run(&["list", "--json"]).await;
    let told: serde_json::Value = serde_json::from_str(&output.text()).unwrap();
    assert_eq!((code, &told["error"]["message"]), (255, &"SSH does not get to root@server.example.com:2222".into()));
    let (code, output) = world.run(&["open", "my-org-my-app-12"]).await;
    assert_eq!(code, 1);
    insta::assert_snapshot!(output.stderr);

    let output = world.preview(&["list"]).env("PATH", world.file("there")).status().await.unwrap();
    assert_eq!(output.status.code(), Some(1));
    insta::assert_snapshot!("without_a_client", output.stderr);
}

#[tokio::test]
async fn without_a_service_and_without_a_server_both_ways_are_told() {
    let world = World::new();
    std::fs::remove_file(world.file("home/config.yml")).unwrap();
    let (code, output) = world.run(&["list"]).await;
    assert_eq!(code, 1);
    insta::assert_snapshot!(output.stderr);
    std::fs::write(world.file("home/config.yml"), "nonsense: yes\n").unwrap();
    let (code, output) = world.run(&["list"]).await;
    assert!(code == 2 && output.stderr.contains("config.yml is not right"), "{}", output.stderr);
}

#[tokio::test]
async fn who_is_not_root_becomes_the_service_s_user_before_anything_else() {
    let world = World::with_service(r#"{"deployments":[]}"#).await;
    world.program("there/id", "echo 1000");
    world.program("there/runuser", "echo 'runuser: may not be used by non-root users' >&2; exit 1");
    let (code, output) = world.run(&["list", "--server", "me@127.0.0.1"]).await;
    assert_eq!((code, output.stderr.as_str()), (0, "no previews\n"));
    assert_eq!(std::fs::read_to_string(world.file("there/folder")).unwrap(), "/opt/preview-deployer");
}

#[tokio::test]
async fn a_doctor_brings_the_server_s_findings_and_adds_what_is_seen_from_here() {
    let world = World::new();
    let report = r#"{"version": "0.0.1", "baseUrl": "http://127.0.0.1:9", "findings": [
        {"name": "clock", "lookedAt": "the clock", "verdict": "problem", "says": "600 s slow\u001b[2J", "remedy": "set it"},
        {"name": "disk", "lookedAt": "the disk", "verdict": "ok", "says": "half full"}]}"#;
    world.program("there/sudo", "exec \"$@\"");
    let prints = format!("[ \"$*\" = 'doctor --json' ] || exit 9; printf '%s' '{report}'; exit 3");
    world.program("there/preview", &prints);
    let (code, output) = world.run(&["doctor", "--server", "root@127.0.0.1"]).await;
    let text = output.text();
    assert_eq!(code, 3, "{text}{}", output.stderr);
    for told in
        ["problem         the clock: 600 s slow\n", "-> set it", "0.0.1 there", "nobody answers at http://127.0.0.1:9"]
    {
        assert!(text.contains(told), "{told} in {text}");
    }
    assert!(!text.contains("half full") && !text.contains('\u{1b}'), "{text}");
    let (code, output) = world.run(&["doctor", "--json", "--server", "root@127.0.0.1"]).await;
    let told: serde_json::Value = serde_json::from_str(&output.text()).unwrap();
    let findings = told["findings"].as_array().unwrap();
    let verdict = |name: &str| findings.iter().find(|finding| finding["name"] == name).unwrap()["verdict"].clone();
    assert_eq!(
        (code, verdict("ssh"), verdict("disk"), verdict("clock")),
        (3, "ok".into(), "ok".into(), "problem".into())
    );

    // A server that SSH does not reach is a finding, and all that is seen from outside is told all the same.
    world.program("path/ssh", "echo 'Permission denied (publickey).' >&2; exit 255");
    let (code, output) = world.run(&["doctor", "--server", "root@127.0.0.1"]).await;
    assert!(code == 3 && output.text().contains("Permission denied (publickey)."), "{}", output.text());
    world.program("path/ssh", "echo 'bash: preview: command not found' >&2; exit 127");
    let (code, output) = world.run(&["doctor", "--server", "root@127.0.0.1"]).await;
    assert!(code == 3 && output.text().contains("command not found"), "{}", output.text());
}

/// What a doctor says from a laptop, but for the ports, on which anything may listen where this runs.
async fn examined(world: &World) -> String {
    let (code, output) = world.run(&["doctor", "--server", "root@127.0.0.1"]).await;
    let text = format!("{}{}=> {code}\n", output.text(), output.stderr);
    let elsewhere = ["port 80,", "port 443,", "port 3000,", "looked at:", "-> open it", "-> let ORCHESTRATOR"];
    let is_steady = |line: &&str| !line.starts_with("error: ") && !elsewhere.iter().any(|part| line.contains(part));
    text.lines().filter(is_steady).map(|line| format!("{line}\n")).collect()
}

#[tokio::test]
async fn a_doctor_says_from_a_laptop_what_is_wrong_and_what_helps() {
    let world = World::new();
    world.program("there/sudo", "exec \"$@\"");
    let finding = |name: &str, verdict: &str, says: &str| serde_json::json!({"name": name, "lookedAt": name, "verdict": verdict, "says": says, "remedy": "mend it"});
    let report = |findings: &[serde_json::Value]| {
        let report = serde_json::json!({"version": "0.0.1", "baseUrl": "http://127.0.0.1:9", "findings": findings});
        format!("printf '%s' '{report}'; exit 3")
    };
    world.program("there/preview", &report(&[]));
    insta::assert_snapshot!("doctor_of_another_version", examined(&world).await);
    let found = [finding("disk", "warning", "nearly full"), finding("clock", "problem", "600 s slow")];
    world.program("there/preview", &report(&found));
    insta::assert_snapshot!("doctor_finds", examined(&world).await);
    world.program("there/preview", "echo 'preview: command not found' >&2; exit 127");
    insta::assert_snapshot!("doctor_without_a_program_there", examined(&world).await);
    world.program("path/ssh", "echo 'Permission denied (publickey).' >&2; exit 255");
    insta::assert_snapshot!("doctor_without_a_way_there", examined(&world).await);
}
