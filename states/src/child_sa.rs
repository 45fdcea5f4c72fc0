//! A Child SA's life within its IKE SA.

use crate::{ChildSpi, ChildUp, Instant, Limit};
use pluto_connections::{ChildPolicy, SerialNo};
use pluto_wire::numbers::ProtocolId;
use std::sync::Arc;
use std::time::Duration;

/// How long a replaced SA waits for the Delete of who has replaced it: a bad network's time
/// for two exchanges.
pub(crate) const REPLACED_LINGERS: Duration = Duration::from_secs(90);

/// Where a Child SA is in its life.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, serde::Serialize, serde::Deserialize)]
pub enum ChildState {
    /// Being negotiated.
    Larval,
    /// Carries traffic.
    Established,
    /// Its Delete is on the way.
    Deleting,
}

/// A Child SA as its IKE SA knows it.
#[derive(Debug, Clone)]
pub struct ChildSa {
    /// Its serial number.
    pub serial: SerialNo,
    /// What it is made by.
    pub policy: Arc<ChildPolicy>,
    /// Where it is in its life.
    pub state: ChildState,
    /// Its facts, once it is established.
    pub up: Option<Arc<ChildUp>>,
    /// Deadlines by name: `REKEY`, `REPLACE`, `EXPIRE`.
    pub deadlines: Vec<(&'static str, Instant)>,
}

/// The same within the machine: cheap to clone.
#[derive(Debug, Clone, serde::Serialize, serde::Deserialize)]
pub(crate) struct Child {
    pub(crate) serial: SerialNo,
    pub(crate) policy: Arc<ChildPolicy>,
    pub(crate) state: ChildState,
    pub(crate) protocol: ProtocolId,
    /// Inbound, once the kernel has reserved it.
    pub(crate) spi_in: Option<ChildSpi>,
    /// Outbound, once the peer has told it.
    pub(crate) spi_out: Option<ChildSpi>,
    pub(crate) up: Option<Arc<ChildUp>>,
    /// When it should be replaced by rekeying, and when it ends.
    pub(crate) life: Life,
    /// What has replaced it: it carries no traffic of ours any more, and waits for its
    /// Delete.
    pub(crate) replaced_by: Option<SerialNo>,
    /// Its life before that.
    pub(crate) had: Option<Life>,
    /// It has carried what its soft limits are.
    pub(crate) worn: bool,
}

impl Child {
    /// One that is being negotiated.
    pub(crate) fn larval(serial: SerialNo, policy: Arc<ChildPolicy>, protocol: ProtocolId) -> Self {
        let (state, life) = (ChildState::Larval, Life::default());
        Self {
            serial,
            policy,
            state,
            protocol,
            spi_in: None,
            spi_out: None,
            up: None,
            life,
            replaced_by: None,
            had: None,
            worn: false,
        }
    }

    /// It stands, and nothing else stands for it.
    pub(crate) fn is_current(&self) -> bool {
        self.state == ChildState::Established && self.replaced_by.is_none()
    }

    /// Another one has replaced it. Who began that deletes this one; if that never comes,
    /// we do (RFC 7296, 2.8).
    pub(crate) fn replaced(&mut self, by: SerialNo, now: Instant) {
        let end = now.after(REPLACED_LINGERS);
        self.replaced_by = Some(by);
        self.had.get_or_insert(self.life);
        self.life = Life { rekey: None, end: Some(self.life.end.map_or(end, |own| own.min(end))) };
    }

    /// What was to replace it has gone: the peer does without that. It lives on, and is rekeyed
    /// when it would have been, or, where that has been tried, at `again`.
    pub(crate) fn stays(&mut self, again: Option<Instant>) {
        self.replaced_by = None;
        if let Some(had) = self.had.take() {
            let rekey = had.rekey.or(again.filter(|_| self.policy.lifetimes.rekey));
            self.life = Life { rekey, ..had };
        }
    }

