//! What lies around an app's folder: the members of its workspace, by the patterns that a `Cargo.toml` or a `pyproject.toml` has for them, and
//! folders that are named by a path which leads out of its own.

use std::collections::BTreeSet;

use crate::repo_config::RelativePath;

use super::{DetectError, Files};

/// No workspace has more members; a hostile one may have.
const MOST: usize = 200;

/// The folders that fit one of the patterns, and are not among those excluded. A star is followed where it is a whole part of a path; others
/// are hardly ever seen.
///
/// Source: <https://doc.rust-lang.org/cargo/reference/workspaces.html#the-members-and-exclude-fields>,
/// <https://docs.astral.sh/uv/concepts/projects/workspaces/>
pub(super) fn members<'a>(
    files: &dyn Files,
    patterns: impl Iterator<Item = &'a str>,
    excluded: impl Iterator<Item = &'a str>,
) -> Result<Vec<String>, DetectError> {
    let excluded: Vec<&str> = excluded.map(|path| path.trim_end_matches('/')).collect();
    let mut found = BTreeSet::new();
    for pattern in patterns.take(MOST) {
        let mut paths = vec![String::new()];
        for part in pattern.trim_end_matches('/').split('/').filter(|part| *part != ".") {
            paths = followed(files, &paths, part)?;
        }
        // What a path of ours can't hold can't be built by a Dockerfile of ours either.
        found.extend(paths.into_iter().filter(|path| path.parse::<RelativePath>().is_ok()));
    }
    Ok(found.into_iter().filter(|path| !excluded.contains(&path.as_str())).take(MOST).collect())
}

/// Paths, one part longer.
fn followed(files: &dyn Files, paths: &[String], part: &str) -> Result<Vec<String>, DetectError> {
    let longer = |path: &str, name: &str| if path.is_empty() { name.to_owned() } else { format!("{path}/{name}") };
    let mut all = Vec::new();
    for path in paths.iter().take(MOST) {
        let names = if part == "*" { files.list(path)? } else { vec![part.to_owned()] };
        all.extend(names.iter().map(|name| longer(path, name)));
    }
    Ok(all)
}

/// Whether a path that begins in a folder leads out of the tree in which that folder lies.
pub(super) fn leads_out(folder: &str, path: &str) -> bool {
    let mut depth = folder.split('/').filter(|part| !matches!(*part, "" | ".")).count();
    for part in path.split('/') {
        match part {
            "" | "." => {}
            ".." if depth == 0 => return true,
            ".." => depth -= 1,
            _ => depth += 1,
        }
    }
    false
}

#[cfg(test)]
mod tests {
    use super::leads_out;

    #[test]
    fn a_path_leads_out_where_it_climbs_above_the_tree() {
        for (folder, path) in [("", ".."), (".", "../x"), ("api", "../../x"), ("", "a/../../x"), ("a/b", "../../../c")]
        {
            assert!(leads_out(folder, path), "{folder} {path}");
        }
        for (folder, path) in [("", "x"), ("", "./x/../y"), ("api", "../x"), ("a/b", "../../c"), (".", ".")] {
            assert!(!leads_out(folder, path), "{folder} {path}");
        }
    }
}
