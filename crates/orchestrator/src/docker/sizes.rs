//! What containers have written, so that one that fills the disk is found before the disk is full.
//!
//! The engine finds it out by walking through all that they have written. So it isn't asked each time: only when the disk has lost
//! half of what one container may write since the last answer, which nobody can do without being noticed, or after ten
//! minutes, for what was there before.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use bollard::query_parameters::StopContainerOptions;
use http::Method;
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

/// When the engine was asked last, and how much of the disk was free then.
#[derive(Debug, Default)]
pub(super) struct Watch(Mutex<Option<(Instant, u64)>>);

impl Watch {
    fn is_due(&self, free: u64, limit: u64) -> bool {
        let mut last = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let due = last.is_none_or(|(at, before)| at.elapsed() >= SELDOM || before.saturating_sub(free) >= limit / 2);
        match &mut *last {
            // What came free may be taken again.
            Some((_, before)) if !due => *before = free.max(*before),
            _ => *last = Some((Instant::now(), free)),
        }
        due
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
    labels: Option<HashMap<String, String>>,
    state: Option<String>,
    size_rw: Option<i64>,
    mounts: Option<Vec<Mount>>,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Mount {
    name: Option<String>,
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
    pub(super) async fn larger_than(&self, limit: u64) -> Result<Vec<Filled>, Fault> {
        if !self.sizes.is_due(room::room(&self.data_dir)?.disk_free, limit) {
            return Ok(Vec::new());
        }
        let path = "/system/df?type=container&type=volume";
        let df: Df = self.plainly(Method::GET, path, "tell what containers have written").await?;
        Ok(df.larger_than(limit, self.options.instance.as_str()))
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

impl Df {
    /// Containers of this installation that run and have written more than that.
    fn larger_than(self, limit: u64, instance: &str) -> Vec<Filled> {
        let bytes = |size: i64| u64::try_from(size).unwrap_or(0);
        let volumes = self.volumes.unwrap_or_default().into_iter();
        let volumes: HashMap<String, u64> =
            volumes.map(|volume| (volume.name, volume.usage_data.map_or(0, |usage| bytes(usage.size)))).collect();
        let containers = self.containers.unwrap_or_default().into_iter();
        let measured = containers.filter_map(|container| {
            let labels = container.labels?;
            let ours = labels.get(LABEL_INSTANCE).is_some_and(|of| of == instance);
            let running = container.state.is_none_or(|state| state != "exited");
            let mounts = container.mounts.unwrap_or_default();
            let mounted: u64 = mounts.iter().filter_map(|mount| volumes.get(mount.name.as_ref()?)).sum();
            let bytes = bytes(container.size_rw.unwrap_or(0)) + mounted;
            let filled = Filled { deployment: owner(&labels)?, part: part(&labels), bytes };
            (ours && running && filled.bytes > limit).then_some(filled)
        });
        measured.collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_container_has_written_is_its_layer_and_its_volumes() {
        let of = |service: &str, instance: &str| {
            format!(
                r#""Labels": {{"preview-deployer.instance": "{instance}", "preview-deployer.deployment": "org-app-1",
                    "preview-deployer.service": "{service}"}}"#
            )
        };
        let df = format!(
            r#"{{"Containers": [{{{}, "State": "running", "SizeRw": 70, "Mounts": [{{"Type": "volume", "Name": "v"}}, {{"Type": "tmpfs"}}]}},
                {{{}, "State": "exited", "SizeRw": 1000}}, {{{}, "State": "running", "SizeRw": 1000}}, {{{}, "State": "running"}},
                {{"Labels": null, "SizeRw": 1000}}],
                "Volumes": [{{"Name": "v", "UsageData": {{"RefCount": 1, "Size": 40}}}}, {{"Name": "w", "UsageData": null}}]}}"#,
            of("db", "us"),
            of("app-a", "us"),
            of("app-a", "them"),
            of("app-b", "us"),
        );
        let found = |limit| serde_json::from_str::<Df>(&df).unwrap().larger_than(limit, "us");
        let deployment: DeploymentId = "org-app-1".parse().unwrap();
        assert_eq!(found(100), [Filled { deployment, part: Part::Database, bytes: 110 }]);
        assert_eq!(found(110), []);
    }

    #[tokio::test(start_paused = true)]
    async fn the_engine_is_asked_when_the_disk_has_lost_enough_and_now_and_then() {
        let watch = Watch::default();
        let looks = [(1000, true), (960, false), (951, false), (950, true), (940, false), (990, false), (940, true)];
        for (free, due) in looks {
            assert_eq!(watch.is_due(free, 100), due, "{free}");
        }
        tokio::time::advance(SELDOM).await;
        assert!(watch.is_due(940, 100));
    }
}
