use super::*;
use crate::{PolicyAction, PolicyUse, SaKeys, Traffic, TrafficPair};
use pluto_crypto::Secret;
use pluto_wire::numbers::{EncrId, IntegId};

fn net(a: u8, prefix: u8) -> Traffic {
    Traffic { network: IpAddr::from([10, a, 0, 0]), prefix, protocol: 0, port: (0, 0) }
}

fn pair(remote: u8) -> TrafficPair {
    TrafficPair { local: net(1, 24), remote: net(remote, 24), priority: 1000 }
}

fn keys() -> SaKeys {
    SaKeys {
        encr: EncrId::AES_GCM_16,
        encr_bits: 128,
        encr_key: Secret::new(vec![7; 20]),
        integ: IntegId::NONE,
        integ_key: Secret::default(),
    }
}

fn spec(child: u64, connection: u64, spi_in: u32, spi_out: u32) -> SaPairSpec {
    SaPairSpec {
        child,
        connection,
        protocol: ProtocolId::ESP,
        transport: false,
        local: "192.0.2.1:500".parse().unwrap(),
        remote: "192.0.2.2:500".parse().unwrap(),
        encapsulated: false,
        spi_in,
        spi_out,
        keys_in: keys(),
        keys_out: keys(),
        esn: false,
        replay_window: 32,
        reqid: 16384,
        traffic: vec![pair(2)],
        bytes: (u64::MAX, u64::MAX),
        packets: (u64::MAX, u64::MAX),
        mark_in: None,
        mark_out: None,
        if_id: 0,
        tfc: 0,
        decap_dscp: false,
        no_encap_dscp: false,
        nopmtudisc: false,
    }
}

fn request(child: u64) -> SpiRequest {
    SpiRequest {
        child,
        protocol: ProtocolId::ESP,
        remote: IpAddr::from([192, 0, 2, 2]),
        local: IpAddr::from([192, 0, 2, 1]),
        reqid: 16384,
    }
}

fn bare(action: PolicyAction, traffic: Vec<TrafficPair>) -> PolicySpec {
    PolicySpec {
        action,
        traffic,
        transport: false,
        protocol: ProtocolId::ESP,
        local: IpAddr::from([192, 0, 2, 1]),
        remote: IpAddr::from([192, 0, 2, 2]),
        reqid: 16384,
        mark_in: None,
        mark_out: None,
        if_id: 0,
    }
}

#[test]
fn a_pair_comes_and_goes_and_leaves_nothing() {
    let mut kernel = FakeKernel::new();
    let tables = kernel.tables();
    let spi = kernel.allocate_spi(&request(2)).unwrap();
    assert_eq!(spi, 0x1000);
    kernel.install(&spec(2, 1, spi, 0xabcd)).unwrap();
    assert_eq!((tables.sas().len(), tables.policies().len()), (2, 3));
    assert!(tables.count_traffic(IpAddr::from([192, 0, 2, 1]), spi, 84, 1));
    let counters = kernel.counters(2).unwrap();
    assert_eq!((counters.bytes_in, counters.packets_in, counters.bytes_out), (84, 1, 0));
    assert!(kernel.orphans().is_empty());
    kernel.remove(2).unwrap();
    kernel.remove(2).unwrap();
    kernel.remove_policies(1).unwrap();
    assert!(tables.is_empty());
    assert!(kernel.ledger().is_empty());
}

#[test]
fn a_failed_install_leaves_nothing() {
    let mut kernel = FakeKernel::new();
    let tables = kernel.tables();
    let spi = kernel.allocate_spi(&request(2)).unwrap();
    tables.fail_next(libc::ENOSYS);
    let error = kernel.install(&spec(2, 1, spi, 0xabcd)).unwrap_err();
    assert_eq!(error.errno, libc::ENOSYS);
    assert!(tables.is_empty() && kernel.ledger().is_empty());
    assert_eq!(tables.calls(), ["allocate_spi", "install"]);
}

#[test]
fn a_duplicate_outbound_sa_is_refused_and_the_first_lives_on() {
    let mut kernel = FakeKernel::new();
    let spi = kernel.allocate_spi(&request(2)).unwrap();
    kernel.install(&spec(2, 1, spi, 0xabcd)).unwrap();
    let second = kernel.allocate_spi(&request(3)).unwrap();
    let error = kernel.install(&spec(3, 1, second, 0xabcd)).unwrap_err();
    assert_eq!(error.errno, libc::EEXIST);
    assert_eq!(kernel.tables().sas().len(), 2);
    assert!(kernel.orphans().is_empty());
}

