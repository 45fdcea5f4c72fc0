//! Interfaces and addresses of this host, by rtnetlink.

use crate::KernelError;
use crate::error::refused;
use crate::netlink::Netlink;
use crate::netlink::read::{self, Fields, attributes};
use crate::netlink::write::{CREATE, DUMP, EXCLUSIVE};
use crate::sys::{interface_index, interface_name};
use crate::{InterfaceAddress, Ledger};
use rustc_hash::FxHashMap;
use std::net::IpAddr;

pub(crate) const RTM_NEWLINK: u16 = 16;
pub(crate) const RTM_DELLINK: u16 = 17;
const RTM_GETLINK: u16 = 18;
pub(crate) const RTM_NEWADDR: u16 = 20;
pub(crate) const RTM_DELADDR: u16 = 21;
const RTM_GETADDR: u16 = 22;

const IFLA_IFNAME: u16 = 3;
const IFF_UP: u32 = 1;

const IFA_ADDRESS: u16 = 1;
const IFA_LOCAL: u16 = 2;
const IFA_CACHEINFO: u16 = 6;
const IFA_FLAGS: u16 = 8;
const IFA_PROTO: u16 = 11;
const IFA_F_NODAD: u32 = 0x02;
const IFA_F_DADFAILED: u32 = 0x08;
const IFA_F_TENTATIVE: u32 = 0x40;

/// Scope of source addresses that we add: a number of the administrator's range, so that
/// `ip address` tells them from others.
const OUR_SCOPE: u8 = 50;
/// The same for IPv6, whose scopes are the kernel's (Linux 5.18; passed over before).
const OUR_PROTO: u8 = 50;

/// Interfaces, addresses and routes of the host we run on.
#[derive(Debug)]
pub(crate) struct Host {
    pub(crate) netlink: Netlink,
    /// Routing table of our routes; 0 is the main one.
    pub(crate) table: u8,
    /// Mark that packets outside the tunnels carry; 0 is none.
    pub(crate) mark: u32,
}

impl Host {
    pub(crate) fn open() -> Result<Self, KernelError> {
        Ok(Self { netlink: Netlink::open(libc::NETLINK_ROUTE)?, table: 0, mark: 0 })
    }

    /// See [`Netlink::port`].
    pub(crate) fn port(&self) -> u32 {
        self.netlink.port()
    }

    /// Index of an interface, or errno.
    pub(crate) fn index_of(&self, interface: &str) -> Result<u32, i32> {
        interface_index(&self.netlink, interface)
            .map_err(|error| error.raw_os_error().unwrap_or(libc::ENODEV))
    }

    /// Name of an interface, or its number where it has gone.
    pub(crate) fn name_of(&self, index: u32) -> String {
        interface_name(&self.netlink, index).unwrap_or_else(|_| format!("if{index}"))
    }

    /// Names of the interfaces that are up, by index.
    fn interfaces(&mut self) -> Result<FxHashMap<u32, String>, KernelError> {
        let found = std::cell::RefCell::new(FxHashMap::default());
        self.netlink.dump(
            "list interfaces",
            |out| {
                out.begin(RTM_GETLINK, DUMP);
                out.zeros(16);
                out.end();
            },
            |message| {
                if message.kind == RTM_NEWLINK
                    && let Some((index, name)) = read_interface(message.payload)
                {
                    found.borrow_mut().insert(index, name);
                }
            },
            || found.borrow_mut().clear(),
        )?;
        Ok(found.into_inner())
    }

    /// Addresses on interfaces that are up, without those that are not usable yet
    /// (tentative), that need an interface to be named (link-local), and that we have
    /// added ourselves: these are inside the tunnels.
    pub(crate) fn addresses(
        &mut self,
        ledger: &Ledger,
    ) -> Result<Vec<InterfaceAddress>, KernelError> {
        let interfaces = self.interfaces()?;
        let found = std::cell::RefCell::new(Vec::new());
        self.netlink.dump(
            "list addresses",
            |out| {
                out.begin(RTM_GETADDR, DUMP);
                out.zeros(8);
                out.end();
            },
            |message| {
                if message.kind != RTM_NEWADDR {
                    return;
                }
                let Some((index, address)) = read_address(message.payload) else { return };
                let Some(interface) = interfaces.get(&index) else { return };
                if !ledger.added_address(address, interface) {
                    let interface = interface.clone();
                    found.borrow_mut().push(InterfaceAddress { interface, address });
                }
            },
            || found.borrow_mut().clear(),
        )?;
        Ok(found.into_inner())
    }

    /// Adds a source address, or counts one more user of one that we have added.
    pub(crate) fn add_address(
        &mut self,
        ledger: &mut Ledger,
        address: IpAddr,
        interface: &str,
    ) -> Result<(), KernelError> {
        let first = ledger.add_address(address, interface);
        match self.change_address(RTM_NEWADDR, CREATE | EXCLUSIVE, address, interface) {
            // It may have gone with its interface since the others had it added.
            Ok(()) => Ok(()),
            Err(error) if !first && error.errno == libc::EEXIST => Ok(()),
            Err(error) => {
                ledger.remove_address(address, interface);
                if error.errno == libc::EEXIST { Ok(()) } else { Err(error) }
            }
        }
    }

    /// Adds a source address again that has been asked for before, for the same users.
    pub(crate) fn keep_address(
        &mut self,
        ledger: &mut Ledger,
        address: IpAddr,
        interface: &str,
    ) -> Result<(), KernelError> {
        if !ledger.added_address(address, interface) {
            // It was the host's own, and may be no more.
            return self.add_address(ledger, address, interface);
        }
        match self.change_address(RTM_NEWADDR, CREATE | EXCLUSIVE, address, interface) {
            Err(error) if error.errno != libc::EEXIST => Err(error),
            _ => Ok(()),
        }
    }

