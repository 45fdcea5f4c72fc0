//! Orders of whack that concern a peer, or the daemon as a whole.

#![allow(clippy::expect_used, clippy::indexing_slicing, reason = "tests")]

use pluto_tests::tree::{NET_TO_NET, Pair, connection, run, seconds};
use pluto_whack::report::Item;
use pluto_whack::{Listing, Request};

/// The peer is not told anything: it has lost its SAs.
#[test]
fn all_sas_with_a_peer_that_has_crashed_are_replaced_and_no_others() {
    run(async {
        let pair = Pair::new(600, NET_TO_NET).await;
        pair.establish().await;
        let nobody = Request::Crash { address: "192.0.2.77".into() };
        assert!(pair.west.order(nobody).await.says("replacing 0 IKE SAs"));
        pair.assert_up(1).await;
        let outcome = pair.west.order(Request::Crash { address: "192.0.2.2".into() }).await;
        assert!(outcome.says("peer 192.0.2.2 has crashed: replacing 1 IKE SAs"), "{outcome:?}");
        seconds(60).await;
        let log = &pair.west.log;
        assert_eq!(log.count("initiator established Child SA"), 2, "{log}");
        assert_eq!(log.count("sent INFORMATIONAL request to delete"), 0, "{log}");
        assert_eq!(pair.west.census().await.child_sas, 1);
        pair.end().await;
    });
}

#[test]
fn a_crashed_peer_may_be_named_and_a_name_that_is_not_known_is_an_error() {
    run(async {
        let pair = Pair::new(601, NET_TO_NET).await;
        let outcome = pair.west.order(Request::Crash { address: "no.example".into() }).await;
        assert_eq!(outcome.status, 29, "{outcome:?}");
        pair.end().await;
    });
}

#[test]
fn counters_begin_anew_when_they_are_cleared() {
    run(async {
        let pair = Pair::new(602, NET_TO_NET).await;
        pair.establish().await;
        for name in ["ike.started", "ike.established", "child.started", "child.established"] {
            assert_eq!(pair.east.counter(&format!("total.ikev2.{name}")).await, 1, "{name}");
        }
        assert!(pair.east.counter("total.ike.received").await > 0);
        assert_eq!(pair.east.order(Request::ClearStats).await.status, 0);
        for name in ["ikev2.ike.started", "ikev2.child.established", "ike.received"] {
            assert_eq!(pair.east.counter(&format!("total.{name}")).await, 0, "{name}");
        }
        assert_eq!(pair.east.counter("current.states.ike").await, 1);
        pair.west.order(Request::Down { name: "tunnel".into() }).await;
        seconds(1).await;
        assert_eq!(pair.east.counter("total.ikev2.ike.finished").await, 1);
        pair.end().await;
    });
}

/// More than are asked at a time, and made text of at a time.
#[test]
fn a_long_listing_is_whole_and_in_order_as_facts_and_as_text() {
    run(async {
        let pair = Pair::new(603, NET_TO_NET).await;
        for number in 0..600 {
            let words = format!(
                "left=192.0.2.1 right=192.0.2.2 leftid=@w{number} rightsubnet=10.9.{}.{}/32",
                number / 200,
                number % 200
            );
            pair.west.add(connection(&format!("c{number:03}"), &words)).await;
        }
        let listing = |text| Request::Listing { what: Listing::ConnectionStatus, name: None, text };
        let names = pair.west.order(listing(false)).await.items.into_iter().filter_map(|item| {
            if let Item::Connection(facts) = item { Some(facts.name) } else { None }
        });
        let expected: Vec<String> =
            (0..600).map(|n| format!("c{n:03}")).chain(["tunnel".to_string()]).collect();
        assert_eq!(names.collect::<Vec<_>>(), expected);
        let text = pair.west.order(listing(true)).await.lines;
        let serials = text.iter().filter(|line| line.contains(":   conn serial: $"));
        let listed = serials.filter_map(|line| line.split('"').nth(1));
        assert!(listed.eq(expected.iter()));
        let total = "Total IPsec connections: loaded 601, routed 0, active 0";
        assert_eq!(text.last().map(String::as_str), Some(total));
        for name in &expected[..600] {
            pair.west.order(Request::Delete { name: name.clone() }).await;
        }
        pair.end().await;
    });
}