#[test]
fn an_spi_that_was_not_reserved_is_refused() {
    let mut kernel = FakeKernel::new();
    assert_eq!(kernel.install(&spec(2, 1, 0x5000, 0xabcd)).unwrap_err().errno, libc::ESRCH);
}

/// The SPIs that tunnels send by.
fn sends(kernel: &FakeKernel) -> Vec<u32> {
    kernel.tables().senders().iter().map(|fake| fake.sa.spi).collect()
}

/// The policies without what names the SA that sends.
fn policies_but_for_spis(kernel: &FakeKernel) -> Vec<(Direction, PolicyKey, PolicyShape)> {
    let all = kernel.tables().policies().into_iter();
    all.map(|(way, key, shape)| (way, key, shape.towards(Direction::In))).collect()
}

#[test]
fn a_rekey_changes_who_sends_and_leaves_the_policies_alone() {
    let mut kernel = FakeKernel::new();
    let first = kernel.allocate_spi(&request(2)).unwrap();
    kernel.install(&spec(2, 1, first, 0xa)).unwrap();
    let before = policies_but_for_spis(&kernel);
    assert_eq!(sends(&kernel), [0xa]);
    let second = kernel.allocate_spi(&request(3)).unwrap();
    kernel.install(&spec(3, 1, second, 0xb)).unwrap();
    assert_eq!(sends(&kernel), [0xb]);
    kernel.remove(2).unwrap();
    assert_eq!(sends(&kernel), [0xb]);
    assert_eq!(policies_but_for_spis(&kernel), before);
    assert_eq!(kernel.tables().sas().len(), 2);
}

#[test]
fn inbound_policies_name_no_sa() {
    let mut kernel = FakeKernel::new();
    let first = kernel.allocate_spi(&request(2)).unwrap();
    kernel.install(&spec(2, 1, first, 0xa)).unwrap();
    for (way, _, shape) in kernel.tables().policies() {
        let PolicyUse::Tunnel(template) = shape.does else { panic!("{shape:?}") };
        assert_eq!(template.spi, if way == Direction::Out { 0xa } else { 0 });
    }
}

#[test]
fn who_stops_sending_or_goes_leaves_it_to_the_one_before() {
    let mut kernel = FakeKernel::new();
    for (child, out) in [(2, 0xa), (3, 0xb), (4, 0xc)] {
        let spi = kernel.allocate_spi(&request(child)).unwrap();
        kernel.install(&spec(child, 1, spi, out)).unwrap();
    }
    assert_eq!(sends(&kernel), [0xc]);
    kernel.stop_sending(4).unwrap();
    assert_eq!(sends(&kernel), [0xb]);
    assert_eq!(kernel.tables().sas().len(), 6, "they stay for what is on its way");
    kernel.remove(3).unwrap();
    assert_eq!(sends(&kernel), [0xa]);
    kernel.stop_sending(2).unwrap();
    assert_eq!(sends(&kernel), [0xa], "the last one goes on");
    kernel.remove(4).unwrap();
    assert_eq!(sends(&kernel), [0xa]);
    kernel.remove(2).unwrap();
    assert_eq!(sends(&kernel), []);
    assert_eq!(kernel.tables().policies().len(), 3, "the connection decides what becomes of them");
    kernel.remove_policies(1).unwrap();
    assert!(kernel.tables().is_empty() && kernel.ledger().is_empty());
}

#[test]
fn who_only_receives_yet_does_not_send_and_sends_when_it_may() {
    let mut kernel = FakeKernel::new();
    let first = kernel.allocate_spi(&request(2)).unwrap();
    kernel.install(&spec(2, 1, first, 0xa)).unwrap();
    let second = kernel.allocate_spi(&request(3)).unwrap();
    kernel.install_inbound(&spec(3, 1, second, 0xb)).unwrap();
    assert_eq!(sends(&kernel), [0xa]);
    kernel.stop_sending(2).unwrap();
    assert_eq!(sends(&kernel), [0xa], "nobody else does");
    kernel.install_outbound(&spec(3, 1, second, 0xb)).unwrap();
    assert_eq!(sends(&kernel), [0xb]);
    // A connection that has gone wants no policies: they go with its last Child SA.
    let third = kernel.allocate_spi(&request(4)).unwrap();
    kernel.install_inbound(&spec(4, 1, third, 0xc)).unwrap();
    kernel.remove_policies(1).unwrap();
    kernel.install_outbound(&spec(4, 1, third, 0xc)).unwrap();
    assert_eq!(sends(&kernel), [0xc]);
    [2, 3, 4].iter().for_each(|child| kernel.remove(*child).unwrap());
    assert!(kernel.tables().is_empty() && kernel.ledger().is_empty());
}

