//! The two command line tools that we run, Compose and Buildx, and the little world that they see.
//!
//! Both are plugins of the `docker` command but also work by themselves, and called directly they start quicker and leave
//! no process between us and them: the signal that ends a program when we die reaches only our own child.

use std::ffi::OsStr;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use preview_exec::{ExecError, Program};

/// Where plugins are installed for everybody.
///
/// Source: <https://github.com/docker/cli/blob/master/cli-plugins/manager/manager_unix.go>
const SYSTEM_FOLDERS: [&str; 4] = [
    "/usr/local/lib/docker/cli-plugins",
    "/usr/local/libexec/docker/cli-plugins",
    "/usr/lib/docker/cli-plugins",
    "/usr/libexec/docker/cli-plugins",
];

/// A plugin, or `docker` with the plugin's word.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Tool {
    program: PathBuf,
    word: Option<&'static str>,
}

impl Tool {
    /// Compose v2.
    pub(super) fn compose() -> Self {
        Self::find("compose", &plugin_folders())
    }

    /// Buildx.
    pub(super) fn buildx() -> Self {
        Self::find("buildx", &plugin_folders())
    }

    fn find(word: &'static str, folders: &[PathBuf]) -> Self {
        let plugin = folders.iter().map(|folder| folder.join(format!("docker-{word}"))).find(|path| executable(path));
        match plugin {
            Some(program) => Self { program, word: None },
            None => Self { program: "docker".into(), word: Some(word) },
        }
    }

    /// Makes sure that `docker` knows the word, where there is no plugin to run directly.
    pub(super) async fn ensure(&self, world: &World) -> Result<(), ExecError> {
        match self.word {
            Some(_) => world.run(self).arg("version").run().await.map(drop),
            None => Ok(()),
        }
    }

    fn program(&self) -> Program {
        Program::new(&self.program).args(self.word)
    }
}

fn plugin_folders() -> Vec<PathBuf> {
    let own = std::env::home_dir().map(|home| home.join(".docker/cli-plugins"));
    own.into_iter().chain(SYSTEM_FOLDERS.map(PathBuf::from)).collect()
}

fn executable(path: &Path) -> bool {
    path.metadata().is_ok_and(|meta| meta.is_file() && meta.permissions().mode() & 0o111 != 0)
}

/// Buildx asks git about the folder that it builds, which is theirs, and git obeys a repository's own configuration: any folder with a
/// `HEAD`, `objects` and `refs` in it is one. So it is told not to ask, and a git that is asked all the same looks nowhere.
///
/// Source: <https://docs.docker.com/build/building/variables/#buildx_git_info>, <https://git-scm.com/docs/git#_environment_variables>
const NO_GIT: [(&str, &str); 3] =
    [("BUILDX_GIT_INFO", "false"), ("BUILDX_GIT_LABELS", "false"), ("GIT_DIR", "/dev/null")];

/// What the tools see: our PATH, the engine's address, and a home of ours in which there is no configuration of anybody's.
#[derive(Debug, Clone)]
pub(super) struct World {
    /// The engine's address, `unix:///…`.
    pub(super) docker_host: String,
    /// The home, and the working directory: outside of every checkout.
    pub(super) home: PathBuf,
}

impl World {
    /// The tool, in this world.
    pub(super) fn run(&self, tool: &Tool) -> Program {
        let set = |program: Program, key: &str, value: &OsStr| program.env(key, value);
        let program = set(tool.program().dir(&self.home), "DOCKER_HOST", self.docker_host.as_ref());
        let program = set(program, "HOME", self.home.as_os_str());
        let program = set(program, "DOCKER_CONFIG", self.home.join(".docker").as_os_str());
        NO_GIT.iter().fold(program, |program, (key, value)| program.env(key, value))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_plugin_is_run_directly_and_docker_is_the_way_round() {
        let folder = tempfile::tempdir().unwrap();
        let folders = [PathBuf::from("/no/such/folder"), folder.path().to_owned()];
        let fallback = Tool { program: "docker".into(), word: Some("compose") };
        assert_eq!(Tool::find("compose", &folders), fallback);

        let plugin = folder.path().join("docker-compose");
        std::fs::write(&plugin, "").unwrap();
        assert_eq!(Tool::find("compose", &folders), fallback, "a file that can't be run is no plugin");

        std::fs::set_permissions(&plugin, PermissionsExt::from_mode(0o755)).unwrap();
        assert_eq!(Tool::find("compose", &folders), Tool { program: plugin, word: None });
    }

    #[tokio::test]
    async fn a_word_that_docker_does_not_know_is_an_error() {
        let home = tempfile::tempdir().unwrap();
        let world = World { docker_host: "unix:///nonexistent/docker.sock".to_owned(), home: home.path().to_owned() };
        let tool = |program: &str| Tool { program: program.into(), word: Some("compose") };
        tool("/bin/true").ensure(&world).await.unwrap();
        tool("/bin/false").ensure(&world).await.unwrap_err();
        tool("/nonexistent/docker").ensure(&world).await.unwrap_err();
    }
}
