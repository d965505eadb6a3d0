//! From opening to closing, with both routers.

use preview_simulator::Mimic;

use crate::rig::{RouterKind, Setup};

/// Opened, pushed to, closed: the shortest whole life.
async fn a_whole_life(router: RouterKind) {
    let rig = Setup::new().router(router).start().await;
    let pull = rig.open(Mimic::new("version one")).await;
    let url = rig.url(&pull);
    rig.until_answers(&url, "version one").await;
    let comment = rig.until_comment(&pull, &url).await;
    assert!(comment.body.contains(&pull.head().as_str()[..7]), "{}", comment.body);

    pull.push(Mimic::new("version two").files()).await.unwrap();
    rig.until_answers(&url, "version two").await;

    pull.close().unwrap();
    rig.until_gone(&url).await;
    rig.until_comment(&pull, "removed").await;
    rig.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_whole_life_with_the_builtin_router() {
    a_whole_life(RouterKind::Builtin).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_whole_life_with_nginx() {
    a_whole_life(RouterKind::Nginx).await;
}
