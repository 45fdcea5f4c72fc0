//! Floods of IKE_SA_INIT, and faults that whack injects.

#![allow(clippy::expect_used, clippy::indexing_slicing, reason = "a test that misses it fails")]

use pluto_actors::listener::{COOKIES_PER_SOURCE, MOST_PER_SOURCE, Thresholds};
use pluto_tests::peer::ike_proposals;
use pluto_tests::puppet::Puppet;
use pluto_tests::tree::{Host, Outcome, Pair, connection, ip, pass, run, seconds};
use pluto_whack::Request;
use pluto_wire::IkeSpi;
use pluto_wire::numbers::NotifyType;
use pluto_wire::v2::{Message, Payload};
use std::net::SocketAddr;
use std::time::Duration;

const LIMITS: Thresholds = Thresholds { cookies: 25_000, most_half_open: 50_000 };

/// Two hosts, of which east has these limits.
async fn limited(seed: u64, thresholds: Thresholds) -> Pair {
    let [west, mut east] = Pair::setups(seed);
    east.thresholds = thresholds;
    Pair::with(west, east, "").await
}

/// A first request of somebody who never goes on.
fn request(pair: &Pair, number: u64, from: SocketAddr) {
    let to = SocketAddr::new(pair.east.address, 500);
    let mut puppet = Puppet::new(number, true, from, to);
    let proposals = ike_proposals("aes_gcm256-sha2_256-dh31");
    let payloads = puppet.init_payloads(&proposals);
    let bytes = puppet.init_request(payloads).bytes;
    pair.wire.deliver(from, to, bytes);
}

/// West gets in within two seconds.
async fn gets_in(pair: &Pair) {
    let began = tokio::time::Instant::now();
    let outcome = pair.west.initiate("tunnel").outcome().await;
    assert_eq!(outcome.status, 0, "{outcome:#?}\n{}", pair.west.log);
    assert!(began.elapsed() < Duration::from_secs(2), "{:?}", began.elapsed());
}

#[test]
fn b6_one_source_is_asked_for_cookies_before_it_fills_the_table() {
    run(async {
        let pair = limited(1, LIMITS).await;
        for number in 0..1000 {
            let port = 1024 + u16::try_from(number).expect("a port");
            request(&pair, number, SocketAddr::from(([192, 0, 2, 1], port)));
            // As fast as requests are taken from the mailbox.
            tokio::task::yield_now().await;
        }
        seconds(1).await;
        let census = pair.east.census().await;
        assert!(census.half_open <= COOKIES_PER_SOURCE + 64, "{census:?}");
        assert!(census.half_open >= COOKIES_PER_SOURCE, "{census:?}");
        // A peer with the flood's own address answers the cookie, and is in.
        gets_in(&pair).await;
        assert!(pair.west.log.to_string().contains("received COOKIE"), "{}", pair.west.log);
        seconds(40).await;
        assert_eq!(pair.east.census().await.half_open, 0, "nothing is kept");
        pair.end().await;
    });
}

#[test]
fn b6_many_sources_are_asked_for_cookies_from_the_threshold_on() {
    run(async {
        let pair = limited(2, Thresholds { cookies: 100, most_half_open: 200 }).await;
        pair.east.add(connection("anybody", "left=192.0.2.2 right=%any")).await;
        for number in 0..1000_u64 {
            let [.., a, b] = number.to_be_bytes();
            request(&pair, number, SocketAddr::from(([203, 0, a, b], 500)));
            tokio::task::yield_now().await;
        }
        seconds(1).await;
        let census = pair.east.census().await;
        assert!((100..=200).contains(&census.half_open), "{census:?}");
        gets_in(&pair).await;
        seconds(40).await;
        assert_eq!(pair.east.census().await.half_open, 0, "nothing is kept");
        pair.east.order(Request::Delete { name: "anybody".into() }).await;
        pair.end().await;
    });
}

/// More requests than one source may have half-open.
const INSISTS: u16 = 1_124;

/// The cookie that an answer asks for.
fn cookie_in(answer: &[u8]) -> Option<Payload> {
    let is_cookie = |payload: &Payload| match payload {
        Payload::Notify(notify) => notify.notify_type == NotifyType::COOKIE,
        _ => false,
    };
    Message::decode(answer).ok()?.payloads.into_iter().find(is_cookie)
}

/// A first request with this SPI, and with a cookie, if there is one, before the rest.
fn asking(puppet: &mut Puppet, spi: IkeSpi, cookie: Option<Payload>, rest: &[Payload]) -> Vec<u8> {
    puppet.spis.initiator = spi;
    let payloads = cookie.into_iter().chain(rest.iter().cloned()).collect();
    puppet.init_request(payloads).bytes
}

/// Somebody asks for one IKE SA after the other, each from another address or port of his, and
/// asks again with the cookie wherever he is asked for one.
async fn insist(pair: &Pair, source: impl Fn(u16) -> SocketAddr) {
    let east = SocketAddr::new(pair.east.address, 500);
    let mut puppet = Puppet::new(7, true, source(0), east);
    let rest = puppet.init_payloads(&ike_proposals("aes_gcm256-sha2_256-dh31"));
    for number in 0..INSISTS {
        let spi = IkeSpi((u64::from(number) + 1).to_be_bytes());
        let bytes = asking(&mut puppet, spi, None, &rest);
        pair.wire.deliver(source(number), east, bytes);
        pass(Duration::from_millis(1)).await;
    }
    let census = pair.east.census().await;
    assert_eq!(census.half_open, COOKIES_PER_SOURCE, "{census:?}");
    let mut again = 0;
    for sent in pair.wire.sent() {
        let Some((header, cookie)) = sent.header().zip(cookie_in(&sent.bytes)) else { continue };
        let bytes = asking(&mut puppet, header.spis.initiator, Some(cookie), &rest);
        pair.wire.deliver(sent.to, east, bytes);
        pass(Duration::from_millis(1)).await;
        again += 1;
    }
    assert_eq!(again, usize::from(INSISTS) - COOKIES_PER_SOURCE);
}

