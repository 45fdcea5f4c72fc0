//! What the supervisor receives.

use crate::{Fault, Reporter};
use actix::Message;
use pluto_connections::{AuthLookup, ChildLookup, ConnectionSerial, LocalAddress, SerialNo};
use pluto_kernel::KernelEvent;
use pluto_states::{AskResult, ChildEvent, Datagram, Finish, IkeEstablished, LeaseQuestion};
use pluto_whack::Request;

/// An IKE_SA_INIT request that no SA knows: make a responder.
#[derive(Debug, Clone, Message)]
#[rtype(result = "()")]
pub struct NewResponder(pub Datagram);

/// Who answers an IKE_AUTH request.
#[derive(Debug, Clone, Message)]
#[rtype(result = "Result<AskResult, Fault>")]
pub struct FindConnection {
    /// The IKE SA that asks; it belongs to the answer's connection from then on.
    pub ike: SerialNo,
    /// What its peer says.
    pub lookup: AuthLookup,
}

/// Who takes a Child SA.
#[derive(Debug, Clone, Message)]
#[rtype(result = "Result<AskResult, Fault>")]
pub struct FindChildConnection {
    /// The IKE SA that asks.
    pub ike: SerialNo,
    /// What its peer says.
    pub lookup: ChildLookup,
}

/// An inner address for the peer of an IKE SA.
#[derive(Debug, Clone, Message)]
#[rtype(result = "Result<AskResult, Fault>")]
pub struct FindLease {
    /// The IKE SA that asks; the lease lives as long as it does.
    pub ike: SerialNo,
    /// For whom.
    pub question: LeaseQuestion,
}

/// Leases have changed: have them written soon.
#[derive(Debug, Clone, Message)]
#[rtype(result = "()")]
pub struct WriteLeases;

/// An IKE SA is established.
#[derive(Debug, Clone, Message)]
#[rtype(result = "()")]
pub struct IkeSaEstablished(pub IkeEstablished);

/// Something happened to a Child SA of this IKE SA.
#[derive(Debug, Clone, Message)]
#[rtype(result = "()")]
pub struct ChildSaNews {
    /// The IKE SA.
    pub ike: SerialNo,
    /// What happened.
    pub event: ChildEvent,
}

/// An IKE SA was replaced by rekeying: here is its successor.
#[derive(Debug, Clone, Message)]
#[rtype(result = "()")]
pub struct IkeSaSucceeded {
    /// The old one.
    pub old: SerialNo,
    /// The new one, to be started.
    pub successor: Box<pluto_states::IkeSa>,
}

/// Another IKE SA is to be made in the place of one, from the beginning.
#[derive(Debug, Message)]
#[rtype(result = "()")]
pub struct ReauthenticateIke(pub Box<pluto_states::Reauthentication>);

/// An IKE SA has lost its address and may not leave it; none: the address is back.
#[derive(Debug, Clone, Message)]
#[rtype(result = "()")]
pub struct IkeSaUprooted {
    /// The IKE SA.
    pub ike: SerialNo,
    /// What is to be replaced.
    pub old: Option<Box<pluto_states::Reauthentication>>,
}

/// The replacement of an SA has failed.
#[derive(Debug, Clone, Message)]
#[rtype(result = "()")]
pub struct SaNotRekeyed {
    /// Of this IKE SA or Child SA.
    pub serial: SerialNo,
    /// Why.
    pub why: String,
}

/// A connection is done with an IKE SA: it ends, or is left to others whose Child SAs are on
/// it.
#[derive(Debug, Clone, Message)]
#[rtype(result = "()")]
pub struct LeaveIke {
    /// The IKE SA.
    pub ike: SerialNo,
    /// The connection.
    pub connection: ConnectionSerial,
}

/// A connection is taken down: its Child SAs on IKE SAs of others go.
#[derive(Debug, Clone, Copy, Message)]
#[rtype(result = "()")]
pub struct LeaveOthers(pub ConnectionSerial);

/// An IKE SA has ended in order.
#[derive(Debug, Clone, Message)]
#[rtype(result = "()")]
pub struct IkeSaFinished {
    /// Which.
    pub ike: SerialNo,
    /// How.
    pub finish: Finish,
}

