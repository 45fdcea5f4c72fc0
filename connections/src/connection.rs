//! Connections: parsed, oriented, instantiated, and the table of all of them.

use crate::{
    AuthLookup, ChildLookup, ChildPolicy, ConnectionSerial, ConnectionSpec, Id, IkePolicy, LocalAddress, Mismatch,
    Orientation, SpecError,
};
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;

/// What a connection is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Kind {
    /// One known peer.
    Permanent,
    /// Peers to come (`%any`): only its instances have SAs.
    Template,
    /// Made from a template for one peer.
    Instance,
}

/// A connection with all its settings parsed; immutable once added (`auto=`, up, route
/// and keep are wishes that the connection actor keeps).
#[derive(Debug, Clone)]
pub struct Connection {
    _private: (),
}

/// The number of an instance within its template, shown `[3]`.
pub type Instance = u64;

impl Connection {
    /// Reads the keywords of `spec`.
    ///
    /// # Errors
    /// The first keyword that is unknown, not supported yet, or has an impossible value.
    pub fn parse(_spec: &ConnectionSpec) -> Result<Self, SpecError> {
        unimplemented!()
    }
    /// Its serial number; set when it is added.
    #[must_use]
    pub fn serial(&self) -> ConnectionSerial {
        unimplemented!()
    }
    /// Its name, without instance.
    #[must_use]
    pub fn name(&self) -> &str {
        unimplemented!()
    }
    /// How logs name it: `"west"`, `"road"[3] 192.0.2.1`.
    #[must_use]
    pub fn log_name(&self) -> Arc<str> {
        unimplemented!()
    }
    /// What it is for.
    #[must_use]
    pub fn kind(&self) -> Kind {
        unimplemented!()
    }
    /// Which end we are, with these addresses of ours.
    #[must_use]
    pub fn orient(&self, _addresses: &[LocalAddress]) -> Orientation {
        unimplemented!()
    }
    /// The names that must be resolved before an attempt (`right=gateway.example.com`).
    #[must_use]
    pub fn names_to_resolve(&self) -> Vec<String> {
        unimplemented!()
    }
    /// What its IKE SA needs; none while it is not oriented.
    #[must_use]
    pub fn ike_policy(&self) -> Option<Arc<IkePolicy>> {
        unimplemented!()
    }
    /// What its Child SAs need, one a Child SA (several for `subnets=`).
    #[must_use]
    pub fn child_policies(&self) -> Vec<Arc<ChildPolicy>> {
        unimplemented!()
    }
    /// Where IKE starts: our address and port, the peer's; none while it is not oriented or
    /// the peer's address is not known.
    #[must_use]
    pub fn endpoints(&self) -> Option<(SocketAddr, SocketAddr)> {
        unimplemented!()
    }
}

/// All connections and instances, with indexes for every question that a packet or a
/// command asks, so that no answer's cost grows with their number.
#[derive(Debug, Default)]
pub struct Connections {
    _private: (),
}

impl Connections {
    /// Adds a connection and gives it a serial number.
    ///
    /// # Errors
    /// The name is taken (whack's 20).
    pub fn add(&mut self, _connection: Connection) -> Result<Arc<Connection>, SpecError> {
        unimplemented!()
    }
    /// Removes a connection or instance.
    pub fn remove(&mut self, _serial: ConnectionSerial) -> Option<Arc<Connection>> {
        unimplemented!()
    }
    /// One by its serial number.
    #[must_use]
    pub fn by_serial(&self, _serial: ConnectionSerial) -> Option<&Arc<Connection>> {
        unimplemented!()
    }
    /// What `--name` means: a name, `"name"[1]`, an alias, `$N` (see whack-options, 5);
    /// `#N` is the caller's.
    #[must_use]
    pub fn by_name(&self, _name: &str) -> Vec<Arc<Connection>> {
        unimplemented!()
    }
    /// Orients all again after our addresses changed; returns those whose orientation
    /// changed.
    pub fn orient(&mut self, _addresses: &[LocalAddress]) -> Vec<Arc<Connection>> {
        unimplemented!()
    }
    /// The peer's address became known or changed (a name was resolved).
    pub fn set_remote_address(&mut self, _serial: ConnectionSerial, _address: IpAddr) -> Option<Arc<Connection>> {
        unimplemented!()
    }
    /// Who answers an IKE_SA_INIT request between these addresses: the connection whose
    /// proposals are used until the peer has said who it is.
    #[must_use]
    pub fn for_ike_sa_init(&self, _local: IpAddr, _remote: IpAddr) -> Option<Arc<Connection>> {
        unimplemented!()
    }
    /// Who answers an IKE_AUTH request, now that the identities are known; a template is
    /// instantiated.
    ///
    /// # Errors
    /// Every candidate with the first thing that did not match.
    pub fn for_ike_auth(&mut self, _lookup: &AuthLookup) -> Result<Arc<Connection>, Vec<Mismatch>> {
        unimplemented!()
    }
    /// Who takes a Child SA with these selectors on an IKE SA of `ike` (the same peer may
    /// have several connections).
    ///
    /// # Errors
    /// Every candidate with the first thing that did not match.
    pub fn for_child(
        &mut self,
        _lookup: &ChildLookup,
    ) -> Result<(Arc<Connection>, Arc<ChildPolicy>), Vec<Mismatch>> {
        unimplemented!()
    }
    /// Makes an instance of a template for a peer.
    pub fn instantiate(
        &mut self,
        _template: ConnectionSerial,
        _remote: IpAddr,
        _id: Option<&Id>,
    ) -> Option<Arc<Connection>> {
        unimplemented!()
    }
    /// All, by name and instance.
    pub fn iter(&self) -> impl Iterator<Item = &Arc<Connection>> {
        std::iter::empty()
    }
}
