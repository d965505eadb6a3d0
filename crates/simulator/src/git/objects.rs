//! Blobs, trees and commits as bytes.
//!
//! Git's own tools refuse to write a tree with a `.git` in it, and a hostile author doesn't ask them. So trees are put together
//! here and Git only stores them.

use std::collections::BTreeMap;
use std::fs;

use sha1::{Digest, Sha1};
use tempfile::TempDir;

use crate::change::Change;
use crate::error::{Error, Result};

/// Objects that are not in a repository yet, by kind.
#[derive(Default)]
pub(super) struct Objects {
    by_kind: BTreeMap<&'static str, Vec<Vec<u8>>>,
}

impl Objects {
    /// Takes an object and gives its name.
    pub(super) fn add(&mut self, kind: &'static str, bytes: Vec<u8>) -> String {
        let header = format!("{kind} {}\0", bytes.len());
        let name = hex::encode(Sha1::new().chain_update(header).chain_update(&bytes).finalize());
        self.by_kind.entry(kind).or_default().push(bytes);
        name
    }

    /// Each kind's objects as files of a folder, which goes when it is dropped, and the list of their paths.
    pub(super) fn on_disk(self) -> Result<Vec<(&'static str, String, TempDir)>> {
        self.by_kind.into_iter().map(|(kind, objects)| Self::kind_on_disk(kind, &objects)).collect()
    }

    fn kind_on_disk(kind: &'static str, objects: &[Vec<u8>]) -> Result<(&'static str, String, TempDir)> {
        let failed = |source| Error::File { path: std::env::temp_dir(), source };
        let folder = TempDir::new().map_err(failed)?;
        let mut list = String::new();
        for (number, bytes) in objects.iter().enumerate() {
            let path = folder.path().join(number.to_string());
            fs::write(&path, bytes).map_err(failed)?;
            list.push_str(&format!("{}\n", path.display()));
        }
        Ok((kind, list, folder))
    }
}

/// A file, a link or a submodule.
struct Leaf {
    mode: String,
    object: String,
}

enum Node {
    Leaf(Leaf),
    Folder(Tree),
}

/// The files of a commit.
#[derive(Default)]
pub(super) struct Tree {
    entries: BTreeMap<Vec<u8>, Node>,
}

impl Tree {
    /// Reads what `git ls-tree -r -z` says.
    pub(super) fn parse(listing: &[u8]) -> Self {
        let mut tree = Self::default();
        for line in listing.split(|byte| *byte == 0) {
            let Some(tab) = line.iter().position(|byte| *byte == b'\t') else { continue };
            let about = String::from_utf8_lossy(&line[..tab]).into_owned();
            if let [mode, _, object] = about.split(' ').collect::<Vec<_>>()[..] {
                tree.put(&line[tab + 1..], Leaf { mode: mode.to_owned(), object: object.to_owned() });
            }
        }
        tree
    }

    pub(super) fn apply(&mut self, change: Change, objects: &mut Objects) {
        let leaf = |mode: &str, object| Leaf { mode: mode.to_owned(), object };
        match change {
            Change::Write { path, bytes, executable } => {
                let mode = if executable { "100755" } else { "100644" };
                self.put(path.as_bytes(), leaf(mode, objects.add("blob", bytes)));
            }
            Change::Symlink { path, target } => {
                self.put(path.as_bytes(), leaf("120000", objects.add("blob", target.into_bytes())));
            }
            Change::Submodule { path, commit } => self.put(path.as_bytes(), leaf("160000", commit.into())),
            Change::Delete { path } => self.remove(path.as_bytes()),
        }
    }

    fn put(&mut self, path: &[u8], leaf: Leaf) {
        let Some((folder, rest)) = split(path) else {
            self.entries.insert(path.to_owned(), Node::Leaf(leaf));
            return;
        };
        let node = self.entries.entry(folder.to_owned()).or_insert_with(|| Node::Folder(Self::default()));
        if let Node::Leaf(_) = node {
            *node = Node::Folder(Self::default());
        }
        if let Node::Folder(tree) = node {
            tree.put(rest, leaf);
        }
    }

    fn remove(&mut self, path: &[u8]) {
        match split(path) {
            None => drop(self.entries.remove(path)),
            Some((folder, rest)) => {
                if let Some(Node::Folder(tree)) = self.entries.get_mut(folder) {
                    tree.remove(rest);
                }
            }
        }
    }

    /// Gives the tree's name, and its bytes and those of the folders in it to `objects`. Empty folders are left out, as Git does.
    pub(super) fn write(self, objects: &mut Objects) -> String {
        let mut lines: Vec<(Vec<u8>, Vec<u8>)> = Vec::new();
        for (name, node) in self.entries {
            let (mode, object, sort_key) = match node {
                Node::Leaf(leaf) => (leaf.mode, leaf.object, name.clone()),
                Node::Folder(tree) if tree.is_empty() => continue,
                // Git sorts a folder as if its name ended with a slash.
                Node::Folder(tree) => ("40000".to_owned(), tree.write(objects), [&name[..], b"/"].concat()),
            };
            let raw = hex::decode(&object).unwrap_or_default();
            lines.push((sort_key, [mode.as_bytes(), b" ", &name, b"\0", &raw].concat()));
        }
        lines.sort();
        objects.add("tree", lines.into_iter().flat_map(|(_, line)| line).collect())
    }

    fn is_empty(&self) -> bool {
        self.entries.values().all(|node| matches!(node, Node::Folder(tree) if tree.is_empty()))
    }
}

fn split(path: &[u8]) -> Option<(&[u8], &[u8])> {
    let slash = path.iter().position(|byte| *byte == b'/')?;
    Some((&path[..slash], &path[slash + 1..]))
}
