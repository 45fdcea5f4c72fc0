//! Vectors of others, which are read where they are and not part of the project.

use crate::cipher::{Cipher, Direction};
use crate::known_answers::hex;
use crate::mac::Mac;
use crate::*;
use pluto_wire::numbers::{EncrId, IntegId, KeId, PrfId};
use pluto_wire::{IkeSpi, IkeSpis};
use serde_json::Value;
use std::path::PathBuf;

/// The text of a file of vectors; none, after saying so, where there are no testdata.
fn text(name: &str) -> Option<String> {
    let root = std::env::var_os("PLUTO_TESTDATA").map_or_else(
        || PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../shared/testdata"),
        PathBuf::from,
    );
    if !root.is_dir() {
        println!("skipped: no testdata in {}", root.display());
        return None;
    }
    let path = root.join("vectors").join(name);
    Some(std::fs::read_to_string(&path).unwrap_or_else(|e| panic!("{}: {e}", path.display())))
}

fn json(name: &str) -> Option<Value> {
    text(name).map(|text| serde_json::from_str(&text).unwrap())
}

/// The octets of a field; an absent one is empty.
fn octets(value: &Value, field: &str) -> Vec<u8> {
    hex(value[field].as_str().unwrap_or_default())
}

/// `KEY = value` groups of a file in the format of NIST, each as (key, value) look-up.
type Group = std::collections::HashMap<String, String>;

fn groups(text: &str, first: &str) -> Vec<Group> {
    let mut all: Vec<Group> = Vec::new();
    // What stands before a group holds until it is said again.
    let mut sections = Group::new();
    let mut inside = false;
    for line in text.lines().map(str::trim) {
        if line.starts_with('#') || line.is_empty() {
            inside &= !line.is_empty();
            continue;
        }
        let bare = line.trim_matches(['[', ']']);
        let Some((key, value)) = bare.split_once('=') else {
            sections.insert("section".into(), bare.into());
            continue;
        };
        let (key, value) = (key.trim().to_owned(), value.trim().to_owned());
        if key == first {
            all.push(sections.clone());
            inside = true;
        }
        match all.last_mut().filter(|_| inside) {
            Some(group) => group.insert(key, value),
            None => sections.insert(key, value),
        };
    }
    all
}

#[track_caller]
fn seals_and_opens(
    encr: EncrId,
    key: &[u8],
    aad: &[u8],
    iv: &[u8],
    plain: &[u8],
    text: &[u8],
    icv: &[u8],
) {
    let info = encr_info(encr).unwrap();
    let bits = u16::try_from((key.len() - info.salt) * 8).unwrap();
    let cipher = |direction| Cipher::new(encr, bits, key, direction).unwrap();
    let (mut payload, mut tag) = (plain.to_vec(), vec![0; info.icv]);
    cipher(Direction::Seal).seal(aad, iv, &mut payload, &mut tag).unwrap();
    assert_eq!((payload.as_slice(), tag.as_slice()), (text, icv), "{encr}");
    cipher(Direction::Open).open(aad, iv, &mut payload, icv).unwrap();
    assert_eq!(payload, plain, "{encr}");
}

#[test]
fn strongswan_ciphers() {
    let mut count = 0;
    for name in ["aes_cbc", "aes_ctr", "aes_ccm", "3des_cbc", "camellia_cbc"] {
        let Some(file) = json(&format!("strongswan/{name}.json")) else { return };
        for v in file["vectors"].as_array().unwrap() {
            let encr = match v["alg"].as_str().unwrap() {
                "ENCR_AES_CBC" => EncrId::AES_CBC,
                "ENCR_AES_CTR" => EncrId::AES_CTR,
                "ENCR_AES_CCM_ICV8" => EncrId::AES_CCM_8,
                "ENCR_AES_CCM_ICV12" => EncrId::AES_CCM_12,
                "ENCR_AES_CCM_ICV16" => EncrId::AES_CCM_16,
                "ENCR_3DES" => EncrId::TRIPLE_DES,
                "ENCR_CAMELLIA_CBC" => EncrId::CAMELLIA_CBC,
                other => panic!("{other}"),
            };
            let cipher = octets(v, "cipher");
            let split = cipher.len() - encr_info(encr).unwrap().icv;
            let (text, icv) = cipher.split_at(split);
            let [key, aad, iv, plain] =
                ["key", "adata", "iv", "plain"].map(|field| octets(v, field));
            // Some keys are given longer than they are used.
            let sizes = ["key_size", "salt_size"].map(|size| v[size].as_u64().unwrap_or(0));
            let used = usize::try_from(sizes.iter().sum::<u64>()).unwrap();
            let key = if encr == EncrId::AES_CTR { &key } else { &key[..used] };
            seals_and_opens(encr, key, &aad, &iv, &plain, text, icv);
            count += 1;
        }
    }
    assert_eq!(count, 6 + 9 + 16 + 2 + 6);
}

