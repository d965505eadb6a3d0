//! MySQL.
//!
//! As PostgreSQL it runs as the image's own user, 999, from the start. Root may come in over the socket of the container alone.

use crate::base_images::BaseImage;
use crate::repo_config::ContainerPort;

use super::backing::{Account, Called, Recipe, USER, Variables, usual_url};
use super::model::Service;

pub(super) const RECIPE: Recipe = Recipe {
    image: BaseImage::Mysql,
    port: ContainerPort::new(3306).unwrap(),
    user: "999:999",
    data: Some("/var/lib/mysql"),
    password: "MYSQL_PASSWORD",
    shape,
    probe,
    client: Some(client),
    shell,
    scheme: "mysql",
    url: usual_url,
    variables: Variables {
        url: &["MYSQL_URL"],
        host: "MYSQL_HOST",
        port: "MYSQL_PORT",
        user: Some("MYSQL_USER"),
        password: "MYSQL_PASSWORD",
        name: Some("MYSQL_DATABASE"),
    },
    called: Some(Called { laravel: "mysql", jdbc: Some("mysql") }),
};

/// Caches for a small container, and no log for replicas. A commit may be lost when the host dies, but nothing is ever corrupted.
/// What begins with `loose` a server that doesn't know it leaves alone: MariaDB takes the same.
pub(super) const OPTIONS: [&str; 9] = [
    "--performance-schema=OFF",
    "--innodb-buffer-pool-size=32M",
    "--innodb-flush-log-at-trx-commit=2",
    "--skip-log-bin",
    "--max-connections=50",
    "--character-set-server=utf8mb4",
    "--skip-name-resolve",
    "--loose-innodb-redo-log-capacity=32M",
    "--loose-mysqlx=OFF",
];

fn shape(service: &mut Service, account: &Account<'_>) {
    service.command(&[&["mysqld"], &OPTIONS[..]].concat());
    service.env("MYSQL_ROOT_PASSWORD", account.password);
    service.env("MYSQL_ROOT_HOST", "localhost");
    service.env("MYSQL_USER", USER);
    service.env("MYSQL_DATABASE", &account.name);
}

/// Reads statements, with the password that its container has.
fn client(name: &str) -> Vec<String> {
    let script = format!(r#"MYSQL_PWD="$MYSQL_PASSWORD" exec mysql --user={USER} --database={name}"#);
    ["sh", "-c", &script].map(str::to_owned).to_vec()
}

/// The same, for a person; `sh` hands on what stands behind.
fn shell(name: &str) -> Vec<String> {
    let script = format!(r#"MYSQL_PWD="$MYSQL_PASSWORD" exec mysql --user={USER} --database={name} "$@""#);
    ["sh", "-c", &script, "mysql"].map(str::to_owned).to_vec()
}

/// Comes in over TCP, as the app does: the server that the image starts for its own initialisation listens on the socket alone.
fn probe(account: &Account<'_>) -> String {
    format!(r#"MYSQL_PWD="$MYSQL_PASSWORD" mysql -h 127.0.0.1 -u {USER} -e 'DO 1' {} 2>/dev/null"#, account.name)
}
