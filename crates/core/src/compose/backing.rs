//! Backing services: the database of an app, and those beside it.
//!
//! The one place that knows which there are. A new one is a name in [`crate::backing`], an image in [`crate::base_images`], a file with its
//! [`Recipe`] beside this one, and a line in [`recipe`]; the compiler asks for each.
//!
//! All of a deployment have the same user, password and name of their database. Each is told to the app by variables of its own
//! (`REDIS_URL`, `MYSQL_HOST`), so that two beside each other don't fight; the main database also by those that any app looks
//! for (`DATABASE_URL`, `DB_HOST`).

use crate::backing::{Backing, Database};
use crate::base_images::BaseImage;
use crate::ids::{DeploymentId, PrNumber};
use crate::repo_config::ContainerPort;

use super::model::{HealthCheck, Service};
use super::{DatabaseSpec, OWN, ServiceName, StackSpec, mariadb, mongodb, mysql, postgres, redis};

/// The user whose database it is.
pub(super) const USER: &str = "preview";

/// What one kind of backing service is.
pub(super) struct Recipe {
    pub(super) image: BaseImage,
    pub(super) port: ContainerPort,
    /// The image's own unprivileged user: with its data folder owned by that user it needs no capability at all.
    pub(super) user: &'static str,
    /// Where it keeps its data; `None`: it keeps none over a restart.
    pub(super) data: Option<&'static str>,
    /// Where its container has the password.
    pub(super) password: &'static str,
    /// Makes its container what it is beside that.
    pub(super) shape: fn(&mut Service, &Account<'_>),
    /// The shell command that succeeds once it serves; not yet while its image still sets it up.
    pub(super) probe: fn(&Account<'_>) -> String,
    /// The program in its container that reads statements for the database of this name, and ends at the first that fails.
    pub(super) client: Option<fn(name: &str) -> Vec<String>>,
    /// The program in its container by which a person looks into the database of this name; takes further arguments behind.
    pub(super) shell: fn(name: &str) -> Vec<String>,
    /// What its URL begins with.
    pub(super) scheme: &'static str,
    pub(super) url: fn(&Account<'_>, scheme: &str) -> String,
    pub(super) variables: Variables,
    /// What its drivers read beside that, where the app says nothing else itself.
    pub(super) defaults: &'static [(&'static str, &'static str)],
    /// What frameworks call a database that take no URL.
    pub(super) called: Option<Called>,
}

/// The names of the variables by which an app finds a service of this kind, whatever else it has.
pub(super) struct Variables {
    pub(super) url: &'static [&'static str],
    pub(super) host: &'static str,
    pub(super) port: &'static str,
    pub(super) user: Option<&'static str>,
    pub(super) password: &'static str,
    pub(super) name: Option<&'static str>,
}

/// What frameworks call a database.
pub(super) struct Called {
    /// Laravel's name of the connection.
    pub(super) laravel: &'static str,
    /// JDBC's name of the protocol, and R2DBC's.
    pub(super) jdbc: Option<&'static str>,
}

/// How one service of one deployment is reached and opened.
pub(super) struct Account<'a> {
    pub(super) host: String,
    pub(super) port: ContainerPort,
    /// The name of the database within it.
    pub(super) name: String,
    pub(super) password: &'a str,
    /// What its container may use.
    pub(super) memory_mb: u32,
}

/// A URL as those of most databases are.
pub(super) fn usual_url(account: &Account<'_>, scheme: &str) -> String {
    let Account { host, port, name, password, .. } = account;
    format!("{scheme}://{USER}:{password}@{host}:{port}/{name}")
}

/// A backing service in the stack.
pub(super) struct Backed {
    pub(super) name: ServiceName,
    pub(super) service: Service,
    /// Its volume's name within the project.
    pub(super) volume: Option<String>,
    /// The variables by which an app finds it.
    pub(super) env: Vec<(&'static str, String)>,
}

fn recipe(backing: Backing) -> &'static Recipe {
    match backing {
        Backing::Database(Database::Postgres) => &postgres::RECIPE,
        Backing::Database(Database::Mysql) => &mysql::RECIPE,
        Backing::Database(Database::MariaDb) => &mariadb::RECIPE,
        Backing::Database(Database::MongoDb) => &mongodb::RECIPE,
        Backing::Redis => &redis::RECIPE,
    }
}

/// The command that opens a shell of a deployment's backing service, within its container; further arguments may stand behind it. The
/// password is in the container's environment, and in no argument.
pub fn shell(backing: Backing, deployment: &DeploymentId) -> Vec<String> {
    (recipe(backing).shell)(&database_name(deployment.number()))
}

/// The variables in which containers of backing services have the password.
pub(super) fn password_variables() -> impl Iterator<Item = &'static str> {
    Backing::ALL.into_iter().map(|backing| recipe(backing).password)
}

