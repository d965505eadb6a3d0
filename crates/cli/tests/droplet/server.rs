//! A bare machine becomes a preview server, and does what a server has to. Asked for by `DROPLET=1`; it takes minutes.

use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use futures_util::StreamExt;
use preview_core::ids::ProjectSlug;
use preview_simulator::{APP_KEY, App, Change, Mimic, Options, Pull};
use serde_json::{Value, json};
use tokio::net::TcpStream;

use crate::machine::PATIENCE;
use crate::scene::Scene;
use crate::{is_asked_for, tell};

/// What may answer from outside. 443 is open and nobody listens there until there are certificates.
const OPEN: [u16; 2] = [22, 80];

#[tokio::test(flavor = "multi_thread")]
async fn a_bare_machine_becomes_a_server_that_keeps_its_promises() {
    if !is_asked_for() {
        tell("DROPLET=1 was not set: no machine was booted, and the roles did not run");
        return;
    }
    let mut scene = Scene::set().await;
    scene.a_check_foresees_and_changes_nothing().await;
    scene.getting_started_is_followed_to_the_letter().await;
    scene.a_server_with_a_name_speaks_tls().await;
    scene.roles_run_twice_and_change_nothing_the_second_time().await;
    scene.the_service_has_no_rights_that_it_does_not_need().await;
    let (first, url) =
        scene.a_delivery_through_nginx_gives_a_preview_through_nginx("first", Mimic::new("first").files()).await;
    scene.an_image_that_was_brought_is_built_from().await;
    scene.nothing_else_answers_from_outside(&first).await;
    scene.a_preview_reaches_nothing_near(&first, &url).await;
    scene.a_killed_service_comes_back(&url).await;
    scene.all_is_back_after_a_restart_of_the_machine(&first, &url).await;
    scene.a_github_app_takes_the_tokens_place().await;
}

impl Scene {
    /// What the operator gives to the playbook.
    fn variables(&self) -> Value {
        let group = &self.machine.group;
        json!({
            "preview_binary": env!("CARGO_BIN_EXE_preview"),
            "preview_settings": {
                "ALLOWED_REPOS": self.repo.name().to_string(),
                "GITHUB_API_URL": self.github.api_url(),
                "GITHUB_SERVER_URL": self.github.server_url(),
                "PREVIEW_BASE_URL": format!("http://{}", self.machine.address),
                // Where this machine's control groups are, which it shares with the one that it runs on.
                "BUILD_CGROUP": format!("{group}/buildkit"),
            },
            "preview_secrets": {
                "GITHUB_TOKEN": self.github.token(),
                "GITHUB_WEBHOOK_SECRET": self.github.webhook_secret(),
            },
        })
    }

    async fn a_check_foresees_and_changes_nothing(&self) {
        let foreseen = self.machine.playbook(&self.variables(), &["--check"]).await;
        assert!(foreseen.changed > 0);
        let is_there = self.machine.try_to("test -e /usr/local/bin/preview").await.status.success();
        assert!(!is_there, "a check changes nothing");
    }

    async fn roles_run_twice_and_change_nothing_the_second_time(&self) {
        self.a_check_foresees_and_changes_nothing().await;
        let variables = self.variables();
        self.machine.playbook(&variables, &[]).await;
        for more in [&[][..], &["--check"]] {
            let again = self.machine.playbook(&variables, more).await;
            assert_eq!(again.changed, 0, "{more:?}: {:#?}", again.tasks);
        }
        let hook = self.repo.add_hook(&self.door());
        self.github
            .wait_for("GitHub's ping is answered through nginx", PATIENCE, |state| {
                state
                    .deliveries()
                    .find(|delivery| delivery.hook == hook && delivery.event == "ping")
                    .and_then(|ping| ping.status())
                    .filter(|s| *s == 200)
            })
            .await
            .unwrap();
    }

