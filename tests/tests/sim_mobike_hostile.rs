//! What a peer may say of addresses that it should not.

#![allow(
    clippy::indexing_slicing,
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "a test that misses what it looks for fails"
)]

use pluto_states::{Datagram, Finish};
use pluto_tests::puppet::fqdn;
use pluto_tests::sim::EAST;
use pluto_tests::stage::{Stage, notifies, notify};
use pluto_wire::numbers::{ExchangeType, NotifyType, PayloadType};
use pluto_wire::v2::Payload;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::time::Duration;

const ELSEWHERE: IpAddr = IpAddr::V4(Ipv4Addr::new(198, 51, 100, 66));
const X: ExchangeType = ExchangeType::INFORMATIONAL;

/// The puppet has announced MOBIKE or not, and east supports it.
fn stage(seed: u64, announced: bool) -> Stage {
    let mut stage = Stage::keyed(seed);
    stage.sim.peers[1].ike.mobike = true;
    let mut payloads = stage.auth_payloads(&fqdn("west"));
    if announced {
        payloads.push(notify(NotifyType::MOBIKE_SUPPORTED, &[]));
    }
    let request = stage.puppet.seal(ExchangeType::IKE_AUTH, false, 1, &payloads);
    stage.say(request);
    assert_eq!(stage.sim.peers[1].established().len(), 1, "{:#?}", stage.sim.peers[1].log);
    stage
}

/// Where east sends the tunnel's packets, and IKE.
fn remote(stage: &Stage) -> (IpAddr, IpAddr) {
    let east = &stage.sim.peers[1];
    let serial = east.established()[0];
    let tunnel = east.kernel.installed.values().next().unwrap();
    (tunnel.remote.ip(), east.sas[&serial].summary().remote.ip())
}

/// What the puppet sends from somewhere else; what east says to it, opened.
fn from(stage: &mut Stage, source: SocketAddr, id: u32, payloads: &[Payload]) -> Vec<Vec<Payload>> {
    stage.puppet.local = source;
    stage.ask(X, id, payloads)
}

fn update() -> Payload {
    notify(NotifyType::UPDATE_SA_ADDRESSES, &[])
}

fn cookie_of(payloads: &[Payload]) -> Option<Vec<u8>> {
    payloads.iter().find_map(|payload| match payload {
        Payload::Notify(n) if n.notify_type == NotifyType::COOKIE2 => Some(n.data.clone()),
        _ => None,
    })
}

#[test]
fn an_update_without_mobike_supported_moves_nothing() {
    let mut stage = stage(1, false);
    let home = remote(&stage);
    let said = from(&mut stage, (ELSEWHERE, 500).into(), 2, &[update()]);
    assert_eq!(said, [vec![]], "it is answered like any question");
    assert_eq!(remote(&stage), home);
}

#[test]
fn traffic_goes_only_to_who_returns_the_cookie() {
    let mut stage = stage(2, true);
    let home = remote(&stage);
    let said = from(&mut stage, (ELSEWHERE, 500).into(), 2, &[update()]);
    let cookie = said.iter().find_map(|said| cookie_of(said)).expect("a check");
    assert_eq!(cookie.len(), 16);
    assert_eq!(remote(&stage), (home.0, ELSEWHERE), "only IKE has moved");
    // Nobody answers: still nothing.
    stage.sim.run_for(Duration::from_secs(20));
    assert_eq!(remote(&stage).0, home.0);
    let back = [notify(NotifyType::COOKIE2, &cookie)];
    let response = stage.puppet.seal(X, true, 0, &back);
    stage.say(response);
    assert_eq!(remote(&stage), (ELSEWHERE, ELSEWHERE));
}

#[test]
fn who_ignores_cookies_must_at_least_answer_from_there() {
    let mut stage = stage(12, true);
    from(&mut stage, (ELSEWHERE, 500).into(), 2, &[update()]);
    let response = stage.puppet.seal(X, true, 0, &[]);
    stage.say(response);
    assert_eq!(remote(&stage), (ELSEWHERE, ELSEWHERE));
}

