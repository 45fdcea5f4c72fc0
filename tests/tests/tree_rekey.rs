//! Whole trees rekey what they have, by whack's orders and by time, at both ends at once, and
//! share IKE SAs. After each scenario nothing is left.

#![allow(clippy::indexing_slicing, clippy::panic, reason = "tests")]

use pluto_kernel::fake::FakeSa;
use pluto_kernel::{InstalledSa, KernelEvent, PolicyUse};
use pluto_messages::KernelTells;
use pluto_tests::tree::{Fate, Host, NET_TO_NET, Pair, connection, ip, pass, run, seconds};
use pluto_whack::Request;
use pluto_wire::numbers::ExchangeType;
use std::cell::Cell;
use std::rc::Rc;
use std::time::Duration;

fn named(name: &str) -> String {
    name.to_string()
}

fn rekey_child(name: &str) -> Request {
    Request::RekeyChild { name: named(name), asynchronous: false }
}

fn rekey_ike(name: &str) -> Request {
    Request::RekeyIke { name: named(name), asynchronous: false }
}

#[test]
fn an_asynchronous_rekey_is_answered_at_once_and_carried_out() {
    run(async {
        let pair = Pair::new(34, "").await;
        pair.establish().await;
        for (request, done) in [
            (Request::RekeyChild { name: named("tunnel"), asynchronous: true }, "Child SA #2"),
            (Request::RekeyIke { name: named("tunnel"), asynchronous: true }, "IKE SA #1"),
        ] {
            let answer = pair.west.order(request).await;
            assert_eq!(answer.status, 0, "{answer:?}");
            let text = format!("initiator rekeyed {done}");
            assert!(!pair.west.log.says(&text), "{}", pair.west.log);
            seconds(2).await;
            assert!(pair.west.log.says(&text), "{}", pair.west.log);
        }
        pair.assert_up(1).await;
        pair.end().await;
    });
}

/// Linux tells the age of SAs by whole seconds; the policy says who sends.
#[test]
fn rekeyed_within_a_second_the_new_sa_sends_when_the_delete_of_the_old_one_goes() {
    run(async {
        let pair = Pair::new(39, "").await;
        pair.establish().await;
        let hosts = [&pair.west, &pair.east].map(|host| (host.address, host.kernel.clone()));
        let deletes = Rc::new(Cell::new(0));
        let told = Rc::clone(&deletes);
        pair.wire.rule(move |sent| {
            let exchange = sent.header().map(|header| header.exchange);
            let host = hosts.iter().find(|(address, _)| *address == sent.from.ip());
            if let (Some(ExchangeType::INFORMATIONAL), Some((_, kernel))) = (exchange, host) {
                let sas = kernel.sas();
                let newest = sas.iter().filter(|sa| !sa.sa.inbound).max_by_key(|sa| sa.installed);
                let by: Vec<_> = kernel.senders().iter().map(|sa| sa.sa.spi).collect();
                assert_eq!(by, [newest.unwrap().sa.spi], "{} sends by what goes", sent.from);
                told.set(told.get() + 1);
            }
            Fate::Arrives
        });
        for _ in 0..3 {
            assert_eq!(pair.west.order(rekey_child("tunnel")).await.status, 0);
            pass(Duration::from_millis(200)).await;
            // What is on its way by the old ones still arrives.
            assert!(pair.west.tunnels() >= 2, "{}", pair.west.log);
        }
        assert_eq!(deletes.get(), 6, "{}", pair.west.log);
        pair.wire.rule(|_| Fate::Arrives);
        seconds(5).await;
        pair.assert_up(1).await;
        pair.end().await;
    });
}

