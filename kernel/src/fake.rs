//! A kernel in memory, for tests.
//!
//! [`FakeKernel`] is what an actor or a simulated peer owns; the [`FakeTables`] behind it
//! are shared, survive the death of their owner, and can be looked into. The tables refuse
//! what Linux refuses (duplicates, SPIs that were not reserved, source addresses that are
//! not ours), and are kept apart from the ledger, so that a wrong ledger is found out.

use crate::error::refused;
use crate::ledger::{Found, child_sas};
use crate::policy::bare_policies;
use crate::types::Halves;
use crate::{
    Capabilities, Counters, Direction, InstalledSa, InterfaceAddress, Kernel, KernelError,
    KernelEvent, Ledger, PolicyChange, PolicyKey, PolicyShape, PolicySpec, PolicyUse, Route,
    RouteAnswer, RouteChange, SaMove, SaPairSpec, SpiRequest, Template,
};
use pluto_wire::numbers::ProtocolId;
use std::collections::BTreeMap;
use std::net::IpAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// An SA as the fake kernel holds it.
#[derive(Debug, Clone)]
pub struct FakeSa {
    /// Its name.
    pub sa: InstalledSa,
    /// The pair that it was installed with; none while larval.
    pub spec: Option<Arc<SaPairSpec>>,
    /// Octets and packets.
    pub traffic: (u64, u64),
    /// The call that installed it, counted from 1.
    pub installed: usize,
}

#[derive(Debug)]
struct Model {
    next_spi: u32,
    sas: BTreeMap<(u8, IpAddr, u32), FakeSa>,
    policies: Vec<(Direction, PolicyKey, PolicyShape)>,
    routes: Vec<Route>,
    source_addresses: Vec<InterfaceAddress>,
    addresses: Vec<InterfaceAddress>,
    unreachable: Vec<IpAddr>,
    calls: Vec<&'static str>,
    failures: BTreeMap<usize, i32>,
}

/// The tables of a fake kernel: cloning gives another view of the same.
#[derive(Debug, Clone)]
pub struct FakeTables(Arc<Mutex<Model>>);

impl FakeTables {
    fn model(&self) -> MutexGuard<'_, Model> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// All SAs and reserved SPIs.
    #[must_use]
    pub fn sas(&self) -> Vec<FakeSa> {
        self.model().sas.values().cloned().collect()
    }

    /// All policies.
    #[must_use]
    pub fn policies(&self) -> Vec<(Direction, PolicyKey, PolicyShape)> {
        self.model().policies.clone()
    }

    /// The SAs by which tunnels send: of each outbound policy the one that it names, where it
    /// names none the newest of its group.
    #[must_use]
    pub fn senders(&self) -> Vec<FakeSa> {
        let model = self.model();
        let sender = |template: &Template| {
            let fits = |fake: &&FakeSa| {
                let reqid = fake.spec.as_ref().map(|spec| spec.reqid);
                let ends = (fake.sa.source, fake.sa.destination);
                !fake.sa.inbound
                    && ends == (template.local, template.remote)
                    && reqid == Some(template.reqid)
                    && (template.spi == 0 || fake.sa.spi == template.spi)
            };
            model.sas.values().filter(fits).max_by_key(|fake| fake.installed).cloned()
        };
        let outbound = model.policies.iter().filter(|(way, ..)| *way == Direction::Out);
        outbound
            .filter_map(|(_, _, shape)| match &shape.does {
                PolicyUse::Tunnel(template) => sender(template),
                _ => None,
            })
            .collect()
    }

    /// All routes that were added.
    #[must_use]
    pub fn routes(&self) -> Vec<Route> {
        self.model().routes.clone()
    }

    /// All source addresses that were added.
    #[must_use]
    pub fn source_addresses(&self) -> Vec<InterfaceAddress> {
        self.model().source_addresses.clone()
    }

