//! Whole trees with `reauth=yes`: another IKE SA takes the place of the old one, and neither
//! routes nor scripts nor anybody's patience notice.

#![allow(clippy::indexing_slicing, clippy::panic, reason = "tests")]

use pluto_tests::tree::{Fate, Host, NET_TO_NET, Pair, connection, pass, run, seconds};
use pluto_wire::numbers::ExchangeType;
use std::cell::Cell;
use std::rc::Rc;
use std::time::Duration;

const WORDS: &str = "reauth=yes ikelifetime=3600 rekeymargin=600 rekeyfuzz=0%";

fn tunnel(more: &str) -> pluto_connections::ConnectionSpec {
    connection("tunnel", &format!("{NET_TO_NET} {more}"))
}

/// The names of a host's SAs that are not larval.
fn sas(host: &Host) -> usize {
    host.kernel.sas().iter().filter(|fake| !fake.sa.larval).count()
}

#[test]
fn every_hour_another_ike_sa_takes_the_place_of_the_old_one() {
    run(async {
        let [west, east] = Pair::setups(71);
        let pair = Pair::bare(west, east).await;
        let scripts = "leftupdown=script rightupdown=script";
        pair.west.add(tunnel(&format!("{scripts} {WORDS}"))).await;
        pair.east.add(tunnel(scripts)).await;
        pair.establish().await;
        let before = [&pair.west, &pair.east].map(|host| host.runner.verbs().len());
        for hour in 1..=6 {
            // West's Child SA is looked at every second around the change: there is always one.
            pass(Duration::from_secs(49 * 60)).await;
            for _ in 0..120 {
                seconds(1).await;
                assert!(pair.west.tunnels() >= 1 && pair.east.tunnels() >= 1, "hour {hour}");
            }
            pair.assert_up(1).await;
            assert_eq!((sas(&pair.west), sas(&pair.east)), (2, 2));
        }
        assert!(pair.west.log.says("takes the place of IKE SA #1"), "{}", pair.west.log);
        assert!(!pair.east.log.says("superseded"), "{}", pair.east.log);
        assert!(!pair.west.log.says("reviving"), "{}", pair.west.log);
        let after = [&pair.west, &pair.east].map(|host| host.runner.verbs().len());
        assert_eq!(after, before, "nothing was routed anew");
        pair.end().await;
    });
}

#[test]
fn the_new_tunnel_sends_before_the_old_ones_delete_is_answered() {
    run(async {
        let [west, east] = Pair::setups(74);
        let pair = Pair::bare(west, east).await;
        pair.west.add(tunnel(WORDS)).await;
        pair.east.add(tunnel("")).await;
        pair.establish().await;
        let old = pair.east.kernel.sas();
        let (kernel, address) = (pair.east.kernel.clone(), pair.east.address);
        let answers = Rc::new(Cell::new(0));
        let told = Rc::clone(&answers);
        pair.wire.rule(move |sent| {
            let answer = sent.header().is_some_and(|header| {
                header.exchange == ExchangeType::INFORMATIONAL && header.flags.is_response()
            });
            if answer && sent.from.ip() == address {
                let by: Vec<_> = kernel.senders().iter().map(|sa| sa.sa.spi).collect();
                assert_eq!(by.len(), 1);
                assert!(old.iter().all(|sa| sa.sa.spi != by[0]), "it sends by what is gone");
                told.set(told.get() + 1);
            }
            Fate::Arrives
        });
        pass(Duration::from_secs(51 * 60)).await;
        assert!(answers.get() > 0, "{}", pair.east.log);
        assert!(pair.west.log.says("takes the place of IKE SA #1"), "{}", pair.west.log);
        pair.wire.rule(|_| Fate::Arrives);
        pair.end().await;
    });
}

#[test]
fn a_peer_that_is_down_at_that_moment_is_tried_again() {
    run(async {
        let [west, east] = Pair::setups(72);
        let pair = Pair::bare(west, east).await;
        pair.west.add(tunnel(WORDS)).await;
        pair.east.add(tunnel("")).await;
        pair.establish().await;
        pass(Duration::from_secs(49 * 60)).await;
        pair.wire.cut(pair.east.address);
        pass(Duration::from_secs(3 * 60)).await;
        pair.wire.mend(pair.east.address);
        assert_eq!(pair.west.census().await.established, 1, "{}", pair.west.log);
        assert_eq!(pair.west.tunnels(), 1);
        pass(Duration::from_secs(6 * 60)).await;
        pair.assert_up(1).await;
        assert!(pair.west.log.says("takes the place of IKE SA #1"), "{}", pair.west.log);
        pair.end().await;
    });
}

#[test]
fn connections_that_share_an_ike_sa_share_the_next_one_too() {
    run(async {
        let [west, east] = Pair::setups(73);
        let pair = Pair::bare(west, east).await;
        pair.west.add(tunnel(WORDS)).await;
        pair.east.add(tunnel("")).await;
        pair.establish().await;
        pair.add_sharing(&format!(" {WORDS}")).await;
        let up = pair.west.initiate("second").outcome().await;
        assert_eq!(up.status, 0, "{up:?}");
        assert_eq!(pair.west.census().await.ike_sas, 1, "{}", pair.west.log);
        pass(Duration::from_secs(51 * 60)).await;
        for host in [&pair.west, &pair.east] {
            let census = host.census().await;
            assert_eq!((census.ike_sas, census.child_sas), (1, 2), "{}", host.log);
            assert_eq!(sas(host), 4, "{}", host.log);
        }
        assert!(pair.west.log.says("takes the place of IKE SA #1"), "{}", pair.west.log);
    });
}