/// Both directions of a Child SA, and both kernels: never the same packet for both ends.
#[test]
fn the_kernels_are_told_soft_limits_that_are_apart_and_none_without_rekeying() {
    run(async {
        for (more, none) in [("", false), (" rekey=no", true)] {
            let limits = format!("ipsec-max-packets=8000 ipsec-max-bytes=8000000{more}");
            let pair = Pair::new(40, &limits).await;
            pair.establish().await;
            for (host, least, most) in [(&pair.west, 2_000, 3_000), (&pair.east, 4_000, 4_000)] {
                let specs: Vec<_> =
                    host.kernel.sas().into_iter().filter_map(|sa| sa.spec).collect();
                assert!(!specs.is_empty());
                for spec in specs {
                    assert_eq!((spec.packets.1, spec.bytes.1), (8_000, 8_000_000));
                    if none {
                        assert_eq!((spec.packets.0, spec.bytes.0), (u64::MAX, u64::MAX));
                    } else {
                        assert!((least..=most).contains(&spec.packets.0), "{:?}", spec.packets);
                        let bytes = least * 1_000..=most * 1_000;
                        assert!(bytes.contains(&spec.bytes.0), "{:?}", spec.bytes);
                    }
                }
            }
            pair.end().await;
        }
    });
}

#[test]
fn whack_rekeys_the_child_sa_and_the_ike_sa_by_name_and_by_serial() {
    run(async {
        let pair = Pair::new(31, "").await;
        pair.establish().await;
        let done = pair.west.order(rekey_child("tunnel")).await;
        assert_eq!(done.status, 0, "{done:?}");
        assert!(pair.west.log.says("initiator rekeyed Child SA #2 using #1"), "{}", pair.west.log);
        assert!(pair.east.log.says("responder rekeyed Child SA #2 using #1"), "{}", pair.east.log);
        seconds(1).await;
        pair.assert_up(1).await;
        let done = pair.east.order(rekey_ike("#1")).await;
        assert_eq!(done.status, 0, "{done:?}");
        assert!(pair.east.log.says("initiator rekeyed IKE SA #1"), "{}", pair.east.log);
        seconds(1).await;
        pair.assert_up(1).await;
        // The Child SA is known by its serial still, and rekeyed by the new IKE SA.
        let done = pair.west.order(rekey_child("#3")).await;
        assert_eq!(done.status, 0, "{done:?}");
        seconds(1).await;
        pair.assert_up(1).await;
        let down = pair.west.order(Request::Down { name: named("tunnel") }).await;
        assert_eq!(down.status, 0, "{down:?}");
        pair.west.assert_no_sas().await;
        pair.east.assert_no_sas().await;
        pair.end().await;
    });
}

#[test]
fn the_sas_of_a_rekeyed_child_sa_outlive_it_for_what_is_on_its_way() {
    run(async {
        let pair = Pair::new(35, "").await;
        pair.establish().await;
        let done = pair.west.order(rekey_child("tunnel")).await;
        assert_eq!(done.status, 0, "{done:?}");
        for tree in [&pair.west, &pair.east] {
            assert_eq!(tree.tunnels(), 2, "{}", tree.log);
        }
        seconds(2).await;
        for tree in [&pair.west, &pair.east] {
            assert_eq!(tree.tunnels(), 1, "{}", tree.log);
        }
        pair.assert_up(1).await;
        pair.end().await;
    });
}

#[test]
fn both_whacks_rekey_at_once_and_the_tunnel_stays() {
    run(async {
        let pair = Pair::new(32, "").await;
        pair.establish().await;
        for _ in 0..5 {
            let west = pair.west.begin(rekey_child("tunnel"));
            let east = pair.east.begin(rekey_child("tunnel"));
            assert_eq!(west.outcome().await.status, 0, "{}", pair.west.log);
            assert_eq!(east.outcome().await.status, 0, "{}", pair.east.log);
            seconds(2).await;
            pair.assert_up(1).await;
            let west = pair.west.begin(rekey_ike("tunnel"));
            let east = pair.east.begin(rekey_ike("tunnel"));
            assert_eq!(west.outcome().await.status, 0, "{}", pair.west.log);
            assert_eq!(east.outcome().await.status, 0, "{}", pair.east.log);
            seconds(2).await;
            pair.assert_up(1).await;
        }
        pair.end().await;
    });
}

