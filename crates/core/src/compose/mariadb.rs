//! MariaDB: MySQL's options, under names of its own.

use crate::base_images::BaseImage;
use crate::repo_config::ContainerPort;

use super::backing::{Called, Recipe, Variables, usual_url};
use super::mysql::Names;

pub(super) const RECIPE: Recipe = Recipe {
    image: BaseImage::MariaDb,
    port: ContainerPort::new(3306).unwrap(),
    user: "999:999",
    data: Some("/var/lib/mysql"),
    password: "MARIADB_PASSWORD",
    shape: |service, account| NAMES.shape(service, account),
    probe: |account| NAMES.probe(account),
    client: Some(|name| NAMES.client(name)),
    shell: |name| NAMES.shell(name),
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
    defaults: &[],
    called: Some(Called { laravel: "mariadb", jdbc: Some("mariadb") }),
};

/// Within its container nobody listens in, and the client would want the server's certificate.
const NAMES: Names = Names { server: "mariadbd", client: "mariadb --skip-ssl", variables: "MARIADB" };
