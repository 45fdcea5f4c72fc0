//! Whole trees whose host moves (RFC 4555): the kernel's events reach the IKE SAs, and updown
//! is told.

#![allow(clippy::indexing_slicing, clippy::panic, reason = "tests")]

use pluto_kernel::{InterfaceAddress, KernelEvent};
use pluto_messages::KernelTells;
use pluto_tests::tree::{Host, Pair, ip, run, seconds};
use pluto_whack::report::Item;
use pluto_whack::{Listing, Request};

/// The host has this address now, and its kernel says so; none: it has none.
fn moves(pair: &Pair, host: &Host, to: Option<&str>) {
    let addresses = to.into_iter().map(|to| {
        pair.wire.also(host.address, ip(to));
        InterfaceAddress { interface: "eth0".into(), address: ip(to) }
    });
    host.kernel.set_addresses(addresses.collect());
    pair.wire.cut(host.address);
    host.tree.supervisor.do_send(KernelTells(KernelEvent::AddressesChanged));
}

/// The outer addresses of a host's SAs, those that send.
fn outer(host: &Host) -> Vec<(String, String)> {
    let sas = host.kernel.sas();
    let out = sas.iter().filter(|fake| !fake.sa.inbound);
    out.map(|fake| (fake.sa.source.to_string(), fake.sa.destination.to_string())).collect()
}

fn pair_of(a: &str, b: &str) -> Vec<(String, String)> {
    vec![(a.to_string(), b.to_string())]
}

#[test]
fn a_host_that_loses_its_address_and_gets_another_one_keeps_its_tunnel() {
    run(async {
        let pair = Pair::new(61, "mobike=yes leftupdown=script rightupdown=script").await;
        pair.establish().await;
        assert_eq!(outer(&pair.west), pair_of("192.0.2.1", "192.0.2.2"));
        let before = pair.west.runner.verbs().len();
        let far = pair.east.runner.verbs().len();
        moves(&pair, &pair.west, None);
        seconds(40).await;
        assert!(pair.west.log.says("address 192.0.2.1 is lost"), "{}", pair.west.log);
        pair.assert_up(1).await;
        moves(&pair, &pair.west, Some("198.51.100.7"));
        seconds(3).await;
        pair.assert_up(1).await;
        assert_eq!(outer(&pair.west), pair_of("198.51.100.7", "192.0.2.2"), "{}", pair.west.log);
        assert_eq!(outer(&pair.east), pair_of("192.0.2.2", "198.51.100.7"), "{}", pair.east.log);
        let verbs = pair.west.runner.verbs();
        let told = ["down-client", "unroute-client", "route-client", "up-client"];
        assert_eq!(verbs[before..], told, "{verbs:?}");
        assert_eq!(pair.east.runner.verbs().len(), far, "who has not moved tells nobody");
        let states = pair.west.order(Request::Listing {
            what: Listing::ShowStates,
            name: None,
            text: false,
        });
        let mobike = states.await.items.into_iter().any(|item| match item {
            Item::IkeSa(ike) => ike.mobike && ike.local.contains("198.51.100.7"),
            _ => false,
        });
        assert!(mobike);
        pair.west.order(Request::Delete { name: "tunnel".into() }).await;
        seconds(1).await;
        pair.west.assert_nothing_left().await;
        pair.east.assert_no_sas().await;
    });
}

#[test]
fn a_responder_that_gets_another_address_is_followed() {
    run(async {
        let pair = Pair::new(62, "mobike=yes").await;
        pair.establish().await;
        moves(&pair, &pair.east, Some("203.0.113.5"));
        seconds(5).await;
        pair.assert_up(1).await;
        assert_eq!(outer(&pair.west), pair_of("192.0.2.1", "203.0.113.5"), "{}", pair.west.log);
        assert_eq!(outer(&pair.east), pair_of("203.0.113.5", "192.0.2.1"), "{}", pair.east.log);
    });
}