/// A connection wants an IKE SA (or a Child SA on one that it may share). The answer is none
/// where one that it may share is being negotiated: [`IkeDecided`](crate::IkeDecided) follows.
#[derive(Debug, Clone, Message)]
#[rtype(result = "Result<Option<StartedIke>, StartRefused>")]
pub struct StartIke {
    /// The connection.
    pub connection: ConnectionSerial,
    /// It does not wait for another one's.
    pub alone: bool,
}

/// Which IKE SA a connection's Child SAs are negotiated with.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct StartedIke {
    /// The IKE SA.
    pub ike: SerialNo,
    /// It was there before, and is only given more Child SAs.
    pub shared: bool,
}

/// Why no IKE SA was started: whack's code and the sentence.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StartRefused {
    /// Whack's code.
    pub code: u16,
    /// What is wrong and what to change.
    pub why: String,
}

/// A name was resolved for a connection.
#[derive(Debug, Clone, Message)]
#[rtype(result = "()")]
pub struct PeerResolved {
    /// The connection.
    pub connection: ConnectionSerial,
    /// The name.
    pub name: String,
    /// Its address.
    pub address: std::net::IpAddr,
}

/// What `%defaultroute` means today.
#[derive(Debug, Clone, Message)]
#[rtype(result = "()")]
pub struct DefaultRouteFound {
    /// The connection.
    pub connection: ConnectionSerial,
    /// Our address on the default route.
    pub source: std::net::IpAddr,
    /// Its gateway.
    pub gateway: Option<std::net::IpAddr>,
}

/// An order to SAs by serial number.
#[derive(Debug, Clone, Message)]
#[rtype(result = "()")]
pub struct OrderSa {
    /// IKE or Child SA.
    pub serial: SerialNo,
    /// What to do.
    pub request: pluto_states::Request,
}

/// A Child SA has a successor for the same traffic on another IKE SA: the peer has forgotten
/// the old one.
#[derive(Debug, Clone, Message)]
#[rtype(result = "()")]
pub struct ChildSaSuperseded(pub SerialNo);

/// A connection has retired: forget it.
#[derive(Debug, Clone, Message)]
#[rtype(result = "()")]
pub struct ConnectionRetired(pub ConnectionSerial);

/// This host's addresses have changed.
#[derive(Debug, Clone, Message)]
#[rtype(result = "()")]
pub struct AddressesFound(pub Vec<LocalAddress>);

/// The kernel tells something.
#[derive(Debug, Clone, Message)]
#[rtype(result = "()")]
pub struct KernelTells(pub KernelEvent);

/// A command of whack; its outcome goes to the reporter.
#[derive(Debug, Clone, Message)]
#[rtype(result = "()")]
pub struct Command {
    /// What.
    pub request: Request,
    /// Who waits.
    pub reporter: Reporter,
}

/// A watched actor has ended.
#[derive(Debug, Clone, Message)]
#[rtype(result = "()")]
pub struct Exited {
    /// Who.
    pub who: Who,
    /// How.
    pub how: Exit,
}

/// A watched actor.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Who {
    /// An IKE SA.
    IkeSa(SerialNo),
    /// A Child SA.
    ChildSa(SerialNo),
    /// A connection.
    Connection(ConnectionSerial),
    /// The listener.
    Listener,
    /// The supervisor.
    Supervisor,
    /// Root.
    Root,
    /// A service.
    Service,
}

/// How a watched actor has ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Exit {
    /// It stopped.
    Normal,
    /// It panicked, with this text.
    Panicked(String),
    /// It was killed by its supervisor.
    Killed,
}

/// Begin the orderly stop: Delete to every peer, then answer.
#[derive(Debug, Clone, Message)]
#[rtype(result = "()")]
pub struct StopSessions {
    /// Leave what the kernel has.
    pub leave_state: bool,
}

/// How many of each there are, for tests and listings.
#[derive(Debug, Clone, Message)]
#[rtype(result = "Census")]
pub struct TakeCensus;

/// See [`TakeCensus`].
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, actix::dev::MessageResponse)]
pub struct Census {
    /// Connections and instances.
    pub connections: usize,
    /// IKE SAs, half-open ones included.
    pub ike_sas: usize,
    /// Of them, established.
    pub established: usize,
    /// Child SAs.
    pub child_sas: usize,
    /// SPIs that datagrams are passed on by.
    pub spis: usize,
    /// Of them, half-open responders.
    pub half_open: usize,
    /// Actors that have died of a panic.
    pub panics: u64,
}
