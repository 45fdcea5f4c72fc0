//! What the machine costs: time per exchange on one thread, and memory per IKE SA. Run it
//! with `cargo run --release -p pluto-states --example cost [SAs]`.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "an example may end with a complaint")]

use pluto_connections::proposal::{ChildProposals, IkeProposals};
use pluto_connections::{
    Authby, ChildPolicy, ConnectionSerial, Encapsulation, Fragmentation, Id, IkePolicy, IpsecMode,
    Lifetimes, Retransmit, Selector, SerialNo,
};
use pluto_crypto::{IkeCipher, IkeKeys, LocalKey, Secret, SystemEntropy, psk_auth};
use pluto_states::{
    Ask, AskResult, AuthAnswer, ChildSpi, Datagram, Env, IkeSa, Input, Instant, KernelRequest,
    KernelResult, Output, ResponderStart, Serials,
};
use pluto_wire::numbers::{KeId, ProtocolId};
use std::collections::VecDeque;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

const PSK: &[u8] = b"a pre-shared key of many letters";

fn policies(local: &str, remote: &str) -> (Arc<IkePolicy>, Arc<ChildPolicy>) {
    let id = |name: &str| Id::parse(name).unwrap();
    let lifetimes = Lifetimes {
        life: Duration::from_secs(28800),
        margin: Duration::from_secs(540),
        fuzz_percent: 100,
        max_bytes: u64::MAX,
        max_packets: u64::MAX,
        rekey: true,
    };
    let ike = IkePolicy {
        connection: ConnectionSerial(1),
        log_name: "\"cost\"".into(),
        local_id: id(local),
        remote_id: id(remote),
        remote_id_configured: true,
        local_auth: Authby::Psk,
        remote_auth: Authby::Psk,
        proposals: Arc::new(IkeProposals::parse("aes_gcm256-sha2_256-dh31").unwrap()),
        retransmit: Retransmit {
            interval: Duration::from_millis(500),
            timeout: Duration::from_secs(30),
        },
        lifetimes,
        reauth: false,
        initial_contact: false,
        encapsulation: Encapsulation::Auto,
        nat_keepalive: Some(Duration::from_secs(20)),
        fragmentation: Fragmentation::Yes,
        mobike: false,
        dpd_delay: None,
        send_vendor_id: false,
        fake_strongswan: false,
    };
    let any = vec![Selector::parse("10.0.0.0/8").unwrap()];
    let child = ChildPolicy {
        connection: ConnectionSerial(1),
        log_name: "\"cost\"".into(),
        proposals: Arc::new(ChildProposals::parse(ProtocolId::ESP, "aes_gcm256", false).unwrap()),
        local_ts: any.clone(),
        remote_ts: any,
        mode: IpsecMode::Tunnel,
        narrowing: false,
        pfs: true,
        lifetimes,
        replay_window: 128,
        reqid: 1,
        priority: 0,
        mark_in: None,
        mark_out: None,
        if_id: 0,
        tfc: 0,
        send_no_tfc: false,
        decap_dscp: false,
        encap_dscp: false,
        nopmtudisc: false,
        configuration: None,
    };
    (Arc::new(ike), Arc::new(child))
}

struct Host {
    ike: Arc<IkePolicy>,
    child: Arc<ChildPolicy>,
    serials: Serials,
    spent: Duration,
}

impl Host {
    fn new(local: &str, remote: &str) -> Self {
        let (ike, child) = policies(local, remote);
        Self { ike, child, serials: Serials::default(), spent: Duration::ZERO }
    }

    /// One input with all that follows from it, but for the network.
    fn feed(&mut self, sa: &mut IkeSa, input: Input) -> Vec<Datagram> {
        let (mut inputs, mut sent) = (VecDeque::from([input]), Vec::new());
        while let Some(input) = inputs.pop_front() {
            let mut out = Vec::new();
            let before = stopwatch();
            // As the actor does: on a copy that is kept when it returns.
            let mut copy = sa.clone();
            let mut env = Env {
                now: Instant::default(),
                entropy: &mut SystemEntropy,
                serials: &mut self.serials,
            };
            copy.handle(&mut env, input, &mut out);
            *sa = copy;
            self.spent += before.elapsed();
            for output in out {
                match output {
                    Output::Transmit(datagram) => sent.push(Datagram {
                        local: datagram.remote,
                        remote: datagram.local,
                        ..datagram
                    }),
                    Output::Ask(id, ask) => inputs.push_back(Input::AskDone(id, self.answer(ask))),
                    Output::Kernel(KernelRequest::AllocateSpi { child, .. }) => inputs
                        .push_back(Input::KernelDone(KernelResult::Spi(child, Ok(ChildSpi(4096))))),
                    Output::Kernel(
                        KernelRequest::Install(install) | KernelRequest::InstallInbound(install),
                    ) => inputs.push_back(Input::KernelDone(KernelResult::Installed(
                        install.child,
                        Ok(()),
                    ))),
                    _ => {}
                }
            }
        }
        sent
    }

    fn answer(&self, ask: Ask) -> AskResult {
        match ask {
            Ask::Psk(question) => {
                let psk = Secret::from_slice(PSK);
                let mac = |octets: &Vec<u8>| psk_auth(question.prf, &psk, &[octets]).unwrap();
                AskResult::Psk(Some(question.octets.iter().map(mac).collect()))
            }
            Ask::Connection(_) => AskResult::Connection(Ok(AuthAnswer {
                stands: false,
                ike: Arc::clone(&self.ike),
                child: Some(Ok(Arc::clone(&self.child))),
            })),
            Ask::Lease(_) => AskResult::Lease(Err("no pool".into())),
            Ask::Child(_) => AskResult::Child(Ok(Arc::clone(&self.child))),
        }
    }
}

#[allow(clippy::disallowed_methods, reason = "it is time that is measured")]
fn stopwatch() -> std::time::Instant {
    std::time::Instant::now()
}

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
