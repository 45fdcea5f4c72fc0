//! Child SAs with a peer that is authenticated and wants more than it should get.

#![allow(
    clippy::indexing_slicing,
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "a test that misses what it looks for fails"
)]

use pluto_connections::{ConfigRole, Configuration, Selector};
use pluto_states::{DownReason, Request};
use pluto_tests::peer::{Peer, Report, child_policy, selectors};
use pluto_tests::puppet::{Puppet, fqdn};
use pluto_tests::sim::{EAST, Sim, WEST};
use pluto_tests::stage::{FIRST, Stage, notifies, notify, rekeys, wire};
use pluto_wire::numbers::{CfgAttributeType, CfgType, ExchangeType, KeId, NotifyType, ProtocolId};
use pluto_wire::v2::{ConfigPayload, Notify, Payload, SaPayload, TrafficSelector};
use std::net::{IpAddr, Ipv4Addr};

const CREATE: ExchangeType = ExchangeType::CREATE_CHILD_SA;
const A: [u8; 4] = [0, 0, 0x40, 1];
const B: [u8; 4] = [0, 0, 0x40, 2];

/// Forty selectors of a few octets each, within 10.NET.0.0/24, that make 420 parts each.
fn many(net: u8) -> Vec<TrafficSelector> {
    let of = |protocol| format!("10.{net}.0.1-10.{net}.0.254/{protocol}/1-65534");
    let all: Vec<String> = (1..=40).map(of).collect();
    wire(&selectors(&all.join(" ")))
}

fn with_selectors(payloads: &mut [Payload], i: &[TrafficSelector], r: &[TrafficSelector]) {
    for payload in payloads {
        match payload {
            Payload::TsI(ts) => *ts = i.to_vec(),
            Payload::TsR(ts) => *ts = r.to_vec(),
            _ => {}
        }
    }
}

/// West initiates, and a puppet in the place of east answers IKE_AUTH with what `change` makes
/// of an honest response.
fn initiator_hears(
    prepare: impl FnOnce(&mut Peer),
    change: impl FnOnce(&mut Vec<Payload>),
) -> (Sim, Puppet) {
    let mut sim = Sim::calm(1);
    sim.east().answers = false;
    prepare(sim.west());
    sim.initiate();
    sim.settle();
    let proposals = sim.peers[0].ike.proposals.clone();
    let mut puppet = Puppet::new(77, false, (EAST, 500).into(), (WEST, 500).into());
    let request = sim.net.log[0].bytes.clone();
    let answer = puppet.answer(&request, &proposals);
    sim.inject(answer);
    sim.settle();
    let policy = child_policy("x", "10.1.0.0/24", "10.2.0.0/24");
    let chosen = policy.proposals.choose(&policy.proposals.to_wire(FIRST, None), None).unwrap();
    let mut reply = chosen.reply.clone();
    reply.spi = FIRST.to_vec();
    let key = sim.peers[0].psk.clone().unwrap();
    let mut payloads = vec![
        Payload::IdR(fqdn("east")),
        puppet.auth(&fqdn("east"), &key),
        Payload::Sa(SaPayload { proposals: vec![reply] }),
        Payload::TsI(wire(&policy.local_ts)),
        Payload::TsR(wire(&policy.remote_ts)),
    ];
    change(&mut payloads);
    let response = puppet.seal(ExchangeType::IKE_AUTH, true, 1, &payloads);
    sim.inject(response);
    sim.settle();
    assert_eq!(sim.peers[0].established().len(), 1, "{}", sim.story());
    (sim, puppet)
}

#[test]
fn selectors_of_ike_auth_that_would_make_millions_of_policies_are_refused() {
    let mut stage = Stage::keyed(1);
    stage.sim.peers[1].child.narrowing = true;
    let mut payloads = stage.auth_payloads(&fqdn("west"));
    with_selectors(&mut payloads, &many(1), &many(2));
    let said = stage.ask(ExchangeType::IKE_AUTH, 1, &payloads);
    assert_eq!(notifies(&said[0]), [NotifyType::TS_UNACCEPTABLE]);
    let east = &stage.sim.peers[1];
    assert_eq!((east.established().len(), east.kernel.is_empty()), (1, true));
    assert!(east.logged("would make 7056000 policies, more than 1024"), "{}", stage.sim.story());
}