    async fn the_service_has_no_rights_that_it_does_not_need(&self) {
        let machine = &self.machine;
        let status = machine.run("cat /proc/$(systemctl show --value -p MainPID preview-orchestrator)/status").await;
        for line in ["NoNewPrivs:\t1", "CapEff:\t0000000000000000", "CapBnd:\t0000000000000000", "Seccomp:\t2"] {
            assert!(status.contains(line), "{line}: {status}");
        }
        let files = "stat -c '%U %a' /etc/preview-deployer/environment /opt/preview-deployer/deployments.json /run/preview-deployer/helper.sock";
        assert_eq!(machine.run(files).await, "root 600\npreview 600\nroot 660");
        // Anybody else on the machine is no user of the helper, and whoever is gets nothing but its verbs.
        let stranger =
            machine.try_to("setpriv --reuid nobody --clear-groups /usr/local/bin/preview helper nginx-reload").await;
        assert!(stranger.stderr.contains("Permission denied"), "{}", stranger.stderr);
        let odd = "printf 'nginx-test -c /etc/shadow\\n' | setpriv --reuid preview --regid preview --clear-groups python3 -c '\
                   import socket,sys; s=socket.socket(socket.AF_UNIX); s.connect(\"/run/preview-deployer/helper.sock\"); \
                   s.sendall(sys.stdin.buffer.read()); s.shutdown(1); print(s.recv(999).decode())'";
        assert!(machine.run(odd).await.starts_with("failed\nthat is nothing that the helper does"));
        let checks = self.health().await["checks"].clone();
        for check in ["docker", "ledger", "router", "github", "builds", "walls"] {
            assert_eq!(checks[check]["ok"], true, "{check}: {checks}");
        }
    }

    /// As on a machine that reaches a registry: the image is there.
    async fn an_image_that_was_brought_is_built_from(&self) {
        self.machine.bring_image("debian:bookworm-slim").await;
        let dockerfile = "FROM debian:bookworm-slim\nRUN id >/who\nCOPY mimic VERSION /\nENTRYPOINT [\"/mimic\"]\n";
        let files = [Mimic::new("on-debian").files(), vec![Change::write("Dockerfile", dockerfile)]].concat();
        self.a_delivery_through_nginx_gives_a_preview_through_nginx("on-debian", files).await;
    }

    async fn nothing_else_answers_from_outside(&self, pull: &Pull) {
        let machine = &self.machine;
        let address: IpAddr = machine.address.parse().unwrap();
        let attempts = futures_util::stream::iter(1..=u16::MAX).map(async |port| {
            let connect = TcpStream::connect(SocketAddr::new(address, port));
            tokio::time::timeout(Duration::from_secs(1), connect).await.ok().and_then(Result::ok).map(|_| port)
        });
        let mut open: Vec<u16> = attempts.buffer_unordered(2000).filter_map(async |port| port).collect().await;
        open.sort_unstable();
        assert_eq!(open, OPEN);
        let unknown = self.http.get(format!("http://{address}/")).send().await.unwrap();
        assert_eq!(unknown.status(), 404);
        assert!(unknown.text().await.unwrap().contains("Nothing here"));
        for closed in ["/api/previews", "/health", "/webhook", "/webhook/github/x"] {
            let answer = self.http.get(format!("http://{address}{closed}")).send().await.unwrap();
            assert_eq!(answer.status(), 404, "{closed}");
        }
        let deliveries = format!("http://{address}/webhook/github");
        assert_eq!(self.http.get(&deliveries).send().await.unwrap().status(), 403);
        // Larger than nginx lets through by itself: it arrives, and has no signature.
        let large = self.http.post(&deliveries).body(vec![b' '; 2 << 20]).send().await.unwrap();
        assert_eq!(large.status(), 401);

        // A neighbour on the same wire who knows where previews are. Without the host's firewall, that is enough.
        let app = self.container(pull).await;
        let ask = format!(
            "ip route add {app}/32 via {address} && curl --silent --max-time 4 http://{app}:3000/ || echo nothing"
        );
        machine.run("nft delete table inet preview_host").await;
        assert_eq!(machine.neighbour(&ask).await, "first");
        machine.run("systemctl reload preview-host-firewall").await;
        assert_eq!(machine.neighbour(&ask).await, "nothing");
    }

