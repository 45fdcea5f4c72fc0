//! Counts and totals.

use serde::{Deserialize, Serialize};

/// Totals over connections.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct TotalsFacts {
    /// Connections that are loaded: all, also where the listing is about some.
    pub loaded: u64,
    /// Those with policies in the kernel.
    pub routed: u64,
    /// Those with an established Child SA.
    pub active: u64,
}

/// Counts of SAs (`--briefstatus`).
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct BriefFacts {
    /// Whether new peers must show a cookie.
    pub cookies_required: bool,
    /// Whether new IKE SAs are accepted.
    pub accepting: bool,
    /// IKE SAs of any state.
    pub ike_total: u64,
    /// Those whose peer we have answered and not authenticated, and those that we began and
    /// whose peer has not answered.
    pub ike_half_open: u64,
    /// Those that we began, whose peer has answered, and that are not established. Those whose
    /// first request has yet to be made are in the total alone.
    pub ike_open: u64,
    /// Those with an authenticated peer.
    pub ike_authenticated: u64,
    /// Those with a peer that did not say who it is.
    pub ike_anonymous: u64,
    /// Child SAs of any state.
    pub child_total: u64,
    /// Those of authenticated peers.
    pub child_authenticated: u64,
    /// Those of anonymous peers.
    pub child_anonymous: u64,
}

/// A counter of `--globalstatus`.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct CounterFacts {
    /// Its name, `total.ikev2.ike.established`.
    pub name: String,
    /// Its value.
    pub value: u64,
}
