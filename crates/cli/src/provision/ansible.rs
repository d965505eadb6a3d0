//! Ansible, which makes a machine that SSH reaches into a preview server. Settings and secrets go through one file that nobody else
//! may read, and that is gone afterwards.

use std::collections::BTreeMap;
use std::ffi::{OsStr, OsString};
use std::io::Write;
use std::net::IpAddr;
use std::path::{Path, PathBuf};

use preview_core::ids::RepoName;
use preview_exec::{ExecError, Limits, Program};
use preview_orchestrator::settings::Settings;
use secrecy::{ExposeSecret, SecretString};
use serde_json::{Map, Value, json};

use super::embedded;
use super::identity::{APP_KEY_FILE, Identity};
use super::records;
use crate::error::Failure;
use crate::installation::{Config, Destination, Home, Range, Server};
use crate::{settings, ui};

/// Installing Docker over a slow line takes its time; a task that says nothing for long is one that hangs.
const LIMITS: Limits = Limits::seconds(3600).keeping(1 << 20);
const PASSED_ON: [&str; 5] = ["HOME", "SSH_AUTH_SOCK", "HTTPS_PROXY", "HTTP_PROXY", "NO_PROXY"];
/// The setting that names a file with authorities, which goes to the server.
const AUTHORITY_FILE: &str = "ACME_CA_FILE";
/// What the file of variables begins with.
const FILE: &str = "extra-vars-";

/// What the server gets.
pub(crate) struct Wanted<'a> {
    pub(crate) config: &'a Config,
    /// What visitors' and deliveries' addresses begin with.
    pub(crate) base_url: String,
    /// Where visitors come, if that is another address than the machine's own.
    pub(crate) public_address: Option<IpAddr>,
    /// The program.
    pub(crate) binary: PathBuf,
    pub(crate) identity: Identity,
    pub(crate) webhook: SecretString,
    /// What opens the zone, where names are shown by records of it.
    pub(crate) records: Option<SecretString>,
}

impl Wanted<'_> {
    /// The service's settings that are no secrets.
    fn settings(&self) -> BTreeMap<String, String> {
        let mut settings = self.config.settings.clone();
        settings.insert("ALLOWED_REPOS".to_owned(), listed(&self.config.repositories));
        settings.entry("PREVIEW_BASE_URL".to_owned()).or_insert_with(|| self.base_url.clone());
        if let Some(address) = self.public_address {
            settings.entry("PUBLIC_ADDRESS".to_owned()).or_insert_with(|| address.to_string());
        }
        settings
    }

    /// Tells every mistake before anything is changed.
    pub(crate) fn check(&self) -> Result<(), Failure> {
        let mut variables = self.settings();
        for (name, secret) in self.secrets() {
            variables.insert(name.to_owned(), secret.expose_secret().to_owned());
        }
        if let Some(domain) = &self.config.domain {
            variables.insert("PREVIEW_DOMAIN".to_owned(), domain.to_string());
        }
        let checked = Settings::read(&variables).map(drop);
        checked.map_err(|mistakes| {
            settings::wrong(mistakes)
                .hint("settings stand in config.yml; secrets in the environment, or where `preview init` keeps them")
        })
    }

    fn secrets(&self) -> impl Iterator<Item = (&'static str, &SecretString)> {
        let token = match &self.identity {
            Identity::Token(token) => Some(("GITHUB_TOKEN", token)),
            Identity::App(_) => None,
        };
        let records = self.records.as_ref().map(|token| ("DIGITALOCEAN_TOKEN", token));
        token.into_iter().chain([("GITHUB_WEBHOOK_SECRET", &self.webhook)]).chain(records)
    }

    /// The variables of the playbook.
    fn variables(&self) -> Value {
        let secrets: Map<String, Value> =
            self.secrets().map(|(name, secret)| (name.to_owned(), secret.expose_secret().into())).collect();
        let mut settings = self.settings();
        // Where these are over there, the role knows.
        settings.remove(APP_KEY_FILE);
        settings.remove(records::TOKEN_FILE);
        let authority = settings.remove(AUTHORITY_FILE);
        let mut variables = json!({
            "preview_binary": self.binary, "preview_settings": settings, "preview_secrets": secrets,
        });
        if let Identity::App(key) = &self.identity {
            variables["preview_github_app_key"] = key.display().to_string().into();
        }
        if let Some(file) = authority {
            // Ansible runs in a folder of its own.
            let file = std::path::absolute(&file).unwrap_or_else(|_| file.into());
            variables["preview_acme_ca"] = file.display().to_string().into();
        }
        if let Some(domain) = &self.config.domain {
            variables["preview_domain"] = domain.as_str().into();
        }
        // Its own firewall lets in what the cloud's does, and SSH where it is reached.
        match &self.config.server {
            Server::DigitalOcean(droplet) => {
                variables["hardening_ssh_from"] = droplet.ssh_from.iter().map(Range::as_str).collect();
            }
            Server::Host(destination) => variables["hardening_ssh_port"] = destination.port().into(),
        }
        variables
    }
}

