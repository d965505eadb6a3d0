//! A laptop, a cloud and GitHub: what the tests of this folder act on.

use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use axum::body::Bytes;
use axum::http::StatusCode;
use preview_exec::{Limits, Output, Program};
use preview_simulator::{Change, GitHub, Options, Repo};
use serde_json::Value;
use tempfile::TempDir;

use crate::digitalocean::{self, Cloud};
use crate::door::{self, DOMAIN, Door};

pub(crate) const DO_TOKEN: &str = "dop_v1_0f5a8c1de3b94f0aa7b2e6d4c9135780";

/// What every stand-in begins with: it writes down its arguments and the names of its environment, and does what the test wants of
/// this call besides.
const RECORD: &str = r#"#!/bin/sh
here=$(dirname "$0")/..
name=$(basename "$0")
echo "$name $*" >>"$here/calls"
env | cut -d= -f1 | sed "s/^/$name /" >>"$here/environment"
also() { if [ -e "$here/also/$1" ]; then . "$here/also/$1"; fi; }
"#;

/// Makes things in the cloud, a folder that the model of DigitalOcean shows; its state knows them by address.
const TERRAFORM: &str = r#"
state=terraform.tfstate
touch "$here/cloud/.keep"
also "terraform-$1"
case $1 in
state) cat $state ;;
import) echo "$4" >>$state ;;
apply)
    for thing in tag ssh_key droplet reserved_ip reserved_ip_assignment firewall; do
        if ! grep -qs "digitalocean_$thing.preview" $state; then
            count=$(ls "$here/cloud" | wc -l)
            printf '%s\n' "$TF_VAR_project_name" "$TF_VAR_ssh_public_key" "$TF_VAR_region" "$TF_VAR_droplet_size" \
                >"$here/cloud/$thing-$count"
            also "terraform-made-$thing"
            echo "digitalocean_$thing.preview" >>$state
        fi
    done ;;
output)
    echo '{"server_ip": {"value": "203.0.113.7"}, "reserved_ip": {"value": "203.0.113.8"}, "droplet_id": {"value": "2"}}' ;;
destroy)
    touch $state
    sed 's/digitalocean_\(.*\).preview/\1/' $state | while read -r thing; do
        grep -lx "$TF_VAR_project_name" "$here/cloud/$thing"-* | xargs -r rm -f
    done
    : >$state ;;
esac
"#;

/// Takes the variables as a server would.
const ANSIBLE: &str = r#"
for word; do case $word in @*) file=${word#@} ;; esac; done
stat -c %a "$file" >"$here/vars-mode"
cp "$file" "$here/vars.json"
echo 'TASK [docker : Docker is there] ****'
also ansible-playbook
echo 'TASK [orchestrator : The service answers] ****'
echo 'PLAY RECAP ****'
echo "203.0.113.7                : ok=2    changed=$(cat "$here/changed" 2>/dev/null || echo 1)    unreachable=0    failed=0"
"#;

const SSH: &str = r#"
also ssh-before
cat >"$here/script"
cat "$here/script" >>"$here/scripts"
also ssh
case $(cat "$here/script") in
*"tar -czf"*) printf '\037\213packed' ;;
*"./preview --version"*) echo 'preview 0.0.9' ;;
*"preview certificates --json"*)
    next=$(ls "$here/certificates" | head -n 1)
    cat "$here/certificates/$next"
    if [ "$(ls "$here/certificates" | wc -l)" -gt 1 ]; then rm "$here/certificates/$next"; fi ;;
esac
"#;

/// All of it; the cloud goes when this is dropped.
pub(crate) struct Rig {
    pub(crate) dir: TempDir,
    pub(crate) github: GitHub,
    pub(crate) repo: Repo,
    pub(crate) cloud: Cloud,
    pub(crate) door: Door,
    pub(crate) url: String,
}

impl Rig {
    pub(crate) async fn new() -> Self {
        Self::with(Options::default()).await
    }

