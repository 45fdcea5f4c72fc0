//! Where random octets come from.

/// A source of random octets.
pub trait Entropy {
    /// Fills `octets`.
    fn fill(&mut self, octets: &mut [u8]);
}

/// The operating system's generator. Not by way of aws-lc's DRBG, whose first use measures
/// the processor's jitter for 40 ms, which is longer than all else that a start takes.
#[derive(Debug, Default, Clone, Copy)]
pub struct SystemEntropy;

impl Entropy for SystemEntropy {
    #[allow(clippy::panic, reason = "without randomness no key may be made: nothing to go on with")]
    fn fill(&mut self, octets: &mut [u8]) {
        if getrandom::fill(octets).is_err() {
            panic!("the system's random generator does not answer");
        }
    }
}

/// A deterministic generator for simulations: the same seed gives the same octets.
/// Never used by the daemon; its output is predictable (SplitMix64).
#[derive(Debug, Clone)]
pub struct SeededEntropy {
    state: u64,
}

impl SeededEntropy {
    /// Starts from `seed`.
    #[must_use]
    pub fn new(seed: u64) -> Self {
        Self { state: seed }
    }

    fn next(&mut self) -> u64 {
        self.state = self.state.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.state;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }
}

impl Entropy for SeededEntropy {
    fn fill(&mut self, octets: &mut [u8]) {
        for chunk in octets.chunks_mut(8) {
            for (octet, random) in chunk.iter_mut().zip(self.next().to_le_bytes()) {
                *octet = random;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_seed_fixes_the_octets_and_another_seed_gives_others() {
        let draw = |seed| {
            let mut octets = [0; 37];
            SeededEntropy::new(seed).fill(&mut octets);
            octets
        };
        assert_eq!(draw(1), draw(1));
        assert_ne!(draw(1), draw(2));
    }

    #[test]
    fn the_system_never_repeats_itself() {
        let (mut a, mut b) = ([0; 32], [0; 32]);
        SystemEntropy.fill(&mut a);
        SystemEntropy.fill(&mut b);
        assert_ne!(a, b);
        assert_ne!(a, [0; 32]);
    }
}
