//! `TLS=acme`: `preview setup` and `upgrade` wait for the first certificate, and tell what is in its way. What the service says of it is
//! played here in the service's own words; the real thing is played on a machine (`tests/droplet`).

use jiff::{SignedDuration, Timestamp};
use preview_orchestrator::tls::{Overview, Stage, Standing};

use crate::door::DOMAIN;
use crate::rig::Rig;

const HOST: [&str; 2] = ["--host", "root@203.0.113.7"];
const SETUP: [&str; 2] = ["setup", "--yes"];
const UPGRADE: [&str; 2] = ["upgrade", "--yes"];

fn told(state: Stage, served: bool) -> Overview {
    let none =
        Standing { name: DOMAIN.to_owned(), state, until: None, cause: None, problem: None, tried: None, next: None };
    let until = (state == Stage::Valid).then(|| "2026-04-29T10:00:00Z".parse().unwrap());
    Overview {
        certificates: vec![Standing { until, ..none }],
        served,
        by_record: false,
        address: None,
        now: Timestamp::now(),
    }
}

fn ordered() -> Overview {
    told(Stage::Ordered, true)
}

fn valid() -> Overview {
    told(Stage::Valid, true)
}

/// It failed so long ago, for this reason.
fn failed(seconds: i64, problem: &str, cause: &str) -> Overview {
    let mut told = told(Stage::Failed, true);
    let standing = &mut told.certificates[0];
    standing.tried = Some(told.now - SignedDuration::from_secs(seconds));
    standing.next = Some("2026-01-29T11:00:00Z".parse().unwrap());
    (standing.problem, standing.cause) = (Some(problem.to_owned()), Some(cause.to_owned()));
    told
}

impl Rig {
    /// The service says this one after the other, and the last from then on.
    fn certificates_are(&self, told: &[Overview]) {
        let folder = self.path("certificates");
        std::fs::remove_dir_all(&folder).unwrap();
        std::fs::create_dir(&folder).unwrap();
        for (number, told) in told.iter().enumerate() {
            std::fs::write(folder.join(format!("{number:02}")), serde_json::to_vec(told).unwrap()).unwrap();
        }
    }

    /// What was asked of the service since the last time, each as whether it was to try again.
    fn asked(&self) -> Vec<bool> {
        let scripts = std::fs::read_to_string(self.path("scripts")).unwrap();
        std::fs::remove_file(self.path("scripts")).unwrap();
        let asked = scripts.lines().filter(|line| line.contains("preview certificates --json"));
        asked.map(|line| line.ends_with(" --retry")).collect()
    }
}

#[tokio::test]
async fn the_first_certificate_is_waited_for_and_then_deliveries_come_encrypted() {
    let rig = Rig::by_name().await;
    rig.init(&HOST).await;
    let (code, text) = rig.run(&["setup", "--dry-run"]).await;
    assert!(code == 0 && text.contains("first certificate, which is waited for"), "{text}");
    rig.certificates_are(&[ordered(), told(Stage::Valid, false), valid()]);
    let (code, text) = rig.run(&SETUP).await;
    assert_eq!(code, 0, "{text}");
    insta::assert_snapshot!("setup_with_certificate", text);
    assert_eq!(rig.asked(), [false; 3]);
    rig.has_one_hook();
    assert_eq!(rig.json("vars.json")["preview_settings"]["PREVIEW_BASE_URL"], "https://previews.example.com");
    // A second time it is there.
    assert_eq!(rig.run(&SETUP).await.0, 0);
    assert_eq!(rig.asked(), [false]);
}

#[tokio::test]
async fn what_the_authority_had_against_it_is_told_with_what_helps_and_tried_at_once_the_next_time() {
    let rig = Rig::by_name().await;
    rig.init(&HOST).await;
    for (problem, cause) in [
        ("dns", "the authority was not convinced (dns): no valid A records found for previews.example.com"),
        ("connection", "the authority was not convinced (connection): 203.0.113.7: Timeout during connect"),
        ("unauthorized", "the authority was not convinced (unauthorized): 198.51.100.1: Invalid response: 404"),
        ("caa", "the authority refused (caa): CAA record for example.com prevents issuance"),
        ("rateLimited", "the authority refused (rateLimited): too many certificates already issued"),
        ("serverInternal", "the authority refused (serverInternal): it is ill \u{1b}[31m"),
    ] {
        rig.certificates_are(&[ordered(), failed(0, problem, cause)]);
        let (code, text) = rig.run(&SETUP).await;
        assert_eq!(code, 1, "{text}");
        insta::assert_snapshot!(format!("setup_certificate_{problem}"), text);
        assert_eq!(rig.asked(), [false, false], "what failed just now is not tried again");
    }
    assert_eq!((rig.hooks(), rig.home("state.json").exists()), (vec![], false), "GitHub would knock at a closed door");

    let long_ago = || failed(3600, "dns", "the authority was not convinced (dns): NXDOMAIN");
    // What the authority asked to wait with stays as it is.
    rig.certificates_are(&[long_ago(), long_ago()]);
    let (code, text) = rig.run(&SETUP).await;
    assert!(code == 1 && text.contains("NXDOMAIN"), "{text}");
    assert_eq!(rig.asked(), [false, true]);
    rig.certificates_are(&[long_ago(), ordered(), valid()]);
    let (code, text) = rig.run(&SETUP).await;
    assert_eq!(code, 0, "{text}");
    assert_eq!(rig.asked(), [false, true, false]);
    rig.has_one_hook();
}

