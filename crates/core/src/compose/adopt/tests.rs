//! Files that mean harm and files that mean well; bombs; properties.

use std::time::{Duration, Instant};

use proptest::prelude::*;

use crate::compose::own::Command;
use crate::framework::MemoryFiles;

use super::*;
use hostile::{Hostile, hostile};

mod hostile;

/// What Compose gets to see of a file, all of it built.
fn emitted(stack: &OwnStack) -> String {
    crate::compose::tests::with_own(stack.clone()).to_yaml()
}

/// The keys of an object, and nothing beside them.
fn only_keys(value: &serde_json::Value, allowed: &[&str]) {
    for key in value.as_object().into_iter().flatten().map(|(key, _)| key) {
        assert!(allowed.contains(&key.as_str()), "{key} in {value}");
    }
}

/// Whatever a repository's own file says, ours holds these words and no others.
fn only_our_words(stack: &OwnStack) {
    const SERVICE: [&str; 28] = [
        "cap_drop",
        "command",
        "cpus",
        "depends_on",
        "entrypoint",
        "environment",
        "healthcheck",
        "image",
        "init",
        "ipc",
        "labels",
        "logging",
        "mem_limit",
        "memswap_limit",
        "networks",
        "pids_limit",
        "ports",
        "pull_policy",
        "read_only",
        "restart",
        "runtime",
        "security_opt",
        "stop_grace_period",
        "stop_signal",
        "tmpfs",
        "user",
        "volumes",
        "working_dir",
    ];
    let file: serde_json::Value = serde_saphyr::from_str(&emitted(stack)).unwrap();
    only_keys(&file, &["name", "services", "networks", "volumes"]);
    for (_, volume) in file["volumes"].as_object().into_iter().flatten() {
        only_keys(volume, &["labels"]);
    }
    assert_eq!(file["networks"].as_object().unwrap().len(), 1);
    for (name, service) in file["services"].as_object().unwrap() {
        assert!(name.starts_with("app-") || name.starts_with("own-"), "{name}");
        only_keys(service, &SERVICE);
        assert_eq!(service["cap_drop"], serde_json::json!(["ALL"]));
        assert_eq!(service["security_opt"], serde_json::json!(["no-new-privileges:true"]));
        assert_eq!((&service["ipc"], &service["restart"]), (&"private".into(), &"unless-stopped".into()));
        assert!(
            service["ports"]
                .as_array()
                .into_iter()
                .flatten()
                .all(|port| port.as_str().unwrap().starts_with("127.0.0.1:8000:"))
        );
        for mount in service["volumes"].as_array().into_iter().flatten() {
            only_keys(mount, &["type", "source", "target", "read_only"]);
            assert!(mount["type"] == "volume" && mount["source"].as_str().unwrap().starts_with("own-"), "{mount}");
        }
    }
}

#[test]
fn hostile_files_are_refused_by_key_or_harmless() {
    let files = hostile();
    assert!(files.len() >= 80, "{}", files.len());
    for Hostile { text, refused, .. } in files {
        let begun = Instant::now();
        let outcome = adopt(&text);
        assert!(begun.elapsed() < Duration::from_secs(1), "{text}");
        match (refused, outcome) {
            (Some(key), Err(refusals)) => {
                assert!(refusals.refusals.iter().any(|refusal| refusal.key == key), "{text}\n{refusals}");
                assert!(
                    refusals.refusals.iter().all(|refusal| refusal.line > 1 || refusal.key.is_empty()),
                    "{text}\n{refusals}"
                );
            }
            (None, Ok(stack)) => {
                let shown = emitted(&stack);
                assert!(!shown.contains("evil"), "{text}\n{shown}");
            }
            (Some(_), Ok(stack)) => panic!("taken: {text}\n{stack:?}"),
            (None, Err(refusals)) => panic!("refused: {text}\n{refusals}"),
        }
    }
}

