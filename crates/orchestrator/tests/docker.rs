//! The container engine, on a real one: Docker with Compose and Buildx must be there.
//!
//! Each test is an installation of its own, by its instance label, and ends by proving that nothing with that label is left.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use bollard::models::{ContainerInspectResponse, HostConfig};
use preview_core::backing::{Backing, Database};
use preview_core::compose::{AppUser, LABEL_DEPLOYMENT, LABEL_INSTANCE, LABEL_SERVICE};
use preview_core::deployment::Blame;
use preview_core::ids::InstanceId;
use preview_core::ids::Slot::{A, B};
use preview_exec::Program;
use preview_orchestrator::docker::{BuildLimits, BuildOptions, Ceilings, Engine, EngineOptions};
use preview_orchestrator::needs::{ContainerEngine, ContainerState, Part, Probe, Volumes};

#[path = "docker/disk.rs"]
mod disk;
#[path = "../../cli/tests/e2e/engine.rs"]
mod engine;
#[path = "docker/files.rs"]
mod files;
#[path = "docker/ground.rs"]
mod ground;
#[path = "docker/orders.rs"]
mod orders;
#[path = "../../cli/tests/e2e/registry_server.rs"]
mod registry_server;
#[path = "docker/upon.rs"]
mod upon;
use ground::{Deployment, Ground, SERVE, commit, eventually, mimic, on_engine};

/// How many RUN steps of a build were not taken from the cache.
fn steps_run(log: &str) -> usize {
    let started: Vec<&str> = log.lines().filter(|line| line.starts_with('#') && line.contains("] RUN ")).collect();
    let cached = |step: &&&str| {
        let number = step.split(' ').next().unwrap_or_default();
        log.lines().any(|line| line == format!("{number} CACHED"))
    };
    started.len() - started.iter().filter(cached).count()
}

#[tokio::test]
async fn a_deployment_lives_is_updated_and_leaves_nothing() {
    on_engine(async |ground: &Ground| {
        let mut app = Deployment::new(ground, "life", 1);
        app.put("mimic", mimic());
        ground.build(&app, commit(1), SERVE).await.unwrap();

        // Up in slot a, then the next version beside it in slot b.
        app.slot(A, commit(1), AppUser::Unprivileged);
        ground.engine.start(&app.stack(), "/nonexistent".into(), &[], &ground.lock).await.unwrap();
        let view = ground.view(&app).await;
        assert!(view.containers.is_empty(), "nothing asked for, nothing started");
        assert_eq!(view.networks, [app.id.to_string()], "but the network is there");
        ground.start(&app, &[Part::App(A)]).await.unwrap();
        app.healthy(A).await;
        let first = ground.view(&app).await.part(Part::App(A)).unwrap().clone();
        assert_eq!((first.commit.clone(), first.restarts), (Some(commit(1)), 0));
        assert_eq!(first.state, ContainerState::Running { healthy: None });

        ground.build(&app, commit(2), SERVE).await.unwrap();
        app.slot(B, commit(2), AppUser::Unprivileged);
        ground.start(&app, &[Part::App(B)]).await.unwrap();
        app.healthy(B).await;
        let both = ground.view(&app).await;
        assert_eq!(both.part(Part::App(A)), Some(&first), "slot a is as it was");
        assert_eq!(both.images, [commit(1), commit(2)]);
        assert_eq!(both.networks, [app.id.to_string()]);

        // A slot always comes up fresh; the other stays.
        let second = both.part(Part::App(B)).unwrap().id.clone();
        ground.start(&app, &[Part::App(B)]).await.unwrap();
        app.healthy(B).await;
        let again = ground.view(&app).await;
        assert_ne!(again.part(Part::App(B)).unwrap().id, second);
        assert_eq!(again.part(Part::App(A)), Some(&first));

        assert!(ground.engine.logs(&app.id, Part::App(B), 10).await.unwrap().contains(&"listening on 3000".to_owned()));
        assert_eq!(ground.engine.logs(&app.id, Part::Database, 10).await.unwrap(), [""; 0]);

        // Each removal twice: what is gone is success.
        for _ in 0..2 {
            ground.engine.remove_part(&app.id, Part::App(A)).await.unwrap();
            let view = ground.view(&app).await;
            assert!(view.part(Part::App(A)).is_none() && view.part(Part::App(B)).is_some());
        }
        ground.engine.remove_images(&app.id, &[commit(2)]).await.unwrap();
        assert_eq!(ground.view(&app).await.images, [commit(2)]);
        for _ in 0..2 {
            ground.remove(&app.id).await;
            assert!(ground.view(&app).await.is_empty());
        }
    })
    .await;
}