/// What each policy does, without templates.
fn done(kernel: &FakeKernel) -> Vec<(Direction, &'static str)> {
    let word = |does: PolicyUse| match does {
        PolicyUse::Tunnel(_) => "tunnel",
        PolicyUse::Trap(_) => "trap",
        PolicyUse::Block => "block",
        PolicyUse::Pass => "pass",
    };
    kernel.tables().policies().iter().map(|(way, _, shape)| (*way, word(shape.does))).collect()
}

const TUNNEL: [(Direction, &str); 3] =
    [(Direction::Out, "tunnel"), (Direction::In, "tunnel"), (Direction::Forward, "tunnel")];

/// The connection has not heard yet of its new Child SA.
#[test]
fn what_a_connection_wishes_waits_until_its_child_sa_has_gone() {
    let wishes = [
        (Some(PolicyAction::Trap), vec![(Direction::Out, "trap")]),
        (Some(PolicyAction::Block), vec![(Direction::Out, "block")]),
        (None, vec![]),
    ];
    for (wish, afterwards) in wishes {
        for sends_at_once in [true, false] {
            let mut kernel = FakeKernel::new();
            let spi = kernel.allocate_spi(&request(2)).unwrap();
            let wanted = spec(2, 1, spi, 0xa);
            match sends_at_once {
                true => kernel.install(&wanted).unwrap(),
                false => kernel.install_inbound(&wanted).unwrap(),
            }
            match wish {
                Some(action) => kernel.set_policies(1, &bare(action, vec![pair(2)])).unwrap(),
                None => kernel.remove_policies(1).unwrap(),
            }
            assert_eq!(done(&kernel), TUNNEL, "{wish:?}");
            if !sends_at_once {
                kernel.install_outbound(&wanted).unwrap();
            }
            assert_eq!((done(&kernel), sends(&kernel)), (TUNNEL.to_vec(), vec![0xa]), "{wish:?}");
            // A successor of the core knows it, too.
            let mut heir = FakeKernel::over(kernel.tables());
            heir.adopt(kernel.ledger().clone());
            heir.remove(2).unwrap();
            assert_eq!(done(&heir), afterwards);
            assert!(heir.orphans().is_empty());
            assert_eq!(heir.ledger().connections.contains_key(&1), wish.is_some());
            heir.flush();
            assert!(heir.tables().is_empty() && heir.ledger().is_empty());
        }
    }
}

#[test]
fn the_last_wish_counts_and_a_new_child_sa_is_newer() {
    let mut kernel = FakeKernel::new();
    let install = |kernel: &mut FakeKernel, child: u64| {
        let spi = kernel.allocate_spi(&request(child)).unwrap();
        let out = 0x9000 + u32::try_from(child).unwrap();
        kernel.install(&spec(child, 1, spi, out)).unwrap();
    };
    install(&mut kernel, 2);
    kernel.remove_policies(1).unwrap();
    kernel.set_policies(1, &bare(PolicyAction::Block, vec![pair(2)])).unwrap();
    install(&mut kernel, 3);
    kernel.remove(2).unwrap();
    kernel.remove(3).unwrap();
    assert_eq!(done(&kernel), TUNNEL, "nothing in clear until the connection says so");
    install(&mut kernel, 4);
    kernel.set_policies(1, &bare(PolicyAction::Block, vec![pair(2)])).unwrap();
    kernel.remove_policies(1).unwrap();
    kernel.remove(4).unwrap();
    assert!(kernel.tables().is_empty() && kernel.ledger().is_empty());
}

/// What was wished in ignorance is not carried out hours later.
#[test]
fn what_a_connection_wished_is_void_once_it_knows_of_its_child_sa() {
    let mut kernel = FakeKernel::new();
    let spi = kernel.allocate_spi(&request(2)).unwrap();
    kernel.install(&spec(2, 1, spi, 0xa)).unwrap();
    kernel.remove_policies(1).unwrap();
    kernel.forget_wishes(1);
    kernel.remove(2).unwrap();
    assert_eq!(done(&kernel), TUNNEL, "nothing in clear until the connection says so");
    kernel.set_policies(1, &bare(PolicyAction::Block, vec![pair(2)])).unwrap();
    assert_eq!(done(&kernel), [(Direction::Out, "block")]);
}

