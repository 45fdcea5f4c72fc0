//! The backend that carries traffic itself.

use super::codec::{Opener, Sealer};
use super::counts::{Counts, Reason};
use super::device::Device;
use super::events::{Events, events};
use super::inner::Inner;
use super::pass::Passes;
use super::plane::{Plane, now};
use super::rule;
use super::sad::{Group, InboundSa, OutboundSa, SaFacts, Sending, Usage, group};
use super::sockets::Sockets;
use super::spd::Spd;
use super::stray::Stray;
use super::tables::Shared;
use crate::error::refused;
use crate::interfaces::Host;
use crate::ledger::child_sas;
use crate::policy::bare_policies;
use crate::types::Halves;
use crate::{
    Capabilities, Counters, InstalledSa, InterfaceAddress, Kernel, KernelError, KernelEvent,
    Ledger, PolicyChange, PolicySpec, PolicyUse, RouteAnswer, RouteChange, SaKeys, SaMove,
    SaPairSpec, SpiRequest, TrafficPair,
};
use pluto_crypto::{ChildSuite, Entropy, EspCipher, SystemEntropy};
use pluto_wire::numbers::{KeId, ProtocolId};
use rustc_hash::FxHashMap;
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::os::fd::{AsFd, OwnedFd};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

/// Where the tunnels' routes are.
const TABLE: u8 = 220;
/// On packets outside, so that those routes do not catch them.
const MARK: u32 = 0x0e50;
/// Seconds, rounded up, in which packets of an SA that has been removed are still received.
const LINGER: u64 = 2;
/// What fits into ESP in UDP in any family with any algorithm on Ethernet, rounded down.
const MTU: u32 = 1400;

/// The device that packets go in and come out by.
#[derive(Debug)]
pub enum DeviceChoice {
    /// Make one; `%d` in the name is the next free number.
    Create(String),
    /// Somebody else has made it, given it addresses and routes, and opened it
    /// (`--tun-fd`).
    Given(OwnedFd),
}

/// How the backend is opened.
#[derive(Debug)]
pub struct EmbeddedOptions {
    /// The device.
    pub device: DeviceChoice,
    /// Queues of the device and pairs of threads (`--esp-workers`); 0 is one for each two
    /// processors.
    pub workers: usize,
    /// Octets of the device's MTU.
    pub mtu: u32,
}

impl Default for EmbeddedOptions {
    fn default() -> Self {
        Self { device: DeviceChoice::Create("ipsec%d".into()), workers: 0, mtu: MTU }
    }
}

/// ESP in user space, on a TUN device.
#[derive(Debug)]
pub struct EmbeddedKernel {
    plane: Arc<Plane>,
    host: Host,
    rule: bool,
    ledger: Ledger,
    capabilities: Capabilities,
    reserved: FxHashMap<u32, u64>,
    passes: Passes,
    notes: Vec<String>,
}

/// What IKE's listener needs of the data plane; it may be cloned.
#[derive(Debug, Clone)]
pub struct EspSockets {
    plane: Arc<Plane>,
}

impl EspSockets {
    /// IKE listens on `local` by `socket`. Where `encapsulating`, ESP in UDP of this port is
    /// taken off from now on. Tells what does not work as well as it could.
    ///
    /// # Errors
    /// ESP cannot be carried there.
    pub fn attach(
        &self,
        socket: &impl AsFd,
        local: SocketAddr,
        encapsulating: bool,
    ) -> Result<Option<String>, KernelError> {
        let sockets = &self.plane.parts.sockets;
        let attach = || -> io::Result<Option<String>> {
            if !encapsulating {
                return sockets.mark(socket.as_fd()).map(|()| None);
            }
            let note = sockets.attach(socket.as_fd(), local)?;
            self.plane.start()?;
            self.plane.wake();
            Ok(note)
        };
        attach().map_err(|error| failed(format!("carry ESP in UDP on {local}"), &error))
    }

    /// The same where there is no IKE: for tests and measurements.
    ///
    /// # Errors
    /// The address is not ours, or somebody uses it.
    pub fn open(&self, local: SocketAddr) -> Result<(), KernelError> {
        let open = || -> io::Result<()> {
            self.plane.parts.sockets.open(local)?;
            self.plane.start()?;
            self.plane.wake();
            Ok(())
        };
        open().map_err(|error| failed(format!("carry ESP in UDP on {local}"), &error))
    }