#[tokio::test]
async fn waiting_has_an_end_and_goes_on_the_next_time() {
    let rig = Rig::by_name().await;
    rig.init(&HOST).await;
    rig.certificates_are(&[ordered()]);
    let (code, text) = rig.run(&["setup", "--yes", "--certificate-wait", "1"]).await;
    assert_eq!(code, 1, "{text}");
    insta::assert_snapshot!("setup_certificate_late", text);
    rig.also("ssh", "case $(cat \"$here/script\") in *certificates*) kill -INT $PPID; sleep 30 ;; esac");
    let (code, text) = rig.run(&SETUP).await;
    assert_eq!(code, 130, "{text}");
    insta::assert_snapshot!("setup_certificate_stopped", text);
    // An upgrade has done its work by then.
    let (code, text) = rig.run(&UPGRADE).await;
    assert_eq!(code, 130, "{text}");
    insta::assert_snapshot!("upgrade_certificate_stopped", text);
    rig.no_more("ssh");
    rig.certificates_are(&[valid()]);
    let (code, text) = rig.run(&SETUP).await;
    assert_eq!(code, 0, "{text}");
    rig.has_one_hook();
}

#[tokio::test]
async fn a_service_that_does_not_say_how_they_stand_is_told() {
    let rig = Rig::by_name().await;
    rig.init(&HOST).await;
    rig.certificates_are(&[Overview::default()]);
    let (code, text) = rig.run(&SETUP).await;
    assert!(code == 1 && text.contains("gets no certificates, though TLS is `acme` here"), "{text}");
    rig.also(
        "ssh",
        "case $(cat \"$here/script\") in *certificates*) echo 'the service does not answer' >&2; exit 1 ;; esac",
    );
    let (code, text) = rig.run(&SETUP).await;
    assert_eq!(code, 1);
    insta::assert_snapshot!("setup_certificates_unknown", text);
}

#[tokio::test]
async fn an_upgrade_waits_too_and_takes_nothing_back_for_it() {
    let rig = Rig::by_name().await;
    rig.init(&HOST).await;
    rig.certificates_are(&[failed(0, "dns", "the authority was not convinced (dns): NXDOMAIN")]);
    let (code, text) = rig.run(&UPGRADE).await;
    assert_eq!(code, 1, "{text}");
    insta::assert_snapshot!("upgrade_without_certificate", text);
    let scripts = std::fs::read_to_string(rig.path("scripts")).unwrap();
    assert!(!scripts.contains("systemctl restart"), "{scripts}");
    rig.certificates_are(&[valid()]);
    let (code, text) = rig.run(&UPGRADE).await;
    assert_eq!(code, 0, "{text}");
}

#[tokio::test]
async fn an_authority_of_ones_own_is_brought_by_its_file() {
    let rig = Rig::by_name().await;
    let authority = rcgen::generate_simple_self_signed(["ca.example.com".to_owned()]).unwrap();
    std::fs::write(rig.path("ca.pem"), authority.cert.pem()).unwrap();
    rig.init(&[&HOST[..], &["--set", "ACME_CA_FILE=ca.pem"]].concat()).await;
    rig.certificates_are(&[valid()]);
    let (code, text) = rig.run(&SETUP).await;
    assert_eq!(code, 0, "{text}");
    let vars = rig.json("vars.json");
    assert_eq!(vars["preview_acme_ca"], rig.path("ca.pem").display().to_string());
    assert!(vars["preview_settings"]["ACME_CA_FILE"].is_null(), "where it is over there, the role knows");
}

#[tokio::test]
async fn a_delivery_that_somebody_else_gets_is_told_with_the_record_that_is_wanted() {
    let rig = Rig::by_name().await;
    rig.init(&HOST).await;
    rig.certificates_are(&[valid()]);
    let (code, text) = rig.run(&SETUP).await;
    assert_eq!(code, 0, "{text}");
    *rig.door.instead.lock().unwrap() = Some(axum::http::StatusCode::NOT_FOUND);
    let (code, text) = rig.run(&SETUP).await;
    assert_eq!(code, 1, "{text}");
    insta::assert_snapshot!("setup_delivery_by_name_elsewhere", text);
}
