//! A puppet plays against a host of a simulation.

#![allow(clippy::indexing_slicing, reason = "a test that misses what it looks for fails")]

use crate::peer::Peer;
use crate::puppet::{Puppet, fqdn};
use crate::sim::{EAST, Sim};
use pluto_connections::proposal::{ChildProposals, IkeProposals};
use pluto_connections::{Id, Pfs, Selector};
use pluto_states::Datagram;
use pluto_wire::numbers::{ExchangeType, NotifyType, ProtocolId};
use pluto_wire::v2::{Delete, Identification, Message, Notify, Payload, TrafficSelector};
use std::net::SocketAddr;

/// The puppet's inbound SPI of the first Child SA.
pub const FIRST: [u8; 4] = [0, 0, 0x20, 1];

/// The puppet as initiator, and east, who is honest.
#[derive(Debug)]
pub struct Stage {
    /// East, and an idle west whose place the puppet takes.
    pub sim: Sim,
    /// The puppet.
    pub puppet: Puppet,
    ike: IkeProposals,
    esp: ChildProposals,
}

impl Stage {
    /// Nothing has been said yet.
    #[must_use]
    pub fn new(seed: u64) -> Self {
        let sim = Sim::calm(seed);
        let local = SocketAddr::from(([203, 0, 113, 9], 500));
        let puppet = Puppet::new(seed ^ 0x5055, true, local, SocketAddr::new(EAST, 500));
        let ike = IkeProposals::clone(&sim.peers[1].ike.proposals);
        let esp = ChildProposals::clone(&sim.peers[1].child.proposals);
        Self { sim, puppet, ike, esp }
    }

    /// IKE_SA_INIT is over.
    #[must_use]
    pub fn keyed(seed: u64) -> Self {
        let mut stage = Self::new(seed);
        let payloads = stage.puppet.init_payloads(&stage.ike);
        let request = stage.puppet.init_request(payloads);
        let responses = stage.say(request);
        stage.puppet.take_response(&responses[0].bytes, &stage.ike);
        stage
    }

    /// The same, and both have announced fragmentation.
    #[must_use]
    pub fn keyed_for_fragments(seed: u64) -> Self {
        let mut stage = Self::new(seed);
        let mut payloads = stage.puppet.init_payloads(&stage.ike);
        payloads.push(notify(NotifyType::IKEV2_FRAGMENTATION_SUPPORTED, &[]));
        let request = stage.puppet.init_request(payloads);
        let responses = stage.say(request);
        stage.puppet.take_response(&responses[0].bytes, &stage.ike);
        stage
    }

    /// IKE_AUTH is over too; the next message id is 2.
    ///
    /// # Panics
    /// East does not believe the puppet.
    #[must_use]
    pub fn established(seed: u64) -> Self {
        let mut stage = Self::keyed(seed);
        let request = stage.honest_auth();
        stage.say(request);
        assert_eq!(stage.sim.peers[1].established().len(), 1, "{:#?}", stage.sim.peers[1].log);
        stage
    }

    /// The same with a Child SA without PFS, so that the puppet needs no further keys;
    /// `prepare` says what else is east's.
    ///
    /// # Panics
    /// East does not install it.
    #[must_use]
    pub fn without_pfs(seed: u64, prepare: impl FnOnce(&mut Peer)) -> Self {
        let mut stage = Self::keyed(seed);
        stage.sim.peers[1].child.pfs = Pfs::No;
        prepare(&mut stage.sim.peers[1]);
        let request = stage.honest_auth();
        stage.say(request);
        assert_eq!(stage.sim.peers[1].kernel.installed.len(), 1, "{}", stage.sim.story());
        stage
    }

    /// SA, nonce and selectors of a request of the puppet's for a Child SA.
    #[must_use]
    pub fn child_of(&self, spi: [u8; 4], nonce: u8) -> Vec<Payload> {
        let child = &self.sim.peers[1].child;
        vec![
            Payload::Sa(child.proposals.to_wire(spi, None)),
            Payload::Nonce(vec![nonce; 32]),
            Payload::TsI(wire(&child.remote_ts)),
            Payload::TsR(wire(&child.local_ts)),
        ]
    }

