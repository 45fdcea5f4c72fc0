//! What a connection receives.

use crate::{Answer, Reporter};
use actix::Message;
use pluto_connections::{Connection, SerialNo};
use pluto_states::{ChildUp, DownReason, Finish};
use std::net::IpAddr;
use std::sync::Arc;

/// Bring it up.
#[derive(Debug, Clone, Message)]
#[rtype(result = "()")]
pub struct Initiate {
    /// Who waits; told every step until it is up or given up.
    pub reporter: Reporter,
    /// Answer at once (`--asynchronous`).
    pub asynchronous: bool,
    /// Why, for the log: none for an order of whack.
    pub on_demand: Option<String>,
}

/// Route it on demand, or no longer.
#[derive(Debug, Clone, Message)]
#[rtype(result = "()")]
pub struct SetRouted {
    /// Who waits.
    pub reporter: Reporter,
    /// On or off.
    pub on: bool,
}

/// Take it down: clear the wish to be up, delete its SAs.
#[derive(Debug, Clone, Message)]
#[rtype(result = "()")]
pub struct TakeDown {
    /// Who waits.
    pub reporter: Reporter,
}

/// Take its Child SA down, and leave the IKE SA.
#[derive(Debug, Clone, Message)]
#[rtype(result = "()")]
pub struct TakeChildDown {
    /// Who waits.
    pub reporter: Reporter,
}

/// The SA that it is up by is about to be deleted, and it need not be up any more.
#[derive(Debug, Clone, Copy, Message)]
#[rtype(result = "()")]
pub struct NeedNotBeUp;

/// The IKE SA that it was to share is there, or is not going to be.
#[derive(Debug, Clone, Copy, Message)]
#[rtype(result = "()")]
pub struct IkeDecided {
    /// Which of the two.
    pub established: bool,
}

/// Its Child SA is up.
#[derive(Debug, Clone, Message)]
#[rtype(result = "()")]
pub struct ChildCameUp(pub Arc<ChildUp>);

/// Its Child SA is down, or has failed to come up.
#[derive(Debug, Clone, Message)]
#[rtype(result = "()")]
pub struct ChildWentDown {
    /// Which.
    pub child: SerialNo,
    /// Why.
    pub reason: DownReason,
    /// What replaced it.
    pub replaced_by: Option<SerialNo>,
}

/// MOBIKE: our address for a Child SA is lost or will be another one; what leads through it is
/// to be undone until [`ChildMoved`].
#[derive(Debug, Clone, Message)]
#[rtype(result = "()")]
pub struct ChildSuspended(pub SerialNo);

/// A Child SA's SAs are between other addresses now: here are its facts.
#[derive(Debug, Clone, Message)]
#[rtype(result = "()")]
pub struct ChildMoved(pub Arc<ChildUp>);

/// Its IKE SA has begun (as initiator or once the responder knows whose it is), is
/// established, or has ended.
#[derive(Debug, Clone, Message)]
#[rtype(result = "()")]
pub enum IkeNews {
    /// Begun.
    Began {
        /// Which.
        ike: SerialNo,
        /// Whether it is our attempt to bring the connection up, and not the peer's: whoever
        /// waits for ours does not wait for theirs.
        initiator: bool,
    },
    /// Established.
    Established(SerialNo),
    /// Another connection, whose it was, has left it to this one.
    Inherited(SerialNo),
    /// Ended.
    Ended(SerialNo, Finish),
    /// Another connection's has ended before it made the Child SA that it was asked for.
    NotCreated,
}

/// Its orientation or the peer's address has changed: here is the connection anew.
#[derive(Debug, Clone, Message)]
#[rtype(result = "()")]
pub struct ConnectionChanged(pub Arc<Connection>);

/// It is being deleted: SAs down without revival, policies and routes away, then stop.
#[derive(Debug, Clone, Message)]
#[rtype(result = "()")]
pub struct Retire {
    /// Who waits.
    pub reporter: Reporter,
}

/// Traffic met its trap.
#[derive(Debug, Clone, Message)]
#[rtype(result = "()")]
pub struct TrafficWaits {
    /// `192.0.2.1:8-ICMP->192.0.2.2:0`.
    pub packet: String,
    /// Where it goes.
    pub destination: IpAddr,
}

/// A question for listings.
#[derive(Debug, Message)]
#[rtype(result = "()")]
pub struct DescribeConnection(pub Answer<ConnectionDescription>);

/// An answer for listings.
#[derive(Debug, Clone)]
pub struct ConnectionDescription {
    /// Its routing state.
    pub routing: pluto_connections::routing::Routing,
    /// Its wishes.
    pub wishes: pluto_connections::routing::Wishes,
    /// IKE SAs that are being negotiated.
    pub negotiating_ike: Option<SerialNo>,
    /// The newest established IKE SA.
    pub established_ike: Option<SerialNo>,
    /// The newest established Child SA.
    pub established_child: Option<SerialNo>,
    /// The number of the next attempt when one is scheduled, and in what time.
    pub revival: Option<(u32, std::time::Duration)>,
    /// Why the last attempt failed, if none has succeeded since.
    pub failure: Option<String>,
}
