//! A network in a queue: delay, loss, duplication, reordering, corruption and address
//! translation, all from one seed.

use pluto_states::{Datagram, Instant};
use std::collections::BTreeMap;
use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

/// A small generator (SplitMix64): the same seed gives the same numbers.
#[derive(Debug, Clone)]
pub struct Dice(u64);

impl Dice {
    /// Starts from `seed`.
    #[must_use]
    pub fn new(seed: u64) -> Self {
        Self(seed)
    }

    /// Any number.
    pub fn roll(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    /// A number below `end`; 0 when that is 0.
    pub fn below(&mut self, end: u64) -> u64 {
        self.roll().checked_rem(end).unwrap_or(0)
    }

    /// Yes in `percent` of all cases.
    pub fn chance(&mut self, percent: u64) -> bool {
        self.below(100) < percent
    }
}

/// What the network does to datagrams; percentages of them.
#[derive(Debug, Clone, Copy, Default)]
pub struct Faults {
    /// Lost.
    pub loss: u64,
    /// Delivered twice.
    pub duplicated: u64,
    /// One octet changed.
    pub corrupted: u64,
    /// Random delay on top of the fixed one: what is more than the gap between two
    /// datagrams reorders them.
    pub jitter: Duration,
}

/// Fixed delay of every datagram.
const DELAY: Duration = Duration::from_millis(10);

/// A host behind an address translator.
#[derive(Debug, Clone, Copy)]
pub struct Nat {
    /// Its address inside.
    pub inside: IpAddr,
    /// The translator's outside.
    pub outside: IpAddr,
    /// What is added to its ports.
    pub shift: u16,
}

impl Nat {
    /// Where a port of the host inside is seen.
    #[must_use]
    pub fn mapped(&self, port: u16) -> SocketAddr {
        SocketAddr::new(self.outside, port + self.shift)
    }
}

/// So many datagrams that are lost one after the other are an outage: retransmissions of minutes.
pub const OUTAGE: u32 = 6;

/// The network.
#[derive(Debug, Clone)]
pub struct Net {
    dice: Dice,
    /// What goes wrong from now on.
    pub faults: Faults,
    /// Octets of the largest message that passes.
    pub largest: usize,
    /// Addresses that nothing reaches and nothing leaves.
    pub dead: Vec<IpAddr>,
    /// Addresses that nothing leaves.
    pub mute: Vec<IpAddr>,
    /// Translators.
    pub nats: Vec<Nat>,
    queue: BTreeMap<(Instant, u64), Datagram>,
    sent: u64,
    /// Datagrams that were lost one after the other, up to now.
    lost: u32,
    /// When [`OUTAGE`] or more of them were lost last.
    pub outage: Option<Instant>,
    /// Every datagram that was sent, before anything was done to it, in order.
    pub log: Vec<Datagram>,
}

impl Net {
    /// An empty one.
    #[must_use]
    pub fn new(seed: u64, faults: Faults) -> Self {
        Self {
            dice: Dice::new(seed),
            faults,
            largest: usize::MAX,
            dead: Vec::new(),
            mute: Vec::new(),
            nats: Vec::new(),
            queue: BTreeMap::new(),
            sent: 0,
            lost: 0,
            outage: None,
            log: Vec::new(),
        }
    }

    /// Takes a datagram from its sender.
    pub fn send(&mut self, now: Instant, datagram: Datagram) {
        self.log.push(datagram.clone());
        let ends = [datagram.local.ip(), datagram.remote.ip()];
        let lost = ends.iter().any(|end| self.dead.contains(end));
        if lost || self.mute.contains(&datagram.local.ip()) {
            return;
        }
        if datagram.bytes.len() > self.largest || self.dice.chance(self.faults.loss) {
            self.lost += 1;
            if self.lost >= OUTAGE {
                self.outage = Some(now);
            }
            return;
        }
        self.lost = 0;
        let copies = if self.dice.chance(self.faults.duplicated) { 2 } else { 1 };
        for _ in 0..copies {
            let mut copy = datagram.clone();
            if self.dice.chance(self.faults.corrupted) {
                let at = self.dice.below(copy.bytes.len() as u64) as usize;
                if let Some(octet) = copy.bytes.get_mut(at) {
                    *octet ^= 1 << self.dice.below(8);
                }
            }
            let jitter = self.dice.below(self.faults.jitter.as_micros() as u64);
            self.inject(now.after(DELAY).after(Duration::from_micros(jitter)), copy);
        }
    }

    /// Puts a datagram, as its sender would send it, on the wire for delivery at `at`.
    pub fn inject(&mut self, at: Instant, datagram: Datagram) {
        self.sent += 1;
        self.queue.insert((at, self.sent), datagram);
    }

    /// When the next datagram arrives.
    #[must_use]
    pub fn next_arrival(&self) -> Option<Instant> {
        self.queue.keys().next().map(|(at, _)| *at)
    }

    /// The next datagram that has arrived, as its receiver sees it.
    pub fn arrived(&mut self, now: Instant) -> Option<Datagram> {
        loop {
            let key = *self.queue.keys().next().filter(|(at, _)| *at <= now)?;
            let sent = self.queue.remove(&key)?;
            if let Some(seen) = self.translated(sent) {
                return Some(seen);
            }
        }
    }

    /// As translators make it; none for what is sent to where they have no mapping any more.
    fn translated(&self, sent: Datagram) -> Option<Datagram> {
        let mut seen = Datagram { local: sent.remote, remote: sent.local, ..sent };
        for nat in &self.nats {
            if seen.remote.ip() == nat.inside {
                seen.remote = nat.mapped(seen.remote.port());
            }
            if seen.local.ip() == nat.outside {
                let port = seen.local.port().checked_sub(nat.shift);
                let port = port.filter(|port| matches!(port, 500 | 4500 | 4600))?;
                seen.local = SocketAddr::new(nat.inside, port);
            }
        }
        Some(seen)
    }

    /// Whether nothing is on its way.
    #[must_use]
    pub fn is_quiet(&self) -> bool {
        self.queue.is_empty()
    }
}