#[test]
fn libreswan_ciphers() {
    let Some(file) = json("libreswan/encrypt_gcm_test_vectors.json") else { return };
    for v in file["sets"]["aes_gcm_test_vectors"].as_array().unwrap() {
        let nonce = octets(v, "salted_iv");
        let key = [octets(v, "key"), nonce[..4].to_vec()].concat();
        let [aad, plain, text, tag] =
            ["aad", "plaintext", "ciphertext", "tag"].map(|field| octets(v, field));
        let cases = [(EncrId::AES_GCM_16, 16), (EncrId::AES_GCM_12, 12), (EncrId::AES_GCM_8, 8)];
        for (encr, icv) in cases {
            seals_and_opens(encr, &key, &aad, &nonce[4..], &plain, &text, &tag[..icv]);
        }
    }
    let Some(file) = json("libreswan/encrypt_cbc_test_vectors.json") else { return };
    for (set, encr) in [
        ("aes_cbc_test_vectors", EncrId::AES_CBC),
        ("camellia_cbc_test_vectors", EncrId::CAMELLIA_CBC),
    ] {
        for v in file["sets"][set].as_array().unwrap() {
            let [key, iv, plain, text] =
                ["key", "iv", "plaintext", "ciphertext"].map(|field| octets(v, field));
            seals_and_opens(encr, &key, &[], &iv, &plain, &text, &[]);
        }
    }
    let Some(file) = json("libreswan/encrypt_ctr_test_vectors.json") else { return };
    for v in file["sets"]["aes_ctr_test_vectors"].as_array().unwrap() {
        let block = octets(v, "cb");
        let key = [octets(v, "key"), block[..4].to_vec()].concat();
        let [plain, text] = ["plaintext", "ciphertext"].map(|field| octets(v, field));
        seals_and_opens(EncrId::AES_CTR, &key, &[], &block[4..12], &plain, &text, &[]);
    }
}

#[test]
fn nist_ciphers() {
    let mut count = 0;
    for bits in [128, 192, 256] {
        for kind in ["MMT", "GFSbox", "KeySbox"] {
            let Some(text) = text(&format!("pyca/AES-CBC/CBC{kind}{bits}.rsp")) else { return };
            for group in groups(&text, "COUNT") {
                let [key, iv, plain, cipher] =
                    ["KEY", "IV", "PLAINTEXT", "CIPHERTEXT"].map(|field| hex(&group[field]));
                seals_and_opens(EncrId::AES_CBC, &key, &[], &iv, &plain, &cipher, &[]);
                count += 1;
            }
        }
        let Some(text) = text(&format!("pyca/AES-CCM/VNT{bits}.rsp")) else { return };
        // Ours have nonces of 11 octets.
        for group in groups(&text, "Count").iter().filter(|group| group["Nlen"] == "11") {
            let nonce = hex(&group["Nonce"]);
            let key = [hex(&group["Key"]), nonce[..3].to_vec()].concat();
            let (aad, plain, cipher) =
                (hex(&group["Adata"]), hex(&group["Payload"]), hex(&group["CT"]));
            let (text, icv) = cipher.split_at(plain.len());
            seals_and_opens(EncrId::AES_CCM_16, &key, &aad, &nonce[3..], &plain, text, icv);
            count += 1;
        }
    }
    let Some(text) = text("pyca/3DES/TCBCMMT3.rsp") else { return };
    for group in groups(&text, "COUNT") {
        let key = [hex(&group["KEY1"]), hex(&group["KEY2"]), hex(&group["KEY3"])].concat();
        let [iv, plain, cipher] = ["IV", "PLAINTEXT", "CIPHERTEXT"].map(|field| hex(&group[field]));
        seals_and_opens(EncrId::TRIPLE_DES, &key, &[], &iv, &plain, &cipher, &[]);
        count += 1;
    }
    assert!(count > 100, "{count}");
}

