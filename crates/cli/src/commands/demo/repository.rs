//! A repository of the person who watches.

use std::path::{Path, PathBuf};

use preview_exec::Program;
use preview_simulator::{Change, Source};

use crate::error::Failure;

/// A commit of a local repository.
pub(super) struct Local {
    /// The repository's own folder (`.git`, or a bare one).
    git: PathBuf,
    /// What people call it.
    pub(super) name: String,
    revision: String,
    /// The commit, cut short.
    pub(super) commit: String,
    /// Whether there are changes that are in no commit.
    pub(super) changed: bool,
}

impl Local {
    /// Finds the commit that `branch` (or `HEAD`) names in the repository at `path`.
    pub(super) async fn find(path: &Path, branch: Option<&str>) -> Result<Self, Failure> {
        let unusable = |error| Failure::new(format!("`{}` can't be used", path.display())).because(&error);
        let path = std::fs::canonicalize(path).map_err(unusable)?;
        let revision = branch.unwrap_or("HEAD").to_owned();
        let ask = async |what: String, args: &[&str]| {
            // Git's own check of who owns the repository needs to know its owner's settings.
            let git = Program::new("git").inherit_env("HOME").arg("-C").arg(&path).args(args);
            let missing = |error| Failure::new(format!("`{}` has no {what}", path.display())).because(&error);
            git.run().await.map(|answer| answer.text().trim().to_owned()).map_err(missing)
        };
        let git = ask("Git repository".to_owned(), &["rev-parse", "--absolute-git-dir"]).await?;
        let verify = ["rev-parse", "--verify", "--short", "--end-of-options", &format!("{revision}^{{commit}}")];
        let commit = ask(format!("commit that `{revision}` names"), &verify).await?;
        let status = ask("working copy".to_owned(), &["status", "--porcelain", "--untracked-files=no"]).await;
        Ok(Self {
            git: git.into(),
            name: repository_name(&path),
            revision,
            commit,
            // A bare repository has no working copy, so nothing in it can have changed.
            changed: branch.is_none() && status.is_ok_and(|changes| !changes.is_empty()),
        })
    }

    /// What people asked for.
    pub(super) fn named(&self) -> &str {
        &self.revision
    }

    /// What the pull request is made of.
    pub(super) fn source(&self) -> Source {
        Source::Git { path: self.git.clone(), revision: self.revision.clone() }
    }

    /// What it is opened against.
    pub(super) fn base(&self) -> Source {
        vec![Change::write("README.md", "# The branch that the pull request is opened against\n")].into()
    }
}

/// A folder's name as GitHub takes it.
fn repository_name(path: &Path) -> String {
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    let name = name.strip_suffix(".git").unwrap_or(&name);
    let name: String =
        name.chars().map(|c| if c.is_ascii_alphanumeric() || "-_.".contains(c) { c } else { '-' }).take(60).collect();
    let name = name.trim_matches(['.', '-']);
    if name.is_empty() { "repository".to_owned() } else { name.to_owned() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_folder_gives_a_name_that_github_would_take() {
        for (path, name) in
            [("/src/my-app", "my-app"), ("/src/My App.git", "My-App"), ("/", "repository"), ("/x/..ü..", "repository")]
        {
            assert_eq!(repository_name(Path::new(path)), name);
            format!("acme/{name}").parse::<preview_core::ids::RepoName>().unwrap();
        }
    }
}