#[tokio::test]
async fn an_app_reaches_its_own_database_and_no_other() {
    on_engine(async |ground: &Ground| {
        let mut mine = Deployment::new(ground, "mine", 1);
        mine.put("mimic", mimic());
        mine.with_database();
        let mut other = Deployment::new(ground, "other", 2);
        other.with_database();

        let start_other = ground.start(&other, &[Part::Database]);
        let start_mine = ground.start(&mine, &[Part::Database]);
        let (built, mine_up, other_up) = tokio::join!(ground.build(&mine, commit(1), SERVE), start_mine, start_other);
        built.and(mine_up.map(|()| String::new())).and(other_up.map(|()| String::new())).unwrap();
        let database = ground.view(&mine).await.part(Part::Database).unwrap().clone();

        // The app is started when its database is ready, and the database stays as it is.
        mine.slot(A, commit(1), AppUser::Unprivileged);
        ground.start(&mine, &[Part::App(A)]).await.unwrap();
        let now = ground.view(&mine).await.part(Part::Database).unwrap().clone();
        assert_eq!((now.id, now.state), (database.id, ContainerState::Running { healthy: Some(true) }));
        mine.healthy(A).await;
        for name in ["db:5432", "postgres:5432"] {
            assert_eq!(mine.ask(A, &format!("/open/{name}")).await, "true", "{name}");
        }
        assert!(mine.ask(A, "/env/DATABASE_URL").await.starts_with("postgresql://preview:"));

        ground.database_healthy(&other).await;
        let address = ground.address_of(&other, Part::Database).await;
        assert_eq!(mine.ask(A, &format!("/open/{address}:5432")).await, "false", "another preview's database");
        // By way of the host's published port neither: it is published on the host's own loopback address alone.
        let gateway = mine.gateway();
        assert_eq!(mine.ask(A, &format!("/open/{gateway}:{}", other.db_port)).await, "false");

        // A database that was stopped comes back with its app.
        ground.docker.stop_container(&database_id(ground, &mine).await, None).await.unwrap();
        ground.start(&mine, &[Part::App(A)]).await.unwrap();
        mine.healthy(A).await;
        assert_eq!(mine.ask(A, "/open/db:5432").await, "true");
        assert_eq!(ground.view(&mine).await.volumes.len(), 1);
    })
    .await;
}

/// Also those whose images are not run here.
#[tokio::test]
async fn compose_takes_the_file_of_every_backing_service() {
    on_engine(async |ground: &Ground| {
        let mut app = Deployment::new(ground, "backed", 1);
        app.slot(A, commit(1), AppUser::Unprivileged);
        for database in Database::ALL {
            app.with_everything(database);
            app.put("compose.yml", app.stack().to_yaml().into_bytes());
            let file = app.checkout.path().join("compose.yml");
            let docker = Program::new("docker").args(["compose", "--file"]).arg(&file).inherit_env("HOME");
            let taken = docker.args(["config", "--services"]).run().await.unwrap();
            assert_eq!(taken.text().lines().count(), 2 + Backing::ALL.len(), "{database}: {}", taken.text());
        }
    })
    .await;
}

