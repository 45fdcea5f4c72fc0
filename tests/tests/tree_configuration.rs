//! Whole trees: a server with an address pool, and its client.

#![allow(clippy::indexing_slicing, clippy::panic, clippy::expect_used, reason = "tests")]

use pluto_tests::tree::{Host, Pair, Setup, connection, pass, run, seconds};
use pluto_updown::Script;
use pluto_whack::report::{AddressPoolFacts, Item};
use pluto_whack::{Listing, Request};
use std::time::Duration;

const CLIENT: &str = "left=192.0.2.1 leftid=@road leftmodecfgclient=yes leftsubnet=0.0.0.0/0 \
    leftupdown=script right=192.0.2.2 rightid=@office rightsubnet=10.2.0.0/24";
const SERVER: &str = "left=%any leftid=@road leftaddresspool=10.9.0.100-10.9.0.110 \
    right=192.0.2.2 rightid=@office rightsubnet=10.2.0.0/24 \
    modecfgdns=10.2.0.53 modecfgdomains=example.com modecfgbanner=Welcome!";

async fn remote_access(seed: u64) -> Pair {
    let [west, east] = Pair::setups(seed);
    let pair = Pair::bare(west, east).await;
    pair.west.add(connection("tunnel", CLIENT)).await;
    pair.east.add(connection("tunnel", SERVER)).await;
    pair
}

async fn pools(host: &Host) -> Vec<AddressPoolFacts> {
    let listing = Request::Listing { what: Listing::AddressPoolStatus, name: None, text: false };
    let items = host.order(listing).await.items;
    let pool = |item| if let Item::AddressPool(facts) = item { Some(facts) } else { None };
    items.into_iter().filter_map(pool).collect()
}

/// ```text
/// IKE_AUTH {.., CP(CFG_REQUEST), ..} -->  <-- IKE_AUTH {.., CP(CFG_REPLY), ..}
/// ```
#[test]
fn a_client_is_leased_an_address_until_it_goes_and_gets_it_again() {
    run(async {
        let pair = remote_access(1).await;
        for _ in 0..2 {
            pair.establish().await;
            let pool = pools(&pair.east).await.remove(0);
            assert_eq!((pool.range.as_str(), pool.size), ("10.9.0.100-10.9.0.110", 11));
            assert_eq!((pool.in_use, pool.lease.len()), (1, 1));
            assert_eq!(pool.lease[0].address, "10.9.0.100/32");
            assert_eq!(pool.lease[0].remote_id.as_deref(), Some("@road"));
            let holder = pool.lease[0].connection.clone().expect("the instance");
            assert!(holder.starts_with("\"tunnel\"["), "{holder}");
            let down = Request::Down { name: "tunnel".into() };
            assert_eq!(pair.west.order(down).await.status, 0);
            seconds(1).await;
            let pool = pools(&pair.east).await.remove(0);
            assert_eq!((pool.in_use, pool.free, pool.reusable), (0, 1, 1));
        }
        pair.end().await;
    });
}

#[test]
fn updown_is_told_what_the_client_was_given() {
    run(async {
        let pair = remote_access(2).await;
        pair.establish().await;
        let runs = pair.west.runner.ran();
        let set = |script: &Script| -> Vec<String> {
            script.environment.iter().map(|(name, value)| format!("{name}={value}")).collect()
        };
        let runs: Vec<_> = runs.iter().map(set).collect();
        let is_up = |run: &&Vec<String>| run.iter().any(|v| v == "PLUTO_VERB=up-client");
        let up = runs.iter().find(is_up).expect("up");
        for variable in [
            "PLUTO_MY_SOURCEIP=10.9.0.100",
            "PLUTO_MY_CLIENT=10.9.0.100/32",
            "PLUTO_PEER_DNS_INFO=10.2.0.53",
            "PLUTO_PEER_DOMAIN_INFO=example.com",
            "PLUTO_PEER_BANNER=Welcome!",
            "PLUTO_CFG_CLIENT=1",
            "PLUTO_CFG_SERVER=0",
        ] {
            assert!(up.iter().any(|v| v == variable), "{variable}: {up:?}");
        }
        pair.end().await;
    });
}

