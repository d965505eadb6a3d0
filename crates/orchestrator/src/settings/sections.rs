//! From variables to settings, section by section. A section with a mistake is missing, and the others are still read, so that
//! all mistakes are told at once.

use std::net::{IpAddr, SocketAddr};
use std::num::NonZero;

use jiff::SignedDuration;
use preview_core::desired::{ForkPolicy, Policy};
use preview_core::ids::RepoName;
use preview_core::trust::ByTrust;
use preview_core::walls::Egress;
use secrecy::ExposeSecret;

use super::reader::{Reader, Variable};
use super::variables::*;
use super::{
    Capacity, Firewall, GitHub, Health, Http, Identity, Limits, Log, LogFormat, Network, Nginx, Paths, PreviewLogin,
    Previews, Reach, Router, Settings, Tls, Webhooks, paths, tls, values,
};
use crate::github::AppKey;

/// All settings; `None` where there is a mistake, which the reader knows.
pub(super) fn all(reader: &mut Reader<'_>) -> Option<Settings> {
    refuse_unsupported(reader);
    let github = github(reader);
    let webhooks = webhooks(reader);
    let policy = policy(reader);
    let router_port = reader.value(&ROUTER_PORT, values::port);
    let previews = previews(reader, router_port);
    let tls = tls::read(reader, previews.as_ref());
    let login = login(reader);
    let http = http(reader);
    let router = router(reader, router_port, previews.as_ref(), tls.as_ref());
    let paths = paths(reader);
    let cleanup_interval = reader.value(&CLEANUP_INTERVAL_MINUTES, values::duration(60.0));
    let capacity = capacity(reader);
    let limits = limits(reader);
    let health = health(reader);
    let docker_host = reader.value(&DOCKER_HOST, values::docker_host);
    let build_group = reader.option(&BUILD_CGROUP, values::absolute_path);
    let network = network(reader);
    let reach = reach(reader);
    let log = log(reader);
    Some(Settings {
        github: github?,
        webhooks: webhooks?,
        policy: policy?,
        previews: previews?,
        tls: tls?,
        login: login?,
        http: http?,
        router: router?,
        paths: paths?,
        cleanup_interval: cleanup_interval?,
        capacity: capacity?,
        limits: limits?,
        health: health?,
        docker_host: docker_host?,
        build_group: build_group?,
        network: network?,
        reach: reach?,
        log: log?,
    })
}

/// Refuses what only later versions can do: to ignore it would be to promise it.
fn refuse_unsupported(reader: &mut Reader<'_>) {
    for (name, what) in NOT_YET {
        let variable = Variable::optional(name, "", "").secret();
        if reader.text(&variable).is_some() {
            reader.mistake(&variable, format!("is not supported by this version yet ({what}): remove it"));
        }
    }
}

fn github(reader: &mut Reader<'_>) -> Option<GitHub> {
    let repositories = reader.value(&ALLOWED_REPOS, values::repositories);
    let identity = identity(reader, repositories.as_deref());
    let server = reader.value(&GITHUB_SERVER_URL, values::server_url);
    let api = reader.option(&GITHUB_API_URL, values::server_url);
    let (server, api) = (server?, api?);
    let on_github = server.host() == "github.com";
    let api = match api {
        Some(api) if on_github && api.host() != "api.github.com" => {
            reader.mistake(&GITHUB_API_URL, "is another server's: set GITHUB_SERVER_URL to that server too");
            return None;
        }
        Some(api) => api,
        None if on_github => values::base_url("https://api.github.com").ok()?,
        // Source: https://docs.github.com/en/enterprise-server/rest/quickstart (the API of GitHub Enterprise Server)
        None => values::base_url(&format!("{server}/api/v3")).ok()?,
    };
    Some(GitHub { identity: identity?, server, api, repositories: repositories? })
}