#[test]
fn what_lingers_does_not_hold_its_connections_policies() {
    let mut kernel = FakeKernel::new();
    for (child, out) in [(2, 0xa), (3, 0xb)] {
        let spi = kernel.allocate_spi(&request(child)).unwrap();
        kernel.install(&spec(child, 1, spi, out)).unwrap();
    }
    kernel.stop_sending(2).unwrap();
    kernel.remove(3).unwrap();
    assert_eq!(done(&kernel), TUNNEL);
    kernel.set_policies(1, &bare(PolicyAction::Trap, vec![pair(2)])).unwrap();
    assert_eq!(done(&kernel), [(Direction::Out, "trap")]);
    kernel.remove(2).unwrap();
    assert_eq!(done(&kernel), [(Direction::Out, "trap")]);
}

#[test]
fn a_wish_for_other_traffic_is_carried_out_at_once() {
    let mut kernel = FakeKernel::new();
    let spi = kernel.allocate_spi(&request(2)).unwrap();
    kernel.install(&spec(2, 1, spi, 0xa)).unwrap();
    kernel.set_policies(1, &bare(PolicyAction::Trap, vec![pair(3)])).unwrap();
    assert_eq!(done(&kernel), [&TUNNEL[..], &[(Direction::Out, "trap")]].concat());
    kernel.remove(2).unwrap();
    let policies = kernel.tables().policies();
    assert_eq!(policies.len(), 1);
    assert_eq!(policies[0].1.remote, net(3, 24));
}

#[test]
fn a_wish_that_is_undone_is_forgotten_and_one_that_is_kept_moves_along() {
    let (mut ledger, wanted) = (Ledger::default(), spec(2, 1, 0x1000, 0xa));
    ledger.add_sa(2, child_sas(&wanted).0);
    ledger.claim_child(&wanted, false);
    let wish = bare_policies(&bare(PolicyAction::Trap, vec![pair(2)]));
    let mut undone = ledger.clone();
    for (change, undo) in undone.replace_claims(1, &wish) {
        assert!(change.is_empty());
        undone.undo(1, undo);
    }
    assert_eq!(undone.stop_sending(2, false), [], "the tunnel's policies stay");
    assert_eq!(undone.policies_of(1).len(), 1);
    ledger.replace_claims(1, &wish);
    let (local, remote) = ("192.0.2.1:500".parse().unwrap(), "192.0.2.9:500".parse().unwrap());
    ledger.move_child(&SaMove { child: 2, connection: 1, local, remote, encapsulated: false });
    let changes = ledger.stop_sending(2, false);
    let Some(PolicyUse::Trap(trap)) = changes[0].after.map(|shape| shape.does) else {
        panic!("{changes:?}")
    };
    assert_eq!(trap.remote, remote.ip());
}

#[test]
fn what_moves_is_sent_by_where_it_is() {
    let mut kernel = FakeKernel::new();
    let [first, second] = [2, 3].map(|child| kernel.allocate_spi(&request(child)).unwrap());
    kernel.install(&spec(2, 1, first, 0xa)).unwrap();
    kernel.install(&spec(3, 1, second, 0xb)).unwrap();
    let to = |child| SaMove {
        child,
        connection: 1,
        local: "192.0.2.1:4500".parse().unwrap(),
        remote: "198.51.100.7:1024".parse().unwrap(),
        encapsulated: true,
    };
    kernel.move_sa(&to(2)).unwrap();
    let by = |kernel: &FakeKernel| {
        let sender = kernel.tables().senders().pop().unwrap().sa;
        (sender.spi, sender.destination.to_string())
    };
    assert_eq!(by(&kernel), (0xb, "192.0.2.2".to_owned()), "it has not moved yet");
    kernel.move_sa(&to(3)).unwrap();
    assert_eq!(by(&kernel), (0xb, "198.51.100.7".to_owned()));
    kernel.remove(3).unwrap();
    assert_eq!(by(&kernel), (0xa, "198.51.100.7".to_owned()));
}

