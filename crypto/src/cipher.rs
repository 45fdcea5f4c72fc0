//! Encryption with an expanded key, in place: what IKE messages and ESP packets share.
//!
//! AES in GCM (16 octets of ICV), CBC and CTR, and ChaCha20-Poly1305 are aws-lc-rs's; it
//! has no shorter GCM tags, no CCM and no Camellia, and its 3DES refuses keys that two
//! peers may well agree on: those are openssl's, through one context that is kept.

use crate::Error;
use crate::algorithms::{EncrInfo, encr_with_key};
use crate::error::library;
use aws_lc_rs::aead::{self, Aad, LessSafeKey, Nonce, UnboundKey};
use aws_lc_rs::cipher::{
    self, DecryptingKey, DecryptionContext, EncryptingKey, EncryptionContext, UnboundCipherKey,
};
use aws_lc_rs::iv::FixedLength;
use openssl::cipher::{Cipher as Algorithm, CipherRef};
use openssl::cipher_ctx::CipherCtx;
use pluto_wire::numbers::EncrId;
use zeroize::{Zeroize, Zeroizing};

/// Which way a key is used.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Direction {
    /// Encrypt.
    Seal,
    /// Decrypt.
    Open,
}

/// A cipher with its key expanded, for one direction.
pub(crate) struct Cipher {
    info: EncrInfo,
    /// Behind the key in the keying material: the first octets of each nonce.
    salt: Salt,
    key: Key,
}

#[derive(zeroize::ZeroizeOnDrop)]
struct Salt([u8; 4]);

enum Key {
    Null,
    /// GCM with 16 octets of ICV, ChaCha20-Poly1305.
    Aead(Box<LessSafeKey>),
    /// The same function both ways.
    Ctr(Box<EncryptingKey>),
    CbcSeal(Box<EncryptingKey>),
    CbcOpen(Box<DecryptingKey>),
    /// openssl: GCM with shorter ICVs.
    ShortGcm(CipherCtx),
    /// openssl: CCM, where lengths must be told before the octets.
    Ccm(CipherCtx),
    /// openssl: GMAC, where everything is associated data (RFC 4543).
    Gmac(CipherCtx),
    /// openssl: Camellia and 3DES.
    OtherCbc(CipherCtx),
}

impl Cipher {
    /// Expands `key`, which carries its salt behind it.
    ///
    /// # Errors
    /// No such algorithm, or the key has not its length.
    pub(crate) fn new(
        id: EncrId,
        bits: u16,
        key: &[u8],
        direction: Direction,
    ) -> Result<Self, Error> {
        let (info, octets) = encr_with_key(id, bits)?;
        let (key, salt) = key.split_at_checked(octets).ok_or_else(wrong_key)?;
        if salt.len() != info.salt {
            return Err(wrong_key());
        }
        let mut kept = Salt([0; 4]);
        for (to, from) in kept.0.iter_mut().zip(salt) {
            *to = *from;
        }
        let key = match id {
            EncrId::NULL => Key::Null,
            EncrId::AES_GCM_16 | EncrId::CHACHA20_POLY1305 => {
                Key::Aead(Box::new(aead_key(id, key)?))
            }
            EncrId::AES_CTR => {
                Key::Ctr(Box::new(EncryptingKey::ctr(aes_key(key)?).map_err(refused)?))
            }
            EncrId::AES_CBC if direction == Direction::Seal => {
                Key::CbcSeal(Box::new(EncryptingKey::cbc(aes_key(key)?).map_err(refused)?))
            }
            EncrId::AES_CBC => {
                Key::CbcOpen(Box::new(DecryptingKey::cbc(aes_key(key)?).map_err(refused)?))
            }
            EncrId::AES_GCM_8 | EncrId::AES_GCM_12 => {
                Key::ShortGcm(keyed(gcm(key.len()), key, direction)?)
            }
            EncrId::NULL_AUTH_AES_GMAC => Key::Gmac(keyed(gcm(key.len()), key, direction)?),
            EncrId::AES_CCM_8 | EncrId::AES_CCM_12 | EncrId::AES_CCM_16 => {
                Key::Ccm(ccm(key, info, direction)?)
            }
            EncrId::TRIPLE_DES => {
                Key::OtherCbc(keyed(Some(Algorithm::des_ede3_cbc()), key, direction)?)
            }
            EncrId::CAMELLIA_CBC => Key::OtherCbc(keyed(camellia(key.len()), key, direction)?),
            _ => return Err(Error::UnsupportedEncr(id, bits)),
        };
        Ok(Self { info, salt: kept, key })
    }

