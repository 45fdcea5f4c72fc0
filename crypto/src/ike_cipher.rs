//! Protection of IKE messages: SK and SKF payloads (RFC 7296, 3.14; RFC 5282).

use crate::algorithms::{EncrInfo, IntegInfo, encr_with_key, integ_beside};
use crate::cipher::{Cipher, Direction};
use crate::error::library;
use crate::mac::Mac;
use crate::{Entropy, Error, IkeSuite, Secret};
use pluto_wire::numbers::{EncrId, IntegId};
use std::fmt;
use std::sync::Arc;
use zeroize::Zeroize;

/// One direction's protection.
///
/// `Clone` shares the keys. An IV counter is not kept here: the caller gives a fresh one
/// with every [`IkeCipher::seal`].
///
/// The keys are kept as they are, some 250 octets in all, and expanded for each message:
/// that costs 0.2 µs with AES-GCM and 0.4 µs with AES-CBC and HMAC-SHA2-256, while an
/// expanded AES-GCM key has 0.6 KB, one for AES-CBC 0.5 KB and one for an HMAC 1.2 KB, and
/// an IKE SA may see no message for an hour.
#[derive(Clone)]
pub struct IkeCipher(Arc<Keys>);

struct Keys {
    encr: EncrId,
    encr_bits: u16,
    integ: IntegId,
    encr_info: EncrInfo,
    integ_info: IntegInfo,
    encr_key: Secret,
    integ_key: Secret,
}

/// What came out of an SK payload.
pub type Opened = Vec<u8>;

impl IkeCipher {
    /// From SK_e (key and salt) and SK_a of one direction.
    ///
    /// # Errors
    /// An algorithm is not implemented or not for IKE, or a key has the wrong length.
    pub fn new(suite: &IkeSuite, encr_key: &Secret, integ_key: &Secret) -> Result<Self, Error> {
        let (encr_info, octets) = encr_with_key(suite.encr, suite.encr_bits)?;
        if !encr_info.ike {
            return Err(Error::UnsupportedEncr(suite.encr, suite.encr_bits));
        }
        let integ_info = integ_beside(&encr_info, suite.integ)?;
        if encr_key.len() != octets + encr_info.salt || integ_key.len() != integ_info.key {
            return Err(library("a key of the IKE SA has the wrong length"));
        }
        Ok(Self(Arc::new(Keys {
            encr: suite.encr,
            encr_bits: suite.encr_bits,
            integ: suite.integ,
            encr_info,
            integ_info,
            encr_key: encr_key.clone(),
            integ_key: integ_key.clone(),
        })))
    }

    /// What [`Self::new`] was given.
    pub(crate) fn parts(&self) -> (EncrId, u16, IntegId, &Secret, &Secret) {
        let Keys { encr, encr_bits, integ, encr_key, integ_key, .. } = &*self.0;
        (*encr, *encr_bits, *integ, encr_key, integ_key)
    }

    /// Octets of an SK body (IV, cipher text, padding, ICV) for this much plain text.
    #[must_use]
    pub fn body_len(&self, plain_len: usize) -> usize {
        let Keys { encr_info, .. } = &*self.0;
        encr_info.iv + padded(plain_len, encr_info.block) + self.icv_len()
    }

    fn icv_len(&self) -> usize {
        self.0.encr_info.icv + self.0.integ_info.icv
    }

    /// Appends the SK body for `plain` to `message`, which holds all octets from the
    /// header to the SK payload's generic header (and, for SKF, its fragment numbers),
    /// with lengths already set for [`IkeCipher::body_len`].
    ///
    /// `unique` must never repeat for this key: counter-based IVs are made of it
    /// (RFC 5282, 3.1); CBC takes its IV from `entropy`.
    ///
    /// # Errors
    /// The library refused; `message` is as it was.
    pub fn seal(
        &self,
        message: &mut Vec<u8>,
        plain: &[u8],
        unique: u64,
        entropy: &mut dyn Entropy,
    ) -> Result<(), Error> {
        let before = message.len();
        let sealed = self.append_sealed(message, plain, unique, entropy);
        if sealed.is_err() {
            message.get_mut(before..).unwrap_or(&mut []).zeroize();
            message.truncate(before);
        }
        sealed
    }

