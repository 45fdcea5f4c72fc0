//! Last answers. An IKE SA ends with its answer to the peer's Delete (RFC 7296, 1.4.1). If
//! that is lost, the peer asks again (2.1), and nobody would be left to answer. So the answer
//! outlives the SA for a short while: these octets and the header that they answer, no keys.

use crate::fragments::{Parcel, Share};
use crate::{Datagram, Instant};
use pluto_wire::numbers::ExchangeType;
use pluto_wire::{Header, IkeSpi, IkeSpis};
use std::collections::{BTreeMap, VecDeque};
use std::time::Duration;

/// How long an answer is kept: as long as our own requests are retransmitted.
const KEPT: Duration = Duration::from_secs(30);

/// Answers that are kept at the same time; the oldest make room.
const MOST: usize = 4096;

/// Octets that are kept at the same time; the same.
const MOST_OCTETS: usize = 1 << 20;

/// Times that one answer is repeated. Nobody proves anything to get it.
const MOST_REPEATED: u8 = 12;

/// The last answer of an IKE SA that has ended with it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Farewell {
    pub(crate) spis: IkeSpis,
    /// We were the IKE SA's original initiator.
    pub(crate) initiator: bool,
    pub(crate) id: u32,
    pub(crate) exchange: ExchangeType,
    pub(crate) response: Parcel,
}

impl Farewell {
    fn ours(&self) -> IkeSpi {
        if self.initiator { self.spis.initiator } else { self.spis.responder }
    }

    fn octets(&self) -> usize {
        self.response.datagrams().map(<[u8]>::len).sum()
    }

    fn answers(&self, header: &Header) -> bool {
        header.spis == self.spis
            && header.flags.from_initiator() != self.initiator
            && !header.flags.is_response()
            && header.message_id.0 == self.id
            && header.exchange == self.exchange
    }
}

/// The last answers of those that have ended lately.
#[derive(Debug, Clone, Default)]
pub struct Farewells {
    kept: BTreeMap<IkeSpi, (Farewell, u8)>,
    /// By age.
    order: VecDeque<(Instant, IkeSpi)>,
    octets: usize,
}

impl Farewells {
    /// Keeps one from now on.
    pub fn keep(&mut self, now: Instant, farewell: Farewell) {
        self.forget(now);
        let (ours, octets) = (farewell.ours(), farewell.octets());
        self.octets = self.octets.saturating_add(octets);
        if let Some((old, _)) = self.kept.insert(ours, (farewell, 0)) {
            self.octets = self.octets.saturating_sub(old.octets());
            self.order.retain(|(_, spi)| *spi != ours);
        }
        self.order.push_back((now.after(KEPT), ours));
        while self.kept.len() > MOST || self.octets > MOST_OCTETS {
            self.drop_oldest();
        }
    }

    /// What is to be sent to whom a datagram comes from that no IKE SA knows; nothing when it
    /// is no request that was answered in the end.
    pub fn answer(&mut self, now: Instant, header: &Header, datagram: &Datagram) -> Vec<Datagram> {
        self.forget(now);
        let from_initiator = header.flags.from_initiator();
        let ours = if from_initiator { header.spis.responder } else { header.spis.initiator };
        let Some((farewell, repeated)) = self.kept.get_mut(&ours) else { return Vec::new() };
        let first = Share::of(&datagram.bytes).is_some_and(Share::stands_for_all);
        if !farewell.answers(header) || !first || *repeated >= MOST_REPEATED {
            return Vec::new();
        }
        *repeated = repeated.saturating_add(1);
        let Datagram { local, remote, non_esp_marker, .. } = *datagram;
        let response = farewell.response.datagrams();
        response
            .map(|bytes| Datagram { local, remote, non_esp_marker, bytes: bytes.to_vec() })
            .collect()
    }

    /// How many are kept.
    #[must_use]
    pub fn len(&self) -> usize {
        self.kept.len()
    }

    /// Whether none is.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.kept.is_empty()
    }

    fn forget(&mut self, now: Instant) {
        while self.order.front().is_some_and(|(end, _)| *end <= now) {
            self.drop_oldest();
        }
    }

    fn drop_oldest(&mut self) {
        let Some((_, ours)) = self.order.pop_front() else { return };
        if let Some((farewell, _)) = self.kept.remove(&ours) {
            self.octets = self.octets.saturating_sub(farewell.octets());
        }
    }
}

#[cfg(test)]
#[path = "farewell_tests.rs"]
mod tests;