/// A token or an App, and not both: nobody could tell which of them counts.
fn identity(reader: &mut Reader<'_>, repositories: Option<&[RepoName]>) -> Option<Identity> {
    let token = reader.option(&GITHUB_TOKEN, values::bearer);
    let id = reader.option(&GITHUB_APP_ID, values::app_id);
    let key = reader.option(&GITHUB_APP_PRIVATE_KEY_FILE, values::app_key);
    match (token?, id?, key?) {
        (Some(token), None, None) => Some(Identity::Token(token)),
        (None, Some(id), Some(key)) => app(reader, id, key, repositories?),
        (Some(_), _, _) => {
            reader.mistake(&GITHUB_TOKEN, "is set beside a GitHub App: leave one of them out");
            None
        }
        (None, None, None) => {
            reader.mistake(&GITHUB_TOKEN, format!("is not set: {}", GITHUB_TOKEN.meaning));
            None
        }
        (None, Some(_), None) => {
            reader
                .mistake(&GITHUB_APP_PRIVATE_KEY_FILE, format!("is not set: {}", GITHUB_APP_PRIVATE_KEY_FILE.meaning));
            None
        }
        (None, None, Some(_)) => {
            reader.mistake(&GITHUB_APP_ID, format!("is not set: {}", GITHUB_APP_ID.meaning));
            None
        }
    }
}

/// An installation belongs to one account, and with it all repositories that it serves.
fn app(reader: &mut Reader<'_>, id: u64, key: AppKey, repositories: &[RepoName]) -> Option<Identity> {
    let (repository, others) = repositories.split_first()?;
    if let Some(other) = others.iter().find(|other| !other.owner().eq_ignore_ascii_case(repository.owner())) {
        let owners = format!("`{}` and `{}`", repository.owner(), other.owner());
        reader.mistake(
            &ALLOWED_REPOS,
            format!("has repositories of {owners}, but a GitHub App's installation is one owner's: use GITHUB_TOKEN"),
        );
        return None;
    }
    Some(Identity::App { id, key, repository: repository.clone() })
}

fn webhooks(reader: &mut Reader<'_>) -> Option<Webhooks> {
    let on = reader.value(&WEBHOOKS, values::one_of(&[("on", true), ("off", false)]));
    let secret = reader.option(&GITHUB_WEBHOOK_SECRET, values::strong_secret);
    let resync_interval = reader.value(&RESYNC_INTERVAL_SECONDS, values::duration(1.0));
    let (on, secret) = (on?, secret?);
    if on && secret.is_none() {
        reader.mistake(&GITHUB_WEBHOOK_SECRET, format!("is not set: {}", GITHUB_WEBHOOK_SECRET.meaning));
        return None;
    }
    Some(Webhooks { secret: secret.filter(|_| on), resync_interval: resync_interval? })
}

fn policy(reader: &mut Reader<'_>) -> Option<Policy> {
    let deploy_or_skip = || values::one_of(&[("deploy", true), ("skip", false)]);
    let forks =
        values::one_of(&[("deny", ForkPolicy::Deny), ("approve", ForkPolicy::Approve), ("allow", ForkPolicy::Allow)]);
    let forks = reader.value(&FORK_POLICY, forks);
    let drafts = reader.value(&DRAFTS, deploy_or_skip());
    let bots = reader.value(&BOTS, deploy_or_skip());
    let require_label = reader.option(&REQUIRE_LABEL, values::label);
    let ttl = reader.value(&CLEANUP_TTL_DAYS, values::duration(86_400.0));
    let ttl = SignedDuration::try_from(ttl?).ok()?;
    Some(Policy { forks: forks?, drafts: drafts?, bots: bots?, require_label: require_label?, ttl })
}

fn previews(reader: &mut Reader<'_>, router_port: Option<u16>) -> Option<Previews> {
    let base_url = reader.option(&PREVIEW_BASE_URL, values::origin);
    let domain = reader.option(&PREVIEW_DOMAIN, values::domain);
    let address = reader.option(&PUBLIC_ADDRESS, values::ip_address);
    let base_url = match base_url? {
        Some(url) => url,
        None => values::origin(&format!("http://localhost:{}", router_port.filter(|port| *port != 0).unwrap_or(8080)))
            .ok()?,
    };
    Some(Previews { base_url, domain: domain?, address: address? })
}

fn login(reader: &mut Reader<'_>) -> Option<Option<PreviewLogin>> {
    let wanted = reader.value(&PREVIEW_AUTH, values::one_of(&[("none", false), ("basic", true)]));
    let user = reader.value(&PREVIEW_AUTH_USER, values::user_name);
    let password = reader.option(&PREVIEW_AUTH_PASSWORD, values::strong_secret);
    let (wanted, user, password) = (wanted?, user?, password?);
    if password.is_some() && !wanted {
        reader.mistake(
            &PREVIEW_AUTH_PASSWORD,
            "is set, but PREVIEW_AUTH is `none`: set PREVIEW_AUTH=basic, or remove it",
        );
        return None;
    }
    Some(wanted.then_some(PreviewLogin { user, password }))
}