/// The variables that any app looks for to find its main database, by which parts.
const OF_MAIN: [&str; 15] = [
    "DATABASE_URL",
    "DB_HOST",
    "DB_PORT",
    "DB_NAME",
    "DB_USER",
    "DB_PASSWORD",
    "DB_DATABASE",
    "DB_USERNAME",
    "DB_CONNECTION",
    "SPRING_DATASOURCE_URL",
    "SPRING_DATASOURCE_USERNAME",
    "SPRING_DATASOURCE_PASSWORD",
    "SPRING_R2DBC_URL",
    "SPRING_R2DBC_USERNAME",
    "SPRING_R2DBC_PASSWORD",
];

/// The names of all variables by which an app may find what is beside it.
pub(super) fn variables() -> impl Iterator<Item = &'static str> {
    let own = Backing::ALL.into_iter().flat_map(|backing| {
        let Variables { url, host, port, user, password, name } = &recipe(backing).variables;
        url.iter().copied().chain([*host, *port, *password]).chain(*user).chain(*name)
    });
    OF_MAIN.into_iter().chain(own)
}

/// The program that reads statements for a deployment's database, in the container of that.
pub(super) fn client(database: Database, number: PrNumber) -> Option<Vec<String>> {
    recipe(database.into()).client.map(|client| client(&database_name(number)))
}

/// The name of a deployment's database.
fn database_name(number: PrNumber) -> String {
    format!("pr_{number}")
}

/// What drivers of a deployment's services read, unless the app has an opinion of its own.
pub(super) fn defaults(spec: &StackSpec) -> impl Iterator<Item = (&'static str, &'static str)> {
    let main = spec.database.as_ref().map(|database| Backing::from(database.database));
    let all = main.into_iter().chain(spec.extras.iter().copied());
    all.flat_map(|backing| recipe(backing).defaults.iter().copied())
}

/// All backing services of a deployment, the main database first.
pub(super) fn all(spec: &StackSpec) -> Vec<Backed> {
    let Some(password) = spec.password.as_ref().map(|password| password.expose()) else { return Vec::new() };
    let main = spec.database.as_ref().map(|database| main(spec, database, password));
    main.into_iter().chain(spec.extras.iter().map(|extra| beside(spec, *extra, password))).collect()
}

/// The main database. It alone has a port on the host, for people who look into it.
fn main(spec: &StackSpec, database: &DatabaseSpec, password: &str) -> Backed {
    let kind = Backing::from(database.database);
    let recipe = recipe(kind);
    let account = account(spec, recipe, ServiceName::Database, password);
    let mut backed = backed(spec, recipe, ServiceName::Database, &account);
    backed.service.publish(database.host_port, recipe.port);
    backed.service.alias(kind.as_str());
    backed.mount(recipe, database_volume(database.database));
    backed.env.extend(main_env(recipe, database, &account));
    backed
}

fn beside(spec: &StackSpec, kind: Backing, password: &str) -> Backed {
    let (recipe, name) = (recipe(kind), ServiceName::Extra(kind));
    let account = account(spec, recipe, name, password);
    let mut backed = backed(spec, recipe, name, &account);
    backed.mount(recipe, extra_volume(kind));
    backed
}

fn account<'a>(spec: &StackSpec, recipe: &Recipe, name: ServiceName, password: &'a str) -> Account<'a> {
    Account {
        host: name.to_string(),
        port: recipe.port,
        name: database_name(spec.deployment.number()),
        password,
        memory_mb: spec.limits.memory_mb,
    }
}

