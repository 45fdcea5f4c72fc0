//! Packets for the device joined into large frames, as network cards do it: the segments
//! of a TCP or UDP flow that follow each other cross the stack as one.
//!
//! Nothing is copied: a frame is its first packet and, behind that, where the others'
//! payloads lie.

use super::checksum::{self, TCP, UDP, changed, pseudo_header};
use super::inner::Inner;
use super::octets::{be16, be32, octet, put, put16, u16_of};
use super::segment::{FrameHeader, GSO_TCP4, GSO_TCP6, GSO_UDP, NEEDS_CHECKSUM};
use std::ops::Range;

/// Frames that are joined at a time.
const RUNS: usize = 32;
/// An IP packet's length has 16 bits.
const LARGEST: usize = 65_535;
/// Parts of one frame: what one system call takes, less the headers.
const PARTS: usize = 256;

/// Flags of TCP that end a run, or that a run cannot hold.
const FIN_PSH: u8 = 0x09;
const SYN_RST_URG: u8 = 0x26;

#[derive(Debug)]
struct Run {
    /// The first packet; its headers are the frame's.
    first: Range<usize>,
    /// Payloads of the others.
    parts: Vec<Range<usize>>,
    inner: Inner,
    /// Octets of IP and TCP or UDP headers; 0 where nothing may be joined.
    headers: usize,
    /// Octets of payload in the first.
    each: usize,
    len: usize,
    next: u32,
    /// The first packet's checksum: known to be right.
    checked: bool,
    open: bool,
    /// TCP flags that the last packet adds.
    flags: u8,
}

/// Joins packets until they are written.
#[derive(Debug)]
pub(crate) struct Coalescer {
    runs: Vec<Run>,
    /// Emptied runs, for their memory.
    spare: Vec<Run>,
    tcp: bool,
    udp: bool,
}

impl Coalescer {
    /// What the device takes: large TCP frames, large UDP frames.
    pub(crate) fn new(tcp: bool, udp: bool) -> Self {
        Self { runs: Vec::with_capacity(RUNS), spare: Vec::with_capacity(RUNS), tcp, udp }
    }

    /// No more packets before the next flush.
    pub(crate) fn is_full(&self) -> bool {
        self.runs.len() >= RUNS
    }

    /// Takes the packet at `at` in `arena`.
    pub(crate) fn add(&mut self, arena: &[u8], at: Range<usize>, inner: &Inner) {
        let packet = arena.get(at.clone()).unwrap_or(&[]);
        let headers = self.headers(packet, inner);
        if headers != 0
            && let Some(run) =
                self.runs.iter_mut().rev().find(|run| run.headers != 0 && same_flow(run, inner))
        {
            if run.takes(arena, packet, inner, headers) {
                run.append(packet, at, headers);
                return;
            }
            run.open = false;
        }
        let mut run = self.spare.pop().unwrap_or_else(|| Run::empty(*inner));
        run.start(packet, at, inner, headers);
        self.runs.push(run);
    }

    /// Octets of headers of a packet that others may be joined to, else 0.
    fn headers(&self, packet: &[u8], inner: &Inner) -> usize {
        // Options and extension headers need not be the same in all: left alone.
        if inner.fragment || inner.header != if inner.is_v6() { 40 } else { 20 } {
            return 0;
        }
        match inner.protocol {
            TCP if self.tcp => {
                let own = usize::from(octet(packet, inner.header + 12).unwrap_or(0) >> 4) * 4;
                let flags = octet(packet, inner.header + 13).unwrap_or(0xff);
                let headers = inner.header + own;
                if own < 20 || headers >= inner.len || flags & SYN_RST_URG != 0 {
                    return 0;
                }
                headers
            }
            UDP if self.udp => {
                let headers = inner.header + 8;
                let named = usize::from(be16(packet, inner.header + 4).unwrap_or(0));
                let summed = be16(packet, inner.header + 6).unwrap_or(0) != 0;
                if headers >= inner.len || named != inner.len - inner.header || !summed {
                    return 0;
                }
                headers
            }
            _ => 0,
        }
    }

    /// Hands out the frames in the order of their first packets: a header for the device
    /// and the parts in `arena`.
    pub(crate) fn flush(
        &mut self,
        arena: &mut [u8],
        mut write: impl FnMut(&[u8], FrameHeader, &Range<usize>, &[Range<usize>]),
    ) {
        for mut run in self.runs.drain(..) {
            let header = run.finish(arena);
            write(arena, header, &run.first, &run.parts);
            run.parts.clear();
            self.spare.push(run);
        }
    }
}

fn same_flow(run: &Run, inner: &Inner) -> bool {
    let had = &run.inner;
    (had.ports, had.protocol, had.source, had.destination)
        == (inner.ports, inner.protocol, inner.source, inner.destination)
}

impl Run {
    fn empty(inner: Inner) -> Self {
        Self {
            first: 0..0,
            parts: Vec::with_capacity(PARTS),
            inner,
            headers: 0,
            each: 0,
            len: 0,
            next: 0,
            checked: false,
            open: false,
            flags: 0,
        }
    }