/// A file as teams write them.
pub(super) const USUAL: &str = r#"
x-note: what begins with x- is nobody's business
services:
  web:
    build:
      context: ./web
      target: runtime
      args: {NODE_ENV: production}
    image: my-org/web
    container_name: web
    restart: always
    ports: ["8080:3000"]
    env_file: [.env.preview]
    environment:
      DATABASE_URL: postgres://app:${DB_PASSWORD:-secret}@db:5432/app
      PRICE: 5$$
    depends_on:
      db: {condition: service_healthy}
      cache: {condition: service_started}
    networks: [backend]
  worker:
    build: {context: ., dockerfile: worker/Dockerfile}
    command: node worker.js --queue default
    entrypoint: ["/sbin/tini", "--"]
    user: "1000:1000"
    working_dir: /srv/app
    stop_grace_period: 2m
    stop_signal: SIGINT
    read_only: true
    depends_on: [cache]
  db:
    image: postgres:16-alpine
    environment:
      - POSTGRES_USER=app
      - POSTGRES_PASSWORD=secret
    volumes: ["db:/var/lib/postgresql/data"]
    healthcheck:
      test: ["CMD-SHELL", "pg_isready -U app"]
      interval: 500ms
      retries: 5
  cache:
    image: redis
    volumes: [{type: volume, source: cache, target: /data, read_only: true}]
volumes:
  db:
  cache: {driver: local}
networks:
  backend: {driver: bridge}
"#;

fn usual() -> OwnStack {
    adopt(USUAL).unwrap_or_else(|refusals| panic!("{refusals}"))
}

fn name(text: &str) -> OwnName {
    text.parse().unwrap()
}

#[test]
fn a_usual_file_is_taken() {
    let stack = usual();
    assert_eq!(stack.app.name.as_str(), "web");
    assert_eq!(stack.app.port.unwrap().get(), 3000);
    let Origin::Build(build) = &stack.app.origin else { panic!("{:?}", stack.app.origin) };
    assert_eq!(build.dockerfile_path(), "web/Dockerfile");
    assert_eq!(build.target.as_ref().unwrap().as_str(), "runtime");
    let env = &stack.app.runtime.env;
    assert_eq!(env.get("DATABASE_URL"), Some("postgres://app:secret@db:5432/app"));
    assert_eq!(env.get("PRICE"), Some("5$"));
    let waits: Vec<_> =
        stack.app.runtime.waits_for.iter().map(|(name, condition)| (name.as_str(), *condition)).collect();
    assert_eq!(waits, [("cache", Condition::Started), ("db", Condition::Healthy)]);
    let worker = &stack.services[&name("worker")];
    assert_eq!(worker.runtime.command, Some(Command::Line("node worker.js --queue default".into())));
    assert_eq!(worker.runtime.entrypoint, Some(Command::Words(vec!["/sbin/tini".into(), "--".into()])));
    assert_eq!(worker.runtime.stop_grace, Some(Duration::from_secs(30)), "two minutes are too long");
    assert!(worker.runtime.read_only);
    let db = &stack.services[&name("db")];
    assert_eq!(db.health.as_ref().unwrap().interval, Duration::from_secs(2), "twice a second is too often");
    assert!(matches!(&db.origin, Origin::Image(image) if image.reference(None) == "postgres:16-alpine"));
    let cache = &stack.services[&name("cache")];
    assert!(matches!(&cache.origin, Origin::Image(image) if image.usual_user() == Some("redis")));
    assert!(cache.runtime.mounts[0].read_only);
    let volumes: Vec<_> = stack.volumes.iter().map(VolumeName::as_str).collect();
    assert_eq!(volumes, ["cache", "db"]);
}

/// What services share is often written once: what it brings is held against the same table.
#[test]
fn what_merge_keys_bring_is_as_if_it_stood_there() {
    const SHARED: &str = "x-shared: &shared\n  environment: &env {LOG: debug, A: 1}\n  restart: always\n";
    let merged = format!(
        "{SHARED}services:\n  web: {{<<: *shared, build: ., ports: ['3000'], environment: {{<<: *env, A: 2}}}}\n  \
         cache: {{<<: *shared, image: redis}}\n"
    );
    let written = "services:\n  web: {build: ., ports: ['3000'], restart: always, environment: {LOG: debug, A: 2}}\n  \
                   cache: {image: redis, restart: always, environment: {LOG: debug, A: 1}}\n";
    assert_eq!(emitted(&adopt(&merged).unwrap()), emitted(&adopt(written).unwrap()));
    let evil = "x-evil: &evil\n  privileged: true\nservices:\n  web: {<<: *evil, build: .}\n";
    let refused = adopt(evil).unwrap_err().to_string();
    assert!(refused.contains("line 2") && refused.contains("services.web.privileged"), "{refused}");
}