fn listed(repositories: &[RepoName]) -> String {
    repositories.iter().map(ToString::to_string).collect::<Vec<_>>().join(",")
}

/// Brings the machine to what is wanted; what it is already stays. `tell` hears of each task. Gives how many of them changed something,
/// as far as Ansible says so.
pub(crate) async fn apply(
    home: &Home,
    to: &Destination,
    wanted: &Wanted<'_>,
    mut tell: impl FnMut(&str),
) -> Result<Option<u32>, Failure> {
    let folder = home.ansible();
    // Anew: what another version has laid out here must not play along.
    if folder.exists() {
        std::fs::remove_dir_all(&folder)?;
    }
    embedded::lay_out(home, "ansible", &folder)?;
    let file = secret_file(home, &wanted.variables())?;
    let host = if to.host().contains(':') { format!("[{}]", to.host()) } else { to.host().to_owned() };
    let options: Vec<String> = wanted.config.ssh_options(home).iter().map(|word| quoted(word)).collect();
    let mut program = Program::new("ansible-playbook")
        .args(["--inventory", &format!("{host}:{},", to.port()), "--user", to.user()])
        .args([&format!("--ssh-common-args={}", options.join(" ")), "--extra-vars"])
        .arg(format!("@{}", file.path().display()))
        .arg("site.yml")
        .env("ANSIBLE_CONFIG", folder.join("ansible.cfg"))
        .env("ANSIBLE_NOCOLOR", "1")
        .dir(&folder)
        .limits(LIMITS);
    for (name, value) in locale(cfg!(target_os = "linux"), std::env::vars_os()) {
        program = program.env(name, value);
    }
    for name in PASSED_ON {
        program = program.inherit_env(name);
    }
    let (mut task, mut changes) = (String::new(), None);
    let ran = program
        .run_with(|_, line| {
            changes = changed(line).or(changes);
            let name = line.strip_prefix("TASK [").and_then(|rest| rest.split_once(']'));
            if let Some((name, _)) = name {
                task = ui::harmless(name);
                tell(&task);
            }
        })
        .await;
    // The file goes with `file`, also when this future is dropped.
    ran.map(|_| changes).map_err(|error| failed(&error, &task))
}

/// The language for Ansible, which wants one with UTF-8 that the system has: on Linux that is `C.UTF-8`, elsewhere the person's own.
fn locale(is_linux: bool, variables: impl Iterator<Item = (OsString, OsString)>) -> Vec<(OsString, OsString)> {
    let is_of_it = |name: &OsStr| name == "LANG" || name.to_str().is_some_and(|name| name.starts_with("LC_"));
    let own: Vec<_> = variables.filter(|(name, value)| is_of_it(name) && !value.is_empty()).collect();
    if is_linux || own.is_empty() { vec![("LANG".into(), "C.UTF-8".into())] } else { own }
}

/// How many tasks changed something: `203.0.113.7 : ok=52 changed=31 unreachable=0 failed=0 …`, the last that Ansible says.
fn changed(line: &str) -> Option<u32> {
    let (_, counts) = line.split_once(" : ok=")?;
    let (_, rest) = counts.split_once(" changed=")?;
    rest.split(' ').next()?.parse().ok()
}

/// A file for the variables, whole before anybody may look; one that a killed run left goes first.
fn secret_file(home: &Home, variables: &Value) -> Result<tempfile::NamedTempFile, Failure> {
    home.make()?;
    sweep(home.folder())?;
    let mut file = tempfile::Builder::new().prefix(FILE).suffix(".json").tempfile_in(home.folder())?;
    file.write_all(variables.to_string().as_bytes())?;
    Ok(file)
}

/// Removes what a killed run left of such files.
pub(crate) fn sweep(folder: &Path) -> Result<(), Failure> {
    for entry in std::fs::read_dir(folder)? {
        let entry = entry?;
        if entry.file_name().to_string_lossy().starts_with(FILE) {
            std::fs::remove_file(entry.path())?;
        }
    }
    Ok(())
}