fn backed(spec: &StackSpec, recipe: &Recipe, name: ServiceName, account: &Account<'_>) -> Backed {
    let mut service = Service::new(spec, name, spec.base_images.get(recipe.image));
    service.user(recipe.user);
    service.env(recipe.password, account.password);
    service.health(HealthCheck::by_probe(&(recipe.probe)(account)));
    (recipe.shape)(&mut service, account);
    Backed { name, service, volume: None, env: own_env(recipe, account) }
}

impl Backed {
    fn mount(&mut self, recipe: &Recipe, volume: String) {
        if let Some(folder) = recipe.data {
            self.service.mount(&volume, folder, false);
            self.volume = Some(volume);
        }
    }
}

fn own_env(recipe: &Recipe, account: &Account<'_>) -> Vec<(&'static str, String)> {
    let Variables { url, host, port, user, password, name } = &recipe.variables;
    let text = (recipe.url)(account, recipe.scheme);
    let urls = url.iter().map(|variable| (*variable, text.clone()));
    let parts =
        [(*host, account.host.clone()), (*port, account.port.to_string()), (*password, account.password.to_owned())];
    let user = user.map(|variable| (variable, USER.to_owned()));
    let name = name.map(|variable| (variable, account.name.clone()));
    urls.chain(parts).chain(user).chain(name).collect()
}

/// What any app looks for: the URL and its parts, as most call them, as Laravel and as Spring do.
fn main_env(recipe: &Recipe, database: &DatabaseSpec, account: &Account<'_>) -> Vec<(&'static str, String)> {
    let Account { host, port, name, password, .. } = account;
    let url = (recipe.url)(account, database.scheme.unwrap_or(recipe.scheme));
    let mut env = vec![
        ("DATABASE_URL", url),
        ("DB_HOST", host.clone()),
        ("DB_PORT", port.to_string()),
        ("DB_NAME", name.clone()),
        ("DB_USER", USER.to_owned()),
        ("DB_PASSWORD", (*password).to_owned()),
        ("DB_DATABASE", name.clone()),
        ("DB_USERNAME", USER.to_owned()),
    ];
    env.extend(recipe.called.as_ref().map(|called| ("DB_CONNECTION", called.laravel.to_owned())));
    if let Some(jdbc) = recipe.called.as_ref().and_then(|called| called.jdbc) {
        env.extend([
            ("SPRING_DATASOURCE_URL", format!("jdbc:{jdbc}://{host}:{port}/{name}")),
            ("SPRING_DATASOURCE_USERNAME", USER.to_owned()),
            ("SPRING_DATASOURCE_PASSWORD", (*password).to_owned()),
            ("SPRING_R2DBC_URL", format!("r2dbc:{jdbc}://{host}:{port}/{name}")),
            ("SPRING_R2DBC_USERNAME", USER.to_owned()),
            ("SPRING_R2DBC_PASSWORD", (*password).to_owned()),
        ]);
    }
    env
}

// --------------------------------------------------------------------------------------------------------------- volumes

/// The name of a main database's volume within its project. Another database gets another one: it couldn't read what it finds.
fn database_volume(database: Database) -> String {
    match database {
        // As it was called when there was no other.
        Database::Postgres => "db-data".to_owned(),
        other => format!("db-{other}-data"),
    }
}

fn extra_volume(extra: Backing) -> String {
    format!("{extra}-data")
}

/// Whose data a volume of a deployment holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum KeptBy {
    /// Its main database's, if it is this one.
    Database(Database),
    /// A backing service's beside that.
    Extra(Backing),
    /// That of a service of its repository's own Compose file.
    Own,
    /// Nobody that we know.
    Nobody,
}

/// Whose data a volume of a deployment holds, by its name in the engine.
pub fn kept_by(deployment: &DeploymentId, volume: &str) -> KeptBy {
    let Some(name) = volume.strip_prefix(&format!("{deployment}_")) else { return KeptBy::Nobody };
    if name.starts_with(OWN) {
        return KeptBy::Own;
    }
    let database = Database::ALL.into_iter().find(|database| database_volume(*database) == name);
    let extra = Backing::ALL.into_iter().find(|extra| extra_volume(*extra) == name);
    database.map(KeptBy::Database).or(extra.map(KeptBy::Extra)).unwrap_or(KeptBy::Nobody)
}
