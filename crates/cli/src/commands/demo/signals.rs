//! Who may ask a story to end: the person, another program, and the connection behind which the person is.

use std::convert::Infallible;
use std::future::pending;

use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::task::JoinHandle;

use super::screen::Screen;
use crate::error::{Failure, Kind};

/// Ctrl-C, the end asked for by another program, the terminal closed, the connection over.
pub(in crate::commands) struct Signals {
    system: [Signal; 3],
    /// Ends with the connection; `None` where there is none, or it is over and known to be.
    connection: Option<JoinHandle<()>>,
}

impl Signals {
    pub(in crate::commands) fn listen() -> Result<Self, Failure> {
        let kinds = [SignalKind::interrupt(), SignalKind::terminate(), SignalKind::hangup()];
        let [interrupt, terminate, hangup] = kinds.map(signal);
        Ok(Self { system: [interrupt?, terminate?, hangup?], connection: None })
    }

    /// From now on the end of this is a sign to end as well.
    pub(in crate::commands) fn end_with(&mut self, connection: impl Future<Output = ()> + Send + 'static) {
        self.connection = Some(tokio::spawn(connection));
    }

    pub(in crate::commands) async fn asked(&mut self) {
        let [interrupt, terminate, hangup] = &mut self.system;
        tokio::select! {
            _ = interrupt.recv() => {}
            _ = terminate.recv() => {}
            _ = hangup.recv() => {}
            () = over(&mut self.connection) => {}
        }
    }

    /// Does something that leaves nothing behind when it is given up, which it is as soon as somebody asks.
    pub(in crate::commands) async fn unless_asked<T>(
        &mut self,
        work: impl Future<Output = Result<T, Failure>>,
    ) -> Result<T, Failure> {
        tokio::select! {
            done = work => done,
            () = self.asked() => Err(Failure::new("stopped before the folder was taken").kind(Kind::Interrupted)),
        }
    }

    /// Tells who asks while everything is being taken down that it is; never gives in, because it has an end.
    pub(super) async fn insisted(&mut self, screen: &Screen) -> Infallible {
        loop {
            self.asked().await;
            screen.note("Still taking everything down.");
        }
    }
}

/// Waits for the end of the connection, and tells of it once.
async fn over(connection: &mut Option<JoinHandle<()>>) {
    let Some(task) = connection else { return pending().await };
    drop(task.await);
    *connection = None;
}
