//! Inner addresses: clients ask, the server gives, the lease becomes the client's traffic.

#![allow(
    clippy::indexing_slicing,
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "a test that misses what it looks for fails"
)]

use pluto_connections::{ConfigRole, Configuration, Id};
use pluto_states::{ChildUp, Request};
use pluto_tests::peer::{Peer, Report, selectors};
use pluto_tests::puppet::fqdn;
use pluto_tests::sim::Sim;
use pluto_tests::stage::{Stage, notifies};
use pluto_wire::numbers::{CfgAttributeType, CfgType, ExchangeType, NotifyType, PayloadType};
use pluto_wire::v2::{ConfigPayload, Payload};
use std::sync::Arc;

fn role(role: ConfigRole, ipv4: bool, ipv6: bool) -> Configuration {
    let (addresses, dns, domains) = (Vec::new(), Vec::new(), Vec::new());
    Configuration { role, ipv4, ipv6, addresses, dns, domains, banner: None, ignore_dns: false }
}

fn serve(server: &mut Peer, ranges: &[&str], world: &str) {
    let has = |mark| ranges.iter().any(|range| range.contains(mark));
    let mut given = role(ConfigRole::Server, has('.'), has(':'));
    given.dns = vec!["192.0.2.53".parse().unwrap(), "2001:db8::53".parse().unwrap()];
    given.domains = vec!["example.com".into(), "example.org".into()];
    server.serve(ranges, given);
    server.child.local_ts = selectors(world);
    server.child.remote_ts = ranges
        .iter()
        .map(|r| pluto_connections::PoolRange::parse(r).unwrap())
        .map(|r| pluto_connections::Selector {
            addresses: r.addresses(),
            protocol: 0,
            start_port: 0,
            end_port: u16::MAX,
        })
        .collect();
}

fn ask(client: &mut Peer, world: &str) {
    let (ipv4, ipv6) = (world.contains('.'), world.contains(':'));
    client.child.configuration = Some(Arc::new(role(ConfigRole::Client, ipv4, ipv6)));
    client.child.narrowing = true;
    client.child.local_ts = selectors(world);
    client.child.remote_ts = selectors(world);
}

/// West is the client, east the server.
fn remote_access(ranges: &[&str], world: &str) -> Sim {
    let mut sim = Sim::calm(1);
    serve(&mut sim.peers[1], ranges, world);
    ask(&mut sim.peers[0], world);
    sim
}

fn ups(peer: &Peer) -> Vec<&ChildUp> {
    fn of(report: &Report) -> Option<&ChildUp> {
        if let Report::Up(up) = report { Some(up) } else { None }
    }
    peer.reports.iter().filter_map(of).collect()
}

fn traffic(up: &ChildUp) -> String {
    let side = |all: &[pluto_connections::Selector]| {
        all.iter().map(ToString::to_string).collect::<Vec<_>>().join(",")
    };
    format!("{}==={}", side(&up.local_ts), side(&up.remote_ts))
}

/// ```text
/// IKE_AUTH {IDi, IDr, AUTH, CP(CFG_REQUEST), SA, TSi = all, TSr = all}  -->
///                <--  IKE_AUTH {IDr, AUTH, CP(CFG_REPLY), SA, TSi = lease, TSr = all}
/// ```
#[test]
fn a_client_is_given_an_address_and_its_traffic_is_that_address() {
    let mut sim = remote_access(&["10.9.0.100-10.9.0.110"], "0.0.0.0/0");
    sim.initiate();
    sim.settle();
    assert!(sim.is_up(), "{:#?} {:#?}", sim.peers[0].log, sim.peers[1].log);
    assert_eq!(traffic(ups(&sim.peers[0])[0]), "10.9.0.100/32===0.0.0.0/0");
    assert_eq!(traffic(ups(&sim.peers[1])[0]), "0.0.0.0/0===10.9.0.100/32");
    let given = ups(&sim.peers[0])[0].policy.configuration.clone().unwrap();
    assert_eq!(given.dns, ["192.0.2.53".parse::<std::net::IpAddr>().unwrap()]);
    assert_eq!(given.domains, ["example.com", "example.org"]);
    let log = sim.peers[0].log.join("\n");
    for line in [
        "received INTERNAL_IP4_ADDRESS 10.9.0.100",
        "received INTERNAL_IP4_DNS server address 192.0.2.53",
        "received INTERNAL_DNS_DOMAIN example.com",
        "received IPv4 lease 10.9.0.100, updating source IP address",
    ] {
        assert!(log.contains(line), "{line}: {log}");
    }
}

