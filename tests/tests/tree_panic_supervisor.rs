//! Panics of the supervisor, whose table nobody else has: they cost a message, and whoever has
//! to do with that may have to try again; other tunnels are unharmed, and nothing is left behind.

#![allow(clippy::indexing_slicing, reason = "tests")]

use pluto_actors::faults::Place;
use pluto_messages::Census;
use pluto_tests::tree::{Host, Pair, Trigger, run, seconds};
use pluto_whack::Request;

fn supervisor(place: Place<'_>) -> bool {
    matches!(place, Place::Supervisor)
}

/// Two hosts with `tunnel` and `second`, of which the latter is up; the supervisor of the chosen
/// side panics when its trigger is armed, before it takes a message or when it has.
async fn pair(seed: u64, side: usize) -> (Pair, Trigger) {
    let (mut setups, trigger) = (Pair::setups(seed), Trigger::default());
    setups[side].faults = trigger.faults(supervisor);
    let [west, east] = setups;
    let pair = Pair::with(west, east, "").await;
    pair.add_second().await;
    let up = pair.west.initiate("second").outcome().await;
    assert_eq!(up.status, 0, "{up:#?}");
    seconds(1).await;
    (pair, trigger)
}

/// Whether so many tunnels are up at a host, and nothing else is there.
async fn has(host: &Host, tunnels: usize) -> bool {
    let Census { established, child_sas, ike_sas, spis, half_open, .. } = host.census().await;
    let found = [established, child_sas, ike_sas, spis, host.tunnels()];
    found.iter().all(|found| *found == tunnels) && half_open == 0
}

/// Brings `tunnel` up, rekeys it, takes it down and adds it anew, while the n-th place panics;
/// false: it was never reached.
async fn survives(side: usize, n: usize) -> bool {
    let (pair, trigger) = pair(300, side).await;
    let (west, east) = (&pair.west, &pair.east);
    let what = || format!("side {side}, place {n}\n{}\n{}", west.log, east.log);
    trigger.arm([n]);
    for _ in 0..3 {
        west.initiate("tunnel").outcome().await;
        seconds(60).await;
    }
    assert!(has(west, 2).await && has(east, 2).await, "up: {}", what());
    for command in [
        Request::RekeyChild { name: "tunnel".into(), asynchronous: false },
        Request::RekeyIke { name: "tunnel".into(), asynchronous: false },
    ] {
        west.order(command).await;
        seconds(200).await;
        // What has cost the tunnel is made up for: it is still to be up.
        assert!(has(west, 2).await && has(east, 2).await, "rekeyed: {}", what());
    }
    for _ in 0..2 {
        west.order(Request::Down { name: "tunnel".into() }).await;
        seconds(200).await;
    }
    let hit = trigger.hits() == 1;
    let host = [west, east][side];
    assert_eq!(host.log.count("supervisor: internal error over"), usize::from(hit), "{}", what());
    for host in [west, east] {
        assert!(has(host, 1).await, "down: {}", what());
        assert_eq!(host.log.count("\"second\" #1: deleting"), 0, "{}", what());
    }
    for host in [west, east] {
        for _ in 0..2 {
            host.order(Request::Delete { name: "second".into() }).await;
        }
    }
    seconds(60).await;
    pair.end().await;
    hit
}

#[test]
fn a_panic_of_the_supervisor_at_any_message_costs_no_more_than_that_message() {
    for side in [0, 1] {
        let mut n = 1;
        run(async {
            while survives(side, n).await {
                n += 1;
            }
        });
        assert!(n > 25, "side {side} has only {n} places");
    }
}

#[test]
fn whack_is_told_of_a_panic_over_its_command_and_may_give_it_again() {
    run(async {
        let (pair, trigger) = pair(303, 0).await;
        trigger.arm([1]);
        let outcome = pair.west.initiate("tunnel").outcome().await;
        assert_ne!(outcome.status, 0, "{outcome:?}");
        assert!(outcome.says("internal error"), "{outcome:?}");
        let outcome = pair.west.initiate("tunnel").outcome().await;
        assert_eq!(outcome.status, 0, "{outcome:?}");
        assert_eq!(pair.west.census().await.panics, 1);
    });
}

#[test]
fn a_supervisor_that_panics_again_and_again_stops_the_daemon_in_order() {
    run(async {
        let (pair, trigger) = pair(301, 1).await;
        trigger.arm(1..=8);
        let _waiting = pair.west.initiate("tunnel");
        let Pair { west, mut east, .. } = pair;
        for _ in 0..10 {
            east.begin(Request::Listen).go_away();
        }
        assert_eq!(east.stopped().await, 1, "{}", east.log);
        let why = "supervisor: more than 5 internal errors in 60 s; the daemon stops";
        assert!(east.log.says(why), "{}", east.log);
        seconds(1).await;
        assert!(west.log.says("\"second\" #1: received Delete for IKE SA"), "{}", west.log);
        assert_eq!(west.stop().await, 0);
    });
}

#[test]
fn a_supervisor_that_can_only_panic_stops_the_daemon_all_the_same() {
    run(async {
        let (pair, trigger) = pair(302, 1).await;
        trigger.always(true);
        let _waiting = pair.west.initiate("tunnel");
        let Pair { west, mut east, wire } = pair;
        assert_eq!(east.stopped().await, 1, "{}", east.log);
        // Nothing comes to life after it.
        seconds(10).await;
        let sent = wire.sent_by(east.address);
        seconds(600).await;
        east.assert_kernel_empty();
        assert_eq!(wire.sent_by(east.address), sent, "a session lives on");
        assert_eq!(west.stop().await, 0);
    });
}
