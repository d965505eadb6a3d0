//! A repository's own Compose file, taken up into our model, or refused.
//!
//! [`adopt`] reads the text once; Compose never sees it. What becomes of each key stands in [`super::keys`]; what a value may be in
//! [`own`](super::own). A refusal names line, key, reason and remedy, and repeats of the file the key alone. Many are told at
//! once, so that nobody has to push ten times.
//!
//! Variables (`${NAME}`) would come from the server's environment, so there are none: `${NAME:-default}` gives its default, as Compose
//! does for a variable that isn't set, `$$` gives `$`, and any other `$` is refused.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

use crate::framework::{Files, ReadFileError};
use crate::yaml::{self, Budget, Key, Node, Place, Value};

use super::keys::{self, Verdict};
use super::own::{
    Condition, FILE_NAME, MAX_SERVICES, Origin, OwnApp, OwnName, OwnService, OwnStack, Unfit, VolumeName,
};
use service::Draft;

mod service;
mod values;

/// Largest file that is read, in bytes.
pub const MAX_BYTES: usize = 256 * 1024;
const BUDGET: Budget = Budget { nodes: 10_000, depth: 12, aliases: 50 };
/// Most refusals that are told of one file.
const MAX_REFUSALS: usize = 20;

/// Why a file is not taken: one thing in it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Refusal {
    /// From 1.
    pub line: u64,
    /// From 1, in characters.
    pub column: u64,
    /// Where it stands, such as `services.web.privileged`; empty for the file as a whole.
    pub key: String,
    /// Why.
    pub reason: String,
    /// What to do instead.
    pub remedy: String,
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "line {}", self.line)?;
        if !self.key.is_empty() {
            write!(f, ", `{}`", self.key)?;
        }
        write!(f, ": {}; {}", self.reason, self.remedy)
    }
}

/// All that is wrong with a file, in its order.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{FILE_NAME}` is refused, {}", told(.refusals, *.more))]
pub struct Refusals {
    /// The first of them; one at least.
    pub refusals: Vec<Refusal>,
    /// How many there are beside.
    pub more: usize,
}

/// The first, and how many follow.
fn told(refusals: &[Refusal], more: usize) -> String {
    let first = refusals.first().map(Refusal::to_string).unwrap_or_default();
    match refusals.len().saturating_sub(1) + more {
        0 => first,
        others => format!("{first} (and {others} more)"),
    }
}