    /// Encrypts `payload` in place. An AEAD protects `aad` too and fills `icv`, which has
    /// its length; for other ciphers both are ignored.
    ///
    /// # Errors
    /// A length is wrong, or the library refused.
    pub(crate) fn seal(
        &mut self,
        aad: &[u8],
        iv: &[u8],
        payload: &mut [u8],
        icv: &mut [u8],
    ) -> Result<(), Error> {
        self.check_lengths(iv, payload, icv.len())?;
        let nonce = self.nonce(iv);
        match &mut self.key {
            Key::Null => Ok(()),
            Key::Aead(key) => {
                let tag = key
                    .seal_in_place_separate_tag(aead_nonce(&nonce)?, Aad::from(aad), payload)
                    .map_err(refused)?;
                icv.copy_from_slice(tag.as_ref());
                Ok(())
            }
            Key::Ctr(key) => ctr(key, &nonce, payload),
            Key::CbcSeal(key) => {
                key.less_safe_encrypt(payload, EncryptionContext::Iv128(iv128(iv)?))
                    .map_err(refused)?;
                Ok(())
            }
            Key::CbcOpen(_) => Err(library("a key for decryption cannot encrypt")),
            Key::ShortGcm(context) => {
                context.encrypt_init(None, None, Some(&nonce))?;
                context.cipher_update(aad, None)?;
                context.cipher_update_inplace(payload, payload.len())?;
                context.cipher_final(&mut [])?;
                Ok(context.tag(icv)?)
            }
            Key::Ccm(context) => {
                context.encrypt_init(None, None, Some(&nonce))?;
                context.set_data_len(payload.len())?;
                context.cipher_update(aad, None)?;
                context.cipher_update_inplace(payload, payload.len())?;
                Ok(context.tag(icv)?)
            }
            Key::Gmac(context) => {
                context.encrypt_init(None, None, Some(&nonce))?;
                for part in [aad, iv, payload] {
                    context.cipher_update(part, None)?;
                }
                context.cipher_final(&mut [])?;
                Ok(context.tag(icv)?)
            }
            Key::OtherCbc(context) => {
                context.encrypt_init(None, None, Some(iv))?;
                other_cbc(context, payload)
            }
        }
    }

    /// Decrypts `payload` in place. An AEAD checks `icv` over `aad` and it first, as far as
    /// the caller can see: on failure the payload is worthless. For other ciphers the
    /// caller has checked integrity already, and both are ignored.
    ///
    /// # Errors
    /// `Integrity`; `Malformed` where the length cannot be.
    pub(crate) fn open(
        &mut self,
        aad: &[u8],
        iv: &[u8],
        payload: &mut [u8],
        icv: &[u8],
    ) -> Result<(), Error> {
        self.check_lengths(iv, payload, icv.len())?;
        let nonce = self.nonce(iv);
        match &mut self.key {
            Key::Null => Ok(()),
            Key::Aead(key) => {
                let opened = key.open_in_place_separate_tag(
                    aead_nonce(&nonce)?,
                    Aad::from(aad),
                    icv,
                    payload,
                );
                opened.map(drop).map_err(|_| Error::Integrity)
            }
            Key::Ctr(key) => ctr(key, &nonce, payload),
            Key::CbcSeal(_) => Err(library("a key for encryption cannot decrypt")),
            Key::CbcOpen(key) => {
                key.decrypt(payload, DecryptionContext::Iv128(iv128(iv)?)).map_err(refused)?;
                Ok(())
            }
            Key::ShortGcm(context) => {
                context.decrypt_init(None, None, Some(&nonce))?;
                context.set_tag(icv)?;
                context.cipher_update(aad, None)?;
                context.cipher_update_inplace(payload, payload.len())?;
                finish_open(context, payload)
            }
            Key::Ccm(context) => {
                context.decrypt_init(None, None, Some(&nonce))?;
                context.set_tag(icv)?;
                context.set_data_len(payload.len())?;
                context.cipher_update(aad, None)?;
                let opened = context.cipher_update_inplace(payload, payload.len());
                opened.map(drop).map_err(|_| {
                    payload.zeroize();
                    Error::Integrity
                })
            }
            Key::Gmac(context) => {
                context.decrypt_init(None, None, Some(&nonce))?;
                context.set_tag(icv)?;
                for part in [aad, iv, payload] {
                    context.cipher_update(part, None)?;
                }
                context.cipher_final(&mut []).map(drop).map_err(|_| Error::Integrity)
            }
            Key::OtherCbc(context) => {
                context.decrypt_init(None, None, Some(iv))?;
                other_cbc(context, payload)
            }
        }
    }

    fn check_lengths(&self, iv: &[u8], payload: &[u8], icv: usize) -> Result<(), Error> {
        if iv.len() != self.info.iv {
            return Err(Error::Malformed("the IV has the wrong length"));
        }
        if icv != self.info.icv {
            return Err(Error::Malformed("the ICV has the wrong length"));
        }
        if !payload.len().is_multiple_of(self.info.block) {
            return Err(Error::Malformed("the cipher text is not made of whole blocks"));
        }
        // CCM counts octets in 4 (RFC 4309, 4 with L = 4), libraries in an int.
        if i32::try_from(payload.len()).is_err() {
            return Err(Error::Malformed("the payload is too long"));
        }
        Ok(())
    }