#[test]
fn boringssl_chacha20_poly1305() {
    let Some(text) = text("pyca/ChaCha20Poly1305/boringssl.txt") else { return };
    let octets = |value: &String| match value.strip_prefix('"') {
        Some(quoted) => quoted.trim_end_matches('"').as_bytes().to_vec(),
        None => hex(value),
    };
    let mut count = 0;
    for group in groups(&text, "COUNT") {
        let nonce = octets(&group["NONCE"]);
        let key = [octets(&group["KEY"]), nonce[..4].to_vec()].concat();
        let [aad, plain, cipher, tag] =
            ["AD", "IN", "CT", "TAG"].map(|field| octets(&group[field]));
        let encr = EncrId::CHACHA20_POLY1305;
        seals_and_opens(encr, &key, &aad, &nonce[4..], &plain, &cipher, &tag);
        count += 1;
    }
    assert!(count > 10, "{count}");
}

#[test]
fn strongswan_hashes_and_prfs() {
    let mut count = 0;
    for name in ["sha1", "sha2", "sha1_hmac", "sha2_hmac", "aes_cmac"] {
        let Some(file) = json(&format!("strongswan/{name}.json")) else { return };
        for v in file["vectors"].as_array().unwrap() {
            let algorithm = v["alg"].as_str().unwrap();
            let hashed = |id| assert_eq!(hash(id, &[&octets(v, "data")]), octets(v, "hash"));
            let function = |id| {
                let output = prf(id, &octets(v, "key"), &[&octets(v, "seed")]).unwrap();
                assert_eq!(output.expose(), octets(v, "out"), "{algorithm}");
            };
            let signed = |id| {
                let mac = Mac::integrity(id, &octets(v, "key")).unwrap();
                assert_eq!(mac.verify(&[&octets(v, "data")], &octets(v, "mac")), Ok(()));
            };
            match algorithm {
                "HASH_SHA1" => hashed(HashId::Sha1),
                "HASH_SHA256" => hashed(HashId::Sha2_256),
                "HASH_SHA384" => hashed(HashId::Sha2_384),
                "HASH_SHA512" => hashed(HashId::Sha2_512),
                "PRF_HMAC_SHA1" => function(PrfId::HMAC_SHA1),
                "PRF_HMAC_SHA2_256" => function(PrfId::HMAC_SHA2_256),
                "PRF_HMAC_SHA2_384" => function(PrfId::HMAC_SHA2_384),
                "PRF_HMAC_SHA2_512" => function(PrfId::HMAC_SHA2_512),
                "PRF_AES128_CMAC" => function(PrfId::AES_CMAC),
                "AUTH_HMAC_SHA1_96" => signed(IntegId::HMAC_SHA1_96),
                "AUTH_HMAC_SHA2_256_128" => signed(IntegId::HMAC_SHA2_256_128),
                "AUTH_HMAC_SHA2_384_192" => signed(IntegId::HMAC_SHA2_384_192),
                "AUTH_HMAC_SHA2_512_256" => signed(IntegId::HMAC_SHA2_512_256),
                "AUTH_AES_CMAC_96" => signed(IntegId::AES_CMAC_96),
                // Not ours.
                "HASH_SHA224" | "AUTH_HMAC_SHA1_128" | "AUTH_HMAC_SHA1_160" => continue,
                other => panic!("{other}"),
            }
            count += 1;
        }
    }
    assert_eq!(count, 4 + 9 + 6 + 2 + 15 + 9 + 7 + 4);
}