    /// Counts one user less of a source address that we have added, and removes it with
    /// the last.
    pub(crate) fn remove_address(
        &mut self,
        ledger: &mut Ledger,
        address: IpAddr,
        interface: &str,
    ) -> Result<(), KernelError> {
        if !ledger.remove_address(address, interface) {
            return Ok(());
        }
        match self.change_address(RTM_DELADDR, 0, address, interface) {
            Err(error) if !matches!(error.errno, libc::EADDRNOTAVAIL | libc::ENODEV) => Err(error),
            _ => Ok(()),
        }
    }

    /// Removes source addresses that a predecessor, which was killed, has left.
    pub(crate) fn remove_stale(&mut self, ledger: &mut Ledger) -> Result<(), KernelError> {
        let found = std::cell::RefCell::new(Vec::new());
        self.netlink.dump(
            "list addresses",
            |out| {
                out.begin(RTM_GETADDR, DUMP);
                out.zeros(8);
                out.end();
            },
            |message| found.borrow_mut().extend(read_ours(message.payload)),
            || found.borrow_mut().clear(),
        )?;
        for (index, address) in found.into_inner() {
            let interface = self.name_of(index);
            if ledger.add_address(address, &interface) {
                self.remove_address(ledger, address, &interface)?;
            }
        }
        Ok(())
    }

    /// Removes all source addresses that we have added.
    pub(crate) fn remove_added(&mut self, ledger: &mut Ledger) {
        let added: Vec<_> = ledger.addresses().cloned().collect();
        for (address, interface) in added {
            while ledger.added_address(address, &interface) {
                // Nobody is left to be told of errors.
                let _ = self.remove_address(ledger, address, &interface);
            }
        }
    }

    fn change_address(
        &mut self,
        kind: u16,
        flags: u16,
        address: IpAddr,
        interface: &str,
    ) -> Result<(), KernelError> {
        let verb = if kind == RTM_NEWADDR { "add" } else { "remove" };
        let what = || format!("{verb} address {address} on {interface}");
        let index = self.index_of(interface).map_err(|errno| refused(what(), errno))?;
        let out = self.netlink.requests();
        out.begin(kind, flags);
        let family = crate::xfrm::attr::family(address);
        out.u8(u8::try_from(family).unwrap_or(0));
        out.u8(if address.is_ipv4() { 32 } else { 128 });
        out.u8(0);
        out.u8(OUR_SCOPE);
        out.u32(index);
        out.attribute_ip(IFA_LOCAL, address);
        out.attribute_ip(IFA_ADDRESS, address);
        let open = out.open(IFA_PROTO);
        out.u8(OUR_PROTO);
        out.close(open);
        if kind == RTM_NEWADDR && address.is_ipv6() {
            // Usable at once, and (deprecated) only by those who ask for it: the scope
            // that keeps others away from an IPv4 address is not ours to set here.
            out.attribute_u32(IFA_FLAGS, IFA_F_NODAD);
            let open = out.open(IFA_CACHEINFO);
            out.u32(0); // preferred
            out.u32(u32::MAX); // valid
            out.zeros(8);
            out.close(open);
        }
        out.end();
        self.netlink.transact_one(what)
    }
}

/// Index and name of an interface that is up.
fn read_interface(payload: &[u8]) -> Option<(u32, String)> {
    let mut fields = Fields(payload);
    fields.take(4)?;
    let index = fields.u32()?;
    let flags = fields.u32()?;
    fields.take(4)?;
    let (_, name) = attributes(fields.0).find(|(kind, _)| *kind == IFLA_IFNAME)?;
    (flags & IFF_UP != 0).then(|| (index, read::text(name)))
}

/// Interface index and address of an address that IKE can use.
fn read_address(payload: &[u8]) -> Option<(u32, IpAddr)> {
    let mut fields = Fields(payload);
    let family = u16::from(fields.u8()?);
    fields.take(1)?;
    let mut flags = u32::from(fields.u8()?);
    fields.take(1)?;
    let index = fields.u32()?;
    let (mut address, mut local) = (None, None);
    for (kind, value) in attributes(fields.0) {
        match kind {
            IFA_ADDRESS => address = read::ip(family, value),
            IFA_LOCAL => local = read::ip(family, value),
            IFA_FLAGS => flags = Fields(value).u32()?,
            _ => {}
        }
    }
    // Of a point-to-point link IFA_ADDRESS is the other end's.
    let address = local.or(address)?;
    let link_local = matches!(address, IpAddr::V6(v6) if v6.is_unicast_link_local());
    let unusable = flags & (IFA_F_TENTATIVE | IFA_F_DADFAILED) != 0;
    (!link_local && !unusable).then_some((index, address))
}

/// Interface index and address of a source address that bears our signs.
fn read_ours(payload: &[u8]) -> Option<(u32, IpAddr)> {
    let mut fields = Fields(payload);
    let (family, prefix) = (fields.u8()?, fields.u8()?);
    let (_, scope) = (fields.u8()?, fields.u8()?);
    let index = fields.u32()?;
    let find = |wanted| attributes(fields.0).find(|(kind, _)| *kind == wanted);
    let (_, address) = find(IFA_LOCAL).or_else(|| find(IFA_ADDRESS))?;
    let address = read::ip(u16::from(family), address)?;
    let ours = match address {
        IpAddr::V4(_) => prefix == 32 && scope == OUR_SCOPE,
        IpAddr::V6(_) => {
            prefix == 128 && find(IFA_PROTO).is_some_and(|(_, value)| value == [OUR_PROTO])
        }
    };
    ours.then_some((index, address))
}

#[cfg(test)]
#[path = "interfaces_tests.rs"]
mod tests;
