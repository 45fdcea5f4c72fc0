//! The plan, as a table.

use super::{Book, NoInterface, Reach, Route, RouteFacts, Work, plan, probes};
use crate::{Facts, Verb};
use std::net::IpAddr;

fn ip(text: &str) -> IpAddr {
    text.parse().expect("an address")
}

fn net(text: &str) -> (IpAddr, u8) {
    let (network, prefix) = text.split_once('/').expect("a prefix");
    (ip(network), prefix.parse().expect("a prefix length"))
}

/// 10.1.0.0/24 behind us, 10.2.0.0/24 behind the peer.
fn nets() -> Facts {
    Facts {
        me: Some(ip("192.0.2.1")),
        peer: Some(ip("198.51.100.1")),
        interface: Some("eth0".into()),
        my_client: vec![net("10.1.0.0/24")],
        peer_client: vec![net("10.2.0.0/24")],
        ..Facts::default()
    }
}

fn reach(interface: &str, gateway: Option<&str>) -> Option<Reach> {
    let source = Some(ip("192.0.2.1"));
    Some(Reach { source, gateway: gateway.map(ip), interface: interface.into() })
}

/// The peer beyond 192.0.2.254; nothing known of its network.
fn beyond_gateway(facts: &Facts) -> RouteFacts {
    let clients = probes(facts).iter().map(|_| None).collect();
    RouteFacts { peer: reach("eth0", Some("192.0.2.254")), clients }
}

/// A plan in words that `ip` would understand.
fn words(work: &[Work]) -> Vec<String> {
    let route = |route: &Route| {
        let Route { destination: (network, prefix), interface, gateway, source, metric, mtu } =
            route;
        let mut text = format!("{network}/{prefix}");
        if let Some(gateway) = gateway {
            text += &format!(" via {gateway}");
        }
        text += &format!(" dev {interface}");
        if let Some(source) = source {
            text += &format!(" src {source}");
        }
        for (name, value) in [("metric", metric), ("mtu", mtu)] {
            if *value != 0 {
                text += &format!(" {name} {value}");
            }
        }
        text
    };
    let one = |work: &Work| match work {
        Work::AddRoute(added) => format!("route add {}", route(added)),
        Work::RemoveRoute(removed) => format!("route del {}", route(removed)),
        Work::AddAddress { address, interface } => format!("addr add {address} dev {interface}"),
        Work::RemoveAddress { address, interface } => format!("addr del {address} dev {interface}"),
        Work::ReplaceRoute { by, .. } => format!("route replace {}", route(by)),
        Work::HandOver { to, .. } => format!("route replace {}", route(to)),
        Work::KeepAddress { address, interface } => {
            format!("addr replace {address} dev {interface}")
        }
    };
    work.iter().map(one).collect()
}

fn planned(verb: Verb, facts: &Facts, now: &RouteFacts) -> Vec<String> {
    words(&plan(verb, facts, now, &Book::default()).expect("a plan"))
}

fn routed(facts: &Facts) -> Vec<String> {
    planned(Verb::Route, facts, &beyond_gateway(facts))
}

const NOTHING: [&str; 0] = [];

#[test]
fn route_leads_to_the_peers_network_the_way_the_peer_is_reached() {
    assert_eq!(routed(&nets()), ["route add 10.2.0.0/24 via 192.0.2.254 dev eth0"]);
    let next_hop = Facts { next_hop: Some(ip("192.0.2.253")), ..nets() };
    assert_eq!(routed(&next_hop), ["route add 10.2.0.0/24 via 192.0.2.253 dev eth0"]);
    let on_link = RouteFacts { peer: reach("eth0", None), clients: vec![None] };
    assert_eq!(planned(Verb::Route, &nets(), &on_link), ["route add 10.2.0.0/24 dev eth0"]);
    let unknown = Facts { interface: None, ..nets() };
    assert_eq!(routed(&unknown), ["route add 10.2.0.0/24 via 192.0.2.254 dev eth0"]);
    let elsewhere = Facts { interface: Some("eth1".into()), ..nets() };
    assert_eq!(routed(&elsewhere), ["route add 10.2.0.0/24 dev eth1"]);
}