    /// The device's name.
    #[must_use]
    pub fn device(&self) -> &str {
        &self.plane.parts.device.name
    }

    /// IKE no longer listens on `local`.
    pub fn detach(&self, local: SocketAddr) {
        self.plane.parts.sockets.detach(local);
        self.plane.wake();
    }

    /// ESP in UDP that came to IKE's own socket.
    pub fn deliver(&self, octets: &[u8], remote: SocketAddr) {
        self.plane.deliver(octets, remote);
    }

    /// IKE's messages that came to our sockets.
    #[must_use]
    pub fn stray(&self) -> Arc<Stray> {
        Arc::clone(&self.plane.parts.stray)
    }
}

fn failed(what: impl Into<String>, error: &io::Error) -> KernelError {
    KernelError {
        what: what.into(),
        errno: error.raw_os_error().unwrap_or(0),
        why: error.to_string(),
    }
}

fn unable(what: impl Into<String>, why: &str) -> KernelError {
    KernelError { what: what.into(), errno: 0, why: why.into() }
}

impl EmbeddedKernel {
    /// Opens the device and what else can fail early. Threads start with the first socket
    /// or SA.
    ///
    /// # Errors
    /// There is no TUN device to be had, or no rtnetlink.
    pub fn open(options: EmbeddedOptions) -> Result<(Self, Events), KernelError> {
        let mut notes = Vec::new();
        let workers = match options.workers {
            0 => std::thread::available_parallelism().map_or(1, |n| n.get().div_ceil(2)),
            wanted => wanted,
        };
        let device = match options.device {
            DeviceChoice::Create(name) => {
                let what = || format!("make the TUN device {name}");
                let device = Device::create(&name, workers).map_err(|e| failed(what(), &e))?;
                device.up(options.mtu).map_err(|e| failed(what(), &e))?;
                device
            }
            DeviceChoice::Given(fd) => {
                Device::from_fd(fd).map_err(|e| failed("use the given TUN device", &e))?
            }
        };
        let mut host = Host::open()?;
        let mut ledger = Ledger::default();
        // Where this is not allowed, a predecessor could not leave anything either.
        let cleared = host.remove_stale_routes().and_then(|()| host.remove_stale(&mut ledger));
        match cleared {
            Err(error) if error.errno != libc::EPERM => notes.push(error.to_string()),
            _ => {}
        }
        (host.table, host.mark) = (TABLE, MARK);
        let may_mark = Sockets::may_mark(MARK) && rule::add(&mut host).is_ok();
        if !may_mark {
            (host.table, host.mark) = (0, 0);
            notes.push(
                "rules of routing cannot be set here: where routes cannot either, packets must be \
                        routed into the device by whoever made it"
                    .into(),
            );
        }
        if may_mark {
            rule::forget_passes(&mut host);
        }
        let sockets = Arc::new(Sockets::new(device.queues.len(), host.mark));
        let raw_esp = sockets.open_raw();
        if !raw_esp {
            notes.push("raw ESP is not allowed here: tunnels use ESP in UDP".into());
        }
        let (sink, events) = events().map_err(|e| failed("make an eventfd", &e))?;
        let stray = Arc::new(Stray::new().map_err(|e| failed("make an eventfd", &e))?);
        notes.insert(0, format!("ESP is done here, by {} on {}", shown(workers), device.name));
        let shared = Arc::new(Shared::new(sink));
        let plane = Arc::new(Plane::new(shared, device, sockets, stray));
        let kernel = Self {
            plane,
            host,
            rule: may_mark,
            ledger,
            capabilities: Capabilities { esp: true, raw_esp, ..Capabilities::default() },
            reserved: FxHashMap::default(),
            passes: Passes::default(),
            notes,
        };
        Ok((kernel, events))
    }

    /// Around the data plane of one that has panicked: threads, device and SAs are as they
    /// were. What its `ledger` does not know goes, and policies are as it has them.
    ///
    /// # Errors
    /// There is no rtnetlink.
    pub fn again(sockets: &EspSockets, ledger: Ledger) -> Result<Self, KernelError> {
        let plane = Arc::clone(&sockets.plane);
        let mut host = Host::open()?;
        let rule = plane.parts.sockets.marks();
        (host.table, host.mark) = if rule { (TABLE, MARK) } else { (0, 0) };
        let raw_esp = plane.parts.sockets.has_raw();
        let mut kernel = Self {
            plane,
            host,
            rule,
            ledger: Ledger::default(),
            capabilities: Capabilities { esp: true, raw_esp, ..Capabilities::default() },
            reserved: FxHashMap::default(),
            passes: Passes::default(),
            notes: Vec::new(),
        };
        kernel.adopt(ledger);
        Ok(kernel)
    }

