use super::*;
use crate::known_answers::hex;
use crate::{SeededEntropy, ke_info};
use openssl::bn::BigNum;

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

/// Two private values, their public ones and the secret.
#[track_caller]
fn agree(method: KeId, private: [&str; 2], public: [&str; 2], secret: &str) {
    let [a, b] = private.map(|private| LocalKey::from_private(method, &hex(private)).unwrap());
    assert_eq!([a.public(), b.public()], public.map(hex).each_ref().map(Vec::as_slice));
    assert_eq!(a.agree(b.public()).unwrap().expose(), hex(secret));
    assert_eq!(b.agree(a.public()).unwrap().expose(), hex(secret));
}

#[test]
fn x25519_of_rfc_7748() {
    // 6.1.
    agree(
        KeId::X25519,
        [
            "77076d0a7318a57d3c16c17251b26645df4c2f87ebc0992ab177fba51db92c2a",
            "5dab087e624a8a4b79e17f8b83800ee66f3bb1292618b6fd1c2f8b27ff88e0eb",
        ],
        [
            "8520f0098930a754748b7ddcb43ef75a0dbf3a0d26381af4eba4a98eaa9b4e6a",
            "de9edb7d7b7dc1b4d35b61c2ece435373f8343c85b78674dadfc7e146f882b4f",
        ],
        "4a5d9d5ba4ce2de1728e3bf480350f25e07e21c947d19e3376f09b3c1e161742",
    );
}

#[test]
fn p_256_of_rfc_5903() {
    // 8.1.
    agree(
        KeId::ECP_256,
        [
            "c88f01f510d9ac3f70a292daa2316de544e9aab8afe84049c62a9c57862d1433",
            "c6ef9c5d78ae012a011164acb397ce2088685d8f06bf9be0b283ab46476bee53",
        ],
        [
            "dad0b65394221cf9b051e1feca5787d098dfe637fc90b9ef945d0c3772581180
             5271a0461cdb8252d61f1c456fa3e59ab1f45b33accf5f58389e0577b8990bb3",
            "d12dfb5289c8d4f81208b70270398c342296970a0bccb74c736fc7554494bf63
             56fbf3ca366cc23e8157854c13c58d6aac23f046ada30f8353e74f33039872ab",
        ],
        "d6840f6b42f6edafd13116e0e12565202fef8e9ece7dce03812464d04b9442de",
    );
}

#[test]
fn p_384_of_rfc_5114() {
    // A.7.
    agree(
        KeId::ECP_384,
        [
            "d27335ea71664af244dd14e9fd1260715dfd8a7965571c48d709ee7a7962a156
             d706a90cbcb5df2986f05feadb9376f1",
            "52d1791fdb4b70f89c0f00d456c2f7023b6125262c36a7df1f80231121cce3d3
             9be52e00c194a4132c4a6c768bcd94d2",
        ],
        [
            "793148f1787634d5da4c6d9074417d05e057ab62f82054d10ee6b0403d627954
             7e6a8ea9d1fd77427d016fe27a8b8c66c6c41294331d23e6f480f4fb4cd40504
             c947392e94f4c3f06b8f398bb29e42368f7a685923de3b67baced214a1a1d128",
            "5cd42ab9c41b5347f74b8d4efb708b3d5b36db65915359b44abc17647b6b9999
             789d72a84865ae2f223f12b5a1abc120e171458feaa939aaa3a8bfac46b404bd
             8f6d5b348c0fa4d80ceca16356ca933240bde8723415a8ece035b0edf36755de",
        ],
        "5ea1fc4af7256d2055981b110575e0a8cae53160137d904c59d926eb1b8456e4
         27aa8a4540884c37de159a58028abc0e",
    );
}

