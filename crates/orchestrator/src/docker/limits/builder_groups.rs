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
mod tests {
    use std::fs;

    use tempfile::TempDir;

    use super::*;

    /// Files of each version with what stands in them when nothing is limited, and within 2 GiB, 1.5 processors and 100 processes.
    const FIRST: [(&str, &str, &str); 5] = [
        ("memory/docker/buildkit/memory.limit_in_bytes", "-1", "2147483648"),
        ("memory/docker/buildkit/memory.memsw.limit_in_bytes", "-1", "2147483648"),
        ("cpu/docker/buildkit/cpu.cfs_quota_us", "-1", "150000"),
        ("cpu/docker/buildkit/cpu.shares", "1024", "256"),
        ("pids/docker/buildkit/pids.max", "max", "100"),
    ];
    const SECOND: [(&str, &str, &str); 5] = [
        ("docker/buildkit/memory.max", "max", "2147483648"),
        ("docker/buildkit/memory.swap.max", "max", "0"),
        ("docker/buildkit/cpu.max", "max 100000", "150000 100000"),
        ("docker/buildkit/cpu.weight", "100", "25"),
        ("docker/buildkit/pids.max", "max", "100"),
    ];

    fn within(megabytes: u64) -> Ceilings {
        Ceilings { memory_bytes: megabytes << 20, cpus: 1.5, processes: 100 }
    }

    fn system(files: [(&str, &str, &str); 5]) -> (TempDir, BuilderGroups) {
        let root = tempfile::tempdir().unwrap();
        if files == SECOND {
            fs::write(root.path().join("cgroup.controllers"), "cpu memory pids\n").unwrap();
        }
        for (file, free, _) in files {
            let file = root.path().join(file);
            fs::create_dir_all(file.parent().unwrap()).unwrap();
            fs::write(file, free).unwrap();
        }
        let group = BuilderGroups::find(root.path(), "cgroupfs", None).unwrap();
        (root, group)
    }

    fn read(root: &TempDir, files: [(&str, &str, &str); 5]) -> [String; 5] {
        files.map(|(file, ..)| fs::read_to_string(root.path().join(file)).unwrap())
    }

    #[test]
    fn limits_hold_for_memory_with_swap_for_cpus_and_processes_and_go_again() {
        for files in [FIRST, SECOND] {
            let (root, group) = system(files);
            let held = group.hold(&within(2048)).unwrap();
            assert_eq!(read(&root, files), files.map(|(_, _, limited)| limited));
            drop(held);
            assert_eq!(read(&root, files), files.map(|(_, free, _)| free));
        }
    }

    #[test]
    fn the_last_of_several_lifts_them() {
        for files in [FIRST, SECOND] {
            let (root, group) = system(files);
            let first = group.hold(&within(2048)).unwrap();
            let second = group.hold(&within(1024)).unwrap();
            drop(first);
            group.lift_unless_held();
            assert_eq!(read(&root, files)[0], "1073741824");
            drop(second);
            assert_eq!(read(&root, files), files.map(|(_, free, _)| free));
        }
    }

    #[test]
    fn what_somebody_left_who_was_killed_is_lifted() {
        for files in [FIRST, SECOND] {
            let (root, group) = system(files);
            group.base().limit(Some(&within(64))).unwrap();
            group.lift_unless_held();
            assert_eq!(read(&root, files), files.map(|(_, free, _)| free));
        }
    }

    #[test]
    fn on_the_second_version_a_kill_for_want_of_memory_is_told() {
        let (root, group) = system(SECOND);
        let events = root.path().join("docker/buildkit/memory.events");
        fs::write(&events, "low 0\noom 3\noom_kill 2\n").unwrap();
        let mut held = group.hold(&within(64)).unwrap();
        assert!(!held.ran_out_of_memory());
        fs::write(&events, "low 0\noom 4\noom_kill 3\n").unwrap();
        assert!(held.ran_out_of_memory());
    }

    #[test]
    fn what_limits_the_group_and_nothing_above_it_is_given_away() {
        let me = rustix::process::getuid().as_raw();
        for files in [FIRST, SECOND] {
            let (root, _) = system(files);
            hand_over(root.path(), None, me).unwrap();
            if files == SECOND {
                for above in ["cgroup.subtree_control", "docker/cgroup.subtree_control"] {
                    assert_eq!(fs::read_to_string(root.path().join(above)).unwrap(), "+cpu +memory +pids");
                }
                assert!(!root.path().join("docker/buildkit/cgroup.subtree_control").exists());
            }
        }
        // Whoever may not give files away learns so, or the service would wonder later.
        let (root, _) = system(FIRST);
        fs::remove_file(root.path().join("pids/docker/buildkit/pids.max")).unwrap();
        assert!(hand_over(root.path(), None, me).is_err());
    }

