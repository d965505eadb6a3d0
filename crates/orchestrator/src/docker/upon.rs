//! Images that something is built upon, looked at before: what they have put aside (`ONBUILD`) the builder obeys, on the host's network.
//!
//! BuildKit pulls what it needs by itself, and tells nobody what it has got. So an image that isn't there is pulled here, looked at, and
//! stays for as long as it is built upon: with an image of that name on the machine, and of the machine's own kind, the engine's own
//! builder asks no registry (that it doesn't is a test, `tests/docker`). A name that leads elsewhere a moment later leads
//! to what was looked at, so. Nobody but us pulls that name meanwhile: whoever wants it anew waits until nobody builds upon it.
//!
//! What was pulled for that goes again afterwards. Its layers stay in the build cache, which has a budget, and so the next build asks the
//! registry again for what the name means by then. Names that were pulled stand in a folder until they are gone, for our successor.

use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use bollard::Docker;
use bollard::errors::Error;
use bollard::models::ImageInspect;
use bollard::query_parameters::{CreateImageOptions, RemoveImageOptions};
use futures_util::StreamExt;
use preview_core::framework::own_dockerfile::{ImageFacts, arch};
use sha2::{Digest, Sha256};
use tokio::runtime::Handle;
use tokio::sync::{OwnedRwLockReadGuard, OwnedRwLockWriteGuard, RwLock};
use tokio::time::timeout;

use crate::needs::{Fault, LineSink, Looked};

use super::api::ask;
use super::build_failure::pull_fault;
use super::{BuildOptions, Engine};

/// What a name means: who reads builds upon it, who writes changes it.
type Place = Arc<RwLock<()>>;

/// The images that something is built upon now.
pub(super) struct Upon {
    docker: Docker,
    /// A file for each name that we pulled.
    folder: PathBuf,
    places: Mutex<HashMap<String, Place>>,
}

impl Upon {
    /// Removes what a predecessor pulled and had no time to remove.
    pub(super) async fn begin(docker: &Docker, home: &Path) -> Self {
        let folder = home.join("upon");
        let upon = Self { docker: docker.clone(), folder, places: Mutex::default() };
        if let Err(error) = std::fs::create_dir_all(&upon.folder) {
            tracing::warn!(%error, "the folder of images that are built upon can't be made");
        }
        for file in std::fs::read_dir(&upon.folder).into_iter().flatten().flatten() {
            if let Ok(image) = std::fs::read_to_string(file.path()) {
                remove(&upon.docker, &image, &file.path()).await;
            }
        }
        upon
    }

    fn place(&self, name: &str) -> Place {
        let mut places = self.places.lock().unwrap_or_else(PoisonError::into_inner);
        places.retain(|_, place| Arc::strong_count(place) > 1);
        places.entry(name.to_owned()).or_default().clone()
    }
}

impl Engine {
    pub(super) async fn look_at_image(&self, image: &str, anew: bool, log: LineSink<'_>) -> Result<Looked, Fault> {
        let name = full_name(image);
        let place = self.upon.place(&name);
        let note = self.upon.folder.join(hex::encode(Sha256::digest(&name)));
        // Whoever is cut off in the middle of a pull lets go of it too.
        let mut kept = Kept { reading: None, place, docker: self.docker.clone(), image: image.to_owned(), note };
        let reading = match kept.place.clone().try_write_owned() {
            Ok(writing) => self.get(&kept, anew, writing, log).await?,
            Err(_) => match self.shared(&kept, anew).await? {
                Some(reading) => reading,
                None => self.get(&kept, anew, kept.place.clone().write_owned().await, log).await?,
            },
        };
        kept.reading = Some(reading);
        let gone = || Fault::passing(format!("the image `{image}`, which is built upon, was removed by somebody else"));
        let facts = facts(self.inspected(image).await?.ok_or_else(gone)?);
        Ok(Looked { facts, kept: Box::new(kept) })
    }

    /// What others have got: where somebody builds upon the image, or is about to, it is there and stays. Who had it to themselves
    /// may have been removing it.
    async fn shared(&self, kept: &Kept, anew: bool) -> Result<Option<OwnedRwLockReadGuard<()>>, Fault> {
        if anew {
            return Ok(None);
        }
        let reading = kept.place.clone().read_owned().await;
        Ok(self.inspected(&kept.image).await?.map(|_| reading))
    }

    /// Sees to it that the image is there.
    async fn get(
        &self,
        kept: &Kept,
        anew: bool,
        writing: OwnedRwLockWriteGuard<()>,
        log: LineSink<'_>,
    ) -> Result<OwnedRwLockReadGuard<()>, Fault> {
        let there = self.inspected(&kept.image).await?.is_some();
        if !there {
            std::fs::write(&kept.note, &kept.image).map_err(|error| {
                tracing::error!(%error, "an image that is to be pulled could not be noted");
                Fault::passing("a file of the server could not be written")
            })?;
        }
        if anew || kept.note.exists() {
            pull(&self.docker, &kept.image, &self.options.build, log).await?;
        }
        Ok(writing.downgrade())
    }

