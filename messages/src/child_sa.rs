//! What a Child SA receives.

use actix::Message;
use pluto_kernel::Counters;
use pluto_states::{ChildUp, Request};
use std::sync::Arc;

/// An order: passed on to the IKE SA that carries it.
#[derive(Debug, Clone, Message)]
#[rtype(result = "()")]
pub struct ChildOrder(pub Request);

/// The kernel says that a lifetime has run out.
#[derive(Debug, Clone, Message)]
#[rtype(result = "()")]
pub struct LifetimeOver {
    /// Hard or soft.
    pub hard: bool,
}

/// A question for listings.
#[derive(Debug, Clone, Message)]
#[rtype(result = "Option<ChildDescription>")]
pub struct DescribeChildSa {
    /// Whether to ask the kernel for counters.
    pub counters: bool,
}

/// An answer for listings.
#[derive(Debug, Clone)]
pub struct ChildDescription {
    /// Facts.
    pub up: Arc<ChildUp>,
    /// The kernel's counters, where they were asked for and known.
    pub counters: Option<Counters>,
}