#[test]
fn a_day_of_rekeying_by_lifetimes_keeps_one_tunnel_up() {
    run(async {
        let pair = Pair::new(33, "").await;
        pair.establish().await;
        for _ in 0..24 {
            pass(Duration::from_secs(3600)).await;
            pair.assert_up(1).await;
        }
        assert!(pair.west.log.says("rekeyed IKE SA"), "{}", pair.west.log);
        assert!(pair.west.log.says("rekeyed Child SA"), "{}", pair.west.log);
        pair.end().await;
    });
}

#[test]
fn a_second_connection_between_the_same_hosts_shares_the_ike_sa() {
    run(async {
        let pair = Pair::new(34, "").await;
        pair.establish().await;
        pair.add_sharing("").await;
        let up = pair.west.initiate("second").outcome().await;
        assert_eq!(up.status, 0, "{up:?}");
        assert_eq!(pair.west.census().await.ike_sas, 1, "{}", pair.west.log);
        assert_eq!(pair.west.census().await.child_sas, 2, "{}", pair.west.log);
        let down = pair.west.order(Request::DownChild { name: named("second") }).await;
        assert_eq!(down.status, 0, "{down:?}");
        seconds(1).await;
        assert_eq!(pair.west.census().await.child_sas, 1, "{}", pair.west.log);
        assert_eq!(pair.east.census().await.child_sas, 1, "{}", pair.east.log);
        pair.west.order(Request::Delete { name: named("second") }).await;
        pair.east.order(Request::Delete { name: named("second") }).await;
        pair.assert_up(1).await;
        pair.end().await;
    });
}

#[test]
fn a_deleted_child_sa_that_is_wanted_comes_back_on_the_same_ike_sa() {
    run(async {
        let pair = Pair::new(35, "").await;
        pair.establish().await;
        let done = pair.west.order(Request::DeleteChild { name: named("tunnel") }).await;
        assert_eq!(done.status, 0, "{done:?}");
        seconds(2).await;
        pair.assert_up(1).await;
        assert!(pair.west.log.says("initiating Child SA using IKE SA #1"), "{}", pair.west.log);
        let done = pair.west.order(Request::DeleteIke { name: named("tunnel") }).await;
        assert_eq!(done.status, 0, "{done:?}");
        seconds(2).await;
        pair.assert_up(1).await;
        pair.end().await;
    });
}

/// What IKE_AUTH does not ask for is asked for by the first rekeying.
#[test]
fn a_refused_rekey_is_told_at_once_and_says_what_did_not_match() {
    run(async {
        let [west, east] = Pair::setups(36);
        let pair = Pair::bare(west, east).await;
        for (host, esp) in [(&pair.west, "aes_gcm256;dh19"), (&pair.east, "aes_gcm256;dh20")] {
            host.add(connection("tunnel", &format!("{NET_TO_NET} esp={esp}"))).await;
        }
        pair.establish().await;
        for (host, offered) in [(&pair.west, "KE=DH19"), (&pair.east, "KE=DH20")] {
            let whack = host.begin(rekey_child("tunnel"));
            seconds(1).await;
            let told = tokio::time::timeout(Duration::from_millis(10), whack.outcome()).await;
            let told = told.unwrap_or_else(|_| panic!("it waits\n{}", host.log));
            let last = told.lines.last().cloned().unwrap_or_default();
            assert_eq!(told.status, 56, "{told:?}");
            assert!(last.contains("not rekeyed") && last.contains("NO_PROPOSAL_CHOSEN"), "{last}");
            assert!(last.contains(offered), "{last}");
        }
        pair.assert_up(1).await;
        pair.end().await;
    });
}

