//! Where random octets come from.

/// A source of random octets.
pub trait Entropy {
    /// Fills `octets`.
    fn fill(&mut self, octets: &mut [u8]);
}

/// The operating system's generator.
#[derive(Debug, Default, Clone, Copy)]
pub struct SystemEntropy;

impl Entropy for SystemEntropy {
    fn fill(&mut self, _octets: &mut [u8]) {
        unimplemented!()
    }
}

/// A deterministic generator for simulations: the same seed gives the same octets.
/// Never used by the daemon.
#[derive(Debug, Clone)]
pub struct SeededEntropy {
    _seed: u64,
}

impl SeededEntropy {
    /// Starts from `seed`.
    #[must_use]
    pub fn new(seed: u64) -> Self {
        Self { _seed: seed }
    }
}

impl Entropy for SeededEntropy {
    fn fill(&mut self, _octets: &mut [u8]) {
        unimplemented!()
    }
}
