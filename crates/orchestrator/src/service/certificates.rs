//! Certificates and the two routers: who is told what of them, and what is said at the start.

use std::future::pending;
use std::net::{SocketAddr, TcpListener};
use std::path::Path;
use std::sync::Arc;

use preview_core::route::Site;

use super::{StartError, given_or_bound};
use crate::ledger::Ledger;
use crate::needs::{Clock, Router};
use crate::router::{builtin, nginx};
use crate::settings::{Settings, Tls as TlsSettings};
use crate::tls::{Patience, Register, Shown, Tls};

/// What was arranged for certificates; without `TLS=acme`, nothing.
pub(super) struct Arrangement {
    /// What routers and the API show.
    pub(super) shown: Shown,
    tls: Option<Tls>,
    /// The port for TLS, and where the service itself is reached.
    front: Option<(u16, SocketAddr)>,
}

/// What a router needs to speak TLS.
pub(super) struct Front {
    listener: Option<TcpListener>,
    shown: Shown,
    port: u16,
    /// Where the service itself is reached.
    api: SocketAddr,
}

impl Arrangement {
    pub(super) fn make(
        settings: &Settings,
        api: SocketAddr,
        (site, ledger, clock): (Site, Ledger, Arc<dyn Clock>),
        patience: Patience,
    ) -> Result<Self, StartError> {
        let shown = Shown::default();
        let Some(tls) = &settings.tls else {
            tell_unencrypted(settings, &site);
            return Ok(Self { shown, tls: None, front: None });
        };
        let kept = Tls::open(tls, &settings.paths.tls(), &shown, (site, ledger, clock), patience)?;
        let TlsSettings { directory, .. } = tls;
        tracing::info!(%directory, port = tls.port, "certificates are got by ACME");
        Ok(Self { shown, tls: Some(kept), front: Some((tls.port, api)) })
    }

    /// What the router needs, with the socket that was passed on for it.
    pub(super) fn front(&self, listener: Option<TcpListener>) -> Result<Option<Front>, StartError> {
        match self.front {
            Some((port, api)) => Ok(Some(Front { listener, shown: self.shown.clone(), port, api })),
            None if listener.is_some() => Err(StartError::NoTls),
            None => Ok(None),
        }
    }

    /// How certificates stand, where there are to be any.
    pub(super) fn register(&self) -> Option<Register> {
        self.tls.as_ref().map(Tls::register)
    }

    /// Goes on as long as the service.
    pub(super) async fn keep(&self, router: Arc<dyn Router>) {
        match &self.tls {
            Some(tls) => tls.keep(router).await,
            None => pending().await,
        }
    }
}

/// Without certificates of ours nothing here is encrypted; whether anything is, depends on what stands in front.
fn tell_unencrypted(settings: &Settings, site: &Site) {
    let url = &settings.previews.base_url;
    if url.is_https() {
        tracing::info!(%url, "TLS is left to a proxy in front of this service");
    } else if site.domain().is_some() || (url.host() != "localhost" && !url.host().starts_with("127.")) {
        tracing::warn!(
            %url,
            "plain HTTP: previews, their logins and deliveries travel unencrypted; with a domain, TLS=acme and an https:// \
             PREVIEW_BASE_URL get certificates"
        );
    }
}

impl Front {
    /// For the built-in router.
    pub(super) fn builtin(self) -> Result<builtin::Secure, StartError> {
        let address = SocketAddr::from(([0, 0, 0, 0], self.port));
        let listener = given_or_bound(self.listener, address, "visitors, encrypted", "ROUTER_TLS_PORT")?;
        Ok(builtin::Secure { listener, shown: self.shown, deliveries: self.api })
    }

    /// For nginx.
    pub(super) fn nginx(self, site: &Site) -> Result<nginx::Secure, StartError> {
        let Self { listener, shown, port, api } = self;
        if listener.is_some() {
            return Err(StartError::NoTls);
        }
        let both = Path::new("/proc/net/if_inet6").exists();
        let listen = [Some(port.to_string()), both.then(|| format!("[::]:{port}"))];
        let listen = listen.into_iter().flatten().collect();

        Ok(nginx::Secure { certificates: shown.certificates, site: site.clone(), listen, answers: api })
    }
}
