//! Whole trees bring tunnels up and take them down. After each scenario neither kernel,
//! nor ledger, nor demux, nor the supervisor's table holds anything.

#![allow(clippy::indexing_slicing, clippy::panic, reason = "tests")]

use pluto_connections::SerialNo;
use pluto_kernel::{KernelEvent, PolicyUse};
use pluto_messages::{KernelTells, Shutdown};
use pluto_tests::tree::{
    Fate, Host, NET_TO_NET, Pair, Sent, Setup, Wire, connection, ip, pass, run, seconds,
};
use pluto_whack::{Request, codes};
use pluto_wire::numbers::ExchangeType;
use std::time::Duration;

fn named(name: &str) -> String {
    name.to_string()
}

/// ```text
/// IKE_SA_INIT -->  <-- IKE_SA_INIT   IKE_AUTH -->  <-- IKE_AUTH
/// INFORMATIONAL {D} -->  <-- INFORMATIONAL {}
/// ```
#[test]
fn initiate_ends_when_the_tunnel_is_up_and_down_when_it_is_down() {
    run(async {
        let pair = Pair::new(1, "").await;
        pair.establish().await;
        assert_eq!(pair.wire.sent().len(), 4);
        let down = pair.west.order(Request::Down { name: named("tunnel") }).await;
        assert_eq!(down.status, 0, "{down:?}");
        assert_eq!(pair.wire.sent().len(), 6);
        pair.west.assert_no_sas().await;
        pair.east.assert_no_sas().await;
        assert!(pair.west.log.says("initiator established Child SA"), "{}", pair.west.log);
        pair.end().await;
    });
}

#[test]
fn the_responder_may_take_it_down_too() {
    run(async {
        let pair = Pair::new(2, "").await;
        pair.establish().await;
        assert_eq!(pair.east.order(Request::Down { name: named("tunnel") }).await.status, 0);
        assert!(pair.east.log.says("\"tunnel\" #1: deleting IKE SA"), "{}", pair.east.log);
        // West still wishes it up: its next attempt is not what east's whack waits for.
        pair.assert_up(1).await;
        pair.end().await;
    });
}

#[test]
fn delete_takes_the_tunnel_down() {
    run(async {
        let pair = Pair::new(3, "").await;
        pair.establish().await;
        pair.end().await;
    });
}

#[test]
fn shutdown_says_delete_to_every_peer() {
    run(async {
        let pair = Pair::new(4, "").await;
        pair.establish().await;
        let before = pair.wire.sent_by(pair.west.address);
        let Pair { wire, west, east } = pair;
        assert_eq!(west.stop().await, 0);
        assert_eq!(wire.sent_by(ip("192.0.2.1")), before + 1, "one Delete");
        seconds(1).await;
        east.assert_no_sas().await;
        assert!(east.log.says("received Delete for IKE SA"), "{}", east.log);
        east.delete("tunnel").await;
        assert_eq!(east.stop().await, 0);
    });
}

#[test]
fn leaving_the_state_at_shutdown_leaves_it() {
    run(async {
        let pair = Pair::new(5, "").await;
        pair.establish().await;
        let before = pair.wire.sent().len();
        let Pair { wire, mut west, east } = pair;
        west.tree.root.do_send(Shutdown { leave_state: true, reporter: None });
        let (_, nobody) = tokio::sync::oneshot::channel();
        let stopped = std::mem::replace(&mut west.tree.stopped, nobody);
        assert_eq!(stopped.await, Ok(0));
        seconds(1).await;
        assert_eq!(west.tunnels(), 1);
        assert!(!west.kernel.policies().is_empty());
        assert_eq!(wire.sent().len(), before, "not a word to the peer");
        assert_eq!(east.tunnels(), 1);
    });
}

#[test]
fn traffic_brings_a_routed_connection_up() {
    run(async {
        let pair = Pair::new(6, "").await;
        let routed = pair.west.order(Request::Route { name: named("tunnel") }).await;
        assert_eq!(routed.status, 0, "{routed:?}");
        assert_eq!(pair.wire.sent().len(), 0);
        let trap = pair.west.kernel.policies()[0].2.does;
        let PolicyUse::Trap(template) = trap else { panic!("{trap:?}") };
        let acquire = |reqid| KernelEvent::Acquire {
            reqid,
            source: ip("10.1.0.1"),
            destination: ip("10.2.0.1"),
            protocol: 1,
            source_port: 8,
            destination_port: 0,
        };
        let reqid = template.reqid;
        // A storm of packets is one negotiation.
        for _ in 0..100 {
            pair.west.tree.supervisor.do_send(KernelTells(acquire(reqid)));
        }
        pair.west.tree.supervisor.do_send(KernelTells(acquire(4_711)));
        pair.assert_up(1).await;
        assert_eq!(pair.wire.sent().len(), 4);
        // Down again, the trap stays.
        let down = pair.west.order(Request::Down { name: named("tunnel") }).await;
        assert_eq!(down.status, 0);
        pair.west.assert_no_sas().await;
        assert!(!pair.west.kernel.policies().is_empty(), "the trap is gone\n{}", pair.west.log);
        let unrouted = pair.west.order(Request::Unroute { name: named("tunnel") }).await;
        assert_eq!(unrouted.status, 0, "{unrouted:?}");
        pair.west.assert_kernel_empty();
        pair.end().await;
    });
}

