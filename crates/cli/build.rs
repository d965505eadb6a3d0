//! Puts the files that make a server, `terraform/` and `ansible/`, into the program: who has it needs no checkout.

use std::env;
use std::fmt::Write;
use std::path::{Path, PathBuf};

fn main() {
    // Asked now, not when this was compiled: a checkout may move, and its `target` with it.
    let root = PathBuf::from(env::var_os("CARGO_MANIFEST_DIR").expect("cargo says where the package is")).join("../..");
    let mut files = Vec::new();
    for folder in ["ansible", "terraform"] {
        println!("cargo::rerun-if-changed={}", root.join(folder).display());
        collect(&root, Path::new(folder), &mut files);
    }
    files.sort();
    let mut list = String::from("&[\n");
    for file in files {
        let path = root.join(&file).canonicalize().expect("it was listed");
        writeln!(list, "    ({:?}, include_bytes!({path:?})),", file.to_str().expect("our names are ASCII"))
            .expect("writing into a String does not fail");
    }
    list.push(']');
    let out = PathBuf::from(std::env::var_os("OUT_DIR").expect("cargo sets it"));
    std::fs::write(out.join("embedded.rs"), list).expect("cargo gives a folder to write to");
}

/// All files beneath a folder, but for what using them by hand leaves there: state, plugins, locks.
fn collect(root: &Path, folder: &Path, files: &mut Vec<PathBuf>) {
    for entry in std::fs::read_dir(root.join(folder)).expect("the folder is in the repository") {
        let entry = entry.expect("the folder can be read");
        let path = folder.join(entry.file_name());
        let hidden = entry.file_name().to_string_lossy().starts_with('.');
        let of_terraform = path.starts_with("terraform") && path.extension().is_none_or(|ending| ending != "tf");
        match entry.file_type().expect("it can be looked at") {
            kind if kind.is_dir() && !hidden => collect(root, &path, files),
            kind if kind.is_file() && !hidden && !of_terraform => files.push(path),
            _ => {}
        }
    }
}
