//! Whole messages (RFC 7296, 3.1): the header and a chain of payloads.

use super::fragment::encode_counters;
use super::payload::{
    Chain, GENERIC_HEADER_LEN, Payload, Place, decode_payloads, encode_payloads, first_of,
};
use crate::numbers::PayloadType;
use crate::reader::Reader;
use crate::writer::Writer;
use crate::{DecodeError, EncodeError, HEADER_LEN, Header, Why};

/// Octets of an SKF payload in front of its body.
const FRAGMENT_HEAD: usize = GENERIC_HEADER_LEN + 4;

/// One message: its header and its payloads in order.
///
/// What an SK payload holds is opaque here: it is decrypted by `crypto`, and its
/// plain text is read by [`decode_chain`](super::decode_chain).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Message {
    /// The header; `next_payload` and `length` are computed by [`Message::encode`].
    pub header: Header,
    /// The payloads in the order of the datagram.
    pub payloads: Vec<Payload>,
}

impl Message {
    /// Reads a whole datagram (without the non-ESP marker). The header's length must be
    /// the datagram's; versions and exchange types are not judged here.
    ///
    /// # Errors
    /// The first field that cannot be read.
    pub fn decode(datagram: &[u8]) -> Result<Self, DecodeError> {
        let (header, reader) = begin(datagram)?;
        let payloads = decode_payloads(Chain::new(header.next_payload, reader, Place::Outer))?;
        Ok(Self { header, payloads })
    }

    /// The datagram. An SK or SKF payload is written as it is, its body already being
    /// encrypted; to build one see [`encode_protected_prefix`].
    ///
    /// # Errors
    /// A value does not fit its field, or something follows an SK or SKF payload.
    pub fn encode(&self) -> Result<Vec<u8>, EncodeError> {
        let mut writer = Writer::new("header", vec![0; HEADER_LEN]);
        encode_payloads(&self.payloads, PayloadType::NONE, Place::Outer, &mut writer)?;
        let first = first_of(&self.payloads, PayloadType::NONE);
        with_header(&self.header, first, writer.done(), 0)
    }
}

/// The header of a datagram, whose length must be the datagram's, and what is behind it.
pub(super) fn begin(datagram: &[u8]) -> Result<(Header, Reader<'_>), DecodeError> {
    let header = Header::peek(datagram)?;
    let mut reader = Reader::new("header", datagram, 0);
    reader.take(HEADER_LEN, "header")?;
    if usize::try_from(header.length) != Ok(datagram.len()) {
        let said = usize::try_from(header.length).unwrap_or(usize::MAX);
        return Err(reader.error("length", Why::Length { said, expected: datagram.len() }));
    }
    Ok((header, reader))
}

/// The octets of a protected message from the header to the generic header of the SK
/// payload, with all lengths set for an SK body (IV, cipher text, padding, ICV) of
/// `body_len` octets. It is what an AEAD authenticates (RFC 5282, 5.1); `crypto` appends
/// the body.
///
/// `outer` are payloads in front of SK, normally none.
///
/// # Errors
/// The message is longer than its length fields can say.
pub fn encode_protected_prefix(
    header: &Header,
    outer: &[Payload],
    first_inner: PayloadType,
    body_len: usize,
) -> Result<Vec<u8>, EncodeError> {
    let mut writer = Writer::new("header", vec![0; HEADER_LEN]);
    encode_payloads(outer, PayloadType::SK, Place::Outer, &mut writer)?;
    writer.name("SK");
    announce(first_inner, GENERIC_HEADER_LEN, body_len, &mut writer)?;
    with_header(header, first_of(outer, PayloadType::SK), writer.done(), body_len)
}

/// As [`encode_protected_prefix`], for fragment `number` of `total` (RFC 7383). Only
/// fragment 1 says what comes first inside; in the others that field is zero.
///
/// # Errors
/// The message is longer than its length fields can say, or `number` is not within
/// 1 to `total`.
pub fn encode_fragment_prefix(
    header: &Header,
    first_inner: PayloadType,
    number: u16,
    total: u16,
    body_len: usize,
) -> Result<Vec<u8>, EncodeError> {
    let mut writer = Writer::new("SKF", vec![0; HEADER_LEN]);
    let first_inner = if number == 1 { first_inner } else { PayloadType::NONE };
    announce(first_inner, FRAGMENT_HEAD, body_len, &mut writer)?;
    encode_counters(number, total, &mut writer)?;
    with_header(header, PayloadType::SKF, writer.done(), body_len)
}

/// A generic header for a payload of `head` octets and a body that is written later.
fn announce(
    next: PayloadType,
    head: usize,
    body_len: usize,
    writer: &mut Writer,
) -> Result<(), EncodeError> {
    let length = head.checked_add(body_len).and_then(|length| u16::try_from(length).ok());
    let length = length.ok_or_else(|| writer.error("payload length"))?;
    writer.u8(next.0);
    writer.reserved::<1>();
    writer.u16(length);
    Ok(())
}

/// Puts the header into the space kept for it at the start of `out`, which `body_len`
/// octets will follow.
fn with_header(
    header: &Header,
    next_payload: PayloadType,
    mut out: Vec<u8>,
    body_len: usize,
) -> Result<Vec<u8>, EncodeError> {
    let too_long = EncodeError { payload: "header", field: "length" };
    let length = out.len().checked_add(body_len).and_then(|length| u32::try_from(length).ok());
    let length = length.ok_or_else(|| too_long.clone())?;
    let head = out.first_chunk_mut::<HEADER_LEN>().ok_or(too_long)?;
    *head = Header { next_payload, length, ..*header }.encode();
    Ok(out)
}

#[cfg(test)]
#[path = "message_tests.rs"]
mod tests;
