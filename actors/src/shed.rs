//! What the listener lets go of, counted by reason, and said in the log while it goes on.

use pluto_states::Instant;
use std::time::Duration;

/// How often a line is said that each of a million datagrams could lead to.
const SAY_EVERY: Duration = Duration::from_secs(60);

/// Why a datagram goes no further.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Reason {
    /// It cannot be read as IKE, or it is ESP for no SA of ours.
    Mangled,
    /// It is for no IKE SA of ours, and asks for none.
    NoSuchSa,
    /// It comes faster than its IKE SA, or the supervisor, works.
    Busy,
    /// It asks for an IKE SA, and `--unlisten` holds.
    NotListening,
    /// It asks for an IKE SA, and as many are half-open as may be.
    HalfOpen,
    /// The same, of its source.
    Source,
}

impl Reason {
    const ALL: [Self; 6] = [
        Self::Mangled,
        Self::NoSuchSa,
        Self::Busy,
        Self::NotListening,
        Self::HalfOpen,
        Self::Source,
    ];

    /// Its counter in `--globalstatus`.
    fn counter(self) -> &'static str {
        match self {
            Self::Mangled => "total.ike.mangled",
            Self::NoSuchSa => "total.ike.shed.no-such-sa",
            Self::Busy => "total.ike.shed.busy",
            Self::NotListening => "total.ike.shed.not-listening",
            Self::HalfOpen => "total.ike.shed.half-open",
            Self::Source => "total.ike.shed.source",
        }
    }
}

/// Lets a line be said once a minute.
#[derive(Debug, Default)]
pub struct Seldom {
    last: Option<Instant>,
}

impl Seldom {
    /// Whether it may be said now; then it has been.
    pub fn may(&mut self, now: Instant) -> bool {
        let may = self.last.is_none_or(|last| now.since(last) >= SAY_EVERY);
        if may {
            self.last = Some(now);
        }
        may
    }
}

/// The counts.
#[derive(Debug, Default)]
pub struct Shed {
    counts: [u64; Reason::ALL.len()],
    /// When each is said again, and how many there had been the last time.
    said: [(Seldom, u64); Reason::ALL.len()],
}

impl Shed {
    /// One more.
    pub fn count(&mut self, reason: Reason) {
        if let Some(count) = self.counts.get_mut(reason as usize) {
            *count = count.wrapping_add(1);
        }
    }

    /// One more, and how many there were since this was last said; none: it has been said
    /// within the last minute.
    pub fn count_and_say(&mut self, reason: Reason, now: Instant) -> Option<u64> {
        self.count(reason);
        let count = self.counts.get(reason as usize).copied()?;
        let (seldom, before) = self.said.get_mut(reason as usize)?;
        let more = count.wrapping_sub(*before);
        seldom.may(now).then(|| {
            *before = count;
            more
        })
    }

    /// All of them, by the names of their counters.
    #[must_use]
    pub fn list(&self) -> Vec<(&'static str, u64)> {
        Reason::ALL.into_iter().zip(self.counts).map(|(r, count)| (r.counter(), count)).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reasons_are_counted_each_by_itself_and_said_once_a_minute() {
        let at = |seconds| Instant(Duration::from_secs(seconds));
        let mut shed = Shed::default();
        assert_eq!(shed.count_and_say(Reason::HalfOpen, at(5)), Some(1));
        for second in 5..65 {
            assert_eq!(shed.count_and_say(Reason::HalfOpen, at(second)), None);
        }
        assert_eq!(shed.count_and_say(Reason::Source, at(6)), Some(1));
        assert_eq!(shed.count_and_say(Reason::HalfOpen, at(65)), Some(61));
        shed.count(Reason::NoSuchSa);
        let counted: Vec<(&str, u64)> = shed.list().into_iter().filter(|(_, n)| *n > 0).collect();
        let wanted = [
            ("total.ike.shed.no-such-sa", 1),
            ("total.ike.shed.half-open", 62),
            ("total.ike.shed.source", 1),
        ];
        assert_eq!(counted, wanted);
    }

    /// The counts are kept in the order of the list.
    #[test]
    fn all_reasons_are_listed_in_their_order() {
        let places: Vec<usize> = Reason::ALL.into_iter().map(|reason| reason as usize).collect();
        assert_eq!(places, (0..Reason::ALL.len()).collect::<Vec<_>>());
    }
}