#[test]
fn a_refused_child_sa_on_a_shared_ike_sa_is_told_at_once_and_harms_nobody() {
    run(async {
        let pair = Pair::new(37, "").await;
        pair.establish().await;
        for (host, net) in [(&pair.west, "10.3.0.0"), (&pair.east, "10.4.0.0")] {
            let words = NET_TO_NET.replace("10.1.0.0", net);
            host.add(connection("second", &words)).await;
        }
        let whack = pair.west.initiate("second");
        seconds(1).await;
        let told = tokio::time::timeout(Duration::from_millis(10), whack.outcome()).await;
        let told = told.unwrap_or_else(|_| panic!("it waits\n{}", pair.west.log));
        let last = told.lines.last().cloned().unwrap_or_default();
        assert_ne!(told.status, 0, "{told:?}");
        assert!(last.contains("TS_UNACCEPTABLE; ours are [10.3.0.0/24===10.2.0.0/24]"), "{last}");
        for host in [&pair.west, &pair.east] {
            assert_eq!((host.census().await.ike_sas, host.tunnels()), (1, 1), "{}", host.log);
            host.order(Request::Delete { name: named("second") }).await;
        }
        pair.end().await;
    });
}

/// The IKE SA passes to a connection whose Child SA is on it, on whichever side its owner is
/// taken down, and how.
#[test]
fn taking_down_the_owner_of_a_shared_ike_sa_spares_the_others() {
    for west_ends in [true, false] {
        for delete in [true, false] {
            run(async move {
                let pair = Pair::new(38, "").await;
                pair.establish().await;
                pair.add_sharing("").await;
                assert_eq!(pair.west.initiate("second").outcome().await.status, 0);
                seconds(1).await;
                let name = named("tunnel");
                let (host, peer) = match west_ends {
                    true => (&pair.west, &pair.east),
                    false => (&pair.east, &pair.west),
                };
                let end = if delete { Request::Delete { name } } else { Request::Down { name } };
                let done = host.order(end).await;
                assert_eq!(done.status, 0, "{done:?}");
                // West wishes its tunnel up: where east takes it down, it comes back.
                assert!(host.tunnels() == 1 || !west_ends, "{}", host.log);
                assert!(!host.log.says("\"second\" #3: deleted"), "{}", host.log);
                assert!(!peer.log.says("\"second\" #3: received"), "{}", peer.log);
                assert_eq!(host.census().await.ike_sas, 1, "{}", host.log);
                // It lives on: rekeyed from both sides, and down in the end.
                for host in [host, peer] {
                    let done = host.order(rekey_ike("second")).await;
                    assert_eq!(done.status, 0, "{done:?}\n{}", host.log);
                    let done = host.order(rekey_child("second")).await;
                    assert_eq!(done.status, 0, "{done:?}\n{}", host.log);
                }
                for host in [host, peer] {
                    for name in ["tunnel", "second"] {
                        host.order(Request::Delete { name: named(name) }).await;
                    }
                }
                seconds(1).await;
                for host in [host, peer] {
                    host.assert_nothing_left().await;
                }
                let Pair { west, east, .. } = pair;
                assert_eq!((west.stop().await, east.stop().await), (0, 0));
            });
        }
    }
}

fn sas(host: &Host) -> Vec<InstalledSa> {
    host.kernel.sas().iter().map(|fake| fake.sa).collect()
}

/// An SA of the host's newest Child SA.
fn newest(host: &Host, inbound: bool) -> FakeSa {
    let all = host.kernel.sas().into_iter();
    let installed = all.filter(|fake| fake.sa.inbound == inbound && fake.spec.is_some());
    let newest = installed.max_by_key(|fake| fake.installed);
    newest.unwrap_or_else(|| panic!("it has none\n{}", host.log))
}

/// The host's kernel says that an SA has reached a limit; at the hard one it is gone.
fn expires(host: &Host, of: &FakeSa, hard: bool) {
    let (spi, destination) = (of.sa.spi, of.sa.destination);
    if hard {
        host.kernel.expire(destination, spi);
    }
    let child = of.spec.as_ref().map(|spec| spec.child);
    let event = KernelEvent::Expire { spi, destination, child, hard };
    host.tree.supervisor.do_send(KernelTells(event));
}

