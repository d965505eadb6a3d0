//! Certificates from a real ACME server, Debian's `pebble`, for both routers: real orders, a real nginx beneath the server that Ansible
//! writes, and visitors who trust nobody but pebble.

mod cases;
#[expect(dead_code, reason = "the HTTP side's own tests use the rest")]
#[path = "../http/client.rs"]
mod client;
mod cloud;
#[expect(dead_code, reason = "the HTTP side's own tests use the rest")]
#[path = "../http/house.rs"]
mod house;
#[expect(dead_code, reason = "the HTTP side's own tests use the rest")]
#[path = "../http/nobody.rs"]
mod nobody;
mod rig;
mod web;
mod whole;

use std::time::Duration;

/// Waits until it is so, at most a minute.
pub(crate) async fn eventually<F: Future<Output = bool>>(what: &str, mut is_so: impl FnMut() -> F) {
    let waiting = async {
        while !is_so().await {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    };
    if tokio::time::timeout(Duration::from_secs(60), waiting).await.is_err() {
        panic!("not within a minute: {what}");
    }
}

/// Makes a test of each case for each router.
macro_rules! for_both {
    ($($case:ident)*) => {
        mod builtin {
            $(#[tokio::test(flavor = "multi_thread")]
            async fn $case() {
                crate::cases::$case(crate::rig::Kind::Builtin).await;
            })*
        }
        mod nginx {
            $(#[tokio::test(flavor = "multi_thread")]
            async fn $case() {
                crate::cases::$case(crate::rig::Kind::Nginx).await;
            })*
        }
    };
}

for_both! {
    each_known_host_gets_a_certificate_and_visitors_are_sent_there
    deliveries_come_either_way
    an_unknown_name_starts_no_order
    certificates_are_renewed_before_they_end_and_no_visitor_notices
    a_renewal_that_fails_is_told_and_tried_again
    what_failed_is_told_by_its_kind_and_tried_again_when_somebody_asks
    certificates_survive_a_restart
    one_record_in_the_zone_gets_one_certificate_for_all
}