#[test]
fn a_wrong_secret_is_said_on_both_sides_and_installs_nothing() {
    run(async {
        let [west, mut east] = Pair::setups(7);
        east.secrets = ": PSK \"another one\"\n".into();
        let pair = Pair::with(west, east, "").await;
        let outcome = pair.west.initiate("tunnel").outcome().await;
        assert_ne!(outcome.status, 0, "{outcome:#?}");
        assert!(outcome.says("AUTHENTICATION_FAILED"), "{outcome:#?}");
        seconds(1).await;
        assert!(pair.east.log.says("is not authenticated"), "{}", pair.east.log);
        pair.west.order(Request::Down { name: named("tunnel") }).await;
        // What was answered may be asked again for a while.
        seconds(300).await;
        pair.east.assert_no_sas().await;
        assert_eq!(pair.west.tunnels(), 0);
        pair.end().await;
    });
}

#[test]
fn without_a_secret_nobody_is_let_in() {
    run(async {
        let [west, mut east] = Pair::setups(8);
        east.secrets = "192.0.2.2 192.0.2.77 : PSK \"for somebody else\"\n".into();
        let pair = Pair::with(west, east, "").await;
        let outcome = pair.west.initiate("tunnel").outcome().await;
        assert_ne!(outcome.status, 0, "{outcome:#?}");
        pair.west.order(Request::Down { name: named("tunnel") }).await;
        seconds(300).await;
        pair.east.assert_no_sas().await;
        pair.end().await;
    });
}

#[test]
fn without_a_common_proposal_there_is_no_tunnel() {
    run(async {
        for (words, common) in [("ike=aes256-sha2_512-dh31", "IKE"), ("esp=aes_ccm256", "ESP")] {
            let [west, east] = Pair::setups(9);
            let pair = Pair::bare(west, east).await;
            pair.west.add(connection("tunnel", NET_TO_NET)).await;
            pair.east.add(connection("tunnel", &format!("{NET_TO_NET} {words}"))).await;
            let outcome = pair.west.initiate("tunnel").outcome().await;
            assert_ne!(outcome.status, 0, "{common}: {outcome:#?}");
            assert!(outcome.says("NO_PROPOSAL_CHOSEN"), "{common}: {outcome:#?}");
            seconds(1).await;
            assert_eq!((pair.west.tunnels(), pair.east.tunnels()), (0, 0), "{common}");
            pair.end().await;
        }
    });
}

#[test]
fn road_warriors_get_instances_of_their_own() {
    run(async {
        let wire = Wire::default();
        let server = Host::listening(&wire, Setup::new("192.0.2.9", 1)).await;
        let words = "left=192.0.2.9 leftsubnet=10.9.0.0/24 right=%any";
        server.add(connection("road", words)).await;
        let mut warriors = Vec::new();
        for n in 1..=3 {
            let address = format!("192.0.2.{n}");
            let warrior = Host::listening(&wire, Setup::new(&address, 10 + n)).await;
            let words = format!("left={address} right=192.0.2.9 rightsubnet=10.9.0.0/24");
            warrior.add(connection("home", &words)).await;
            let outcome = warrior.initiate("home").outcome().await;
            assert_eq!(outcome.status, 0, "{outcome:#?}\n{}", server.log);
            warriors.push(warrior);
        }
        seconds(1).await;
        let census = server.census().await;
        assert_eq!((census.connections, census.established, census.child_sas), (4, 3, 3));
        for n in 1..=3 {
            assert!(server.log.says(&format!("\"road\"[{n}] 192.0.2.{n} #")), "{}", server.log);
        }
        // Orders for the template are for its instances.
        let name = named("road");
        let orders = [
            Request::RekeyChild { name: name.clone(), asynchronous: false },
            Request::RekeyIke { name, asynchronous: false },
        ];
        for request in orders {
            let done = server.order(request).await;
            assert_eq!(done.status, 0, "{done:?}");
        }
        for n in 1..=3 {
            let rekeyed = format!("\"road\"[{n}] 192.0.2.{n} #");
            let log = server.log.to_string();
            let count = |what: &str| {
                log.lines().filter(|line| line.contains(&rekeyed) && line.contains(what)).count()
            };
            assert_eq!(count("initiator rekeyed Child SA"), 1, "{log}");
            assert_eq!(count("initiator rekeyed IKE SA"), 1, "{log}");
        }
        seconds(2).await;
        // One goes; its instance goes with it, the others stay.
        let gone = warriors.remove(1);
        assert_eq!(gone.order(Request::Down { name: named("home") }).await.status, 0);
        seconds(1).await;
        let census = server.census().await;
        assert_eq!((census.connections, census.established), (3, 2), "{}", server.log);
        warriors.push(gone);
        for warrior in warriors {
            warrior.delete("home").await;
            assert_eq!(warrior.stop().await, 0);
        }
        seconds(1).await;
        assert_eq!(server.census().await.connections, 1, "{}", server.log);
        server.delete("road").await;
        assert_eq!(server.stop().await, 0);
    });
}

