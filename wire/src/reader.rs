//! Reads fields off the front of a slice; every error names the payload and the field.

use crate::{DecodeError, Why};

/// What is left to read of one payload.
///
/// Nothing here indexes or adds without a check, so that no length that a peer writes
/// can reach beyond its slice.
#[derive(Debug)]
pub(crate) struct Reader<'a> {
    payload: &'static str,
    bytes: &'a [u8],
    offset: usize,
}

impl<'a> Reader<'a> {
    /// Reads `bytes`, which start at `offset` of the datagram, on behalf of `payload`.
    pub(crate) fn new(payload: &'static str, bytes: &'a [u8], offset: usize) -> Self {
        Self { payload, bytes, offset }
    }

    /// On behalf of another payload from here on.
    pub(crate) fn name(&mut self, payload: &'static str) {
        self.payload = payload;
    }

    /// Octets that are left.
    pub(crate) fn left(&self) -> usize {
        self.bytes.len()
    }

    /// Where in the datagram the next octet is.
    pub(crate) fn offset(&self) -> usize {
        self.offset
    }

    /// An error about `field` of this payload.
    pub(crate) fn error(&self, field: &'static str, why: Why) -> DecodeError {
        DecodeError { payload: self.payload, field, why }
    }

    /// The next `count` octets.
    pub(crate) fn take(
        &mut self,
        count: usize,
        field: &'static str,
    ) -> Result<&'a [u8], DecodeError> {
        let Some((taken, rest)) = self.bytes.split_at_checked(count) else {
            return Err(self.error(field, Why::Truncated { needed: count, left: self.left() }));
        };
        self.bytes = rest;
        self.offset = self.offset.saturating_add(count);
        Ok(taken)
    }

    /// The next `N` octets.
    pub(crate) fn array<const N: usize>(
        &mut self,
        field: &'static str,
    ) -> Result<[u8; N], DecodeError> {
        let Some((taken, rest)) = self.bytes.split_first_chunk::<N>() else {
            return Err(self.error(field, Why::Truncated { needed: N, left: self.left() }));
        };
        self.bytes = rest;
        self.offset = self.offset.saturating_add(N);
        Ok(*taken)
    }

    /// One octet.
    pub(crate) fn u8(&mut self, field: &'static str) -> Result<u8, DecodeError> {
        let [value] = self.array(field)?;
        Ok(value)
    }

    /// Two octets, most significant first, as everywhere in IKE.
    pub(crate) fn u16(&mut self, field: &'static str) -> Result<u16, DecodeError> {
        Ok(u16::from_be_bytes(self.array(field)?))
    }

    /// Octets that the receiver must ignore (RFC 7296, 2.5).
    pub(crate) fn reserved<const N: usize>(&mut self) -> Result<(), DecodeError> {
        self.array::<N>("reserved").map(|_| ())
    }

    /// All octets that are left.
    pub(crate) fn rest(&mut self) -> &'a [u8] {
        let (taken, rest) = self.bytes.split_at(self.bytes.len());
        self.bytes = rest;
        self.offset = self.offset.saturating_add(taken.len());
        taken
    }

    /// A length of two octets which counts `before` octets in front of what it measures
    /// (itself included), and a reader of what it measures.
    pub(crate) fn measured(
        &mut self,
        before: usize,
        field: &'static str,
    ) -> Result<Reader<'a>, DecodeError> {
        let said = usize::from(self.u16(field)?);
        let Some(inside) = said.checked_sub(before) else {
            return Err(self.error(field, Why::Length { said, expected: before }));
        };
        let offset = self.offset;
        let bytes = self.take(inside, field)?;
        Ok(Reader::new(self.payload, bytes, offset))
    }

    /// Makes sure that nothing is left behind `field`, the last one.
    pub(crate) fn finish(&self, field: &'static str) -> Result<(), DecodeError> {
        match self.left() {
            0 => Ok(()),
            left => Err(self.error(field, Why::Trailing(left))),
        }
    }
}