/// Somebody insists where anybody may come; he has his share, and west gets in all the same.
async fn has_his_share(pair: Pair, source: impl Fn(u16) -> SocketAddr) {
    let anybody = format!("left={} right=%any", pair.east.address);
    pair.east.add(connection("anybody", &anybody)).await;
    insist(&pair, &source).await;
    let census = pair.east.census().await;
    assert_eq!(census.half_open, MOST_PER_SOURCE, "{census:?}");
    let turned_away = pair.east.counter("total.ike.shed.source").await;
    assert_eq!(usize::try_from(turned_away), Ok(usize::from(INSISTS) - MOST_PER_SOURCE));
    // Requests beyond the share are turned away from the first one on, which is said once.
    let first = source(u16::try_from(MOST_PER_SOURCE).expect("a number")).ip();
    let why = format!("away: {MOST_PER_SOURCE} IKE SAs of its network are half-open");
    let log = &pair.east.log;
    assert_eq!((log.count(&format!("turning {first} {why}")), log.count(&why)), (1, 1), "{log}");
    gets_in(&pair).await;
    assert!(!pair.west.log.says("received COOKIE"), "{}", pair.west.log);
    assert_eq!(pair.east.census().await.half_open, MOST_PER_SOURCE, "they still stand");
    seconds(40).await;
    assert_eq!(pair.east.census().await.half_open, 0, "nothing is kept");
    pair.east.order(Request::Delete { name: "anybody".into() }).await;
    pair.end().await;
}

#[test]
fn b6_one_source_that_answers_its_cookies_has_its_share_and_no_more() {
    run(async {
        let pair = limited(4, LIMITS).await;
        let ports = |number: u16| SocketAddr::from(([198, 51, 100, 7], 1024 + number));
        has_his_share(pair, ports).await;
    });
}

/// Who has one address of a /64 has all of them.
#[test]
fn b6_a_network_of_ipv6_is_one_source() {
    run(async {
        let [mut west, mut east] = Pair::setups(5);
        (west.address, east.address) = (ip("2001:db8:1::1"), ip("2001:db8:2::2"));
        east.thresholds = LIMITS;
        let pair = Pair::bare(west, east).await;
        let tunnel = "left=2001:db8:1::1 leftsubnet=2001:db8:1:1::/64 \
            right=2001:db8:2::2 rightsubnet=2001:db8:2:2::/64";
        for host in [&pair.west, &pair.east] {
            host.add(connection("tunnel", tunnel)).await;
        }
        let addresses =
            |number: u16| SocketAddr::from(([0x2001, 0xdb8, 9, 0, 0, 0, 0, number + 1], 500));
        has_his_share(pair, addresses).await;
    });
}

async fn order(host: &Host, mode: &str) -> Outcome {
    host.order(Request::DdosMode { mode: mode.into() }).await
}

#[test]
fn whack_changes_when_cookies_are_asked_for() {
    run(async {
        let pair = limited(3, LIMITS).await;
        assert!(order(&pair.east, "busy").await.says("from auto to busy"));
        gets_in(&pair).await;
        let cookies = || pair.west.log.to_string().matches("received COOKIE").count();
        assert_eq!(cookies(), 1);
        for mode in ["auto", "unlimited"] {
            assert!(order(&pair.east, mode).await.says(&format!("to {mode}")));
            let down = pair.west.order(Request::Down { name: "tunnel".into() }).await;
            assert_eq!(down.status, 0);
            gets_in(&pair).await;
            assert_eq!(cookies(), 1, "{mode}");
        }
        let wrong = order(&pair.east, "lazy").await;
        assert!(wrong.status != 0 && wrong.says("'lazy'"), "{wrong:?}");
        seconds(1).await;
        pair.end().await;
    });
}

async fn impair(host: &Host, add: &[&str]) -> Outcome {
    let add = add.iter().map(|&text| text.to_owned()).collect();
    host.order(Request::Impair { add, remove: Vec::new(), clear: false }).await
}

#[test]
fn impairments_hit_the_chosen_message_and_the_tunnel_comes_up_all_the_same() {
    for (seed, fault) in (10..).zip([
        "drop-inbound:1",
        "drop-outbound:2",
        "duplicate-inbound",
        "duplicate-outbound",
        "replay-inbound",
        "replay-outbound",
        "corrupt-inbound:2",
        "corrupt-outbound:2",
        "delay-inbound:2",
        "delay-outbound:1",
    ]) {
        run(async move {
            let pair = Pair::new(seed, "").await;
            assert_eq!(impair(&pair.west, &[fault]).await.status, 0);
            pair.establish().await;
            let log = pair.west.log.to_string();
            let waits = fault.ends_with('1') || fault.ends_with('2');
            assert_eq!(log.contains("retransmitting"), waits, "{fault}\n{log}");
            impair(&pair.west, &["none"]).await;
            pair.end().await;
        });
    }
}

#[test]
fn impairments_are_listed_and_wrong_ones_are_named() {
    run(async {
        let pair = Pair::new(30, "").await;
        let listed = impair(&pair.west, &["drop-inbound:3", "list"]).await;
        assert!(listed.says("drop-inbound[:N] - ") && listed.says("[on: message 3]"));
        let wrong = impair(&pair.west, &["nonsense"]).await;
        assert!(wrong.status != 0 && wrong.says("'nonsense'"), "{wrong:?}");
        pair.end().await;
    });
}
