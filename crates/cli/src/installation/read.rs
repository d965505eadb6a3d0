//! From the text of `config.yml` to its values. Every mistake is told with line and column, and with the right word that is nearest.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Display;
use std::path::{Path, PathBuf};
use std::str::FromStr;

use preview_core::ids::RepoName;
use preview_core::repo_config::{Mistake, nearest};
use preview_core::yaml::{self, Budget, Key, Node, Place, Problem, Value};
use preview_orchestrator::settings::{GROUPS, NOT_YET};

use super::{BROUGHT, Config, DigitalOcean, Server};

const BUDGET: Budget = Budget { nodes: 2_000, depth: 6, aliases: 20 };

const KEYS: &[&str] = &["project_name", "server", "ssh_key", "domain", "repositories", "settings"];
const SERVERS: &[&str] = &["host", "digitalocean"];
const DROPLET: &[&str] = &["region", "size", "ssh_from", "dns_zone"];

/// Settings that stand elsewhere in this file, or that the roles decide so that they fit the server's units and nginx.
const NOT_HERE: &[(&str, &str)] = &[
    ("ALLOWED_REPOS", "it is made of `repositories`"),
    ("PREVIEW_DOMAIN", "it is `domain`"),
    (
        "DIGITALOCEAN_TOKEN",
        "it is a secret; `preview init` takes it from DIGITALOCEAN_DNS_TOKEN, or DIGITALOCEAN_TOKEN_FILE names a file with it",
    ),
    ("ORCHESTRATOR_HOST", "the server's own files decide it"),
    ("ORCHESTRATOR_PORT", "the server's own files decide it"),
    ("TRUSTED_PROXY", "the server's own files decide it"),
    ("ROUTER", "the server's own files decide it"),
    ("NGINX_CONFIG_DIR", "the server's own files decide it"),
    ("NGINX_PROBE_URL", "the server's own files decide it"),
    ("NGINX_TEST_COMMAND", "the server's own files decide it"),
    ("NGINX_RELOAD_COMMAND", "the server's own files decide it"),
    ("FIREWALL_COMMAND", "the server's own files decide it"),
    ("DEPLOYMENTS_DB", "the server's own files decide it"),
    ("DEPLOYMENTS_DIR", "the server's own files decide it"),
    ("LOG_DIR", "the server's own files decide it"),
    ("LOG_FORMAT", "the server's own files decide it"),
];

/// Reads the file, or tells all that is wrong with it.
pub(super) fn config(text: &str) -> Result<Config, Vec<Mistake>> {
    let document = yaml::parse(text, BUDGET)
        .map_err(|Problem { place, kind }| vec![mistake(place, format!("{kind}{}", advice(text)))])?;
    let mut reading = Reading::default();
    let config = reading.config(document);
    reading.0.sort_by_key(|mistake| (mistake.line, mistake.column));
    config.filter(|_| reading.0.is_empty()).ok_or(reading.0)
}

fn mistake(place: Place, message: impl Into<String>) -> Mistake {
    Mistake { line: place.line, column: place.column, message: message.into() }
}

/// The commonest slip of people who write YAML now and then; the parser finds it late.
fn advice(text: &str) -> &'static str {
    let indents_with_tab = |line: &str| line.trim_start_matches(' ').starts_with('\t');
    if text.lines().any(indents_with_tab) { "; indent with spaces, not with tabs" } else { "" }
}

/// What is wrong so far.
#[derive(Default)]
struct Reading(Vec<Mistake>);

/// The values of a map, by key, and where the map is.
struct Entries {
    place: Place,
    values: BTreeMap<String, Node>,
}

impl Entries {
    /// Takes a value out. A key without one counts as absent.
    fn take(&mut self, key: &str) -> Option<Node> {
        self.values.remove(key).filter(|node| node.value != Value::Null)
    }
}

impl Reading {
    fn config(&mut self, document: Node) -> Option<Config> {
        let mut entries = self.entries(document, "the file", KEYS)?;
        let project_name = self.required(&mut entries, "project_name");
        let domain = self.optional(&mut entries, "domain");
        let server = entries.take("server").map(|node| self.server(node));
        if server.is_none() {
            self.missing(entries.place, "server");
        }
        let ssh_key = self.required(&mut entries, "ssh_key").map(|key: PathBuf| expanded(&key));
        let repositories = self.repositories(&mut entries);
        let settings = entries.take("settings").map_or_else(|| Some(BTreeMap::new()), |node| self.settings(node));
        let (server, domain) = (server??, domain?);
        let zone = match &server {
            Server::DigitalOcean(droplet) => droplet.dns_zone.as_ref(),
            Server::Host(_) => None,
        };
        if let Some(zone) = zone
            && !domain.as_ref().is_some_and(|domain: &super::Domain| domain.is_in(zone))
        {
            let told = format!("`dns_zone` is {zone}, so `domain` has to be {zone} or a name in it");
            self.0.push(mistake(entries.place, told));
        }
        Some(Config {
            project_name: project_name?,
            server,
            ssh_key: ssh_key?,
            domain,
            repositories: repositories?,
            settings: settings?,
        })
    }

