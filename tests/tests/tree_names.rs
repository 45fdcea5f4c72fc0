//! What a name stands for: several connections of `leftsubnets=`, one SA of several; and what
//! the listings say of them.

#![allow(clippy::expect_used, clippy::indexing_slicing, reason = "tests")]

use pluto_tests::tree::{Pair, connection, pass, run, seconds};
use pluto_whack::report::Item;
use pluto_whack::{Listing, Request};
use std::time::Duration;

const TWO: &str = "left=192.0.2.1 leftsubnets=10.1.0.0/24,10.3.0.0/24 right=192.0.2.2 \
                   rightsubnet=10.2.0.0/24";

fn named(name: &str) -> String {
    name.into()
}

/// Both hosts have `net` with two networks of west's; `words` are west's alone.
async fn two_networks(seed: u64, words: &str) -> Pair {
    let [west, east] = Pair::setups(seed);
    let pair = Pair::bare(west, east).await;
    pair.west.add(connection("net", &format!("{TWO} {words}"))).await;
    pair.east.add(connection("net", TWO)).await;
    pair
}

async fn add(pair: &Pair, words: &str, replace: bool) -> u8 {
    let connection = connection("net", words);
    pair.west.order(Request::Add { connection, replace }).await.status
}

/// The connections that west has, by their names.
async fn names(pair: &Pair) -> Vec<String> {
    let what = Listing::ConnectionStatus;
    let listed = pair.west.order(Request::Listing { what, name: None, text: false }).await;
    let name = |item| if let Item::Connection(facts) = item { Some(facts.name) } else { None };
    listed.items.into_iter().filter_map(name).collect()
}

#[test]
fn a_connection_with_several_subnets_is_as_many_on_one_ike_sa_and_has_one_name() {
    run(async {
        let pair = two_networks(700, "").await;
        assert_eq!(names(&pair).await, ["net/1x0", "net/2x0"]);
        assert_eq!(pair.west.initiate("net").outcome().await.status, 0, "{}", pair.west.log);
        let census = pair.west.census().await;
        assert_eq!((census.ike_sas, census.child_sas), (1, 2), "{}", pair.west.log);
        // Of either name it is there already.
        assert_eq!(add(&pair, TWO, false).await, 20, "{}", pair.west.log);
        let one = TWO.replace("leftsubnets=10.1.0.0/24,10.3.0.0/24", "leftsubnet=10.1.0.0/24");
        assert_eq!(add(&pair, &one, false).await, 20, "{}", pair.west.log);
        // What is no good leaves everything as it is.
        assert_ne!(add(&pair, &TWO.replace("10.3.0.0/24", "10.3.0.0/99"), true).await, 0);
        assert_eq!(pair.west.census().await.child_sas, 2, "{}", pair.west.log);
        let down = pair.west.order(Request::Down { name: named("net") }).await;
        assert_eq!(down.status, 0, "{down:?}");
        seconds(2).await;
        assert_eq!(pair.west.census().await.child_sas, 0, "{}", pair.west.log);
        assert_eq!(add(&pair, &one, true).await, 0, "{}", pair.west.log);
        assert_eq!(names(&pair).await, ["net"]);
        assert_eq!(add(&pair, TWO, true).await, 0, "{}", pair.west.log);
        assert_eq!(names(&pair).await, ["net/1x0", "net/2x0"]);
        pair.west.order(Request::Delete { name: named("net") }).await;
        pair.east.order(Request::Delete { name: named("net") }).await;
        pair.end().await;
    });
}

#[test]
fn down_for_one_sa_takes_that_one_down_for_good_and_no_other() {
    run(async {
        let pair = two_networks(701, "auto=keep").await;
        assert_eq!(pair.west.initiate("net").outcome().await.status, 0, "{}", pair.west.log);
        // #2 and #3 are the Child SAs. What is deleted comes back, what is taken down does not.
        let deleted = pair.west.order(Request::DeleteChild { name: named("#3") }).await;
        assert_eq!(deleted.status, 0, "{deleted:?}");
        seconds(60).await;
        assert_eq!(pair.west.census().await.child_sas, 2, "{}", pair.west.log);
        let down = pair.west.order(Request::DownChild { name: named("#2") }).await;
        assert_eq!(down.status, 0, "{down:?}");
        seconds(60).await;
        let census = pair.west.census().await;
        assert_eq!((census.ike_sas, census.child_sas), (1, 1), "{}", pair.west.log);
        let gone = pair.west.order(Request::DownChild { name: named("#2") }).await;
        assert_eq!(gone.status, 21, "{gone:?}");
        let down = pair.west.order(Request::DownIke { name: named("#1") }).await;
        assert_eq!(down.status, 0, "{down:?}");
        seconds(60).await;
        for host in [&pair.west, &pair.east] {
            host.order(Request::Delete { name: named("net") }).await;
        }
        pair.end().await;
    });
}

#[test]
fn what_waits_is_listed_with_its_own_name() {
    run(async {
        let pair = two_networks(702, "").await;
        let list = |what| Request::Listing { what, name: None, text: false };
        let mut waiting = pair.west.initiate("net");
        pass(Duration::from_millis(5)).await;
        let states = pair.west.order(list(Listing::ShowStates)).await.items;
        let pending = states.iter().filter_map(|item| {
            if let Item::Pending(facts) = item { Some(facts.connection.as_str()) } else { None }
        });
        let larval = states.iter().filter_map(|item| {
            if let Item::ChildSa(facts) = item { Some(facts.connection.as_str()) } else { None }
        });
        let mut all: Vec<&str> = pending.chain(larval).collect();
        all.sort_unstable();
        assert!(all.contains(&"\"net/2x0\""), "{states:?}");
        assert!(waiting.waits());
        assert_eq!(waiting.outcome().await.status, 0, "{}", pair.west.log);
        let events = pair.west.order(list(Listing::ListEvents)).await.items;
        let owners = events.iter().filter_map(|item| {
            if let Item::Event(facts) = item { Some(facts.owner.as_str()) } else { None }
        });
        let owners: Vec<&str> = owners.collect();
        assert!(owners.contains(&"\"net/1x0\" #2"), "{owners:?}");
        assert!(owners.contains(&"\"net/2x0\" #3"), "{owners:?}");
        for host in [&pair.west, &pair.east] {
            host.order(Request::Delete { name: named("net") }).await;
        }
        pair.end().await;
    });
}

/// One of two that are to share an IKE SA is taken down before that stands.
#[test]
fn what_is_taken_down_while_it_waits_to_share_an_ike_sa_does_not_come_up() {
    for child in [false, true] {
        run(async {
            let pair = two_networks(703, "").await;
            let waiting = pair.west.initiate("net");
            pass(Duration::from_millis(5)).await;
            let name = named("net/2x0");
            let down = if child { Request::DownChild { name } } else { Request::Down { name } };
            assert_eq!(pair.west.order(down).await.status, 0);
            let outcome = waiting.outcome().await;
            assert!(outcome.says("taken down while it waited"), "{outcome:?}");
            seconds(5).await;
            let census = pair.west.census().await;
            assert_eq!((census.ike_sas, census.child_sas), (1, 1), "{}", pair.west.log);
            for host in [&pair.west, &pair.east] {
                host.order(Request::Delete { name: named("net") }).await;
            }
            pair.end().await;
        });
    }
}
