//! Stacks as snapshots, what an update leaves alone, and hostile values.

use proptest::prelude::*;
use serde_json::Value;

use super::*;

const PASSWORD: &str = "00112233445566778899aabbccddeeff0011223344556677";

/// Whoever looks into a process's arguments, on the host too, learns no password there.
#[test]
fn shells_of_databases_take_the_password_from_their_container() {
    let id = "my-org-my-app-12".parse().unwrap();
    for backing in Backing::ALL {
        let command = shell(backing, &id);
        assert_eq!(command.iter().any(|word| word.contains("pr_12")), backing != Backing::Redis, "{command:?}");
        assert!(!command.iter().any(|word| word.starts_with("--password") || word.starts_with("-p")), "{command:?}");
        assert!(!command.join(" ").contains(PASSWORD));
    }
}

fn slot(commit: char, host_port: u16) -> SlotSpec {
    SlotSpec {
        commit: commit.to_string().repeat(40).parse().unwrap(),
        host_port: HostPort::new(host_port).unwrap(),
        app_port: ContainerPort::new(3000).unwrap(),
        port_env: None,
        limits: Limits::default(),
        start: None,
        user: AppUser::OfImage,
        files: RootFiles::OfImage,
        env: EnvVars::default(),
        branch: BranchName::new("feature/login"),
        url: "https://preview.example.com/my-org-my-app/pr-12/".to_owned(),
        base_path: "/my-org-my-app/pr-12/".to_owned(),
    }
}

fn spec() -> StackSpec {
    StackSpec {
        deployment: "my-org-my-app-12".parse().unwrap(),
        instance: "0123456789ab".parse().unwrap(),
        subnet: "10.222.0.16/28".parse().unwrap(),
        trust: Trust::Member,
        limits: Limits::default(),
        runtime: None,
        base_images: BaseImages::public(),
        slots: BTreeMap::from([(Slot::A, slot('a', 8000))]),
        task: None,
        database: Some(DatabaseSpec {
            database: Database::Postgres,
            scheme: None,
            host_port: HostPort::new(9000).unwrap(),
        }),
        extras: BTreeSet::new(),
        password: Some(PASSWORD.parse().unwrap()),
        own: None,
    }
}

/// The stack of a repository's own Compose file, of which everything has been built.
pub(super) fn with_own(stack: OwnStack) -> Stack {
    let commit = spec().slots[&Slot::A].commit.clone();
    let built = stack.builds().map(|(name, _)| (name, AppUser::Unprivileged)).collect();
    let env = stack.app.runtime.env.clone();
    let slots = BTreeMap::from([(Slot::A, SlotSpec { env, ..slot('a', 8000) })]);
    generate(&StackSpec { database: None, slots, own: Some(OwnSpec { stack, commit, built }), ..spec() })
}

/// The file as Compose sees it: parsed, with `$$` made `$` again.
fn seen(stack: &Stack) -> Value {
    fn undouble(value: &mut Value) {
        match value {
            Value::String(text) => {
                assert!(!text.replace("$$", "").contains('$'), "Compose would replace something in {text:?}");
                *text = text.replace("$$", "$");
            }
            Value::Array(items) => items.iter_mut().for_each(undouble),
            Value::Object(entries) => entries.values_mut().for_each(undouble),
            _ => {}
        }
    }
    let mut value = serde_saphyr::from_str(&stack.to_yaml()).unwrap();
    undouble(&mut value);
    value
}

/// The lines of one service in the file.
fn part(yaml: &str, service: &str) -> Vec<String> {
    let lines = yaml.lines().skip_while(|line| *line != format!("  {service}:")).skip(1);
    lines.take_while(|line| line.starts_with("    ")).map(str::to_owned).collect()
}

#[test]
fn an_app_alone() {
    let slots = BTreeMap::from([(Slot::A, SlotSpec { files: RootFiles::ReadOnly, ..slot('a', 8000) })]);
    let yaml = generate(&StackSpec { database: None, slots, ..spec() }).to_yaml();
    insta::assert_snapshot!(yaml);
}

