//! A model of DigitalOcean's zones, as far as certificates ask: its records become those that pebble looks up.
//!
//! Source: <https://docs.digitalocean.com/reference/api/api-reference/#tag/Domain-Records>

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};

use axum::extract::{Path, Request, State};
use axum::http::StatusCode;
use axum::http::header::AUTHORIZATION;
use axum::middleware::{Next, from_fn};
use axum::response::{IntoResponse, Response};
use axum::routing::{delete, get, post};
use axum::{Json, Router};
use preview_simulator::programs::Zone;
use serde_json::{Value, json};
use tokio::net::TcpListener;

pub(crate) const TOKEN: &str = "dop_v1_7c4a1e9b52d8";

/// The zone of the account.
const ZONE: &str = "test";

struct World {
    records: BTreeMap<u64, (String, String)>,
    made: u64,
    zone: Zone,
}

type Shared = Arc<Mutex<World>>;

/// The running model.
pub(crate) struct Cloud {
    pub(crate) url: String,
    world: Shared,
}

impl Cloud {
    pub(crate) async fn start(zone: Zone) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let world = Arc::new(Mutex::new(World { records: BTreeMap::new(), made: 0, zone }));
        let app = Router::new()
            .route("/v2/domains", get(|| async { Json(json!({"domains": [{"name": "example.org"}, {"name": ZONE}]})) }))
            .route("/v2/domains/{zone}/records", post(make))
            .route("/v2/domains/{zone}/records/{id}", delete(remove))
            .layer(from_fn(only_with_token))
            .with_state(world.clone());
        tokio::spawn(async move { axum::serve(listener, app).await });
        Self { url, world }
    }

    /// Records that are there now, and how many ever were made.
    pub(crate) fn records(&self) -> (usize, u64) {
        let world = self.world.lock().unwrap();
        (world.records.len(), world.made)
    }
}

async fn only_with_token(request: Request, next: Next) -> Response {
    if request.headers().get(AUTHORIZATION).is_none_or(|given| given != &format!("Bearer {TOKEN}")) {
        return (StatusCode::UNAUTHORIZED, Json(json!({"id": "Unauthorized"}))).into_response();
    }
    next.run(request).await
}

async fn make(State(world): State<Shared>, Path(zone): Path<String>, Json(record): Json<Value>) -> Response {
    let (Some("TXT"), Some(name), Some(data)) =
        (record["type"].as_str(), record["name"].as_str(), record["data"].as_str())
    else {
        return StatusCode::UNPROCESSABLE_ENTITY.into_response();
    };
    if zone != ZONE {
        return StatusCode::NOT_FOUND.into_response();
    }
    let full = format!("{name}.{zone}");
    let (id, names) = {
        let mut world = world.lock().unwrap();
        world.made += 1;
        let id = world.made;
        world.records.insert(id, (full.clone(), data.to_owned()));
        (id, world.zone.clone())
    };
    names.set_text(&full, data).await;
    let made = json!({"domain_record": {"id": id, "type": "TXT", "name": name, "data": data, "ttl": record["ttl"]}});
    (StatusCode::CREATED, Json(made)).into_response()
}

async fn remove(State(world): State<Shared>, Path((_, id)): Path<(String, u64)>) -> Response {
    let (removed, names) = {
        let mut world = world.lock().unwrap();
        (world.records.remove(&id), world.zone.clone())
    };
    let Some((name, _)) = removed else { return StatusCode::NOT_FOUND.into_response() };
    names.clear_text(&name).await;
    StatusCode::NO_CONTENT.into_response()
}