/// ```text
/// CP(CFG_REQUEST: .., UNITY_BANNER)  -->
///                                    <--  CP(CFG_REPLY: .., UNITY_BANNER = text)
/// ```
#[test]
fn a_client_is_told_the_servers_banner_on_one_line() {
    for (said, heard) in [("Authorised use only.", "Authorised use only."), ("a\r\nb", "a  b")] {
        let mut sim = remote_access(&["10.9.0.100-10.9.0.110"], "0.0.0.0/0");
        let given = sim.peers[1].child.configuration.clone().unwrap();
        let given = Configuration { banner: Some(said.into()), ..Configuration::clone(&given) };
        sim.peers[1].serve(&["10.9.0.100-10.9.0.110"], given);
        sim.initiate();
        sim.settle();
        assert!(sim.is_up(), "{:#?} {:#?}", sim.peers[0].log, sim.peers[1].log);
        let given = ups(&sim.peers[0])[0].policy.configuration.clone().unwrap();
        assert_eq!(given.banner.as_deref(), Some(heard));
        let log = sim.peers[0].log.join("\n");
        assert!(log.contains(&format!("received banner \"{heard}\"")), "{log}");
        let told = |line: &&String| line.contains("banner");
        assert_eq!(sim.peers[0].log.iter().filter(told).count(), 1, "{log}");
    }
}

#[test]
fn who_does_not_ask_for_the_banner_is_told_none() {
    const BANNER: CfgAttributeType = CfgAttributeType(28_672);
    for asks in [false, true] {
        let mut stage = Stage::keyed(1);
        serve(&mut stage.sim.peers[1], &["10.9.0.1-10.9.0.9"], "0.0.0.0/0");
        let given = stage.sim.peers[1].child.configuration.clone().unwrap();
        let given = Configuration { banner: Some("hello".into()), ..Configuration::clone(&given) };
        stage.sim.peers[1].serve(&["10.9.0.1-10.9.0.9"], given);
        let mut payloads = stage.auth_payloads(&fqdn("west"));
        let mut attributes = vec![(IP4, Vec::new())];
        attributes.extend(asks.then(|| (BANNER, Vec::new())));
        payloads.push(Payload::Cp(ConfigPayload { cfg_type: CfgType::REQUEST, attributes }));
        let said = stage.ask(ExchangeType::IKE_AUTH, 1, &payloads);
        let told = said[0].iter().any(|payload| match payload {
            Payload::Cp(config) => config.attributes.contains(&(BANNER, b"hello".to_vec())),
            _ => false,
        });
        assert_eq!(told, asks);
    }
}

#[test]
fn a_client_of_both_families_is_given_both() {
    let mut sim = remote_access(&["10.9.0.1-10.9.0.9", "2001:db8:9::/112"], "0.0.0.0/0 ::/0");
    sim.initiate();
    sim.settle();
    let lease = "10.9.0.1/32,2001:db8:9::1/128===0.0.0.0/0,::/0";
    assert_eq!(traffic(ups(&sim.peers[0])[0]), lease, "{:#?}", sim.peers[0].log);
    assert_eq!(ups(&sim.peers[0])[0].policy.configuration.as_ref().unwrap().dns.len(), 2);
}

#[test]
fn of_two_families_the_one_that_the_server_has_is_given() {
    let mut sim = remote_access(&["10.9.0.1-10.9.0.9"], "0.0.0.0/0 ::/0");
    sim.initiate();
    sim.settle();
    let up = traffic(ups(&sim.peers[0])[0]);
    assert_eq!(up, "10.9.0.1/32===0.0.0.0/0", "{:#?}", sim.peers[0].log);
}

