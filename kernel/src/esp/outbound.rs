//! The way out: a frame from the device becomes ESP packets, waits, is answered, or is
//! dropped and counted.

use super::batch::{Batch, Route};
use super::codec::{Ivs, SealError};
use super::counts::Reason;
use super::hold::Holding;
use super::inner::Inner;
use super::octets::octet;
use super::sad::{Group, OutboundSa, Sending, group};
use super::segment::{FrameHeader, Segments};
use super::tables::{Shared, Tables};
use super::{ecn, icmp};
use crate::{KernelEvent, PolicyUse, Template};
use pluto_crypto::{Entropy, SystemEntropy};

/// IPv4 inside.
pub(crate) const IPV4: u8 = 4;
/// IPv6 inside.
pub(crate) const IPV6: u8 = 41;
/// No path is assumed to be narrower inside (RFC 8200, 5; RFC 791 has it smaller).
const SMALLEST_MTU: usize = 1280;
/// The longest answer.
const ANSWER: usize = 1280;

/// One worker's state for the way out.
#[derive(Debug)]
pub(crate) struct Outbound {
    ivs: Ivs,
    pub(crate) batch: Batch,
    answer: [u8; ANSWER],
}

impl Default for Outbound {
    fn default() -> Self {
        Self::new(Box::new(SystemEntropy))
    }
}

/// Sends what is in a batch and clears it.
pub(crate) trait Send {
    fn send(&mut self, tables: &Tables, batch: &mut Batch);
}

impl Outbound {
    /// IVs come from `entropy`.
    pub(crate) fn new(entropy: Box<dyn Entropy + std::marker::Send>) -> Self {
        Self { ivs: Ivs::new(entropy), batch: Batch::new(), answer: [0; ANSWER] }
    }

    /// Works on a frame; `now` in seconds. Packets gather in the batch, which is sent where
    /// it is full. Gives an answer for the device, if there is one.
    pub(crate) fn frame(
        &mut self,
        (shared, tables): (&Shared, &Tables),
        header: FrameHeader,
        frame: &mut [u8],
        now: u64,
        send: &mut dyn Send,
    ) -> Option<&[u8]> {
        match self.decide((shared, tables), header, frame, now, send) {
            Ok(None) => None,
            Ok(Some(answer)) => self.answer.get(..answer),
            Err(reason) => {
                shared.counts.add(reason);
                None
            }
        }
    }

    fn decide(
        &mut self,
        (shared, tables): (&Shared, &Tables),
        header: FrameHeader,
        frame: &mut [u8],
        now: u64,
        send: &mut dyn Send,
    ) -> Result<Option<usize>, Reason> {
        let inner = Inner::parse(frame).map_err(|_| Reason::InnerOut)?;
        let policy = tables.spd.find(&inner).ok_or(Reason::NoPolicy)?;
        let template = match &policy.shape.does {
            PolicyUse::Block => return Err(Reason::Blocked),
            PolicyUse::Pass => return Err(Reason::Passed),
            PolicyUse::Tunnel(template) | PolicyUse::Trap(template) => template,
        };
        let group = group_for(template, &inner);
        let Some(sa) = tables.sad.outbound(&group, template.spi, &inner) else {
            let held = (header, frame.get(..inner.len).unwrap_or(&[]));
            return hold(shared, template.reqid, group, held, &inner, now).map(|()| None);
        };
        if sa.transport && inner.fragment {
            // RFC 4303, 3.3.4: transport mode is for whole datagrams.
            return Err(Reason::Fragment);
        }
        let mut segments = Segments::of(&header, frame, &inner).ok_or(Reason::InnerOut)?;
        let mut sending = sa.sending();
        let mut dont_fragment = sa.path_mtu_discovery;
        let room = largest_inner(sa, &sending, &inner);
        if segments.largest() > room && dont_fragment {
            let may_fragment = !inner.dont_fragment && segments.is_whole();
            if may_fragment && !sa.transport {
                segments = Segments::fragments(frame, &inner, room).ok_or(Reason::TooBig)?;
            } else if may_fragment || inner.is_v6() && segments.largest() <= SMALLEST_MTU {
                // In fragments outside. IPv6's smallest MTU must always pass.
                dont_fragment = false;
            } else {
                shared.counts.add(Reason::TooBig);
                let mtu = if inner.is_v6() { room.max(SMALLEST_MTU) } else { room };
                return Ok(icmp::too_big(&mut self.answer, frame, &inner, mtu));
            }
        }
        let route = Route {
            local: sa.local,
            remote: sa.remote,
            encapsulated: sa.encapsulated,
            tos: ecn::outer(inner.tos, sa.copy_dscp),
            dont_fragment,
        };
        for index in 0..segments.count() {
            if self.batch.is_full() {
                send.send(tables, &mut self.batch);
            }
            self.seal(shared, (sa, &mut sending), route, (&segments, index), (frame, &inner))?;
        }
        Ok(None)
    }

