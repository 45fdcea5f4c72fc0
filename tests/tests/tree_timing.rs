//! Orders of whack that come while something else is under way for the same connection.

#![allow(clippy::indexing_slicing, reason = "tests")]

use pluto_tests::tree::{Fate, NET_TO_NET, Pair, connection, pass, run, seconds};
use pluto_updown::Outcome;
use pluto_whack::Request;
use std::time::Duration;

fn named(name: &str) -> String {
    name.to_string()
}

/// Every datagram takes so long.
const ON_THE_WAY: Duration = Duration::from_millis(100);

const SCRIPTS: &str = "leftupdown=script rightupdown=script";

/// Both hosts' scripts take two seconds for each verb.
fn slow_scripts(pair: &Pair) {
    for host in [&pair.west, &pair.east] {
        host.runner.set_delay(Duration::from_secs(2));
    }
}

/// The end, where a connection `second` was added.
async fn end_both(pair: Pair) {
    for host in [&pair.west, &pair.east] {
        host.order(Request::Delete { name: named("second") }).await;
    }
    pair.end().await;
}

fn slow_wire(pair: &Pair) {
    pair.wire.rule(|sent| Fate::At(sent.at + ON_THE_WAY));
}

/// Of who did not bring it up, and so has not to keep it: its routing forgets about it, by
/// updown, when the Delete is done.
#[test]
fn what_has_just_gone_can_be_brought_up_at_once() {
    run(async {
        let pair = Pair::new(900, SCRIPTS).await;
        pair.establish().await;
        slow_scripts(&pair);
        pair.west.order(Request::DownChild { name: named("tunnel") }).await;
        let up = pair.east.initiate("tunnel").outcome().await;
        assert_eq!(up.status, 0, "{up:?}");
        assert!(!up.says("already up"), "{up:?}");
        pair.assert_up(1).await;
        let deleted = pair.west.order(Request::DeleteChild { name: named("tunnel") }).await;
        assert_eq!(deleted.status, 0, "{deleted:?}");
        let up = pair.west.initiate("tunnel").outcome().await;
        assert_eq!(up.status, 0, "{up:?}");
        seconds(20).await;
        pair.assert_up(1).await;
        pair.end().await;
    });
}

#[test]
fn a_crashed_peers_sas_are_replaced_by_who_did_not_begin_them() {
    run(async {
        let pair = Pair::new(901, SCRIPTS).await;
        pair.establish().await;
        slow_scripts(&pair);
        let outcome = pair.east.order(Request::Crash { address: "192.0.2.1".into() }).await;
        assert!(outcome.says("replacing 1 IKE SAs"), "{outcome:?}");
        // West has deleted its end, and waits for an answer of the old one.
        seconds(120).await;
        assert!(pair.east.log.says("initiator established Child SA"), "{}", pair.east.log);
        pair.assert_up(1).await;
        pair.end().await;
    });
}

/// West waits for the answer to its Delete, which never comes: that is not to come back.
#[test]
fn what_is_being_taken_down_is_not_replaced_when_its_peer_has_crashed() {
    run(async {
        let pair = Pair::new(902, "").await;
        pair.establish().await;
        pair.wire.cut(pair.east.address);
        let down = pair.west.begin(Request::Down { name: named("tunnel") });
        pass(ON_THE_WAY).await;
        let outcome = pair.west.order(Request::Crash { address: "192.0.2.2".into() }).await;
        assert!(outcome.says("replacing 0 IKE SAs"), "{outcome:?}");
        assert_eq!(down.outcome().await.status, 0);
        pair.wire.mend(pair.east.address);
        seconds(10).await;
        assert_eq!(pair.west.census().await.ike_sas, 0, "{}", pair.west.log);
        pair.end().await;
    });
}

