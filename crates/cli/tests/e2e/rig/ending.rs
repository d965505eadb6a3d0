//! The end of an installation: everything closed, and the proof that nothing is left. A test that failed is cleaned up after.

use std::path::PathBuf;

use preview_exec::Program;
use preview_simulator::{Pull, Repo};

use super::Rig;

impl Rig {
    /// Closes what is open, waits until all is gone, stops the service, and proves that nothing is left.
    pub(crate) async fn finish(mut self) {
        for repository in self.github.look(|state| state.repositories().map(|r| r.name.to_string()).collect::<Vec<_>>())
        {
            let repo = self.github.repo(&repository).unwrap();
            for pull in self.open_pulls(&repo) {
                pull.close().unwrap();
            }
        }
        self.until("every record is gone, and nothing is told that is not dealt with", async || {
            let ledger = self.ledger();
            let empty = |name: &str| ledger[name].as_object().is_some_and(serde_json::Map::is_empty);
            let dealt_with = ledger["pending"].as_array().is_some_and(Vec::is_empty);
            (empty("deployments") && empty("portAllocations") && dealt_with).then_some(())
        })
        .await;
        self.assert_nothing_runs().await;
        // Whoever looks after a pull request that has no preview any more has its folder for a moment.
        self.until("no folder is left", async || self.folders_left().is_empty().then_some(())).await;
        let audit = self.preview(&["audit"]).status().await.unwrap();
        assert!(audit.status.success(), "{}{}", audit.text(), audit.stderr);
        self.stop_service().await;
        self.assert_nothing_runs().await;
        assert_eq!(self.folders_left(), Vec::<PathBuf>::new());
        let log = self.log();
        assert!(!log.contains("panicked"), "the service panicked:\n{log}");
    }

    async fn assert_nothing_runs(&self) {
        assert_eq!(self.engine_leftovers().await, Vec::<String>::new());
        if let Some(nginx) = &self.nginx {
            assert_eq!(nginx.preview_files(), Vec::<String>::new());
        }
    }

    /// What previews have on the disk.
    fn folders_left(&self) -> Vec<PathBuf> {
        let folders = ["deployments", "logs"].map(|of_previews| std::fs::read_dir(self.dir.path().join(of_previews)));
        folders.into_iter().flat_map(Result::unwrap).map(|entry| entry.unwrap().path()).collect()
    }

    fn open_pulls(&self, repo: &Repo) -> Vec<Pull> {
        let numbers = self.github.look(|state| {
            let pulls = state.repository(repo.id()).map(|repository| repository.pulls.values());
            pulls.into_iter().flatten().filter(|pull| pull.is_open()).map(|pull| pull.number).collect::<Vec<_>>()
        });
        numbers.into_iter().map(|number| repo.pull(number).unwrap()).collect()
    }
}

impl Drop for Rig {
    /// A test that failed leaves its containers behind otherwise.
    fn drop(&mut self) {
        if let Some(service) = self.service.take() {
            service.abort();
        }
        // A service that never started has no name, and nothing to leave behind.
        let instance = std::fs::read_to_string(self.dir.path().join("state/instance"));
        if let (true, Ok(instance)) = (std::thread::panicking(), instance) {
            let label = format!("label=preview-deployer.instance={}", instance.trim());
            let script = format!(
                "docker ps -aq --filter {label} | xargs -r docker rm -fv; \
                 docker network ls -q --filter {label} | xargs -r docker network rm; \
                 docker volume ls -q --filter {label} | xargs -r docker volume rm; \
                 docker images -q --filter {label} | xargs -r docker rmi -f"
            );
            let clean = std::thread::spawn(move || {
                let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
                let shell = Program::new("sh").args(["-c", &script]).inherit_env("HOME");
                drop(runtime.block_on(shell.run()));
            });
            drop(clean.join());
        }
    }
}
