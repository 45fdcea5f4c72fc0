use super::super::inner::Inner;
use super::*;
use pluto_crypto::{ChildSuite, Secret, SeededEntropy, encr_info, integ_info};
use pluto_wire::numbers::{EncrId, IntegId, KeId, PrfId};
use std::path::PathBuf;

fn hex(digits: &str) -> Vec<u8> {
    let digits: Vec<u8> = digits.bytes().filter(u8::is_ascii_hexdigit).collect();
    let nibble = |digit: u8| char::from(digit).to_digit(16).unwrap() as u8;
    digits.chunks(2).map(|pair| nibble(pair[0]) << 4 | nibble(pair[1])).collect()
}

fn suite(encr: EncrId, encr_bits: u16, integ: IntegId, esn: bool) -> ChildSuite {
    ChildSuite { encr, encr_bits, integ, esn, ke: KeId::NONE }
}

struct Keyed {
    suite: ChildSuite,
    spi: u32,
    encr: Secret,
    integ: Secret,
}

impl Keyed {
    fn new(suite: ChildSuite, spi: u32, encr: &str, integ: &str) -> Self {
        Self { suite, spi, encr: Secret::new(hex(encr)), integ: Secret::new(hex(integ)) }
    }

    /// Keys that are nobody's.
    fn any(suite: ChildSuite) -> Self {
        let info = encr_info(suite.encr).unwrap();
        let encr = vec![0x5a; usize::from(suite.encr_bits) / 8 + info.salt];
        let integ = vec![0xa5; integ_info(suite.integ).map_or(0, |info| info.key)];
        Self { suite, spi: 0x1234_5678, encr: Secret::new(encr), integ: Secret::new(integ) }
    }

    fn sealer(&self) -> Sealer {
        let cipher = EspCipher::sealing(&self.suite, &self.encr, &self.integ).unwrap();
        Sealer::new(self.spi, self.suite.esn, cipher)
    }

    fn opener(&self, window: u32) -> Opener {
        let cipher = EspCipher::opening(&self.suite, &self.encr, &self.integ).unwrap();
        Opener::new(self.spi, self.suite.esn, window, cipher)
    }
}

fn ivs() -> Ivs {
    Ivs::new(Box::new(SeededEntropy::new(3)))
}

fn sealed(sealer: &mut Sealer, payload: &[u8], next_header: u8) -> Vec<u8> {
    let mut packet = vec![0xee; sealer.sealed_len(payload.len())];
    let at = sealer.payload_at();
    packet[at..at + payload.len()].copy_from_slice(payload);
    let len = sealer.seal(&mut packet, payload.len(), next_header, &mut ivs()).unwrap();
    assert_eq!(len, packet.len());
    packet
}

fn suites() -> Vec<ChildSuite> {
    let sha2 = IntegId::HMAC_SHA2_256_128;
    let none = IntegId::NONE;
    vec![
        suite(EncrId::AES_GCM_16, 128, none, false),
        suite(EncrId::AES_GCM_16, 256, none, true),
        suite(EncrId::AES_GCM_12, 192, none, true),
        suite(EncrId::AES_GCM_8, 256, none, false),
        suite(EncrId::AES_CCM_8, 128, none, true),
        suite(EncrId::AES_CCM_16, 256, none, false),
        suite(EncrId::CHACHA20_POLY1305, 256, none, true),
        suite(EncrId::NULL_AUTH_AES_GMAC, 256, none, false),
        suite(EncrId::AES_CTR, 256, sha2, true),
        suite(EncrId::AES_CBC, 128, IntegId::HMAC_SHA1_96, false),
        suite(EncrId::AES_CBC, 256, IntegId::HMAC_SHA2_512_256, true),
        suite(EncrId::TRIPLE_DES, 192, IntegId::HMAC_SHA1_96, false),
        suite(EncrId::NULL, 0, sha2, true),
    ]
}

#[test]
fn what_was_sealed_opens_with_any_suite_and_length() {
    for suite in suites() {
        let keyed = Keyed::any(suite);
        let (mut sealer, mut opener) = (keyed.sealer(), keyed.opener(64));
        for len in (0..70).chain([1400, 9000]) {
            let payload: Vec<u8> = (0..len).map(|n: usize| n as u8).collect();
            let mut packet = sealed(&mut sealer, &payload, 4);
            assert!((packet.len() - sealer.icv).is_multiple_of(4), "RFC 4303, 2.4");
            let opened = opener.open(&mut packet).unwrap();
            assert_eq!((opened.next_header, opened.sequence), (4, sealer.sequence()));
            assert_eq!(packet[opened.payload], payload, "{suite:?}");
        }
    }
}

