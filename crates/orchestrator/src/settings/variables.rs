//! Every variable that `preview serve` reads: name, default and meaning stand here once. Settings are read from it, and
//! `docs/CONFIGURATION.md` is written from it.

use preview_core::registries;

use super::reader::Variable;

/// A heading and the variables under it.
pub type Group = (&'static str, &'static [Variable]);

/// All variables, in the order of the documentation.
pub const GROUPS: &[Group] = &[
    (
        "GitHub",
        &[GITHUB_TOKEN, GITHUB_APP_ID, GITHUB_APP_PRIVATE_KEY_FILE, ALLOWED_REPOS, GITHUB_SERVER_URL, GITHUB_API_URL],
    ),
    ("Webhooks and polling", &[WEBHOOKS, GITHUB_WEBHOOK_SECRET, RESYNC_INTERVAL_SECONDS]),
    ("Which pull requests", &[FORK_POLICY, DRAFTS, BOTS, REQUIRE_LABEL]),
    ("Addresses of previews", &[PREVIEW_BASE_URL, PREVIEW_DOMAIN, PUBLIC_ADDRESS]),
    (
        "Certificates",
        &[
            TLS,
            ACME_DIRECTORY,
            ACME_EMAIL,
            ACME_CA_FILE,
            ACME_CHALLENGE,
            DIGITALOCEAN_TOKEN,
            DIGITALOCEAN_TOKEN_FILE,
            DIGITALOCEAN_API_URL,
        ],
    ),
    ("A login in front of previews", &[PREVIEW_AUTH, PREVIEW_AUTH_USER, PREVIEW_AUTH_PASSWORD]),
    ("The service's own API", &[ORCHESTRATOR_HOST, ORCHESTRATOR_PORT, API_TOKEN, API_READ_TOKEN, TRUSTED_PROXY]),
    (
        "Router",
        &[
            ROUTER,
            ROUTER_PORT,
            ROUTER_TLS_PORT,
            NGINX_CONFIG_DIR,
            NGINX_TEST_COMMAND,
            NGINX_RELOAD_COMMAND,
            NGINX_PROBE_URL,
        ],
    ),
    ("Folders and files", &[DEPLOYMENTS_DIR, DEPLOYMENTS_DB, LOG_DIR, SECRETS_KEY_FILE]),
    ("Clean-up", &[CLEANUP_TTL_DAYS, CLEANUP_INTERVAL_MINUTES]),
    ("Capacity", &[MAX_CONCURRENT_PREVIEWS, MAX_CONCURRENT_BUILDS, DISK_BUDGET_GB]),
    (
        "Limits of containers and builds",
        &[
            CONTAINER_MEMORY_MB,
            CONTAINER_CPUS,
            CONTAINER_DISK_MB,
            UNTRUSTED_MEMORY_MB,
            UNTRUSTED_CPUS,
            UNTRUSTED_RUNTIME,
            BUILD_MEMORY_MB,
            BUILD_CPUS,
            BUILD_PROCESSES,
            BUILD_TIMEOUT_SECONDS,
            BUILD_SILENCE_SECONDS,
            IMAGE_REGISTRY_PREFIX,
            UNTRUSTED_REGISTRIES,
        ],
    ),
    ("Health", &[HEALTH_TIMEOUT_SECONDS, HEALTH_INTERVAL_SECONDS]),
    ("Docker", &[DOCKER_HOST, BUILD_CGROUP]),
    ("Ports and networks", &[APP_PORT_START, DB_PORT_START, PREVIEW_SUBNET]),
    ("What previews may reach", &[FIREWALL, FIREWALL_COMMAND, EGRESS, UNTRUSTED_EGRESS, EGRESS_ALLOW]),
    ("Log", &[LOG_LEVEL, LOG_FORMAT]),
];

/// Variables of later versions. Setting one is refused, so that nobody believes in a protection that isn't there.
pub const NOT_YET: &[(&str, &str)] = &[("REGISTRY_CONFIG", "logins of private image registries")];

