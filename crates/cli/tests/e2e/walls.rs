//! What a preview and a build reach, on an engine and in a network of the test's own: with the firewall and without.

use std::net::TcpListener;

use preview_exec::Program;
use preview_simulator::{Change, Mimic, Pull};

use crate::engine::Engine;
use crate::network::{self, Outside, eventually, iptables, rules};
use crate::rig::{Rig, Setup};

/// Docker's chains that its jumps in `FORWARD` lead to, and that it takes away and puts in front again with each network.
const DOCKERS: [&str; 2] = ["DOCKER-ISOLATION-STAGE-1", "DOCKER-USER"];

/// A rig on an engine of its own that uses the firewall.
async fn rig_on(engine: &Engine) -> Rig {
    Setup::new().set("DOCKER_HOST", engine.host()).prepare().await
}

/// Which of these places an app reaches.
pub(crate) async fn reached(rig: &Rig, pull: &Pull, places: &[String]) -> Vec<String> {
    let mut reached = Vec::new();
    for place in places {
        let answer = rig.http.get(format!("{}reach?at={place}", rig.url(pull))).send().await.unwrap();
        if answer.text().await.unwrap() == "open" {
            reached.push(place.clone());
        }
    }
    reached
}

/// Starts the service again with other settings.
async fn restart(rig: &mut Rig, settings: &[(&str, &str)]) {
    rig.stop_service().await;
    settings.iter().for_each(|(name, value)| rig.set(name, value));
    rig.start_service().await;
}

/// The addresses of a preview's host and of its app.
pub(crate) async fn addresses(rig: &Rig, pull: &Pull) -> (String, String) {
    let id = rig.id(pull);
    let app = rig.container(&id, "app-a").await;
    let network = &app["NetworkSettings"]["Networks"][&id];
    let text = |what: &str| network[what].as_str().unwrap().to_owned();
    (text("Gateway"), text("IPAddress"))
}

/// What nobody's code may reach: a service of the host on each of its addresses, private networks, metadata, other previews.
async fn forbidden(rig: &Rig, ours: &Pull, other: &Pull, host_port: u16) -> Vec<String> {
    let ((gateway, _), (their_gateway, _)) = (addresses(rig, ours).await, addresses(rig, other).await);
    let mut places: Vec<String> =
        [&*gateway, &*their_gateway, Outside::OURS].map(|address| format!("{address}:{host_port}")).to_vec();
    let router = rig.base.rsplit_once(':').unwrap().1;
    places.push(format!("{gateway}:{router}"));
    places.extend([Outside::PRIVATE, Outside::METADATA].map(str::to_owned));
    places
}

#[tokio::test(flavor = "multi_thread")]
async fn a_preview_reaches_the_internet_and_nothing_near() {
    if !network::is_own("walls::a_preview_reaches_the_internet_and_nothing_near").await {
        return;
    }
    let (engine, outside) = (Engine::start().await, Outside::connect().await);
    let host = TcpListener::bind("[::]:0").unwrap();
    let host_port = host.local_addr().unwrap().port();
    let mut rig = rig_on(&engine).await;
    rig.start_service().await;
    let ((ours, url), (other, _)) = (rig.up("ours").await, rig.up("other").await);
    let near = forbidden(&rig, &ours, &other, host_port).await;
    let internet = vec![Outside::INTERNET.to_owned()];
    let (_, theirs) = addresses(&rig, &other).await;
    let neighbour = neighbour(&rig, &ours).await;

    let by_ipv6 = outside.plug_into(&engine.bridge, host_port).await;

    // Without the firewall all of it is open but what Docker keeps apart itself: so the refusals below are the firewall's.
    assert_eq!(reached(&rig, &ours, &near).await, near);
    assert_eq!(reached(&rig, &ours, &[format!("{theirs}:3000")]).await, [""; 0]);
    eventually("what is beside builds reaches us by IPv6", async || outside.reaches(&by_ipv6).await.then_some(()))
        .await;

    restart(&mut rig, &[("FIREWALL", "all")]).await;
    assert!(!outside.reaches(&by_ipv6).await, "{by_ipv6}");
    assert_eq!(reached(&rig, &ours, &near).await, [""; 0]);
    assert_eq!(reached(&rig, &ours, &internet).await, internet);
    assert_eq!(
        reached(&rig, &ours, &[neighbour.clone(), format!("{theirs}:3000")]).await,
        std::slice::from_ref(&neighbour)
    );
    rig.until_answers(&url, "ours").await;

    // As for the moment in which the engine makes a network.
    for chain in DOCKERS {
        iptables(&["-D", "FORWARD", "-j", chain]).await;
    }
    let beside = [near.clone(), vec![format!("{theirs}:3000")]].concat();
    assert_eq!(reached(&rig, &ours, &beside).await, [""; 0]);
    assert_eq!(reached(&rig, &ours, &[internet.clone(), vec![neighbour.clone()]].concat()).await.len(), 2);
    for chain in DOCKERS {
        iptables(&["-I", "FORWARD", "-j", chain]).await;
    }
    assert_eq!(rig.ask_api("/health").await["checks"]["walls"]["ok"], true);
    assert_build_is_shut_in(&rig, &beside, &internet).await;

    restart(&mut rig, &[("EGRESS", "deny"), ("EGRESS_ALLOW", Outside::PRIVATE)]).await;
    let all = [near.clone(), internet].concat();
    assert_eq!(reached(&rig, &ours, &all).await, [Outside::PRIVATE], "what is allowed by name, and nothing else");
    assert_eq!(reached(&rig, &ours, std::slice::from_ref(&neighbour)).await, [neighbour]);
    rig.until_answers(&url, "ours").await;

    assert_command_agrees(&rig).await;
    rig.docker(&["rm", "--force", "neighbour"]).await;
    rig.finish().await;
}

