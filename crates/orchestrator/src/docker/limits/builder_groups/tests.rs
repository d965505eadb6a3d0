//! The groups of a builder, in folders that look like those of the kernel.

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
        assert!(find("cgroupfs").ends_with("can't be set (that takes root): No such file or directory (os error 2)"));
        assert!(find("systemd").contains("can't be set") && find("systemd").contains("native.cgroupdriver=cgroupfs"));
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
