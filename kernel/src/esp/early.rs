//! Packets that come before their SA: a peer that answers our rekeying may use the new Child
//! SA at once (RFC 7296, 2.8), while we still compute its keys. What comes for an SPI that we
//! have reserved waits, within bounds, until the SA is installed or given up.

use super::inbound::Arrival;
use rustc_hash::FxHashMap;

/// Packets held for one SPI.
const EACH: usize = 256;
/// Octets held in all.
const OCTETS: usize = 4 << 20;

/// A packet with how it came.
pub(crate) type Waiting = (Vec<u8>, Arrival);

/// What waits, by reserved SPI.
#[derive(Debug, Default)]
pub(crate) struct Early {
    reserved: FxHashMap<u32, Vec<Waiting>>,
    octets: usize,
}

/// What became of a packet without an SA.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Held {
    /// It waits.
    Waits,
    /// There is no room.
    Full,
    /// Nobody has reserved its SPI.
    Unknown,
}

impl Early {
    /// An SPI has been reserved.
    pub(crate) fn expect(&mut self, spi: u32) {
        self.reserved.entry(spi).or_default();
    }

    /// Holds a packet.
    pub(crate) fn hold(&mut self, spi: u32, octets: &[u8], arrival: &Arrival) -> Held {
        let Some(waiting) = self.reserved.get_mut(&spi) else { return Held::Unknown };
        if waiting.len() >= EACH || self.octets + octets.len() > OCTETS {
            return Held::Full;
        }
        waiting.push((octets.to_vec(), *arrival));
        self.octets += octets.len();
        Held::Waits
    }

    /// The SPI is no longer reserved only: what has waited, in order.
    pub(crate) fn take(&mut self, spi: u32) -> Vec<Waiting> {
        let waiting = self.reserved.remove(&spi).unwrap_or_default();
        let octets: usize = waiting.iter().map(|(octets, _)| octets.len()).sum();
        self.octets = self.octets.saturating_sub(octets);
        waiting
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_reserved_spis_are_waited_for_and_within_bounds() {
        let arrival = Arrival { remote: ([192, 0, 2, 1], 4500).into(), encapsulated: true, tos: 0 };
        let mut early = Early::default();
        assert_eq!(early.hold(7, b"packet", &arrival), Held::Unknown);
        early.expect(7);
        for _ in 0..EACH {
            assert_eq!(early.hold(7, b"packet", &arrival), Held::Waits);
        }
        assert_eq!(early.hold(7, b"packet", &arrival), Held::Full);
        early.expect(8);
        let large = vec![0; 65_000];
        let held = (0..200).filter(|_| early.hold(8, &large, &arrival) == Held::Waits).count();
        assert_eq!(held, (OCTETS - 6 * EACH) / 65_000);
        assert_eq!((early.take(7).len(), early.take(8).len(), early.octets), (EACH, held, 0));
        assert_eq!(early.hold(7, b"packet", &arrival), Held::Unknown);
    }
}