#[test]
fn taking_down_a_template_takes_its_instances_down() {
    run(async {
        let wire = Wire::default();
        let server = Host::listening(&wire, Setup::new("192.0.2.9", 1)).await;
        server.add(connection("road", "left=192.0.2.9 right=%any")).await;
        let mut warriors = Vec::new();
        for n in 1..=2 {
            let address = format!("192.0.2.{n}");
            let warrior = Host::listening(&wire, Setup::new(&address, 10 + n)).await;
            warrior.add(connection("home", &format!("left={address} right=192.0.2.9"))).await;
            assert_eq!(warrior.initiate("home").outcome().await.status, 0, "{}", server.log);
            warriors.push(warrior);
        }
        // Theirs are to be up: they begin anew at once, and are not heard for now.
        wire.rule(|sent| match sent.header() {
            Some(header) if header.exchange == ExchangeType::IKE_SA_INIT => Fate::Lost,
            _ => Fate::Arrives,
        });
        let done = server.order(Request::Down { name: named("road") }).await;
        assert_eq!(done.status, 0, "{done:?}");
        let census = server.census().await;
        assert_eq!((census.established, census.child_sas), (0, 0), "{}", server.log);
        for warrior in warriors {
            warrior.delete("home").await;
            assert_eq!(warrior.stop().await, 0);
        }
        seconds(1).await;
        server.delete("road").await;
        assert_eq!(server.stop().await, 0);
    });
}

/// West must remain up. East vanishes, west notices by liveness checks, and tries again
/// with longer and longer pauses for hours, until east is back.
#[test]
fn a_connection_that_must_remain_up_is_revived_with_back_off() {
    run(async {
        let words = "auto=up dpddelay=30 retransmit-timeout=30";
        let pair = Pair::new(10, words).await;
        // Both begin at once; somebody wins.
        seconds(60).await;
        assert!(pair.west.tunnels() > 0 && pair.east.tunnels() > 0, "{}", pair.west.log);
        let (wire, west) = (&pair.wire, &pair.west);
        wire.cut(pair.east.address);
        seconds(4 * 3600).await;
        assert_eq!(west.tunnels(), 0, "{}", west.log);
        let starts: Vec<Duration> = wire
            .sent()
            .iter()
            .filter(|sent| sent.from.ip() == west.address)
            .filter(|sent| sent.header().is_some_and(|h| h.exchange == ExchangeType::IKE_SA_INIT))
            .map(|sent| sent.at)
            .collect();
        let attempts = west.log.count("revival attempt");
        // 30 s of retransmission and at most 300 s of pause each, after the first hour.
        assert!((40..200).contains(&attempts), "{attempts} attempts\n{}", west.log);
        let gaps = starts.windows(2).map(|two| two[1] - two[0]).max();
        assert!(gaps.is_some_and(|gap| gap <= Duration::from_secs(331)), "{gaps:?}");
        let census = west.census().await;
        assert!(census.ike_sas <= 1, "{census:?}");
        wire.mend(pair.east.address);
        seconds(700).await;
        assert!(west.tunnels() > 0 && pair.east.tunnels() > 0, "{}", west.log);
        pair.end().await;
    });
}

#[test]
fn a_peer_that_never_answers_is_given_up() {
    run(async {
        let pair = Pair::new(11, "").await;
        pair.wire.cut(pair.east.address);
        let outcome = pair.west.initiate("tunnel").outcome().await;
        assert_eq!(u16::from(outcome.status), codes::NORETRANSMISSION, "{outcome:#?}");
        pair.end().await;
    });
}