    fn seal(
        &mut self,
        shared: &Shared,
        (sa, sending): (&OutboundSa, &mut Sending),
        route: Route,
        (segments, index): (&Segments, usize),
        (frame, inner): (&[u8], &Inner),
    ) -> Result<(), Reason> {
        sending.usage.alive().map_err(|lifetime| {
            shared.tell_lifetime_out(sa, lifetime);
            Reason::Ended
        })?;
        let room = self.batch.room();
        let at = sending.sealer.payload_at();
        // Transport mode leaves the IP header to the outer packet: what is written in its
        // place is overwritten by ESP's header, or lies in front of it.
        let strip = if sa.transport { base_header(frame, inner) } else { 0 };
        let begin = at.saturating_sub(strip);
        let shift = strip.saturating_sub(at);
        let out = room.get_mut(begin..).ok_or(Reason::Seal)?;
        if !segments.write(frame, inner, index, out) {
            return Err(Reason::Seal);
        }
        let len = segments.len(index);
        let (next_header, payload) = if sa.transport {
            let next = if inner.is_v6() { 6 } else { 9 };
            (octet(frame, next).ok_or(Reason::Seal)?, len.saturating_sub(strip))
        } else {
            (if inner.is_v6() { IPV6 } else { IPV4 }, padded(sa, sending, room, at, len))
        };
        let room = room.get_mut(shift..).ok_or(Reason::Seal)?;
        let sealed = sending.sealer.seal(room, payload, next_header, &mut self.ivs);
        let sealed = sealed.map_err(|error| match error {
            SealError::Exhausted => {
                shared.tell_lifetime_out(sa, sending.usage.end());
                Reason::Ended
            }
            SealError::Room | SealError::Cipher => Reason::Seal,
        })?;
        if shift > 0 {
            self.batch.room().copy_within(shift..shift + sealed, 0);
        }
        self.batch.commit(sealed, route, sa.child);
        let sequence = if sending.esn { 0 } else { sending.sealer.sequence() };
        let lifetime = sending.usage.count(len, sequence);
        shared.tell_lifetime_out(sa, lifetime);
        Ok(())
    }
}

/// Fills the payload up to the size that traffic flow confidentiality wants (RFC 4303, 2.7).
fn padded(sa: &OutboundSa, sending: &Sending, room: &mut [u8], at: usize, len: usize) -> usize {
    if sa.tfc <= len {
        return len;
    }
    let wanted = sa.tfc.min(sending.sealer.largest_payload(sa.largest_packet())).max(len);
    match room.get_mut(at + len..at + wanted) {
        Some(padding) => {
            padding.fill(0);
            wanted
        }
        None => len,
    }
}

/// The largest inner packet that the path takes.
fn largest_inner(sa: &OutboundSa, sending: &Sending, inner: &Inner) -> usize {
    let payload = sending.sealer.largest_payload(sa.largest_packet());
    if !sa.transport {
        payload
    } else if inner.is_v6() {
        payload + 40
    } else {
        payload + 20
    }
}

/// Octets of the IP header without IPv6's extension headers.
fn base_header(frame: &[u8], inner: &Inner) -> usize {
    if inner.is_v6() { 40 } else { usize::from(octet(frame, 0).unwrap_or(0) & 15) * 4 }
}

/// The SAs that may carry a packet. A template for anyone means this packet's destination.
fn group_for(template: &Template, inner: &Inner) -> Group {
    let mut group = group(template);
    if group.1.is_unspecified() {
        group.1 = inner.destination;
    }
    group
}

/// No SA yet: the packet waits, and the first one asks for it.
fn hold(
    shared: &Shared,
    reqid: u32,
    group: Group,
    (header, packet): (FrameHeader, &[u8]),
    inner: &Inner,
    now: u64,
) -> Result<(), Reason> {
    let (holding, expired) = shared.holds().hold(group, header, packet, now);
    for _ in 0..expired {
        shared.counts.add(Reason::HoldExpired);
    }
    match holding {
        Holding::Full => return Err(Reason::HoldFull),
        Holding::Waits => {}
        Holding::First => {
            let (source_port, destination_port) = inner.ports.unwrap_or_default();
            shared.events.tell(KernelEvent::Acquire {
                reqid,
                source: inner.source,
                destination: inner.destination,
                protocol: inner.protocol,
                source_port,
                destination_port,
            });
        }
    }
    Ok(())
}

#[cfg(test)]
#[path = "outbound_tests.rs"]
mod tests;