    /// For listings.
    pub(crate) fn summary(&self) -> ChildSa {
        ChildSa {
            serial: self.serial,
            policy: Arc::clone(&self.policy),
            state: self.state,
            up: self.up.clone(),
            deadlines: self.life.listed(),
        }
    }
}

/// How long before its end an SA is replaced at least, by the initiator; the responder begins
/// half as long before.
const LEAST_MARGIN: Duration = Duration::from_secs(10);

/// When an SA is replaced, and when it ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, serde::Serialize, serde::Deserialize)]
pub(crate) struct Life {
    /// When its replacement begins; none when we do not begin it, or did.
    pub(crate) rekey: Option<Instant>,
    /// When it ends.
    pub(crate) end: Option<Instant>,
}

impl Limit {
    /// From one of a policy's limits. Both ends count the same packets, so the soft limits are
    /// apart: the responder's is half of the hard one, the initiator's a quarter, which up to
    /// `fuzz` (0 to 1000 per mille) of the fuzz percentage of an eighth is added to. However
    /// large the percentage, an eighth is left in which the initiator's replacement is made.
    pub(crate) fn begin(
        hard: u64,
        lifetimes: &pluto_connections::Lifetimes,
        initiator: bool,
        fuzz: u16,
    ) -> Self {
        if hard == u64::MAX || !lifetimes.rekey {
            return Self { soft: u64::MAX, hard };
        }
        let soft = if initiator {
            let per_mille = u64::from(lifetimes.fuzz_percent.min(100)) * u64::from(fuzz) / 100;
            let added = u128::from(hard / 8) * u128::from(per_mille.min(1000)) / 1000;
            (hard / 4).saturating_add(u64::try_from(added).unwrap_or(0))
        } else {
            hard / 2
        };
        // A soft limit of nothing would be reached before the first packet.
        Self { soft: soft.max(1), hard }
    }
}

impl Life {
    /// From a policy's lifetimes. The initiator begins early, at its margin grown by up to
    /// `fuzz` (0 to 1000 per mille of the fuzz percentage); the responder at half of it, so
    /// that both do not begin at once.
    pub(crate) fn begin(
        now: Instant,
        lifetimes: &pluto_connections::Lifetimes,
        initiator: bool,
        fuzz: u16,
    ) -> Self {
        let grown = u64::from(lifetimes.fuzz_percent).saturating_mul(u64::from(fuzz)) / 1000;
        let percent = u32::try_from(grown.saturating_add(100)).unwrap_or(u32::MAX);
        let margin = if initiator {
            lifetimes.margin.saturating_mul(percent) / 100
        } else {
            lifetimes.margin / 2
        };
        // The replacement takes its time, also where no margin is wished for; one as long as the
        // life leaves the last quarter for it.
        let least = if initiator { LEAST_MARGIN } else { LEAST_MARGIN / 2 };
        let margin = margin.max(least).min(lifetimes.life / 4 * 3);
        let rekey = lifetimes.rekey.then(|| now.after(lifetimes.life.saturating_sub(margin)));
        Self { rekey, end: Some(now.after(lifetimes.life)) }
    }

    /// The earlier of its two deadlines.
    pub(crate) fn deadline(&self) -> Option<Instant> {
        [self.rekey, self.end].into_iter().flatten().min()
    }

    /// As listings name them.
    pub(crate) fn listed(&self) -> Vec<(&'static str, Instant)> {
        let end = if self.rekey.is_some() { "REPLACE" } else { "EXPIRE" };
        let rekey = self.rekey.map(|at| ("REKEY", at));
        rekey.into_iter().chain(self.end.map(|at| (end, at))).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use pluto_connections::Lifetimes;

    const LIFETIMES: Lifetimes = Lifetimes {
        life: Duration::from_secs(3_600),
        margin: Duration::from_secs(540),
        fuzz_percent: 100,
        max_bytes: u64::MAX,
        max_packets: u64::MAX,
        rekey: true,
    };

    #[test]
    fn without_a_margin_there_is_still_time_for_a_replacement() {
        let none = Lifetimes { margin: Duration::ZERO, ..LIFETIMES };
        for (initiator, left) in [(true, 10), (false, 5)] {
            let life = Life::begin(Instant(Duration::ZERO), &none, initiator, 500);
            let (rekey, end) = (life.rekey.expect("it is rekeyed"), life.end.expect("it ends"));
            assert_eq!(end.since(rekey), Duration::from_secs(left));
        }
        let short = Lifetimes { life: Duration::from_secs(4), ..none };
        let life = Life::begin(Instant(Duration::ZERO), &short, true, 0);
        assert_eq!(life.rekey, Some(Instant(Duration::from_secs(1))));
    }

    fn soft(hard: u64, fuzz_percent: u32, initiator: bool, fuzz: u16) -> u64 {
        let lifetimes = Lifetimes { fuzz_percent, ..LIFETIMES };
        let limit = Limit::begin(hard, &lifetimes, initiator, fuzz);
        assert_eq!(limit.hard, hard);
        limit.soft
    }

    #[test]
    fn the_initiators_soft_limit_is_well_before_the_responders() {
        for fuzz in [0, 500, 1000] {
            assert_eq!(soft(8_000, 100, false, fuzz), 4_000);
        }
        let initiators = |percent| [0, 500, 1000].map(|fuzz| soft(8_000, percent, true, fuzz));
        assert_eq!(initiators(100), [2_000, 2_500, 3_000]);
        assert_eq!(initiators(50), [2_000, 2_250, 2_500]);
        assert_eq!(initiators(0), [2_000; 3]);
        assert_eq!(initiators(u32::MAX), initiators(100));
        // 2^63 - 1 is the largest that the configuration has.
        assert_eq!(soft((1 << 63) - 1, 100, true, 1000), (1 << 61) - 1 + (1 << 60) - 1);
    }

    #[test]
    fn tiny_limits_are_not_reached_before_the_first_packet() {
        assert_eq!([1, 2, 3].map(|hard| soft(hard, 100, true, 0)), [1; 3]);
        assert_eq!(soft(1, 100, false, 0), 1);
    }

    #[test]
    fn there_is_no_soft_limit_without_a_hard_one_or_without_rekeying() {
        assert_eq!(soft(u64::MAX, 100, true, 1000), u64::MAX);
        assert_eq!(soft(u64::MAX, 100, false, 0), u64::MAX);
        let lifetimes = Lifetimes { rekey: false, ..LIFETIMES };
        for initiator in [true, false] {
            let limit = Limit::begin(1_000, &lifetimes, initiator, 500);
            assert_eq!(limit, Limit { soft: u64::MAX, hard: 1_000 });
        }
    }
}