#[test]
fn libreswan_aes_xcbc() {
    let Some(file) = json("libreswan/prf_test_vectors.json") else { return };
    for v in file["sets"]["aes_xcbc_prf_tests"].as_array().unwrap() {
        let mut message = octets(v, "message");
        if let Some(zeros) = v["message_size"].as_u64() {
            message.resize(usize::try_from(zeros).unwrap(), 0);
        }
        let output = prf(PrfId::AES_XCBC, &octets(v, "key"), &[&message]).unwrap();
        assert_eq!(output.expose(), octets(v, "prf_output"), "{}", v["description"]);
    }
}

#[test]
fn strongswan_key_exchanges() {
    let mut count = 0;
    for name in ["modp", "ecp", "curve25519"] {
        let Some(file) = json(&format!("strongswan/{name}.json")) else { return };
        for v in file["vectors"].as_array().unwrap() {
            let method = match v["method"].as_str().unwrap() {
                "MODP_1536_BIT" => KeId::MODP1536,
                "MODP_2048_BIT" => KeId::MODP2048,
                "MODP_3072_BIT" => KeId::MODP3072,
                "MODP_4096_BIT" => KeId::MODP4096,
                "MODP_6144_BIT" => KeId::MODP6144,
                "MODP_8192_BIT" => KeId::MODP8192,
                "ECP_256_BIT" => KeId::ECP_256,
                "ECP_384_BIT" => KeId::ECP_384,
                "ECP_521_BIT" => KeId::ECP_521,
                "CURVE_25519" => KeId::X25519,
                _ => continue,
            };
            let seed = octets(v, "seed");
            let (a, b) = seed.split_at(seed.len() / 2);
            let [a, b] = [a, b].map(|private| LocalKey::from_private(method, private).unwrap());
            assert_eq!(a.public(), octets(v, "pub_i"), "{method}");
            assert_eq!(b.public(), octets(v, "pub_r"), "{method}");
            let shared = octets(v, "shared");
            assert_eq!(a.agree(b.public()).unwrap().expose(), shared, "{method}");
            assert_eq!(b.agree(a.public()).unwrap().expose(), shared, "{method}");
            count += 1;
        }
    }
    assert_eq!(count, 6 + 3 + 2);
}

#[test]
fn nist_ecdh_with_bad_points() {
    for role in ["init", "resp"] {
        let name = format!("pyca/ECDH/KASValidityTest_ECCStaticUnified_NOKC_ZZOnly_{role}.fax");
        let Some(text) = text(&name) else { return };
        let (mut agreed, mut refused) = (0, 0);
        for group in groups(&text, "COUNT") {
            let (method, octets) = match group["section"].split(' ').next().unwrap() {
                "EC" => (KeId::ECP_256, 32),
                "ED" => (KeId::ECP_384, 48),
                "EE" => (KeId::ECP_521, 66),
                _ => continue,
            };
            let number = |field: &str| {
                let digits = group[field].trim_start_matches('0');
                hex(&format!("{digits:0>width$}", width = 2 * octets))
            };
            let peer = [number("QsCAVSx"), number("QsCAVSy")].concat();
            let local = LocalKey::from_private(method, &number("dsIUT"));
            let secret = local.and_then(|local| local.agree(&peer));
            let case = &group["Result"];
            match case.split(['(', '-']).nth(1).map(str::trim).unwrap() {
                "0" | "13" => {
                    assert_eq!(secret.unwrap().expose(), number("Z"), "{case}");
                    agreed += 1;
                }
                // A peer's coordinate that is wrong.
                "1" | "2" => {
                    assert_eq!(secret, Err(Error::BadPublicValue(method)), "{case}");
                    refused += 1;
                }
                "8" => assert_ne!(secret.unwrap().expose(), number("Z"), "{case}"),
                // Our own public value, which we compute rather than read.
                _ => {}
            }
        }
        assert!(agreed > 30 && refused == 12, "{agreed} {refused}");
    }
}

