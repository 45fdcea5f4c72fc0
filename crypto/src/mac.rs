//! Keyed functions: HMAC, AES-XCBC (RFC 3566) and AES-CMAC (RFC 4493). Integrity
//! algorithms and pseudorandom functions are both made of them.

use crate::Error;
use crate::error::library;
use aws_lc_rs::cipher::{AES_128, EncryptingKey, EncryptionContext, UnboundCipherKey};
use aws_lc_rs::hmac;
use aws_lc_rs::iv::FixedLength;
use pluto_wire::numbers::{IntegId, PrfId};
use zeroize::Zeroize;

/// The longest output: HMAC-SHA2-512.
const MAX_TAG: usize = 64;

const BLOCK: usize = 16;

/// A function with its key, expanded once and used any number of times. It is some 1.2 KB,
/// so it lives on a stack or in the data plane, never in an SA.
#[allow(clippy::large_enum_variant, reason = "short-lived: an allocation costs more")]
pub(crate) enum Mac {
    Hmac(hmac::Key),
    Aes(CbcMac),
}

impl Mac {
    /// An integrity algorithm; `key` has the algorithm's length.
    pub(crate) fn integrity(id: IntegId, key: &[u8]) -> Result<Self, Error> {
        let algorithm = match id {
            IntegId::HMAC_SHA1_96 => hmac::HMAC_SHA1_FOR_LEGACY_USE_ONLY,
            IntegId::HMAC_SHA2_256_128 => hmac::HMAC_SHA256,
            IntegId::HMAC_SHA2_384_192 => hmac::HMAC_SHA384,
            IntegId::HMAC_SHA2_512_256 => hmac::HMAC_SHA512,
            IntegId::AES_XCBC_96 => return Ok(Self::Aes(CbcMac::xcbc(key)?)),
            IntegId::AES_CMAC_96 => return Ok(Self::Aes(CbcMac::cmac(key)?)),
            _ => return Err(Error::UnsupportedInteg(id)),
        };
        Ok(Self::Hmac(hmac::Key::new(algorithm, key)))
    }

    /// A pseudorandom function; `key` has any length.
    pub(crate) fn prf(id: PrfId, key: &[u8]) -> Result<Self, Error> {
        let algorithm = match id {
            PrfId::HMAC_SHA1 => hmac::HMAC_SHA1_FOR_LEGACY_USE_ONLY,
            PrfId::HMAC_SHA2_256 => hmac::HMAC_SHA256,
            PrfId::HMAC_SHA2_384 => hmac::HMAC_SHA384,
            PrfId::HMAC_SHA2_512 => hmac::HMAC_SHA512,
            PrfId::AES_XCBC => return Ok(Self::Aes(xcbc_prf(key)?)),
            PrfId::AES_CMAC => return Ok(Self::Aes(cmac_prf(key)?)),
            _ => return Err(Error::UnsupportedPrf(id)),
        };
        Ok(Self::Hmac(hmac::Key::new(algorithm, key)))
    }

    /// The whole output over the concatenated `parts`.
    pub(crate) fn compute(&self, parts: &[&[u8]]) -> Result<Tag, Error> {
        match self {
            Self::Hmac(key) => {
                let mut context = hmac::Context::with_key(key);
                for part in parts {
                    context.update(part);
                }
                Ok(Tag::new(context.sign().as_ref()))
            }
            Self::Aes(key) => Ok(Tag::new(&key.compute(parts)?)),
        }
    }

    /// Whether `icv` is the (truncated) output over `parts`, in constant time.
    pub(crate) fn verify(&self, parts: &[&[u8]], icv: &[u8]) -> Result<(), Error> {
        let tag = self.compute(parts)?;
        let expected = tag.truncated(icv.len()).ok_or(Error::Integrity)?;
        if crate::constant_time_eq(expected, icv) { Ok(()) } else { Err(Error::Integrity) }
    }
}

/// What a [`Mac`] gives.
#[derive(zeroize::ZeroizeOnDrop)]
pub(crate) struct Tag {
    octets: [u8; MAX_TAG],
    len: usize,
}

impl Tag {
    fn new(output: &[u8]) -> Self {
        let mut octets = [0; MAX_TAG];
        for (to, from) in octets.iter_mut().zip(output) {
            *to = *from;
        }
        Self { octets, len: output.len().min(MAX_TAG) }
    }

    pub(crate) fn octets(&self) -> &[u8] {
        self.octets.get(..self.len).unwrap_or(&[])
    }

    /// The first `len` octets, if there are so many.
    pub(crate) fn truncated(&self, len: usize) -> Option<&[u8]> {
        self.octets().get(..len)
    }
}

/// AES-XCBC-PRF-128 (RFC 4434, 2): a key that is too short is filled with zeros, one that
/// is too long goes through the function with a key of zeros.
fn xcbc_prf(key: &[u8]) -> Result<CbcMac, Error> {
    let mut fixed = [0; BLOCK];
    if key.len() > BLOCK {
        fixed = CbcMac::xcbc(&fixed)?.compute(&[key])?;
    } else {
        for (to, from) in fixed.iter_mut().zip(key) {
            *to = *from;
        }
    }
    let mac = CbcMac::xcbc(&fixed);
    fixed.zeroize();
    mac
}