#[test]
fn an_update_with_postgres() {
    let mut spec = spec();
    spec.slots.insert(Slot::B, SlotSpec { user: AppUser::Unprivileged, ..slot('b', 8001) });
    insta::assert_snapshot!(generate(&spec).to_yaml());
}

/// The same with another main database, and these services beside it.
fn with(database: Database, extras: &[Backing]) -> StackSpec {
    let spec = spec();
    let database = spec.database.clone().map(|of| DatabaseSpec { database, ..of });
    StackSpec { database, extras: extras.iter().copied().collect(), ..spec }
}

#[test]
fn mysql_and_redis() {
    insta::assert_snapshot!(generate(&with(Database::Mysql, &[Backing::Redis])).to_yaml());
}

#[test]
fn mongodb_and_mariadb() {
    insta::assert_snapshot!(generate(&with(Database::MongoDb, &[Database::MariaDb.into()])).to_yaml());
}

#[test]
fn every_service_runs_as_somebody_else_than_root_and_opens_with_the_password() {
    for database in Database::ALL {
        let spec = with(database, &Backing::ALL);
        let file = seen(&generate(&spec));
        let names = Backing::ALL.map(|extra| ServiceName::Extra(extra).to_string());
        for name in names.iter().chain([&"db".to_owned()]) {
            let service = &file["services"][name];
            assert_eq!(service["user"], "999:999", "{name}");
            assert!(service["healthcheck"]["test"][1].as_str().is_some_and(|test| !test.contains(PASSWORD)), "{name}");
            assert!(!service["command"].to_string().contains(PASSWORD), "{name}");
            assert_eq!(file["services"]["app-a"]["depends_on"][name]["condition"], "service_healthy", "{name}");
            assert_eq!(
                service["ports"].is_array(),
                name == "db",
                "{name}: the main database alone is reached on the host"
            );
            let environment = service["environment"].as_object().unwrap();
            let lines: Vec<String> =
                environment.iter().map(|(name, value)| format!("{name}={}", value.as_str().unwrap())).collect();
            let password = DatabasePassword::from_environment(&lines).unwrap();
            assert_eq!(password.expose(), PASSWORD, "{name}");
        }
        let volumes: Vec<&String> = file["volumes"].as_object().unwrap().keys().collect();
        assert_eq!(volumes.len(), 5, "one for each database, and none for Redis: {volumes:?}");
    }
}

#[test]
fn variables_of_services_beside_each_other_do_not_fight() {
    let url = |database, scheme, name: &str| {
        let mut spec = with(database, &Backing::ALL);
        spec.database.as_mut().unwrap().scheme = scheme;
        seen(&generate(&spec))["services"]["app-a"]["environment"][name].as_str().unwrap().to_owned()
    };
    let expected = |scheme: &str, host: &str, rest: &str| format!("{scheme}://preview:{PASSWORD}@{host}:{rest}");
    let main = |database, scheme| url(database, scheme, "DATABASE_URL");
    assert_eq!(main(Database::Postgres, None), expected("postgresql", "db", "5432/pr_12"));
    assert_eq!(main(Database::Mysql, None), expected("mysql", "db", "3306/pr_12"));
    assert_eq!(main(Database::Mysql, Some("mysql2")), expected("mysql2", "db", "3306/pr_12"));
    assert_eq!(main(Database::MongoDb, None), expected("mongodb", "db", "27017/pr_12?authSource=admin"));
    let mysql = |name| url(Database::Mysql, None, name);
    assert_eq!(mysql("POSTGRES_URL"), expected("postgresql", "postgres", "5432/pr_12"));
    assert_eq!(mysql("MONGODB_URI"), expected("mongodb", "mongodb", "27017/pr_12?authSource=admin"));
    assert_eq!(mysql("REDIS_URL"), format!("redis://:{PASSWORD}@redis:6379/0"));
    assert_eq!(mysql("SPRING_DATASOURCE_URL"), "jdbc:mysql://db:3306/pr_12");
    assert_eq!(mysql("SPRING_R2DBC_URL"), "r2dbc:mysql://db:3306/pr_12");
    assert_eq!([mysql("DB_CONNECTION"), mysql("DB_DATABASE"), mysql("DB_USERNAME")], ["mysql", "pr_12", "preview"]);
}

