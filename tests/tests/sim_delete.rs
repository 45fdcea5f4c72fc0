//! Deletes, their answers, and peers that do either wrongly.

#![allow(
    clippy::indexing_slicing,
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "a test that misses what it looks for fails"
)]

use pluto_states::{Finish, Request};
use pluto_tests::crossing::Crossing;
use pluto_tests::sim::Sim;
use std::time::Duration;

/// A last answer that is lost is given again, by whichever side, as often as it is asked for.
#[test]
fn a_lost_answer_to_delete_of_the_ike_sa_is_repeated_when_the_sa_is_gone() {
    for host in 0..2 {
        let mut crossing = Crossing::established(Sim::calm(11));
        crossing.order(host, Request::DeleteIke);
        assert!(crossing.deliver(1 - host));
        assert!(crossing.peers[1 - host].sas.is_empty(), "{}", crossing.story());
        let began = crossing.now;
        for _ in 0..3 {
            crossing.lose(host);
            let (due, ike) = crossing.peers[host].deadline().unwrap();
            crossing.now = due;
            crossing.wake(host, ike);
            assert!(crossing.deliver(1 - host), "asked again");
        }
        assert!(crossing.deliver(host), "answered again{}", crossing.story());
        crossing.assert_agree(0, 0);
        assert_eq!(crossing.peers[host].finishes(), [Finish::Deleted]);
        assert!(crossing.now.since(began) < Duration::from_secs(5));
        assert!(crossing.peers[1 - host].deadline().is_none(), "nothing waits");
    }
}
