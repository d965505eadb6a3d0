//! The control groups of the engine's build steps.
//!
//! With the `cgroupfs` driver every step of every build runs beneath one group (on cgroup v1: one of each kind), and limits there
//! hold all builds of that engine *together*. With the `systemd` driver each step has a group of its own, beside others of the
//! same prefix, for as long as it runs: each is limited as soon as it is seen, and what all of them have is counted. Setting
//! limits takes root, or somebody who may write to these files. They are set while a build of ours runs: what others build on this
//! engine is free again afterwards.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};

use rustix::fs::{FlockOperation, flock};

use super::Ceilings;
use super::files::{Files, OutOfMemory};

/// Where the `cgroupfs` driver has the steps.
pub(super) const ONE_GROUP: &str = "/docker/buildkit";
/// Where they are with the `systemd` driver and Docker's own unit. The engine names them for systemd, but has runc make them without: it
/// takes the name for one within the engine's own group, on cgroup v2 beside it.
const GROUP_EACH: [&str; 2] =
    ["/system.slice/docker.service/system.slice:docker:", "/system.slice/system.slice:docker:"];

/// The groups of an engine's build steps.
#[derive(Debug)]
pub(super) struct BuilderGroups {
    root: PathBuf,
    place: Place,
}

/// Where steps run, below the root of all groups.
#[derive(Debug)]
enum Place {
    /// All beneath one group.
    One(PathBuf),
    /// In this group each in one of its own, whose name begins so.
    Each { within: PathBuf, prefix: String },
}

/// Makes the group of this name below `root` and gives what limits it to a user. Groups of single steps come and go and can't be given.
pub(super) fn hand_over(root: &Path, name: Option<&Path>, user: u32) -> io::Result<()> {
    let Place::One(group) = Place::named(name.unwrap_or(Path::new(ONE_GROUP))) else { return Ok(()) };
    let files = Files::below(root, &group);
    files.make()?;
    files.offer_controllers(root)?;
    files.give_to(user)
}

/// The limits hold while this lives. Others of us on the same engine share them: the last to end lifts them.
#[derive(Debug)]
pub(super) struct Held<'a> {
    groups: &'a BuilderGroups,
    lock: File,
    ceilings: Ceilings,
    steps: BTreeMap<PathBuf, Step>,
    out_of_memory: bool,
}

/// A group that steps run in.
#[derive(Debug)]
struct Step {
    files: Files,
    out_of_memory: OutOfMemory,
    /// The processors that it has been limited to.
    cpus: Option<f64>,
    gone: bool,
}

/// What the builds have.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Use {
    /// Processes and threads.
    pub(super) processes: u64,
    /// Bytes of memory that the kernel doesn't hold within the limit by itself.
    pub(super) memory_bytes: u64,
}

impl Place {
    /// A name that ends with a colon is how the names of steps' own groups begin.
    fn named(name: &Path) -> Self {
        let name = name.strip_prefix("/").unwrap_or(name);
        let last = name.file_name().unwrap_or_default().to_string_lossy();
        if !last.ends_with(':') {
            return Self::One(name.to_owned());
        }
        Self::Each { within: name.parent().unwrap_or(Path::new("")).to_owned(), prefix: last.into_owned() }
    }
}

impl BuilderGroups {
    /// Finds the groups of an engine with this driver below `root`, by this name if one was given, or says why there are none to use.
    pub(super) fn find(root: &Path, driver: &str, name: Option<&Path>) -> Result<Self, String> {
        let usual = match driver {
            "cgroupfs" => ONE_GROUP,
            _ => GROUP_EACH[usize::from(Files::are_second(root))],
        };
        let place = Place::named(name.unwrap_or(Path::new(usual)));
        if driver != "cgroupfs"
            && let Place::One(group) = &place
        {
            return Err(format!(
                "the engine's cgroup driver is `{driver}`, which gives every build step a group of its own, but BUILD_CGROUP \
                 names one for all, /{}: leave it out, or let it end with how the steps' names begin, as `{usual}`",
                group.display()
            ));
        }
        let groups = Self { root: root.to_owned(), place };
        let advice = match groups.place {
            Place::One(_) => "",
            Place::Each { .. } => {
                "; with `\"exec-opts\": [\"native.cgroupdriver=cgroupfs\"]` in the engine's `daemon.json` builds share one \
                 group, which can be given to whom the service runs as"
            }
        };
        match groups.make().and_then(|()| groups.base().probe()) {
            Ok(()) => Ok(groups),
            Err(error) => Err(format!("the builder's control groups can't be set (that takes root): {error}{advice}")),
        }
    }