pub(super) const GITHUB_TOKEN: Variable = Variable::optional(
    "GITHUB_TOKEN",
    "**required**, unless a GitHub App is used",
    "The token for GitHub: may read contents, and write pull requests (comments) and commit statuses.",
)
.secret();
pub(super) const GITHUB_APP_ID: Variable = Variable::optional(
    "GITHUB_APP_ID",
    "none",
    "The number of a GitHub App that is used instead of `GITHUB_TOKEN`: installed on the repositories, with the same rights.",
);
pub(super) const GITHUB_APP_PRIVATE_KEY_FILE: Variable = Variable::optional(
    "GITHUB_APP_PRIVATE_KEY_FILE",
    "none",
    "The file with the App's private key, as GitHub hands it out, readable by the service's user alone.",
);
pub(super) const ALLOWED_REPOS: Variable = Variable::required(
    "ALLOWED_REPOS",
    "The repositories that get previews: `owner/name,owner/name`. Letter case is ignored.",
);
pub(super) const GITHUB_SERVER_URL: Variable = Variable::new(
    "GITHUB_SERVER_URL",
    "https://github.com",
    "Where repositories are fetched from; set it for GitHub Enterprise. `http` only on this machine or in a private network.",
);
pub(super) const GITHUB_API_URL: Variable = Variable::optional(
    "GITHUB_API_URL",
    "`https://api.github.com`; with another `GITHUB_SERVER_URL` that address and `/api/v3`",
    "GitHub's REST API.",
);

pub(super) const WEBHOOKS: Variable = Variable::new(
    "WEBHOOKS",
    "on",
    "`on`: GitHub announces changes at `/webhook/github`. `off`: polling alone, for a machine without a public address.",
);
pub(super) const GITHUB_WEBHOOK_SECRET: Variable = Variable::optional(
    "GITHUB_WEBHOOK_SECRET",
    "**required**, unless `WEBHOOKS=off`",
    "The secret that GitHub signs deliveries with: at least 16 random characters, for example from `openssl rand -hex 32`.",
)
.secret();
pub(super) const RESYNC_INTERVAL_SECONDS: Variable = Variable::new(
    "RESYNC_INTERVAL_SECONDS",
    "300",
    "Seconds between two looks at all open pull requests, which find what no webhook told.",
);

pub(super) const FORK_POLICY: Variable = Variable::new(
    "FORK_POLICY",
    "approve",
    "Pull requests from forks: `deny`, they get no preview; `approve`, each commit waits for a comment `/preview deploy SHA` of \
     somebody who may push to the repository; `allow`, whatever anybody sends runs.",
);
pub(super) const DRAFTS: Variable = Variable::new("DRAFTS", "deploy", "Drafts: `deploy` or `skip`.");
pub(super) const BOTS: Variable = Variable::new("BOTS", "skip", "Pull requests that bots opened: `deploy` or `skip`.");
pub(super) const REQUIRE_LABEL: Variable =
    Variable::optional("REQUIRE_LABEL", "no label is needed", "Only pull requests with this label get a preview.");

pub(super) const PREVIEW_BASE_URL: Variable = Variable::optional(
    "PREVIEW_BASE_URL",
    "`http://localhost:8080`; with another `ROUTER_PORT` that port",
    "What the URLs of previews begin with.",
)
.also("ORCHESTRATOR_PUBLIC_URL");
pub(super) const PREVIEW_DOMAIN: Variable = Variable::optional(
    "PREVIEW_DOMAIN",
    "previews are told apart by path alone",
    "Gives each preview a host of its own, `pr-12-my-org-my-app.PREVIEW_DOMAIN`; needs a wildcard DNS record.",
);
pub(super) const PUBLIC_ADDRESS: Variable = Variable::optional(
    "PUBLIC_ADDRESS",
    "that by which the machine itself reaches the internet",
    "The address to which DNS records have to lead, where visitors come by another one, such as a reserved address: `preview setup` \
     says it of a server that it makes.",
);

pub(super) const TLS: Variable = Variable::new(
    "TLS",
    "off",
    "`acme`: the service gets certificates by ACME and renews them, for the host of `PREVIEW_BASE_URL` (which then begins with \
     `https://`) and for hosts of previews; by setting it you agree to the authority's terms. `off`: plain HTTP, or a proxy of \
     yours in front that speaks TLS.",
);
pub(super) const ACME_DIRECTORY: Variable = Variable::new(
    "ACME_DIRECTORY",
    "https://acme-v02.api.letsencrypt.org/directory",
    "The ACME directory of the certificate authority; without another it is Let's Encrypt.",
);
pub(super) const ACME_EMAIL: Variable = Variable::optional(
    "ACME_EMAIL",
    "none is given",
    "The address that the authority may write to about its certificates.",
);
pub(super) const ACME_CA_FILE: Variable = Variable::optional(
    "ACME_CA_FILE",
    "the system's authorities are trusted",
    "A PEM file of authorities by which `ACME_DIRECTORY` itself is trusted as well: for an authority of your own.",
);
pub(super) const ACME_CHALLENGE: Variable = Variable::new(
    "ACME_CHALLENGE",
    "http-01",
    "How the authority is shown whose the names are. `http-01`: by an answer on port 80, a certificate for each known host. \
     `dns-01`: by a record that is made at DigitalOcean, one certificate for all names below `PREVIEW_DOMAIN`.",
);
pub(super) const DIGITALOCEAN_TOKEN: Variable = Variable::optional(
    "DIGITALOCEAN_TOKEN",
    "**required** for `dns-01`, unless it stands in a file",
    "A token of DigitalOcean's that may create, read and delete domain records, and nothing else.",
)
.secret();
pub(super) const DIGITALOCEAN_TOKEN_FILE: Variable = Variable::optional(
    "DIGITALOCEAN_TOKEN_FILE",
    "none",
    "The file with that token, readable by the service's user alone.",
);
pub(super) const DIGITALOCEAN_API_URL: Variable =
    Variable::new("DIGITALOCEAN_API_URL", "https://api.digitalocean.com", "DigitalOcean's API.");

