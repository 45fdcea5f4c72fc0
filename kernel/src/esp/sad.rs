//! Security associations of the data plane, found by SPI (what comes in) or by the group
//! that a policy names (what goes out).

use super::codec::{Opener, Sealer};
use super::inner::Inner;
use crate::{SaMove, Template, Traffic, TrafficPair};
use rustc_hash::FxHashMap;
use std::net::{IpAddr, SocketAddr};
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// Without ESN an SA is told to be at its soft limit here: a sixteenth of its sequence
/// numbers is left for the rekeying.
const SOFT_SEQUENCE: u64 = 0xf000_0000;

/// Which SAs a policy may use: group, peer, and whether transport mode.
pub(crate) type Group = (u32, IpAddr, bool);

/// The group that a policy's template names.
pub(crate) fn group(template: &Template) -> Group {
    (template.reqid, template.remote, template.transport)
}

/// What an SA has carried, and how much it may.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Usage {
    pub(crate) bytes: u64,
    pub(crate) packets: u64,
    soft: (u64, u64),
    hard: (u64, u64),
    told_soft: bool,
    told_hard: bool,
}

/// What a packet means for its SA's lifetime.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Lifetime {
    /// Nothing.
    Within,
    /// It may pass; the soft limit has been reached just now.
    Soft,
    /// It may not pass; the hard limit has been met for the first time.
    Ended,
    /// It may not pass.
    Over,
}

impl Usage {
    /// Limits as the specification has them: (soft, hard), `u64::MAX` is none.
    pub(crate) fn new(bytes: (u64, u64), packets: (u64, u64)) -> Self {
        Self {
            bytes: 0,
            packets: 0,
            soft: (bytes.0, packets.0),
            hard: (bytes.1, packets.1),
            told_soft: false,
            told_hard: false,
        }
    }

    /// Whether the SA is still alive, before a packet is worked on.
    pub(crate) fn alive(&mut self) -> Result<(), Lifetime> {
        if self.bytes < self.hard.0 && self.packets < self.hard.1 {
            return Ok(());
        }
        Err(if std::mem::replace(&mut self.told_hard, true) {
            Lifetime::Over
        } else {
            Lifetime::Ended
        })
    }

    /// Whether the soft limit has been reached, and whether the hard one has been met.
    pub(crate) fn told(&self) -> (bool, bool) {
        (self.told_soft, self.told_hard)
    }

    /// The SA can carry no more, whatever its limits are.
    pub(crate) fn end(&mut self) -> Lifetime {
        self.hard = (0, 0);
        self.alive().err().unwrap_or(Lifetime::Over)
    }

    /// Counts a packet.
    pub(crate) fn count(&mut self, octets: usize, sequence: u64) -> Lifetime {
        self.bytes = self.bytes.saturating_add(octets as u64);
        self.packets = self.packets.saturating_add(1);
        let near = self.bytes >= self.soft.0
            || self.packets >= self.soft.1
            || sequence >= SOFT_SEQUENCE && sequence <= u64::from(u32::MAX);
        if near && !std::mem::replace(&mut self.told_soft, true) {
            Lifetime::Soft
        } else {
            Lifetime::Within
        }
    }
}

/// What an SA that sends changes with each packet.
#[derive(Debug)]
pub(crate) struct Sending {
    pub(crate) sealer: Sealer,
    pub(crate) usage: Usage,
    pub(crate) esn: bool,
}

/// An SA that sends.
#[derive(Debug)]
pub(crate) struct OutboundSa {
    pub(crate) child: u64,
    pub(crate) spi: u32,
    pub(crate) group: Group,
    pub(crate) local: SocketAddr,
    pub(crate) remote: SocketAddr,
    pub(crate) encapsulated: bool,
    pub(crate) transport: bool,
    pub(crate) copy_dscp: bool,
    /// Outer packets carry DF, and the path's MTU is heeded.
    pub(crate) path_mtu_discovery: bool,
    pub(crate) tfc: usize,
    pub(crate) traffic: Arc<[TrafficPair]>,
    /// Largest outer packet.
    pub(crate) path_mtu: AtomicUsize,
    /// Shared with what it was before it moved: no sequence number goes out twice.
    sending: Arc<Mutex<Sending>>,
}

