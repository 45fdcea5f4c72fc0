//! A listing as one JSON document (`--json`): the same facts that the text is made of.
//! `docs/whack-json.md` describes it, `docs/whack-json.schema.json` is its schema.

use crate::report::*;
use crate::request::Listing;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// The version of the document; grows only when a field changes its meaning or goes.
pub const DOCUMENT_VERSION: u32 = 1;

/// A listing. Every list is there, empty when the listing has nothing of its kind.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Document {
    /// Always `pluto-whack`.
    pub format: String,
    /// See [`DOCUMENT_VERSION`].
    pub version: u32,
    /// Which listing.
    pub listing: Listing,
    /// The connection that it was limited to.
    pub name: Option<String>,
    /// The daemon itself.
    pub daemon: Option<DaemonFacts>,
    /// FIPS mode (`--fipsstatus`).
    pub fips: Option<FipsFacts>,
    /// Connections.
    pub connections: Vec<ConnectionFacts>,
    /// Totals over connections.
    pub totals: Option<TotalsFacts>,
    /// Counts of SAs.
    pub brief: Option<BriefFacts>,
    /// IKE SAs.
    pub ike_sas: Vec<IkeSaFacts>,
    /// Child SAs, with their traffic.
    pub child_sas: Vec<ChildSaFacts>,
    /// Child SAs that wait for their IKE SA.
    pub pending: Vec<PendingFacts>,
    /// Shunts.
    pub shunts: Vec<ShuntFacts>,
    /// Address pools.
    pub address_pools: Vec<AddressPoolFacts>,
    /// Child processes.
    pub processes: Vec<ProcessFacts>,
    /// Counters by name.
    pub counters: BTreeMap<String, u64>,
    /// Public keys.
    pub public_keys: Vec<PublicKeyFacts>,
    /// Pre-shared keys, without the keys.
    pub psks: Vec<PskFacts>,
    /// End certificates.
    pub certificates: Vec<CertificateFacts>,
    /// CA certificates.
    pub ca_certificates: Vec<CertificateFacts>,
    /// Certificate revocation lists.
    pub crls: Vec<CrlFacts>,
    /// Timers.
    pub events: Vec<EventFacts>,
    /// The supervision tree.
    pub actors: Vec<ActorFacts>,
    /// What the daemon said beside the facts.
    pub messages: Vec<Message>,
}

/// A line that the daemon said.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Message {
    /// See [`codes`](crate::codes).
    pub code: u16,
    /// The line.
    pub text: String,
}

impl Document {
    /// A listing that has nothing yet.
    #[must_use]
    pub fn new(listing: Listing, name: Option<String>) -> Self {
        Self {
            format: "pluto-whack".to_owned(),
            version: DOCUMENT_VERSION,
            listing,
            name,
            daemon: None,
            fips: None,
            connections: Vec::new(),
            totals: None,
            brief: None,
            ike_sas: Vec::new(),
            child_sas: Vec::new(),
            pending: Vec::new(),
            shunts: Vec::new(),
            address_pools: Vec::new(),
            processes: Vec::new(),
            counters: BTreeMap::new(),
            public_keys: Vec::new(),
            psks: Vec::new(),
            certificates: Vec::new(),
            ca_certificates: Vec::new(),
            crls: Vec::new(),
            events: Vec::new(),
            actors: Vec::new(),
            messages: Vec::new(),
        }
    }

    /// Adds a fact.
    pub fn add(&mut self, item: Item) {
        match item {
            Item::Daemon(facts) => self.daemon = Some(*facts),
            Item::Fips(facts) => self.fips = Some(facts),
            Item::Connection(facts) => self.connections.push(*facts),
            Item::Totals(facts) => self.totals = Some(facts),
            Item::Brief(facts) => self.brief = Some(facts),
            Item::IkeSa(facts) => self.ike_sas.push(*facts),
            Item::ChildSa(facts) => self.child_sas.push(*facts),
            Item::Pending(facts) => self.pending.push(facts),
            Item::Shunt(facts) => self.shunts.push(facts),
            Item::AddressPool(facts) => self.address_pools.push(facts),
            Item::Process(facts) => self.processes.push(facts),
            Item::Counter(CounterFacts { name, value }) => {
                self.counters.insert(name, value);
            }
            Item::PublicKey(facts) => self.public_keys.push(facts),
            Item::Psk(facts) => self.psks.push(facts),
            Item::Certificate(facts) => self.certificates.push(facts),
            Item::CaCertificate(facts) => self.ca_certificates.push(facts),
            Item::Crl(facts) => self.crls.push(facts),
            Item::Event(facts) => self.events.push(facts),
            Item::Actor(facts) => self.actors.push(facts),
        }
    }
}

#[cfg(test)]
#[path = "document_tests.rs"]
mod tests;
