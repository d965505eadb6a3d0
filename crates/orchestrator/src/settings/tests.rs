use std::fmt::Write as _;
use std::os::unix::fs::PermissionsExt;

use jiff::SignedDuration;
use preview_core::desired::ForkPolicy;
use secrecy::ExposeSecret;

use super::*;

const SECRET: &str = "5f0c1d2e3b4a59687706152433425160";
const TOKEN: &str = "ghp_9aZq3Lm0Xw7Rt2Vb5Ny8Kc1Jd4Hf6Gs";

fn least() -> Variables {
    with(&[("GITHUB_TOKEN", TOKEN), ("GITHUB_WEBHOOK_SECRET", SECRET), ("ALLOWED_REPOS", "my-org/app")])
}

fn with(pairs: &[(&str, &str)]) -> Variables {
    pairs.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect()
}

/// Reads what is needed at least, and these.
fn read(pairs: &[(&str, &str)]) -> Result<Settings, Mistakes> {
    let mut variables = least();
    variables.extend(with(pairs));
    Settings::read(&variables)
}

/// The only mistake of these, as people see it.
fn mistake(pairs: &[(&str, &str)]) -> String {
    let mistakes = read(pairs).expect_err("these should be refused").0;
    assert_eq!(mistakes.len(), 1, "{mistakes:?}");
    mistakes[0].to_string()
}

fn all_variables() -> impl Iterator<Item = &'static Variable> {
    GROUPS.iter().flat_map(|(_, group)| *group)
}

#[test]
fn defaults_are_those_of_the_documentation() {
    let settings = read(&[]).unwrap();
    assert_eq!(settings.github.server.as_str(), "https://github.com");
    assert_eq!(settings.github.api.as_str(), "https://api.github.com");
    assert_eq!(settings.previews.base_url.as_str(), "http://localhost:8080");
    assert_eq!(settings.http.listen.to_string(), "127.0.0.1:3000");
    assert_eq!(settings.router, Router::Builtin { port: 8080 });
    assert_eq!(settings.policy.ttl, SignedDuration::from_hours(7 * 24));
    assert!(settings.policy.drafts && !settings.policy.bots);
    assert_eq!(settings.policy.forks, ForkPolicy::Approve);
    assert_eq!(settings.cleanup_interval, Duration::from_secs(3600));
    assert_eq!(settings.limits.container_memory, ByTrust { member: 512 << 20, stranger: 256 << 20 });
    assert_eq!(settings.paths.mirrors().to_str(), Some("/opt/preview-deployer/mirrors"));
    assert!(settings.capacity.builds >= 1);
    assert_eq!(settings.capacity.disk_budget, None);
    assert_eq!(settings.docker_host, "unix:///var/run/docker.sock");
    let reserved: Vec<_> = settings.reserved_ports().into_iter().map(HostPort::get).collect();
    assert_eq!(reserved, [3000, 8080]);
}

