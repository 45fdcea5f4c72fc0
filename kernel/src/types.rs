//! What backends are asked, and what they tell.

use pluto_crypto::Secret;
use pluto_wire::numbers::{EncrId, IntegId, ProtocolId};
use std::net::{IpAddr, SocketAddr};

/// What a backend can do.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Capabilities {
    /// ESP SAs can be installed.
    pub esp: bool,
    /// Where not: why, in a sentence for the administrator.
    pub esp_missing: Option<String>,
    /// AH SAs can be installed.
    pub ah: bool,
    /// The kernel knows the direction of SAs (Linux 6.10).
    pub sa_direction: bool,
    /// SAs and policies can be moved (XFRM_MIGRATE).
    pub migrate: bool,
    /// Raw ESP (protocol 50) can be carried; else UDP encapsulation must be negotiated.
    pub raw_esp: bool,
}

/// A request for an inbound SPI.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SpiRequest {
    /// Serial number of the Child SA.
    pub child: u64,
    /// ESP or AH.
    pub protocol: ProtocolId,
    /// The peer's address (source of what comes in).
    pub remote: IpAddr,
    /// Our address.
    pub local: IpAddr,
    /// Groups SAs and policies.
    pub reqid: u32,
}

/// One prefix with protocol and port: what a policy can say.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Traffic {
    /// Network address.
    pub network: IpAddr,
    /// Prefix length.
    pub prefix: u8,
    /// IP protocol; 0 is any.
    pub protocol: u8,
    /// Port and mask, as XFRM has it; (0, 0) is any.
    pub port: (u16, u16),
}

/// Traffic from `local` to `remote` and back.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct TrafficPair {
    /// Our side.
    pub local: Traffic,
    /// The peer's side.
    pub remote: Traffic,
    /// Kernel priority of the policies; smaller wins.
    pub priority: u32,
}

/// One SA's algorithms and keys.
#[derive(Debug, Clone)]
pub struct SaKeys {
    /// Encryption.
    pub encr: EncrId,
    /// Key bits without salt.
    pub encr_bits: u16,
    /// Key with salt behind it.
    pub encr_key: Secret,
    /// Integrity; NONE with an AEAD.
    pub integ: IntegId,
    /// Its key.
    pub integ_key: Secret,
}

/// Both SAs of a Child SA with its policies.
#[derive(Debug, Clone)]
pub struct SaPairSpec {
    /// Serial number of the Child SA: owns the SAs in the ledger.
    pub child: u64,
    /// Serial number of the connection: owns the policies in the ledger.
    pub connection: u64,
    /// ESP or AH.
    pub protocol: ProtocolId,
    /// Transport mode instead of tunnel mode.
    pub transport: bool,
    /// Our address and UDP port.
    pub local: SocketAddr,
    /// The peer's.
    pub remote: SocketAddr,
    /// ESP in UDP between those ports.
    pub encapsulated: bool,
    /// Inbound SPI, reserved before.
    pub spi_in: u32,
    /// Outbound SPI.
    pub spi_out: u32,
    /// Keys of what comes in.
    pub keys_in: SaKeys,
    /// Keys of what goes out.
    pub keys_out: SaKeys,
    /// 64 bit sequence numbers.
    pub esn: bool,
    /// Anti-replay window in packets; 0 is off.
    pub replay_window: u32,
    /// Groups SAs and policies.
    pub reqid: u32,
    /// Policies to install.
    pub traffic: Vec<TrafficPair>,
    /// Soft and hard limits of each SA in bytes; `u64::MAX` is none.
    pub bytes: (u64, u64),
    /// Soft and hard limits of each SA in packets; `u64::MAX` is none.
    pub packets: (u64, u64),
    /// Marks (value, mask).
    pub mark_in: Option<(u32, u32)>,
    /// Marks (value, mask).
    pub mark_out: Option<(u32, u32)>,
    /// Interface id; 0 is none.
    pub if_id: u32,
    /// Pad packets to this size; 0 is off.
    pub tfc: u32,
    /// Copy DSCP inwards on decapsulation.
    pub decap_dscp: bool,
    /// Do not copy DSCP outwards on encapsulation.
    pub no_encap_dscp: bool,
    /// Do not do path MTU discovery.
    pub nopmtudisc: bool,
}

/// Which SAs of a pair.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Halves {
    Both,
    Inbound,
    Outbound,
}

/// Where a Child SA's packets go from now on: the peer has moved, or its NAT has.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SaMove {
    /// Serial number of the Child SA.
    pub child: u64,
    /// Serial number of the connection, whose policies follow.
    pub connection: u64,
    /// Our address and UDP port.
    pub local: SocketAddr,
    /// The peer's.
    pub remote: SocketAddr,
    /// ESP in UDP between those ports.
    pub encapsulated: bool,
}

