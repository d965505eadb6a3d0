//! The same machine once more, by a name and with `TLS=acme`: certificates of a real ACME server, which asks for their names at nginx's
//! port 80, as Let's Encrypt does. First the name leads elsewhere, and `preview setup` says so.

use std::net::{Ipv4Addr, SocketAddr};
use std::time::Duration;

use preview_core::ids::ProjectSlug;
use preview_simulator::state::Delivery;
use preview_simulator::{Mimic, NewPull, Pull};
use reqwest::redirect::Policy;
use reqwest::tls::TlsInfo;
use serde_json::Value;

use crate::guide::{Answer, MAY, REPOSITORY};
use crate::laptop::Laptop;
use crate::machine::eventually;
use crate::scene::{DOMAIN, Scene};
use crate::tell;

/// Where nobody is.
const ELSEWHERE: Ipv4Addr = Ipv4Addr::new(127, 0, 0, 99);
/// The port of encrypted visitors, and that of others.
const TLS: u16 = 443;
const PLAIN: u16 = 80;

/// What a visitor got.
#[derive(Debug)]
struct Got {
    status: u16,
    location: String,
    body: String,
    /// The certificate that the other side showed.
    certificate: Vec<u8>,
}

impl Scene {
    pub(crate) async fn a_server_with_a_name_speaks_tls(&self) {
        let more = [
            ("ACME_DIRECTORY", self.pebble.directory()),
            ("ACME_CA_FILE", self.pebble.own_authority_file().display().to_string()),
        ];
        let laptop = Laptop::open(&self.machine, &self.github, &more).await;
        let init = format!(
            "preview init --host root@{} --repo {REPOSITORY} --domain {DOMAIN} --set TLS=acme",
            self.machine.address
        );
        laptop.is_fine(&init, &[("The server's token for GitHub", Answer::Token)]).await;
        self.a_name_that_leads_elsewhere_is_told(&laptop).await;
        let shown = laptop.is_fine("preview setup", &[MAY]).await;
        assert!(shown.contains("done there is a certificate for the server's address"), "{shown}");
        assert!(shown.contains(&format!("serves previews at https://{DOMAIN}")), "{shown}");
        self.deliveries_come_encrypted();
        let pull = self.a_preview_is_visited_by_a_host_of_its_own().await;
        self.plain_http_is_for_the_authority_and_leads_to_tls(&pull).await;
        self.a_made_up_name_starts_no_order(&pull).await;
        self.certificates_stay(&laptop, &pull).await;
        laptop.is_fine("preview destroy --keep-data --yes", &[]).await;
        self.nothing_is_left(&laptop).await;
    }

    /// With what helps; all else is in place, but for the webhook, whose deliveries nobody would take.
    async fn a_name_that_leads_elsewhere_is_told(&self, laptop: &Laptop) {
        let zone = self.pebble.zone();
        zone.lead_to(DOMAIN, ELSEWHERE).await;
        let shown = laptop.types("preview setup", &[MAY]).await;
        assert_eq!(shown.code, 1, "{}", shown.text);
        for said in [
            &format!("error: there is no certificate for {DOMAIN}"),
            "the authority was not convinced (connection): ",
            &ELSEWHERE.to_string(),
            &format!("add the DNS record `{DOMAIN} A {}`", self.machine.address),
            "port 80 of the server has to be open to the internet",
            "hint: what is done stays: `preview setup` goes on",
        ] {
            assert!(shown.text.contains(said), "{said}: {}", shown.text);
        }
        assert_eq!(self.hooks(), []);
        zone.lead_back(DOMAIN).await;
    }

    fn deliveries_come_encrypted(&self) {
        let [(hook, door, _)] = &self.hooks()[..] else { panic!("{:?}", self.hooks()) };
        assert_eq!(door, &format!("https://{DOMAIN}/webhook/github"));
        let is_ping = |delivery: &&Delivery| delivery.hook == *hook && delivery.event == "ping";
        assert_eq!(self.github.look(|state| state.deliveries().filter(is_ping).last().unwrap().status()), Some(200));
    }

    async fn a_preview_is_visited_by_a_host_of_its_own(&self) -> Pull {
        let pull = self.repo.open_pull(NewPull::new("encrypted", Mimic::new("encrypted").files())).await.unwrap();
        let (own, path) = (host(&pull), path(&pull));
        for (host, path) in [(own.as_str(), "/"), (DOMAIN, path.as_str())] {
            let got = eventually(&format!("https://{host}{path} answers"), async || {
                self.visit(host, TLS, path).await.ok().filter(|got| got.status == 200)
            })
            .await;
            assert!(got.body.contains("encrypted"), "{got:?}");
        }
        self.the_last_opening_was_taken();
        self.is_told(&pull, &format!("https://{own}/")).await;
        assert_eq!((self.pebble.orders(), self.pebble.accounts()), (3, 1), "one failed, and each name has its own");
        pull
    }

    async fn plain_http_is_for_the_authority_and_leads_to_tls(&self, pull: &Pull) {
        for (host, path) in [(host(pull), "/a?b=c".to_owned()), (DOMAIN.to_owned(), format!("{}a?b=c", path(pull)))] {
            let sent = self.visit(&host, PLAIN, &path).await.unwrap();
            assert_eq!((sent.status, sent.location), (308, format!("https://{host}{path}")));
            let asked = self.visit(&host, PLAIN, "/.well-known/acme-challenge/made-up").await.unwrap();
            assert_eq!((asked.status, asked.location.as_str()), (404, ""), "{host}");
            assert!(
                asked.body.contains("no certificate authority is waited for"),
                "the service answers: {}",
                asked.body
            );
        }
        // Who knows it by its address alone still gets an answer, as before.
        let by_address = self.http.get(format!("http://{}/", self.machine.address)).send().await.unwrap();
        assert_eq!(by_address.status(), 404);
    }