#[test]
fn metric_mtu_and_source_are_set() {
    let facts = Facts { metric: 50, mtu: 1400, source_ip: Some(ip("10.1.0.1")), ..nets() };
    let expected = [
        "addr add 10.1.0.1 dev eth0",
        "route add 10.2.0.0/24 via 192.0.2.254 dev eth0 src 10.1.0.1 metric 50 mtu 1400",
    ];
    assert_eq!(routed(&facts), expected);
}

#[test]
fn a_default_route_is_two_halves() {
    let everything = Facts { peer_client: vec![net("0.0.0.0/0")], ..nets() };
    let expected = [
        "route add 0.0.0.0/1 via 192.0.2.254 dev eth0",
        "route add 128.0.0.0/1 via 192.0.2.254 dev eth0",
    ];
    assert_eq!(routed(&everything), expected);
    let v6 = Facts { peer_client: vec![net("::/0")], v6: true, ..nets() };
    assert_eq!(routed(&v6), ["route add ::/1 dev eth0", "route add 8000::/1 dev eth0"]);
}

#[test]
fn what_the_table_does_already_is_not_added() {
    let facts = nets();
    let default = |interface, gateway| RouteFacts {
        peer: reach("eth0", Some("192.0.2.254")),
        clients: vec![reach(interface, gateway)],
    };
    let same = default("eth0", Some("192.0.2.254"));
    assert_eq!(planned(Verb::Route, &facts, &same), NOTHING);
    let other_gateway = default("eth0", Some("192.0.2.253"));
    assert_eq!(planned(Verb::Route, &facts, &other_gateway).len(), 1);
    let other_interface = default("wan1", Some("192.0.2.254"));
    assert_eq!(planned(Verb::Route, &facts, &other_interface).len(), 1);
    for asks in [
        Facts { metric: 5, ..nets() },
        Facts { mtu: 1400, ..nets() },
        Facts { source_ip: Some(ip("10.1.0.1")), ..nets() },
    ] {
        let work = planned(Verb::Route, &asks, &same);
        assert!(work.iter().any(|line| line.starts_with("route add")), "{asks:?}");
    }
}

#[test]
fn our_own_routes_are_not_taken_for_the_hosts() {
    let (facts, mut book) = (nets(), Book::default());
    let unreachable = beyond_gateway(&facts);
    let wanted = plan(Verb::Route, &facts, &unreachable, &book).expect("a plan");
    book.want(1, wanted.clone());
    // Now the table leads there, because of us.
    let there = RouteFacts { clients: vec![unreachable.peer.clone()], ..unreachable };
    let again = plan(Verb::Route, &facts, &there, &book).expect("a plan");
    assert_eq!(again, wanted);
    let replaced = ["route replace 10.2.0.0/24 via 192.0.2.254 dev eth0"];
    let same = words(&book.want(1, again.clone()).work);
    assert_eq!(same, replaced, "the same connection again");
    let other = words(&book.want(2, again).work);
    assert_eq!(other, replaced, "another one with the same traffic");
    assert_eq!(book.drop_all(1).work, [], "the other one needs it");
    assert_eq!(book.drop_all(2).work.len(), 1);
}

#[test]
fn several_networks_are_decided_one_by_one() {
    let peer_client = vec![net("10.2.0.0/24"), net("10.3.0.0/16"), net("10.2.0.0/24")];
    let facts = Facts { peer_client, ..nets() };
    let now = RouteFacts {
        peer: reach("eth0", Some("192.0.2.254")),
        clients: vec![reach("eth0", Some("192.0.2.254")), None],
    };
    let expected = ["route add 10.3.0.0/16 via 192.0.2.254 dev eth0"];
    assert_eq!(planned(Verb::Route, &facts, &now), expected);
}