#[test]
fn p_521_of_rfc_5114() {
    // A.8.
    agree(
        KeId::ECP_521,
        [
            "0113f82da825735e3d97276683b2b74277bad27335ea71664af2430cc4f33459
             b9669ee78b3ffb9b8683015d344dcbfef6fb9af4c6c470be254516cd3c1a1fb4
             7362",
            "00cee3480d8645a17d249f2776d28bae616952d1791fdb4b70f7c3378732aa1b
             22928448bcd1dc2496d435b01048066ebe4f72903c361b1a9dc1193dc2c9d089
             1b96",
        ],
        [
            "01ebb34dd75721abf8adc9dbed17889cbb9765d90a7c60f2cef007bb0f2b26e1
             4881fd4442e689d61cb2dd046ee30e3ffd20f9a45bbdf6413d583a2dbf59924f
             d35c00f6b632d194c0388e22d8437e558c552ae195adfd153f92d74908351b2f
             8c4eda94edb0916d1b53c020b5eecaed1a5fc38a233e4830587bb2ee3489b3b4
             2a5a86a4",
            "010ebfafc6e85e08d24bfffcc1a4511db0e634beeb1b6dec8c5939ae44766201
             af6200430ba97c8ac6a0e9f08b33ce7e9feeb5ba4ee5e0d81510c24295b8a08d
             023500a4a6ec300df9e257b0372b5e7abfef093436719a77887ebb0b18cf8099
             b9f4212b6e30a1419c18e029d36863cc9d448f4dba4d2a0e60711be572915fbd
             4fef2695",
        ],
        "00cdea89621cfa46b132f9e4cfe2261cde2d4368eb5656634c7cc98c7a00cde5
         4ed1866a0dd3e6126c9d2f845daff82ceb1da08f5d87521bb0ebeca77911169c
         20cc",
    );
}

#[test]
fn x25519_refuses_points_of_small_order() {
    // 0 and 1, and one of order 8: each gives zero (RFC 7748, 6.1).
    let local = pair(KeId::X25519).0;
    for point in [
        "0000000000000000000000000000000000000000000000000000000000000000",
        "0100000000000000000000000000000000000000000000000000000000000000",
        "e0eb7a7c3b41b8ae1656e3faf19fc46ada098deb9c32b1fd866205165f49b800",
        "ecffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
    ] {
        assert_eq!(local.agree(&hex(point)), Err(Error::BadPublicValue(KeId::X25519)));
    }
}

#[test]
fn points_off_the_curve_are_refused() {
    for method in [KeId::ECP_256, KeId::ECP_384, KeId::ECP_521] {
        let (a, b) = pair(method);
        let len = b.public().len();
        let mut off = b.public().to_vec();
        off[len - 1] ^= 1;
        let mut swapped = b.public().to_vec();
        swapped.rotate_left(len / 2);
        for bad in [off, swapped, vec![0; len], vec![0xff; len]] {
            assert_eq!(a.agree(&bad), Err(Error::BadPublicValue(method)), "{method}");
        }
    }
}

#[test]
fn scalars_out_of_range_make_no_key() {
    // Zero, the order of P-256 (RFC 5903, 3.1) and more.
    let order = "ffffffff00000000ffffffffffffffffbce6faada7179e84f3b9cac2fc632551";
    for scalar in [vec![0; 32], hex(order), vec![0xff; 32], vec![1; 31]] {
        assert!(LocalKey::from_private(KeId::ECP_256, &scalar).is_err());
    }
    let mut below = hex(order);
    below[31] -= 1;
    assert!(LocalKey::from_private(KeId::ECP_256, &below).is_ok());
}

#[test]
fn a_scalar_out_of_range_is_drawn_again() {
    /// Octets of ones first, as a generator may give them once in a long while.
    struct OnesFirst(usize, SeededEntropy);
    impl Entropy for OnesFirst {
        fn fill(&mut self, octets: &mut [u8]) {
            if self.0 == 0 {
                return self.1.fill(octets);
            }
            self.0 -= 1;
            octets.fill(0xff);
        }
    }
    for method in [KeId::ECP_256, KeId::ECP_384, KeId::ECP_521] {
        let mut entropy = OnesFirst(3, SeededEntropy::new(5));
        let drawn = LocalKey::generate(method, &mut entropy).unwrap();
        let direct = LocalKey::generate(method, &mut SeededEntropy::new(5)).unwrap();
        assert_eq!(drawn.public(), direct.public(), "{method}");
        let mut broken = OnesFirst(usize::MAX, SeededEntropy::new(5));
        assert!(LocalKey::generate(method, &mut broken).is_err(), "{method}");
    }
}

#[test]
fn trivial_modp_values_are_refused() {
    for method in METHODS.into_iter().filter(|method| method.0 < 19) {
        let local = pair(method).0;
        let prime = rfc_3526_prime(method);
        let len = local.public().len();
        let mut cases = vec![vec![0; len], prime.clone(), vec![0xff; len]];
        for (last, valid) in [(1, false), (2, true)] {
            let mut small = vec![0; len];
            small[len - 1] = last;
            if valid {
                assert_eq!(local.agree(&small).unwrap().expose(), local.public(), "{method}");
            } else {
                cases.push(small);
            }
        }
        let mut below = prime;
        below[len - 1] -= 1;
        cases.push(below.clone());
        for bad in cases {
            assert_eq!(local.agree(&bad), Err(Error::BadPublicValue(method)), "{method}");
        }
        below[len - 1] -= 1;
        assert!(local.agree(&below).is_ok(), "{method}");
    }
}