#[test]
fn selectors_of_a_rekeying_that_would_make_millions_of_policies_are_refused() {
    let mut stage = Stage::without_pfs(2, |east| east.child.narrowing = true);
    let mut request = stage.rekey_of(FIRST, A);
    with_selectors(&mut request, &many(1), &many(2));
    let said = stage.ask(CREATE, 2, &request);
    assert_eq!(notifies(&said[0]), [NotifyType::TS_UNACCEPTABLE]);
    assert!(stage.sim.peers[1].logged("more than 1024"), "{}", stage.sim.story());
    // One side alone: routes are made of it.
    with_selectors(&mut request, &many(1), &wire(&selectors("10.2.0.0/24/41")));
    let said = stage.ask(CREATE, 3, &request);
    assert_eq!(notifies(&said[0]), [NotifyType::TS_UNACCEPTABLE]);
    assert_eq!(stage.held(), [FIRST]);
    assert!(stage.sim.peers[1].kernel.reserved.is_empty());
}

#[test]
fn selectors_of_a_response_that_would_make_millions_of_policies_are_rejected() {
    let loose = |west: &mut Peer| west.child.narrowing = true;
    let (sim, puppet) =
        initiator_hears(loose, |payloads| with_selectors(payloads, &many(1), &many(2)));
    let said = puppet.open(&sim.net.log.last().unwrap().bytes).unwrap().1;
    assert!(matches!(&said[..], [Payload::Delete(d)] if d.protocol == ProtocolId::ESP));
    let downs = sim.peers[0].downs();
    let [DownReason::Unacceptable(why)] = &downs[..] else { panic!("{downs:?}") };
    assert!(why.contains("more than 1024"), "{why}");
    assert!(sim.peers[0].kernel.is_empty());
}

#[test]
fn what_a_response_says_twice_is_installed_once() {
    let (sim, _) = initiator_hears(
        |_| {},
        |payloads| {
            let all = |net| {
                let whole = wire(&selectors(&format!("10.{net}.0.0/24")));
                [many(net), whole.clone(), whole].concat()
            };
            with_selectors(payloads, &all(1), &all(2));
        },
    );
    let installed = sim.peers[0].kernel.installed.values().next().expect("it is up");
    assert_eq!(installed.local_ts, selectors("10.1.0.0/24"));
    assert_eq!(installed.remote_ts, selectors("10.2.0.0/24"));
}

/// The selectors of what east has installed for this SPI of the puppet's.
fn traffic(stage: &Stage, spi: [u8; 4]) -> (Vec<Selector>, Vec<Selector>) {
    let mut installed = stage.sim.peers[1].kernel.installed.values();
    let sa = installed.find(|sa| sa.spi_out.0.to_be_bytes() == spi).expect("it is installed");
    (sa.local_ts.clone(), sa.remote_ts.clone())
}

#[test]
fn a_rekeying_shrinks_a_tunnel_only_with_narrowing() {
    let all = wire(&selectors("0.0.0.0/0"));
    let half = wire(&selectors("10.2.0.0/25"));
    for narrowing in [false, true] {
        let mut stage = Stage::without_pfs(3, |east| east.child.narrowing = narrowing);
        let whole = traffic(&stage, FIRST);
        let mut request = stage.rekey_of(FIRST, A);
        with_selectors(&mut request, &all, &half);
        let said = stage.ask(CREATE, 2, &request);
        if narrowing {
            assert!(matches!(said[0].first(), Some(Payload::Sa(_))), "{said:?}");
            let shrunk = (selectors("10.2.0.0/25"), whole.1);
            assert_eq!(traffic(&stage, A), shrunk);
            // What was narrowed does not grow again.
            let mut request = stage.rekey_of(A, B);
            with_selectors(&mut request, &all, &all);
            stage.ask(CREATE, 3, &request);
            assert_eq!(traffic(&stage, B), shrunk);
        } else {
            assert_eq!(notifies(&said[0]), [NotifyType::TS_UNACCEPTABLE]);
            assert_eq!(stage.held(), [FIRST]);
            // Phones offer all that they have offered first, and get what they have.
            with_selectors(&mut request, &all, &all);
            let said = stage.ask(CREATE, 3, &request);
            assert!(said[0].contains(&Payload::TsR(wire(&whole.0))), "{said:?}");
            assert_eq!(traffic(&stage, A), whole);
        }
    }
}

