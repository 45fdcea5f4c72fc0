use super::*;
use crate::known_answers::hex;
use crate::{Entropy, SeededEntropy, encr_info};
use pluto_wire::numbers::{EncrId, KeId, PrfId};

fn suites() -> Vec<ChildSuite> {
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
        let Some(info) = encr_info(encr) else { continue };
        let bits: &[u16] = if info.key_bits.is_empty() { &[0] } else { info.key_bits };
        let beside: &[IntegId] = if info.is_aead() { &[IntegId::NONE] } else { &integs };
        for &encr_bits in bits {
            for &integ in beside {
                for esn in [false, true] {
                    all.push(ChildSuite { encr, encr_bits, integ, esn, ke: KeId::NONE });
                }
            }
        }
    }
    all
}

fn keys(suite: &ChildSuite) -> (Secret, Secret) {
    let (info, octets) = encr_with_key(suite.encr, suite.encr_bits).unwrap();
    let integ = integ_info(suite.integ).map_or(0, |info| info.key);
    let mut entropy = SeededEntropy::new(11);
    let mut key = |len| {
        let mut octets = vec![0; len];
        entropy.fill(&mut octets);
        Secret::new(octets)
    };
    (key(octets + info.salt), key(integ))
}

struct Packet {
    iv: Vec<u8>,
    payload: Vec<u8>,
    icv: Vec<u8>,
}

const SPI: u32 = 0x1234_5678;
const SEQUENCE: u64 = 0x1_0000_0007;

fn sealed(suite: &ChildSuite, plain: &[u8]) -> Packet {
    let (encr, integ) = keys(suite);
    let mut cipher = EspCipher::sealing(suite, &encr, &integ).unwrap();
    let mut packet = Packet {
        iv: vec![3; cipher.iv_len()],
        payload: plain.to_vec(),
        icv: vec![0; cipher.icv_len()],
    };
    let Packet { iv, payload, icv } = &mut packet;
    cipher.seal_in_place(SPI, SEQUENCE, iv, payload, icv).unwrap();
    packet
}

fn opened(suite: &ChildSuite, packet: &Packet, sequence: u64) -> Result<Vec<u8>, Error> {
    let (encr, integ) = keys(suite);
    let mut cipher = EspCipher::opening(suite, &encr, &integ).unwrap();
    let mut payload = packet.payload.clone();
    cipher.open_in_place(SPI, sequence, &packet.iv, &mut payload, &packet.icv)?;
    Ok(payload)
}

#[test]
fn what_was_sealed_opens() {
    for suite in suites() {
        for len in [16, 64, 512, 528, 1488] {
            let plain: Vec<u8> = (0..len).map(|n: u32| n as u8).collect();
            let packet = sealed(&suite, &plain);
            let hidden = !matches!(suite.encr, EncrId::NULL | EncrId::NULL_AUTH_AES_GMAC);
            assert_eq!(packet.payload != plain, hidden, "{suite:?}");
            assert_eq!(opened(&suite, &packet, SEQUENCE).unwrap(), plain, "{suite:?} {len}");
        }
    }
}

#[test]
fn one_cipher_serves_many_packets() {
    for suite in suites() {
        let (encr, integ) = keys(&suite);
        let mut sealing = EspCipher::sealing(&suite, &encr, &integ).unwrap();
        let mut opening = EspCipher::opening(&suite, &encr, &integ).unwrap();
        for sequence in 1..5 {
            let mut iv = vec![0; sealing.iv_len()];
            iv.fill(sequence as u8);
            let (mut payload, mut icv) = ([7; 48], vec![0; sealing.icv_len()]);
            sealing.seal_in_place(SPI, sequence, &iv, &mut payload, &mut icv).unwrap();
            // A forged one in between must leave nothing behind.
            let mut forged = payload;
            forged[0] ^= 1;
            let refused = opening.open_in_place(SPI, sequence, &iv, &mut forged, &icv);
            assert_eq!(refused, Err(Error::Integrity), "{suite:?}");
            opening.open_in_place(SPI, sequence, &iv, &mut payload, &icv).unwrap();
            assert_eq!(payload, [7; 48], "{suite:?}");
        }
    }
}

