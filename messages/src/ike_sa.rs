//! What an IKE SA receives.

use crate::Answer;
use actix::Message;
use pluto_states::{Datagram, IkeSaSummary, Request};

/// A datagram that names this SA.
#[derive(Debug, Clone, Message)]
#[rtype(result = "()")]
pub struct DatagramArrived(pub Datagram);

/// An order.
#[derive(Debug, Clone, Message)]
#[rtype(result = "()")]
pub struct Order(pub Request);

/// A lifetime of one of its Child SAs has run out.
#[derive(Debug, Clone, Message)]
#[rtype(result = "()")]
pub struct ChildExpired {
    /// Which.
    pub child: pluto_connections::SerialNo,
    /// Hard or soft.
    pub hard: bool,
}

/// The peer's NAT has given its traffic another address or port.
#[derive(Debug, Clone, Message)]
#[rtype(result = "()")]
pub struct MappingChanged {
    /// Of this Child SA.
    pub child: pluto_connections::SerialNo,
    /// The peer's address and port.
    pub remote: std::net::SocketAddr,
}

/// A question for listings.
#[derive(Debug, Message)]
#[rtype(result = "()")]
pub struct DescribeIkeSa(pub Answer<IkeSaDescription>);

/// An answer for listings.
#[derive(Debug, Clone)]
pub struct IkeSaDescription {
    /// Facts.
    pub summary: IkeSaSummary,
    /// Panics survived.
    pub panics: u32,
    /// The time by the SA's clock, to read its deadlines by.
    pub now: pluto_states::Instant,
}