/// Without a script of the connection's own, the stock one is run for DNS servers alone.
#[test]
fn a_clients_dns_servers_come_with_the_tunnel_and_go_with_it() {
    run(async {
        let [west, east] = Pair::setups(6);
        let pair = Pair::bare(west, east).await;
        let native = CLIENT.replace("leftupdown=script ", "");
        pair.west.add(connection("tunnel", &native)).await;
        pair.east.add(connection("tunnel", SERVER)).await;
        pair.establish().await;
        assert_eq!(pair.west.runner.verbs(), ["up-client"], "{}", pair.west.log);
        assert!(!pair.west.kernel.routes().is_empty(), "routes are the daemon's");
        let down = Request::Down { name: "tunnel".into() };
        assert_eq!(pair.west.order(down).await.status, 0);
        seconds(1).await;
        assert_eq!(pair.west.runner.verbs(), ["up-client", "down-client"], "{}", pair.west.log);
        for script in pair.west.runner.ran() {
            assert_eq!(script.command, pluto_updown::dns::SCRIPT);
            for (name, value) in [
                ("UPDOWN_PART", "dns"),
                ("PLUTO_PEER_DNS_INFO", "10.2.0.53"),
                ("PLUTO_PEER_DOMAIN_INFO", "example.com"),
                ("PLUTO_CFG_CLIENT", "1"),
                ("PLUTO_INTERFACE", "eth0"),
            ] {
                let told = (name.to_string(), value.to_string());
                assert!(script.environment.contains(&told), "{told:?}: {script:?}");
            }
        }
        assert!(pair.east.runner.ran().is_empty(), "the server gives, and is given nothing");
        pair.end().await;
    });
}

/// `reauth=yes`: while both IKE SAs stand, the client has one address, and it stays the same.
#[test]
fn who_authenticates_anew_keeps_its_address_and_there_is_one_tunnel_all_the_while() {
    run(async {
        let [west, east] = Pair::setups(5);
        let pair = Pair::bare(west, east).await;
        let hourly = "reauth=yes ikelifetime=3600 rekeymargin=600 rekeyfuzz=0%";
        pair.west.add(connection("tunnel", &format!("{CLIENT} {hourly}"))).await;
        pair.east.add(connection("tunnel", SERVER)).await;
        pair.establish().await;
        let holder = pools(&pair.east).await.remove(0).lease[0].connection.clone();
        let before = pair.west.runner.verbs().len();
        for hour in 1..=3 {
            pass(Duration::from_secs(49 * 60)).await;
            for second in 0..120 {
                seconds(1).await;
                let log = &pair.east.log;
                let at = format!("hour {hour}, second {second}\n{}\n{log}", pair.west.log);
                assert!(pair.west.tunnels() >= 1 && pair.east.tunnels() >= 1, "{at}");
                let pool = pools(&pair.east).await.remove(0);
                assert_eq!((pool.in_use, pool.lease.len()), (1, 1), "{at}");
                assert_eq!(pool.lease[0].address, "10.9.0.100/32", "{at}");
                assert_eq!(pool.lease[0].connection, holder, "{at}");
            }
            pair.assert_up(1).await;
            let replaced = pair.west.log.count("takes the place of IKE SA");
            assert_eq!(replaced, hour, "{}", pair.west.log);
        }
        assert!(!pair.west.log.says("lease 10.9.0.101"), "{}", pair.west.log);
        assert_eq!(pair.west.runner.verbs().len(), before, "nothing was routed anew");
        assert!(!pair.east.log.says("superseded"), "{}", pair.east.log);
        pair.end().await;
    });
}

/// The peer has lost its network without a word, and comes back by another one.
#[test]
fn who_returns_from_elsewhere_takes_its_address_along() {
    run(async {
        let pair = remote_access(4).await;
        pair.establish().await;
        pair.wire.cut(pair.west.address);
        let elsewhere = Host::listening(&pair.wire, Setup::new("192.0.2.9", 77)).await;
        let words = CLIENT.replace("192.0.2.1", "192.0.2.9");
        elsewhere.add(connection("tunnel", &words)).await;
        let outcome = elsewhere.initiate("tunnel").outcome().await;
        assert_eq!(outcome.status, 0, "{outcome:#?}\n{}", pair.east.log);
        seconds(2).await;
        assert!(elsewhere.log.says("received IPv4 lease 10.9.0.100"), "{}", elsewhere.log);
        let pool = pools(&pair.east).await.remove(0);
        assert_eq!((pool.in_use, pool.lease.len()), (1, 1));
        let census = pair.east.census().await;
        assert_eq!((census.established, census.child_sas), (1, 1), "{}", pair.east.log);
        let policies = pair.east.kernel.policies();
        assert!(!policies.is_empty(), "the old tunnel's end takes nothing from the new one");
        elsewhere.delete("tunnel").await;
        assert_eq!(elsewhere.stop().await, 0);
        pair.wire.mend(pair.west.address);
        pair.end().await;
    });
}

