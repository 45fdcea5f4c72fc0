//! Facts of listings. whack's text and its `--json` are both made of these, and nothing
//! else, so what a script can read in one it can read in the other.
//!
//! Names and meanings of fields are stable: fields are added, never renamed. Every field
//! may be missing in what another version sends and then has its default. Units are in
//! the names: `_s` seconds, `_ms` milliseconds; octets unless something else is said.
//! Times of the day are seconds since 1970; ages and deadlines are relative to now.

mod connection;
mod counters;
mod daemon;
mod lists;
mod sa;
mod tree;

pub use connection::{ConnectionFacts, EndFacts, IptfsFacts, routing_name};
pub use counters::{BriefFacts, CounterFacts, TotalsFacts};
pub use daemon::{
    AuthAlgorithm, DaemonFacts, EncryptAlgorithm, FipsFacts, IkeEncryptAlgorithm, InterfaceFacts,
    KernelFacts, KeyExchangeAlgorithm, PrfAlgorithm, SetupFacts,
};
pub use lists::{
    AddressPoolFacts, CertificateFacts, CrlFacts, EventFacts, LeaseFacts, ProcessFacts, PskFacts,
    PublicKeyFacts, ShuntFacts,
};
pub use sa::{ChildSaFacts, DeadlineFacts, IkeSaFacts, PendingFacts};
pub use tree::{ActorFacts, ActorKind};

use serde::{Deserialize, Serialize};
use std::borrow::Cow;

/// A word that is nearly always one of a few: a long listing has thousands of them.
pub type Word = Cow<'static, str>;

/// A fact of a listing. The daemon sends those of one kind together, in the order of this
/// enum, connections sorted by name and states by connection and serial number.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "kind", content = "facts", rename_all = "kebab-case")]
pub enum Item {
    /// The daemon itself.
    Daemon(Box<DaemonFacts>),
    /// The FIPS mode alone (`--fipsstatus`).
    Fips(FipsFacts),
    /// A connection.
    Connection(Box<ConnectionFacts>),
    /// Totals over connections.
    Totals(TotalsFacts),
    /// Counts of SAs.
    Brief(BriefFacts),
    /// An IKE SA.
    IkeSa(Box<IkeSaFacts>),
    /// A Child SA.
    ChildSa(Box<ChildSaFacts>),
    /// A Child SA that waits for its IKE SA.
    Pending(PendingFacts),
    /// A shunt without a connection's SA.
    Shunt(ShuntFacts),
    /// An address pool.
    AddressPool(AddressPoolFacts),
    /// A child process.
    Process(ProcessFacts),
    /// A counter (`--globalstatus`).
    Counter(CounterFacts),
    /// A public key.
    PublicKey(PublicKeyFacts),
    /// A pre-shared key, without the key.
    Psk(PskFacts),
    /// An end certificate.
    Certificate(CertificateFacts),
    /// A CA certificate.
    CaCertificate(CertificateFacts),
    /// A certificate revocation list.
    Crl(CrlFacts),
    /// A timer.
    Event(EventFacts),
    /// An actor of the supervision tree.
    Actor(ActorFacts),
}

macro_rules! into_item {
    ($($facts:ty => $variant:ident $(($wrap:path))?),* $(,)?) => {$(
        impl From<$facts> for Item {
            fn from(facts: $facts) -> Self {
                Self::$variant($($wrap)?(facts))
            }
        }
    )*};
}

into_item! {
    DaemonFacts => Daemon(Box::new),
    FipsFacts => Fips,
    ConnectionFacts => Connection(Box::new),
    TotalsFacts => Totals,
    BriefFacts => Brief,
    IkeSaFacts => IkeSa(Box::new),
    ChildSaFacts => ChildSa(Box::new),
    PendingFacts => Pending,
    ShuntFacts => Shunt,
    AddressPoolFacts => AddressPool,
    ProcessFacts => Process,
    CounterFacts => Counter,
    PublicKeyFacts => PublicKey,
    PskFacts => Psk,
    CrlFacts => Crl,
    EventFacts => Event,
    ActorFacts => Actor,
}