#[test]
fn a_tunnel_replaces_its_trap_and_a_trap_the_tunnel() {
    let mut kernel = FakeKernel::new();
    let tables = kernel.tables();
    kernel.set_policies(1, &bare(PolicyAction::Trap, vec![pair(2)])).unwrap();
    assert_eq!(tables.policies().len(), 1);
    let spi = kernel.allocate_spi(&request(2)).unwrap();
    kernel.install(&spec(2, 1, spi, 0xa)).unwrap();
    assert_eq!(tables.policies().len(), 3);
    kernel.remove(2).unwrap();
    assert_eq!(tables.policies().len(), 3);
    kernel.set_policies(1, &bare(PolicyAction::Trap, vec![pair(2)])).unwrap();
    assert_eq!(tables.policies().len(), 1);
    kernel.set_policies(1, &bare(PolicyAction::Block, vec![pair(3)])).unwrap();
    let policies = tables.policies();
    assert_eq!(policies.len(), 1);
    assert_eq!((policies[0].1.remote, policies[0].2.does), (net(3, 24), PolicyUse::Block));
}

#[test]
fn what_an_instance_overlays_comes_back_when_it_goes() {
    let mut kernel = FakeKernel::new();
    let tables = kernel.tables();
    kernel.set_policies(1, &bare(PolicyAction::Trap, vec![pair(2)])).unwrap();
    let trap = tables.policies();
    let spi = kernel.allocate_spi(&request(3)).unwrap();
    kernel.install(&spec(3, 2, spi, 0xa)).unwrap();
    // The template's trap, set again, does not disturb the tunnel.
    kernel.set_policies(1, &bare(PolicyAction::Trap, vec![pair(2)])).unwrap();
    assert_eq!(tables.policies().len(), 3);
    kernel.remove(3).unwrap();
    kernel.remove_policies(2).unwrap();
    assert_eq!(tables.policies(), trap);
}

#[test]
fn a_new_core_with_the_old_ledger_takes_everything_back() {
    let mut kernel = FakeKernel::new();
    let tables = kernel.tables();
    let spi = kernel.allocate_spi(&request(2)).unwrap();
    kernel.install(&spec(2, 1, spi, 0xabcd)).unwrap();
    let ledger = kernel.ledger().clone();
    drop(kernel);
    let mut heir = FakeKernel::over(tables.clone());
    assert_eq!(heir.orphans().len(), 5);
    heir.adopt(ledger);
    assert!(heir.orphans().is_empty());
    assert_eq!(heir.ledger().child_of(IpAddr::from([192, 0, 2, 1]), spi), Some(2));
    heir.flush();
    assert!(tables.is_empty());
}

#[test]
fn a_source_address_stays_while_it_has_users() {
    let mut kernel = FakeKernel::new();
    let tables = kernel.tables();
    let address = IpAddr::from([10, 9, 0, 1]);
    let add = RouteChange::AddAddress { address, interface: "eth0".into() };
    let remove = RouteChange::RemoveAddress { address, interface: "eth0".into() };
    kernel.route(&add).unwrap();
    kernel.route(&add).unwrap();
    kernel.route(&remove).unwrap();
    assert_eq!(tables.source_addresses().len(), 1);
    kernel.route(&remove).unwrap();
    assert!(tables.source_addresses().is_empty());
    // The host's own is not ours to remove.
    let address = IpAddr::from([192, 0, 2, 1]);
    kernel.route(&RouteChange::AddAddress { address, interface: "eth0".into() }).unwrap();
    kernel.route(&RouteChange::RemoveAddress { address, interface: "eth0".into() }).unwrap();
    assert_eq!(kernel.addresses().unwrap().len(), 1);
}

fn route(source: u8, mtu: u32) -> Route {
    Route {
        destination: (IpAddr::from([10, 2, 0, 0]), 24),
        interface: "ppp0".into(),
        gateway: None,
        source: Some(IpAddr::from([10, 9, 0, source])),
        metric: 0,
        mtu,
    }
}