#[test]
fn what_compose_gets_to_see_of_a_usual_file() {
    only_our_words(&usual());
    insta::assert_snapshot!(emitted(&usual()));
}

#[test]
fn images_always_have_a_tag_and_a_mirror_only_moves_the_public_ones() {
    let mirror = Some("mirror.example.com/hub");
    for (text, plain, moved) in [
        ("redis", "redis:latest", "mirror.example.com/hub/redis:latest"),
        ("deadbeef", "deadbeef:latest", "mirror.example.com/hub/deadbeef:latest"),
        ("docker.io/library/redis:7", "library/redis:7", "mirror.example.com/hub/library/redis:7"),
        (
            "registry.example.com/owner/name:v1",
            "registry.example.com/owner/name:v1",
            "registry.example.com/owner/name:v1",
        ),
        (
            "registry.example.com:5000/a/b",
            "registry.example.com:5000/a/b:latest",
            "registry.example.com:5000/a/b:latest",
        ),
    ] {
        let image: crate::compose::own::ImageName = text.parse().unwrap();
        assert_eq!((image.reference(None).as_str(), image.reference(mirror).as_str()), (plain, moved), "{text}");
    }
}

#[test]
fn the_app_is_found_by_a_rule() {
    let app = |text: &str| adopt(text).map(|stack| stack.app.name.to_string()).map_err(|refusals| refusals.to_string());
    let built = "build: .";
    assert_eq!(app(&format!("services: {{app: {{{built}}}, b: {{{built}, ports: ['80']}}}}")), Ok("app".into()));
    assert_eq!(app(&format!("services: {{a: {{{built}}}, b: {{image: redis, ports: ['80']}}}}")), Ok("a".into()));
    assert_eq!(app(&format!("services: {{a: {{{built}}}, b: {{{built}, ports: ['80']}}}}")), Ok("b".into()));
    insta::assert_snapshot!(app(&format!("services: {{a: {{{built}}}, b: {{{built}}}}}")).unwrap_err());
    // Where nothing is built, an image is the app by the same rule.
    assert_eq!(app("services: {app: {image: nginx}, b: {image: redis, ports: ['80']}}"), Ok("app".into()));
    assert_eq!(app("services: {a: {image: nginx}}"), Ok("a".into()));
    assert_eq!(app("services: {a: {image: nginx, ports: ['80']}, b: {image: redis}}"), Ok("a".into()));
    assert_eq!(app(&format!("services: {{a: {{image: nginx, ports: ['80']}}, b: {{{built}}}}}")), Ok("b".into()));
    insta::assert_snapshot!(app("services: {a: {image: nginx}, b: {image: redis}}").unwrap_err());
    insta::assert_snapshot!(app("services: {app: {command: x}}").unwrap_err());
}

/// The same images are refused of an app as of what runs beside it, and the same of theirs gets to Compose.
#[test]
fn an_image_is_an_app_as_it_is_a_service_beside_one() {
    let (service, others): (Vec<Hostile>, _) = hostile().into_iter().partition(|hostile| hostile.place == "service");
    let beside = others.into_iter().filter(|hostile| hostile.place == "other").filter_map(
        |Hostile { line, refused, .. }| {
            let image = line.strip_prefix("{image: ")?.strip_suffix('}')?;
            let refused = refused.is_some_and(|key| key.ends_with(".image"));
            (refused && !image.contains(", ")).then(|| image.to_owned())
        },
    );
    let beside: Vec<String> = beside.collect();
    assert!(beside.len() > 10, "{beside:?}");
    for image in beside {
        let refusals = adopt(&format!("services:\n  app:\n    image: {image}\n    ports: ['80']\n")).unwrap_err();
        assert_eq!(refusals.refusals[0].key, "services.app.image", "{refusals}");
    }
    assert!(service.len() > 100, "{}", service.len());
    for Hostile { line, refused, .. } in service.into_iter().filter(|hostile| !hostile.line.starts_with("image:")) {
        let text = format!("services:\n  app:\n    image: nginx\n    {line}\nvolumes: {{data: {{}}}}\n");
        match (refused, adopt(&text)) {
            (Some(key), Err(refusals)) => {
                assert!(refusals.refusals.iter().any(|refusal| refusal.key == key), "{text}\n{refusals}");
            }
            (None, Ok(stack)) => {
                only_our_words(&stack);
                assert!(!emitted(&stack).contains("evil"), "{text}");
            }
            (_, outcome) => panic!("{text}\n{outcome:?}"),
        }
    }
}

