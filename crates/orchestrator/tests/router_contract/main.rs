//! One contract suite for both routers: what visitors of previews, and the service, may rely on.

mod app;
mod cases;
mod client;
mod login;
mod of_builtin;
mod of_nginx;
mod raw;
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

/// Makes a test of each case for each router, with a login in front of previews or without.
macro_rules! contract {
    ($builtin:ident, $nginx:ident, $login:expr; $($room:ident::$case:ident)*) => {
        mod $builtin {
            $(#[tokio::test(flavor = "multi_thread")]
            async fn $case() {
                crate::$room::$case(crate::rig::Rig::builtin_behind($login).await).await;
            })*
        }
        mod $nginx {
            $(#[tokio::test(flavor = "multi_thread")]
            async fn $case() {
                crate::$room::$case(crate::rig::Rig::nginx_behind($login).await).await;
            })*
        }
    };
}

contract! {
    locked_builtin, locked_nginx, Some(crate::login::login());
    login::a_preview_opens_to_its_login_alone
    login::a_websocket_needs_the_login_too
    login::the_service_itself_finds_its_way
}

contract! {
    builtin, nginx, None;
    raw::no_odd_request_reaches_what_it_does_not_name
    cases::the_prefix_is_stripped_and_the_rest_arrives_as_it_was_sent
    cases::a_missing_slash_is_redirected_with_its_query
    cases::what_is_not_there_answers_a_friendly_404
    cases::no_encoded_path_reaches_another_preview
    cases::two_previews_do_not_see_each_other
    cases::a_preview_answers_at_its_own_host
    cases::the_app_is_told_who_asks_and_forged_headers_are_replaced
    cases::an_absolute_target_names_its_own_host
    cases::malformed_requests_are_refused
    cases::redirects_and_cookies_stay_with_the_preview
    cases::what_speaks_for_the_whole_origin_is_left_out
    cases::a_websocket_passes
    cases::other_upgrades_do_not_pass
    cases::a_stream_arrives_as_it_is_written
    cases::large_uploads_pass_and_larger_ones_are_refused
    cases::an_app_that_does_not_answer_gives_a_friendly_502
    cases::an_apps_own_errors_pass
    cases::an_app_cannot_send_its_visitors_elsewhere_inside_the_router
    cases::no_request_fails_while_the_app_moves
    cases::draining_waits_for_requests_and_not_for_longer_than_asked
    cases::applying_twice_changes_nothing
    cases::a_removed_preview_is_gone
    cases::a_router_that_starts_again_finds_its_routes
    cases::many_changes_at_once_end_with_the_newest
    cases::it_answers_for_itself
}