/// What an SA that receives changes with each packet.
#[derive(Debug)]
pub(crate) struct Receiving {
    pub(crate) opener: Opener,
    pub(crate) usage: Usage,
    /// Where packets came from last, when that was told of.
    pub(crate) seen_from: SocketAddr,
}

/// An SA that receives.
#[derive(Debug)]
pub(crate) struct InboundSa {
    pub(crate) child: u64,
    pub(crate) spi: u32,
    pub(crate) local: SocketAddr,
    pub(crate) remote: SocketAddr,
    pub(crate) encapsulated: bool,
    pub(crate) transport: bool,
    pub(crate) copy_dscp: bool,
    pub(crate) traffic: Arc<[TrafficPair]>,
    /// When it was installed, seconds since 1970.
    pub(crate) added: u64,
    /// Seconds since 1970; 0 never.
    pub(crate) last_in: AtomicU64,
    /// Its Child SA is gone, and only what is on its way is still taken.
    pub(crate) leaving: AtomicBool,
    receiving: Arc<Mutex<Receiving>>,
}

/// A cipher cannot be left halfway: a panic elsewhere while it was locked harms nothing.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl OutboundSa {
    /// The SA `facts` describes, with its state.
    pub(crate) fn new(facts: SaFacts, group: Group, sending: Sending) -> Self {
        let SaFacts { child, spi, local, remote, encapsulated, transport, copy_dscp, traffic } =
            facts;
        Self {
            child,
            spi,
            group,
            local,
            remote,
            encapsulated,
            transport,
            copy_dscp,
            path_mtu_discovery: true,
            tfc: 0,
            traffic,
            path_mtu: AtomicUsize::new(1500),
            sending: Arc::new(Mutex::new(sending)),
        }
    }

    pub(crate) fn sending(&self) -> MutexGuard<'_, Sending> {
        lock(&self.sending)
    }

    /// The same SA between other addresses.
    fn moved(&self, to: &SaMove, path_mtu: usize) -> Self {
        Self {
            child: self.child,
            spi: self.spi,
            group: (self.group.0, to.remote.ip(), self.transport),
            local: to.local,
            remote: to.remote,
            encapsulated: to.encapsulated,
            transport: self.transport,
            copy_dscp: self.copy_dscp,
            path_mtu_discovery: self.path_mtu_discovery,
            tfc: self.tfc,
            traffic: Arc::clone(&self.traffic),
            path_mtu: AtomicUsize::new(path_mtu),
            sending: Arc::clone(&self.sending),
        }
    }

    /// Octets of outer headers in front of ESP.
    pub(crate) fn outer_headers(&self) -> usize {
        let ip = if self.remote.is_ipv6() { 40 } else { 20 };
        if self.encapsulated { ip + 8 } else { ip }
    }

    /// Largest ESP packet for the path.
    pub(crate) fn largest_packet(&self) -> usize {
        self.path_mtu.load(Ordering::Relaxed).saturating_sub(self.outer_headers())
    }

    /// Whether its selectors cover a packet that goes out.
    pub(crate) fn covers(&self, inner: &Inner) -> bool {
        let (source, destination) = sides(inner);
        self.traffic.iter().any(|pair| {
            covers(&pair.local, inner.source, inner.protocol, source)
                && covers(&pair.remote, inner.destination, inner.protocol, destination)
        })
    }
}

/// What both kinds of SA are made of.
#[derive(Debug, Clone)]
pub(crate) struct SaFacts {
    pub(crate) child: u64,
    pub(crate) spi: u32,
    pub(crate) local: SocketAddr,
    pub(crate) remote: SocketAddr,
    pub(crate) encapsulated: bool,
    pub(crate) transport: bool,
    pub(crate) copy_dscp: bool,
    pub(crate) traffic: Arc<[TrafficPair]>,
}

