//! What the state machines need of a connection, in two immutable pieces that are shared
//! by all SAs made from it.

use crate::proposal::{ChildProposals, IkeProposals};
use crate::{Configuration, ConnectionSerial, Id, Selector};
use std::sync::Arc;
use std::time::Duration;

/// How an end proves its identity.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, serde::Serialize, serde::Deserialize)]
#[non_exhaustive]
pub enum Authby {
    /// A pre-shared key.
    Psk,
    /// Nothing (RFC 7619).
    Null,
    /// A signature (a later issue).
    Signature,
    /// EAP (a later issue).
    Eap,
}

/// Tunnel or transport mode.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, serde::Serialize, serde::Deserialize)]
pub enum IpsecMode {
    /// Whole packets inside.
    Tunnel,
    /// Payloads only, between the hosts themselves.
    Transport,
}

/// `encapsulation=`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, serde::Serialize, serde::Deserialize)]
pub enum Encapsulation {
    /// UDP only where a NAT was detected.
    Auto,
    /// Always UDP.
    Yes,
    /// Never UDP.
    No,
}

/// `fragmentation=`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, serde::Serialize, serde::Deserialize)]
pub enum Fragmentation {
    /// Where the peer can.
    Yes,
    /// Never.
    No,
    /// Whatever the size.
    Force,
}

/// When a request is sent again, and when it is given up.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct Retransmit {
    /// First delay; doubles each time. libreswan: 500 ms.
    pub interval: Duration,
    /// Total time. libreswan: 30 s (the manual says 60).
    pub timeout: Duration,
    /// `retransmit-timeout=` was said: then it counts, even where more would be usual
    /// (RFC 4555, 3.11).
    pub configured: bool,
}

/// Lifetimes of one kind of SA.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct Lifetimes {
    /// When it ends.
    pub life: Duration,
    /// `rekeymargin=`: how long before that it is replaced.
    pub margin: Duration,
    /// `rekeyfuzz=`: percent by which the margin may randomly grow.
    pub fuzz_percent: u32,
    /// `ipsec-max-bytes=`; `u64::MAX` for no limit. Child SAs only.
    pub max_bytes: u64,
    /// `ipsec-max-packets=`; `u64::MAX` for no limit. Child SAs only.
    pub max_packets: u64,
    /// `rekey=`: whether we begin a replacement at all.
    pub rekey: bool,
}

/// `pfs=`: whether a Child SA that CREATE_CHILD_SA makes has a key exchange of its own
/// (RFC 7296, 1.3.1).
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, Hash, Default, serde::Serialize, serde::Deserialize,
)]
pub enum Pfs {
    /// Nothing was said: we propose one, and prefer one; a peer whose request has none (macOS
    /// rekeys like that) gets its Child SA nevertheless.
    #[default]
    Preferred,
    /// `pfs=yes`: as before, and no Child SA without it.
    Required,
    /// `pfs=no`: we propose none; a peer that does gets it.
    No,
}

impl Pfs {
    /// Whether our own requests have one.
    #[must_use]
    pub fn is_proposed(self) -> bool {
        self != Self::No
    }
}

/// What a responder accepts beyond `pfs=` when the peer rekeys a Child SA.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, Hash, Default, serde::Serialize, serde::Deserialize,
)]
pub enum RekeyPfs {
    /// Nothing.
    #[default]
    Same,
    /// `ms-dh-downgrade=yes`: any method that we have, and none, where the peer proposes
    /// nothing better.
    Weaker,
    /// `pfs-rekey-workaround=yes`: what the peer's request has, whatever we prefer.
    AsProposed,
}

/// What an IKE SA needs to know of its connection.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct IkePolicy {
    /// The connection (or instance) it belongs to.
    pub connection: ConnectionSerial,
    /// How logs name it: `"west"` or `"road"[3] 192.0.2.1`.
    pub log_name: Arc<str>,
    /// Who we are.
    pub local_id: Id,
    /// Who the peer must be; `Any` for anybody that authenticates.
    pub remote_id: Id,
    /// Whether `remote_id` was configured (then an initiator sends IDr).
    pub remote_id_configured: bool,
    /// How we prove who we are.
    pub local_auth: Authby,
    /// How the peer must.
    pub remote_auth: Authby,
    /// `ike=`.
    pub proposals: Arc<IkeProposals>,
    /// Retransmission of our requests.
    pub retransmit: Retransmit,
    /// Lifetimes of the IKE SA.
    pub lifetimes: Lifetimes,
    /// `reauth=`.
    pub reauth: bool,
    /// `initial-contact=`: send INITIAL_CONTACT as initiator.
    pub initial_contact: bool,
    /// `encapsulation=`.
    pub encapsulation: Encapsulation,
    /// Our UDP port behind a NAT (pluto's `--natikeport`).
    pub nat_port: u16,
    /// Keepalives behind a NAT, none when switched off.
    pub nat_keepalive: Option<Duration>,
    /// `fragmentation=`.
    pub fragmentation: Fragmentation,
    /// `mobike=`.
    pub mobike: bool,
    /// `dpddelay=`: liveness checks, none when off.
    pub dpd_delay: Option<Duration>,
    /// `send-vendorid=`.
    pub send_vendor_id: bool,
    /// `fake-strongswan=`.
    pub fake_strongswan: bool,
}

/// The port for IKE and ESP in UDP (RFC 3948), where nothing else is said.
pub const NAT_PORT: u16 = 4500;

/// What a Child SA needs to know of its connection.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct ChildPolicy {
    /// The connection (or instance) it belongs to.
    pub connection: ConnectionSerial,
    /// How logs name it.
    pub log_name: Arc<str>,
    /// `esp=` or `ah=`.
    pub proposals: Arc<ChildProposals>,
    /// Our side's traffic.
    pub local_ts: Vec<Selector>,
    /// The peer's traffic.
    pub remote_ts: Vec<Selector>,
    /// Tunnel or transport.
    pub mode: IpsecMode,
    /// `narrowing=`: as responder, may the result be less than configured. (A responder
    /// whose selectors equal or lie within what was offered needs no narrowing.)
    pub narrowing: bool,
    /// `pfs=`.
    pub pfs: Pfs,
    /// `ms-dh-downgrade=`, `pfs-rekey-workaround=`.
    pub rekey_pfs: RekeyPfs,
    /// Lifetimes of the Child SA.
    pub lifetimes: Lifetimes,
    /// `replay-window=` in packets; 0 is off.
    pub replay_window: u32,
    /// `reqid=`, or the number that groups this connection's SAs and policies.
    pub reqid: u32,
    /// `priority=`, 0 for computed.
    pub priority: u32,
    /// `mark-in=` and `mark-out=` as (value, mask).
    pub mark_in: Option<(u32, u32)>,
    /// See `mark_in`.
    pub mark_out: Option<(u32, u32)>,
    /// `if_id` of an ipsec-interface, 0 for none.
    pub if_id: u32,
    /// `tfc=`.
    pub tfc: u32,
    /// `send-esp-tfc-padding-not-supported=`.
    pub send_no_tfc: bool,
    /// `decap-dscp=`.
    pub decap_dscp: bool,
    /// `encap-dscp=`.
    pub encap_dscp: bool,
    /// `nopmtudisc=`.
    pub nopmtudisc: bool,
    /// What one end gives the other to be configured with, if it does.
    pub configuration: Option<Arc<Configuration>>,
}
