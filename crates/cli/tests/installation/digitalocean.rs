//! A model of DigitalOcean's API as far as the program asks it: token, pages, limits, and a cloud that is a folder.
//!
//! Source: <https://docs.digitalocean.com/reference/api/api-reference/>

use std::collections::HashMap;
use std::path::PathBuf;
use std::sync::{Arc, Mutex};

use axum::extract::{Path, Query, Request, State};
use axum::http::StatusCode;
use axum::http::header::AUTHORIZATION;
use axum::middleware::{self, Next};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use axum::{Json, Router};
use serde_json::{Value, json};
use tokio::net::TcpListener;

use crate::rig::DO_TOKEN;

/// What a test changes of it.
#[derive(Debug)]
struct World {
    folder: PathBuf,
    url: String,
    /// The next answers: status, and headers.
    instead: Vec<(u16, Vec<(&'static str, String)>)>,
    status: &'static str,
    /// Most that a page has, whatever is asked for.
    page: usize,
    /// Keys of the account besides those that were made: name, and line.
    keys: Vec<(String, String)>,
    asked: Vec<String>,
    /// Tokens that may do nothing but see and change zones, and the zone that there is.
    zone_tokens: Vec<&'static str>,
    zone: &'static str,
}

/// The running model.
pub(crate) struct Cloud {
    pub(crate) url: String,
    world: Arc<Mutex<World>>,
}

impl Cloud {
    /// Refuses the next requests so.
    pub(crate) fn answer(&self, times: usize, status: u16, headers: &[(&'static str, &str)]) {
        let headers: Vec<_> = headers.iter().map(|(name, value)| (*name, (*value).to_owned())).collect();
        self.world.lock().unwrap().instead = vec![(status, headers); times];
    }

    pub(crate) fn lock_account(&self) {
        self.world.lock().unwrap().status = "locked";
    }

    /// Has lists in pages of this length.
    pub(crate) fn page(&self, length: usize) {
        self.world.lock().unwrap().page = length;
    }

    pub(crate) fn add_key(&self, name: &str, line: &str) {
        self.world.lock().unwrap().keys.push((name.to_owned(), line.to_owned()));
    }

    /// From now on, these tokens may see and change zones, and no others.
    pub(crate) fn take_for_zones(&self, tokens: &[&'static str]) {
        self.world.lock().unwrap().zone_tokens = tokens.to_vec();
    }

    /// Has this zone and no other.
    pub(crate) fn has_zone(&self, zone: &'static str) {
        self.world.lock().unwrap().zone = zone;
    }

    /// What was asked for, with its query.
    pub(crate) fn asked(&self) -> Vec<String> {
        self.world.lock().unwrap().asked.clone()
    }
}

type Shared = State<Arc<Mutex<World>>>;

pub(crate) async fn start(folder: PathBuf) -> Cloud {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    let world = World {
        folder,
        url: url.clone(),
        instead: Vec::new(),
        status: "active",
        page: 200,
        keys: Vec::new(),
        asked: Vec::new(),
        zone_tokens: Vec::new(),
        zone: "example.com",
    };
    let world = Arc::new(Mutex::new(world));
    let app = Router::new()
        .route("/v2/account", get(account))
        .route("/v2/regions", get(regions))
        .route("/v2/sizes", get(sizes))
        .route("/v2/account/keys", get(keys))
        .route("/v2/tags", get(tags))
        .route("/v2/droplets", get(droplets))
        .route("/v2/firewalls", get(firewalls))
        .route("/v2/reserved_ips", get(reserved_ips))
        .route("/v2/domains", get(domains))
        .route("/v2/domains/{name}", get(domain))
        .layer(middleware::from_fn_with_state(world.clone(), check))
        .with_state(world.clone());
    tokio::spawn(async move { axum::serve(listener, app).await });
    Cloud { url, world }
}

async fn check(State(world): Shared, request: Request, next: Next) -> Response {
    let instead = {
        let mut world = world.lock().unwrap();
        world.asked.push(request.uri().path_and_query().unwrap().to_string());
        world.instead.pop()
    };
    if let Some((status, headers)) = instead {
        let body = match status {
            401 => json!({"id": "Unauthorized", "message": "Unable to authenticate you"}),
            429 => json!({"id": "too_many_requests", "message": "API Rate limit exceeded."}),
            _ => json!({"id": "service_unavailable", "message": "Server is unavailable"}),
        };
        let mut answer = (StatusCode::from_u16(status).unwrap(), Json(body)).into_response();
        for (name, value) in headers {
            answer.headers_mut().insert(name, value.parse().unwrap());
        }
        return answer;
    }
    let given = request.headers().get(AUTHORIZATION).and_then(|given| given.to_str().ok()?.strip_prefix("Bearer "));
    let is_for_zones = given.is_some_and(|given| world.lock().unwrap().zone_tokens.contains(&given));
    if is_for_zones && !request.uri().path().starts_with("/v2/domains") {
        let body = json!({"id": "Forbidden", "message": "You are not authorized to perform this operation"});
        return (StatusCode::FORBIDDEN, Json(body)).into_response();
    }
    if !is_for_zones && given != Some(DO_TOKEN) {
        let body = json!({"id": "Unauthorized", "message": "Unable to authenticate you"});
        return (StatusCode::UNAUTHORIZED, Json(body)).into_response();
    }
    next.run(request).await
}

type Asked = Query<HashMap<String, String>>;

async fn account(State(world): Shared) -> Json<Value> {
    let world = world.lock().unwrap();
    Json(json!({"account": {
        "droplet_limit": 25, "floating_ip_limit": 5, "email": "me@example.com", "name": "Me", "uuid": "b6fr89dbf6d9156cace5f3c78dc9851d957381ef",
        "email_verified": true, "status": world.status, "status_message": " ",
    }}))
}

async fn regions(State(world): Shared, query: Asked) -> Json<Value> {
    let region = |slug: &str, name: &str, available: bool, sizes: &[&str]| json!({"slug": slug, "name": name, "available": available, "sizes": sizes, "features": ["metadata"]});
    let all = vec![
        region("nyc1", "New York 1", true, &["s-1vcpu-1gb", "s-1vcpu-2gb"]),
        region("ams1", "Amsterdam 1", false, &[]),
        region("fra1", "Frankfurt 1", true, &["s-1vcpu-1gb", "s-2vcpu-4gb", "s-1vcpu-2gb"]),
    ];
    page(&world, &query, "regions", "/v2/regions", all)
}

async fn sizes(State(world): Shared, query: Asked) -> Json<Value> {
    let size = |slug: &str, memory: u64, vcpus: u64, disk: u64, price: f64| {
        json!({
            "slug": slug, "memory": memory, "vcpus": vcpus, "disk": disk, "transfer": 1.0, "price_monthly": price,
            "price_hourly": price / 672.0, "regions": ["nyc1", "fra1"], "available": true, "description": "Basic",
        })
    };
    let all = vec![
        size("s-2vcpu-4gb", 4096, 2, 80, 24.0),
        size("s-1vcpu-1gb", 1024, 1, 25, 6.0),
        size("s-1vcpu-2gb", 2048, 1, 50, 12.0),
    ];
    page(&world, &query, "sizes", "/v2/sizes", all)
}

async fn keys(State(world): Shared, query: Asked) -> Json<Value> {
    let key = |of: Thing| json!({"id": of.id, "fingerprint": "3b:16", "name": of.name, "public_key": of.key});
    let mut all: Vec<Value> = made(&world, "ssh_key").into_iter().map(key).collect();
    let others = world.lock().unwrap().keys.clone();
    all.extend(
        others
            .iter()
            .map(|(name, line)| json!({"id": 512_189, "fingerprint": "3b:17", "name": name, "public_key": line})),
    );
    page(&world, &query, "ssh_keys", "/v2/account/keys", all)
}

async fn tags(State(world): Shared, query: Asked) -> Json<Value> {
    let tag = |of: Thing| json!({"name": of.name, "resources": {"count": 0}});
    page(&world, &query, "tags", "/v2/tags", made(&world, "tag").into_iter().map(tag).collect())
}

async fn droplets(State(world): Shared, query: Asked) -> Json<Value> {
    let tag = query.get("tag_name").unwrap();
    let droplet = |of: Thing| {
        json!({
            "id": of.id, "name": of.name, "status": "active", "size_slug": of.size,
            "region": {"slug": of.region, "name": "Somewhere 1", "available": true, "features": [], "sizes": []},
        })
    };
    let all = made(&world, "droplet").into_iter().filter(|of| of.name == *tag).map(droplet).collect();
    page(&world, &query, "droplets", &format!("/v2/droplets?tag_name={tag}"), all)
}

async fn firewalls(State(world): Shared, query: Asked) -> Json<Value> {
    let firewall = |of: Thing| json!({"id": format!("bb4b2611-{}", of.id), "name": of.name});
    let all = made(&world, "firewall").into_iter().map(firewall).collect();
    page(&world, &query, "firewalls", "/v2/firewalls", all)
}

async fn reserved_ips(State(world): Shared, query: Asked) -> Json<Value> {
    let of_name = |kind: &str, name: &str| made(&world, kind).into_iter().find(|of| of.name == name);
    let reserved = |of: Thing| {
        let droplet = of_name("reserved_ip_assignment", &of.name).and_then(|_| of_name("droplet", &of.name));
        json!({"ip": "203.0.113.8", "droplet": droplet.map(|droplet| json!({"id": droplet.id})), "locked": false})
    };
    let mut all = vec![json!({"ip": "198.51.100.1", "droplet": null, "locked": false})];
    all.extend(made(&world, "reserved_ip").into_iter().map(reserved));
    page(&world, &query, "reserved_ips", "/v2/reserved_ips", all)
}

async fn domains(State(world): Shared, query: Asked) -> Json<Value> {
    let zone = world.lock().unwrap().zone;
    page(&world, &query, "domains", "/v2/domains", vec![json!({"name": zone, "ttl": 1800})])
}

async fn domain(State(world): Shared, Path(name): Path<String>) -> Response {
    if name == world.lock().unwrap().zone {
        let zone = format!("$ORIGIN {name}.\n$TTL 1800\n");
        return Json(json!({"domain": {"name": name, "ttl": 1800, "zone_file": zone}})).into_response();
    }
    let body = json!({"id": "not_found", "message": "The resource you were accessing could not be found."});
    (StatusCode::NOT_FOUND, Json(body)).into_response()
}

/// Something that was made: its number, and what it was made with.
struct Thing {
    id: usize,
    name: String,
    key: String,
    region: String,
    size: String,
}

/// What there is of a kind.
fn made(world: &Mutex<World>, kind: &str) -> Vec<Thing> {
    let folder = world.lock().unwrap().folder.clone();
    let mut found = Vec::new();
    for entry in std::fs::read_dir(folder).unwrap() {
        let entry = entry.unwrap();
        let file = entry.file_name().to_string_lossy().into_owned();
        if let Some(number) = file.strip_prefix(kind).and_then(|rest| rest.strip_prefix('-')) {
            let text = std::fs::read_to_string(entry.path()).unwrap();
            let mut lines = text.lines().map(str::to_owned);
            let mut next = || lines.next().unwrap();
            let id = number.parse().unwrap();
            found.push(Thing { id, name: next(), key: next(), region: next(), size: next() });
        }
    }
    found.sort_by_key(|of| of.id);
    found
}

/// One page, with the way to the next.
fn page(world: &Mutex<World>, query: &HashMap<String, String>, name: &str, path: &str, all: Vec<Value>) -> Json<Value> {
    let world = world.lock().unwrap();
    let number = |key: &str, default: usize| query.get(key).map_or(default, |text| text.parse().unwrap());
    let (size, page) = (number("per_page", 20).min(world.page), number("page", 1));
    let (total, and) = (all.len(), if path.contains('?') { '&' } else { '?' });
    let items: Vec<Value> = all.into_iter().skip((page - 1) * size).take(size).collect();
    let mut links = json!({});
    if page * size < total {
        links["pages"]["next"] = format!("{}{path}{and}page={}&per_page={size}", world.url, page + 1).into();
    }
    Json(json!({name: items, "links": links, "meta": {"total": total}}))
}
