//! A peer that is frozen is noticed, and the tunnel comes back with the peer.

use pluto_tests::tree::{NET_TO_NET, Pair, connection, run, seconds};
use std::time::Duration;

/// Waits until both hosts have a tunnel that is up; how long that took.
async fn revived(pair: &Pair) -> Duration {
    let began = tokio::time::Instant::now();
    for _ in 0..600 {
        if pair.west.census().await.established == 1 && pair.west.tunnels() == 1 {
            return began.elapsed();
        }
        seconds(1).await;
    }
    unreachable!("it does not come back\n{}", pair.west.log);
}

#[test]
fn a_tunnel_to_a_frozen_peer_is_given_up_and_comes_back_with_the_peer() {
    run(async {
        let [west, east] = Pair::setups(1);
        let pair = Pair::bare(west, east).await;
        let words = format!("{NET_TO_NET} dpddelay=5s");
        pair.east.add(connection("tunnel", &words)).await;
        pair.west.add(connection("tunnel", &format!("{words} auto=start"))).await;
        seconds(20).await;
        pair.assert_up(1).await;
        pair.wire.cut(pair.east.address);
        let frozen = tokio::time::Instant::now();
        while pair.west.tunnels() == 1 {
            seconds(1).await;
            assert!(frozen.elapsed() < Duration::from_secs(40), "{}", pair.west.log);
        }
        println!("from frozen to given up: {:?} of virtual time", frozen.elapsed());
        pair.wire.mend(pair.east.address);
        println!("from mended to revived: {:?} of virtual time", revived(&pair).await);
        assert!(frozen.elapsed() < Duration::from_secs(60), "{}", pair.west.log);
        seconds(60).await;
        pair.assert_up(1).await;
        pair.end().await;
    });
}
