//! What containers have written, so that one that fills the disk is found before the disk is full: with bytes, or with files that have
//! none in them.
//!
//! The engine finds it out by walking through all that they have written. So it isn't asked each time: only when the disk has lost
//! half of what one container may have since the last answer, which nobody can do without being noticed, or after ten
//! minutes, for what was there before. Files take longer to count (`count`), and so the last holds for them only where the disk is
//! short of them.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use bollard::query_parameters::StopContainerOptions;
use http::Method;
use preview_core::capacity::{Files, Measure, Room};
use preview_core::compose::LABEL_INSTANCE;
use preview_core::ids::DeploymentId;
use serde::Deserialize;
use tokio::time::Instant;

use crate::needs::{Fault, Filled, Part};

use super::api::ask;
use super::observe::{owner, part};
use super::{Engine, room};

/// The longest time between two answers.
const SELDOM: Duration = Duration::from_secs(600);

/// When the engine was asked last for bytes and for files, and how much of each was free then.
#[derive(Debug, Default)]
pub(super) struct Watches {
    bytes: Watch,
    files: Watch,
}

#[derive(Debug, Default)]
struct Watch(Mutex<Option<(Instant, u64)>>);

impl Watch {
    /// Whether the engine is to be asked, until it has answered. What was there before is looked for at the first time and every ten
    /// minutes, if `at_times`.
    fn is_due(&self, free: u64, limit: u64, at_times: bool) -> bool {
        let mut last = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let due = match *last {
            None => at_times,
            Some((at, before)) => at_times && at.elapsed() >= SELDOM || before.saturating_sub(free) >= limit / 2,
        };
        match &mut *last {
            _ if due => {}
            // What came free may be taken again.
            Some((_, before)) => *before = free.max(*before),
            None => *last = Some((Instant::now(), free)),
        }
        due
    }

