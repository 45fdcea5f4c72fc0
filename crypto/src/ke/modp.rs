//! The groups of RFC 3526, by openssl.

use crate::{Entropy, Error, Secret};
use openssl::bn::{BigNum, BigNumContext};
use openssl::error::ErrorStack;
use pluto_wire::numbers::KeId;
use std::cmp::Ordering;
use zeroize::Zeroizing;

const GENERATOR: u32 = 2;

#[derive(Clone, Copy)]
pub(super) struct Group {
    prime_of: fn() -> Result<BigNum, ErrorStack>,
    /// Octets of the prime, and so of public values and secrets.
    octets: usize,
    /// Octets of a private exponent. Short ones are as strong as twice the group's
    /// strength asks (RFC 7919, 5.2 gives 225, 275, 325, 375 and 400 bits for 2048 to 8192)
    /// and several times faster than whole ones.
    exponent: usize,
}

impl Group {
    pub(super) fn of(method: KeId) -> Option<Self> {
        let (prime_of, octets, exponent): (fn() -> _, _, _) = match method {
            KeId::MODP1536 => (BigNum::get_rfc3526_prime_1536, 192, 32),
            KeId::MODP2048 => (BigNum::get_rfc3526_prime_2048, 256, 32),
            KeId::MODP3072 => (BigNum::get_rfc3526_prime_3072, 384, 40),
            KeId::MODP4096 => (BigNum::get_rfc3526_prime_4096, 512, 48),
            KeId::MODP6144 => (BigNum::get_rfc3526_prime_6144, 768, 48),
            KeId::MODP8192 => (BigNum::get_rfc3526_prime_8192, 1024, 56),
            _ => return None,
        };
        Some(Self { prime_of, octets, exponent })
    }

    pub(super) fn prime(self) -> Result<BigNum, Error> {
        Ok((self.prime_of)()?)
    }

    /// A private exponent. Its highest bit is set, so that it is never trivially small and
    /// always has the same length.
    pub(super) fn generate(self, entropy: &mut dyn Entropy) -> Secret {
        let mut exponent = Zeroizing::new(vec![0; self.exponent]);
        entropy.fill(&mut exponent);
        if let Some(first) = exponent.first_mut() {
            *first |= 0x80;
        }
        Secret::from_slice(&exponent)
    }

    pub(super) fn public(self, exponent: &Secret) -> Result<Vec<u8>, Error> {
        let generator = BigNum::from_u32(GENERATOR)?;
        self.power(&generator, exponent, &self.prime()?)
    }

    /// None unless 1 < y < p - 1 (RFC 6989, 2.1) and its length is the prime's: leading
    /// zeros are sent (RFC 7296, 3.4).
    pub(super) fn agree(self, exponent: &Secret, peer: &[u8]) -> Result<Option<Secret>, Error> {
        if peer.len() != self.octets {
            return Ok(None);
        }
        let prime = self.prime()?;
        let y = BigNum::from_slice(peer)?;
        let mut last = prime.to_owned()?;
        last.sub_word(1)?;
        if y.ucmp(&*BigNum::from_u32(1)?) != Ordering::Greater || y.ucmp(&last) != Ordering::Less {
            return Ok(None);
        }
        Ok(Some(Secret::new(self.power(&y, exponent, &prime)?)))
    }

    /// base^exponent mod prime, with the prime's length (RFC 7296, 2.14), in time that does
    /// not depend on the exponent's bits.
    fn power(self, base: &BigNum, exponent: &Secret, prime: &BigNum) -> Result<Vec<u8>, Error> {
        let mut secret = BigNum::from_slice(exponent.expose())?;
        secret.set_const_time();
        let mut result = BigNum::new()?;
        let done = result.mod_exp(base, &secret, prime, &mut *BigNumContext::new()?);
        secret.clear();
        done?;
        // At most 1024.
        let len = i32::try_from(self.octets).unwrap_or(i32::MAX);
        let octets = result.to_vec_padded(len);
        result.clear();
        Ok(octets?)
    }
}
