//! What a connection's keywords (those of neither end) say, parsed. Most connections of a
//! host say the same, so the table of connections keeps equal settings once.

use crate::end::Family;
use crate::{Authby, Encapsulation, Fragmentation, Pfs, RekeyPfs};
use pluto_wire::numbers::ProtocolId;
use std::net::IpAddr;
use std::time::Duration;

/// `auto=`: what is done with the connection once it is loaded.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub enum Auto {
    /// Nothing; it is not even loaded at start.
    #[default]
    Ignore,
    /// It waits for the peer or a command.
    Add,
    /// Traffic brings it up.
    Ondemand,
    /// It is brought up and stays up.
    Start,
    /// It waits; once it was up it is revived, once.
    Keep,
}

/// `type=`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub enum ConnectionType {
    /// IPsec in tunnel mode.
    #[default]
    Tunnel,
    /// IPsec in transport mode.
    Transport,
    /// No IPsec: the traffic passes as it is.
    Passthrough,
    /// No IPsec: the traffic is dropped.
    Drop,
}

impl Auto {
    /// As ipsec.conf has it.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Ignore => "ignore",
            Self::Add => "add",
            Self::Ondemand => "ondemand",
            Self::Start => "start",
            Self::Keep => "keep",
        }
    }
}

impl ConnectionType {
    /// As ipsec.conf has it.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Tunnel => "tunnel",
            Self::Transport => "transport",
            Self::Passthrough => "passthrough",
            Self::Drop => "drop",
        }
    }
}

/// What happens to traffic for which there is no tunnel: `negotiationshunt=`,
/// `failureshunt=`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Shunt {
    /// Nothing special is done.
    None,
    /// It passes unprotected.
    Pass,
    /// It is dropped.
    Drop,
}

/// `esn=`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) enum Esn {
    Yes,
    No,
    Either,
}

/// `enable-tcp=`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub enum EnableTcp {
    /// UDP only.
    #[default]
    No,
    /// TCP only.
    Yes,
    /// UDP first, then both in turn.
    Fallback,
}

/// All of it. Text stays text where it is read further elsewhere.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(crate) struct Settings {
    pub(crate) auto: Auto,
    pub(crate) kind: ConnectionType,
    pub(crate) family: Option<Family>,
    /// `authby=`; none: nothing was said. The outer option is for "never".
    pub(crate) authby: AuthbyWord,
    pub(crate) phase2: Option<ProtocolId>,
    pub(crate) pfs: Pfs,
    pub(crate) ms_dh_downgrade: bool,
    pub(crate) pfs_rekey_workaround: bool,
    pub(crate) esn: Esn,
    pub(crate) narrowing: bool,
    pub(crate) ike_life: Duration,
    pub(crate) child_life: Duration,
    pub(crate) max_bytes: u64,
    pub(crate) max_packets: u64,
    pub(crate) rekey_margin: Duration,
    pub(crate) rekey_fuzz: u32,
    pub(crate) rekey: bool,
    pub(crate) reauth: bool,
    pub(crate) replay_window: u32,
    /// None: nothing was said, see [`Settings::retransmit_timeout`].
    pub(crate) retransmit_timeout: Option<Duration>,
    pub(crate) retransmit_interval: Duration,
    pub(crate) dpd_delay: Duration,
    pub(crate) dpd_timeout: Duration,
    pub(crate) fragmentation: Fragmentation,
    pub(crate) encapsulation: Encapsulation,
    pub(crate) nat_keepalive: bool,
    pub(crate) mobike: bool,
    pub(crate) initial_contact: bool,
    pub(crate) fake_strongswan: bool,
    pub(crate) send_vendor_id: bool,
    pub(crate) metric: u32,
    pub(crate) mtu: u32,
    pub(crate) priority: u32,
    pub(crate) reqid: u32,
    pub(crate) mark: Option<(u32, u32)>,
    pub(crate) mark_in: Option<(u32, u32)>,
    pub(crate) mark_out: Option<(u32, u32)>,
    pub(crate) tfc: u32,
    pub(crate) send_no_tfc: bool,
    pub(crate) decap_dscp: bool,
    pub(crate) encap_dscp: bool,
    pub(crate) nopmtudisc: bool,
    pub(crate) failure_shunt: Shunt,
    pub(crate) negotiation_shunt: Shunt,
    pub(crate) overlap_ip: bool,
    pub(crate) send_ca: &'static str,
    pub(crate) debug: Option<Box<str>>,
    /// `modecfgdns=`.
    pub(crate) config_dns: Box<[IpAddr]>,
    /// `modecfgdomains=`.
    pub(crate) config_domains: Box<[Box<str>]>,
    /// `modecfgbanner=`.
    pub(crate) config_banner: Option<Box<str>>,
    pub(crate) ignore_peer_dns: bool,
    /// `share-lease=`.
    pub(crate) share_lease: bool,
}

