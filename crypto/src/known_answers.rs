//! Known answers from the text of RFCs.

use crate::cipher::{Cipher, Direction};
use crate::mac::Mac;
use crate::*;
use pluto_wire::numbers::{EncrId, IntegId, KeId, PrfId};

/// Hexadecimal digits, white space between them ignored.
pub(crate) fn hex(digits: &str) -> Vec<u8> {
    let digits: Vec<u32> = digits.chars().filter_map(|c| c.to_digit(16)).collect();
    assert_eq!(digits.len() % 2, 0);
    digits.chunks(2).map(|pair| u8::try_from(pair[0] << 4 | pair[1]).unwrap()).collect()
}

#[track_caller]
fn gives(id: PrfId, key: &[u8], message: &[u8], output: &str) {
    assert_eq!(prf(id, key, &[message]).unwrap().expose(), hex(output), "{id}");
    // The same octets in pieces of any size.
    for size in [1, 7, 16, 255, 256] {
        let parts: Vec<&[u8]> = message.chunks(size).collect();
        assert_eq!(prf(id, key, &parts).unwrap().expose(), hex(output), "{id} by {size}");
    }
}

#[test]
fn hashes_of_fips_180() {
    let abc = |id| hash(id, &[b"a", b"", b"bc"]);
    assert_eq!(abc(HashId::Sha1), hex("a9993e364706816aba3e25717850c26c9cd0d89d"));
    let sha256 = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad";
    assert_eq!(abc(HashId::Sha2_256), hex(sha256));
    let sha384 = "cb00753f45a35e8bb5a03d699ac65007272c32ab0eded1631a8b605a43ff5bed
                  8086072ba1e7cc2358baeca134c825a7";
    assert_eq!(abc(HashId::Sha2_384), hex(sha384));
    let sha512 = "ddaf35a193617abacc417349ae20413112e6fa4e89a97ea20a9eeee64b55d39a
                  2192992a274fc1a836ba3c23a3feebbd454d4423643ce80e2a9ac94fa54ca49f";
    assert_eq!(abc(HashId::Sha2_512), hex(sha512));
}

#[test]
fn hmac_sha2_of_rfc_4231() {
    // Test cases 1, 2 and 6: a key as long as the output, a short one, one beyond the block.
    let cases: [(&[u8], &[u8], [&str; 3]); 3] = [
        (
            &[0x0b; 20],
            b"Hi There",
            [
                "b0344c61d8db38535ca8afceaf0bf12b881dc200c9833da726e9376c2e32cff7",
                "afd03944d84895626b0825f4ab46907f15f9dadbe4101ec682aa034c7cebc59c
                 faea9ea9076ede7f4af152e8b2fa9cb6",
                "87aa7cdea5ef619d4ff0b4241a1d6cb02379f4e2ce4ec2787ad0b30545e17cde
                 daa833b7d6b8a702038b274eaea3f4e4be9d914eeb61f1702e696c203a126854",
            ],
        ),
        (
            b"Jefe",
            b"what do ya want for nothing?",
            [
                "5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843",
                "af45d2e376484031617f78d2b58a6b1b9c7ef464f5a01b47e42ec3736322445e
                 8e2240ca5e69e2c78b3239ecfab21649",
                "164b7a7bfcf819e2e395fbe73b56e0a387bd64222e831fd610270cd7ea250554
                 9758bf75c05a994a6d034f65f8f0e6fdcaeab1a34d4a6b4b636e070a38bce737",
            ],
        ),
        (
            &[0xaa; 131],
            b"Test Using Larger Than Block-Size Key - Hash Key First",
            [
                "60e431591ee0b67f0d8a26aacbf5b77f8e0bc6213728c5140546040f0ee37f54",
                "4ece084485813e9088d2c63a041bc5b44f9ef1012a2b588f3cd11f05033ac4c6
                 0c2ef6ab4030fe8296248df163f44952",
                "80b24263c7c1a3ebb71493c1dd7be8b49b46d1f41b4aeec1121b013783f8f352
                 6b56d037e05f2598bd0fd2215d6a1e5295e64f73f63f0aec8b915a985d786598",
            ],
        ),
    ];
    let ids = [PrfId::HMAC_SHA2_256, PrfId::HMAC_SHA2_384, PrfId::HMAC_SHA2_512];
    for (key, message, outputs) in cases {
        for (id, output) in ids.into_iter().zip(outputs) {
            gives(id, key, message, output);
        }
    }
}

