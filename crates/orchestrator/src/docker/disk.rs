//! What takes how much of the engine's disk, and keeping the build cache small.
//!
//! The engine has one build cache, and what lies in it carries no labels: nothing can tell ours from that of others who build
//! on the same engine. So it is only ever made smaller, never searched: what was used least and longest ago goes first, whoever's
//! it is, until it fits. Images, containers and volumes do have labels, and others' are neither counted nor touched.
//!
//! Two questions go to the engine's socket without bollard, which knows only the newest form of both: an engine of 2023 would
//! not understand the size to keep, and throw everything away.

use std::collections::HashMap;
use std::ops::ControlFlow;
use std::path::Path;
use std::time::Duration;

use bollard::query_parameters::PruneImagesOptions;
use bytes::Bytes;
use http::header::HOST;
use http::{Method, Request};
use http_body_util::{BodyExt, Empty, Limited};
use hyper::client::conn::http1;
use hyper_util::rt::TokioIo;
use preview_core::capacity::DiskUse;
use preview_core::compose::{LABEL_DEPLOYMENT, LABEL_INSTANCE};
use serde::Deserialize;
use serde::de::DeserializeOwned;
use tokio::net::UnixStream;
use tokio::time::timeout;

use crate::needs::Fault;

use super::Engine;
use super::api::ask;

/// Adding up volumes, or deleting some ten GB of cache, takes a slow disk minutes.
const LIMIT: Duration = Duration::from_secs(300);
/// The engine's list of a cache with ten thousand parts has 4 MB.
const ANSWER: usize = 256 << 20;
/// The newest version of the API that is asked: all engines since 20.10 know it or an older one, and in it both questions
/// still have their older form.
///
/// Source: <https://docs.docker.com/reference/api/engine/version-history/> (1.48 for `/build/prune`, 1.52 for `/system/df`)
const NEWEST: usize = 44;
/// Why it refuses takes a line.
const REFUSAL: usize = 64 << 10;
/// A build gives its image a name a moment after making it.
const GRACE: &str = "1h";

