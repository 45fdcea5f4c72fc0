//! Fuzzing for every run of the tests: seeded mutations of generated messages. `tests/fuzz`
//! holds the same properties against libFuzzer, which searches further but needs nightly.

use crate::bytes::{check_chain, check_datagram};
use crate::generate;
use pluto_wire::numbers::PayloadType;
use pluto_wire::v2::{self, Message};

/// SplitMix64: enough to choose mutations, and the same everywhere.
struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    fn below(&mut self, end: usize) -> usize {
        usize::try_from(self.next() % u64::try_from(end.max(1)).unwrap()).unwrap()
    }
}

/// Octets that lengths, counts and types are at their limits with.
const EDGES: [u8; 10] = [0, 1, 2, 3, 4, 5, 8, 0x7f, 0x80, 0xff];

/// Changes, cuts, repeats or swaps octets in one place.
fn mutate(bytes: &mut Vec<u8>, other: &[u8], random: &mut Random) {
    let at = random.below(bytes.len());
    let end = at + random.below(bytes.len() - at + 1).min(48);
    match random.below(8) {
        0 if at < bytes.len() => bytes[at] ^= 1 << random.below(8),
        1 if at < bytes.len() => bytes[at] = EDGES[random.below(EDGES.len())],
        2 if at < bytes.len() => bytes[at] = bytes[at].wrapping_add(1),
        3 if at < bytes.len() => bytes[at] = bytes[at].wrapping_sub(1),
        4 => drop(bytes.drain(at..end)),
        5 => {
            let part = bytes[at..end].to_vec();
            bytes.splice(at..at, part);
        }
        6 => {
            let from = random.below(other.len());
            let part = &other[from..other.len().min(from + 48)];
            bytes.splice(at..end, part.iter().copied());
        }
        _ => bytes.truncate(at),
    }
}

/// Mutates each seed in turn, up to four times over; counts what was accepted.
fn run(
    seeds: &[Vec<u8>],
    iterations: usize,
    mut check: impl FnMut(&mut Vec<u8>, &mut Random) -> bool,
) {
    let mut random = Random(0x1ee7);
    let mut accepted = 0;
    for i in 0..iterations {
        let mut bytes = seeds[i % seeds.len()].clone();
        for _ in 0..=random.below(4) {
            let other = random.below(seeds.len());
            mutate(&mut bytes, &seeds[other], &mut random);
        }
        accepted += usize::from(check(&mut bytes, &mut random));
    }
    println!("{accepted} of {iterations} mutations are still messages");
    // Both ends of the property are met, or the mutations are no test of it.
    assert!((iterations / 20..iterations * 19 / 20).contains(&accepted), "{accepted}");
}

#[test]
fn mutated_messages_are_refused_or_mean_what_they_encode_to() {
    let messages = generate::fixed(&generate::message(), 500);
    let seeds: Vec<_> = messages.iter().map(|message| message.encode().unwrap()).collect();
    assert!(seeds.iter().all(|seed| Message::decode(seed).is_ok()));
    run(&seeds, 250_000, |bytes, random| {
        // Mostly with a true length: otherwise few get behind the header.
        if random.below(16) > 0 && bytes.len() >= 28 {
            let length = u32::try_from(bytes.len()).unwrap();
            bytes[24..28].copy_from_slice(&length.to_be_bytes());
        }
        check_datagram(bytes).is_some()
    });
}

#[test]
fn mutated_chains_are_refused_or_mean_what_they_encode_to() {
    let chains = generate::fixed(&generate::chain(), 500);
    let seeds: Vec<_> = chains
        .iter()
        .map(|chain| {
            let (first, bytes) = v2::encode_chain(chain).unwrap();
            [&[first.0], &bytes[..]].concat()
        })
        .collect();
    run(&seeds, 250_000, |bytes, _| match bytes.split_first() {
        Some((first, bytes)) => check_chain(PayloadType(*first), bytes).is_some(),
        None => false,
    });
}

/// One payload at a time, its own length always true, so that every mutation reaches the
/// payload's decoder.
#[test]
fn mutated_payloads_are_refused_or_mean_what_they_encode_to() {
    let payloads = generate::fixed(&generate::payload(), 500);
    let seeds: Vec<_> = payloads
        .iter()
        .map(|payload| {
            let (first, bytes) = v2::encode_chain(std::slice::from_ref(payload)).unwrap();
            [&[first.0], &bytes[4..]].concat()
        })
        .collect();
    run(&seeds, 250_000, |bytes, _| {
        let Some((first, body)) = bytes.split_first() else { return false };
        let chain = crate::bytes::payload(PayloadType::NONE, false, body);
        check_chain(PayloadType(*first), &chain).is_some()
    });
}

/// The inputs that libFuzzer starts from reach what they are for.
#[test]
fn the_seeds_of_the_fuzz_targets_are_accepted() {
    let folder = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("../tests/fuzz/seeds");
    let seeds = |target: &str| -> Vec<Vec<u8>> {
        let files = std::fs::read_dir(folder.join(target)).unwrap();
        files.map(|file| std::fs::read(file.unwrap().path()).unwrap()).collect()
    };
    let messages = seeds("message");
    assert!(messages.len() > 15);
    for bytes in messages {
        assert_eq!(check_datagram(&bytes).unwrap().1, bytes);
    }
    let chains = seeds("chain");
    assert!(chains.len() > 14);
    for bytes in chains {
        check_chain(PayloadType(bytes[0]), &bytes[1..]).unwrap();
    }
}