#[test]
fn every_mistake_is_named_at_once() {
    let variables = with(&[
        ("GITHUB_WEBHOOK_SECRET", "changeme"),
        ("ALLOWED_REPOS", "not a repository"),
        ("CLEANUP_TTL_DAYS", "soon"),
        ("ORCHESTRATOR_PORT", "70000"),
        ("DEPLOYMENTS_DIR", "here"),
        ("EGRESS", "forbid"),
        ("FORK_POLICY", "ask"),
        ("APP_PORT_START", "8500"),
    ]);
    insta::assert_snapshot!(Settings::read(&variables).unwrap_err(), @r"
    9 settings are wrong:
      - ALLOWED_REPOS is `not a repository`: `not a repository` is not a valid repository: write it as owner/name
      - GITHUB_TOKEN is not set: The token for GitHub: may read contents, and write pull requests (comments) and commit statuses.
      - GITHUB_WEBHOOK_SECRET is not usable: it is too short: expected at least 16 random characters, for example from `openssl rand -hex 32`
      - FORK_POLICY is `ask`: expected `deny` or `approve` or `allow`
      - CLEANUP_TTL_DAYS is `soon`: expected a number above 0, at most 3650, with a point for fractions
      - ORCHESTRATOR_PORT is `70000`: expected a port from 0 to 65535
      - DEPLOYMENTS_DIR is `here`: expected an absolute path without `..`
      - DB_PORT_START is `9000`, and APP_PORT_START is `8500`: expected them at least 1000 apart
      - EGRESS is `forbid`: expected `allow` or `deny`
    ");
}

#[test]
fn every_documented_variable_is_read() {
    for variable in all_variables() {
        let refused = read(&[(variable.name, "\u{1}no such; value\u{1}"), ("ROUTER", "nginx")]);
        let refused = if variable.name == "ROUTER" { read(&[("ROUTER", "apache")]) } else { refused };
        let mistakes = refused.expect_err(variable.name).0;
        assert!(mistakes.iter().any(|mistake| mistake.variable == variable.name), "{} : {mistakes:?}", variable.name);
    }
    for (name, _) in NOT_YET {
        assert!(mistake(&[(name, "x")]).contains("not supported by this version yet"));
    }
}

#[test]
fn the_disk_s_budget_is_in_gb_and_may_be_a_fraction() {
    let budget = |text: &str| read(&[("DISK_BUDGET_GB", text)]).unwrap().capacity.disk_budget;
    assert_eq!((budget("40"), budget("0.5")), (Some(40_000_000_000), Some(500_000_000)));
    for wrong in ["0", "-1", "40 GB", "much"] {
        assert!(mistake(&[("DISK_BUDGET_GB", wrong)]).contains("expected a number above 0"));
    }
}

#[test]
fn strangers_get_half_unless_told_otherwise() {
    let limits = read(&[("CONTAINER_MEMORY_MB", "300"), ("CONTAINER_CPUS", "2")]).unwrap().limits;
    assert_eq!(limits.container_memory, ByTrust { member: 300 << 20, stranger: 150 << 20 });
    assert_eq!(limits.container_cpus, ByTrust { member: 2.0, stranger: 1.0 });
    let told = [("UNTRUSTED_MEMORY_MB", "128"), ("UNTRUSTED_CPUS", "0.1"), ("UNTRUSTED_RUNTIME", "runsc")];
    let limits = read(&told).unwrap().limits;
    assert_eq!((limits.container_memory.stranger, limits.container_cpus.stranger), (128 << 20, 0.1));
    assert_eq!(limits.untrusted_runtime.unwrap().to_string(), "runsc");
}

#[test]
fn strangers_reach_what_members_reach_unless_told_otherwise() {
    let reach = |pairs: &[(&str, &str)]| read(pairs).unwrap().reach;
    let plain = reach(&[]);
    assert_eq!((plain.firewall, plain.egress.stranger), (Firewall::All, Egress::Allow));
    assert_eq!(reach(&[("EGRESS", "deny")]).egress, ByTrust { member: Egress::Deny, stranger: Egress::Deny });
    let told = reach(&[("UNTRUSTED_EGRESS", "deny"), ("EGRESS_ALLOW", "10.0.0.5:5432, 192.0.2.0/24")]);
    assert_eq!(told.egress, ByTrust { member: Egress::Allow, stranger: Egress::Deny });
    assert_eq!(told.allow.len(), 2);
    let command = reach(&[("FIREWALL_COMMAND", "preview helper firewall")]).command;
    assert_eq!((plain.command, command.unwrap().to_string().as_str()), (None, "preview helper firewall"));
    let unkept = mistake(&[("FIREWALL", "off"), ("UNTRUSTED_EGRESS", "deny")]);
    assert!(unkept.contains("nothing would keep previews from the internet"), "{unkept}");
    assert!(mistake(&[("EGRESS_ALLOW", "10.0.0.5/8")]).contains("10.0.0.0/8"));
}

#[test]
fn certificates_are_for_names() {
    let acme = [("TLS", "acme"), ("PREVIEW_BASE_URL", "https://previews.example.org")];
    let read = |more: &[(&str, &str)]| read(&[&acme, more].concat());
    let mistake = |more: &[(&str, &str)]| read(more).unwrap_err().to_string();
    let settings = read(&[]).unwrap();
    let tls = settings.tls.as_ref().unwrap();
    assert_eq!(tls.directory.as_str(), "https://acme-v02.api.letsencrypt.org/directory");
    assert!(matches!(tls.challenge, Challenge::Http) && tls.port == 443);
    assert!(settings.reserved_ports().contains(&HostPort::new(443).unwrap()));
    for url in ["http://previews.example.org", "https://203.0.113.7", "https://[2001:db8::1]", "https://localhost"] {
        assert!(mistake(&[("PREVIEW_BASE_URL", url)]).contains("TLS is `acme`"), "{url}");
    }
    assert!(mistake(&[("ROUTER_TLS_PORT", "8080")]).contains("a port of its own"));
    assert!(mistake(&[("ROUTER", "nginx"), ("ROUTER_TLS_PORT", "0")]).contains("a port that nginx listens on"));
    let nginx = read(&[("ROUTER", "nginx")]).unwrap();
    assert!(matches!(nginx.router, Router::Nginx(nginx) if nginx.probe_url.as_str() == "http://127.0.0.1"));
    let reserved = read(&[("PUBLIC_ADDRESS", "203.0.113.8")]).unwrap();
    assert_eq!((reserved.tls.unwrap().address, tls.address), (reserved.previews.address, None));
    assert_eq!(reserved.previews.address, Some("203.0.113.8".parse().unwrap()));
    for wrong in ["me", "me@", "@example.org", "a@b@example.org", "me@example.org?subject=x"] {
        assert!(mistake(&[("ACME_EMAIL", wrong)]).contains("an email address"), "{wrong}");
    }
}

#[test]
fn a_zone_needs_a_token_that_stands_somewhere_private() {
    let acme = [("TLS", "acme"), ("PREVIEW_BASE_URL", "https://previews.example.org"), ("ACME_CHALLENGE", "dns-01")];
    let read = |more: &[(&str, &str)]| read(&[&acme, more].concat());
    assert!(read(&[]).unwrap_err().to_string().contains("DIGITALOCEAN_TOKEN is not set"));
    let token = |settings: Settings| match settings.tls.unwrap().challenge {
        Challenge::Dns(zones) => zones.token.expose_secret().to_owned(),
        Challenge::Http => panic!("not by a record"),
    };
    assert_eq!(token(read(&[("DIGITALOCEAN_TOKEN", "dop_v1_7c4a1e9b")]).unwrap()), "dop_v1_7c4a1e9b");
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("token");
    std::fs::write(&file, "dop_v1_5d2f8a6c\n").unwrap();
    let path = file.to_str().unwrap();
    let mode = |mode| std::fs::set_permissions(&file, std::fs::Permissions::from_mode(mode)).unwrap();
    mode(0o644);
    assert!(read(&[("DIGITALOCEAN_TOKEN_FILE", path)]).unwrap_err().to_string().contains("chmod 600"));
    mode(0o600);
    assert_eq!(token(read(&[("DIGITALOCEAN_TOKEN_FILE", path)]).unwrap()), "dop_v1_5d2f8a6c");
}

#[test]
fn what_is_set_to_nothing_is_not_set() {
    assert_eq!(read(&[("ROUTER_PORT", "  "), ("REQUIRE_LABEL", "")]).unwrap().router, Router::Builtin { port: 8080 });
    let mut variables = least();
    variables.insert("GITHUB_TOKEN".into(), " ".into());
    assert!(Settings::read(&variables).unwrap_err().to_string().contains("GITHUB_TOKEN is not set"));
}

#[test]
fn secrets_that_somebody_could_guess_are_refused() {
    for weak in [
        "tiny",
        "your-webhook-secret",
        "changemechangeme",
        "supersecretsecret",
        "your_webhook_secret_here",
        "aaaaaaaaaaaaaaaaaaaaaaaa",
        "abababababababababab",
        "0123456789abcdef",
        "12345678901234567890",
        "github-webhook-secret",
        "my-super-secret-token-123",
        "xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx",
    ] {
        for name in ["GITHUB_WEBHOOK_SECRET", "API_TOKEN"] {
            let text = mistake(&[(name, weak)]);
            assert!(text.contains("random characters") && !text.contains(weak), "{text}");
        }
    }
    assert!(mistake(&[("GITHUB_TOKEN", "ghp_xxxxxxxxxxxxxxxxxxxx")]).contains("placeholder"));
    assert!(mistake(&[("GITHUB_TOKEN", "two words")]).contains("without spaces"));
}

#[test]
fn a_token_or_an_app_signs_in_and_not_both() {
    let dir = tempfile::tempdir().unwrap();
    let key = dir.path().join("app.pem");
    let file = key.to_str().unwrap();
    std::fs::write(&key, preview_simulator::APP_KEY).unwrap();
    let app = |change: &[(&str, &str)]| {
        let mut variables = least();
        variables.remove("GITHUB_TOKEN");
        variables.extend(with(&[("GITHUB_APP_ID", "4711"), ("GITHUB_APP_PRIVATE_KEY_FILE", file)]));
        variables.extend(change.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())));
        Settings::read(&variables)
    };
    let wrong = |change: &[(&str, &str)]| app(change).unwrap_err().to_string();
    std::fs::set_permissions(&key, std::fs::Permissions::from_mode(0o644)).unwrap();
    assert!(wrong(&[]).contains("others than its owner may read it"), "{}", wrong(&[]));
    std::fs::set_permissions(&key, std::fs::Permissions::from_mode(0o600)).unwrap();
    let Identity::App { id, repository, .. } = app(&[]).unwrap().github.identity else { panic!("no App") };
    assert_eq!((id, repository.to_string()), (4711, "my-org/app".to_owned()));

    assert!(wrong(&[("GITHUB_TOKEN", TOKEN)]).contains("GITHUB_TOKEN is set beside a GitHub App"));
    assert!(wrong(&[("GITHUB_APP_ID", " ")]).contains("GITHUB_APP_ID is not set"));
    assert!(wrong(&[("GITHUB_APP_ID", "previews")]).contains("expected a whole number"));
    assert!(wrong(&[("GITHUB_APP_PRIVATE_KEY_FILE", " ")]).contains("GITHUB_APP_PRIVATE_KEY_FILE is not set"));
    assert!(wrong(&[("GITHUB_APP_PRIVATE_KEY_FILE", "/nowhere")]).contains("can't be read"));
    let owners = wrong(&[("ALLOWED_REPOS", "my-org/app,My-Org/api,others/app")]);
    assert!(owners.contains("`my-org` and `others`"), "{owners}");
    std::fs::write(&key, "no key").unwrap();
    assert!(wrong(&[]).contains("no RSA private key"));
}