#[test]
fn what_is_taken_down_during_its_first_exchanges_does_not_come_up() {
    for (seed, wait) in (910..).zip([50, 150, 250, 350]) {
        run(async move {
            let pair = Pair::new(seed, "").await;
            slow_wire(&pair);
            let up = pair.west.initiate("tunnel");
            pass(Duration::from_millis(wait)).await;
            let down = pair.west.order(Request::DownChild { name: named("tunnel") }).await;
            assert_eq!(down.status, 0, "{down:?}");
            assert!(down.says("called off"), "{down:?}");
            let up = up.outcome().await;
            assert_ne!(up.status, 0, "{wait}: {up:?}");
            seconds(60).await;
            assert_eq!(pair.west.census().await.child_sas, 0, "{wait}\n{}", pair.west.log);
            // It is wanted again.
            let up = pair.west.initiate("tunnel").outcome().await;
            assert_eq!(up.status, 0, "{wait}: {up:?}");
            pair.assert_up(1).await;
            pair.end().await;
        });
    }
}

#[test]
fn a_child_sa_that_is_taken_down_while_it_is_made_on_anothers_ike_sa_does_not_stay() {
    let orders = [
        Request::Down { name: named("second") },
        Request::DownChild { name: named("second") },
        Request::DownIke { name: named("second") },
    ];
    for (seed, order) in (920..).zip(orders) {
        run(async move {
            let pair = Pair::new(seed, "").await;
            pair.establish().await;
            pair.add_sharing("").await;
            slow_wire(&pair);
            let up = pair.west.initiate("second");
            pass(ON_THE_WAY).await;
            let down = pair.west.order(order.clone()).await;
            assert_eq!(down.status, 0, "{down:?}");
            let up = up.outcome().await;
            assert_ne!(up.status, 0, "{order:?}: {up:?}");
            seconds(60).await;
            assert_eq!(pair.west.census().await.child_sas, 1, "{order:?}\n{}", pair.west.log);
            // It is wanted again.
            let up = pair.west.initiate("second").outcome().await;
            assert_eq!(up.status, 0, "{order:?}: {up:?}");
            seconds(5).await;
            assert_eq!(pair.west.census().await.child_sas, 2, "{order:?}\n{}", pair.west.log);
            end_both(pair).await;
        });
    }
}

/// Called off, and wanted after all before anything has come of it.
#[test]
fn what_was_called_off_and_is_wanted_again_comes_up() {
    run(async {
        let pair = Pair::new(930, "").await;
        pair.establish().await;
        pair.add_sharing("").await;
        slow_wire(&pair);
        let first = pair.west.initiate("second");
        pass(Duration::from_millis(30)).await;
        pair.west.order(Request::DownChild { name: named("second") }).await;
        let again = pair.west.initiate("second");
        assert_eq!(again.outcome().await.status, 0, "{}", pair.west.log);
        assert_eq!(first.outcome().await.status, 0, "{}", pair.west.log);
        seconds(10).await;
        assert_eq!(pair.west.census().await.child_sas, 2, "{}", pair.west.log);
        end_both(pair).await;
    });
}

/// The second one finds a Child SA that is gone, and of which updown has not been told.
#[test]
fn who_takes_down_what_is_just_going_does_not_wait_for_ever() {
    run(async {
        let pair = Pair::new(940, SCRIPTS).await;
        pair.establish().await;
        slow_scripts(&pair);
        let first = pair.west.order(Request::DownChild { name: named("tunnel") }).await;
        assert_eq!(first.status, 0, "{first:?}");
        let again = pair.west.order(Request::DownChild { name: named("tunnel") }).await;
        assert_eq!(again.status, 0, "{again:?}");
        seconds(1).await;
        assert_eq!(pair.west.census().await.child_sas, 0, "{}", pair.west.log);
        pair.end().await;
    });
}

