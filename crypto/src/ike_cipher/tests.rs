use super::*;
use crate::SeededEntropy;
use pluto_wire::numbers::{KeId, PrfId};

const HEAD: &[u8] = b"twenty-eight octets of header and four more";

fn suites() -> Vec<IkeSuite> {
    let mut all = Vec::new();
    let integs = [
        IntegId::HMAC_SHA1_96,
        IntegId::HMAC_SHA2_256_128,
        IntegId::HMAC_SHA2_384_192,
        IntegId::HMAC_SHA2_512_256,
        IntegId::AES_XCBC_96,
        IntegId::AES_CMAC_96,
    ];
    for number in 0..64 {
        let encr = EncrId(number);
        let Some(info) = crate::encr_info(encr).filter(|info| info.ike) else { continue };
        let beside: &[IntegId] = if info.is_aead() { &[IntegId::NONE] } else { &integs };
        for &encr_bits in info.key_bits {
            for &integ in beside {
                let prf = PrfId::HMAC_SHA2_256;
                all.push(IkeSuite { encr, encr_bits, integ, prf, ke: KeId::X25519 });
            }
        }
    }
    // GCM three times, CTR and two of CBC with six integrities each, ChaCha20, 3DES.
    assert_eq!(all.len(), 3 * 3 + 3 * 3 * 6 + 1 + 6);
    all
}

fn cipher(suite: &IkeSuite) -> IkeCipher {
    let (info, octets) = encr_with_key(suite.encr, suite.encr_bits).unwrap();
    let integ = integ_beside(&info, suite.integ).unwrap();
    let mut entropy = SeededEntropy::new(7);
    let mut key = |len| {
        let mut octets = vec![0; len];
        entropy.fill(&mut octets);
        Secret::new(octets)
    };
    IkeCipher::new(suite, &key(octets + info.salt), &key(integ.key)).unwrap()
}

fn sealed(cipher: &IkeCipher, plain: &[u8]) -> Vec<u8> {
    let mut message = HEAD.to_vec();
    cipher.seal(&mut message, plain, 42, &mut SeededEntropy::new(1)).unwrap();
    message
}

#[test]
fn what_was_sealed_opens_and_has_the_announced_length() {
    for suite in suites() {
        let cipher = cipher(&suite);
        for len in [0, 1, 7, 8, 14, 15, 16, 17, 300, 1500] {
            let plain: Vec<u8> = (0..len).map(|n: u32| n as u8).collect();
            let message = sealed(&cipher, &plain);
            assert_eq!(message.len(), HEAD.len() + cipher.body_len(plain.len()), "{suite:?}");
            assert_eq!(cipher.open(&message, HEAD.len()).unwrap(), plain, "{suite:?} {len}");
        }
    }
}

#[test]
fn any_flipped_bit_is_refused() {
    for suite in suites() {
        let cipher = cipher(&suite);
        let message = sealed(&cipher, b"nine and twenty octets inside");
        for at in 0..message.len() * 8 {
            let mut forged = message.clone();
            forged[at / 8] ^= 1 << (at % 8);
            let opened = cipher.open(&forged, HEAD.len());
            assert_eq!(opened, Err(Error::Integrity), "{suite:?} bit {at}");
        }
    }
}

#[test]
fn any_truncation_is_refused() {
    for suite in suites() {
        let cipher = cipher(&suite);
        let message = sealed(&cipher, b"some payloads");
        for len in 0..message.len() {
            assert!(cipher.open(&message[..len], HEAD.len()).is_err(), "{suite:?} {len}");
        }
        assert!(cipher.open(&message, message.len() + 1).is_err());
        assert!(cipher.open(&[], 0).is_err());
    }
}