pub(super) const PREVIEW_AUTH: Variable = Variable::new(
    "PREVIEW_AUTH",
    "none",
    "`basic`: visitors of every preview are asked for one user name and password, which the app never sees. `none`: everybody \
     who reaches the server sees them.",
);
pub(super) const PREVIEW_AUTH_USER: Variable =
    Variable::new("PREVIEW_AUTH_USER", "preview", "The user name: letters, digits, `.`, `_` and `-`.");
pub(super) const PREVIEW_AUTH_PASSWORD: Variable = Variable::optional(
    "PREVIEW_AUTH_PASSWORD",
    "made at the first start, in the file `preview-password` beside `DEPLOYMENTS_DB`",
    "The password: at least 16 random characters.",
)
.secret();

pub(super) const ORCHESTRATOR_HOST: Variable =
    Variable::new("ORCHESTRATOR_HOST", "127.0.0.1", "The IP address at which the service listens.");
pub(super) const ORCHESTRATOR_PORT: Variable =
    Variable::new("ORCHESTRATOR_PORT", "3000", "The port at which the service listens; 0 takes any free one.");
pub(super) const API_TOKEN: Variable = Variable::optional(
    "API_TOKEN",
    "made at the first start, in the file `api-token` beside `DEPLOYMENTS_DB`",
    "The bearer token of `/api`: at least 16 characters.",
)
.secret();
pub(super) const API_READ_TOKEN: Variable = Variable::optional(
    "API_READ_TOKEN",
    "there is none",
    "A second token that may look (`GET`) and change nothing, for dashboards and monitoring: at least 16 characters.",
)
.secret();
pub(super) const TRUSTED_PROXY: Variable = Variable::new(
    "TRUSTED_PROXY",
    "none",
    "Who may tell where requests come from: `none`, or `loopback` for a proxy on this machine that sets `X-Forwarded-For`. \
     Limits on requests without token or signature go by that address.",
);

pub(super) const ROUTER: Variable = Variable::new(
    "ROUTER",
    "builtin",
    "What sends visitors to previews: `builtin`, a proxy inside the service, or `nginx`, for servers.",
);
pub(super) const ROUTER_PORT: Variable =
    Variable::new("ROUTER_PORT", "8080", "The port of the built-in router; 0 takes any free one.");
pub(super) const ROUTER_TLS_PORT: Variable = Variable::new(
    "ROUTER_TLS_PORT",
    "443",
    "With `TLS=acme` the port at which either router speaks TLS; with the built-in one, 0 takes any free one.",
);
pub(super) const NGINX_CONFIG_DIR: Variable = Variable::new(
    "NGINX_CONFIG_DIR",
    "/etc/nginx/preview-configs",
    "The folder for one nginx file per preview; nginx includes it inside its `server` block. An absolute path without quotes, `$` \
     or `\\`.",
);
pub(super) const NGINX_TEST_COMMAND: Variable = Variable::new(
    "NGINX_TEST_COMMAND",
    "sudo nginx -t",
    "Tests nginx's configuration. Program and arguments, separated by spaces; no shell reads it.",
);
pub(super) const NGINX_RELOAD_COMMAND: Variable = Variable::new(
    "NGINX_RELOAD_COMMAND",
    "sudo nginx -s reload",
    "Makes nginx read its configuration again. Program and arguments, as above.",
);
pub(super) const NGINX_PROBE_URL: Variable = Variable::optional(
    "NGINX_PROBE_URL",
    "`PREVIEW_BASE_URL`; with `TLS=acme` `http://127.0.0.1`",
    "Where nginx is asked whether it has taken up the newest configuration.",
);