pub(super) fn http(reader: &mut Reader<'_>) -> Option<Http> {
    let host: Option<IpAddr> = reader.value(&ORCHESTRATOR_HOST, values::ip_address);
    let port = reader.value(&ORCHESTRATOR_PORT, values::port);
    let token = reader.option(&API_TOKEN, values::strong_secret);
    let read_token = reader.option(&API_READ_TOKEN, values::strong_secret);
    let behind_proxy = reader.value(&TRUSTED_PROXY, values::one_of(&[("none", false), ("loopback", true)]));
    let (token, read_token) = (token?, read_token?);
    if let (Some(full), Some(read)) = (&token, &read_token)
        && full.expose_secret() == read.expose_secret()
    {
        reader.mistake(&API_READ_TOKEN, "is the same as API_TOKEN, so it would open everything: expected another one");
    }
    Some(Http { listen: SocketAddr::new(host?, port?), token, read_token, behind_proxy: behind_proxy? })
}

fn router(
    reader: &mut Reader<'_>,
    port: Option<u16>,
    previews: Option<&Previews>,
    tls: Option<&Option<Tls>>,
) -> Option<Router> {
    let nginx = reader.value(&ROUTER, values::one_of(&[("builtin", false), ("nginx", true)]));
    let config_dir = reader.value(&NGINX_CONFIG_DIR, values::nginx_folder);
    let test_command = reader.value(&NGINX_TEST_COMMAND, values::command);
    let reload_command = reader.value(&NGINX_RELOAD_COMMAND, values::command);
    let probe_url = reader.option(&NGINX_PROBE_URL, values::base_url);
    if !nginx? {
        return Some(Router::Builtin { port: port? });
    }
    let usual_probe = match tls? {
        // Before its first certificate nothing answers under the base URL.
        Some(_) => values::base_url("http://127.0.0.1").ok(),
        None => previews.map(|previews| previews.base_url.clone()),
    };
    Some(Router::Nginx(Nginx {
        config_dir: config_dir?,
        test_command: test_command?,
        reload_command: reload_command?,
        probe_url: probe_url?.or(usual_probe)?,
    }))
}

pub(super) fn paths(reader: &mut Reader<'_>) -> Option<Paths> {
    let deployments = reader.value(&DEPLOYMENTS_DIR, values::absolute_path);
    let ledger = reader.value(&DEPLOYMENTS_DB, values::absolute_path);
    let logs = reader.value(&LOG_DIR, values::absolute_path);
    let key = reader.option(&SECRETS_KEY_FILE, values::absolute_path);
    let ledger = ledger?;
    let secrets_key = key?.unwrap_or_else(|| paths::secrets_key(&ledger));
    Some(Paths { deployments: deployments?, ledger, logs: logs?, secrets_key })
}

fn capacity(reader: &mut Reader<'_>) -> Option<Capacity> {
    let previews = reader.value(&MAX_CONCURRENT_PREVIEWS, values::count(1, 1000));
    let builds = reader.option(&MAX_CONCURRENT_BUILDS, values::count(1, 1000));
    let disk_budget = reader.option(&DISK_BUDGET_GB, values::gigabytes);
    let half_of_cores = || (cores() / 2).max(1);
    Some(Capacity { previews: previews?, builds: builds?.unwrap_or_else(half_of_cores), disk_budget: disk_budget? })
}

fn cores() -> usize {
    std::thread::available_parallelism().map_or(1, NonZero::get)
}