#[test]
fn orders_for_an_alias_say_so() {
    run(async {
        let pair = Pair::new(950, "connalias=both").await;
        pair.establish().await;
        pair.add_sharing(" connalias=both").await;
        let up = pair.west.initiate("second").outcome().await;
        assert_eq!(up.status, 0, "{up:?}");
        for (order, verb) in [
            (Request::RekeyChild { name: named("both"), asynchronous: false }, "rekeying"),
            (Request::DeleteChild { name: named("both") }, "deleting"),
            (Request::DownChild { name: named("both") }, "terminating"),
            (Request::Delete { name: named("both") }, "deleting"),
        ] {
            let done = pair.west.order(order).await;
            let alias = format!("{verb} all connections with alias \"both\"");
            assert!(done.says(&alias), "{done:?}");
            assert!(done.says(&format!("{verb} 2 connections")), "{done:?}");
        }
        pair.east.order(Request::Delete { name: named("both") }).await;
        pair.end().await;
    });
}

/// Its order waits behind another exchange on the shared IKE SA, which dies.
#[test]
fn a_child_sa_that_an_ike_sa_did_not_live_to_make_is_made_later() {
    run(async {
        let pair = Pair::new(960, "").await;
        pair.establish().await;
        pair.add_sharing("").await;
        pair.wire.cut(pair.east.address);
        let asynchronous = true;
        pair.west.order(Request::RekeyIke { name: named("tunnel"), asynchronous }).await;
        pass(ON_THE_WAY).await;
        let up = pair.west.initiate("second").outcome().await;
        assert_ne!(up.status, 0, "{up:?}");
        assert!(up.says("the IKE SA ended before the Child SA was made"), "{up:?}");
        pair.wire.mend(pair.east.address);
        seconds(400).await;
        // Both were to be up, and are again.
        assert_eq!(pair.west.census().await.child_sas, 2, "{}", pair.west.log);
        end_both(pair).await;
    });
}

/// The peer makes another one while updown still takes the old one down.
#[test]
fn a_tunnel_that_comes_up_during_the_end_of_its_predecessor_is_not_disturbed() {
    run(async {
        let pair = Pair::new(970, &format!("{SCRIPTS} auto=keep")).await;
        pair.establish().await;
        slow_scripts(&pair);
        pair.west.order(Request::DownChild { name: named("tunnel") }).await;
        let up = pair.west.initiate("tunnel").outcome().await;
        assert_eq!(up.status, 0, "{up:?}");
        seconds(60).await;
        pair.assert_up(1).await;
        for host in [&pair.west, &pair.east] {
            // Out, in and forward; a trap has the first alone.
            let policies = host.kernel.policies();
            assert_eq!(policies.len(), 3, "{policies:#?}\n{}", host.log);
        }
        // What is left undone is not left in the way of the next time.
        pair.west.order(Request::DeleteIke { name: named("tunnel") }).await;
        seconds(60).await;
        pair.assert_up(1).await;
        pair.end().await;
    });
}

#[test]
fn a_route_that_cannot_be_had_is_tried_again_with_patience_and_before_up() {
    run(async {
        let pair = Pair::new(980, "leftupdown=script").await;
        let fails = || pair.west.runner.answer(Outcome::Exited(1), &["no way"]);
        let well = || pair.west.runner.answer(Outcome::Success, &[]);
        // prepare, route; then down of what was deleted, and route alone, four times.
        well();
        fails();
        for _ in 0..4 {
            well();
            fails();
        }
        let up = pair.west.initiate("tunnel").outcome().await;
        assert_ne!(up.status, 0, "{up:?}");
        seconds(120).await;
        pair.assert_up(1).await;
        let verbs = pair.west.runner.verbs();
        let last: Vec<&str> = verbs.iter().rev().take(2).map(String::as_str).collect();
        assert_eq!(last, ["up-client", "route-client"], "{verbs:?}");
        let log = &pair.west.log;
        for (attempt, seconds) in [(1, 0), (2, 5), (3, 10), (4, 15)] {
            let line = format!("revival attempt {attempt} scheduled in {seconds} seconds");
            assert_eq!(log.count(&line), 1, "{line}\n{log}");
        }
        pair.end().await;
    });
}

