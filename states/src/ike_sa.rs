//! An IKE SA: one input in, ordered outputs out.

use crate::{ChildSa, Datagram, Env, Input, Instant, Outbox};
use pluto_connections::{ChildPolicy, Id, IkePolicy, SerialNo};
use pluto_crypto::{Entropy, IkeSuite};
use pluto_wire::IkeSpis;
use std::net::SocketAddr;
use std::sync::Arc;

/// An IKE SA. Plain data.
#[derive(Debug, Clone)]
pub struct IkeSa {
    _private: (),
}

/// What a responder starts with: the first datagram's addresses, the connection whose
/// proposals answer it, and whether it was challenged with a cookie.
#[derive(Debug, Clone)]
pub struct ResponderStart {
    /// The serial number of the new SA.
    pub serial: SerialNo,
    /// Whose proposals are used until the peer has said who it is.
    pub policy: Arc<IkePolicy>,
    /// The request; it is the SA's first input and need not be given again.
    pub request: Datagram,
}

/// What listings show of an IKE SA.
#[derive(Debug, Clone)]
pub struct IkeSaSummary {
    /// Its serial number.
    pub serial: SerialNo,
    /// Its connection.
    pub policy: Arc<IkePolicy>,
    /// Name of its state: `ESTABLISHED_IKE_SA` …
    pub state: &'static str,
    /// The same in words: `established IKE SA`, `sent IKE_SA_INIT request`.
    pub state_words: &'static str,
    /// Whether it is established.
    pub established: bool,
    /// Whether we initiated it.
    pub initiator: bool,
    /// Both SPIs.
    pub spis: IkeSpis,
    /// Our address and port now.
    pub local: SocketAddr,
    /// The peer's now.
    pub remote: SocketAddr,
    /// The algorithms, once chosen.
    pub suite: Option<IkeSuite>,
    /// Who the peer has proved to be.
    pub remote_id: Option<Id>,
    /// Deadlines by name: `RETRANSMIT`, `REKEY`, `REPLACE`, `LIVENESS`, `NAT_KEEPALIVE`,
    /// `DISCARD`, `EXPIRE`.
    pub deadlines: Vec<(&'static str, Instant)>,
    /// Its Child SAs.
    pub children: Vec<ChildSa>,
    /// Whether it waits for a job, a question or the kernel.
    pub busy: bool,
}

impl IkeSa {
    /// An initiator; `children` are brought up in IKE_AUTH (the first) and CREATE_CHILD_SA.
    /// Give it `Input::Start`.
    #[must_use]
    pub fn initiator(
        _serial: SerialNo,
        _policy: Arc<IkePolicy>,
        _children: Vec<Arc<ChildPolicy>>,
        _local: SocketAddr,
        _remote: SocketAddr,
        _entropy: &mut dyn Entropy,
    ) -> Self {
        unimplemented!()
    }

    /// A responder; handle its first input, the request, with `handle(Input::Datagram)`.
    #[must_use]
    pub fn responder(_start: &ResponderStart, _entropy: &mut dyn Entropy) -> Self {
        unimplemented!()
    }

    /// Takes one input. Whatever the input, it returns; network input can reach no panic.
    pub fn handle(&mut self, _env: &mut Env<'_>, _input: Input, _out: &mut Outbox) {
        unimplemented!()
    }

    /// When `Input::Timer` is due; none: never.
    #[must_use]
    pub fn deadline(&self) -> Option<Instant> {
        unimplemented!()
    }

    /// Its serial number.
    #[must_use]
    pub fn serial(&self) -> SerialNo {
        unimplemented!()
    }

    /// Both SPIs; the one of ours is the demux key.
    #[must_use]
    pub fn spis(&self) -> IkeSpis {
        unimplemented!()
    }

    /// Whether ours is the initiator's SPI.
    #[must_use]
    pub fn is_initiator(&self) -> bool {
        unimplemented!()
    }

    /// Facts for listings.
    #[must_use]
    pub fn summary(&self) -> IkeSaSummary {
        unimplemented!()
    }
}
