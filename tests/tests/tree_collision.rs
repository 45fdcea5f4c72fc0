//! Both ends begin at once, each with an IKE_SA_INIT of its own: in the end there is one IKE
//! SA with one Child SA, and never none once there was one.

#![allow(clippy::indexing_slicing, clippy::panic, reason = "tests")]

use pluto_tests::crossing::Chooser;
use pluto_tests::tree::{Fate, Host, Pair, Sent, run, seconds};
use pluto_whack::Request;
use pluto_wire::IkeSpi;
use pluto_wire::numbers::ExchangeType;
use std::cell::RefCell;
use std::rc::Rc;
use std::time::Duration;

/// Messages of IKE_SA_INIT and IKE_AUTH.
const MESSAGES: usize = 4;

/// Which message it is of the first two exchanges: 0 to 3.
fn place(sent: &Sent) -> Option<(IkeSpi, usize)> {
    let header = sent.header()?;
    let exchange = match header.exchange {
        ExchangeType::IKE_SA_INIT => 0,
        ExchangeType::IKE_AUTH => 2,
        _ => return None,
    };
    Some((header.spis.initiator, exchange + usize::from(header.flags.is_response())))
}

/// The order of arrival: each entry is the one of the two IKE SAs whose next message arrives.
fn orders() -> Vec<Vec<usize>> {
    let (mut orders, mut chooser) = (Vec::new(), Chooser::default());
    loop {
        let (mut order, mut left) = (Vec::new(), [MESSAGES; 2]);
        while left.iter().any(|left| *left > 0) {
            let ready: Vec<usize> = (0..2).filter(|which| left[*which] > 0).collect();
            let next = ready[chooser.choose(ready.len())];
            left[next] -= 1;
            order.push(next);
        }
        orders.push(order);
        if !chooser.next_path() {
            return orders;
        }
    }
}

/// Delivers in this order, 20 ms apart. Gives the SPIs by which hosts send when they delete one
/// of two tunnels: the peer may forget its end as soon as it hears of it.
fn deliver_in_order(pair: &Pair, order: Vec<usize>) -> Rc<RefCell<Vec<u32>>> {
    let kernels = [&pair.west, &pair.east].map(|host| (host.address, host.kernel.clone()));
    let deleting_by: Rc<RefCell<Vec<u32>>> = Rc::default();
    let by = Rc::clone(&deleting_by);
    let known: Rc<RefCell<Vec<IkeSpi>>> = Rc::default();
    let mut began = None;
    pair.wire.rule(move |sent| {
        let Some((spi, message)) = place(sent) else {
            let kernel = kernels.iter().find(|(address, _)| *address == sent.from.ip());
            let request = sent.header().is_some_and(|header| !header.flags.is_response());
            if let Some((_, kernel)) = kernel.filter(|_| request) {
                by.borrow_mut().extend(kernel.senders().iter().map(|sa| sa.sa.spi));
            }
            return Fate::Arrives;
        };
        let began = *began.get_or_insert(sent.at);
        let mut known = known.borrow_mut();
        let which = known.iter().position(|known| *known == spi).unwrap_or_else(|| {
            known.push(spi);
            known.len() - 1
        });
        let slots = order.iter().enumerate().filter(|(_, of)| **of == which);
        match slots.map(|(slot, _)| slot).nth(message) {
            Some(slot) => Fate::At(began + Duration::from_millis(20 * slot as u64 + 20)),
            None => Fate::Arrives,
        }
    });
    deleting_by
}

/// Whether what `from` sends is received.
fn arrives(from: &Host, to: &Host) -> bool {
    let senders = from.kernel.senders();
    let Some(by) = senders.first() else { return false };
    to.kernel.sas().iter().any(|sa| sa.sa.inbound && !sa.sa.larval && sa.sa.spi == by.sa.spi)
}

/// Both ends have the same one IKE SA with one Child SA, and there was always one since the
/// first, by which packets arrived, but for the time of an exchange.
async fn one_remains(pair: &Pair, what: &str) {
    let (mut had, mut lost) = (false, 0);
    for _ in 0..300 {
        tokio::time::sleep(Duration::from_millis(50)).await;
        let up = pair.west.tunnels() > 0 && pair.east.tunnels() > 0;
        assert!(up || !had, "{what}: none is left\n{}\n{}", pair.west.log, pair.east.log);
        had |= up;
        let through = arrives(&pair.west, &pair.east) && arrives(&pair.east, &pair.west);
        lost = if had && !through { lost + 1 } else { 0 };
        assert!(lost < 3, "{what}: packets are lost\n{}\n{}", pair.west.log, pair.east.log);
    }
    for host in [&pair.west, &pair.east] {
        let census = host.census().await;
        let found = (census.ike_sas, census.child_sas, host.tunnels());
        assert_eq!(found, (1, 1, 1), "{what}\n{}\n{}", pair.west.log, pair.east.log);
    }
    let spis = |host: &Host| {
        let sas = host.kernel.sas();
        let mut spis: Vec<_> = sas.iter().map(|sa| (sa.sa.destination, sa.sa.spi)).collect();
        spis.sort();
        spis
    };
    assert_eq!(spis(&pair.west), spis(&pair.east), "{what}: they kept different ones");
}