#[test]
fn the_largest_payload_fits_and_one_more_octet_does_not() {
    for suite in suites() {
        let sealer = Keyed::any(suite).sealer();
        for room in 100..200 {
            let largest = sealer.largest_payload(room);
            assert!(sealer.sealed_len(largest) <= room);
            assert!(sealer.sealed_len(largest + 1) > room, "{suite:?} {room}");
        }
    }
}

#[test]
fn any_flipped_bit_and_any_truncation_is_refused_and_changes_nothing() {
    for suite in suites() {
        let keyed = Keyed::any(suite);
        let packet = sealed(&mut keyed.sealer(), b"forty two octets of something or other....", 4);
        let mut opener = keyed.opener(64);
        // The SPI has found the SA already; what is in the packet must still be it.
        for bit in 0..packet.len() * 8 {
            let mut broken = packet.clone();
            broken[bit / 8] ^= 1 << (bit % 8);
            // Not covered: the SPI of the packet itself, since the SA's is used.
            if bit >= 32 {
                assert!(opener.open(&mut broken).is_err(), "{suite:?} bit {bit}");
            }
        }
        for len in 0..packet.len() {
            assert!(opener.open(&mut packet[..len].to_vec()).is_err(), "{suite:?} {len}");
        }
        assert_eq!(opener.window().top(), 0);
        assert!(opener.open(&mut packet.clone()).is_ok());
        assert_eq!(opener.open(&mut packet.clone()), Err(OpenError::Replay(Replay::Seen)));
    }
}

#[test]
fn packets_may_be_late_by_the_window_and_no_more() {
    let keyed = Keyed::any(suite(EncrId::AES_GCM_16, 128, IntegId::NONE, false));
    let mut sealer = keyed.sealer();
    let packets: Vec<_> = (0..100).map(|_| sealed(&mut sealer, b"late", 4)).collect();
    let mut opener = keyed.opener(64);
    assert!(opener.open(&mut packets[99].clone()).is_ok());
    assert!(opener.open(&mut packets[36].clone()).is_ok());
    assert_eq!(opener.open(&mut packets[35].clone()), Err(OpenError::Replay(Replay::Old)));
}

#[test]
fn sequence_numbers_end_without_esn_and_cross_into_the_upper_half_with_it() {
    for esn in [false, true] {
        let keyed = Keyed::any(suite(EncrId::AES_GCM_16, 128, IntegId::NONE, esn));
        let mut sealer = keyed.sealer().behind(0xffff_fffe);
        let mut opener = keyed.opener(64);
        opener.seen_up_to(0xffff_fff0);
        let mut last = sealed(&mut sealer, b"last", 4);
        assert_eq!(opener.open(&mut last).unwrap().sequence, 0xffff_ffff);
        let mut packet = vec![0; 100];
        let next = sealer.seal(&mut packet, 4, 4, &mut ivs());
        if esn {
            packet.truncate(next.unwrap());
            assert_eq!(packet[4..8], [0; 4]);
            assert_eq!(opener.open(&mut packet).unwrap().sequence, 0x1_0000_0000);
        } else {
            assert_eq!(next, Err(SealError::Exhausted));
        }
    }
}

#[test]
fn padding_that_is_not_the_protocols_is_refused() {
    let keyed = Keyed::any(suite(EncrId::NULL, 0, IntegId::HMAC_SHA1_96, false));
    // Payload, padding 1 2 3 with the last wrong, then longer than the packet.
    for trailer in [[1, 2, 9, 3, 4], [1, 2, 3, 90, 4]] {
        let mut sealer = keyed.sealer();
        let mut packet = sealed(&mut sealer, b"abcdefgXXX", 4);
        let body = packet.len() - 12;
        packet[body - 5..body].copy_from_slice(&trailer);
        let tag =
            pluto_crypto::prf(PrfId::HMAC_SHA1, keyed.integ.expose(), &[&packet[..body]]).unwrap();
        packet[body..].copy_from_slice(&tag.expose()[..12]);
        assert_eq!(keyed.opener(64).open(&mut packet), Err(OpenError::Padding));
    }
}

/// Opens a published packet, then seals it again with its IV.
fn check_vector(keyed: &Keyed, packet: &[u8], sequence: u64, next_header: u8) -> Vec<u8> {
    let mut opener = keyed.opener(64);
    if keyed.suite.esn && sequence > 64 {
        opener.seen_up_to(sequence - 1);
    }
    let mut clear = packet.to_vec();
    let opened = opener.open(&mut clear).unwrap();
    assert_eq!((opened.sequence, opened.next_header), (sequence, next_header));
    let payload = clear[opened.payload.clone()].to_vec();
    let mut again = vec![0; packet.len()];
    let at = opened.payload.start;
    again[..at].copy_from_slice(&packet[..at]);
    again[at..at + payload.len()].copy_from_slice(&payload);
    let len = keyed.sealer().seal_as(sequence, &mut again, payload.len(), next_header).unwrap();
    assert_eq!(again[..len], *packet);
    payload
}

