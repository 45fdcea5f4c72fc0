use super::*;
use crate::{PolicyUse, Traffic};
use std::time::Instant;

fn side(network: &str, prefix: u8, protocol: u8, port: (u16, u16)) -> Traffic {
    Traffic { network: network.parse().unwrap(), prefix, protocol, port }
}

fn key(local: Traffic, remote: Traffic) -> PolicyKey {
    PolicyKey { local, remote, mark_in: None, mark_out: None, if_id: 0 }
}

fn net(local: &str, remote: &str, prefix: u8) -> PolicyKey {
    key(side(local, prefix, 0, (0, 0)), side(remote, prefix, 0, (0, 0)))
}

/// A policy that can be told by its priority.
fn shape(priority: u32) -> PolicyShape {
    PolicyShape { does: PolicyUse::Block, priority }
}

fn packet(source: &str, destination: &str, protocol: u8, ports: Option<(u16, u16)>) -> Inner {
    Inner {
        source: source.parse().unwrap(),
        destination: destination.parse().unwrap(),
        protocol,
        ports,
        len: 100,
        header: 20,
        tos: 0,
        dont_fragment: false,
        fragment: false,
    }
}

fn found(spd: &Spd, packet: &Inner) -> Option<u32> {
    spd.find(packet).map(|policy| policy.shape.priority)
}

#[test]
fn the_smallest_priority_wins_and_then_the_longest_prefix() {
    let mut spd = Spd::default();
    spd.insert(net("10.1.0.0", "10.2.0.0", 16), shape(100));
    spd.insert(net("0.0.0.0", "0.0.0.0", 0), shape(200));
    let inside = packet("10.1.0.1", "10.2.0.1", 6, Some((1, 2)));
    let outside = packet("10.1.0.1", "10.3.0.1", 6, Some((1, 2)));
    assert_eq!((found(&spd, &inside), found(&spd, &outside)), (Some(100), Some(200)));
    spd.insert(net("0.0.0.0", "0.0.0.0", 0), shape(50));
    assert_eq!(found(&spd, &inside), Some(50));
    spd.insert(net("0.0.0.0", "0.0.0.0", 0), shape(100));
    spd.insert(
        net("10.1.0.0", "10.2.0.0", 24),
        PolicyShape { does: PolicyUse::Pass, priority: 100 },
    );
    let longest = spd.find(&packet("10.1.0.1", "10.2.0.1", 6, Some((1, 2)))).unwrap();
    assert_eq!(longest.shape.does, PolicyUse::Pass);
}

#[test]
fn protocol_and_ports_count_where_a_policy_names_them() {
    let mut spd = Spd::default();
    let any = (0, 0);
    let web = key(side("10.1.0.0", 16, 6, any), side("10.2.0.0", 16, 6, (80, 0xffff)));
    let range = key(side("10.1.0.0", 16, 17, (0x4000, 0xf000)), side("10.2.0.0", 16, 17, any));
    let echo = key(side("10.1.0.0", 16, 1, (8, 0xffff)), side("10.2.0.0", 16, 1, (0, 0xffff)));
    for (policy, priority) in [(web, 1), (range, 2), (echo, 3)] {
        spd.insert(policy, shape(priority));
    }
    let find = |protocol, ports| found(&spd, &packet("10.1.0.1", "10.2.0.1", protocol, ports));
    assert_eq!(find(6, Some((5000, 80))), Some(1));
    assert_eq!(find(6, Some((80, 5000))), None);
    assert_eq!(find(17, Some((0x4abc, 1))), Some(2));
    assert_eq!(find(17, Some((0x5abc, 1))), None);
    assert_eq!(find(1, Some((8, 0))), Some(3));
    assert_eq!(find(1, Some((0, 0))), None);
    // A later fragment shows no ports.
    assert_eq!(find(6, None), None);
}

#[test]
fn families_do_not_mix() {
    let mut spd = Spd::default();
    spd.insert(net("::", "::", 0), shape(1));
    assert_eq!(found(&spd, &packet("10.1.0.1", "10.2.0.1", 6, None)), None);
    assert_eq!(found(&spd, &packet("2001:db8::1", "2001:db8::2", 6, None)), Some(1));
    let mixed = key(side("10.0.0.0", 8, 0, (0, 0)), side("::", 0, 0, (0, 0)));
    spd.insert(mixed, shape(0));
    assert_eq!(found(&spd, &packet("10.1.0.1", "10.2.0.1", 6, None)), None);
}

#[test]
fn a_removed_policy_is_gone_and_the_next_one_holds() {
    let mut spd = Spd::default();
    let (narrow, wide) = (net("10.1.0.0", "10.2.0.0", 16), net("10.0.0.0", "10.0.0.0", 8));
    spd.insert(narrow, shape(1));
    spd.insert(wide, shape(2));
    let inside = packet("10.1.0.1", "10.2.0.1", 6, None);
    spd.remove(&narrow);
    assert_eq!(found(&spd, &inside), Some(2));
    spd.remove(&narrow);
    spd.remove(&wide);
    assert_eq!(found(&spd, &inside), None);
    assert!(spd.tables.is_empty());
}

#[test]
#[allow(clippy::disallowed_methods, reason = "it measures")]
fn ten_thousand_tunnels_cost_a_look_up_no_more_than_ten() {
    let address = |n: u32| format!("10.{}.{}.0", n >> 8 & 255, n & 255);
    let cost = |tunnels: u32| {
        let mut spd = Spd::default();
        for n in 0..tunnels {
            spd.insert(net("192.168.0.0", &address(n), 24), shape(1000));
        }
        let packets: Vec<_> = (0..1000)
            .map(|n| packet("192.168.0.1", &address(n * 7919 % tunnels), 6, Some((1, 2))))
            .collect();
        let fastest = |_| {
            let begun = Instant::now();
            assert!(packets.iter().all(|packet| spd.find(packet).is_some()));
            begun.elapsed()
        };
        (0..20).map(fastest).min().unwrap()
    };
    let (few, many) = (cost(10), cost(10_000));
    println!("1000 look-ups: {few:?} with 10 tunnels, {many:?} with 10,000");
    // Caches miss more often; a search would cost a thousand times more.
    assert!(many < few * 20, "{few:?} {many:?}");
}
