use super::*;
use crate::{SeededEntropy, ke_info};

const METHODS: [KeId; 10] = [
    KeId::X25519,
    KeId::ECP_256,
    KeId::ECP_384,
    KeId::ECP_521,
    KeId::MODP1536,
    KeId::MODP2048,
    KeId::MODP3072,
    KeId::MODP4096,
    KeId::MODP6144,
    KeId::MODP8192,
];

fn pair(method: KeId) -> (LocalKey, LocalKey) {
    let mut entropy = SeededEntropy::new(u64::from(method.0));
    let mut next = || LocalKey::generate(method, &mut entropy).unwrap();
    (next(), next())
}

#[test]
fn both_sides_get_the_same_secret() {
    for method in METHODS {
        let (a, b) = pair(method);
        let info = ke_info(method).unwrap();
        assert_eq!(a.public().len(), info.initiator_public, "{method}");
        assert_ne!(a.public(), b.public(), "{method}");
        let secret = a.agree(b.public()).unwrap();
        assert_eq!(secret, b.agree(a.public()).unwrap(), "{method}");
        let len = if method.0 < 19 || method == KeId::X25519 {
            info.initiator_public
        } else {
            info.initiator_public / 2
        };
        assert_eq!(secret.len(), len, "{method}");
    }
}

#[test]
fn a_seed_fixes_the_key() {
    for method in METHODS {
        assert_eq!(pair(method).0.public(), pair(method).0.public(), "{method}");
    }
}

#[test]
fn a_public_value_of_another_length_is_refused() {
    for method in METHODS {
        let (a, b) = pair(method);
        let mut long = b.public().to_vec();
        long.push(0);
        let zero_in_front = [&[0], b.public()].concat();
        for bad in [&b.public()[1..], &long, &zero_in_front, &[]] {
            assert_eq!(a.agree(bad), Err(Error::BadPublicValue(method)), "{method}");
        }
    }
}

#[test]
fn an_unknown_method_is_refused() {
    let method = KeId::MODP1024;
    let made = LocalKey::generate(method, &mut SeededEntropy::new(0));
    assert_eq!(made.map(drop), Err(Error::UnsupportedKe(method)));
}
