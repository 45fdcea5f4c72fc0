//! SK and SKF payloads of one IKE SA, both directions (RFC 7296, 3.14; RFC 7383).

use crate::fragments::{Outgoing, Parcel, Sizes};
use pluto_crypto::{Entropy, Error, IkeCipher, IkeKeys, IkeSuite};
use pluto_wire::numbers::PayloadType;
use pluto_wire::v2::{
    Payload, decode_chain, encode_chain, encode_fragment_prefix, encode_protected_prefix,
};
use pluto_wire::{DecodeError, EncodeError, HEADER_LEN, Header};
use std::fmt;

/// Octets in front of the body of an SK payload: the header and its generic header.
const SK_PREFIX: usize = HEADER_LEN + 4;

/// The same for an SKF payload, which has two counters more.
const SKF_PREFIX: usize = SK_PREFIX + 4;

/// Fragments that we make of a message: as many as every peer takes.
const MOST_FRAGMENTS: usize = 32;

/// The ciphers of both directions. `Clone` is cheap.
#[derive(Debug, Clone, serde::Serialize, serde::Deserialize)]
pub(crate) struct Protection {
    send: IkeCipher,
    receive: IkeCipher,
    /// Messages sealed so far: an IV of a counter mode must not repeat (RFC 5282, 3.1).
    sealed: u64,
}

/// Why a message of ours could not be made: a local fault.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum SealError {
    /// It does not fit.
    Encode(EncodeError),
    /// The library refused.
    Crypto(Error),
}

impl fmt::Display for SealError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Encode(error) => error.fmt(f),
            Self::Crypto(error) => error.fmt(f),
        }
    }
}

impl From<EncodeError> for SealError {
    fn from(error: EncodeError) -> Self {
        Self::Encode(error)
    }
}

impl From<Error> for SealError {
    fn from(error: Error) -> Self {
        Self::Crypto(error)
    }
}

impl Protection {
    /// From the keys of an IKE SA, as its original initiator or responder.
    ///
    /// # Errors
    /// An algorithm of the suite is not implemented.
    pub(crate) fn new(suite: &IkeSuite, keys: &IkeKeys, initiator: bool) -> Result<Self, Error> {
        let from_initiator = IkeCipher::new(suite, &keys.ei, &keys.ai)?;
        let from_responder = IkeCipher::new(suite, &keys.er, &keys.ar)?;
        let (send, receive) = if initiator {
            (from_initiator, from_responder)
        } else {
            (from_responder, from_initiator)
        };
        Ok(Self { send, receive, sealed: 0 })
    }

    /// A message whose payloads are all in SK, or in fragments where it is larger than
    /// `sizes` allows.
    ///
    /// # Errors
    /// The message does not fit, or the library refused.
    pub(crate) fn seal(
        &mut self,
        header: &Header,
        payloads: &[Payload],
        sizes: Sizes,
        entropy: &mut dyn Entropy,
    ) -> Result<Outgoing, SealError> {
        let (first, plain) = encode_chain(payloads)?;
        let whole = SK_PREFIX.saturating_add(self.send.body_len(plain.len()));
        let splits = |size: Option<usize>| {
            let room = self.room(size.filter(|size| whole > *size)?)?;
            (plain.len().div_ceil(room) <= MOST_FRAGMENTS).then_some(room)
        };
        let (room, smaller_room) = (splits(sizes.first), splits(sizes.smaller));
        let smaller = match smaller_room {
            Some(room) => Some(self.fragments(header, first, &plain, room, entropy)?),
            None => None,
        };
        let first = match room {
            Some(room) => self.fragments(header, first, &plain, room, entropy)?,
            None => Parcel::Whole(self.whole(header, first, &plain, entropy)?.into()),
        };
        Ok(Outgoing { first, smaller })
    }

    fn whole(
        &mut self,
        header: &Header,
        first: PayloadType,
        plain: &[u8],
        entropy: &mut dyn Entropy,
    ) -> Result<Vec<u8>, SealError> {
        let body_len = self.send.body_len(plain.len());
        let mut message = encode_protected_prefix(header, &[], first, body_len)?;
        self.append(&mut message, plain, entropy)?;
        Ok(message)
    }

    /// Octets of plain text in a fragment of `size` octets; none: not even one.
    fn room(&self, size: usize) -> Option<usize> {
        let fits = |plain: &usize| SKF_PREFIX.saturating_add(self.send.body_len(*plain)) <= size;
        // Less the IV and the ICV, and then less than two blocks of padding.
        let most = size.checked_sub(SKF_PREFIX.saturating_add(self.send.body_len(0)))?;
        (1..=most.saturating_add(32)).rev().find(fits)
    }

    fn fragments(
        &mut self,
        header: &Header,
        first: PayloadType,
        plain: &[u8],
        room: usize,
        entropy: &mut dyn Entropy,
    ) -> Result<Parcel, SealError> {
        let too_long = || EncodeError { payload: "SKF", field: "total fragments" };
        let total = plain.len().div_ceil(room.max(1));
        let total = u16::try_from(total).map_err(|_| too_long())?;
        let mut fragments = Vec::with_capacity(total.into());
        for (number, part) in (1..=total).zip(plain.chunks(room.max(1))) {
            let body_len = self.send.body_len(part.len());
            let mut message = encode_fragment_prefix(header, first, number, total, body_len)?;
            self.append(&mut message, part, entropy)?;
            fragments.push(message);
        }
        Ok(Parcel::Fragments(fragments.into()))
    }

    fn append(
        &mut self,
        message: &mut Vec<u8>,
        plain: &[u8],
        entropy: &mut dyn Entropy,
    ) -> Result<(), SealError> {
        self.sealed = self.sealed.saturating_add(1);
        Ok(self.send.seal(message, plain, self.sealed, entropy)?)
    }

    /// The plain text of the SK or SKF payload whose body begins at `body_offset` of
    /// `datagram`.
    ///
    /// # Errors
    /// It is not from the peer: nothing may be said to its sender.
    pub(crate) fn open(&self, datagram: &[u8], body_offset: usize) -> Result<Vec<u8>, Error> {
        self.receive.open(datagram, body_offset)
    }
}

/// The payloads in a plain text that begins with one of type `first`.
pub(crate) fn inner(first: PayloadType, plain: &[u8]) -> Result<Vec<Payload>, DecodeError> {
    decode_chain(first, plain)
}
