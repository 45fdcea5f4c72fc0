//! Whole trees without MOBIKE whose host loses the address that an IKE SA has.

#![allow(clippy::indexing_slicing, clippy::panic, reason = "tests")]

use pluto_kernel::{InterfaceAddress, KernelEvent};
use pluto_messages::KernelTells;
use pluto_tests::tree::{Fate, Host, Pair, connection, ip, pass, run, seconds};
use std::time::Duration;

/// West leaves by wherever its default route leads.
const WEST: &str = "left=%defaultroute leftid=@west leftsubnet=10.1.0.0/24 leftupdown=script \
    right=192.0.2.2 rightid=@east rightsubnet=10.2.0.0/24 mobike=no";
/// East lets it come from anywhere.
const EAST: &str = "left=%any leftid=@west leftsubnet=10.1.0.0/24 \
    right=192.0.2.2 rightid=@east rightsubnet=10.2.0.0/24 mobike=no";

async fn roadwarrior(seed: u64, west: &str) -> Pair {
    let [one, other] = Pair::setups(seed);
    let pair = Pair::bare(one, other).await;
    pair.west.add(connection("tunnel", west)).await;
    pair.east.add(connection("tunnel", EAST)).await;
    seconds(1).await;
    pair.establish().await;
    pair
}

/// A host has these addresses now, and its kernel says so; from those that it had before nothing
/// arrives any more.
fn has(pair: &Pair, host: &Host, addresses: &[&str]) {
    let all = ["192.0.2.1", "192.0.2.2", "198.51.100.7", "203.0.113.5"];
    for address in all.into_iter().filter(|one| ip(one) == host.address || one.len() > 9) {
        match addresses.contains(&address) {
            true => pair.wire.mend(ip(address)),
            false => pair.wire.cut(ip(address)),
        }
    }
    let found = addresses.iter().map(|address| {
        if ip(address) != host.address {
            pair.wire.also(host.address, ip(address));
        }
        InterfaceAddress { interface: "eth0".into(), address: ip(address) }
    });
    host.kernel.set_addresses(found.collect());
    host.tree.supervisor.do_send(KernelTells(KernelEvent::AddressesChanged));
}

/// From where to where a host's kernel sends.
fn outer(host: &Host) -> Vec<(String, String)> {
    let sas = host.kernel.sas();
    let out = sas.iter().filter(|fake| !fake.sa.inbound && !fake.sa.larval);
    out.map(|fake| (fake.sa.source.to_string(), fake.sa.destination.to_string())).collect()
}

fn between(a: &str, b: &str) -> Vec<(String, String)> {
    vec![(a.to_string(), b.to_string())]
}

/// How often an IKE SA was begun.
fn begun(host: &Host) -> usize {
    host.log.count("initiating IKEv2 connection")
}

#[test]
fn from_another_address_another_ike_sa_takes_the_place_at_once() {
    run(async {
        let pair = roadwarrior(81, WEST).await;
        let before = pair.west.runner.verbs().len();
        has(&pair, &pair.west, &["198.51.100.7"]);
        seconds(3).await;
        let log = format!("{}\n{}", pair.west.log, pair.east.log);
        assert!(pair.west.log.says("address 192.0.2.1 is lost"), "{log}");
        assert_eq!(outer(&pair.west), between("198.51.100.7", "192.0.2.2"), "{log}");
        let census = pair.west.census().await;
        assert_eq!((census.ike_sas, census.child_sas), (1, 1), "the old one is gone: {log}");
        assert!(pair.west.log.says("takes the place of IKE SA #1"), "{log}");
        let verbs = pair.west.runner.verbs();
        let told = ["down-client", "unroute-client", "route-client", "up-client"];
        assert_eq!(verbs[before..], told, "{log}");
        // East gives the old one up, of whose end nobody can tell it.
        pass(Duration::from_secs(120)).await;
        assert_eq!(outer(&pair.east), between("192.0.2.2", "198.51.100.7"), "{}", pair.east.log);
        pair.assert_up(1).await;
        assert_eq!(begun(&pair.west), 2, "{}", pair.west.log);
        pair.end().await;
    });
}

#[test]
fn it_waits_for_an_address_and_goes_on_from_whichever_comes() {
    run(async {
        let pair = roadwarrior(82, WEST).await;
        has(&pair, &pair.west, &[]);
        seconds(20).await;
        assert_eq!(begun(&pair.west), 1, "{}", pair.west.log);
        has(&pair, &pair.west, &["192.0.2.1"]);
        seconds(3).await;
        assert!(pair.west.log.says("address 192.0.2.1 is back"), "{}", pair.west.log);
        pair.assert_up(1).await;
        assert_eq!(begun(&pair.west), 1, "the same as before: {}", pair.west.log);
        assert_eq!(pair.west.runner.verbs().last().map(String::as_str), Some("up-client"));
        has(&pair, &pair.west, &[]);
        seconds(20).await;
        has(&pair, &pair.west, &["203.0.113.5"]);
        seconds(3).await;
        assert_eq!(outer(&pair.west), between("203.0.113.5", "192.0.2.2"), "{}", pair.west.log);
        assert_eq!(begun(&pair.west), 2, "{}", pair.west.log);
        pass(Duration::from_secs(120)).await;
        pair.end().await;
    });
}