#[test]
fn packets_of_rfc_3602_with_an_hmac_of_rfc_4231_behind_them() {
    // RFC 3602, 4, cases 5 to 8: they have no ICV, so one is added.
    let cases = [
        (
            "90d382b410eeba7ad938c46cec1a82bf",
            1,
            1,
            64,
            "0000432100000001e96e8c08ab465763fd098d45dd3ff893f663c25d325c18c6a9453e194e120849
             a4870b66cc6b9965330013b4898dc856a4699e523a55db080b59ec3a8e4b7e52775b07d1db34ed9c
             538ab50c551b874aa269add047ad2d5913ac19b7cfbad4a6",
        ),
        (
            "90d382b410eeba7ad938c46cec1a82bf",
            8,
            1,
            28,
            "000043210000000869d08df7d203329db093fc4924e5bd80f51995881ec4e0c4488987ce742e8109
             689bb379d2d750c0d915dca346a89f75",
        ),
        (
            "0123456789abcdef0123456789abcdef",
            2,
            4,
            84,
            "0000876500000002f4e765244f6407adf13dc1380f673f37773b5241a4c449225e4f3ce5ed611b0c
             237ca96cf74a93013c1b0ea1a0cf70f8e4ecaec78ac53aad7a0f022b859243c647752e94a859352b
             8a4d4d2decd136e5c177f132ad3fbfb2201ac9904c74ee0a109e0ca1e4dfe9d5a100b842f1c22f0d",
        ),
        (
            "0123456789abcdef0123456789abcdef",
            5,
            4,
            68,
            "000087650000000585d47224b5f3dd5d2101d4ea8dffab2215b92683819596a8047232cc00f7048f
             e45318e11f8a0f62ede3c3fc61203bb50f980a08c9843fd3a1b06d5c07ff9639b7eb7dfb3512e5de
             435e7207ed971ef3d2726d9b5ef6affc6d17a0decbb13892",
        ),
    ];
    for (key, sequence, next_header, len, packet) in cases {
        let mut packet = hex(packet);
        let spi = be32(&packet, 0).unwrap();
        let integ = "00".repeat(32);
        let cbc = suite(EncrId::AES_CBC, 128, IntegId::HMAC_SHA2_256_128, false);
        let keyed = Keyed::new(cbc, spi, key, &integ);
        let tag = pluto_crypto::prf(PrfId::HMAC_SHA2_256, &hex(&integ), &[&packet]).unwrap();
        packet.extend_from_slice(&tag.expose()[..16]);
        assert_eq!(check_vector(&keyed, &packet, sequence, next_header).len(), len);
    }
}

