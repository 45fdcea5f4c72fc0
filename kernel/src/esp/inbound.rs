//! The way in: an ESP packet becomes an inner packet, or is dropped and counted.

use super::checksum::{self, TCP, UDP, set_ipv4};
use super::codec::OpenError;
use super::counts::Reason;
use super::early::Held;
use super::ecn;
use super::inner::Inner;
use super::octets::{be16, be32, octet, put, put16, u16_of};
use super::outbound::{IPV4, IPV6};
use super::sad::{InboundSa, Receiving};
use super::tables::{Shared, Tables};
use super::window::Replay;
use crate::KernelEvent;
use std::net::{IpAddr, SocketAddr};
use std::ops::Range;
use std::sync::atomic::Ordering;

/// A dummy (RFC 4303, 2.6).
const NO_NEXT_HEADER: u8 = 59;
/// Hops that are left to a packet whose IP header was not carried.
const HOPS: u8 = 64;

/// How a packet came.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Arrival {
    /// Its sender.
    pub(crate) remote: SocketAddr,
    /// In UDP.
    pub(crate) encapsulated: bool,
    /// DSCP and ECN of the outer header.
    pub(crate) tos: u8,
}

/// Octets that packets come in, with a part at the end for those that have to be rebuilt.
#[derive(Debug)]
pub(crate) struct Arena {
    pub(crate) octets: Box<[u8]>,
    /// Where the next rebuilt packet goes.
    side: usize,
    begin: usize,
}

impl Arena {
    /// `receive` octets to receive into, `side` to rebuild in.
    pub(crate) fn new(receive: usize, side: usize) -> Self {
        let octets = vec![0; receive + side].into_boxed_slice();
        Self { octets, side: receive, begin: receive }
    }

    /// Whether a packet of the largest size may not fit.
    pub(crate) fn is_full(&self) -> bool {
        self.side + 65_600 > self.octets.len()
    }

    /// Forgets what was rebuilt.
    pub(crate) fn clear(&mut self) {
        self.side = self.begin;
    }

    /// Puts `header` and the octets at `payload` behind each other.
    fn rebuild(&mut self, header: &[u8], payload: &Range<usize>) -> Option<Range<usize>> {
        let start = self.side;
        let end = start.checked_add(header.len())?.checked_add(payload.len())?;
        self.octets.get(start..end)?;
        put(&mut self.octets, start, header);
        self.octets.copy_within(payload.clone(), start + header.len());
        self.side = end;
        Some(start..end)
    }
}

/// Opens the ESP packet at `at`; `now` in seconds since 1970. Tells where the inner packet
/// lies, and what it is; none where it waits for its SA.
///
/// # Errors
/// Why it goes no further.
pub(crate) fn packet(
    (shared, tables): (&Shared, &Tables),
    arena: &mut Arena,
    at: Range<usize>,
    arrival: &Arrival,
    now: u64,
) -> Result<Option<(Range<usize>, Inner)>, Reason> {
    let octets = arena.octets.get_mut(at.clone()).ok_or(Reason::Short)?;
    let spi = be32(octets, 0).ok_or(Reason::Short)?;
    let Some(sa) = tables.sad.inbound(spi) else {
        return match shared.early().hold(spi, octets, arrival) {
            Held::Waits => Ok(None),
            Held::Full => Err(Reason::Early),
            Held::Unknown => Err(Reason::NoSa),
        };
    };
    if sa.encapsulated != arrival.encapsulated {
        return Err(Reason::Encapsulation);
    }
    let mut receiving = sa.receiving();
    receiving.usage.alive().map_err(|lifetime| {
        shared.tell_lifetime_in(sa, lifetime);
        Reason::EndedIn
    })?;
    let opened = receiving.opener.open(octets).map_err(reason)?;
    let payload = at.start + opened.payload.start..at.start + opened.payload.end;
    let lifetime = receiving.usage.count(payload.len(), 0);
    shared.tell_lifetime_in(sa, lifetime);
    sa.last_in.store(now, Ordering::Relaxed);
    tell_mapping(shared, sa, &mut receiving, arrival);
    drop(receiving);
    if opened.next_header == NO_NEXT_HEADER {
        return Err(Reason::Dummy);
    }
    let (range, inner) = if sa.transport {
        transport(arena, sa, &payload, opened.next_header, arrival.tos)?
    } else {
        tunnel(arena, sa, payload, opened.next_header, arrival.tos)?
    };
    // RFC 4301, 5.2, step 4.
    if !sa.covers(&inner) {
        return Err(Reason::Selector);
    }
    Ok(Some((range, inner)))
}

