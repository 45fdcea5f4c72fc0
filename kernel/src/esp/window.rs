//! The anti-replay window (RFC 4303, 3.4.3) and the upper half of extended sequence
//! numbers (RFC 4304, appendix A).

/// Window that is assumed to tell the upper half where replay protection is off: numbers
/// may be lost or late by half of the lower half's range.
const HALF: u64 = 1 << 31;

/// Why a sequence number is refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Replay {
    /// It has been seen.
    Seen,
    /// It is left of the window.
    Old,
    /// Zero, or below the first: no sender uses it.
    Impossible,
}

/// Which sequence numbers have been seen: a ring of bits, so that moving it costs no
/// copying, however large it is.
#[derive(Debug, Clone)]
pub struct Window {
    size: u64,
    esn: bool,
    top: u64,
    ring: Box<[u64]>,
}

impl Window {
    /// A window of `size` packets, 0 for none, up to [`Window::LARGEST`].
    #[must_use]
    pub fn new(size: u32, esn: bool) -> Self {
        let size = u64::from(size.min(Self::LARGEST));
        // One word more than the window spans, or words would be cleared too early.
        let words = if size == 0 { 0 } else { (size.div_ceil(64) + 1).next_power_of_two() };
        let ring = vec![0; usize::try_from(words).unwrap_or(0)].into_boxed_slice();
        Self { size, esn, top: 0, ring }
    }

    /// Larger ones are cut to this: 16 KiB of bits.
    pub const LARGEST: u32 = 1 << 17;

    /// The highest number accepted; 0 before the first.
    #[must_use]
    pub fn top(&self) -> u64 {
        self.top
    }

    /// The whole number of which a packet shows the lower half.
    ///
    /// # Errors
    /// It would be below the first.
    pub fn reconstruct(&self, low: u32) -> Result<u64, Replay> {
        let low = u64::from(low);
        if !self.esn {
            return Ok(low);
        }
        let window = if self.size == 0 { HALF } else { self.size };
        let (top_high, top_low) = (self.top >> 32, self.top & 0xffff_ffff);
        // RFC 4304, A2.1: case A, the window lies within one range of the lower half;
        // case B, it spans two.
        let high = if top_low >= window - 1 {
            if low + window > top_low { top_high } else { top_high + 1 }
        } else if low + window > top_low + (1 << 32) {
            top_high.checked_sub(1).ok_or(Replay::Impossible)?
        } else {
            top_high
        };
        // The last range is not left: numbers do not cycle (RFC 4303, 3.3.3).
        if high > 0xffff_ffff {
            return Err(Replay::Impossible);
        }
        Ok(high << 32 | low)
    }

    /// Whether a packet with this number may be new.
    ///
    /// # Errors
    /// It cannot be.
    pub fn check(&self, number: u64) -> Result<(), Replay> {
        if self.size == 0 {
            return Ok(());
        }
        if number == 0 {
            return Err(Replay::Impossible);
        }
        if number > self.top {
            return Ok(());
        }
        if self.top - number >= self.size {
            return Err(Replay::Old);
        }
        let seen = self.ring.get(self.word(number)).is_some_and(|word| word & bit(number) != 0);
        if seen { Err(Replay::Seen) } else { Ok(()) }
    }

    /// Takes a number as seen, once its packet's integrity has been checked.
    pub fn accept(&mut self, number: u64) {
        if number > self.top {
            self.advance(number);
        }
        let word = self.word(number);
        if let Some(word) = self.ring.get_mut(word) {
            *word |= bit(number);
        }
    }

    fn advance(&mut self, number: u64) {
        let (before, after) = (self.top / 64, number / 64);
        // Past one turn of the ring everything is cleared anyway.
        let words = (after - before).min(self.ring.len() as u64);
        for step in 1..=words {
            let word = self.word((before + step) * 64);
            if let Some(word) = self.ring.get_mut(word) {
                *word = 0;
            }
        }
        self.top = number;
    }

    /// The ring's length is a power of two.
    fn word(&self, number: u64) -> usize {
        let mask = (self.ring.len() as u64).wrapping_sub(1);
        usize::try_from((number / 64) & mask).unwrap_or(usize::MAX)
    }
}

fn bit(number: u64) -> u64 {
    1 << (number % 64)
}

#[cfg(test)]
#[path = "window_tests.rs"]
mod tests;