#[test]
fn families_are_not_mixed() {
    let v6_in_v4 = Facts {
        my_client: vec![net("2001:db8:1::/48")],
        peer_client: vec![net("2001:db8:2::/48")],
        v6: true,
        ..nets()
    };
    assert_eq!(routed(&v6_in_v4), ["route add 2001:db8:2::/48 dev eth0"]);
    let wrong_source = Facts { source_ip: Some(ip("10.1.0.1")), ..v6_in_v4 };
    let expected = ["addr add 10.1.0.1 dev eth0", "route add 2001:db8:2::/48 dev eth0"];
    assert_eq!(routed(&wrong_source), expected);
}

#[test]
fn hosts_and_transport_mode_need_nothing() {
    let host = Facts { host: true, ..nets() };
    assert_eq!(routed(&host), NOTHING);
    let host_with_source = Facts { source_ip: Some(ip("10.1.0.1")), ..host };
    assert_eq!(routed(&host_with_source).len(), 2);
    let transport = Facts { transport: true, source_ip: Some(ip("10.1.0.1")), ..nets() };
    assert_eq!(routed(&transport), NOTHING);
}

#[test]
fn a_device_gets_every_route_whatever_the_table_says() {
    let facts = Facts { device: Some("ipsec0".into()), ..nets() };
    // A default route, which the kernel's own IPsec would be content with.
    let reached = reach("eth0", Some("192.0.2.254"));
    let now = RouteFacts { peer: reached.clone(), clients: vec![reached] };
    assert_eq!(planned(Verb::Route, &nets(), &now), NOTHING);
    assert_eq!(planned(Verb::Route, &facts, &now), ["route add 10.2.0.0/24 dev ipsec0"]);
    let host = Facts { host: true, peer_client: vec![net("198.51.100.1/32")], ..facts };
    let expected = ["route add 198.51.100.1/32 dev ipsec0 src 192.0.2.1"];
    assert_eq!(planned(Verb::Route, &host, &now), expected);
    let source_ip = Some(ip("10.1.0.1"));
    let transport = Facts { transport: true, source_ip, ..host };
    assert_eq!(planned(Verb::Route, &transport, &now), expected);
}

#[test]
fn only_route_and_a_late_source_address_do_something() {
    let with_source = Facts { source_ip: Some(ip("10.1.0.1")), ..nets() };
    for facts in [nets(), with_source.clone()] {
        for verb in [Verb::Prepare, Verb::Down, Verb::Unroute] {
            assert_eq!(planned(verb, &facts, &beyond_gateway(&facts)), NOTHING, "{verb}");
        }
    }
    assert_eq!(planned(Verb::Up, &nets(), &beyond_gateway(&nets())), NOTHING);
    let now = beyond_gateway(&with_source);
    assert_eq!(planned(Verb::Up, &with_source, &now), planned(Verb::Route, &with_source, &now));
}

#[test]
fn without_an_interface_it_says_what_cannot_be_routed() {
    let facts = Facts { interface: None, ..nets() };
    let refused = plan(Verb::Route, &facts, &RouteFacts::default(), &Book::default())
        .expect_err("no interface");
    assert_eq!(refused, NoInterface { destination: net("10.2.0.0/24") });
    assert!(refused.to_string().contains("10.2.0.0/24"));
    let known = Facts { interface: Some("eth0".into()), ..facts };
    let expected = ["route add 10.2.0.0/24 dev eth0"];
    assert_eq!(planned(Verb::Route, &known, &RouteFacts::default()), expected);
}

#[test]
fn probes_are_ordinary_addresses() {
    let probe = |target: &str| {
        let facts = Facts { peer_client: vec![net(target)], ..Facts::default() };
        probes(&facts).iter().map(ToString::to_string).collect::<Vec<_>>().join(" ")
    };
    assert_eq!(probe("10.2.0.0/24"), "10.2.0.1");
    assert_eq!(probe("10.2.0.8/31"), "10.2.0.8");
    assert_eq!(probe("10.2.0.8/32"), "10.2.0.8");
    assert_eq!(probe("0.0.0.0/0"), "1.0.0.1 128.0.0.1");
    assert_eq!(probe("2001:db8::/64"), "2001:db8::1");
    assert_eq!(probe("2001:db8::8/128"), "2001:db8::8");
    assert_eq!(probe("::/0"), "2000::1 8000::1");
}
