//! What the operations of an IKE SA and of the data plane cost, on one thread.
//!
//! `cargo run --release -p pluto-crypto --example measure`

#![allow(
    clippy::unwrap_used,
    clippy::disallowed_methods,
    reason = "it measures: clocks are its job"
)]

use pluto_crypto::*;
use pluto_wire::numbers::{EncrId, IntegId, KeId, PrfId};
use pluto_wire::{IkeSpi, IkeSpis};
use std::hint::black_box;
use std::time::{Duration, Instant};

/// Nanoseconds of one call: the median of several rounds.
fn nanoseconds<T>(mut call: impl FnMut() -> T) -> f64 {
    let mut per_round = 1_u32;
    loop {
        let begun = Instant::now();
        (0..per_round).for_each(|_| drop(black_box(call())));
        if begun.elapsed() > Duration::from_millis(10) || per_round > 1 << 22 {
            break;
        }
        per_round *= 2;
    }
    let mut rounds: Vec<f64> = (0..7)
        .map(|_| {
            let begun = Instant::now();
            (0..per_round).for_each(|_| drop(black_box(call())));
            begun.elapsed().as_secs_f64() * 1e9 / f64::from(per_round)
        })
        .collect();
    rounds.sort_by(f64::total_cmp);
    rounds.get(3).copied().unwrap_or_default()
}

fn show<T>(name: &str, call: impl FnMut() -> T) -> f64 {
    let cost = nanoseconds(call);
    println!("{name:<52} {cost:>12.0} ns");
    cost
}

fn suite(encr: EncrId, encr_bits: u16, integ: IntegId) -> IkeSuite {
    IkeSuite { encr, encr_bits, integ, prf: PrfId::HMAC_SHA2_256, ke: KeId::X25519 }
}

const GCM: (EncrId, u16, IntegId) = (EncrId::AES_GCM_16, 256, IntegId::NONE);
const SPIS: IkeSpis = IkeSpis { initiator: IkeSpi([1; 8]), responder: IkeSpi([2; 8]) };
const NONCE: [u8; 32] = [7; 32];

fn random(len: usize) -> Secret {
    let mut octets = vec![0; len];
    SystemEntropy.fill(&mut octets);
    Secret::new(octets)
}