#[test]
fn any_flipped_bit_is_refused() {
    for suite in suites() {
        let mut packet = sealed(&suite, &[5; 32]);
        let lens = [packet.iv.len(), packet.payload.len(), packet.icv.len()];
        for (part, len) in lens.into_iter().enumerate() {
            for bit in 0..len * 8 {
                let flip = |packet: &mut Packet| {
                    let Packet { iv, payload, icv } = packet;
                    [iv, payload, icv][part][bit / 8] ^= 1 << (bit % 8);
                };
                flip(&mut packet);
                let refused = opened(&suite, &packet, SEQUENCE);
                assert_eq!(refused, Err(Error::Integrity), "{suite:?} {part} {bit}");
                flip(&mut packet);
            }
        }
    }
}

#[test]
fn the_upper_half_of_the_sequence_number_counts_with_esn_only() {
    for suite in suites() {
        let packet = sealed(&suite, &[5; 32]);
        assert!(opened(&suite, &packet, SEQUENCE ^ 1).is_err(), "{suite:?}");
        let other_half = opened(&suite, &packet, SEQUENCE ^ (1 << 32));
        assert_eq!(other_half.is_err(), suite.esn, "{suite:?}");
    }
}

#[test]
fn a_part_of_another_length_is_refused() {
    for suite in suites() {
        let good = sealed(&suite, &[5; 32]);
        let Packet { iv, payload, icv } = &good;
        let bad = [
            Packet { iv: iv[..iv.len().saturating_sub(1)].to_vec(), ..clone(&good) },
            Packet { icv: icv[1..].to_vec(), ..clone(&good) },
            Packet { icv: [icv.as_slice(), &[0]].concat(), ..clone(&good) },
            Packet { payload: payload[1..].to_vec(), ..clone(&good) },
            Packet { icv: Vec::new(), ..clone(&good) },
        ];
        for (n, packet) in bad.iter().enumerate() {
            // NULL has no IV to shorten.
            if n == 0 && iv.is_empty() {
                continue;
            }
            assert!(opened(&suite, packet, SEQUENCE).is_err(), "{suite:?} {n}");
        }
    }
}

fn clone(packet: &Packet) -> Packet {
    Packet { iv: packet.iv.clone(), payload: packet.payload.clone(), icv: packet.icv.clone() }
}

#[test]
fn nothing_goes_without_integrity() {
    let suite =
        |encr, encr_bits, integ| ChildSuite { encr, encr_bits, integ, esn: false, ke: KeId::NONE };
    let none = Secret::default();
    for (encr, bits, octets) in [(EncrId::NULL, 0, 0), (EncrId::AES_CBC, 128, 16)] {
        let made = EspCipher::sealing(
            &suite(encr, bits, IntegId::NONE),
            &Secret::new(vec![0; octets]),
            &none,
        );
        assert_eq!(made.map(drop), Err(Error::UnsupportedInteg(IntegId::NONE)));
    }
    let short = suite(EncrId::NULL, 0, IntegId::HMAC_SHA2_256_128);
    assert!(EspCipher::sealing(&short, &none, &Secret::new(vec![0; 31])).is_err());
}