/// The lease outlives the Child SA that it came with.
#[test]
fn rekeyed_child_sas_have_the_traffic_of_the_lease() {
    let mut sim = remote_access(&["10.9.0.1-10.9.0.9"], "0.0.0.0/0");
    let client = sim.initiate();
    sim.settle();
    for (round, host) in [(1, 0), (2, 1), (3, 0)] {
        let ike = if host == 0 { client } else { sim.peers[1].established()[0] };
        let child = ups(&sim.peers[host])[round - 1].child;
        sim.order(host, ike, Request::RekeyChild(child));
        sim.settle();
        let now = [&sim.peers[0], &sim.peers[1]].map(|peer| {
            let all = ups(peer);
            assert_eq!(all.len(), round + 1, "{:#?}", peer.log);
            (traffic(all[round]), all[round].policy.configuration.clone().unwrap())
        });
        assert_eq!(now[0].0, "10.9.0.1/32===0.0.0.0/0");
        assert_eq!(now[1].0, "0.0.0.0/0===10.9.0.1/32");
        assert_eq!(now[0].1.addresses, now[1].1.addresses);
    }
}

#[test]
fn an_exhausted_pool_fails_the_child_sa_alone() {
    let mut sim = remote_access(&["10.9.0.1"], "0.0.0.0/0");
    let ranges = sim.peers[1].ranges.clone();
    let other = pluto_connections::LeaseRequest {
        ranges: &ranges,
        family: pluto_connections::Family::Ipv4,
        identity: &Id::Fqdn("another".into()),
        holder: pluto_connections::ConnectionSerial(99),
        takeover: false,
    };
    sim.peers[1].pools.lease(&other).unwrap();
    sim.initiate();
    sim.settle();
    assert!(ups(&sim.peers[0]).is_empty());
    assert!(sim.peers.iter().all(|peer| peer.kernel.is_empty()));
    let log = sim.peers[0].log.join("\n");
    assert!(log.contains("rejected Child SA with INTERNAL_ADDRESS_FAILURE"), "{log}");
}

#[test]
fn who_returns_is_given_the_same_address() {
    let mut sim = remote_access(&["10.9.0.1-10.9.0.9"], "0.0.0.0/0");
    for _ in 0..3 {
        let serial = sim.initiate();
        sim.settle();
        let last = ups(&sim.peers[0]).last().map(|up| traffic(up)).unwrap();
        assert_eq!(last, "10.9.0.1/32===0.0.0.0/0");
        sim.order(0, serial, Request::DeleteIke);
        sim.settle();
        assert!(sim.peers[1].pools.status().is_empty(), "nobody names it or has an address of it");
    }
    sim.assert_nothing_left();
}

#[test]
fn ten_clients_are_given_ten_addresses() {
    let mut sim = remote_access(&["10.9.0.1-10.9.0.10"], "0.0.0.0/0");
    sim.peers[1].ike.remote_id = Id::Any;
    for client in 0..10 {
        sim.peers[0].ike.local_id = Id::Fqdn(format!("client{client}"));
        sim.initiate();
        sim.settle();
    }
    let mut given: Vec<_> =
        ups(&sim.peers[1]).iter().map(|up| up.remote_ts[0].to_string()).collect();
    given.sort();
    given.dedup();
    assert_eq!(given.len(), 10, "{given:?}");
    sim.peers[0].ike.local_id = Id::Fqdn("client10".into());
    sim.initiate();
    sim.settle();
    assert_eq!(ups(&sim.peers[1]).len(), 10, "the pool has ten");
}

#[test]
fn a_client_without_a_reply_gives_the_child_sa_up() {
    let mut sim = remote_access(&["10.9.0.1"], "0.0.0.0/0");
    // East knows of no pool and takes the traffic as it is.
    sim.peers[1].child.configuration = None;
    sim.peers[1].child.remote_ts = selectors("0.0.0.0/0");
    sim.initiate();
    sim.settle();
    assert!(ups(&sim.peers[0]).is_empty());
    let log = sim.peers[0].log.join("\n");
    assert!(log.contains("we asked for an address, and the peer gave none"), "{log}");
    assert!(sim.peers[1].kernel.installed.is_empty(), "the peer was told");
}

/// A configuration payload.
type Cp = (CfgType, Vec<(CfgAttributeType, Vec<u8>)>);