    /// Whether no SA, reserved SPI, policy, route or source address is left.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        let model = self.model();
        model.sas.is_empty()
            && model.policies.is_empty()
            && model.routes.is_empty()
            && model.source_addresses.is_empty()
    }

    /// What is in the tables and not in `ledger`, in words; empty is good.
    #[must_use]
    pub fn orphans(&self, ledger: &Ledger) -> Vec<String> {
        let model = self.model();
        let mut orphans = Vec::new();
        let known = |sa: &InstalledSa| {
            ledger.children.values().any(|owned| owned.sas.iter().any(|known| known == sa))
        };
        for fake in model.sas.values().filter(|fake| !known(&fake.sa)) {
            orphans.push(format!("SA {:?}", fake.sa));
        }
        let claimed =
            |key: &PolicyKey| ledger.connections.values().any(|owned| owned.policies.contains(key));
        for (direction, key, _) in model.policies.iter().filter(|(_, key, _)| !claimed(key)) {
            orphans.push(format!("policy {direction:?} {key:?}"));
        }
        for added in &model.source_addresses {
            if !ledger.added_address(added.address, &added.interface) {
                orphans.push(format!("address {added:?}"));
            }
        }
        orphans
    }

    /// Calls so far, by name: those that ask the kernel for something.
    #[must_use]
    pub fn calls(&self) -> Vec<&'static str> {
        self.model().calls.clone()
    }

    /// Makes the call with this number (from 1, see [`FakeTables::calls`]) fail.
    pub fn fail_call(&self, number: usize, errno: i32) {
        self.model().failures.insert(number, errno);
    }

    /// Makes the next call fail.
    pub fn fail_next(&self, errno: i32) {
        let mut model = self.model();
        let next = model.calls.len().saturating_add(1);
        model.failures.insert(next, errno);
    }

    /// Sets this host's addresses.
    pub fn set_addresses(&self, addresses: Vec<InterfaceAddress>) {
        self.model().addresses = addresses;
    }

    /// An interface goes, with its routes and addresses.
    pub fn lose_interface(&self, interface: &str) {
        let mut model = self.model();
        model.routes.retain(|had| had.interface != interface);
        model.source_addresses.retain(|had| had.interface != interface);
        model.addresses.retain(|had| had.interface != interface);
    }

    /// Makes `destination` unreachable.
    pub fn set_unreachable(&self, destination: IpAddr) {
        self.model().unreachable.push(destination);
    }

    /// Counts traffic on an SA; false when there is none of that name.
    pub fn count_traffic(&self, destination: IpAddr, spi: u32, bytes: u64, packets: u64) -> bool {
        let mut model = self.model();
        let found = model
            .sas
            .values_mut()
            .find(|fake| fake.sa.destination == destination && fake.sa.spi == spi);
        if let Some(fake) = found {
            fake.traffic.0 = fake.traffic.0.saturating_add(bytes);
            fake.traffic.1 = fake.traffic.1.saturating_add(packets);
            return true;
        }
        false
    }

    /// Forgets a reserved SPI, as Linux does after `xfrm_acq_expires`, or an SA that has
    /// expired hard.
    pub fn expire(&self, destination: IpAddr, spi: u32) {
        self.model().sas.retain(|name, _| (name.1, name.2) != (destination, spi));
    }
}

impl Model {
    /// Counts the call and fails it when that was asked for.
    fn enter(&mut self, call: &'static str) -> Result<(), KernelError> {
        self.calls.push(call);
        match self.failures.remove(&self.calls.len()) {
            Some(errno) => Err(refused(call.replace('_', " "), errno)),
            None => Ok(()),
        }
    }

    fn put(&mut self, sa: InstalledSa, spec: &Arc<SaPairSpec>) {
        let installed = self.calls.len();
        let fake = FakeSa { sa, spec: Some(Arc::clone(spec)), traffic: (0, 0), installed };
        self.sas.insert(name(&sa), fake);
    }

    fn add_route(&mut self, route: &Route) -> Result<(), KernelError> {
        let mut ours = self.addresses.iter().chain(&self.source_addresses);
        if route.source.is_some_and(|source| !ours.any(|had| had.address == source)) {
            return Err(refused(format!("add a route to {:?}", route.destination), libc::EINVAL));
        }
        self.routes.retain(|had| place(had) != place(route));
        self.routes.push(route.clone());
        Ok(())
    }

    /// The source is not looked at.
    fn remove_route(&mut self, route: &Route) {
        let any = route.gateway.is_none();
        self.routes.retain(|had| {
            let same = place(had) == place(route) && had.interface == route.interface;
            !(same && (any || had.gateway == route.gateway))
        });
    }

