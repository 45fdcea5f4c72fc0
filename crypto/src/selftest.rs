//! A quick proof, for `pluto --selftest`, that the libraries compute what they should.

use crate::{Entropy, IkeCipher, IkeSuite, LocalKey, Secret, SeededEntropy, prf};
use pluto_wire::numbers::{EncrId, IntegId, KeId, PrfId};

/// prf("Jefe", "what do ya want for nothing?"): RFC 4231, 4.3, and RFC 2202, 3.
const KNOWN: [(PrfId, [u8; 8]); 4] = [
    (PrfId::HMAC_SHA1, [0xef, 0xfc, 0xdf, 0x6a, 0xe5, 0xeb, 0x2f, 0xa2]),
    (PrfId::HMAC_SHA2_256, [0x5b, 0xdc, 0xc1, 0x46, 0xbf, 0x60, 0x75, 0x4e]),
    (PrfId::HMAC_SHA2_384, [0xaf, 0x45, 0xd2, 0xe3, 0x76, 0x48, 0x40, 0x31]),
    (PrfId::HMAC_SHA2_512, [0x16, 0x4b, 0x7a, 0x7b, 0xfc, 0xf8, 0x19, 0xe2]),
];

const METHODS: [KeId; 6] =
    [KeId::X25519, KeId::ECP_256, KeId::ECP_384, KeId::ECP_521, KeId::MODP1536, KeId::MODP2048];

const CIPHERS: [(EncrId, u16, IntegId); 4] = [
    (EncrId::AES_GCM_16, 256, IntegId::NONE),
    (EncrId::CHACHA20_POLY1305, 0, IntegId::NONE),
    (EncrId::AES_CBC, 128, IntegId::HMAC_SHA2_256_128),
    (EncrId::TRIPLE_DES, 0, IntegId::HMAC_SHA1_96),
];

/// Known answers of the PRFs, both halves of the key exchanges, and every kind of cipher
/// both ways.
///
/// # Errors
/// What does not compute what it should.
pub fn selftest() -> Result<(), String> {
    for (id, expected) in KNOWN {
        let got = prf(id, b"Jefe", &[b"what do ya want ", b"for nothing?"]);
        if got.ok().as_ref().and_then(|mac| mac.expose().get(..8)) != Some(&expected) {
            return Err(format!("PRF {id}: wrong answer"));
        }
    }
    let mut entropy = SeededEntropy::new(1);
    for method in METHODS {
        let fail = |error| format!("key exchange {method}: {error}");
        let ours = LocalKey::generate(method, &mut entropy).map_err(fail)?;
        let theirs = LocalKey::generate(method, &mut entropy).map_err(fail)?;
        let shared = ours.agree(theirs.public()).map_err(fail)?;
        if shared != theirs.agree(ours.public()).map_err(fail)? {
            return Err(format!("key exchange {method}: the two halves disagree"));
        }
    }
    CIPHERS.into_iter().try_for_each(|cipher| both_ways(cipher, &mut entropy))
}

fn both_ways(
    (encr, encr_bits, integ): (EncrId, u16, IntegId),
    entropy: &mut dyn Entropy,
) -> Result<(), String> {
    let fail = |error| format!("encryption {encr}: {error}");
    let suite = IkeSuite { encr, encr_bits, integ, prf: PrfId::HMAC_SHA2_256, ke: KeId::X25519 };
    let info = crate::encr_info(encr).ok_or_else(|| format!("encryption {encr} is missing"))?;
    let key_len = info.key_octets(encr_bits).map_or(0, |octets| octets + info.salt);
    let integ_len = crate::integ_info(integ).map_or(0, |info| info.key);
    let key = Secret::new(vec![3; key_len]);
    let cipher = IkeCipher::new(&suite, &key, &Secret::new(vec![5; integ_len])).map_err(fail)?;
    let mut message = b"prefix".to_vec();
    cipher.seal(&mut message, b"plain text", 1, entropy).map_err(fail)?;
    if cipher.open(&message, 6).map_err(fail)? != b"plain text" {
        return Err(format!("encryption {encr}: does not decrypt what it encrypted"));
    }
    if let Some(last) = message.last_mut() {
        *last ^= 1;
    }
    match cipher.open(&message, 6) {
        Err(_) => Ok(()),
        Ok(_) => Err(format!("encryption {encr}: a forged message is accepted")),
    }
}

#[cfg(test)]
mod tests {
    #[test]
    fn the_selftest_passes() {
        assert_eq!(super::selftest(), Ok(()));
    }
}