fn reason(error: OpenError) -> Reason {
    match error {
        OpenError::Length => Reason::Length,
        OpenError::Replay(Replay::Seen) => Reason::Replay,
        OpenError::Replay(_) => Reason::Late,
        OpenError::Integrity => Reason::Integrity,
        OpenError::Padding => Reason::Padding,
    }
}

/// RFC 7296, 2.23: a NAT may have a new address for the peer; told once for each.
fn tell_mapping(shared: &Shared, sa: &InboundSa, receiving: &mut Receiving, arrival: &Arrival) {
    let known = receiving.seen_from == arrival.remote || sa.leaving.load(Ordering::Relaxed);
    if arrival.encapsulated && !known {
        receiving.seen_from = arrival.remote;
        let (child, remote) = (Some(sa.child), arrival.remote);
        shared.events.tell(KernelEvent::Mapping { child, remote });
    }
}

fn tunnel(
    arena: &mut Arena,
    sa: &InboundSa,
    payload: Range<usize>,
    next_header: u8,
    outer_tos: u8,
) -> Result<(Range<usize>, Inner), Reason> {
    let packet = arena.octets.get_mut(payload.clone()).ok_or(Reason::InnerIn)?;
    let mut inner = Inner::parse(packet).map_err(|_| Reason::InnerIn)?;
    if next_header != if inner.is_v6() { IPV6 } else { IPV4 } {
        return Err(Reason::Protocol);
    }
    let tos = ecn::decapsulated(inner.tos, outer_tos, sa.copy_dscp).ok_or(Reason::Congestion)?;
    if tos != inner.tos {
        ecn::set_tos(packet, tos);
        inner.tos = tos;
    }
    Ok((payload.start..payload.start + inner.len, inner))
}

/// The IP header was not carried: the addresses are the SA's (RFC 7296, 2.23.1), and
/// checksums that a NAT has made wrong are computed anew (RFC 3948, 3.1.2).
fn transport(
    arena: &mut Arena,
    sa: &InboundSa,
    payload: &Range<usize>,
    next_header: u8,
    tos: u8,
) -> Result<(Range<usize>, Inner), Reason> {
    if matches!(next_header, IPV4 | IPV6)
        && !sa
            .traffic
            .iter()
            .any(|pair| pair.local.protocol == next_header || pair.local.protocol == 0)
    {
        return Err(Reason::Protocol);
    }
    let (source, destination) = (sa.remote.ip(), sa.local.ip());
    let len = u16::try_from(payload.len() + 20).map_err(|_| Reason::Length)?;
    let range = match (source, destination) {
        (IpAddr::V4(source), IpAddr::V4(destination)) => {
            let mut header = [0; 20];
            put(&mut header, 0, &[0x45, tos]);
            put16(&mut header, 2, len);
            put(&mut header, 6, &[0x40, 0, HOPS, next_header]);
            put(&mut header, 12, &source.octets());
            put(&mut header, 16, &destination.octets());
            set_ipv4(&mut header);
            arena.rebuild(&header, payload)
        }
        (IpAddr::V6(source), IpAddr::V6(destination)) => {
            let mut header = [0; 40];
            put16(&mut header, 0, 0x6000 | u16::from(tos) << 4);
            put16(&mut header, 4, u16_of(payload.len()));
            put(&mut header, 6, &[next_header, HOPS]);
            put(&mut header, 8, &source.octets());
            put(&mut header, 24, &destination.octets());
            arena.rebuild(&header, payload)
        }
        _ => None,
    }
    .ok_or(Reason::Length)?;
    let packet = arena.octets.get_mut(range.clone()).ok_or(Reason::InnerIn)?;
    let inner = Inner::parse(packet).map_err(|_| Reason::InnerIn)?;
    if sa.encapsulated
        && let (TCP | UDP, false) = (inner.protocol, inner.fragment)
        && let Some(datagram) = packet.get_mut(inner.header..)
        && octet(datagram, 0).is_some()
    {
        checksum::set(source, destination, inner.protocol, datagram);
    }
    Ok((range, inner))
}

/// Whether a datagram on IKE's port is ESP: not the non-ESP marker, not a keepalive
/// (RFC 3948, 2).
#[must_use]
pub(crate) fn is_esp(datagram: &[u8]) -> bool {
    datagram.len() > 8 && be16(datagram, 0).zip(be16(datagram, 2)) != Some((0, 0))
}
