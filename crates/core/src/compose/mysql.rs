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
    shape: |service, account| NAMES.shape(service, account),
    probe: |account| NAMES.probe(account),
    client: Some(|name| NAMES.client(name)),
    shell: |name| NAMES.shell(name),
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
    defaults: &[],
    called: Some(Called { laravel: "mysql", jdbc: Some("mysql") }),
};

/// Caches for a small container, and no log for replicas. A commit may be lost when the host dies, but nothing is ever corrupted.
/// What begins with `loose` a server that doesn't know it leaves alone: MariaDB takes the same.
const OPTIONS: [&str; 9] = [
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

/// What the two are called apart.
pub(super) struct Names {
    /// The server's program.
    pub(super) server: &'static str,
    /// The client's, with what it has to be told.
    pub(super) client: &'static str,
    /// What the variables of the image begin with.
    pub(super) variables: &'static str,
}

const NAMES: Names = Names { server: "mysqld", client: "mysql", variables: "MYSQL" };

impl Names {
    /// The user may make further databases, as PostgreSQL's may: those whose names begin with that of its own. The image runs what lies
    /// in that folder once it has made the first; an engine gives a folder in memory the mode of the image's, so its owner is who writes there.
    pub(super) fn shape(&self, service: &mut Service, account: &Account<'_>) {
        const FURTHER: &str = "/docker-entrypoint-initdb.d/further.sql";
        let further = account.name.replace('_', r"\_");
        let script = format!(
            "printf '%s\\n' 'GRANT ALL ON `{further}\\_%`.* TO {USER};' >{FURTHER}; exec docker-entrypoint.sh \"$@\""
        );
        service.command(&[&["sh", "-c", &script, "sh", self.server], &OPTIONS[..]].concat());
        service.in_memory("/docker-entrypoint-initdb.d:size=1m,uid=999,gid=999");
        let mut env = |name: &str, value: &str| service.env(&format!("{}_{name}", self.variables), value);
        env("ROOT_PASSWORD", account.password);
        env("ROOT_HOST", "localhost");
        env("USER", USER);
        env("DATABASE", &account.name);
    }

    /// The client, with the password that its container has.
    fn opened(&self, before: &str) -> String {
        format!(r#"MYSQL_PWD="${}_PASSWORD" {before}{}"#, self.variables, self.client)
    }

    /// Reads statements.
    pub(super) fn client(&self, name: &str) -> Vec<String> {
        let script = format!("{} --user={USER} --database={name}", self.opened("exec "));
        ["sh", "-c", &script].map(str::to_owned).to_vec()
    }

    /// The same, for a person; `sh` hands on what stands behind.
    pub(super) fn shell(&self, name: &str) -> Vec<String> {
        let script = format!("{} --user={USER} --database={name} \"$@\"", self.opened("exec "));
        let program = self.client.split(' ').next().unwrap_or_default();
        ["sh", "-c", &script, program].map(str::to_owned).to_vec()
    }

    /// Comes in over TCP, as the app does: the server that the image starts for its own initialisation listens on the socket alone.
    pub(super) fn probe(&self, account: &Account<'_>) -> String {
        format!("{} -h 127.0.0.1 -u {USER} -e 'DO 1' {} 2>/dev/null", self.opened(""), account.name)
    }
}