    /// Sentences for the log.
    #[must_use]
    pub fn notes(&self) -> &[String] {
        &self.notes
    }

    /// Its netlink socket, whose changes are not news (see [`crate::Events::open`]).
    #[must_use]
    pub fn ports(&self) -> Vec<u32> {
        vec![self.host.port()]
    }

    /// The device's name.
    #[must_use]
    pub fn device(&self) -> &str {
        &self.plane.parts.device.name
    }

    /// The listener's handle.
    #[must_use]
    pub fn sockets(&self) -> EspSockets {
        EspSockets { plane: Arc::clone(&self.plane) }
    }

    /// Packets that went no further, by reason.
    #[must_use]
    pub fn counts(&self) -> &Counts {
        &self.plane.parts.shared.counts
    }

    /// Whether a packet that came out of the device would find a policy and an SA (for
    /// measurements: these are the look-ups that each packet costs).
    #[must_use]
    pub fn carries(&self, packet: &[u8]) -> bool {
        let Ok(inner) = Inner::parse(packet) else { return false };
        let tables = self.plane.parts.shared.tables();
        let Some(policy) = tables.spd.find(&inner) else { return false };
        let PolicyUse::Tunnel(template) = policy.shape.does else { return false };
        tables.sad.outbound(&group(&template), template.spi, &inner).is_some()
    }

    fn apply(&mut self, changes: Vec<PolicyChange>) {
        if changes.is_empty() {
            return;
        }
        let mut tables = self.plane.parts.shared.change();
        for change in changes {
            self.passes.note(&change);
            match change.after {
                Some(shape) => tables.spd.insert(change.key, shape),
                None => tables.spd.remove(&change.key),
            }
        }
        drop(tables);
        self.passes.keep(&mut self.host, &self.ledger);
    }

    fn inbound(
        &self,
        spec: &SaPairSpec,
        traffic: Arc<[TrafficPair]>,
    ) -> Result<Arc<InboundSa>, KernelError> {
        let opener =
            Opener::new(spec.spi_in, spec.esn, spec.replay_window, cipher(spec, Halves::Inbound)?);
        let facts = facts(spec, traffic, spec.spi_in, spec.decap_dscp);
        let mut sa = InboundSa::new(facts, opener, Usage::new(spec.bytes, spec.packets));
        sa.added = now();
        Ok(Arc::new(sa))
    }

    fn outbound(&self, spec: &SaPairSpec) -> Result<Arc<OutboundSa>, KernelError> {
        let sealer = Sealer::new(spec.spi_out, spec.esn, cipher(spec, Halves::Outbound)?);
        let usage = Usage::new(spec.bytes, spec.packets);
        let sending = Sending { sealer, usage, esn: spec.esn };
        let group = (spec.reqid, spec.remote.ip(), spec.transport);
        let facts = facts(spec, self.traffic(spec), spec.spi_out, !spec.no_encap_dscp);
        let mut outbound = OutboundSa::new(facts, group, sending);
        outbound.path_mtu_discovery = !spec.nopmtudisc;
        outbound.tfc = usize::try_from(spec.tfc).unwrap_or(0);
        let mtu = self.plane.parts.sockets.path_mtu(spec.local, spec.remote);
        outbound.path_mtu = AtomicUsize::new(mtu);
        Ok(Arc::new(outbound))
    }

    /// Its selectors, which both SAs of a pair share.
    fn traffic(&self, spec: &SaPairSpec) -> Arc<[TrafficPair]> {
        let tables = self.plane.parts.shared.tables();
        let inbound = tables.sad.child(spec.child).map(|(inbound, _)| &inbound.traffic);
        match inbound.filter(|traffic| traffic[..] == spec.traffic[..]) {
            Some(traffic) => Arc::clone(traffic),
            None => spec.traffic.clone().into(),
        }
    }

