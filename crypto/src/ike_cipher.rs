//! Protection of IKE messages: SK and SKF payloads (RFC 7296, 3.14; RFC 5282).

use crate::{Entropy, Error, IkeSuite, Secret};

/// One direction's protection. The key schedule is computed once, here.
///
/// `Clone` shares what is expensive. An IV counter is not kept here: the caller gives a
/// fresh one with every [`IkeCipher::seal`].
#[derive(Debug, Clone)]
pub struct IkeCipher {
    _private: (),
}

/// What came out of an SK payload.
pub type Opened = Vec<u8>;

impl IkeCipher {
    /// From SK_e (key and salt) and SK_a of one direction.
    ///
    /// # Errors
    /// An algorithm is not implemented, or a key has the wrong length.
    pub fn new(_suite: &IkeSuite, _encr_key: &Secret, _integ_key: &Secret) -> Result<Self, Error> {
        unimplemented!()
    }

    /// Octets of an SK body (IV, cipher text, padding, ICV) for this much plain text.
    #[must_use]
    pub fn body_len(&self, _plain_len: usize) -> usize {
        unimplemented!()
    }

    /// Appends the SK body for `plain` to `message`, which holds all octets from the
    /// header to the SK payload's generic header (and, for SKF, its fragment numbers),
    /// with lengths already set for [`IkeCipher::body_len`].
    ///
    /// `unique` must never repeat for this key: counter-based IVs are made of it
    /// (RFC 5282, 3.1); CBC takes its IV from `entropy`.
    ///
    /// # Errors
    /// The library refused.
    pub fn seal(
        &self,
        _message: &mut Vec<u8>,
        _plain: &[u8],
        _unique: u64,
        _entropy: &mut dyn Entropy,
    ) -> Result<(), Error> {
        unimplemented!()
    }

    /// Checks and decrypts the SK body that starts at `body_offset` of `message` and
    /// ends with it; the padding is removed.
    ///
    /// # Errors
    /// `Integrity`, or `Malformed` where the padding is impossible.
    pub fn open(&self, _message: &[u8], _body_offset: usize) -> Result<Opened, Error> {
        unimplemented!()
    }
}
