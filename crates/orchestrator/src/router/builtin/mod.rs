//! The built-in router: a reverse proxy inside the service.
//!
//! `traffic` knows the routes and what is under way, `proxy` brings one request to its app and back, `headers` and
//! `body` say what changes on the way, `tunnel` carries WebSockets, `patience` leaves
//! visitors who take nothing; `secure` is TLS in front of it, and `deliveries` what GitHub sends through that. Here connections are accepted and ended.

mod body;
mod deliveries;
mod headers;
mod patience;
mod proxy;
mod secure;
mod traffic;
mod tunnel;

use std::convert::Infallible;
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use preview_core::ids::HostPort;
use preview_core::route::{RouteTable, Site};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio::task::{JoinHandle, JoinSet};

use self::patience::Patient;
use self::proxy::Proxy;
use self::secure::Acceptor;
pub use self::secure::Secure;
use crate::crowd::{Place, Places};
use crate::needs::{Fault, Router};
use crate::parting;
use crate::router::login::Login;

/// Visitors' connections at a time, a quarter of them from one address; more wait in the kernel's queue.
const MAX_CONNECTIONS: usize = 1024;
/// A visitor has this long to send a request's head, and an idle connection to begin one.
const HEAD: Duration = Duration::from_secs(30);
/// Bytes of a request's head, and how many headers.
const HEAD_BYTES: usize = 64 << 10;
const HEAD_HEADERS: usize = 100;
/// What the question whether it still answers may take.
const PING: Duration = Duration::from_secs(2);

/// The router inside the service. It ends, with everything under way, when this is dropped.
pub struct Builtin {
    address: SocketAddr,
    secure: Option<SocketAddr>,
    proxy: Arc<Proxy>,
    accepting: tokio::sync::Mutex<JoinHandle<()>>,
    stop: watch::Sender<bool>,
}

impl Builtin {
    /// Answers on this listener from now on, with this table from its first visitor on, and asks them for the login. Must be called within a tokio runtime.
    ///
    /// # Errors
    /// When a listener can't be made non-blocking or has no address.
    pub fn start(
        listener: std::net::TcpListener,
        secure: Option<Secure>,
        site: Site,
        login: Option<&Login>,
        table: &RouteTable,
    ) -> io::Result<Self> {
        let (listener, address) = of_ours(listener)?;
        let (stop, stopped) = watch::channel(false);
        let ours = secure.as_ref().map(|secure| (secure.shown.clone(), secure.deliveries));
        let acceptor = ours.as_ref().map(|(shown, _)| Acceptor::new(shown)).transpose()?;
        let secure = secure.map(|secure| of_ours(secure.listener)).transpose()?;
        let (secure, secure_address) = secure.unzip();
        let proxy = Arc::new(Proxy::new(site, login, ours, stopped.clone()));
        proxy.traffic.switch(table);
        let places = Places::new(MAX_CONNECTIONS);
        let plain = accept(listener, None, places.clone(), proxy.clone(), stopped.clone());
        let secured = secure.map(|listener| accept(listener, acceptor, places, proxy.clone(), stopped));
        let accepting = tokio::spawn(async move {
            let secured = async {
                if let Some(secured) = secured {
                    secured.await;
                }
            };
            tokio::join!(plain, secured);
        });
        Ok(Self { address, secure: secure_address, proxy, accepting: accepting.into(), stop })
    }

    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Where it listens for TLS.
    pub fn secure_address(&self) -> Option<SocketAddr> {
        self.secure
    }

    /// Accepts no more, lets requests that are under way finish within `at_most`, and ends the rest.
    pub async fn shutdown(&self, at_most: Duration) {
        self.stop.send_replace(true);
        let mut accepting = self.accepting.lock().await;
        if tokio::time::timeout(at_most, &mut *accepting).await.is_err() {
            accepting.abort();
        }
    }
}

impl Drop for Builtin {
    fn drop(&mut self) {
        self.stop.send_replace(true);
        self.accepting.get_mut().abort();
    }
}