/// AES-CMAC-PRF-128 (RFC 4615, 3): any key that has not 16 octets goes through the
/// function with a key of zeros.
fn cmac_prf(key: &[u8]) -> Result<CbcMac, Error> {
    if key.len() == BLOCK {
        return CbcMac::cmac(key);
    }
    let mut fixed = CbcMac::cmac(&[0; BLOCK])?.compute(&[key])?;
    let mac = CbcMac::cmac(&fixed);
    fixed.zeroize();
    mac
}

/// A CBC-MAC whose last block is masked: XCBC and CMAC differ only in where key and masks
/// come from.
pub(crate) struct CbcMac {
    key: EncryptingKey,
    /// For a last block that is whole.
    whole: [u8; BLOCK],
    /// For a last block that had to be padded.
    padded: [u8; BLOCK],
}

impl CbcMac {
    /// RFC 3566, 4: three keys, each the encryption of a constant.
    pub(crate) fn xcbc(key: &[u8]) -> Result<Self, Error> {
        let outer = aes(key)?;
        let derived = |constant: u8| {
            let mut block = [constant; BLOCK];
            encrypt(&outer, &[0; BLOCK], &mut block)?;
            Ok::<_, Error>(block)
        };
        let mut inner = derived(1)?;
        let key = aes(&inner);
        inner.zeroize();
        Ok(Self { key: key?, whole: derived(2)?, padded: derived(3)? })
    }

    /// RFC 4493, 2.3: the masks are the encrypted zero block, doubled once and twice.
    pub(crate) fn cmac(key: &[u8]) -> Result<Self, Error> {
        let key = aes(key)?;
        let mut zero = [0; BLOCK];
        encrypt(&key, &[0; BLOCK], &mut zero)?;
        let whole = doubled(zero);
        Ok(Self { key, whole, padded: doubled(whole) })
    }

    pub(crate) fn compute(&self, parts: &[&[u8]]) -> Result<[u8; BLOCK], Error> {
        let mut run = Run { key: &self.key, chain: [0; BLOCK], pending: [0; PENDING], used: 0 };
        for part in parts {
            run.absorb(part)?;
        }
        run.finish(&self.whole, &self.padded)
    }
}

impl Drop for CbcMac {
    fn drop(&mut self) {
        self.whole.zeroize();
        self.padded.zeroize();
    }
}

/// Octets gathered before the cipher is called: several blocks, as a call costs more than
/// a block does.
const PENDING: usize = 16 * BLOCK;

/// One computation. `pending` is emptied only when more octets follow, so that the last
/// block is always in it.
struct Run<'a> {
    key: &'a EncryptingKey,
    chain: [u8; BLOCK],
    pending: [u8; PENDING],
    used: usize,
}

impl Run<'_> {
    fn absorb(&mut self, mut octets: &[u8]) -> Result<(), Error> {
        while !octets.is_empty() {
            if self.used == PENDING {
                encrypt(self.key, &self.chain, &mut self.pending)?;
                self.chain = last_block(&self.pending);
                self.used = 0;
            }
            let room = self.pending.get_mut(self.used..).unwrap_or(&mut []);
            let taken = room.len().min(octets.len());
            let (now, later) = octets.split_at(taken);
            for (to, from) in room.iter_mut().zip(now) {
                *to = *from;
            }
            self.used += taken;
            octets = later;
        }
        Ok(())
    }

    fn finish(mut self, whole: &[u8], padded: &[u8]) -> Result<[u8; BLOCK], Error> {
        let complete = self.used != 0 && self.used.is_multiple_of(BLOCK);
        let len = self.used.div_ceil(BLOCK).max(1) * BLOCK;
        let blocks = self.pending.get_mut(..len).unwrap_or(&mut []);
        if !complete {
            for (n, octet) in blocks.iter_mut().skip(self.used).enumerate() {
                *octet = if n == 0 { 0x80 } else { 0 };
            }
        }
        let mask = if complete { whole } else { padded };
        for (octet, mask) in blocks.iter_mut().skip(len - BLOCK).zip(mask) {
            *octet ^= mask;
        }
        encrypt(self.key, &self.chain, blocks)?;
        Ok(last_block(blocks))
    }
}

fn last_block(octets: &[u8]) -> [u8; BLOCK] {
    octets.last_chunk().copied().unwrap_or_default()
}

fn aes(key: &[u8]) -> Result<EncryptingKey, Error> {
    let wrong = |_| library("an AES-128 key must have 16 octets");
    EncryptingKey::cbc(UnboundCipherKey::new(&AES_128, key).map_err(wrong)?).map_err(wrong)
}

/// CBC over whole blocks, in place.
fn encrypt(key: &EncryptingKey, iv: &[u8; BLOCK], blocks: &mut [u8]) -> Result<(), Error> {
    let context = EncryptionContext::Iv128(FixedLength::from(iv));
    key.less_safe_encrypt(blocks, context).map_err(|_| library("AES-CBC failed"))?;
    Ok(())
}

/// Multiplication by x in GF(2^128) (RFC 4493, 2.3), without a branch on the secret.
fn doubled(block: [u8; BLOCK]) -> [u8; BLOCK] {
    let value = u128::from_be_bytes(block);
    let carry = 0x87 & (value >> 127).wrapping_neg();
    ((value << 1) ^ carry).to_be_bytes()
}
