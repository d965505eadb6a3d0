//! PostgreSQL.
//!
//! The official image's own user, 999, owns its data folder, and a fresh named volume takes content and owner from the image: so
//! the server runs as that user from the start and needs no capability at all.

use crate::base_images::BaseImage;
use crate::repo_config::ContainerPort;

use super::backing::{Account, Called, Recipe, USER, Variables, usual_url};
use super::model::Service;

pub(super) const RECIPE: Recipe = Recipe {
    image: BaseImage::Postgres,
    port: ContainerPort::new(5432).unwrap(),
    user: "999:999",
    data: Some("/var/lib/postgresql/data"),
    password: "POSTGRES_PASSWORD",
    shape,
    probe,
    client: Some(client),
    shell: |name| ["psql", "--username", USER, "--dbname", name].map(str::to_owned).to_vec(),
    scheme: "postgresql",
    url: usual_url,
    variables: Variables {
        url: &["POSTGRES_URL"],
        host: "POSTGRES_HOST",
        port: "POSTGRES_PORT",
        user: Some("POSTGRES_USER"),
        password: "POSTGRES_PASSWORD",
        name: Some("POSTGRES_DB"),
    },
    // The server is within the preview's own network and has no certificate; Go's `lib/pq` insists on one unless told.
    defaults: &[("PGSSLMODE", "disable")],
    called: Some(Called { laravel: "pgsql", jdbc: Some("postgresql") }),
};

/// Caches for a small container. A commit may be lost when the host dies (a preview's data is disposable), but nothing is ever
/// corrupted: `fsync` stays on.
const COMMAND: [&str; 9] = [
    "postgres",
    "-c",
    "shared_buffers=32MB",
    "-c",
    "max_connections=50",
    "-c",
    "synchronous_commit=off",
    "-c",
    "jit=off",
];

fn shape(service: &mut Service, account: &Account<'_>) {
    service.command(&COMMAND);
    service.env("POSTGRES_USER", USER);
    service.env("POSTGRES_DB", &account.name);
}

/// Reads statements, without anybody's `.psqlrc`. Its end is closed at the latest when ours is: a transaction that was cut off is none.
fn client(name: &str) -> Vec<String> {
    let words = ["psql", "--no-psqlrc", "--quiet", "--set=ON_ERROR_STOP=1", "--username", USER, "--dbname", name];
    words.map(str::to_owned).to_vec()
}

/// Asks over TCP: the server that the image starts for its own initialisation listens on the socket alone.
fn probe(account: &Account<'_>) -> String {
    format!("pg_isready -q -h 127.0.0.1 -U {USER} -d {}", account.name)
}