/// Anything that an answer can fail with; all of it goes to the log alone.
pub(super) type Unexpected = Box<dyn std::error::Error + Send + Sync>;
/// Takes an answer's body piece by piece, and says when that is enough.
pub(super) type Each<'a> = &'a mut (dyn FnMut(&[u8]) -> ControlFlow<()> + Send);

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Df {
    images: Option<Vec<Image>>,
    containers: Option<Vec<Container>>,
    volumes: Option<Vec<Volume>>,
    build_cache: Option<Vec<Cached>>,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Image {
    labels: Option<HashMap<String, String>>,
    size: i64,
    /// What other images hold too; -1 where the engine has not counted.
    shared_size: i64,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Container {
    labels: Option<HashMap<String, String>>,
    /// What it has written; left out where it is nothing.
    size_rw: Option<i64>,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Volume {
    labels: Option<HashMap<String, String>>,
    usage_data: Option<Usage>,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Usage {
    size: i64,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Cached {
    size: i64,
    /// Whether an image holds it too, and counts it.
    shared: bool,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Pruned {
    space_reclaimed: u64,
}

impl Engine {
    /// What our things and the build cache take.
    pub(super) async fn measure(&self) -> Result<DiskUse, Fault> {
        let df: Df = self.plainly(Method::GET, "/system/df", "add up the disk's use").await?;
        Ok(df.sum(|labels| {
            let labels = labels.as_ref();
            labels.and_then(|labels| labels.get(LABEL_INSTANCE)).is_some_and(|of| of == self.options.instance.as_str())
        }))
    }

    /// Images of ours that lost their name to a later build, or never got one because we were killed, and that nothing runs.
    pub(super) async fn remove_nameless_images(&self) -> Result<(), Fault> {
        let ours = [format!("{LABEL_INSTANCE}={}", self.options.instance), LABEL_DEPLOYMENT.to_owned()];
        let filters =
            [("dangling", vec!["true".to_owned()]), ("label", ours.into()), ("until", vec![GRACE.to_owned()])];
        let filters = filters.into_iter().map(|(name, values)| (name.to_owned(), values)).collect();
        let options = PruneImagesOptions { filters: Some(filters) };
        let pruned = match ask("remove images without a name", self.docker.prune_images(Some(options))).await {
            Ok(pruned) => pruned,
            // Somebody else prunes at this moment, and the engine does that for one at a time: the next sweep finds them.
            Err(refused) if refused.busy() => return Ok(()),
            Err(refused) => return Err(refused.into()),
        };
        let images = pruned.images_deleted.unwrap_or_default().len();
        if images > 0 {
            tracing::info!(images, bytes = pruned.space_reclaimed, "removed images that had lost their names");
        }
        Ok(())
    }

    /// Makes the build cache smaller, what was used least and longest ago first. What a build or an image holds stays.
    pub(super) async fn shrink_build_cache(&self, bytes: u64) -> Result<(), Fault> {
        // Nothing to keep would mean no limit.
        let path = format!("/build/prune?keep-storage={}", bytes.clamp(1, i64::MAX as u64));
        let pruned: Pruned = self.plainly(Method::POST, &path, "make the build cache smaller").await?;
        tracing::info!(bytes = pruned.space_reclaimed, kept = bytes, "removed the oldest parts of the build cache");
        Ok(())
    }

    /// One request over a connection of its own, in a version of the API that is old enough.
    pub(super) async fn plainly<T: DeserializeOwned>(
        &self,
        method: Method,
        path: &str,
        what: &str,
    ) -> Result<T, Fault> {
        let mut body = Vec::new();
        let mut collect = |piece: &[u8]| {
            body.extend_from_slice(piece);
            if body.len() > ANSWER { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
        };
        let answer = timeout(LIMIT, self.hand_on(method, path, &mut collect)).await;
        let answer = answer.unwrap_or_else(|_| Err("it took too long".into()));
        answer.and_then(|()| Ok(serde_json::from_slice(&body)?)).map_err(|error: Unexpected| {
            tracing::debug!(%error, "Docker could not be asked to {what}");
            Fault::passing(format!("Docker could not {what}"))
        })
    }

    /// Hands a good answer's body on as it comes, until it ends or enough of it is known.
    pub(super) async fn hand_on(&self, method: Method, path: &str, each: Each<'_>) -> Result<(), Unexpected> {
        let version = self.docker.client_version();
        let path = format!("/v{}.{}{path}", version.major_version, version.minor_version.min(NEWEST));
        answer(&self.socket, method, &path, each).await
    }
}

impl Df {
    fn sum(self, ours: impl Fn(&Option<HashMap<String, String>>) -> bool) -> DiskUse {
        let bytes = |size: i64| u64::try_from(size).unwrap_or(0);
        let images = self.images.unwrap_or_default().into_iter().filter(|image| ours(&image.labels));
        let images: u64 = images.map(|image| bytes(image.size - image.shared_size.max(0))).sum();
        let containers = self.containers.unwrap_or_default().into_iter().filter(|container| ours(&container.labels));
        let containers: u64 = containers.map(|container| bytes(container.size_rw.unwrap_or(0))).sum();
        let volumes = self.volumes.unwrap_or_default().into_iter().filter(|volume| ours(&volume.labels));
        let volumes: u64 = volumes.map(|volume| bytes(volume.usage_data.map_or(0, |usage| usage.size))).sum();
        let cache = self.build_cache.unwrap_or_default().into_iter().filter(|cached| !cached.shared);
        let build_cache = cache.map(|cached| bytes(cached.size)).sum();
        DiskUse { previews: images + containers + volumes, build_cache, mirrors: 0 }
    }
}

async fn answer(socket: &Path, method: Method, path: &str, each: Each<'_>) -> Result<(), Unexpected> {
    let request = Request::builder().method(method).uri(path).header(HOST, "docker").body(Empty::<Bytes>::new())?;
    let (mut sender, connection) = http1::handshake(TokioIo::new(UnixStream::connect(socket).await?)).await?;
    let answer = async {
        let answer = sender.send_request(request).await?;
        let status = answer.status();
        if !status.is_success() {
            let body = Limited::new(answer.into_body(), REFUSAL).collect().await?.to_bytes();
            return Err(format!("{status}: {}", String::from_utf8_lossy(&body)).into());
        }
        let mut body = answer.into_body();
        while let Some(frame) = body.frame().await {
            if frame?.data_ref().is_some_and(|piece| each(piece).is_break()) {
                break;
            }
        }
        Ok(())
    };
    tokio::pin!(answer);
    tokio::select! {
        answer = &mut answer => answer,
        ended = connection => {
            ended?;
            answer.await
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sum(df: &str) -> DiskUse {
        let mine = HashMap::from([("mine".to_owned(), "1".to_owned())]);
        serde_json::from_str::<Df>(df).unwrap().sum(|labels| labels.as_ref() == Some(&mine))
    }

    #[test]
    fn what_is_ours_is_added_up_and_the_whole_cache() {
        let df = r#"{"LayersSize": 900, "BuilderSize": 0,
            "Images": [{"Labels": {"mine": "1"}, "Size": 100, "SharedSize": 30, "RepoTags": null},
                       {"Labels": {"mine": "1"}, "Size": 5, "SharedSize": -1},
                       {"Labels": null, "Size": 1000, "SharedSize": 0}],
            "Containers": [{"Labels": {"mine": "1"}, "SizeRw": 7, "SizeRootFs": 107}, {"Labels": {"mine": "1"}},
                           {"Labels": {"mine": "2"}, "SizeRw": 1000}],
            "Volumes": [{"Labels": {"mine": "1"}, "UsageData": {"RefCount": 1, "Size": 11}},
                        {"Labels": {"mine": "1"}, "UsageData": null}, {"Labels": null, "UsageData": {"RefCount": 0, "Size": 1000}}],
            "BuildCache": [{"ID": "x", "Size": 13, "Shared": false}, {"Size": 17, "Shared": true}, {"Size": 19, "Shared": false}]}"#;
        assert_eq!(sum(df), DiskUse { previews: 70 + 5 + 7 + 11, build_cache: 32, mirrors: 0 });
    }

    #[test]
    fn an_engine_that_has_nothing_says_so_in_its_own_way() {
        assert_eq!(
            sum(r#"{"Images": [], "Containers": null, "Volumes": null, "BuildCache": null}"#),
            DiskUse::default()
        );
        assert_eq!(sum(r#"{"LayersSize": 0}"#), DiskUse::default());
    }
}