#[test]
fn rfc_7748_by_pyca() {
    let Some(text) = text("pyca/X25519/rfc7748.txt") else { return };
    for group in groups(&text, "COUNT") {
        let local = LocalKey::from_private(KeId::X25519, &hex(&group["INPUT_SCALAR"])).unwrap();
        let secret = local.agree(&hex(&group["INPUT_U"])).unwrap();
        assert_eq!(secret.expose(), hex(&group["OUTPUT_U"]));
    }
}

fn prf_of(name: &str) -> PrfId {
    match name.trim_start_matches("PRF_") {
        "HMAC_SHA1" => PrfId::HMAC_SHA1,
        "HMAC_SHA2_256" => PrfId::HMAC_SHA2_256,
        "HMAC_SHA2_384" => PrfId::HMAC_SHA2_384,
        "HMAC_SHA2_512" => PrfId::HMAC_SHA2_512,
        "AES128_XCBC" => PrfId::AES_XCBC,
        "AES128_CMAC" => PrfId::AES_CMAC,
        other => panic!("{other}"),
    }
}

#[test]
fn strongswan_key_derivation() {
    let Some(file) = json("strongswan/kdf_prf.json") else { return };
    for v in file["vectors"].as_array().unwrap() {
        let id = prf_of(v["arg.prf"].as_str().unwrap());
        let output = prf(id, &octets(v, "salt"), &[&octets(v, "key")]).unwrap();
        assert_eq!(output.expose(), octets(v, "out"), "{}", v["name"]);
    }
    let Some(file) = json("strongswan/kdf_prf_plus.json") else { return };
    for v in file["vectors"].as_array().unwrap() {
        let id = prf_of(v["arg.prf"].as_str().unwrap());
        let expected = octets(v, "out");
        let seed = octets(v, "salt");
        let output = prf_plus(id, &octets(v, "key"), &[&seed], expected.len()).unwrap();
        assert_eq!(output.expose(), expected, "{}", v["name"]);
    }
}

/// All keys in the order of RFC 7296, 2.14.
fn joined(keys: &IkeKeys) -> Vec<u8> {
    let IkeKeys { d, ai, ar, ei, er, pi, pr } = keys;
    [d, ai, ar, ei, er, pi, pr].map(Secret::expose).concat()
}

fn spis(initiator: &[u8], responder: &[u8]) -> IkeSpis {
    IkeSpis {
        initiator: IkeSpi(initiator.try_into().unwrap()),
        responder: IkeSpi(responder.try_into().unwrap()),
    }
}

#[test]
fn nist_key_derivation() {
    let Some(file) = json("ike-kdf/ikev2_sp800_135.json") else { return };
    for v in file["cases"].as_array().unwrap() {
        let prf = prf_of(v["prf"].as_str().unwrap());
        // Some cases give both nonces and both SPIs in one piece; where they are cut makes
        // no difference to the functions.
        let nonces = [octets(v, "ni"), octets(v, "nr"), octets(v, "ni_nr")].concat();
        let both = [octets(v, "spi_i"), octets(v, "spi_r"), octets(v, "spi_i_spi_r")].concat();
        let (ni, nr) = nonces.split_at(nonces.len() / 2);
        let spis = spis(&both[..8], &both[8..]);
        let shared = Secret::new(octets(v, "g_ir"));
        let suite = IkeSuite {
            encr: EncrId::AES_GCM_16,
            encr_bits: 256,
            integ: IntegId::NONE,
            prf,
            ke: KeId::MODP2048,
        };
        let keys = IkeKeys::derive(&suite, &shared, ni, nr, spis).unwrap();
        let keymat = [octets(v, "dkm"), octets(v, "dkm_head")].concat();
        let len = keymat.len().min(joined(&keys).len());
        assert_eq!(joined(&keys)[..len], keymat[..len]);

        let child = ChildSuite {
            encr: EncrId::AES_CBC,
            encr_bits: 256,
            integ: IntegId::HMAC_SHA2_256_128,
            esn: false,
            ke: KeId::NONE,
        };
        let new = Secret::new(octets(v, "g_ir_new"));
        for (field, shared) in [("dkm_child_sa", None), ("dkm_child_sa_dh", Some(&new))] {
            let expected = octets(v, field);
            if expected.is_empty() {
                continue;
            }
            let keys = ChildKeys::derive(prf, &keys.d, &child, shared, ni, nr).unwrap();
            let ChildKeys { initiator_encr, initiator_integ, responder_encr, responder_integ } =
                &keys;
            let all = [initiator_encr, initiator_integ, responder_encr, responder_integ]
                .map(Secret::expose)
                .concat();
            assert_eq!(all, expected[..all.len()]);
        }
        let seed = octets(v, "skeyseed_rekey");
        if !seed.is_empty() {
            let rekeyed =
                IkeKeys::derive_rekeyed(prf, &keys.d, &suite, &new, ni, nr, spis).unwrap();
            let len = joined(&rekeyed).len();
            let parts: [&[u8]; 4] = [ni, nr, &spis.initiator.0, &spis.responder.0];
            assert_eq!(joined(&rekeyed), prf_plus(prf, &seed, &parts, len).unwrap().expose());
        }
    }
}