#[test]
fn a_source_address_comes_back_with_its_interface_and_goes_with_its_last_user() {
    let mut kernel = FakeKernel::new();
    let tables = kernel.tables();
    let (address, interface) = (IpAddr::from([10, 9, 0, 1]), || "ppp0".to_owned());
    let add = RouteChange::AddAddress { address, interface: interface() };
    let keep = RouteChange::KeepAddress { address, interface: interface() };
    let to = RouteChange::Add(route(1, 0));
    assert_eq!(kernel.route(&to).unwrap_err().errno, libc::EINVAL, "it is not this host's");
    kernel.route(&add).unwrap();
    kernel.route(&to).unwrap();
    tables.lose_interface("ppp0");
    assert!(tables.routes().is_empty() && tables.source_addresses().is_empty());
    for _ in 0..2 {
        kernel.route(&keep).unwrap();
        kernel.route(&to).unwrap();
    }
    assert_eq!((tables.routes().len(), tables.source_addresses().len()), (1, 1));
    kernel.route(&RouteChange::Remove(route(1, 0))).unwrap();
    kernel.route(&RouteChange::RemoveAddress { address, interface: interface() }).unwrap();
    assert!(tables.is_empty() && kernel.ledger().is_empty());
    // What was the host's own, and is no more, is ours from now on.
    kernel.route(&keep).unwrap();
    assert!(kernel.ledger().added_address(address, "ppp0"));
}

#[test]
fn a_route_gives_way_to_another_ones_or_goes() {
    let mut kernel = FakeKernel::new();
    let tables = kernel.tables();
    let address = IpAddr::from([10, 9, 0, 1]);
    kernel.route(&RouteChange::AddAddress { address, interface: "ppp0".into() }).unwrap();
    kernel.route(&RouteChange::Add(route(1, 1400))).unwrap();
    let (was, by) = (route(1, 1400), route(1, 1300));
    kernel.route(&RouteChange::Replace { was, by }).unwrap();
    assert_eq!(tables.routes(), [route(1, 1300)]);
    let (from, to) = (route(1, 1300), route(1, 1400));
    kernel.route(&RouteChange::HandOver { from, to }).unwrap();
    assert_eq!(tables.routes(), [route(1, 1400)]);
    // That one's source address has gone.
    let (from, to) = (route(1, 1400), route(7, 0));
    kernel.route(&RouteChange::HandOver { from, to }).unwrap();
    assert_eq!(tables.routes(), []);
}

#[test]
fn an_sa_that_went_unnoticed_is_found() {
    let mut kernel = FakeKernel::new();
    let spi = kernel.allocate_spi(&request(2)).unwrap();
    kernel.install(&spec(2, 1, spi, 0xabcd)).unwrap();
    kernel.allocate_spi(&request(3)).unwrap();
    assert_eq!(kernel.missed_expiries().unwrap(), []);
    let destination = IpAddr::from([192, 0, 2, 2]);
    kernel.tables().expire(destination, 0xabcd);
    let gone = KernelEvent::Expire { spi: 0xabcd, destination, child: Some(2), hard: true };
    assert_eq!(kernel.missed_expiries().unwrap(), [gone]);
}

/// Any order of requests, some of which fail, leaves exactly what the ledger knows.
#[test]
fn no_order_of_requests_and_failures_leaves_an_orphan() {
    for seed in 1..200_u64 {
        let mut state = seed.wrapping_mul(0x9e37_79b9_7f4a_7c15);
        let mut random = |bound: u64| {
            state ^= state << 13;
            state ^= state >> 7;
            state ^= state << 17;
            state % bound
        };
        let mut kernel = FakeKernel::new();
        let tables = kernel.tables();
        for _ in 0..60 {
            if random(5) == 0 {
                tables.fail_next(libc::ENOBUFS);
            }
            let (child, connection) = (random(6), random(3));
            let action = [PolicyAction::Trap, PolicyAction::Block, PolicyAction::Pass];
            let action = action[usize::try_from(random(3)).unwrap()];
            let remote = 2 + u8::try_from(random(2)).unwrap();
            let _ = match random(7) {
                0 => kernel.allocate_spi(&request(child)).map(drop),
                1 | 2 => {
                    let spi = kernel.allocate_spi(&request(child)).unwrap_or(0);
                    let out = u32::try_from(0x9000 + child).unwrap();
                    let traffic = vec![pair(remote)];
                    let wanted = SaPairSpec { traffic, ..spec(child, connection, spi, out) };
                    match random(2) {
                        0 => kernel.install(&wanted),
                        _ => kernel
                            .install_inbound(&wanted)
                            .and_then(|()| kernel.install_outbound(&wanted)),
                    }
                }
                3 => kernel.remove(child),
                4 => kernel.set_policies(connection, &bare(action, vec![pair(remote)])),
                5 => kernel.stop_sending(child),
                _ => kernel.remove_policies(connection),
            };
            assert_eq!(kernel.orphans(), Vec::<String>::new(), "seed {seed}");
            for (way, _, shape) in tables.policies() {
                let PolicyUse::Tunnel(template) = shape.does else { continue };
                let there = tables.sas().iter().any(|sa| sa.sa.spi == template.spi);
                assert!(template.spi == 0 || there, "seed {seed}: a policy names what is gone");
                assert!(template.spi == 0 || way == Direction::Out, "seed {seed}");
            }
        }
        kernel.flush();
        assert!(tables.is_empty() && kernel.ledger().is_empty(), "seed {seed}");
    }
}