    fn server(&mut self, node: Node) -> Option<Server> {
        let mut entries = self.entries(node, "`server`", SERVERS)?;
        match (entries.take("host"), entries.take("digitalocean")) {
            (Some(host), None) => self.parsed("host", host).map(Server::Host),
            (None, Some(droplet)) => self.droplet(droplet).map(Server::DigitalOcean),
            _ => {
                let told =
                    "`server` has to have either `host`, a machine that is there, or `digitalocean`, one that is made";
                self.0.push(mistake(entries.place, told));
                None
            }
        }
    }

    fn droplet(&mut self, node: Node) -> Option<DigitalOcean> {
        let mut entries = self.entries(node, "`digitalocean`", DROPLET)?;
        let region = self.required(&mut entries, "region");
        let size = self.required(&mut entries, "size");
        let dns_zone = self.optional(&mut entries, "dns_zone");
        let ssh_from = match entries.take("ssh_from") {
            None => ["0.0.0.0/0", "::/0"].iter().map(|range| range.parse().ok()).collect(),
            Some(node) => self.list("ssh_from", node),
        };
        Some(DigitalOcean { region: region?, size: size?, ssh_from: ssh_from?, dns_zone: dns_zone? })
    }

    fn repositories(&mut self, entries: &mut Entries) -> Option<Vec<RepoName>> {
        let Some(node) = entries.take("repositories") else {
            self.missing(entries.place, "repositories");
            return None;
        };
        let place = node.place;
        let listed: Vec<RepoName> = self.list("repositories", node)?;
        let mut seen = BTreeSet::new();
        if let Some(twice) = listed.iter().find(|name| !seen.insert((*name).clone())) {
            self.0.push(mistake(place, format!("`repositories` has {twice} twice")));
        }
        Some(listed)
    }

    fn settings(&mut self, node: Node) -> Option<BTreeMap<String, String>> {
        let Value::Map(entries) = node.value else {
            self.0.push(mistake(node.place, "`settings` must be a map of names and values"));
            return None;
        };
        let mut settings = BTreeMap::new();
        for (Key { place, text: name }, node) in entries {
            if let Err(rule) = check_setting(&name) {
                self.0.push(mistake(place, rule));
                continue;
            }
            match node.value {
                Value::Text(text) if !text.contains(['\n', '\r']) => {
                    let is_file = BROUGHT.contains(&name.as_str());
                    let value = if is_file { expanded(Path::new(&text)).display().to_string() } else { text };
                    settings.insert(name, value);
                }
                Value::Null => {}
                _ => self.0.push(mistake(node.place, format!("`{name}` must have one value of one line"))),
            }
        }
        Some(settings)
    }

    /// The entries of a map that knows these keys.
    fn entries(&mut self, node: Node, what: &str, known: &'static [&'static str]) -> Option<Entries> {
        let Value::Map(entries) = node.value else {
            let told = format!("{what} must have keys with their values: {}", known.join(", "));
            self.0.push(mistake(node.place, told));
            return None;
        };
        let mut values = BTreeMap::new();
        for (Key { place, text }, node) in entries {
            if known.contains(&text.as_str()) {
                values.insert(text, node);
            } else {
                self.0.push(mistake(place, format!("unknown key {}", guess(known.iter().copied(), &text))));
            }
        }
        Some(Entries { place: node.place, values })
    }

    fn missing(&mut self, place: Place, key: &str) {
        self.0.push(mistake(place, format!("`{key}` is missing")));
    }

    fn required<T: FromStr<Err: Display>>(&mut self, entries: &mut Entries, key: &str) -> Option<T> {
        match entries.take(key) {
            Some(node) => self.parsed(key, node),
            None => {
                self.missing(entries.place, key);
                None
            }
        }
    }

    /// `Some(None)`: it isn't said.
    fn optional<T: FromStr<Err: Display>>(&mut self, entries: &mut Entries, key: &str) -> Option<Option<T>> {
        match entries.take(key) {
            Some(node) => self.parsed(key, node).map(Some),
            None => Some(None),
        }
    }

    fn parsed<T: FromStr<Err: Display>>(&mut self, key: &str, node: Node) -> Option<T> {
        let Value::Text(text) = node.value else {
            self.0.push(mistake(node.place, format!("`{key}` must have one value, not a list or a map")));
            return None;
        };
        let parsed = text.parse().map_err(|error| mistake(node.place, format!("`{key}`: {error}")));
        parsed.map_err(|mistake| self.0.push(mistake)).ok()
    }

    /// A list with at least one item; one value stands for a list of it.
    fn list<T: FromStr<Err: Display>>(&mut self, key: &str, node: Node) -> Option<Vec<T>> {
        let place = node.place;
        let items = match node.value {
            Value::List(items) => items,
            value => vec![Node { place, value }],
        };
        if items.is_empty() {
            self.0.push(mistake(place, format!("`{key}` must not be empty")));
            return None;
        }
        let read: Vec<Option<T>> = items.into_iter().map(|item| self.parsed(key, item)).collect();
        read.into_iter().collect()
    }
}