/// A word as Ansible, which splits them as a shell does, takes it. Plain ones stay as they are: of a text that begins and ends with a
/// quote, Ansible first takes those two away.
fn quoted(word: &str) -> String {
    let is_plain = |c: char| c.is_ascii_alphanumeric() || "-_./=:@".contains(c);
    if word.chars().all(is_plain) { word.to_owned() } else { format!("'{}'", word.replace('\'', r"'\''")) }
}

/// Which task failed, and what it said. What a task with secrets says, Ansible itself hides.
fn failed(error: &ExecError, task: &str) -> Failure {
    let output = match error {
        ExecError::Missing { .. } => {
            let failure = Failure::new("Ansible is not installed here: it sets the server up");
            return failure.hint("apt-get install ansible-core, brew install ansible, or pipx install ansible-core");
        }
        ExecError::Failed { output, .. } => output.text(),
        _ => String::new(),
    };
    let mut failure = Failure::new(match task {
        "" => "`ansible-playbook` failed before its first task".to_owned(),
        task => format!("setting the server up failed at: {task}"),
    });
    failure.causes = output.lines().filter_map(fatal).collect();
    if failure.causes.is_empty() {
        let lines = error.stderr().lines().rev().map(ui::harmless).filter(|line| !line.is_empty());
        failure.causes = lines.take(3).collect();
        failure.causes.reverse();
    }
    if failure.causes.is_empty() {
        failure.causes.push(ui::harmless(&error.to_string()));
    }
    failure
}

/// What a line of Ansible's says that tells a failure: `fatal: [host]: FAILED! => {"msg": …}`, and of each turn of a task that goes over
/// a list `failed: [host] (item=…) => {"msg": …}`.
fn fatal(line: &str) -> Option<String> {
    let told = line.strip_prefix("fatal: [").or_else(|| line.strip_prefix("failed: ["))?;
    let (kind, answer) = told.split_once(" => ")?;
    let kind = kind.split_once("] ").or_else(|| kind.split_once("]: "))?.1;
    let answer: Value = serde_json::from_str(answer).unwrap_or_default();
    let text = ["stderr", "msg"].into_iter().filter_map(|field| answer[field].as_str()).find(|text| !text.is_empty());
    let text: String =
        text.unwrap_or(kind).lines().filter(|line| !line.trim().is_empty()).take(6).collect::<Vec<_>>().join(" / ");
    Some(ui::harmless(&text))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_ansible_says_is_told_in_a_line() {
        let line = r#"fatal: [203.0.113.7]: FAILED! => {"changed": false, "msg": "No package matching 'docker.io'"}"#;
        assert_eq!(fatal(line).unwrap(), "No package matching 'docker.io'");
        let line = r#"fatal: [203.0.113.7]: UNREACHABLE! => {"msg": "Failed to connect", "unreachable": true}"#;
        assert_eq!(fatal(line).unwrap(), "Failed to connect");
        let line = r#"failed: [203.0.113.7] (item=docker.io) => {"item": "docker.io", "msg": "No package matching 'docker.io'"}"#;
        assert_eq!(fatal(line).unwrap(), "No package matching 'docker.io'");
        let line = r#"failed: [203.0.113.7 -> localhost] (item=(censored due to no_log)) => {"censored": "hidden"}"#;
        assert_eq!(fatal(line).unwrap(), "(item=(censored due to no_log))");
        assert_eq!(fatal("ok: [203.0.113.7]"), None);
    }

    #[test]
    fn what_was_changed_is_counted() {
        let line = "203.0.113.7                : ok=52   changed=31   unreachable=0    failed=0    skipped=3";
        assert_eq!(changed(line), Some(31));
        assert_eq!(changed("changed: [203.0.113.7]"), None);
    }

    #[test]
    fn ansible_speaks_a_language_that_the_system_has() {
        let pair = |name: &str, value: &str| (OsString::from(name), OsString::from(value));
        let own = [pair("LANG", "de_DE.UTF-8"), pair("LC_ALL", ""), pair("LC_TIME", "C"), pair("HOME", "/home/me")];
        let spoken = |is_linux, variables: &[_]| locale(is_linux, variables.iter().cloned());
        assert_eq!(spoken(true, &own), [pair("LANG", "C.UTF-8")]);
        assert_eq!(spoken(false, &own), [pair("LANG", "de_DE.UTF-8"), pair("LC_TIME", "C")]);
        assert_eq!(spoken(false, &own[3..]), [pair("LANG", "C.UTF-8")]);
    }

    #[test]
    fn words_survive_a_shell() {
        assert_eq!(quoted("a 'b' \"c\" $d"), r#"'a '\''b'\'' "c" $d'"#);
    }
}
