//! MariaDB: MySQL's options, and clients that go by names of their own.

use crate::base_images::BaseImage;
use crate::repo_config::ContainerPort;

use super::backing::{Account, Called, Recipe, USER, Variables, usual_url};
use super::model::Service;
use super::mysql::OPTIONS;

pub(super) const RECIPE: Recipe = Recipe {
    image: BaseImage::MariaDb,
    port: ContainerPort::new(3306).unwrap(),
    user: "999:999",
    data: Some("/var/lib/mysql"),
    password: "MARIADB_PASSWORD",
    shape,
    probe,
    client: Some(client),
    shell,
    // What drivers of MySQL take too.
    scheme: "mysql",
    url: usual_url,
    variables: Variables {
        url: &["MARIADB_URL"],
        host: "MARIADB_HOST",
        port: "MARIADB_PORT",
        user: Some("MARIADB_USER"),
        password: "MARIADB_PASSWORD",
        name: Some("MARIADB_DATABASE"),
    },
    called: Some(Called { laravel: "mariadb", jdbc: Some("mariadb") }),
};

fn shape(service: &mut Service, account: &Account<'_>) {
    service.command(&[&["mariadbd"], &OPTIONS[..]].concat());
    service.env("MARIADB_ROOT_PASSWORD", account.password);
    service.env("MARIADB_ROOT_HOST", "localhost");
    service.env("MARIADB_USER", USER);
    service.env("MARIADB_DATABASE", &account.name);
}

/// As MySQL's.
fn client(name: &str) -> Vec<String> {
    let script = format!(r#"MYSQL_PWD="$MARIADB_PASSWORD" exec mariadb --skip-ssl --user={USER} --database={name}"#);
    ["sh", "-c", &script].map(str::to_owned).to_vec()
}

/// As MySQL's.
fn shell(name: &str) -> Vec<String> {
    let script =
        format!(r#"MYSQL_PWD="$MARIADB_PASSWORD" exec mariadb --skip-ssl --user={USER} --database={name} "$@""#);
    ["sh", "-c", &script, "mariadb"].map(str::to_owned).to_vec()
}

/// As MySQL's. Within the container nobody listens in, and the client would want the server's certificate.
fn probe(account: &Account<'_>) -> String {
    format!(
        r#"MYSQL_PWD="$MARIADB_PASSWORD" mariadb --skip-ssl -h 127.0.0.1 -u {USER} -e 'DO 1' {} 2>/dev/null"#,
        account.name
    )
}