#[test]
fn no_secret_is_ever_printed() {
    let settings = read(&[("API_TOKEN", "canary-Qw8vT2mZ5xK1")]).unwrap();
    let shown = format!("{settings:?}");
    assert!(!shown.contains("canary") && !shown.contains(SECRET) && !shown.contains(TOKEN));
    let refused = read(&[
        ("GITHUB_TOKEN", "canary token"),
        ("API_TOKEN", "canary"),
        ("GITHUB_API_URL", "https://me:canary@ghe.example.com"),
        ("REGISTRY_CONFIG", "canary"),
    ]);
    assert!(!refused.unwrap_err().to_string().contains("canary"));
}

#[test]
fn without_webhooks_no_secret_is_needed() {
    let mut variables = least();
    variables.remove("GITHUB_WEBHOOK_SECRET");
    assert!(Settings::read(&variables).unwrap_err().to_string().contains("GITHUB_WEBHOOK_SECRET is not set"));
    variables.insert("WEBHOOKS".into(), "off".into());
    assert!(Settings::read(&variables).unwrap().webhooks.secret.is_none());
}

#[test]
fn days_and_minutes_may_be_fractions() {
    let settings = read(&[("CLEANUP_TTL_DAYS", "0.0001"), ("CLEANUP_INTERVAL_MINUTES", "0.05")]).unwrap();
    assert_eq!(settings.policy.ttl, SignedDuration::from_millis(8640));
    assert_eq!(settings.cleanup_interval, Duration::from_secs(3));
    for bad in ["0", "-1", "NaN", "inf", "1e99", "1,5", "7 days"] {
        assert!(mistake(&[("CLEANUP_TTL_DAYS", bad)]).contains("a number above 0"), "{bad}");
    }
}