#[test]
fn a_volume_is_known_by_its_name() {
    let id: DeploymentId = "my-org-my-app-12".parse().unwrap();
    for database in Database::ALL {
        let file = seen(&generate(&with(database, &Backing::ALL)));
        for volume in file["volumes"].as_object().unwrap().keys() {
            let mounts =
                |service: &&Value| service["volumes"].as_array().is_some_and(|all| all[0]["source"] == **volume);
            let service = file["services"].as_object().unwrap().values().find(mounts).unwrap();
            let expected = match service["labels"][LABEL_SERVICE].as_str().unwrap() {
                "db" => KeptBy::Database(database),
                extra => KeptBy::Extra(extra.parse().unwrap()),
            };
            assert_eq!(kept_by(&id, &format!("{id}_{volume}")), expected);
        }
    }
    assert_eq!(kept_by(&id, &format!("{id}_own-data")), KeptBy::Own);
    assert_eq!(kept_by(&id, &format!("{id}_else")), KeptBy::Nobody);
    assert_eq!(kept_by(&id, "my-org-my-app-1_db-data"), KeptBy::Nobody);
}

#[test]
fn a_database_before_its_app() {
    let stack = generate(&StackSpec { slots: BTreeMap::new(), ..spec() });
    assert_eq!(stack.service_names().collect::<Vec<_>>(), ["db"]);
    assert_eq!(part(&stack.to_yaml(), "db"), part(&generate(&spec()).to_yaml(), "db"));
}

#[test]
fn an_update_leaves_the_other_parts_as_they_are() {
    let before = spec();
    let mut both = before.clone();
    both.slots.insert(Slot::B, slot('b', 8001));
    let mut after = both.clone();
    after.slots.remove(&Slot::A);
    let shared = |spec: &StackSpec| seen(&generate(spec)).as_object().unwrap()["networks"].clone();
    assert_eq!(shared(&before), shared(&after));
    let [before, both, after] = [before, both, after].map(|spec| generate(&spec).to_yaml());
    assert!(!part(&before, "app-a").is_empty() && !part(&before, "db").is_empty());
    assert_eq!(part(&before, "app-a"), part(&both, "app-a"));
    assert_eq!(part(&before, "db"), part(&both, "db"));
    assert_eq!(part(&both, "db"), part(&after, "db"));
    assert_eq!(part(&both, "app-b"), part(&after, "app-b"));
}

#[test]
fn everything_is_labelled_and_limited() {
    let mut spec = spec();
    spec.slots.insert(Slot::B, slot('b', 8001));
    spec.runtime = Some("runsc".parse().unwrap());
    spec.limits = Limits { cpu_millis: 250, memory_mb: 128 };
    spec.slots.values_mut().for_each(|app| app.limits = Limits { cpu_millis: 250, memory_mb: 128 });
    let stack = generate(&spec);
    let file = seen(&stack);
    let services = file["services"].as_object().unwrap();
    assert_eq!(services.len(), 3);
    for (name, service) in services {
        assert_eq!(service["cap_drop"], serde_json::json!(["ALL"]), "{name}");
        assert_eq!(service["security_opt"], serde_json::json!(["no-new-privileges:true"]), "{name}");
        assert_eq!(service["ipc"], "private", "{name}");
        assert_eq!(service["runtime"], "runsc", "{name}");
        assert_eq!(service["cpus"], 0.25, "{name}");
        assert_eq!((&service["mem_limit"], &service["memswap_limit"]), (&"128m".into(), &"128m".into()), "{name}");
        assert_eq!(service["labels"][LABEL_SERVICE], **name);
        for port in service["ports"].as_array().unwrap() {
            assert!(port.as_str().unwrap().starts_with("127.0.0.1:"), "{name}");
        }
        assert_eq!(service["labels"].get(LABEL_COMMIT).is_some(), name.starts_with("app-"), "{name}");
    }
    let labelled = services.values().chain([&file["volumes"]["db-data"]]).map(|thing| &thing["labels"]);
    let network = serde_json::to_value(&stack.network().labels).unwrap();
    for labels in labelled.chain([&network]) {
        assert_eq!(labels[LABEL_DEPLOYMENT], "my-org-my-app-12");
        assert_eq!(labels[LABEL_INSTANCE], "0123456789ab");
    }
}

