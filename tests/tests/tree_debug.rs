//! Debug classes: each shows its own lines, for everybody or for one connection.

#![allow(clippy::expect_used, clippy::indexing_slicing, reason = "tests")]

use pluto_tests::tree::{Host, NET_TO_NET, Pair, connection, run};
use pluto_whack::debug::DebugChange;
use pluto_whack::report::Item;
use pluto_whack::{Listing, Request};

/// What the lines of a class have in common.
const MARKS: [(&str, &str); 5] = [
    ("routing", "routing: "),
    ("cpu-usage", "milliseconds on "),
    ("refcnt", "actor "),
    ("crypt", "AUTH with "),
    ("tmi,no-base,no-cpu-usage,no-refcnt,no-routing", " octets "),
];

fn debug(classes: &str, name: Option<&str>) -> Request {
    let DebugChange { add, remove } = DebugChange::parse(classes).expect("classes");
    Request::Debug { add, remove, name: name.map(str::to_string) }
}

fn debug_lines(host: &Host) -> Vec<String> {
    host.log.all().into_iter().filter(|line| line.starts_with("| ")).collect()
}

async fn down(pair: &Pair) {
    pair.west.order(Request::Down { name: "tunnel".into() }).await;
}

#[test]
fn a_class_shows_its_lines_and_no_others() {
    run(async {
        let pair = Pair::new(500, NET_TO_NET).await;
        let mut seen = 0;
        for (class, mark) in MARKS {
            pair.west.order(debug(class, None)).await;
            pair.establish().await;
            down(&pair).await;
            pair.west.order(debug("none", None)).await;
            let lines = debug_lines(&pair.west);
            let new = &lines[seen..];
            seen = lines.len();
            assert!(!new.is_empty(), "{class}");
            let other = new.iter().find(|line| {
                // Jobs are cryptography, too.
                !(line.contains(mark) || class == "crypt" && line.contains("JobId("))
            });
            assert_eq!(other, None, "{class}");
        }
        assert!(debug_lines(&pair.east).is_empty());
        pair.end().await;
    });
}

#[test]
fn a_connection_is_debugged_alone_until_it_is_told_otherwise() {
    run(async {
        let pair = Pair::new(501, NET_TO_NET).await;
        pair.add_second().await;
        assert_eq!(pair.west.order(debug("routing", Some("tunnel"))).await.status, 0);
        assert_eq!(pair.west.order(debug("crypt", Some("nobody"))).await.status, 21);
        pair.establish().await;
        let lines = debug_lines(&pair.west);
        assert!(!lines.is_empty());
        assert_eq!(lines.iter().find(|line| !line.starts_with("| \"tunnel\": routing: ")), None);
        let listing = Request::Listing { what: Listing::ConnectionStatus, name: None, text: false };
        let shown: Vec<_> = pair.west.order(listing).await.items;
        let shown = shown.into_iter().filter_map(|item| match item {
            Item::Connection(facts) => Some((facts.name, facts.debug)),
            _ => None,
        });
        for (name, classes) in shown {
            assert_eq!(classes.as_deref(), (name == "tunnel").then_some("routing"));
        }
        pair.west.order(debug("no-routing", Some("tunnel"))).await;
        down(&pair).await;
        assert_eq!(debug_lines(&pair.west).len(), lines.len());
        for host in [&pair.west, &pair.east] {
            host.order(Request::Delete { name: "second".into() }).await;
        }
        pair.end().await;
    });
}

#[test]
fn instances_have_the_classes_of_their_template() {
    run(async {
        let [west, east] = Pair::setups(502);
        let pair = Pair::bare(west, east).await;
        let words = "left=192.0.2.1 leftid=@w leftsubnet=10.1.0.0/24 right=192.0.2.2 rightid=@e \
            rightsubnet=10.2.0.0/24";
        pair.west.add(connection("tunnel", words)).await;
        let words = words.replace("left=192.0.2.1", "left=%any") + " debug=routing";
        pair.east.add(connection("tunnel", &words)).await;
        pair.establish().await;
        let lines = debug_lines(&pair.east);
        assert!(lines.iter().any(|line| line.starts_with("| \"tunnel\"[1] ")), "{lines:#?}");
        assert!(lines.iter().all(|line| line.contains("routing: ")), "{lines:#?}");
        pair.end().await;
    });
}