#[test]
fn an_sa_pair_moves_with_its_policies() {
    let mut kernel = FakeKernel::new();
    let request = SpiRequest {
        child: 2,
        protocol: ProtocolId::ESP,
        remote: "192.0.2.2".parse().unwrap(),
        local: "192.0.2.1".parse().unwrap(),
        reqid: 16384,
    };
    let spi = kernel.allocate_spi(&request).unwrap();
    kernel.install(&spec(2, 1, spi, 0xabcd)).unwrap();
    let to = SaMove {
        child: 2,
        connection: 1,
        local: "192.0.2.1:4500".parse().unwrap(),
        remote: "198.51.100.7:1024".parse().unwrap(),
        encapsulated: true,
    };
    kernel.move_sa(&to).unwrap();
    let tables = kernel.tables();
    let outbound = tables.sas().into_iter().find(|fake| !fake.sa.inbound).unwrap();
    assert_eq!(outbound.sa.destination, to.remote.ip());
    assert_eq!(outbound.spec.unwrap().remote, to.remote);
    for (_, _, shape) in tables.policies() {
        let PolicyUse::Tunnel(template) = shape.does else { panic!("{shape:?}") };
        assert_eq!(template.remote, to.remote.ip());
    }
    assert!(kernel.orphans().is_empty(), "{:?}", kernel.orphans());
    kernel.remove(2).unwrap();
    kernel.remove_policies(1).unwrap();
    assert!(tables.is_empty());
    assert!(kernel.move_sa(&to).is_err(), "there is nothing to move");
}

#[test]
fn an_outbound_sa_follows_its_inbound_one_and_not_before() {
    let mut kernel = FakeKernel::new();
    let tables = kernel.tables();
    let spi = kernel.allocate_spi(&request(2)).unwrap();
    let wanted = spec(2, 1, spi, 0xabcd);
    assert_eq!(kernel.install_outbound(&wanted).unwrap_err().errno, libc::ESRCH);
    kernel.install_inbound(&wanted).unwrap();
    assert_eq!((tables.sas().len(), tables.policies().len()), (1, 3));
    assert_eq!(kernel.install_inbound(&wanted).unwrap_err().errno, libc::EEXIST);
    assert_eq!(kernel.counters(2).unwrap().bytes_out, 0);
    tables.fail_next(libc::ENOMEM);
    assert_eq!(kernel.install_outbound(&wanted).unwrap_err().errno, libc::ENOMEM);
    assert_eq!(tables.sas().len(), 1, "the inbound SA stays");
    kernel.install_outbound(&wanted).unwrap();
    assert_eq!(tables.sas().len(), 2);
    assert_eq!(kernel.install_outbound(&wanted).unwrap_err().errno, libc::EEXIST);
    assert!(kernel.orphans().is_empty());
    kernel.remove(2).unwrap();
    kernel.remove_policies(1).unwrap();
    assert!(tables.is_empty() && kernel.ledger().is_empty());
}

#[test]
fn a_half_that_moves_takes_its_policies_along() {
    let mut kernel = FakeKernel::new();
    let spi = kernel.allocate_spi(&request(2)).unwrap();
    kernel.install_inbound(&spec(2, 1, spi, 0xabcd)).unwrap();
    let (local, remote) = ("192.0.2.1:500".parse().unwrap(), "192.0.2.9:500".parse().unwrap());
    let to = SaMove { child: 2, connection: 1, local, remote, encapsulated: false };
    kernel.move_sa(&to).unwrap();
    let moved =
        |shape: &PolicyShape| matches!(shape.does, PolicyUse::Tunnel(t) if t.remote == remote.ip());
    assert!(kernel.tables().policies().iter().all(|(_, _, shape)| moved(shape)));
}