#[test]
fn what_we_set_wins_over_the_repository() {
    let mut spec = spec();
    let mut env = EnvVars::default();
    for name in ["DATABASE_URL", "DB_HOST", "PREVIEW", "PREVIEW_URL", "PORT", "HOME", "OWN"] {
        env.insert(name.parse().unwrap(), "theirs".to_owned());
    }
    spec.slots.insert(Slot::A, SlotSpec { env, user: AppUser::Unprivileged, ..slot('a', 8000) });
    let file = seen(&generate(&spec));
    let env = &file["services"]["app-a"]["environment"];
    assert_eq!(env["DATABASE_URL"], format!("postgresql://preview:{PASSWORD}@db:5432/pr_12"));
    assert_eq!((&env["DB_HOST"], &env["PREVIEW"], &env["PORT"]), (&"db".into(), &"true".into(), &"3000".into()));
    assert_eq!((&env["OWN"], &env["HOME"]), (&"theirs".into(), &"theirs".into()));
}

#[test]
fn what_drivers_read_is_the_app_s_to_say_otherwise() {
    let mode = |spec: &StackSpec| seen(&generate(spec))["services"]["app-a"]["environment"]["PGSSLMODE"].clone();
    assert_eq!(mode(&spec()), "disable");
    assert_eq!(mode(&with(Database::Mysql, &[Database::Postgres.into()])), "disable");
    assert_eq!(mode(&with(Database::Mysql, &[Backing::Redis])), Value::Null);
    let mut env = EnvVars::default();
    env.insert("PGSSLMODE".parse().unwrap(), "require".to_owned());
    let slots = BTreeMap::from([(Slot::A, SlotSpec { env, ..slot('a', 8000) })]);
    assert_eq!(mode(&StackSpec { slots, ..spec() }), "require");
}

#[test]
fn the_port_goes_by_the_name_that_the_repository_chose() {
    let mut spec = spec();
    spec.slots.insert(Slot::A, SlotSpec { port_env: Some("LISTEN".parse().unwrap()), ..slot('a', 8000) });
    let file = seen(&generate(&spec));
    let env = &file["services"]["app-a"]["environment"];
    assert_eq!((&env["LISTEN"], env.get("PORT")), (&"3000".into(), None));
}

#[test]
fn debug_shows_no_secret() {
    let spec = spec();
    let shown = format!("{spec:?} {:?}", generate(&spec));
    assert!(!shown.contains(PASSWORD) && shown.contains("DB_PASSWORD"), "{shown}");
    assert!(generate(&spec).to_yaml().contains(PASSWORD));
}

#[test]
fn names_are_valid_once_parsed() {
    let ours = [ServiceName::App(Slot::A), ServiceName::App(Slot::B), ServiceName::Database];
    for name in ours.into_iter().chain(Backing::ALL.map(ServiceName::Extra)) {
        assert_eq!(name.to_string().parse(), Ok(name));
    }
    for bad in ["app", "app-c", "DB", ""] {
        assert!(bad.parse::<ServiceName>().is_err());
    }
    for bad in ["10.222.0.1/28", "10.222.0.0/30", "10.222.0.0/7", "10.222.0.0", "10.222.0.0/33", "x/28", "0.0.0.0/0"] {
        assert!(bad.parse::<Subnet>().is_err(), "{bad}");
    }
    assert_eq!("10.222.0.0/16".parse::<Subnet>().unwrap().to_string(), "10.222.0.0/16");
    for bad in ["", "short", &"G".repeat(40), &"a".repeat(31), &"a".repeat(129)] {
        assert!(bad.parse::<DatabasePassword>().is_err(), "{bad}");
    }
    assert_eq!(DatabasePassword::from_bytes([7; 24]).expose().parse::<DatabasePassword>().unwrap().expose().len(), 48);
}