#[test]
fn repositories_are_kept_once_whatever_their_letter_case() {
    let settings = read(&[("ALLOWED_REPOS", " My-Org/App, my-org/app,my/other ,")]).unwrap();
    let names: Vec<_> = settings.github.repositories.iter().map(ToString::to_string).collect();
    assert_eq!(names, ["My-Org/App", "my/other"]);
    assert!(mistake(&[("ALLOWED_REPOS", ",")]).contains("owner/name"));
}

#[test]
fn the_token_goes_to_one_server_and_never_unencrypted_into_the_world() {
    let enterprise = read(&[("GITHUB_SERVER_URL", "https://ghe.example.com/")]).unwrap().github;
    assert_eq!(
        (enterprise.server.as_str(), enterprise.api.as_str()),
        ("https://ghe.example.com", "https://ghe.example.com/api/v3")
    );
    let simulator = [("GITHUB_SERVER_URL", "http://127.0.0.1:4000"), ("GITHUB_API_URL", "http://127.0.0.1:4000/api")];
    assert_eq!(read(&simulator).unwrap().github.api.as_str(), "http://127.0.0.1:4000/api");
    assert!(mistake(&[("GITHUB_API_URL", "https://ghe.example.com/api/v3")]).contains("set GITHUB_SERVER_URL"));
    for bad in [
        "http://ghe.example.com",
        "ftp://ghe.example.com",
        "ghe.example.com",
        "https://",
        "https://u:p@h",
        "https://h?q",
    ] {
        assert!(mistake(&[("GITHUB_SERVER_URL", bad)]).contains("expected"), "{bad}");
    }
}