#[test]
fn a_chacha20_poly1305_packet_of_rfc_7634() {
    // Appendix A.
    let suite = ChildSuite {
        encr: EncrId::CHACHA20_POLY1305,
        encr_bits: 256,
        integ: IntegId::NONE,
        esn: false,
        ke: KeId::NONE,
    };
    let key = hex("808182838485868788898a8b8c8d8e8f909192939495969798999a9b9c9d9e9fa0a1a2a3");
    let mut payload = hex("45000054a6f200004001e778c6336405c000020508005b7a3a080000553bec10
         0007362708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f20212223
         2425262728292a2b2c2d2e2f303132333435363701020204");
    let mut icv = [0; 16];
    let mut cipher = EspCipher::sealing(&suite, &Secret::new(key), &Secret::default()).unwrap();
    let iv = hex("1011121314151617");
    cipher.seal_in_place(0x0102_0304, 5, &iv, &mut payload, &mut icv).unwrap();
    let expected = hex("24039428b97f417e3c13753a4f05087b67c352e6a7fab1b982d466ef407ae5c6
         14ee8099d52844eb61aa95dfab4c02f72aa71e7c4c4f64c9befe2facc638e8f3
         cbec163fac469b502773f6fb94e664da9165b82829f641e0");
    assert_eq!(payload, expected);
    assert_eq!(icv.to_vec(), hex("76aaa8266b7fb0f7b11b369907e1ad43"));
}

/// SPI and sequence number as [`sealed`] uses them, upper half and lower half.
const HEAD: [[u8; 4]; 3] = [[0x12, 0x34, 0x56, 0x78], [0, 0, 0, 1], [0, 0, 0, 7]];

#[test]
fn integrity_covers_the_packet_in_the_order_of_rfc_4303() {
    let [spi, upper, lower] = HEAD;
    for esn in [false, true] {
        let integ = IntegId::HMAC_SHA2_256_128;
        let suite =
            ChildSuite { encr: EncrId::AES_CBC, encr_bits: 128, integ, esn, ke: KeId::NONE };
        let Packet { iv, payload, icv } = sealed(&suite, &[5; 32]);
        let implied = if esn { &upper[..] } else { &[] };
        let (_, key) = keys(&suite);
        let parts: [&[u8]; 5] = [&spi, &lower, &iv, &payload, implied];
        let whole = crate::prf(PrfId::HMAC_SHA2_256, key.expose(), &parts).unwrap();
        assert_eq!(icv, whole.expose()[..16]);
    }
}

/// AES-256-GCM by the other library: cipher text and whole tag.
fn gcm(suite: &ChildSuite, iv: &[u8], aad: &[u8], plain: &[u8]) -> (Vec<u8>, Vec<u8>) {
    use aws_lc_rs::aead::{AES_256_GCM, Aad, LessSafeKey, Nonce, UnboundKey};
    let (key, _) = keys(suite);
    let (key, salt) = key.expose().split_at(32);
    let key = LessSafeKey::new(UnboundKey::new(&AES_256_GCM, key).unwrap());
    let nonce = Nonce::try_assume_unique_for_key(&[salt, iv].concat()).unwrap();
    let mut text = plain.to_vec();
    let tag = key.seal_in_place_separate_tag(nonce, Aad::from(aad), &mut text).unwrap();
    (text, tag.as_ref().to_vec())
}

#[test]
fn gcm_has_the_sequence_number_in_its_associated_data() {
    let [spi, upper, lower] = HEAD;
    let cases = [(EncrId::AES_GCM_16, 16), (EncrId::AES_GCM_12, 12), (EncrId::AES_GCM_8, 8)];
    for (encr, len) in cases {
        for (esn, aad) in [(false, [spi, lower].concat()), (true, [spi, upper, lower].concat())] {
            let integ = IntegId::NONE;
            let suite = ChildSuite { encr, encr_bits: 256, integ, esn, ke: KeId::NONE };
            let Packet { iv, payload, icv } = sealed(&suite, &[5; 32]);
            let (text, tag) = gcm(&suite, &iv, &aad, &[5; 32]);
            assert_eq!((payload, icv.as_slice()), (text, &tag[..len]), "{encr}");
        }
    }
}

#[test]
fn gmac_is_gcm_over_nothing_with_iv_and_payload_as_associated_data() {
    let [spi, upper, lower] = HEAD;
    for (esn, head) in [(false, [spi, lower].concat()), (true, [spi, upper, lower].concat())] {
        let encr = EncrId::NULL_AUTH_AES_GMAC;
        let integ = IntegId::NONE;
        let suite = ChildSuite { encr, encr_bits: 256, integ, esn, ke: KeId::NONE };
        let Packet { iv, payload, icv } = sealed(&suite, &[5; 32]);
        let aad = [head.as_slice(), &iv, &payload].concat();
        assert_eq!((payload, icv), (vec![5; 32], gcm(&suite, &iv, &aad, &[]).1));
    }
}