#[test]
fn packets_of_aes_gcm_as_rfc_4106_has_them() {
    // Published with RFC 4106's text (draft-mcgrew-gcm-test-01): one with ESN, one without.
    let esn = suite(EncrId::AES_GCM_16, 128, IntegId::NONE, true);
    let keyed = Keyed::new(esn, 0x4321, "4c80cdefbb5d10da906ac73c3613a6342e443b68", "");
    let packet = hex("00004321000000004956ed7e3b244cfe
        fecf537e729d5b07dc30df528dd22b768d1b98736696a6fd348509fa13ceac34
        cfa2436f14a3f3cf65925bf1f4a13c5d15b21e1884f5ff6247aeabb786b93bce
        61bc17d768fd9732459018148f6cbe722fd04796562dfdb4");
    let inner = check_vector(&keyed, &packet, 0x8765_4321_0000_0000, 1);
    // The packet inside claims four octets more than it has.
    assert_eq!((inner.len(), be32(&inner, 20)), (68, Some(0x0a9b_f156)));

    let plain = suite(EncrId::AES_GCM_16, 192, IntegId::NONE, false);
    let key = "feffe9928665731c6d6a8f9467308308feffe9928665731ccafebabe";
    let keyed = Keyed::new(plain, 0xa5f8, key, "");
    let packet = hex("0000a5f80000000afacedbaddecaf888
        a5b1f8066029aea40e598b8122de02420938b3ab33f828e687b8858b5bfbdbd0
        315b27452144cc7795457b9652037f5318027b5b4cd7a636");
    let mut clear = packet.clone();
    // Its padding (none, "0001") is next header 1 with no padding.
    let opened = keyed.opener(64).open(&mut clear).unwrap();
    assert_eq!((opened.next_header, opened.payload.len()), (1, 38));
}

#[test]
fn a_packet_of_rfc_7634() {
    let chacha = suite(EncrId::CHACHA20_POLY1305, 256, IntegId::NONE, false);
    let key = "808182838485868788898a8b8c8d8e8f909192939495969798999a9b9c9d9e9fa0a1a2a3";
    let keyed = Keyed::new(chacha, 0x0102_0304, key, "");
    let packet = hex("01020304000000051011121314151617
        24039428b97f417e3c13753a4f05087b67c352e6a7fab1b982d466ef407ae5c6
        14ee8099d52844eb61aa95dfab4c02f72aa71e7c4c4f64c9befe2facc638e8f3
        cbec163fac469b502773f6fb94e664da9165b82829f641e0
        76aaa8266b7fb0f7b11b369907e1ad43");
    let inner = check_vector(&keyed, &packet, 5, 4);
    assert_eq!(Inner::parse(&inner).unwrap().ports, Some((8, 0)), "echo request");
}

/// The ESP packets of a capture of Ethernet frames or raw IP.
fn captured(pcap: &[u8]) -> Vec<Vec<u8>> {
    let le32 = |at: usize| {
        pcap.get(at..at + 4).map(|four| u32::from_le_bytes(four.try_into().unwrap()) as usize)
    };
    let link = match le32(20) {
        Some(1) => 14,
        _ => 0,
    };
    let (mut at, mut packets) = (24, Vec::new());
    while let Some(len) = le32(at + 8) {
        let frame = &pcap[at + 16..at + 16 + len];
        let inner = Inner::parse(&frame[link..]).unwrap();
        let above = &frame[link + inner.header..link + inner.len];
        match inner.protocol {
            50 => packets.push(above.to_vec()),
            17 => packets.push(above[8..].to_vec()),
            _ => {}
        }
        at += 16 + len;
    }
    packets
}

#[test]
fn captured_packets_with_known_keys_open_and_are_sealed_the_same_again() {
    let root = std::env::var_os("PLUTO_TESTDATA").map_or_else(
        || PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../shared/testdata"),
        PathBuf::from,
    );
    let folder = root.join("pcaps/tcpdump");
    let Ok(list) = std::fs::read_to_string(folder.join("esp-keys.txt")) else {
        println!("skipped: no captures in {}", folder.display());
        return;
    };
    let mut opened = 0;
    for line in list.lines().filter(|line| !line.starts_with('#')) {
        let fields: Vec<&str> = line.split_whitespace().collect();
        let [name, "SPI", spi, algorithm, key] = fields[..] else { continue };
        let Ok(pcap) = std::fs::read(folder.join(name)) else { continue };
        let (encr, bits) = match algorithm {
            "3des-cbc-hmac96" => (EncrId::TRIPLE_DES, 192),
            _ => (EncrId::AES_CBC, 256),
        };
        let integ = "00".repeat(20);
        let cbc = suite(encr, bits, IntegId::HMAC_SHA1_96, false);
        let spi = u32::from_str_radix(spi, 16).unwrap();
        let keyed = Keyed::new(cbc, spi, key, &integ);
        for mut packet in captured(&pcap).into_iter().filter(|p| be32(p, 0) == Some(spi)) {
            // Their integrity keys were not kept: ours takes their place.
            let body = packet.len() - 12;
            let tag =
                pluto_crypto::prf(PrfId::HMAC_SHA1, &hex(&integ), &[&packet[..body]]).unwrap();
            packet[body..].copy_from_slice(&tag.expose()[..12]);
            let sequence = u64::from(be32(&packet, 4).unwrap());
            let inner = check_vector(&keyed, &packet, sequence, 4);
            assert_eq!(Inner::parse(&inner).unwrap().len, inner.len());
            opened += 1;
        }
    }
    assert!(opened >= 8, "{opened} packets");
}

#[test]
fn random_and_mutated_packets_are_refused() {
    let rounds = if cfg!(debug_assertions) { 100_000 } else { 10_000_000 };
    let keyed = Keyed::any(suite(EncrId::AES_GCM_16, 128, IntegId::NONE, true));
    let mut opener = keyed.opener(64);
    let mut sealer = keyed.sealer();
    let good = sealed(&mut sealer, b"a packet that is good until it is changed", 4);
    let mut entropy = SeededEntropy::new(5);
    let mut random = [0; 96];
    for round in 0..rounds {
        entropy.fill(&mut random);
        let len = usize::from(random[0]) % random.len();
        let packet = if round % 2 == 0 {
            &mut random[..len]
        } else {
            let at = usize::from(random[1]) % (good.len() - 4) + 4;
            let change = random[2] | 1;
            random[..good.len()].copy_from_slice(&good);
            random[at] ^= change;
            &mut random[..good.len()]
        };
        assert!(opener.open(packet).is_err());
    }
    assert_eq!(opener.window().top(), 0);
}