    fn start(&mut self, packet: &[u8], at: Range<usize>, inner: &Inner, headers: usize) {
        self.first = at;
        self.parts.clear();
        self.inner = *inner;
        self.headers = headers;
        self.each = inner.len - headers.min(inner.len);
        self.len = inner.len;
        let sequence = be32(packet, inner.header + 4).unwrap_or(0);
        self.next = sequence.wrapping_add(u32::try_from(self.each).unwrap_or(0));
        self.checked = false;
        self.flags = octet(packet, inner.header + 13).unwrap_or(0) & FIN_PSH;
        self.open = headers != 0 && (inner.protocol == UDP || self.flags == 0);
    }

    /// Whether a packet of the same flow continues this run.
    fn takes(&mut self, arena: &[u8], packet: &[u8], inner: &Inner, headers: usize) -> bool {
        let payload = inner.len - headers;
        let first = arena.get(self.first.clone()).unwrap_or(&[]);
        let fits = self.open
            && headers == self.headers
            && payload <= self.each
            && self.len + payload <= LARGEST
            && self.parts.len() < PARTS
            && self.same_ip_header(first, packet);
        if !fits || (inner.protocol == TCP && !self.same_tcp_header(first, packet)) {
            return false;
        }
        // A wrong checksum must reach its receiver as a wrong one.
        let right = |packet: &[u8], inner: &Inner| {
            let datagram = packet.get(inner.header..inner.len).unwrap_or(&[]);
            checksum::is_right(inner.source, inner.destination, inner.protocol, datagram)
        };
        self.checked = self.checked || right(first, &self.inner);
        if !self.checked {
            self.open = false;
        }
        self.checked && right(packet, inner)
    }

    /// All but lengths, numbers and checksum.
    fn same_ip_header(&self, first: &[u8], packet: &[u8]) -> bool {
        let same = |range: Range<usize>| first.get(range.clone()) == packet.get(range);
        if self.inner.is_v6() {
            return same(0..4) && same(6..8);
        }
        let count = u16_of(self.parts.len() + 1);
        let numbered = || {
            let number = be16(first, 4).unwrap_or(0).wrapping_add(count);
            be16(packet, 4) == Some(number)
        };
        // With DF the number means nothing (RFC 6864, 4.1).
        same(0..2) && same(6..10) && (self.inner.dont_fragment || numbered())
    }

    fn same_tcp_header(&self, first: &[u8], packet: &[u8]) -> bool {
        let at = self.inner.header;
        let same = |from: usize, to: usize| first.get(at + from..to) == packet.get(at + from..to);
        let flags = |packet: &[u8]| octet(packet, at + 13).unwrap_or(0) & !FIN_PSH;
        checksum::tcp_sequence(packet.get(at..).unwrap_or(&[])) == Some(self.next)
            && same(8, at + 13)
            && flags(first) == flags(packet)
            && same(14, at + 16)
            && same(18, self.headers)
    }

    fn append(&mut self, packet: &[u8], at: Range<usize>, headers: usize) {
        let payload = self.len_of(&at, headers);
        self.parts.push(at.start + headers..at.end);
        self.len += payload;
        self.next = self.next.wrapping_add(u32::try_from(payload).unwrap_or(0));
        if self.inner.protocol == TCP {
            self.flags |= octet(packet, self.inner.header + 13).unwrap_or(0) & FIN_PSH;
            self.open = self.flags == 0;
        }
        // Only the last may be shorter.
        self.open &= payload == self.each;
    }

    fn len_of(&self, at: &Range<usize>, headers: usize) -> usize {
        at.len().saturating_sub(headers)
    }

    /// Makes the first packet's headers the frame's.
    fn finish(&mut self, arena: &mut [u8]) -> FrameHeader {
        let Some(first) = arena.get_mut(self.first.clone()).filter(|_| !self.parts.is_empty())
        else {
            return FrameHeader::default();
        };
        let inner = &self.inner;
        if inner.is_v6() {
            put16(first, 4, u16_of(self.len - 40));
        } else {
            let (before, after) = (be16(first, 2).unwrap_or(0), u16_of(self.len));
            let sum = changed(be16(first, 10).unwrap_or(0), before, after);
            put16(first, 2, after);
            put16(first, 10, sum);
        }
        let above = inner.header;
        let datagram = self.len - above;
        let (offset, gso_type) = if inner.protocol == TCP {
            let flags = octet(first, above + 13).unwrap_or(0) | self.flags;
            put(first, above + 13, &[flags]);
            (16, if inner.is_v6() { GSO_TCP6 } else { GSO_TCP4 })
        } else {
            put16(first, above + 4, u16_of(datagram));
            (6, GSO_UDP)
        };
        // The stack completes it, if it ever has to: the field holds the pseudo header.
        let pseudo = pseudo_header(inner.source, inner.destination, inner.protocol, datagram);
        put16(first, above + offset, pseudo.folded());
        FrameHeader {
            flags: NEEDS_CHECKSUM,
            gso_type,
            header: u16_of(self.headers),
            gso_size: u16_of(self.each),
            checksum_start: u16_of(above),
            checksum_offset: u16_of(offset),
        }
    }
}

#[cfg(test)]
#[path = "coalesce_tests.rs"]
mod tests;
