//! What the administrator wants: connections and their ends, identities, secrets,
//! proposals, traffic selectors, and the decisions made of them: which connection
//! answers a peer, what happens to traffic when a tunnel comes and goes.
//!
//! All of it is data and pure functions: no sockets, clocks or randomness.

mod address;
mod connection;
mod data;
mod dn;
mod find;
mod id;
mod orient;
mod policy;
pub mod proposal;
pub mod revival;
pub mod routing;
mod secrets;
mod selector;
mod serial;
mod spec;

pub use connection::{Connection, Connections, Instance, Kind};
pub use find::{AuthLookup, ChildLookup, Mismatch};
pub use id::{Id, IdError};
pub use orient::{LocalAddress, Orientation, Side};
pub use policy::{Authby, ChildPolicy, Encapsulation, Fragmentation, IkePolicy, IpsecMode, Lifetimes, Retransmit};
pub use secrets::{SecretKind, Secrets, SecretsError};
pub use selector::{narrow, AddressRange, Selector, SelectorError};
pub use serial::{ConnectionSerial, SerialNo};
pub use spec::{ConnectionSpec, EndSpec, SpecError};