#[test]
fn collision_of_ike_sa_init_and_ike_sa_init_leaves_one_in_every_order() {
    let orders = orders();
    assert_eq!(orders.len(), 70);
    let mut kept = [0; 2];
    for (seed, order) in (0..).zip(orders) {
        let what = format!("{order:?}");
        let west_stays: Rc<RefCell<bool>> = Rc::default();
        let told = Rc::clone(&west_stays);
        run(async move {
            let pair = Pair::new(seed, "").await;
            let deleting_by = deliver_in_order(&pair, order);
            let whacks = [pair.west.initiate("tunnel"), pair.east.initiate("tunnel")];
            for whack in whacks {
                assert_eq!(whack.outcome().await.status, 0, "{what}");
            }
            one_remains(&pair, &what).await;
            let sas = [pair.west.kernel.sas(), pair.east.kernel.sas()].concat();
            let stays = |spi: &u32| sas.iter().any(|sa| sa.sa.spi == *spi);
            let by = deleting_by.take();
            assert!(!by.is_empty() && by.iter().all(stays), "{what}: sent by what was deleted");
            let [west, east] = [&pair.west, &pair.east].map(|host| host.log.says("superseded"));
            assert_ne!(west, east, "{what}: one of them deletes its own");
            *told.borrow_mut() = east;
            pair.end().await;
        });
        kept[usize::from(*west_stays.borrow())] += 1;
    }
    assert!(kept.iter().all(|kept| *kept > 0), "it was always the same end's: {kept:?}");
}

/// As when both ends revive what has gone: both ask for it on the IKE SA that they share.
#[test]
fn collision_of_create_child_and_create_child_of_one_connection_leaves_one() {
    let mut kept = [0; 2];
    for seed in 300..310 {
        let west_stays: Rc<RefCell<bool>> = Rc::default();
        let told = Rc::clone(&west_stays);
        run(async move {
            let pair = Pair::new(seed, "").await;
            pair.establish().await;
            pair.add_sharing("").await;
            for whack in [pair.west.initiate("second"), pair.east.initiate("second")] {
                assert_eq!(whack.outcome().await.status, 0, "{seed}");
            }
            let both = pair.west.census().await.child_sas;
            assert_eq!(both, 3, "they did not cross\n{}\n{}", pair.west.log, pair.east.log);
            for _ in 0..20 {
                seconds(1).await;
                for (from, to) in [(&pair.west, &pair.east), (&pair.east, &pair.west)] {
                    let known = to.kernel.sas();
                    let knows = |spi| known.iter().any(|sa| sa.sa.inbound && sa.sa.spi == spi);
                    assert!(from.kernel.senders().iter().all(|sa| knows(sa.sa.spi)), "{seed}");
                }
            }
            for host in [&pair.west, &pair.east] {
                let census = host.census().await;
                assert_eq!((census.ike_sas, census.child_sas), (1, 2), "{seed}\n{}", host.log);
            }
            let [west, east] = [&pair.west, &pair.east].map(|host| host.log.says("superseded"));
            assert_ne!(west, east, "{seed}: one of them deletes its own");
            *told.borrow_mut() = east;
            for host in [&pair.west, &pair.east] {
                host.order(Request::Delete { name: "second".into() }).await;
            }
            pair.end().await;
        });
        kept[usize::from(*west_stays.borrow())] += 1;
    }
    assert!(kept.iter().all(|kept| *kept > 0), "it was always the same end's: {kept:?}");
}

#[test]
fn collision_of_ike_sa_init_and_ike_sa_init_leaves_one_when_datagrams_are_lost() {
    for (seed, lost) in (100..).zip(0..24_usize) {
        let what = format!("lost {lost}");
        run(async move {
            let pair = Pair::new(seed, "auto=up").await;
            let mut n = 0;
            pair.wire.rule(move |_| {
                n += 1;
                let drops = n - 1 == lost || (lost >= 12 && n - 1 == lost - 12 + 3);
                if drops { Fate::Lost } else { Fate::Arrives }
            });
            for host in [&pair.west, &pair.east] {
                drop(host.initiate("tunnel"));
            }
            seconds(15).await;
            one_remains(&pair, &what).await;
            pair.end().await;
        });
    }
}

#[test]
fn collision_of_ike_sa_init_and_ike_sa_init_spares_other_child_sas() {
    for seed in 200..208 {
        run(async move {
            let pair = Pair::new(seed, "").await;
            pair.add_sharing("").await;
            let whacks = [pair.west.initiate("tunnel"), pair.east.initiate("tunnel")];
            for whack in whacks {
                assert_eq!(whack.outcome().await.status, 0);
            }
            // Whichever IKE SA it shares is not taken from under it.
            assert_eq!(pair.west.initiate("second").outcome().await.status, 0);
            assert_eq!(pair.east.initiate("second").outcome().await.status, 0);
            for _ in 0..100 {
                tokio::time::sleep(Duration::from_millis(50)).await;
                assert!(pair.west.tunnels() >= 2, "{}\n{}", pair.west.log, pair.east.log);
            }
            assert_eq!(pair.west.tunnels(), 2, "{}\n{}", pair.west.log, pair.east.log);
            for host in [&pair.west, &pair.east] {
                host.order(Request::Delete { name: "second".into() }).await;
            }
            pair.end().await;
        });
    }
}

#[test]
fn a_peer_that_has_forgotten_everything_gets_a_new_tunnel_and_the_old_one_goes() {
    run(async {
        let pair = Pair::new(9, "").await;
        pair.establish().await;
        seconds(60).await;
        // East forgets.
        let summary =
            pair.east.order(Request::DeleteState { serial: pluto_connections::SerialNo(1) });
        pair.wire.cut(pair.west.address);
        let _ = summary.await;
        seconds(40).await;
        pair.east.assert_no_sas().await;
        pair.wire.mend(pair.west.address);
        assert_eq!(pair.east.initiate("tunnel").outcome().await.status, 0);
        // West's Delete of the old one is for nobody.
        seconds(40).await;
        one_remains(&pair, "forgotten").await;
        pair.end().await;
    });
}
