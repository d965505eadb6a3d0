//! PostgreSQL.
//!
//! The official image's own user, 999, owns its data folder, and a fresh named volume takes content and owner from the image: so
//! the server runs as that user from the start and needs no capability at all.

use crate::base_images::BaseImage;
use crate::ids::PrNumber;
use crate::repo_config::ContainerPort;

use super::model::{HealthCheck, Service};
use super::{Backing, DatabaseSpec, ServiceName, StackSpec, database_name};

const PORT: ContainerPort = ContainerPort::new(5432).unwrap();
const USER: &str = "preview";
/// Where the database's container has its password.
pub(super) const PASSWORD: &str = "POSTGRES_PASSWORD";
const VOLUME: &str = "db-data";

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

pub(super) fn backing(spec: &StackSpec, database: &DatabaseSpec) -> Backing {
    let name = database_name(spec.deployment.number());
    let password = database.password.expose();
    let mut service = Service::new(spec, ServiceName::Database, spec.base_images.get(BaseImage::Postgres));
    service.user("999:999");
    service.command(&COMMAND);
    service.publish(database.host_port, PORT);
    service.alias("postgres");
    service.mount(VOLUME, "/var/lib/postgresql/data", false);
    service.health(HealthCheck::by_probe(&probe(&name)));
    service.env("POSTGRES_USER", USER);
    service.env(PASSWORD, password);
    service.env("POSTGRES_DB", &name);
    let host = ServiceName::Database.to_string();
    let env = vec![
        ("DATABASE_URL", format!("postgresql://{USER}:{password}@{host}:{PORT}/{name}")),
        ("DB_HOST", host),
        ("DB_PORT", PORT.to_string()),
        ("DB_NAME", name),
        ("DB_USER", USER.to_owned()),
        ("DB_PASSWORD", password.to_owned()),
    ];
    Backing { service, volume: VOLUME, env }
}

/// Reads statements, without anybody's `.psqlrc`. Its end is closed at the latest when ours is: a transaction that was cut off is none.
pub(super) fn client(number: PrNumber) -> Vec<String> {
    let database = database_name(number);
    let words = ["psql", "--no-psqlrc", "--quiet", "--set=ON_ERROR_STOP=1", "--username", USER, "--dbname", &database];
    words.map(str::to_owned).to_vec()
}

/// Asks over TCP: the server that the image starts for its own initialisation listens on the socket alone.
fn probe(database: &str) -> String {
    format!("pg_isready -q -h 127.0.0.1 -U {USER} -d {database}")
}
