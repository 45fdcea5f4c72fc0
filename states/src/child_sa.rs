//! A Child SA's life within its IKE SA.

use crate::{ChildUp, Instant};
use pluto_connections::SerialNo;

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
