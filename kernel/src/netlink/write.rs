//! Netlink requests as octets.

use std::fmt;
use std::net::IpAddr;
use zeroize::Zeroizing;

/// Wants an answer by itself.
pub(crate) const REQUEST: u16 = 0x1;
/// Wants to be acknowledged.
pub(crate) const ACK: u16 = 0x4;
/// Wants all of a table.
pub(crate) const DUMP: u16 = 0x300;
/// Replaces what is there.
pub(crate) const REPLACE: u16 = 0x100;
/// Must not be there yet.
pub(crate) const EXCLUSIVE: u16 = 0x200;
/// Comes to be.
pub(crate) const CREATE: u16 = 0x400;

/// More than any single request has: keys and replay bitmaps are bounded.
const ROOM: usize = 4096;

/// Requests one behind the other. Keys pass through it: what it held is zeroed.
pub(crate) struct Requests {
    octets: Zeroizing<Vec<u8>>,
    starts: Vec<usize>,
}

impl fmt::Debug for Requests {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Requests({} of {} octets)", self.starts.len(), self.octets.len())
    }
}

/// An attribute whose length is not known yet.
#[derive(Debug)]
pub(crate) struct Open(usize);

impl Requests {
    pub(crate) fn new() -> Self {
        Self { octets: Zeroizing::new(Vec::with_capacity(4 * ROOM)), starts: Vec::new() }
    }

    /// Forgets all requests, and their octets.
    pub(crate) fn clear(&mut self) {
        zeroize::Zeroize::zeroize(self.octets.as_mut_slice());
        self.octets.clear();
        self.starts.clear();
    }

    /// How many requests there are.
    pub(crate) fn len(&self) -> usize {
        self.starts.len()
    }

    /// Starts a request.
    pub(crate) fn begin(&mut self, kind: u16, flags: u16) {
        // A vector that grows by itself would leave keys in freed memory.
        if self.octets.capacity().saturating_sub(self.octets.len()) < ROOM {
            let mut larger = Vec::with_capacity(self.octets.capacity().saturating_mul(2));
            larger.extend_from_slice(&self.octets);
            self.octets = Zeroizing::new(larger);
        }
        self.starts.push(self.octets.len());
        self.u32(0);
        self.u16(kind);
        self.u16(flags | REQUEST);
        self.u32(0);
        self.u32(0);
    }

    /// Ends the request that was started last.
    pub(crate) fn end(&mut self) {
        let Some(start) = self.starts.last().copied() else { return };
        let length = u32::try_from(self.octets.len().saturating_sub(start)).unwrap_or(u32::MAX);
        self.put(start, &length.to_ne_bytes());
    }

    /// Numbers the requests from `first` on and, if it is to be acknowledged, asks for the
    /// last's acknowledgement when none asks for a table: an error is told in any case.
    pub(crate) fn seal(&mut self, first: u32, acknowledged: bool) -> &[u8] {
        let starts = std::mem::take(&mut self.starts);
        let mut seq = first;
        for (number, start) in starts.iter().enumerate() {
            self.put(start.saturating_add(8), &seq.to_ne_bytes());
            seq = seq.wrapping_add(1);
            if number.saturating_add(1) == starts.len() {
                let at = start.saturating_add(6);
                let flags = self.octets.get(at..at.saturating_add(2));
                let flags =
                    flags.and_then(|flags| flags.try_into().ok()).map_or(0, u16::from_ne_bytes);
                if acknowledged && flags & DUMP != DUMP {
                    self.put(at, &(flags | ACK).to_ne_bytes());
                }
            }
        }
        self.starts = starts;
        &self.octets
    }

    fn put(&mut self, at: usize, value: &[u8]) {
        if let Some(place) = self.octets.get_mut(at..at.saturating_add(value.len())) {
            place.copy_from_slice(value);
        }
    }

    pub(crate) fn u8(&mut self, value: u8) {
        self.octets.push(value);
    }

    pub(crate) fn u16(&mut self, value: u16) {
        self.octets.extend_from_slice(&value.to_ne_bytes());
    }

    pub(crate) fn u32(&mut self, value: u32) {
        self.octets.extend_from_slice(&value.to_ne_bytes());
    }

    pub(crate) fn u64(&mut self, value: u64) {
        self.octets.extend_from_slice(&value.to_ne_bytes());
    }

    pub(crate) fn be16(&mut self, value: u16) {
        self.octets.extend_from_slice(&value.to_be_bytes());
    }

    pub(crate) fn be32(&mut self, value: u32) {
        self.octets.extend_from_slice(&value.to_be_bytes());
    }

    pub(crate) fn bytes(&mut self, value: &[u8]) {
        self.octets.extend_from_slice(value);
    }

    pub(crate) fn zeros(&mut self, count: usize) {
        let end = self.octets.len().saturating_add(count);
        self.octets.resize(end, 0);
    }

    /// `text` in a field of `width` octets, with at least one zero behind it.
    pub(crate) fn name(&mut self, text: &str, width: usize) {
        let end = self.octets.len().saturating_add(width);
        let text = text.as_bytes();
        self.bytes(text.get(..width.saturating_sub(1)).unwrap_or(text));
        self.octets.resize(end, 0);
    }

    /// An address in its own length.
    pub(crate) fn ip(&mut self, address: IpAddr) {
        match address {
            IpAddr::V4(v4) => self.bytes(&v4.octets()),
            IpAddr::V6(v6) => self.bytes(&v6.octets()),
        }
    }

    /// Starts an attribute.
    pub(crate) fn open(&mut self, kind: u16) -> Open {
        let open = Open(self.octets.len());
        self.u16(0);
        self.u16(kind);
        open
    }

    /// Ends an attribute.
    pub(crate) fn close(&mut self, open: Open) {
        let length = self.octets.len().saturating_sub(open.0);
        self.put(open.0, &u16::try_from(length).unwrap_or(u16::MAX).to_ne_bytes());
        self.zeros(length.wrapping_neg() & 3);
    }

    /// An attribute with one number.
    pub(crate) fn attribute_u32(&mut self, kind: u16, value: u32) {
        let open = self.open(kind);
        self.u32(value);
        self.close(open);
    }

    /// An attribute with an address.
    pub(crate) fn attribute_ip(&mut self, kind: u16, value: IpAddr) {
        let open = self.open(kind);
        self.ip(value);
        self.close(open);
    }

    /// What `write` writes, without a header.
    pub(crate) fn raw(&mut self, write: impl FnOnce(&mut Self)) -> Vec<u8> {
        self.clear();
        write(self);
        self.octets.to_vec()
    }

    #[cfg(test)]
    pub(crate) fn octets(&self) -> &[u8] {
        &self.octets
    }
}