#[test]
fn a_connection_that_is_deleted_while_its_child_sa_is_made_takes_it_along() {
    for (seed, wait) in (1000..).zip([30, 90, 150]) {
        run(async move {
            let pair = Pair::new(seed, "").await;
            pair.establish().await;
            pair.add_sharing("").await;
            slow_wire(&pair);
            let up = pair.west.initiate("second");
            pass(Duration::from_millis(wait)).await;
            let delete = pair.west.order(Request::Delete { name: named("second") }).await;
            assert_eq!(delete.status, 0, "{delete:?}");
            assert_ne!(up.outcome().await.status, 0);
            seconds(30).await;
            let census = pair.west.census().await;
            assert_eq!((census.connections, census.child_sas), (1, 1), "{}", pair.west.log);
            pair.east.order(Request::Delete { name: named("second") }).await;
            pair.end().await;
        });
    }
}

/// Replaced by `--add` with the same name, which ends what the old one has, wherever it is.
#[test]
fn a_connection_that_is_replaced_leaves_nothing_on_anothers_ike_sa() {
    run(async {
        let pair = Pair::new(1010, "").await;
        pair.establish().await;
        pair.add_sharing("").await;
        let up = pair.west.initiate("second").outcome().await;
        assert_eq!(up.status, 0, "{up:?}");
        let words = NET_TO_NET.replace("10.1.0.0", "10.4.0.0");
        let connection = connection("second", &words);
        let added = pair.west.order(Request::Add { connection, replace: true }).await;
        assert_eq!(added.status, 0, "{added:?}");
        seconds(5).await;
        assert_eq!(pair.west.census().await.child_sas, 1, "{}", pair.west.log);
        end_both(pair).await;
    });
}

/// East's scripts still take the old tunnel down when west is back.
#[test]
fn a_peer_that_comes_back_while_it_is_taken_down_is_let_in() {
    run(async {
        let pair = Pair::new(1020, SCRIPTS).await;
        pair.establish().await;
        slow_scripts(&pair);
        let down = pair.east.begin(Request::Down { name: named("tunnel") });
        seconds(1).await;
        let up = pair.west.initiate("tunnel").outcome().await;
        assert_eq!(up.status, 0, "{up:?}\n{}", pair.east.log);
        assert_eq!(down.outcome().await.status, 0);
        seconds(30).await;
        pair.assert_up(1).await;
        assert_eq!(pair.east.log.count("received Delete"), 0, "{}", pair.east.log);
        pair.end().await;
    });
}

/// A client that has gone without a word is called back once, and then nothing is left of it.
#[test]
fn a_connection_that_is_kept_is_revived_once_and_then_forgotten() {
    run(async {
        let [west, east] = Pair::setups(1030);
        let pair = Pair::bare(west, east).await;
        pair.west.add(connection("tunnel", NET_TO_NET)).await;
        let anybody = "left=192.0.2.2 leftsubnet=10.2.0.0/24 right=%any \
            rightsubnet=10.1.0.0/24 auto=keep dpddelay=5 retransmit-timeout=20";
        pair.east.add(connection("anybody", anybody)).await;
        let up = pair.west.initiate("tunnel").outcome().await;
        assert_eq!(up.status, 0, "{up:?}");
        assert_eq!(pair.east.census().await.connections, 2);
        pair.wire.cut(pair.west.address);
        seconds(600).await;
        let census = pair.east.census().await;
        assert_eq!((census.connections, census.ike_sas), (1, 0), "{}", pair.east.log);
        assert_eq!(pair.east.log.count("revival attempt"), 1, "{}", pair.east.log);
        pair.east.assert_kernel_empty();
        pair.wire.mend(pair.west.address);
        pair.west.delete("tunnel").await;
        pair.east.delete("anybody").await;
        assert_eq!([pair.west.stop().await, pair.east.stop().await], [0, 0]);
    });
}

