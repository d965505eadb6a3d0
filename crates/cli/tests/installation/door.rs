//! The server's door, where GitHub's deliveries come: it takes those that are signed with the secret that Ansible brought.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::{Arc, Mutex};

use axum::Router;
use axum::body::Bytes;
use axum::extract::State;
use axum::http::{HeaderMap, StatusCode};
use axum::serve::Listener;
use preview_simulator::sha256_signature;
use rcgen::{CertifiedKey, generate_simple_self_signed};
use reqwest::Certificate;
use rustls::pki_types::PrivateKeyDer;
use tokio::net::{TcpListener, TcpStream};
use tokio_rustls::TlsAcceptor;
use tokio_rustls::server::TlsStream;

use crate::rig::read_json;

/// The name of a server that has one.
pub(crate) const DOMAIN: &str = "previews.example.com";

/// What came to the door.
#[derive(Clone, Default)]
pub(crate) struct Door {
    pub(crate) deliveries: Arc<Mutex<Vec<StatusCode>>>,
    /// What it answers instead, once.
    pub(crate) instead: Arc<Mutex<Option<StatusCode>>>,
}

/// Opens it, and gives its address.
pub(crate) async fn open(vars: PathBuf, door: Door) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    tokio::spawn(async move { axum::serve(listener, app(vars, door)).await });
    url
}

/// Opens one that speaks TLS by a name, and gives where it is found and by whom it is trusted.
pub(crate) async fn open_encrypted(vars: PathBuf, door: Door) -> (Vec<(String, SocketAddr)>, Vec<Certificate>) {
    preview_orchestrator::github::install_tls();
    let CertifiedKey { cert, signing_key } = generate_simple_self_signed([DOMAIN.to_owned()]).unwrap();
    let key = PrivateKeyDer::try_from(signing_key.serialize_der()).unwrap();
    let config = rustls::ServerConfig::builder().with_no_client_auth();
    let config = config.with_single_cert(vec![cert.der().clone()], key).unwrap();
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let listener = Encrypted { listener, acceptor: TlsAcceptor::from(Arc::new(config)) };
    tokio::spawn(async move { axum::serve(listener, app(vars, door)).await });
    (vec![(DOMAIN.to_owned(), address)], vec![Certificate::from_der(cert.der()).unwrap()])
}

/// Connections that shook hands.
struct Encrypted {
    listener: TcpListener,
    acceptor: TlsAcceptor,
}

impl Listener for Encrypted {
    type Io = TlsStream<TcpStream>;
    type Addr = SocketAddr;

    async fn accept(&mut self) -> (Self::Io, SocketAddr) {
        loop {
            let Ok((stream, from)) = self.listener.accept().await else { continue };
            if let Ok(stream) = self.acceptor.accept(stream).await {
                return (stream, from);
            }
        }
    }

    fn local_addr(&self) -> std::io::Result<SocketAddr> {
        self.listener.local_addr()
    }
}

fn app(vars: PathBuf, door: Door) -> Router {
    Router::new().route("/webhook/github", axum::routing::post(take)).with_state((vars, door))
}

async fn take(State((vars, door)): State<(PathBuf, Door)>, headers: HeaderMap, body: Bytes) -> StatusCode {
    let secret = read_json(&vars)["preview_secrets"]["GITHUB_WEBHOOK_SECRET"].as_str().unwrap().to_owned();
    let is_right = headers["x-hub-signature-256"] == sha256_signature(secret.as_bytes(), &body);
    let status = if is_right { StatusCode::OK } else { StatusCode::UNAUTHORIZED };
    let status = door.instead.lock().unwrap().take().unwrap_or(status);
    door.deliveries.lock().unwrap().push(status);
    status
}
