//! Which end of a connection we are.

use std::net::IpAddr;

/// Left or right.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[allow(missing_docs, reason = "the names say it")]
pub enum Side {
    Left,
    Right,
}

/// An address of this host on which IKE listens.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LocalAddress {
    /// The interface it belongs to.
    pub interface: String,
    /// The address.
    pub address: IpAddr,
}

/// What orientation found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Orientation {
    /// This side is ours.
    Oriented {
        /// Which.
        local: Side,
        /// Through which address.
        address: LocalAddress,
    },
    /// Neither end is an address of ours: `neither left=X nor right=Y match an interface`.
    Neither,
    /// Both are.
    Both,
}