    /// The inbound SA, or both, with the policies.
    fn install_with(
        &mut self,
        spec: &SaPairSpec,
        outbound: Option<Arc<OutboundSa>>,
    ) -> Result<(), KernelError> {
        check(spec)?;
        if self.reserved.get(&spec.spi_in).is_some_and(|child| *child != spec.child) {
            return Err(refused(what(spec), libc::EEXIST));
        }
        if outbound.is_some() {
            unused(&self.ledger, spec)?;
        }
        let shared = outbound.as_ref().map(|outbound| Arc::clone(&outbound.traffic));
        let traffic = shared.unwrap_or_else(|| spec.traffic.clone().into());
        let inbound = self.inbound(spec, traffic)?;
        self.plane.start().map_err(|error| failed(what(spec), &error))?;
        // From here on nothing can fail.
        let (sa_in, sa_out) = child_sas(spec);
        self.ledger.add_sa(spec.child, sa_in);
        if outbound.is_some() {
            self.ledger.add_sa(spec.child, sa_out);
        }
        self.reserved.insert(spec.spi_in, spec.child);
        let (changes, _) = self.ledger.claim_child(spec, outbound.is_some());
        let group = outbound.as_ref().map(|outbound| outbound.group);
        self.plane.parts.shared.change().sad.insert(inbound, outbound);
        let early = self.plane.parts.shared.early().take(spec.spi_in);
        self.plane.take_early(early);
        self.apply(changes);
        self.release(group);
        Ok(())
    }

    /// Sends what was held for want of an SA of this group.
    fn release(&self, group: Option<Group>) {
        let Some(group) = group else { return };
        let held = self.plane.parts.shared.holds().take(&group);
        self.plane.release(held);
    }
}

fn cipher(spec: &SaPairSpec, half: Halves) -> Result<EspCipher, KernelError> {
    let outbound = half == Halves::Outbound;
    let keys = if outbound { &spec.keys_out } else { &spec.keys_in };
    let SaKeys { encr, encr_bits, integ, .. } = *keys;
    let suite = ChildSuite { encr, encr_bits, integ, esn: spec.esn, ke: KeId::NONE };
    let made = if outbound {
        EspCipher::sealing(&suite, &keys.encr_key, &keys.integ_key)
    } else {
        EspCipher::opening(&suite, &keys.encr_key, &keys.integ_key)
    };
    made.map_err(|error| unable(what(spec), &error.to_string()))
}

fn facts(spec: &SaPairSpec, traffic: Arc<[TrafficPair]>, spi: u32, copy_dscp: bool) -> SaFacts {
    SaFacts {
        child: spec.child,
        spi,
        local: spec.local,
        remote: spec.remote,
        encapsulated: spec.encapsulated,
        transport: spec.transport,
        copy_dscp,
        traffic,
    }
}

fn shown(workers: usize) -> String {
    if workers == 1 { "one worker".into() } else { format!("{workers} workers") }
}

fn what(spec: &SaPairSpec) -> String {
    format!("install the ESP SAs of #{} with {}", spec.child, spec.remote)
}

/// What this data plane does not have is refused by name.
fn check(spec: &SaPairSpec) -> Result<(), KernelError> {
    if spec.protocol != ProtocolId::ESP {
        return Err(unable(what(spec), "the embedded data plane has no AH"));
    }
    if spec.mark_in.is_some() || spec.mark_out.is_some() || spec.if_id != 0 {
        let why = "the embedded data plane has no marks and interface ids";
        return Err(unable(what(spec), why));
    }
    Ok(())
}

/// An outbound SPI names one SA of a peer's address, as in XFRM: a policy names its SA by it.
fn unused(ledger: &Ledger, spec: &SaPairSpec) -> Result<(), KernelError> {
    match ledger.child_of(spec.remote.ip(), spec.spi_out) {
        Some(other) if other != spec.child => Err(KernelError {
            what: what(spec),
            errno: libc::EEXIST,
            why: format!("#{other} has an SA with the SPI {:#x}", spec.spi_out),
        }),
        _ => Ok(()),
    }
}

