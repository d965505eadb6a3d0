//! A repository of the person who watches, or a folder with what is in no commit yet.

use std::path::{Path, PathBuf};

use preview_exec::{Limits, Program};
use preview_simulator::{Change, Source};

use crate::error::{Failure, Kind};

/// What a folder's only commit is called.
const AS_IT_IS: &str = "the folder as it is";

/// A commit of a local repository.
pub(in crate::commands) struct Local {
    /// The repository's own folder (`.git`, or a bare one).
    git: PathBuf,
    /// What people call it.
    pub(super) name: String,
    revision: String,
    /// What people call that.
    named: String,
    /// The commit, cut short.
    pub(super) commit: String,
    /// Whether there are changes that are in no commit.
    pub(super) changed: bool,
}

impl Local {
    /// Finds the commit that `branch` (or `HEAD`) names in the repository at `path`.
    pub(super) async fn find(path: &Path, branch: Option<&str>) -> Result<Self, Failure> {
        let path = usable(path)?;
        let revision = branch.unwrap_or("HEAD").to_owned();
        let ask = async |what: String, args: &[&str]| {
            // Git's own check of who owns the repository needs to know its owner's settings.
            let git = Program::new("git").inherit_env("HOME").arg("-C").arg(&path).args(args);
            let missing = |error| {
                let failure = Failure::new(format!("`{}` has no {what}", path.display())).because(&error);
                failure.kind(Kind::Settings).hint("`preview up PATH` takes a folder as it is, with no commit of it")
            };
            git.run().await.map(|answer| answer.text().trim().to_owned()).map_err(missing)
        };
        let git = ask("Git repository".to_owned(), &["rev-parse", "--absolute-git-dir"]).await?;
        let verify = ["rev-parse", "--verify", "--short", "--end-of-options", &format!("{revision}^{{commit}}")];
        let commit = ask(format!("commit that `{revision}` names"), &verify).await?;
        let status = ask("working copy".to_owned(), &["status", "--porcelain", "--untracked-files=no"]).await;
        Ok(Self {
            git: git.into(),
            name: repository_name(&path),
            named: revision.clone(),
            revision,
            commit,
            // A bare repository has no working copy, so nothing in it can have changed.
            changed: branch.is_none() && status.is_ok_and(|changes| !changes.is_empty()),
        })
    }

    /// Commits all that is in a folder, but for what Git ignores there, into a repository that is made at `scratch`: the folder's own, if
    /// it has one, stays as it is.
    pub(in crate::commands) async fn of_folder(path: &Path, scratch: &Path) -> Result<Self, Failure> {
        let path = usable(path)?;
        let dir = scratch.join("repository.git");
        let base = || {
            let git = Program::new("git").inherit_env("HOME").dir(&path).limits(Limits::seconds(300));
            // Who commits is nobody's business here, and signing would ask for a key.
            git.args(["-c", "user.name=preview up", "-c", "user.email=up@localhost", "-c", "commit.gpgSign=false"])
        };
        let ask = async |args: &[&str]| {
            let git = base().arg("--git-dir").arg(&dir).arg("--work-tree").arg(&path).args(args);
            let failed =
                |error| Failure::new(format!("what is in `{}` can't be taken", path.display())).because(&error);
            git.run().await.map(|answer| answer.text().trim().to_owned()).map_err(failed)
        };
        let init = base().args(["init", "--quiet", "--template=", "--bare"]).arg(&dir);
        init.run().await?;
        ask(&["add", "--all", "--", "."]).await?;
        ask(&["commit", "--quiet", "--allow-empty", "--no-verify", "--message=The folder as it is"]).await?;
        let commit = ask(&["rev-parse", "--short", "HEAD"]).await?;
        let name = repository_name(&path);
        let named = AS_IT_IS.to_owned();
        Ok(Self { git: dir, name, revision: "HEAD".to_owned(), named, commit, changed: false })
    }

    /// Writes all of it into one file, from which [`Local::of_bundle`] makes it again.
    pub(in crate::commands) async fn bundle(&self, file: &Path) -> Result<(), Failure> {
        let git = Program::new("git").arg("--git-dir").arg(&self.git).limits(Limits::seconds(300));
        git.args(["bundle", "create"]).arg(file).arg(&self.revision).run().await?;
        Ok(())
    }

    /// What another machine's [`Local::of_folder`] took, as a repository that is made at `scratch`.
    pub(in crate::commands) async fn of_bundle(file: &Path, name: &str, scratch: &Path) -> Result<Self, Failure> {
        let dir = scratch.join("repository.git");
        let base = || Program::new("git").dir(scratch).limits(Limits::seconds(300));
        let failed = |error| Failure::new("what came of the folder can't be read").because(&error);
        base().args(["init", "--quiet", "--template=", "--bare"]).arg(&dir).run().await?;
        let fetch = base().arg("--git-dir").arg(&dir).args(["fetch", "--quiet", "--no-tags"]);
        fetch.arg(file).arg("HEAD:refs/heads/up").run().await.map_err(failed)?;
        let verify = base().arg("--git-dir").arg(&dir).args(["rev-parse", "--short", "refs/heads/up"]);
        let commit = verify.run().await.map_err(failed)?.text().trim().to_owned();
        let (name, named) = (repository_name(Path::new(name)), AS_IT_IS.to_owned());
        Ok(Self { git: dir, name, revision: "refs/heads/up".to_owned(), named, commit, changed: false })
    }

    /// What people call it.
    pub(in crate::commands) fn name(&self) -> &str {
        &self.name
    }

    /// What people asked for.
    pub(super) fn named(&self) -> &str {
        &self.named
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

/// The folder's whole path, if it is one.
fn usable(path: &Path) -> Result<PathBuf, Failure> {
    let found = std::fs::canonicalize(path).and_then(|path| std::fs::read_dir(&path).map(|_| path));
    found.map_err(|error| {
        let failure = Failure::new(format!("`{}` can't be used", path.display())).because(&error);
        failure.kind(Kind::Settings).hint("name a folder of yours")
    })
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

    #[tokio::test]
    async fn a_folder_is_taken_as_it_is_and_stays_as_it_is() {
        let (folder, scratch) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        let git = |args: &[&str]| {
            let git = Program::new("git").args(["-c", "user.name=Me", "-c", "user.email=me@example.com"]);
            git.args(args).dir(folder.path())
        };
        let write = |name: &str, text: &str| std::fs::write(folder.path().join(name), text).unwrap();
        git(&["init", "--quiet"]).run().await.unwrap();
        write("kept", "old");
        write(".gitignore", "ignored\n");
        git(&["add", "."]).run().await.unwrap();
        git(&["commit", "--quiet", "--message=One"]).run().await.unwrap();
        write("kept", "changed, and in no commit");
        write("new", "new");
        write("ignored", "a secret");
        let status = git(&["status", "--porcelain"]).run().await.unwrap().text();
        let local = Local::of_folder(folder.path(), scratch.path()).await.unwrap();
        let show = |what: &str| Program::new("git").arg("--git-dir").arg(&local.git).args(["show", what]);
        assert_eq!(show("HEAD:kept").run().await.unwrap().text(), "changed, and in no commit");
        assert_eq!(show("HEAD:new").run().await.unwrap().text(), "new");
        show("HEAD:ignored").run().await.unwrap_err();
        assert_eq!(git(&["status", "--porcelain"]).run().await.unwrap().text(), status);
    }

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
