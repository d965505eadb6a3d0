//! Puts the files that make a server, `terraform/` and `ansible/`, and the applications of `examples/`, which `preview demo` shows, into
//! the program: who has it needs no checkout.

use std::env;
use std::fmt::Write;
use std::path::{Path, PathBuf};

/// What building an example by hand leaves in its folder.
const BUILT: [&str; 7] = [".venv", "__pycache__", "dist", "node_modules", "staticfiles", "target", "venv"];

fn main() {
    embed(&["ansible", "terraform"], "embedded.rs", &|path| {
        let of_terraform = path.starts_with("terraform") && path.extension().is_none_or(|ending| ending != "tf");
        // What using them by hand leaves there: state, plugins, locks.
        let is_hidden = path.components().any(|part| part.as_os_str().as_encoded_bytes().starts_with(b"."));
        !is_hidden && !of_terraform
    });
    embed(&["examples"], "examples.rs", &|path| {
        let is_built = path.components().any(|part| BUILT.iter().any(|built| part.as_os_str() == *built));
        // The page about all of them is in none.
        !is_built && path.components().count() > 2
    });
}

/// Writes a list of the files beneath these folders that are wanted, with what is in them.
fn embed(folders: &[&str], list_name: &str, is_wanted: &dyn Fn(&Path) -> bool) {
    // Asked now, not when this was compiled: a checkout may move, and its `target` with it.
    let root = PathBuf::from(env::var_os("CARGO_MANIFEST_DIR").expect("cargo says where the package is")).join("../..");
    let mut files = Vec::new();
    for folder in folders {
        println!("cargo::rerun-if-changed={}", root.join(folder).display());
        collect(&root, Path::new(folder), &mut files);
    }
    files.retain(|path| is_wanted(path));
    files.sort();
    let mut list = String::from("&[\n");
    for file in files {
        let path = root.join(&file).canonicalize().expect("it was listed");
        writeln!(list, "    ({:?}, include_bytes!({path:?})),", file.to_str().expect("our names are ASCII"))
            .expect("writing into a String does not fail");
    }
    list.push(']');
    let out = PathBuf::from(env::var_os("OUT_DIR").expect("cargo sets it"));
    std::fs::write(out.join(list_name), list).expect("cargo gives a folder to write to");
}

/// All files beneath a folder.
fn collect(root: &Path, folder: &Path, files: &mut Vec<PathBuf>) {
    for entry in std::fs::read_dir(root.join(folder)).expect("the folder is in the repository") {
        let entry = entry.expect("the folder can be read");
        let path = folder.join(entry.file_name());
        match entry.file_type().expect("it can be looked at") {
            kind if kind.is_dir() => collect(root, &path, files),
            kind if kind.is_file() => files.push(path),
            _ => {}
        }
    }
}