impl Kernel for EmbeddedKernel {
    fn name(&self) -> &'static str {
        "embedded"
    }

    fn capabilities(&self) -> &Capabilities {
        &self.capabilities
    }

    fn allocate_spi(&mut self, request: &SpiRequest) -> Result<u32, KernelError> {
        if request.protocol != ProtocolId::ESP {
            return Err(unable("reserve an SPI", "the embedded data plane has no AH"));
        }
        let mut octets = [0; 4];
        // RFC 4303, 2.1: 1 to 255 are reserved; below 0x1000 is left alone for old kernels.
        for _ in 0..64 {
            SystemEntropy.fill(&mut octets);
            let spi = u32::from_be_bytes(octets);
            let used = self.reserved.contains_key(&spi)
                || self.plane.parts.shared.tables().sad.has_inbound(spi);
            if spi >= 0x1000 && !used {
                let sa = InstalledSa {
                    protocol: request.protocol,
                    source: request.remote,
                    destination: request.local,
                    spi,
                    inbound: true,
                    larval: true,
                    mark: None,
                };
                self.reserved.insert(spi, request.child);
                self.plane.parts.shared.early().expect(spi);
                self.ledger.add_sa(request.child, sa);
                return Ok(spi);
            }
        }
        Err(refused("reserve an SPI", libc::ENOENT))
    }

    fn install(&mut self, spec: &SaPairSpec) -> Result<(), KernelError> {
        check(spec)?;
        let outbound = self.outbound(spec)?;
        self.install_with(spec, Some(outbound))
    }

    fn install_inbound(&mut self, spec: &SaPairSpec) -> Result<(), KernelError> {
        self.install_with(spec, None)
    }

    fn install_outbound(&mut self, spec: &SaPairSpec) -> Result<(), KernelError> {
        check(spec)?;
        unused(&self.ledger, spec)?;
        let outbound = self.outbound(spec)?;
        let group = outbound.group;
        if !self.plane.parts.shared.change().sad.insert_outbound(outbound) {
            return Err(refused(what(spec), libc::ESRCH));
        }
        self.ledger.add_sa(spec.child, child_sas(spec).1);
        let (changes, _) = self.ledger.begin_sending(spec);
        self.apply(changes);
        self.release(Some(group));
        Ok(())
    }

    fn stop_sending(&mut self, child: u64) -> Result<(), KernelError> {
        let changes = self.ledger.stop_sending(child, true);
        self.apply(changes);
        Ok(())
    }

    fn move_sa(&mut self, to: &SaMove) -> Result<(), KernelError> {
        let mtu = self.plane.parts.sockets.path_mtu(to.local, to.remote);
        if !self.plane.parts.shared.change().sad.move_pair(to, mtu) {
            return Err(refused(format!("move #{}", to.child), libc::ESRCH));
        }
        let (_, changes) = self.ledger.move_child(to);
        self.apply(changes);
        Ok(())
    }

    fn remove(&mut self, child: u64) -> Result<(), KernelError> {
        let changes = self.ledger.stop_sending(child, false);
        self.apply(changes);
        for sa in self.ledger.take_child(child) {
            if self.reserved.get(&sa.spi) == Some(&child) {
                self.reserved.remove(&sa.spi);
                let shared = &self.plane.parts.shared;
                let early = shared.early().take(sa.spi);
                early.iter().for_each(|_| shared.counts.add(Reason::Early));
            }
        }
        self.plane.parts.shared.change().sad.retire(child, now() + LINGER);
        self.plane.wake();
        Ok(())
    }

    fn set_policies(&mut self, connection: u64, spec: &PolicySpec) -> Result<(), KernelError> {
        let replaced = self.ledger.replace_claims(connection, &bare_policies(spec));
        let changes = replaced.into_iter().map(|(change, _)| change);
        self.apply(changes.filter(|change| !change.is_empty()).collect());
        self.plane.start().map_err(|error| failed("start the data plane", &error))
    }

    fn remove_policies(&mut self, connection: u64) -> Result<(), KernelError> {
        let mut changes = Vec::new();
        for key in self.ledger.policies_of(connection) {
            changes.push(self.ledger.release(connection, key));
        }
        changes.retain(|change| !change.is_empty());
        self.apply(changes);
        Ok(())
    }

    fn forget_wishes(&mut self, connection: u64) {
        self.ledger.forget_wishes(connection);
    }

    fn counters(&mut self, child: u64) -> Result<Counters, KernelError> {
        let tables = self.plane.parts.shared.tables();
        let Some((inbound, outbound)) = tables.sad.child(child) else {
            return Err(refused(format!("read counters of #{child}"), libc::ESRCH));
        };
        let came = inbound.receiving().usage;
        let went = outbound.as_ref().map(|outbound| outbound.sending().usage);
        Ok(Counters {
            bytes_in: came.bytes,
            packets_in: came.packets,
            bytes_out: went.map_or(0, |went| went.bytes),
            packets_out: went.map_or(0, |went| went.packets),
            added: inbound.added,
            last_in: inbound.last_in.load(Ordering::Relaxed),
        })
    }

    fn missed_expiries(&mut self) -> Result<Vec<KernelEvent>, KernelError> {
        let tables = self.plane.parts.shared.tables();
        let mut missed = Vec::new();
        for child in self.ledger.children.keys() {
            let Some((inbound, outbound)) = tables.sad.child(*child) else { continue };
            let mut told = |spi, destination, (soft, hard): (bool, bool)| {
                if soft || hard {
                    let child = Some(*child);
                    missed.push(KernelEvent::Expire { spi, destination, child, hard });
                }
            };
            told(inbound.spi, inbound.local.ip(), inbound.receiving().usage.told());
            let Some(outbound) = outbound else { continue };
            told(outbound.spi, outbound.remote.ip(), outbound.sending().usage.told());
        }
        Ok(missed)
    }

    fn dropped(&self) -> Vec<(&'static str, u64)> {
        let counts = &self.plane.parts.shared.counts;
        Reason::ALL.iter().map(|reason| (reason.name(), counts.count(*reason))).collect()
    }

    fn ledger(&self) -> &Ledger {
        &self.ledger
    }

    fn adopt(&mut self, ledger: Ledger) {
        let own = ledger.children.iter().flat_map(|(child, owned)| {
            owned.sas.iter().filter(|sa| sa.inbound).map(|sa| (sa.spi, *child))
        });
        self.reserved = own.collect();
        {
            let mut tables = self.plane.parts.shared.change();
            tables.spd = Spd::default();
            for (key, shape) in ledger.policies() {
                tables.spd.insert(key, shape);
            }
            let known = |child: &u64| ledger.is_installed(*child);
            let lost: Vec<u64> = tables.sad.children().filter(|child| !known(child)).collect();
            for child in lost {
                tables.sad.retire(child, now() + LINGER);
            }
        }
        self.ledger = ledger;
        self.passes.adopt(&self.ledger);
        self.passes.keep(&mut self.host, &self.ledger);
    }

    fn route(&mut self, change: &RouteChange) -> Result<(), KernelError> {
        let device = self.device().to_owned();
        let ours = |route: &crate::Route| crate::Route {
            interface: device.clone(),
            gateway: None,
            ..route.clone()
        };
        let change = match change {
            RouteChange::Add(route) => RouteChange::Add(ours(route)),
            RouteChange::Remove(route) => RouteChange::Remove(ours(route)),
            RouteChange::Replace { was, by } => {
                RouteChange::Replace { was: ours(was), by: ours(by) }
            }
            RouteChange::HandOver { from, to } => {
                RouteChange::HandOver { from: ours(from), to: ours(to) }
            }
            other => other.clone(),
        };
        match self.host.route(&mut self.ledger, &change) {
            // It was told at the start whose business routes are then.
            Err(error) if error.errno == libc::EPERM && self.host.table == 0 => Ok(()),
            done => done,
        }
    }

    fn route_to(&mut self, destination: IpAddr) -> Result<RouteAnswer, KernelError> {
        self.host.route_to(destination)
    }

    fn addresses(&mut self) -> Result<Vec<InterfaceAddress>, KernelError> {
        self.host.addresses(&self.ledger)
    }

    fn flush(&mut self) {
        let children: Vec<u64> = self.ledger.children.keys().copied().collect();
        for child in children {
            let _ = self.remove(child);
        }
        let connections: Vec<u64> = self.ledger.connections.keys().copied().collect();
        for connection in connections {
            let _ = self.remove_policies(connection);
        }
        self.host.remove_added(&mut self.ledger);
        if std::mem::take(&mut self.rule) {
            let _ = rule::remove(&mut self.host);
        }
    }
}

impl Drop for EmbeddedKernel {
    fn drop(&mut self) {
        // Not where a successor goes on with the same data plane.
        if self.rule && Arc::strong_count(&self.plane) == 1 {
            let _ = rule::remove(&mut self.host);
        }
    }
}

#[cfg(test)]
#[path = "embedded_tests.rs"]
mod tests;
