//! Packets that wait for an SA: a trap's first ones, sent when it comes up.

use super::sad::Group;
use super::segment::FrameHeader;
use rustc_hash::FxHashMap;

/// Packets held for one group.
const EACH: usize = 8;
/// Groups that packets are held for.
const GROUPS: usize = 1024;
/// Octets held in all.
const OCTETS: usize = 4 << 20;
/// Seconds after which packets are given up, and traffic may ask again: as long as XFRM's
/// `xfrm_acq_expires`.
pub(crate) const PATIENCE: u64 = 30;

/// A frame from the device.
#[derive(Debug)]
pub(crate) struct Held {
    pub(crate) header: FrameHeader,
    pub(crate) packet: Vec<u8>,
}

#[derive(Debug)]
struct Waiting {
    since: u64,
    packets: Vec<Held>,
}

/// What became of a packet that was to be held.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Holding {
    /// It is the first: ask for an SA.
    First,
    /// It waits with others.
    Waits,
    /// There is no room.
    Full,
}

/// All packets that wait.
#[derive(Debug, Default)]
pub(crate) struct Holds {
    groups: FxHashMap<Group, Waiting>,
    octets: usize,
}

impl Holds {
    /// Holds a packet; `now` in seconds. Tells also how many were given up.
    pub(crate) fn hold(
        &mut self,
        group: Group,
        header: FrameHeader,
        packet: &[u8],
        now: u64,
    ) -> (Holding, usize) {
        let mut expired = 0;
        if self.groups.get(&group).is_some_and(|held| now.saturating_sub(held.since) >= PATIENCE) {
            expired = self.take(&group).len();
        }
        if !self.groups.contains_key(&group) && self.groups.len() >= GROUPS {
            expired += self.expire(now);
        }
        if self.octets.saturating_add(packet.len()) > OCTETS {
            expired += self.expire(now);
            if self.octets.saturating_add(packet.len()) > OCTETS {
                return (Holding::Full, expired);
            }
        }
        if !self.groups.contains_key(&group) && self.groups.len() >= GROUPS {
            return (Holding::Full, expired);
        }
        let waiting =
            self.groups.entry(group).or_insert_with(|| Waiting { since: now, packets: Vec::new() });
        if waiting.packets.len() >= EACH {
            return (Holding::Full, expired);
        }
        let first = waiting.packets.is_empty();
        waiting.packets.push(Held { header, packet: packet.to_vec() });
        self.octets = self.octets.saturating_add(packet.len());
        (if first { Holding::First } else { Holding::Waits }, expired)
    }

    /// The packets of a group whose SA is up.
    pub(crate) fn take(&mut self, group: &Group) -> Vec<Held> {
        let packets = self.groups.remove(group).map(|waiting| waiting.packets).unwrap_or_default();
        let octets = packets.iter().map(|held| held.packet.len()).sum();
        self.octets = self.octets.saturating_sub(octets);
        packets
    }

    /// Gives up those that have waited too long; tells how many.
    fn expire(&mut self, now: u64) -> usize {
        let before: usize = self.count();
        self.groups.retain(|_, waiting| now.saturating_sub(waiting.since) < PATIENCE);
        self.octets =
            self.groups.values().flat_map(|waiting| &waiting.packets).map(|h| h.packet.len()).sum();
        before - self.count()
    }

    fn count(&self) -> usize {
        self.groups.values().map(|waiting| waiting.packets.len()).sum()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn group(number: u32) -> Group {
        (number, [192, 0, 2, 1].into(), false)
    }

    #[test]
    fn the_first_asks_and_the_ninth_is_too_many() {
        let mut holds = Holds::default();
        let mut hold = |now| holds.hold(group(1), FrameHeader::default(), b"packet", now).0;
        assert_eq!(hold(0), Holding::First);
        for _ in 1..EACH {
            assert_eq!(hold(1), Holding::Waits);
        }
        assert_eq!(hold(29), Holding::Full);
        assert_eq!(hold(30), Holding::First, "asked again after so long");
        assert_eq!(holds.take(&group(1)).len(), 1);
        assert_eq!((holds.take(&group(1)).len(), holds.octets), (0, 0));
    }

    #[test]
    fn groups_and_octets_are_bounded_and_make_room_with_time() {
        let mut holds = Holds::default();
        for number in 0..GROUPS as u32 {
            assert_eq!(
                holds.hold(group(number), FrameHeader::default(), b"x", 0).0,
                Holding::First
            );
        }
        let (late, given_up) = holds.hold(group(5000), FrameHeader::default(), b"x", 29);
        assert_eq!((late, given_up), (Holding::Full, 0));
        let (later, given_up) = holds.hold(group(5000), FrameHeader::default(), b"x", 31);
        assert_eq!((later, given_up), (Holding::First, GROUPS));
        let large = vec![0; 60_000];
        let held = (0..200)
            .filter(|n| {
                holds.hold(group(*n), FrameHeader::default(), &large, 31).0 == Holding::First
            })
            .count();
        assert_eq!(held, (OCTETS - 1) / 60_000);
    }
}