    /// By then those made up would have got theirs: a pull request that comes later has its own.
    async fn a_made_up_name_starts_no_order(&self, pull: &Pull) {
        let slug = ProjectSlug::for_repo(&pull.repo().name(), |_| false);
        let made_up = [format!("pr-99-{slug}.{DOMAIN}"), format!("www.{DOMAIN}"), "evil.test".to_owned()];
        for name in &made_up {
            assert!(self.visit(name, TLS, "/").await.is_err(), "{name} has no certificate");
            let plain = self.visit(name, PLAIN, "/.well-known/acme-challenge/made-up").await.unwrap();
            assert_eq!(plain.status, 404, "{name}");
        }
        let files = Mimic::new("encrypted-too").files();
        let other = self.repo.open_pull(NewPull::new("encrypted-too", files)).await.unwrap();
        let other = host(&other);
        let served = async || self.visit(&other, TLS, "/").await.ok().filter(|got| got.status == 200);
        eventually(&format!("https://{other}/ answers"), served).await;
        assert_eq!(self.pebble.orders(), 4);
    }

    /// Through a setup that changes nothing, an upgrade, and a restart: nothing is asked for again.
    async fn certificates_stay(&self, laptop: &Laptop, pull: &Pull) {
        let hosts = [DOMAIN.to_owned(), host(pull)];
        let before = self.certificates(&hosts).await;
        let again = laptop.runs(&["setup", "--yes", "--no-input", "--json"]).await;
        assert!(again.status.success(), "{}", again.stderr);
        let told: Value = serde_json::from_str(&again.text()).unwrap();
        assert_eq!((&told["changed"], &told["url"]), (&0.into(), &format!("https://{DOMAIN}").into()), "{told}");
        tell("`preview setup` with a name again: changed=0");

        let pid = self.main_pid().await;
        laptop.gets_another_build();
        let shown = laptop.is_fine("preview upgrade", &[MAY]).await;
        assert!(shown.contains("done there is a certificate for the server's address"), "{shown}");
        assert_ne!(self.main_pid().await, pid, "another program runs");
        assert_eq!(self.certificates(&hosts).await, before);
        self.machine.run("systemctl restart preview-orchestrator").await;
        self.is_well().await;
        assert_eq!(self.certificates(&hosts).await, before);
        assert_eq!((self.pebble.orders(), self.pebble.accounts()), (4, 1), "nothing was asked for again");
        let others = "find /opt/preview-deployer/tls -perm /077";
        assert_eq!(self.machine.run(others).await, "", "nobody else may read keys and account");
        let files = "find /opt/preview-deployer/tls -type f -name '*.json' -o -name '*.pem' | wc -l";
        assert_eq!(self.machine.run(files).await, "5", "an account, what failed, and three certificates");
        tell("`preview upgrade` and a restart: the same certificates, and no new order");
    }

    /// The service answers, and finds nothing amiss with certificates.
    async fn is_well(&self) {
        eventually("the service is well", async || {
            let asked = "curl -sf -H \"Authorization: Bearer $(cat /opt/preview-deployer/api-token)\" http://127.0.0.1:3000/health";
            let told: Value = serde_json::from_str(&self.machine.try_to(asked).await.text()).ok()?;
            (told["checks"]["certificates"]["ok"] == true).then_some(())
        })
        .await;
    }

    /// The certificates that these hosts show.
    async fn certificates(&self, hosts: &[String]) -> Vec<Vec<u8>> {
        let mut seen = Vec::new();
        for host in hosts {
            seen.push(self.visit(host, TLS, "/").await.unwrap().certificate);
        }
        seen
    }

    /// Visits a host of the machine, as somebody who trusts what pebble gives, and nobody else.
    async fn visit(&self, host: &str, port: u16, path: &str) -> reqwest::Result<Got> {
        let address = SocketAddr::from((self.machine.address.parse::<Ipv4Addr>().unwrap(), port));
        let client = reqwest::Client::builder().no_proxy().redirect(Policy::none()).timeout(Duration::from_secs(20));
        let client = client.tls_certs_only([self.root.clone()]).tls_info(true).resolve(host, address).build()?;
        let scheme = if port == TLS { "https" } else { "http" };
        let answer = client.get(format!("{scheme}://{host}{path}")).send().await?;
        let location = answer.headers().get("location").map(|value| value.to_str().unwrap().to_owned());
        let certificate = answer.extensions().get::<TlsInfo>().and_then(|info| info.peer_certificate());
        let certificate = certificate.unwrap_or_default().to_owned();
        let status = answer.status().as_u16();
        Ok(Got { status, location: location.unwrap_or_default(), body: answer.text().await?, certificate })
    }
}

/// The host of a preview's own.
fn host(pull: &Pull) -> String {
    let slug = ProjectSlug::for_repo(&pull.repo().name(), |_| false);
    format!("pr-{}-{slug}.{DOMAIN}", pull.number())
}

/// Its path below the installation's address.
fn path(pull: &Pull) -> String {
    let slug = ProjectSlug::for_repo(&pull.repo().name(), |_| false);
    format!("/{slug}/pr-{}/", pull.number())
}