    fn apply(&mut self, change: &PolicyChange) {
        let gone: Vec<_> = change.removed().collect();
        self.policies.retain(|(had, key, _)| *key != change.key || !gone.contains(had));
        for (direction, shape) in change.set() {
            let same = |had: &&mut (Direction, PolicyKey, PolicyShape)| {
                had.0 == direction && had.1 == change.key
            };
            match self.policies.iter_mut().find(same) {
                Some(had) => had.2 = shape,
                None => self.policies.push((direction, change.key, shape)),
            }
        }
    }
}

/// By what Linux tells routes apart.
fn place(route: &Route) -> ((IpAddr, u8), u32) {
    (route.destination, route.metric)
}

fn name(sa: &InstalledSa) -> (u8, IpAddr, u32) {
    (sa.protocol.0, sa.destination, sa.spi)
}

/// A kernel in memory; SPIs count up from 0x1000.
#[derive(Debug)]
pub struct FakeKernel {
    tables: FakeTables,
    ledger: Ledger,
    capabilities: Capabilities,
}

impl Default for FakeKernel {
    fn default() -> Self {
        Self::new()
    }
}

impl FakeKernel {
    /// An empty kernel with every capability and one address, 192.0.2.1 on eth0.
    #[must_use]
    pub fn new() -> Self {
        let model = Model {
            next_spi: 0x1000,
            sas: BTreeMap::new(),
            policies: Vec::new(),
            routes: Vec::new(),
            source_addresses: Vec::new(),
            addresses: vec![InterfaceAddress {
                interface: "eth0".into(),
                address: IpAddr::from([192, 0, 2, 1]),
            }],
            unreachable: Vec::new(),
            calls: Vec::new(),
            failures: BTreeMap::new(),
        };
        Self::over(FakeTables(Arc::new(Mutex::new(model))))
    }

    /// A new owner of existing tables, with an empty ledger.
    #[must_use]
    pub fn over(tables: FakeTables) -> Self {
        let capabilities = Capabilities {
            esp: true,
            esp_missing: None,
            ah: true,
            sa_direction: true,
            migrate: true,
            raw_esp: true,
        };
        Self { tables, ledger: Ledger::default(), capabilities }
    }

    /// The same with other capabilities.
    #[must_use]
    pub fn with_capabilities(mut self, capabilities: Capabilities) -> Self {
        self.capabilities = capabilities;
        self
    }

    /// A view of the tables.
    #[must_use]
    pub fn tables(&self) -> FakeTables {
        self.tables.clone()
    }

    /// What is in the tables and not in the ledger, in words; empty is good.
    #[must_use]
    pub fn orphans(&self) -> Vec<String> {
        self.tables.orphans(&self.ledger)
    }
}

impl FakeKernel {
    fn install_halves(&mut self, spec: &SaPairSpec, halves: Halves) -> Result<(), KernelError> {
        let mut model = self.tables.model();
        let both = halves == Halves::Both;
        let entered = model.enter(if both { "install" } else { "install_inbound" });
        let what = format!("install SAs {:#x} and {:#x}", spec.spi_in, spec.spi_out);
        let (inbound, outbound) = child_sas(spec);
        if self.ledger.is_installed(spec.child) {
            return Err(refused(what, libc::EEXIST));
        }
        let failed = match entered {
            Err(error) => Some(error),
            Ok(()) if !self.capabilities.esp && spec.protocol == ProtocolId::ESP => {
                Some(refused(what, libc::EPROTONOSUPPORT))
            }
            Ok(()) => match model.sas.get(&name(&inbound)) {
                None => Some(refused(what, libc::ESRCH)),
                Some(had) if !had.sa.larval => Some(refused(what, libc::EEXIST)),
                Some(_) if both && model.sas.contains_key(&name(&outbound)) => {
                    Some(refused(what, libc::EEXIST))
                }
                Some(_) => None,
            },
        };
        if let Some(error) = failed {
            // The reserved SPIs go with the pair.
            for reserved in self.ledger.take_child(spec.child) {
                model.sas.remove(&name(&reserved));
            }
            return Err(error);
        }
        let shared = Arc::new(spec.clone());
        for sa in [Some(inbound), both.then_some(outbound)].into_iter().flatten() {
            self.ledger.add_sa(spec.child, sa);
            model.put(sa, &shared);
        }
        self.ledger.claim_child(spec, both).0.iter().for_each(|change| model.apply(change));
        Ok(())
    }
}

