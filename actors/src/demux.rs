//! Which IKE SA a datagram is for, by its header alone.

use actix::Recipient;
use pluto_messages::DatagramArrived;
use pluto_states::Farewells;
use pluto_wire::numbers::ExchangeType;
use pluto_wire::{Header, IkeSpi, NON_ESP_MARKER, Version};
use rustc_hash::FxHashMap;
use std::net::{IpAddr, SocketAddr};

/// The initiator's SPI and address: by them a first request that is sent again is known.
pub type FirstRequest = (IkeSpi, SocketAddr);

#[derive(Debug)]
struct Entry {
    ike: Recipient<DatagramArrived>,
    first_request: Option<FirstRequest>,
    half_open: bool,
}

/// The table. It outlives the listener, so that a listener that is started again finds it.
#[derive(Debug, Default)]
pub struct Demux {
    by_spi: FxHashMap<IkeSpi, Entry>,
    first_requests: FxHashMap<FirstRequest, IkeSpi>,
    half_open: usize,
    /// Last answers of IKE SAs that are gone.
    pub farewells: Farewells,
    /// Of each source that has any.
    half_open_by_source: FxHashMap<Source, usize>,
}

/// Who may be one peer: an IPv4 address, or a network of IPv6, whose owner has all of its
/// addresses.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
enum Source {
    V4(u32),
    V6Network(u64),
}

impl Source {
    fn of(address: IpAddr) -> Self {
        match address.to_canonical() {
            IpAddr::V4(address) => Self::V4(address.to_bits()),
            IpAddr::V6(address) => {
                Self::V6Network(u64::try_from(address.to_bits() >> 64).unwrap_or_default())
            }
        }
    }
}

/// Where a datagram goes.
#[derive(Debug)]
pub enum Route<'a> {
    /// To this SA.
    To(&'a Recipient<DatagramArrived>),
    /// It asks for a new SA.
    New,
    /// Nowhere, for this reason.
    Nowhere(&'static str),
}

impl Demux {
    /// An IKE SA lives under this SPI of ours. A responder is half-open at first.
    pub fn register(
        &mut self,
        ours: IkeSpi,
        first_request: Option<FirstRequest>,
        ike: Recipient<DatagramArrived>,
    ) {
        self.forget(ours);
        let half_open = first_request.is_some();
        if let Some(first) = first_request {
            self.first_requests.insert(first, ours);
            self.half_open = self.half_open.saturating_add(1);
            let source = Source::of(first.1.ip());
            let count = self.half_open_by_source.entry(source).or_default();
            *count = count.saturating_add(1);
        }
        self.by_spi.insert(ours, Entry { ike, first_request, half_open });
    }

    /// A responder is established.
    pub fn no_longer_half_open(&mut self, ours: IkeSpi) {
        let Some(entry) = self.by_spi.get_mut(&ours) else { return };
        if std::mem::take(&mut entry.half_open) {
            let first = entry.first_request;
            self.one_less(first);
        }
    }

    fn one_less(&mut self, first: Option<FirstRequest>) {
        self.half_open = self.half_open.saturating_sub(1);
        let Some((_, remote)) = first else { return };
        let source = Source::of(remote.ip());
        if let Some(count) = self.half_open_by_source.get_mut(&source) {
            *count = count.saturating_sub(1);
            if *count == 0 {
                self.half_open_by_source.remove(&source);
            }
        }
    }

    /// An IKE SA is gone.
    pub fn forget(&mut self, ours: IkeSpi) {
        if let Some(entry) = self.by_spi.remove(&ours) {
            if entry.half_open {
                self.one_less(entry.first_request);
            }
            if let Some(first) = entry.first_request {
                self.first_requests.remove(&first);
            }
        }
    }

    /// Forgets all IKE SAs but those that are known.
    pub fn forget_all_but(&mut self, known: impl Fn(IkeSpi) -> bool) {
        let others: Vec<IkeSpi> = self.by_spi.keys().copied().filter(|spi| !known(*spi)).collect();
        others.into_iter().for_each(|spi| self.forget(spi));
    }

    /// Whether an SPI is taken.
    #[must_use]
    pub fn knows(&self, ours: IkeSpi) -> bool {
        self.by_spi.contains_key(&ours)
    }

    /// SPIs.
    #[must_use]
    pub fn len(&self) -> usize {
        self.by_spi.len()
    }

    /// Whether there are none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.by_spi.is_empty()
    }

    /// Half-open responders.
    #[must_use]
    pub fn half_open(&self) -> usize {
        self.half_open
    }

    /// Half-open responders whose peer is at this address, or in its network.
    #[must_use]
    pub fn half_open_from(&self, address: IpAddr) -> usize {
        self.half_open_by_source.get(&Source::of(address)).copied().unwrap_or(0)
    }

    /// Where a message with this header from `remote` goes.
    #[must_use]
    pub fn route(&self, header: &Header, remote: SocketAddr) -> Route<'_> {
        if header.version.major != Version::V2.major {
            return Route::Nowhere("unsupported IKE version");
        }
        let ours = if header.flags.from_initiator() {
            header.spis.responder
        } else {
            header.spis.initiator
        };
        if !ours.is_zero() {
            return match self.by_spi.get(&ours) {
                Some(entry) => Route::To(&entry.ike),
                None => Route::Nowhere("no IKE SA has this SPI"),
            };
        }
        let first = header.exchange == ExchangeType::IKE_SA_INIT
            && header.flags.from_initiator()
            && !header.flags.is_response()
            && header.message_id.0 == 0
            && !header.spis.initiator.is_zero();
        if !first {
            return Route::Nowhere("no SPI, and not a first request");
        }
        let known = self
            .first_requests
            .get(&(header.spis.initiator, remote))
            .and_then(|spi| self.by_spi.get(spi));
        known.map_or(Route::New, |entry| Route::To(&entry.ike))
    }
}

/// What arrived on a port where ESP in UDP arrives too.
#[derive(Debug, PartialEq, Eq)]
pub enum Inside<'a> {
    /// An IKE message, without its marker.
    Ike(&'a [u8]),
    /// A NAT keepalive.
    Keepalive,
    /// ESP.
    Esp(&'a [u8]),
}

/// Tells IKE from ESP by the first four octets (RFC 3948, 2.2 and 2.3).
#[must_use]
pub fn unmark(bytes: &[u8]) -> Inside<'_> {
    match bytes.strip_prefix(&NON_ESP_MARKER) {
        Some(ike) => Inside::Ike(ike),
        None if bytes == [0xff] => Inside::Keepalive,
        None => Inside::Esp(bytes),
    }
}

/// A message with a marker on a port where none is due: a peer that was configured with our
/// port, and encapsulates (RFC 7296, 2.23). An SPI may begin with four zeroes too; the
/// length tells.
#[must_use]
pub fn needless_marker(bytes: &[u8]) -> Option<&[u8]> {
    let ike = bytes.strip_prefix(&NON_ESP_MARKER)?;
    let header = Header::peek(ike).ok()?;
    (usize::try_from(header.length) == Ok(ike.len())).then_some(ike)
}

#[cfg(test)]
#[path = "demux_tests.rs"]
mod tests;