#[test]
fn another_key_does_not_open() {
    for suite in suites() {
        let ours = cipher(&suite);
        let mut key = ours.0.encr_key.expose().to_vec();
        let mut integ = ours.0.integ_key.expose().to_vec();
        if let Some(first) = integ.first_mut() {
            *first ^= 1;
        } else {
            key[0] ^= 1;
        }
        let theirs = IkeCipher::new(&suite, &Secret::new(key), &Secret::new(integ)).unwrap();
        let opened = theirs.open(&sealed(&ours, b"text"), HEAD.len());
        assert_eq!(opened, Err(Error::Integrity), "{suite:?}");
    }
}

#[test]
fn padding_longer_than_the_text_is_malformed() {
    let suite = IkeSuite {
        encr: EncrId::AES_GCM_16,
        encr_bits: 256,
        integ: IntegId::NONE,
        prf: PrfId::HMAC_SHA2_256,
        ke: KeId::X25519,
    };
    let cipher = cipher(&suite);
    // Seal by hand: the pad length octet says 5 where only 4 octets stand before it.
    for (pad_length, expected) in [(5, None), (4, Some(0)), (3, Some(1)), (255, None)] {
        let (iv, mut text, mut icv) = ([9; 8], [1, 2, 3, 4, pad_length], [0; 16]);
        cipher.cipher(Direction::Seal).unwrap().seal(HEAD, &iv, &mut text, &mut icv).unwrap();
        let message = [HEAD, &iv, &text, &icv].concat();
        let opened = cipher.open(&message, HEAD.len());
        match expected {
            Some(len) => assert_eq!(opened.unwrap().len(), len),
            None => assert!(matches!(opened, Err(Error::Malformed(_)))),
        }
    }
}

#[test]
fn what_ike_may_not_use_is_refused() {
    let suite = |encr, encr_bits, integ| IkeSuite {
        encr,
        encr_bits,
        integ,
        prf: PrfId::HMAC_SHA2_256,
        ke: KeId::X25519,
    };
    let new = |suite: IkeSuite, encr: usize, integ: usize| {
        IkeCipher::new(&suite, &Secret::new(vec![0; encr]), &Secret::new(vec![0; integ])).map(drop)
    };
    let ccm = suite(EncrId::AES_CCM_16, 128, IntegId::NONE);
    assert_eq!(new(ccm, 19, 0), Err(Error::UnsupportedEncr(EncrId::AES_CCM_16, 128)));
    let null = suite(EncrId::NULL, 0, IntegId::HMAC_SHA1_96);
    assert_eq!(new(null, 0, 20), Err(Error::UnsupportedEncr(EncrId::NULL, 0)));
    let odd = suite(EncrId::AES_GCM_16, 224, IntegId::NONE);
    assert_eq!(new(odd, 32, 0), Err(Error::UnsupportedEncr(EncrId::AES_GCM_16, 224)));
    let unsaid = suite(EncrId::AES_CBC, 0, IntegId::HMAC_SHA1_96);
    assert_eq!(new(unsaid, 32, 20), Err(Error::UnsupportedEncr(EncrId::AES_CBC, 0)));
    let bare = suite(EncrId::AES_CBC, 128, IntegId::NONE);
    assert_eq!(new(bare, 16, 0), Err(Error::UnsupportedInteg(IntegId::NONE)));
    let both = suite(EncrId::AES_GCM_16, 128, IntegId::HMAC_SHA1_96);
    assert_eq!(new(both, 20, 20), Err(Error::UnsupportedInteg(IntegId::HMAC_SHA1_96)));
    let short = suite(EncrId::AES_GCM_16, 128, IntegId::NONE);
    assert!(matches!(new(short, 16, 0), Err(Error::Library(_))));
}

#[test]
fn debug_shows_no_key() {
    let shown = format!("{:?}", cipher(&suites()[0]));
    assert!(shown.starts_with("IkeCipher(") && !shown.contains('['), "{shown}");
}

#[test]
fn a_cipher_is_small_and_cheap_to_clone() {
    assert_eq!(size_of::<IkeCipher>(), size_of::<usize>());
    assert!(size_of::<Keys>() <= 160, "{}", size_of::<Keys>());
}