    /// The image, where it is on the machine and of the machine's kind: any other the builder would pull.
    async fn inspected(&self, image: &str) -> Result<Option<ImageInspect>, Fault> {
        match ask("look at an image", self.docker.inspect_image(image)).await {
            Ok(found) => {
                let here = found.os.as_deref() == Some("linux") && found.architecture.as_deref() == Some(arch());
                Ok(here.then_some(found))
            }
            Err(refused) if refused.gone() => Ok(None),
            Err(refused) => Err(refused.into()),
        }
    }
}

/// An image that is built upon. The last one of its name that is dropped has it removed, where it was pulled for this.
struct Kept {
    reading: Option<OwnedRwLockReadGuard<()>>,
    place: Place,
    docker: Docker,
    image: String,
    /// Is there as long as we are who pulled it.
    note: PathBuf,
}

impl Drop for Kept {
    fn drop(&mut self) {
        drop(self.reading.take());
        // When the service ends, its successor reads the note.
        let Ok(runtime) = Handle::try_current() else { return };
        let (place, docker) = (self.place.clone(), self.docker.clone());
        let (image, note) = (std::mem::take(&mut self.image), std::mem::take(&mut self.note));
        runtime.spawn(async move {
            let Ok(_writing) = place.try_write() else { return };
            if note.exists() {
                remove(&docker, &image, &note).await;
            }
        });
    }
}

/// One name for all that an image goes by.
fn full_name(image: &str) -> String {
    let hub = ["docker.io/", "index.docker.io/"].iter().find_map(|hub| image.strip_prefix(hub));
    let name = hub.unwrap_or(image);
    if has_tag(name) { name.to_owned() } else { format!("{name}:latest") }
}

fn has_tag(image: &str) -> bool {
    image.rsplit('/').next().is_some_and(|last| last.contains([':', '@']))
}

fn facts(image: ImageInspect) -> ImageFacts {
    let is_empty = image.root_fs.is_some_and(|files| files.layers.unwrap_or_default().is_empty());
    let config = image.config.unwrap_or_default();
    ImageFacts { put_aside: config.on_build.unwrap_or_default(), variables: config.env.unwrap_or_default(), is_empty }
}

/// Pulls an image within the limits of a build, of which it is a part.
async fn pull(docker: &Docker, image: &str, limits: &BuildOptions, log: LineSink<'_>) -> Result<(), Fault> {
    // Without a tag all tags would be meant.
    let tag = (!has_tag(image)).then(|| "latest".to_owned());
    let options = CreateImageOptions { from_image: Some(image.to_owned()), tag, ..Default::default() };
    let pulling = async {
        let mut progress = Box::pin(docker.create_image(Some(options), None, None));
        log(&format!("pulling {image}, to look at it before something is built upon it"));
        loop {
            match timeout(limits.silence, progress.next()).await {
                Ok(Some(Ok(_))) => {}
                Ok(None) => return Ok(()),
                Ok(Some(Err(error))) => return Err(refusal(image, &error)),
                Err(_) => return Err(too_long(image, "said nothing", limits.silence)),
            }
        }
    };
    let pulled = timeout(limits.timeout, pulling).await;
    pulled.unwrap_or_else(|_| Err(too_long(image, "did not come to an end", limits.timeout)))
}

fn too_long(image: &str, did: &str, limit: Duration) -> Fault {
    Fault::passing(format!("`FROM {image}` failed: its registry {did} for {limit:?}"))
}

fn refusal(image: &str, error: &Error) -> Fault {
    match error {
        Error::DockerResponseServerError { message, .. } => pull_fault(image, message.trim()),
        Error::DockerStreamError { error } => pull_fault(image, error.trim()),
        _ => {
            tracing::debug!(%error, "Docker could not be asked to pull an image");
            Fault::passing("the Docker engine does not answer")
        }
    }
}

/// Takes the name away again, and the note once nothing has it any more. What a container uses meanwhile stays.
async fn remove(docker: &Docker, image: &str, note: &Path) {
    match ask("remove an image", docker.remove_image(image, None::<RemoveImageOptions>, None)).await {
        Err(refused) if !refused.gone() && !refused.busy() => {
            tracing::warn!(image, "an image that was pulled to be looked at could not be removed");
        }
        _ => _ = std::fs::remove_file(note),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_image_has_one_name_however_it_is_written() {
        for (image, name) in [
            ("org/app", "org/app:latest"),
            ("docker.io/org/app:1", "org/app:1"),
            ("localhost:5000/app", "localhost:5000/app:latest"),
            ("ghcr.io/org/app@sha256:00", "ghcr.io/org/app@sha256:00"),
        ] {
            assert_eq!(full_name(image), name);
        }
    }
}