    /// The address of an app's container.
    async fn container(&self, pull: &Pull) -> String {
        let slug = ProjectSlug::for_repo(&pull.repo().name(), |_| false);
        let format = "{{range .NetworkSettings.Networks}}{{.IPAddress}}{{end}}";
        self.machine.run(&format!("docker inspect --format '{format}' {slug}-{}-app-a-1", pull.number())).await
    }

    async fn a_preview_reaches_nothing_near(&self, pull: &Pull, url: &str) {
        let app = self.container(pull).await;
        let gateway =
            self.machine.run(&format!("ip -4 -o route get {app} | sed 's/.* src \\([0-9.]*\\).*/\\1/'")).await;
        // As in a cloud: metadata that the machine itself reaches.
        self.machine.run("ip address add 169.254.169.254/32 dev lo").await;
        let address = &self.machine.address;
        let places = [
            format!("{gateway}:22"),
            format!("{gateway}:80"),
            format!("{address}:22"),
            format!("{address}:80"),
            "169.254.169.254:80".to_owned(),
        ];
        for place in &places {
            let here = self.machine.try_to(&format!("timeout 5 bash -c '</dev/tcp/{}'", place.replace(':', "/"))).await;
            assert!(here.status.success(), "{place} is there: {}", here.stderr);
            let reached = self.http.get(format!("{url}reach?at={place}")).send().await.unwrap().text().await.unwrap();
            assert_ne!(reached, "open", "{place}");
        }
        // Who may ask it what it can reach sees that it can reach something.
        let itself = self.http.get(format!("{url}reach?at={app}:3000")).send().await.unwrap().text().await.unwrap();
        assert_eq!(itself, "open");
    }

    async fn a_killed_service_comes_back(&self, url: &str) {
        self.the_service_is_killed_and_started_again().await;
        self.answers(url, "first").await;
        self.a_delivery_through_nginx_gives_a_preview_through_nginx(
            "after-the-kill",
            Mimic::new("after-the-kill").files(),
        )
        .await;
    }

    async fn all_is_back_after_a_restart_of_the_machine(&mut self, pull: &Pull, url: &str) {
        let address = self.machine.address.clone();
        self.machine.restart().await;
        assert_eq!(self.machine.address, address, "the machine kept its address");
        self.answers(url, "first").await;
        let failed = self.machine.run("systemctl --failed --no-legend --plain").await;
        assert_eq!(failed, "");
        // The walls stand again, the host's and the previews'.
        self.a_preview_reaches_nothing_near(pull, url).await;
        assert!(self.machine.run("nft list table inet preview_host").await.contains("policy drop"));
        self.a_delivery_through_nginx_gives_a_preview_through_nginx(
            "after-the-restart",
            Mimic::new("after-the-restart").files(),
        )
        .await;
    }

    /// Another GitHub, which accepts an App's tokens and no other.
    async fn a_github_app_takes_the_tokens_place(&mut self) {
        let options = Options { app: Some(App::default()), first_id: 9_000_000, ..Options::default() };
        self.turns_to(options, "my-org/of-an-app").await;
        let key = self.machine.file("app.pem", APP_KEY.as_bytes());
        let mut variables = self.variables();
        variables["preview_settings"]["GITHUB_APP_ID"] = "4711".into();
        variables["preview_secrets"].as_object_mut().unwrap().remove("GITHUB_TOKEN");
        variables["preview_github_app_key"] = key.display().to_string().into();
        self.machine.playbook(&variables, &["--diff"]).await;
        assert_eq!(self.machine.run("stat -c '%U %a' /opt/preview-deployer/github-app.pem").await, "preview 600");
        let environment = self.machine.run("cat /etc/preview-deployer/environment").await;
        assert!(!environment.contains("GITHUB_TOKEN") && !environment.contains("PRIVATE KEY"), "{environment}");
        self.repo.add_hook(&self.door());
        let files = Mimic::new("of-an-app").files();
        let (pull, _) = self.a_delivery_through_nginx_gives_a_preview_through_nginx("of-an-app", files).await;
        self.is_told(&pull, &self.url(&pull)).await;
    }
}
