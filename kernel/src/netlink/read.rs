//! Netlink answers as values. Whatever the octets are, nothing here panics: a message that
//! ends early ends the reading.

use std::net::IpAddr;

/// One message.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Message<'a> {
    /// What it is.
    pub(crate) kind: u16,
    /// `NLM_F_…`.
    pub(crate) flags: u16,
    /// Of the request that it answers.
    pub(crate) seq: u32,
    /// Port of the socket that caused it; 0: the kernel.
    pub(crate) port: u32,
    /// What follows the header.
    pub(crate) payload: &'a [u8],
}

/// The messages of one datagram.
pub(crate) fn messages(octets: &[u8]) -> Messages<'_> {
    Messages(octets)
}

/// See [`messages`].
#[derive(Debug)]
pub(crate) struct Messages<'a>(&'a [u8]);

impl<'a> Iterator for Messages<'a> {
    type Item = Message<'a>;

    fn next(&mut self) -> Option<Message<'a>> {
        let mut fields = Fields(self.0);
        let length = usize::try_from(fields.u32()?).ok()?;
        let (kind, flags) = (fields.u16()?, fields.u16()?);
        let (seq, port) = (fields.u32()?, fields.u32()?);
        let message = Message { kind, flags, seq, port, payload: self.0.get(16..length)? };
        self.0 = self.0.get(aligned(length)..).unwrap_or(&[]);
        Some(message)
    }
}

/// The attributes in `octets`.
pub(crate) fn attributes(octets: &[u8]) -> Attributes<'_> {
    Attributes(octets)
}

/// See [`attributes`].
#[derive(Debug)]
pub(crate) struct Attributes<'a>(&'a [u8]);

impl<'a> Iterator for Attributes<'a> {
    type Item = (u16, &'a [u8]);

    fn next(&mut self) -> Option<(u16, &'a [u8])> {
        let mut fields = Fields(self.0);
        let length = usize::from(fields.u16()?);
        // The upper two bits say how the value is made, not what it is.
        let kind = fields.u16()? & 0x3fff;
        let value = self.0.get(4..length)?;
        self.0 = self.0.get(aligned(length)..).unwrap_or(&[]);
        Some((kind, value))
    }
}

fn aligned(length: usize) -> usize {
    length.saturating_add(3) & !3
}

/// Reads fields one behind the other.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Fields<'a>(pub(crate) &'a [u8]);

impl<'a> Fields<'a> {
    pub(crate) fn take(&mut self, count: usize) -> Option<&'a [u8]> {
        let (taken, rest) = self.0.split_at_checked(count)?;
        self.0 = rest;
        Some(taken)
    }

    fn array<const N: usize>(&mut self) -> Option<[u8; N]> {
        self.take(N)?.try_into().ok()
    }

    pub(crate) fn u8(&mut self) -> Option<u8> {
        self.array().map(u8::from_ne_bytes)
    }

    pub(crate) fn u16(&mut self) -> Option<u16> {
        self.array().map(u16::from_ne_bytes)
    }

    pub(crate) fn u32(&mut self) -> Option<u32> {
        self.array().map(u32::from_ne_bytes)
    }

    pub(crate) fn i32(&mut self) -> Option<i32> {
        self.array().map(i32::from_ne_bytes)
    }

    pub(crate) fn u64(&mut self) -> Option<u64> {
        self.array().map(u64::from_ne_bytes)
    }

    pub(crate) fn be16(&mut self) -> Option<u16> {
        self.array().map(u16::from_be_bytes)
    }

    pub(crate) fn be32(&mut self) -> Option<u32> {
        self.array().map(u32::from_be_bytes)
    }
}

/// An address of that family at the start of `octets`.
pub(crate) fn ip(family: u16, octets: &[u8]) -> Option<IpAddr> {
    match i32::from(family) {
        libc::AF_INET => Fields(octets).array::<4>().map(IpAddr::from),
        libc::AF_INET6 => Fields(octets).array::<16>().map(IpAddr::from),
        _ => None,
    }
}

/// Text that ends at the first zero.
pub(crate) fn text(octets: &[u8]) -> String {
    let end = octets.iter().position(|octet| *octet == 0).unwrap_or(octets.len());
    String::from_utf8_lossy(octets.get(..end).unwrap_or(octets)).into_owned()
}
