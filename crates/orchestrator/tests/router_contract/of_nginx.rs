//! What only an nginx that is somebody else's asks for.

use std::fs;

use preview_orchestrator::needs::Router;

use crate::app::App;
use crate::client::get;
use crate::rig::{Rig, table};

#[tokio::test(flavor = "multi_thread")]
async fn somebody_elses_broken_file_is_named_and_takes_nothing_down() {
    let rig = Rig::nginx().await;
    let nginx = rig.nginx.as_ref().unwrap();
    let (one, two) = (App::start("one").await, App::start("two").await);
    rig.serve(&[("my-app-1", one.port)]).await;
    fs::write(nginx.foreign_file(), "no_such_directive on;").unwrap();

    let fault = rig.router.apply(&table(&[("my-app-1", one.port), ("my-app-2", two.port)])).await.unwrap_err();
    let expected = format!("unknown directive \"no_such_directive\" in {}:1", nginx.foreign_file().display());
    assert!(fault.cause.contains("a place that isn't ours") && fault.cause.contains(&expected), "{fault}");
    assert_eq!(rig.router.observe().await.unwrap(), table(&[("my-app-1", one.port)]), "nothing has changed");
    assert_eq!(get(rig.address, "/my-app/pr-1/x").await.reached(), ("one", "GET /x"));

    fs::remove_file(nginx.foreign_file()).unwrap();
    rig.serve(&[("my-app-1", one.port), ("my-app-2", two.port)]).await;
    assert_eq!(get(rig.address, "/my-app/pr-2/x").await.reached(), ("two", "GET /x"));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_refused_change_is_taken_back_and_others_stay_up() {
    let rig = Rig::nginx().await;
    let nginx = rig.nginx.as_ref().unwrap();
    let (one, two) = (App::start("one").await, App::start("two").await);
    rig.serve(&[("my-app-1", one.port)]).await;
    // It stands well alone, and not beside a second preview.
    fs::write(nginx.config_dir().join("zz-theirs.conf"), "location = /my-app/pr-2 { return 204; }").unwrap();

    let fault = rig.router.apply(&table(&[("my-app-1", one.port), ("my-app-2", two.port)])).await.unwrap_err();
    assert!(fault.cause.contains("taken back") && fault.cause.contains("duplicate location"), "{fault}");
    assert_eq!(rig.router.observe().await.unwrap(), table(&[("my-app-1", one.port)]));
    assert!(!nginx.config_dir().join("my-app-pr-2.conf").exists());
    assert_eq!(get(rig.address, "/my-app/pr-1/x").await.reached(), ("one", "GET /x"));
}

#[tokio::test(flavor = "multi_thread")]
async fn an_edited_lost_or_broken_file_of_ours_is_written_again() {
    let rig = Rig::nginx().await;
    let nginx = rig.nginx.as_ref().unwrap();
    let app = App::start("one").await;
    let routes = [("my-app-1", app.port)];
    rig.serve(&routes).await;
    let file = nginx.config_dir().join("my-app-pr-1.conf");
    let good = fs::read_to_string(&file).unwrap();
    for bad in [good.replace("1h", "2h"), format!("{good}\n}}"), String::new()] {
        fs::write(&file, bad).unwrap();
        assert_eq!(rig.router.observe().await.unwrap(), table(&[]));
        rig.serve(&routes).await;
        assert_eq!(fs::read_to_string(&file).unwrap(), good);
    }
    fs::remove_file(&file).unwrap();
    rig.serve(&routes).await;
    assert_eq!(fs::read_to_string(&file).unwrap(), good);
}

#[tokio::test(flavor = "multi_thread")]
async fn files_that_nginx_has_not_taken_up_are_no_routes_until_it_has() {
    let rig = Rig::nginx().await;
    let nginx = rig.nginx.as_ref().unwrap();
    let (one, two) = (App::start("one").await, App::start("two").await);
    rig.serve(&[("my-app-1", one.port)]).await;
    // A service that ended between writing and reloading leaves this.
    let standing = nginx.config_dir().join("00-preview-deployer.conf");
    let text = fs::read_to_string(&standing).unwrap();
    fs::write(&standing, text.replace("Generation 1", "Generation 2").replace("\"1\"", "\"2\"")).unwrap();
    assert_eq!(rig.router.observe().await.unwrap(), table(&[]));

    let routes = [("my-app-1", one.port), ("my-app-2", two.port)];
    rig.serve(&routes).await;
    assert_eq!(rig.router.observe().await.unwrap(), table(&routes));
}

#[tokio::test(flavor = "multi_thread")]
async fn an_nginx_that_does_not_answer_is_a_passing_fault() {
    let rig = Rig::nginx().await;
    let router = rig.nginx.as_ref().unwrap().router();
    let address = rig.address;
    drop(rig.nginx);
    crate::eventually("nginx has ended", || async { tokio::net::TcpStream::connect(address).await.is_err() }).await;
    for fault in [router.ping().await.unwrap_err(), router.observe().await.unwrap_err()] {
        assert!(fault.cause.starts_with("nginx does not answer at http://127.0.0.1"), "{fault}");
    }
}