#[test]
fn what_writes_nothing_beside_its_code_is_read_only() {
    for (framework, files) in [
        (Framework::NestJs, RootFiles::ReadOnly),
        (Framework::Go, RootFiles::ReadOnly),
        (Framework::Rust, RootFiles::ReadOnly),
        (Framework::FastApi, RootFiles::OfImage),
        (Framework::Node, RootFiles::OfImage),
        (Framework::Docker, RootFiles::OfImage),
        (Framework::Laravel, RootFiles::OfImage),
        (Framework::Rails, RootFiles::OfImage),
        (Framework::Spring, RootFiles::OfImage),
    ] {
        assert_eq!(RootFiles::of(framework), files);
        let mut spec = spec();
        spec.slots.insert(Slot::A, SlotSpec { files, ..slot('a', 8000) });
        let app = &seen(&generate(&spec))["services"]["app-a"];
        assert_eq!(app["read_only"] == true, files == RootFiles::ReadOnly, "{framework}");
        assert_eq!(app["tmpfs"].is_array(), files == RootFiles::ReadOnly, "{framework}");
    }
}

#[test]
fn a_runtime_is_a_plain_name() {
    assert_eq!("runsc".parse::<Runtime>().unwrap().to_string(), "runsc");
    for bad in ["", "--runtime", "/usr/bin/runsc", "run sc", "runsc\n", &"r".repeat(65)] {
        assert!(bad.parse::<Runtime>().is_err(), "{bad:?}");
    }
}

#[test]
fn an_image_that_runs_as_root_is_run_by_somebody_else() {
    assert_eq!(AppUser::for_image(""), AppUser::Unprivileged);
    assert_eq!(AppUser::for_image("0:0"), AppUser::Unprivileged);
    assert_eq!(AppUser::for_image("node"), AppUser::OfImage);
}

/// Values that YAML or Compose might take for something else.
const HOSTILE: [&str; 34] = [
    "x${HOME}$(id);touch y",
    "$",
    "$$",
    "${",
    "$$$x",
    "a\nb",
    "a\n",
    "\n",
    " a",
    "a ",
    "'",
    "\"",
    "\\",
    "\\n",
    "#",
    "a #b",
    ": ",
    "a: b",
    "*alias",
    "&anchor",
    "!!tag",
    "- a",
    "? a",
    "[a]",
    "{a: b}",
    "yes",
    "no",
    "0o17",
    "1e3",
    "~",
    "null",
    "2001-01-01",
    "\u{FEFF}x\u{2028}\u{85}",
    "---\n...",
];

#[test]
fn hostile_names_arrive_as_they_are() {
    let names: Vec<String> = serde_json::from_str(include_str!("../hostile-names.json")).unwrap();
    for name in names {
        assert_eq!(carried(&name), [&*name, BranchName::new(&name).as_str(), &*name], "{name:?}");
    }
}

fn carried(text: &str) -> [String; 3] {
    let mut spec = spec();
    let mut env = EnvVars::default();
    env.insert("VALUE".parse().unwrap(), text.to_owned());
    spec.slots
        .insert(Slot::A, SlotSpec { env, branch: BranchName::new(text), url: text.to_owned(), ..slot('a', 8000) });
    let file = seen(&generate(&spec));
    ["VALUE", "PREVIEW_BRANCH", "PREVIEW_URL"]
        .map(|name| file["services"]["app-a"]["environment"][name].as_str().unwrap().to_owned())
}

#[test]
fn hostile_values_arrive_as_they_are() {
    for text in HOSTILE {
        assert_eq!(carried(text), [text, BranchName::new(text).as_str(), text], "{text:?}");
    }
}

proptest! {
    #[test]
    fn any_value_arrives_as_it_is(text in any::<String>(), pieces in prop::collection::vec(prop::sample::select(&HOSTILE[..]), 0..5)) {
        for text in [text, pieces.concat()] {
            prop_assert_eq!(carried(&text), [text.clone(), BranchName::new(&text).as_str().to_owned(), text]);
        }
    }

    /// What isn't the value itself stays as it is, whatever the value.
    #[test]
    fn no_value_changes_the_shape_of_the_file(text in any::<String>()) {
        let mut spec = spec();
        spec.slots.insert(Slot::A, SlotSpec { branch: BranchName::new(&text), ..slot('a', 8000) });
        let mut file = seen(&generate(&spec));
        file["services"]["app-a"]["environment"]["PREVIEW_BRANCH"] = "feature/login".into();
        prop_assert_eq!(file, seen(&generate(&self::spec())));
    }
}