fn key_exchanges() {
    println!("-- key exchange");
    let methods = [
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
    for method in methods {
        let generate = || LocalKey::generate(method, &mut SystemEntropy).unwrap();
        show(&format!("{method} generate"), generate);
        let (local, peer) = (generate(), generate());
        show(&format!("{method} agree"), || local.agree(peer.public()).unwrap());
    }
}

fn functions() {
    println!("-- functions");
    let key = random(32);
    for id in [PrfId::HMAC_SHA1, PrfId::HMAC_SHA2_256, PrfId::HMAC_SHA2_512, PrfId::AES_XCBC] {
        show(&format!("prf {id}, 64 octets, key new"), || prf(id, key.expose(), &[&[1; 64]]));
    }
    let gcm = suite(GCM.0, GCM.1, GCM.2);
    let derive = || IkeKeys::derive(&gcm, &key, &NONCE, &NONCE, SPIS).unwrap();
    show("IkeKeys::derive SHA2-256, AES-GCM-256", derive);
    let child = child_suite(GCM);
    show("ChildKeys::derive SHA2-256, AES-GCM-256", || {
        ChildKeys::derive(gcm.prf, &key, &child, None, &NONCE, &NONCE).unwrap()
    });
    show("psk_auth, 500 octets", || psk_auth(gcm.prf, &key, &[&[1; 468], &[2; 32]]).unwrap());
    show("SystemEntropy, 32 octets", || SystemEntropy.fill(&mut [0; 32]));
}

fn child_suite((encr, encr_bits, integ): (EncrId, u16, IntegId)) -> ChildSuite {
    ChildSuite { encr, encr_bits, integ, esn: false, ke: KeId::NONE }
}

fn ike_cipher(suite: &IkeSuite) -> IkeCipher {
    let keys = IkeKeys::derive(suite, &random(32), &NONCE, &NONCE, SPIS).unwrap();
    IkeCipher::new(suite, &keys.ei, &keys.ai).unwrap()
}

fn messages() {
    println!("-- an IKE message of 300 octets, keys expanded for it");
    for (encr, bits, integ) in [
        GCM,
        (EncrId::AES_GCM_8, 256, IntegId::NONE),
        (EncrId::CHACHA20_POLY1305, 256, IntegId::NONE),
        (EncrId::AES_CBC, 256, IntegId::HMAC_SHA2_256_128),
        (EncrId::AES_CBC, 256, IntegId::HMAC_SHA2_512_256),
        (EncrId::AES_CBC, 128, IntegId::AES_XCBC_96),
        (EncrId::AES_CTR, 256, IntegId::HMAC_SHA2_256_128),
        (EncrId::TRIPLE_DES, 192, IntegId::HMAC_SHA1_96),
        (EncrId::CAMELLIA_CBC, 256, IntegId::HMAC_SHA2_256_128),
    ] {
        let cipher = ike_cipher(&suite(encr, bits, integ));
        let plain = [5; 300];
        let seal = || {
            let mut message = Vec::with_capacity(400);
            message.resize(32, 0);
            cipher.seal(&mut message, &plain, 9, &mut SystemEntropy).unwrap();
            message
        };
        show(&format!("seal {encr}_{bits} {integ}"), seal);
        let message = seal();
        show(&format!("open {encr}_{bits} {integ}"), || cipher.open(&message, 32).unwrap());
    }
}

/// All that the responder of IKE_SA_INIT and IKE_AUTH computes.
fn whole_responder() {
    println!("-- IKE_SA_INIT and IKE_AUTH");
    let ike = suite(GCM.0, GCM.1, GCM.2);
    let child = child_suite(GCM);
    let peer = LocalKey::generate(ike.ke, &mut SystemEntropy).unwrap();
    let (psk, plain, init) = (random(32), [5; 300], [3; 300]);
    let mut request = vec![0; 32];
    let theirs = ike_cipher(&ike);
    theirs.seal(&mut request, &plain, 1, &mut SystemEntropy).unwrap();
    let responder = || {
        let mut nonce_and_spis = [0; 44];
        SystemEntropy.fill(&mut nonce_and_spis);
        let local = LocalKey::generate(ike.ke, &mut SystemEntropy).unwrap();
        // NAT detection: two digests received, two sent.
        for _ in 0..4 {
            black_box(hash(HashId::Sha1, &[&[1; 22]]));
        }
        let shared = local.agree(peer.public()).unwrap();
        let keys = IkeKeys::derive(&ike, &shared, &NONCE, &NONCE, SPIS).unwrap();
        let inbound = IkeCipher::new(&ike, &keys.ei, &keys.ai).unwrap();
        let outbound = IkeCipher::new(&ike, &keys.er, &keys.ar).unwrap();
        black_box(inbound.open(&request, 32).is_err());
        black_box(theirs.open(&request, 32).unwrap());
        for sender in [&keys.pi, &keys.pr] {
            let id = prf(ike.prf, sender.expose(), &[&[1; 8]]).unwrap();
            black_box(psk_auth(ike.prf, &psk, &[&init, &NONCE, id.expose()]).unwrap());
        }
        black_box(ChildKeys::derive(ike.prf, &keys.d, &child, None, &NONCE, &NONCE).unwrap());
        let mut response = vec![0; 32];
        outbound.seal(&mut response, &plain, 1, &mut SystemEntropy).unwrap();
        response
    };
    let cost = show("responder, X25519, AES-GCM-256, SHA2-256, PSK", responder);
    println!("   target 150 us: {}", if cost < 150_000.0 { "met" } else { "missed" });
}

fn packets() {
    println!("-- ESP packets, seal and open, keys expanded once");
    for (encr, bits, integ) in [
        GCM,
        (EncrId::AES_GCM_16, 128, IntegId::NONE),
        (EncrId::AES_GCM_8, 256, IntegId::NONE),
        (EncrId::AES_CCM_16, 128, IntegId::NONE),
        (EncrId::CHACHA20_POLY1305, 256, IntegId::NONE),
        (EncrId::NULL_AUTH_AES_GMAC, 256, IntegId::NONE),
        (EncrId::AES_CBC, 256, IntegId::HMAC_SHA2_256_128),
        (EncrId::AES_CBC, 128, IntegId::HMAC_SHA1_96),
        (EncrId::AES_CTR, 128, IntegId::AES_XCBC_96),
        (EncrId::TRIPLE_DES, 192, IntegId::HMAC_SHA1_96),
        (EncrId::CAMELLIA_CBC, 256, IntegId::HMAC_SHA2_256_128),
        (EncrId::NULL, 0, IntegId::HMAC_SHA2_256_128),
    ] {
        let suite = child_suite((encr, bits, integ));
        let keys =
            ChildKeys::derive(PrfId::HMAC_SHA2_256, &random(32), &suite, None, &NONCE, &NONCE);
        let keys = keys.unwrap();
        let (encr_key, integ_key) = (&keys.initiator_encr, &keys.initiator_integ);
        let mut sealing = EspCipher::sealing(&suite, encr_key, integ_key).unwrap();
        let mut opening = EspCipher::opening(&suite, encr_key, integ_key).unwrap();
        let (iv, mut icv) = (vec![1; sealing.iv_len()], vec![0; sealing.icv_len()]);
        for len in [304, 1408] {
            let mut payload = vec![6; len];
            let seal = nanoseconds(|| {
                sealing.seal_in_place(1, 2, &iv, &mut payload, &mut icv).unwrap();
            });
            let both = nanoseconds(|| {
                sealing.seal_in_place(1, 2, &iv, &mut payload, &mut icv).unwrap();
                opening.open_in_place(1, 2, &iv, &mut payload, &icv).unwrap();
            });
            let rate = |cost: f64| len as f64 * 8.0 / cost;
            println!(
                "{:<42} {len:>4}  {seal:>6.0} ns {:>5.2} Gbit/s   {:>6.0} ns {:>5.2} Gbit/s",
                format!("{encr}_{bits} {integ}"),
                rate(seal),
                both - seal,
                rate(both - seal)
            );
        }
    }
}

/// Octets of memory that the process holds.
fn resident() -> usize {
    let statm = std::fs::read_to_string("/proc/self/statm").unwrap_or_default();
    let pages = statm.split(' ').nth(1).and_then(|pages| pages.parse::<usize>().ok());
    pages.unwrap_or_default() * 4096
}

fn memory() {
    println!("-- memory");
    fn each<T>(name: &str, make: impl Fn() -> T) {
        const MANY: usize = 20_000;
        let before = resident();
        let all: Vec<T> = (0..MANY).map(|_| make()).collect();
        println!("{name:<52} {:>12} octets", (resident() - before) / all.len());
        // Kept, so that the next measurement finds no free memory.
        std::mem::forget(black_box(all));
    }
    let cbc = suite(EncrId::AES_CBC, 256, IntegId::HMAC_SHA2_512_256);
    let gcm = suite(GCM.0, GCM.1, GCM.2);
    let keys_of = |suite| IkeKeys::derive(suite, &random(32), &NONCE, &NONCE, SPIS).unwrap();
    for suite in [&gcm, &cbc] {
        let keys = keys_of(suite);
        each(&format!("IkeCipher {} {}", suite.encr, suite.integ), || {
            IkeCipher::new(suite, &keys.ei, &keys.ai).unwrap()
        });
    }
    let keys = keys_of(&gcm);
    each("IkeKeys for AES_GCM_16", || keys.clone());
    each("LocalKey X25519", || LocalKey::generate(KeId::X25519, &mut SystemEntropy).unwrap());
    each("LocalKey ECP_256", || LocalKey::generate(KeId::ECP_256, &mut SystemEntropy).unwrap());
}

fn main() {
    memory();
    key_exchanges();
    functions();
    messages();
    whole_responder();
    packets();
}