/// Why there is no [`OwnStack`].
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum AdoptError {
    /// The file was not read.
    #[error(transparent)]
    File(#[from] ReadFileError),
    /// The file was read, and is refused.
    #[error(transparent)]
    Refused(#[from] Refusals),
}

/// Reads the file from a checkout; `None` where there is none.
pub fn load(files: &dyn Files) -> Result<Option<OwnStack>, AdoptError> {
    match files.read(FILE_NAME)? {
        Some(text) => Ok(Some(adopt(&text)?)),
        None => Ok(None),
    }
}

/// Takes the file's text up.
pub fn adopt(text: &str) -> Result<OwnStack, Refusals> {
    let mut reader = Reader::default();
    let stack = reader.document(text);
    match stack {
        Some(stack) if reader.refusals.is_empty() => Ok(stack),
        _ => {
            reader.refusals.sort_by_key(|refusal| (refusal.line, refusal.column));
            Err(Refusals { refusals: reader.refusals, more: reader.more })
        }
    }
}

/// What has been found wrong so far.
#[derive(Default)]
struct Reader {
    refusals: Vec<Refusal>,
    more: usize,
}

impl Reader {
    fn refuse(&mut self, place: Place, key: &str, reason: impl Into<String>, remedy: impl Into<String>) {
        if self.refusals.len() == MAX_REFUSALS {
            self.more += 1;
            return;
        }
        let Place { line, column } = place;
        self.refusals.push(Refusal { line, column, key: key.to_owned(), reason: reason.into(), remedy: remedy.into() });
    }

    fn unfit(&mut self, place: Place, key: &str, Unfit(reason, remedy): Unfit) {
        self.refuse(place, key, reason, remedy);
    }

    /// The keys of a map that are read, each with its full name; the others are refused, or ours.
    fn entries<'a>(&mut self, level: &str, path: &str, node: &'a Node) -> Vec<(String, &'a Key, &'a Node)> {
        let mut read = Vec::new();
        for (key, node) in self.map(path, node) {
            let name = below(path, &key.text);
            match keys::verdict(level, &key.text) {
                Some(Verdict::Allowed | Verdict::Adjusted(_)) => read.push((name, key, node)),
                Some(Verdict::Ours(_)) => {}
                Some(Verdict::Refused { reason, remedy }) => self.refuse(key.place, &name, reason, remedy),
                None if key.text.starts_with(keys::EXTENSION) => {}
                None => self.unknown(key, &name),
            }
        }
        read
    }

    fn unknown(&mut self, key: &Key, name: &str) {
        self.refuse(key.place, name, "this key is not known here", "remove it, or correct its spelling");
    }

    /// A map's keys with their values. Nothing counts as an empty map.
    fn map<'a>(&mut self, path: &str, node: &'a Node) -> &'a [(Key, Node)] {
        match &node.value {
            Value::Map(entries) => entries,
            Value::Null => &[],
            _ => {
                self.refuse(
                    node.place,
                    path,
                    "this must be a map of keys and values",
                    "see the Compose file reference",
                );
                &[]
            }
        }
    }

    /// The document. `None` when something was refused without which there is nothing to make.
    fn document(&mut self, text: &str) -> Option<OwnStack> {
        if text.len() > MAX_BYTES {
            self.refuse(Place::START, "", format!("the file has more than {MAX_BYTES} bytes"), "shorten it");
            return None;
        }
        let document = yaml::parse(text, BUDGET).map_err(|problem| {
            self.refuse(problem.place, "", problem.kind.to_string(), "write it out plainly");
        });
        let document = document.ok()?;
        let (mut volumes, mut drafts) = (BTreeSet::new(), BTreeMap::new());
        let entries = self.entries("", "", &document);
        for (path, key, node) in &entries {
            match key.text.as_str() {
                "volumes" => volumes = self.volumes(path, node),
                "networks" => self.networks(path, node),
                _ => {}
            }
        }
        let services = entries.iter().find(|(_, key, _)| key.text == "services");
        match services {
            Some((path, _, node)) => drafts = self.services(path, node, &volumes),
            None => self.refuse(document.place, "services", "there are no services", "name the app as a service `app`"),
        }
        if !self.refusals.is_empty() {
            return None;
        }
        self.stack(drafts, volumes)
    }

    fn volumes(&mut self, path: &str, node: &Node) -> BTreeSet<VolumeName> {
        let mut names = BTreeSet::new();
        for (key, node) in self.map(path, node) {
            let path = below(path, &key.text);
            match key.text.parse() {
                Ok(name) => drop(names.insert(name)),
                Err(unfit) => self.unfit(key.place, &path, unfit),
            }
            for (path, _, node) in self.entries("volumes.*", &path, node) {
                self.only("local", &path, node);
            }
        }
        names
    }

    fn networks(&mut self, path: &str, node: &Node) {
        for (key, node) in self.map(path, node) {
            for (path, _, node) in self.entries("networks.*", &below(path, &key.text), node) {
                self.only("bridge", &path, node);
            }
        }
    }

    /// Admits one value alone: that of a driver which is used in any case.
    fn only(&mut self, value: &str, path: &str, node: &Node) {
        if !matches!(&node.value, Value::Text(text) if text == value) {
            self.refuse(node.place, path, format!("only the driver `{value}` is there"), "remove it");
        }
    }

    fn services(&mut self, path: &str, node: &Node, volumes: &BTreeSet<VolumeName>) -> BTreeMap<OwnName, Draft> {
        let services = self.map(path, node);
        if services.len() > MAX_SERVICES {
            let reason = format!("there are more than {MAX_SERVICES} services");
            self.refuse(node.place, path, reason, "leave services out that no preview needs");
            return BTreeMap::new();
        }
        let mut drafts = BTreeMap::new();
        for (key, node) in services {
            let path = below(path, &key.text);
            let draft = self.service(&path, key.place, node, volumes);
            match key.text.parse() {
                Ok(name) => drop(drafts.insert(name, draft)),
                Err(unfit) => self.unfit(key.place, &path, unfit),
            }
        }
        drafts
    }

    // ------------------------------------------------------------------------------------------- what services are together

    fn stack(&mut self, mut drafts: BTreeMap<OwnName, Draft>, volumes: BTreeSet<VolumeName>) -> Option<OwnStack> {
        let name = self.which_is_app(&drafts)?;
        self.check_waiting(&drafts, name);
        let app = drafts.remove(&name)?;
        let port = app.port();
        let origin = self.origin(name, app.place, app.origin);
        let services = drafts.into_iter().filter_map(|(name, draft)| {
            let origin = self.origin(name, draft.place, draft.origin)?;
            Some((name, OwnService { origin, runtime: draft.runtime, health: draft.health }))
        });
        let services = services.collect();
        let app = OwnApp { name, origin: origin?, port, runtime: app.runtime };
        Some(OwnStack { app, services, volumes })
    }

    /// Where a service's image comes from, which its author has to say.
    fn origin(&mut self, name: OwnName, place: Place, origin: Option<Origin>) -> Option<Origin> {
        if origin.is_none() {
            self.refuse(place, &service_path(name), "it has neither `image` nor `build`", "give it one");
        }
        origin
    }

    /// The service `app`; else the only one that is built; else the only one with `ports` among those that are built. Where none is
    /// built, the same of all that there are.
    fn which_is_app(&mut self, drafts: &BTreeMap<OwnName, Draft>) -> Option<OwnName> {
        let built = |draft: &Draft| matches!(draft.origin, Some(Origin::Build(_)));
        let none_is_built = !drafts.values().any(built);
        let may_be = |draft: &Draft| none_is_built || built(draft);
        let named = drafts.keys().copied().find(|name| name.as_str() == "app");
        let only = |wanted: &dyn Fn(&Draft) -> bool| {
            let mut found = drafts.iter().filter(|(_, draft)| wanted(draft)).map(|(name, _)| *name);
            found.next().filter(|_| found.next().is_none())
        };
        let app = named.or_else(|| only(&may_be)).or_else(|| only(&|draft| may_be(draft) && draft.publishes()));
        if app.is_none() {
            let whom = if none_is_built { "service" } else { "built service" };
            let remedy = format!("call it `app`, or give `ports` to one {whom} alone");
            self.refuse(Place::START, "services", "it is not clear which service visitors reach", remedy);
        }
        app
    }

    /// Whoever is waited for is there, can be waited for, and doesn't wait for the one who waits.
    fn check_waiting(&mut self, drafts: &BTreeMap<OwnName, Draft>, app: OwnName) {
        for (name, draft) in drafts {
            let path = below(&service_path(*name), "depends_on");
            for (other, condition) in &draft.runtime.waits_for {
                let place = draft.waiting_place;
                match drafts.get(other) {
                    None => {
                        self.refuse(place, &path, format!("there is no service `{other}`"), "name one of this file")
                    }
                    Some(_) if *other == app => {
                        self.refuse(
                            place,
                            &path,
                            "the app starts last, when the others are up",
                            "let it try again until the app answers",
                        );
                    }
                    Some(other) if *condition == Condition::Healthy && other.health.is_none() => {
                        let remedy = "give it one, or wait for `service_started`";
                        self.refuse(place, &path, "who is waited for has no `healthcheck` in this file", remedy);
                    }
                    Some(_) => {}
                }
            }
            if in_circle(*name, drafts) {
                self.refuse(
                    draft.waiting_place,
                    &path,
                    "services wait for each other in a circle",
                    "let one of them not wait",
                );
            }
        }
    }
}

/// Whether a service waits, by way of others, for itself.
fn in_circle(name: OwnName, drafts: &BTreeMap<OwnName, Draft>) -> bool {
    let waits_for =
        |name: &OwnName| drafts.get(name).into_iter().flat_map(|draft| draft.runtime.waits_for.keys().copied());
    let mut reached: BTreeSet<OwnName> = BTreeSet::new();
    let mut next: Vec<OwnName> = waits_for(&name).collect();
    while let Some(other) = next.pop() {
        if reached.insert(other) {
            next.extend(waits_for(&other));
        }
    }
    reached.contains(&name)
}

fn service_path(name: OwnName) -> String {
    format!("services.{name}")
}

/// The full name of a key. A hostile one is shown up to 40 characters, escaped.
fn below(path: &str, key: &str) -> String {
    let shown: String = key.chars().take(40).flat_map(char::escape_debug).collect();
    // It is shown between backticks.
    let shown = shown.replace('`', "'");
    if path.is_empty() { shown } else { format!("{path}.{shown}") }
}

#[cfg(test)]
mod fuzz;
#[cfg(test)]
mod tests;