async fn database_id(ground: &Ground, of: &Deployment) -> String {
    ground.view(of).await.part(Part::Database).unwrap().id.clone()
}

#[tokio::test]
async fn a_container_is_confined() {
    on_engine(async |ground: &Ground| {
        let mut app = Deployment::new(ground, "confined", 1);
        app.put("mimic", mimic());
        let labelled =
            format!("{SERVE}LABEL {LABEL_DEPLOYMENT}=victim-1 {LABEL_INSTANCE}=000000000000 {LABEL_SERVICE}=db\n");
        ground.build(&app, commit(1), &labelled).await.unwrap();
        app.slot(A, commit(1), AppUser::Unprivileged);
        ground.start(&app, &[Part::App(A)]).await.unwrap();
        app.healthy(A).await;
        assert_eq!(app.ask(A, "/uid").await, "10001");

        let view = ground.view(&app).await;
        let ContainerInspectResponse { host_config, config, network_settings, .. } =
            ground.docker.inspect_container(&view.part(Part::App(A)).unwrap().id, None).await.unwrap();
        let HostConfig { memory, memory_swap, nano_cpus, pids_limit, privileged, init, .. } =
            host_config.clone().unwrap();
        assert_eq!((memory, memory_swap), (Some(64 << 20), Some(64 << 20)));
        assert_eq!((nano_cpus, pids_limit), (Some(250_000_000), Some(256)));
        assert_eq!((privileged, init), (Some(false), Some(true)));
        let host = host_config.unwrap();
        assert_eq!(host.cap_drop.unwrap(), ["ALL"]);
        assert_eq!(host.cap_add.unwrap_or_default(), [""; 0]);
        assert_eq!(host.security_opt.unwrap(), ["no-new-privileges:true"]);
        assert_eq!(host.binds.unwrap_or_default(), [""; 0]);
        let bound: Vec<_> = host.port_bindings.unwrap().into_values().flatten().flatten().collect();
        assert_eq!(bound.len(), 1);
        assert_eq!(bound[0].host_ip.as_deref(), Some("127.0.0.1"));
        assert_eq!(host.log_config.unwrap().config.unwrap()["max-size"], "10m");
        assert_eq!(network_settings.unwrap().networks.unwrap().into_keys().collect::<Vec<_>>(), [app.id.to_string()]);
        // What the author's Dockerfile says of our labels counts for nothing.
        let labels = config.unwrap().labels.unwrap();
        assert_eq!(labels[LABEL_DEPLOYMENT], app.id.to_string());
        assert_eq!(labels[LABEL_INSTANCE], ground.instance.as_str());
    })
    .await;
}

#[tokio::test]
async fn a_running_container_hurries_and_goes_back_to_its_limit() {
    on_engine(async |ground: &Ground| {
        let mut app = Deployment::new(ground, "hurried", 1);
        app.put("mimic", mimic());
        ground.build(&app, commit(1), SERVE).await.unwrap();
        app.slot(A, commit(1), AppUser::Unprivileged);
        ground.start(&app, &[Part::App(A)]).await.unwrap();
        app.healthy(A).await;
        let container = ground.view(&app).await.part(Part::App(A)).unwrap().id.clone();
        for millis in [1_000, 250] {
            ground.engine.limit_cpu(&app.id, Part::App(A), millis).await.unwrap();
            let seen = ground.docker.inspect_container(&container, None).await.unwrap();
            assert_eq!(seen.host_config.unwrap().nano_cpus, Some(i64::from(millis) * 1_000_000));
        }
        assert_eq!(app.ask(A, "/uid").await, "10001", "it runs on");
        ground.engine.limit_cpu(&app.id, Part::Database, 1_000).await.unwrap();
    })
    .await;
}