#[test]
fn hmac_sha1_of_rfc_2202() {
    let id = PrfId::HMAC_SHA1;
    gives(id, &[0x0b; 20], b"Hi There", "b617318655057264e28bc0b6fb378c8ef146be00");
    let what = b"what do ya want for nothing?";
    gives(id, b"Jefe", what, "effcdf6ae5eb2fa2d27416d5f184df9c259a7c79");
    let long = b"Test Using Larger Than Block-Size Key - Hash Key First";
    gives(id, &[0xaa; 80], long, "aa4ae5e15272d00e95705637ce8a3b55ed402112");
}

#[test]
fn aes_xcbc_of_rfc_3566_and_4434() {
    let count = |n: u8| (0..n).collect::<Vec<u8>>();
    let id = PrfId::AES_XCBC;
    let key = count(16);
    gives(id, &key, &[], "75f0251d528ac01c4573dfd584d79f29");
    gives(id, &key, &count(3), "5b376580ae2f19afe7219ceef172756f");
    gives(id, &key, &count(16), "d2a246fa349b68a79998a4394ff7a263");
    gives(id, &key, &count(20), "47f51b4564966215b8985c63055ed308");
    gives(id, &key, &count(32), "f54f0ec8d2b9f3d36807734bd5283fd4");
    gives(id, &key, &count(34), "becbb3bccdb518a30677d5481fb6b4d8");
    gives(id, &key, &[0; 1000], "f0dafee895db30253761103b5d84528f");
    // Keys of 10 and 18 octets (RFC 4434, 4).
    gives(id, &count(10), &count(20), "0fa087af7d866e7653434e602fdde835");
    let long = [count(16), vec![0xed, 0xcb]].concat();
    gives(id, &long, &count(20), "8cd3c93ae598a9803006ffb67c40e9e4");
}

