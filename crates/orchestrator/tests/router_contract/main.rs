//! One contract suite for both routers: what visitors of previews, and the service, may rely on.

mod app;
mod cases;
mod client;
mod of_builtin;
mod of_nginx;
mod rig;

use std::time::Duration;

/// Waits until it is so, at most ten seconds.
pub(crate) async fn eventually<F: Future<Output = bool>>(what: &str, mut is_so: impl FnMut() -> F) {
    let waiting = async {
        while !is_so().await {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    if tokio::time::timeout(Duration::from_secs(10), waiting).await.is_err() {
        panic!("not within ten seconds: {what}");
    }
}

/// Makes a test of each case for each router.
macro_rules! contract {
    ($($case:ident)*) => {
        mod builtin {
            $(#[tokio::test(flavor = "multi_thread")]
            async fn $case() {
                crate::cases::$case(crate::rig::Rig::builtin().await).await;
            })*
        }
        mod nginx {
            $(#[tokio::test(flavor = "multi_thread")]
            async fn $case() {
                crate::cases::$case(crate::rig::Rig::nginx().await).await;
            })*
        }
    };
}

contract! {
    the_prefix_is_stripped_and_the_rest_arrives_as_it_was_sent
    a_missing_slash_is_redirected_with_its_query
    what_is_not_there_answers_a_friendly_404
    no_encoded_path_reaches_another_preview
    two_previews_do_not_see_each_other
    a_preview_answers_at_its_own_host
    the_app_is_told_who_asks_and_forged_headers_are_replaced
    an_absolute_target_names_its_own_host
    malformed_requests_are_refused
    redirects_and_cookies_stay_with_the_preview
    what_speaks_for_the_whole_origin_is_left_out
    a_websocket_passes
    other_upgrades_do_not_pass
    a_stream_arrives_as_it_is_written
    large_uploads_pass_and_larger_ones_are_refused
    an_app_that_does_not_answer_gives_a_friendly_502
    an_apps_own_errors_pass
    an_app_cannot_send_its_visitors_elsewhere_inside_the_router
    no_request_fails_while_the_app_moves
    draining_waits_for_requests_and_not_for_longer_than_asked
    applying_twice_changes_nothing
    a_removed_preview_is_gone
    a_router_that_starts_again_finds_its_routes
    many_changes_at_once_end_with_the_newest
    it_answers_for_itself
}