#[test]
fn an_older_name_is_read_but_may_not_contradict() {
    let url = |pairs: &[_]| read(pairs).map(|settings| settings.previews.base_url.to_string());
    assert_eq!(url(&[("ORCHESTRATOR_PUBLIC_URL", "http://1.2.3.4/")]).unwrap(), "http://1.2.3.4");
    let same = [("ORCHESTRATOR_PUBLIC_URL", "http://1.2.3.4"), ("PREVIEW_BASE_URL", "http://1.2.3.4")];
    assert_eq!(url(&same).unwrap(), "http://1.2.3.4");
    let text = mistake(&[("ORCHESTRATOR_PUBLIC_URL", "http://1.2.3.4"), ("PREVIEW_BASE_URL", "http://5.6.7.8")]);
    assert!(text.contains("are both set and differ"), "{text}");
}

#[test]
fn ports_leave_room_for_each_other() {
    let pools = |app: &str, db: &str| read(&[("APP_PORT_START", app), ("DB_PORT_START", db)]).is_ok();
    assert!(pools("8000", "9000") && pools("9000", "8000") && pools("64536", "1024"));
    assert!(!pools("8000", "8999") && !pools("64537", "9000") && !pools("80", "9000") && !pools("8000", "8000"));
    assert!(mistake(&[("ROUTER_PORT", "3000")]).contains("two different ports"));
    assert!(read(&[("ROUTER_PORT", "0"), ("ORCHESTRATOR_PORT", "0")]).is_ok());
    let settings = read(&[
        ("ROUTER", "nginx"),
        ("NGINX_PROBE_URL", "http://127.0.0.1:8081"),
        ("PREVIEW_BASE_URL", "http://x.org"),
    ]);
    let reserved: Vec<_> = settings.unwrap().reserved_ports().into_iter().map(HostPort::get).collect();
    assert_eq!(reserved, [3000, 8081]);
}

