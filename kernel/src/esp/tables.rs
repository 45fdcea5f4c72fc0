//! What all workers share.

use super::counts::Counts;
use super::early::Early;
use super::events::EventSink;
use super::hold::Holds;
use super::sad::{InboundSa, Lifetime, OutboundSa, Sad};
use super::spd::Spd;
use crate::KernelEvent;
use std::sync::atomic::Ordering;
use std::sync::{Mutex, MutexGuard, PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard};

/// Policies and SAs.
#[derive(Debug, Default)]
pub(crate) struct Tables {
    pub(crate) spd: Spd,
    pub(crate) sad: Sad,
}

/// The tables with what stands around them.
#[derive(Debug)]
pub(crate) struct Shared {
    tables: RwLock<Tables>,
    holds: Mutex<Holds>,
    early: Mutex<Early>,
    pub(crate) counts: Counts,
    pub(crate) events: EventSink,
}

impl Shared {
    pub(crate) fn new(events: EventSink) -> Self {
        Self {
            tables: RwLock::default(),
            holds: Mutex::default(),
            early: Mutex::default(),
            counts: Counts::default(),
            events,
        }
    }

    /// For a batch of packets. Readers do not exclude each other.
    pub(crate) fn tables(&self) -> RwLockReadGuard<'_, Tables> {
        self.tables.read().unwrap_or_else(PoisonError::into_inner)
    }

    /// For a change: microseconds.
    pub(crate) fn change(&self) -> RwLockWriteGuard<'_, Tables> {
        self.tables.write().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn holds(&self) -> MutexGuard<'_, Holds> {
        self.holds.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn early(&self) -> MutexGuard<'_, Early> {
        self.early.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Tells what a packet meant for the lifetime of the SA that carried it.
    pub(crate) fn tell_lifetime_out(&self, sa: &OutboundSa, lifetime: Lifetime) {
        self.tell_lifetime(sa.spi, sa.remote.ip(), sa.child, lifetime);
    }

    /// The same for an SA that receives.
    pub(crate) fn tell_lifetime_in(&self, sa: &InboundSa, lifetime: Lifetime) {
        if !sa.leaving.load(Ordering::Relaxed) {
            self.tell_lifetime(sa.spi, sa.local.ip(), sa.child, lifetime);
        }
    }

    fn tell_lifetime(&self, spi: u32, destination: std::net::IpAddr, child: u64, life: Lifetime) {
        if let Lifetime::Soft | Lifetime::Ended = life {
            let hard = life == Lifetime::Ended;
            self.events.tell(KernelEvent::Expire { spi, destination, child: Some(child), hard });
        }
    }
}