    /// Holds builds within these limits.
    pub(super) fn hold(&self, ceilings: &Ceilings) -> io::Result<Held<'_>> {
        // An engine that was restarted has no group until its first build.
        self.make()?;
        let lock = File::open(self.base().memory())?;
        flock(&lock, FlockOperation::LockShared)?;
        let (ceilings, steps) = (*ceilings, BTreeMap::new());
        let mut held = Held { groups: self, lock, ceilings, steps, out_of_memory: false };
        held.hold_all()?;
        Ok(held)
    }

    /// Lifts what one of us left behind who was killed.
    pub(super) fn lift_unless_held(&self) {
        if let Ok(lock) = File::open(self.base().memory())
            && is_last(&lock)
        {
            self.lift();
        }
    }

    fn lift(&self) {
        for files in self.present().into_values() {
            if let Err(error) = files.limit(None)
                && files.exist()
            {
                tracing::warn!(%error, "the engine's builds stay limited: a control group can't be set back");
            }
        }
    }

    /// The group of all steps, or the one that theirs are in.
    fn base(&self) -> Files {
        let (Place::One(group) | Place::Each { within: group, .. }) = &self.place;
        Files::below(&self.root, group)
    }

    /// Makes the group of all steps, if it is ours to make.
    fn make(&self) -> io::Result<()> {
        match self.place {
            Place::One(_) => self.base().make(),
            Place::Each { .. } => Ok(()),
        }
    }

    /// The groups that steps run in now, by the folder of each.
    fn present(&self) -> BTreeMap<PathBuf, Files> {
        let by_folder = |files: Files| (files.memory().to_owned(), files);
        match &self.place {
            Place::One(_) => [by_folder(self.base())].into(),
            Place::Each { within, prefix } => {
                let names =
                    fs::read_dir(self.base().memory()).into_iter().flatten().flatten().map(|entry| entry.file_name());
                let names = names.filter(|name| {
                    let step = name.to_string_lossy();
                    step.strip_prefix(prefix.as_str()).is_some_and(|step| !step.is_empty())
                });
                names.map(|name| by_folder(Files::below(&self.root, &within.join(name)))).collect()
            }
        }
    }
}

impl Held<'_> {
    /// Limits what steps there are now, and tells what they have.
    pub(super) fn look(&mut self) -> Use {
        if let Err(error) = self.hold_all() {
            // A step that is about to begin, or has just ended, has some of its files only.
            tracing::debug!(%error, "a build step's control group could not be set: it is looked at again");
        }
        let here = || self.steps.values().filter(|step| !step.gone);
        let memory_bytes = match self.groups.place {
            Place::One(_) => 0,
            Place::Each { .. } => here().filter_map(|step| step.files.own_memory()).sum(),
        };
        Use { processes: here().filter_map(|step| step.files.processes()).sum(), memory_bytes }
    }

    /// Whether the kernel found no more memory for the builds.
    pub(super) fn ran_out_of_memory(&mut self) -> bool {
        for step in self.steps.values_mut() {
            self.out_of_memory |= step.out_of_memory.happened(!step.files.exist());
        }
        self.out_of_memory
    }

    /// Steps that run side by side share the processors; memory is each one's, and all of theirs is counted.
    fn hold_all(&mut self) -> io::Result<()> {
        let present = self.groups.present();
        self.forget_gone(&present);
        #[expect(clippy::cast_precision_loss, reason = "nobody has so many steps at once")]
        let within = Ceilings { cpus: self.ceilings.cpus / present.len().max(1) as f64, ..self.ceilings };
        for (folder, files) in present {
            let step = self.steps.entry(folder).or_insert_with(|| Step {
                out_of_memory: files.count_out_of_memory(),
                files,
                cpus: None,
                gone: false,
            });
            if step.cpus != Some(within.cpus) {
                step.files.limit(Some(&within))?;
                step.cpus = Some(within.cpus);
            }
        }
        Ok(())
    }

    /// What the kernel has to say of a group comes soon after it went, and then its counter can go too.
    fn forget_gone(&mut self, present: &BTreeMap<PathBuf, Files>) {
        let out_of_memory = &mut self.out_of_memory;
        self.steps.retain(|folder, step| {
            let was_gone = std::mem::replace(&mut step.gone, !present.contains_key(folder));
            let forget = was_gone && step.gone;
            if forget {
                *out_of_memory |= step.out_of_memory.happened(true);
            }
            !forget
        });
    }
}

impl Drop for Held<'_> {
    fn drop(&mut self) {
        if is_last(&self.lock) {
            self.groups.lift();
        }
    }
}

/// Whether nobody else holds this lock.
fn is_last(lock: &File) -> bool {
    flock(lock, FlockOperation::NonBlockingLockExclusive).is_ok()
}

#[cfg(test)]
mod tests;
