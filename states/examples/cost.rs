//! What the machine costs: time per exchange on one thread, and memory per IKE SA. Run it
//! with `cargo run --release -p pluto-states --example cost [SAs]`.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "an example may end with a complaint")]

mod host;

use host::{Host, stopwatch};
use pluto_connections::SerialNo;
use pluto_crypto::{IkeCipher, IkeKeys, LocalKey, SystemEntropy};
use pluto_states::{IkeSa, Input, ResponderStart};
use pluto_wire::numbers::KeId;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

/// What is resident, in octets.
fn resident() -> usize {
    let statm = std::fs::read_to_string("/proc/self/statm").unwrap_or_default();
    statm.split(' ').nth(1).and_then(|pages| pages.parse::<usize>().ok()).unwrap_or(0) * 4096
}

/// Time of the cryptography that a responder cannot avoid.
fn crypto_alone(rounds: u32) -> Duration {
    let suite = pluto_crypto::IkeSuite {
        encr: pluto_wire::numbers::EncrId::AES_GCM_16,
        encr_bits: 256,
        integ: pluto_wire::numbers::IntegId::NONE,
        prf: pluto_wire::numbers::PrfId::HMAC_SHA2_256,
        ke: KeId::X25519,
    };
    let peer = LocalKey::generate(KeId::X25519, &mut SystemEntropy).unwrap();
    let start = stopwatch();
    for _ in 0..rounds {
        let key = LocalKey::generate(KeId::X25519, &mut SystemEntropy).unwrap();
        let shared = key.agree(peer.public()).unwrap();
        let spis = pluto_wire::IkeSpis::default();
        let keys = IkeKeys::derive(&suite, &shared, &[1; 32], &[2; 32], spis).unwrap();
        let send = IkeCipher::new(&suite, &keys.er, &keys.ar).unwrap();
        let receive = IkeCipher::new(&suite, &keys.ei, &keys.ai).unwrap();
        let mut message = vec![0; 32];
        receive.seal(&mut message, &[0; 200], 1, &mut SystemEntropy).unwrap();
        receive.open(&message, 32).unwrap();
        let mut message = vec![0; 32];
        send.seal(&mut message, &[0; 200], 1, &mut SystemEntropy).unwrap();
        let child = pluto_crypto::ChildSuite {
            encr: suite.encr,
            encr_bits: 256,
            integ: suite.integ,
            esn: false,
            ke: KeId::NONE,
        };
        pluto_crypto::ChildKeys::derive(suite.prf, &keys.d, &child, None, &[1; 32], &[2; 32])
            .unwrap();
        // Both hashes of NAT detection twice, prf(SK_p, ID) twice.
        for _ in 0..4 {
            let _ = pluto_crypto::hash(pluto_crypto::HashId::Sha1, &[&[0; 22]]);
        }
        for key in [&keys.pi, &keys.pr] {
            pluto_crypto::prf(suite.prf, key.expose(), &[&[0; 12]]).unwrap();
        }
    }
    start.elapsed() / rounds
}

/// What established responders need, when nothing else is kept.
fn established_memory(count: u32, local: SocketAddr, remote: SocketAddr) -> usize {
    let (mut west, mut east) = (Host::new("@west", "@east"), Host::new("@east", "@west"));
    let mut kept = Vec::with_capacity(count as usize);
    let mut before = 0;
    for round in 0..=count {
        let (policy, children) = (Arc::clone(&west.ike), vec![Arc::clone(&west.child)]);
        let mut initiator =
            IkeSa::initiator(SerialNo(1), policy, children, local, remote, &mut SystemEntropy);
        let request = west.feed(&mut initiator, Input::Start).pop().expect("a request");
        let policy = Arc::clone(&east.ike);
        let start = ResponderStart { serial: SerialNo(1), policy, request: request.clone() };
        let mut responder = IkeSa::responder(&start, &mut SystemEntropy);
        for answer in east.feed(&mut responder, Input::Datagram(request)) {
            for request in west.feed(&mut initiator, Input::Datagram(answer)) {
                east.feed(&mut responder, Input::Datagram(request));
            }
        }
        kept.push(responder);
        // The first one warms everything up.
        if round == 0 {
            before = resident();
        }
    }
    resident().saturating_sub(before)
}

fn main() {
    let count: u32 = std::env::args().nth(1).and_then(|n| n.parse().ok()).unwrap_or(5000);
    let (local, remote): (SocketAddr, SocketAddr) =
        ("192.0.2.1:500".parse().unwrap(), "192.0.2.2:500".parse().unwrap());
    let (mut west, mut east) = (Host::new("@west", "@east"), Host::new("@east", "@west"));
    // First, while the heap has no holes.
    let established = established_memory(count, local, remote);
    println!("IkeSa itself: {} octets", size_of::<IkeSa>());

    let (mut initiators, mut halves) = (Vec::new(), Vec::new());
    let mut init = Duration::ZERO;
    for _ in 0..count {
        let (policy, children) = (Arc::clone(&west.ike), vec![Arc::clone(&west.child)]);
        let serial = SerialNo(1);
        let mut sa = IkeSa::initiator(serial, policy, children, local, remote, &mut SystemEntropy);
        let request = west.feed(&mut sa, Input::Start).pop().expect("a request");
        halves.push(request);
        initiators.push(sa);
    }
    let before = resident();
    let mut responders = Vec::new();
    let mut answers = Vec::new();
    for request in halves {
        let policy = Arc::clone(&east.ike);
        let start = ResponderStart { serial: SerialNo(1), policy, request: request.clone() };
        let mut sa = IkeSa::responder(&start, &mut SystemEntropy);
        answers.extend(east.feed(&mut sa, Input::Datagram(request)));
        responders.push(sa);
    }
    let half_open = resident().saturating_sub(before);
    std::mem::swap(&mut init, &mut east.spent);
    let mut auths = Vec::new();
    for (sa, answer) in initiators.iter_mut().zip(answers) {
        auths.extend(west.feed(sa, Input::Datagram(answer)));
    }
    let mut last = Vec::new();
    for (sa, request) in responders.iter_mut().zip(auths) {
        last.extend(east.feed(sa, Input::Datagram(request)));
    }
    let auth = east.spent;
    drop(initiators);
    assert!(responders.iter().all(|sa| sa.summary().established), "all are established");
    assert_eq!(last.len(), responders.len());
    drop(last);
    drop(responders);
    let per = |total: usize| total / count as usize;
    println!("responder, IKE_SA_INIT: {:?}", init / count);
    println!("responder, IKE_AUTH:    {:?}", auth / count);
    println!("both:                   {:?}", (init + auth) / count);
    println!("cryptography of both:   {:?}", crypto_alone(count));
    println!("half-open: {} octets (answers included)", per(half_open));
    println!("established with a Child SA: {} octets", per(established));
}
