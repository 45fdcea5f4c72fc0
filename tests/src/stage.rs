//! A puppet plays against a host of a simulation.

#![allow(clippy::indexing_slicing, reason = "a test that misses what it looks for fails")]

use crate::puppet::{Puppet, fqdn};
use crate::sim::{EAST, Sim};
use pluto_connections::proposal::{ChildProposals, IkeProposals};
use pluto_connections::{Id, Selector};
use pluto_states::Datagram;
use pluto_wire::numbers::{ExchangeType, NotifyType};
use pluto_wire::v2::{Identification, Message, Notify, Payload};
use std::net::SocketAddr;

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
            Payload::Sa(self.esp.to_wire([0, 0, 0x20, 1], None)),
        ];
        let wire = |selectors: &[Selector]| selectors.iter().map(Selector::to_wire).collect();
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