/// A one-off container beside nothing but the database.
fn with_task(app: SlotSpec) -> Stack {
    let command = AppCommand::words(["npm", "run", "x$HOME"]);
    let task = TaskSpec { task: Task::Migrate, command, app };
    generate(&StackSpec { slots: BTreeMap::new(), task: Some(task), ..spec() })
}

#[test]
fn a_one_off_container_has_what_the_app_has_but_no_port_and_ends_once() {
    let task =
        seen(&with_task(SlotSpec { files: RootFiles::ReadOnly, ..slot('a', 8000) }))["services"]["migrate"].clone();
    let app = seen(&generate(&StackSpec {
        slots: BTreeMap::from([(Slot::A, SlotSpec { files: RootFiles::ReadOnly, ..slot('a', 8000) })]),
        ..spec()
    }))["services"]["app-a"]
        .clone();
    assert_eq!((&task["restart"], &task["entrypoint"]), (&"no".into(), &serde_json::json!(["npm", "run", "x$HOME"])));
    assert!(task.get("ports").is_none() && task["labels"].get(LABEL_SLOT).is_none());
    for same in
        ["image", "environment", "cpus", "mem_limit", "read_only", "depends_on", "security_opt", "networks", "init"]
    {
        assert_eq!(task[same], app[same], "{same}");
    }
    assert_eq!(task["labels"][LABEL_COMMIT], app["labels"][LABEL_COMMIT]);
    assert_eq!(task["labels"][LABEL_SERVICE], "migrate");
}

#[test]
fn an_app_gets_no_more_than_it_asks_for_and_its_database_what_there_is() {
    let lower = Limits::default().lowered(Resources { memory_mb: Some(128), cpu_millis: Some(2000) });
    assert_eq!(lower, Limits { memory_mb: 128, cpu_millis: 500 });
    assert!(Limits::default().fall_short_of(Resources { memory_mb: None, cpu_millis: Some(501) }));
    assert!(!Limits::default().fall_short_of(Resources { memory_mb: Some(512), cpu_millis: None }));
    let mut spec = spec();
    spec.slots.insert(Slot::A, SlotSpec { limits: lower, ..slot('a', 8000) });
    let services = &seen(&generate(&spec))["services"];
    assert_eq!(
        (&services["app-a"]["mem_limit"], &services["app-a"]["memswap_limit"]),
        (&"128m".into(), &"128m".into())
    );
    assert_eq!(services["db"]["mem_limit"], "512m");
}

#[test]
fn commands_before_the_start_are_a_script_that_gives_way_to_the_app() {
    let commands = ["npm run warm", "export X=1"].map(|line| line.parse().unwrap());
    let start = startup(&commands, &["docker-entrypoint.sh".to_owned(), "node".to_owned()]).unwrap();
    let script = "set -e\nnpm run warm\nexport X=1\nexec \"$@\"";
    assert_eq!(start.as_words(), ["sh", "-c", script, "sh", "docker-entrypoint.sh", "node"]);
    assert_eq!(startup(&[], &["node".to_owned()]), None);
    let mut spec = spec();
    spec.slots.insert(Slot::A, SlotSpec { start: Some(start), ..slot('a', 8000) });
    let app = &seen(&generate(&spec))["services"]["app-a"];
    assert_eq!(app["entrypoint"][2], script);
}

#[test]
fn all_that_an_app_is_given_can_be_referred_to() {
    let given = given(&spec(), Slot::A);
    let names = given_names();
    assert!(given.keys().all(|name| names.contains(name.as_str())), "{given:?} of {names:?}");
    let service = &seen(&generate(&spec()))["services"]["app-a"]["environment"];
    assert!(given.iter().all(|(name, value)| service[name] == value.as_str()), "{service}");
}
