//! What a Dockerfile of theirs is built upon, and from where it adds: the engine fetches on the server's own network, and does what an
//! image has put aside (`ONBUILD`) as if it stood in the file. Both are looked at before anything is built.

use std::collections::BTreeMap;

use futures_util::future::join_all;
use preview_core::framework::own_dockerfile::KnownImages;
use preview_core::framework::{AddedHost, DetectError, Detected, OwnBuild};

use super::super::Reconciler;
use crate::needs::{BuildJob, Fault, LineSink, Looked};

impl Reconciler {
    /// Refuses what the engine would fetch on the server's own network. A name may lead elsewhere a moment later: this keeps mistakes
    /// and the plain tries out, and no more.
    pub(super) async fn check_added(&self, own: &[OwnBuild], known: &KnownImages) -> Result<(), Fault> {
        for build in own {
            self.lead_elsewhere(&build.upon(known).map_err(refused)?.added).await?;
        }
        Ok(())
    }

    async fn lead_elsewhere(&self, added: &[AddedHost]) -> Result<(), Fault> {
        let host = &self.inner.out.host;
        let leads = join_all(added.iter().map(|added| host.leads_inside(&added.name))).await;
        match added.iter().zip(leads).find(|(_, inside)| *inside) {
            Some((added, _)) => Err(Fault::author(added.refused().to_string())),
            None => Ok(()),
        }
    }

    /// Looks at all images that the Dockerfiles of theirs are built upon, and refuses what those have put aside as it would be refused in
    /// the file. While what this gives is kept, the builds meet these images and no others.
    pub(super) async fn look_at_images(
        &self,
        detected: &Detected,
        jobs: &[BuildJob],
        log: LineSink<'_>,
    ) -> Result<BTreeMap<String, Looked>, Fault> {
        let (mut known, mut looked) = (KnownImages::new(), BTreeMap::new());
        for build in &detected.own {
            // What an image has put aside may take files from another one. Ends, because no Dockerfile is taken with so many.
            loop {
                let upon = build.upon(&known).map_err(refused)?;
                if upon.images.is_empty() {
                    break;
                }
                for image in upon.images {
                    let anew = jobs.iter().any(|job| job.pull && job.is_of(&image));
                    let found = self.inner.out.engine.look_at(&image, anew, log).await?;
                    known.insert(image.clone(), found.facts.clone());
                    looked.insert(image, found);
                }
            }
        }
        // What they say themselves was looked up before they got here.
        if known.values().any(|facts| !facts.put_aside.is_empty()) {
            let added = self.check_added(&detected.own, &known).await;
            added.map_err(|fault| {
                fault.advise("It is an image that the file is built upon which adds from there (`ONBUILD`).")
            })?;
        }
        Ok(looked)
    }
}

fn refused(error: DetectError) -> Fault {
    let fault = Fault::author(error.to_string());
    error.advice().into_iter().fold(fault, Fault::advise)
}
