//! A Child SA's life within its IKE SA.

use crate::{ChildSpi, ChildUp, Instant};
use pluto_connections::{ChildPolicy, SerialNo};
use pluto_wire::numbers::ProtocolId;
use std::sync::Arc;

/// Where a Child SA is in its life.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
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
    /// Where it is in its life.
    pub state: ChildState,
    /// Its facts, once it is established.
    pub up: Option<Box<ChildUp>>,
    /// Deadlines by name: `REKEY`, `REPLACE`, `EXPIRE`.
    pub deadlines: Vec<(&'static str, Instant)>,
}

/// The same within the machine: cheap to clone.
#[derive(Debug, Clone)]
pub(crate) struct Child {
    pub(crate) serial: SerialNo,
    pub(crate) policy: Arc<ChildPolicy>,
    pub(crate) state: ChildState,
    pub(crate) protocol: ProtocolId,
    /// Inbound, once the kernel has reserved it.
    pub(crate) spi_in: Option<ChildSpi>,
    pub(crate) up: Option<Arc<ChildUp>>,
    /// When it should be replaced by rekeying, and when it ends.
    pub(crate) life: Life,
}

impl Child {
    /// One that is being negotiated.
    pub(crate) fn larval(serial: SerialNo, policy: Arc<ChildPolicy>, protocol: ProtocolId) -> Self {
        let (state, life) = (ChildState::Larval, Life::default());
        Self { serial, policy, state, protocol, spi_in: None, up: None, life }
    }

    /// For listings.
    pub(crate) fn summary(&self) -> ChildSa {
        ChildSa {
            serial: self.serial,
            state: self.state,
            up: self.up.as_ref().map(|up| Box::new(ChildUp::clone(up))),
            deadlines: self.life.listed(),
        }
    }
}

/// When an SA is replaced, and when it ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) struct Life {
    /// When its replacement begins; none when we do not begin it, or did.
    pub(crate) rekey: Option<Instant>,
    /// When it ends.
    pub(crate) end: Option<Instant>,
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
        // A margin as long as the life leaves the last quarter for the replacement.
        let margin = margin.min(lifetimes.life / 4 * 3);
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
