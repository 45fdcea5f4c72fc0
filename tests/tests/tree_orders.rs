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
fn a_state_that_is_not_there_is_named_by_its_serial_number() {
    run(async {
        let pair = Pair::new(607, NET_TO_NET).await;
        let order = Request::Down { name: "#9".into() };
        let outcome = pair.west.order(order).await;
        assert_eq!(outcome.status, 21, "{outcome:?}");
        assert!(pair.west.log.says("no connection or alias named \"#9\""), "{}", pair.west.log);
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

#[test]
fn every_notification_algorithm_and_ending_is_counted() {
    run(async {
        let pair = Pair::new(604, NET_TO_NET).await;
        pair.establish().await;
        pair.west.order(Request::Down { name: "tunnel".into() }).await;
        seconds(1).await;
        for (name, west, east) in [
            ("total.ike.ikev2.established", 1, 1),
            ("total.ike.ikev2.completed", 1, 1),
            ("total.ike.ikev2.failed", 0, 0),
            ("total.ikev2.ike.finished.completed", 1, 1),
            ("total.ikev2.child.finished.completed", 1, 1),
            ("total.ikev2.encr.AES_GCM_16", 1, 1),
            ("total.ikev2.encr.AES_CBC", 0, 0),
            ("total.ikev2.integ.NONE", 1, 1),
            ("total.ikev2.group.DH31", 1, 1),
            ("total.ikev2.ipsec.encr.AES_GCM_16", 1, 1),
            ("total.ipsec.type.esp", 1, 1),
            ("total.ipsec.type.encap", 0, 0),
            ("total.ipsec.type.non_encap", 1, 1),
            ("total.ikev2.sent.notifies.status.INITIAL_CONTACT", 0, 0),
            ("total.ikev2.sent.notifies.status.NAT_DETECTION_SOURCE_IP", 1, 1),
            ("total.ikev2.recv.notifies.status.NAT_DETECTION_SOURCE_IP", 1, 1),
            ("total.ikev2.recv.notifies.error.NO_PROPOSAL_CHOSEN", 0, 0),
        ] {
            let found = (pair.west.counter(name).await, pair.east.counter(name).await);
            assert_eq!(found, (west, east), "{name}");
        }
        let [west, east] = [&pair.west, &pair.east];
        // Nothing is lost here: what the one has sent, the other has received.
        let sent = west.counter("total.ike.traffic.out").await;
        assert!(sent > 0);
        assert_eq!(sent, east.counter("total.ike.traffic.in").await);
        pair.end().await;
    });
}

#[test]
fn what_a_tunnel_has_carried_is_said_and_added_up_when_it_goes() {
    run(async {
        let pair = Pair::new(605, NET_TO_NET).await;
        pair.establish().await;
        let sas = pair.west.kernel.sas();
        for (sa, octets) in sas
            .iter()
            .filter(|sa| sa.spec.is_some())
            .map(|sa| (sa.sa, if sa.sa.inbound { 84 } else { 168 }))
        {
            assert!(pair.west.kernel.count_traffic(sa.destination, sa.spi, octets, 1));
        }
        pair.west.order(Request::Down { name: "tunnel".into() }).await;
        seconds(1).await;
        let said = "#2: ESP traffic information: in=84B out=168B";
        assert!(pair.west.log.says(said), "{}", pair.west.log);
        for (name, octets) in [("in", 84), ("out", 168)] {
            assert_eq!(pair.west.counter(&format!("total.ipsec.traffic.{name}")).await, octets);
            assert_eq!(pair.west.counter(&format!("total.ipsec.esp.traffic.{name}")).await, octets);
        }
        pair.end().await;
    });
}

#[test]
fn a_refusal_is_counted_by_its_name() {
    run(async {
        let pair = Pair::new(606, NET_TO_NET).await;
        pair.east.order(Request::Delete { name: "tunnel".into() }).await;
        drop(pair.west.initiate("tunnel"));
        seconds(2).await;
        let sent = "total.ikev2.sent.notifies.error.NO_PROPOSAL_CHOSEN";
        let received = "total.ikev2.recv.notifies.error.NO_PROPOSAL_CHOSEN";
        assert!(pair.east.counter(sent).await > 0);
        assert!(pair.west.counter(received).await > 0);
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