    fn append_sealed(
        &self,
        message: &mut Vec<u8>,
        plain: &[u8],
        unique: u64,
        entropy: &mut dyn Entropy,
    ) -> Result<(), Error> {
        let Keys { encr_info, integ, integ_key, .. } = &*self.0;
        let before = message.len();
        let text = padded(plain.len(), encr_info.block);
        let padding = text - plain.len() - 1;

        message.reserve(self.body_len(plain.len()));
        if encr_info.block == 1 {
            message.extend_from_slice(&unique.to_be_bytes());
        } else {
            message.resize(before + encr_info.iv, 0);
            entropy.fill(message.get_mut(before..).unwrap_or(&mut []));
        }
        message.extend_from_slice(plain);
        message.resize(message.len() + padding, 0);
        // At most a block, so it fits.
        message.push(u8::try_from(padding).unwrap_or_default());
        message.resize(message.len() + self.icv_len(), 0);

        let (head, body) = message.split_at_mut_checked(before).ok_or_else(impossible)?;
        let (iv, rest) = body.split_at_mut_checked(encr_info.iv).ok_or_else(impossible)?;
        let (payload, icv) = rest.split_at_mut_checked(text).ok_or_else(impossible)?;
        let mut cipher = self.cipher(Direction::Seal)?;
        if encr_info.is_aead() {
            return cipher.seal(head, iv, payload, icv);
        }
        cipher.seal(&[], iv, payload, &mut [])?;
        // Over everything before the ICV, the cipher text included (RFC 7296, 3.14).
        let tag = Mac::integrity(*integ, integ_key.expose())?.compute(&[head, iv, payload])?;
        icv.copy_from_slice(tag.truncated(icv.len()).ok_or_else(impossible)?);
        Ok(())
    }

    /// Checks and decrypts the SK body that starts at `body_offset` of `message` and
    /// ends with it; the padding is removed.
    ///
    /// # Errors
    /// `Integrity`, or `Malformed` where the length or the padding is impossible.
    pub fn open(&self, message: &[u8], body_offset: usize) -> Result<Opened, Error> {
        const SHORT: Error = Error::Malformed("the encrypted payload is too short");
        let Keys { encr_info, integ, integ_key, .. } = &*self.0;
        let (head, body) = message.split_at_checked(body_offset).ok_or(SHORT)?;
        let (iv, rest) = body.split_at_checked(encr_info.iv).ok_or(SHORT)?;
        let text = rest.len().checked_sub(self.icv_len()).filter(|n| *n != 0).ok_or(SHORT)?;
        let (payload, icv) = rest.split_at_checked(text).ok_or(SHORT)?;

        let aead = encr_info.is_aead();
        if !aead {
            Mac::integrity(*integ, integ_key.expose())?.verify(&[head, iv, payload], icv)?;
        }
        let mut plain = payload.to_vec();
        let icv = if aead { icv } else { &[] };
        self.cipher(Direction::Open)?.open(head, iv, &mut plain, icv)?;

        // What the padding holds is the sender's affair (RFC 7296, 3.14).
        let padding = usize::from(plain.last().copied().unwrap_or_default());
        let left = plain
            .len()
            .checked_sub(padding + 1)
            .ok_or(Error::Malformed("the encrypted payload has more padding than octets"))?;
        plain.truncate(left);
        Ok(plain)
    }

    fn cipher(&self, direction: Direction) -> Result<Cipher, Error> {
        let Keys { encr, encr_bits, encr_key, .. } = &*self.0;
        Cipher::new(*encr, *encr_bits, encr_key.expose(), direction)
    }
}

impl fmt::Debug for IkeCipher {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Keys { encr, encr_bits, integ, .. } = &*self.0;
        write!(f, "IkeCipher({encr}_{encr_bits}, {integ})")
    }
}

/// Octets of plain text, the least padding and the pad length octet.
fn padded(plain: usize, block: usize) -> usize {
    (plain + 1).next_multiple_of(block)
}

fn impossible() -> Error {
    library("the parts of an encrypted payload do not fit together")
}

#[cfg(test)]
mod tests;