/// A server and a puppet that asks with these attributes.
fn asked(attributes: Option<Cp>) -> (Stage, Vec<Payload>) {
    let mut stage = Stage::keyed(1);
    serve(&mut stage.sim.peers[1], &["10.9.0.1-10.9.0.9"], "0.0.0.0/0");
    let mut payloads = stage.auth_payloads(&fqdn("west"));
    if let Some((cfg_type, attributes)) = attributes {
        payloads.push(Payload::Cp(ConfigPayload { cfg_type, attributes }));
    }
    let said = stage.ask(ExchangeType::IKE_AUTH, 1, &payloads);
    assert_eq!(said.len(), 1);
    let said = said[0].clone();
    (stage, said)
}

const IP4: CfgAttributeType = CfgAttributeType::INTERNAL_IP4_ADDRESS;

const IP6: CfgAttributeType = CfgAttributeType::INTERNAL_IP6_ADDRESS;
const NET4: CfgAttributeType = CfgAttributeType::INTERNAL_IP4_SUBNET;
const NET6: CfgAttributeType = CfgAttributeType::INTERNAL_IP6_SUBNET;

/// The networks that the CFG_REPLY of a server names, which has addresses of both families to
/// give, and this behind it.
fn networks_told(behind: &str, asks: &[CfgAttributeType]) -> Vec<(CfgAttributeType, Vec<u8>)> {
    let mut stage = Stage::keyed(1);
    serve(&mut stage.sim.peers[1], &["10.9.0.1-10.9.0.9", "2001:db8:9::/112"], behind);
    let mut payloads = stage.auth_payloads(&fqdn("west"));
    let attributes = asks.iter().map(|kind| (*kind, Vec::new())).collect();
    payloads.push(Payload::Cp(ConfigPayload { cfg_type: CfgType::REQUEST, attributes }));
    let said = stage.ask(ExchangeType::IKE_AUTH, 1, &payloads);
    assert_eq!(stage.sim.peers[1].kernel.installed.len(), 1, "{}", stage.sim.story());
    let reply = said[0].iter().find_map(|payload| match payload {
        Payload::Cp(config) => Some(config.clone()),
        _ => None,
    });
    let reply = reply.expect("a CFG_REPLY");
    assert_eq!(reply.cfg_type, CfgType::REPLY);
    let network = |(kind, _): &(CfgAttributeType, Vec<u8>)| [NET4, NET6].contains(kind);
    reply.attributes.into_iter().filter(network).collect()
}

/// RFC 7296, 3.15.1: an IPv4 network with its mask, one of IPv6 with the length of its prefix.
#[test]
fn a_client_is_told_the_networks_behind_the_server_of_the_families_it_is_given() {
    let behind = "10.2.0.0/24 10.3.0.0/16 10.4.0.7/32 2001:db8:2::/48";
    let masked: [[u8; 8]; 3] = [
        [10, 2, 0, 0, 255, 255, 255, 0],
        [10, 3, 0, 0, 255, 255, 0, 0],
        [10, 4, 0, 7, 255, 255, 255, 255],
    ];
    let ipv4 = masked.map(|octets| (NET4, octets.to_vec()));
    let prefixed: [u8; 17] = [0x20, 1, 0xd, 0xb8, 0, 2, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 48];
    let ipv6 = [(NET6, prefixed.to_vec())];
    assert_eq!(networks_told(behind, &[IP4]), ipv4);
    assert_eq!(networks_told(behind, &[IP6]), ipv6);
    // That it asks for them, too, makes no difference.
    for asks in [&[IP4, IP6][..], &[IP4, NET4, IP6, NET6]] {
        assert_eq!(networks_told(behind, asks), [&ipv4[..], &ipv6].concat());
    }
}

#[test]
fn all_the_world_and_what_is_no_network_are_not_told() {
    assert!(networks_told("0.0.0.0/0 ::/0", &[IP4, IP6]).is_empty());
    let told = networks_told("10.2.0.0/24 10.4.0.1-10.4.0.9", &[IP4]);
    assert_eq!(told, [(NET4, vec![10, 2, 0, 0, 255, 255, 255, 0])]);
}

#[test]
fn of_many_networks_the_first_64_are_told() {
    let behind: Vec<_> = (0..70).map(|net| format!("10.2.{net}.0/24")).collect();
    let told = networks_told(&behind.join(" "), &[IP4]);
    assert_eq!(told.len(), 64);
    assert_eq!(told[63], (NET4, vec![10, 2, 63, 0, 255, 255, 255, 0]));
}

