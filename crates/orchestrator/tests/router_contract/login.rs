//! The login in front of previews, on both routers.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use http::StatusCode;
use hyper_util::rt::TokioIo;
use preview_orchestrator::router::Login;
use tokio::io::{AsyncReadExt, AsyncWriteExt};

use crate::app::App;
use crate::client::{get, get_with, request, send};
use crate::rig::{DOMAIN, Rig};

const USER: &str = "preview";
const PASSWORD: &str = "canary-4f1d:09ab77";

/// What visitors of the routers in these tests have to know.
pub(crate) fn login() -> Login {
    Login::new(USER, PASSWORD.into())
}

fn basic(user: &str, password: &str) -> String {
    format!("Basic {}", STANDARD.encode(format!("{user}:{password}")))
}

pub(crate) async fn a_preview_opens_to_its_login_alone(rig: Rig) {
    let app = App::start("one").await;
    rig.serve(&[("my-app-1", app.port)]).await;
    let host = format!("pr-1-my-app.{DOMAIN}");
    for (path, host) in [("/my-app/pr-1/x", "previews.example"), ("/x", host.as_str())] {
        let asked = |value: String| async move {
            let headers = [("host", host), ("authorization", value.as_str())];
            get_with(rig.address, path, &headers).await
        };
        let bare = get_with(rig.address, path, &[("host", host)]).await;
        let wrong = [
            bare,
            asked(basic(USER, "canary-4f1d:09ab78")).await,
            asked(basic("other", PASSWORD)).await,
            asked(basic(USER, "")).await,
            asked(format!("Bearer {PASSWORD}")).await,
            asked("Basic".to_owned()).await,
        ];
        for answer in wrong {
            assert_eq!(answer.status, StatusCode::UNAUTHORIZED, "{answer}");
            assert_eq!(answer.header("www-authenticate"), Some("Basic realm=\"previews\""));
            assert!(answer.body.contains("asks for a login") && !answer.body.contains("one\n"), "{answer}");
            assert!(!answer.to_string().contains("canary"), "{answer}");
        }
        let answer = asked(basic(USER, PASSWORD)).await;
        assert_eq!(answer.reached(), ("one", "GET /x"), "{answer}");
        assert_eq!(answer.told("authorization"), None, "the login is not the app's to know: {answer}");
    }
}

pub(crate) async fn a_websocket_needs_the_login_too(rig: Rig) {
    let app = App::start("one").await;
    rig.serve(&[("my-app-1", app.port)]).await;
    let upgrade = [("connection", "Upgrade"), ("upgrade", "websocket")];
    let refused = send(rig.address, request("/my-app/pr-1/socket", &upgrade)).await.unwrap();
    assert_eq!(refused.status(), StatusCode::UNAUTHORIZED);

    let login = basic(USER, PASSWORD);
    let headers = [upgrade[0], upgrade[1], ("authorization", login.as_str())];
    let answer = send(rig.address, request("/my-app/pr-1/socket", &headers)).await.unwrap();
    assert_eq!(answer.status(), StatusCode::SWITCHING_PROTOCOLS);
    let mut socket = TokioIo::new(hyper::upgrade::on(answer).await.unwrap());
    socket.write_all(b"hello").await.unwrap();
    let mut echo = [0; 5];
    socket.read_exact(&mut echo).await.unwrap();
    assert_eq!(&echo, b"hello");
}

pub(crate) async fn the_service_itself_finds_its_way(rig: Rig) {
    let app = App::start("one").await;
    rig.serve(&[("my-app-1", app.port)]).await;
    rig.router.ping().await.unwrap();
    assert_eq!(rig.router.observe().await.unwrap(), crate::rig::table(&[("my-app-1", app.port)]));
    // What isn't there is told to everybody, as without a login.
    assert_eq!(get(rig.address, "/my-app/pr-2/").await.status, StatusCode::NOT_FOUND);
    rig.serve(&[]).await;
    assert_eq!(get(rig.address, "/my-app/pr-1/").await.status, StatusCode::NOT_FOUND);
}