    /// The same in place of the one that the puppet names `old`.
    #[must_use]
    pub fn rekey_of(&self, old: [u8; 4], spi: [u8; 4]) -> Vec<Payload> {
        let mut payloads = vec![rekeys(old)];
        payloads.extend(self.child_of(spi, spi[3]));
        payloads
    }

    /// The outbound SPIs of what east's kernel holds.
    #[must_use]
    pub fn held(&self) -> Vec<[u8; 4]> {
        let installed = self.sim.peers[1].kernel.installed.values();
        installed.map(|sa| sa.spi_out.0.to_be_bytes()).collect()
    }

    /// An honest initiator's IKE_SA_INIT payloads.
    #[must_use]
    pub fn init_payloads(&self) -> Vec<Payload> {
        self.puppet.init_payloads(&self.ike)
    }

    /// An honest initiator's IKE_AUTH payloads.
    #[must_use]
    pub fn auth_payloads(&self, id: &Identification) -> Vec<Payload> {
        let east = &self.sim.peers[1];
        let psk = east.psk.clone().unwrap_or_default();
        let mut payloads = vec![
            Payload::IdI(id.clone()),
            Payload::IdR(fqdn("east")),
            self.puppet.auth(id, &psk),
            Payload::Sa(self.esp.to_wire(FIRST, None)),
        ];
        payloads.push(Payload::TsI(wire(&east.child.remote_ts)));
        payloads.push(Payload::TsR(wire(&east.child.local_ts)));
        payloads
    }

    /// The request with these payloads.
    #[must_use]
    pub fn honest_auth(&mut self) -> Datagram {
        let payloads = self.auth_payloads(&fqdn("west"));
        self.puppet.seal(ExchangeType::IKE_AUTH, false, 1, &payloads)
    }

    /// Says something, and returns what east says to it.
    pub fn say(&mut self, datagram: Datagram) -> Vec<Datagram> {
        let before = self.sim.net.log.len();
        self.sim.inject(datagram);
        self.sim.settle();
        self.sim.net.log.split_off(before)
    }

    /// A protected request; what east says to it, opened.
    pub fn ask(
        &mut self,
        exchange: ExchangeType,
        id: u32,
        payloads: &[Payload],
    ) -> Vec<Vec<Payload>> {
        let request = self.puppet.seal(exchange, false, id, payloads);
        let responses = self.say(request);
        responses.iter().filter_map(|r| Some(self.puppet.open(&r.bytes)?.1)).collect()
    }

    /// Whether the peer that the puppet plays is the one that east knows.
    #[must_use]
    pub fn believes(&self) -> bool {
        let east = &self.sim.peers[1];
        let known =
            |sa: &pluto_states::IkeSa| sa.summary().remote_id == Some(Id::Fqdn("west".into()));
        east.sas.values().any(known)
    }
}

/// REKEY_SA for the Child SA of the puppet's with this SPI.
#[must_use]
pub fn rekeys(spi: [u8; 4]) -> Payload {
    let (notify_type, data) = (NotifyType::REKEY_SA, Vec::new());
    Payload::Notify(Notify { protocol: ProtocolId::ESP, spi: spi.to_vec(), notify_type, data })
}

/// A Delete for the Child SA of the puppet's with this SPI.
#[must_use]
pub fn deletes(spi: [u8; 4]) -> Payload {
    Payload::Delete(Delete { protocol: ProtocolId::ESP, spis: vec![spi] })
}

/// Selectors as payloads have them.
#[must_use]
pub fn wire(selectors: &[Selector]) -> Vec<TrafficSelector> {
    selectors.iter().map(Selector::to_wire).collect()
}

/// The notifications among payloads.
#[must_use]
pub fn notifies(payloads: &[Payload]) -> Vec<NotifyType> {
    let of = |payload: &Payload| match payload {
        Payload::Notify(notify) => Some(notify.notify_type),
        _ => None,
    };
    payloads.iter().filter_map(of).collect()
}

/// The notifications of an unprotected message.
#[must_use]
pub fn unprotected(bytes: &[u8]) -> Vec<NotifyType> {
    Message::decode(bytes).map(|message| notifies(&message.payloads)).unwrap_or_default()
}

/// A notification with data.
#[must_use]
pub fn notify(notify_type: NotifyType, data: &[u8]) -> Payload {
    Payload::Notify(Notify::new(notify_type, data.to_vec()))
}
