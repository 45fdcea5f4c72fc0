//! Whole trees rekey what they have, by whack's orders and by time, at both ends at once, and
//! share IKE SAs. After each scenario nothing is left.

#![allow(clippy::indexing_slicing, clippy::panic, reason = "tests")]

use pluto_tests::tree::{Pair, pass, run, seconds};
use pluto_whack::Request;
use std::time::Duration;

fn named(name: &str) -> String {
    name.to_string()
}

fn rekey_child(name: &str) -> Request {
    Request::RekeyChild { name: named(name), asynchronous: false }
}

fn rekey_ike(name: &str) -> Request {
    Request::RekeyIke { name: named(name), asynchronous: false }
}

#[test]
fn an_asynchronous_rekey_is_answered_at_once_and_carried_out() {
    run(async {
        let pair = Pair::new(34, "").await;
        pair.establish().await;
        for (request, done) in [
            (Request::RekeyChild { name: named("tunnel"), asynchronous: true }, "Child SA #2"),
            (Request::RekeyIke { name: named("tunnel"), asynchronous: true }, "IKE SA #1"),
        ] {
            let answer = pair.west.order(request).await;
            assert_eq!(answer.status, 0, "{answer:?}");
            let text = format!("initiator rekeyed {done}");
            assert!(!pair.west.log.says(&text), "{}", pair.west.log);
            seconds(2).await;
            assert!(pair.west.log.says(&text), "{}", pair.west.log);
        }
        pair.assert_up(1).await;
        pair.end().await;
    });
}

#[test]
fn whack_rekeys_the_child_sa_and_the_ike_sa_by_name_and_by_serial() {
    run(async {
        let pair = Pair::new(31, "").await;
        pair.establish().await;
        let done = pair.west.order(rekey_child("tunnel")).await;
        assert_eq!(done.status, 0, "{done:?}");
        assert!(pair.west.log.says("initiator rekeyed Child SA #2 using #1"), "{}", pair.west.log);
        assert!(pair.east.log.says("responder rekeyed Child SA #2 using #1"), "{}", pair.east.log);
        seconds(1).await;
        pair.assert_up(1).await;
        let done = pair.east.order(rekey_ike("#1")).await;
        assert_eq!(done.status, 0, "{done:?}");
        assert!(pair.east.log.says("initiator rekeyed IKE SA #1"), "{}", pair.east.log);
        seconds(1).await;
        pair.assert_up(1).await;
        // The Child SA is known by its serial still, and rekeyed by the new IKE SA.
        let done = pair.west.order(rekey_child("#3")).await;
        assert_eq!(done.status, 0, "{done:?}");
        seconds(1).await;
        pair.assert_up(1).await;
        let down = pair.west.order(Request::Down { name: named("tunnel") }).await;
        assert_eq!(down.status, 0, "{down:?}");
        pair.west.assert_no_sas().await;
        pair.east.assert_no_sas().await;
        pair.end().await;
    });
}

#[test]
fn both_whacks_rekey_at_once_and_the_tunnel_stays() {
    run(async {
        let pair = Pair::new(32, "").await;
        pair.establish().await;
        for _ in 0..5 {
            let west = pair.west.begin(rekey_child("tunnel"));
            let east = pair.east.begin(rekey_child("tunnel"));
            assert_eq!(west.outcome().await.status, 0, "{}", pair.west.log);
            assert_eq!(east.outcome().await.status, 0, "{}", pair.east.log);
            seconds(2).await;
            pair.assert_up(1).await;
            let west = pair.west.begin(rekey_ike("tunnel"));
            let east = pair.east.begin(rekey_ike("tunnel"));
            assert_eq!(west.outcome().await.status, 0, "{}", pair.west.log);
            assert_eq!(east.outcome().await.status, 0, "{}", pair.east.log);
            seconds(2).await;
            pair.assert_up(1).await;
        }
        pair.end().await;
    });
}

#[test]
fn a_day_of_rekeying_by_lifetimes_keeps_one_tunnel_up() {
    run(async {
        let pair = Pair::new(33, "").await;
        pair.establish().await;
        for _ in 0..24 {
            pass(Duration::from_secs(3600)).await;
            pair.assert_up(1).await;
        }
        assert!(pair.west.log.says("rekeyed IKE SA"), "{}", pair.west.log);
        assert!(pair.west.log.says("rekeyed Child SA"), "{}", pair.west.log);
        pair.end().await;
    });
}

#[test]
fn a_second_connection_between_the_same_hosts_shares_the_ike_sa() {
    run(async {
        let pair = Pair::new(34, "").await;
        pair.establish().await;
        pair.add_sharing("").await;
        let up = pair.west.initiate("second").outcome().await;
        assert_eq!(up.status, 0, "{up:?}");
        assert_eq!(pair.west.census().await.ike_sas, 1, "{}", pair.west.log);
        assert_eq!(pair.west.census().await.child_sas, 2, "{}", pair.west.log);
        let down = pair.west.order(Request::DownChild { name: named("second") }).await;
        assert_eq!(down.status, 0, "{down:?}");
        seconds(1).await;
        assert_eq!(pair.west.census().await.child_sas, 1, "{}", pair.west.log);
        assert_eq!(pair.east.census().await.child_sas, 1, "{}", pair.east.log);
        pair.west.order(Request::Delete { name: named("second") }).await;
        pair.east.order(Request::Delete { name: named("second") }).await;
        pair.assert_up(1).await;
        pair.end().await;
    });
}

#[test]
fn a_deleted_child_sa_that_is_wanted_comes_back_on_the_same_ike_sa() {
    run(async {
        let pair = Pair::new(35, "").await;
        pair.establish().await;
        let done = pair.west.order(Request::DeleteChild { name: named("tunnel") }).await;
        assert_eq!(done.status, 0, "{done:?}");
        seconds(2).await;
        pair.assert_up(1).await;
        assert!(pair.west.log.says("initiating Child SA using IKE SA #1"), "{}", pair.west.log);
        let done = pair.west.order(Request::DeleteIke { name: named("tunnel") }).await;
        assert_eq!(done.status, 0, "{done:?}");
        seconds(2).await;
        pair.assert_up(1).await;
        pair.end().await;
    });
}