#[test]
fn deletestate_acts_on_one_state_alone() {
    run(async {
        let pair = Pair::new(12, "").await;
        pair.add_second().await;
        pair.establish().await;
        assert_eq!(pair.west.initiate("second").outcome().await.status, 0);
        pair.assert_up(2).await;
        let unknown = pair.west.order(Request::DeleteState { serial: SerialNo(99) }).await;
        assert_eq!(u16::from(unknown.status), codes::UNKNOWN_NAME);
        let deleted = pair.west.order(Request::DeleteState { serial: SerialNo(3) }).await;
        assert_eq!(deleted.status, 0, "{deleted:?}");
        seconds(2).await;
        assert!(pair.west.log.says("\"second\" #3: deleting IKE SA"), "{}", pair.west.log);
        assert_eq!(pair.west.log.count("\"tunnel\" #1: deleting"), 0, "{}", pair.west.log);
        for host in [&pair.west, &pair.east] {
            host.order(Request::Delete { name: named("second") }).await;
        }
        pair.assert_up(1).await;
        pair.end().await;
    });
}

#[test]
fn deletestate_of_a_half_open_sa_ends_it_without_a_word() {
    run(async {
        let pair = Pair::new(13, "").await;
        pair.wire.cut(pair.east.address);
        let waiting = pair.west.initiate("tunnel");
        pass(Duration::from_millis(100)).await;
        pair.west.order(Request::DeleteState { serial: SerialNo(1) }).await;
        let outcome = waiting.outcome().await;
        assert_ne!(outcome.status, 0, "{outcome:?}");
        seconds(10).await;
        // The connection is still to be up: another SA tries, the old one is silent.
        let first = pair.wire.sent()[0].header().map(|header| header.spis.initiator);
        let said = |sent: &Sent| sent.header().map(|header| header.spis.initiator) == first;
        assert_eq!(pair.wire.sent().iter().filter(|sent| said(sent)).count(), 1);
        assert!(pair.west.log.says("revival attempt 1"), "{}", pair.west.log);
        pair.end().await;
    });
}

#[test]
fn lost_and_doubled_datagrams_change_nothing() {
    run(async {
        let pair = Pair::new(14, "").await;
        let mut n = 0;
        pair.wire.rule(move |_| {
            n += 1;
            match n % 3 {
                0 => Fate::Arrives,
                1 => Fate::Lost,
                _ => Fate::Twice,
            }
        });
        pair.establish().await;
        pair.wire.rule(|_| Fate::Twice);
        assert_eq!(pair.west.order(Request::Down { name: named("tunnel") }).await.status, 0);
        pair.end().await;
    });
}

#[test]
fn a_client_that_goes_away_leaves_the_negotiation_alone() {
    run(async {
        let pair = Pair::new(15, "").await;
        let waiting = pair.west.initiate("tunnel");
        pass(Duration::from_millis(5)).await;
        waiting.go_away();
        pair.assert_up(1).await;
        pair.end().await;
    });
}

#[test]
fn a_lost_answer_to_delete_is_given_again_though_the_sa_is_gone() {
    run(async {
        let pair = Pair::new(16, "").await;
        pair.establish().await;
        let mut lost = false;
        pair.wire.rule(move |sent| {
            let response = sent.header().is_some_and(|header| header.flags.is_response());
            if response && !std::mem::replace(&mut lost, true) { Fate::Lost } else { Fate::Arrives }
        });
        let before = pair.wire.sent().len();
        let down = pair.west.begin(Request::Down { name: named("tunnel") });
        seconds(1).await;
        pair.east.assert_no_sas().await;
        assert_eq!(down.outcome().await.status, 0);
        pair.west.assert_no_sas().await;
        // The Delete, its answer, and both again: not a word more.
        assert_eq!(pair.wire.sent().len(), before + 4);
        let [first, again] = [1, 3].map(|n| pair.wire.sent()[before + n].bytes.clone());
        assert_eq!(first, again);
        pair.end().await;
    });
}

fn transcript(seed: u64) -> Vec<String> {
    let all = std::rc::Rc::new(std::cell::RefCell::new(Vec::new()));
    let told = std::rc::Rc::clone(&all);
    run(async move {
        let pair = Pair::new(seed, "auto=up dpddelay=20").await;
        let mut n = 0_u32;
        pair.wire.rule(move |_| {
            n += 1;
            if n.is_multiple_of(4) { Fate::Lost } else { Fate::Arrives }
        });
        seconds(300).await;
        pair.wire.cut(pair.west.address);
        seconds(900).await;
        let mut told = told.borrow_mut();
        told.extend(pair.wire.sent().iter().map(|sent| format!("{sent:?}")));
        told.extend(pair.west.log.all());
        told.extend(pair.east.log.all());
    });
    all.take()
}

#[test]
fn the_same_seed_gives_the_same_transcript() {
    let (first, second) = (transcript(16), transcript(16));
    assert!(first.len() > 100, "{}", first.len());
    let differs = first.iter().zip(&second).position(|(a, b)| a != b);
    assert_eq!(differs.map(|at| (&first[at], &second[at])), None);
    assert_eq!(first.len(), second.len());
    assert_ne!(first, transcript(17));
}