/// Whether this is a setting that may stand in this file.
fn check_setting(name: &str) -> Result<(), String> {
    if let Some((_, why)) = NOT_HERE.iter().find(|(other, _)| *other == name) {
        return Err(format!("`{name}` does not belong under `settings`: {why}"));
    }
    if let Some((_, what)) = NOT_YET.iter().find(|(other, _)| *other == name) {
        return Err(format!("`{name}` is not supported by this version yet ({what})"));
    }
    let variables = || GROUPS.iter().flat_map(|(_, group)| *group);
    match variables().find(|variable| variable.name == name) {
        Some(variable) if variable.secret => {
            Err(format!("`{name}` is a secret: no file has it; `preview setup` takes it from the environment"))
        }
        Some(_) => Ok(()),
        None => Err(format!("unknown setting {}", guess(variables().map(|variable| variable.name), name))),
    }
}

fn guess(known: impl Iterator<Item = &'static str>, word: &str) -> String {
    let shown: String = word.chars().take(40).flat_map(char::escape_debug).collect();
    match nearest(known, word) {
        Some(right) => format!("`{shown}`; did you mean `{right}`?"),
        None => format!("`{shown}`"),
    }
}

/// A path of which `~` is the person's own folder.
pub(crate) fn expanded(path: &Path) -> PathBuf {
    match (path.strip_prefix("~"), std::env::var_os("HOME")) {
        (Ok(rest), Some(home)) => Path::new(&home).join(rest),
        _ => path.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const GOOD: &str = "
project_name: previews
server:
  digitalocean:
    region: fra1
    size: s-1vcpu-2gb
ssh_key: /keys/id
domain: previews.example.com
repositories: [my-org/my-app, my-org/other]
settings:
  CLEANUP_TTL_DAYS: 3
  FORK_POLICY: deny
";

    fn wrong(text: &str) -> String {
        config(text).unwrap_err().iter().map(|mistake| format!("{mistake}\n")).collect()
    }

    #[test]
    fn what_is_said_is_understood() {
        let config = config(GOOD).unwrap();
        assert_eq!(config.project_name.as_str(), "previews");
        let Server::DigitalOcean(droplet) = &config.server else { panic!("no droplet") };
        assert_eq!((droplet.region.as_str(), droplet.ssh_from.len()), ("fra1", 2));
        assert_eq!(config.settings["CLEANUP_TTL_DAYS"], "3");
        assert_eq!(config.repositories[1].to_string(), "my-org/other");
        let host = GOOD.replace("  digitalocean:\n    region: fra1\n    size: s-1vcpu-2gb\n", "  host: me@192.0.2.1\n");
        let host = super::config(&host).unwrap();
        assert_eq!(host.server, Server::Host("me@192.0.2.1".parse().unwrap()));
    }

    #[test]
    fn every_mistake_is_told_with_its_place_and_the_nearest_word() {
        let text = "project_nam: previews
server:
  host: root@203.0.113.7
  digitalocean: {region: fra1, size: s-1vcpu-2gb}
ssh_key: [a]
domain: https://example.com
repositories: [my-org, a/b]
settings:
  CLEANUP_TTL_DAY: 3
  GITHUB_TOKEN: hunter2
  ALLOWED_REPOS: a/b
  LOG_LEVEL: [debug]
";
        insta::assert_snapshot!(wrong(text));
    }

    #[test]
    fn no_value_of_the_file_is_repeated() {
        assert!(!wrong(&GOOD.replace("fra1", "hunter2")).contains("hunter2"));
        assert!(!wrong(&GOOD.replace("FORK_POLICY: deny", "GITHUB_TOKEN: hunter2")).contains("hunter2"));
    }

    #[test]
    fn what_does_not_fit_together_is_told() {
        let zone = GOOD.replace("    region", "    dns_zone: example.org\n    region");
        assert!(wrong(&zone).contains("`dns_zone` is example.org"), "{}", wrong(&zone));
        assert!(wrong(&GOOD.replace("my-org/other", "My-Org/my-app")).contains("twice"));
        assert!(wrong(&GOOD.replace("[my-org/my-app, my-org/other]", "[]")).contains("must not be empty"));
        assert!(wrong("a: 1\n\tb: 2\n").contains("not with tabs"), "{}", wrong("a: 1\n\tb: 2\n"));
        assert_eq!(wrong("").lines().count(), 1);
    }
}