#[test]
fn a_wrong_cookie_and_none_from_elsewhere_end_the_ike_sa() {
    for answer in [vec![notify(NotifyType::COOKIE2, &[7; 16])], vec![]] {
        let mut stage = stage(3, true);
        let home = stage.puppet.local;
        from(&mut stage, (ELSEWHERE, 500).into(), 2, &[update()]);
        if answer.is_empty() {
            stage.puppet.local = home;
        }
        let response = stage.puppet.seal(X, true, 0, &answer);
        let said = stage.say(response);
        assert!(said.iter().any(|d| stage.puppet.open(&d.bytes).is_some()), "a Delete");
        stage.sim.run_for(Duration::from_secs(31));
        let finishes = stage.sim.peers[1].finishes();
        assert!(matches!(finishes[0], Finish::Failed(_)), "{finishes:?}");
        assert!(stage.sim.peers[1].kernel.is_empty());
    }
}

#[test]
fn a_cookie_is_returned_when_it_may_be_one() {
    let mut stage = stage(4, true);
    let home = stage.puppet.local;
    for (id, len, returned) in
        [(2, 0, false), (3, 7, false), (4, 8, true), (5, 64, true), (6, 65, false)]
    {
        let said = from(&mut stage, home, id, &[notify(NotifyType::COOKIE2, &vec![9; len])]);
        assert_eq!(cookie_of(&said[0]), returned.then(|| vec![9; len]), "{len} octets");
    }
}

#[test]
fn of_many_addresses_few_are_remembered_and_none_is_asked() {
    let mut stage = stage(5, true);
    let home = stage.puppet.local;
    let address = |n: u16| {
        let [high, low] = n.to_be_bytes();
        notify(NotifyType::ADDITIONAL_IP4_ADDRESS, &[203, 0, high, low])
    };
    // A message has 256 payloads at most; what has more is not read at all.
    let many: Vec<Payload> = (1..=256).map(address).collect();
    let said = from(&mut stage, home, 2, &many);
    assert_eq!(said, [vec![]]);
    let east = &stage.sim.peers[1];
    assert_eq!(east.sas[&east.established()[0]].summary().remote_addresses.len(), 8);
    // The new list takes the place of the old one; what is no address is left out.
    let odd = [
        notify(NotifyType::ADDITIONAL_IP4_ADDRESS, &[10, 0, 0]),
        notify(NotifyType::ADDITIONAL_IP4_ADDRESS, &[127, 0, 0, 1]),
        notify(NotifyType::ADDITIONAL_IP4_ADDRESS, &[224, 0, 0, 1]),
        notify(NotifyType::ADDITIONAL_IP4_ADDRESS, &[0, 0, 0, 0]),
        notify(NotifyType::ADDITIONAL_IP6_ADDRESS, &[0; 16]),
        notify(NotifyType::ADDITIONAL_IP6_ADDRESS, &[0x20; 16]),
        notify(NotifyType::ADDITIONAL_IP6_ADDRESS, &[0x20; 16]),
    ];
    from(&mut stage, home, 3, &odd);
    let east = &stage.sim.peers[1];
    let known = east.sas[&east.established()[0]].summary().remote_addresses;
    assert_eq!(known, [IpAddr::from([0x20; 16])]);
}

#[test]
fn a_message_of_a_thousand_addresses_is_refused() {
    let mut stage = stage(11, true);
    let mut chain = Vec::new();
    for n in 1..=1_000_u16 {
        let next = if n == 1_000 { 0 } else { 41 };
        let kind = NotifyType::ADDITIONAL_IP4_ADDRESS.0.to_be_bytes();
        let [high, low] = n.to_be_bytes();
        chain.extend([next, 0, 0, 12, 0, 0, kind[0], kind[1], 203, 0, high, low]);
    }
    let request = stage.puppet.seal_raw(X, false, 2, PayloadType::NOTIFY, &chain);
    let said = stage.say(request);
    let said = stage.puppet.open(&said[0].bytes).unwrap().1;
    assert_eq!(notifies(&said), [NotifyType::INVALID_SYNTAX]);
}