pub(super) const DEPLOYMENTS_DIR: Variable = Variable::new(
    "DEPLOYMENTS_DIR",
    "/opt/preview-deployments",
    "The folder for the files of deployments: checkouts, generated Compose files. An absolute path, as the next two.",
);
pub(super) const DEPLOYMENTS_DB: Variable = Variable::new(
    "DEPLOYMENTS_DB",
    "/opt/preview-deployer/deployments.json",
    "The ledger of all deployments. Its folder also keeps git mirrors and what the service makes for itself.",
);
pub(super) const LOG_DIR: Variable = Variable::new(
    "LOG_DIR",
    "/opt/preview-deployer/logs",
    "The folder for the logs of builds and of apps that ended, 10 MB at most for each; they go with their preview.",
);

pub(super) const SECRETS_KEY_FILE: Variable = Variable::optional(
    "SECRETS_KEY_FILE",
    "`secrets.key` beside `DEPLOYMENTS_DB`",
    "The key that `preview secret` encrypts with, made when it is first needed. Name another folder to keep it out of backups.",
);

pub(super) const CLEANUP_TTL_DAYS: Variable = Variable::new(
    "CLEANUP_TTL_DAYS",
    "7",
    "Days after which a preview is removed that nobody pushed to, kept or deployed again. Fractions are fine.",
);
pub(super) const CLEANUP_INTERVAL_MINUTES: Variable = Variable::new(
    "CLEANUP_INTERVAL_MINUTES",
    "60",
    "Minutes between two looks for previews that are too old. Fractions are fine.",
);

pub(super) const MAX_CONCURRENT_PREVIEWS: Variable = Variable::new(
    "MAX_CONCURRENT_PREVIEWS",
    "10",
    "How many previews may be up or building at once; more wait in a queue.",
);
pub(super) const MAX_CONCURRENT_BUILDS: Variable = Variable::optional(
    "MAX_CONCURRENT_BUILDS",
    "half of the processor cores, at least 1",
    "How many images may be built at once; one, where the engine can only hold all builds together within the limits below.",
);
pub(super) const DISK_BUDGET_GB: Variable = Variable::optional(
    "DISK_BUDGET_GB",
    "half of the disk",
    "GB of disk that previews, images, git mirrors and the build cache may take together; beyond it the oldest cache goes. \
     Fractions are fine.",
);

pub(super) const CONTAINER_MEMORY_MB: Variable = Variable::new(
    "CONTAINER_MEMORY_MB",
    "512",
    "MB of memory for each container; a repository may ask for less, not for more.",
);
pub(super) const CONTAINER_CPUS: Variable = Variable::new(
    "CONTAINER_CPUS",
    "0.5",
    "Processor cores for each container; a repository may ask for less, not for more. A start may use four times as much, \
     for 10 s at most.",
);
pub(super) const CONTAINER_DISK_MB: Variable = Variable::new(
    "CONTAINER_DISK_MB",
    "2048",
    "MB of disk that a container may fill: what it writes beside its image, and its volumes. One that takes more is stopped, and so is \
     one that makes more files than go with so much of the disk (the same share of its inodes, 10,000 at least).",
);
pub(super) const UNTRUSTED_MEMORY_MB: Variable = Variable::optional(
    "UNTRUSTED_MEMORY_MB",
    "half of `CONTAINER_MEMORY_MB`",
    "MB of memory for each container of a fork's pull request.",
);
pub(super) const UNTRUSTED_CPUS: Variable = Variable::optional(
    "UNTRUSTED_CPUS",
    "half of `CONTAINER_CPUS`",
    "Processor cores for each container of a fork's pull request.",
);
pub(super) const UNTRUSTED_RUNTIME: Variable = Variable::optional(
    "UNTRUSTED_RUNTIME",
    "the engine's own",
    "The container runtime for a fork's pull request, such as gVisor's `runsc`; the engine has to know it. Builds are run by \
     the engine's own in any case.",
);
pub(super) const BUILD_MEMORY_MB: Variable =
    Variable::new("BUILD_MEMORY_MB", "2048", "MB of memory for the building of one image.");
pub(super) const BUILD_CPUS: Variable = Variable::optional(
    "BUILD_CPUS",
    "three quarters of the processor cores",
    "Processor cores for the building of one image. Running previews come before builds in any case.",
);
pub(super) const BUILD_PROCESSES: Variable = Variable::new(
    "BUILD_PROCESSES",
    "2048",
    "How many processes and threads the building of one image may have at once.",
);
pub(super) const BUILD_TIMEOUT_SECONDS: Variable =
    Variable::new("BUILD_TIMEOUT_SECONDS", "1200", "Seconds after which a build is stopped.");
