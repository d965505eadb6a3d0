//! What others ask of the service: GitHub delivers, people look and command, monitoring asks for health.
//!
//! | file | what lives there |
//! | --- | --- |
//! | `webhook`, `events`, `deliveries` | a delivery is checked; what it means to us; what became of the last ones |
//! | `api`, `logs` | what there is, what people ask for; what previews said |
//! | `challenge`, `certificates` | what a certificate authority asks for; how its certificates stand |
//! | `health` | whether we can do our work |
//! | `askers`, `auth` | who asks, and how often strangers may; what each token opens, and under which names |
//! | `front`, `problem` | what every request passes; how errors are told |
//! | `server` | connections and their limits |
//!
//! Nothing here decides or does anything about previews: handlers look into the ledger and tell the reconciler.

mod api;
mod askers;
mod auth;
mod certificates;
mod challenge;
mod deliveries;
mod events;
mod front;
mod health;
mod logs;
mod problem;
mod server;
mod webhook;

use std::path::PathBuf;
use std::sync::Arc;

use axum::Router;
use axum::middleware::{from_fn, from_fn_with_state, map_response};
use axum::response::Response;
use axum::routing::{delete, get, post};
use http::StatusCode;
use secrecy::SecretString;
use tokio::net::TcpListener;
use tokio::sync::{Mutex, Semaphore};
use tokio_util::sync::CancellationToken;

use crate::crowd::Allowance;
use crate::folders::Folders;
use crate::ledger::Ledger;
use crate::needs::{self, Clock, ContainerEngine};
use crate::parting;
use crate::reconcile::Reconciler;
use crate::tls::{Answers, Register};
use api::Api;
use askers::Door;
use auth::Keys;
use deliveries::Deliveries;
use health::Pulse;
use problem::Problem;
use server::Limits;
use webhook::Mailbox;

/// Tells what stands between something outside and us, in one sentence; `None` while all is well. Asks nobody.
pub type Trouble = Arc<dyn Fn() -> Option<String> + Send + Sync>;

/// Everything that answering takes.
#[derive(Clone)]
pub struct Desk {
    /// Who is told of deliveries and wishes.
    pub reconciler: Reconciler,
    /// What there is.
    pub ledger: Ledger,
    /// Where apps' output comes from.
    pub engine: Arc<dyn ContainerEngine>,
    /// Asked whether it answers.
    pub router: Arc<dyn needs::Router>,
    /// Stamps deliveries.
    pub clock: Arc<dyn Clock>,
    /// Where logs of builds are.
    pub folders: Folders,
    /// Folders of ours, named, whose disks must not fill. The engine knows its own.
    pub disks: Vec<(&'static str, PathBuf)>,
    /// How GitHub and we get on.
    pub github: Trouble,
    /// Why nothing holds builds within limits, if nothing does.
    pub builds: Trouble,
    /// What previews and builds are not kept from, if so.
    pub walls: Trouble,
    /// How certificates stand, where the service gets some.
    pub certificates: Option<Register>,
    /// What a certificate authority is answered.
    pub answers: Answers,
    /// What is known to be broken of the programs that we stand on.
    pub known_holes: Vec<String>,
    /// What opens `/api` and the details of `/health`.
    pub token: SecretString,
    /// What opens the same for looking alone.
    pub read_token: Option<SecretString>,
    /// Whether a proxy on this machine tells, in `X-Forwarded-For`, where requests come from.
    pub behind_proxy: bool,
    /// What deliveries are signed with; `None` takes none.
    pub webhook_secret: Option<SecretString>,
}

/// Answers on this listener until `shutdown` is cancelled; returns when the last answer is given, 10 s later at most.
pub async fn serve(listener: TcpListener, desk: Desk, shutdown: CancellationToken) {
    let app = router(desk, &shutdown);
    server::serve(listener, app, Limits::default(), shutdown).await;
}

fn router(desk: Desk, shutdown: &CancellationToken) -> Router {
    let keys = Keys::new(&desk.token, desk.read_token.as_ref());
    let door = Arc::new(Door { keys, behind_proxy: desk.behind_proxy });
    let allowance = Arc::new(Allowance::default());
    let deliveries = Arc::new(Deliveries::default());
    let webhook = desk.webhook_secret.as_ref().map(|secret| {
        let (reconciler, clock) = (desk.reconciler.clone(), desk.clock.clone());
        let mailbox = Mailbox::new(secret, reconciler, clock, deliveries.clone(), allowance.clone());
        // No connection waits for the next delivery: one that was just sent when we close it, as at a restart, would be lost, and
        // GitHub sends none twice.
        let receive =
            post(webhook::receive).layer(map_response(async |answer: Response| parting::closed_behind(answer)));
        Router::new().route("/webhook/github", receive).with_state(Arc::new(mailbox))
    });
    let certificates = desk.certificates.clone();
    let health = Router::new().route("/health", get(health::health)).with_state(Arc::new(Pulse {
        reconciler: desk.reconciler.clone(),
        ledger: desk.ledger.clone(),
        engine: desk.engine.clone(),
        router: desk.router,
        github: desk.github,
        builds: desk.builds,
        walls: desk.walls,
        certificates: Arc::new(move || certificates.as_ref().and_then(Register::trouble)),
        known_holes: desk.known_holes,
        disks: desk.disks,
        last: Mutex::default(),
    }));
    let api = Api {
        reconciler: desk.reconciler,
        ledger: desk.ledger,
        engine: desk.engine,
        folders: desk.folders,
        deliveries,
        followers: Arc::new(Semaphore::new(logs::FOLLOWERS)),
        shutdown: shutdown.clone(),
    };
    let challenge =
        Router::new().route("/.well-known/acme-challenge/{token}", get(challenge::answer)).with_state(desk.answers);
    let app = Router::new()
        .nest("/api", api_routes(api, desk.certificates))
        .merge(health)
        .merge(challenge)
        .fallback(no_such_path);
    // A delivery's signature stands for itself: it is looked at before anybody is held back.
    let app = app.layer(from_fn_with_state(allowance, askers::strangers_in_turn)).merge(webhook.unwrap_or_default());
    app.method_not_allowed_fallback(wrong_method)
        .layer(from_fn_with_state(door, askers::recognise))
        .layer(from_fn(front::front))
}

/// Behind host and token, unknown paths too.
fn api_routes(api: Api, certificates: Option<Register>) -> Router {
    let certificates = Router::new()
        .route("/certificates", get(certificates::list))
        .route("/certificates/retry", post(certificates::retry))
        .with_state(certificates);
    Router::new()
        .route("/previews", get(api::list))
        .route("/previews/{id}", get(api::show).merge(delete(api::stop)))
        .route("/previews/{id}/redeploy", post(api::redeploy))
        .route("/previews/{id}/reset-db", post(api::reset_database))
        .route("/previews/{id}/keep", post(api::keep))
        .route("/previews/{id}/logs", get(logs::logs))
        .route("/deliveries", get(api::deliveries))
        .route("/audit", get(api::audit))
        .route("/why", get(api::why))
        .with_state(Arc::new(api))
        .merge(certificates)
        .fallback(no_such_path)
        .method_not_allowed_fallback(wrong_method)
        .layer(from_fn(auth::only_with_token))
        .layer(from_fn(auth::only_known_hosts))
}

async fn no_such_path() -> Problem {
    Problem::new(StatusCode::NOT_FOUND, "there is nothing under this path")
}

async fn wrong_method() -> Problem {
    Problem::new(StatusCode::METHOD_NOT_ALLOWED, "this path takes other methods; the header Allow names them")
}
