//! What a client asks of the daemon: one JSON object a line, `{"version":1,"command":…}`.

use crate::debug::DebugSet;
use pluto_connections::{ConnectionSpec, SerialNo};
use serde::{Deserialize, Serialize};
use std::fmt;

/// The version of the control protocol. A daemon refuses others with
/// [`codes::BADWHACKMESSAGE`](crate::codes::BADWHACKMESSAGE), except for
/// [`Request::Shutdown`] and [`Listing::Status`], which work across versions.
pub const PROTOCOL_VERSION: u32 = 1;

/// A request. `name` is what `--name` said: the daemon resolves it (a name,
/// `"name"[1]`, an alias, `$serial`, `#serial`).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "command", rename_all = "kebab-case", rename_all_fields = "snake_case")]
pub enum Request {
    /// Adds a connection.
    Add {
        /// Its keywords with their raw values.
        connection: ConnectionSpec,
        /// Whether one of the same name is replaced (`ipsec add`) or the request refused
        /// with 20 (`whack`).
        #[serde(default)]
        replace: bool,
    },
    /// Scans the interfaces, loads secrets and groups, and begins to listen.
    Listen,
    /// Ignores new IKE SAs from now on.
    Unlisten,
    /// Sets the size of the IKE sockets' buffers, then listens.
    IkeSocketBufsize {
        /// In octets; 0 for the system's default.
        bytes: u64,
    },
    /// Switches the IKE sockets' error queue, then listens.
    IkeSocketErrqueue {
        /// On or off.
        on: bool,
    },
    /// Installs trap policies: up on demand.
    Route {
        /// Which connection.
        name: String,
    },
    /// Removes trap policies.
    Unroute {
        /// Which connection.
        name: String,
    },
    /// Brings a connection up; the reply ends when its Child SA is up or given up.
    Initiate {
        /// Which connection.
        name: String,
        /// The peer's address or name, for a template.
        #[serde(default)]
        remote_host: Option<String>,
        /// Answers the user name prompt.
        #[serde(default)]
        username: Option<String>,
        /// Answers the password prompt.
        #[serde(default)]
        password: Option<Password>,
        /// Answer at once instead of relaying progress.
        #[serde(default)]
        asynchronous: bool,
    },
    /// Takes a connection down, and it stays down.
    Down {
        /// Which connection.
        name: String,
    },
    /// Deletes a connection's states but keeps its resumption ticket.
    Suspend {
        /// Which connection.
        name: String,
    },
    /// Rekeys the IKE SA.
    RekeyIke {
        /// Which connection or state.
        name: String,
        /// Answer at once instead of waiting for the outcome.
        #[serde(default)]
        asynchronous: bool,
    },
    /// Rekeys the Child SA.
    RekeyChild {
        /// Which connection or state.
        name: String,
        /// Answer at once instead of waiting for the outcome.
        #[serde(default)]
        asynchronous: bool,
    },
    /// Deletes the IKE SA; it is revived when the connection is wanted up.
    DeleteIke {
        /// Which connection or state.
        name: String,
    },
    /// Deletes the Child SA; it is revived when the connection is wanted up.
    DeleteChild {
        /// Which connection or state.
        name: String,
    },
    /// Takes the IKE SA down, and it stays down.
    DownIke {
        /// Which connection or state.
        name: String,
    },
    /// Takes the Child SA down, and it stays down.
    DownChild {
        /// Which connection or state.
        name: String,
    },
    /// Removes a connection, its instances and its SAs.
    Delete {
        /// Which connection.
        name: String,
    },
    /// Removes the connections whose peer has this identity.
    DeleteId {
        /// The identity.
        name: String,
    },
    /// Removes the connections of this user (XAUTH, EAP).
    DeleteUser {
        /// The user's name.
        name: String,
    },
    /// Deletes one state.
    DeleteState {
        /// Its serial number.
        serial: SerialNo,
    },
    /// The peer has restarted: all its SAs are replaced.
    Crash {
        /// Its address or name.
        address: String,
    },
    /// A listing: answered by [`Reply::Item`](crate::Reply::Item)s, or as text.
    Listing {
        /// Which.
        what: Listing,
        /// Only what belongs to this connection.
        #[serde(default)]
        name: Option<String>,
        /// As [`Reply::Text`](crate::Reply::Text), where the daemon can.
        #[serde(default)]
        text: bool,
    },
    /// Stops the daemon; the reply ends when the socket closes.
    Shutdown {
        /// Leave the kernel's SAs and policies as they are.
        #[serde(default)]
        leave_state: bool,
    },
    /// Changes what is logged at debug level. `remove` is applied first.
    Debug {
        /// Classes to add.
        #[serde(default)]
        add: DebugSet,
        /// Classes to remove.
        #[serde(default)]
        remove: DebugSet,
        /// Only for this connection.
        #[serde(default)]
        name: Option<String>,
    },
    /// Fault injection, for tests.
    Impair {
        /// `NAME` or `NAME:VALUE`, in the order given.
        #[serde(default)]
        add: Vec<String>,
        /// Names to switch off.
        #[serde(default)]
        remove: Vec<String>,
        /// Switch all off first.
        #[serde(default)]
        clear: bool,
    },
    /// Relays the log of one state or connection, at debug level, until the client goes.
    Trace {
        /// `#5` or a connection's name.
        name: String,
    },
    /// Reads the secrets file again.
    RereadSecrets,
    /// Reads certificates again.
    RereadCerts,
    /// Fetches CRLs now.
    FetchCrls,
    /// Secrets, certificates and CRLs.
    RereadAll,
    /// Empties the OCSP cache.
    PurgeOcsp,
    /// Sets all counters of the daemon to zero.
    ClearStats,
    /// Resolves pending names now.
    Ddns,
    /// Pretends that the kernel asked for an SA for this packet.
    Oppo {
        /// Source address.
        here: String,
        /// Destination address.
        there: String,
        /// Protocol number; 1 (ICMP) unless given.
        #[serde(default)]
        protocol: Option<u8>,
        /// Source port or ICMP type.
        #[serde(default)]
        source_port: Option<u16>,
        /// Destination port or ICMP code.
        #[serde(default)]
        destination_port: Option<u16>,
        /// Security label.
        #[serde(default)]
        label: Option<String>,
        /// The policy's reqid.
        #[serde(default)]
        reqid: Option<u32>,
        /// Answer at once instead of relaying progress.
        #[serde(default)]
        asynchronous: bool,
    },
    /// Adds, replaces or (without a key) deletes a raw public key.
    KeyId {
        /// Whose.
        id: String,
        /// Keep the keys that it has.
        #[serde(default)]
        add: bool,
        /// The key.
        #[serde(default)]
        public_key: Option<String>,
    },
    /// Redirects established IKE SAs (RFC 5685).
    Redirect {
        /// Only this connection's.
        #[serde(default)]
        name: Option<String>,
        /// Where to.
        to: String,
    },
    /// Redirects new peers in IKE_SA_INIT (RFC 5685).
    GlobalRedirect {
        /// `yes`, `no` or `auto`; none: unchanged.
        #[serde(default)]
        mode: Option<String>,
        /// Where to; none: unchanged.
        #[serde(default)]
        to: Option<String>,
    },
    /// When cookies are asked for.
    DdosMode {
        /// `busy`, `unlimited` or `auto`.
        mode: String,
    },
    /// The answer to a [`Reply::Prompt`](crate::Reply::Prompt).
    Answer {
        /// What the user typed.
        text: Password,
    },
}

