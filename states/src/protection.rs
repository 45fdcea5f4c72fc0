//! SK payloads of one IKE SA, both directions (RFC 7296, 3.14).

use pluto_crypto::{Entropy, Error, IkeCipher, IkeKeys, IkeSuite};
use pluto_wire::v2::{Encrypted, Payload, decode_chain, encode_chain, encode_protected_prefix};
use pluto_wire::{DecodeError, EncodeError, Header};
use std::fmt;

/// The ciphers of both directions. `Clone` is cheap.
#[derive(Debug, Clone)]
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

    /// A whole message whose payloads are all in SK.
    ///
    /// # Errors
    /// The message does not fit, or the library refused.
    pub(crate) fn seal(
        &mut self,
        header: &Header,
        payloads: &[Payload],
        entropy: &mut dyn Entropy,
    ) -> Result<Vec<u8>, SealError> {
        let (first, plain) = encode_chain(payloads)?;
        let body_len = self.send.body_len(plain.len());
        let mut message = encode_protected_prefix(header, &[], first, body_len)?;
        self.sealed = self.sealed.saturating_add(1);
        self.send.seal(&mut message, &plain, self.sealed, entropy)?;
        Ok(message)
    }

    /// The plain text of the SK payload of `datagram`.
    ///
    /// # Errors
    /// It is not from the peer: nothing may be said to its sender.
    pub(crate) fn open(&self, datagram: &[u8], sk: &Encrypted) -> Result<Vec<u8>, Error> {
        self.receive.open(datagram, sk.body_offset)
    }
}

/// The payloads in an SK payload's plain text.
pub(crate) fn inner(sk: &Encrypted, plain: &[u8]) -> Result<Vec<Payload>, DecodeError> {
    decode_chain(sk.first_inner, plain)
}