/// `authby=`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub(crate) enum AuthbyWord {
    /// Nothing was said.
    #[default]
    Unset,
    /// Nobody authenticates, because nothing is negotiated.
    Never,
    /// Both ends like this.
    Both(Authby),
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            auto: Auto::Ignore,
            kind: ConnectionType::Tunnel,
            family: None,
            authby: AuthbyWord::Unset,
            phase2: None,
            pfs: Pfs::Preferred,
            ms_dh_downgrade: false,
            pfs_rekey_workaround: false,
            esn: Esn::Either,
            narrowing: false,
            ike_life: Duration::from_secs(8 * 3_600),
            child_life: Duration::from_secs(8 * 3_600),
            max_bytes: NO_LIMIT,
            max_packets: NO_LIMIT,
            rekey_margin: Duration::from_secs(540),
            rekey_fuzz: 100,
            rekey: true,
            reauth: false,
            replay_window: 128,
            retransmit_timeout: None,
            retransmit_interval: Duration::from_millis(500),
            dpd_delay: Duration::ZERO,
            dpd_timeout: Duration::ZERO,
            fragmentation: Fragmentation::Yes,
            encapsulation: Encapsulation::Auto,
            nat_keepalive: true,
            mobike: false,
            initial_contact: false,
            fake_strongswan: false,
            send_vendor_id: false,
            metric: 0,
            mtu: 0,
            priority: 0,
            reqid: 0,
            mark: None,
            mark_in: None,
            mark_out: None,
            tfc: 0,
            send_no_tfc: false,
            decap_dscp: false,
            encap_dscp: true,
            nopmtudisc: false,
            failure_shunt: Shunt::None,
            negotiation_shunt: Shunt::Drop,
            overlap_ip: false,
            send_ca: "all",
            debug: None,
            config_dns: Box::default(),
            config_domains: Box::default(),
            config_banner: None,
            ignore_peer_dns: false,
            share_lease: true,
        }
    }
}

/// Of `retransmit-timeout=` where nothing was said: libreswan's.
const RETRANSMIT_TIMEOUT: Duration = Duration::from_secs(30);

/// libreswan's limit of octets and packets where none is configured: none in practice.
pub(crate) const NO_LIMIT: u64 = 1 << 63;

impl Settings {
    /// Whether IKE is ever spoken for it.
    pub(crate) fn never_negotiates(&self) -> bool {
        matches!(self.kind, ConnectionType::Passthrough | ConnectionType::Drop)
    }

    /// When a request is given up.
    pub(crate) fn retransmit_timeout(&self) -> Duration {
        self.retransmit_timeout.unwrap_or(RETRANSMIT_TIMEOUT)
    }

    /// What is accepted of a peer that rekeys; of the two keywords only one can be yes.
    pub(crate) fn rekey_pfs(&self) -> RekeyPfs {
        if self.ms_dh_downgrade {
            RekeyPfs::Weaker
        } else if self.pfs_rekey_workaround {
            RekeyPfs::AsProposed
        } else {
            RekeyPfs::Same
        }
    }
}