#[async_trait]
impl Router for Builtin {
    async fn apply(&self, table: &RouteTable) -> Result<(), Fault> {
        self.proxy.traffic.switch(table);
        Ok(())
    }

    async fn observe(&self) -> Result<RouteTable, Fault> {
        Ok(self.proxy.traffic.table())
    }

    async fn drain(&self, port: HostPort, at_most: Duration) {
        self.proxy.traffic.drain(port, at_most).await;
    }

    async fn ping(&self) -> Result<(), Fault> {
        match tokio::time::timeout(PING, TcpStream::connect(self.address)).await {
            Ok(Ok(_)) if !*self.stop.borrow() => Ok(()),
            _ => Err(Fault::passing(format!("the built-in router does not answer on {}", self.address))),
        }
    }
}

fn of_ours(listener: std::net::TcpListener) -> io::Result<(TcpListener, SocketAddr)> {
    listener.set_nonblocking(true)?;
    let listener = TcpListener::from_std(listener)?;
    let address = listener.local_addr()?;
    Ok((listener, address))
}

/// The other end of a connection, which holds its place until the last that came of it (a WebSocket, say) has ended.
#[derive(Clone)]
struct Peer {
    address: IpAddr,
    /// Whether we speak TLS with it.
    secure: bool,
    _place: Arc<Place>,
}

/// Accepts connections until told to stop, then waits for those that are open.
async fn accept(
    listener: TcpListener,
    acceptor: Option<Acceptor>,
    places: Places,
    proxy: Arc<Proxy>,
    mut stop: watch::Receiver<bool>,
) {
    let mut connections = JoinSet::new();
    loop {
        tokio::select! {
            () = told(&mut stop) => break,
            Some(_) = connections.join_next() => {}
            (stream, address, place) = places.next(&listener) => {
                let peer = Peer { address, secure: acceptor.is_some(), _place: Arc::new(place) };
                connections.spawn(welcome(stream, acceptor.clone(), peer, proxy.clone(), stop.clone()));
            }
        }
    }
    drop(listener);
    while connections.join_next().await.is_some() {}
}

/// Begins a visitor's connection as the listener wants it: as it comes, or with a handshake.
async fn welcome(
    stream: TcpStream,
    acceptor: Option<Acceptor>,
    peer: Peer,
    proxy: Arc<Proxy>,
    mut stop: watch::Receiver<bool>,
) {
    // Without it small writes may wait for the visitor's acknowledgement; not having it is only slower.
    let _ = stream.set_nodelay(true);
    let Some(acceptor) = acceptor else { return serve(stream, peer, proxy, stop).await };
    let secured = tokio::select! {
        () = parting::last_call(told(&mut stop)) => None,
        secured = acceptor.accept(stream) => secured,
    };
    if let Some(secured) = secured {
        serve(secured, peer, proxy, stop).await;
    }
}

/// Serves one visitor's connection; told to stop, ends it after the request that is under way.
async fn serve<S: AsyncRead + AsyncWrite + Unpin + Send + 'static>(
    stream: S,
    peer: Peer,
    proxy: Arc<Proxy>,
    mut stop: watch::Receiver<bool>,
) {
    let stopping = stop.clone();
    let service = service_fn(move |request| {
        let (proxy, peer, stopping) = (proxy.clone(), peer.clone(), stopping.clone());
        async move {
            let answer = proxy.answer(peer, request).await;
            Ok::<_, Infallible>(if *stopping.borrow() { parting::closed_behind(answer) } else { answer })
        }
    });
    let connection = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(HEAD)
        .max_headers(HEAD_HEADERS)
        .max_header_size(HEAD_BYTES)
        .max_buf_size(HEAD_BYTES)
        .serve_connection(TokioIo::new(Patient::new(stream)), service)
        .with_upgrades();
    parting::converse(connection, http1::UpgradeableConnection::graceful_shutdown, told(&mut stop)).await;
}

/// Resolves when it is time to stop, or nobody is left who could say so.
async fn told(stop: &mut watch::Receiver<bool>) {
    let _ = stop.wait_for(|stop| *stop).await;
}
