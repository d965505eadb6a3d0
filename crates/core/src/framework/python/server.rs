//! What answers requests: uvicorn for an ASGI app, gunicorn for a WSGI app.

use crate::repo_config::ContainerPort;

use super::app::App;

/// How an app is spoken to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Interface {
    Asgi,
    Wsgi,
}

/// Django's static files, to be collected by these settings.
#[derive(Debug, Clone)]
pub(super) struct Static {
    /// The folder of `manage.py`.
    pub(super) home: String,
    pub(super) settings: String,
}

/// Longer than a reverse proxy keeps idle connections, so that it never sends into one that closes.
const KEEP_ALIVE: &str = "75";

impl Interface {
    /// The server, as package indexes know it.
    pub(super) fn server(self) -> &'static str {
        match self {
            Self::Asgi => "uvicorn",
            Self::Wsgi => "gunicorn",
        }
    }

    /// What is installed where the project doesn't bring a server: `standard` speaks WebSocket too.
    pub(super) fn installed(self) -> &'static str {
        match self {
            Self::Asgi => "uvicorn[standard]>=0.30",
            Self::Wsgi => "gunicorn>=22",
        }
    }

    /// The container's command. Whoever reaches the port is our router, whose forwarding headers count.
    pub(super) fn command(self, app: &App, port: ContainerPort, under_prefix: bool) -> Vec<String> {
        let words = match self {
            Self::Asgi => uvicorn(app, port, under_prefix),
            Self::Wsgi => gunicorn(app, port),
        };
        words.into_iter().filter(|word| !word.is_empty()).collect()
    }
}

fn uvicorn(app: &App, port: ContainerPort, under_prefix: bool) -> Vec<String> {
    // The path of the preview is known when it starts, and uvicorn has no variable for it: a shell fills it in.
    let by_shell = ["sh", "-c", "exec uvicorn \"$@\" --root-path \"${PREVIEW_BASE_PATH%/}\"", "uvicorn"];
    let start = if under_prefix { &by_shell[..] } else { &["uvicorn"] };
    let factory = if app.object.is_factory() { "--factory" } else { "" };
    let (target, port) = (app.target(), port.to_string());
    let listen = [&target, factory, "--host", "0.0.0.0", "--port", &port];
    let behave = ["--proxy-headers", "--forwarded-allow-ips=*", "--timeout-keep-alive", KEEP_ALIVE];
    [start, &listen, &behave].concat().into_iter().map(str::to_owned).collect()
}

fn gunicorn(app: &App, port: ContainerPort) -> Vec<String> {
    let (target, bind) = (app.called(), format!("0.0.0.0:{port}"));
    // A worker with threads: a slow request holds up neither others nor the health check.
    let listen = ["gunicorn", &target, "--bind", &bind, "--threads", "8"];
    let behave = ["--keep-alive", KEEP_ALIVE, "--forwarded-allow-ips=*", "--access-logfile", "-"];
    [&listen[..], &behave].concat().into_iter().map(str::to_owned).collect()
}
