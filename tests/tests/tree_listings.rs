//! Whom a listing by name is about: a template's instances, and what shares the IKE SA of
//! another connection; what is due; and what is counted.

#![allow(clippy::indexing_slicing, reason = "tests")]

use pluto_tests::tree::{Fate, Host, Pair, Setup, Wire, connection, pass, run, seconds};
use pluto_whack::report::{BriefFacts, Item, TotalsFacts};
use pluto_whack::{Listing, Request};
use pluto_wire::numbers::ExchangeType;
use std::time::Duration;

/// Long enough for a request to be made, and not for it to arrive.
const ON_THE_WAY: Duration = Duration::from_millis(5);

fn listing(what: Listing, name: Option<&str>, text: bool) -> Request {
    Request::Listing { what, name: name.map(ToString::to_string), text }
}

async fn items(host: &Host, what: Listing, name: &str) -> Vec<Item> {
    host.order(listing(what, Some(name), false)).await.items
}

async fn lines(host: &Host, what: Listing, name: &str) -> Vec<String> {
    host.order(listing(what, Some(name), true)).await.lines
}

/// What it lists, and whose it is: `ike "tunnel"`, `larval "second"`.
async fn told(host: &Host, what: Listing, name: &str) -> Vec<String> {
    let one = |item: &Item| match item {
        Item::IkeSa(ike) => Some(format!("ike {}", ike.connection)),
        Item::ChildSa(child) if child.established => Some(format!("child {}", child.connection)),
        Item::ChildSa(child) => Some(format!("larval {}", child.connection)),
        Item::Pending(pending) => Some(format!("pending {}", pending.connection)),
        Item::Connection(connection) => Some(format!("connection {}", connection.log_name)),
        Item::Totals(TotalsFacts { loaded, routed, active }) => {
            Some(format!("totals {loaded}, {routed}, {active}"))
        }
        _ => None,
    };
    items(host, what, name).await.iter().filter_map(one).collect()
}

async fn brief(host: &Host) -> BriefFacts {
    let listed = host.order(listing(Listing::BriefStatus, None, false)).await.items;
    let brief = listed.into_iter().find_map(|item| match item {
        Item::Brief(facts) => Some(facts),
        _ => None,
    });
    brief.unwrap_or_default()
}

/// Whose timers are due: the owners of events of this kind, or of all.
async fn owners(host: &Host, name: Option<&str>, kind: Option<&str>) -> Vec<String> {
    let listed = host.order(listing(Listing::ListEvents, name, false)).await.items;
    let owner = |item| match item {
        Item::Event(facts) if kind.is_none_or(|kind| facts.event == kind) => Some(facts.owner),
        _ => None,
    };
    listed.into_iter().filter_map(owner).collect()
}

/// Datagrams of this exchange are lost from now on.
fn lose(pair: &Pair, exchange: ExchangeType) {
    pair.wire.rule(move |sent| match sent.header() {
        Some(header) if header.exchange == exchange => Fate::Lost,
        _ => Fate::Arrives,
    });
}

async fn end_with_second(pair: Pair) {
    for host in [&pair.west, &pair.east] {
        host.order(Request::Delete { name: "second".into() }).await;
    }
    pair.end().await;
}