/// Another container in a preview's own network, as its database would be.
async fn neighbour(rig: &Rig, pull: &Pull) -> String {
    let id = rig.id(pull);
    let image = rig.container(&id, "app-a").await["Config"]["Image"].as_str().unwrap().to_owned();
    rig.docker(&["run", "--detach", "--name", "neighbour", "--network", &id, &image]).await;
    let container = rig.inspect("container", "neighbour").await;
    format!("{}:3000", container["NetworkSettings"]["Networks"][&id]["IPAddress"].as_str().unwrap())
}

/// A build's step reaches no more than an app.
async fn assert_build_is_shut_in(rig: &Rig, near: &[String], internet: &[String]) {
    let places = [near, internet].concat();
    let words: Vec<String> = places.iter().map(|place| format!("\"{place}\"")).collect();
    let dockerfile = format!(
        "FROM scratch\nCOPY mimic VERSION /\nRUN [\"/mimic\", \"reach\", {}]\nENTRYPOINT [\"/mimic\"]\n",
        words.join(", ")
    );
    let changes = [Mimic::new("built").files(), vec![Change::write("Dockerfile", dockerfile)]].concat();
    let pull = rig.open_with(changes).await;
    rig.until_answers(&rig.url(&pull), "built").await;
    let url = format!("{}/api/previews/{}/logs?stream=build", rig.api, rig.id(&pull));
    let log = rig.http.get(url).bearer_auth(crate::rig::TOKEN).send().await.unwrap().text().await.unwrap();
    for place in near {
        assert!(log.contains(&format!("reach {place} closed")), "{place}: {log}");
    }
    assert!(log.contains(&format!("reach {} open", internet[0])), "{log}");
}

/// `preview firewall` sets, prints and removes the very rules that the service has set.
async fn assert_command_agrees(rig: &Rig) {
    let standing = rules().await;
    assert!(standing.contains(&format!("PREVIEW-{}", rig.instance())), "{standing}");
    rig.preview(&["firewall", "set"]).run().await.unwrap();
    assert_eq!(rules().await, standing, "setting them twice changes nothing");

    // Somebody reloads the system's firewall.
    iptables(&["-F", "INPUT"]).await;
    assert_ne!(rules().await, standing);
    rig.preview(&["firewall", "set"]).run().await.unwrap();
    assert_eq!(rules().await, standing);

    let script = rig.preview(&["firewall"]).run().await.unwrap().text().to_owned();
    rig.preview(&["firewall", "remove"]).run().await.unwrap();
    assert!(!rules().await.contains("PREVIEW-"));
    for _ in 0..2 {
        Program::new("sh").stdin(script.clone()).run().await.unwrap();
    }
    let sorted = |text: &str| {
        let mut lines: Vec<String> = text.lines().map(str::to_owned).collect();
        lines.sort();
        lines
    };
    assert_eq!(sorted(&rules().await), sorted(&standing), "the script sets the same");
}