impl Kernel for FakeKernel {
    fn name(&self) -> &'static str {
        "fake"
    }

    fn capabilities(&self) -> &Capabilities {
        &self.capabilities
    }

    fn allocate_spi(&mut self, request: &SpiRequest) -> Result<u32, KernelError> {
        let mut model = self.tables.model();
        model.enter("allocate_spi")?;
        let spi = model.next_spi;
        model.next_spi = spi.wrapping_add(1).max(0x1000);
        let sa = InstalledSa {
            protocol: request.protocol,
            source: request.remote,
            destination: request.local,
            spi,
            inbound: true,
            larval: true,
            mark: None,
        };
        self.ledger.add_sa(request.child, sa);
        let installed = model.calls.len();
        model.sas.insert(name(&sa), FakeSa { sa, spec: None, traffic: (0, 0), installed });
        Ok(spi)
    }

    fn install(&mut self, spec: &SaPairSpec) -> Result<(), KernelError> {
        self.install_halves(spec, Halves::Both)
    }

    fn install_inbound(&mut self, spec: &SaPairSpec) -> Result<(), KernelError> {
        self.install_halves(spec, Halves::Inbound)
    }

    fn install_outbound(&mut self, spec: &SaPairSpec) -> Result<(), KernelError> {
        let mut model = self.tables.model();
        model.enter("install_outbound")?;
        let what = format!("install SA {:#x}", spec.spi_out);
        let (_, outbound) = child_sas(spec);
        if !self.ledger.has_half(spec.child, true) {
            return Err(refused(what, libc::ESRCH));
        }
        if model.sas.contains_key(&name(&outbound)) {
            return Err(refused(what, libc::EEXIST));
        }
        self.ledger.add_sa(spec.child, outbound);
        model.put(outbound, &Arc::new(spec.clone()));
        self.ledger.begin_sending(spec).0.iter().for_each(|change| model.apply(change));
        Ok(())
    }

    fn stop_sending(&mut self, child: u64) -> Result<(), KernelError> {
        let mut model = self.tables.model();
        model.enter("stop_sending")?;
        self.ledger.stop_sending(child, true).iter().for_each(|change| model.apply(change));
        Ok(())
    }

    fn move_sa(&mut self, to: &SaMove) -> Result<(), KernelError> {
        let mut model = self.tables.model();
        model.enter("move_sa")?;
        if !self.ledger.is_installed(to.child) {
            return Err(refused(format!("move #{}", to.child), libc::ESRCH));
        }
        let (sas, changes) = self.ledger.move_child(to);
        for (old, new) in sas {
            let Some(mut fake) = model.sas.remove(&name(&old)) else { continue };
            fake.sa = new;
            if let Some(spec) = &mut fake.spec {
                let SaMove { local, remote, encapsulated, .. } = *to;
                let had = SaPairSpec::clone(spec);
                *spec = Arc::new(SaPairSpec { local, remote, encapsulated, ..had });
            }
            model.sas.insert(name(&new), fake);
        }
        changes.iter().for_each(|change| model.apply(change));
        Ok(())
    }

    fn remove(&mut self, child: u64) -> Result<(), KernelError> {
        let mut model = self.tables.model();
        model.enter("remove")?;
        self.ledger.stop_sending(child, false).iter().for_each(|change| model.apply(change));
        for sa in self.ledger.take_child(child) {
            model.sas.remove(&name(&sa));
        }
        Ok(())
    }

    fn set_policies(&mut self, connection: u64, spec: &PolicySpec) -> Result<(), KernelError> {
        let mut model = self.tables.model();
        model.enter("set_policies")?;
        for (change, _) in self.ledger.replace_claims(connection, &bare_policies(spec)) {
            model.apply(&change);
        }
        Ok(())
    }

    fn remove_policies(&mut self, connection: u64) -> Result<(), KernelError> {
        let mut model = self.tables.model();
        model.enter("remove_policies")?;
        for key in self.ledger.policies_of(connection) {
            model.apply(&self.ledger.release(connection, key));
        }
        Ok(())
    }

    fn forget_wishes(&mut self, connection: u64) {
        self.ledger.forget_wishes(connection);
    }

    fn counters(&mut self, child: u64) -> Result<Counters, KernelError> {
        let mut model = self.tables.model();
        model.enter("counters")?;
        let missing = || refused(format!("read counters of #{child}"), libc::ESRCH);
        let owned = self.ledger.children.get(&child).ok_or_else(missing)?;
        let mut counters = Counters::default();
        for sa in owned.sas.iter().filter(|sa| !sa.larval) {
            let (bytes, packets) = model.sas.get(&name(sa)).ok_or_else(missing)?.traffic;
            if sa.inbound {
                (counters.bytes_in, counters.packets_in) = (bytes, packets);
            } else {
                (counters.bytes_out, counters.packets_out) = (bytes, packets);
            }
        }
        Ok(counters)
    }

    fn missed_expiries(&mut self) -> Result<Vec<KernelEvent>, KernelError> {
        let mut model = self.tables.model();
        model.enter("missed_expiries")?;
        let is_there = |sa: &_| model.sas.contains_key(&name(sa));
        Ok(self.ledger.missed(|sa| if is_there(sa) { Found::Well } else { Found::Gone }))
    }

    fn ledger(&self) -> &Ledger {
        &self.ledger
    }

    fn adopt(&mut self, ledger: Ledger) {
        self.ledger = ledger;
    }

    fn route(&mut self, change: &RouteChange) -> Result<(), KernelError> {
        let mut model = self.tables.model();
        model.enter("route")?;
        match change {
            RouteChange::Add(route) | RouteChange::Replace { by: route, .. } => {
                model.add_route(route)?;
            }
            RouteChange::Remove(route) => model.remove_route(route),
            RouteChange::HandOver { from, to } => {
                if model.add_route(to).is_err() {
                    model.remove_route(from);
                }
            }
            RouteChange::AddAddress { address, interface }
            | RouteChange::KeepAddress { address, interface } => {
                let added = InterfaceAddress { interface: interface.clone(), address: *address };
                let ours = self.ledger.added_address(*address, interface);
                if !ours && model.addresses.contains(&added) {
                    return Ok(());
                }
                if !ours || matches!(change, RouteChange::AddAddress { .. }) {
                    self.ledger.add_address(*address, interface);
                }
                if !model.source_addresses.contains(&added) {
                    model.source_addresses.push(added);
                }
            }
            RouteChange::RemoveAddress { address, interface } => {
                if self.ledger.remove_address(*address, interface) {
                    let gone = |had: &InterfaceAddress| {
                        had.address == *address && had.interface == *interface
                    };
                    model.source_addresses.retain(|had| !gone(had));
                }
            }
        }
        Ok(())
    }

    fn route_to(&mut self, destination: IpAddr) -> Result<RouteAnswer, KernelError> {
        let model = self.tables.model();
        if model.unreachable.contains(&destination) {
            return Err(refused(format!("find a route to {destination}"), libc::ENETUNREACH));
        }
        let same = |had: &&InterfaceAddress| had.address.is_ipv4() == destination.is_ipv4();
        match model.addresses.iter().find(same) {
            Some(had) => Ok(RouteAnswer {
                source: Some(had.address),
                gateway: None,
                interface: had.interface.clone(),
            }),
            None => Err(refused(format!("find a route to {destination}"), libc::ENETUNREACH)),
        }
    }

    fn addresses(&mut self) -> Result<Vec<InterfaceAddress>, KernelError> {
        Ok(self.tables.model().addresses.clone())
    }

    fn flush(&mut self) {
        let mut model = self.tables.model();
        let children: Vec<u64> = self.ledger.children.keys().copied().collect();
        for child in children {
            self.ledger.stop_sending(child, false).iter().for_each(|change| model.apply(change));
            for sa in self.ledger.take_child(child) {
                model.sas.remove(&name(&sa));
            }
        }
        let connections: Vec<u64> = self.ledger.connections.keys().copied().collect();
        for connection in connections {
            for key in self.ledger.policies_of(connection) {
                model.apply(&self.ledger.release(connection, key));
            }
        }
        let added: Vec<_> = self.ledger.addresses().cloned().collect();
        for (address, interface) in added {
            while !self.ledger.remove_address(address, &interface) {}
            model.source_addresses.retain(|had| had.address != address);
        }
    }
}

#[cfg(test)]
#[path = "fake_tests.rs"]
mod tests;