    #[test]
    fn an_engine_without_such_a_group_says_why() {
        let root = tempfile::tempdir().unwrap();
        let find = |driver| BuilderGroups::find(root.path(), driver, None).unwrap_err();
        let all_can_t_be_set = || {
            assert!(
                find("cgroupfs").ends_with("can't be set (that takes root): No such file or directory (os error 2)")
            );
            assert!(
                find("systemd").contains("can't be set") && find("systemd").contains("native.cgroupdriver=cgroupfs")
            );
        };
        all_can_t_be_set();
        fs::write(root.path().join("cgroup.controllers"), "cpu memory pids\n").unwrap();
        all_can_t_be_set();
        // No step of such an engine ever runs there.
        let elsewhere = BuilderGroups::find(root.path(), "systemd", Some(Path::new("/docker/buildkit"))).unwrap_err();
        assert!(elsewhere.contains("names one for all, /docker/buildkit"), "{elsewhere}");
    }

    /// The groups of two steps and of a container beside them, on an engine with the `systemd` driver.
    fn steps(files: [(&str, &str, &str); 5]) -> (TempDir, BuilderGroups, [Vec<PathBuf>; 3]) {
        let root = tempfile::tempdir().unwrap();
        let second = files == SECOND;
        if second {
            fs::write(root.path().join("cgroup.controllers"), "cpu memory pids\n").unwrap();
        }
        let engine = if second { "system.slice" } else { "system.slice/docker.service" };
        let place = |file: &str, group: &str| root.path().join(file.replace("docker/buildkit", group));
        let groups = ["system.slice:docker:one", "system.slice:docker:two", "docker-abc.scope"]
            .map(|step| files.map(|(file, ..)| place(file, &format!("{engine}/{step}"))).to_vec());
        let base = files.map(|(file, ..)| place(file, engine));
        for (file, (_, free, _)) in groups.iter().chain([&base.to_vec()]).flat_map(|group| group.iter().zip(files)) {
            fs::create_dir_all(file.parent().unwrap()).unwrap();
            fs::write(file, free).unwrap();
        }
        let found = BuilderGroups::find(root.path(), "systemd", None).unwrap();
        (root, found, groups)
    }

    fn read_all(group: &[PathBuf]) -> Vec<String> {
        group.iter().map(|file| fs::read_to_string(file).unwrap()).collect()
    }

    #[test]
    fn steps_with_groups_of_their_own_are_each_held_and_share_the_processors() {
        for files in [FIRST, SECOND] {
            let (_root, groups, [one, two, container]) = steps(files);
            let removed: Vec<&Path> = two.iter().map(|file| file.parent().unwrap()).collect();
            let kept: Vec<Vec<u8>> = two.iter().map(|file| fs::read(file).unwrap()).collect();
            removed.iter().for_each(|dir| drop(fs::remove_dir_all(dir)));
            let mut held = groups.hold(&within(2048)).unwrap();
            assert_eq!(read_all(&one), files.map(|(_, _, limited)| limited));
            for (dir, (file, bytes)) in removed.iter().zip(two.iter().zip(&kept)) {
                fs::create_dir_all(dir).unwrap();
                fs::write(file, bytes).unwrap();
            }
            held.look();
            let shared = files.map(|(_, _, limited)| limited.replace("150000", "75000"));
            assert_eq!((read_all(&one), read_all(&two)), (shared.to_vec(), shared.to_vec()));
            let free = files.map(|(_, free, _)| free.to_owned()).to_vec();
            assert_eq!(read_all(&container), free, "what isn't a step");
            drop(held);
            assert_eq!((read_all(&one), read_all(&two)), (free.clone(), free));
        }
    }

    #[test]
    fn what_steps_with_groups_of_their_own_have_is_counted_together() {
        for (files, stat) in [
            (FIRST, "cache 9000\nrss 7\ntotal_cache 9000\ntotal_rss 100\ntotal_shmem 20\ntotal_swap 3\n"),
            (SECOND, "anon 103\nfile 9000\nshmem 20\n"),
        ] {
            let (_root, groups, all) = steps(files);
            for group in &all {
                fs::write(group[0].with_file_name("memory.stat"), stat).unwrap();
                fs::write(group[4].with_file_name("pids.current"), "4\n").unwrap();
            }
            let mut held = groups.hold(&within(2048)).unwrap();
            assert_eq!(held.look(), Use { processes: 8, memory_bytes: 246 });
            all[1].iter().for_each(|file| drop(fs::remove_dir_all(file.parent().unwrap())));
            assert_eq!(held.look(), Use { processes: 4, memory_bytes: 123 });
        }
    }

    #[test]
    fn a_step_that_was_killed_for_want_of_memory_is_told_after_it_has_gone() {
        let (_root, groups, [one, ..]) = steps(SECOND);
        let events = one[0].with_file_name("memory.events");
        fs::write(&events, "oom_kill 0\n").unwrap();
        let mut held = groups.hold(&within(64)).unwrap();
        fs::write(&events, "oom_kill 1\n").unwrap();
        held.look();
        assert!(held.ran_out_of_memory());
        fs::remove_dir_all(one[0].parent().unwrap()).unwrap();
        held.look();
        held.look();
        assert!(held.ran_out_of_memory());
    }
}