    /// The engine has answered.
    fn looked(&self, free: u64) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = Some((Instant::now(), free));
    }
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Df {
    containers: Option<Vec<Container>>,
    volumes: Option<Vec<Volume>>,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Container {
    id: String,
    labels: Option<HashMap<String, String>>,
    state: Option<String>,
    size_rw: Option<i64>,
    mounts: Option<Vec<Mount>>,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Mount {
    name: Option<String>,
    /// Where it is in the container.
    destination: Option<String>,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Volume {
    name: String,
    usage_data: Option<Usage>,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Usage {
    size: i64,
}

impl Engine {
    /// Containers that have more bytes than that, or more files than go with them.
    pub(super) async fn larger_than(&self, limit: u64) -> Result<Vec<Filled>, Fault> {
        let room = room::room(&self.data_dir)?;
        let files =
            room.files.zip(room.disk().files_beside(limit)).filter(|(left, most)| self.files_due(room, *left, *most));
        if !self.sizes.bytes.is_due(room.disk_free, limit, true) && files.is_none() {
            return Ok(Vec::new());
        }
        let path = "/system/df?type=container&type=volume";
        let df: Df = self.plainly(Method::GET, path, "tell what containers have written").await?;
        self.sizes.bytes.looked(room.disk_free);
        let mut found = Vec::new();
        for container in df.running(self.options.instance.as_str()) {
            if container.bytes > limit {
                found.push(container.filled(Measure::Bytes, container.bytes));
                continue;
            }
            let Some((_, most)) = files else { continue };
            let counted = self.count_files(&container.id, &container.mounts, most).await;
            if counted > most {
                found.push(container.filled(Measure::Files, counted));
            }
        }
        if let Some((left, _)) = files {
            self.sizes.files.looked(left.free);
        }
        Ok(found)
    }

    fn files_due(&self, room: Room, left: Files, most: u64) -> bool {
        self.sizes.files.is_due(left.free, most, room.disk().fills_by(Measure::Files))
    }

    /// Where a backing service is full, everything is stopped: the app would go on asking for it.
    pub(super) async fn stop_part(&self, id: &DeploymentId, part: Part) -> Result<(), Fault> {
        let alone = matches!(part, Part::App(_) | Part::Task(_));
        let concerned = |found: Part| found == part || !alone;
        let mut containers = self.containers(Some(id)).await?;
        containers.retain(|(_, container)| concerned(container.part));
        for (_, container) in containers {
            // Who writes like that gets no time to say goodbye.
            let options = StopContainerOptions { t: Some(0), ..Default::default() };
            match ask("stop a container", self.docker.stop_container(&container.id, Some(options))).await {
                Err(refused) if !refused.gone() => return Err(refused.into()),
                _ => {}
            }
        }
        Ok(())
    }
}

/// A container of ours that runs.
#[derive(Debug, PartialEq)]
struct Running {
    id: String,
    deployment: DeploymentId,
    part: Part,
    /// What it has written, into its volumes too.
    bytes: u64,
    /// Where these volumes are in it.
    mounts: Vec<String>,
}

impl Running {
    fn filled(&self, by: Measure, amount: u64) -> Filled {
        Filled { deployment: self.deployment.clone(), part: self.part, by, amount }
    }
}

impl Df {
    /// Containers of this installation that run.
    fn running(self, instance: &str) -> Vec<Running> {
        let bytes = |size: i64| u64::try_from(size).unwrap_or(0);
        let volumes = self.volumes.unwrap_or_default().into_iter();
        let volumes: HashMap<String, u64> =
            volumes.map(|volume| (volume.name, volume.usage_data.map_or(0, |usage| bytes(usage.size)))).collect();
        let containers = self.containers.unwrap_or_default().into_iter();
        let running = containers.filter_map(|container| {
            let labels = container.labels?;
            let ours = labels.get(LABEL_INSTANCE).is_some_and(|of| of == instance);
            let running = container.state.is_none_or(|state| state != "exited");
            let mounts = container.mounts.unwrap_or_default();
            let mounted: u64 = mounts.iter().filter_map(|mount| volumes.get(mount.name.as_ref()?)).sum();
            let bytes = bytes(container.size_rw.unwrap_or(0)) + mounted;
            let deployment = owner(&labels)?;
            let mounts = mounts.into_iter().filter(|mount| mount.name.is_some()).filter_map(|mount| mount.destination);
            let (id, part, mounts) = (container.id, part(&labels), mounts.collect());
            (ours && running).then_some(Running { id, deployment, part, bytes, mounts })
        });
        running.collect()
    }
}

#[cfg(test)]
mod tests {
    use preview_core::ids::Slot;

    use super::*;

    #[test]
    fn what_a_container_has_written_is_its_layer_and_its_volumes() {
        let of = |service: &str, instance: &str| {
            format!(
                r#""Id": "{service}", "Labels": {{"preview-deployer.instance": "{instance}", "preview-deployer.deployment": "org-app-1",
                    "preview-deployer.service": "{service}"}}"#
            )
        };
        let mounts =
            r#"[{"Type": "volume", "Name": "v", "Destination": "/data"}, {"Type": "tmpfs", "Destination": "/tmp"}]"#;
        let df = format!(
            r#"{{"Containers": [{{{}, "State": "running", "SizeRw": 70, "Mounts": {mounts}}},
                {{{}, "State": "exited", "SizeRw": 1000}}, {{{}, "State": "running", "SizeRw": 1000}}, {{{}, "State": "running"}},
                {{"Id": "x", "Labels": null, "SizeRw": 1000}}],
                "Volumes": [{{"Name": "v", "UsageData": {{"RefCount": 1, "Size": 40}}}}, {{"Name": "w", "UsageData": null}}]}}"#,
            of("db", "us"),
            of("app-a", "us"),
            of("app-a", "them"),
            of("app-b", "us"),
        );
        let found = serde_json::from_str::<Df>(&df).unwrap().running("us");
        let deployment: DeploymentId = "org-app-1".parse().unwrap();
        let running = |id: &str, part, bytes, mounts: &[&str]| Running {
            id: id.to_owned(),
            deployment: deployment.clone(),
            part,
            bytes,
            mounts: mounts.iter().map(|mount| (*mount).to_owned()).collect(),
        };
        assert_eq!(
            found,
            [running("db", Part::Database, 110, &["/data"]), running("app-b", Part::App(Slot::B), 0, &[])]
        );
    }

    /// As the engine is asked: it answers at once.
    fn asks(watch: &Watch, free: u64, at_times: bool) -> bool {
        let due = watch.is_due(free, 100, at_times);
        if due {
            watch.looked(free);
        }
        due
    }

    #[tokio::test(start_paused = true)]
    async fn the_engine_is_asked_when_the_disk_has_lost_enough_and_now_and_then() {
        let watch = Watch::default();
        let looks = [(1000, true), (960, false), (951, false), (950, true), (940, false), (990, false), (940, true)];
        for (free, due) in looks {
            assert_eq!(asks(&watch, free, true), due, "{free}");
        }
        tokio::time::advance(SELDOM).await;
        assert!(watch.is_due(940, 100, true) && watch.is_due(940, 100, true), "until it has answered");
        watch.looked(940);
        assert!(!watch.is_due(940, 100, true));
    }

    #[tokio::test(start_paused = true)]
    async fn where_files_are_plenty_they_are_counted_for_what_was_lost_alone() {
        let watch = Watch::default();
        for (free, due) in [(1000, false), (951, false), (950, true), (940, false)] {
            assert_eq!(asks(&watch, free, false), due, "{free}");
        }
        tokio::time::advance(SELDOM).await;
        assert!(!asks(&watch, 940, false) && asks(&watch, 940, true));
    }
}