/// 2^n - 2^(n-64) - 1 + 2^64 * (floor(2^(n-130) * pi) + c), as RFC 3526 defines it.
fn rfc_3526_prime(method: KeId) -> Vec<u8> {
    let (bits, constant) = match method {
        KeId::MODP1536 => (1536, 741_804),
        KeId::MODP2048 => (2048, 124_476),
        KeId::MODP3072 => (3072, 1_690_314),
        KeId::MODP4096 => (4096, 240_904),
        KeId::MODP6144 => (6144, 929_484),
        KeId::MODP8192 => (8192, 4_743_158),
        other => panic!("{other}"),
    };
    let power = |exponent: i32| {
        let mut one = BigNum::from_u32(1).unwrap();
        let mut shifted = BigNum::new().unwrap();
        shifted.lshift(&one, exponent).unwrap();
        std::mem::swap(&mut one, &mut shifted);
        one
    };
    let mut middle = pi_times_power_of_two(bits - 130);
    middle.add_word(constant).unwrap();
    let mut prime = BigNum::new().unwrap();
    prime.lshift(&middle, 64).unwrap();
    let mut sum = BigNum::new().unwrap();
    sum.checked_add(&prime, &power(bits)).unwrap();
    prime.checked_sub(&sum, &power(bits - 64)).unwrap();
    prime.sub_word(1).unwrap();
    prime.to_vec()
}

/// floor(2^bits * pi) by Machin's formula, pi = 16 atan(1/5) - 4 atan(1/239), with 64 bits
/// to spare.
fn pi_times_power_of_two(bits: i32) -> BigNum {
    let arctangent = |times: u32, of: u32| {
        let mut term = BigNum::new().unwrap();
        term.lshift(&BigNum::from_u32(times).unwrap(), bits + 64).unwrap();
        term.div_word(of).unwrap();
        let mut sum = term.to_owned().unwrap();
        for n in 1_u32.. {
            term.div_word(of * of).unwrap();
            let mut part = term.to_owned().unwrap();
            part.div_word(2 * n + 1).unwrap();
            if part.num_bits() == 0 {
                break;
            }
            let before = sum.to_owned().unwrap();
            if n % 2 == 1 {
                sum.checked_sub(&before, &part).unwrap();
            } else {
                sum.checked_add(&before, &part).unwrap();
            }
        }
        sum
    };
    let mut difference = BigNum::new().unwrap();
    difference.checked_sub(&arctangent(16, 5), &arctangent(4, 239)).unwrap();
    let mut pi = BigNum::new().unwrap();
    pi.rshift(&difference, 64).unwrap();
    pi
}

#[test]
fn the_modp_groups_are_those_that_rfc_3526_defines() {
    for method in METHODS.into_iter().filter(|method| method.0 < 19) {
        let group = modp::Group::of(method).unwrap();
        let prime = rfc_3526_prime(method);
        // 2^(p-1) = 1 only for the right prime: an exponent that is the whole order.
        let mut order = prime.clone();
        *order.last_mut().unwrap() -= 1;
        let mut one = vec![0; prime.len()];
        *one.last_mut().unwrap() = 1;
        assert_eq!(group.public(&Secret::new(order)).unwrap(), one, "{method}");
        assert_eq!(group.prime().unwrap().to_vec(), prime, "{method}");
    }
}

#[test]
fn debug_shows_no_private_value() {
    for method in [KeId::MODP2048, KeId::X25519, KeId::ECP_256] {
        let private = vec![0x5a; if method == KeId::MODP2048 { 40 } else { 32 }];
        let shown = format!("{:?}", LocalKey::from_private(method, &private).unwrap().private);
        assert!(!shown.contains("90") && !shown.contains("5a"), "{shown}");
    }
}

#[test]
fn keys_go_to_other_threads() {
    fn shared<T: Send + Sync>() {}
    shared::<LocalKey>();
    shared::<crate::IkeCipher>();
    shared::<crate::EspCipher>();
}
