//! Two hosts whose own side answers at once, for measuring the machine.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    unreachable_pub,
    dead_code,
    reason = "an example may end with a complaint, and does not use all of this"
)]

use pluto_connections::proposal::{ChildProposals, IkeProposals};
use pluto_connections::{
    Authby, ChildPolicy, ConnectionSerial, Encapsulation, Fragmentation, Id, IkePolicy, IpsecMode,
    Lifetimes, Pfs, RekeyPfs, Retransmit, Selector,
};
use pluto_crypto::{Secret, SystemEntropy, psk_auth};
use pluto_states::{
    Ask, AskResult, AuthAnswer, ChildSpi, Datagram, Env, IkeSa, Input, Instant, KernelRequest,
    KernelResult, Output, Serials,
};
use pluto_wire::numbers::ProtocolId;
use std::collections::VecDeque;
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
            configured: false,
        },
        lifetimes,
        reauth: false,
        initial_contact: false,
        encapsulation: Encapsulation::Auto,
        nat_port: 4500,
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
        pfs: Pfs::Preferred,
        rekey_pfs: RekeyPfs::Same,
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

/// One side: what it wants, and the time that its machine has needed.
#[derive(Debug)]
pub struct Host {
    /// The IKE SA's policy.
    pub ike: Arc<IkePolicy>,
    /// The Child SAs'.
    pub child: Arc<ChildPolicy>,
    serials: Serials,
    spis: u32,
    /// Time spent on inputs.
    pub spent: Duration,
    /// How many there were.
    pub inputs: u32,
}

impl Host {
    /// A host of this name, and its peer's.
    pub fn new(local: &str, remote: &str) -> Self {
        let (ike, child) = policies(local, remote);
        Self {
            ike,
            child,
            serials: Serials::default(),
            spis: 4096,
            spent: Duration::ZERO,
            inputs: 0,
        }
    }

    /// One input with all that follows from it, but for the network.
    pub fn feed(&mut self, sa: &mut IkeSa, input: Input) -> Vec<Datagram> {
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
            self.inputs += 1;
            for output in out {
                match output {
                    Output::Transmit(datagram) => sent.push(Datagram {
                        local: datagram.remote,
                        remote: datagram.local,
                        ..datagram
                    }),
                    Output::Ask(id, ask) => inputs.push_back(Input::AskDone(id, self.answer(ask))),
                    Output::Kernel(KernelRequest::AllocateSpi { child, .. }) => {
                        self.spis += 1;
                        let spi = ChildSpi(self.spis);
                        inputs.push_back(Input::KernelDone(KernelResult::Spi(child, Ok(spi))));
                    }
                    Output::Kernel(KernelRequest::InstallOutbound(install)) => {
                        let done = KernelResult::OutboundInstalled(install.child, Ok(()));
                        inputs.push_back(Input::KernelDone(done));
                    }
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
/// The time.
pub fn stopwatch() -> std::time::Instant {
    std::time::Instant::now()
}