#[test]
fn a_recorded_exchange_with_a_preshared_key() {
    let Some(file) = json("exchanges/ikev2-keys-auth.json") else { return };
    // AES_CBC_128, HMAC_SHA1_96, HMAC_SHA1 with MODP1024, whose secret is given.
    let suite = IkeSuite {
        encr: EncrId::AES_CBC,
        encr_bits: 128,
        integ: IntegId::HMAC_SHA1_96,
        prf: PrfId::HMAC_SHA1,
        ke: KeId::MODP1024,
    };
    let derive = |v: &Value| {
        let [shared, ni, nr] = ["g_ir", "ni", "nr"].map(|field| octets(v, field));
        let spis = spis(&octets(v, "spi_i"), &octets(v, "spi_r"));
        IkeKeys::derive(&suite, &Secret::new(shared), &ni, &nr, spis).unwrap()
    };
    let v = &file["keys"];
    let fields = ["sk_d", "sk_ai", "sk_ar", "sk_ei", "sk_er", "sk_pi", "sk_pr"];
    assert_eq!(joined(&derive(v)), fields.map(|field| octets(v, field)).concat());

    let v = &file["psk_auth"];
    let keys = derive(v);
    let id = prf(suite.prf, keys.pi.expose(), &[&octets(v, "id_i_body")]).unwrap();
    assert_eq!(id.expose(), octets(v, "signed_octets_tail_prf_sk_pi_id"));
    let psk = Secret::from_slice(file["psk_ascii"].as_str().unwrap().as_bytes());
    let signed = [octets(v, "message1"), octets(v, "nr")];
    let auth = psk_auth(suite.prf, &psk, &[&signed[0], &signed[1], id.expose()]).unwrap();
    assert_eq!(auth.expose(), octets(v, "auth"));
}

#[test]
fn the_primes_are_those_of_the_groups() {
    let Some(file) = json("dh/modp_groups.json") else { return };
    for v in file["groups"].as_array().unwrap() {
        let method = KeId(u16::try_from(v["ike_group"].as_u64().unwrap()).unwrap());
        let Some(info) = ke_info(method) else { continue };
        // 2 is agreed on, p - 2 too, but not p - 1, p and what follows.
        let prime = octets(v, "prime_hex");
        assert_eq!(prime.len(), info.initiator_public, "{method}");
        let local = LocalKey::generate(method, &mut SeededEntropy::new(1)).unwrap();
        let with_last = |last| [&prime[..prime.len() - 1], &[last]].concat();
        assert_eq!(prime.last(), Some(&0xff));
        assert!(local.agree(&with_last(0xfd)).is_ok(), "{method}");
        for last in [0xfe, 0xff] {
            let refused = local.agree(&with_last(last));
            assert_eq!(refused, Err(Error::BadPublicValue(method)));
        }
    }
}