#[test]
fn aes_cmac_of_rfc_4493_and_4615() {
    let id = PrfId::AES_CMAC;
    let key = hex("2b7e151628aed2a6abf7158809cf4f3c");
    let message = hex("6bc1bee22e409f96e93d7e117393172aae2d8a571e03ac9c9eb76fac45af8e51
         30c81c46a35ce411e5fbc1191a0a52eff69f2445df4f9b17ad2b417be66c3710");
    gives(id, &key, &[], "bb1d6929e95937287fa37d129b756746");
    gives(id, &key, &message[..16], "070a16b46b4d4144f79bdd9dd04a287c");
    gives(id, &key, &message[..40], "dfa66747de9ae63030ca32611497c827");
    gives(id, &key, &message, "51f0bebf7e3b9d92fc49741779363cfe");
    // RFC 4615, 4: keys of 18, 16 and 10 octets.
    let key = hex("000102030405060708090a0b0c0d0e0fedcb");
    let message: Vec<u8> = (0..20).collect();
    gives(id, &key, &message, "84a348a4a45d235babfffc0d2b4da09a");
    gives(id, &key[..16], &message, "980ae87b5f4c9c5214f5b6a8455e4c2d");
    gives(id, &key[..10], &message, "290d9e112edb09ee141fcf64c0b72f3d");
}

#[test]
fn integrity_is_the_same_function_cut() {
    let cases = [
        (IntegId::HMAC_SHA1_96, PrfId::HMAC_SHA1),
        (IntegId::AES_XCBC_96, PrfId::AES_XCBC),
        (IntegId::AES_CMAC_96, PrfId::AES_CMAC),
        (IntegId::HMAC_SHA2_256_128, PrfId::HMAC_SHA2_256),
        (IntegId::HMAC_SHA2_384_192, PrfId::HMAC_SHA2_384),
        (IntegId::HMAC_SHA2_512_256, PrfId::HMAC_SHA2_512),
    ];
    for (integ, id) in cases {
        let info = integ_info(integ).unwrap();
        let key = vec![9; info.key];
        let whole = prf(id, &key, &[b"message"]).unwrap();
        let icv = &whole.expose()[..info.icv];
        let mac = Mac::integrity(integ, &key).unwrap();
        assert_eq!(mac.verify(&[b"mess", b"age"], icv), Ok(()), "{integ}");
        assert_eq!(mac.verify(&[b"massage"], icv), Err(Error::Integrity), "{integ}");
    }
}

#[test]
fn prf_plus_counts_its_rounds() {
    let id = PrfId::HMAC_SHA2_256;
    let first = prf(id, b"key", &[b"seed", &[1]]).unwrap();
    let second = prf(id, b"key", &[first.expose(), b"seed", &[2]]).unwrap();
    let both = [first.expose(), second.expose()].concat();
    for len in [0, 1, 31, 32, 33, 64] {
        let octets = prf_plus(id, b"key", &[b"se", b"ed"], len).unwrap();
        assert_eq!(octets.expose(), &both[..len]);
    }
    assert_eq!(prf_plus(id, b"key", &[b"seed"], 255 * 32).unwrap().len(), 255 * 32);
    assert!(prf_plus(id, b"key", &[b"seed"], 255 * 32 + 1).is_err());
    assert!(prf_plus(PrfId::HMAC_MD5, b"key", &[b"seed"], 1).is_err());
}

#[test]
fn aes_ctr_of_rfc_3686() {
    // Test vectors 1, 6 and 9: key with nonce, IV, plain text, cipher text.
    let cases = [
        (
            128,
            "ae6852f8121067cc4bf7a5765577f39e 00000030",
            "0000000000000000",
            "53696e676c6520626c6f636b206d7367",
            "e4095d4fb7a7b3792d6175a3261311b8",
        ),
        (
            192,
            "02bf391ee8ecb159b959617b0965279bf59b60a786d3e0fe 0007bdfd",
            "5cbd60278dcc0912",
            "000102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f20212223",
            "96893fc55e5c722f540b7dd1ddf7e758d288bc95c69165884536c811662f2188abee0935",
        ),
        (
            256,
            "ff7a617ce69148e4f1726e2f43581de2aa62d9f805532edff1eed687fb54153d 001cc5b7",
            "51a51d70a1c11148",
            "000102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f20212223",
            "eb6c52821d0bbbf7ce7594462aca4faab407df866569fd07f48cc0b583d6071f1ec0e6b8",
        ),
    ];
    for (bits, key, iv, plain, expected) in cases {
        encrypts(EncrId::AES_CTR, bits, key, iv, plain, expected);
    }
}

#[test]
fn aes_cbc_of_rfc_3602() {
    encrypts(
        EncrId::AES_CBC,
        128,
        "06a9214036b8a15b512e03d534120006",
        "3dafba429d9eb430b422da802c9fac41",
        "53696e676c6520626c6f636b206d7367",
        "e353779c1079aeb82708942dbe77181a",
    );
}

#[track_caller]
fn encrypts(encr: EncrId, bits: u16, key: &str, iv: &str, plain: &str, expected: &str) {
    let cipher = |direction| Cipher::new(encr, bits, &hex(key), direction).unwrap();
    let mut text = hex(plain);
    cipher(Direction::Seal).seal(&[], &hex(iv), &mut text, &mut []).unwrap();
    assert_eq!(text, hex(expected));
    cipher(Direction::Open).open(&[], &hex(iv), &mut text, &[]).unwrap();
    assert_eq!(text, hex(plain));
}

#[test]
fn chacha20_poly1305_of_rfc_8439() {
    // 2.8.2: the constant and the IV make up our salt and IV.
    let key = "808182838485868788898a8b8c8d8e8f909192939495969798999a9b9c9d9e9f 07000000";
    let mut text = b"Ladies and Gentlemen of the class of '99: If I could offer you \
                     only one tip for the future, sunscreen would be it."
        .to_vec();
    let mut icv = [0; 16];
    let mut cipher = Cipher::new(EncrId::CHACHA20_POLY1305, 0, &hex(key), Direction::Seal).unwrap();
    let aad = hex("50515253c0c1c2c3c4c5c6c7");
    cipher.seal(&aad, &hex("4041424344454647"), &mut text, &mut icv).unwrap();
    assert!(
        text.starts_with(&hex("d31a8d34648e60db7b86afbc53ef7ec2a4aded51296e08fea9e2b5a736ee62d6"))
    );
    assert_eq!(icv.to_vec(), hex("1ae10b594f09e26a7e902ecbd0600691"));
}

#[test]
fn an_informational_exchange_of_rfc_7634() {
    // Appendix B: a whole message protected with ChaCha20-Poly1305.
    let suite = IkeSuite {
        encr: EncrId::CHACHA20_POLY1305,
        encr_bits: 0,
        integ: IntegId::NONE,
        prf: PrfId::HMAC_SHA2_256,
        ke: KeId::X25519,
    };
    let key = hex("808182838485868788898a8b8c8d8e8f909192939495969798999a9b9c9d9e9fa0a1a2a3");
    let cipher = IkeCipher::new(&suite, &Secret::new(key), &Secret::default()).unwrap();
    let head = hex("c0c1c2c3c4c5c6c7d0d1d2d3d4d5d6d72e202500000000090000004529000029");
    let plain = hex("0000000c000040010000000a");
    let mut message = head.clone();
    cipher.seal(&mut message, &plain, 0x1011_1213_1415_1617, &mut SeededEntropy::new(0)).unwrap();
    let body = "1011121314151617 610394701f8d017f7c129248896b71bfe25236efd7cdc67066906315b2";
    assert_eq!(message, [head.clone(), hex(body)].concat());
    assert_eq!(cipher.open(&message, head.len()).unwrap(), plain);
}