#[test]
fn values_with_a_form_of_their_own() {
    let cases: &[(&str, &[&str], &[&str])] = &[
        ("PREVIEW_SUBNET", &["10.0.0.0/8", "192.168.4.0/24"], &["10.222.0.1/16", "10.0.0.0/28", "8.8.0.0/16", "10/8"]),
        (
            "PREVIEW_DOMAIN",
            &["Previews.Example.com", "localhost"],
            &["*.x.org", "http://x.org", "x..org", "1.2.3.4", "-x.org"],
        ),
        ("PREVIEW_BASE_URL", &["https://x.org", "http://[::1]:80/"], &["x.org", "http://x.org/path", "http://x.org:0"]),
        ("PUBLIC_ADDRESS", &["203.0.113.8", "2001:db8::8"], &["previews.example.com", "203.0.113.8:80"]),
        ("NGINX_RELOAD_COMMAND", &["systemctl reload nginx"], &["nginx; id", "sh -c 'x'", "$(id)"]),
        ("IMAGE_REGISTRY_PREFIX", &["registry.local:5000", "r.example.com/mirror/"], &["https://r", "r/../x", "r/A b"]),
        ("UNTRUSTED_REGISTRIES", &["ghcr.io, r.example.com:5000"], &["https://ghcr.io", "ghcr.io/my-org", "*.io"]),
        ("NGINX_CONFIG_DIR", &["/etc/nginx/a b"], &["/etc/$x", "/a\"b", "/a'b", "/a\\b", "/a\nb", "relative"]),
        ("PREVIEW_AUTH_USER", &["qa", "a.b_c-1"], &["a b", "a:b", "é"]),
        ("PREVIEW_AUTH", &["basic", "none"], &["digest"]),
        ("TRUSTED_PROXY", &["loopback", "none"], &["all"]),
        ("ORCHESTRATOR_HOST", &["0.0.0.0", "localhost", "::1"], &["example.com", "1.2.3"]),
        ("DEPLOYMENTS_DIR", &["/srv/a b"], &["relative", "/a/../b", "/"]),
        ("CONTAINER_CPUS", &["0.25", "4"], &["0", "-1", "x"]),
        ("CONTAINER_MEMORY_MB", &["64"], &["6", "1.5", "512MB"]),
        ("MAX_CONCURRENT_PREVIEWS", &["1"], &["0", "-1", "1001", "ten"]),
        ("LOG_LEVEL", &["DEBUG"], &["loud"]),
    ];
    for (name, good, bad) in cases {
        for value in *good {
            read(&[(name, value)]).unwrap_or_else(|error| panic!("{name}={value}: {error}"));
        }
        for value in *bad {
            assert!(mistake(&[(name, value)]).contains("expected"), "{name}={value}");
        }
    }
}

#[test]
fn a_login_is_asked_for_only_when_it_is_wanted() {
    assert!(read(&[]).unwrap().login.is_none());
    let login = read(&[("PREVIEW_AUTH", "basic")]).unwrap().login.unwrap();
    assert_eq!((login.user.as_str(), login.password.is_none()), ("preview", true));
    let login = read(&[("PREVIEW_AUTH", "basic"), ("PREVIEW_AUTH_PASSWORD", SECRET)]).unwrap().login.unwrap();
    assert!(login.password.is_some());
    assert!(mistake(&[("PREVIEW_AUTH_PASSWORD", SECRET)]).contains("PREVIEW_AUTH=basic"), "no password for nothing");
    let weak = mistake(&[("PREVIEW_AUTH", "basic"), ("PREVIEW_AUTH_PASSWORD", "hunter2")]);
    assert!(weak.contains("too short") && !weak.contains("hunter2"), "{weak}");
}

#[test]
fn a_token_for_looking_is_another_one() {
    let http = read(&[("API_TOKEN", SECRET), ("API_READ_TOKEN", TOKEN)]).unwrap().http;
    assert!(http.token.is_some() && http.read_token.is_some() && !http.behind_proxy);
    let same = mistake(&[("API_TOKEN", SECRET), ("API_READ_TOKEN", SECRET)]);
    assert!(same.contains("another one") && !same.contains(SECRET), "{same}");
}