/// Lets seconds pass, in which each host sends all the time by an SA by which the other one
/// receives.
async fn without_a_gap(pair: &Pair, time: u64) {
    for _ in 0..time * 200 {
        pass(Duration::from_millis(5)).await;
        for (host, peer) in [(&pair.west, &pair.east), (&pair.east, &pair.west)] {
            let by: Vec<_> = host.kernel.senders().iter().map(|fake| fake.sa.spi).collect();
            let receives = |sa: &InstalledSa| sa.inbound && !sa.larval && by == [sa.spi];
            assert!(sas(peer).iter().any(receives), "{by:?}\n{}\n{}", host.log, peer.log);
        }
    }
}

/// Whose kernel says that an SA expires (west's or east's), and which (inbound or outbound).
const EXPIRIES: [(bool, bool); 4] = [(true, true), (true, false), (false, true), (false, false)];

/// ```text
/// CREATE_CHILD_SA {N(REKEY_SA), ..} -->  <-- CREATE_CHILD_SA {..}
/// INFORMATIONAL {D} -->  <-- INFORMATIONAL {D}
/// ```
#[test]
fn a_soft_expiry_of_either_sa_at_either_end_leads_to_a_rekeying_without_a_gap() {
    for (seed, (at_west, inbound)) in (50..).zip(EXPIRIES) {
        run(async move {
            let pair = Pair::new(seed, "ipsec-max-packets=8000").await;
            pair.establish().await;
            let (host, peer) = match at_west {
                true => (&pair.west, &pair.east),
                false => (&pair.east, &pair.west),
            };
            let old = sas(host);
            expires(host, &newest(host, inbound), false);
            without_a_gap(&pair, 3).await;
            let said = "received soft EXPIRE for Child SA #2 rekey=yes; replacing";
            assert_eq!(host.log.count(said), 1, "{}", host.log);
            assert_eq!(host.log.count("initiator rekeyed Child SA #2 using #1"), 1, "{}", host.log);
            assert_eq!(peer.log.count("responder rekeyed Child SA #2 using #1"), 1, "{}", peer.log);
            pair.assert_up(1).await;
            assert!(!sas(host).iter().any(|sa| old.contains(sa)), "{}", host.log);
            pair.end().await;
        });
    }
}

#[test]
fn soft_expiries_of_both_sas_of_a_child_sa_rekey_it_once() {
    run(async {
        let pair = Pair::new(54, "ipsec-max-packets=8000").await;
        pair.establish().await;
        let both = [true, false].map(|inbound| newest(&pair.west, inbound));
        for _ in 0..2 {
            // The second time, our request is on its way.
            both.iter().for_each(|sa| expires(&pair.west, sa, false));
            pass(Duration::from_millis(5)).await;
        }
        without_a_gap(&pair, 3).await;
        assert_eq!(pair.west.log.count("initiator rekeyed"), 1, "{}", pair.west.log);
        pair.assert_up(1).await;
        pair.end().await;
    });
}

#[test]
fn soft_expiries_at_both_ends_at_once_leave_one_tunnel_without_a_gap() {
    for seed in 55..60 {
        run(async move {
            let pair = Pair::new(seed, "ipsec-max-packets=8000").await;
            pair.establish().await;
            for host in [&pair.west, &pair.east] {
                for inbound in [true, false] {
                    expires(host, &newest(host, inbound), false);
                }
            }
            without_a_gap(&pair, 5).await;
            for host in [&pair.west, &pair.east] {
                assert!(host.log.says("received soft EXPIRE for Child SA #2"), "{}", host.log);
            }
            pair.assert_up(1).await;
            pair.end().await;
        });
    }
}