#[test]
fn a_templates_name_stands_for_its_instances() {
    run(async {
        let wire = Wire::default();
        let server = Host::listening(&wire, Setup::new("192.0.2.9", 940)).await;
        server.add(connection("road", "left=192.0.2.9 right=%any")).await;
        server.add(connection("other", "left=192.0.2.9 right=192.0.2.77")).await;
        let mut warriors = Vec::new();
        for n in 1..=2 {
            let address = format!("192.0.2.{n}");
            let warrior = Host::listening(&wire, Setup::new(&address, 940 + n)).await;
            warrior.add(connection("home", &format!("left={address} right=192.0.2.9"))).await;
            assert_eq!(warrior.initiate("home").outcome().await.status, 0, "{}", server.log);
            warriors.push(warrior);
        }
        seconds(1).await;
        let [one, two] = [r#""road"[1] 192.0.2.1"#, r#""road"[2] 192.0.2.2"#];
        let [connections, children, totals] = [
            [r#"connection "road""#.to_string(), format!("connection {one}")]
                .into_iter()
                .chain([format!("connection {two}")])
                .collect::<Vec<_>>(),
            vec![format!("child {one}"), format!("child {two}")],
            vec!["totals 4, 2, 2".to_string()],
        ];
        let states = [("ike", one), ("child", one), ("ike", two), ("child", two)];
        let states = states.map(|(what, whose)| format!("{what} {whose}"));
        assert_eq!(told(&server, Listing::ShowStates, "road").await, states, "{}", server.log);
        assert_eq!(told(&server, Listing::ShowStates, r#""road"[2]"#).await, states[2..]);
        assert_eq!(told(&server, Listing::TrafficStatus, "road").await, children);
        assert_eq!(
            told(&server, Listing::ConnectionStatus, "road").await,
            [connections.clone(), totals.clone()].concat()
        );
        assert_eq!(
            told(&server, Listing::BriefConnectionStatus, "road").await,
            [connections, children, totals].concat()
        );
        // The same as text.
        let traffic = lines(&server, Listing::TrafficStatus, "road").await;
        assert_eq!(traffic.len(), 2, "{traffic:#?}");
        for (line, whose) in traffic.iter().zip([one, two]) {
            assert!(line.contains(&format!(": {whose}, type=ESP, ")), "{line}");
        }
        let states = lines(&server, Listing::ShowStates, "road").await;
        let ikes = states.iter().filter(|line| line.contains(" established IKE SA;"));
        assert_eq!(ikes.count(), 2, "{states:#?}");
        let brief = lines(&server, Listing::BriefConnectionStatus, "road").await;
        assert_eq!(brief.iter().filter(|line| line.contains(" <==> ")).count(), 2, "{brief:#?}");
        for warrior in warriors {
            warrior.delete("home").await;
            assert_eq!(warrior.stop().await, 0);
        }
        seconds(1).await;
        server.order(Request::Delete { name: "other".into() }).await;
        server.delete("road").await;
        assert_eq!(server.stop().await, 0);
    });
}

#[test]
fn what_shares_anothers_ike_sa_is_listed_by_its_own_name_and_not_by_the_others() {
    run(async {
        let pair = Pair::new(950, "").await;
        pair.establish().await;
        pair.add_sharing("").await;
        // While it is being made.
        lose(&pair, ExchangeType::CREATE_CHILD_SA);
        let up = pair.west.initiate("second");
        pass(ON_THE_WAY).await;
        let west = &pair.west;
        let tunnel = [r#"ike "tunnel""#, r#"child "tunnel""#];
        assert_eq!(told(west, Listing::ShowStates, "second").await, [r#"larval "second""#]);
        assert_eq!(told(west, Listing::ShowStates, "tunnel").await, tunnel);
        pair.wire.rule(|_| Fate::Arrives);
        let up = up.outcome().await;
        assert_eq!(up.status, 0, "{up:?}\n{}", west.log);
        seconds(1).await;
        // When it is up.
        for host in [west, &pair.east] {
            assert_eq!(host.census().await.ike_sas, 1, "{}", host.log);
            let child = [r#"child "second""#];
            assert_eq!(told(host, Listing::ShowStates, "second").await, child);
            assert_eq!(told(host, Listing::ShowStates, "tunnel").await, tunnel);
            assert_eq!(told(host, Listing::TrafficStatus, "second").await, child);
            // What only its IKE SA knows is there as well.
            let listed = items(host, Listing::ShowStates, "second").await;
            let whole = |item: &Item| {
                matches!(item, Item::ChildSa(child)
                    if child.ike_sa == Some(1) && child.newest && !child.deadlines.is_empty())
            };
            assert!(listed.iter().all(whole), "{listed:#?}");
            let text = lines(host, Listing::ShowStates, "second").await;
            let about = |line: &String| line.contains(r#": "second""#);
            assert!(text.len() == 2 && text.iter().all(about), "{text:#?}");
            let due = owners(host, Some("second"), None).await;
            let its = |owner: &String| owner.starts_with(r#""second" #"#);
            assert!(!due.is_empty() && due.iter().all(its), "{due:?}");
        }
        end_with_second(pair).await;
    });
}

#[test]
fn what_waits_for_anothers_ike_sa_is_listed_by_its_own_name() {
    run(async {
        let pair = Pair::new(951, "").await;
        pair.add_sharing("").await;
        lose(&pair, ExchangeType::IKE_SA_INIT);
        let both = [pair.west.initiate("tunnel"), pair.west.initiate("second")];
        pass(ON_THE_WAY).await;
        let pending = [r#"pending "second""#];
        assert_eq!(told(&pair.west, Listing::ShowStates, "second").await, pending);
        let own = [r#"ike "tunnel""#, r#"pending "tunnel""#];
        assert_eq!(told(&pair.west, Listing::ShowStates, "tunnel").await, own);
        pair.wire.rule(|_| Fate::Arrives);
        for up in both {
            assert_eq!(up.outcome().await.status, 0, "{}", pair.west.log);
        }
        seconds(1).await;
        end_with_second(pair).await;
    });
}

#[test]
fn totals_are_of_all_connections_whomever_a_listing_is_about() {
    run(async {
        let pair = Pair::new(952, "").await;
        pair.establish().await;
        pair.add_sharing("").await;
        let west = &pair.west;
        for (name, up) in [("second", false), ("tunnel", true)] {
            let connection = format!("connection \"{name}\"");
            let child = up.then(|| format!("child \"{name}\""));
            let totals = "totals 2, 1, 1".to_string();
            assert_eq!(
                told(west, Listing::ConnectionStatus, name).await,
                [connection.clone(), totals.clone()]
            );
            let brief: Vec<String> =
                [connection].into_iter().chain(child).chain([totals]).collect();
            assert_eq!(told(west, Listing::BriefConnectionStatus, name).await, brief);
            for (what, last) in [
                (
                    Listing::ConnectionStatus,
                    "Total IPsec connections: loaded 2, routed 1, active 1",
                ),
                (Listing::BriefConnectionStatus, "# Total IPsec connections: loaded 2, active 1"),
            ] {
                let text = lines(west, what, name).await;
                assert_eq!(text.last().map(String::as_str), Some(last), "{text:#?}");
            }
        }
        end_with_second(pair).await;
    });
}

/// East has no connection, and refuses: west tries again after ever longer pauses.
#[test]
fn the_next_attempt_to_revive_a_connection_is_among_what_is_due() {
    run(async {
        let [west, east] = Pair::setups(953);
        let pair = Pair::bare(west, east).await;
        let words = "left=192.0.2.1 leftsubnet=10.1.0.0/24 right=192.0.2.2 auto=up";
        pair.west.add(connection("tunnel", words)).await;
        let mut due = Vec::new();
        for _ in 0..120 {
            seconds(1).await;
            due = owners(&pair.west, None, Some("REVIVE")).await;
            if !due.is_empty() {
                break;
            }
        }
        assert_eq!(due, [r#""tunnel" $1"#], "{}", pair.west.log);
        assert_eq!(owners(&pair.west, Some("tunnel"), Some("REVIVE")).await, due);
        let text = lines(&pair.west, Listing::ListEvents, "tunnel").await;
        let event = |line: &String| line.starts_with(r#"event REVIVE of "tunnel" $1 in "#);
        assert!(text.iter().any(event), "{text:#?}");
        pair.end().await;
    });
}

/// libreswan counts both ends of an unanswered IKE_SA_INIT as half-open; who has an answer to
/// it is open.
#[test]
fn ike_sas_that_are_not_established_are_half_open_or_open() {
    run(async {
        let pair = Pair::new(954, "").await;
        lose(&pair, ExchangeType::IKE_AUTH);
        let up = pair.west.initiate("tunnel");
        let counted = |facts: &BriefFacts| {
            let BriefFacts { ike_total, ike_half_open, ike_open, ike_authenticated, .. } = *facts;
            [ike_total, ike_half_open, ike_open, ike_authenticated]
        };
        let stages = [(ON_THE_WAY, [1, 1, 0, 0], [0; 4])];
        let later = [(Duration::from_millis(200), [1, 0, 1, 0], [1, 1, 0, 0])];
        for (wait, west, east) in stages.into_iter().chain(later) {
            pass(wait).await;
            for (host, expected) in [(&pair.west, west), (&pair.east, east)] {
                let facts = brief(host).await;
                assert_eq!(counted(&facts), expected, "{wait:?}: {facts:?}");
                let kinds = [("halfopen", expected[1]), ("open", expected[2])];
                for (kind, count) in kinds {
                    let name = format!("current.states.iketype.{kind}");
                    assert_eq!(host.counter(&name).await, count, "{wait:?}: {name}");
                }
            }
        }
        pair.wire.rule(|_| Fate::Arrives);
        assert_eq!(up.outcome().await.status, 0, "{}", pair.west.log);
        pair.assert_up(1).await;
        for host in [&pair.west, &pair.east] {
            assert_eq!(counted(&brief(host).await), [1, 0, 0, 1]);
        }
        pair.end().await;
    });
}

#[test]
fn both_ends_count_a_wrong_secret_as_failed_authentication() {
    run(async {
        let [west, mut east] = Pair::setups(955);
        east.secrets = ": PSK \"another one\"\n".into();
        let pair = Pair::with(west, east, "").await;
        // What has never happened is listed nevertheless.
        let all = pair.east.order(listing(Listing::GlobalStatus, None, true)).await;
        assert!(all.says("total.ikev2.ike.finished.auth-failed=0"), "{all:?}");
        assert!(all.says("total.ikev2.child.finished.superseeded-by-new-sa=0"), "{all:?}");
        let outcome = pair.west.initiate("tunnel").outcome().await;
        assert_ne!(outcome.status, 0, "{outcome:?}");
        pair.west.order(Request::Down { name: "tunnel".into() }).await;
        // Until then a refusal is repeated to who asks again, and half-open ones are kept.
        seconds(60).await;
        for host in [&pair.west, &pair.east] {
            let failed = host.counter("total.ikev2.ike.finished.auth-failed").await;
            assert!(failed >= 1, "{}", host.log);
            assert_eq!(host.counter("total.ikev2.ike.finished.other").await, 0, "{}", host.log);
        }
        pair.end().await;
    });
}
