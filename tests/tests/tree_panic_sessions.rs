//! Panics in whole trees: what is injected costs what the guarantees of `pluto_actors` say,
//! other tunnels are unharmed, and at the end nothing is left anywhere.

#![allow(clippy::indexing_slicing, reason = "tests")]

use pluto_actors::faults::Place;
use pluto_messages::Census;
use pluto_tests::tree::{Pair, Trigger, run, seconds};
use pluto_whack::Request;

fn ike_sa(place: Place<'_>) -> bool {
    matches!(place, Place::IkeSa(..))
}

fn connection(place: Place<'_>) -> bool {
    matches!(place, Place::Connection(_))
}

/// Two hosts with `tunnel` and `second`, of which the latter is up; the chosen side panics
/// when its trigger is armed.
async fn pair(seed: u64, side: usize, places: fn(Place<'_>) -> bool) -> (Pair, Trigger) {
    let (mut setups, trigger) = (Pair::setups(seed), Trigger::default());
    setups[side].faults = trigger.faults(places);
    let [west, east] = setups;
    let pair = Pair::with(west, east, "").await;
    pair.add_second().await;
    let up = pair.west.initiate("second").outcome().await;
    assert_eq!(up.status, 0, "{up:#?}");
    seconds(1).await;
    (pair, trigger)
}

/// `second` still stands, and nothing else does; then it is ended as well.
async fn only_second_is_left(pair: Pair, what: &str) {
    for host in [&pair.west, &pair.east] {
        let Census { established, child_sas, ike_sas, spis, .. } = host.census().await;
        let found = (ike_sas, established, child_sas, spis, host.tunnels());
        assert_eq!(found, (1, 1, 1, 1, 1), "{what}\n{}\n{}", pair.west.log, pair.east.log);
        assert_eq!(host.log.count("\"second\" #1: deleting"), 0, "{what}\n{}", host.log);
    }
    for host in [&pair.west, &pair.east] {
        host.order(Request::Delete { name: "second".into() }).await;
    }
    pair.end().await;
}

/// Brings `tunnel` up and down while `trigger` fires at the n-th place; false: it was never
/// reached.
async fn establish_and_delete(side: usize, n: usize, places: fn(Place<'_>) -> bool) -> bool {
    let what = format!("side {side}, place {n}");
    let (pair, trigger) = pair(100, side, places).await;
    trigger.arm([n]);
    let up = pair.west.initiate("tunnel").outcome().await;
    assert_eq!(up.status, 0, "{what}: {up:#?}\n{}\n{}", pair.west.log, pair.east.log);
    seconds(60).await;
    let down = pair.west.order(Request::Down { name: "tunnel".into() }).await;
    assert_eq!(down.status, 0, "{what}: {down:#?}");
    seconds(60).await;
    let hit = trigger.hits() == 1;
    only_second_is_left(pair, &what).await;
    hit
}

#[test]
fn a_panic_at_any_input_of_an_ike_sa_costs_no_more_than_that_input() {
    for side in [0, 1] {
        let mut n = 1;
        run(async {
            while establish_and_delete(side, n, ike_sa).await {
                n += 1;
            }
        });
        assert!(n > 7, "side {side} has only {n} inputs");
    }
}

#[test]
fn three_panics_end_that_ike_sa_and_no_other() {
    for side in [0, 1] {
        run(async {
            let (pair, trigger) = pair(101, side, ike_sa).await;
            trigger.always(true);
            let mut waiting = pair.west.initiate("tunnel");
            seconds(20).await;
            assert!(trigger.hits() >= 3);
            let host = [&pair.west, &pair.east][side];
            assert!(host.log.says("3 internal errors within 60 s"), "{}", host.log);
            if side == 0 {
                assert!(!waiting.waits(), "whack is told");
            }
            trigger.always(false);
            // It is still to be up, and without panics it comes up.
            seconds(300).await;
            pair.assert_up(2).await;
            let down = pair.west.order(Request::Down { name: "tunnel".into() }).await;
            assert_eq!(down.status, 0, "{down:#?}");
            seconds(60).await;
            only_second_is_left(pair, "three panics").await;
        });
    }
}

#[test]
fn a_panic_of_a_connection_at_any_place_costs_no_tunnel() {
    for side in [0, 1] {
        let mut n = 1;
        run(async {
            while connection_panics_at(side, n).await {
                n += 1;
            }
        });
        assert!(n > 4, "side {side} has only {n} places");
    }
}

/// A whack that waits may lose its answer; the order is given again then.
async fn connection_panics_at(side: usize, n: usize) -> bool {
    let what = format!("side {side}, place {n}");
    let (pair, trigger) = pair(102, side, connection).await;
    trigger.arm([n]);
    let first = pair.west.initiate("tunnel").outcome().await;
    seconds(120).await;
    pair.west.initiate("tunnel").outcome().await;
    pair.assert_up(2).await;
    for _ in 0..2 {
        pair.west.order(Request::Down { name: "tunnel".into() }).await;
        seconds(120).await;
    }
    let hit = trigger.hits() == 1;
    if hit {
        let host = [&pair.west, &pair.east][side];
        assert_eq!(host.census().await.panics, 1, "{what}\n{}", host.log);
    }
    // Whoever waits is not told that all is well when nobody knows.
    let told = pair.west.log.says("internal error");
    assert!(first.status == 0 || told, "{what}: {first:?}\n{}", pair.west.log);
    assert!(first.says("established Child SA") || first.status != 0, "{what}: {first:?}");
    only_second_is_left(pair, &what).await;
    hit
}
