//! What is installed, by owner.

use crate::TrafficPair;
use rustc_hash::FxHashMap;

/// What one Child SA or connection owns.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Owned {
    /// Inbound SPI, with protocol and addresses as they were installed.
    pub sas: Vec<(u8, std::net::IpAddr, u32)>,
    /// Policies.
    pub policies: Vec<TrafficPair>,
}

/// What is installed, by serial number of Child SA and of connection.
#[derive(Debug, Clone, Default)]
pub struct Ledger {
    /// SAs by Child SA.
    pub children: FxHashMap<u64, Owned>,
    /// Policies by connection.
    pub connections: FxHashMap<u64, Owned>,
}