#[test]
fn who_waits_for_what_is_taken_down_before_it_begins_hears_of_it() {
    run(async {
        let pair = Pair::new(1040, SCRIPTS).await;
        pair.establish().await;
        slow_scripts(&pair);
        pair.west.order(Request::DownChild { name: named("tunnel") }).await;
        let up = pair.west.initiate("tunnel");
        pass(ON_THE_WAY).await;
        let down = pair.west.order(Request::DownChild { name: named("tunnel") }).await;
        assert_eq!(down.status, 0, "{down:?}");
        let up = up.outcome().await;
        assert!(up.says("taken down before it began"), "{up:?}");
        seconds(30).await;
        assert_eq!(pair.west.census().await.child_sas, 0, "{}", pair.west.log);
        pair.end().await;
    });
}

#[test]
fn what_was_taken_down_is_not_brought_up_when_its_peer_has_crashed() {
    run(async {
        let pair = Pair::new(1050, "").await;
        pair.establish().await;
        pair.west.order(Request::DownChild { name: named("tunnel") }).await;
        let crash = Request::Crash { address: "192.0.2.2".into() };
        assert_eq!(pair.west.order(crash).await.status, 0);
        seconds(60).await;
        assert_eq!(pair.west.census().await.child_sas, 0, "{}", pair.west.log);
        pair.end().await;
    });
}

/// What waits to be revived waits by a trap, which goes with the wish.
#[test]
fn taking_down_what_is_to_be_revived_removes_its_trap() {
    run(async {
        let pair = Pair::new(1060, "dpddelay=5 retransmit-timeout=20").await;
        pair.establish().await;
        pair.wire.cut(pair.east.address);
        seconds(120).await;
        assert!(pair.west.log.says("revival attempt 2"), "{}", pair.west.log);
        assert!(!pair.west.kernel.policies().is_empty());
        assert_eq!(pair.west.order(Request::Down { name: named("tunnel") }).await.status, 0);
        seconds(60).await;
        assert!(pair.west.kernel.policies().is_empty(), "{}", pair.west.log);
        pair.wire.mend(pair.east.address);
        pair.end().await;
    });
}

/// What is rekeyed without a Child SA is no attempt to come up.
#[test]
fn an_ike_sa_that_is_rekeyed_without_a_child_sa_is_no_obstacle_to_one() {
    run(async {
        let pair = Pair::new(1100, "").await;
        pair.establish().await;
        pair.west.order(Request::DownChild { name: named("tunnel") }).await;
        let rekey = Request::RekeyIke { name: named("tunnel"), asynchronous: false };
        assert_eq!(pair.west.order(rekey).await.status, 0, "{}", pair.west.log);
        seconds(5).await;
        let up = pair.west.initiate("tunnel").outcome().await;
        assert_eq!(up.status, 0, "{up:?}");
        pair.assert_up(1).await;
        pair.end().await;
    });
}

/// The IKE SA is rekeyed, and the old one has not gone: who goes leaves both to who stays.
#[test]
fn who_is_taken_down_right_after_a_rekeying_leaves_a_sharer_alone() {
    run(async {
        let pair = Pair::new(1110, "").await;
        pair.establish().await;
        pair.add_sharing("").await;
        let up = pair.west.initiate("second").outcome().await;
        assert_eq!(up.status, 0, "{up:?}");
        let rekey = Request::RekeyIke { name: named("tunnel"), asynchronous: true };
        let east = pair.east.address;
        // East's answers to Deletes are lost for a while.
        let dropped = move |sent: &pluto_tests::tree::Sent| {
            let header = sent.header();
            let informational = pluto_wire::numbers::ExchangeType::INFORMATIONAL;
            let asks = header.is_some_and(|header| header.exchange == informational);
            sent.from.ip() == east && asks
        };
        pair.wire.rule(move |sent| if dropped(sent) { Fate::Lost } else { Fate::Arrives });
        assert_eq!(pair.west.order(rekey).await.status, 0);
        seconds(1).await;
        let down = pair.west.begin(Request::Down { name: named("tunnel") });
        seconds(3).await;
        pair.wire.rule(|_| Fate::Arrives);
        assert_eq!(down.outcome().await.status, 0);
        seconds(120).await;
        let census = pair.west.census().await;
        assert_eq!((census.ike_sas, census.child_sas), (1, 1), "{}", pair.west.log);
        assert_eq!(pair.east.census().await.child_sas, 1, "{}", pair.east.log);
        assert!(!pair.west.log.says("revival"), "{}", pair.west.log);
        end_both(pair).await;
    });
}

