//! A flood of strangers, while what stands goes on and new peers come up.

use pluto_actors::listener::Thresholds;
use pluto_tests::tree::{Host, Pair, Setup, Wire, connection, pass, run, seconds};
use pluto_whack::Request;
use pluto_wire::numbers::ExchangeType;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::time::Duration;

const STRANGERS: u32 = 10_000;

/// An IKE_SA_INIT request that east takes for a new peer's, from the n-th source.
fn request(template: &[u8], n: u32) -> Vec<u8> {
    let mut bytes = template.to_vec();
    if let Some(spi) = bytes.get_mut(..4) {
        spi.copy_from_slice(&(n | 0x8000_0000).to_be_bytes());
    }
    bytes
}

fn source(n: u32) -> SocketAddr {
    let [_, b, c, d] = n.to_be_bytes();
    SocketAddr::new(IpAddr::V4(Ipv4Addr::new(10, b, c, d)), 500)
}

/// A server that anybody may talk to, with one tunnel to west that is checked for liveness.
async fn server(thresholds: Thresholds) -> (Pair, Vec<u8>) {
    let [mut west, mut east] = Pair::setups(300);
    east.thresholds = thresholds;
    west.thresholds = thresholds;
    let pair = Pair::with(west, east, "dpddelay=5 retransmit-timeout=30").await;
    let anybody = "left=192.0.2.2 leftsubnet=10.2.0.0/24 right=%any";
    pair.east.add(connection("anybody", anybody)).await;
    pair.establish().await;
    let first = pair.wire.sent().into_iter().next().map(|sent| sent.bytes);
    (pair, first.unwrap_or_default())
}

/// Floods east: so many requests each millisecond.
async fn flood(pair: &Pair, template: &[u8]) -> usize {
    let mut most = 0;
    let east = SocketAddr::new(pair.east.address, 500);
    for n in 0..STRANGERS {
        pair.wire.deliver(source(n), east, request(template, n));
        if n % 100 == 99 {
            pass(Duration::from_millis(1)).await;
            most = most.max(pair.east.census().await.ike_sas);
        }
    }
    most
}

async fn newcomer_comes_up_while(wire: &Wire, east: &Host) {
    let newcomer = Host::listening(wire, Setup::new("192.0.2.3", 999)).await;
    newcomer
        .add(connection("home", "left=192.0.2.3 right=192.0.2.2 rightsubnet=10.2.0.0/24"))
        .await;
    let up = newcomer.initiate("home").outcome().await;
    assert_eq!(up.status, 0, "{up:#?}\n{}", east.log);
    newcomer.delete("home").await;
    assert_eq!(newcomer.stop().await, 0);
}

fn liveness_checks(pair: &Pair) -> usize {
    let sent = pair.wire.sent();
    let checks = sent.iter().filter(|sent| {
        sent.header().is_some_and(|header| header.exchange == ExchangeType::INFORMATIONAL)
    });
    checks.count()
}

async fn ends_clean(pair: Pair) {
    pair.east.order(Request::Delete { name: "anybody".into() }).await;
    // Half-open responders give up by themselves.
    seconds(300).await;
    pair.assert_up(1).await;
    assert_eq!(pair.east.census().await.half_open, 0);
    pair.end().await;
}

#[test]
fn with_cookies_a_flood_of_strangers_makes_no_actors() {
    run(async {
        let (pair, template) = server(Thresholds { cookies: 50, most_half_open: 5_000 }).await;
        let most = flood(&pair, &template).await;
        // Until the threshold is seen, some more may be on their way.
        assert!((50..=200).contains(&most), "{most} IKE SAs");
        assert_eq!(pair.east.log.count("asking new peers for cookies: "), 1);
        newcomer_comes_up_while(&pair.wire, &pair.east).await;
        let before = liveness_checks(&pair);
        seconds(20).await;
        assert!(liveness_checks(&pair) > before);
        assert_eq!(pair.east.log.count("\"tunnel\" #1: deleting"), 0);
        ends_clean(pair).await;
    });
}

#[test]
fn without_cookies_half_open_peers_are_bounded_and_what_stands_lives_on() {
    run(async {
        let (pair, template) =
            server(Thresholds { cookies: usize::MAX, most_half_open: 300 }).await;
        let most = flood(&pair, &template).await;
        assert!((300..=401).contains(&most), "{most} IKE SAs");
        // What is turned away is counted, and said, once.
        let (listed, said) =
            (pair.east.counter("total.ike.shed.half-open").await, "--max-halfopen");
        assert!(listed >= u64::from(STRANGERS) - 401, "{listed}");
        assert_eq!(pair.east.log.count(said), 1, "{}", pair.east.log);
        let before = liveness_checks(&pair);
        seconds(60).await;
        assert!(liveness_checks(&pair) > before);
        seconds(300).await;
        newcomer_comes_up_while(&pair.wire, &pair.east).await;
        ends_clean(pair).await;
    });
}

/// Datagrams that name an SA beyond what its mailbox holds are dropped; the SA lives on.
#[test]
fn a_storm_at_one_sa_is_dropped_and_counted() {
    run(async {
        let (pair, _) = server(Thresholds { cookies: 50, most_half_open: 5_000 }).await;
        pair.add_second().await;
        let sent = pair.wire.sent();
        let auth = sent.get(2).map(|sent| sent.bytes.clone()).unwrap_or_default();
        let (west, east) = (pair.west.address, pair.east.address);
        let answered = pair.wire.sent_by(east);
        let dropped = pair.east.counter("total.ike.shed.busy").await;
        for _ in 0..5_000 {
            pair.wire.deliver(SocketAddr::new(west, 500), SocketAddr::new(east, 500), auth.clone());
        }
        pass(Duration::from_millis(1)).await;
        let answers = pair.wire.sent_by(east) - answered;
        assert!(answers <= 130, "{answers} answers");
        let dropped = pair.east.counter("total.ike.shed.busy").await - dropped;
        assert!(dropped >= 4_800, "{dropped} dropped");
        pair.assert_up(1).await;
        let up = pair.west.initiate("second").outcome().await;
        assert_eq!(up.status, 0, "{up:#?}");
        for host in [&pair.west, &pair.east] {
            host.order(Request::Delete { name: "second".into() }).await;
        }
        ends_clean(pair).await;
    });
}

/// More strangers at once than the supervisor's queue holds: commands still get through.
#[test]
fn a_burst_beyond_the_supervisors_queue_is_dropped() {
    run(async {
        let thresholds = Thresholds { cookies: usize::MAX, most_half_open: usize::MAX };
        let (pair, template) = server(thresholds).await;
        let east = SocketAddr::new(pair.east.address, 500);
        for n in 0..STRANGERS {
            pair.wire.deliver(source(n), east, request(&template, n));
        }
        seconds(1).await;
        let census = pair.east.census().await;
        assert!((4_000..=4_200).contains(&census.ike_sas), "{census:?}");
        assert!(pair.east.counter("total.ike.shed.busy").await >= 5_800);
        newcomer_comes_up_while(&pair.wire, &pair.east).await;
        ends_clean(pair).await;
    });
}
