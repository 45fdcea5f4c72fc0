use super::*;
use crate::proposal::{ChildProposals, IkeProposals};
use proptest::prelude::*;

fn refusal(text: &str) -> String {
    IkeProposals::parse(text).expect_err(text).0
}

#[test]
fn the_default_is_shown_as_listings_have_it() {
    let shown = IkeProposals::default_v2().to_string();
    assert!(shown.starts_with(
        "AES_GCM_16_256-HMAC_SHA2_512+HMAC_SHA2_256-DH19+DH20+DH21+DH31+MODP4096+MODP3072+MODP2048+MODP8192, \
         AES_GCM_16_128-"
    ));
    assert_eq!(IkeProposals::parse(&shown), Ok(IkeProposals::default_v2()));
    assert_eq!(
        ChildProposals::default_v2(ProtocolId::ESP).to_string(),
        "AES_GCM_16_256, AES_GCM_16_128, CHACHA20_POLY1305, \
         AES_CBC_256-HMAC_SHA2_512_256+HMAC_SHA2_256_128, AES_CBC_128-HMAC_SHA2_512_256+HMAC_SHA2_256_128"
    );
}

#[test]
fn algorithms_that_are_not_implemented_are_refused() {
    for (text, complaint) in [
        ("aes-md5", "IKE Pseudorandom Function (KDF) 'md5' is not supported"),
        ("aes;ke=ml_kem_768", "IKE Key Exchange Method (DH) 'ml_kem_768' is not supported"),
        ("aes;addke1=modp2048", "transform 'addke1' invalid"),
        ("aes-sha2-dh22", "IKE Key Exchange Method (DH) 'dh22' is not supported"),
        ("null-sha2", "IKE Encryption Algorithm (cipher) 'null' is not supported"),
    ] {
        assert_eq!(refusal(text), complaint);
    }
}

#[test]
fn complaints_escape_what_they_quote() {
    assert_eq!(
        refusal("aes\n\u{1b}[0m"),
        "IKE Encryption Algorithm (cipher) 'aes\\n\\u{1b}[0m' is not recognized"
    );
    assert_eq!(refusal("aes;a\nb=c"), "transform 'a\\nb' invalid");
}

#[test]
fn all_extras_are_read() {
    for (text, shown) in [
        (
            "aes256-sha2_512+sha2_256-dh14+dh19",
            "AES_CBC_256-HMAC_SHA2_512+HMAC_SHA2_256-MODP2048+DH19",
        ),
        ("aes_gcm256-sha2_512;dh20", "AES_GCM_16_256-HMAC_SHA2_512-DH20"),
        (" aes-sha1 ; integ = sha2 ; dh20 ", "AES_CBC-HMAC_SHA1-HMAC_SHA2_256_128-DH20"),
        ("encrypt=aes;prf=sha2;ke=curve25519", "AES_CBC-HMAC_SHA2_256-DH31"),
        ("chacha20_poly1305_256-sha2;dh31", "CHACHA20_POLY1305-HMAC_SHA2_256-DH31"),
        ("aes-128+aes-256-sha2-dh19", "AES_CBC_128+AES_CBC_256-HMAC_SHA2_256-DH19"),
    ] {
        assert_eq!(
            IkeProposals::parse(text).map(|all| all.to_string()),
            Ok(shown.to_owned()),
            "{text}"
        );
    }
    let rules = Rules { implemented_only: false, ..Rules::default() };
    let (all, _) =
        IkeProposals::parse_with("aes-sha2-dh31;addke2=ml_kem_768;addke1=modp8192+none", &rules)
            .expect("known algorithms");
    assert_eq!(
        all.to_string(),
        "AES_CBC-HMAC_SHA2_256-DH31;addke1=MODP8192+NONE;addke2=ML_KEM_768"
    );
    let esp = ChildProposals::parse(ProtocolId::ESP, "aes_gcm;sn=no+yes", true).expect("sn");
    assert_eq!(esp.to_string(), "AES_GCM_16;sn=32_BIT_SEQUENTIAL+PARTIAL_64_BIT_SEQUENTIAL");
    assert_eq!(refusal("aes;sn=yes"), "transform 'sn' invalid");
    assert_eq!(refusal("aes;what=yes"), "transform 'what' invalid");
}

#[test]
fn an_aead_without_key_exchange_is_shown_so_that_it_reads_back() {
    let read = |text: &str| ChildProposals::parse(ProtocolId::ESP, text, true).expect(text);
    let all = read("aes_gcm_16_128;none");
    assert_eq!(all.to_string(), "AES_GCM_16_128-NONE-NONE");
    assert_eq!(read(&all.to_string()), all);
    assert_eq!(read("aes_gcm_16_128-none").to_string(), "AES_GCM_16_128");
}

/// Names for texts that mostly parse, and what goes between them.
fn any_text() -> impl Strategy<Value = String> {
    let names = prop::sample::select(vec![
        "aes",
        "aes256",
        "aes_gcm_16_128",
        "aes_gcm",
        "3des",
        "chacha20_poly1305",
        "aes_ctr",
        "sha1",
        "sha2_256",
        "sha2_512",
        "sha2_256_128",
        "aes_xcbc",
        "none",
        "dh19",
        "modp2048",
        "curve25519",
        "camellia",
        "yes",
    ]);
    let between = prop::sample::select(vec![
        "-", "-", "-", "+", ";", ",", ";prf=", ";ke=", ";integ=", ";sn=",
    ]);
    (names.clone(), prop::collection::vec((between, names), 0..6)).prop_map(|(first, rest)| {
        rest.into_iter().fold(first.to_owned(), |text, (between, name)| text + between + name)
    })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(4000))]
    #[test]
    fn what_is_shown_reads_back(text in any_text(), pfs in any::<bool>()) {
        if let Ok(all) = IkeProposals::parse(&text) {
            prop_assert_eq!(IkeProposals::parse(&all.to_string()), Ok(all));
        }
        for protocol in [ProtocolId::ESP, ProtocolId::AH] {
            if let Ok(all) = ChildProposals::parse(protocol, &text, pfs) {
                prop_assert_eq!(ChildProposals::parse(protocol, &all.to_string(), pfs), Ok(all));
            }
        }
    }

    #[test]
    fn no_text_panics(text in "\\PC{0,40}", shape in "[a-z0-9_+,;=!-]{0,40}", v1 in any::<bool>()) {
        let version = if v1 { IkeVersion::V1 } else { IkeVersion::V2 };
        let rules = Rules { version, ..Rules::default() };
        for text in [text, shape] {
            let _ = IkeProposals::parse_with(&text, &rules);
            let _ = ChildProposals::parse_with(ProtocolId::ESP, &text, &rules);
            let _ = ChildProposals::parse_with(ProtocolId::AH, &text, &rules);
        }
    }
}