#[test]
fn a_misspelt_name_is_noticed() {
    let variables = with(&[
        ("ALOWED_REPOS", "x"),
        ("CLEANUP_TTL_DAY", "1"),
        ("PATH", "/bin"),
        ("GITHUB_REF", "x"),
        ("ROUTER", "x"),
    ]);
    let warnings = look_alikes(&variables);
    assert_eq!(warnings.len(), 2, "{warnings:?}");
    assert_eq!(warnings[0], "ALOWED_REPOS is no setting: did you mean ALLOWED_REPOS?");
}

#[test]
fn a_file_fills_in_what_the_environment_leaves_out_and_its_text_is_never_repeated() {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join(".env");
    assert!(!environment(&file).unwrap().contains_key("ONLY_IN_THE_FILE"));
    std::fs::write(&file, "ONLY_IN_THE_FILE='a b'\nPATH=/nowhere\n").unwrap();
    let variables = environment(&file).unwrap();
    assert_eq!(variables["ONLY_IN_THE_FILE"], "a b");
    assert_ne!(variables["PATH"], "/nowhere");
    std::fs::write(&file, "A=1\nGITHUB_TOKEN 'canary\n").unwrap();
    let error = environment(&file).unwrap_err().to_string();
    assert!(error.ends_with("has a line that is not NAME=value, after A") && !error.contains("canary"), "{error}");
}

#[test]
fn folders_are_made_and_tried() {
    let dir = tempfile::tempdir().unwrap();
    let at = |name: &str| dir.path().join(name);
    let paths = Paths {
        deployments: at("x/deployments"),
        ledger: at("state/ledger.json"),
        logs: at("logs"),
        secrets_key: at("key"),
    };
    check_paths(&paths).unwrap();
    assert!(paths.deployments.is_dir() && paths.state().is_dir() && !paths.ledger.exists());
    std::fs::write(at("file"), "").unwrap();
    let paths = Paths { deployments: at("file/deployments"), ledger: at("file/ledger.json"), ..paths };
    let named: Vec<_> = check_paths(&paths).unwrap_err().0.into_iter().map(|mistake| mistake.variable).collect();
    assert_eq!(named, ["DEPLOYMENTS_DIR", "DEPLOYMENTS_DB"]);
}

/// The tables of `docs/CONFIGURATION.md`.
fn documentation() -> String {
    let mut text = String::new();
    for (heading, group) in GROUPS {
        let _ = write!(text, "### {heading}\n\n| Variable | Default | Meaning |\n| --- | --- | --- |\n");
        for variable in *group {
            let fallback = match variable.fallback {
                Fallback::Required => "**required**".to_owned(),
                Fallback::Text(default) => format!("`{default}`"),
                Fallback::Described(words) => words.to_owned(),
            };
            let also =
                variable.also.map(|name| format!(" Also read under its older name, `{name}`.")).unwrap_or_default();
            let _ = writeln!(text, "| `{}` | {fallback} | {}{also} |", variable.name, variable.meaning);
        }
        text.push('\n');
    }
    text.push_str("### Not yet\n\nThese belong to later versions. Setting one stops the start, so that nobody relies on what isn't there.\n\n");
    for (name, what) in NOT_YET {
        let _ = writeln!(text, "- `{name}`: {what}");
    }
    text
}

#[test]
fn the_documentation_says_what_the_program_does() {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../../docs/CONFIGURATION.md");
    let (begin, end) = ("<!-- settings: begin -->\n", "<!-- settings: end -->");
    let page = std::fs::read_to_string(path).unwrap();
    let (before, rest) = page.split_once(begin).expect("the mark of the beginning");
    let (_, after) = rest.split_once(end).expect("the mark of the end");
    let current = format!("{before}{begin}\n{}\n{end}{after}", documentation());
    if std::env::var_os("UPDATE_DOCS").is_some() {
        std::fs::write(path, &current).unwrap();
    }
    assert!(
        std::fs::read_to_string(path).unwrap() == current,
        "docs/CONFIGURATION.md is not what the settings say: run UPDATE_DOCS=1 cargo test -p preview-orchestrator settings"
    );
}