#[test]
fn a_spi_that_another_child_sa_has_is_refused_and_the_ike_sa_stays() {
    let mut stage = Stage::without_pfs(4, |_| {});
    let requests = [stage.child_of(FIRST, 1), stage.rekey_of(FIRST, FIRST)];
    for (id, request) in (2..).zip(&requests) {
        let said = stage.ask(CREATE, id, request);
        assert_eq!(notifies(&said[0]), [NotifyType::NO_PROPOSAL_CHOSEN], "{}", stage.sim.story());
        assert_eq!(stage.held(), [FIRST]);
    }
    let request = stage.rekey_of(FIRST, A);
    let said = stage.ask(CREATE, 4, &request);
    assert!(matches!(said[0].first(), Some(Payload::Sa(_))), "{said:?}");
    // The one that is being replaced has its SPI still.
    for (id, spi) in [(5, FIRST), (6, A)] {
        let request = stage.child_of(spi, 7);
        let said = stage.ask(CREATE, id, &request);
        assert_eq!(notifies(&said[0]), [NotifyType::NO_PROPOSAL_CHOSEN]);
    }
    let east = &stage.sim.peers[1];
    assert!(east.logged("has the peer's SPI") && east.kernel.reserved.is_empty());
    assert_eq!((stage.held(), east.established().len()), (vec![FIRST, A], 1));
}

#[test]
fn a_response_with_the_spi_of_another_child_sa_is_rejected_and_the_old_one_stays() {
    let mut stage = Stage::without_pfs(5, |_| {});
    let (ike, child) = (stage.sim.peers[1].established()[0], stage.sim.peers[1].children()[0]);
    let before = stage.sim.net.log.len();
    stage.sim.order(1, ike, Request::RekeyChild(child));
    stage.sim.settle();
    let (header, asked) = stage.puppet.open(&stage.sim.net.log[before].bytes).unwrap();
    let offered = asked.iter().find_map(|payload| match payload {
        Payload::Sa(sa) => Some(sa.clone()),
        _ => None,
    });
    let policy = stage.sim.peers[1].child.clone();
    let chosen = policy.proposals.choose(&offered.unwrap(), Some(&[KeId::NONE])).unwrap();
    let mut reply = chosen.reply.clone();
    reply.spi = FIRST.to_vec();
    let answer = [
        Payload::Sa(SaPayload { proposals: vec![reply] }),
        Payload::Nonce(vec![9; 32]),
        Payload::TsI(wire(&policy.local_ts)),
        Payload::TsR(wire(&policy.remote_ts)),
    ];
    let answer = stage.puppet.seal(CREATE, true, header.message_id.0, &answer);
    let said = stage.say(answer);
    let said = stage.puppet.open(&said[0].bytes).unwrap().1;
    assert!(matches!(&said[..], [Payload::Delete(_)]), "{said:?}");
    assert_eq!(stage.held(), [FIRST], "{}", stage.sim.story());
    assert_eq!(stage.sim.peers[1].children(), [child]);
    assert!(stage.sim.peers[1].logged("has the peer's SPI"), "{}", stage.sim.story());
}

/// What is an error in a response is nothing in a request (RFC 7296, 3.10.1).
#[test]
fn d6_errors_inside_a_rekeying_do_not_keep_it_from_rekeying() {
    let mut stage = Stage::without_pfs(6, |_| {});
    let invalid_spi = Notify {
        protocol: ProtocolId::ESP,
        spi: vec![1, 2, 3],
        notify_type: NotifyType::INVALID_SPI,
        data: Vec::new(),
    };
    let errors = [
        notify(NotifyType::NO_PROPOSAL_CHOSEN, &[]),
        Payload::Notify(invalid_spi),
        notify(NotifyType::AUTHENTICATION_FAILED, &[]),
    ];
    let mut old = FIRST;
    for (id, error) in (2..).zip(errors) {
        let spi = [0, 0, 0x50, id];
        // Before and behind REKEY_SA.
        let mut request = vec![error.clone(), rekeys(old), error];
        request.extend(stage.child_of(spi, id));
        let said = stage.ask(CREATE, id.into(), &request);
        assert!(matches!(said[0].first(), Some(Payload::Sa(_))), "{said:?}");
        assert_eq!(stage.sim.peers[1].established().len(), 1, "{}", stage.sim.story());
        old = spi;
    }
    assert!(stage.held().contains(&old));
    assert!(stage.sim.peers[1].lost().is_empty());
}

fn cp(cfg_type: CfgType, address: &[u8]) -> Payload {
    let attributes = vec![(CfgAttributeType::INTERNAL_IP4_ADDRESS, address.to_vec())];
    Payload::Cp(ConfigPayload { cfg_type, attributes })
}

fn is_cp(payload: &Payload) -> bool {
    matches!(payload, Payload::Cp(_))
}

