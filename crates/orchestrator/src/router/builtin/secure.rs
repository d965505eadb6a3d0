//! TLS in front of the proxy: which certificate, how long a handshake may take, and who is sent there from plain HTTP.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use http::HeaderValue;
use http::uri::PathAndQuery;
use rustls::ServerConfig;
use rustls::crypto::ring::default_provider;
use tokio::net::TcpStream;
use tokio_rustls::TlsAcceptor;
use tokio_rustls::server::TlsStream;

use crate::tls::Shown;

/// What a handshake may take.
const HANDSHAKE: Duration = Duration::from_secs(10);

/// How the built-in router speaks TLS.
#[derive(Debug)]
pub struct Secure {
    /// Where it listens for it.
    pub listener: std::net::TcpListener,
    /// Certificates, and what the authority is answered.
    pub shown: Shown,
    /// Where GitHub's deliveries are taken, which may come encrypted to the origin's host: the service's own address.
    pub deliveries: SocketAddr,
}

/// Does handshakes, each with the certificate of that moment.
#[derive(Clone)]
pub(super) struct Acceptor(TlsAcceptor);

impl Acceptor {
    pub(super) fn new(shown: &Shown) -> io::Result<Self> {
        let config = ServerConfig::builder_with_provider(Arc::new(default_provider()));
        let config = config.with_safe_default_protocol_versions().map_err(io::Error::other)?;
        let mut config = config.with_no_client_auth().with_cert_resolver(Arc::new(shown.certificates.clone()));
        config.alpn_protocols = vec![b"http/1.1".to_vec()];
        Ok(Self(TlsAcceptor::from(Arc::new(config))))
    }

    /// Does the handshake; `None` when it comes to nothing, which is nobody's error here.
    pub(super) async fn accept(&self, stream: TcpStream) -> Option<TlsStream<TcpStream>> {
        tokio::time::timeout(HANDSHAKE, self.0.accept(stream)).await.ok()?.ok()
    }
}

/// Where a request that came unencrypted finds the same encrypted, if its host has a certificate.
pub(super) fn elsewhere(shown: &Shown, port_suffix: &str, host: &str, path: &PathAndQuery) -> Option<HeaderValue> {
    let host = host.rsplit_once(':').map_or(host, |(name, _)| name);
    let host = host.strip_suffix('.').unwrap_or(host).to_ascii_lowercase();
    shown.certificates.of_host(&host).filter(|_| path.path().starts_with('/'))?;
    HeaderValue::try_from(format!("https://{host}{port_suffix}{path}")).ok()
}