/// What it may reach is said by TSr.
#[test]
fn a_client_that_is_told_networks_has_the_traffic_that_was_agreed_on() {
    let mut sim = Sim::calm(1);
    serve(&mut sim.peers[1], &["10.9.0.1-10.9.0.9"], "10.2.0.0/24 10.3.0.0/16");
    ask(&mut sim.peers[0], "0.0.0.0/0");
    sim.initiate();
    sim.settle();
    assert!(sim.is_up(), "{}", sim.story());
    assert_eq!(traffic(ups(&sim.peers[0])[0]), "10.9.0.1/32===10.2.0.0/24,10.3.0.0/16");
}

#[test]
fn d7_a_peer_that_asks_for_no_address_gets_no_child_sa() {
    let dns = (CfgType::REQUEST, vec![(CfgAttributeType::INTERNAL_IP4_DNS, Vec::new())]);
    // An unsolicited CFG_REPLY is no question.
    let reply = (CfgType::REPLY, vec![(IP4, vec![10, 9, 0, 1])]);
    let set = (CfgType::SET, vec![(IP4, vec![10, 9, 0, 1])]);
    for attributes in [None, Some(dns), Some(reply), Some(set)] {
        let (stage, said) = asked(attributes);
        assert_eq!(notifies(&said), [NotifyType::FAILED_CP_REQUIRED]);
        assert!(stage.believes(), "the IKE SA stands");
        assert!(stage.sim.peers[1].kernel.is_empty());
    }
}

#[test]
fn d7_who_has_no_address_does_not_choose_one_by_create_child_sa() {
    let (mut stage, _) = asked(None);
    let mut payloads = stage.auth_payloads(&fqdn("west"));
    payloads.drain(..3);
    payloads.push(Payload::Nonce(vec![7; 32]));
    let said = stage.ask(ExchangeType::CREATE_CHILD_SA, 2, &payloads);
    assert_eq!(notifies(&said[0]), [NotifyType::FAILED_CP_REQUIRED]);
    assert!(stage.sim.peers[1].kernel.is_empty());
}

#[test]
fn d7_another_family_than_the_pools_is_refused() {
    let ip6 = (CfgAttributeType::INTERNAL_IP6_ADDRESS, vec![0; 17]);
    let (_, said) = asked(Some((CfgType::REQUEST, vec![ip6])));
    assert_eq!(notifies(&said), [NotifyType::INTERNAL_ADDRESS_FAILURE]);
}

#[test]
fn d7_whatever_address_is_asked_for_the_pool_decides() {
    for value in [
        vec![],
        vec![0, 0, 0, 0],
        vec![10, 9, 0, 5],
        vec![127, 0, 0, 1],
        vec![255; 4],
        vec![1],
        vec![0; 1_000],
    ] {
        let (stage, said) = asked(Some((CfgType::REQUEST, vec![(IP4, value.clone()); 20])));
        let reply = said.iter().find_map(|payload| match payload {
            Payload::Cp(config) => Some(config.clone()),
            _ => None,
        });
        let reply = reply.expect("a CFG_REPLY");
        assert_eq!(reply.cfg_type, CfgType::REPLY);
        let given: Vec<_> = reply.attributes.iter().filter(|(kind, _)| *kind == IP4).collect();
        assert_eq!(given, [&(IP4, vec![10, 9, 0, 1])], "{value:?}");
        assert_eq!(stage.sim.peers[1].kernel.installed.len(), 1);
    }
}

#[test]
fn d7_configuration_payloads_of_an_established_sa_mean_nothing() {
    let mut stage = Stage::established(1);
    for (id, cfg_type) in [(2, CfgType::REQUEST), (3, CfgType::REPLY), (4, CfgType::SET)] {
        let attributes = vec![(IP4, vec![10, 9, 0, 1])];
        let cp = Payload::Cp(ConfigPayload { cfg_type, attributes });
        let said = stage.ask(ExchangeType::INFORMATIONAL, id, &[cp]);
        assert_eq!(said.len(), 1);
        assert!(said[0].iter().all(|p| p.payload_type() != PayloadType::CP));
    }
    assert!(stage.believes());
    assert_eq!(stage.sim.peers[1].kernel.installed.len(), 1);
}
