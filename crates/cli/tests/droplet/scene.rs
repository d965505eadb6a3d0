//! A machine that becomes a server, GitHub, and who visits: what every part of the story on it needs.

use std::net::{Ipv4Addr, SocketAddr};
use std::time::Duration;

use preview_core::ids::ProjectSlug;
use preview_simulator::programs::Pebble;
use preview_simulator::{Change, GitHub, Mimic, NewPull, Options, Pull, Repo};
use reqwest::Certificate;
use serde_json::Value;

use crate::guide::REPOSITORY;
use crate::machine::{Machine, eventually};

/// The name that leads to the machine, in the world of this test.
pub(crate) const DOMAIN: &str = "previews.test";
/// Certificates are good for so long: none ends in a test.
const LONG: Duration = Duration::from_secs(90 * 24 * 3600);

/// The server, GitHub, a certificate authority, and who visits.
pub(crate) struct Scene {
    pub(crate) machine: Machine,
    pub(crate) pebble: Pebble,
    /// By whom the certificates are trusted that it gives.
    pub(crate) root: Certificate,
    pub(crate) github: GitHub,
    pub(crate) repo: Repo,
    pub(crate) http: reqwest::Client,
}

/// A GitHub with one repository.
async fn github(options: Options, repository: &str) -> (GitHub, Repo) {
    let github = GitHub::start(options).await.unwrap();
    let files = Mimic::new("main").repository().await.unwrap();
    let repo = github.create_repo(repository, files).await.unwrap();
    (github, repo)
}

fn port(github: &GitHub) -> u16 {
    github.server_url().rsplit_once(':').unwrap().1.parse().unwrap()
}

impl Scene {
    /// A bare machine, which finds GitHub and the authority where this one finds them: on ports of its loopback address.
    pub(crate) async fn set() -> Self {
        preview_orchestrator::github::install_tls();
        let http = reqwest::Client::builder().pool_max_idle_per_host(0).timeout(Duration::from_secs(20));
        let mut machine = Machine::boot().await;
        let address: Ipv4Addr = machine.address.parse().unwrap();
        let pebble = Pebble::start((address, 80), LONG).await;
        let root = pebble.root().await;
        let hosts = vec![(DOMAIN.to_owned(), SocketAddr::from((address, 443)))];
        let options = Options { hosts, authorities: vec![root.clone()], ..Options::default() };
        let (github, repo) = github(options, REPOSITORY).await;
        machine.share_ports(&[port(&github), pebble.port()]).await;
        Self { machine, pebble, root, github, repo, http: http.build().unwrap() }
    }

    /// From now on GitHub is another one.
    pub(crate) async fn turns_to(&mut self, options: Options, repository: &str) {
        (self.github, self.repo) = github(options, repository).await;
        self.machine.share_ports(&[port(&self.github), self.pebble.port()]).await;
    }

    /// Where deliveries come to.
    pub(crate) fn door(&self) -> String {
        format!("http://{}/webhook/github", self.machine.address)
    }

    pub(crate) fn url(&self, pull: &Pull) -> String {
        let slug = ProjectSlug::for_repo(&pull.repo().name(), |_| false);
        format!("http://{}/{slug}/pr-{}/", self.machine.address, pull.number())
    }

    /// Waits until a preview shows this.
    pub(crate) async fn answers(&self, url: &str, wanted: &str) {
        let what = format!("{url} answers with {wanted:?}");
        eventually(&what, async || {
            let answer = self.http.get(url).send().await.ok().filter(|answer| answer.status() == 200)?;
            answer.text().await.ok().filter(|text| text.contains(wanted)).map(drop)
        })
        .await;
    }

    pub(crate) async fn a_delivery_through_nginx_gives_a_preview_through_nginx(
        &self,
        version: &str,
        files: Vec<Change>,
    ) -> (Pull, String) {
        let pull = self.repo.open_pull(NewPull::new(format!("feature-{version}"), files)).await.unwrap();
        let url = self.url(&pull);
        self.answers(&url, version).await;
        self.the_last_opening_was_taken();
        (pull, url)
    }

    pub(crate) fn the_last_opening_was_taken(&self) {
        let answered = self.github.look(|state| {
            let opened = |delivery: &&preview_simulator::state::Delivery| delivery.action.as_deref() == Some("opened");
            state.deliveries().filter(opened).filter_map(|delivery| delivery.status()).last()
        });
        assert_eq!(answered, Some(202));
    }

    /// Waits until the one comment says where the preview is.
    pub(crate) async fn is_told(&self, pull: &Pull, url: &str) {
        eventually("the comment tells of the preview", async || {
            let comments = pull.bot_comments();
            assert!(comments.len() < 2, "it is one comment");
            let is_ready = |text: &str| text.contains("Preview is ready") && text.contains(url);
            comments.iter().any(|comment| is_ready(&comment.body)).then_some(())
        })
        .await;
    }

    /// What the service says of itself, asked on the machine.
    pub(crate) async fn health(&self) -> Value {
        let ask =
            "curl -s -H \"Authorization: Bearer $(cat /opt/preview-deployer/api-token)\" http://127.0.0.1:3000/health";
        serde_json::from_str(&self.machine.run(ask).await).unwrap()
    }

    pub(crate) async fn main_pid(&self) -> String {
        self.machine.run("systemctl show --value -p MainPID preview-orchestrator").await
    }

    /// Kills the service as nothing else does, and waits until systemd has started another.
    pub(crate) async fn the_service_is_killed_and_started_again(&self) {
        let before = self.main_pid().await;
        self.machine.run(&format!("kill -9 {before}")).await;
        eventually("systemd starts the service again", async || {
            let now = self.main_pid().await;
            (now != before && now != "0").then_some(())
        })
        .await;
    }
}