#[tokio::test]
async fn values_arrive_as_they_are_and_a_checkouts_env_file_counts_for_nothing() {
    on_engine(async |ground: &Ground| {
        let mut app = Deployment::new(ground, "verbatim", 1);
        app.put("mimic", mimic());
        app.put(
            ".env",
            b"COMPOSE_PROJECT_NAME=stolen\nCOMPOSE_FILE=/etc/passwd\nHOME=/stolen\nDOCKER_HOST=tcp://127.0.0.1:1\n"
                .to_vec(),
        );
        ground.build(&app, commit(1), SERVE).await.unwrap();
        let odd = "${HOME} $HOME $$ %s 'x' \"y\" \\n # : { [ ü\n\tsecond line";
        app.env("ODD", odd);
        app.branch = "x${HOME}$(id);touch y".to_owned();
        app.slot(A, commit(1), AppUser::Unprivileged);
        ground.start(&app, &[Part::App(A)]).await.unwrap();
        app.healthy(A).await;
        assert_eq!(app.ask(A, "/env/ODD").await, odd);
        assert_eq!(app.ask(A, "/env/PREVIEW_BRANCH").await, app.branch);
        assert_eq!(app.ask(A, "/env/HOME").await, "/tmp");
    })
    .await;
}

#[tokio::test]
async fn an_unchanged_tree_runs_no_step() {
    on_engine(async |ground: &Ground| {
        let mut app = Deployment::new(ground, "cached", 1);
        app.put("mimic", mimic());
        app.put("secret.txt", b"not for the image".to_vec());
        app.put(".dockerignore", b"secret.txt\n".to_vec());
        // The installation's name makes the step new to the engine, whoever built what before.
        let dockerfile =
            format!("FROM scratch\nCOPY . /\nENV WHO={}\nRUN [\"/mimic\", \"tree\", \"/\"]\n", ground.instance);

        let log = ground.build(&app, commit(1), &dockerfile).await.unwrap();
        assert_eq!(steps_run(&log), 1, "{log}");
        assert!(log.contains(" mimic") && !log.contains("secret.txt"), "the repository's .dockerignore counts: {log}");

        app.fresh_checkout();
        let log = ground.build(&app, commit(2), &dockerfile).await.unwrap();
        assert_eq!(steps_run(&log), 0, "{log}");
        assert_eq!(ground.view(&app).await.images, [commit(1), commit(2)]);

        // One image under two tags: removing one keeps the other.
        ground.engine.remove_images(&app.id, &[commit(2)]).await.unwrap();
        assert_eq!(ground.view(&app).await.images, [commit(2)]);
        // A commit that is built again differently takes the tag; the image without one is not kept.
        app.put("new.txt", b"new".to_vec());
        ground.build(&app, commit(2), &dockerfile).await.unwrap();
        assert_eq!(ground.images().await.len(), 1);
    })
    .await;
}

#[tokio::test]
async fn an_image_that_lost_its_tag_goes_once_its_slot_is_gone() {
    on_engine(async |ground: &Ground| {
        let mut app = Deployment::new(ground, "retagged", 1);
        app.put("mimic", mimic());
        assert_eq!(ground.built(&app, commit(1), SERVE).await.user, "");
        app.slot(A, commit(1), AppUser::Unprivileged);
        ground.start(&app, &[Part::App(A)]).await.unwrap();
        assert_eq!(ground.built(&app, commit(1), &format!("{SERVE}USER 4711\n")).await.user, "4711");
        assert_eq!(ground.images().await.len(), 2, "one of them runs");
        ground.engine.remove_part(&app.id, Part::App(A)).await.unwrap();
        ground.engine.remove_images(&app.id, &[commit(1)]).await.unwrap();
        assert_eq!((ground.images().await.len(), ground.view(&app).await.images), (1, vec![commit(1)]));
    })
    .await;
}

