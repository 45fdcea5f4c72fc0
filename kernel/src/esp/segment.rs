//! Large frames from the device cut into packets: TCP and UDP segmentation that the stack
//! has left to us, and IPv4 fragments.

use super::checksum::{self, TCP, UDP, set_ipv4};
use super::inner::Inner;
use super::octets::{be16, be32, octet, put, put16, u16_of};

/// What the device says of a frame (`struct virtio_net_hdr`, in the machine's order).
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct FrameHeader {
    pub(crate) flags: u8,
    pub(crate) gso_type: u8,
    pub(crate) header: u16,
    pub(crate) gso_size: u16,
    pub(crate) checksum_start: u16,
    pub(crate) checksum_offset: u16,
}

/// Octets of a [`FrameHeader`] on the device.
pub(crate) const FRAME_HEADER: usize = 10;
/// The checksum is still to be computed.
pub(crate) const NEEDS_CHECKSUM: u8 = 1;
/// No segmentation.
pub(crate) const GSO_NONE: u8 = 0;
/// TCP in IPv4.
pub(crate) const GSO_TCP4: u8 = 1;
/// TCP in IPv6.
pub(crate) const GSO_TCP6: u8 = 4;
/// UDP.
pub(crate) const GSO_UDP: u8 = 5;
const GSO_ECN: u8 = 0x80;

impl FrameHeader {
    pub(crate) fn read(octets: &[u8]) -> Option<Self> {
        let word = |at| octets.get(at..at + 2)?.try_into().ok().map(u16::from_ne_bytes);
        Some(Self {
            flags: octet(octets, 0)?,
            gso_type: octet(octets, 1)?,
            header: word(2)?,
            gso_size: word(4)?,
            checksum_start: word(6)?,
            checksum_offset: word(8)?,
        })
    }

    pub(crate) fn write(&self) -> [u8; FRAME_HEADER] {
        let mut octets = [self.flags, self.gso_type, 0, 0, 0, 0, 0, 0, 0, 0];
        let words = [self.header, self.gso_size, self.checksum_start, self.checksum_offset];
        for (place, word) in octets.chunks_exact_mut(2).skip(1).zip(words) {
            place.copy_from_slice(&word.to_ne_bytes());
        }
        octets
    }
}

/// How a frame becomes packets.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Segments {
    /// Octets of headers, repeated in each.
    headers: usize,
    /// Octets of payload in all.
    payload: usize,
    /// Octets of payload in each but the last.
    each: usize,
    kind: Kind,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    /// The frame is the packet.
    Whole,
    Tcp,
    Udp,
    /// IPv4 fragments; what the packet's own flags and offset were.
    Fragments {
        bits: u16,
    },
}

impl Segments {
    /// As the device has asked. A checksum that was left to us is completed, in the frame
    /// or in each segment. None: the frame is not what its header says.
    pub(crate) fn of(header: &FrameHeader, frame: &mut [u8], inner: &Inner) -> Option<Self> {
        let kind = match header.gso_type & !GSO_ECN {
            GSO_NONE => {
                if header.flags & NEEDS_CHECKSUM != 0 {
                    let start = usize::from(header.checksum_start);
                    let packet = frame.get_mut(..inner.len)?;
                    if !checksum::complete(packet, start, header.checksum_offset.into()) {
                        return None;
                    }
                }
                return Some(Self {
                    headers: 0,
                    payload: inner.len,
                    each: inner.len.max(1),
                    kind: Kind::Whole,
                });
            }
            GSO_TCP4 | GSO_TCP6 if inner.protocol == TCP => Kind::Tcp,
            GSO_UDP if inner.protocol == UDP => Kind::Udp,
            _ => return None,
        };
        let own = match kind {
            Kind::Tcp => usize::from(octet(frame, inner.header + 12)? >> 4) * 4,
            _ => 8,
        };
        let headers = inner.header + own.max(8);
        let payload = inner.len.checked_sub(headers)?;
        let each = usize::from(header.gso_size);
        (each > 0 && !inner.fragment).then_some(Self { headers, payload, each, kind })
    }