    /// Salt and IV, as all counter modes have it: 12 octets (RFC 4106, 4; RFC 7634, 2;
    /// RFC 3686, 4), of which CCM uses 11 (RFC 4309, 4).
    fn nonce(&self, iv: &[u8]) -> [u8; 12] {
        let mut nonce = [0; 12];
        let salt = self.salt.0.iter().take(self.info.salt);
        for (to, from) in nonce.iter_mut().zip(salt.chain(iv)) {
            *to = *from;
        }
        nonce
    }
}

fn wrong_key() -> Error {
    library("the key has the wrong length")
}

fn refused(_: aws_lc_rs::error::Unspecified) -> Error {
    library("the cipher refused")
}

fn aead_key(id: EncrId, key: &[u8]) -> Result<LessSafeKey, Error> {
    let algorithm = match (id, key.len()) {
        (EncrId::CHACHA20_POLY1305, _) => &aead::CHACHA20_POLY1305,
        (_, 16) => &aead::AES_128_GCM,
        (_, 24) => &aead::AES_192_GCM,
        _ => &aead::AES_256_GCM,
    };
    Ok(LessSafeKey::new(UnboundKey::new(algorithm, key).map_err(refused)?))
}

fn aes_key(key: &[u8]) -> Result<UnboundCipherKey, Error> {
    let algorithm = match key.len() {
        16 => &cipher::AES_128,
        24 => &cipher::AES_192,
        _ => &cipher::AES_256,
    };
    UnboundCipherKey::new(algorithm, key).map_err(refused)
}

fn aead_nonce(nonce: &[u8; 12]) -> Result<Nonce, Error> {
    Nonce::try_assume_unique_for_key(nonce).map_err(refused)
}

fn iv128(iv: &[u8]) -> Result<FixedLength<16>, Error> {
    let iv: &[u8; 16] =
        iv.try_into().map_err(|_| Error::Malformed("the IV has the wrong length"))?;
    Ok(FixedLength::from(iv))
}

/// The counter block is nonce, IV and a count from 1 (RFC 3686, 4).
fn ctr(key: &EncryptingKey, nonce: &[u8; 12], payload: &mut [u8]) -> Result<(), Error> {
    let mut block = [0; 16];
    for (to, from) in block.iter_mut().zip(nonce.iter().chain(&[0, 0, 0, 1])) {
        *to = *from;
    }
    key.less_safe_encrypt(payload, EncryptionContext::Iv128(FixedLength::from(&block)))
        .map_err(refused)?;
    Ok(())
}

fn gcm(octets: usize) -> Option<&'static CipherRef> {
    Some(match octets {
        16 => Algorithm::aes_128_gcm(),
        24 => Algorithm::aes_192_gcm(),
        _ => Algorithm::aes_256_gcm(),
    })
}

fn camellia(octets: usize) -> Option<&'static CipherRef> {
    Some(match octets {
        16 => Algorithm::camellia128_cbc(),
        24 => Algorithm::camellia192_cbc(),
        _ => Algorithm::camellia256_cbc(),
    })
}

fn keyed(
    algorithm: Option<&CipherRef>,
    key: &[u8],
    direction: Direction,
) -> Result<CipherCtx, Error> {
    let mut context = CipherCtx::new()?;
    match direction {
        Direction::Seal => context.encrypt_init(algorithm, Some(key), None)?,
        Direction::Open => context.decrypt_init(algorithm, Some(key), None)?,
    }
    context.set_padding(false);
    Ok(context)
}

/// Lengths of nonce and tag must be set between choosing the cipher and giving the key.
fn ccm(key: &[u8], info: EncrInfo, direction: Direction) -> Result<CipherCtx, Error> {
    let algorithm = Some(match key.len() {
        16 => Algorithm::aes_128_ccm(),
        24 => Algorithm::aes_192_ccm(),
        _ => Algorithm::aes_256_ccm(),
    });
    let mut context = CipherCtx::new()?;
    match direction {
        Direction::Seal => context.encrypt_init(algorithm, None, None)?,
        Direction::Open => context.decrypt_init(algorithm, None, None)?,
    }
    context.set_iv_length(info.salt + info.iv)?;
    context.set_tag_length(info.icv)?;
    match direction {
        Direction::Seal => context.encrypt_init(None, Some(key), None)?,
        Direction::Open => context.decrypt_init(None, Some(key), None)?,
    }
    Ok(context)
}

fn finish_open(context: &mut CipherCtx, payload: &mut [u8]) -> Result<(), Error> {
    context.cipher_final(&mut []).map(drop).map_err(|_| {
        payload.zeroize();
        Error::Integrity
    })
}

/// The wrapper wants a block of room behind what it changes, so the octets go through a
/// piece of stack.
fn other_cbc(context: &mut CipherCtx, payload: &mut [u8]) -> Result<(), Error> {
    const PIECE: usize = 512;
    let mut room = Zeroizing::new([0_u8; PIECE + 16]);
    for piece in payload.chunks_mut(PIECE) {
        let written = context.cipher_update(piece, Some(room.as_mut_slice()))?;
        let out = room.get(..written).filter(|out| out.len() == piece.len());
        piece.copy_from_slice(out.ok_or_else(|| library("CBC held octets back"))?);
    }
    Ok(())
}