/// Its tag would be met again and again, and no update would ever come to its end.
#[tokio::test]
async fn an_image_that_somebody_else_runs_loses_its_name_and_goes_later() {
    on_engine(async |ground: &Ground| {
        let mut app = Deployment::new(ground, "borrowed", 1);
        app.put("mimic", mimic());
        ground.build(&app, commit(1), SERVE).await.unwrap();
        let stranger =
            ground.stranger(&app.image(&commit(1)), BTreeMap::from([(LABEL_INSTANCE, "other".into())])).await;
        ground.engine.remove_images(&app.id, &[commit(2)]).await.unwrap();
        assert!(ground.view(&app).await.images.is_empty());
        assert_eq!(ground.images().await.len(), 1, "it runs");
        ground.force_remove(&stranger).await;
        // As the next update does, or a sweep in an hour.
        ground.engine.remove_images(&app.id, &[commit(2)]).await.unwrap();
        assert!(ground.images().await.is_empty());
    })
    .await;
}

#[tokio::test]
async fn a_build_that_nobody_waits_for_stops_in_the_engine() {
    on_engine(async |ground: &Ground| {
        let mut app = Deployment::new(ground, "dropped", 1);
        app.put("mimic", mimic());
        // The word in the command line finds the process; containers' processes are the host's too.
        let word = format!("deaf-{}", ground.instance);
        let dockerfile = format!("FROM scratch\nCOPY mimic /{word}\nRUN [\"/{word}\", \"deaf\"]\n");
        let running = || ground::processes_with(&word) > 0;
        {
            let build = ground.build(&app, commit(1), &dockerfile);
            tokio::pin!(build);
            let seen = eventually("the step runs", async || running());
            tokio::select! {
                ended = &mut build => panic!("the build ended: {ended:?}"),
                () = seen => {}
            }
        }
        eventually("the step is gone", async || !running()).await;
        assert!(ground.view(&app).await.is_empty());
        assert_eq!(ground.build_folders(), 0);
    })
    .await;
}

#[tokio::test]
async fn a_silent_build_and_a_broken_one_are_the_authors() {
    on_engine(async |ground: &Ground| {
        let mut app = Deployment::new(ground, "broken", 1);
        app.put("mimic", mimic());
        let name = format!("ENV WHO={}\n", ground.instance);

        let silent = format!("FROM scratch\nCOPY mimic /mimic\n{name}RUN [\"/mimic\", \"deaf\"]\n");
        let fault = ground.build(&app, commit(1), &silent).await.unwrap_err();
        assert_eq!(
            (fault.blame, fault.cause.as_str()),
            (Blame::Author, "the build printed nothing for 5s and was stopped, at `RUN [\"/mimic\", \"deaf\"]`")
        );

        let failing = format!("FROM scratch\nCOPY mimic /mimic\n{name}RUN [\"/mimic\", \"exit\", \"3\"]\n");
        let fault = ground.build(&app, commit(1), &failing).await.unwrap_err();
        assert_eq!(fault.cause, "`RUN [\"/mimic\", \"exit\", \"3\"]` failed with exit code 3");
        let mut said = fault.log_tail.clone();
        said.sort();
        assert_eq!((fault.blame, said), (Blame::Author, vec!["cannot go on".to_owned(), "giving up".to_owned()]));

        let missing = ground.build(&app, commit(1), "FROM scratch\nCOPY nothere /\n").await.unwrap_err();
        assert_eq!(missing.blame, Blame::Author);
        assert!(missing.cause.starts_with("`COPY nothere /` failed: "), "{}", missing.cause);

        let wrong = ground.build(&app, commit(1), "FROM scratch\nCOPPY . .\n").await.unwrap_err();
        assert_eq!(wrong.blame, Blame::Author);
        assert!(wrong.cause.contains("unknown instruction: COPPY"), "{}", wrong.cause);
        assert!(ground.view(&app).await.is_empty());
    })
    .await;
}

