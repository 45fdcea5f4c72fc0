//! Appends fields to a growing message; lengths are patched when what they measure is
//! complete.

use crate::EncodeError;

/// A message, or a part of one, that is being written.
#[derive(Debug)]
pub(crate) struct Writer {
    payload: &'static str,
    out: Vec<u8>,
}

impl Writer {
    /// Begins with `out`, on behalf of `payload`.
    pub(crate) fn new(payload: &'static str, out: Vec<u8>) -> Self {
        Self { payload, out }
    }

    /// On behalf of another payload from here on.
    pub(crate) fn name(&mut self, payload: &'static str) {
        self.payload = payload;
    }

    /// What was written.
    pub(crate) fn done(self) -> Vec<u8> {
        self.out
    }

    /// An error about `field` of this payload.
    pub(crate) fn error(&self, field: &'static str) -> EncodeError {
        EncodeError { payload: self.payload, field }
    }

    /// One octet.
    pub(crate) fn u8(&mut self, value: u8) {
        self.out.push(value);
    }

    /// Two octets.
    pub(crate) fn u16(&mut self, value: u16) {
        self.out.extend_from_slice(&value.to_be_bytes());
    }

    /// Octets as they are.
    pub(crate) fn bytes(&mut self, bytes: &[u8]) {
        self.out.extend_from_slice(bytes);
    }

    /// A reserved field: zeros.
    pub(crate) fn reserved<const N: usize>(&mut self) {
        self.bytes(&[0; N]);
    }

    /// A count, or a size, of one octet.
    pub(crate) fn count(&mut self, count: usize, field: &'static str) -> Result<(), EncodeError> {
        let count = u8::try_from(count).map_err(|_| self.error(field))?;
        self.u8(count);
        Ok(())
    }

    /// A length of two octets and what it measures, written by `inside`. The length counts
    /// `before` octets in front of it too (itself included).
    pub(crate) fn measured(
        &mut self,
        before: usize,
        field: &'static str,
        inside: impl FnOnce(&mut Self) -> Result<(), EncodeError>,
    ) -> Result<(), EncodeError> {
        let at = self.out.len();
        self.u16(0);
        let start = self.out.len();
        inside(self)?;
        let length = self.out.len().saturating_sub(start).saturating_add(before);
        let length = u16::try_from(length).map_err(|_| self.error(field))?;
        let missing = self.error(field);
        let place = self.out.get_mut(at..).and_then(<[u8]>::first_chunk_mut::<2>);
        *place.ok_or(missing)? = length.to_be_bytes();
        Ok(())
    }
}