#[test]
fn refusals_are_told_together_and_in_order() {
    let text = "services:\n  app:\n    build: {context: .., network: host}\n    privileged: true\n    volumes:\n      - /:/host\n    \
                environment: {TOKEN: \"${GITHUB_TOKEN}\"}\n    ports: [3000-3010]\n  Other: {image: 127.0.0.1/x}\ninclude: [oci://x/y]\n";
    insta::assert_snapshot!(adopt(text).unwrap_err());
    let many: String = (0..100).map(|n| format!("    key{n}: 1\n")).collect();
    let refusals = adopt(&format!("services:\n  app:\n    build: .\n{many}")).unwrap_err();
    assert_eq!((refusals.refusals.len(), refusals.more), (MAX_REFUSALS, 80));
}

#[test]
fn refusals_repeat_nothing_but_the_offending_key() {
    let secret = "hunter2-hunter2";
    for Hostile { text, .. } in hostile() {
        let text = text.replace("/etc", secret).replace("evil", secret).replace("HOME", secret);
        let Err(refusals) = adopt(&text) else { continue };
        let reasons = refusals.refusals.iter().map(|refusal| format!("{}{}", refusal.reason, refusal.remedy));
        assert!(!reasons.collect::<String>().contains(secret), "{refusals}");
    }
    let odd = adopt("services: {app: {build: ., \"a`\\e[31m\\u202e\": 1}}").unwrap_err().to_string();
    assert!(!odd.contains('\u{1b}') && !odd.contains('\u{202e}') && !odd.contains("a`"), "{odd}");
    let long = adopt(&format!("services: {{app: {{build: ., {}: 1}}}}", "k".repeat(100_000))).unwrap_err().to_string();
    assert!(long.len() < 300, "{}", long.len());
}

#[test]
fn bombs_and_large_files_are_refused_within_a_second() {
    let mut bomb = String::from("x-a0: &a0 [x, x, x, x, x, x, x, x, x, x]\n");
    for level in 1..12 {
        let aliases = vec![format!("*a{}", level - 1); 10].join(", ");
        bomb.push_str(&format!("x-a{level}: &a{level} [{aliases}]\n"));
    }
    let keys: String = (0..60_000).map(|n| format!("k{n}: 1\n")).collect();
    let texts = [
        (bomb, "too many values"),
        (format!("services: {}{}", "[".repeat(100_000), "]".repeat(100_000)), "is refused"),
        (format!("services: {}", "{a: ".repeat(50_000)), "is refused"),
        ("- ".repeat(100_000), "is refused"),
        ("? ".repeat(100_000), "is refused"),
        (keys, "more than 262144 bytes"),
        ("a".repeat(10 << 20), "more than 262144 bytes"),
        (format!("services: {{app: {{build: \"{}\"}}}}", "\\u0041".repeat(40_000)), "inside the repository"),
        (format!("services: {{app: {{build: ., command: \"{}\"}}}}", "${A:-b}".repeat(30_000)), ""),
        (format!("services: {{app: {{build: ., stop_grace_period: \"{}\"}}}}", "1h".repeat(100_000)), ""),
        (format!("services: {{app: {{build: ., stop_grace_period: {}}}}}", "1000000000000h".repeat(18_000)), ""),
        (
            format!("services: {{app: {{build: {{context: ., args: {{A: {}}}}}}}}}", "x".repeat(40_000)),
            "more than 32768 bytes of arguments",
        ),
        ("&a ".repeat(80_000), "is refused"),
        (format!("services: {{app: {{build: ., command: {}}}}}", "'".repeat(200_000)), ""),
        (format!("a: {}", "!".repeat(200_000)), ""),
        ("services: &a {app: *a}".to_owned(), "not valid YAML"),
        ("services: {app: {build: ., command: \"x\0\"}}".to_owned(), "control characters"),
        ("services: {app: {build: .}}\0\nservices: {app: {privileged: true}}".to_owned(), "control characters"),
        ("services: {app: {build: ., command: \"x\\0\"}}".to_owned(), "control characters"),
        (String::new(), "no services"),
        ("just words".to_owned(), "must be a map"),
    ];
    for (text, says) in texts {
        let begun = Instant::now();
        let outcome = adopt(&text).map(|_| ()).map_err(|refusals| refusals.to_string());
        let shown: String = text.chars().take(60).collect();
        assert!(begun.elapsed() < Duration::from_secs(1), "{shown}: {:?}", begun.elapsed());
        if !says.is_empty() {
            let refusal = outcome.unwrap_err();
            assert!(refusal.contains(says), "{shown}\n{refusal}");
        }
    }
}