#[tokio::test]
async fn a_build_gets_no_host_network_and_no_privilege() {
    on_engine(async |ground: &Ground| {
        let mut app = Deployment::new(ground, "entitled", 1);
        app.put("mimic", mimic());
        for flag in ["--network=host", "--security=insecure"] {
            let dockerfile = format!("FROM scratch\nCOPY mimic /mimic\nRUN {flag} [\"/mimic\", \"tree\", \"/\"]\n");
            let fault = ground.build(&app, commit(1), &dockerfile).await.unwrap_err();
            assert_eq!(fault.blame, Blame::Author, "{flag}: {fault}");
        }
    })
    .await;
}

#[tokio::test]
async fn what_hinders_a_start_is_told() {
    on_engine(async |ground: &Ground| {
        let mut app = Deployment::new(ground, "hindered", 1);
        app.put("mimic", mimic());
        ground.build(&app, commit(1), SERVE).await.unwrap();

        // Somebody else has the port.
        let taken = app.slot(A, commit(1), AppUser::Unprivileged);
        let squatter = std::net::TcpListener::bind(("127.0.0.1", taken)).unwrap();
        let fault = ground.start(&app, &[Part::App(A)]).await.unwrap_err();
        assert_eq!(
            (fault.blame, fault.cause),
            (Blame::Passing, format!("host port {taken} is taken by another program"))
        );
        drop(squatter);
        ground.start(&app, &[Part::App(A)]).await.unwrap();
        app.healthy(A).await;

        // The image is missing, and no registry is asked for it.
        app.slot(B, commit(9), AppUser::Unprivileged);
        let fault = ground.start(&app, &[Part::App(B)]).await.unwrap_err();
        assert_eq!(fault.blame, Blame::Passing);
        assert!(fault.cause.contains("image is missing on the server"), "{}", fault.cause);

        // The command isn't in the image: it ends at once, with the code that says so.
        ground.build(&app, commit(2), "FROM scratch\nCOPY mimic /mimic\nCMD [\"/nothere\"]\n").await.unwrap();
        app.slot(B, commit(2), AppUser::Unprivileged);
        ground.start(&app, &[Part::App(B)]).await.unwrap();
        eventually("it ended", async || {
            let state = ground.view(&app).await.part(Part::App(B)).unwrap().state.clone();
            matches!(
                state,
                ContainerState::Restarting { exit_code: 127, .. } | ContainerState::Exited { exit_code: 127, .. }
            )
        })
        .await;
        let said = ground.engine.logs(&app.id, Part::App(B), 5).await.unwrap().join("\n");
        assert!(said.contains("/nothere"), "{said}");

        // A network range that another network has.
        let mut overlapping = Deployment::new(ground, "overlapping", 2);
        overlapping.subnet = app.subnet;
        overlapping.with_database();
        let fault = ground.start(&overlapping, &[Part::Database]).await.unwrap_err();
        assert_eq!(fault.blame, Blame::Passing);
        assert!(fault.cause.contains("overlaps"), "{}", fault.cause);
    })
    .await;
}

#[tokio::test]
async fn an_app_that_ends_is_seen_to_restart_and_its_events_arrive() {
    use futures_util::StreamExt;
    on_engine(async |ground: &Ground| {
        let mut app = Deployment::new(ground, "ending", 1);
        app.put("mimic", mimic());
        ground.build(&app, commit(1), &SERVE.replace("\"serve\"", "\"exit\", \"7\"")).await.unwrap();
        let mut events = ground.engine.events().await;
        app.slot(A, commit(1), AppUser::Unprivileged);
        ground.start(&app, &[Part::App(A)]).await.unwrap();
        let died = async {
            let died = events.by_ref().filter(|event| std::future::ready(event.action == "die")).next().await;
            died.expect("the engine is there").deployment
        };
        assert_eq!(tokio::time::timeout(Duration::from_secs(20), died).await.unwrap(), app.id);
        eventually("it restarts", async || {
            let view = ground.view(&app).await;
            let container = view.part(Part::App(A)).unwrap();
            container.restarts > 0
                && container.state == ContainerState::Restarting { exit_code: 7, out_of_memory: false }
        })
        .await;
        let follow = ground.engine.follow(&app.id, Part::App(A), 2).await;
        let followed: Vec<String> =
            tokio::time::timeout(Duration::from_secs(20), follow.take(2).collect()).await.unwrap();
        assert!(followed.contains(&"giving up".to_owned()), "{followed:?}");
    })
    .await;
}