    /// One whose GitHub is like this.
    pub(crate) async fn with(options: Options) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let door = Door::default();
        let url = door::open(dir.path().join("vars.json"), door.clone()).await;
        Self::built(dir, options, (door, url)).await
    }

    /// One whose server is found by a name alone, and speaks TLS.
    pub(crate) async fn by_name() -> Self {
        let dir = tempfile::tempdir().unwrap();
        let door = Door::default();
        let (hosts, authorities) = door::open_encrypted(dir.path().join("vars.json"), door.clone()).await;
        let options = Options { hosts, authorities, ..Options::default() };
        Self::built(dir, options, (door, format!("https://{DOMAIN}"))).await
    }

    async fn built(dir: TempDir, options: Options, (door, url): (Door, String)) -> Self {
        for folder in ["bin", "certificates", "cloud", "also", "person/.ssh"] {
            std::fs::create_dir_all(dir.path().join(folder)).unwrap();
        }
        for (name, what) in [("terraform", TERRAFORM), ("ansible-playbook", ANSIBLE), ("ssh", SSH)] {
            let file = dir.path().join("bin").join(name);
            std::fs::write(&file, format!("{RECORD}{what}")).unwrap();
            std::fs::set_permissions(&file, std::fs::Permissions::from_mode(0o755)).unwrap();
        }
        std::fs::write(dir.path().join("person/.ssh/id_ed25519"), "the private half").unwrap();
        std::fs::write(dir.path().join("person/.ssh/id_ed25519.pub"), "ssh-ed25519 AAAAmine me@laptop\n").unwrap();
        let github = GitHub::start(options).await.unwrap();
        let repo = github.create_repo("my-org/my-app", [Change::write("README.md", "hello")]).await.unwrap();
        let cloud = digitalocean::start(dir.path().join("cloud")).await;
        Self { dir, github, repo, cloud, door, url }
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    /// A file of the installation.
    pub(crate) fn home(&self, name: &str) -> PathBuf {
        self.path("home").join(name)
    }

    pub(crate) fn program(&self, args: &[&str]) -> Program {
        let path = std::env::var("PATH").unwrap();
        Program::new(env!("CARGO_BIN_EXE_preview"))
            .args(args)
            .env("PATH", format!("{}:{path}", self.path("bin").display()))
            .env("HOME", self.path("person"))
            .env("PREVIEW_HOME", self.path("home"))
            .env("PREVIEW_KEYCHAIN", "off")
            .env("DIGITALOCEAN_API_URL", &self.cloud.url)
            .dir(self.dir.path())
            .limits(Limits::seconds(120))
    }

    /// Runs it; exit code, and both outputs with what differs between runs taken out. No secret is in either.
    pub(crate) async fn run(&self, args: &[&str]) -> (i32, String) {
        self.ended(self.program(args)).await
    }

    /// The same with the tokens in its environment, as CI has them.
    pub(crate) async fn run_with_tokens(&self, args: &[&str]) -> (i32, String) {
        let program = self.program(args).env("GITHUB_TOKEN", self.github.token()).env("DIGITALOCEAN_TOKEN", DO_TOKEN);
        self.ended(program).await
    }

    pub(crate) async fn ended(&self, program: Program) -> (i32, String) {
        let output: Output = program.status().await.unwrap();
        let text = format!("{}---\n{}", output.text(), output.stderr);
        for secret in self.secrets() {
            assert!(!text.contains(&secret), "a secret is shown: {text}");
        }
        assert!(!text.contains('\u{1b}') && !text.contains("panicked"), "{text}");
        (output.status.code().unwrap_or(-1), self.steady(&text))
    }

    /// The text without what another run has otherwise.
    fn steady(&self, text: &str) -> String {
        let github = self.github.api_url();
        let text =
            text.replace(env!("CARGO_BIN_EXE_preview"), "PROGRAM").replace(&*self.dir.path().to_string_lossy(), "DIR");
        let text = text
            .replace(&github, "GITHUB")
            .replace(&self.github.server_url(), "GITHUB")
            .replace(&self.cloud.url, "DIGITALOCEAN")
            .replace(&self.url, "SERVER");
        // Whether anybody can be asked for names depends on the machine.
        let reasons = ["Temporary failure in name resolution", "Name or service not known", "no name server answers"];
        let text = reasons.iter().fold(text, |text, reason| text.replace(reason, "NO ADDRESS"));
        let time = |line: &str| match line.rsplit_once(" (") {
            Some((begin, end)) if end.ends_with(" s)") && end.len() < 12 => begin.to_owned(),
            _ => line.to_owned(),
        };
        // Which steps take a while depends on it too.
        let is_news = |line: &str| line.starts_with("begun ") || line.starts_with("at it ");
        text.lines().filter(|line| !is_news(line)).map(|line| time(line) + "\n").collect()
    }

    fn secrets(&self) -> Vec<String> {
        let kept = std::fs::read_to_string(self.home("secrets.yml")).unwrap_or_default();
        let kept = kept.lines().filter_map(|line| Some(line.split_once(": \"")?.1.trim_end_matches('"').to_owned()));
        kept.chain([self.github.token().to_owned(), DO_TOKEN.to_owned()]).collect()
    }

    /// `init` with everything said: a machine that is there, or a droplet.
    pub(crate) async fn init(&self, server: &[&str]) {
        let api = format!("GITHUB_API_URL={}", self.github.api_url());
        let git = format!("GITHUB_SERVER_URL={}", self.github.server_url());
        let mut rest = vec!["--repo", "my-org/my-app", "--no-input", "--set", &api, "--set", &git];
        // Where it has a name, that is what its address is made of.
        let base = format!("PREVIEW_BASE_URL={}", self.url);
        match self.url.starts_with("https:") {
            true => rest.extend(["--domain", DOMAIN, "--set", "TLS=acme"]),
            false => rest.extend(["--set", &base]),
        }
        let args: Vec<&str> = ["init"].iter().chain(server).chain(&rest).copied().collect();
        let (code, text) = self.run_with_tokens(&args).await;
        assert_eq!(code, 0, "{text}");
    }

    /// Has a stand-in do this besides, when it comes there.
    pub(crate) fn also(&self, when: &str, shell: &str) {
        std::fs::write(self.path("also").join(when), shell).unwrap();
    }

    pub(crate) fn no_more(&self, when: &str) {
        std::fs::remove_file(self.path("also").join(when)).unwrap();
    }

    /// What was called, with arguments.
    pub(crate) fn calls(&self) -> String {
        let calls = std::fs::read_to_string(self.path("calls")).unwrap_or_default();
        let environment = std::fs::read_to_string(self.path("environment")).unwrap_or_default();
        for secret in self.secrets() {
            assert!(!calls.contains(&secret), "a secret is in an argument vector");
        }
        // Terraform gets the one token that it needs, by its variable; nobody gets another.
        for line in environment.lines().filter(|line| line.contains("TOKEN") || line.contains("token")) {
            assert_eq!(line, "terraform TF_VAR_do_token");
        }
        assert!(!environment.contains("SECRET"), "{environment}");
        calls
    }

    /// How often a call that contains this was made.
    pub(crate) fn count(&self, call: &str) -> usize {
        self.calls().lines().filter(|line| line.contains(call)).count()
    }

    /// What there is in the cloud, by kind.
    pub(crate) fn made(&self) -> Vec<String> {
        let names = std::fs::read_dir(self.path("cloud")).unwrap().map(|entry| entry.unwrap().file_name());
        let kinds = names.filter_map(|name| Some(name.to_str()?.split_once('-')?.0.to_owned()));
        let mut kinds: Vec<String> = kinds.collect();
        kinds.sort();
        kinds
    }

    /// The repository's webhooks: address, whether the secret is that which is kept here, and events.
    pub(crate) fn hooks(&self) -> Vec<(String, bool, Vec<String>)> {
        let kept = std::fs::read_to_string(self.home("secrets.yml")).unwrap_or_default();
        self.github.look(|state| {
            let hooks = &state.repository(self.repo.id()).unwrap().hooks;
            let is_kept = |secret: &Bytes| kept.contains(&format!("\"{}\"", String::from_utf8_lossy(secret)));
            hooks
                .values()
                .map(|hook| {
                    assert!(hook.active && hook.json && !hook.insecure_ssl);
                    let url = hook.url.replace(&self.url, "SERVER");
                    (url, hook.secret.as_ref().is_some_and(is_kept), hook.events.iter().cloned().collect())
                })
                .collect()
        })
    }

    /// What is right after a setup, however often it was begun.
    pub(crate) fn has_one_hook(&self) {
        let events = ["issue_comment", "pull_request"].map(str::to_owned).to_vec();
        assert_eq!(self.hooks(), [("SERVER/webhook/github".to_owned(), true, events)]);
        assert!(self.door.deliveries.lock().unwrap().contains(&StatusCode::OK), "no delivery was answered");
    }

    /// Nothing that was meant for Ansible alone lies about.
    pub(crate) fn left_no_variables(&self) {
        let names = std::fs::read_dir(self.path("home")).unwrap().map(|entry| entry.unwrap().file_name());
        let left: Vec<_> = names.filter(|name| name.to_string_lossy().starts_with("extra-vars")).collect();
        assert!(left.is_empty(), "{left:?}");
    }

    pub(crate) fn json(&self, name: &str) -> Value {
        read_json(&self.path(name))
    }
}

pub(crate) fn read_json(path: &Path) -> Value {
    serde_json::from_str(&std::fs::read_to_string(path).unwrap()).unwrap()
}