#[test]
fn who_is_told_of_addresses_moves_nothing_by_itself() {
    let mut stage = stage(6, true);
    let home = remote(&stage);
    from(
        &mut stage,
        (ELSEWHERE, 500).into(),
        2,
        &[notify(NotifyType::NO_ADDITIONAL_ADDRESSES, &[])],
    );
    assert_eq!(remote(&stage), home);
    // Nor does an ordinary question (RFC 4555, 3.8).
    from(&mut stage, (ELSEWHERE, 500).into(), 3, &[]);
    assert_eq!(remote(&stage), home);
}

#[test]
fn addresses_that_no_host_has_are_not_accepted() {
    let mut stage = stage(7, true);
    let home = remote(&stage);
    let odd: [SocketAddr; 6] = [
        ([0, 0, 0, 0], 500).into(),
        ([224, 0, 0, 5], 500).into(),
        ([255, 255, 255, 255], 500).into(),
        ([127, 0, 0, 1], 500).into(),
        ([198, 51, 100, 1], 0).into(),
        SocketAddr::new(EAST, 500),
    ];
    for (id, source) in (2..).zip(odd) {
        let said = from(&mut stage, source, id, &[update()]);
        assert_eq!(said.len(), 1, "{source}");
        assert_eq!(notifies(&said[0]), [NotifyType::UNACCEPTABLE_ADDRESSES], "{source}");
        assert_eq!(remote(&stage), home, "{source}");
    }
}

#[test]
fn an_update_that_is_sent_again_from_elsewhere_moves_nothing() {
    let mut stage = stage(8, true);
    let request = stage.puppet.seal(X, false, 2, &[update()]);
    stage.say(request.clone());
    let home = remote(&stage);
    let replayed = Datagram { local: (ELSEWHERE, 500).into(), ..request };
    let said = stage.say(replayed);
    assert_eq!(said.len(), 1, "the answer again, to whoever asked");
    assert_eq!(said[0].remote.ip(), ELSEWHERE);
    assert_eq!(remote(&stage), home);
}

#[test]
fn an_update_that_nobody_has_signed_moves_nothing() {
    let mut stage = stage(9, true);
    let home = remote(&stage);
    let mut forged = stage.puppet.seal(X, false, 2, &[update()]);
    *forged.bytes.last_mut().unwrap() ^= 1;
    forged.local = (ELSEWHERE, 500).into();
    assert!(stage.say(forged).is_empty());
    let plain = stage.puppet.plain(X, false, vec![update()]);
    let plain = Datagram { local: (ELSEWHERE, 500).into(), ..plain };
    assert!(stage.say(plain).is_empty());
    assert_eq!(remote(&stage), home);
}

#[test]
fn addresses_that_are_not_allowed_to_change_on_the_way_are_compared() {
    let mut stage = stage(10, true);
    let (home, here) = (stage.puppet.local, remote(&stage));
    let octets = |ip: IpAddr| match ip {
        IpAddr::V4(v4) => v4.octets(),
        IpAddr::V6(_) => unreachable!("the stage is IPv4"),
    };
    let mut right = octets(home.ip()).to_vec();
    right.extend(octets(EAST));
    right.extend(home.port().to_be_bytes());
    right.extend(500u16.to_be_bytes());
    let mut wrong = right.clone();
    wrong[0] ^= 1;
    for (id, data, refused) in
        [(2, right.clone(), false), (3, wrong, true), (4, vec![], true), (5, vec![0; 36], true)]
    {
        let said =
            from(&mut stage, home, id, &[update(), notify(NotifyType::NO_NATS_ALLOWED, &data)]);
        let surprised = notifies(&said[0]).contains(&NotifyType::UNEXPECTED_NAT_DETECTED);
        assert_eq!(surprised, refused, "{data:?}");
    }
    assert_eq!(remote(&stage), here);
}