impl InboundSa {
    /// The SA `facts` describes, with its state.
    pub(crate) fn new(facts: SaFacts, opener: Opener, usage: Usage) -> Self {
        let SaFacts { child, spi, local, remote, encapsulated, transport, copy_dscp, traffic } =
            facts;
        Self {
            child,
            spi,
            local,
            remote,
            encapsulated,
            transport,
            copy_dscp,
            traffic,
            added: 0,
            last_in: AtomicU64::new(0),
            leaving: AtomicBool::new(false),
            receiving: Arc::new(Mutex::new(Receiving { opener, usage, seen_from: remote })),
        }
    }

    /// The same SA between other addresses.
    fn moved(&self, to: &SaMove) -> Self {
        self.receiving().seen_from = to.remote;
        Self {
            child: self.child,
            spi: self.spi,
            local: to.local,
            remote: to.remote,
            encapsulated: to.encapsulated,
            transport: self.transport,
            copy_dscp: self.copy_dscp,
            traffic: Arc::clone(&self.traffic),
            added: self.added,
            last_in: AtomicU64::new(self.last_in.load(Ordering::Relaxed)),
            leaving: AtomicBool::new(false),
            receiving: Arc::clone(&self.receiving),
        }
    }

    pub(crate) fn receiving(&self) -> MutexGuard<'_, Receiving> {
        lock(&self.receiving)
    }

    /// Whether its selectors cover a packet that came in (RFC 4301, 5.2, step 4).
    pub(crate) fn covers(&self, inner: &Inner) -> bool {
        let (source, destination) = sides(inner);
        self.traffic.iter().any(|pair| {
            covers(&pair.remote, inner.source, inner.protocol, source)
                && covers(&pair.local, inner.destination, inner.protocol, destination)
        })
    }
}

fn sides(inner: &Inner) -> (Option<u16>, Option<u16>) {
    (inner.ports.map(|ports| ports.0), inner.ports.map(|ports| ports.1))
}

/// Whether one side of a selector covers one side of a packet.
pub(crate) fn covers(side: &Traffic, address: IpAddr, protocol: u8, port: Option<u16>) -> bool {
    let same_network = match (side.network, address) {
        (IpAddr::V4(network), IpAddr::V4(address)) => {
            same_prefix(u32::from(network).into(), u32::from(address).into(), 32, side.prefix)
        }
        (IpAddr::V6(network), IpAddr::V6(address)) => {
            same_prefix(network.into(), address.into(), 128, side.prefix)
        }
        _ => false,
    };
    let (value, mask) = side.port;
    same_network
        && (side.protocol == 0 || side.protocol == protocol)
        // A packet that shows no port is covered by selectors for all ports only.
        && (mask == 0 || port.is_some_and(|port| port & mask == value & mask))
}

fn same_prefix(network: u128, address: u128, bits: u32, prefix: u8) -> bool {
    let free = bits.saturating_sub(u32::from(prefix));
    free == 128 || (network ^ address) >> free == 0
}

/// All SAs.
#[derive(Debug, Default)]
pub(crate) struct Sad {
    inbound: FxHashMap<u32, Arc<InboundSa>>,
    /// The newest last.
    outbound: FxHashMap<Group, Vec<Arc<OutboundSa>>>,
    children: FxHashMap<u64, (Arc<InboundSa>, Option<Arc<OutboundSa>>)>,
    /// SAs that still receive though their Child SA is gone, and until when.
    leaving: Vec<(u64, Arc<InboundSa>)>,
}

impl Sad {
    /// Adds a Child SA's pair; an older one of the same Child SA is gone.
    pub(crate) fn insert(&mut self, inbound: Arc<InboundSa>, outbound: Option<Arc<OutboundSa>>) {
        self.remove(inbound.child);
        self.inbound.insert(inbound.spi, Arc::clone(&inbound));
        let child = inbound.child;
        self.children.insert(child, (inbound, None));
        if let Some(outbound) = outbound {
            self.insert_outbound(outbound);
        }
    }