/// The connection names the address: from another one it does not lead.
#[test]
fn a_connection_that_is_bound_to_its_address_waits_for_that() {
    run(async {
        let bound = WEST.replace("%defaultroute", "192.0.2.1");
        let pair = roadwarrior(83, &bound).await;
        has(&pair, &pair.west, &["198.51.100.7"]);
        pass(Duration::from_secs(600)).await;
        assert_eq!(begun(&pair.west), 1, "{}", pair.west.log);
        has(&pair, &pair.west, &["192.0.2.1", "198.51.100.7"]);
        seconds(5).await;
        pair.assert_up(1).await;
        assert_eq!(outer(&pair.west), between("192.0.2.1", "192.0.2.2"), "{}", pair.west.log);
        assert_eq!(begun(&pair.west), 1, "{}", pair.west.log);
        pair.end().await;
    });
}

#[test]
fn attempts_from_the_new_address_become_rare_while_nobody_answers() {
    run(async {
        let pair = roadwarrior(84, WEST).await;
        pair.wire.cut(pair.east.address);
        has(&pair, &pair.west, &["198.51.100.7"]);
        pass(Duration::from_secs(3_600)).await;
        let attempts = begun(&pair.west);
        assert!((5..40).contains(&attempts), "{attempts}: {}", pair.west.log);
        pair.wire.mend(pair.east.address);
        pass(Duration::from_secs(400)).await;
        pair.assert_up(1).await;
        assert_eq!(outer(&pair.west), between("198.51.100.7", "192.0.2.2"), "{}", pair.west.log);
        pair.end().await;
    });
}

#[test]
fn what_need_not_be_up_is_given_up_when_it_leads_from_elsewhere() {
    run(async {
        let [one, other] = Pair::setups(85);
        let pair = Pair::bare(one, other).await;
        let here = WEST.replace(" leftupdown=script", "");
        pair.west.add(connection("tunnel", &here.replace("%defaultroute", "192.0.2.1"))).await;
        let there =
            here.replace("%defaultroute", "192.0.2.1").replace("=192.0.2.2", "=%defaultroute");
        pair.east.add(connection("tunnel", &there)).await;
        seconds(1).await;
        pair.establish().await;
        has(&pair, &pair.east, &["203.0.113.5"]);
        seconds(3).await;
        pair.east.assert_no_sas().await;
        assert_eq!(begun(&pair.east), 0, "{}", pair.east.log);
    });
}

/// Nothing stands yet: there is nothing to keep, and nothing to wait for.
#[test]
fn what_is_being_negotiated_begins_anew_from_another_address_at_once() {
    for mobike in ["no", "yes"] {
        // Before any answer, and between IKE_SA_INIT and IKE_AUTH.
        for answers in [0, 1] {
            run(async move {
                let words = |text: &str| text.replace("mobike=no", &format!("mobike={mobike}"));
                let [one, other] = Pair::setups(86 + answers);
                let pair = Pair::bare(one, other).await;
                pair.west.add(connection("tunnel", &words(WEST))).await;
                pair.east.add(connection("tunnel", &words(EAST))).await;
                seconds(1).await;
                let (east, mut answered) = (pair.east.address, 0);
                pair.wire.rule(move |sent| {
                    answered += u64::from(sent.from.ip() == east);
                    if sent.from.ip() == east && answered > answers {
                        Fate::Lost
                    } else {
                        Fate::Arrives
                    }
                });
                let whack = pair.west.initiate("tunnel");
                seconds(3).await;
                assert_eq!(begun(&pair.west), 1, "{}", pair.west.log);
                pair.wire.rule(|_| Fate::Arrives);
                has(&pair, &pair.west, &["198.51.100.7"]);
                seconds(3).await;
                let log = format!("{}\n{}", pair.west.log, pair.east.log);
                assert!(pair.west.log.says("address 192.0.2.1 is lost"), "{log}");
                assert_eq!(begun(&pair.west), 2, "{log}");
                assert_eq!(outer(&pair.west), between("198.51.100.7", "192.0.2.2"), "{log}");
                assert_ne!(whack.outcome().await.status, 0, "it is told what became of that");
                // Of an IKE_AUTH whose answer was lost the peer keeps what it has made.
                let census = pair.west.census().await;
                assert_eq!((census.established, census.child_sas), (1, 1), "{log}");
                if answers == 0 {
                    pair.assert_up(1).await;
                }
                pair.end().await;
            });
        }
    }
}

#[test]
fn what_is_negotiated_from_an_address_that_the_connection_names_waits_for_it() {
    run(async {
        let [one, other] = Pair::setups(88);
        let pair = Pair::bare(one, other).await;
        let bound = WEST.replace("%defaultroute", "192.0.2.1");
        pair.west.add(connection("tunnel", &bound)).await;
        pair.east.add(connection("tunnel", EAST)).await;
        seconds(1).await;
        pair.wire.cut(pair.east.address);
        let _whack = pair.west.initiate("tunnel");
        seconds(3).await;
        has(&pair, &pair.west, &["198.51.100.7"]);
        pair.wire.mend(pair.east.address);
        pass(Duration::from_secs(100)).await;
        assert_eq!(pair.west.tunnels(), 0, "{}", pair.west.log);
        has(&pair, &pair.west, &["192.0.2.1", "198.51.100.7"]);
        seconds(60).await;
        pair.assert_up(1).await;
        assert_eq!(outer(&pair.west), between("192.0.2.1", "192.0.2.2"), "{}", pair.west.log);
        pair.end().await;
    });
}
