use super::*;

fn datagram(octet: u8) -> Datagram {
    let address = std::net::SocketAddr::from(([192, 0, 2, 1], 500));
    Datagram { local: address, remote: address, non_esp_marker: false, bytes: vec![octet] }
}

fn changing() -> ChangingOver {
    ChangingOver { children: vec![SerialNo(2)], ..ChangingOver::default() }
}

fn at(millis: u64) -> Instant {
    Instant(Duration::from_millis(millis))
}

#[test]
fn no_more_than_two_messages_wait_for_a_kernel_that_does_not_answer() {
    let mut idle = ChangingOver::default();
    assert_eq!(idle.hold(datagram(0), About::Delete), Some(datagram(0)));
    let mut changing = changing();
    for octet in 0..200 {
        assert_eq!(changing.hold(datagram(octet), About::Delete), None);
    }
    let first: Vec<Datagram> = (0..128).map(datagram).collect();
    assert_eq!(changing.release(at(0)).1, first);
    assert_eq!(changing.hold(datagram(0), About::Delete), Some(datagram(0)));
}

#[test]
fn a_kernel_that_never_answers_is_not_waited_for_for_ever() {
    let mut changing = changing();
    assert_eq!(changing.deadline(), None);
    changing.patience = Some(at(5000));
    changing.until = Some(at(20));
    assert_eq!(changing.deadline(), Some(at(5000)), "it still waits for the kernel");
    assert_eq!(changing.hold(datagram(1), About::Delete), None);
    changing.release(at(5000));
    assert_eq!(changing.deadline(), None);
    assert_eq!(changing.hold(datagram(1), About::Delete), Some(datagram(1)));
}

#[test]
fn deletes_wait_and_their_retransmissions_and_what_is_made_behind_them() {
    let mut changing = changing();
    assert_eq!(changing.hold(datagram(1), About::Else), Some(datagram(1)));
    assert_eq!(changing.hold(datagram(1), About::Create), Some(datagram(1)));
    assert_eq!(changing.hold(datagram(2), About::Delete), None);
    assert_eq!(changing.hold(datagram(2), About::Else), None, "a retransmission");
    assert_eq!(changing.hold(datagram(3), About::Else), Some(datagram(3)));
    assert_eq!(changing.hold(datagram(4), About::Create), None);
    assert_eq!(changing.release(at(0)).1, [datagram(2), datagram(4)]);
    assert_eq!(changing.hold(datagram(2), About::Else), Some(datagram(2)));
}

#[test]
fn what_waits_when_nobody_is_left_waits_its_time() {
    let mut changing = changing();
    assert_eq!(changing.release(at(3)).0, UNDER_WAY, "the kernel has not answered");
    changing.until = Some(at(20));
    assert_eq!(changing.deadline(), Some(at(20)));
    assert_eq!(changing.release(at(3)).0, Duration::from_millis(17));
    assert_eq!(changing.deadline(), None);
}
