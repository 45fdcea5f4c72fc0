//! Which connection answers a peer, and why another one does not.

use crate::{Authby, ConnectionSerial, Id, IpsecMode, Selector};
use pluto_crypto::IkeSuite;
use std::net::IpAddr;
use std::sync::Arc;

/// What an IKE_AUTH request says of who asks for whom.
#[derive(Debug, Clone)]
pub struct AuthLookup {
    /// The connection that answered IKE_SA_INIT.
    pub initial: ConnectionSerial,
    /// Our address.
    pub local: IpAddr,
    /// The peer's address.
    pub remote: IpAddr,
    /// IDi.
    pub remote_id: Id,
    /// IDr, where the peer sent one.
    pub local_id: Option<Id>,
    /// How the peer proves IDi.
    pub remote_auth: Authby,
    /// What was negotiated in IKE_SA_INIT: a connection that would not have chosen it does
    /// not match.
    pub suite: IkeSuite,
    /// The traffic selectors (ours, the peer's) of the first Child SA, if there is one:
    /// among several connections that match, one that can take them is preferred.
    pub selectors: Option<(Vec<Selector>, Vec<Selector>)>,
}

/// What a request for a Child SA says.
#[derive(Debug, Clone)]
pub struct ChildLookup {
    /// The connection of the IKE SA.
    pub ike: ConnectionSerial,
    /// Our side's traffic, as the peer wants it.
    pub local_ts: Vec<Selector>,
    /// The peer's.
    pub remote_ts: Vec<Selector>,
    /// Whether the peer wants transport mode.
    pub mode: IpsecMode,
}

/// A candidate, and the first thing about it that did not match.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Mismatch {
    /// The candidate, as logs name it.
    pub connection: Arc<str>,
    /// What did not match: `rightid`, `authby`, `leftsubnet` ….
    pub field: &'static str,
    /// What the connection wants.
    pub configured: String,
    /// What the peer wants.
    pub received: String,
}

impl std::fmt::Display for Mismatch {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}: {} is {}, the peer has {}", self.connection, self.field, self.configured, self.received)
    }
}