pub(super) const BUILD_SILENCE_SECONDS: Variable =
    Variable::new("BUILD_SILENCE_SECONDS", "300", "Seconds without a line of output after which a build is stopped.");
pub(super) const IMAGE_REGISTRY_PREFIX: Variable = Variable::optional(
    "IMAGE_REGISTRY_PREFIX",
    "images come from where their names say",
    "Written in front of the name of every base image: a mirror, or the registry of a network without internet.",
);
pub(super) const UNTRUSTED_REGISTRIES: Variable = Variable::new(
    "UNTRUSTED_REGISTRIES",
    registries::PUBLIC,
    "The registries that images of a fork's pull request may come from, beside that of `IMAGE_REGISTRY_PREFIX`. A registry tells the engine \
     where to ask further, which asks from the server itself: name only those whose answers you trust.",
);

pub(super) const HEALTH_TIMEOUT_SECONDS: Variable = Variable::new(
    "HEALTH_TIMEOUT_SECONDS",
    "60",
    "Seconds that an app gets to answer its health check; a repository may set its own.",
);
pub(super) const HEALTH_INTERVAL_SECONDS: Variable = Variable::new(
    "HEALTH_INTERVAL_SECONDS",
    "1",
    "Most seconds between two health checks while an app starts. Fractions are fine.",
);

pub(super) const DOCKER_HOST: Variable = Variable::new(
    "DOCKER_HOST",
    "unix:///var/run/docker.sock",
    "Where the Docker engine listens: a socket on this machine, since previews are reached on its loopback address.",
);

pub(super) const BUILD_CGROUP: Variable = Variable::optional(
    "BUILD_CGROUP",
    "where such an engine usually has it",
    "The control group that the engine's build steps run beneath, where the engine was started with `--cgroup-parent`. A name that ends with a colon is how the groups of single steps begin, which an engine with the `systemd` driver makes: `/system.slice/docker.service/my.slice:docker:`.",
);

pub(super) const APP_PORT_START: Variable = Variable::new(
    "APP_PORT_START",
    "8000",
    "First of the 1000 ports on 127.0.0.1 for apps. Ports that other settings name are left out.",
);
pub(super) const DB_PORT_START: Variable =
    Variable::new("DB_PORT_START", "9000", "First of the 1000 ports on 127.0.0.1 for databases.");
pub(super) const PREVIEW_SUBNET: Variable = Variable::new(
    "PREVIEW_SUBNET",
    "10.222.0.0/16",
    "Private IPv4 range that previews' networks are cut from; nothing else on the machine may use it.",
);

pub(super) const FIREWALL: Variable = Variable::new(
    "FIREWALL",
    "all",
    "What is kept from this machine's own services, cloud metadata and private networks, as far as the service may set \
     `iptables`: `all` is previews and Docker's default bridge, where builds run (and containers of others that were given \
     no network); `previews` leaves that bridge alone; `off` sets nothing.",
);
pub(super) const FIREWALL_COMMAND: Variable = Variable::optional(
    "FIREWALL_COMMAND",
    "the service runs `iptables` itself",
    "Sets that firewall in the service's place, where the service may not: does what `preview firewall set` does, with root's \
     rights and these settings. Program and arguments, separated by spaces; no shell reads it.",
);
pub(super) const EGRESS: Variable = Variable::new(
    "EGRESS",
    "allow",
    "Whether running previews may reach the internet: `allow` or `deny`. With `deny` the service only starts where it can \
     keep that.",
);
pub(super) const UNTRUSTED_EGRESS: Variable =
    Variable::optional("UNTRUSTED_EGRESS", "`EGRESS`", "The same for previews of forks' pull requests.");
pub(super) const EGRESS_ALLOW: Variable = Variable::optional(
    "EGRESS_ALLOW",
    "nothing",
    "What previews and builds may reach in any case: IPv4 addresses or ranges, each with a TCP or UDP port if wanted, \
     `10.0.0.5/32:5432,192.0.2.0/24`.",
);

pub(super) const LOG_LEVEL: Variable =
    Variable::new("LOG_LEVEL", "info", "`error`, `warn`, `info`, `debug` or `trace`.");
pub(super) const LOG_FORMAT: Variable =
    Variable::optional("LOG_FORMAT", "`text` on a terminal, else `json`", "`text` or `json`.");
