//! What a Child SA receives.

use actix::Message;
use pluto_states::Request;

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
