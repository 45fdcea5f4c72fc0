//! What one input costs an IKE SA by the number of its Child SAs, and rekeying all of them.
//! Run it with `cargo run --release -p pluto-states --example children [Child SAs …]`.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    reason = "an example may end with a complaint"
)]

mod host;

use host::Host;
use pluto_connections::SerialNo;
use pluto_crypto::SystemEntropy;
use pluto_states::{ChildState, Datagram, IkeSa, Input, Request, ResponderStart};
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

/// Inputs that change nothing, for the mean.
const IDLE: u32 = 2000;

struct Pair {
    hosts: [Host; 2],
    sas: [IkeSa; 2],
}

impl Pair {
    fn established() -> Self {
        let (local, remote): (SocketAddr, SocketAddr) =
            ("192.0.2.1:500".parse().unwrap(), "192.0.2.2:500".parse().unwrap());
        let mut west = Host::new("@west", "@east");
        let mut east = Host::new("@east", "@west");
        let (policy, children) = (Arc::clone(&west.ike), vec![Arc::clone(&west.child)]);
        let mut initiator =
            IkeSa::initiator(SerialNo(1), policy, children, local, remote, &mut SystemEntropy);
        let request = west.feed(&mut initiator, Input::Start).pop().expect("a request");
        let policy = Arc::clone(&east.ike);
        let start = ResponderStart { serial: SerialNo(1), policy, request: request.clone() };
        let responder = IkeSa::responder(&start, &mut SystemEntropy);
        east.inputs = 0;
        let mut pair = Self { hosts: [west, east], sas: [initiator, responder] };
        pair.deliver(1, vec![request]);
        pair
    }

    /// Delivers datagrams for a host, and all that follows.
    fn deliver(&mut self, mut to: usize, mut mail: Vec<Datagram>) {
        while !mail.is_empty() {
            let mut answers = Vec::new();
            for datagram in mail {
                let input = Input::Datagram(datagram);
                answers.extend(self.hosts[to].feed(&mut self.sas[to], input));
            }
            (mail, to) = (answers, 1 - to);
        }
    }

    fn order(&mut self, request: Request) {
        let mail = self.hosts[0].feed(&mut self.sas[0], Input::Request(request));
        self.deliver(1, mail);
    }

    fn children(&self) -> Vec<SerialNo> {
        let children = self.sas[0].summary().children;
        let up = children.iter().filter(|child| child.state == ChildState::Established);
        up.map(|child| child.serial).collect()
    }

    /// Time and inputs of both since the last time.
    fn spent(&mut self) -> (Duration, u32) {
        self.hosts.iter_mut().fold((Duration::ZERO, 0), |(time, count), host| {
            let (spent, inputs) = (host.spent, host.inputs);
            (host.spent, host.inputs) = (Duration::ZERO, 0);
            (time + spent, count + inputs)
        })
    }
}

fn measure(count: usize) {
    let mut pair = Pair::established();
    for _ in 1..count {
        let policy = Arc::clone(&pair.hosts[0].child);
        pair.order(Request::CreateChild(policy));
    }
    assert_eq!(pair.children().len(), count, "all stand");
    let per = |(time, inputs): (Duration, u32)| time / inputs.max(1);
    let _ = pair.spent();
    for _ in 0..IDLE {
        pair.hosts[0].feed(&mut pair.sas[0], Input::Timer);
    }
    let idle = per(pair.spent());
    let each = u32::try_from(count).unwrap();
    for child in pair.children() {
        pair.order(Request::RekeyChild(child));
    }
    let single = pair.spent();
    assert_eq!(pair.children().len(), count, "all are rekeyed");
    // All are queued while an exchange is under way.
    let mut waiting = Vec::new();
    for child in pair.children() {
        let request = Input::Request(Request::RekeyChild(child));
        waiting.extend(pair.hosts[0].feed(&mut pair.sas[0], request));
    }
    pair.deliver(1, waiting);
    let (all, inputs) = pair.spent();
    assert_eq!(pair.children().len(), count, "all are rekeyed");
    println!(
        "{count:5} Child SAs: idle input {idle:?}; rekey one by one {:?} both sides \
         ({:?} an input); queued {:?} ({:?} an input)",
        single.0 / each,
        per(single),
        all / each,
        all / inputs,
    );
}

fn main() {
    let counts: Vec<usize> = std::env::args().skip(1).filter_map(|n| n.parse().ok()).collect();
    let counts = if counts.is_empty() { vec![1, 10, 100, 1000] } else { counts };
    counts.into_iter().for_each(measure);
}