/// What can be listed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Listing {
    /// Everything: daemon, connections, totals, counts, states, shunts, supervision tree.
    Status,
    /// Counts of SAs.
    BriefStatus,
    /// All counters.
    GlobalStatus,
    /// Established Child SAs with their traffic.
    TrafficStatus,
    /// Shunts without a connection's SA.
    ShuntStatus,
    /// Address pools and leases.
    AddressPoolStatus,
    /// Connections with all their settings.
    ConnectionStatus,
    /// Active connections, a line each.
    BriefConnectionStatus,
    /// FIPS mode.
    FipsStatus,
    /// Child processes.
    ProcessStatus,
    /// IKE and Child SAs.
    ShowStates,
    /// Public keys.
    ListPubkeys,
    /// Those public keys that have expired or soon will.
    CheckPubkeys,
    /// Pre-shared keys (never the keys themselves).
    ListPsks,
    /// End certificates.
    ListCerts,
    /// CA certificates.
    ListCaCerts,
    /// Certificate revocation lists.
    ListCrls,
    /// Timers.
    ListEvents,
    /// Public keys, pre-shared keys, certificates, CA certificates, CRLs.
    ListAll,
}

/// A password on its way to the daemon. Its `Debug` does not show it.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Password(pub String);

impl fmt::Debug for Password {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Password(…)")
    }
}