/// RFC 7296, 1.3.3 has no CP: the lease is the IKE SA's, and stays.
#[test]
fn d7_cp_in_a_rekeying_is_ignored_and_the_lease_stays() {
    let mut stage = Stage::keyed(7);
    let east = &mut stage.sim.peers[1];
    east.child.pfs = pluto_connections::Pfs::No;
    let given = Configuration {
        role: ConfigRole::Server,
        ipv4: true,
        ipv6: false,
        addresses: Vec::new(),
        dns: Vec::new(),
        domains: Vec::new(),
        banner: None,
        ignore_dns: false,
    };
    east.serve(&["10.9.0.1-10.9.0.9"], given);
    (east.child.local_ts, east.child.remote_ts) =
        (selectors("10.2.0.0/24"), selectors("10.9.0.1-10.9.0.9"));
    let mut payloads = stage.auth_payloads(&fqdn("west"));
    payloads.push(cp(CfgType::REQUEST, &[]));
    let said = stage.ask(ExchangeType::IKE_AUTH, 1, &payloads);
    assert!(said[0].iter().any(is_cp), "{said:?}");
    let lease = traffic(&stage, FIRST);
    assert_eq!(lease.1, selectors("10.9.0.1/32"));

    let mut old = FIRST;
    for (id, cfg_type) in (2..).zip([CfgType::REQUEST, CfgType::REPLY, CfgType::SET]) {
        let spi = [0, 0, 0x50, id];
        let mut request = stage.rekey_of(old, spi);
        request.push(cp(cfg_type, &[10, 9, 0, 5]));
        let said = stage.ask(CREATE, id.into(), &request);
        assert!(matches!(said[0].first(), Some(Payload::Sa(_))), "{said:?}");
        assert!(!said[0].iter().any(is_cp), "{said:?}");
        assert_eq!(traffic(&stage, spi), lease);
        let up = stage.sim.peers[1].reports.iter().rev().find_map(|report| match report {
            Report::Up(up) => Some(up.policy.configuration.clone().unwrap().addresses.clone()),
            _ => None,
        });
        assert_eq!(up.unwrap(), [IpAddr::V4(Ipv4Addr::new(10, 9, 0, 1))]);
        old = spi;
    }
}

#[test]
fn d7_a_configuration_that_an_initiator_did_not_ask_for_changes_nothing() {
    let (sim, _) =
        initiator_hears(|_| {}, |payloads| payloads.push(cp(CfgType::REPLY, &[10, 9, 0, 1])));
    let west = &sim.peers[0];
    let installed = west.kernel.installed.values().next().expect("it is up");
    assert_eq!(installed.local_ts, selectors("10.1.0.0/24"));
    assert!(installed.policy.configuration.is_none());
    assert!(!west.logged("10.9.0.1"), "{}", sim.story());
}

/// RFC 4555, 3.5: it is the initiator who decides, whoever has rekeyed the IKE SA since.
#[test]
fn d8_a_responder_that_updates_addresses_is_answered_and_moves_nothing() {
    let update = [notify(NotifyType::UPDATE_SA_ADDRESSES, &[])];
    let (mut sim, mut puppet) = initiator_hears(
        |west| west.ike.mobike = true,
        |payloads| payloads.push(notify(NotifyType::MOBIKE_SUPPORTED, &[])),
    );
    let path = |sim: &Sim| {
        let west = &sim.peers[0];
        let tunnel = west.kernel.installed.values().next().expect("it is up");
        let ike = west.sas.values().find(|sa| sa.summary().replaced_by.is_none()).unwrap();
        assert!(ike.summary().mobike);
        (tunnel.remote, ike.summary().remote)
    };
    let ask = |sim: &mut Sim, puppet: &mut Puppet, exchange, id, payloads: &[Payload]| {
        let from = sim.net.log.len();
        let request = puppet.seal(exchange, false, id, payloads);
        sim.inject(request);
        sim.settle();
        let said = &sim.net.log[from..];
        let mut answers = said.iter().filter_map(|datagram| puppet.open(&datagram.bytes));
        answers.find(|(header, _)| header.flags.is_response()).expect("it is answered").1
    };
    let informational = ExchangeType::INFORMATIONAL;
    let elsewhere = (Ipv4Addr::new(198, 51, 100, 66), 500).into();
    let (home, there) = (path(&sim), puppet.local);
    puppet.local = elsewhere;
    assert_eq!(ask(&mut sim, &mut puppet, informational, 0, &update), []);
    assert_eq!(path(&sim), home, "{}", sim.story());

    puppet.local = there;
    let proposals = sim.peers[0].ike.proposals.clone();
    let (spi, request) = puppet.rekey_payloads(&proposals);
    let answer = ask(&mut sim, &mut puppet, CREATE, 1, &request);
    puppet.take_rekey(spi, &answer, &proposals);
    puppet.local = elsewhere;
    assert_eq!(ask(&mut sim, &mut puppet, informational, 0, &update), []);
    assert_eq!(path(&sim), home, "{}", sim.story());
}