/// ```text
/// INFORMATIONAL {D} -->  <-- INFORMATIONAL {D}
/// CREATE_CHILD_SA {..} -->  <-- CREATE_CHILD_SA {..}     (west's)
/// ```
#[test]
fn a_hard_expiry_of_either_sa_at_either_end_deletes_the_child_sa_and_makes_it_anew() {
    for (seed, (at_west, inbound)) in (60..).zip(EXPIRIES) {
        run(async move {
            let pair = Pair::new(seed, "ipsec-max-packets=8000").await;
            pair.establish().await;
            let host = if at_west { &pair.west } else { &pair.east };
            let old = sas(host);
            expires(host, &newest(host, inbound), true);
            seconds(5).await;
            let said = "received hard EXPIRE for Child SA #2";
            assert_eq!(host.log.count(said), 1, "{}", host.log);
            // West's connection is to be up.
            let anew = "initiating Child SA using IKE SA #1";
            assert_eq!(pair.west.log.count(anew), 1, "{}", pair.west.log);
            assert!(!host.log.says("rekeyed Child SA"), "{}", host.log);
            pair.assert_up(1).await;
            assert!(!sas(host).iter().any(|sa| old.contains(sa)), "{}", host.log);
            pair.end().await;
        });
    }
}

#[test]
fn a_hard_expiry_while_it_is_rekeyed_leaves_what_replaces_it() {
    run(async {
        let pair = Pair::new(64, "ipsec-max-packets=8000").await;
        pair.establish().await;
        let old = newest(&pair.west, true);
        expires(&pair.west, &old, false);
        pass(Duration::from_millis(5)).await;
        expires(&pair.west, &old, true);
        seconds(5).await;
        assert!(pair.west.log.says("received hard EXPIRE for Child SA #2"), "{}", pair.west.log);
        assert!(pair.west.log.says("initiator rekeyed Child SA #2"), "{}", pair.west.log);
        assert!(!pair.west.log.says("initiating Child SA using"), "{}", pair.west.log);
        pair.assert_up(1).await;
        pair.end().await;
    });
}

#[test]
fn a_hard_expiry_of_what_has_been_replaced_means_nothing() {
    run(async {
        let pair = Pair::new(65, "ipsec-max-packets=8000").await;
        pair.establish().await;
        let old = newest(&pair.west, false);
        let done = pair.west.order(rekey_child("tunnel")).await;
        assert_eq!(done.status, 0, "{done:?}");
        expires(&pair.west, &old, true);
        without_a_gap(&pair, 3).await;
        assert!(!pair.west.log.says("hard EXPIRE"), "{}", pair.west.log);
        assert!(!pair.west.log.says("initiating Child SA using"), "{}", pair.west.log);
        pair.assert_up(1).await;
        pair.end().await;
    });
}

#[test]
fn after_a_hard_expiry_a_connection_on_demand_waits_for_traffic() {
    run(async {
        let pair = Pair::new(66, "ipsec-max-packets=8000").await;
        let west = &pair.west;
        let routed = west.order(Request::Route { name: named("tunnel") }).await;
        assert_eq!(routed.status, 0, "{routed:?}");
        let trap = || {
            west.kernel.policies().into_iter().find_map(|(_, _, shape)| match shape.does {
                PolicyUse::Trap(template) => Some(template.reqid),
                _ => None,
            })
        };
        for round in 1..=2 {
            let reqid = trap().unwrap_or_else(|| panic!("no trap\n{}", west.log));
            west.tree.supervisor.do_send(KernelTells(KernelEvent::Acquire {
                reqid,
                source: ip("10.1.0.1"),
                destination: ip("10.2.0.1"),
                protocol: 1,
                source_port: 8,
                destination_port: 0,
            }));
            pair.assert_up(1).await;
            assert_eq!(trap(), None, "{}", west.log);
            expires(west, &newest(west, false), true);
            seconds(5).await;
            assert_eq!(west.log.count("received hard EXPIRE"), round, "{}", west.log);
            assert_eq!((west.tunnels(), pair.east.tunnels()), (0, 0), "{}", west.log);
        }
        assert!(trap().is_some(), "{}", west.log);
        let down = west.order(Request::Down { name: named("tunnel") }).await;
        assert_eq!(down.status, 0, "{down:?}");
        let unrouted = west.order(Request::Unroute { name: named("tunnel") }).await;
        assert_eq!(unrouted.status, 0, "{unrouted:?}");
        pair.end().await;
    });
}
