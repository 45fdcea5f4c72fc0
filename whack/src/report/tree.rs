//! The supervision tree.

use super::Word;
use serde::{Deserialize, Serialize};

/// An actor of the tree: root, a service, a session or a client of the control socket.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct ActorFacts {
    /// What it is.
    pub actor: ActorKind,
    /// Its serial number: `#` of a session's SA, `$` of a connection; none for services.
    pub serial: Option<u64>,
    /// Its name: a service's, or a session's connection as logs show it.
    pub name: String,
    /// Its state: `running`, `established IKE SA`, `routed-tunnel` …
    pub state: Word,
    /// Since when it has been alive, or since its last restart.
    pub age_s: u64,
    /// How often its core was rebuilt (services, connections).
    pub restarts: u64,
    /// How many panics it has survived, each for the price of a message.
    pub panics_survived: u64,
    /// Messages that were dropped because its mailbox was full.
    pub dropped: u64,
}

/// Kinds of actors; they say where in the tree an actor is.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum ActorKind {
    /// Starts and stops all others.
    Root,
    /// Secrets, kernel, dns, crl, updown, the control socket: keeps its address, its core
    /// is rebuilt.
    #[default]
    Service,
    /// The sockets and the demultiplexer.
    Listener,
    /// Watches the sessions.
    Supervisor,
    /// A connection.
    Connection,
    /// An IKE SA.
    IkeSa,
    /// A Child SA.
    ChildSa,
    /// A client of the control socket.
    Client,
}

impl ActorKind {
    /// How deep in the tree it stands; root is 0.
    #[must_use]
    pub fn depth(self) -> usize {
        match self {
            Self::Root => 0,
            Self::Service | Self::Listener | Self::Supervisor => 1,
            Self::Connection | Self::IkeSa | Self::ChildSa | Self::Client => 2,
        }
    }

    /// Its name in listings.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Root => "root",
            Self::Service => "service",
            Self::Listener => "listener",
            Self::Supervisor => "supervisor",
            Self::Connection => "connection",
            Self::IkeSa => "ike-sa",
            Self::ChildSa => "child-sa",
            Self::Client => "client",
        }
    }
}