    /// Adds the SA that sends to a Child SA that has none; false: there is no such Child SA.
    pub(crate) fn insert_outbound(&mut self, outbound: Arc<OutboundSa>) -> bool {
        let Some((_, none)) = self.children.get_mut(&outbound.child) else { return false };
        if none.is_some() {
            return false;
        }
        *none = Some(Arc::clone(&outbound));
        self.outbound.entry(outbound.group).or_default().push(outbound);
        true
    }

    /// Moves a Child SA's pair; false: there is none.
    pub(crate) fn move_pair(&mut self, to: &SaMove, path_mtu: usize) -> bool {
        let Some((inbound, outbound)) = self.children.get(&to.child).cloned() else {
            return false;
        };
        self.remove(to.child);
        let outbound = outbound.map(|outbound| Arc::new(outbound.moved(to, path_mtu)));
        self.insert(Arc::new(inbound.moved(to)), outbound);
        true
    }

    /// Removes a Child SA's pair.
    pub(crate) fn remove(&mut self, child: u64) {
        self.remove_outbound(child);
        let Some((inbound, _)) = self.children.remove(&child) else { return };
        self.inbound.remove(&inbound.spi);
    }

    /// Removes the SA by which a Child SA sends.
    fn remove_outbound(&mut self, child: u64) {
        let had = self.children.get_mut(&child).and_then(|(_, outbound)| outbound.take());
        let Some(outbound) = had else { return };
        if let Some(group) = self.outbound.get_mut(&outbound.group) {
            group.retain(|sa| sa.child != child);
            if group.is_empty() {
                self.outbound.remove(&outbound.group);
            }
        }
    }

    /// Removes a Child SA's pair; what the peer has sent before it knew is received until
    /// `until`. IKE's Delete and the packets sent before it are read by different threads.
    pub(crate) fn retire(&mut self, child: u64, until: u64) {
        let Some((inbound, _)) = self.children.get(&child).cloned() else { return };
        self.remove(child);
        inbound.leaving.store(true, Ordering::Relaxed);
        self.inbound.insert(inbound.spi, Arc::clone(&inbound));
        self.leaving.push((until, inbound));
    }

    /// When the next of those that have been retired is to go.
    pub(crate) fn leaves_at(&self) -> Option<u64> {
        self.leaving.iter().map(|(until, _)| *until).min()
    }

    /// Lets those go whose time has come.
    pub(crate) fn reap(&mut self, now: u64) {
        let (gone, stay) = std::mem::take(&mut self.leaving)
            .into_iter()
            .partition::<Vec<_>, _>(|(until, _)| *until <= now);
        self.leaving = stay;
        for (_, sa) in gone {
            // Its SPI may have a new owner.
            if self.inbound.get(&sa.spi).is_some_and(|there| Arc::ptr_eq(there, &sa)) {
                self.inbound.remove(&sa.spi);
            }
        }
    }

    /// Whether an inbound SPI is in use.
    pub(crate) fn has_inbound(&self, spi: u32) -> bool {
        self.inbound.contains_key(&spi)
    }

    pub(crate) fn inbound(&self, spi: u32) -> Option<&Arc<InboundSa>> {
        self.inbound.get(&spi)
    }

    /// The SA of a group that has this SPI, or else the newest one: its selectors cover the
    /// packet.
    pub(crate) fn outbound(
        &self,
        group: &Group,
        spi: u32,
        inner: &Inner,
    ) -> Option<&Arc<OutboundSa>> {
        let group = self.outbound.get(group)?;
        let named = group.iter().find(|sa| sa.spi == spi && sa.covers(inner));
        named.or_else(|| group.iter().rev().find(|sa| sa.covers(inner)))
    }

    /// Those that have SAs.
    pub(crate) fn children(&self) -> impl Iterator<Item = u64> + '_ {
        self.children.keys().copied()
    }

    /// A Child SA's pair; the SA that sends may be still to come.
    pub(crate) fn child(&self, child: u64) -> Option<&(Arc<InboundSa>, Option<Arc<OutboundSa>>)> {
        self.children.get(&child)
    }
}