#[tokio::test]
async fn what_is_not_ours_is_neither_seen_nor_touched() {
    on_engine(async |ground: &Ground| {
        let mut app = Deployment::new(ground, "shared-name", 1);
        app.put("mimic", mimic());
        ground.build(&app, commit(1), SERVE).await.unwrap();
        app.slot(A, commit(1), AppUser::Unprivileged);
        ground.start(&app, &[Part::App(A)]).await.unwrap();
        app.healthy(A).await;

        // Same deployment's name, another installation; and labels that name no deployment at all.
        let image = app.image(&commit(1));
        let foreign =
            BTreeMap::from([(LABEL_DEPLOYMENT, app.id.to_string()), (LABEL_INSTANCE, "ffffffffffff".to_owned())]);
        let unreadable =
            BTreeMap::from([(LABEL_DEPLOYMENT, "Not An Id".to_owned()), (LABEL_INSTANCE, ground.instance.to_string())]);
        let strangers = [ground.stranger(&image, foreign).await, ground.stranger(&image, unreadable).await];

        assert_eq!(ground.view(&app).await.containers.len(), 1);
        assert_eq!(ground.engine.observe_all().await.unwrap().len(), 1);
        ground.engine.remove_containers(&app.id).await.unwrap();
        ground.engine.remove_volumes(&app.id, Volumes::All).await.unwrap();
        ground.engine.remove_networks(&app.id).await.unwrap();
        assert!(ground.view(&app).await.containers.is_empty());
        for stranger in strangers {
            ground.docker.inspect_container(&stranger, None).await.expect("it is still there");
            ground.force_remove(&stranger).await;
        }
    })
    .await;
}

#[tokio::test]
async fn anonymous_volumes_and_foreign_guests_of_a_network_do_not_keep_it() {
    on_engine(async |ground: &Ground| {
        let mut app = Deployment::new(ground, "clinging", 1);
        app.put("mimic", mimic());
        ground.build(&app, commit(1), &format!("{SERVE}VOLUME /data\n")).await.unwrap();
        app.slot(A, commit(1), AppUser::Unprivileged);
        ground.start(&app, &[Part::App(A)]).await.unwrap();
        app.healthy(A).await;
        let id = ground.view(&app).await.part(Part::App(A)).unwrap().id.clone();
        let mounts = ground.docker.inspect_container(&id, None).await.unwrap().mounts.unwrap();
        let volume = mounts[0].name.clone().unwrap();

        let guest = ground.stranger_on(&app).await;
        ground.engine.remove_containers(&app.id).await.unwrap();
        assert!(ground.docker.inspect_volume(&volume).await.is_err(), "the anonymous volume went with its container");
        ground.engine.remove_networks(&app.id).await.unwrap();
        assert_eq!(ground.view(&app).await.networks, [""; 0]);
        ground.force_remove(&guest).await;
    })
    .await;
}

#[tokio::test]
async fn an_app_that_does_not_listen_is_not_healthy_and_stops_within_its_grace() {
    on_engine(async |ground: &Ground| {
        let mut app = Deployment::new(ground, "deaf", 1);
        app.put("mimic", mimic());
        ground.build(&app, commit(1), &SERVE.replace("\"serve\"", "\"deaf\"")).await.unwrap();
        app.slot(A, commit(1), AppUser::Unprivileged);
        ground.start(&app, &[Part::App(A)]).await.unwrap();
        assert_eq!(app.probe(A).await, Probe::NoAnswer);
        let started = Instant::now();
        ground.engine.remove_part(&app.id, Part::App(A)).await.unwrap();
        assert!(
            started.elapsed() < Duration::from_secs(9),
            "an init process passes SIGTERM on: {:?}",
            started.elapsed()
        );
    })
    .await;
}