/// Two hosts have one identity, and neither takes the other's address.
#[test]
fn without_share_lease_each_ike_sa_of_an_identity_has_its_own_address_and_none_is_kept() {
    run(async {
        let [west, east] = Pair::setups(6);
        let pair = Pair::bare(west, east).await;
        let server = format!("{SERVER} share-lease=no");
        pair.west.add(connection("tunnel", CLIENT)).await;
        pair.east.add(connection("tunnel", &server)).await;
        pair.establish().await;
        let other = Host::listening(&pair.wire, Setup::new("192.0.2.9", 78)).await;
        other.add(connection("tunnel", &CLIENT.replace("192.0.2.1", "192.0.2.9"))).await;
        let outcome = other.initiate("tunnel").outcome().await;
        assert_eq!(outcome.status, 0, "{outcome:#?}\n{}", pair.east.log);
        seconds(2).await;
        assert!(pair.west.log.says("received IPv4 lease 10.9.0.100"), "{}", pair.west.log);
        assert!(other.log.says("received IPv4 lease 10.9.0.101"), "{}", other.log);
        let pool = pools(&pair.east).await.remove(0);
        assert_eq!((pool.in_use, pool.lease.len()), (2, 2), "{}", pair.east.log);
        assert_eq!((pair.west.tunnels(), other.tunnels()), (1, 1));
        for host in [&other, &pair.west] {
            let down = Request::Down { name: "tunnel".into() };
            assert_eq!(host.order(down).await.status, 0);
            seconds(1).await;
        }
        let pool = pools(&pair.east).await.remove(0);
        assert_eq!((pool.in_use, pool.reusable), (0, 0), "{pool:?}");
        other.delete("tunnel").await;
        assert_eq!(other.stop().await, 0);
        pair.end().await;
    });
}

/// The connection is taken out and added again with another `addresspool=`.
#[test]
fn a_client_gets_its_address_of_an_enlarged_pool_and_the_old_pool_is_gone() {
    run(async {
        let pair = remote_access(7).await;
        pair.establish().await;
        let down = Request::Down { name: "tunnel".into() };
        assert_eq!(pair.west.order(down).await.status, 0);
        seconds(1).await;
        assert_eq!(pools(&pair.east).await.len(), 1);
        pair.east.delete("tunnel").await;
        assert!(pools(&pair.east).await.is_empty());
        let enlarged = SERVER.replace("10.9.0.100-10.9.0.110", "10.9.0.1-10.9.0.200");
        pair.east.add(connection("tunnel", &enlarged)).await;
        pair.establish().await;
        let pool = pools(&pair.east).await.remove(0);
        assert_eq!((pool.range.as_str(), pool.in_use), ("10.9.0.1-10.9.0.200", 1));
        assert_eq!(pool.lease[0].address, "10.9.0.100/32", "{}", pair.east.log);
        pair.end().await;
    });
}

#[test]
fn a_pool_that_overlaps_another_ones_is_refused() {
    run(async {
        let pair = remote_access(3).await;
        let other = SERVER.replace("10.9.0.100-10.9.0.110", "10.9.0.105-10.9.0.120");
        let add = |name, words: &str| Request::Add {
            connection: connection(name, words),
            replace: false,
        };
        let outcome = pair.east.order(add("other", &other)).await;
        assert!(outcome.says("overlaps another connection's 10.9.0.100-10.9.0.110"), "{outcome:?}");
        assert_ne!(outcome.status, 0);
        let outcome = pair.east.order(add("same", SERVER)).await;
        assert_eq!(outcome.status, 0, "the same range is shared: {outcome:?}");
        pair.east.order(Request::Delete { name: "same".into() }).await;
        pair.end().await;
    });
}

/// Only IKE_AUTH asks for an address: a Child SA on an IKE SA that stands would have none.
#[test]
fn a_client_whose_child_sa_alone_has_gone_asks_for_its_address_again() {
    run(async {
        let pair = remote_access(6).await;
        pair.establish().await;
        let gone = pair.west.order(Request::DeleteChild { name: "tunnel".into() }).await;
        assert_eq!(gone.status, 0, "{gone:?}");
        seconds(30).await;
        for host in [&pair.west, &pair.east] {
            let census = host.census().await;
            assert_eq!((census.ike_sas, census.child_sas), (1, 1), "{}", host.log);
        }
        assert_eq!(pools(&pair.east).await.remove(0).lease[0].address, "10.9.0.100/32");
        let ran = pair.west.runner.ran();
        let has = |script: &&Script, name: &str, wanted: &str| {
            script.environment.iter().any(|(n, value)| n == name && value == wanted)
        };
        let ups = ran.iter().filter(|script| has(script, "PLUTO_VERB", "up-client"));
        let with = ups.clone().filter(|up| has(up, "PLUTO_MY_SOURCEIP", "10.9.0.100")).count();
        assert_eq!((ups.count(), with), (2, 2));
        pair.end().await;
    });
}