/// What a policy without an SA does.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum PolicyAction {
    /// Outbound traffic raises ACQUIRE.
    Trap,
    /// Outbound traffic is dropped.
    Block,
    /// Traffic passes both ways in the clear.
    Pass,
}

/// Policies of a connection without SAs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PolicySpec {
    /// What they do.
    pub action: PolicyAction,
    /// To which traffic.
    pub traffic: Vec<TrafficPair>,
    /// Transport mode (for the template of traps).
    pub transport: bool,
    /// ESP or AH (for the template of traps).
    pub protocol: ProtocolId,
    /// Our address (for the template of traps).
    pub local: IpAddr,
    /// The peer's.
    pub remote: IpAddr,
    /// Groups SAs and policies.
    pub reqid: u32,
    /// Marks (value, mask).
    pub mark_in: Option<(u32, u32)>,
    /// Marks (value, mask).
    pub mark_out: Option<(u32, u32)>,
    /// Interface id; 0 is none.
    pub if_id: u32,
}

/// Traffic counters, inbound and outbound.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Counters {
    /// Octets.
    pub bytes_in: u64,
    /// Packets.
    pub packets_in: u64,
    /// Octets.
    pub bytes_out: u64,
    /// Packets.
    pub packets_out: u64,
    /// When the pair was installed, seconds since 1970.
    pub added: u64,
    /// When something last came in, seconds since 1970; 0 never.
    pub last_in: u64,
}

/// A change of routes or addresses, for native updown.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum RouteChange {
    /// Add or replace a route.
    Add(Route),
    /// Remove a route; what is not there is no error.
    Remove(Route),
    /// Put a route in the place of one that we have added (the kernel knows them by destination
    /// and metric), or the same once more: it may have gone with its interface.
    Replace {
        /// What may stand there.
        was: Route,
        /// What is to.
        by: Route,
    },
    /// Put another one's route in the place of one that is to go, which goes in any case.
    HandOver {
        /// What is to go.
        from: Route,
        /// What takes its place, if it can be had.
        to: Route,
    },
    /// Add a source address to an interface, such that only those use it who ask for it;
    /// there already: no error, and it is not ours to remove.
    AddAddress {
        /// The address.
        address: IpAddr,
        /// The interface.
        interface: String,
    },
    /// Add a source address once more that has been asked for before, and may have gone with its
    /// interface; it has no more users for that.
    KeepAddress {
        /// The address.
        address: IpAddr,
        /// The interface.
        interface: String,
    },
    /// Remove a source address that we added.
    RemoveAddress {
        /// The address.
        address: IpAddr,
        /// The interface.
        interface: String,
    },
}

/// A route.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Route {
    /// Where to.
    pub destination: (IpAddr, u8),
    /// Through which interface.
    pub interface: String,
    /// Through which gateway, none for a link.
    pub gateway: Option<IpAddr>,
    /// Preferred source address.
    pub source: Option<IpAddr>,
    /// Metric; 0 for the default.
    pub metric: u32,
    /// MTU; 0 for the interface's.
    pub mtu: u32,
}

/// How this host reaches an address.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RouteAnswer {
    /// Source address.
    pub source: Option<IpAddr>,
    /// Gateway.
    pub gateway: Option<IpAddr>,
    /// Interface.
    pub interface: String,
}

/// An address of this host.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct InterfaceAddress {
    /// The interface.
    pub interface: String,
    /// The address.
    pub address: IpAddr,
}

/// What the operating system tells without being asked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum KernelEvent {
    /// Traffic met a trap.
    Acquire {
        /// Of this group.
        reqid: u32,
        /// From here to there.
        source: IpAddr,
        /// See `source`.
        destination: IpAddr,
        /// IP protocol.
        protocol: u8,
        /// Ports, or ICMP type and code.
        source_port: u16,
        /// See `source_port`.
        destination_port: u16,
    },
    /// A lifetime has run out.
    Expire {
        /// The SA, by SPI and destination.
        spi: u32,
        /// See `spi`.
        destination: IpAddr,
        /// Whose it is, by the ledger; none: not ours.
        child: Option<u64>,
        /// The SA is gone.
        hard: bool,
    },
    /// The peer's address or port behind a NAT has changed (XFRM_MSG_MAPPING).
    Mapping {
        /// Whose it is.
        child: Option<u64>,
        /// Where it comes from now.
        remote: SocketAddr,
    },
    /// Addresses of this host have changed.
    AddressesChanged,
    /// Routes of this host have changed.
    RoutesChanged,
    /// Events of SAs were lost (ENOBUFS): see [`crate::Kernel::missed_expiries`]. Where news of
    /// addresses and routes are lost, they are told to have changed.
    Lost,
}