#[tokio::test]
async fn forty_deployments_are_seen_with_one_look() {
    on_engine(async |ground: &Ground| {
        let mut app = Deployment::new(ground, "many", 1);
        app.put("mimic", mimic());
        ground.build(&app, commit(1), SERVE).await.unwrap();
        let image = app.image(&commit(1));
        let started = futures_util::future::join_all((1..=40).map(|number| {
            let id = format!("many-{number}");
            let labels = BTreeMap::from([(LABEL_DEPLOYMENT, id), (LABEL_INSTANCE, ground.instance.to_string())]);
            ground.created(&image, labels)
        }));
        assert_eq!(started.await.len(), 40);
        let begin = Instant::now();
        let all = ground.engine.observe_all().await.unwrap();
        assert_eq!(all.iter().filter(|(_, view)| view.containers.len() == 1).count(), 40);
        assert!(begin.elapsed() < Duration::from_secs(5), "{:?}", begin.elapsed());
    })
    .await;
}

#[tokio::test]
async fn a_build_that_wants_too_much_memory_is_killed_where_the_engine_can_be_held() {
    on_engine(async |ground: &Ground| {
        let mut app = Deployment::new(ground, "hungry", 1);
        app.put("mimic", mimic());
        let eat = |megabytes: u32| {
            let name = format!("ENV WHO={}", ground.instance);
            format!("FROM scratch\nCOPY mimic /mimic\n{name}\nRUN [\"/mimic\", \"eat\", \"{megabytes}\"]\n")
        };
        ground.build(&app, commit(1), &eat(16)).await.unwrap();
        match ground.engine.build_limits() {
            BuildLimits::Together => {
                let fault = ground.build(&app, commit(2), &eat(2200)).await.unwrap_err();
                let said =
                    "the build was killed: `RUN [\"/mimic\", \"eat\", \"2200\"]` wanted more than 2048 MB of memory";
                assert_eq!((fault.blame, fault.cause.as_str()), (Blame::Author, said));
            }
            BuildLimits::Absent(why) => assert!(!why.is_empty()),
        }
    })
    .await;
}

#[tokio::test]
async fn the_engine_says_what_it_is_and_has() {
    on_engine(async |ground: &Ground| {
        assert!(ground.engine.ping().await.unwrap().starts_with(|c: char| c.is_ascii_digit()));
        let here = ground.engine.room().await.unwrap();
        assert!(here.memory_available > 64 << 20 && here.disk_total > here.disk_free, "{here:?}");
    })
    .await;
}

#[tokio::test]
async fn no_engine_is_said_with_its_address() {
    let options = |host: &str| EngineOptions {
        runtime: None,
        docker_host: Some(host.to_owned()),
        instance: InstanceId::from_bytes([0; 6]),
        home: "/nonexistent/home".into(),
        build: BuildOptions {
            group: None,
            ceilings: Ceilings { memory_bytes: 1 << 30, cpus: 1.0, processes: 100 },
            timeout: Duration::MAX,
            silence: Duration::MAX,
        },
    };
    let said = async |host: &str| Engine::connect(options(host)).await.err().expect("there is none").to_string();
    let unreachable = "no Docker engine answers at `unix:///nonexistent/docker.sock`: is it running, and may this user use it \
                       (group `docker`)?";
    assert_eq!(said("unix:///nonexistent/docker.sock").await, unreachable);
    let remote = "`tcp://203.0.113.1:2375` is no address of an engine on this machine: write it as `unix:///path/to/docker.sock`";
    assert_eq!(said("tcp://203.0.113.1:2375").await, remote);
}
