//! What the administrator wants: connections and their ends, identities, secrets,
//! proposals, traffic selectors, and the decisions made of them: which connection
//! answers a peer, what happens to traffic when a tunnel comes and goes.
//!
//! All of it is data and pure functions: no sockets, clocks or randomness.

mod address;
mod addresspool;
mod config;
mod configuration;
mod connection;
mod data;
mod dn;
mod end;
mod facts;
mod find;
mod id;
mod index;
mod instantiate;
pub mod keywords;
mod orient;
mod policy;
pub mod proposal;
pub mod revival;
pub mod routing;
mod secrets;
mod selector;
mod selector_policies;
mod serial;
mod serials;
mod settings;
mod spd;
mod spec;
mod status;
mod table;

pub use addresspool::{
    AddressPools, Lease, LeaseError, LeaseRequest, LeaseSnapshot, LeaseStatus, PoolRange,
    PoolStatus, RememberedLease,
};
pub use configuration::{ConfigRole, Configuration, MAX_BANNER, is_domain};
pub use connection::{Connection, Instance, Kind};
pub use end::Family;
pub use facts::Updown;
pub use find::{AuthLookup, ChildLookup, Mismatch};
pub use id::{Id, IdError};
pub use instantiate::InUse;
pub use orient::{LocalAddress, Orientation, Side};
pub use policy::{
    Authby, ChildPolicy, Encapsulation, Fragmentation, IkePolicy, IpsecMode, Lifetimes, NAT_PORT,
    Pfs, RekeyPfs, Retransmit,
};
pub use routing::Routing;
pub use secrets::{SecretFiles, SecretKind, Secrets, SecretsError};
pub use selector::{AddressRange, Selector, SelectorError, narrow, without_subsets};
pub use selector_policies::{SelectorPart, count_policy_pairs, policy_pairs};
pub use serial::{ConnectionSerial, SerialNo};
pub use settings::{Auto, ConnectionType, EnableTcp, Shunt};
pub use spd::{SpdEntry, policy_priority, prefix_length, selector_pairs};
pub use spec::{ConnectionSpec, EndSpec, SpecError, SpecErrorKind};
pub use status::{ConnectionStatus, EndStatus, LiveStatus};
pub use table::Connections;
