use super::*;
use crate::protection::Protection;
use crate::v2::ike_sa_init::InitData;
use pluto_crypto::{IkeKeys, IkeSuite};
use pluto_wire::IkeSpis;
use pluto_wire::numbers::{EncrId, IdType, IntegId, KeId, PrfId};
use std::path::PathBuf;

fn unhex(text: &str) -> Vec<u8> {
    (0..text.len() / 2).map(|i| u8::from_str_radix(&text[2 * i..2 * i + 2], 16).unwrap()).collect()
}

fn testdata(file: &str) -> Option<serde_json::Value> {
    let root = std::env::var_os("PLUTO_TESTDATA").map_or_else(
        || PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../shared/testdata"),
        PathBuf::from,
    );
    let text = std::fs::read_to_string(root.join(file)).ok()?;
    Some(serde_json::from_str(&text).unwrap())
}

/// Keys of an exchange whose algorithms are those of the published vector.
fn keyed(request: Vec<u8>, response: Vec<u8>, ni: Vec<u8>, nr: Vec<u8>, keys: IkeKeys) -> Keyed {
    let suite = IkeSuite {
        encr: EncrId::AES_CBC,
        encr_bits: 128,
        integ: IntegId::HMAC_SHA1_96,
        prf: PrfId::HMAC_SHA1,
        ke: KeId::MODP2048,
    };
    let init = InitData {
        request: request.into(),
        response: response.into(),
        ni: ni.into(),
        nr: nr.into(),
        suite,
        childless: false,
    };
    let protection = Protection::new(&suite, &keys, true).unwrap();
    Keyed { init: Arc::new(init), keys: Arc::new(keys), protection }
}

#[test]
fn the_auth_of_a_published_exchange_comes_out() {
    let Some(vector) = testdata("vectors/exchanges/ikev2-keys-auth.json") else {
        println!("skipped: ../shared/testdata is not here");
        return;
    };
    let text = |name: &str| unhex(vector["psk_auth"][name].as_str().unwrap());
    let spi = |name: &str| pluto_wire::IkeSpi(text(name).try_into().unwrap());
    let spis = IkeSpis { initiator: spi("spi_i"), responder: spi("spi_r") };
    let suite = IkeSuite {
        encr: EncrId::AES_CBC,
        encr_bits: 128,
        integ: IntegId::HMAC_SHA1_96,
        prf: PrfId::HMAC_SHA1,
        ke: KeId::MODP1024,
    };
    let shared = Secret::new(text("g_ir"));
    let keys = IkeKeys::derive(&suite, &shared, &text("ni"), &text("nr"), spis).unwrap();
    let keyed = keyed(text("message1"), Vec::new(), text("ni"), text("nr"), keys);
    let body = text("id_i_body");
    let id = Identification { id_type: IdType(body[0]), data: body[4..].to_vec() };
    let octets = signed_octets(&keyed, true, &id).unwrap();
    assert!(octets.ends_with(&text("signed_octets_tail_prf_sk_pi_id")));
    let psk = Secret::from_slice(vector["psk_ascii"].as_str().unwrap().as_bytes());
    let auth = psk_auth(PrfId::HMAC_SHA1, &psk, &[&octets]).unwrap();
    assert_eq!(auth.expose(), text("auth"));
    let received = AuthPayload { method: AuthMethod::SHARED_KEY_MIC, data: text("auth") };
    let proof = verify(&auth, &received, Id::Null, Authby::Psk).unwrap();
    assert_eq!(proof.how(), Authby::Psk);
}

#[test]
fn what_does_not_verify_proves_nothing() {
    let expected = Secret::from_slice(&[1, 2, 3]);
    let judged = |method, data: &[u8], how| {
        let received = AuthPayload { method, data: data.to_vec() };
        verify(&expected, &received, Id::Null, how).is_ok()
    };
    let (mac, null) = (AuthMethod::SHARED_KEY_MIC, AuthMethod::NULL_AUTH);
    assert!(judged(mac, &[1, 2, 3], Authby::Psk));
    assert!(!judged(mac, &[1, 2, 4], Authby::Psk));
    assert!(!judged(mac, &[1, 2], Authby::Psk));
    assert!(!judged(mac, &[], Authby::Psk));
    assert!(!judged(null, &[1, 2, 3], Authby::Psk), "another method");
    assert!(!judged(mac, &[1, 2, 3], Authby::Null), "another method");
    for method in [0, 1, 9, 12, 14, 255] {
        assert!(!judged(AuthMethod(method), &[1, 2, 3], Authby::Psk));
    }
    let nothing = AuthPayload { method: mac, data: Vec::new() };
    assert!(verify(&Secret::default(), &nothing, Id::Null, Authby::Psk).is_err(), "no MAC at all");
}

#[test]
fn our_own_auth_reflected_is_not_the_peers() {
    let secret = |octet| Secret::new(vec![octet; 20]);
    let keys = IkeKeys {
        d: secret(1),
        ai: secret(2),
        ar: secret(3),
        ei: Secret::new(vec![4; 16]),
        er: Secret::new(vec![5; 16]),
        pi: secret(6),
        pr: secret(7),
    };
    let keyed = keyed(vec![8; 64], vec![9; 64], vec![10; 32], vec![11; 32], keys);
    let id = Identification { id_type: IdType::FQDN, data: b"same".to_vec() };
    let ours = signed_octets(&keyed, true, &id).unwrap();
    let theirs = signed_octets(&keyed, false, &id).unwrap();
    assert_ne!(ours, theirs);
    assert_ne!(
        null_auth(&keyed, true, &ours).unwrap().expose(),
        null_auth(&keyed, false, &ours).unwrap().expose()
    );
}