#[test]
fn an_instance_that_never_came_up_goes_when_it_is_taken_down() {
    run(async {
        let [west, east] = Pair::setups(1120);
        let pair = Pair::bare(west, east).await;
        let anybody = "left=192.0.2.2 leftsubnet=10.2.0.0/24 right=%any rightid=@nobody \
            rightsubnet=10.1.0.0/24 retransmit-timeout=5";
        pair.east.add(connection("anybody", anybody)).await;
        let up = pair.east.order(Request::Initiate {
            name: named("anybody"),
            remote_host: Some("192.0.2.77".into()),
            asynchronous: true,
            username: None,
            password: None,
        });
        assert_eq!(up.await.status, 0);
        seconds(60).await;
        assert_eq!(pair.east.census().await.connections, 2, "{}", pair.east.log);
        pair.east.order(Request::Down { name: named("anybody") }).await;
        seconds(60).await;
        let census = pair.east.census().await;
        assert_eq!((census.connections, census.ike_sas), (1, 0), "{}", pair.east.log);
        pair.east.delete("anybody").await;
        assert_eq!([pair.west.stop().await, pair.east.stop().await], [0, 0]);
    });
}

/// Its Child SA comes up for a connection that is no more, and leaves no policies.
#[test]
fn a_connection_that_is_replaced_while_its_child_sa_is_made_leaves_no_policies() {
    run(async {
        let pair = Pair::new(1130, "").await;
        pair.establish().await;
        pair.add_sharing("").await;
        slow_wire(&pair);
        let up = pair.west.initiate("second");
        pass(Duration::from_millis(150)).await;
        let words = NET_TO_NET.replace("10.1.0.0", "10.3.0.0");
        let connection = connection("second", &words);
        let added = pair.west.order(Request::Add { connection, replace: true }).await;
        assert_eq!(added.status, 0, "{added:?}");
        assert_ne!(up.outcome().await.status, 0);
        seconds(10).await;
        assert_eq!(pair.west.census().await.child_sas, 1, "{}", pair.west.log);
        let policies = pair.west.kernel.policies();
        assert_eq!(policies.len(), 3, "{policies:#?}\n{}", pair.west.log);
        end_both(pair).await;
    });
}

/// Its own IKE SA has lost its Child SA, and dies before it has made another one.
#[test]
fn an_ike_sa_of_its_own_that_dies_before_it_has_made_another_child_sa_is_no_end() {
    run(async {
        let pair = Pair::new(1140, "").await;
        pair.establish().await;
        pair.west.order(Request::DownChild { name: named("tunnel") }).await;
        pair.wire.cut(pair.east.address);
        let rekey = Request::RekeyIke { name: named("tunnel"), asynchronous: true };
        pair.west.order(rekey).await;
        pass(ON_THE_WAY).await;
        let up = pair.west.initiate("tunnel").outcome().await;
        assert_ne!(up.status, 0, "{up:?}");
        pair.wire.mend(pair.east.address);
        seconds(400).await;
        let census = pair.west.census().await;
        assert_eq!(census.child_sas, 1, "{}", pair.west.log);
        pair.end().await;
    });
}
