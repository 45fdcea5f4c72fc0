//! Panics in what all sessions share: the kernel's core, the holder of secrets, the
//! listener, and in a Child SA's actor.

#![allow(clippy::indexing_slicing, reason = "tests")]

use pluto_actors::faults::Place;
use pluto_kernel::KernelEvent;
use pluto_messages::KernelTells;
use pluto_tests::tree::{Mishap, NET_TO_NET, Pair, Trigger, connection, run, seconds};
use pluto_whack::Request;

/// The calls of a kernel while a host listens, brings a tunnel up and down, and is emptied.
const CALLS: usize = 12;

/// The kernel's core panics in its n-th call, on this side. What was asked for may fail; it
/// is told, tried again, and nothing is left behind.
async fn kernel_panics(side: usize, mishap: Mishap) -> bool {
    let what = format!("side {side}, {mishap:?}");
    let mut setups = Pair::setups(200);
    setups[side].mishaps = vec![mishap];
    let [west, east] = setups;
    let pair = Pair::bare(west, east).await;
    for host in [&pair.west, &pair.east] {
        // The first call is of the addresses to listen on.
        host.order(Request::Listen).await;
        host.add(connection("tunnel", NET_TO_NET)).await;
    }
    let mut up = false;
    for _ in 0..3 {
        up = up || pair.west.initiate("tunnel").outcome().await.status == 0;
        seconds(60).await;
    }
    assert!(up, "{what}\n{}\n{}", pair.west.log, pair.east.log);
    pair.assert_up(1).await;
    pair.west.order(Request::Down { name: "tunnel".into() }).await;
    seconds(60).await;
    let host = [&pair.west, &pair.east][side];
    let hit = host.log.says("kernel: internal error");
    if hit {
        let restarts = host.kernel_service().await.map(|kernel| kernel.restarts);
        assert_eq!(restarts, Some(1), "{what}");
    }
    for host in [&pair.west, &pair.east] {
        // A removal that has died is made up for by the orderly stop at the latest.
        host.order(Request::Delete { name: "tunnel".into() }).await;
    }
    seconds(1).await;
    assert_eq!((pair.west.stop().await, pair.east.stop().await), (0, 0), "{what}");
    hit
}

#[test]
fn a_panic_in_any_call_of_the_kernel_leaves_no_orphan() {
    for side in [0, 1] {
        let mut hits = 0;
        for n in 1..=CALLS {
            for mishap in [Mishap::Before(n), Mishap::After(n)] {
                run(async {
                    hits += usize::from(kernel_panics(side, mishap).await);
                });
            }
        }
        assert!(hits >= 8, "side {side}: only {hits}");
    }
}

#[test]
fn a_kernel_that_panics_again_and_again_stops_the_daemon_in_order() {
    run(async {
        let [west, mut east] = Pair::setups(201);
        // The first calls bring a tunnel up.
        east.mishaps = (8..14).map(Mishap::Before).collect();
        let pair = Pair::with(west, east, "").await;
        pair.establish().await;
        let Pair { west, mut east, .. } = pair;
        for _ in 0..10 {
            east.order(Request::Listen).await;
        }
        assert_eq!(east.stopped().await, 1, "{}", east.log);
        assert!(east.log.says("kernel: more than 5 internal errors in 60 s"), "{}", east.log);
        seconds(1).await;
        assert!(west.log.says("received Delete for IKE SA"), "{}", west.log);
        assert_eq!(west.stop().await, 0);
    });
}

#[test]
fn a_panic_of_the_holder_of_secrets_costs_one_answer() {
    for side in [0, 1] {
        for n in [1, 2] {
            run(async {
                let (mut setups, trigger) = (Pair::setups(202), Trigger::default());
                setups[side].faults = trigger.faults(|place| matches!(place, Place::Secrets));
                let [west, east] = setups;
                let pair = Pair::with(west, east, "").await;
                trigger.arm([n]);
                pair.west.initiate("tunnel").outcome().await;
                seconds(60).await;
                pair.establish().await;
                let host = [&pair.west, &pair.east][side];
                assert_eq!(trigger.hits(), usize::from(host.log.says("secrets: internal error")));
                assert!(n == 2 || trigger.hits() == 1);
                pair.west.order(Request::Down { name: "tunnel".into() }).await;
                seconds(300).await;
                pair.end().await;
            });
        }
    }
}

#[test]
fn a_panic_of_the_listener_costs_one_datagram() {
    for side in [0, 1] {
        for n in 1..=3 {
            run(async {
                let (mut setups, trigger) = (Pair::setups(203), Trigger::default());
                setups[side].faults = trigger.faults(|place| matches!(place, Place::Listener));
                let [west, east] = setups;
                let pair = Pair::with(west, east, "").await;
                trigger.arm([n]);
                pair.establish().await;
                let down = pair.west.order(Request::Down { name: "tunnel".into() }).await;
                assert_eq!(down.status, 0);
                seconds(10).await;
                assert_eq!(trigger.hits(), 1);
                let host = [&pair.west, &pair.east][side];
                assert!(host.log.says("listener: Panicked"), "{}", host.log);
                pair.end().await;
            });
        }
    }
}

#[test]
fn a_listener_that_was_told_not_to_listen_does_not_after_a_panic() {
    run(async {
        let ([west, mut east], trigger) = (Pair::setups(204), Trigger::default());
        east.faults = trigger.faults(|place| matches!(place, Place::Listener));
        let pair = Pair::with(west, east, "").await;
        pair.east.order(Request::Unlisten).await;
        trigger.arm([1]);
        let mut waiting = pair.west.initiate("tunnel");
        seconds(5).await;
        assert_eq!(trigger.hits(), 1);
        assert!(waiting.waits());
        assert_eq!(
            pair.east.census().await.ike_sas,
            0,
            "{}{:?}",
            pair.east.log,
            pair.wire.sent().len()
        );
        pair.east.order(Request::Listen).await;
        let outcome = waiting.outcome().await;
        assert_eq!(outcome.status, 0, "{}{}", pair.west.log, pair.east.log);
        pair.end().await;
    });
}

#[test]
fn a_panic_of_a_child_sa_ends_that_child_sa() {
    run(async {
        let ([mut west, east], trigger) = (Pair::setups(205), Trigger::default());
        west.faults = trigger.faults(|place| matches!(place, Place::ChildSa(_)));
        let pair = Pair::with(west, east, "").await;
        pair.add_second().await;
        pair.establish().await;
        assert_eq!(pair.west.initiate("second").outcome().await.status, 0);
        pair.assert_up(2).await;
        trigger.arm([1]);
        let sa = pair.west.kernel.sas()[0].sa;
        pair.west.tree.supervisor.do_send(KernelTells(KernelEvent::Expire {
            spi: sa.spi,
            destination: sa.destination,
            child: Some(2),
            hard: false,
        }));
        seconds(1).await;
        assert_eq!(trigger.hits(), 1);
        assert!(pair.west.log.says("ChildSa(SerialNo(2)): internal error"), "{}", pair.west.log);
        seconds(60).await;
        // It is still to be up: the connection brings up another one.
        pair.assert_up(2).await;
        for host in [&pair.west, &pair.east] {
            assert_eq!(host.log.count("\"second\" #3: deleting"), 0);
            host.order(Request::Delete { name: "second".into() }).await;
        }
        pair.end().await;
    });
}
