//! What the kernel actor receives. Every message has one answer.

use crate::Fault;
use actix::Message;
use pluto_kernel::{
    Capabilities, Counters, InterfaceAddress, KernelError, PolicySpec, RouteAnswer, RouteChange,
    SaMove, SaPairSpec, SpiRequest,
};
use std::net::IpAddr;

/// An answer of the kernel actor.
pub type KernelAnswer<T> = Result<Result<T, KernelError>, Fault>;

/// Reserve an SPI.
#[derive(Debug, Clone, Message)]
#[rtype(result = "KernelAnswer<u32>")]
pub struct AllocateSpi(pub SpiRequest);

/// Install both SAs and the policies of a Child SA.
#[derive(Debug, Clone, Message)]
#[rtype(result = "KernelAnswer<()>")]
pub struct InstallSaPair(pub Box<SaPairSpec>);

/// Install the inbound SA and the policies of a Child SA; what it replaces goes on sending.
#[derive(Debug, Clone, Message)]
#[rtype(result = "KernelAnswer<()>")]
pub struct InstallInboundSa(pub Box<SaPairSpec>);

/// Add the outbound SA of a Child SA.
#[derive(Debug, Clone, Message)]
#[rtype(result = "KernelAnswer<()>")]
pub struct InstallOutboundSa(pub Box<SaPairSpec>);

/// Move the SAs of a Child SA to other addresses or ports.
#[derive(Debug, Clone, Message)]
#[rtype(result = "KernelAnswer<()>")]
pub struct MoveSaPair(pub SaMove);

/// Remove the SAs of Child SAs.
#[derive(Debug, Clone, Message)]
#[rtype(result = "KernelAnswer<()>")]
pub struct RemoveSaPair(pub u64);

/// Remove the SAs of a Child SA that another one has replaced, a second later: packets that
/// are on their way through the network, or through the kernel's own output, still need them.
#[derive(Debug, Clone, Message)]
#[rtype(result = "()")]
pub struct RemoveReplacedSaPair(pub u64);

/// Send by another Child SA of the same connection for the same traffic, if there is one, and no
/// more by this one, which is about to go.
#[derive(Debug, Clone, Message)]
#[rtype(result = "()")]
pub struct StopSending(pub u64);

/// A connection knows by now of all Child SAs that were installed for it.
#[derive(Debug, Clone, Copy, Message)]
#[rtype(result = "()")]
pub struct KnowsChildren(pub u64);

/// Set or remove a connection's policies.
#[derive(Debug, Clone, Message)]
#[rtype(result = "KernelAnswer<()>")]
pub struct SetPolicies {
    /// Serial number of the connection.
    pub connection: u64,
    /// What to set; none: remove all.
    pub spec: Option<PolicySpec>,
}

/// Read counters.
#[derive(Debug, Clone, Message)]
#[rtype(result = "KernelAnswer<Counters>")]
pub struct ReadCounters(pub u64);

/// Read those of several; none where there are none, or they cannot be read.
#[derive(Debug, Clone, Message)]
#[rtype(result = "Result<Vec<Option<Counters>>, Fault>")]
pub struct ReadManyCounters(pub Vec<u64>);

/// Change routes or source addresses: all of them, or none (what was done is undone).
#[derive(Debug, Clone, Message)]
#[rtype(result = "KernelAnswer<()>")]
pub struct ChangeRoutes(pub Vec<RouteChange>);

/// How this host reaches an address.
#[derive(Debug, Clone, Message)]
#[rtype(result = "KernelAnswer<RouteAnswer>")]
pub struct RouteTo(pub IpAddr);

/// The addresses of this host.
#[derive(Debug, Clone, Message)]
#[rtype(result = "KernelAnswer<Vec<InterfaceAddress>>")]
pub struct ListAddresses;

/// What the backend is and can do, and how it fares.
#[derive(Debug, Clone, Message)]
#[rtype(result = "Result<KernelDescription, Fault>")]
pub struct DescribeKernel;

/// See [`DescribeKernel`].
#[derive(Debug, Clone)]
pub struct KernelDescription {
    /// `xfrm`, `none` ….
    pub name: &'static str,
    /// What it can do.
    pub capabilities: Capabilities,
    /// Child SAs in the ledger.
    pub children: usize,
    /// Connections in the ledger.
    pub connections: usize,
    /// How often the core was rebuilt after a panic.
    pub restarts: u32,
    /// Packets that the embedded data plane has dropped, for each of its reasons.
    pub dropped: Vec<(&'static str, u64)>,
}

/// The last order: remove everything that the ledger holds.
#[derive(Debug, Clone, Message)]
#[rtype(result = "()")]
pub struct FlushKernel;
