//! Replies to a batch of datagrams.

use super::*;
use pluto_kernel::IkeSocketOptions;
use std::net::UdpSocket;
use std::panic::{AssertUnwindSafe, catch_unwind};

fn open() -> Open {
    let options = IkeSocketOptions { bypass: false, ..IkeSocketOptions::default() };
    let socket = IkeSocket::bind("127.0.0.1:0".parse().expect("an address"), &options);
    let socket = socket.expect("a socket");
    Open {
        interface: "lo".into(),
        local: socket.local(),
        encapsulating: false,
        socket: register(socket).expect("the reactor"),
        log: Log::discard(),
        replies: RefCell::default(),
    }
}

/// What has arrived, up to now.
fn arrived(peer: &UdpSocket) -> Vec<Vec<u8>> {
    let mut octets = [0; 64];
    std::iter::from_fn(|| peer.recv(&mut octets).ok().map(|length| octets[..length].to_vec()))
        .collect()
}

#[test]
fn replies_leave_behind_their_batch_even_when_it_panics() {
    let mut builder = tokio::runtime::Builder::new_current_thread();
    let runtime = builder.enable_io().build().expect("a runtime");
    let _within = runtime.enter();
    let open = open();
    let peer = UdpSocket::bind("127.0.0.1:0").expect("a socket");
    peer.set_nonblocking(true).expect("not to block");
    let to = peer.local_addr().expect("an address");
    for panics in [false, true] {
        let batch = catch_unwind(AssertUnwindSafe(|| {
            let _behind = Behind::collect(&open);
            open.send(to, false, b"one");
            open.send(to, true, b"two");
            assert_eq!(arrived(&peer).len(), 0, "they wait for the end of the batch");
            assert!(!panics, "on purpose");
        }));
        assert_eq!(batch.is_err(), panics);
        assert_eq!(arrived(&peer), [b"one".to_vec(), b"\0\0\0\0two".to_vec()]);
        open.send(to, false, b"later");
        assert_eq!(arrived(&peer), [b"later".to_vec()], "nothing waits any more");
    }
}
