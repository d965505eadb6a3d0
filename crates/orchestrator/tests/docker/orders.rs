//! What a checkout would order the programs around a build to do.

use std::fs;
use std::path::Path;

use super::ground::{Deployment, Ground, SERVE, commit, mimic, on_engine};

/// Makes `folder` a repository to git, with a commit that is missing and would be had from a program of the repository's choice.
/// Buildx asks git about the folder that it builds, unless it is told not to.
fn as_repository(folder: &Path, worktree: &str, marker: &Path) {
    for inner in ["objects", "refs/heads"] {
        fs::create_dir_all(folder.join(inner)).unwrap();
    }
    let config = format!(
        "[core]\n\trepositoryformatversion = 1\n\tbare = false\n\tworktree = {worktree}\n[extensions]\n\tpartialClone = origin\n\
         [remote \"origin\"]\n\turl = ./x\n\tpromisor = true\n\tuploadpack = touch {}\n",
        marker.display()
    );
    fs::write(folder.join("config"), config).unwrap();
    fs::write(folder.join("HEAD"), "ref: refs/heads/main\n").unwrap();
    fs::write(folder.join("refs/heads/main"), "1234567890123456789012345678901234567890\n").unwrap();
}

#[tokio::test]
async fn a_checkout_that_is_a_repository_too_has_git_run_nothing() {
    on_engine(async |ground: &Ground| {
        let markers = tempfile::tempdir().unwrap();
        for (number, (inner, worktree)) in (1..).zip([("", "."), (".git", "..")]) {
            let marker = markers.path().join(number.to_string());
            let mut app = Deployment::new(ground, "repository", u64::from(number));
            app.put("mimic", mimic());
            as_repository(&app.checkout.path().join(inner), worktree, &marker);
            ground.build(&app, commit(number), SERVE).await.unwrap();
            assert!(!marker.exists(), "git ran in {inner:?}");
        }
    })
    .await;
}