    /// Fragments of at most `largest` octets (RFC 791, 3.2); none where that is too little.
    pub(crate) fn fragments(frame: &[u8], inner: &Inner, largest: usize) -> Option<Self> {
        let headers = usize::from(octet(frame, 0)? & 15) * 4;
        let each = largest.checked_sub(headers)? / 8 * 8;
        let bits = be16(frame, 6)?;
        let payload = inner.len.checked_sub(headers)?;
        (each > 0).then_some(Self { headers, payload, each, kind: Kind::Fragments { bits } })
    }

    /// How many packets.
    pub(crate) fn count(&self) -> usize {
        self.payload.div_ceil(self.each).max(1)
    }

    /// Octets of the largest packet.
    pub(crate) fn largest(&self) -> usize {
        self.headers + self.each.min(self.payload)
    }

    /// Whether the frame is one packet as it is.
    pub(crate) fn is_whole(&self) -> bool {
        self.kind == Kind::Whole
    }

    /// Octets of packet `index`.
    pub(crate) fn len(&self, index: usize) -> usize {
        self.headers + self.each.min(self.payload.saturating_sub(index * self.each))
    }

    /// Writes packet `index` of the frame to `out`; false where it does not fit.
    pub(crate) fn write(&self, frame: &[u8], inner: &Inner, index: usize, out: &mut [u8]) -> bool {
        let begin = self.headers + index * self.each;
        let len = self.len(index);
        let (Some(headers), Some(payload)) =
            (frame.get(..self.headers), frame.get(begin..begin + len - self.headers))
        else {
            return false;
        };
        let Some(out) = out.get_mut(..len) else { return false };
        if !put(out, 0, headers) || !put(out, self.headers, payload) {
            return false;
        }
        match self.kind {
            Kind::Whole => {}
            Kind::Fragments { bits } => self.fragment(bits, index, out),
            Kind::Tcp | Kind::Udp => self.segment(inner, index, out),
        }
        true
    }

    fn fragment(&self, bits: u16, index: usize, out: &mut [u8]) {
        let offset = (bits & 0x1fff).wrapping_add(u16_of(index * self.each / 8));
        let last = index + 1 == self.count();
        let more = if last { bits & 0x2000 } else { 0x2000 };
        put16(out, 2, u16_of(out.len()));
        put16(out, 6, (bits & 0xc000) | more | (offset & 0x1fff));
        if let Some(header) = out.get_mut(..self.headers) {
            set_ipv4(header);
        }
    }

    fn segment(&self, inner: &Inner, index: usize, out: &mut [u8]) {
        let len = out.len();
        let above = inner.header;
        if inner.is_v6() {
            put16(out, 4, u16_of(len - 40));
        } else {
            put16(out, 2, u16_of(len));
            // The stack leaves room for one number a segment.
            let id = be16(out, 4).unwrap_or(0).wrapping_add(u16_of(index));
            put16(out, 4, id);
            if let Some(header) = out.get_mut(..above) {
                set_ipv4(header);
            }
        }
        let Some(datagram) = out.get_mut(above..) else { return };
        if self.kind == Kind::Tcp {
            let offset = u32::try_from(index * self.each).unwrap_or(0);
            let sequence = be32(datagram, 4).unwrap_or(0).wrapping_add(offset);
            put(datagram, 4, &sequence.to_be_bytes());
            let mut flags = octet(datagram, 13).unwrap_or(0);
            if index + 1 < self.count() {
                flags &= !0x09; // FIN, PSH
            }
            if index > 0 {
                flags &= !0x80; // CWR (RFC 3168, 6.1.2)
            }
            put(datagram, 13, &[flags]);
        } else {
            put16(datagram, 4, u16_of(datagram.len()));
            // A device that segments computes the checksum: the field holds none yet.
            put16(datagram, 6, 1);
        }
        checksum::set(inner.source, inner.destination, inner.protocol, datagram);
    }
}

#[cfg(test)]
#[path = "segment_tests.rs"]
mod tests;