#[test]
fn files_with_variables_are_read_through_the_checkout() {
    let text = "services: {app: {build: ., environment: {B: mine}, env_file: [a.env, {path: b.env, required: false}]}}";
    let stack = adopt(text).unwrap();
    let files = MemoryFiles::new([("a.env", "# note\n\nexport A='x y'\nB=theirs\nC=${HOME}\n")]);
    let env = stack.clone().with_files_read(&files).unwrap().app.runtime.env;
    assert_eq!(env.iter().collect::<Vec<_>>(), [("A", "x y"), ("B", "mine"), ("C", "${HOME}")]);
    let refused = |files: &MemoryFiles| stack.clone().with_files_read(files).unwrap_err().to_string();
    assert_eq!(
        refused(&MemoryFiles::default()),
        "there is no `a.env`, which `docker-compose.preview.yml` names as `env_file`; add it, or say `required: false`"
    );
    assert_eq!(
        refused(&MemoryFiles::default().with_link("a.env")),
        "`a.env` is a symbolic link or lies behind one; links are not followed"
    );
    let passwd = MemoryFiles::new([("a.env", "root:x:0:0:hunter2:/root:/bin/sh\n")]);
    assert_eq!(refused(&passwd), "`a.env`, line 1: a line of an `env_file` must be `KEY=value`, a comment, or empty");
}

#[test]
fn a_link_in_place_of_the_file_is_refused() {
    let error = load(&MemoryFiles::default().with_link(FILE_NAME)).unwrap_err();
    assert!(error.to_string().contains("links are not followed"), "{error}");
    assert_eq!(load(&MemoryFiles::default()), Ok(None));
}

/// Lines that look like a Compose file, so that the generator reaches beyond the parser's first refusal.
fn lines() -> impl Strategy<Value = String> {
    let keys: Vec<String> = keys::all().filter_map(|(path, _)| path.rsplit('.').next().map(str::to_owned)).collect();
    const VALUES: [&str; 12] =
        ["{}", "[]", "true", "1", "redis", "data:/data", "/:/host", "${A}", "$$", "service_healthy", "1s", "\"\""];
    let key = prop_oneof![prop::sample::select(keys), Just("app".to_owned()), "[a-z_<&*!?\"'{}\\[\\],#|>%@` -]{0,8}"];
    let value =
        prop_oneof![prop::sample::select(&VALUES[..]).prop_map(str::to_owned), Just(String::new()), any::<String>()];
    prop::collection::vec((0usize..5, any::<bool>(), key, value), 0..16).prop_map(|lines| {
        let line = |(indent, item, key, value): (usize, bool, String, String)| {
            format!("{}{}{key}: {value}\n", "  ".repeat(indent), if item { "- " } else { "" })
        };
        lines.into_iter().map(line).collect()
    })
}

proptest! {
    #[test]
    fn no_text_makes_it_panic(text in any::<String>(), lines in lines(), service in lines()) {
        let within: String = service.lines().map(|line| format!("    {line}\n")).collect();
        for text in [text, lines, format!("services:\n  app:\n    build: .\n{within}")] {
            match adopt(&text) {
                Ok(stack) => only_our_words(&stack),
                Err(refusals) => {
                    prop_assert!(!refusals.refusals.is_empty());
                    prop_assert!(refusals.refusals.iter().all(|refusal| !refusal.key.chars().any(char::is_control)));
                }
            }
        }
    }
}

#[test]
fn the_documentation_tells_how_much_is_read() {
    let (kilobytes, mounts) = (MAX_BYTES / 1024, service::MAX_MOUNTS);
    let Budget { nodes, depth, aliases } = BUDGET;
    let row = format!(
        "| `docker-compose.preview.yml` | {kilobytes} KB, {MAX_SERVICES} services, {mounts} mounts of each, {nodes} values, {depth} \
         levels, {aliases} aliases |"
    );
    crate::docs::has_line("docs/CONFIGURATION.md", &row);
}