fn limits(reader: &mut Reader<'_>) -> Option<Limits> {
    let container_memory = reader.value(&CONTAINER_MEMORY_MB, values::megabytes);
    let container_cpus = reader.value(&CONTAINER_CPUS, values::fraction(1024.0));
    let container_disk = reader.value(&CONTAINER_DISK_MB, values::megabytes);
    let untrusted_memory = reader.option(&UNTRUSTED_MEMORY_MB, values::megabytes);
    let untrusted_cpus = reader.option(&UNTRUSTED_CPUS, values::fraction(1024.0));
    let untrusted_runtime = reader.option(&UNTRUSTED_RUNTIME, values::runtime);
    let build_memory = reader.value(&BUILD_MEMORY_MB, values::megabytes);
    let build_cpus = reader.option(&BUILD_CPUS, values::fraction(1024.0));
    let build_processes = reader.value(&BUILD_PROCESSES, values::count(16, 1 << 22));
    let build_timeout = reader.value(&BUILD_TIMEOUT_SECONDS, values::duration(1.0));
    let build_silence = reader.value(&BUILD_SILENCE_SECONDS, values::duration(1.0));
    let image_prefix = reader.option(&IMAGE_REGISTRY_PREFIX, values::image_prefix);
    let untrusted_registries = reader.value(&UNTRUSTED_REGISTRIES, values::registries);
    let (memory, cpus) = (container_memory?, container_cpus?);
    Some(Limits {
        container_memory: ByTrust { member: memory, stranger: untrusted_memory?.unwrap_or(memory / 2) },
        container_cpus: ByTrust { member: cpus, stranger: untrusted_cpus?.unwrap_or(cpus / 2.0) },
        container_disk: container_disk?,
        untrusted_runtime: untrusted_runtime?,
        build_memory: build_memory?,
        build_cpus: build_cpus?.unwrap_or_else(|| cores() as f64 * 0.75),
        build_processes: build_processes? as u64,
        build_timeout: build_timeout?,
        build_silence: build_silence?,
        image_prefix: image_prefix?.unwrap_or_default(),
        untrusted_registries: untrusted_registries?,
    })
}

fn health(reader: &mut Reader<'_>) -> Option<Health> {
    let timeout = reader.value(&HEALTH_TIMEOUT_SECONDS, values::duration(1.0));
    let interval = reader.value(&HEALTH_INTERVAL_SECONDS, values::duration(1.0));
    Some(Health { timeout: timeout?, interval: interval? })
}

fn network(reader: &mut Reader<'_>) -> Option<Network> {
    let app_ports = reader.value(&APP_PORT_START, values::port_pool);
    let db_ports = reader.value(&DB_PORT_START, values::port_pool);
    let subnet = reader.value(&PREVIEW_SUBNET, values::subnet);
    let ((first_app, app_ports), (first_db, db_ports)) = (app_ports?, db_ports?);
    if first_app.abs_diff(first_db) < 1000 {
        reader.mistake(
            &DB_PORT_START,
            format!("is `{first_db}`, and APP_PORT_START is `{first_app}`: expected them at least 1000 apart"),
        );
    }
    Some(Network { app_ports, db_ports, subnet: subnet? })
}

fn reach(reader: &mut Reader<'_>) -> Option<Reach> {
    let allow_or_deny = || values::one_of(&[("allow", Egress::Allow), ("deny", Egress::Deny)]);
    let whom = values::one_of(&[("all", Firewall::All), ("previews", Firewall::Previews), ("off", Firewall::Off)]);
    let firewall = reader.value(&FIREWALL, whom);
    let command = reader.option(&FIREWALL_COMMAND, values::command);
    let egress = reader.value(&EGRESS, allow_or_deny());
    let untrusted_egress = reader.option(&UNTRUSTED_EGRESS, allow_or_deny());
    let allow = reader.option(&EGRESS_ALLOW, values::allowed);
    let (firewall, member, stranger) = (firewall?, egress?, untrusted_egress?.unwrap_or(egress?));
    for (variable, egress) in [(&EGRESS, member), (&UNTRUSTED_EGRESS, stranger)] {
        if firewall == Firewall::Off && egress == Egress::Deny {
            reader.mistake(variable, "is `deny`, and FIREWALL is `off`: nothing would keep previews from the internet");
            return None;
        }
    }
    Some(Reach { firewall, command: command?, egress: ByTrust { member, stranger }, allow: allow?.unwrap_or_default() })
}

fn log(reader: &mut Reader<'_>) -> Option<Log> {
    use tracing::Level;
    let levels = values::one_of(&[
        ("error", Level::ERROR),
        ("warn", Level::WARN),
        ("info", Level::INFO),
        ("debug", Level::DEBUG),
        ("trace", Level::TRACE),
    ]);
    let level = reader.value(&LOG_LEVEL, levels);
    let format = reader.option(&LOG_FORMAT, values::one_of(&[("text", LogFormat::Text), ("json", LogFormat::Json)]));
    Some(Log { level: level?, format: format? })
}
