//! What the listener receives.

use actix::Message;
use pluto_connections::LocalAddress;
use std::net::SocketAddr;

/// A datagram as it came from the network, with the non-ESP marker where there was one. Real
/// sockets are read by the listener itself; a simulated network sends this.
#[derive(Debug, Clone, Message)]
#[rtype(result = "()")]
pub struct Received {
    /// Our address and port.
    pub local: SocketAddr,
    /// Where it came from.
    pub remote: SocketAddr,
    /// Whether `local` is a port where ESP in UDP arrives too (4500).
    pub encapsulating: bool,
    /// What came.
    pub bytes: Vec<u8>,
}

/// Listen on these addresses, and no longer on others.
#[derive(Debug, Clone, Message)]
#[rtype(result = "()")]
pub struct ListenOn(pub Vec<LocalAddress>);

/// Listen no more (`--unlisten`): new requests are ignored, SAs live on.
#[derive(Debug, Clone, Message)]
#[rtype(result = "()")]
pub struct Unlisten;

/// Half-open responders from which on cookies are asked for; 0 is always, `usize::MAX` is
/// never, and then no source is limited either.
#[derive(Debug, Clone, Copy, Message)]
#[rtype(result = "()")]
pub struct AskForCookies(pub usize);

/// Count datagrams anew (`--clearstats`).
#[derive(Debug, Clone, Message)]
#[rtype(result = "()")]
pub struct ClearCounters;

/// A question for listings.
#[derive(Debug, Clone, Message)]
#[rtype(result = "ListenerDescription")]
pub struct DescribeListener;

/// See [`DescribeListener`].
#[derive(Debug, Clone, Default, actix::dev::MessageResponse)]
pub struct ListenerDescription {
    /// Whether new requests are accepted.
    pub listening: bool,
    /// Interfaces with addresses, and whether ESP in UDP arrives there too.
    pub sockets: Vec<(String, SocketAddr, bool)>,
    /// SPIs in the demux.
    pub spis: usize,
    /// Half-open responders.
    pub half_open: usize,
    /// Whether cookies are asked for now.
    pub cookies: bool,
    /// Half-open responders from which on they are.
    pub cookies_from: usize,
    /// Half-open responders from which on requests are dropped.
    pub most_half_open: usize,
    /// Datagrams received.
    pub received: u64,
    /// Those of them that went no further, by the names of their counters: each reason has one.
    pub shed: Vec<(&'static str, u64)>,
}
